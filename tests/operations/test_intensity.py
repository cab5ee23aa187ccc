"""Brightness of the ink, checked by sums of pixels."""

import numpy as np
import pytest

from erroran.data import load_dataset
from erroran.operations.intensity import brighten, match_gain
from erroran.operations.morphology import erode

DIGITS = load_dataset("digits").x_train[:40]


def test_by_hand() -> None:
    image = np.array([[[0, 10, 100, 200]]], np.uint8)
    assert brighten(image, gain=1.5).tolist() == [[[0, 15, 150, 255]]]
    assert brighten(255 - image, gain=0.5, ink="dark").tolist() == [[[255, 250, 205, 155]]]


@pytest.mark.parametrize("ink", ["bright", "dark"])
def test_the_matched_gain_gives_the_ink_of_an_erosion(ink: str) -> None:
    """To 1 % of the ink: a gain has two decimals."""
    images = DIGITS if ink == "bright" else 255 - DIGITS
    thin = erode(images, radius_px=0.5, ink=ink)
    matched = brighten(images, gain=match_gain(images, thin, ink=ink), ink=ink)
    whole, wanted, got = (
        float(abs(x.astype(int) - (255 if ink == "dark" else 0)).sum()) for x in (images, thin, matched)
    )
    assert wanted < 0.95 * whole
    assert got == pytest.approx(wanted, abs=0.01 * whole)


def test_gains_that_no_brightness_reaches() -> None:
    """Pixels cannot exceed 255, and some ink is always left; images without ink have nothing to match."""
    full = np.full((1, 2, 2), 255, np.uint8)
    half = np.array([[[255, 0], [0, 0]]], np.uint8)
    assert match_gain(half, full) == 10
    assert match_gain(full, 0 * full) == 0.05
    assert match_gain(0 * full, full) == 1
    assert match_gain(full, full) == 1
