"""The batches of a run, as a real Keras `fit` consumes them."""

import hashlib
from functools import cache

import numpy as np
import pytest

from erroran.data import Part
from erroran.experiment.change import Step
from erroran.operations.apply import LabelledStep, augment_batch, repeat_weights, resolve_steps
from erroran.operations.keyed import sample_keys
from erroran.training.backend import keras
from erroran.training.batches import AugmentedBatches, evaluation_batch_size, evaluation_data

N, EPOCHS, SEED = 50, 3, 5
IMAGES = np.random.default_rng(1).integers(0, 256, (N, 6, 6, 1), dtype=np.uint8)
LABELS = np.arange(N) % 3
IDS = np.array([f"{row:016x}" for row in range(N)])
PART = Part(IMAGES, LABELS, IDS)
KEYS = sample_keys(IDS)
ROW = {tuple(pixels): row for row, pixels in enumerate(IMAGES.reshape(N, -1).tolist())}
NAMES = ("0", "1", "2")
AUGMENT = resolve_steps(
    {
        "0": (Step(operation="dilate", radius_px=(0.5, 1), probability=0.5),),
        "1": (Step(operation="erode", radius_px=1, probability=0.5),),
    },
    NAMES,
)
Batch = tuple[np.ndarray, np.ndarray]


class _Recorder(keras.Model):
    """A model that keeps the batch of each training step."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(3, activation="softmax")
        self.seen: list[Batch] = []

    def call(self, images: object) -> object:
        return self.dense(keras.ops.reshape(keras.ops.cast(images, "float32") / 255, (-1, 36)))

    def train_step(self, data: tuple[object, ...]) -> dict[str, object]:
        self.seen.append((keras.ops.convert_to_numpy(data[0]), keras.ops.convert_to_numpy(data[1])))
        return super().train_step(data)


def _batches(augment: tuple[LabelledStep, ...], batch_size: int) -> AugmentedBatches:
    return AugmentedBatches(PART, augment, batch_size=batch_size, seed=SEED)


@cache
def _fit(augment: tuple[LabelledStep, ...], batch_size: int, steps_at_once: int = 1) -> list[list[Batch]]:
    """What a fit of three epochs was trained on: epochs of batches of (images, labels)."""
    model = _Recorder()
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        run_eagerly=True,
        steps_per_execution=steps_at_once,
    )
    batches = _batches(augment, batch_size)
    batches.steps_per_block = steps_at_once
    data, counter = batches.for_fit()
    model.fit(data, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[counter])
    steps = batches.steps_per_epoch
    assert len(model.seen) == EPOCHS * steps
    return [model.seen[epoch * steps : (epoch + 1) * steps] for epoch in range(EPOCHS)]


def _epoch(batches: AugmentedBatches, epoch: int = 1) -> list[tuple[np.ndarray, ...]]:
    """The single batches of an epoch."""
    return [tuple(array[k] for array in block) for block in batches.blocks(epoch) for k in range(len(block[0]))]


def _rows(epoch: list[Batch]) -> list[int]:
    return [ROW[tuple(pixels)] for images, _ in epoch for pixels in images.reshape(len(images), -1).tolist()]


def _augmented(epoch: int) -> np.ndarray:
    return augment_batch(IMAGES, LABELS, KEYS, AUGMENT, seed=SEED, epoch=epoch)


def test_each_epoch_trains_on_each_sample_once_in_its_own_order() -> None:
    """A baseline's three epochs are three different permutations; labels stay with their images."""
    epochs = _fit((), 7)
    orders = [_rows(epoch) for epoch in epochs]
    assert [sorted(order) for order in orders] == [list(range(N))] * EPOCHS
    assert len({tuple(order) for order in orders}) == EPOCHS
    for epoch, order in zip(epochs, orders, strict=True):
        assert np.concatenate([labels for _, labels in epoch]).tolist() == LABELS[order].tolist()


@pytest.mark.parametrize(("batch_size", "steps_at_once"), [(7, 1), (7, 3), (7, 8), (50, 1), (64, 1)])
def test_fit_trains_on_the_augmented_bytes_of_its_epoch(batch_size: int, steps_at_once: int) -> None:
    """Whatever Keras fetches before it trains, the e-th epoch gets `augment_batch` of epoch e = 1, 2, 3.

    With blocks that an epoch is a multiple of, that it is not, and that are as long as an epoch.
    """
    orders = [_rows(epoch) for epoch in _fit((), batch_size)]
    fitted = _fit(AUGMENT, batch_size, steps_at_once)
    for number, (epoch, order) in enumerate(zip(fitted, orders, strict=True), start=1):
        images = np.concatenate([images for images, _ in epoch])
        assert images.tobytes() == _augmented(number)[order].tobytes()
        assert np.concatenate([labels for _, labels in epoch]).tolist() == LABELS[order].tolist()


def test_the_bytes_are_those_of_version_0_3() -> None:
    """Three epochs of all batches, in their order, as the generator made them that augmented batch by batch."""
    digest = hashlib.sha256()
    for epoch in (1, 2, 3):
        for images, labels in _epoch(_batches(AUGMENT, 7), epoch):
            digest.update(images.tobytes() + labels.astype("<i8").tobytes())
    assert digest.hexdigest() == "6585c4f3b4b4c5a09f5c2a635a478b8f699721fc09cc99c9759d471be36c2c4f"


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    """Batches only cut the epoch's order."""
    assert [_rows(epoch) for epoch in _fit((), 7)] == [_rows(epoch) for epoch in _fit((), 50)]


