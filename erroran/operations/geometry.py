"""Shift, rotation, scale and slant: operations that move the ink without changing its thickness.

Pure functions: uint8 (N, H, W) or (N, H, W, C) in, uint8 of the same shape out. Pixels from outside an image are
background: 0, or 255 for dark ink.
"""

import numpy as np

from erroran.operations.morphology import Ink

_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def shift(images: np.ndarray, *, pixels: int, direction: np.ndarray, ink: Ink = "bright") -> np.ndarray:
    """Move each image by whole pixels >= 0; `direction` is int (N,): 0 right, 1 down, 2 left, 3 up."""
    shifted = np.empty_like(images)
    height, width = images.shape[1:3]
    margins = ((0, 0), (pixels, pixels), (pixels, pixels)) + ((0, 0),) * (images.ndim - 3)
    padded = np.pad(images, margins, constant_values=_background(ink))
    for which, (down, right) in enumerate(_DIRECTIONS):
        rows = direction == which
        top, left = pixels * (1 - down), pixels * (1 - right)
        shifted[rows] = padded[rows, top : top + height, left : left + width]
    return shifted


def rotate(images: np.ndarray, *, degrees: np.ndarray, ink: Ink = "bright") -> np.ndarray:
    """Turn each image about its centre by `degrees`, float (N,), counter-clockwise; linear interpolation."""
    turns = np.deg2rad(np.asarray(degrees, dtype=float))
    cos, sin = np.cos(turns), np.sin(turns)
    return _warp(images, np.array([[cos, sin], [-sin, cos]]).transpose(2, 0, 1), ink)


def scale(images: np.ndarray, *, factor: float, ink: Ink = "bright") -> np.ndarray:
    """Enlarge (`factor` > 1) or shrink what is in each image, about its centre; linear interpolation."""
    return _warp(images, np.broadcast_to(np.eye(2) * factor, (len(images), 2, 2)), ink)


def slant(images: np.ndarray, *, degrees: np.ndarray, ink: Ink = "bright") -> np.ndarray:
    """Shear each image about its middle row, so that an upright stroke leans; linear interpolation.

    `degrees` is float (N,), positive to the right, between -80 and 80.
    """
    lean = -np.tan(np.deg2rad(np.asarray(degrees, dtype=float)))
    ones, zeros = np.ones_like(lean), np.zeros_like(lean)
    return _warp(images, np.array([[ones, lean], [zeros, ones]]).transpose(2, 0, 1), ink)


def _warp(images: np.ndarray, matrices: np.ndarray, ink: Ink) -> np.ndarray:
    """Map each image's points, (x, y) from its centre, by its matrix (N, 2, 2)."""
    import cv2

    warped = np.empty_like(images)
    height, width = images.shape[1:3]
    centre = np.array([width - 1, height - 1]) / 2
    outside = (_background(ink),) * 4
    if images.ndim == 4 and images.shape[3] > len(outside):  # more channels than OpenCV can fill
        parts = [images[..., i : i + len(outside)] for i in range(0, images.shape[3], len(outside))]
        return np.concatenate([_warp(part, matrices, ink) for part in parts], axis=3)
    for image, matrix, target in zip(images, matrices, warped, strict=True):
        move = np.column_stack([matrix, centre - matrix @ centre])
        moved = cv2.warpAffine(
            np.ascontiguousarray(image), move, (width, height), flags=cv2.INTER_LINEAR, borderValue=outside
        )
        target[...] = moved.reshape(target.shape)
    return warped


def _background(ink: Ink) -> int:
    return 0 if ink == "bright" else 255
