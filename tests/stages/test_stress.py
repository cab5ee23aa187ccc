"""Stress tests with tiny trained models, and with made-up predictions whose every count is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stages.test_report import NAME, SEEDS, put_experiment

from erroran.data import load_dataset
from erroran.errors import BadInput, NotFound
from erroran.experiment.hypothesis import Hypothesis
from erroran.report.stress import _effect, stress_sentence, stress_title, summary_rows, write_stress
from erroran.stages import stress as stage
from erroran.stages.report import assess
from erroran.stages.stress import AS_IT_IS, REDRAWN, Stressed, perturb, stress
from erroran.store import Store
from erroran.store.records import Group
from erroran.verdict.contrasts import Contrast, VersionArms, contrast_arms, find_likenesses, judge_version

VERSIONS = [AS_IT_IS, REDRAWN, "thinned", "thickened", "swollen", "fractured"]
JUDGED = VERSIONS[2:]


def _answers(store: Store, group: Group, wrong: dict[tuple[str, str], dict[tuple[int, int], int]]) -> Callable:
    """Replaces stored models: right except for a number of images by version, arm and (true, predicted) class."""
    intervention = store.get_intervention(group.id, NAME)
    arm_of = {run: (arm, place) for arm, runs in intervention.arms.items() for place, run in enumerate(runs)}
    labels = store.get_dataset(group.template.dataset).y_test

    def predict(model_file: Path, images: np.ndarray, **_: object) -> np.ndarray:
        read = np.tile(labels, (len(VERSIONS) - 1, 1))
        assert read.size == len(images)
        arm, first = arm_of[model_file.parent.name]  # each run misreads the same number, but other images
        for row, version in zip(read, VERSIONS[1:], strict=True):
            for (true, other), count in wrong.get((version, arm), {}).items():
                row[np.flatnonzero(labels == true)[first : first + count]] = other
        return np.eye(3)[read.ravel()]

    return predict


@pytest.fixture
def experiment(tmp_path: Path) -> tuple[Store, Group]:
    return put_experiment(tmp_path / "store")


@pytest.fixture
def stressed(experiment: tuple[Store, Group], monkeypatch: pytest.MonkeyPatch) -> Stressed:
    """Thinned 0s are read as 1 more often, and 1s as 0 less often, in the treatment; sham is as the baseline."""
    before = {("thinned", arm): {(0, 1): 2, (1, 0): 12} for arm in ("baseline", "sham")}
    wrong = {**before, ("thinned", NAME): {(0, 1): 14, (1, 0): 1}, ("swollen", "baseline"): {(2, 1): 3}}
    monkeypatch.setattr(stage, "predict_with", _answers(*experiment, wrong))
    return stress(*experiment, NAME)


def test_errors_of_every_run(stressed: Stressed) -> None:
    """The made-up counts; for the unchanged images the stored predictions."""
    thinned = next(v for v in stressed.versions if v.name == "thinned")
    by_kind = [("forward", 2, 14), ("reverse", 12, 1), ("sum", 14, 15), ("elsewhere", 0, 0), ("overall", 14, 15)]
    assert thinned.errors["baseline"] == {kind: [before] * 3 for kind, before, _ in by_kind}
    assert thinned.errors[NAME] == {kind: [after] * 3 for kind, _, after in by_kind}
    assert [v.name for v in stressed.versions] == VERSIONS
    assert stressed.versions[0].errors["baseline"]["forward"] == [4, 3, 4]


def test_every_version_is_judged_and_every_control_compared(stressed: Stressed) -> None:
    """Four versions, five tests each; sham against the baseline, and the treatment against sham, by themselves."""
    assert [j.contrast.version for j in stressed.judged] == JUDGED
    assert [(c.version, c.before, c.after) for c in stressed.controls] == [
        (version, *arms) for version in JUDGED for arms in (("baseline", "sham"), ("sham", NAME))
    ]
    everything = [*(j.contrast for j in stressed.judged), *stressed.controls]
    assert all(set(c.q_values) == {"forward", "reverse", "sum", "elsewhere", "overall"} for c in everything)
    valid = [q for c in everything for q in c.q_values.values() if q is not None]
    assert stressed.tests + stressed.control_tests == len(valid)


def test_q_values_are_those_of_all_tests_at_once(stressed: Stressed) -> None:
    """Benjamini and Hochberg by hand: p times their number over their rank, made monotone from above."""
    contrasts = [j.contrast for j in stressed.judged]
    p_values = [c.compared[key].test.p_value for c in contrasts for key in c.compared]
    q_values = [c.q_values[key] for c in contrasts for key in c.compared]
    tested = sorted((p, q) for p, q in zip(p_values, q_values, strict=True) if p is not None)
    smallest = 1.0
    for rank in range(len(tested), 0, -1):
        p, q = tested[rank - 1]
        smallest = min(smallest, p * len(tested) / rank)
        assert q == pytest.approx(smallest)


def test_what_was_planted_is_found(stressed: Stressed) -> None:
    """The one version in which the arms differ, each direction with its sign, and no other version."""
    first, *others = stressed.judged
    assert (first.contrast.version, first.contrast.found.get("forward"), first.contrast.found.get("reverse")) == (
        "thinned", 1, -1,
    )  # fmt: skip
    assert first.word == "traded"
    assert all(not j.contrast.found for j in others if j.contrast.version in ("thickened", "fractured"))


def test_the_sentence_says_what_rose_and_what_fell(stressed: Stressed) -> None:
    """Both directions with their numbers, and that the sham shows none of it."""
    sentence = stress_sentence(stressed)
    assert sentence.startswith(
        "On thinned images 0 read as 1 rose from 2.0 to 14.0 errors per run and 1 read as 0 fell from 12.0 to 1.0. "
        "The controls, by 0 read as 1, and q of the treatment against each: no change with sham (2.0, q"
    )
    assert stress_title(stressed).startswith(f"{NAME} under stress: traded on thinned images")


@pytest.mark.parametrize(
    ("words", "effect"),
    [
        (["same", "more", "cannot tell"], "is enough"),
        (["no", "cannot tell"], "does not do it"),
        (["less", "no"], "does part of it"),
        (["same", "no"], "does some of it"),
        (["opposite", "no"], "turns the changes round: it matters which class gets which operation"),
        (["cannot tell"], "may or may not do it"),
    ],
)
def test_what_a_control_says_about_the_cause(words: list, effect: str) -> None:
    assert _effect(words) == effect


def _runs(*counts: int, runs: int = 4) -> np.ndarray:
    """Of 90 images in three classes, the first counts are 0 read as 1, 1 read as 0 and 2 read as 0; runs differ."""
    labels = np.repeat([0, 1, 2], 30)
    predicted = np.tile(labels, (runs, 1))
    for run in range(runs):
        for (true, other), count in zip(((0, 1), (1, 0), (2, 0)), counts, strict=False):
            predicted[run, true * 30 + run : true * 30 + run + count] = other
    return predicted


def _contrasts(**arms: np.ndarray) -> tuple[list[Contrast], list[Contrast]]:
    labels, versions = np.repeat([0, 1, 2], 30), [VersionArms("thinned", arms)]
    controls = [arm for arm in arms if arm not in ("baseline", "t")]
    both = [pair for control in controls for pair in (("baseline", control), (control, "t"))]
    return tuple(contrast_arms(labels, versions, way, (0, 1), ("0", "1", "2")) for way in ([("baseline", "t")], both))


def test_a_control_that_shows_the_same_names_the_cause() -> None:
    """One control rises as the treatment does, one by half, one not at all, one by more, one falls."""
    treatment, controls = _contrasts(
        baseline=_runs(9), t=_runs(18), same=_runs(18, runs=3), half=_runs(14, runs=4), none=_runs(9), more=_runs(26),
        opposite=_runs(2),
    )  # fmt: skip
    found = {one.control: one for one in find_likenesses(treatment, controls, ["forward"])}
    alike = {name: one.alike for name, one in found.items()}
    assert alike == {"same": "same", "half": "less", "none": "no", "more": "more", "opposite": "opposite"}
    assert found["half"].means == (9, 14, 18)
    assert found["same"].q_treatment == pytest.approx(1, abs=0.5)


def test_what_cannot_be_told_is_not_called_alike() -> None:
    """A control of one run has no tests: neither alike nor different. What did not change has no cause."""
    treatment, controls = _contrasts(baseline=_runs(9), t=_runs(18), single=_runs(18, runs=1))
    (one,) = find_likenesses(treatment, controls, ["forward", "reverse"])
    assert (one.kind, one.alike, one.q_control, one.q_treatment) == ("forward", "cannot tell", None, None)


def test_errors_outside_the_pair_are_told_apart() -> None:
    """The pair rises while all others fall: "elsewhere" shows it, and "overall" nothing."""
    ((found,), _) = _contrasts(baseline=_runs(2, 0, 18), t=_runs(18, 0, 2))
    assert (found.found["forward"], found.found["sum"], found.found["elsewhere"]) == (1, 1, -1)
    assert found.means("elsewhere") == (18, 2)
    assert found.means("overall") == (20, 20)
    assert "overall" not in found.found


def test_a_word_needs_more_than_its_own_p(stressed: Stressed) -> None:
    """A claim holds if its direction, and the endpoint it rests on, hold under the false discovery rate."""
    from dataclasses import replace

    contrast, verdict = stressed.judged[0].contrast, stressed.judged[0].verdict
    p = verdict.primary.test.p_value
    assert p is not None
    assert p < 0.05
    for found, claim, word in (
        ({"forward": 1}, "harmed", "harmed"),
        ({}, "harmed", "cannot tell"),
        ({"overall": 1}, "harmed", "cannot tell"),  # the verdict rests on the endpoint, which does not hold
        ({"forward": 1}, "traded", "cannot tell"),
        ({"forward": 1, "elsewhere": -1}, "traded", "traded"),
        ({}, "not worthwhile", "not worthwhile"),
    ):
        judged = judge_version(contrast.model_copy(update={"found": found}), replace(verdict, word=claim))
        assert (judged.word, judged.unadjusted_word) == (word, claim)
    elsewhere = replace(verdict.forward.test, p_value=0.5, p_less=0.25, p_greater=0.75)
    quiet = replace(verdict, word="harmed", forward=replace(verdict.forward, test=elsewhere))
    assert judge_version(contrast.model_copy(update={"found": {"overall": 1}}), quiet).word == "harmed"


def test_the_controls_are_optional(experiment: tuple[Store, Group], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "predict_with", _answers(*experiment, {}))
    steps: list[tuple[str, int, int]] = []
    found = stress(*experiment, NAME, controls=False, on_step=lambda *step: steps.append(step))
    assert list(found.evidence) == ["baseline", NAME]
    assert [done for _, done, _ in steps] == list(range(5 + 2 * len(SEEDS) + 1))
    assert stress_sentence(found) == (
        "On thinned, thickened, swollen and fractured images no change of the baseline's errors is shown."
    )
    assert (found.controls, found.likenesses) == ([], [])


def test_the_look_is_entered_once_and_shows_in_the_report(
    experiment: tuple[Store, Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repetition is no second look; the report of the intervention says that there was one."""
    store, group = experiment
    monkeypatch.setattr(stage, "predict_with", _answers(*experiment, {}))
    stress(store, group, NAME)
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.name, entry.seeds) == ("stress", NAME, SEEDS)
    assert any(f"in a stress test of {NAME}" in stamp.sentence for stamp in assess(store, group, NAME).stamps)


