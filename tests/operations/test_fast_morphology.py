"""The batch implementation gives the same bytes as OpenCV, image by image: stored runs depend on it."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from erroran.data import load_dataset
from erroran.operations import morphology
from erroran.operations.morphology import (
    apply_per_radius,
    close_gaps,
    dilate,
    erode,
    ink_is_bright,
    make_kernel,
    open_strokes,
    stroke_radii,
)

SHAPES = ("square", "disk", "cross")
CV = {"dilate": cv2.dilate, "erode": cv2.erode}
DOSES = [n / 4 for n in (*range(14), 17, 24, 31, 56)]
RANDOM = np.random.default_rng(8).integers(0, 256, (40, 13, 11), dtype=np.uint8)
DIGITS = load_dataset("digits").x_train[:60, ..., 0]

MNIST = Path(
    os.environ.get("ERRORAN_TEST_MNIST") or Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist.npz"
)

any_batch = arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)))


def _first_release(images: np.ndarray, name: str, radius_px: float, shape: str) -> np.ndarray:
    """The definition as the first release computed it: repeat pixels 4 x 4, OpenCV per image, average."""
    scale = 1 if radius_px == int(radius_px) else 4
    kernel = make_kernel(radius_px * scale, shape)
    fine = images.repeat(scale, axis=1).repeat(scale, axis=2)
    changed = np.stack([CV[name](image, kernel) for image in fine])
    n, height, width = images.shape
    blocks = changed.reshape(n, height, scale, width, scale)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CV)
@pytest.mark.parametrize("images", [RANDOM, DIGITS], ids=["noise", "digits"])
def test_every_dose_keeps_the_bytes_of_the_first_release(images: np.ndarray, name: str, shape: str) -> None:
    for dose in DOSES:
        expected = _first_release(images, name, dose, shape)
        assert np.array_equal(getattr(morphology, name)(images, radius_px=dose, shape=shape), expected), dose


@pytest.mark.skipif(not MNIST.exists(), reason="no real MNIST: set ERRORAN_TEST_MNIST to an mnist.npz")
def test_mnist_keeps_the_bytes_of_the_first_release() -> None:
    """The doses of stored runs."""
    images = load_dataset(str(MNIST)).x_train[:400, ..., 0]
    for name in CV:
        for dose in (0.5, 1):
            expected = _first_release(images, name, dose, "square")
            assert np.array_equal(getattr(morphology, name)(images, radius_px=dose), expected)


@settings(max_examples=150)
@given(
    images=any_batch,
    quarters=st.integers(0, 24),
    shape=st.sampled_from(SHAPES),
    name=st.sampled_from(sorted(CV)),
)
def test_images_of_any_size(images: np.ndarray, quarters: int, shape: str, name: str) -> None:
    expected = _first_release(images, name, quarters / 4, shape)
    assert np.array_equal(getattr(morphology, name)(images, radius_px=quarters / 4, shape=shape), expected)


@settings(max_examples=80)
@given(images=any_batch, side=st.integers(1, 14), name=st.sampled_from(sorted(CV)))
def test_every_kernel_side_also_even_ones(images: np.ndarray, side: int, name: str) -> None:
    expected = np.stack([CV[name](image, np.ones((side, side), np.uint8)) for image in images])
    assert np.array_equal(getattr(morphology, f"{name}_with_kernel")(images, kernel_px=side), expected)


@pytest.mark.parametrize("n", [1, 7, 700])
def test_chunks_leave_no_seam(n: int) -> None:
    """More images than fit one chunk, and a last chunk that is smaller."""
    images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    for shape in SHAPES:
        assert np.array_equal(dilate(images, radius_px=2, shape=shape), _first_release(images, "dilate", 2, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_channels_do_not_mix(shape: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)
    for dose in (0.5, 1, 3):
        one_by_one = np.stack([erode(images[..., c], radius_px=dose, shape=shape) for c in range(3)], axis=3)
        assert np.array_equal(erode(images, radius_px=dose, shape=shape), one_by_one)


def test_slices_and_read_only_arrays_are_taken() -> None:
    views = RANDOM[::2, ::-1, 1:]
    views.flags.writeable = False
    assert np.array_equal(dilate(views, radius_px=1), dilate(views.copy(), radius_px=1))


@pytest.mark.parametrize("images", [np.zeros((2, 3)), np.zeros((2, 3, 4)), np.zeros((4, 4), np.uint8)])
def test_other_arrays_are_refused_with_the_contract(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(N, H, W\) or \(N, H, W, C\), got"):
        dilate(images, radius_px=1)


@given(images=any_batch, dose=st.sampled_from([1, 2]), shape=st.sampled_from(SHAPES))
def test_opening_only_removes_closing_only_fills_and_twice_is_once(images: np.ndarray, dose: int, shape: str) -> None:
    opened, closed = (f(images, radius_px=dose, shape=shape) for f in (open_strokes, close_gaps))
    assert (opened <= images).all()
    assert (closed >= images).all()
    assert np.array_equal(open_strokes(opened, radius_px=dose, shape=shape), opened)
    assert np.array_equal(close_gaps(closed, radius_px=dose, shape=shape), closed)


def test_opening_removes_thin_strokes_and_closing_fills_narrow_gaps() -> None:
    """Bars of 2 and 4 px, 2 px apart: a radius of 1 removes the thin one, or fills the gap, and nothing else."""
    image = np.zeros((1, 20, 20), np.uint8)
    image[0, 5:15, 4:6] = image[0, 5:15, 8:12] = 255
    opened, closed = open_strokes(image, radius_px=1), close_gaps(image, radius_px=1)
    assert not opened[0, :, :7].any()
    assert np.array_equal(opened[0, :, 7:], image[0, :, 7:])
    assert (closed[0, 5:15, 4:12] == 255).all()
    assert closed.sum() == 255 * 10 * 8


@given(images=any_batch, dose=st.sampled_from([0.5, 1, 2]), shape=st.sampled_from(SHAPES))
def test_dark_ink_is_bright_ink_inverted(images: np.ndarray, dose: float, shape: str) -> None:
    for operation in (dilate, erode, open_strokes, close_gaps):
        inverted = 255 - operation(255 - images, radius_px=dose, shape=shape).astype(int)
        found = operation(images, radius_px=dose, shape=shape, ink="dark")
        # Means are rounded half to even, from the other side too; two steps may differ twice.
        assert abs(found - inverted).max() <= (0 if dose == int(dose) else 2)


def test_polarity_is_seen_from_the_frame() -> None:
    assert ink_is_bright(DIGITS)
    assert not ink_is_bright(255 - DIGITS)
    assert not ink_is_bright(np.stack([255 - DIGITS] * 3, axis=3))
    assert ink_is_bright(np.full((2, 4, 4), 7, np.uint8))
    assert ink_is_bright(np.empty((0, 4, 4), np.uint8))


@pytest.mark.parametrize(("fraction", "factor"), [(0.5, 1.5), (1, 2)])
def test_doses_relative_to_the_stroke_thicken_every_stroke_by_its_own_share(fraction: float, factor: float) -> None:
    bars = np.zeros((2, 40, 60), np.uint8)
    bars[0, 18:20, 10:50] = bars[1, 16:22, 10:50] = 255
    radii = stroke_radii(bars, stroke_fraction=fraction)
    thicker = apply_per_radius(bars, dilate, radii, shape="square")
    across = thicker[:, :, 30].sum(axis=1) / 255  # grey counts in part
    assert across == pytest.approx([2 * factor, 6 * factor], rel=0.05)
    assert np.array_equal(stroke_radii(255 - bars, stroke_fraction=fraction, ink="dark"), radii)
