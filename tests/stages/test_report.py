"""The assessment, on made-up predictions whose every count can be checked by hand; and its stamps."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erroran.data import Dataset, Part, build_dataset, split_dataset
from erroran.errors import ErroranError, NotFound
from erroran.experiment.change import Change
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.judging import CONFIRM, Judging
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.stages.intervene import gather_exposure
from erroran.stages.plan import Option, PlanResult
from erroran.stages.report import Assessment, assess, list_verdicts
from erroran.store import Intervention, Predictions, Store
from erroran.store.ledger import Entry
from erroran.store.records import Finding, Group, RunRecord, hypothesis_key
from erroran.verdict.plan import Chance, Forecast
from erroran.verdict.table import WORDS

Errors = Mapping[tuple[int, int], Sequence[int]]
"""(true, predicted) to the images of the true class that are misread: 0 is the split's first of that class."""

NAME = "0to1"
SEEDS = (1000, 1001, 1002)
MINE_FRACTION = 0.5
# Images of class 0 read as 1, of class 1 read as 0, and one image of class 2 that is always read as 1.
BEFORE: list[Errors] = [
    {(0, 1): [0, 1, 2, 3], (1, 0): [0], (2, 1): [5]},
    {(0, 1): [0, 1, 2], (2, 1): [5]},
    {(0, 1): [0, 1, 2, 4], (1, 0): [0], (2, 1): [5]},
]
AFTER: list[Errors] = [
    {(0, 1): [0], (1, 0): [0, 1], (2, 1): [5]},
    {(0, 1): [0], (1, 0): [1], (2, 1): [5]},
    {(1, 0): [0], (2, 1): [5]},
]
SHAM: list[Errors] = [{(0, 1): [0, 1, 2], (2, 1): [5]}] * 3
MINED: list[Errors] = [{(0, 1): [0, 1]}, {(0, 1): [0, 1]}, {(0, 1): [0, 1, 2], (1, 0): [4]}]
NONE: list[Errors] = [{}] * 3

# A fixed one: run ids stay the same whatever is installed.
ENVIRONMENT = {"backend": "tensorflow", "versions": {"keras": "3.0"}, "code": {"training": "t", "operations": "o"}}
HYPOTHESIS = Hypothesis.model_validate(
    {
        "pair": "0:1",
        "hypothesis": "Thin 0s are taken for 1s.",
        "augment": {"0": {"operation": "dilate", "radius_px": 1}},
        "seeds": 3,
    }
)


def made_up_dataset(*, per_class: int = 20, n_classes: int = 3, channels: int = 1) -> Dataset:
    """As many training as test images of each class, with random pixels."""
    pixels = np.random.default_rng(5)
    labels = np.repeat(np.arange(n_classes), per_class)
    train, test = (pixels.integers(0, 256, (len(labels), 8, 8, channels), dtype=np.uint8) for _ in range(2))
    return build_dataset("made-up", "made here", x_train=train, y_train=labels, x_test=test, y_test=labels)


def predict(part: Part, errors: Errors, n_classes: int = 3) -> Predictions:
    """Probability 0.9 for the class where it is right; 0.5 for the wrong and 0.4 for the right one where not."""
    probabilities = np.full((len(part.y), n_classes), 0.1 / (n_classes - 1), dtype=np.float32)
    probabilities[np.arange(len(part.y)), part.y] = 0.9
    for (true, read_as), chosen in errors.items():
        rows = np.flatnonzero(part.y == true)[list(chosen)]
        probabilities[rows] = 0.1 / (n_classes - 2)
        probabilities[rows, true], probabilities[rows, read_as] = 0.4, 0.5
    return Predictions(probabilities=probabilities, labels=part.y, ids=part.ids)


