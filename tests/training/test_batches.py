"""The generator of batches, as a real Keras `fit` consumes it."""

from functools import cache

import numpy as np
import pytest

from erroran.data import Part
from erroran.experiment.change import Step
from erroran.operations.apply import LabelledStep, augment_batch, repeat_weights, resolve_steps
from erroran.operations.keyed import sample_keys
from erroran.training.backend import keras
from erroran.training.batches import AugmentedBatches

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
def _fit(augment: tuple[LabelledStep, ...], batch_size: int) -> list[list[Batch]]:
    """What a fit of three epochs was trained on: epochs of batches of (images, labels)."""
    model = _Recorder()
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", run_eagerly=True)
    batches = _batches(augment, batch_size)
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)
    steps = len(batches)
    assert len(model.seen) == EPOCHS * steps
    return [model.seen[epoch * steps : (epoch + 1) * steps] for epoch in range(EPOCHS)]


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


@pytest.mark.parametrize("batch_size", [7, 50, 64])
def test_fit_trains_on_the_augmented_bytes_of_its_epoch(batch_size: int) -> None:
    """Whatever Keras fetches and calls before it trains, the e-th epoch gets `augment_batch` of epoch e = 1, 2, 3."""
    orders = [_rows(epoch) for epoch in _fit((), batch_size)]
    for number, (epoch, order) in enumerate(zip(_fit(AUGMENT, batch_size), orders, strict=True), start=1):
        images = np.concatenate([images for images, _ in epoch])
        assert images.tobytes() == _augmented(number)[order].tobytes()
        assert np.concatenate([labels for _, labels in epoch]).tolist() == LABELS[order].tolist()


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    """Batches only cut the epoch's order."""
    assert [_rows(epoch) for epoch in _fit((), 7)] == [_rows(epoch) for epoch in _fit((), 50)]


def test_fetching_changes_no_state() -> None:
    """A batch that is fetched twice, or out of order, is the same batch."""
    batches = _batches(AUGMENT, 16)
    first = [batches[i][0].tobytes() for i in range(len(batches))]
    assert [batches[i][0].tobytes() for i in (3, 0, 2, 1, 1)] == [first[i] for i in (3, 0, 2, 1, 1)]


def test_the_order_of_the_dataset_does_not_matter() -> None:
    """The same samples in another order in memory give the same batches."""
    order = np.random.default_rng(9).permutation(N)
    shuffled = AugmentedBatches(Part(IMAGES[order], LABELS[order], IDS[order]), AUGMENT, batch_size=16, seed=SEED)
    for i, batch in enumerate(_batches(AUGMENT, 16)[i] for i in range(4)):
        assert [part.tobytes() for part in shuffled[i]] == [part.tobytes() for part in batch]


def test_shapes_types_and_number_of_batches() -> None:
    """uint8 with a channel axis, the last batch smaller."""
    batches = _batches(AUGMENT, 16)
    assert [batches[i][0].shape for i in range(len(batches))] == [(16, 6, 6, 1)] * 3 + [(2, 6, 6, 1)]
    assert {batches[i][0].dtype for i in range(4)} == {np.dtype(np.uint8)}


def test_another_seed_is_another_order() -> None:
    """The seed keys the order."""
    other = AugmentedBatches(PART, batch_size=50, seed=SEED + 1)
    assert other[0][1].tolist() != _batches((), 50)[0][1].tolist()


def test_repeat_hands_weights_to_keras() -> None:
    """With `repeat` a batch has a third part, the weights of its samples; without, it has two."""
    augment = resolve_steps({"2": (Step(operation="repeat", probability=0.5),)}, NAMES)
    images, labels, weights = _batches(augment, N)[0]
    rows = _rows([(images, labels)])
    assert weights.tolist() == repeat_weights(LABELS, KEYS, augment, seed=SEED, epoch=0)[rows].tolist()
    assert set(weights.tolist()) == {1.0, 2.0}
    assert len(_batches(AUGMENT, N)[0]) == 2


def _weights(repeat: float, class_weights: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    steps = resolve_steps({"1": (Step(operation="repeat", probability=repeat),)}, NAMES)
    batches = AugmentedBatches(PART, steps, batch_size=N, seed=SEED, class_weights=class_weights)
    _, labels, weights = batches[0]
    return labels, weights


def test_class_weights_multiply_the_weights_of_repetitions() -> None:
    """By hand: class 0 weighs 3, class 1 counts twice and weighs 0.5, class 2 weighs 1."""
    labels, weights = _weights(1, (3, 0.5, 1))
    assert weights.tolist() == np.array([3.0, 1.0, 1.0])[labels].tolist()
    assert weights.dtype == np.float32


def test_class_weights_alone_reach_every_batch() -> None:
    """Without `repeat` too; weights that are all 1 are left out, as in a run without them."""
    weighted = AugmentedBatches(PART, batch_size=16, seed=SEED, class_weights=(3, 0.5, 1))
    for _, labels, weights in (weighted[i] for i in range(len(weighted))):
        assert weights.tolist() == np.array([3.0, 0.5, 1.0])[labels].tolist()
    assert len(AugmentedBatches(PART, batch_size=16, seed=SEED, class_weights=(1, 1, 1))[0]) == 2
