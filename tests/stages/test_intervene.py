"""Interventions with really trained, tiny runs: arms, seeds, registration, sharing."""

from collections.abc import Callable, Sequence

import pytest

from erroran.data import Dataset
from erroran.errors import BadInput, NotFound, TrainingError
from erroran.execution.local import Completed
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.recipe import Recipe
from erroran.stages import intervene as stage
from erroran.stages.baseline import train_baseline
from erroran.stages.intervene import FIRST_FRESH_SEED, gather_exposure, intervene
from erroran.store import Intervention, Store
from erroran.store.records import Group

HYPOTHESIS = Hypothesis.model_validate(
    {
        "pair": "0:1",
        "hypothesis": "h",
        "augment": {"0": {"operation": "dilate", "radius_px": 1, "probability": 0.5}},
        "seeds": 1,
    }
)
Trained = tuple[Store, Group, Intervention, Completed]


@pytest.fixture(scope="module")
def trained(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A baseline of one seed, and an intervention of one seed with two controls: four runs in all."""
    store = Store(tmp_path_factory.mktemp("intervene") / "store")
    recipe = Recipe(name="standard", epochs=1, batch_size=64, learning_rate=5e-3, schedule="constant")
    group, _ = train_baseline(store, tiny_dataset, recipe=recipe, seeds=[0])
    return store, group, *intervene(store, group, "0to1", HYPOTHESIS)


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any training fails, as if the machine had."""

    def fail(*_: object, **__: object) -> Completed:
        raise TrainingError("It broke off.", fix="none")

    monkeypatch.setattr(stage, "complete_runs", fail)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, trained: Trained) -> Callable[..., dict[str, list[int]]]:
    """Which seeds an intervention would train per arm, without training them."""

    def seeds_of(
        *, group: Group | None = None, spec: Hypothesis = HYPOTHESIS, **options: object
    ) -> dict[str, list[int]]:
        wanted: dict[str, list[int]] = {}

        def note(_: Store, requests: Sequence[object], **__: object) -> Completed:
            for request in requests:
                wanted.setdefault(request.arm, []).append(request.spec.seed)
            raise TrainingError("It broke off.", fix="none")

        monkeypatch.setattr(stage, "complete_runs", note)
        with pytest.raises(TrainingError):
            intervene(trained[0], group or trained[1], "probe", spec, **options)
        return wanted

    return seeds_of


def test_arms(trained: Trained) -> None:
    """Baseline first, then the treatment, then the control that trains; the shift is only noted."""
    store, _, intervention, completed = trained
    assert list(intervention.arms) == ["baseline", "0to1", "sham"]
    assert intervention.controls == ("sham", "logit-shift")
    specs = {arm: store.get_run(ids[0]).spec for arm, ids in intervention.arms.items()}
    assert specs["baseline"].augment == {}
    assert specs["0to1"].augment == HYPOTHESIS.augment
    assert specs["sham"].augment["0"].operation == "shift"
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
    twin = HYPOTHESIS.model_copy(update={"hypothesis": "another reason", "primary": "sum"})
    other, completed = intervene(store, group, "twin", twin)
    assert completed.trained == []
    assert other.arms["twin"] == first.arms["0to1"]
    assert store.get_run(other.arms["twin"][0]).arm == "0to1"


def test_fresh_seeds_avoid_the_mined_ones(trained: Trained, asked: Callable[..., dict[str, list[int]]]) -> None:
    """Also where somebody mined seeds from 1000 on."""
    group = trained[1].model_copy(update={"seeds": (0, 1000, 1002)})
    wanted = asked(group=group, n_seeds=3)
    assert wanted == {key: [1001, 1003, 1004] for key in ("baseline", "probe", "sham")}


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
def test_which_seeds(asked: Callable[..., dict[str, list[int]]], options: dict[str, object], seeds: list[int]) -> None:
    """The spec's number; another number; a list; or the mined runs' own."""
    assert asked(controls=(), **options) == {"baseline": seeds, "probe": seeds}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [5, 0]}, "Seed 0 is one of the mined runs"),
        ({"n_seeds": 2, "fresh_baseline": False}, "asked for: 2 of them"),
        ({"seeds": [4], "fresh_baseline": False}, "asked for: 4"),
    ],
)
def test_refused_seeds(trained: Trained, no_training: None, options: dict[str, object], message: str) -> None:
    """Mined seeds as fresh ones, and seeds that the mined baseline lacks; nothing is registered."""
    before = len(trained[0].ledger.entries())
    with pytest.raises(BadInput, match=message):
        intervene(trained[0], trained[1], "refused", HYPOTHESIS, **options)
    assert len(trained[0].ledger.entries()) == before


@pytest.mark.parametrize("name", ["baseline", "sham"])
def test_names_of_other_arms(trained: Trained, no_training: None, name: str) -> None:
    """A hypothesis cannot be called as a control."""
    with pytest.raises(BadInput, match="another arm"):
        intervene(trained[0], trained[1], name, HYPOTHESIS)


def test_unknown_class(trained: Trained, no_training: None) -> None:
    """Refused before anything trains."""
    with pytest.raises(NotFound, match="class `9`"):
        intervene(trained[0], trained[1], "0to9", HYPOTHESIS.model_copy(update={"pair": "0:9"}))


def test_registered_before_training(trained: Trained, no_training: None) -> None:
    """The ledger holds the hypothesis even if no run is ever finished; no intervention is claimed."""
    store, group, *_ = trained
    changed = HYPOTHESIS.model_copy(update={"margin_per_10000": 3.0})
    with pytest.raises(TrainingError):
        intervene(store, group, "unlucky", changed)
    entry = store.ledger.entries()[-1]
    assert (entry.kind, entry.name, entry.pair, entry.spec_hash) == ("registered", "unlucky", "0:1", changed.hash)
    with pytest.raises(NotFound):
        store.get_intervention(group.id, "unlucky")


@pytest.mark.parametrize(("option", "in_spec", "epochs"), [(None, None, 1), (None, 3, 3), (2, 3, 2)])
def test_epochs(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, option: int | None, in_spec: int | None, epochs: int
) -> None:
    """The option overrides the spec, which overrides the recipe; the same in every arm."""
    seen = set()

    def note(_: Store, requests: Sequence[object], **__: object) -> Completed:
        seen.update(request.spec.recipe.epochs for request in requests)
        raise TrainingError("It broke off.", fix="none")

    monkeypatch.setattr(stage, "complete_runs", note)
    spec = HYPOTHESIS.model_copy(update={"epochs": in_spec})
    with pytest.raises(TrainingError):
        intervene(trained[0], trained[1], "probe", spec, epochs=option)
    assert seen == {epochs}


def test_what_training_saw_is_kept(trained: Trained) -> None:
    """Measured at the end of the intervention, of the treatment's runs; the report need not do it."""
    store, _, intervention, _ = trained
    (path,) = (store.root / "exposures").rglob("*.json")
    written = path.stat().st_mtime_ns
    exposure = gather_exposure(store, intervention)
    assert path.stat().st_mtime_ns == written
    assert (exposure.runs, exposure.epochs) == (intervention.arms["0to1"], (1,))
    assert [(dose.class_name, dose.dose) for dose in exposure.doses] == [("0", 1.0)]
    assert 0 < exposure.doses[0].changed < exposure.class_images["0"]
