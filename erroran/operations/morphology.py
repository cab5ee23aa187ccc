"""Grey-scale morphology on batches of images: pure functions, uint8 in, uint8 of the same shape out.

How it is fast: a dilation is a maximum over the kernel. Every kernel here consists of rows without gaps, and the
maximum over a row, or over a column, comes from a few maxima of an array with itself shifted. All images of a chunk
that fits the processor's second-level cache are shifted at once, as one flat array, so that numpy's vector instructions
are not interrupted at the end of each 28-pixel row; values that crossed from one row into the next are overwritten
before they count. An erosion is the same with minima. Pixels outside an image do not take part.
"""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from erroran.errors import BadInput
from erroran.operations import grid

SUBPIXELS = 4
"""Doses are multiples of 1/4 px: fractional radii work on an image whose pixels are repeated 4 x 4 times."""

Ink = Literal["bright", "dark"]

_CHUNK_BYTES = 256 * 1024  # of each of the few arrays in use; measured best where the second-level cache has 1 MiB


def make_kernel(radius_px: float, shape: str = "square") -> np.ndarray:
    """Build a symmetric structuring element.

    Args:
        radius_px: Reach from the centre in pixels of the grid it is used on; whole, >= 0.
        shape: ``square`` (chessboard distance), ``disk`` (Euclidean) or ``cross`` (city block).

    Returns:
        uint8 (2 r + 1, 2 r + 1) of 0 and 1.
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
    return _with_radius(images, ink == "bright", radius_px, shape)


def erode(images: np.ndarray, *, radius_px: float, shape: str = "square", ink: Ink = "bright") -> np.ndarray:
    """Thin the ink: each pixel becomes the darkest within `radius_px`. Arguments as in `dilate`."""
    return _with_radius(images, ink != "bright", radius_px, shape)


def open_strokes(images: np.ndarray, *, radius_px: float, shape: str = "square", ink: Ink = "bright") -> np.ndarray:
    """Erode, then dilate: strokes thinner than 2 `radius_px` vanish, the others keep their place and thickness.

    Arguments as in `dilate`.
    """
    thinner = erode(images, radius_px=radius_px, shape=shape, ink=ink)
    return dilate(thinner, radius_px=radius_px, shape=shape, ink=ink)


def close_gaps(images: np.ndarray, *, radius_px: float, shape: str = "square", ink: Ink = "bright") -> np.ndarray:
    """Dilate, then erode: gaps and holes narrower than 2 `radius_px` fill, the rest stays. Arguments as in `dilate`."""
    thicker = dilate(images, radius_px=radius_px, shape=shape, ink=ink)
    return erode(thicker, radius_px=radius_px, shape=shape, ink=ink)


def dilate_with_kernel(images: np.ndarray, *, kernel_px: int, ink: Ink = "bright") -> np.ndarray:
    """``cv2.dilate`` with a square kernel of side `kernel_px`.

    Side 1 changes nothing. Even sides are not symmetric in OpenCV: the ink also moves half a pixel right
    and down.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C).
        kernel_px: Side of the kernel in pixels, >= 1.
        ink: As in `dilate`; for dark ink this is ``cv2.erode``.

    Returns:
        uint8, as `images`.
    """
    return _apply(images, ink == "bright", (_square(kernel_px),))


def erode_with_kernel(images: np.ndarray, *, kernel_px: int, ink: Ink = "bright") -> np.ndarray:
    """``cv2.erode`` with a square kernel of side `kernel_px`; see `dilate_with_kernel`."""
    return _apply(images, ink != "bright", (_square(kernel_px),))


def stroke_radii(images: np.ndarray, *, stroke_fraction: float, ink: Ink = "bright") -> np.ndarray:
    """Turn a dose relative to the stroke into a radius for each image.

    Args:
        images: uint8 (N, H, W).
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
        images: uint8 (N, H, W).
        operation: `dilate`, `erode`, `open_strokes` or `close_gaps`.
        radii_px: (N,), multiples of 0.25.
        options: ``shape`` and ``ink``.

    Returns:
        uint8 (N, H, W).
    """
    changed = images.copy()
    for radius in np.unique(radii_px[radii_px > 0]):
        rows = np.flatnonzero(radii_px == radius)
        changed[rows] = operation(images[rows], radius_px=float(radius), **options)
    return changed


def as_grey(images: np.ndarray, what: str) -> np.ndarray:
    """Drop the channel axis of grey images.

    Args:
        images: (N, H, W, 1), or (N, H, W) already.
        what: What needs grey images, for the message.

    Returns:
        (N, H, W), a view.

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
    """Say whether a batch shows bright ink on a dark background: its frame is darker than the middle of its range.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C). What fills most of the outermost pixels is taken for background.

    Returns:
        True also for a batch without contrast.
    """
    if images.size == 0:
        return True
    frame = np.concatenate([images[:, [0, -1]].ravel(), images[:, :, [0, -1]].ravel()])
    middle = (int(images.min()) + int(images.max())) / 2
    return bool(np.median(frame) <= middle)