def test_an_intervention_that_was_never_run(experiment: tuple[Store, Group]) -> None:
    with pytest.raises(NotFound, match="`9to4` has not been run"):
        stress(*experiment, "9to4")
    assert experiment[0].ledger.entries() == []


def test_colour_is_refused_before_the_look(tmp_path: Path) -> None:
    """The perturbations are of grey strokes; a refused test is no look at `confirm`."""
    store, group = put_experiment(tmp_path / "store", channels=3)
    with pytest.raises(BadInput, match="3 channels; a stress test works on grey images only"):
        stress(store, group, NAME)
    assert store.ledger.entries() == []


def test_the_report(stressed: Stressed, tmp_path: Path) -> None:
    """The title is short; every run's value, what each control shows, figures that exist, strict JSON."""
    from report.test_reports import _strict, test_tables_are_whole, test_text_is_clean

    path = write_stress(stressed, tmp_path)
    text = path.read_text()
    assert text.splitlines()[0] == f"# {stress_title(stressed)}"
    assert (
        "| thinned | baseline | 1000, 1001, 1002 | 2, 2, 2: **2.0** | 12, 12, 12: **12.0** | 0, 0, 0: **0.0** |" in text
    )
    assert f"over the {stressed.tests} tests" in text
    assert "| thinned | 0 read as 1 | 2.0 → 14.0 | 2.0: **no** (" in text
    assert "sham: a small change of these images, at this rate, does not do it (of 2 changes: no change in 2)." in text
    assert "Not trained: same-op and brightness." in text
    test_text_is_clean(tmp_path, path.name)
    test_tables_are_whole(tmp_path, path.name)
    for picture in ("errors.png", "images.png"):
        assert (tmp_path / f"{NAME}-stress" / picture).stat().st_size < 100_000
    written = _strict((tmp_path / f"{NAME}-stress" / "stress.json").read_text())
    assert written["judged"] == json.loads(json.dumps(stressed.to_json()))["judged"]


