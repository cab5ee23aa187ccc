"""Three parts of a dataset: one to train on, one to find confusions in, one to confirm fixes on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from erroran.data.dataset import Dataset
from erroran.data.ids import choose_fraction, count_different, groups_in_hash_order, strip_copy_numbers
from erroran.errors import BadInput, DatasetError


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that are used together. Their images may lie on disk: `x` reads all of them, `read` some.

    Attributes:
        images: ``uint8`` of shape (M, H, W, C), possibly memory-mapped; holds the samples' images and maybe others.
        y: ``int64`` labels of shape (N,).
        ids: Strings of shape (N,), all different.
        rows: ``int64`` of shape (N,): where each sample's image is in `images`; None if these are `images` as they are.
    """

    images: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    rows: np.ndarray | None = None

    @cached_property
    def x(self) -> np.ndarray:
        """All images, ``uint8`` of shape (N, H, W, C)."""
        return self.images if self.rows is None else np.asarray(self.images[self.rows])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C), without reading an image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def read(self, which: np.ndarray) -> np.ndarray:
        """The images of some samples, ``uint8`` of shape (n, H, W, C).

        Args:
            which: Places of the samples in this part, integers of shape (n,).
        """
        return np.asarray(self.images[which if self.rows is None else self.rows[which]])

    def take(self, which: np.ndarray) -> "Part":
        """A part of some samples; reads no image.

        Args:
            which: Booleans of shape (N,), or places in this part, integers of shape (n,).
        """
        rows = np.arange(len(self.y)) if self.rows is None else self.rows
        return Part(self.images, self.y[which], self.ids[which], rows[which])


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
    """Split by content: the order of samples and seeds change nothing, and copies of an image stay together.

    Training images that are also in the test part, pixel by pixel, are in neither ``train`` nor ``mine``: a network
    that has learned them by heart gets them right in ``confirm``, and the test part of a published dataset should stay
    whole, so that accuracies can be compared with others.

    Args:
        dataset: The dataset; its test part becomes ``confirm`` as it is.
        mine_fraction: Share of each class of the training part that becomes ``mine``, in (0, 0.5]; see
            `erroran.data.ids.choose_fraction` for how it is rounded.
        fold: ``(k, K)`` makes the k-th of K equal parts of the training part ``mine`` instead, counted from 0; the K
            parts together are the whole training part, each image once.

    Returns:
        Parts in the order of the dataset.

    Raises:
        BadInput: ``mine_fraction`` or ``fold`` is out of range.
        DatasetError: A class has no two different training images.
    """
    if not 0 < mine_fraction <= 0.5:
        raise BadInput(
            f"The fraction to mine in is {mine_fraction}; it has to be above 0 and at most 0.5.",
            fix="give a fraction such as 0.1",
        )
    groups = strip_copy_numbers(dataset.train_ids)
    unseen = np.flatnonzero(~np.isin(groups, strip_copy_numbers(dataset.test_ids)))
    groups, labels = groups[unseen], dataset.y_train[unseen]
    different = count_different(groups, labels)
    if different.min() < 2:
        raise DatasetError(
            f"{dataset.source}: class {dataset.class_names[different.argmin()]} has {different.min()} different "
            "training images that are not in the test part; two are needed, one to train on and one to mine.",
            fix="add training images of that class, or drop it",
        )
    if fold is not None and not 0 <= fold[0] < fold[1] <= different.min():
        raise BadInput(
            f"There is no fold {fold[0]} of {fold[1]}: the smallest class has {different.min()} different "
            "training images.",
            fix="--out-of-fold with a number from 2 to 20",
        )
    if fold is None:
        mined = choose_fraction(groups, labels, fraction=mine_fraction, purpose="mine")
    else:
        mined = _deal_folds(groups, labels, fold[1]) == fold[0]
    whole = Part(dataset.x_train, dataset.y_train, dataset.train_ids)
    return Splits(
        train=whole.take(unseen[~mined]),
        mine=whole.take(unseen[mined]),
        confirm=Part(dataset.x_test, dataset.y_test, dataset.test_ids),
    )


def validation_part(train: Part, *, fraction: float = 0.1) -> tuple[Part, Part]:
    """Divide a training part, for what training itself decides: when to stop, which epoch's weights to keep.

    These decisions must not be made on `mine`, which counts as held out. The division depends on the content alone, so
    every seed has the same; copies of an image stay together. Divide the part before a treatment changes it
    (`erroran.data.change_train`), so that both arms are stopped by the same images with their own labels.

    Args:
        train: From `split_dataset`.
        fraction: Share of each class for validation, in (0, 1); see `erroran.data.ids.choose_fraction`.

    Returns:
        What is trained on, and the validation part.

    Raises:
        DatasetError: No class has two different images.
    """
    stop = choose_fraction(strip_copy_numbers(train.ids), train.y, fraction=fraction, purpose="stop")
    if not stop.any():
        raise DatasetError(
            "The training images are too few to set some aside for early stopping: no class has two different ones.",
            fix="choose a recipe without early stopping, or add training images",
        )
    return train.take(~stop), train.take(stop)


def _deal_folds(groups: np.ndarray, labels: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each image: groups of copies go, in hash order, where the fewest images of their classes are."""
    known = labels.tolist()
    counts = [[0] * folds for _ in range(max(known) + 1)]
    dealt = np.empty(len(known), dtype=np.int64)
    for rows in groups_in_hash_order(groups, purpose="fold"):
        of_classes = [counts[known[row]] for row in rows]
        in_folds = [sum(images) for images in zip(*of_classes, strict=True)]
        fold = in_folds.index(min(in_folds))
        dealt[rows] = fold
        for of_class in of_classes:
            of_class[fold] += 1
    return dealt