def put_run(store: Store, dataset: Dataset, spec: RunSpec, arm: str, *, mine: Errors, confirm: Errors) -> str:
    """Store a run with given errors; nothing is trained."""
    splits = split_dataset(dataset, mine_fraction=spec.mine_fraction, fold=spec.fold)
    n_classes = len(dataset.class_names)
    predictions = {
        "mine": predict(splits.mine, mine, n_classes),
        "confirm": predict(splits.confirm, confirm, n_classes),
    }
    scores = {name: float((p.probabilities.argmax(1) == p.labels).mean()) for name, p in predictions.items()}
    record = RunRecord(
        spec=spec,
        arm=arm,
        dataset_name=dataset.name,
        accuracy_mine=scores["mine"],
        accuracy_confirm=scores["confirm"],
        seconds=2.0,
        created="2026-01-01T00:00:00.000000+00:00",
        command="erroran intervene 0to1",
        versions={"python": "3.11", "erroran": "0.1.0", "tensorflow": "2.0", "keras": "3.0"},
        commit="0123456789",
        machine={"platform": "a machine", "cpus": "2"},
        parameters=1000,
        history={"loss": [0.5, 0.4], "accuracy": [0.8, 0.9], "val_loss": [0.5, 0.5], "val_accuracy": [0.8, 0.8]},
    )
    store.put_run(record, predictions, {})
    return record.id


def put_group(
    store: Store,
    dataset: Dataset,
    mined: Sequence[Errors],
    confirm: Sequence[Errors],
    *,
    updated: str = "2026-01-01T00:00:00.000000+00:00",
    **changes: object,
) -> Group:
    """Store a baseline group with seeds 0, 1, ...; keywords replace fields of the runs' spec."""
    recipe = Recipe(name="standard", epochs=2, learning_rate=1e-3, schedule="constant")
    fields = {"dataset": dataset.digest, "mine_fraction": MINE_FRACTION, "model": "cnn", "recipe": recipe, "seed": 0}
    template = RunSpec.model_validate({"environment": ENVIRONMENT, **fields, **changes})
    group = Group(
        template=template,
        seeds=tuple(range(len(mined))),
        dataset_name=dataset.name,
        note=None,
        updated=updated,
        command="erroran baseline",
    )
    store.put_dataset(dataset)
    for seed, wrong in enumerate(mined):
        put_run(store, dataset, group.run_spec(seed), "baseline", mine=wrong, confirm=confirm[seed])
    store.put_group(group)
    return group


def put_intervention(store: Store, dataset: Dataset, group: Group, **changes: object) -> Intervention:
    """Store the experiment above: baseline, treatment and sham on three fresh seeds, and a logit shift."""
    sham = {"0": {"operation": "shift", "radius_px": 1}}
    sham_steps = Hypothesis.model_validate({**HYPOTHESIS.model_dump(), "augment": sham}).augment
    plan = {"baseline": ({}, BEFORE), NAME: (HYPOTHESIS.augment, AFTER), "sham": (sham_steps, SHAM)}
    arms = {}
    for arm, (augment, confirm) in plan.items():
        mined, change = NONE if arm == NAME else MINED, Change(augment=augment)
        arms[arm] = tuple(
            put_run(store, dataset, group.run_spec(seed, change), arm, mine=mined[i], confirm=confirm[i])
            for i, seed in enumerate(SEEDS)
        )
    fields = {
        "name": NAME,
        "hypothesis": HYPOTHESIS,
        "group": group.id,
        "epochs": 2,
        "arms": arms,
        "seeds": SEEDS,
        "controls": ("sham", "logit-shift"),
        "fresh_baseline": True,
        "created": "2026-01-02T00:00:00.000000+00:00",
        "command": "erroran intervene 0to1",
    }
    intervention = Intervention.model_validate({**fields, **changes})
    store.put_intervention(intervention)
    return intervention


def put_experiment(root: Path, *, channels: int = 1, **changes: object) -> tuple[Store, Group]:
    """A store with the made-up baseline and intervention."""
    store, dataset = Store(root), made_up_dataset(channels=channels)
    group = put_group(store, dataset, MINED, BEFORE)
    put_intervention(store, dataset, group, **changes)
    return store, group


