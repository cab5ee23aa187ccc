"""Training: equal specs give equal bytes; schedules, callbacks, data changes, and errors."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erroran.data import Dataset, Splits, save_dataset, split_dataset
from erroran.errors import TrainingError
from erroran.experiment.change import DataChange, Step
from erroran.experiment.recipe import RECIPES, Recipe
from erroran.experiment.runspec import RunSpec
from erroran.operations.apply import augment_batch
from erroran.operations.keyed import sample_keys
from erroran.store.environment import current_environment
from erroran.training.fit import Progress, TrainedRun, train, training_parts

SMALL = {"epochs": 2, "batch_size": 32, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def splits(tiny_dataset: Dataset) -> Splits:
    return split_dataset(tiny_dataset)


@pytest.fixture(scope="module")
def spec(tiny_dataset: Dataset) -> RunSpec:
    recipe = Recipe(name="standard", schedule="constant", **SMALL)
    environment = current_environment("cnn")
    return RunSpec(
        dataset=tiny_dataset.digest, mine_fraction=0.1, model="cnn", recipe=recipe, environment=environment, seed=3
    )


@pytest.fixture(scope="module")
def run(spec: RunSpec, splits: Splits, tiny_dataset: Dataset) -> Callable[..., TrainedRun]:
    """Train the spec with some of its fields replaced."""

    def trained(on: Splits = splits, **changes: object) -> TrainedRun:
        return train(spec.model_copy(update=changes), on, tiny_dataset.class_names)

    return trained


@pytest.fixture(scope="module")
def first(spec: RunSpec, splits: Splits, tiny_dataset: Dataset) -> tuple[TrainedRun, list[Progress]]:
    """One run, and what it reported."""
    reports: list[Progress] = []
    return train(spec, splits, tiny_dataset.class_names, reports.append), reports


def _bytes(run: TrainedRun) -> tuple[bytes, bytes]:
    return run.probabilities_mine.tobytes(), run.probabilities_confirm.tobytes()


def test_shapes_types_and_sums(first: tuple[TrainedRun, list[Progress]]) -> None:
    """float32 probabilities of every image of `mine` and `confirm`, one column per class."""
    run, _ = first
    for probabilities, n in ((run.probabilities_mine, 15), (run.probabilities_confirm, 45)):
        assert (probabilities.shape, probabilities.dtype) == ((n, 3), np.dtype(np.float32))
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-6)
    assert run.seconds > 0


def test_the_network_learns(first: tuple[TrainedRun, list[Progress]], splits: Splits) -> None:
    """Rows are told apart far better than by chance, and the loss falls."""
    run, _ = first
    assert (run.probabilities_confirm.argmax(axis=1) == splits.confirm.y).mean() > 0.6
    assert run.history["loss"][1] < run.history["loss"][0]


def test_history_has_one_value_an_epoch(first: tuple[TrainedRun, list[Progress]]) -> None:
    """Loss and accuracy on train and on `mine`, as plain floats."""
    history = first[0].history
    assert {name: len(values) for name, values in history.items()} == {
        "loss": 2, "accuracy": 2, "val_loss": 2, "val_accuracy": 2,
    }  # fmt: skip
    assert {type(value) for values in history.values() for value in values} == {float}


def test_validation_is_on_mine(first: tuple[TrainedRun, list[Progress]], splits: Splits) -> None:
    """The last `val_accuracy` is that of the stored probabilities on `mine`; `confirm` is not looked at."""
    run, _ = first
    accuracy = (run.probabilities_mine.argmax(axis=1) == splits.mine.y).mean()
    assert run.history["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)


def test_progress_counts_steps_to_the_end(first: tuple[TrainedRun, list[Progress]], spec: RunSpec) -> None:
    """Strictly upwards, epoch by epoch, the last report being the last step, each with a loss."""
    _, reports = first
    steps = 2 * 5  # 135 images in batches of 32
    assert [report.step for report in reports] == list(range(1, steps + 1))
    assert [report.epoch for report in reports] == [1] * 5 + [2] * 5
    assert {(r.run_id, r.seed, r.steps, r.epochs) for r in reports} == {(spec.id, 3, steps, 2)}
    assert np.isfinite([report.loss for report in reports]).all()


@pytest.fixture(scope="module")
def many_steps(spec: RunSpec) -> dict[str, object]:
    """Changes of the spec that make epochs of 68 steps, which are trained in blocks of three and one of two."""
    return {"model": "dense-baseline", "recipe": spec.recipe.model_copy(update={"batch_size": 2, "epochs": 2})}


def test_steps_in_blocks_give_what_single_steps_give(
    spec: RunSpec,
    run: Callable[..., TrainedRun],
    many_steps: dict[str, object],
    splits: Splits,
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to rounding; the number of the last step is told although the last block is shorter."""
    from erroran.training import batches

    reports: list[Progress] = []
    blocks = train(spec.model_copy(update=many_steps), splits, tiny_dataset.class_names, reports.append)
    assert [report.step for report in reports] == [
        68 * epoch + step for epoch in (0, 1) for step in [*range(3, 67, 3), 68]
    ]
    assert [report.epoch for report in reports] == [1] * 23 + [2] * 23
    monkeypatch.setattr(batches, "_PARTS_OF_AN_EPOCH", 68)
    single = run(**many_steps)
    assert single.probabilities_confirm == pytest.approx(blocks.probabilities_confirm, abs=1e-4)
    assert single.history["loss"] == pytest.approx(blocks.history["loss"], rel=1e-4)


