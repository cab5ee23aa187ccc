"""The written reports: their text to the byte, their files and links, their JSON beside the runs' own numbers.

After a wanted change of wording: ``ERRORAN_REGENERATE=1 pytest tests/report/test_reports.py``, then read the
difference in ``golden/`` before committing it.
"""

import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from stages.test_report import BEFORE, MINED, NAME, made_up_dataset, put_experiment, put_group

from erroran.errors import Unavailable
from erroran.report import index
from erroran.report.across_models import write_across
from erroran.report.baseline import write_baseline
from erroran.report.confusions import write_confusions
from erroran.report.intervention import write_intervention
from erroran.report.review import write_review
from erroran.report.text import md
from erroran.stages.across_models import compare_groups
from erroran.stages.baseline import summarise
from erroran.stages.mine_confusions import rank_confusions
from erroran.stages.report import Assessment, assess, list_verdicts
from erroran.stages.review import review
from erroran.store import Store
from erroran.store.records import Group, StoredVerdict
from erroran.verdict.table import ROWS, WORDS

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Group]:
    return put_experiment(tmp_path_factory.mktemp("golden") / "store")


@pytest.fixture(scope="module")
def assessment(experiment: tuple[Store, Group]) -> Assessment:
    return assess(*experiment, NAME)


@pytest.fixture(scope="module")
def reports(experiment: tuple[Store, Group], assessment: Assessment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every report of the made-up experiment."""
    store, group = experiment
    folder = tmp_path_factory.mktemp("written") / "reports"
    write_baseline(summarise(store, group), folder)
    write_confusions(rank_confusions(store, group), folder, top=10)
    write_intervention(assessment, folder)
    write_review(review(store, group), folder)
    put_group(store, made_up_dataset(), MINED, BEFORE, model="dense-baseline")
    write_across(compare_groups(store), folder)
    index.write_index(list_verdicts(store), store.ledger.entries(), folder)
    return folder


def _compare(text: str, name: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("ERRORAN_REGENERATE") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_intervention_report_to_the_byte(reports: Path) -> None:
    """Nothing in the report of fixed evidence depends on the day, the machine or the commit."""
    _compare((reports / f"{NAME}.md").read_text(encoding="utf-8"), f"{NAME}.md")


def test_baseline_report_to_the_byte(reports: Path) -> None:
    """The same of the baseline's report."""
    _compare((reports / "baseline.md").read_text(encoding="utf-8"), "baseline.md")


def test_confusion_report_to_the_byte(reports: Path) -> None:
    """The same of the confusions'; only the command line is that of the moment."""
    text = (reports / "confusions.md").read_text(encoding="utf-8")
    _compare(re.sub(r"Made by `[^`]*`", "Made by `a command`", text), "confusions.md")


DOCUMENTS = [f"{NAME}.md", "baseline.md", "confusions.md", "review.md", "across-models.md", "README.md"]


def _anchors(text: str) -> set[str]:
    """What GitHub lets one link to: headings, and ids of one's own."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_images_exist(reports: Path, document: str) -> None:
    """Every relative link leads to a file, every fragment to an anchor in it."""
    text = (reports / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith("http")]
    assert targets
    for target in targets:
        file, _, fragment = target.partition("#")
        path = reports / (file or document)
        assert path.is_file(), target
        assert not fragment or fragment in _anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tables_are_whole(reports: Path, document: str) -> None:
    """Every row of a table has as many cells as its head, and an empty line goes before it."""
    lines = ["", *(reports / document).read_text(encoding="utf-8").splitlines()]
    tables = 0
    for before, line in itertools.pairwise(lines):
        cells = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|") and not before.startswith("|"):
            assert before == "", line
            head, tables = cells, tables + 1
        elif line.startswith("|"):
            assert cells == head, line
    assert tables


@pytest.mark.parametrize("document", DOCUMENTS)
def test_text_is_clean(reports: Path, document: str) -> None:
    """No unfilled template, no Python value, no counting of one thing as many, no double space in a sentence."""
    text = (reports / document).read_text(encoding="utf-8")
    assert not re.search(r"\{\{|\{%|\bNone\b|\bnan\b|\binf\b|<erroran", text)
    assert not re.search(r"(?<![\d.,])1 (runs|seeds|epochs|images|hypotheses)\b", text)
    assert not re.search(r"\S {2,}\S", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _strict(text: str) -> dict[str, object]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(text, parse_constant=refuse)
    assert isinstance(content, dict)
    return content


def test_json_files_are_strict(reports: Path) -> None:
    """No NaN, no Infinity in any JSON file beside a report."""
    files = sorted(reports.glob("*/*.json"))
    assert {f"{f.parent.name}/{f.name}" for f in files} == {
        f"{NAME}/comparison.json",
        "across-models/across-models.json",
        "review/review.json",
        "baseline/summary.json",
        "confusions/confusions.json",
    }
    for file in files:
        assert _strict(file.read_text(encoding="utf-8"))


def test_comparison_agrees_with_the_runs(reports: Path, experiment: tuple[Store, Group]) -> None:
    """Counts and accuracies in comparison.json are those of the stored predictions."""
    store, _ = experiment
    look = store.ledger.entries()[0]
    comparison = _strict((reports / NAME / "comparison.json").read_text(encoding="utf-8"))
    for row in comparison["seeds"]:
        before, after = (store.get_predictions(run, "confirm", look=look) for (run,) in row["runs"])
        wrong = [p.probabilities.argmax(1) != p.labels for p in (before, after)]
        assert row["accuracy_before"] == pytest.approx(1 - wrong[0].mean())
        assert row["accuracy_after"] == pytest.approx(1 - wrong[1].mean())
    assert np.sum(comparison["mean_change"]) == pytest.approx(0)
    assert comparison["verdict"]["word"] in WORDS
    assert comparison["arms"]["baseline"] == [row["runs"][0][0] for row in comparison["seeds"]]
    assert {flip["id"] for flip in comparison["broken"]} <= set(before.ids.tolist())


def test_comparison_json_is_what_is_printed(assessment: Assessment, reports: Path) -> None:
    """`report --json` and the file hold the same."""
    text = (reports / NAME / "comparison.json").read_text(encoding="utf-8")
    assert assessment.to_json() == json.loads(text)


def test_the_report_begins_with_the_verdict(assessment: Assessment, reports: Path) -> None:
    """Title, sentence, one figure and no other before the folded sections; nothing but these sections after."""
    text = (reports / f"{NAME}.md").read_text(encoding="utf-8")
    verdict = assessment.verdict
    head, *folded = text.split("<details>")
    title, sentence, figure = [line for line in head.splitlines() if line][:3]
    assert (title, sentence) == (f"# {NAME}: {verdict.word}", verdict.sentence)
    assert figure == f"![Changes of the errors with their intervals]({NAME}/forest.png)"
    assert head.count("![") == 1
    assert "\n#" not in text  # no heading but the title
    assert text.count("</details>") == len(folded) >= 5
    assert f"row *{verdict.row}*" in folded[0]


def test_index_lists_stored_verdicts(reports: Path, experiment: tuple[Store, Group], tmp_path: Path) -> None:
    """A row for each version, with its numbers; linked where the page is about that version."""
    store, group = experiment
    (judged,) = list_verdicts(store)
    other = judged.model_copy(update={"spec_hash": "11111111", "word": "harmed"})
    text = index.write_index([judged, other], store.ledger.entries(), reports).read_text(encoding="utf-8")
    assert text.startswith("# 1 hypothesis in 2 versions: 1 harmed\n")
    rows = [line for line in text.splitlines() if line.startswith((f"| [{NAME}]", f"| {NAME} "))]
    assert [row.startswith(f"| [{NAME}]({NAME}.md)") for row in rows] == [True, False]
    assert "| 3.7 → 0.7 | −82 % (" in rows[0]
    assert f"| {len(judged.seeds)} | `{judged.spec_hash}` | `{group.id}` |" in rows[0]
    assert "| 0 read as 1 | **harmed** |" in rows[1]
    more_seeds = judged.model_copy(update={"seeds": (*judged.seeds, 1003)})
    assert f"| {NAME} |" in index.write_index([more_seeds], [], reports).read_text(encoding="utf-8")
    index.write_index([judged], [], reports)


def test_index_title_counts_hypotheses(experiment: tuple[Store, Group]) -> None:
    """Not rows; of several versions the last verdict counts; words in the order of the table."""
    (judged,) = list_verdicts(experiment[0])

    def made(name: str, word: str) -> StoredVerdict:
        return judged.model_copy(update={"name": name, "word": word})

    assert index.index_title([]) == "No hypothesis was judged yet"
    assert index.index_title([made("a", "harmed")]) == "1 hypothesis: 1 harmed"
    several = [made("a", "cannot tell"), made("b", "cannot tell"), made("a", "improved"), made("c", "cannot tell")]
    assert index.index_title(several) == "3 hypotheses in 4 versions: 1 improved, 2 cannot tell"


def test_index_names_what_was_registered_only(experiment: tuple[Store, Group], tmp_path: Path) -> None:
    """Hypotheses without a verdict, each once, and pages of those that were only planned."""
    look = experiment[0].ledger.entries()[0]
    pending = look.model_copy(update={"kind": "registered", "name": "2to1", "pair": "2:1"})
    (tmp_path / "2to1-plan.md").write_text("# Plan")
    text = index.write_index([], [pending, pending], tmp_path).read_text(encoding="utf-8")
    assert "Registered, not judged: `2to1` (2:1)." in text
    assert "See also: [2to1-plan](2to1-plan.md)." in text


def test_index_prints_the_decision_table(reports: Path) -> None:
    """Every row with its condition and its word, in the order in which they are tried."""
    text = (reports / "README.md").read_text(encoding="utf-8")
    places = [text.index(f"| {row.name} | {md(row.condition)} | **{row.word}** |") for row in ROWS]
    assert places == sorted(places)


def test_one_run_reads_well(tmp_path: Path) -> None:
    """With a single seed there is no spread to print, and no plural."""
    store = Store(tmp_path / "store")
    group = put_group(store, made_up_dataset(), MINED[:1], BEFORE[:1])
    write_baseline(summarise(store, group), tmp_path)
    write_confusions(rank_confusions(store, group), tmp_path, top=3)
    for document in ("baseline.md", "confusions.md"):
        test_text_is_clean(tmp_path, document)
    assert "±" not in (tmp_path / "baseline.md").read_text(encoding="utf-8")


def test_no_errors_at_all(tmp_path: Path) -> None:
    """A model without errors gets a report that says so and what to do."""
    store = Store(tmp_path / "store")
    group = put_group(store, made_up_dataset(), [{}, {}], [{}, {}])
    text = write_confusions(rank_confusions(store, group), tmp_path, top=3).read_text(encoding="utf-8")
    assert text.startswith("# No confusions on `mine`: 2 runs without an error on 30 images")
    assert "--mine-fraction 0.3" in text


def test_a_hypothesis_is_text(assessment: Assessment, tmp_path: Path) -> None:
    """Whatever somebody writes as a hypothesis, the page has no other headings, links or HTML for it."""
    statement = "<script>alert(1)</script>\n\n# Verdict\n[x](javascript:alert(1)) `code` | cell"
    hypothesis = assessment.intervention.hypothesis.model_copy(update={"hypothesis": statement})
    intervention = assessment.intervention.model_copy(update={"hypothesis": hypothesis})
    text = write_intervention(assessment.model_copy(update={"intervention": intervention}), tmp_path).read_text()
    assert r"\<script>alert(1)\</script> \# Verdict \[x\](javascript:alert(1)) \`code\` \| cell" in text
    plain = write_intervention(assessment, tmp_path).read_text()
    assert text.count("\n") == plain.count("\n")


def test_unwritable_reports(assessment: Assessment, tmp_path: Path) -> None:
    """A file where the folder should be: said, with the comfort that nothing is lost."""
    (tmp_path / "reports").write_text("")
    with pytest.raises(Unavailable) as caught:
        write_intervention(assessment, tmp_path / "reports")
    assert "nothing has to be trained again" in caught.value.fix
    with pytest.raises(Unavailable):
        index.write_index([], [], tmp_path / "reports" / "below")
