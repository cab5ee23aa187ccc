"""Shift, rotation, scale and slant, checked by the position of the ink."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.data import load_dataset
from erroran.operations.geometry import rotate, scale, shift, slant
from erroran.shape.measure import measure

DIGITS = load_dataset("digits").x_train[:40]


def _bar() -> np.ndarray:
    image = np.zeros((1, 29, 29), np.uint8)
    image[0, 7:22, 13:16] = 255
    return image


@pytest.mark.parametrize("angle", [-25, -10, 10, 25])
def test_slant_leans_by_the_angle(angle: float) -> None:
    after = measure(slant(_bar(), degrees=np.array([angle])))
    assert after.slant_deg[0] == pytest.approx(angle, abs=2)
    assert after.height_px[0] == pytest.approx(measure(_bar()).height_px[0], abs=0.5)


def test_slant_on_digits() -> None:
    """Shear adds to what is there: tangents add."""
    before, after = (np.tan(np.deg2rad(measure(x).slant_deg)) for x in (DIGITS, slant(DIGITS, degrees=np.full(40, 15))))
    assert (after - before).median() == pytest.approx(np.tan(np.deg2rad(15)), abs=0.05)


@pytest.mark.parametrize("angle", [-30, 20])
def test_rotation_turns_counter_clockwise(angle: float) -> None:
    """An upright bar turned counter-clockwise leans to the left."""
    turned = rotate(_bar(), degrees=np.array([angle]))
    assert measure(turned).slant_deg[0] == pytest.approx(-angle, abs=3.5)


def test_quarter_turns_are_exact() -> None:
    square = np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8)
    for quarters in range(4):
        turned = rotate(square, degrees=np.full(3, 90 * quarters))
        assert np.array_equal(turned, np.rot90(square, quarters, axes=(1, 2)))


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_scale_changes_area_by_its_square(factor: float) -> None:
    block = np.zeros((1, 41, 41), np.uint8)
    block[0, 10:31, 14:27] = 255
    before, after = measure(block).iloc[0], measure(scale(block, factor=factor)).iloc[0]
    assert after.area_px2 / before.area_px2 == pytest.approx(factor**2, rel=0.1)
    assert after.height_px / before.height_px == pytest.approx(factor, rel=0.1)


@given(pixels=st.integers(0, 4), direction=st.integers(0, 3))
def test_shift_moves_the_ink_and_nothing_else(pixels: int, direction: int) -> None:
    moved = shift(_bar(), pixels=pixels, direction=np.array([direction]))
    row, column = ((0, 1), (1, 0), (0, -1), (-1, 0))[direction]
    assert np.array_equal(moved, np.roll(_bar(), (row * pixels, column * pixels), axis=(1, 2)))


def test_no_dose_is_the_identity() -> None:
    nothing = np.zeros(len(DIGITS))
    assert np.array_equal(rotate(DIGITS, degrees=nothing), DIGITS)
    assert np.array_equal(slant(DIGITS, degrees=nothing), DIGITS)
    assert np.array_equal(scale(DIGITS, factor=1), DIGITS)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_channels_move_together(channels: int) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (3, 9, 8, channels), dtype=np.uint8)
    degrees, ways = np.array([10.0, 20, -30]), np.array([0, 1, 3])
    for changed, one in (
        (rotate(colour, degrees=degrees), rotate(colour[..., 0], degrees=degrees)),
        (shift(colour, pixels=2, direction=ways), shift(colour[..., 0], pixels=2, direction=ways)),
    ):
        assert changed.shape == colour.shape
        assert np.array_equal(changed[..., 0], one)


def test_dark_ink_comes_from_a_bright_outside() -> None:
    dark = 255 - DIGITS
    assert (scale(dark, factor=0.5, ink="dark")[:, 0] == 255).all()
    assert (shift(dark, pixels=3, direction=np.zeros(40), ink="dark")[:, :, :3] == 255).all()
