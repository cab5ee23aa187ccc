"""The table of operations: each one once, with everything that specs, training, proposals and reports need of it.

Importing it imports neither OpenCV nor scipy: the functions behind it do when they are called.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from erroran.operations import geometry, morphology, perturbations

if TYPE_CHECKING:
    from erroran.experiment.change import Step

DOSE_UNITS = {
    "radius_px": "px",
    "kernel_px": "px",
    "stroke_fraction": "of half the stroke",
    "amount": "of half the stroke",
    "strength": "(power)",
    "fractures": "cuts",
    "angle_deg": "°",
    "factor": "times the size",
}
"""Keys of a dose in a spec, to its unit as printed behind a number."""

CarryOut = Callable[[np.ndarray, "Step", float, np.ndarray], np.ndarray]
"""Apply one dose of a step: uint8 (N, H, W, C), the step, the dose, float (N, K) in [0, 1) for K random draws."""


@dataclass(frozen=True)
class Operation:
    """One operation. Images of any size can be changed.

    Attributes:
        name: Its name in a spec.
        does: What it does to an image, in a few words.
        doses: Keys of `DOSE_UNITS` of which a spec gives exactly one; empty for an operation without a dose.
        carry_out: Applies one dose to a batch; None for an operation that leaves the images as they are.
        opposite: The operation that does the reverse; None without one.
        draws: Purposes of the random numbers that each image needs beside its dose.
        sided: Whether it goes to one of two sides, which a spec may name.
        sweep: What `probe` can sweep by radius: 1 for the side of dilation, -1 for that of erosion, 0 for neither.
        closure: Sign of the change of the closure margin that is predicted: 1 up, -1 down, 0 without a prediction.
        trials: Doses that `propose` tries, by key.
        channels: ``any``: the channels of an image are all changed alike; ``grey``: images of one channel only,
            because strokes are measured. A dose in ``stroke_fraction`` needs grey images too.
    """

    name: str
    does: str
    doses: tuple[str, ...] = ()
    carry_out: CarryOut | None = None
    opposite: str | None = None
    draws: tuple[str, ...] = ()
    sided: bool = False
    sweep: int = 0
    closure: int = 0
    trials: dict[str, tuple[float, ...]] = field(default_factory=dict)
    channels: Literal["any", "grey"] = "any"


def _by_radius(
    operation: Callable[..., np.ndarray], with_kernel: Callable[..., np.ndarray] = morphology.dilate_with_kernel
) -> CarryOut:
    """Morphology by radius, by fraction of the stroke, or (dilate and erode alone) by an OpenCV kernel."""

    def carry_out(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
        del draws
        if step.kernel_px:
            return with_kernel(images, kernel_px=int(dose), ink=step.ink)
        if step.stroke_fraction:
            radii = morphology.stroke_radii(images, stroke_fraction=dose, ink=step.ink)
            return morphology.apply_per_radius(images, operation, radii, shape=step.shape, ink=step.ink)
        return operation(images, radius_px=dose, shape=step.shape, ink=step.ink)

    return carry_out


def _thicken(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    del draws
    return perturbations.thicken_strokes(images, amount=dose, ink=step.ink)


def _thin(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    del draws
    return perturbations.thin_strokes(images, amount=dose, ink=step.ink)


def _swell(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return perturbations.swell(images, places=draws, strength=dose, ink=step.ink)


def _fracture(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return perturbations.fracture(images, places=draws, count=int(dose), ink=step.ink)


def _scale(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    del draws
    return geometry.scale(images, factor=dose, ink=step.ink)


def _slant(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return geometry.slant(images, degrees=dose * _signs(step, draws, positive="right"), ink=step.ink)


def _rotate(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return geometry.rotate(images, degrees=dose * _signs(step, draws, positive="left"), ink=step.ink)


def _shift(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return geometry.shift(images, pixels=int(dose), direction=(draws[:, 0] * 4).astype(int), ink=step.ink)


def _signs(step: "Step", draws: np.ndarray, *, positive: str) -> np.ndarray:
    """Sign of each image's angle, float (N,): drawn by halves, unless the step names the side."""
    if step.side == "either":
        return np.where(draws[:, 0] < 0.5, 1.0, -1.0)
    return np.full(len(draws), 1.0 if step.side == positive else -1.0)


_RADII, _ANGLES = (0.25, 0.5, 0.75, 1.0), (5.0, 10.0, 20.0)
_DIRECTION, _PLACES = ("direction",), tuple(f"place {i}" for i in range(perturbations.MOST_FRACTURES))

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            "dilate",
            "thickens the ink",
            ("radius_px", "kernel_px", "stroke_fraction"),
            _by_radius(morphology.dilate, morphology.dilate_with_kernel),
            opposite="erode",
            sweep=1,
            closure=-1,
            trials={"radius_px": _RADII},
        ),
        Operation(
            "erode",
            "thins the ink",
            ("radius_px", "kernel_px", "stroke_fraction"),
            _by_radius(morphology.erode, morphology.erode_with_kernel),
            opposite="dilate",
            sweep=-1,
            closure=1,
            trials={"radius_px": _RADII},
        ),
        Operation(
            "open",
            "removes thin strokes",
            ("radius_px", "stroke_fraction"),
            _by_radius(morphology.open_strokes),
            opposite="close",
            closure=1,
            trials={"radius_px": (0.5, 1.0)},
        ),
        Operation(
            "close",
            "fills narrow gaps",
            ("radius_px", "stroke_fraction"),
            _by_radius(morphology.close_gaps),
            opposite="open",
            closure=-1,
            trials={"radius_px": (0.5, 1.0, 1.5)},
        ),
        Operation(
            "thicken",
            "dilates relative to the stroke",
            ("amount",),
            _thicken,
            opposite="thin",
            closure=-1,
            trials={"amount": (0.5, 1.0)},
            channels="grey",
        ),
        Operation(
            "thin",
            "erodes relative to the stroke",
            ("amount",),
            _thin,
            opposite="thicken",
            closure=1,
            trials={"amount": (0.35, 0.7)},
            channels="grey",
        ),
        Operation(
            "swell",
            "magnifies a point of a stroke",
            ("strength",),
            _swell,
            draws=_PLACES,
            trials={"strength": (3.0,)},
            channels="grey",
        ),
        Operation(
            "fracture",
            "cuts strokes",
            ("fractures",),
            _fracture,
            draws=_PLACES,
            trials={"fractures": (1.0, 3.0)},
            channels="grey",
        ),
        Operation("scale", "changes the size", ("factor",), _scale, trials={"factor": (0.8, 0.9, 1.1, 1.25)}),
        Operation(
            "slant",
            "shears to one side",
            ("angle_deg",),
            _slant,
            draws=_DIRECTION,
            sided=True,
            trials={"angle_deg": _ANGLES},
        ),
        Operation(
            "rotate",
            "rotates to one side",
            ("angle_deg",),
            _rotate,
            draws=_DIRECTION,
            sided=True,
            trials={"angle_deg": _ANGLES},
        ),
        Operation("shift", "moves by the dose in one of four directions", ("radius_px",), _shift, draws=_DIRECTION),
        Operation("repeat", "counts the image twice"),
    )
}
"""Every operation by name, in the order in which `propose` tries them."""
