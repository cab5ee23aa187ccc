"""Apply the operations of a change to a batch: which images, by which dose, is keyed per sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.experiment.change import ALL_CLASSES, Augmentations, Step
from erroran.operations.keyed import keyed_uniform
from erroran.operations.table import OPERATIONS

_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class LabelledStep:
    """One step of a change, with the label that it acts on.

    Attributes:
        class_name: The class, or ``all``.
        label: Label of the class; None for all labels.
        place: Place among the steps of its class, from 1.
        step: The operation.
    """

    class_name: str
    label: int | None
    place: int
    step: Step

    def purpose(self, of: str) -> str:
        """Name of a random number of this step, so that each step is drawn for itself.

        That of the first step of a class is `of` alone, as before classes could have several steps.
        """
        if self.label is None:
            return f"{of} of step {self.place} of all classes"
        return of if self.place == 1 else f"{of} of step {self.place}"

    def act_on(self, labels: np.ndarray) -> np.ndarray:
        """Which samples have its class; bool (N,)."""
        return np.full(len(labels), True) if self.label is None else np.asarray(labels == self.label)


def resolve_steps(augment: Augmentations, class_names: Sequence[str]) -> tuple[LabelledStep, ...]:
    """Resolve the names of classes to labels, and put the steps in the order in which they are applied.

    Args:
        augment: Class name (or ``all``) to its steps, in order.
        class_names: Name of each label.

    Returns:
        The steps of each class in their order, then those of ``all``.

    Raises:
        ValueError: `class_names` lacks a class.
    """
    labels: dict[str, int | None] = {name: list(class_names).index(name) for name in augment if name != ALL_CLASSES}
    labels |= {name: None for name in augment if name == ALL_CLASSES}
    return tuple(
        LabelledStep(name, label, place, step)
        for name, label in labels.items()
        for place, step in enumerate(augment[name], start=1)
    )


def augment_batch(
    images: np.ndarray,
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Sequence[LabelledStep],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Change the images of a batch as one epoch of training sees them.

    Each step is given what the steps before it made of an image. The result for a sample depends on (seed, epoch,
    sample) alone, never on the rest of the batch.

    Args:
        images: uint8 (N, H, W, C); not modified.
        labels: int (N,).
        keys: uint64 (N,), from `erroran.operations.keyed.sample_keys`.
        augment: From `resolve_steps`.
        seed: The run's seed.
        epoch: Counted from 1 in training.

    Returns:
        uint8 (N, H, W, C); `images` itself when nothing is changed.

    Raises:
        BadInput: An operation takes grey images only, and these have several channels.
    """
    changed = images
    for labelled in augment:
        chosen = choose_doses(labels, keys, labelled, seed=seed, epoch=epoch)
        for index, dose in enumerate(labelled.step.doses):
            rows = np.flatnonzero(chosen == index)
            if not len(rows):
                continue
            draws = [
                keyed_uniform(seed, epoch, keys[rows], purpose=labelled.purpose(of))
                for of in OPERATIONS[labelled.step.operation].draws
            ]
            if changed is images:
                changed = images.copy()
            changed[rows] = apply_dose(changed[rows], labelled.step, dose, np.array(draws).T)
    return changed


def repeat_weights(
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Sequence[LabelledStep],
    *,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Weigh the samples that ``repeat`` counts twice. Arguments as in `augment_batch`.

    Returns:
        float32 (N,): 2 where one step repeats a sample, 4 where two steps do, else 1.
    """
    weights = np.ones(len(labels), dtype=np.float32)
    for labelled in augment:
        if labelled.step.operation == "repeat":
            weights[choose_doses(labels, keys, labelled, seed=seed, epoch=epoch) >= 0] *= 2
    return weights


def choose_doses(labels: np.ndarray, keys: np.ndarray, labelled: LabelledStep, *, seed: int, epoch: int) -> np.ndarray:
    """Say which samples a step changes, and by which of its doses.

    Arguments as in `augment_batch`, but for a single step.

    Returns:
        int64 (N,): the index of the dose (0 for ``repeat``), or -1 where the step leaves the image as it is.
    """
    step, chosen = labelled.step, np.full(len(labels), -1)
    rows = np.flatnonzero(labelled.act_on(labels))
    rows = rows[keyed_uniform(seed, epoch, keys[rows], purpose=labelled.purpose("apply")) < step.probability]
    which = keyed_uniform(seed, epoch, keys[rows], purpose=labelled.purpose("dose"))
    chosen[rows] = (which * max(1, len(step.doses))).astype(int)
    return chosen


def apply_dose(images: np.ndarray, step: Step, dose: float, draws: np.ndarray | None = None) -> np.ndarray:
    """Apply one dose of one operation to every image.

    Args:
        images: uint8 (N, H, W, C).
        step: The operation; not ``repeat``.
        dose: One of ``step.doses``, in ``step.unit``.
        draws: float (N, K) in [0, 1), a column for each of the operation's ``draws``: the direction of ``shift``
            (right, down, left, up by quarters), of ``slant`` (right, left by halves) and ``rotate`` (left, right by
            halves) where the step names no side; points of the stroke for ``swell`` and ``fracture``. Default: spread
            evenly.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        BadInput: The operation takes grey images only, and these have several channels.
    """
    operation = OPERATIONS[step.operation]
    if operation.carry_out is None:
        raise ValueError(f"{step.operation} changes no image")
    if draws is None:
        # Multiples of the golden ratio, modulo 1, stay clear of each other.
        shape = len(images), len(operation.draws)
        draws = np.arange(np.prod(shape)).reshape(shape) * _GOLDEN_RATIO % 1
    return operation.carry_out(images, step, dose, draws)
