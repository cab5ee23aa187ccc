"""The table of operations: each one once, with everything that specs, controls, proposals and reports need of it."""

from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: Its name in a spec.
        does: What it does to an image, in a few words.
        doses: Keys of `DOSE_UNITS` of which a spec gives exactly one; empty for an operation without a dose.
        opposite: The operation that does the reverse; None without one.
        draws: Random numbers that an image needs beside its dose: ``quarter`` (one of four directions), ``side`` (one
            of two), ``places`` (points of the stroke), or none.
        closure: Where it is predicted to move the closure margin: 1 up, -1 down, 0 without a prediction.
        trials: Doses that `propose` tries, by key.
        channels: ``any``: each channel is treated alike; ``none``: the image is not changed.
    """

    name: str
    does: str
    doses: tuple[str, ...]
    opposite: str | None = None
    draws: Literal["", "quarter", "side", "places"] = ""
    closure: int = 0
    trials: dict[str, tuple[float, ...]] = field(default_factory=dict)
    channels: Literal["any", "none"] = "any"


_KERNEL = ("radius_px", "kernel_px", "stroke_fraction")
_QUARTERS = (0.25, 0.5, 0.75, 1.0)
_ANGLES = (5.0, 10.0, 20.0)

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("dilate", "thickens the ink", _KERNEL, "erode", closure=-1, trials={"radius_px": _QUARTERS}),
        Operation("erode", "thins the ink", _KERNEL, "dilate", closure=1, trials={"radius_px": _QUARTERS}),
        Operation(
            "open",
            "removes thin strokes",
            ("radius_px", "stroke_fraction"),
            "close",
            closure=1,
            trials={"radius_px": (0.5, 1.0)},
        ),
        Operation(
            "close",
            "fills narrow gaps",
            ("radius_px", "stroke_fraction"),
            "open",
            closure=-1,
            trials={"radius_px": (0.5, 1.0, 1.5)},
        ),
        Operation(
            "thicken", "dilates relative to the stroke", ("amount",), "thin", closure=-1, trials={"amount": (0.5, 1.0)}
        ),
        Operation(
            "thin", "erodes relative to the stroke", ("amount",), "thicken", closure=1, trials={"amount": (0.35, 0.7)}
        ),
        Operation("swell", "magnifies a point of a stroke", ("strength",), draws="places", trials={"strength": (3.0,)}),
        Operation("fracture", "cuts strokes", ("fractures",), draws="places", trials={"fractures": (1.0, 3.0)}),
        Operation("scale", "changes the size", ("factor",), trials={"factor": (0.8, 0.9, 1.1, 1.25)}),
        Operation("slant", "shears to either side", ("angle_deg",), draws="side", trials={"angle_deg": _ANGLES}),
        Operation("rotate", "rotates to either side", ("angle_deg",), draws="side", trials={"angle_deg": _ANGLES}),
        Operation("shift", "moves by the dose in one of four directions", ("radius_px",), draws="quarter"),
        Operation("repeat", "counts the image twice", (), channels="none"),
    )
}
"""Every operation by name, in the order in which `propose` tries them."""
