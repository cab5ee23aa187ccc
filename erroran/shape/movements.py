"""By how much each operation changes each measurement, and whether it erases ink."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import field_serializer

from erroran.experiment.change import Step
from erroran.operations.apply import apply_dose
from erroran.operations.morphology import Ink
from erroran.operations.table import OPERATIONS
from erroran.results import Result
from erroran.shape.measure import find_erased, measure

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 20  # images; the mean of fewer is not reported


class Movement(Result):
    """What one dose of one operation does to images of one class.

    Attributes:
        step: The operation, with a single dose and, where it has sides, one of them.
        dose: The dose, in ``step.unit``.
        images: Images measured.
        moves: Measurement to its mean change in its own unit, over images that have it before and after; None with
            fewer than 20 of them.
        rising: Share of these images whose closure margin rises; None as in `moves`.
        falling: Share of them whose closure margin falls.
        topology: Share of the images whose Euler number changes.
        erased: Share of the images that are erased; see `measure.find_erased`.
        fit: How much closer the operation brings the mean of the rest of a class to the mean of the images near
            another class: 1 minus the ratio of squared distances after and before; at most 1, negative if further away.
            None if not computed.
    """

    step: Step
    dose: float
    images: int
    moves: dict[str, float | None]
    rising: float | None
    falling: float | None
    topology: float
    erased: float
    fit: float | None = None

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
    before = measure(images, ink=steps[0].ink)
    return [_compare(step, before, measure(apply_dose(images, step, step.doses[0]), ink=step.ink)) for step in steps]


def _compare(step: Step, before: "pd.DataFrame", after: "pd.DataFrame") -> Movement:
    changes = after - before
    known = {name: change.dropna() for name, change in changes.items()}
    closure = known["closure_margin_px"]
    enough = len(closure) >= _FEWEST
    return Movement(
        step=step,
        dose=step.doses[0],
        images=len(after),
        moves={name: float(change.mean()) if len(change) >= _FEWEST else None for name, change in known.items()},
        rising=float((closure > 0).mean()) if enough else None,
        falling=float((closure < 0).mean()) if enough else None,
        topology=float((changes["euler"] != 0).mean()),
        erased=float(find_erased(before, after).mean()),
    )
