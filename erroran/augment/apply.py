"""Apply a spec's augmentation to a batch: who is changed, by which dose, is keyed per sample."""

from collections.abc import Mapping

import numpy as np

from erroran.augment import morphology
from erroran.augment.hypothesis import ClassAugmentation
from erroran.augment.keyed import keyed_uniform

_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def augment_batch(
    images: np.ndarray,
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, ClassAugmentation],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Change the images of a batch as one epoch of training sees them.

    The result for a sample depends on (seed, epoch, sample) alone, never on the rest of the batch.

    Args:
        images: uint8 (N, H, W); not modified.
        labels: int (N,).
        keys: uint64 (N,), from `erroran.augment.keyed.sample_keys`.
        augment: Label to what happens to its images.
        seed: The run's seed.
        epoch: Counted from 1 in training.

    Returns:
        uint8 (N, H, W); `images` itself when nothing is changed.
    """
    chosen = choose_doses(labels, keys, augment, seed=seed, epoch=epoch)
    if not (chosen >= 0).any():
        return images
    changed = images.copy()
    for label, step in augment.items():
        for index, dose in enumerate(step.doses):
            rows = np.flatnonzero((labels == label) & (chosen == index))
            if len(rows):
                directions = keyed_uniform(seed, epoch, keys[rows], purpose="direction")
                changed[rows] = apply_dose(images[rows], step, dose, directions=directions)
    return changed


def repeat_weights(
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, ClassAugmentation],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Weigh the samples that ``repeat`` counts twice. Arguments as in `augment_batch`.

    Returns:
        float32 (N,): 2 where a sample is repeated, else 1.
    """
    repeating = [label for label, step in augment.items() if step.operation == "repeat"]
    chosen = choose_doses(labels, keys, augment, seed=seed, epoch=epoch)
    return np.where((chosen >= 0) & np.isin(labels, repeating), 2, 1).astype(np.float32)


def choose_doses(
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, ClassAugmentation],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Say which samples are changed, and by which of their class's doses.

    Arguments as in `augment_batch`.

    Returns:
        int64 (N,): the index of the dose (0 for ``repeat``), or -1 where the image stays as it is.
    """
    chance = keyed_uniform(seed, epoch, keys, purpose="apply")
    which = keyed_uniform(seed, epoch, keys, purpose="dose")
    chosen = np.full(len(labels), -1)
    for label, step in augment.items():
        rows = (labels == label) & (chance < step.probability)
        chosen[rows] = (which[rows] * max(1, len(step.doses))).astype(int)
    return chosen


def apply_dose(
    images: np.ndarray,
    step: ClassAugmentation,
    dose: float,
    *,
    directions: np.ndarray | None = None,
) -> np.ndarray:
    """Apply one dose of one operation to every image.

    Args:
        images: uint8 (N, H, W).
        step: The operation.
        dose: One of ``step.doses``, in pixels.
        directions: float (N,) in [0, 1), needed for ``shift``: right, down, left, up by quarters.

    Returns:
        uint8 (N, H, W).
    """
    if step.operation == "shift":
        if directions is None:
            directions = np.zeros(len(images))
        return _shift(images, int(dose), (directions * 4).astype(int))
    if step.kernel_px:
        by_kernel = {"dilate": morphology.dilate_with_kernel, "erode": morphology.erode_with_kernel}
        return by_kernel[step.operation](images, kernel_px=int(dose))
    by_radius = {"dilate": morphology.dilate, "erode": morphology.erode}
    return by_radius[step.operation](images, radius_px=dose, shape=step.shape)


def _shift(images: np.ndarray, pixels: int, direction: np.ndarray) -> np.ndarray:
    shifted = np.empty_like(images)
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    for which, (down, right) in enumerate(_DIRECTIONS):
        rows = direction == which
        top, left = pixels * (1 - down), pixels * (1 - right)
        shifted[rows] = padded[rows, top : top + height, left : left + width]
    return shifted
