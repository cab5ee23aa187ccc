"""Apply the operations of a change to a batch. Random numbers are keyed by sample: which images, which dose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.experiment.change import ALL_CLASSES, Augmentations, Step
from erroran.operations.keyed import keyed_uniform
from erroran.operations.table import OPERATIONS

_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class LabelledStep:
    """One step of a change: the `place`-th (from 1) of class `class_name`; `label` is None for ``all``."""

    class_name: str
    label: int | None
    place: int
    step: Step

    def purpose(self, of: str) -> str:
        """Name of a random number of this step, different for each step."""
        if self.label is None:
            return f"{of} of step {self.place} of all classes"
        # The first step of a class has the name from before classes could have several, so that old runs stay.
        return of if self.place == 1 else f"{of} of step {self.place}"

    def act_on(self, labels: np.ndarray) -> np.ndarray:
        """Which samples have its class; bool (N,)."""
        return np.full(len(labels), True) if self.label is None else np.asarray(labels == self.label)


def resolve_steps(augment: Augmentations, class_names: Sequence[str]) -> tuple[LabelledStep, ...]:
    """The steps of each class in their order, with its label, then those of ``all``.

    Raises:
        ValueError: `class_names` (the name of each label) lacks a class.
    """
    names = list(class_names)
    return tuple(
        LabelledStep(name, None if name == ALL_CLASSES else names.index(name), place, step)
        for name in sorted(augment, key=lambda name: name == ALL_CLASSES)
        for place, step in enumerate(augment[name], start=1)
    )


def augment_batch(
    images: np.ndarray, labels: np.ndarray, keys: np.ndarray, augment: Sequence[LabelledStep], *, seed: int, epoch: int
) -> np.ndarray:
    """Change the images of a batch as in one epoch of training; each step acts on the result of the steps before it.

    The result for a sample depends on (seed, epoch, sample) alone, never on the rest of the batch.

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
        purposes = [labelled.purpose(of) for of in OPERATIONS[labelled.step.operation].draws]
        for index, dose in enumerate(labelled.step.doses):
            rows = np.flatnonzero(chosen == index)
            if not len(rows):
                continue
            draws = [keyed_uniform(seed, epoch, keys[rows], purpose=purpose) for purpose in purposes]
            if changed is images:
                changed = images.copy()
            changed[rows] = apply_dose(changed[rows], labelled.step, dose, np.array(draws).T)
    return changed


def repeat_weights(
    labels: np.ndarray, keys: np.ndarray, augment: Sequence[LabelledStep], *, seed: int, epoch: int
) -> np.ndarray:
    """Weight of each sample in the loss: 2 where one step repeats it, 4 where two steps do, else 1.

    Arguments as in `augment_batch`; float32 (N,).
    """
    weights = np.ones(len(labels), dtype=np.float32)
    for labelled in augment:
        if labelled.step.operation == "repeat":
            weights[choose_doses(labels, keys, labelled, seed=seed, epoch=epoch) >= 0] *= 2
    return weights


def choose_doses(labels: np.ndarray, keys: np.ndarray, labelled: LabelledStep, *, seed: int, epoch: int) -> np.ndarray:
    """Index of the dose that a step applies to each sample (0 for ``repeat``), or -1 where it does not act.

    Arguments as in `augment_batch`, for a single step; int64 (N,).
    """
    step, chosen = labelled.step, np.full(len(labels), -1)
    rows = np.flatnonzero(labelled.act_on(labels))
    rows = rows[keyed_uniform(seed, epoch, keys[rows], purpose=labelled.purpose("apply")) < step.probability]
    which = keyed_uniform(seed, epoch, keys[rows], purpose=labelled.purpose("dose"))
    chosen[rows] = (which * max(1, len(step.doses))).astype(int)
    return chosen


def apply_dose(images: np.ndarray, step: Step, dose: float, draws: np.ndarray | None = None) -> np.ndarray:
    """Apply one dose of one operation (not ``repeat``) to every image.

    Args:
        images: uint8 (N, H, W, C).
        step: The operation.
        dose: One of ``step.doses``, in ``step.unit``.
        draws: float (N, K) in [0, 1), a column for each of the operation's ``draws``: the direction of ``shift``
            (right, down, left, up by quarters), ``slant`` (right, left by halves) and ``rotate`` (left, right by
            halves); points of the stroke for ``swell`` and ``fracture``. Default: evenly spread.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        BadInput: The operation takes grey images only, and these have several channels.
    """
    operation = OPERATIONS[step.operation]
    if operation.apply is None:
        raise ValueError(f"{step.operation} changes no image")
    if draws is None:
        # Multiples of the golden ratio, modulo 1, are evenly spread.
        shape = len(images), len(operation.draws)
        draws = np.arange(np.prod(shape)).reshape(shape) * _GOLDEN_RATIO % 1
    return operation.apply(images, step, dose, draws)