def test_an_interrupt_ends_the_training_between_blocks(
    spec: RunSpec, many_steps: dict[str, object], splits: Splits, tiny_dataset: Dataset
) -> None:
    """What `on_progress` raises comes out of the training at once."""
    reports: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        reports.append(progress)
        if progress.step > 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec.model_copy(update=many_steps), splits, tiny_dataset.class_names, interrupt)
    assert reports[-1].step == 68 + 15


def test_the_same_spec_gives_the_same_bytes(
    first: tuple[TrainedRun, list[Progress]], run: Callable[..., TrainedRun]
) -> None:
    """Twice in one process, with another seed in between: nothing leaks from run to run."""
    other, again = run(seed=4), run()
    assert _bytes(again) == _bytes(first[0])
    assert again.history == first[0].history
    assert _bytes(other) != _bytes(first[0])


def test_the_stored_model_reproduces_the_stored_probabilities(
    first: tuple[TrainedRun, list[Progress]], splits: Splits, tmp_path: Path
) -> None:
    """The file loads with plain Keras and predicts the same from raw uint8."""
    from erroran.training.backend import keras

    run, _ = first
    (tmp_path / "model.keras").write_bytes(run.model)
    model = keras.models.load_model(tmp_path / "model.keras")
    predicted = model.predict(splits.confirm.x, batch_size=500, verbose=0)
    assert predicted.astype(np.float32).tobytes() == run.probabilities_confirm.tobytes()
    assert model.count_params() == run.parameters


@pytest.mark.parametrize(
    "batch_size", [pytest.param(32, marks=pytest.mark.slow, id="early"), pytest.param(135, id="in the last step")]
)
def test_a_loss_that_is_no_number_is_an_error(spec: RunSpec, run: Callable[..., TrainedRun], batch_size: int) -> None:
    """An infinite learning rate ends the run with an error and its fix, even if only the last step shows it."""
    wild = {"learning_rate": float("inf"), "epochs": 1, "batch_size": batch_size}
    with pytest.raises(TrainingError, match="seed 3 ended with a loss that is not a number") as caught:
        run(model="dense-baseline", recipe=spec.recipe.model_copy(update=wild))
    assert "--batch-size" in caught.value.fix