def stroke_thickness(images: np.ndarray, *, threshold: int = 128) -> np.ndarray:
    """Mean thickness of the strokes of each image.

    In a straight stroke of width w the distance from a point to the nearer edge is uniform on (0, w / 2), so
    its mean is w / 4. The distance transform is taken on pixels repeated 4 x 4 times, from the centre of a
    subpixel to the edge of the ink.

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


Runs = tuple[tuple[int, int, int], ...]
"""A kernel as rows: offset of the row, and its first and last offset within the row."""


def _with_radius(images: np.ndarray, brightest: bool, radius_px: float, shape: str) -> np.ndarray:
    whole = radius_px == int(radius_px)
    return _apply(images, brightest, _plain(int(radius_px), shape) if whole else _phases(radius_px, shape))


@functools.lru_cache(maxsize=256)
def _square(side: int) -> Runs:
    before = side // 2  # OpenCV's anchor
    return tuple((row, -before, side - 1 - before) for row in range(-before, side - before))


@functools.lru_cache(maxsize=256)
def _plain(radius: int, shape: str) -> tuple[Runs, ...]:
    return (_runs(*np.nonzero(make_kernel(radius, shape))),)


@functools.lru_cache(maxsize=256)
def _phases(radius_px: float, shape: str) -> tuple[Runs, ...]:
    """The kernels that the 16 subpixels of a pixel see, in pixels: repeated pixels need no finer grid."""
    reach = round(radius_px * SUBPIXELS)
    rows, columns = np.nonzero(make_kernel(reach, shape))
    return tuple(
        _runs((rows - reach + i) // SUBPIXELS, (columns - reach + j) // SUBPIXELS, centred=True)
        for i in range(SUBPIXELS)
        for j in range(SUBPIXELS)
    )


def _runs(rows: np.ndarray, columns: np.ndarray, *, centred: bool = False) -> Runs:
    middle = 0 if centred else int(rows.max()) // 2
    return tuple(
        (int(row) - middle, int(columns[rows == row].min()) - middle, int(columns[rows == row].max()) - middle)
        for row in np.unique(rows)
    )


def _apply(images: np.ndarray, brightest: bool, kernels: tuple[Runs, ...]) -> np.ndarray:
    """Take the extreme over each kernel, and the mean of these, rounded half to even."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"expected uint8 (N, H, W) or (N, H, W, C), got {images.dtype} {images.shape}")
    changed = np.empty(images.shape, dtype=np.uint8)
    if not images.size:
        return changed
    source = np.ascontiguousarray(images)
    size = max(1, _CHUNK_BYTES // source[0].size)
    extreme = _Extreme(source.shape, size, brightest)
    counted = {kernel: kernels.count(kernel) for kernel in kernels}
    for start in range(0, len(source), size):
        chunk, target = source[start : start + size], changed[start : start + size]
        if len(counted) == 1:
            extreme.take(chunk, kernels[0], target)
            continue
        total = np.zeros(chunk.shape, dtype=np.uint16)
        for kernel, count in counted.items():
            extreme.take(chunk, kernel, target)
            total += np.multiply(target, np.uint16(count), dtype=np.uint16)
        # Sixteenths: 7/16 up, and one more where the whole part is odd, is numpy's rounding half to even.
        total += 7 + ((total >> 4) & 1)
        target[...] = total >> 4
    return changed


class _Extreme:
    """Running maxima (or minima) over the chunks of a batch; owns the buffers.

    Args:
        shape: (N, H, W) or (N, H, W, C) of the batch.
        size: Images in a chunk.
        brightest: Maxima; else minima.
    """

    def __init__(self, shape: tuple[int, ...], size: int, brightest: bool) -> None:
        _, self._height, self._width, *channels = shape
        self._pixel = channels[0] if channels else 1
        self._row = self._width * self._pixel
        self._image = self._height * self._row
        self._better = np.maximum if brightest else np.minimum
        self._worst = 0 if brightest else 255
        self._scratch, self._across, self._down = np.empty((3, size * self._image), dtype=np.uint8)

    def take(self, chunk: np.ndarray, kernel: Runs, target: np.ndarray) -> None:
        """Write each pixel's extreme over a kernel of nested rows into `target`."""
        source, result = chunk.reshape(-1), target.reshape(-1)
        by_run: dict[tuple[int, int], list[int]] = {}
        for row, first, last in kernel:
            by_run.setdefault((first, last), []).append(row)
        ordered = sorted(by_run, key=lambda run: run[1] - run[0])
        across, reached = source, (0, 0)
        for i, run in enumerate(ordered):
            if run != reached:
                wider = self._across[: len(source)]
                across, reached = self._widen(across, wider, self._row, self._pixel, reached, run), run
            self._add_rows(across, sorted(by_run[run]), result, first=i == 0)

    def _add_rows(self, across: np.ndarray, rows: list[int], result: np.ndarray, *, first: bool) -> None:
        """Join the rows of a kernel that have the same run into what is there of the result."""
        low, high = rows[0], rows[-1]
        # Rows between these have a wider run, so that including them changes nothing; it often takes fewer steps.
        steps = max(-low, high, 0).bit_length()
        if low <= 0 <= high and (len(rows) == high - low + 1 or 2 * steps <= len(rows)):
            if first:
                self._widen(across, result, self._image, self._row, (0, 0), (low, high))
                return
            down = across
            if low or high:
                down = self._widen(across, self._down[: len(across)], self._image, self._row, (0, 0), (low, high))
            self._better(result, down, out=result)
            return
        if first:
            result.fill(self._worst)
        source, target = (a.reshape(-1, self._height, self._row) for a in (across, result))
        for row in rows:
            if abs(row) < self._height:
                there = source[:, max(row, 0) : self._height + min(row, 0)]
                here = target[:, max(-row, 0) : self._height - max(row, 0)]
                self._better(here, there, out=here)

    def _widen(
        self,
        source: np.ndarray,
        target: np.ndarray,
        line: int,
        unit: int,
        reached: tuple[int, int],
        wanted: tuple[int, int],
    ) -> np.ndarray:
        """Extremes over a window of offsets `wanted` from extremes over `reached`, all lines at once.

        Args:
            source: uint8 (n * line,); not modified unless it is `target`.
            target: Where to write, of the same size.
            line: Elements between the borders that a window may not cross: a row, or an image for columns.
            unit: Elements between neighbours: the channels, or a row for columns.
            reached: First and last offset that `source` covers already.
            wanted: First and last offset to cover.
        """
        limit = line // unit - 1  # a window is never wider than its line
        left, right = min(-reached[0], limit), min(reached[1], limit)
        goal_left, goal_right = min(-wanted[0], limit), min(wanted[1], limit)
        current = source
        while left < goal_left and right < goal_right:
            # At most half a line, so that each element keeps a neighbour; at most the window's reach and one,
            # so that no gap opens at the borders.
            step = min(goal_left - left, goal_right - right, left + 1, right + 1, (limit + 1) // 2)
            self._step(current, target, line, step * unit)
            left, right, current = left + step, right + step, target
        while right < goal_right:
            step = min(goal_right - right, right + 1)
            self._step_right(current, target, line, step * unit)
            right, current = right + step, target
        while left < goal_left:
            step = min(goal_left - left, left + 1)
            self._step_left(current, target, line, step * unit)
            left, current = left + step, target
        if current is not target:
            np.copyto(target, source)
        return target

    def _step(self, source: np.ndarray, target: np.ndarray, line: int, step: int) -> None:
        pairs = self._scratch[: len(source)]
        self._better(source[:-step], source[step:], out=pairs[:-step])
        pairs.reshape(-1, line)[:, line - step :] = self._worst  # these reached into the next line
        self._better(pairs[:-step], pairs[step:], out=target[step:])
        target[:step] = pairs[:step]

    def _step_right(self, source: np.ndarray, target: np.ndarray, line: int, step: int) -> None:
        pairs = self._scratch[: len(source)]
        self._better(source[:-step], source[step:], out=pairs[:-step])
        pairs.reshape(-1, line)[:, line - step :] = source.reshape(-1, line)[:, line - step :]
        target[:] = pairs

    def _step_left(self, source: np.ndarray, target: np.ndarray, line: int, step: int) -> None:
        pairs = self._scratch[: len(source)]
        self._better(source[:-step], source[step:], out=pairs[step:])
        pairs.reshape(-1, line)[:, :step] = source.reshape(-1, line)[:, :step]
        target[:] = pairs
