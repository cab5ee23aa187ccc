"""Control arms: what else could explain a change, made from the hypothesis itself."""

from collections.abc import Sequence

from erroran.errors import BadInput
from erroran.experiment.hypothesis import ClassAugmentation, Hypothesis

Augmentations = dict[str, ClassAugmentation]

TRAINED_CONTROLS = ("sham", "swapped", "same-op", "oversample")
CONTROLS = (*TRAINED_CONTROLS, "logit-shift")
DEFAULT_CONTROLS = ("sham", "logit-shift")

_PAIRS = (("dilate", "erode"), ("open", "close"), ("thin", "thicken"))
_OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}


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


def control_arms(hypothesis: Hypothesis, controls: Sequence[str]) -> dict[str, Augmentations]:
    """Build the augmentation of each control that has to be trained.

    - ``sham`` shifts the same classes' images by 1 px at the same rate: a harmless change.
    - ``swapped`` exchanges the operations between the two classes of the pair. With one class treated, that class
      gets the opposite operation.
    - ``same-op`` gives both classes of the pair the true class's operation, so that stroke thickness cannot come
      to predict the label.
    - ``oversample`` counts the same images twice, unchanged.

    Args:
        hypothesis: What is tested.
        controls: Names from `CONTROLS`; ``logit-shift`` trains nothing and is passed over.

    Returns:
        Control name to class name to augmentation.
    """
    builders = {"sham": _sham, "swapped": _swapped, "same-op": _same_op, "oversample": _oversample}
    return {name: builders[name](hypothesis) for name in controls if name in builders}


def _sham(hypothesis: Hypothesis) -> Augmentations:
    return {
        name: ClassAugmentation(operation="shift", radius_px=(1,), probability=step.probability, ink=step.ink)
        for name, step in hypothesis.augment.items()
    }


def _swapped(hypothesis: Hypothesis) -> Augmentations:
    steps = hypothesis.augment
    if len(steps) == 1:
        ((name, step),) = steps.items()
        return {name: step.model_copy(update={"operation": _OPPOSITE.get(step.operation, step.operation)})}
    names = list(steps)
    # Each class takes the step of the next one; its own rate stays.
    return {
        name: steps[names[(i + 1) % len(names)]].model_copy(update={"probability": steps[name].probability})
        for i, name in enumerate(names)
    }


def _same_op(hypothesis: Hypothesis) -> Augmentations:
    step = hypothesis.augment.get(hypothesis.classes[0]) or next(iter(hypothesis.augment.values()))
    return dict.fromkeys(hypothesis.classes, step)


def _oversample(hypothesis: Hypothesis) -> Augmentations:
    return {
        name: ClassAugmentation(operation="repeat", probability=step.probability)
        for name, step in hypothesis.augment.items()
    }
