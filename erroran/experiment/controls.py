"""Control arms: changes derived from a hypothesis that test other explanations of its result."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from erroran.errors import BadInput
from erroran.experiment.change import ALL_CLASSES, Augmentations, Change, Step
from erroran.experiment.hypothesis import Hypothesis

TRAINED_CONTROLS = ("sham", "swapped", "same-op", "brightness", "oversample")
CONTROLS = (*TRAINED_CONTROLS, "logit-shift")
DEFAULT_CONTROLS = ("sham", "logit-shift")


FindGains = Callable[[str, Step], tuple[float, ...]]
"""A class name (or ``all``) and a step on its images, to one gain of ``brighten`` for each dose."""


@dataclass(frozen=True)
class Controls:
    """The controls of a hypothesis.

    Attributes:
        arms: Name of each control that has to be trained, to its change.
        not_applicable: Name of each control that does not apply to this hypothesis, to the reason.
    """

    arms: dict[str, Change] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)


class _NotApplicable(Exception):
    """A control does not apply to a change; the text is the reason."""


def parse_controls(text: str) -> tuple[str, ...]:
    """Read ``all``, ``none``, ``default`` or a comma-separated list of control names.

    Raises:
        BadInput: A name is unknown.
    """
    named = {"all": CONTROLS, "none": (), "default": DEFAULT_CONTROLS}
    if text in named:
        return named[text]
    chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    unknown = [name for name in chosen if name not in CONTROLS]
    if unknown:
        raise BadInput(
            f"There is no control `{unknown[0]}`.",
            fix=f"--controls all, none, or a list of: {', '.join(CONTROLS)}",
        )
    return chosen


def build_controls(hypothesis: Hypothesis, names: Sequence[str], find_gains: FindGains) -> Controls:
    """Build the change of each control that has to be trained.

    Args:
        hypothesis: The spec.
        names: Of the controls.
        find_gains: Gives the gains of ``brighten`` that change the ink of a class as much as the doses of a step do.

    A control replaces the operations on images; model, recipe, weights and data are those of the treatment.

    - ``sham`` shifts images of the same classes by 1 px at the rate at which the operations change images.
    - ``swapped`` exchanges the operations between the treated classes. A single treated class gets the opposite
      operation.
    - ``same-op`` gives both classes of the pair the true class's operations, so that the result of an operation
      (such as stroke thickness) does not predict the label.
    - ``brightness`` changes the sum of the ink as the operations do, as far as pixels can hold it. At large gains the
      edges of strokes saturate, so that they are thicker too; at gains below 1 the shape stays as it is.
    - ``oversample`` counts the same images twice, unchanged.

    ``logit-shift`` is left out: it trains nothing and always applies.
    """
    found = Controls()
    for name in names:
        if name not in TRAINED_CONTROLS:
            continue
        try:
            augment = _brightness(hypothesis, find_gains) if name == "brightness" else _BUILDERS[name](hypothesis)
        except _NotApplicable as reason:
            found.not_applicable[name] = str(reason)
            continue
        if augment == hypothesis.augment:
            found.not_applicable[name] = "it would be the treatment itself"
        else:
            found.arms[name] = hypothesis.change.model_copy(update={"augment": augment})
    return found


def _sham(hypothesis: Hypothesis) -> Augmentations:
    _need_operations(hypothesis)
    return {
        name: (Step(operation="shift", radius_px=(1,), probability=_rate(steps), ink=steps[0].ink),)
        for name, steps in hypothesis.augment.items()
    }


def _swapped(hypothesis: Hypothesis) -> Augmentations:
    own = _need_classes(hypothesis)
    names = list(own)
    rest = {name: steps for name, steps in hypothesis.augment.items() if name == ALL_CLASSES}
    if len(own) == 1:
        return {names[0]: tuple(map(_opposite, own[names[0]])), **rest}
    # Each class gets the operations of the next one; a single operation keeps the rate of the class that gets it.
    swapped = {}
    for i, name in enumerate(names):
        taken = own[names[(i + 1) % len(names)]]
        if len(taken) == len(own[name]) == 1:
            taken = (taken[0].model_copy(update={"probability": own[name][0].probability}),)
        swapped[name] = taken
    return swapped | rest


def _same_op(hypothesis: Hypothesis) -> Augmentations:
    own = _need_classes(hypothesis)
    steps = own.get(hypothesis.pair.true) or next(iter(own.values()))
    return {**hypothesis.augment, **dict.fromkeys(hypothesis.pair.classes, steps)}


def _oversample(hypothesis: Hypothesis) -> Augmentations:
    return {
        name: (Step(operation="repeat", probability=_rate(steps)),) for name, steps in _need_classes(hypothesis).items()
    }


def _brightness(hypothesis: Hypothesis, find_gains: FindGains) -> Augmentations:
    _need_operations(hypothesis)
    found = {
        name: tuple(_match(name, step, find_gains) for step in steps) for name, steps in hypothesis.augment.items()
    }
    if all(gain == 1 for steps in found.values() for step in steps for gain in step.gain or ()):
        raise _NotApplicable("the operations do not change the sum of the ink")
    return found


def _match(name: str, step: Step, find_gains: FindGains) -> Step:
    if not step.doses:
        raise _NotApplicable(f"{step.operation} does not change the ink")
    return Step(operation="brighten", gain=find_gains(name, step), probability=step.probability, ink=step.ink)


_BUILDERS: dict[str, Callable[[Hypothesis], Augmentations]] = {
    "sham": _sham,
    "swapped": _swapped,
    "same-op": _same_op,
    "oversample": _oversample,
}


def _need_operations(hypothesis: Hypothesis) -> None:
    if not hypothesis.augment:
        raise _NotApplicable("the change applies no operation to images")


def _need_classes(hypothesis: Hypothesis) -> Augmentations:
    _need_operations(hypothesis)
    own = {name: steps for name, steps in hypothesis.augment.items() if name != ALL_CLASSES}
    if not own:
        raise _NotApplicable("the operations are the same for all classes")
    return own


def _rate(steps: Sequence[Step]) -> float:
    """Share of the images that at least one of the operations changes; a kernel of side 1 changes none."""
    changed = [step.probability * (1 - (step.kernel_px or ()).count(1) / max(1, len(step.doses))) for step in steps]
    return changed[0] if len(changed) == 1 else 1 - math.prod(1 - rate for rate in changed)


def _opposite(step: Step) -> Step:
    if step.opposite is None:
        raise _NotApplicable(f"{step.operation} has no opposite")
    return step.opposite
