"""Interventions with really trained, tiny runs: every kind of change, arms, seeds, registration, sharing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training.test_models import OWN

from erroran.data import Dataset, build_dataset
from erroran.data.ids import strip_copy_numbers
from erroran.errors import BadInput, ErroranError, NotFound, TrainingError
from erroran.execution.driver import Completed, Request
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.judging import Judging
from erroran.experiment.pair import Pair
from erroran.experiment.recipe import Recipe
from erroran.stages import intervene as stage
from erroran.stages.baseline import train_baseline
from erroran.stages.intervene import FIRST_FRESH_SEED, fitted_part, gather_exposure, intervene
from erroran.stages.report import assess
from erroran.store import Intervention, Store
from erroran.store.environment import current_environment
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import training_parts

HYPOTHESIS = Hypothesis.model_validate(
    {
        "pair": "0:1",
        "hypothesis": "h",
        "augment": {"0": {"operation": "dilate", "radius_px": 1, "probability": 0.5}},
        "seeds": 1,
    }
)
RECIPE = Recipe(name="standard", epochs=4, batch_size=32, learning_rate=5e-3, schedule="constant")
Trained = tuple[Store, Group, Intervention, Completed]


@pytest.fixture(scope="module")
def trained(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A baseline of one seed, and an intervention of one seed with two controls: four runs in all."""
    store = Store(tmp_path_factory.mktemp("intervene") / "store")
    group, _ = train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[0], model="dense-baseline")
    return store, group, *intervene(store, group, "0to1", HYPOTHESIS)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """No run is trained: the runs that would be are listed here, and `intervene` fails with a `TrainingError`."""
    requested: list[Request] = []

    def note(_: Store, requests: Sequence[Request], **__: object) -> Completed:
        requested.extend(requests)
        raise TrainingError("It broke off.", fix="none")

    monkeypatch.setattr(stage, "complete_runs", note)
    return requested


def test_arms(trained: Trained) -> None:
    """Baseline first, then the treatment, then the control that trains; the shift is only noted."""
    store, _, intervention, completed = trained
    assert list(intervention.arms) == ["baseline", "0to1", "sham"]
    assert intervention.controls == ("sham", "logit-shift")
    specs = {arm: store.get_run(ids[0]).spec for arm, ids in intervention.arms.items()}
    assert specs["baseline"].augment == {}
    assert specs["0to1"].augment == HYPOTHESIS.augment
    assert [step.operation for step in specs["sham"].augment["0"]] == ["shift"]
    assert {spec.seed for spec in specs.values()} == {FIRST_FRESH_SEED}
    assert len(completed.trained) == 3


def test_arms_differ_in_nothing_but_augmentation(trained: Trained) -> None:
    """Dataset, model, recipe, precision and seed are the baseline's."""
    store, group, intervention, _ = trained
    for (run,) in intervention.arms.values():
        assert store.get_run(run).spec.model_copy(update={"augment": {}}) == group.run_spec(FIRST_FRESH_SEED)


def test_same_again_trains_nothing(trained: Trained) -> None:
    """And the record stays the same but for its date."""
    store, group, first, _ = trained
    again, completed = intervene(store, group, "0to1", HYPOTHESIS)
    assert completed.trained == []
    assert again.arms == first.arms


def test_equal_augmentation_is_shared(trained: Trained) -> None:
    """A hypothesis under another name, with another text, uses the same runs: the key is what is trained."""
    store, group, first, _ = trained
    twin = HYPOTHESIS.model_copy(update={"hypothesis": "another reason", "primary": Endpoint.SUM})
    other, completed = intervene(store, group, "twin", twin)
    assert completed.trained == []
    assert other.arms["twin"] == first.arms["0to1"]
    assert store.get_run(other.arms["twin"][0]).arm == "0to1"


