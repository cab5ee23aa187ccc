"""Review of made-up runs whose every count is known, of prediction files, and what it leaves behind."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from stages.test_report import BEFORE, MINED, made_up_dataset, put_group
from typer.testing import CliRunner

from erroran.cli.app import app
from erroran.data import split_dataset
from erroran.errors import BadInput
from erroran.report.review import queue_rows, review_sentence, write_review
from erroran.report.text import md
from erroran.stages.review import review, review_files
from erroran.store import Store
from erroran.store.records import Group

# A right image has confidence 0.9, a wrong one 0.5: see `predict`. MINED: errors on images 0, 1 of class 0 in every
# run, and in the third run on image 2 of class 0 and 4 of class 1 as well; 30 images in all.


@pytest.fixture
def group(store: Store) -> Group:
    return put_group(store, made_up_dataset(), MINED, BEFORE)


def test_counts_by_hand(store: Store, group: Group) -> None:
    """All errors are below 0.8 and nothing else is."""
    reviewed = review(store, group)
    chosen = reviewed.selection
    assert chosen.threshold == 0.8
    assert (chosen.kept_per_run, chosen.errors_kept_per_run, chosen.errors_per_run) == (
        (28, 28, 26),
        (0, 0, 0),
        (2, 2, 4),
    )
    assert chosen.accuracy is not None
    assert chosen.accuracy[0] == 1
    assert review_sentence(reviewed) == (
        "At 0.8, 91.11 % of the images are answered, 100.00 % of those correctly; 2.67 of 30 images wait for a human, "
        "who would find 2.67 of 2.67 errors (means of 3 runs)."
    )


def test_the_queue_by_hand(store: Store, group: Group) -> None:
    """Those that most runs leave first; places are those in the training images."""
    reviewed = review(store, group)
    queue = queue_rows(reviewed)
    dataset = made_up_dataset()
    assert [row.runs_waiting for row in queue] == [3, 3, 1, 1]
    assert sorted(row.label for row in queue) == ["0", "0", "0", "1"]
    for i, row in zip(reviewed.waiting, queue, strict=True):
        assert dataset.train_ids[row.index] == row.sample_id
        assert np.array_equal(dataset.x_train[row.index], reviewed.pixels[i])
    first, last = queue[0], queue[-1]
    assert (first.prediction, first.second) == ("1", "0")
    assert first.confidence == pytest.approx(0.5)
    assert first.why == "between 1 and 0"
    assert last.confidence == pytest.approx((0.9 + 0.9 + 0.4) / 3)
    assert "runs disagree: 2 read" in last.why


def test_the_ensemble_is_judged_as_one(store: Store, group: Group) -> None:
    """Errors of one run of three are outvoted, and wait all the same where the mean is below the threshold."""
    reviewed = review(store, group, ensemble=True)
    chosen = reviewed.selection
    assert (chosen.kept_per_run, chosen.errors_per_run) == ((26,), (2,))
    assert reviewed.judged_predictions.files == ("ensemble",)
    assert review(store, group, threshold=0.7, ensemble=True).selection.kept_per_run == (28,)


def test_confident_errors_are_listed(store: Store, group: Group) -> None:
    """At 0.5 every error is answered; those of most runs are listed."""
    reviewed = review(store, group, threshold=0.45)
    assert len(reviewed.waiting) == 0
    assert len(reviewed.missed) == 2
    assert (reviewed.predictions.labels[reviewed.missed] == 0).all()


def test_a_target_chooses_the_threshold(store: Store, group: Group) -> None:
    """The lowest confidence that reaches it; with these runs, that of the right answers."""
    reviewed = review(store, group, target_accuracy=0.99)
    assert reviewed.selection.threshold == pytest.approx(0.9, abs=2e-6)
    assert reviewed.target is not None
    assert (reviewed.target.chosen_on, reviewed.target.accuracy_held_out) == ("mine", 1.0)
    assert "on images that it was not chosen on, 100.000 % is right" in review_sentence(reviewed)


def test_confirm_shows_numbers_and_no_image(store: Store, group: Group, tmp_path: Path) -> None:
    """The threshold is the one of `mine`; the look is entered once; no verdict becomes exploratory."""
    write_review(review(store, group), tmp_path)
    assert (tmp_path / "review" / "queue.csv").is_file()
    assert store.ledger.entries() == []
    reviewed = review(store, group, target_accuracy=0.99, split="confirm")
    review(store, group, target_accuracy=0.99, split="confirm")
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.group, entry.seeds) == ("reviewed-on-confirm", group.id, (0, 1, 2))
    assert reviewed.selection.errors_per_run == (6, 4, 6)
    assert (len(reviewed.waiting), len(reviewed.missed)) == (0, 0)
    assert reviewed.to_json()["queue"] is None
    path = write_review(reviewed, tmp_path)
    assert not (tmp_path / "review" / "queue.csv").exists()
    text = path.read_text()
    assert "A look at `confirm`" in text
    assert "queue" not in text
    part = split_dataset(made_up_dataset(), mine_fraction=0.5).confirm
    assert not any(str(name) in (tmp_path / "review" / "review.json").read_text() for name in part.ids)


def test_an_unreachable_target(store: Store) -> None:
    """The surest answer is wrong: no threshold helps, and the error says so."""
    group = put_group(store, made_up_dataset(), [{}], [{}])
    run = store.run_folder(group.run_spec(0).id)
    with np.load(run / "mine.npz") as stored:
        arrays = dict(stored)
    arrays["probabilities"][0] = [0, 0, 1] if arrays["labels"][0] != 2 else [1, 0, 0]
    np.savez(run / "mine.npz", **arrays)
    with pytest.raises(BadInput, match="No threshold makes"):
        review(store, group, target_accuracy=0.99)


def test_report_links_and_queue(store: Store, group: Group, tmp_path: Path) -> None:
    """Every picture that is linked is there; the queue reads back as it was."""
    reviewed = review(store, group)
    text = write_review(reviewed, tmp_path).read_text()
    assert text.startswith(f"# {md(review_sentence(reviewed))}\n")
    for name in ("risk-coverage.png", "reliability.png", "queue.png", "queue.csv", "review.json"):
        assert (tmp_path / "review" / name).is_file()
    with (tmp_path / "review" / "queue.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sample_id"] for row in rows] == reviewed.queue
    assert list(rows[0])[:5] == ["sample_id", "index", "label", "prediction", "confidence"]
    found = json.loads((tmp_path / "review" / "review.json").read_text())
    assert found["selection"]["kept_per_run"] == [28, 28, 26]
    assert found["queue"] == reviewed.queue
    assert [voice["name"] for voice in found["voices"]] == ["seed 0", "seed 1", "seed 2", "ensemble"]
    assert [voice["errors"] for voice in found["voices"]] == [2, 2, 4, 2]


def test_keys_of_the_json(store: Store, group: Group) -> None:
    """Other programs read them."""
    content = review(store, group, target_accuracy=0.9).to_json()
    assert set(content) == {
        "group", "dataset", "note", "source", "seeds", "images", "judged", "target", "selection", "ladder", "voices",
        "queue",
    }  # fmt: skip
    assert (content["images"], content["seeds"], content["judged"]) == (30, [0, 1, 2], "runs")
    assert set(content["voices"][0]) == {
        "name", "errors", "aurc", "aurc_best", "ece_mass", "ece_width", "ece_mass_if_perfect",
        "ece_mass_if_perfect_high", "mean_confidence", "accuracy", "brier", "nll",
    }  # fmt: skip


FILE = """sample_id,label,p_cat,p_dog
a,cat,0.95,0.05
b,dog,0.6,0.4
c,dog,0.1,0.9
"""


def test_prediction_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from files of any framework: counts, queue and report, without images."""
    monkeypatch.chdir(tmp_path)
    Path("r0.csv").write_text(FILE)
    Path("r1.csv").write_text(FILE.replace("0.6,0.4", "0.3,0.7"))
    reviewed = review_files(["r*.csv"])
    assert (reviewed.selection.kept_per_run, reviewed.selection.errors_per_run) == ((2, 2), (1, 0))
    (waiting,) = queue_rows(reviewed)
    assert (waiting.sample_id, waiting.label, waiting.prediction, waiting.runs_waiting) == ("b", "dog", "dog", 2)
    assert "1 read cat, 1 read dog" in waiting.why
    outcome = CliRunner().invoke(app, ["review", "--predictions", "r*.csv", "--ensemble", "--json"])
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["judged"] == "ensemble"
    assert Path("reports/review-files/queue.csv").is_file()
    assert not Path("reports/review-files/queue.png").exists()
    assert not Path("reports/review.md").exists()
    text = Path("reports/review-files.md").read_text()
    linked = re.findall(r"\]\((review[^)]*)\)", text)
    assert linked
    assert all(Path("reports", target).is_file() for target in linked)


