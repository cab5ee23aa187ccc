"""The table of operations: everything that specs, training, proposals and reports need to know about each of them.

Importing it does not import OpenCV or scipy; the functions behind it do when they are called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from erroran.operations import geometry, intensity, morphology, perturbations

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
    "gain": "times the brightness",
}
"""Key of a dose in a spec to its unit, as printed after the number."""

Apply = Callable[[np.ndarray, "Step", float, np.ndarray], np.ndarray]
"""Apply one dose of a step: uint8 (N, H, W, C), the step, the dose, float (N, K) in [0, 1) for K random draws."""


@dataclass(frozen=True)
class Operation:
    """One operation, for images of any size.

    Attributes:
        name: Its name in a spec.
        does: What it does to an image, in a few words.
        doses: Keys of `DOSE_UNITS` of which a spec gives exactly one; empty for an operation without a dose.
        apply: Applies one dose to a batch; None for an operation that leaves the images unchanged.
        opposite: The operation with the reverse effect; None without one.
        draws: Purposes of the random numbers that each image needs in addition to its dose.
        sided: Whether it acts towards the left or the right, which a spec may choose.
        sweep: Side of the sweep of `probe`: 1 for dilation, -1 for erosion, 0 if it cannot be swept.
        closure: Predicted sign of the change of the closure margin; 0 without a prediction.
        trials: Doses that `propose` tries, by key.
        channels: ``any``: all channels of an image are changed alike; ``grey``: images of one channel only, because
            strokes are measured. A dose in ``stroke_fraction`` needs grey images too.
    """

    name: str
    does: str
    doses: tuple[str, ...] = ()
    apply: Apply | None = None
    opposite: str | None = None
    draws: tuple[str, ...] = ()
    sided: bool = False
    sweep: int = 0
    closure: int = 0
    trials: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    channels: Literal["any", "grey"] = "any"


def _by_radius(
    operation: Callable[..., np.ndarray], with_kernel: Callable[..., np.ndarray] = morphology.dilate_with_kernel
) -> Apply:
    """Morphology by radius, by fraction of the stroke, or (dilate and erode alone) by an OpenCV kernel."""

    def apply(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
        del draws
        if step.kernel_px:
            return with_kernel(images, kernel_px=int(dose), ink=step.ink)
        if step.stroke_fraction:
            radii = morphology.stroke_radii(images, stroke_fraction=dose, ink=step.ink)
            return morphology.apply_per_radius(images, operation, radii, shape=step.shape, ink=step.ink)
        return operation(images, radius_px=dose, shape=step.shape, ink=step.ink)

    return apply


def _by_dose(operation: Callable[..., np.ndarray], key: str, number: type = float, *, placed: bool = False) -> Apply:
    """An operation whose argument `key` is the dose; the random numbers choose its places, if it has any."""

    def apply(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
        places = {"places": draws} if placed else {}
        return operation(images, ink=step.ink, **{key: number(dose)}, **places)

    return apply


def _by_angle(operation: Callable[..., np.ndarray], *, positive: str) -> Apply:
    """An operation by an angle, whose sign is drawn by halves unless the step names the side."""

    def apply(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
        forwards = draws[:, 0] < 0.5 if step.side == "either" else np.full(len(draws), step.side == positive)
        return operation(images, degrees=dose * np.where(forwards, 1.0, -1.0), ink=step.ink)

    return apply


def _shift(images: np.ndarray, step: "Step", dose: float, draws: np.ndarray) -> np.ndarray:
    return geometry.shift(images, pixels=int(dose), direction=(draws[:, 0] * 4).astype(int), ink=step.ink)


_RADII = {"radius_px": (0.25, 0.5, 0.75, 1.0)}
_ANGLES = {"angle_deg": (5.0, 10.0, 20.0)}
_SIZES = ("radius_px", "kernel_px", "stroke_fraction")
_BY_STROKE = ("radius_px", "stroke_fraction")
_DIRECTION, _PLACES = ("direction",), tuple(f"place {i}" for i in range(perturbations.MOST_FRACTURES))

_LIST = (
    Operation("dilate", "thickens the ink", _SIZES, _by_radius(morphology.dilate, morphology.dilate_with_kernel),
              opposite="erode", sweep=1, closure=-1, trials=_RADII),
    Operation("erode", "thins the ink", _SIZES, _by_radius(morphology.erode, morphology.erode_with_kernel),
              opposite="dilate", sweep=-1, closure=1, trials=_RADII),
    Operation("open", "removes thin strokes", _BY_STROKE, _by_radius(morphology.open_strokes),
              opposite="close", closure=1, trials={"radius_px": (0.5, 1.0)}),
    Operation("close", "fills narrow gaps", _BY_STROKE, _by_radius(morphology.close_gaps),
              opposite="open", closure=-1, trials={"radius_px": (0.5, 1.0, 1.5)}),
    Operation("thicken", "dilates relative to the stroke", ("amount",),
              _by_dose(perturbations.thicken_strokes, "amount"),
              opposite="thin", closure=-1, trials={"amount": (0.5, 1.0)}, channels="grey"),
    Operation("thin", "erodes relative to the stroke", ("amount",), _by_dose(perturbations.thin_strokes, "amount"),
              opposite="thicken", closure=1, trials={"amount": (0.35, 0.7)}, channels="grey"),
    Operation("swell", "magnifies a point of a stroke", ("strength",),
              _by_dose(perturbations.swell, "strength", placed=True),
              draws=_PLACES, trials={"strength": (3.0,)}, channels="grey"),
    Operation("fracture", "cuts strokes", ("fractures",), _by_dose(perturbations.fracture, "count", int, placed=True),
              draws=_PLACES, trials={"fractures": (1.0, 3.0)}, channels="grey"),
    Operation("scale", "changes the size", ("factor",), _by_dose(geometry.scale, "factor"),
              trials={"factor": (0.8, 0.9, 1.1, 1.25)}),
    Operation("slant", "shears to one side", ("angle_deg",), _by_angle(geometry.slant, positive="right"),
              draws=_DIRECTION, sided=True, trials=_ANGLES),
    Operation("rotate", "rotates to one side", ("angle_deg",), _by_angle(geometry.rotate, positive="left"),
              draws=_DIRECTION, sided=True, trials=_ANGLES),
    Operation("shift", "moves by the dose in one of four directions", ("radius_px",), _shift, draws=_DIRECTION),
    Operation("brighten", "multiplies the brightness of the ink", ("gain",), _by_dose(intensity.brighten, "gain")),
    Operation("repeat", "counts the image twice"),
)  # fmt: skip
OPERATIONS = {operation.name: operation for operation in _LIST}
"""Every operation by name, in the order in which `propose` tries them."""
