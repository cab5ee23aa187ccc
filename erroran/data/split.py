"""Three parts of a dataset: one to train on, one to find confusions in, one to confirm fixes on."""

import hashlib
from dataclasses import dataclass

import numpy as np

from erroran.data.dataset import Dataset
from erroran.data.ids import choose_by_id
from erroran.errors import BadInput, DatasetError


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that are used together.

    Attributes:
        x: ``uint8`` images of shape (N, H, W, C).
        y: ``int64`` labels of shape (N,).
        ids: Strings of shape (N,), all different.
    """

    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one dataset.

    Attributes:
        train: What networks learn from.
        mine: Taken from the training part; confusions are looked for here.
        confirm: The dataset's own test part; looked at only to judge a fix.
    """

    train: Part
    mine: Part
    confirm: Part


def split_dataset(dataset: Dataset, *, mine_fraction: float = 0.1, fold: tuple[int, int] | None = None) -> Splits:
    """Split by content: the order of samples and seeds change nothing.

    Args:
        dataset: The dataset; its test part becomes ``confirm`` as it is.
        mine_fraction: Share of each class of the training part that becomes ``mine``, in (0, 0.5];
            ``round(mine_fraction * n)`` samples of a class, at least 1.
        fold: ``(k, K)`` makes the k-th of K equal parts of the training part ``mine`` instead, counted from 0; the K
            parts together are the whole training part, each image once.

    Returns:
        Parts in the order of the dataset.

    Raises:
        BadInput: ``mine_fraction`` or ``fold`` is out of range.
        DatasetError: A class has a single training image.
    """
    if not 0 < mine_fraction <= 0.5:
        raise BadInput(
            f"The fraction to mine in is {mine_fraction}; it has to be above 0 and at most 0.5.",
            fix="give a fraction such as 0.1",
        )
    counts = np.bincount(dataset.y_train)
    if fold is not None and not 0 <= fold[0] < fold[1] <= counts.min():
        raise BadInput(
            f"There is no fold {fold[0]} of {fold[1]}: the smallest class has {counts.min()} training images.",
            fix="--out-of-fold with a number from 2 to 20",
        )
    if counts.min() < 2:
        raise DatasetError(
            f"{dataset.source}: class {counts.argmin()} has a single training image, "
            "which cannot be both trained on and mined.",
            fix="add training images of that class, or drop it",
        )
    if fold is None:
        mined = choose_by_id(dataset.train_ids, dataset.y_train, fraction=mine_fraction, purpose="mine")
    else:
        mined = _fold_of(dataset, fold[1]) == fold[0]
    return Splits(
        train=_take(dataset, ~mined),
        mine=_take(dataset, mined),
        confirm=Part(dataset.x_test, dataset.y_test, dataset.test_ids),
    )


def _fold_of(dataset: Dataset, folds: int) -> np.ndarray:
    """Deal the images of each class to the folds, in the order of a hash of their ids."""
    place = [hashlib.blake2b(f"fold:{name}".encode()).digest() for name in dataset.train_ids.tolist()]
    dealt = np.empty(len(place), dtype=np.int64)
    for label in np.unique(dataset.y_train):
        members = sorted(np.flatnonzero(dataset.y_train == label).tolist(), key=place.__getitem__)
        dealt[members] = np.arange(len(members)) % folds
    return dealt


def _take(dataset: Dataset, mask: np.ndarray) -> Part:
    return Part(dataset.x_train[mask], dataset.y_train[mask], dataset.train_ids[mask])