@pytest.fixture
def experiment(tmp_path: Path) -> tuple[Store, Group]:
    return put_experiment(tmp_path / "store")


@pytest.fixture
def assessment(experiment: tuple[Store, Group]) -> Assessment:
    return assess(*experiment, NAME)


def test_errors_per_seed(assessment: Assessment) -> None:
    """Both directions and their sum, seed by seed, as they were made up."""
    verdict = assessment.verdict
    counted = [(c.before_per_seed, c.after_per_seed) for c in (verdict.forward, verdict.reverse, verdict.both)]
    assert [(list(was), list(now)) for was, now in counted] == [
        ([4, 3, 4], [1, 1, 0]),
        ([1, 0, 1], [2, 1, 1]),
        ([5, 3, 5], [3, 2, 1]),
    ]


def test_rows_of_each_seed(assessment: Assessment) -> None:
    """Runs and accuracies of the same seed stand beside each other."""
    rows = assessment.seeds
    assert [row.seed for row in rows] == list(SEEDS)
    assert [row.accuracy_before for row in rows] == pytest.approx([54 / 60, 56 / 60, 54 / 60])
    assert [row.runs for row in rows] == [
        ((was,), (now,)) for was, now in zip(assessment.arms["baseline"], assessment.arms[NAME], strict=True)
    ]


def test_flips(assessment: Assessment) -> None:
    """Images that change in a third of the runs or more, the clearest first, with what they are read as."""
    labels = assessment.before.labels
    place = {(c, k): np.flatnonzero(labels == c)[k] for c in (0, 1) for k in range(5)}
    assert {f.index for f in assessment.fixed[:2]} == {place[0, 1], place[0, 2]}
    assert {f.index for f in assessment.fixed[2:]} == {place[0, 0], place[0, 3], place[0, 4]}
    (broken,) = assessment.broken
    assert (broken.index, broken.runs_wrong_before, broken.runs_wrong_after) == (place[1, 1], 0, 2)
    assert (broken.true, broken.read_as) == ("1", "0")
    assert broken.id == assessment.before.ids[broken.index]


def test_mean_change(assessment: Assessment) -> None:
    """Mean confusion counts, after minus before: 0 as 1 falls from 11 to 2 over three runs."""
    change = np.array(assessment.mean_change)
    assert (change[0, 1], change[1, 0], change[2, 1]) == pytest.approx((-9 / 3, 2 / 3, 0))
    assert change.sum() == pytest.approx(0)


def test_controls(assessment: Assessment) -> None:
    """The sham's errors are "before" and the treatment's "after"; the bias is the one that `mine` calls for."""
    sham, shift = assessment.controls
    assert (sham.name, list(sham.forward.before_per_seed)) == ("sham", [3, 3, 3])
    assert list(sham.forward.after_per_seed) == [1, 1, 0]
    assert sham.accuracy == pytest.approx(56 / 60)
    assert (shift.name, shift.shift.errors_before, shift.shift.errors_target) == ("logit-shift", 7, 0)
    # The wrong class leads by log(0.5 / 0.4) everywhere: a bias that undoes one error 0 as 1 undoes all of them.
    assert shift.shift.shift == pytest.approx(np.log(0.5 / 0.4))
    assert list(shift.forward.before_per_seed) == [0, 0, 0]
    assert list(shift.reverse.before_per_seed) == [1, 0, 1]


def test_controls_against_the_baseline(assessment: Assessment) -> None:
    """The figure compares every arm with the baseline: the sham's 9 errors 0 as 1 in three runs with the 11 there."""
    sham, shift = (assessment.against_baseline[name] for name in ("sham", "logit-shift"))
    assert (sham.name, sham.before_per_seed, sham.after_per_seed) == ("0 read as 1", (4, 3, 4), (3, 3, 3))
    assert sham.effect.relative == pytest.approx(9 / 11 - 1)
    assert shift.after_per_seed == (0, 0, 0)


