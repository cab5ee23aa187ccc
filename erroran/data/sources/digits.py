"""Scikit-learn's 8x8 digits in the frame of MNIST: a dataset that needs no download."""

import numpy as np

from erroran.data.dataset import Dataset, build_dataset
from erroran.data.ids import choose_fraction, sample_ids, strip_copy_numbers

INK_PX = 20
MARGIN_PX = 4
SOURCE_PX = 8
SOURCE_MAX = 16

_WEIGHT_UNIT = 2000
"""Catmull-Rom weights at tenths of a pixel are whole multiples of 1/2000."""


def load_digits() -> Dataset:
    """The 1,797 digits as 28x28 ``uint8``; a third of each class, chosen by its images alone, is the test part.

    The digit fills 20x20 pixels inside a margin of 4, as in MNIST (LeCun et al. 1998).
    """
    from sklearn import datasets

    raw, labels = datasets.load_digits(return_X_y=True)
    images = enlarge_digits(raw.reshape(-1, SOURCE_PX, SOURCE_PX).astype(np.int64))
    test = choose_fraction(strip_copy_numbers(sample_ids(images)), labels, fraction=1 / 3, purpose="confirm")
    arrays = {"x_train": images[~test], "y_train": labels[~test], "x_test": images[test], "y_test": labels[test]}
    return build_dataset("digits", "scikit-learn", **arrays)


def enlarge_digits(images: np.ndarray) -> np.ndarray:
    """Enlarge 8x8 digits to MNIST's frame, in whole numbers, so that the bytes are the same on every machine.

    Args:
        images: ``int64`` (N, 8, 8), 0 (background) to 16 (ink).

    Returns:
        ``uint8`` (N, 28, 28, 1), 0 to 255: cubic interpolation to 20x20, clipped, then a margin of 4 zeros.
    """
    weights = _cubic_weights()
    unscaled = weights @ images @ weights.T
    whole = SOURCE_MAX * _WEIGHT_UNIT**2
    grey = (unscaled * 255 + whole // 2) // whole
    margin = (MARGIN_PX, MARGIN_PX)
    return np.pad(grey.clip(0, 255).astype(np.uint8), ((0, 0), margin, margin))[..., np.newaxis]


def _cubic_weights() -> np.ndarray:
    """``int64`` (20, 8), rows summing to 2000: Catmull-Rom, edge pixels repeated."""
    weights = np.zeros((INK_PX, SOURCE_PX), dtype=np.int64)
    for row in range(INK_PX):
        # Centre of the new pixel in old pixels, in tenths: 10 * ((row + 0.5) * 8 / 20 - 0.5).
        left, t = divmod(4 * row - 3, 10)
        taps = (
            -(t**3) + 20 * t**2 - 100 * t,
            3 * t**3 - 50 * t**2 + 2000,
            -3 * t**3 + 40 * t**2 + 100 * t,
            t**3 - 10 * t**2,
        )
        np.add.at(weights[row], np.clip(np.arange(left - 1, left + 3), 0, SOURCE_PX - 1), taps)
    return weights
