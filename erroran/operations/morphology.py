"""Grey-scale morphology on batches of images: pure functions, uint8 in, uint8 of the same shape out.

A dilation is a maximum over the kernel, an erosion a minimum. Every kernel here is a union of rectangles, and the
maximum over a rectangle comes from a few maxima of an array with itself shifted, along rows and then along columns. For
speed all images of a chunk that fits the processor's second-level cache are shifted at once, as one flat array; values
that crossed from one row or image into the next are overwritten. Pixels outside an image do not take part.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from erroran.errors import BadInput
from erroran.operations import grid

SUBPIXELS = 4
"""Doses are multiples of 1/4 px: fractional radii work on an image whose pixels are repeated 4 x 4 times."""

Ink = Literal["bright", "dark"]

_CHUNK_BYTES = 256 * 1024  # of each of the few arrays in use; measured best where the second-level cache has 1 MiB
_Reach = tuple[int, int]  # first and last offset of a window, at most and at least 0


def make_kernel(radius_px: float, shape: str = "square") -> np.ndarray:
    """Build a symmetric structuring element of whole radius r >= 0: uint8 (2 r + 1, 2 r + 1) of 0 and 1.

    `shape` is ``square`` (chessboard distance), ``disk`` (Euclidean) or ``cross``.
    """
    reach = int(radius_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = {
        "square": np.maximum(abs(rows), abs(columns)),
        "disk": np.hypot(rows, columns),
        "cross": np.where((rows == 0) | (columns == 0), abs(rows) + abs(columns), reach + 1),
    }[shape]
    kernel: np.ndarray = (distance <= reach).astype(np.uint8)
    return kernel


def dilate(images: np.ndarray, *, radius_px: float, shape: str = "square", ink: Ink = "bright") -> np.ndarray:
    """Thicken the ink: each pixel becomes the brightest within `radius_px`.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C); channels do not mix.
        radius_px: Multiple of 0.25, >= 0. Whole radii equal ``cv2.dilate`` with `make_kernel`.
        shape: See `make_kernel`.
        ink: ``dark``: the ink is darker than the background (see `ink_is_bright`), so the darkest counts.

    Returns:
        uint8, as `images`.
    """
    return _apply(images, ink == "bright", _kernels(radius_px, shape))


def erode(images: np.ndarray, *, radius_px: float, shape: str = "square", ink: Ink = "bright") -> np.ndarray:
    """Thin the ink: each pixel becomes the darkest within `radius_px`. Arguments as in `dilate`."""
    return _apply(images, ink != "bright", _kernels(radius_px, shape))


def open_strokes(images: np.ndarray, **options: Any) -> np.ndarray:
    """Erode, then dilate: strokes thinner than 2 `radius_px` vanish, the others keep their place and thickness.

    Arguments as in `dilate`.
    """
    return dilate(erode(images, **options), **options)


def close_gaps(images: np.ndarray, **options: Any) -> np.ndarray:
    """Dilate, then erode: gaps and holes narrower than 2 `radius_px` fill, the rest stays. Arguments as in `dilate`."""
    return erode(dilate(images, **options), **options)


def dilate_with_kernel(images: np.ndarray, *, kernel_px: int, ink: Ink = "bright") -> np.ndarray:
    """``cv2.dilate`` with a square kernel of side `kernel_px` >= 1 (``cv2.erode`` for dark ink).

    Side 1 changes nothing. Even sides are not symmetric in OpenCV: the ink also moves half a pixel right and down.
    """
    first = -(kernel_px // 2)  # OpenCV's anchor
    reach = first, first + kernel_px - 1
    return _apply(images, ink == "bright", (((reach, reach),),))


def erode_with_kernel(images: np.ndarray, *, kernel_px: int, ink: Ink = "bright") -> np.ndarray:
    """``cv2.erode`` with a square kernel of side `kernel_px`; see `dilate_with_kernel`."""
    return dilate_with_kernel(images, kernel_px=kernel_px, ink="dark" if ink == "bright" else "bright")


def stroke_radii(images: np.ndarray, *, stroke_fraction: float, ink: Ink = "bright") -> np.ndarray:
    """Turn a dose relative to the stroke into a radius for each image.

    Args:
        images: uint8 (N, H, W, 1) or (N, H, W).
        stroke_fraction: 1 is half the image's own stroke thickness: dilating by it doubles the thickness, eroding
            by it leaves nothing of a stroke of even thickness.
        ink: As in `dilate`.

    Returns:
        float64 (N,): radii in pixels, rounded to quarters.
    """
    bright = images if ink == "bright" else 255 - images
    return np.rint(stroke_fraction * stroke_thickness(bright) / 2 * SUBPIXELS) / SUBPIXELS


def apply_per_radius(
    images: np.ndarray, operation: Callable[..., np.ndarray], radii_px: np.ndarray, **options: str
) -> np.ndarray:
    """Apply an operation of this module with a radius for each image.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C).
        operation: `dilate`, `erode`, `open_strokes` or `close_gaps`.
        radii_px: (N,), multiples of 0.25.
        options: ``shape`` and ``ink``.
    """
    changed = images.copy()
    for radius in np.unique(radii_px[radii_px > 0]):
        rows = np.flatnonzero(radii_px == radius)
        changed[rows] = operation(images[rows], radius_px=float(radius), **options)
    return changed


def as_grey(images: np.ndarray, what: str) -> np.ndarray:
    """Drop the channel axis of grey images (N, H, W, 1); (N, H, W) stays. `what` needs them, for the message.

    Raises:
        BadInput: The images have several channels.
    """
    if images.ndim == 4 and images.shape[3] != 1:
        raise BadInput(
            f"These images have {images.shape[3]} channels; {what} works on grey images only.",
            fix="use grey images, or an operation for any channels, such as dilate by radius_px, rotate or shift",
        )
    return images[..., 0] if images.ndim == 4 else images


def ink_is_bright(images: np.ndarray) -> bool:
    """Whether a batch has bright ink: the median of its outermost pixels is at most the middle of its range.

    Takes uint8 (N, H, W) or (N, H, W, C); True also for a batch without contrast.
    """
    if images.size == 0:
        return True
    frame = np.concatenate([images[:, [0, -1]].ravel(), images[:, :, [0, -1]].ravel()])
    middle = (int(images.min()) + int(images.max())) / 2
    return bool(np.median(frame) <= middle)


def stroke_thickness(images: np.ndarray, *, threshold: int = 128) -> np.ndarray:
    """Mean thickness of the strokes of each image: four times the mean distance of the ink to its edge.

    (In a straight stroke of width w that distance is uniform on (0, w / 2).) Measured on pixels repeated 4 x 4 times.

    Args:
        images: uint8 (N, H, W, 1) or (N, H, W), bright ink on dark.
        threshold: Values >= threshold are ink, 1..255.

    Returns:
        float64 (N,) in pixels; 0 where there is no ink.
    """
    thickness = np.zeros(len(images))
    for i, image in enumerate(as_grey(images, "stroke thickness")):
        ink = np.pad(image >= threshold, 1).repeat(SUBPIXELS, 0).repeat(SUBPIXELS, 1)
        if ink.any():
            to_edge = grid.distance_inside(ink[None])[0][ink] - 0.5
            thickness[i] = 4 * to_edge.mean() / SUBPIXELS
    return thickness


_Kernel = tuple[tuple[_Reach, _Reach], ...]
_Better = Callable[..., np.ndarray]  # np.maximum or np.minimum


@functools.lru_cache(maxsize=256)
def _kernels(radius_px: float, shape: str) -> tuple[_Kernel, ...]:
    """The kernels that the subpixels of a pixel see, in pixels: one for a whole radius, else 16."""
    scale = 1 if radius_px == int(radius_px) else SUBPIXELS
    reach = round(radius_px * scale)
    rows, columns = np.nonzero(make_kernel(reach, shape))
    phases = itertools.product(range(scale), repeat=2)
    return tuple(_cover((rows - reach + i) // scale, (columns - reach + j) // scale) for i, j in phases)


def _cover(rows: np.ndarray, columns: np.ndarray) -> _Kernel:
    """Cover a kernel by rectangles, narrow ones first.

    Rows nearer to the centre are never narrower, so each rectangle can reach from its rows to the centre.
    """
    by_columns: dict[_Reach, list[int]] = {}
    for row in np.unique(rows).tolist():
        run = columns[rows == row]
        by_columns.setdefault((int(run.min()), int(run.max())), [0]).append(row)
    ordered = sorted(by_columns.items(), key=lambda item: item[0][1] - item[0][0])
    return tuple(((min(found), max(found)), run) for run, found in ordered)


def _apply(images: np.ndarray, brightest: bool, kernels: tuple[_Kernel, ...]) -> np.ndarray:
    """Take the extreme over each kernel, and the mean of these, rounded half to even."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"expected uint8 (N, H, W) or (N, H, W, C), got {images.dtype} {images.shape}")
    changed = np.empty(images.shape, dtype=np.uint8)
    if not images.size:
        return changed
    better = np.maximum if brightest else np.minimum
    counted = Counter(kernels)
    size = max(1, _CHUNK_BYTES // images[0].size)
    for start in range(0, len(images), size):
        chunk, target = np.ascontiguousarray(images[start : start + size]), changed[start : start + size]
        if len(counted) == 1:
            target[...] = _extreme(chunk, kernels[0], better)
            continue
        total = np.zeros(chunk.shape, dtype=np.uint16)
        for kernel, count in counted.items():
            total += np.multiply(_extreme(chunk, kernel, better), np.uint16(count), dtype=np.uint16)
        # Sixteenths: 7/16 up, and one more where the whole part is odd, is numpy's rounding half to even.
        total += 7 + ((total >> 4) & 1)
        target[...] = total >> 4
    return changed


def _extreme(images: np.ndarray, kernel: _Kernel, better: _Better) -> np.ndarray:
    """Each pixel's maximum or minimum over a kernel; contiguous images (n, H, W) or (n, H, W, C)."""
    height, width = images.shape[1:3]
    pixel = images.size // (len(images) * height * width)
    line = width * pixel
    across, reached, best = images.reshape(-1), (0, 0), None
    for rows, columns in kernel:
        across, reached = _widen(across, line, pixel, reached, columns, better), columns
        both = _widen(across, height * line, line, (0, 0), rows, better)
        best = both if best is None else better(best, both)
    assert best is not None
    return best.reshape(images.shape)


def _widen(values: np.ndarray, line: int, unit: int, reached: _Reach, wanted: _Reach, better: _Better) -> np.ndarray:
    """Extremes over a window of offsets `wanted`, from `values`, uint8 (n * line,), the extremes over `reached`.

    A window does not cross the borders of a line: a row, or an image for columns. `unit` is the number of elements
    between neighbours: the channels, or a row for columns.
    """
    for side in (0, 1):
        reach, goal = abs(reached[side]), min(abs(wanted[side]), line // unit - 1)
        while reach < goal:
            step = min(goal - reach, reach + 1) * unit
            wider = np.empty_like(values)
            better(values[:-step], values[step:], out=wider[:-step] if side else wider[step:])
            border = np.s_[:, -step:] if side else np.s_[:, :step]  # these came from the next line
            wider.reshape(-1, line)[border] = values.reshape(-1, line)[border]
            values, reach = wider, reach + step // unit
    return values