def test_the_verdict_is_stored_as_it_is_reported(experiment: tuple[Store, Group]) -> None:
    """One for each version of a hypothesis on a group; assessing again replaces it."""
    store, group = experiment
    verdicts = [assess(store, group, NAME).verdict for _ in range(2)]
    (judged,) = list_verdicts(store)
    assert (judged.name, judged.pair, judged.group, judged.spec_hash) == (NAME, "0:1", group.id, HYPOTHESIS.hash)
    assert (judged.word, judged.sentence, judged.effect) == (
        verdicts[1].word,
        verdicts[1].sentence,
        verdicts[1].primary.effect,
    )
    assert (judged.seeds, judged.worthwhile_percent, judged.change) == (SEEDS, 50, -1)
    other = HYPOTHESIS.model_copy(update={"hypothesis": "Another reason.", "worthwhile_percent": 30.0})
    put_intervention(store, made_up_dataset(), group, hypothesis=other, created="2026-01-03T00:00:00.000000+00:00")
    assess(store, group, NAME)
    assert [found.spec_hash for found in list_verdicts(store)] == [HYPOTHESIS.hash, other.hash]


def test_findings_of_the_same_version_are_on_the_page(experiment: tuple[Store, Group], tmp_path: Path) -> None:
    """What `probe` found about this spec is repeated; what it found about another version is not."""
    from erroran.report.intervention import write_intervention

    store, group = experiment
    found = {"table": (("", "induced"), ("0 read as 1", "12 %")), "created": "2026-01-01", "command": "erroran probe"}
    store.put_artifact("probes", f"{group.id}/{NAME}-00000000", Finding(sentence="Of another version.", **found))
    key = hypothesis_key(group.id, NAME, HYPOTHESIS)
    store.put_artifact("probes", key, Finding(sentence="Supported: | as supposed.", **found))
    (tmp_path / f"{NAME}-probe.md").write_text("# Probe")
    assessment = assess(store, group, NAME)
    assert (assessment.probe.sentence, assessment.stress) == ("Supported: | as supposed.", None)
    text = write_intervention(assessment, tmp_path).read_text()
    assert r"Supported: \| as supposed." in text
    assert "| 0 read as 1 | 12 % |" in text
    assert f"[{NAME}-probe.md]({NAME}-probe.md)" in text
    assert "Of another version" not in text


def test_the_plan_stands_beside_what_was_found(experiment: tuple[Store, Group], tmp_path: Path) -> None:
    """The stored plan of this version: errors and word expected, errors and word found."""
    from erroran.report.intervention import write_intervention

    store, group = experiment
    sure = {word: Chance(value=float(word == "improved"), error=0.0) for word in WORDS}
    unsure = sure | {"improved": Chance(value=0.04, error=0.0), "cannot tell": Chance(value=0.96, error=0.0)}
    design = Option(
        name="3 seeds, judged once",
        arguments="--seeds 3",
        judging=CONFIRM,
        looks=False,
        seeds=3,
        worthwhile=Forecast(words=sure, seeds=3),
        unchanged=Forecast(words=unsure, seeds=3),
        minutes=12.0,
        improved_if={},
    )
    planned = PlanResult.model_construct(
        pair=HYPOTHESIS.pair,
        primary=HYPOTHESIS.primary,
        judging=CONFIRM,
        worthwhile_percent=50.0,
        errors_per_seed_expected=2.5,
        errors_interval=(1.0, 6.0),
        options=(design,),
        recommended=0,
    )
    assessment = assess(store, group, NAME)
    assert assessment.planned is None
    text = write_intervention(assessment.model_copy(update={"planned": planned}), tmp_path).read_text()
    section = text[text.index("Plan: expected and found") :]
    assert "Checked again on the baseline arm alone: 3.7 errors per run on the judged images." in section
    assert "| 2.5 (90 % interval 1.0 to 6.0) on `confirm` | 3.7 on the 60 images of `confirm` |" in section
    assert "| 3 seeds, judged once, 3 seeds per arm | judged once, 3 seeds per arm |" in section
    expected = "if the errors really drop by 50 %: improved 100 %; if nothing changes: cannot tell 96 %"
    assert f"| {expected} | {assessment.verdict.word} |" in section
    assert "Plan: expected" not in write_intervention(assessment, tmp_path).read_text()


