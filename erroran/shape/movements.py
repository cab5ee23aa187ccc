"""Which operation moves which measurement, by how much, and whether it erases ink."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, field_serializer

from erroran.experiment.change import Step
from erroran.operations.apply import apply_dose
from erroran.operations.morphology import Ink
from erroran.operations.table import OPERATIONS
from erroran.results import Result
from erroran.shape.measure import MEASUREMENTS, measure

CLOSURE = "closure_margin_px"
_LEAST_LEFT = 0.5  # share of the stroke length; an image that loses more counts as erased: most of its form is gone
_FEWEST = 20  # images; the mean change of fewer says little about a class


class Movement(Result):
    """What one dose of one operation does to images of one class.

    Attributes:
        step: The operation, with a single dose and, where it has sides, one of them.
        dose: The dose, in ``step.unit``.
        images: Images measured.
        moves: Measurement to its mean change in its own unit, over images that have it before and after; None with
            fewer than 20 of them.
        rising: Share of these images whose closure margin rises; `falling` likewise; None as in `moves`.
        topology: Share of the images whose Euler number changes: a hole closes or opens, a stroke breaks or joins.
        erased: Share of the images that lose all ink, or more than half of their stroke length.
        fit: Share of the squared distance from the rest of a class to its images near another class that the mean
            image is moved: 1 at best, negative if it ends up further away. None if that was not computed.
    """

    step: Step
    dose: float
    images: int
    moves: dict[str, float | None]
    rising: float | None
    falling: float | None
    topology: float
    erased: float
    fit: float | None = Field(default=None)

    @field_serializer("step")
    def _write_step(self, step: Step) -> dict[str, object]:
        return step.model_dump(exclude_defaults=True)

    @property
    def name(self) -> str:
        """As in ``dilate 0.5 px`` or ``slant 10 ° to the left``."""
        return self.step.name_dose(self.dose)

    @property
    def predicted_closure(self) -> int:
        """1 if the closure margin is predicted to rise, -1 to fall, 0 without a prediction."""
        return OPERATIONS[self.step.operation].closure


def list_trials(ink: Ink) -> list[Step]:
    """Every operation, dose and side that `propose` tries, a step each."""
    return [
        Step.model_validate({"operation": operation.name, key: dose, "ink": ink, "side": side})
        for operation in OPERATIONS.values()
        for key, doses in operation.trials.items()
        for dose in doses
        for side in (("right", "left") if operation.sided else ("either",))
    ]


def measure_movements(images: np.ndarray, steps: Sequence[Step]) -> list[Movement]:
    """Apply each step to all images and measure them before and after.

    Args:
        images: uint8 (N, H, W, 1).
        steps: With one dose each, all with the same ink.

    Raises:
        BadInput: The images are not grey.
    """
    if not steps:
        return []
    before = _measured(images, steps[0].ink)
    return [_compare(step, before, _measured(apply_dose(images, step, step.doses[0]), step.ink)) for step in steps]


def _measured(images: np.ndarray, ink: Ink) -> dict[str, np.ndarray]:
    table = measure(images, ink=ink)
    return {name: table[name].to_numpy(dtype=float) for name in MEASUREMENTS}


def _compare(step: Step, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Movement:
    changes = {name: after[name] - before[name] for name in MEASUREMENTS}
    known = {name: change[~np.isnan(change)] for name, change in changes.items()}
    closure = known[CLOSURE]
    enough = len(closure) >= _FEWEST
    gone = (after["area_px2"] == 0) | (after["length_px"] < _LEAST_LEFT * before["length_px"])
    return Movement(
        step=step,
        dose=step.doses[0],
        images=len(gone),
        moves={name: float(change.mean()) if len(change) >= _FEWEST else None for name, change in known.items()},
        rising=float((closure > 0).mean()) if enough else None,
        falling=float((closure < 0).mean()) if enough else None,
        topology=float((changes["euler"] != 0).mean()),
        erased=float(gone.mean()),
    )