def test_an_epoch_is_the_same_however_often_it_is_made() -> None:
    """Epochs in any order, and blocks of any length."""
    batches, once = _batches(AUGMENT, 16), [_epoch(_batches(AUGMENT, 16), epoch)[0][0].tobytes() for epoch in (1, 2)]
    for steps in (1, 3):
        batches.steps_per_block = steps
        assert [_epoch(batches, epoch)[0][0].tobytes() for epoch in (2, 1, 1)] == [once[1], once[0], once[0]]


def test_the_order_of_the_dataset_does_not_matter() -> None:
    """The same samples in another order in memory give the same batches."""
    order = np.random.default_rng(9).permutation(N)
    shuffled = AugmentedBatches(Part(IMAGES[order], LABELS[order], IDS[order]), AUGMENT, batch_size=16, seed=SEED)
    for batch, other in zip(_epoch(_batches(AUGMENT, 16)), _epoch(shuffled), strict=True):
        assert [part.tobytes() for part in other] == [part.tobytes() for part in batch]


def test_shapes_types_and_number_of_batches() -> None:
    """uint8 with a channel axis, the last batch smaller."""
    batches = _batches(AUGMENT, 16)
    assert batches.steps_per_epoch == 4
    assert [images.shape for images, _ in _epoch(batches)] == [(16, 6, 6, 1)] * 3 + [(2, 6, 6, 1)]
    assert {images.dtype for images, _ in _epoch(batches)} == {np.dtype(np.uint8)}


def test_a_block_is_a_twentieth_of_an_epoch_and_at_most_4_mb() -> None:
    """By hand: 422 steps of MNIST make 21 a block; 128 images of 64 x 64 x 3 are 1.5 MB, so two; never none."""

    def block(shape: tuple[int, ...], n: int) -> int:
        images = np.broadcast_to(np.uint8(0), (n, *shape))
        part = Part(images, np.zeros(n, dtype=np.int64), np.array([f"{row:016x}" for row in range(n)]))
        return AugmentedBatches(part, batch_size=128, seed=0).steps_per_block

    assert [block((28, 28, 1), 54_000), block((64, 64, 3), 54_000)] == [21, 2]
    assert [block((28, 28, 1), 500), block((512, 512, 3), 10_000)] == [1, 1]


def test_evaluation_takes_all_images_in_order() -> None:
    """Once each, with their labels; larger images in smaller batches."""
    found = list(evaluation_data(PART.take(np.arange(N)[::-1])).as_numpy_iterator())
    assert np.concatenate([images for images, _ in found]).tobytes() == IMAGES[::-1].tobytes()
    assert np.concatenate([labels for _, labels in found]).tolist() == LABELS[::-1].tolist()
    assert [evaluation_batch_size((side, side, 1)) for side in (28, 64, 128, 1000)] == [1000, 256, 64, 32]


def test_another_seed_is_another_order() -> None:
    """The seed keys the order."""
    other = AugmentedBatches(PART, batch_size=50, seed=SEED + 1)
    assert _epoch(other)[0][1].tolist() != _epoch(_batches((), 50))[0][1].tolist()


def test_repeat_hands_weights_to_keras() -> None:
    """With `repeat` a batch has a third part, the weights of its samples; without, it has two."""
    augment = resolve_steps({"2": (Step(operation="repeat", probability=0.5),)}, NAMES)
    images, labels, weights = _epoch(_batches(augment, N))[0]
    rows = _rows([(images, labels)])
    assert weights.tolist() == repeat_weights(LABELS, KEYS, augment, seed=SEED, epoch=1)[rows].tolist()
    assert set(weights.tolist()) == {1.0, 2.0}
    assert len(_epoch(_batches(AUGMENT, N))[0]) == 2


def _weights(repeat: float, class_weights: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    steps = resolve_steps({"1": (Step(operation="repeat", probability=repeat),)}, NAMES)
    batches = AugmentedBatches(PART, steps, batch_size=N, seed=SEED, class_weights=class_weights)
    _, labels, weights = _epoch(batches)[0]
    return labels, weights


def test_class_weights_multiply_the_weights_of_repetitions() -> None:
    """By hand: class 0 weighs 3, class 1 counts twice and weighs 0.5, class 2 weighs 1."""
    labels, weights = _weights(1, (3, 0.5, 1))
    assert weights.tolist() == np.array([3.0, 1.0, 1.0])[labels].tolist()
    assert weights.dtype == np.float32


def test_class_weights_alone_reach_every_batch() -> None:
    """Without `repeat` too; weights that are all 1 are left out, as in a run without them."""
    weighted = AugmentedBatches(PART, batch_size=16, seed=SEED, class_weights=(3, 0.5, 1))
    for _, labels, weights in _epoch(weighted):
        assert weights.tolist() == np.array([3.0, 0.5, 1.0])[labels].tolist()
    assert len(_epoch(AugmentedBatches(PART, batch_size=16, seed=SEED, class_weights=(1, 1, 1)))[0]) == 2
