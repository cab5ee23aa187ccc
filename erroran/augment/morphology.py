"""Grey-scale morphology on batches of images with bright ink on a dark ground.

Pure functions: uint8 batch in, uint8 batch of the same shape out, the input untouched.
"""

from collections.abc import Callable

import cv2
import numpy as np

SUBPIXELS = 4
"""Doses are multiples of 1/4 px: fractional radii work on an image whose pixels are repeated 4 x 4 times."""


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


def dilate(images: np.ndarray, *, radius_px: float, shape: str = "square") -> np.ndarray:
    """Thicken the ink: each pixel becomes the brightest within `radius_px`.

    Args:
        images: uint8 (N, H, W).
        radius_px: Multiple of 0.25, >= 0. Whole radii equal ``cv2.dilate`` with `make_kernel`.
        shape: See `make_kernel`.

    Returns:
        uint8 (N, H, W).
    """
    return _with_radius(images, cv2.dilate, radius_px, shape)


def erode(images: np.ndarray, *, radius_px: float, shape: str = "square") -> np.ndarray:
    """Thin the ink: each pixel becomes the darkest within `radius_px`. Arguments as in `dilate`."""
    return _with_radius(images, cv2.erode, radius_px, shape)


def dilate_with_kernel(images: np.ndarray, *, kernel_px: int) -> np.ndarray:
    """``cv2.dilate`` with a square kernel of side `kernel_px`.

    Side 1 changes nothing. Even sides are not symmetric in OpenCV: the ink also moves half a pixel right
    and down.

    Args:
        images: uint8 (N, H, W).
        kernel_px: Side of the kernel in pixels, >= 1.

    Returns:
        uint8 (N, H, W).
    """
    return _each(images, cv2.dilate, np.ones((kernel_px, kernel_px), np.uint8))


def erode_with_kernel(images: np.ndarray, *, kernel_px: int) -> np.ndarray:
    """``cv2.erode`` with a square kernel of side `kernel_px`; see `dilate_with_kernel`."""
    return _each(images, cv2.erode, np.ones((kernel_px, kernel_px), np.uint8))


def stroke_thickness(images: np.ndarray, *, threshold: int = 128) -> np.ndarray:
    """Mean thickness of the strokes of each image.

    In a straight stroke of width w the distance from a point to the nearer edge is uniform on (0, w / 2), so
    its mean is w / 4. The distance transform is taken on pixels repeated 4 x 4 times, from the centre of a
    subpixel to the edge of the ink.

    Args:
        images: uint8 (N, H, W), bright ink on dark.
        threshold: Values >= threshold are ink, 1..255.

    Returns:
        float64 (N,) in pixels; 0 where there is no ink.
    """
    thickness = np.zeros(len(images))
    for i, image in enumerate(images):
        ink = np.pad((image >= threshold).astype(np.uint8), 1).repeat(SUBPIXELS, 0).repeat(SUBPIXELS, 1)
        if ink.any():
            to_edge = cv2.distanceTransform(ink, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[ink > 0] - 0.5
            thickness[i] = 4 * to_edge.mean() / SUBPIXELS
    return thickness


def _with_radius(images: np.ndarray, operation: Callable[..., np.ndarray], radius_px: float, shape: str) -> np.ndarray:
    if radius_px == int(radius_px):
        return _each(images, operation, make_kernel(radius_px, shape))
    # Repeating pixels keeps dose 0 the identity and, for squares, whole doses equal to the plain operation.
    fine = images.repeat(SUBPIXELS, axis=1).repeat(SUBPIXELS, axis=2)
    changed = _each(fine, operation, make_kernel(radius_px * SUBPIXELS, shape))
    n, height, width = images.shape
    blocks = changed.reshape(n, height, SUBPIXELS, width, SUBPIXELS)
    averaged: np.ndarray = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return averaged


def _each(images: np.ndarray, operation: Callable[..., np.ndarray], kernel: np.ndarray) -> np.ndarray:
    changed = np.empty_like(images)
    for i, image in enumerate(images):
        changed[i] = operation(image, kernel)
    return changed