def test_the_table_of_the_command_line(stressed: Stressed) -> None:
    header, *rows = summary_rows(stressed)
    assert all(len(row) == len(header) for row in rows)
    assert rows[0] == ("thinned", "baseline", "2.0", "12.0", "0.0", "")
    assert rows[1] == ("thinned", NAME, "14.0 more", "1.0 fewer", "0.0", "traded")
    assert rows[2] == ("thinned", "sham", "2.0", "12.0", "0.0", "0 read as 1: no; 1 read as 0: no")


def test_versions_do_what_they_are_called() -> None:
    """On real digits: thinner, thicker, more ink at one place, in more pieces; and a version is the same each time."""
    from erroran.shape.measure import measure

    digits = load_dataset("digits")
    images, ids = digits.x_test[:60], digits.test_ids[:60]
    made = {name: make() for name, _, make in perturb(images, ids)}
    assert list(made) == VERSIONS[1:]
    tables = {name: measure(version, ink="bright") for name, version in made.items()}
    thickness = {name: table["thickness_px"].mean() for name, table in tables.items()}
    assert thickness["thinned"] < 0.8 * thickness[REDRAWN] < 1.2 * thickness[REDRAWN] < thickness["thickened"]
    assert tables["swollen"]["area_px2"].mean() > tables[REDRAWN]["area_px2"].mean()
    assert tables["fractured"]["components"].mean() > tables[REDRAWN]["components"].mean() + 1
    order = np.arange(60)[::-1]
    for name, _, make in perturb(images[order], ids[order]):
        assert np.array_equal(make()[order], made[name]), name


def test_trained_models_read_the_versions(experiment_of_tiny_models: tuple[Store, Group]) -> None:
    """With trained weights: one prediction per image, for every arm and version."""
    found = stress(*experiment_of_tiny_models, "0to1")
    for version in found.versions:
        for arm, evidence in found.evidence.items():
            assert version.predicted[arm].shape == evidence.predicted.shape


@pytest.fixture(scope="module")
def experiment_of_tiny_models(tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Group]:
    from erroran.experiment.recipe import Recipe
    from erroran.stages.baseline import train_baseline
    from erroran.stages.intervene import intervene

    store = Store(tmp_path_factory.mktemp("stress") / "store")
    recipe = Recipe(name="standard", epochs=1, batch_size=64, learning_rate=5e-3, schedule="constant")
    group, _ = train_baseline(store, tiny_dataset, recipe=recipe, seeds=[0])
    spec = {"pair": "0:1", "hypothesis": "h", "augment": {"0": {"operation": "dilate", "radius_px": 1}}, "seeds": 2}
    intervene(store, group, "0to1", Hypothesis.model_validate(spec), controls=())
    return store, group