def test_clean_run_has_no_stamps(experiment: tuple[Store, Group]) -> None:
    """Fresh seeds, as many as planned, one look: no stamp. Assessing again is no second look."""
    store, _ = experiment
    assert assess(*experiment, NAME).stamps == []
    assert assess(*experiment, NAME).stamps == []
    assert [entry.kind for entry in store.ledger.entries()] == ["look", "verdict"]


def _registered(group: Group, spec_hash: str) -> Entry:
    dataset = group.template.dataset
    return Entry(kind="registered", dataset=dataset, group=group.id, name=NAME, pair="0:1", spec_hash=spec_hash)


def _judged(group: Group, name: str, seeds: tuple[int, ...], spec_hash: str) -> Entry:
    return Entry(
        kind="verdict",
        dataset=group.template.dataset,
        group=group.id,
        name=name,
        pair="0:1",
        spec_hash=spec_hash,
        seeds=seeds,
        word="cannot tell",
    )


ENTRIES: dict[str, Callable[[Group], list[Entry]]] = {
    "Exploratory": lambda g: [Entry(kind="mined-on-confirm", dataset=g.template.dataset, group=g.id)],
    "Peeked": lambda g: [_judged(g, NAME, (1000, 1001), HYPOTHESIS.hash)],
    "Not the only look": lambda g: [_judged(g, "another", (7, 8), "00000000")],
    "Changed spec": lambda g: [_registered(g, "00000000"), _registered(g, HYPOTHESIS.hash)],
}


@pytest.mark.parametrize("stamp", ENTRIES)
def test_stamps_from_the_ledger(experiment: tuple[Store, Group], stamp: str) -> None:
    """Each earlier event leaves its own stamp and no other."""
    store, group = experiment
    for entry in ENTRIES[stamp](group):
        store.ledger.record(entry)
    stamps = assess(store, group, NAME).stamps
    assert [found.kind for found in stamps] == [stamp]


@pytest.mark.parametrize("stamp", ENTRIES)
def test_other_datasets_leave_no_stamp(experiment: tuple[Store, Group], stamp: str) -> None:
    """Ledger entries of other datasets are ignored."""
    store, group = experiment
    other = group.model_copy(update={"template": group.template.model_copy(update={"dataset": "ff" * 32})})
    for entry in ENTRIES[stamp](other):
        store.ledger.record(entry)
    assert assess(store, group, NAME).stamps == []


@pytest.mark.parametrize(
    ("changes", "stamp"),
    [
        ({"fresh_baseline": False}, "Reused baseline"),
        ({"hypothesis": HYPOTHESIS.model_copy(update={"seeds": 5})}, "Seeds"),
    ],
)
def test_stamps_from_the_intervention(tmp_path: Path, changes: dict[str, object], stamp: str) -> None:
    """Mined runs as baseline, and fewer seeds than planned, each give a stamp."""
    stamps = assess(*put_experiment(tmp_path / "store", **changes), NAME).stamps
    assert [found.kind for found in stamps] == [stamp]


def test_note_of_the_dataset_is_a_stamp(experiment: tuple[Store, Group]) -> None:
    """The note of a fallback dataset becomes a stamp."""
    store, group = experiment
    stamps = assess(store, group.model_copy(update={"note": "not MNIST"}), NAME).stamps
    assert [(stamp.kind, stamp.sentence) for stamp in stamps] == [("Data", "not MNIST.")]