def test_augmentation_reaches_the_label_of_its_class_name(
    spec: RunSpec, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class "banana" has label 1: its images, and only they, are changed, keyed by the run's seed."""
    from erroran.training import batches

    step = Step(operation="dilate", radius_px=1, probability=1)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    seeds: set[int] = set()

    def spy(images: np.ndarray, labels: np.ndarray, keys: np.ndarray, augment: object, **moment: int) -> np.ndarray:
        changed = augment_batch(images, labels, keys, augment, **moment)  # type: ignore[arg-type]
        seen.append((labels, (changed != images).reshape(len(images), -1).any(axis=1)))
        seeds.add(moment["seed"])
        return changed

    monkeypatch.setattr(batches, "augment_batch", spy)
    one_epoch = spec.recipe.model_copy(update={"epochs": 1})
    fruit = spec.model_copy(update={"augment": {"banana": (step,)}, "recipe": one_epoch, "model": "dense-baseline"})
    train(fruit, splits, ("apple", "banana", "cherry"))
    labels, changed = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    assert np.array_equal(changed, labels == 1)
    assert seeds == {spec.seed}


@pytest.mark.slow
def test_augmentation_changes_the_outcome(
    first: tuple[TrainedRun, list[Progress]], run: Callable[..., TrainedRun]
) -> None:
    """The augmented images are what the network is trained on."""
    treated = run(augment={"1": (Step(operation="erode", radius_px=1, probability=1),)})
    assert _bytes(treated) != _bytes(first[0])


@pytest.mark.slow
def test_the_order_of_the_dataset_changes_no_prediction(
    first: tuple[TrainedRun, list[Progress]], run: Callable[..., TrainedRun], splits: Splits
) -> None:
    """A dataset's digest ignores order, so a run's outcome has to."""
    order = np.random.default_rng(0).permutation(len(splits.train.y))
    train_part = splits.train
    shuffled = type(train_part)(train_part.x[order], train_part.y[order], train_part.ids[order])
    again = run(on=replace(splits, train=shuffled))
    assert _bytes(again) == _bytes(first[0])
    assert sample_keys(shuffled.ids).tolist() != sample_keys(train_part.ids).tolist()


# --- schedules


def _rates(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    from erroran.training.fit import _learning_rate

    schedule = _learning_rate(recipe, steps_per_epoch=steps_per_epoch)
    return lambda step: float(schedule(step))


def test_one_cycle_by_hand() -> None:
    """4 epochs of 5 steps, peak 2e-3: up in 4 steps, peak at steps 3 and 4, down by 1/16 of it a step."""
    rate = _rates(RECIPES["fast"], 5)
    by_step = {0: 0.5e-3, 1: 1e-3, 2: 1.5e-3, 3: 2e-3, 4: 2e-3, 12: 1e-3, 19: 2e-3 / 16, 20: 0.0}
    assert {step: rate(step) for step in by_step} == pytest.approx(by_step, rel=1e-5, abs=1e-9)


def test_one_cycle_rises_then_falls() -> None:
    """At MNIST's 4 x 422 steps: one peak, after 20 % of them, positive to the last step."""
    rate = _rates(RECIPES["fast"], 422)
    rates = np.array([rate(step) for step in range(0, 4 * 422, 8)])
    peak = int(rates.argmax())
    assert 8 * peak == pytest.approx(0.2 * 4 * 422, abs=8)
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates.min() > 0
    assert rates.max() == pytest.approx(2e-3, rel=0.02)


def test_one_cycle_of_a_single_step() -> None:
    """The shortest run there is trains at the peak."""
    assert _rates(RECIPES["fast"].model_copy(update={"epochs": 1}), 1)(0) == pytest.approx(2e-3)


def test_the_constant_schedule_is_a_number() -> None:
    """Plain Adam at 1e-3."""
    from erroran.training.fit import _learning_rate

    assert _learning_rate(RECIPES["standard"], steps_per_epoch=422) == 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"schedule": "one-cycle"}, {"batch_size": 64}, {"learning_rate": 6e-3}])
