"""The Keras generator of batches. Imports Keras: import it inside functions."""

from collections.abc import Sequence

import numpy as np

from erroran.data import Part
from erroran.operations.apply import LabelledStep, augment_batch, repeat_weights
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.training.backend import keras


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Batches of one run; each is a pure function of (seed, epoch, index). Call ``fit`` with ``shuffle=False``.

    A batch is (images, labels), or (images, labels, weights) if some image can have another weight than 1: the
    product of the weights of its class and of its repetitions.

    The epochs of a ``fit`` count from 1: before training Keras fetches batches 0 and 1 to infer their signature, and
    then calls `on_epoch_end`, so it never trains on epoch 0.

    Args:
        part: The training images, uint8 (N, H, W, C), their labels and content-based ids.
        steps: Operations on them, from `erroran.operations.apply.resolve_steps`; empty for a baseline.
        batch_size: Samples per batch; the last batch may be smaller.
        seed: The run's seed.
        class_weights: Weight of each label in the loss; 1 for all by default.
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
        super().__init__(workers=1, use_multiprocessing=False)
        self._part, self._keys = part, sample_keys(part.ids)
        self._steps, self._batch_size, self._seed = steps, batch_size, seed
        uniform = all(weight == 1 for weight in class_weights)
        self._class_weights = None if uniform else np.asarray(class_weights, dtype=np.float32)
        self._repeats = any(labelled.step.operation == "repeat" for labelled in steps)
        self._start_epoch(0)

    def __len__(self) -> int:
        return -(-len(self._part.y) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        labels, keys = self._part.y[rows], self._keys[rows]
        moment = {"seed": self._seed, "epoch": self.epoch}
        images = augment_batch(self._part.read(rows), labels, keys, self._steps, **moment)
        if self._class_weights is None and not self._repeats:
            return images, labels
        weights = repeat_weights(labels, keys, self._steps, **moment)
        return images, labels, weights if self._class_weights is None else weights * self._class_weights[labels]

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this."""
        self._start_epoch(self.epoch + 1)

    def _start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self._order = np.argsort(keyed_uniform(self._seed, epoch, self._keys, purpose="order"), kind="stable")