def _put_again(store: Store, run_id: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Replace the record of a stored run by one whose JSON was edited; its key stays."""
    path = store.run_folder(run_id) / "run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_arms_of_one_environment_are_not_stamped_and_others_are(experiment: tuple[Store, Group]) -> None:
    """Another version or another number of processors in one arm: named, with each arm's value."""
    store, group = experiment
    assert assess(store, group, NAME).environments == {}
    for run_id in store.get_intervention(group.id, NAME).arms[NAME]:
        _put_again(store, run_id, lambda run: (run["versions"].update(keras="3.1"), run["machine"].update(cpus="64")))
    found = assess(store, group, NAME)
    assert found.environments["keras"] == {"baseline": "3.0", NAME: "3.1", "sham": "3.0"}
    assert found.environments["cpus"] == {"baseline": "2", NAME: "64", "sham": "2"}
    (stamp,) = found.stamps
    assert stamp.kind == "Environments"
    assert "keras" in stamp.sentence
    assert "cpus" in stamp.sentence


def test_controls_beaten_or_not(assessment: Assessment) -> None:
    """The sham makes 3 errors 0 as 1 where the treatment makes 0.7; the shift makes none."""
    assert assessment.not_shown_to_beat == [c.name for c in assessment.controls if not c.is_beaten]
    assert "logit-shift" in assessment.not_shown_to_beat


def test_any_change_is_described_and_without_operations_nothing_is_measured(tmp_path: Path) -> None:
    """A treatment by class weights: its description, the controls that do not apply, and no exposure."""
    from erroran.report.intervention import write_intervention

    hypothesis = HYPOTHESIS.model_copy(update={"augment": {}, "class_weights": {"0": 2.0}})
    reason = "the change applies no operation to images"
    found = assess(
        *put_experiment(tmp_path / "store", hypothesis=hypothesis, not_applicable={"sham": reason}, controls=()), NAME
    )
    assert (found.exposure, found.shown) == (None, None)
    text = write_intervention(found, tmp_path / "reports").read_text()
    assert "- weights in the loss: 0: 2" in text
    assert f"- **sham** is not applicable: {reason}." in text
    assert "The treatment applies no operation to images." in text
    assert "All arms were trained in the same environment: tensorflow, python 3.11" in text


def test_colour_is_judged_and_its_shapes_are_not_measured(tmp_path: Path) -> None:
    """Predictions are judged; what the operations did to strokes is not measured, and the report says so."""
    from erroran.report.intervention import write_intervention

    found = assess(*put_experiment(tmp_path / "store", channels=3), NAME)
    assert found.verdict.forward.before_per_seed == (4, 3, 4)
    assert found.exposure is None
    text = write_intervention(found, tmp_path / "reports").read_text()
    assert "Shapes are measured on grey images only; these have several channels." in text


def test_json_is_the_fields(assessment: Assessment) -> None:
    """Names and numbers of the report as plain JSON; images stay out."""
    plain = assessment.to_json()
    assert {
        "verdict",
        "seeds",
        "controls",
        "arms",
        "against_baseline",
        "spec_hash",
        "stamps",
        "fixed",
        "broken",
        "mean_change",
    } <= set(plain)
    assert {"before", "after", "shown", "mean_counts"}.isdisjoint(plain)
    assert plain["verdict"]["forward"]["before_per_seed"] == [4, 3, 4]
    assert plain["controls"][0]["name"] == "sham"
    assert plain["controls"][0]["forward"]["before_per_seed"] == [3, 3, 3]
    assert plain["intervention"]["hypothesis"]["pair"] == "0:1"
    json.dumps(plain, allow_nan=False)


def test_never_run(experiment: tuple[Store, Group]) -> None:
    """A hypothesis without runs: the fix is to run it."""
    with pytest.raises(NotFound) as caught:
        assess(*experiment, "3to5")
    assert caught.value.fix == "erroran intervene 3to5"


def test_predictions_of_other_images_are_refused(experiment: tuple[Store, Group]) -> None:
    """A run whose stored predictions are about other images is not compared."""
    store, group = experiment
    run_id = store.get_intervention(group.id, NAME).arms[NAME][0]
    record = store.get_run(run_id)
    store.remove_run(run_id)
    part = split_dataset(made_up_dataset(), mine_fraction=MINE_FRACTION).confirm
    wrong = predict(replace(part, ids=part.ids[::-1]), {})
    store.put_run(record, {"mine": wrong, "confirm": wrong}, {})
    with pytest.raises(ErroranError, match="has no predictions for the images of `confirm`"):
        assess(store, group, NAME)


def test_a_missing_exposure_is_measured_once(experiment: tuple[Store, Group], assessment: Assessment) -> None:
    """Without a stored exposure the images are generated again for the report; the exposure is then stored."""
    store, _group = experiment
    assert gather_exposure(store, assessment.intervention) == assessment.exposure
    assert assessment.exposure.seeds == SEEDS
    assert [len(side) for side in assessment.shown] == [len(assessment.exposure.examples)] * 2
    (path,) = (store.root / "exposures").rglob("*.json")
    written = path.stat().st_mtime_ns
    assess(*experiment, NAME)
    assert path.stat().st_mtime_ns == written


# --- out of fold

FOLDS = 3
OUT_OF_FOLD = HYPOTHESIS.model_copy(update={"judge": Judging(FOLDS)})


def put_seed_out_of_fold(
    store: Store, dataset: Dataset, spec: RunSpec, arm: str, *, judged: Errors, mined: Errors
) -> list[str]:
    """Store the runs of a seed, one per fold: errors on the images that judge, and on those of `mine`.

    On `confirm` every run reads all images of class 0 as class 1.
    """
    splits = split_dataset(dataset, mine_fraction=MINE_FRACTION)
    read_as = {
        name: read
        for part, errors in ((splits.train, judged), (splits.mine, mined))
        for (true, read), chosen in errors.items()
        for name in part.ids[part.y == true][list(chosen)].tolist()
    }
    found = []
    for run in Judging(FOLDS).expand(spec):
        part = split_dataset(dataset, mine_fraction=MINE_FRACTION, fold=run.fold).mine
        wrong: dict[tuple[int, int], list[int]] = {}
        for label in range(3):
            for place, name in enumerate(part.ids[part.y == label].tolist()):
                if name in read_as:
                    wrong.setdefault((label, read_as[name]), []).append(place)
        found.append(put_run(store, dataset, run, arm, mine=wrong, confirm={(0, 1): range(20)}))
    return found


@pytest.fixture
def out_of_fold(tmp_path: Path) -> tuple[Store, Group]:
    """The experiment above, with the same errors among the 30 training images that are not in `mine`."""
    store, dataset = Store(tmp_path / "store"), made_up_dataset()
    group = put_group(store, dataset, MINED, BEFORE)
    arms = {}
    for arm, augment, judged, mined in (("baseline", {}, BEFORE, MINED), (NAME, HYPOTHESIS.augment, AFTER, NONE)):
        specs = [group.run_spec(seed, Change(augment=augment)) for seed in SEEDS]
        arms[arm] = tuple(
            run_id
            for i, spec in enumerate(specs)
            for run_id in put_seed_out_of_fold(store, dataset, spec, arm, judged=judged[i], mined=mined[i])
        )
    fields = {"name": NAME, "hypothesis": OUT_OF_FOLD, "group": group.id, "epochs": 2, "arms": arms, "seeds": SEEDS}
    rest = {"controls": ("logit-shift",), "fresh_baseline": True, "created": "2026-01-02", "command": "erroran"}
    store.put_intervention(Intervention.model_validate(fields | rest))
    return store, group


def test_out_of_fold_a_seed_is_the_sum_of_its_folds(out_of_fold: tuple[Store, Group]) -> None:
    """Each training image counts once per seed; images of `mine` and of `confirm` do not count."""
    store, group = out_of_fold
    found = assess(store, group, NAME)
    verdict, judged = found.verdict, split_dataset(made_up_dataset(), mine_fraction=MINE_FRACTION).train
    assert [list(verdict.forward.before_per_seed), list(verdict.forward.after_per_seed)] == [[4, 3, 4], [1, 1, 0]]
    assert [list(verdict.reverse.before_per_seed), list(verdict.reverse.after_per_seed)] == [[1, 0, 1], [2, 1, 1]]
    assert (found.images, found.distinct_images) == (30, 5)
    assert found.population == "30 training images, each judged by models that had not seen it"
    assert found.before.ids.tolist() == judged.ids.tolist()
    assert [row.accuracy_before for row in found.seeds] == pytest.approx([24 / 30, 26 / 30, 24 / 30])
    assert [row.runs[1] for row in found.seeds] == [found.arms[NAME][i : i + FOLDS] for i in (0, 3, 6)]
    zeros = np.flatnonzero(judged.y == 0)
    assert {flip.index for flip in found.fixed} == set(zeros[[0, 1, 2, 3, 4]])
    assert [flip.runs_wrong_before for flip in found.fixed if flip.index == zeros[4]] == [1]
    assert found.exposure.runs == found.arms[NAME][::FOLDS]


def test_out_of_fold_the_bias_is_chosen_on_images_that_do_not_judge(out_of_fold: tuple[Store, Group]) -> None:
    """As on `confirm`: 7 errors in `mine` are to become 0."""
    (shift,) = assess(*out_of_fold, NAME).controls
    assert (shift.shift.errors_before, shift.shift.errors_target) == (7, 0)
    assert shift.shift.shift == pytest.approx(np.log(0.5 / 0.4))
    assert list(shift.forward.before_per_seed) == [0, 0, 0]


def test_out_of_fold_confirm_stays_unread(out_of_fold: tuple[Store, Group]) -> None:
    """The looks are at training images; the predictions on `confirm` are not even opened."""
    store, group = out_of_fold
    for run_ids in store.get_intervention(group.id, NAME).arms.values():
        for run_id in run_ids:
            (store.run_folder(run_id) / "confirm.npz").unlink()
    assess(store, group, NAME)
    assert [(e.kind, e.population) for e in store.ledger.entries()] == [("look", "train"), ("verdict", "train")]


def test_stamps_keep_the_populations_apart(out_of_fold: tuple[Store, Group]) -> None:
    """Looks, versions and mining on `confirm` do not limit a claim about training images; those on them do."""
    store, group = out_of_fold
    elsewhere = [entry for stamp in ENTRIES for entry in ENTRIES[stamp](group)]
    for entry in elsewhere:
        store.ledger.record(entry)
    assert assess(store, group, NAME).stamps == []
    for entry in (_judged(group, "another", SEEDS, "00000000"), _judged(group, NAME, (1000, 1001), OUT_OF_FOLD.hash)):
        store.ledger.record(entry.model_copy(update={"population": "train"}))
    assert [stamp.kind for stamp in assess(store, group, NAME).stamps] == [
        "Peeked",
        "Shared baseline",
        "Not the only look",
    ]


def test_looks_out_of_fold_do_not_limit_a_claim_about_confirm(experiment: tuple[Store, Group]) -> None:
    """The reverse: other images."""
    store, group = experiment
    for name in (NAME, "another"):
        entry = _judged(group, name, (1000, 1001), HYPOTHESIS.hash)
        store.ledger.record(entry.model_copy(update={"population": "train"}))
    assert assess(store, group, NAME).stamps == []


def test_the_report_says_which_images_were_judged(out_of_fold: tuple[Store, Group], tmp_path: Path) -> None:
    """In the page and in the JSON, with their number and that of the different ones with the error."""
    from erroran.report.intervention import write_intervention

    path = write_intervention(assess(*out_of_fold, NAME), tmp_path / "reports")
    assert "30 training images, each judged by models that had not seen it" in path.read_text()
    plain = json.loads((path.parent / NAME / "comparison.json").read_text())
    assert (plain["images"], plain["distinct_images"]) == (30, 5)
    assert plain["population"].startswith("30 training images")