def test_the_recipe_reaches_the_training(
    first: tuple[TrainedRun, list[Progress]],
    splits: Splits,
    spec: RunSpec,
    tiny_dataset: Dataset,
    change: dict[str, object],
) -> None:
    """Another schedule, batch size or rate is another outcome."""
    changed = spec.model_copy(update={"recipe": spec.recipe.model_copy(update=change)})
    assert _bytes(train(changed, splits, tiny_dataset.class_names)) != _bytes(first[0])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_fresh_process_gives_the_same_bytes(
    spec: RunSpec, splits: Splits, tiny_dataset: Dataset, tmp_path: Path, precision: str
) -> None:
    """Repeating a run tomorrow gives what it gave today."""
    spec = spec.model_copy(update={"precision": precision})
    save_dataset(tiny_dataset, tmp_path / "data.npz")
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    code = f"""
from pathlib import Path
from typing import Any
import numpy as np
from erroran.data import read_dataset, split_dataset
from erroran.experiment.runspec import RunSpec
from erroran.training.fit import train
folder = Path({str(tmp_path)!r})
dataset = read_dataset(folder / "data.npz")
spec = RunSpec.model_validate_json((folder / "spec.json").read_text())
run = train(spec, split_dataset(dataset), dataset.class_names)
np.save(folder / "confirm.npy", run.probabilities_confirm)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    here = train(spec, splits, tiny_dataset.class_names)
    assert np.load(tmp_path / "confirm.npy").tobytes() == here.probabilities_confirm.tobytes()


@pytest.mark.slow
def test_precision_does_not_leak_into_the_next_run(
    first: tuple[TrainedRun, list[Progress]], run: Callable[..., TrainedRun]
) -> None:
    """A half-precision run leaves the float32 runs after it as they were."""
    half, again = run(precision="mixed_bfloat16"), run()
    assert _bytes(half) != _bytes(first[0])
    assert half.probabilities_confirm.dtype == np.float32
    assert _bytes(again) == _bytes(first[0])


def test_the_cosine_schedule_falls_from_the_peak_to_zero() -> None:
    """Half a cosine: half the peak half way."""
    rate = _rates(Recipe(name="x", epochs=4, learning_rate=2e-3, schedule="cosine"), 10)
    assert [rate(step) for step in (0, 20, 40)] == pytest.approx([2e-3, 1e-3, 0], abs=1e-9)


def test_callbacks_are_those_that_were_asked_for(tmp_path: Path) -> None:
    """Keras' own, with the recipe's patience."""
    from erroran.training.fit import _callbacks

    best = tmp_path / "best.weights.h5"

    assert _callbacks(RECIPES["standard"], best) == []
    found = {type(callback).__name__: callback for callback in _callbacks(RECIPES["plateau"], best)}
    assert set(found) == {"ReduceLROnPlateau", "ModelCheckpoint", "EarlyStopping"}
    assert (found["EarlyStopping"].patience, found["EarlyStopping"].monitor) == (10, "val_loss")
    assert (found["ReduceLROnPlateau"].patience, found["ReduceLROnPlateau"].factor) == (3, 0.5)
    assert found["ModelCheckpoint"].monitor == "val_accuracy"


CHOOSING = Recipe(
    name="wild", epochs=40, batch_size=32, learning_rate=0.03, schedule="constant", early_stopping=2,
    reduce_on_plateau=1, best_weights=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def chosen(run: Callable[..., TrainedRun]) -> TrainedRun:
    """A rate so high that the loss rises soon: training stops early, and the best epoch is kept."""
    return run(recipe=CHOOSING)


def test_early_stopping_stops_and_the_best_weights_are_kept(
    chosen: TrainedRun, spec: RunSpec, splits: Splits, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Two epochs without a lower validation loss end it; the stored model has the best validation accuracy."""
    from erroran.training.predict import predict_with

    accuracies, losses = chosen.history["val_accuracy"], chosen.history["val_loss"]
    assert len(losses) < 40
    assert len(losses) - 1 - int(np.argmin(losses)) == 2
    (tmp_path / "model.keras").write_bytes(chosen.model)
    _, validation = training_parts(spec.model_copy(update={"recipe": CHOOSING}), splits, tiny_dataset.class_names, None)
    kept = (predict_with(tmp_path / "model.keras", validation.x).argmax(axis=1) == validation.y).mean()
    assert kept == pytest.approx(max(accuracies), abs=1e-6)


def test_the_labels_of_mine_decide_nothing_in_training(
    chosen: TrainedRun, run: Callable[..., TrainedRun], splits: Splits
) -> None:
    """Permuted, they change neither the epochs, nor the rate, nor the weights that are kept."""
    mine = splits.mine
    permuted = replace(splits, mine=replace(mine, y=np.roll(mine.y, 5)))
    assert not np.array_equal(permuted.mine.y, mine.y)
    again = run(on=permuted, recipe=CHOOSING)
    assert again.history == chosen.history
    assert _bytes(again) == _bytes(chosen)


def test_a_recipe_that_chooses_epochs_divides_train(spec: RunSpec, splits: Splits, tiny_dataset: Dataset) -> None:
    """Its two parts make up `train`; other recipes train on all of it, and are monitored on `mine`."""
    plain = training_parts(spec, splits, tiny_dataset.class_names, None)
    assert plain == (splits.train, splits.mine)
    fitted, validation = training_parts(
        spec.model_copy(update={"recipe": CHOOSING}), splits, tiny_dataset.class_names, None
    )
    assert len(validation.y) > 0
    assert sorted([*fitted.ids.tolist(), *validation.ids.tolist()]) == sorted(splits.train.ids.tolist())