def test_fresh_seeds_avoid_all_that_were_ever_mined(
    store: Store, tiny_dataset: Dataset, asked: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of an earlier baseline with another recipe, and of the same group before it was asked for others."""
    monkeypatch.setattr("erroran.stages.baseline.complete_runs", lambda *_, **__: None)
    for seeds, batch_size in (([1000], 64), ([1002], 32), ([0], 64)):
        recipe = RECIPE.model_copy(update={"batch_size": batch_size})
        group, _ = train_baseline(store, tiny_dataset, recipe=recipe, seeds=seeds, model="dense-baseline")
    with pytest.raises(TrainingError):
        intervene(store, group, "probe", HYPOTHESIS, n_seeds=3)
    assert [request.spec.seed for request in asked if request.arm == "probe"] == [1001, 1003, 1004]
    with pytest.raises(BadInput, match="Seed 1002 is one of the mined runs"):
        intervene(store, group, "probe", HYPOTHESIS, seeds=[1001, 1002])


@pytest.mark.parametrize(
    ("options", "seeds"),
    [
        ({}, [1000]),
        ({"n_seeds": 2}, [1000, 1001]),
        ({"seeds": [7, 8]}, [7, 8]),
        ({"fresh_baseline": False}, [0]),
        ({"fresh_baseline": False, "seeds": [0]}, [0]),
    ],
)
def test_which_seeds(trained: Trained, asked: list[Request], options: dict[str, object], seeds: list[int]) -> None:
    """The spec's number; another number; a list; or the mined runs' own. The same in each arm."""
    with pytest.raises(TrainingError):
        intervene(trained[0], trained[1], "probe", HYPOTHESIS, controls=(), **options)
    assert [(r.spec.seed, r.arm) for r in asked] == [(seed, arm) for seed in seeds for arm in ("baseline", "probe")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [5, 0]}, "Seed 0 is one of the mined runs"),
        ({"n_seeds": 2, "fresh_baseline": False}, "asked for: 2 of them"),
        ({"seeds": [4], "fresh_baseline": False}, "asked for: 4"),
    ],
)
def test_refused_seeds(trained: Trained, asked: list[Request], options: dict[str, object], message: str) -> None:
    """Mined seeds as fresh ones, and seeds that the mined baseline lacks; nothing is registered."""
    before = len(trained[0].ledger.entries())
    with pytest.raises(BadInput, match=message):
        intervene(trained[0], trained[1], "refused", HYPOTHESIS, **options)
    assert len(trained[0].ledger.entries()) == before


@pytest.mark.parametrize("name", ["baseline", "sham"])
def test_names_of_other_arms(trained: Trained, asked: list[Request], name: str) -> None:
    """A hypothesis cannot be called as a control."""
    with pytest.raises(BadInput, match="another arm"):
        intervene(trained[0], trained[1], name, HYPOTHESIS)


def test_unknown_class(trained: Trained, asked: list[Request]) -> None:
    """Refused before anything trains."""
    with pytest.raises(NotFound, match="class `9`"):
        intervene(trained[0], trained[1], "0to9", HYPOTHESIS.model_copy(update={"pair": Pair("0", "9")}))


def test_registered_before_training(trained: Trained, asked: list[Request]) -> None:
    """The ledger holds the hypothesis even if no run is ever finished; no intervention is claimed."""
    store, group, *_ = trained
    changed = HYPOTHESIS.model_copy(update={"margin_per_10000": 3.0})
    with pytest.raises(TrainingError):
        intervene(store, group, "unlucky", changed)
    entry = store.ledger.entries()[-1]
    assert (entry.kind, entry.name, entry.pair, entry.spec_hash) == ("registered", "unlucky", "0:1", changed.hash)
    with pytest.raises(NotFound):
        store.get_intervention(group.id, "unlucky")


@pytest.mark.parametrize(("option", "in_spec", "epochs"), [(None, None, 4), (None, 3, 3), (2, 3, 2)])
def test_epochs(trained: Trained, asked: list[Request], option: int | None, in_spec: int | None, epochs: int) -> None:
    """The option overrides the spec, which overrides the recipe; the same in every arm."""
    spec = HYPOTHESIS.model_copy(update={"epochs": in_spec})
    with pytest.raises(TrainingError):
        intervene(trained[0], trained[1], "probe", spec, epochs=option)
    assert {request.spec.recipe.epochs for request in asked} == {epochs}


def test_what_training_saw_is_kept(trained: Trained) -> None:
    """Measured at the end of the intervention, of the treatment's runs; the report need not do it."""
    store, _, intervention, _ = trained
    (path,) = (store.root / "exposures").rglob(f"0to1-{HYPOTHESIS.hash}.json")
    written = path.stat().st_mtime_ns
    exposure = gather_exposure(store, intervention)
    assert path.stat().st_mtime_ns == written
    assert (exposure.runs, exposure.epochs) == (intervention.arms["0to1"], (4,))
    assert [(dose.class_name, dose.dose) for dose in exposure.doses] == [("0", 1.0)]
    assert 0 < exposure.doses[0].changed < 4 * exposure.class_images["0"]


# --- every kind of change


def _hypothesis(**change: Any) -> Hypothesis:
    return Hypothesis.model_validate({"pair": "0:1", "hypothesis": "h", "seeds": 1, **change})


@pytest.fixture
def more_images(tmp_path: Path, tiny_dataset: Dataset) -> str:
    """A dataset file with 30 new images and 15 of those in `confirm`."""
    rng = np.random.default_rng(5)
    new = rng.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    images, labels = np.concatenate([new, tiny_dataset.x_test[:15]]), np.concatenate([np.arange(30) % 3, np.zeros(15)])
    made = build_dataset(
        "more", "made here", x_train=images, y_train=labels.astype(int), x_test=new[:3], y_test=np.arange(3)
    )
    path = tmp_path / "more.npz"
    np.savez(path, x_train=made.x_train, y_train=made.y_train, x_test=made.x_test, y_test=made.y_test)
    return str(path)


def _train_ids(trained: Trained, label: int) -> list[str]:
    store, group, *_ = trained
    train = store.get_splits(group.run_spec(0)).train
    return sorted(train.ids[train.y == label].tolist())


KINDS: dict[str, tuple[set[str], Callable[[Trained, str], dict[str, Any]]]] = {
    "operations of a class, in order": (
        {"augment"},
        lambda *_: {
            "augment": {
                "0": [
                    {"operation": "dilate", "radius_px": 1, "probability": 0.5},
                    {"operation": "shift", "radius_px": 1, "probability": 0.5},
                ]
            }
        },
    ),
    "an operation for all": (
        {"augment"},
        lambda *_: {"augment": {"all": {"operation": "shift", "radius_px": 1, "probability": 0.5}}},
    ),
    "a model": ({"model", "environment"}, lambda *_: {"model": "cnn"}),
    "the recipe": ({"recipe"}, lambda *_: {"recipe": {"batch_size": 16, "schedule": "cosine", "epochs": 2}}),
    "class weights": ({"class_weights"}, lambda *_: {"class_weights": {"1": 1000.0}}),
    "images left out": ({"data"}, lambda trained, _: {"data": {"leave_out": _train_ids(trained, 0)}}),
    "images relabelled": (
        {"data"},
        lambda trained, _: {"data": {"relabel": dict.fromkeys(_train_ids(trained, 0), "1")}},
    ),
    "images repeated": ({"data"}, lambda trained, _: {"data": {"repeat": dict.fromkeys(_train_ids(trained, 0), 3)}}),
    "images added": ({"data"}, lambda _, more: {"data": {"add": more}}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_arm_differs_in_exactly_its_change(trained: Trained, more_images: str, kind: str) -> None:
    """Only the changed part of the spec, and the predictions; again, and under another name, nothing is trained."""
    store, group, *_ = trained
    fields, change = KINDS[kind]
    hypothesis = _hypothesis(**change(trained, more_images))
    intervention, completed = intervene(store, group, "kind", hypothesis, controls=())
    before, after = (store.get_run(intervention.arms[arm][0]) for arm in ("baseline", "kind"))
    assert completed.trained == [after.id]
    assert {
        key for key in type(after.spec).model_fields if getattr(after.spec, key) != getattr(before.spec, key)
    } == fields
    assert not np.array_equal(
        store.get_predictions(before.id, "mine").probabilities, store.get_predictions(after.id, "mine").probabilities
    )
    assert intervene(store, group, "again", hypothesis, controls=())[1].trained == []


def _treated(trained: Trained, hypothesis: Hypothesis, **options: Any) -> tuple[RunRecord, np.ndarray, np.ndarray]:
    """The record of a treatment's run, and labels and predicted classes of `mine`."""
    store, group, *_ = trained
    intervention, _ = intervene(store, group, "effect", hypothesis, controls=(), **options)
    predictions = store.get_predictions(intervention.arms["effect"][0], "mine")
    return store.get_run(intervention.arms["effect"][0]), predictions.labels, predictions.probabilities.argmax(axis=1)


def test_a_huge_class_weight_decides_all_predictions(trained: Trained) -> None:
    """It reaches the loss: errors on the other classes hardly count."""
    _, labels, predicted = _treated(trained, _hypothesis(class_weights={"1": 1000.0}))
    baseline = trained[0].get_predictions(trained[2].arms["baseline"][0], "mine").probabilities.argmax(axis=1)
    assert (baseline == labels).mean() > 0.8
    assert (predicted == 1).mean() > 0.9


def test_relabelled_images_train_under_the_new_label(trained: Trained) -> None:
    """Every training image of class 0 is labelled 1: the model predicts 1 for class 0, and never 0."""
    _, labels, predicted = _treated(trained, _hypothesis(data={"relabel": dict.fromkeys(_train_ids(trained, 0), "1")}))
    assert (predicted == 0).sum() == 0
    assert (predicted[labels == 0] == 1).mean() > 0.5


def test_a_class_that_is_left_out_is_not_learned(trained: Trained) -> None:
    """No training image of class 0: it is never predicted."""
    _, _, predicted = _treated(trained, _hypothesis(data={"leave_out": _train_ids(trained, 0)}))
    assert (predicted == 0).sum() == 0


def test_another_model_has_its_own_size_and_environment(trained: Trained) -> None:
    """A convolutional treatment of a dense baseline: its parameters, and the digest of its own code."""
    record, *_ = _treated(trained, _hypothesis(model="cnn"))
    baseline = trained[0].get_run(trained[2].arms["baseline"][0])
    assert record.parameters > 2 * baseline.parameters
    assert record.spec.environment.code["model"] != baseline.spec.environment.code["model"]
    assert record.spec.environment == current_environment("cnn")


def test_a_model_of_the_users_own_is_a_treatment(
    trained: Trained, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its code is kept: editing the file makes another run, and changes nothing in the first."""
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    record, *_ = _treated(trained, _hypothesis(model=f"{file}:build_fn"))
    assert (record.spec.model, record.parameters) == ("mine.py:build_fn", 65 * 3)
    file.write_text(OWN + "\n# edited\n")
    assert trained[0].load_source_of(record.spec) == OWN
    asked = request.getfixturevalue("asked")
    with pytest.raises(TrainingError):
        _treated(trained, _hypothesis(model=f"{file}:build_fn"))
    assert asked[-1].spec == record.spec.model_copy(update={"source": asked[-1].spec.source})
    assert asked[-1].spec.id != record.id


def test_the_recipe_is_the_treatments_alone_and_epochs_are_everybodys(trained: Trained, asked: list[Request]) -> None:
    """`[recipe]` beats the epochs that all arms get."""
    hypothesis = _hypothesis(recipe={"learning_rate": 1e-2, "epochs": 2}, epochs=1)
    with pytest.raises(TrainingError):
        intervene(trained[0], trained[1], "recipes", hypothesis, controls=())
    assert {request.arm: request.spec.recipe for request in asked} == {
        "baseline": RECIPE.model_copy(update={"epochs": 1}),
        "recipes": RECIPE.model_copy(update={"learning_rate": 1e-2, "epochs": 2}),
    }


def test_the_report_counts_and_draws_the_images_that_are_trained_on(trained: Trained) -> None:
    """Of the images that the change names, those in `train` are counted; copies are drawn again under their own ids."""
    store, group, *_ = trained
    ids, held_out = _train_ids(trained, 0), _mine_ids(trained)[:2]
    augment = HYPOTHESIS.model_dump()["augment"]
    repeated = _hypothesis(augment=augment, data={"repeat": dict.fromkeys([*ids, *held_out], 3)})
    intervene(store, group, "repeated", repeated, controls=())
    assessment = assess(store, group, "repeated")
    assert assessment.change[-1] == f"repeated: {len(ids) + 2} images, {len(ids)} of them in train"
    assert any("~" in example.sample_id for example in assessment.exposure.examples)
    assert len(assessment.shown[0]) == len(assessment.exposure.examples)


def test_added_images_are_kept_and_those_of_confirm_are_not_added(trained: Trained, more_images: str) -> None:
    """The run spec has the dataset's digest; the store can train the run again without the file."""
    store = trained[0]
    record, *_ = _treated(trained, _hypothesis(data={"add": more_images}))
    added = store.get_dataset(record.spec.data.add)
    assert len(added.y_train) == 45
    splits = store.get_splits(record.spec)
    fitted, _ = training_parts(record.spec, splits, ("0", "1", "2"), added)
    assert len(fitted.y) == len(splits.train.y) + 30
    assert not set(fitted.ids.tolist()) & set(splits.confirm.ids.tolist())


def test_controls_share_all_but_the_operations(trained: Trained, asked: list[Request]) -> None:
    """The sham of a treatment with class weights has them too."""
    both = _hypothesis(augment=HYPOTHESIS.model_dump()["augment"], class_weights={"1": 2.0})
    with pytest.raises(TrainingError):
        intervene(trained[0], trained[1], "both", both)
    (sham,) = (request.spec for request in asked if request.arm == "sham")
    assert (sham.class_weights, sham.augment["0"][0].operation) == ({"1": 2.0}, "shift")


def test_controls_that_make_no_sense_are_recorded_with_the_reason(trained: Trained) -> None:
    """A change without operations has no sham, and no changed images to measure."""
    measured: list[bool] = []
    options = {"controls": ("sham", "oversample"), "before_measuring": lambda: measured.append(True)}
    weights = _hypothesis(class_weights={"1": 1000.0})
    intervention, _ = intervene(trained[0], trained[1], "weights", weights, **options)
    assert list(intervention.arms) == ["baseline", "weights"]
    assert set(intervention.not_applicable) == {"sham", "oversample"}
    assert measured == []


def _small(tmp_path: Path) -> str:
    images, labels = np.zeros((6, 4, 4), dtype=np.uint8), np.arange(6) % 3
    images[np.arange(6), 0, 0] = np.arange(6)
    np.savez(tmp_path / "small.npz", x_train=images, y_train=labels, x_test=images[:3] + 9, y_test=labels[:3])
    return str(tmp_path / "small.npz")


def _lambda_model(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path / 'own.py'}:lambda_layer"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda *_: {"model": "vgg"}, "There is no model `vgg`"),
        (lambda _, folder: {"model": _lambda_model(folder)}, "not be loaded again"),
        (lambda *_: {"model": "cnn-enhanced"}, "cannot be built for images of 8 x 8"),
        (lambda *_: {"recipe": {"reduce_on_plateau": 2, "schedule": "cosine"}}, r"\[recipe\] does not fit"),
        (lambda *_: {"data": {"leave_out": ["0" * 16]}}, "in no part of this dataset"),
        (lambda *_: {"data": {"relabel": {"0" * 16: "9"}}}, "class `9`"),
        (lambda trained, _: {"data": {"leave_out": _mine_ids(trained)}}, "none of which is trained on"),
        (lambda _, folder: {"data": {"add": str(folder / "none.npz")}}, "none.npz"),
        (lambda _, folder: {"data": {"add": _small(folder)}}, "4x4x1"),
        (lambda *_: {"class_weights": {"7": 2.0}}, "class `7`"),
        (lambda *_: {"model": "dense-baseline", "recipe": {"epochs": 4}}, "leaves the baseline's runs as they are"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    trained: Trained, asked: list[Request], tmp_path: Path, change: Callable[..., dict[str, Any]], message: str
) -> None:
    """Neither the ledger nor the runs change."""
    store, group, *_ = trained
    before = store.ledger.entries(), len(store.list_runs())
    with pytest.raises(ErroranError, match=message):
        intervene(store, group, "refused", _hypothesis(**change(trained, tmp_path)))
    assert (store.ledger.entries(), len(store.list_runs())) == before


def _mine_ids(trained: Trained) -> list[str]:
    store, group, *_ = trained
    return sorted(store.get_splits(group.run_spec(0)).mine.ids.tolist())


def test_mined_runs_of_another_environment_are_not_reused(trained: Trained, asked: list[Request]) -> None:
    """Their comparison with new runs would be one of library versions; the fix is named."""
    store, group, *_ = trained
    old = group.template.environment.model_copy(update={"versions": {"keras": "2.0"}})
    elsewhere = group.model_copy(update={"template": group.template.model_copy(update={"environment": old})})
    with pytest.raises(BadInput, match=r"cannot be compared with new ones: .*keras was 2\.0") as caught:
        intervene(store, elsewhere, "refused", HYPOTHESIS, fresh_baseline=False)
    assert "repeat `erroran baseline`" in caught.value.fix
    assert "--reuse-baseline" in caught.value.fix


# --- judged out of fold


def _out_of_fold(**changes: Any) -> Hypothesis:
    return HYPOTHESIS.model_copy(update={"judge": Judging(3), **changes})


def test_out_of_fold_each_seed_has_a_run_per_fold(trained: Trained, asked: list[Request]) -> None:
    """Seed by seed, arm by arm; the runs differ from those for `confirm` in the fold alone. Registered as such."""
    store, group, *_ = trained
    with pytest.raises(TrainingError):
        intervene(store, group, "folded", _out_of_fold(), n_seeds=2, controls=())
    expected = [(seed, arm, (k, 3)) for seed in (1000, 1001) for arm in ("baseline", "folded") for k in range(3)]
    assert [(request.spec.seed, request.arm, request.spec.fold) for request in asked] == expected
    whole = {request.spec.model_copy(update={"fold": None}).id for request in asked}
    assert whole == {group.run_spec(seed, change).id for seed in (1000, 1001) for change in (None, HYPOTHESIS.change)}
    assert (store.ledger.entries()[-1].kind, store.ledger.entries()[-1].population) == ("registered", "train")


@pytest.fixture
def mined_elsewhere(store: Store, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Group]:
    """A store with a baseline group that was never trained."""
    monkeypatch.setattr("erroran.stages.baseline.complete_runs", lambda *_, **__: None)
    return store, train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[0], model="dense-baseline")[0]


def test_images_that_suggested_a_hypothesis_do_not_judge_it(
    mined_elsewhere: tuple[Store, Group], asked: list[Request]
) -> None:
    """After mining out of fold it is refused, and named what helps; one that was registered earlier is judged."""
    store, group = mined_elsewhere
    with pytest.raises(TrainingError):
        intervene(store, group, "early", _out_of_fold(), controls=())
    dataset = group.template.dataset
    store.ledger.record(Entry(kind="mined-out-of-fold", dataset="other", population="train"))
    store.ledger.record(Entry(kind="mined-out-of-fold", dataset=dataset, group=group.id, population="train"))
    with pytest.raises(BadInput, match="Pairs were mined on all training images") as caught:
        intervene(store, group, "late", _out_of_fold(), controls=())
    assert caught.value.fix == "judge on confirm: --judge confirm"
    for name, hypothesis in (("early", _out_of_fold()), ("late", HYPOTHESIS)):
        with pytest.raises(TrainingError):
            intervene(store, group, name, hypothesis, controls=())


def test_images_of_a_larger_mine_do_not_judge(
    mined_elsewhere: tuple[Store, Group], tiny_dataset: Dataset, asked: list[Request]
) -> None:
    """Another group mined a fifth of the training images; half of them would judge this one's hypotheses."""
    store, group = mined_elsewhere
    larger, _ = train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[1], model="dense-baseline", mine_fraction=0.2)
    with pytest.raises(BadInput, match=f"The baseline group {larger.id} mines 20% of the training images") as caught:
        intervene(store, group, "folded", _out_of_fold(), controls=())
    assert caught.value.fix.startswith(f"--group {larger.id}")
    with pytest.raises(TrainingError):
        intervene(store, larger, "folded", _out_of_fold(), controls=())


def test_the_mined_runs_cannot_be_the_baseline_out_of_fold(trained: Trained, asked: list[Request]) -> None:
    """They have trained on the images."""
    with pytest.raises(BadInput, match="The mined runs have seen the training images"):
        intervene(trained[0], trained[1], "folded", _out_of_fold(), fresh_baseline=False)


def test_changed_data_stay_in_the_training_part_of_each_fold(
    trained: Trained, more_images: str, asked: list[Request]
) -> None:
    """Images that are relabelled, repeated or added are not trained on where they are held out; copies neither."""
    store, group, *_ = trained
    dataset = store.get_dataset(group.template.dataset)
    ids = sorted(dataset.train_ids[dataset.y_train == 0].tolist())
    data = {"relabel": dict.fromkeys(ids[:20], "1"), "repeat": dict.fromkeys(ids[20:], 3), "add": more_images}
    with pytest.raises(TrainingError):
        intervene(store, group, "folded", _hypothesis(judge="out-of-fold=3", data=data), controls=())
    for request in asked:
        splits = store.get_splits(request.spec)
        added = store.get_dataset(request.spec.data.add) if request.spec.data.add else None
        fitted, _ = training_parts(request.spec, splits, dataset.class_names, added)
        held_out = np.concatenate([splits.mine.ids, splits.confirm.ids])
        assert not set(strip_copy_numbers(fitted.ids)) & set(strip_copy_numbers(held_out))
        assert np.array_equal(splits.mine.y, dataset.y_train[np.isin(dataset.train_ids, splits.mine.ids)])
        if request.arm == "folded":
            assert set(fitted.y[np.isin(fitted.ids, ids[:20])]) == {1}


def test_a_change_of_images_that_are_all_in_one_fold_is_refused(trained: Trained, asked: list[Request]) -> None:
    """That fold's runs would have no treatment; nothing is trained or registered."""
    store, group, *_ = trained
    held_out = store.get_splits(group.run_spec(0, fold=(1, 3))).mine.ids
    before = len(store.ledger.entries())
    with pytest.raises(BadInput, match="In fold 2 of 3: `leave_out` names 2 image") as caught:
        intervene(store, group, "folded", _hypothesis(judge="out-of-fold=3", data={"leave_out": held_out[:2].tolist()}))
    assert caught.value.fix.endswith("--judge confirm")
    assert (asked, len(store.ledger.entries())) == ([], before)


def test_out_of_fold_from_training_to_verdict(trained: Trained) -> None:
    """Really trained: each of 135 images is judged once by each of two seeds."""
    store, group, *_ = trained
    hypothesis = _out_of_fold(judge=Judging(2), epochs=1)
    intervention, completed = intervene(store, group, "whole", hypothesis, n_seeds=2, controls=("logit-shift",))
    assert len(completed.trained) == 2 * 2 * 2
    found = assess(store, group, "whole")
    judged = store.get_splits(group.run_spec(0)).train
    assert (found.images, found.before.ids.tolist()) == (135, judged.ids.tolist())
    for arm, evidence in (("baseline", found.before), ("whole", found.after)):
        for run_id in intervention.arms[arm]:
            run = store.get_run(run_id)
            fitted = fitted_part(store, run.spec)
            own = evidence.fold == run.spec.fold[0]
            assert not set(fitted.ids) & set(evidence.ids[own])
            seed = intervention.seeds.index(run.spec.seed)
            stored = store.get_predictions(run_id, "mine")
            by_id = dict(zip(stored.ids.tolist(), stored.probabilities.argmax(axis=1).tolist(), strict=True))
            assert evidence.predicted[seed, own].tolist() == [by_id[name] for name in evidence.ids[own]]
    assert [stamp.kind for stamp in found.stamps] == ["Seeds"]
