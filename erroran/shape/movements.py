"""Which operation moves which measurement, by how much, and whether it erases ink."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.experiment.change import Step
from erroran.operations.apply import apply_dose
from erroran.operations.morphology import Ink
from erroran.shape.measure import MEASUREMENTS, measure

_DOSES: dict[str, tuple[str, tuple[float, ...]]] = {
    "dilate": ("radius_px", (0.25, 0.5, 0.75, 1.0)),
    "erode": ("radius_px", (0.25, 0.5, 0.75, 1.0)),
    "open": ("radius_px", (0.5, 1.0)),
    "close": ("radius_px", (0.5, 1.0, 1.5)),
    "thicken": ("amount", (0.5, 1.0)),
    "thin": ("amount", (0.35, 0.7)),
    "swell": ("strength", (3.0,)),
    "fracture": ("fractures", (1.0, 3.0)),
    "scale": ("factor", (0.8, 0.9, 1.1, 1.25)),
    "slant": ("angle_deg", (5.0, 10.0, 20.0)),
    "rotate": ("angle_deg", (5.0, 10.0, 20.0)),
}
"""Operations and doses that are tried. ``shift`` changes no shape, ``repeat`` no image."""
TO_EITHER_SIDE = ("slant", "rotate")
"""Operations that a spec applies to either side at random; each side is tried by itself."""
CLOSURE = "closure_margin_px"
PREDICTED_CLOSURE = {"dilate": -1, "close": -1, "thicken": -1, "erode": 1, "open": 1, "thin": 1}
"""Where an operation is predicted to move the closure margin; others have no prediction."""
_LEAST_LEFT = 0.5  # of the stroke length
_FEWEST = 20


@dataclass(frozen=True)
class Candidate:
    """One dose of one operation, to one side where it has sides.

    Attributes:
        operation: Its name in a spec.
        unit_key: The spec's key for its dose.
        dose: The dose.
        side: 1 (the top goes right) or -1 (left) for the operations of `TO_EITHER_SIDE`, else 0.
        ink: As in a spec.
    """

    operation: str
    unit_key: str
    dose: float
    side: int
    ink: Ink

    @property
    def step(self) -> Step:
        """What a spec says of it; a spec knows no side."""
        dose = int(self.dose) if self.unit_key == "fractures" else self.dose
        side = {1: "right", -1: "left", 0: "either"}[self.side]
        content = {"operation": self.operation, self.unit_key: dose, "ink": self.ink, "side": side}
        return Step.model_validate(content)

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Change every image; uint8 (N, H, W)."""
        return apply_dose(images, self.step, self.dose)

    def describe(self) -> str:
        """As in ``dilate 0.5 px`` or ``slant 10 ° to the left``."""
        side = {1: " to the right", -1: " to the left", 0: ""}[self.side]
        return f"{self.operation} {self.dose:g} {self.step.unit}{side}"


@dataclass(frozen=True)
class Movement:
    """What a candidate does to images of one class.

    Attributes:
        candidate: The operation.
        images: Images measured.
        moves: Measurement to its mean change in its own unit, over images that have it before and after; None with
            fewer than 20 of them.
        rising: Share of these images whose closure margin rises; `falling` likewise; None as in `moves`.
        topology: Share of the images whose Euler number changes: a hole closes or opens, a stroke breaks or joins.
        erased: Share of the images that lose all ink, or more than half of their stroke length.
    """

    candidate: Candidate
    images: int
    moves: dict[str, float | None]
    rising: float | None
    falling: float | None
    topology: float
    erased: float

    @property
    def predicted_closure(self) -> int:
        """1 if the closure margin is predicted to rise, -1 to fall, 0 without a prediction."""
        return PREDICTED_CLOSURE.get(self.candidate.operation, 0)


def list_candidates(ink: Ink) -> list[Candidate]:
    """Every operation, dose and side that is tried."""
    return [
        Candidate(operation, key, dose, side, ink)
        for operation, (key, doses) in _DOSES.items()
        for dose in doses
        for side in ((1, -1) if operation in TO_EITHER_SIDE else (0,))
    ]


def measure_movements(images: np.ndarray, candidates: Sequence[Candidate]) -> list[Movement]:
    """Apply each candidate to all images and measure them before and after.

    Args:
        images: uint8 (N, H, W).
        candidates: All with the same ink.
    """
    if not candidates:
        return []
    ink = candidates[0].ink
    before = _measured(images, ink)
    return [_compare(candidate, before, _measured(candidate.apply(images), ink)) for candidate in candidates]


def _measured(images: np.ndarray, ink: Ink) -> dict[str, np.ndarray]:
    table = measure(images, ink=ink)
    return {name: table[name].to_numpy(dtype=float) for name in MEASUREMENTS}


def _compare(candidate: Candidate, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Movement:
    changes = {name: after[name] - before[name] for name in MEASUREMENTS}
    known = {name: change[~np.isnan(change)] for name, change in changes.items()}
    closure = known[CLOSURE]
    enough = len(closure) >= _FEWEST
    gone = (after["area_px2"] == 0) | (after["length_px"] < _LEAST_LEFT * before["length_px"])
    return Movement(
        candidate=candidate,
        images=len(gone),
        moves={name: float(change.mean()) if len(change) >= _FEWEST else None for name, change in known.items()},
        rising=float((closure > 0).mean()) if enough else None,
        falling=float((closure < 0).mean()) if enough else None,
        topology=float((changes["euler"] != 0).mean()),
        erased=float(gone.mean()),
    )
