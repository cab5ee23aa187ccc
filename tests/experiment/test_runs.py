"""Run keys must not change by accident: stored runs are found by them."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from erroran.experiment.change import Change, Step
from erroran.experiment.recipe import RECIPES, Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store.records import Group, RunRecord

MakeSpec = Callable[..., RunSpec]
MakeRecord = Callable[..., RunRecord]

DILATE = Step(operation="dilate", radius_px=(0.5, 1))


def test_golden_key_of_a_baseline(make_spec: MakeSpec) -> None:
    """The key of a plain run, and of its group."""
    spec = make_spec()
    assert (spec.id, spec.group_id) == ("148d454f8bd6", "48476800e284")


def test_golden_key_of_an_augmented_run(make_spec: MakeSpec) -> None:
    """The augmentation is part of the run's key and not of the group's."""
    spec = make_spec(augment={"4": DILATE})
    assert (spec.id, spec.group_id) == ("111ba8fe95c1", "48476800e284")


def test_golden_key_with_no_default_left(make_spec: MakeSpec) -> None:
    """Precision, fast recipe, kernel, probability and seed all different from their defaults."""
    spec = make_spec(
        seed=7,
        precision="mixed_bfloat16",
        recipe=RECIPES["fast"].model_dump(),
        augment={"9": Step(operation="erode", kernel_px=2, probability=0.3)},
    )
    assert (spec.id, spec.group_id) == ("e2fb395ac823", "a4361c8ed3b8")


def test_names_for_people_are_no_part_of_the_key(make_spec: MakeSpec, make_record: MakeRecord) -> None:
    """Equal runs are shared between arms and recipe names."""
    renamed = make_spec(recipe={"name": "something else"})
    assert (renamed.id, renamed.group_id) == (make_spec().id, make_spec().group_id)
    assert make_record(arm="4to9").id == make_record(arm="baseline").id == make_spec().id


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "cd" * 32},
        {"mine_fraction": 0.2},
        {"model": "other"},
        {"precision": "mixed_bfloat16"},
        {"recipe": {"epochs": 9}},
        {"recipe": {"batch_size": 64}},
        {"recipe": {"learning_rate": 2e-3}},
        {"recipe": {"schedule": "one-cycle"}},
    ],
)
def test_everything_else_changes_both_keys(make_spec: MakeSpec, change: dict[str, object]) -> None:
    """Any other field gives another run and another group."""
    assert make_spec(**change).id != make_spec().id
    assert make_spec(**change).group_id != make_spec().group_id


def test_seed_and_augmentation_change_the_run_but_not_the_group(make_spec: MakeSpec) -> None:
    """Runs of one group differ only in these."""
    variants = [
        make_spec(),
        make_spec(seed=1),
        make_spec(augment={"4": DILATE}),
        make_spec(augment={"9": DILATE}),
        make_spec(augment={"4": DILATE.model_copy(update={"radius_px": (0.5,)})}),
        make_spec(augment={"4": DILATE.model_copy(update={"shape": "disk"})}),
        make_spec(augment={"4": DILATE.model_copy(update={"probability": 0.13})}),
        make_spec(augment={"4": DILATE.model_copy(update={"operation": "erode"})}),
    ]
    assert len({spec.id for spec in variants}) == len(variants)
    assert len({spec.group_id for spec in variants}) == 1


def test_defaults_written_out_keep_the_key(make_spec: MakeSpec) -> None:
    """An explicit default gives the same key."""
    spelled = make_spec(
        precision="float32",
        recipe={"batch_size": 128},
        augment={"4": {**DILATE.model_dump(), "shape": "square", "probability": 0.12, "kernel_px": None}},
    )
    assert spelled.id == make_spec(augment={"4": DILATE}).id
    assert make_spec(augment={}).id == make_spec().id


def test_a_default_is_part_of_the_key(make_spec: MakeSpec) -> None:
    """A later version with another default gives another key."""

    class Later(Recipe):
        batch_size: int = 64

    today = make_spec()
    given = today.recipe.model_dump(exclude={"batch_size"})
    assert Recipe(**given) == today.recipe
    assert today.model_copy(update={"recipe": Later(**given)}).id != today.id


@pytest.mark.parametrize(
    "environment",
    [{"backend": "jax"}, {"versions": {"keras": "4"}}, {"code": {"training": "other", "operations": "o"}}],
)
def test_the_environment_changes_the_key(make_spec: MakeSpec, environment: dict[str, object]) -> None:
    """Backend, versions and code of the training are in the key."""
    plain = make_spec()
    other = make_spec(environment={**plain.environment.model_dump(), **environment})
    assert other.id != plain.id
    assert other.group_id != plain.group_id


def test_the_code_of_operations_matters_only_where_it_runs(make_spec: MakeSpec) -> None:
    """The code of operations is not in the key of a baseline run."""
    changed = {"environment": {**make_spec().environment.model_dump(), "code": {"training": "t", "operations": "new"}}}
    assert make_spec(**changed).id == make_spec().id
    assert make_spec(augment={"4": DILATE}, **changed).id != make_spec(augment={"4": DILATE}).id


def test_the_order_of_classes_does_not_matter(make_spec: MakeSpec) -> None:
    """A spec file may list its classes in any order."""
    one, other = (dict.fromkeys(order, DILATE) for order in ("49", "94"))
    assert make_spec(augment=one).id == make_spec(augment=other).id


def test_keys_survive_json(make_spec: MakeSpec) -> None:
    """A spec read back from JSON has the same key."""
    spec = make_spec(augment={"4": DILATE}, seed=2**32 - 1)
    back = RunSpec.model_validate_json(spec.model_dump_json())
    assert back == spec
    assert back.id == spec.id


@pytest.mark.parametrize(
    "change",
    [{"seed": -1}, {"seed": 2**32}, {"precision": "float16"}, {"recipe": {"epochs": 0}},
     {"recipe": {"batch_size": 0}}, {"recipe": {"learning_rate": 0}}, {"recipe": {"schedule": "sawtooth"}},
     {"recipe": {"schedule": "cosine", "reduce_on_plateau": 3}},
     {"unknown": 1}, {"recipe": {"unknown": 1}}],
)  # fmt: skip
def test_senseless_specs_are_refused(make_spec: MakeSpec, change: dict[str, object]) -> None:
    """Values out of range and unknown fields."""
    with pytest.raises(ValidationError):
        make_spec(**change)


def test_specs_cannot_be_changed(make_spec: MakeSpec) -> None:
    """Specs are frozen, so that the key stays the same."""
    spec = make_spec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 3


def test_the_recipes_are_the_documented_ones() -> None:
    """The two plain ones: 10 epochs of Adam at 1e-3, and 4 epochs of a one-cycle schedule; batches of 128."""
    assert RECIPES["standard"] == Recipe(
        name="standard", epochs=10, batch_size=128, learning_rate=1e-3, schedule="constant"
    )
    assert RECIPES["fast"] == Recipe(name="fast", epochs=4, batch_size=128, learning_rate=2e-3, schedule="one-cycle")


def test_the_recipes_that_augment_in_the_model() -> None:
    """10 degrees and 10 percent each; the long ones stop early and keep the best weights."""
    for name, epochs in {"augmented": 15, "patient": 120, "plateau": 50}.items():
        recipe = RECIPES[name]
        assert (recipe.name, recipe.epochs, recipe.best_weights) == (name, epochs, epochs > 15)
        assert recipe.in_model is not None
        assert set(recipe.in_model.model_dump().values()) == {10}
    assert (RECIPES["plateau"].early_stopping, RECIPES["plateau"].reduce_on_plateau) == (10, 3)


def test_the_summary_has_the_fixed_names(make_record: MakeRecord) -> None:
    """What `erroran runs --json` prints; other tools rely on it."""
    record = make_record()
    assert record.listed().summary() == {
        "id": record.spec.id, "arm": "baseline", "seed": 0, "dataset": "tiny", "model": "cnn",
        "recipe": "standard", "epochs": 10, "accuracy_mine": 0.9, "accuracy_confirm": 0.8, "seconds": 1.5,
        "created": "2026-01-01T00:00:00.000000+00:00",
    }  # fmt: skip


def test_a_group_makes_the_specs_of_its_runs(make_spec: MakeSpec) -> None:
    """The template with a seed, a change and, if given, other epochs."""
    group = Group(template=make_spec(), seeds=(4, 5), dataset_name="tiny", note=None, updated="now", command="erroran")
    assert group.id == make_spec().group_id
    assert group.run_spec(4) == make_spec(seed=4)
    assert group.run_spec(5, Change(augment={"4": DILATE})) == make_spec(seed=5, augment={"4": DILATE})
    assert group.run_spec(5, epochs=2) == make_spec(seed=5, recipe={"epochs": 2})