def test_the_queue_runs_no_formula(tmp_path: Path) -> None:
    """A class or an id that a spreadsheet would run is quoted; numbers are not."""
    path = tmp_path / "r.csv"
    path.write_text("sample_id,label,p_=1+1,p_-2\n@x,=1+1,0.6,0.4\n-7,-2,0.55,0.45\n")
    write_review(review_files([str(path)]), tmp_path)
    with (tmp_path / "review-files" / "queue.csv").open() as file:
        rows = {row["sample_id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"'@x", "-7"}
    assert (rows["-7"]["prediction"], rows["-7"]["label"]) == ("'=1+1", "-2")


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Markup in class and file names reaches no page."""
    path = tmp_path / "<b>*r*.csv"
    path.write_text("sample_id,label,p_[x](javascript:a),p_|\na,|,0.6,0.4\nb,[x](javascript:a),0.9,0.1\n")
    text = write_review(review_files([str(path)]), tmp_path).read_text()
    assert r"\<b>\*r\*.csv" in text
    assert "<b>" not in text.replace(r"\<b>", "")


def test_a_moved_prediction_is_judged_by_its_own_probability(tmp_path: Path) -> None:
    """A prediction that is not the most probable class has the confidence of the class that it names."""
    path = tmp_path / "r.csv"
    path.write_text("sample_id,label,prediction,p_x,p_y\na,y,y,0.6,0.4\nb,x,x,0.9,0.1\n")
    reviewed = review_files([str(path)], threshold=0.5)
    assert (reviewed.selection.kept_per_run, reviewed.selection.errors_per_run) == ((1,), (0,))


def test_files_without_probabilities(tmp_path: Path) -> None:
    """There is no confidence to go by."""
    path = tmp_path / "r.csv"
    path.write_text("sample_id,label,prediction\na,x,x\nb,y,x\n")
    with pytest.raises(BadInput, match="not every file has probabilities"):
        review_files([str(path)])


def test_a_run_without_errors(store: Store, tmp_path: Path) -> None:
    """Nothing wrong, nothing waiting: a report all the same."""
    group = put_group(store, made_up_dataset(), [{}], [{}])
    text = write_review(review(store, group), tmp_path).read_text()
    assert text.startswith("# At 0.8, 100.00 % of the images are answered, 100.00 % of those correctly; 0 of 30 images")
    assert " nan" not in text
    nothing = review(store, group, threshold=0.95)
    assert "0.00 % of the images are answered, none of those" in review_sentence(nothing)
    write_review(nothing, tmp_path)
