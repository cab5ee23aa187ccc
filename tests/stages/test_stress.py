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
from erroran.report.index import write_index
from erroran.report.stress import stress_sentence, summary_rows, write_stress
from erroran.stages import stress as stage
from erroran.stages.report import assess
from erroran.stages.stress import AS_IT_IS, REDRAWN, Stressed, perturb, stress
from erroran.store import Store
from erroran.store.records import Group
from erroran.verdict.contrasts import adjust_contrasts

VERSIONS = [AS_IT_IS, REDRAWN, "thinned", "thickened", "swollen", "fractured"]
JUDGED = VERSIONS[2:]


def _answers(store: Store, group: Group, wrong: dict[tuple[str, str], dict[tuple[int, int], int]]) -> Callable:
    """Replaces stored models: right except for a number of images by version, arm and (true, predicted) class."""
    intervention = store.get_intervention(group.id, NAME)
    arm_of = {run: arm for arm, runs in intervention.arms.items() for run in runs}
    labels = store.get_dataset(group.template.dataset).y_test

    def predict(model_file: Path, images: np.ndarray, **_: object) -> np.ndarray:
        read = np.tile(labels, (len(VERSIONS) - 1, 1))
        assert read.size == len(images)
        for row, version in zip(read, VERSIONS[1:], strict=True):
            for (true, other), count in wrong.get((version, arm_of[model_file.parent.name]), {}).items():
                row[np.flatnonzero(labels == true)[:count]] = other
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
    return stress(*experiment, NAME, controls=True)


def test_errors_of_every_run(stressed: Stressed) -> None:
    """The made-up counts; for the unchanged images the stored predictions."""
    thinned = next(v for v in stressed.versions if v.name == "thinned")
    assert thinned.errors["baseline"] == {"forward": [2] * 3, "reverse": [12] * 3, "overall": [14] * 3}
    assert thinned.errors[NAME] == {"forward": [14] * 3, "reverse": [1] * 3, "overall": [15] * 3}
    assert [v.name for v in stressed.versions] == VERSIONS
    assert stressed.versions[0].errors["baseline"]["forward"] == [4, 3, 4]


def test_every_version_is_judged_against_every_arm(stressed: Stressed) -> None:
    """Four versions, three tests each against the baseline and against sham; all count for the q-values."""
    assert [(c.version, c.against) for c in stressed.contrasts] == [
        (version, arm) for version in JUDGED for arm in ("baseline", "sham")
    ]
    valid = [q for c in stressed.contrasts for q in c.q_values.values() if q is not None]
    assert stressed.tests == len(valid)
    assert all(set(c.q_values) == {"forward", "reverse", "overall"} for c in stressed.contrasts)


def test_q_values_are_those_of_all_tests_at_once(stressed: Stressed) -> None:
    """Benjamini and Hochberg by hand: p times their number over their rank, made monotone from above."""
    p_values = [c.compared[key].test.p_value for c in stressed.contrasts for key in c.compared]
    q_values = [c.q_values[key] for c in stressed.contrasts for key in c.compared]
    tested = sorted((p, q) for p, q in zip(p_values, q_values, strict=True) if p is not None)
    smallest = 1.0
    for rank in range(len(tested), 0, -1):
        p, q = tested[rank - 1]
        smallest = min(smallest, p * len(tested) / rank)
        assert q == pytest.approx(smallest)


def test_what_was_planted_is_found(stressed: Stressed) -> None:
    """The one version in which the arms differ, each direction with its sign, and no other version."""
    first = stressed.against_baseline[0]
    assert (first.version, first.found.get("forward"), first.found.get("reverse")) == ("thinned", 1, -1)
    assert all(not c.found for c in stressed.against_baseline if c.version in ("thickened", "fractured"))
    assert stress_sentence(stressed).startswith("Under stress errors move inside the pair: on thinned images 0 read as")


def test_a_word_needs_more_than_its_own_p(stressed: Stressed) -> None:
    """Of three tests with p-values 0.01, 1 and 1 the smallest q is 0.03; with 0.02 it is 0.06."""
    from dataclasses import replace

    verdict = stressed.contrasts[0].verdict

    for p_value, word in ((0.01, "harmed"), (0.02, "cannot tell"), (None, "cannot tell")):
        p_values = {"forward": p_value, "reverse": 1.0, "overall": 1.0}
        old = {key: getattr(verdict, key) for key in p_values}
        tested = {key: replace(old[key], test=replace(old[key].test, p_value=p)) for key, p in p_values.items()}
        (found,) = adjust_contrasts([("thinned", "baseline", replace(verdict, word="harmed", **tested))])
        assert (found.word, found.unadjusted_word) == (word, "harmed")


def test_the_controls_are_optional(experiment: tuple[Store, Group], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "predict_with", _answers(*experiment, {}))
    steps: list[tuple[str, int, int]] = []
    found = stress(*experiment, NAME, on_step=lambda *step: steps.append(step))
    assert list(found.evidence) == ["baseline", NAME]
    assert [done for _, done, _ in steps] == list(range(5 + 2 * len(SEEDS) + 1))
    assert stress_sentence(found) == (
        "No difference shown under stress: on thinned, thickened, swollen and fractured images no change of the "
        "baseline's errors is shown."
    )


def test_the_look_is_entered_once_and_shows_in_the_report(
    experiment: tuple[Store, Group], stressed: Stressed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A repetition is no second look; the report of the intervention says that there was one; the index links it."""
    store, group = experiment
    monkeypatch.setattr(stage, "predict_with", _answers(*experiment, {}))
    stress(store, group, NAME)
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.name, entry.seeds) == ("stress", NAME, SEEDS)
    assert any(f"in a stress test of {NAME}" in stamp.sentence for stamp in assess(store, group, NAME).stamps)
    write_stress(stressed, tmp_path)
    index = write_index(store.ledger.entries(), tmp_path).read_text()
    assert f"[{NAME}-stress]({NAME}-stress.md)" in index
    assert index.startswith("# 1 hypothesis judged")


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
    """The verdict first, every run's value, figures that exist, strict JSON."""
    from report.test_reports import _strict, test_tables_are_whole, test_text_is_clean

    path = write_stress(stressed, tmp_path)
    text = path.read_text()
    assert text.splitlines()[0] == f"# {stress_sentence(stressed)}"
    assert "| thinned | baseline | 2, 2, 2: **2.0** | 12, 12, 12: **12.0** | 14, 14, 14: **14.0** |" in text
    assert f"over all {stressed.tests} tests" in text
    assert "errors have moved (both together: 14.0 → 15.0 thinned)" in text
    test_text_is_clean(tmp_path, path.name)
    test_tables_are_whole(tmp_path, path.name)
    for picture in ("errors.png", "images.png"):
        assert (tmp_path / f"{NAME}-stress" / picture).stat().st_size < 100_000
    written = _strict((tmp_path / f"{NAME}-stress" / "stress.json").read_text())
    assert written["contrasts"] == json.loads(json.dumps(stressed.to_json()))["contrasts"]


def test_the_table_of_the_command_line(stressed: Stressed) -> None:
    header, *rows = summary_rows(stressed)
    assert all(len(row) == len(header) for row in rows)
    assert rows[0][:4] == ("thinned", "baseline", "2.0 -> 14.0", "12.0 -> 1.0")


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
