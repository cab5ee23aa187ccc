"""Brightness of the ink, without a change of its shape.

Pure functions: uint8 (N, H, W) or (N, H, W, C) in, uint8 of the same shape out. For dark ink, "brighter" means darker.
"""

import numpy as np

from erroran.operations.morphology import Ink

LEAST_GAIN, MOST_GAIN = 0.05, 10.0
_STEP = 0.01  # gains are rounded to it, so that a spec can hold them


def brighten(images: np.ndarray, *, gain: float, ink: Ink = "bright") -> np.ndarray:
    """Multiply the distance of every pixel from the background (0, or 255 for dark ink) by `gain` > 0; 255 at most."""
    bright = images if ink == "bright" else 255 - images
    scaled: np.ndarray = np.minimum(np.rint(bright.astype(np.float32) * gain), 255).astype(np.uint8)
    return scaled if ink == "bright" else np.asarray(255 - scaled)


def match_gain(images: np.ndarray, wanted: np.ndarray, *, ink: Ink = "bright") -> float:
    """The gain that gives images the same sum of ink as other images.

    Args:
        images: uint8, of any shape.
        wanted: uint8, the same images after another operation.
        ink: As in `brighten`.

    Returns:
        A multiple of 0.01 in [0.05, 10]; an end of that range where no gain in it is enough, because pixels cannot
        exceed 255. 1 for images without ink.
    """
    from scipy.optimize import brentq

    def total(pixels: np.ndarray) -> float:
        return float(pixels.sum(dtype=np.int64)) if ink == "bright" else float((255 - pixels).sum(dtype=np.int64))

    def missing(gain: float) -> float:
        return total(brighten(images, gain=gain, ink=ink)) - total(wanted)

    if total(images) == 0 or missing(1.0) == 0:
        return 1.0
    if missing(LEAST_GAIN) >= 0:
        return LEAST_GAIN
    if missing(MOST_GAIN) <= 0:
        return MOST_GAIN
    gain = float(brentq(missing, LEAST_GAIN, MOST_GAIN, xtol=_STEP / 10))
    return round(round(gain / _STEP) * _STEP, 2)
