"""Apply a spec's augmentation to a batch: who is changed, by which dose, is keyed per sample."""

from collections.abc import Callable, Mapping

import numpy as np

from erroran.experiment.change import Step
from erroran.operations import geometry, morphology, perturbations
from erroran.operations.keyed import keyed_uniform

PLACES = 10
"""Random places drawn for an image: as many as ``fracture`` may need."""

_Operation = Callable[..., np.ndarray]
_MORPHOLOGY: dict[str, _Operation] = {
    "dilate": morphology.dilate,
    "erode": morphology.erode,
    "open": morphology.open_strokes,
    "close": morphology.close_gaps,
}
_WITH_KERNEL: dict[str, _Operation] = {
    "dilate": morphology.dilate_with_kernel,
    "erode": morphology.erode_with_kernel,
}
_OPPOSITE = {"dilate": "erode", "erode": "dilate"}
_AMOUNT: dict[str, _Operation] = {"thin": perturbations.thin_strokes, "thicken": perturbations.thicken_strokes}
_ANGLE: dict[str, _Operation] = {"rotate": geometry.rotate, "slant": geometry.slant}
_NEEDS_PLACES = ("swell", "fracture")


def augment_batch(
    images: np.ndarray,
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, Step],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Change the images of a batch as one epoch of training sees them.

    The result for a sample depends on (seed, epoch, sample) alone, never on the rest of the batch.

    Args:
        images: uint8 (N, H, W); not modified.
        labels: int (N,).
        keys: uint64 (N,), from `erroran.operations.keyed.sample_keys`.
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
                places = None
                if step.operation in _NEEDS_PLACES:
                    draws = [keyed_uniform(seed, epoch, keys[rows], purpose=f"place {i}") for i in range(PLACES)]
                    places = np.stack(draws, axis=1)
                changed[rows] = apply_dose(images[rows], step, dose, directions=directions, places=places)
    return changed


def repeat_weights(
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, Step],
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
    augment: Mapping[int, Step],
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
    step: Step,
    dose: float,
    *,
    directions: np.ndarray | None = None,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """Apply one dose of one operation to every image.

    Args:
        images: uint8 (N, H, W).
        step: The operation.
        dose: One of ``step.doses``, in ``step.unit``.
        directions: float (N,) in [0, 1), for ``shift`` (right, down, left, up by quarters) and for ``rotate`` and
            ``slant`` (left, right by halves); default: all 0.
        places: float (N, `PLACES`) in [0, 1), for ``swell`` and ``fracture``; default: spread evenly.

    Returns:
        uint8 (N, H, W).
    """
    if directions is None:
        directions = np.zeros(len(images))
    if places is None:
        # Multiples of the golden ratio, modulo 1, stay clear of each other.
        places = np.arange(len(images) * PLACES).reshape(-1, PLACES) * 0.6180339887498949 % 1
    if step.operation in _MORPHOLOGY:
        return _apply_morphology(images, step, dose)
    if step.operation in _AMOUNT:
        return _AMOUNT[step.operation](images, amount=dose, ink=step.ink)
    if step.operation in _NEEDS_PLACES:
        return _apply_somewhere(images, step, dose, places)
    if step.operation == "shift":
        return geometry.shift(images, pixels=int(dose), direction=(directions * 4).astype(int), ink=step.ink)
    if step.operation == "scale":
        return geometry.scale(images, factor=dose, ink=step.ink)
    signs = np.where(directions < 0.5, 1, -1)
    return _ANGLE[step.operation](images, degrees=dose * signs, ink=step.ink)


def _apply_somewhere(images: np.ndarray, step: Step, dose: float, places: np.ndarray) -> np.ndarray:
    if step.operation == "swell":
        return perturbations.swell(images, places=places, strength=dose, ink=step.ink)
    return perturbations.fracture(images, places=places, count=int(dose), ink=step.ink)


def _apply_morphology(images: np.ndarray, step: Step, dose: float) -> np.ndarray:
    if step.kernel_px:
        with_kernel = _WITH_KERNEL[step.operation if step.ink == "bright" else _OPPOSITE[step.operation]]
        return with_kernel(images, kernel_px=int(dose))
    operation = _MORPHOLOGY[step.operation]
    if step.stroke_fraction:
        radii = morphology.stroke_radii(images, stroke_fraction=dose, ink=step.ink)
        return morphology.apply_per_radius(images, operation, radii, shape=step.shape, ink=step.ink)
    return operation(images, radius_px=dose, shape=step.shape, ink=step.ink)
