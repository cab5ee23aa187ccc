"""The batches of a run, made in blocks of several steps, and how Keras gets them. Imports Keras: import it late."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from erroran.data import Part
from erroran.operations.apply import LabelledStep, augment_batch, repeat_weights
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.training.backend import keras, tf

Block = tuple[np.ndarray, ...]
"""K batches of B samples: images uint8 (K, B, H, W, C), labels (K, B), and perhaps weights float32 (K, B)."""

_PARTS_OF_AN_EPOCH = 20
_BLOCK_BYTES = 2**22
_EVALUATION_PIXELS = 2**20


class AugmentedBatches:
    """Batches of one run; each is a pure function of (seed, epoch, place in the epoch).

    A batch is (images, labels), or (images, labels, weights) if some image can have another weight than 1: the
    product of the weights of its class and of its repetitions.

    Args:
        part: The training images, uint8 (N, H, W, C), their labels and content-based ids.
        steps: Operations on them, from `erroran.operations.apply.resolve_steps`; empty for a baseline.
        batch_size: Samples per batch; the last batch of an epoch may be smaller.
        seed: The run's seed.
        class_weights: Weight of each label in the loss; 1 for all by default.

    Attributes:
        steps_per_epoch: Batches of an epoch.
        steps_per_block: Batches that are handed over, and trained on, at once: a twentieth of an epoch, but at most
            4 MB of images, so that progress, and Ctrl-C, do not wait long for a block of large images.
    """

    def __init__(
        self,
        part: Part,
        steps: Sequence[LabelledStep] = (),
        *,
        batch_size: int,
        seed: int,
        class_weights: Sequence[float] = (),
    ) -> None:
        self._part, self._keys = part, sample_keys(part.ids)
        self._steps, self._batch_size, self._seed = steps, batch_size, seed
        uniform = all(weight == 1 for weight in class_weights)
        self._class_weights = None if uniform else np.asarray(class_weights, dtype=np.float32)
        self._repeats = any(labelled.step.operation == "repeat" for labelled in steps)
        self.steps_per_epoch = -(-len(part.y) // batch_size)
        fitting = _BLOCK_BYTES // (batch_size * int(np.prod(part.image_shape)))
        self.steps_per_block = max(1, min(self.steps_per_epoch // _PARTS_OF_AN_EPOCH, fitting))

    def blocks(self, epoch: int) -> Iterator[Block]:
        """The batches of an epoch, counted from 1, in order; a smaller last batch is a block of its own."""
        order = np.argsort(keyed_uniform(self._seed, epoch, self._keys, purpose="order"), kind="stable")
        for rows, n_batches in _cut(order, self._batch_size, self.steps_per_block):
            labels, keys = self._part.y[rows], self._keys[rows]
            moment = {"seed": self._seed, "epoch": epoch}
            images = augment_batch(self._part.read(rows), labels, keys, self._steps, **moment)
            block = [images, labels]
            if self._class_weights is not None or self._repeats:
                weights = repeat_weights(labels, keys, self._steps, **moment)
                block.append(weights if self._class_weights is None else weights * self._class_weights[labels])
            yield tuple(array.reshape(n_batches, -1, *array.shape[1:]) for array in block)

    def for_fit(self) -> tuple["tf.data.Dataset", "keras.callbacks.Callback"]:
        """What ``fit`` trains on, with ``shuffle=False``, and a callback, which tells it the epoch."""
        current = 0

        def start(epoch: int, _: object = None) -> None:
            nonlocal current
            current = epoch + 1  # Keras counts from 0, and may fetch a batch before the first epoch begins

        dataset = _as_dataset(lambda: self.blocks(current), next(self.blocks(0)), self.steps_per_epoch)
        return dataset, keras.callbacks.LambdaCallback(on_epoch_begin=start)


def evaluation_data(part: Part) -> "tf.data.Dataset":
    """The images and labels of a part for ``evaluate``, in order."""
    size = evaluation_batch_size(part.image_shape)
    return _as_dataset(
        lambda: evaluation_blocks(part, size), next(evaluation_blocks(part, size)), -(-len(part.y) // size)
    )


def evaluation_blocks(part: Part, size: int) -> Iterator[Block]:
    """The images and labels of a part in order, in blocks of one batch of at most `size`."""
    for rows, _ in _cut(np.arange(len(part.y)), size, 1):
        yield part.read(rows)[np.newaxis], part.y[rows][np.newaxis]


def evaluation_batch_size(image_shape: tuple[int, ...]) -> int:
    """Images of shape (H, W, C) that are predicted at once: 1000, but fewer large ones, down to 32."""
    height, width, _ = image_shape
    return max(32, min(1000, _EVALUATION_PIXELS // (height * width)))


def _cut(order: np.ndarray, batch_size: int, steps: int) -> Iterator[tuple[np.ndarray, int]]:
    """Cut the samples into blocks of at most `steps` batches; each is its samples and its number of batches."""
    whole = len(order) - len(order) % batch_size
    for start in range(0, whole, steps * batch_size):
        rows = order[start : min(start + steps * batch_size, whole)]
        yield rows, len(rows) // batch_size
    if whole < len(order):
        yield order[whole:], 1


def _as_dataset(blocks: Callable[[], Iterator[Block]], example: Block, n_batches: int) -> "tf.data.Dataset":
    """A ``tf.data.Dataset`` of `n_batches` single batches, which makes one block ahead."""
    signature = tuple(tf.TensorSpec((None, None, *array.shape[2:]), array.dtype) for array in example)
    dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature).prefetch(1)
    dataset = dataset.flat_map(lambda *block: tf.data.Dataset.from_tensor_slices(block))
    options = tf.data.Options()
    # The autotuner holds back the end of an iterator until its next tick: seconds, whatever the work.
    options.autotune.enabled = False
    return dataset.apply(tf.data.experimental.assert_cardinality(n_batches)).with_options(options)