def test_a_change_of_the_data_leaves_the_validation_images_as_they_are(
    spec: RunSpec, splits: Splits, tiny_dataset: Dataset
) -> None:
    """All arms choose their epoch by the same images with the same labels, whatever is left out or relabelled."""
    names, ids = tiny_dataset.class_names, splits.train.ids[splits.train.y == 0].tolist()
    choosing = spec.model_copy(update={"recipe": CHOOSING})
    _, validation = training_parts(choosing, splits, names, None)
    left_out = choosing.model_copy(update={"data": DataChange(leave_out=tuple(ids))})
    fitted, same = training_parts(left_out, splits, names, None)
    assert same.ids.tolist() == validation.ids.tolist()
    assert not (fitted.y == 0).any()
    relabelled = choosing.model_copy(update={"data": DataChange(relabel=dict.fromkeys(ids, "1"))})
    fitted, same = training_parts(relabelled, splits, names, None)
    assert same.y.tolist() == validation.y.tolist()
    assert not (fitted.y == 0).any()


def test_only_the_changed_training_set_reaches_the_batches(
    run: Callable[..., TrainedRun], splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out is in no batch, relabelled is there under its new label, repeated is there three times an epoch."""
    from erroran.training import batches

    train_part = splits.train
    out, other, thrice = (int(np.flatnonzero(train_part.y == label)[0]) for label in (0, 1, 2))
    ids = train_part.ids.tolist()
    data = DataChange(leave_out=(ids[out],), relabel={ids[other]: "2"}, repeat={ids[thrice]: 3})
    seen: list[tuple[bytes, int]] = []

    def spy(images: np.ndarray, labels: np.ndarray, *arguments: Any, **moment: int) -> np.ndarray:
        if moment["epoch"] == 1:
            seen.extend((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
        return augment_batch(images, labels, *arguments, **moment)

    monkeypatch.setattr(batches, "augment_batch", spy)
    run(data=data, model="dense-baseline")
    images = [image.tobytes() for image in train_part.x]
    assert len(seen) == len(ids) - 1 + 2
    assert images[out] not in {image for image, _ in seen}
    assert [label for image, label in seen if image == images[other]] == [2]
    assert [label for image, label in seen if image == images[thrice]] == [2, 2, 2]


def test_augmentation_in_the_model_is_trained_with_and_left_out_of_what_is_stored(
    spec: RunSpec, run: Callable[..., TrainedRun], splits: Splits, tmp_path: Path
) -> None:
    """Other weights than without, the same twice; the stored model is the bare one and predicts the same."""
    from erroran.experiment.recipe import InModelAugmentation
    from erroran.training.predict import predict_with

    plain = spec.recipe.model_copy(update={"epochs": 1})
    turned = plain.model_copy(update={"in_model": InModelAugmentation(rotation_deg=20)})
    first, again, without = (run(model="dense-baseline", recipe=recipe) for recipe in (turned, turned, plain))
    assert _bytes(first) == _bytes(again)
    assert _bytes(first) != _bytes(without)
    (tmp_path / "model.keras").write_bytes(first.model)
    assert predict_with(tmp_path / "model.keras", splits.mine.x) == pytest.approx(first.probabilities_mine, abs=1e-6)
    assert first.parameters == without.parameters


def test_a_model_of_the_users_own_is_trained_and_read_back(
    spec: RunSpec, splits: Splits, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """With a layer that only its code knows; the code is given, never taken from a file beside the model."""
    from training.test_models import OWN

    from erroran.training.predict import measure_latency, predict_with

    own = spec.model_copy(update={"model": "mine.py:build_fn", "source": "ab" * 12})
    run = train(own, splits, tiny_dataset.class_names, source=OWN)
    assert run.parameters == 65 * 3
    file = tmp_path / "model.keras"
    file.write_bytes(run.model)
    (tmp_path / "model.py").write_text("raise SystemExit('executed')")
    assert predict_with(file, splits.mine.x, source=OWN) == pytest.approx(run.probabilities_mine, abs=1e-6)
    latency = measure_latency(file, splits.confirm.x, source=OWN, repeats=3)
    assert 0 < latency.call_ms < latency.predict_ms
    assert latency.images_per_second > 0
