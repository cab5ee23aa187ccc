"""The custom Keras generator. Imports Keras: import it late."""

from collections.abc import Sequence

import numpy as np

from erroran.operations.apply import LabelledStep, augment_batch, repeat_weights
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.training.backend import keras


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Batches of one run, epoch after epoch; a pure function of (epoch, batch index).

    Keras fetches batches 0 and 1 once before training to infer their signature, and ``fit(shuffle=True)``
    would only permute whole batches. Neither matters here: fetching a batch changes no state, and the order of
    the samples is drawn afresh each epoch. Call ``fit`` with ``shuffle=False``.

    The epochs of a ``fit`` count from 1: Keras calls `on_epoch_end` once more, after those first fetches, so 0 is
    never trained on.

    Args:
        images: uint8 (N, H, W, C).
        labels: int (N,).
        ids: str (N,), content-based sample ids.
        augment: Operations, from `erroran.operations.apply.resolve_steps`; empty for a baseline.
        batch_size: Samples per batch; the last batch may be smaller.
        seed: The run's seed.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        ids: np.ndarray,
        augment: Sequence[LabelledStep],
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._images, self._labels, self._keys = images, labels, sample_keys(ids)
        self._augment, self._batch_size, self._seed = augment, batch_size, seed
        self._start_epoch(0)

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        labels, keys = self._labels[rows], self._keys[rows]
        moment = {"seed": self._seed, "epoch": self.epoch}
        images = augment_batch(self._images[rows], labels, keys, self._augment, **moment)
        batch = images, labels
        if any(labelled.step.operation == "repeat" for labelled in self._augment):
            return *batch, repeat_weights(labels, keys, self._augment, **moment)
        return batch

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this."""
        self._start_epoch(self.epoch + 1)

    def _start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        place = keyed_uniform(self._seed, epoch, self._keys, purpose="order")
        self._order = np.argsort(place, kind="stable")
