"""Measurements of drawn shapes with known answers, and of digits against the published method."""

import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from erroran.benchmarks.morphology import measure_as_published
from erroran.data import load_dataset
from erroran.operations import grid as fine_grid
from erroran.operations.geometry import shift
from erroran.operations.morphology import dilate, erode
from erroran.shape.measure import MEASUREMENTS, SIX, closure_margin, measure

DIGITS = load_dataset("digits").x_train[:300]
NAN = float("nan")


def _blank(size: int = 48) -> np.ndarray:
    return np.zeros((size, size), np.uint8)


def bar(width: int = 4, length: int = 32) -> np.ndarray:
    image = _blank()
    image[8 : 8 + length, 20 : 20 + width] = 255
    return image


def ring(outer: int = 28, wall: int = 4, gap: int = 0) -> np.ndarray:
    """A square ring; a gap in the middle of its right wall makes it a C."""
    image = _blank()
    image[8 : 8 + outer, 8 : 8 + outer] = 255
    image[8 + wall : 8 + outer - wall, 8 + wall : 8 + outer - wall] = 0
    if gap:
        middle = 8 + outer // 2
        image[middle - gap // 2 : middle - gap // 2 + gap, 8 + outer - wall : 8 + outer] = 0
    return image


def eight() -> np.ndarray:
    image = _blank()
    image[4:44, 12:32] = 255
    image[8:22, 16:28] = image[26:40, 16:28] = 0
    return image


def tee() -> np.ndarray:
    image = _blank()
    image[8:12, 6:42] = image[8:40, 22:26] = 255
    return image


def plus() -> np.ndarray:
    image = _blank()
    image[22:26, 6:42] = image[6:42, 22:26] = 255
    return image


def dots() -> np.ndarray:
    image = _blank()
    for row, column in ((8, 8), (8, 30), (30, 20)):
        image[row : row + 5, column : column + 9] = 255
    return image


SHAPES = {
    "bar": (bar(), {"components": 1, "holes": 0, "euler": 1, "tips": 2, "forks": 0}),
    "ring": (ring(), {"components": 1, "holes": 1, "euler": 0, "tips": 0, "forks": 0}),
    "C": (ring(gap=6), {"components": 1, "holes": 0, "euler": 1, "tips": 2, "forks": 0}),
    "8": (eight(), {"components": 1, "holes": 2, "euler": -1, "tips": 0, "forks": 2}),
    "T": (tee(), {"components": 1, "holes": 0, "euler": 1, "tips": 3, "forks": 1}),
    "+": (plus(), {"components": 1, "holes": 0, "euler": 1, "tips": 4, "forks": 1}),
    "dots": (dots(), {"components": 3, "holes": 0, "euler": 3}),
    "blank": (_blank(), {"components": 0, "holes": 0, "euler": 0, "tips": 0, "forks": 0}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_topology_of_drawn_shapes(name: str) -> None:
    image, expected = SHAPES[name]
    found = measure(image[None], ink="bright").iloc[0]
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("width", [2, 3, 5, 8])
def test_a_bar_has_its_width_height_area_and_thickness(width: int) -> None:
    found = measure(bar(width)[None]).iloc[0]
    assert found.thickness_px == pytest.approx(width, abs=0.4)
    assert found.area_px2 == pytest.approx(32 * width, rel=0.05)
    assert found.height_px == pytest.approx(0.98 * 32, abs=0.6)
    assert found.width_px == pytest.approx(width, abs=1)
    assert found.length_px == pytest.approx(32 - width, abs=2.5)
    assert found.slant_deg == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("degrees", [-30, 20])
def test_slant_is_the_angle_from_upright(degrees: float) -> None:
    lean = np.tan(np.deg2rad(degrees))
    y, x = np.indices((48, 48))
    image = ((abs(x - 24 - lean * (24 - y)) <= 2) & (abs(y - 24) <= 16)).astype(np.uint8)[None] * 255
    found = measure(image).iloc[0]
    assert found.slant_deg == pytest.approx(degrees, abs=1)
    assert found.width_px == pytest.approx(5, abs=1)  # of the slanted box, not of the upright one


def test_hole_area_and_centre() -> None:
    found = measure(np.stack([ring(), eight(), bar()]))
    assert found.hole_area_px2.tolist() == pytest.approx([400, 2 * 14 * 12, 0], rel=0.04)
    assert found.hole_row_px.tolist() == pytest.approx([22, 24, NAN], abs=0.1, nan_ok=True)
    assert found.hole_column_px.tolist() == pytest.approx([22, 22, NAN], abs=0.1, nan_ok=True)


@pytest.mark.parametrize("distance", ["euclidean", "chessboard"])
@pytest.mark.parametrize("gap", [2, 4, 6, 8])
def test_an_open_shape_closes_at_half_its_gap(gap: int, distance: str) -> None:
    found = closure_margin(ring(gap=gap)[None], distance=distance)[0]
    assert found == pytest.approx(gap / 2, abs=0.2)


@pytest.mark.parametrize("distance", ["euclidean", "chessboard"])
@pytest.mark.parametrize("wall", [2, 4, 6])
def test_a_closed_shape_opens_at_half_its_wall(wall: int, distance: str) -> None:
    assert closure_margin(ring(wall=wall)[None], distance=distance)[0] == pytest.approx(-wall / 2, abs=0.2)


def test_the_thinnest_neck_decides() -> None:
    image = ring(wall=6)
    image[20:24, 30:33] = 0  # a notch on the inside of the right wall
    assert closure_margin(image[None])[0] == pytest.approx(-1.5, abs=0.25)


def test_the_main_loop_is_the_one_that_lasts() -> None:
    """A pinhole in the wall of a large C changes nothing."""
    image = ring(wall=6, gap=6)
    image[20, 10] = 0
    assert closure_margin(image[None])[0] == pytest.approx(3, abs=0.25)


def test_convex_and_blank_shapes_have_no_loop_at_any_dose() -> None:
    disk = cv2.circle(_blank(), (24, 24), 12, 255, -1)
    assert np.isnan(closure_margin(np.stack([bar(), disk, _blank()]))).all()


def test_the_margin_is_the_dose_that_closes() -> None:
    """A dilation beyond the margin makes the hole, one short of it does not; erosion likewise."""
    image = ring(gap=4)[None]
    assert [measure(dilate(image, radius_px=r)).holes[0] for r in (1.5, 2.5)] == [0, 1]
    assert [measure(erode(ring(wall=4)[None], radius_px=r)).holes[0] for r in (1, 2.5)] == [1, 0]


@settings(max_examples=60)
@given(images=arrays(np.uint8, (3, 9, 9), elements=st.sampled_from([0, 255])))
def test_components_holes_and_euler_number_agree_with_labelling(images: np.ndarray) -> None:
    """Noise is the hardest topology; OpenCV counts ink and, 4-connected, ground.

    Pixels become 3 x 3 blocks, so that smoothing keeps them apart.
    """
    blocks = images.repeat(3, axis=1).repeat(3, axis=2)
    ink = fine_grid.find_ink(fine_grid.upsample(blocks))
    found = measure(blocks, ink="bright")
    for i, image in enumerate(ink.view(np.uint8)):
        components = cv2.connectedComponents(image, connectivity=8)[0] - 1
        ground = cv2.connectedComponents(np.pad(1 - image, 1, constant_values=1), connectivity=4)[0] - 1
        assert (found.components[i], found.holes[i]) == (components, ground - 1)
        assert found.euler[i] == components - ground + 1
        assert (found.hole_area_px2[i] > 0) == (ground > 1)


def test_batches_measure_as_images_do() -> None:
    """Exactly, but for the last digits of float sums."""
    one_by_one = pd.concat([measure(DIGITS[i : i + 1], ink="bright") for i in range(20)], ignore_index=True)
    pd.testing.assert_frame_equal(measure(DIGITS[:20]), one_by_one, rtol=1e-5)


def test_moving_an_image_changes_its_place_alone() -> None:
    moved, found = measure(shift(DIGITS, pixels=2, direction=np.zeros(300))), measure(DIGITS)
    place = ["hole_row_px", "hole_column_px"]
    pd.testing.assert_frame_equal(moved.drop(columns=place), found.drop(columns=place), rtol=0.01, atol=0.05)
    assert (moved.hole_column_px - found.hole_column_px).dropna().to_numpy() == pytest.approx(2)


def test_dark_ink_is_detected_or_declared() -> None:
    found = measure(DIGITS[:50])
    pd.testing.assert_frame_equal(measure(255 - DIGITS[:50]), found)
    pd.testing.assert_frame_equal(measure(255 - DIGITS[:50], ink="dark"), found)


def test_the_table_has_the_documented_columns() -> None:
    assert list(measure(DIGITS[:3]).columns) == list(MEASUREMENTS)
    empty = measure(np.empty((0, 28, 28), np.uint8))
    assert (len(empty), list(empty.columns)) == (0, list(MEASUREMENTS))
    with pytest.raises(ValueError, match="got float64"):
        measure(np.zeros((1, 3, 3)))


MNIST = Path(
    os.environ.get("ERRORAN_TEST_MNIST") or Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist.npz"
)


@pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="scikit-image is not installed")
@pytest.mark.skipif(not MNIST.exists(), reason="no real MNIST: set ERRORAN_TEST_MNIST to an mnist.npz")
def test_the_six_agree_with_the_published_method() -> None:
    """At least 0.98 on 1,000 digits (the benchmark); fewer here, for time, so with some room for length."""
    images = load_dataset(str(MNIST)).x_test[:100]
    published = pd.DataFrame([measure_as_published(image) for image in images], columns=list(SIX))
    found = measure(images)
    agreement = {name: found[name].corr(published[name], method="spearman") for name in SIX}
    assert agreement.pop("length_px") > 0.95
    assert min(agreement.values()) > 0.97
