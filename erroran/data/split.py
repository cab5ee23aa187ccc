"""The split of a dataset: `train` to train on, `mine` to find confusions in, `confirm` to confirm fixes on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from erroran.data.dataset import Dataset
from erroran.data.ids import choose_fraction, count_different, groups_in_hash_order, strip_copy_numbers
from erroran.errors import BadInput, DatasetError


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that are used together. Their images may be on disk: `x` reads all of them, `read` some.

    Attributes:
        images: ``uint8`` (M, H, W, C), possibly memory-mapped; may hold images of other samples, too.
        y: ``int64`` labels (N,).
        ids: Strings (N,), all different.
        rows: ``int64`` (N,): where each sample's image is in `images`; None for all of `images` in order.
    """

    images: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    rows: np.ndarray | None = None

    @cached_property
    def x(self) -> np.ndarray:
        """All images, ``uint8`` (N, H, W, C)."""
        return self.images if self.rows is None else np.asarray(self.images[self.rows])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C), without reading an image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def read(self, which: np.ndarray) -> np.ndarray:
        """The images of some samples, given by their places in this part (n,): ``uint8`` (n, H, W, C)."""
        return np.asarray(self.images[which if self.rows is None else self.rows[which]])

    def take(self, which: np.ndarray) -> "Part":
        """A part of some samples, given by booleans (N,) or by places (n,); reads no image."""
        rows = np.arange(len(self.y)) if self.rows is None else self.rows
        return Part(self.images, self.y[which], self.ids[which], rows[which])


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one dataset.

    Attributes:
        train: Models are trained on it.
        mine: From the dataset's training part; confusions are looked for in it.
        confirm: The dataset's test part; only the judgement of a fix looks at it.
    """

    train: Part
    mine: Part
    confirm: Part


def split_dataset(dataset: Dataset, *, mine_fraction: float = 0.1, fold: tuple[int, int] | None = None) -> Splits:
    """Split by content, not by the order of samples or a seed; copies of an image stay together.

    Training images that are also in the test part are in neither ``train`` nor ``mine``: a model that memorised them
    would get them right in ``confirm``. They are not taken out of ``confirm``, because accuracies on a published test
    part should stay comparable.

    Args:
        dataset: The dataset; its whole test part becomes ``confirm``.
        mine_fraction: Share of each class of the training part that becomes ``mine``, in (0, 0.5], rounded as in
            `erroran.data.ids.choose_fraction`.
        fold: ``(k, n)`` makes the k-th of n equal parts of the training part ``mine`` instead, counted from 0; each
            training image is in exactly one of the n parts.

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
    """Divide a training part into what is trained on and a validation part that decides when to stop.

    `mine` must not decide it, because it counts as held out. The division is the same for every seed; copies of an
    image stay together. Divide the part before `change_train` changes it, so that the same images with their original
    labels stop both arms.

    Args:
        train: From `split_dataset`.
        fraction: Share of each class for validation, in (0, 1), rounded as in `erroran.data.ids.choose_fraction`.

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
    """The fold of each image. In hash order, copies go to the fold with the fewest images of their classes."""
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
