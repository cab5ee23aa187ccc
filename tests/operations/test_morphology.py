"""Morphology in pixels: strokes get thicker or thinner by the dose and do not move."""

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from erroran.operations import morphology
from erroran.operations.morphology import (
    dilate,
    dilate_with_kernel,
    erode,
    erode_with_kernel,
    make_kernel,
    stroke_thickness,
)

SHAPES = ("square", "disk", "cross")
FRACTIONS = (0.25, 0.5, 0.75, 1.25, 1.5, 2.75)
RANDOM = np.random.default_rng(5).integers(0, 256, (20, 13, 11), dtype=np.uint8)

images_strategy = arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)))


def _bar(width: int, *, length: int = 80) -> np.ndarray:
    """A horizontal bar in an image with room on all sides."""
    image = np.zeros((1, 32, length + 20), dtype=np.uint8)
    image[0, 12 : 12 + width, 10 : 10 + length] = 255
    return image


def _ink_across(images: np.ndarray) -> float:
    """Thickness of a horizontal stroke as ink in its middle column, in pixels; grey counts in part."""
    return float(images[0, :, images.shape[2] // 2].sum() / 255)


def _centre(image: np.ndarray) -> tuple[float, float]:
    """Centre of the ink: row, column."""
    rows, columns = np.nonzero(image)
    return float(rows.mean()), float(columns.mean())


def test_kernels_are_what_their_names_say() -> None:
    """Radius 2 of each shape, and the disk of radius 3, drawn by hand."""
    assert make_kernel(2, "square").tolist() == [[1] * 5] * 5
    assert make_kernel(2, "cross").tolist() == [
        [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0],
    ]  # fmt: skip
    assert make_kernel(2, "disk").tolist() == [
        [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0],
    ]  # fmt: skip
    rows_of_three = [[0, 0, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1, 0], [1] * 7]
    assert make_kernel(3, "disk").tolist() == [*rows_of_three, *rows_of_three[2::-1]]
    assert make_kernel(0, "disk").tolist() == [[1]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_whole_radii_equal_opencv(shape: str, radius: int) -> None:
    """Whole radii equal OpenCV's operation with the documented kernel, byte for byte."""
    kernel = make_kernel(radius, shape)
    expected = np.stack([cv2.dilate(image, kernel) for image in RANDOM])
    assert np.array_equal(dilate(RANDOM, radius_px=radius, shape=shape), expected)
    expected = np.stack([cv2.erode(image, kernel) for image in RANDOM])
    assert np.array_equal(erode(RANDOM, radius_px=radius, shape=shape), expected)


@pytest.mark.parametrize("radius", [1, 2])
def test_a_square_radius_takes_the_extreme_of_the_neighbourhood(radius: int) -> None:
    """Checked against numpy's maximum and minimum too; pixels outside do not count."""
    for y, x in np.ndindex(13, 11):
        window = RANDOM[:, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        assert np.array_equal(dilate(RANDOM, radius_px=radius)[:, y, x], window.max(axis=(1, 2)))
        assert np.array_equal(erode(RANDOM, radius_px=radius)[:, y, x], window.min(axis=(1, 2)))


@pytest.mark.parametrize("shape", SHAPES)
def test_dose_zero_is_the_identity(shape: str) -> None:
    """Radius 0 changes no byte."""
    assert np.array_equal(dilate(RANDOM, radius_px=0, shape=shape), RANDOM)
    assert np.array_equal(erode(RANDOM, radius_px=0, shape=shape), RANDOM)


def test_the_fractional_path_agrees_with_the_plain_one() -> None:
    """For squares the 4x finer grid gives the same result at whole radii."""
    for radius in (0, 1, 2):
        fine = RANDOM.repeat(4, axis=1).repeat(4, axis=2)
        kernel = make_kernel(4 * radius)
        blocks = np.stack([cv2.dilate(image, kernel) for image in fine]).reshape(20, 13, 4, 11, 4)
        assert np.array_equal(blocks.mean(axis=(2, 4)), dilate(RANDOM, radius_px=radius))


@given(images=images_strategy, dose=st.sampled_from(FRACTIONS), shape=st.sampled_from(SHAPES))
def test_dilation_only_adds_ink_and_erosion_only_takes_it(images: np.ndarray, dose: float, shape: str) -> None:
    """Also at fractional doses."""
    assert (dilate(images, radius_px=dose, shape=shape) >= images).all()
    assert (erode(images, radius_px=dose, shape=shape) <= images).all()


@pytest.mark.parametrize("shape", ["square", "cross"])
@given(images=images_strategy)
def test_more_dose_is_more_effect(shape: str, images: np.ndarray) -> None:
    """From 0 to 2 px in quarters, each dose dilates and erodes at least as much as the one before."""
    thicker = [dilate(images, radius_px=dose / 4, shape=shape).astype(int) for dose in range(9)]
    thinner = [erode(images, radius_px=dose / 4, shape=shape).astype(int) for dose in range(9)]
    assert min(int((b - a).min()) for a, b in itertools.pairwise(thicker)) >= 0
    assert max(int((b - a).max()) for a, b in itertools.pairwise(thinner)) <= 0


@given(images=images_strategy, dose=st.sampled_from([1, 2, 3]), shape=st.sampled_from(SHAPES))
def test_erosion_is_dilation_of_the_ground(images: np.ndarray, dose: int, shape: str) -> None:
    """Whole radii: exactly, and up to the border, because what lies outside an image counts for neither."""
    ground = 255 - dilate(255 - images, radius_px=dose, shape=shape)
    assert np.array_equal(erode(images, radius_px=dose, shape=shape), ground)


@given(images=images_strategy, dose=st.sampled_from(FRACTIONS), shape=st.sampled_from(SHAPES))
def test_fractional_erosion_is_dilation_of_the_ground(images: np.ndarray, dose: float, shape: str) -> None:
    """Fractional radii: up to one grey level, from rounding halves to even."""
    ground = 255 - dilate(255 - images, radius_px=dose, shape=shape).astype(int)
    assert abs(erode(images, radius_px=dose, shape=shape) - ground).max() <= 1


@pytest.mark.parametrize("width", [2, 3, 4])
def test_the_thickness_of_a_bar_is_its_width(width: int) -> None:
    """A long bar of w pixels measures w, horizontal or vertical."""
    assert stroke_thickness(_bar(width))[0] == pytest.approx(width, abs=0.15)
    assert stroke_thickness(_bar(width).transpose(0, 2, 1))[0] == pytest.approx(width, abs=0.15)


def test_thickness_of_rectangles_is_exact() -> None:
    """Mean distance to the edge of a w x L rectangle, times four: w - w^2 / 3L (integral of its roof)."""
    measured = [stroke_thickness(_bar(w, length=n))[0] for w in (1, 2, 3, 5) for n in (12, 24)]
    expected = [w - w**2 / (3 * n) for w in (1, 2, 3, 5) for n in (12, 24)]
    assert measured == pytest.approx(expected, abs=0.01)


def test_thickness_without_ink_is_zero() -> None:
    """Empty images, and images below the threshold, have no strokes."""
    assert stroke_thickness(np.array([np.zeros((5, 5)), np.full((5, 5), 127)], dtype=np.uint8)).tolist() == [0, 0]


def test_thickness_is_measured_per_image_and_at_the_threshold() -> None:
    """Images do not influence each other; the threshold decides what is ink."""
    both = np.concatenate([_bar(2), _bar(4) // 2])
    assert stroke_thickness(both)[0] == stroke_thickness(_bar(2))[0]
    assert stroke_thickness(both)[1] == 0
    assert stroke_thickness(both, threshold=127)[1] == stroke_thickness(_bar(4))[0]


def test_thickness_counts_ink_at_the_border() -> None:
    """A stroke that touches the border ends there, as if the image were larger."""
    cut = _bar(3)[:, 12:, :]
    assert stroke_thickness(cut)[0] == stroke_thickness(_bar(3))[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "radius"), [(2, 1), (3, 1), (4, 1), (2, 2), (3, 2)])
def test_dilating_a_bar_thickens_it_by_twice_the_radius(width: int, radius: int, shape: str) -> None:
    """Measured by `stroke_thickness`, as in previews and reports."""
    before, after = _bar(width), dilate(_bar(width), radius_px=radius, shape=shape)
    grown = stroke_thickness(after)[0] - stroke_thickness(before)[0]
    assert grown == pytest.approx(2 * radius, rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "radius"), [(3, 1), (4, 1), (5, 2), (6, 2)])
def test_eroding_a_bar_thins_it_by_twice_the_radius(width: int, radius: int, shape: str) -> None:
    """The same with the opposite sign."""
    before, after = _bar(width), erode(_bar(width), radius_px=radius, shape=shape)
    assert stroke_thickness(before)[0] - stroke_thickness(after)[0] == pytest.approx(2 * radius, rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dose", FRACTIONS)
def test_fractional_doses_change_the_ink_by_twice_the_dose(dose: float, shape: str) -> None:
    """A bar of 7 px gains, or loses, twice the dose of ink across; grey levels express the fractions."""
    assert _ink_across(dilate(_bar(7), radius_px=dose, shape=shape)) == pytest.approx(7 + 2 * dose, abs=0.01)
    assert _ink_across(erode(_bar(7), radius_px=dose, shape=shape)) == pytest.approx(7 - 2 * dose, abs=0.01)


@pytest.mark.parametrize("dose", [0.25, 0.5, 1, 1.75])
@pytest.mark.parametrize("shape", SHAPES)
def test_radii_move_no_ink(dose: float, shape: str) -> None:
    """A symmetric figure stays symmetric: nothing shifts."""
    dot = np.zeros((1, 11, 11), dtype=np.uint8)
    dot[0, 4:7, 4:7] = 200
    grown = dilate(dot, radius_px=dose, shape=shape)[0]
    assert np.array_equal(grown, grown[::-1, ::-1])
    assert np.array_equal(grown, grown.T)


def test_kernel_side_one_changes_nothing() -> None:
    """Half of the original recipe's draws are plain copies."""
    assert np.array_equal(dilate_with_kernel(RANDOM, kernel_px=1), RANDOM)
    assert np.array_equal(erode_with_kernel(RANDOM, kernel_px=1), RANDOM)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("operation", [dilate_with_kernel, erode_with_kernel])
def test_even_kernels_move_the_ink_right_and_down(operation: Callable[..., np.ndarray], side: int) -> None:
    """By half a pixel each way, for both operations."""
    square = np.zeros((1, 20, 20), dtype=np.uint8)
    square[0, 7:13, 7:13] = 255
    row, column = _centre(square[0])
    assert _centre(operation(square, kernel_px=side)[0]) == (row + 0.5, column + 0.5)


@pytest.mark.parametrize(("side", "radius"), [(1, 0), (3, 1), (5, 2)])
def test_odd_kernels_are_whole_radii(side: int, radius: int) -> None:
    """Side 2 r + 1 is the square of radius r."""
    assert np.array_equal(dilate_with_kernel(RANDOM, kernel_px=side), dilate(RANDOM, radius_px=radius))
    assert np.array_equal(erode_with_kernel(RANDOM, kernel_px=side), erode(RANDOM, radius_px=radius))


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_kernels_equal_opencv(side: int) -> None:
    """The original recipe is cv2 with a matrix of ones, byte for byte."""
    kernel = np.ones((side, side), dtype=np.uint8)
    expected = np.stack([cv2.dilate(image, kernel) for image in RANDOM])
    assert np.array_equal(dilate_with_kernel(RANDOM, kernel_px=side), expected)
    expected = np.stack([cv2.erode(image, kernel) for image in RANDOM])
    assert np.array_equal(erode_with_kernel(RANDOM, kernel_px=side), expected)


@pytest.mark.parametrize("name", ["dilate", "erode"])
@pytest.mark.parametrize("dose", [0, 0.25, 1])
def test_the_input_is_left_alone(name: str, dose: float) -> None:
    """Operations return a new array."""
    given_images = RANDOM.copy()
    changed = getattr(morphology, name)(given_images, radius_px=dose)
    changed[:] = 7
    assert np.array_equal(given_images, RANDOM)


def test_each_image_is_treated_alone() -> None:
    """A batch gives the same as its images one by one; no ink crosses from one to the next."""
    for dose in (0.5, 1, 2):
        one_by_one = np.concatenate([dilate(RANDOM[i : i + 1], radius_px=dose) for i in range(20)])
        assert np.array_equal(dilate(RANDOM, radius_px=dose), one_by_one)


def test_an_empty_batch_stays_empty() -> None:
    """For whole and for fractional doses."""
    nothing = np.empty((0, 6, 5), dtype=np.uint8)
    assert [dilate(nothing, radius_px=dose).shape for dose in (0.5, 1)] == [(0, 6, 5)] * 2
    assert stroke_thickness(nothing).shape == (0,)
