"""Morpho-MNIST's four perturbations: thinner, thicker, swollen and broken strokes.

They change binary images on the four times finer grid, with doses relative to the image's own strokes, and return to
grey. The caller supplies the random numbers for places, so that they can be keyed by sample.

Source: Castro, Tan, Kainz, Konukoglu, Glocker, "Morpho-MNIST: Quantitative Assessment and Diagnostics for
Representation Learning", JMLR 20(178), 2019, section 3.2. The docstrings describe details that the
paper leaves open.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from erroran.operations import grid as fine_grid
from erroran.operations.grid import SCALE
from erroran.operations.morphology import Ink, as_grey

# Doses of the paper.
THIN_AMOUNT = 0.7
THICKEN_AMOUNT = 1.0
SWELL_STRENGTH = 3.0
FRACTURES = 3

MOST_FRACTURES = 10
"""Cuts in an image, at most."""

_SWELL_RADIUS = 7.0  # the paper's: px, times the square root of the thickness, halved
_FRACTURE_PX = 1.5  # the paper's
_CLEAR_OF_ENDS_PX = 2.0  # the paper prunes so much of the skeleton before it draws a place
_BEYOND_STROKE_PX = 0.5
_CHUNK = 64


def thin_strokes(images: np.ndarray, *, amount: float = THIN_AMOUNT, ink: Ink = "bright") -> np.ndarray:
    """Erode by a disk whose radius is `amount` times half the image's stroke thickness.

    Args:
        images: uint8 (N, H, W, 1) or (N, H, W).
        amount: > 0; from about 1 on, strokes break up and vanish.
        ink: ``dark`` where the ink is darker than the background.

    Returns:
        uint8, as `images`.
    """
    return _perturb(images, lambda s: s.inside > (amount * s.half)[:, None, None], ink)


def thicken_strokes(images: np.ndarray, *, amount: float = THICKEN_AMOUNT, ink: Ink = "bright") -> np.ndarray:
    """Dilate by a disk whose radius is `amount` times half the stroke thickness; arguments as in `thin_strokes`."""
    return _perturb(images, lambda s: fine_grid.distance_inside(~s.ink) <= (amount * s.half)[:, None, None], ink)


def redraw_strokes(images: np.ndarray, *, ink: Ink = "bright") -> np.ndarray:
    """Binarize on the fine grid and return to grey, as all perturbations do; arguments as in `thin_strokes`."""
    return _perturb(images, lambda strokes: strokes.ink, ink)


def swell(
    images: np.ndarray, *, places: np.ndarray, strength: float = SWELL_STRENGTH, ink: Ink = "bright"
) -> np.ndarray:
    """Magnify the surroundings of one point of the skeleton, so that the stroke bulges there.

    What is at distance r from the point comes from r (r / R)^(strength - 1), within R = 7 px √t / 2 for a stroke
    t px thick.

    Args:
        images: uint8 (N, H, W, 1) or (N, H, W).
        places: float (N,) or (N, 1 or more) in [0, 1): the first picks the point, from all points of the skeleton.
        strength: > 1; 1 would change nothing.
        ink: As in `thin_strokes`.

    Returns:
        uint8, as `images`.
    """
    import cv2

    def bulge(strokes: _Strokes) -> np.ndarray:
        swollen = strokes.ink.copy()
        y, x = np.indices(swollen.shape[1:], dtype=np.float32)
        for i, skeleton in enumerate(strokes.skeleton):
            row, column = _pick(np.argwhere(skeleton), places.reshape(len(places), -1)[strokes.rows[i], 0])
            radius = _SWELL_RADIUS * np.sqrt(2 * strokes.half[i] / SCALE) / 2 * SCALE
            nearer = np.minimum(np.hypot(y - row, x - column) / radius, 1) ** (strength - 1)
            from_x, from_y = ((at + nearer * (to - at)).astype(np.float32) for at, to in ((column, x), (row, y)))
            swollen[i] = cv2.remap(strokes.ink[i].astype(np.float32), from_x, from_y, cv2.INTER_LINEAR) >= 0.5
        return swollen

    return _perturb(images, bulge, ink)


def fracture(images: np.ndarray, *, places: np.ndarray, count: int = FRACTURES, ink: Ink = "bright") -> np.ndarray:
    """Cut strokes across, 1.5 px wide, at points of the skeleton at least 2 px from its ends and forks.

    If there is no such point, any point of the skeleton is used. The cut is perpendicular to the skeleton's main
    direction within 2 px, and reaches half a pixel beyond the stroke.

    `places` is float (N, `count` or more) in [0, 1), one for each of `count` >= 1 cuts, which may coincide. Other
    arguments as in `thin_strokes`.
    """
    import cv2

    def cut(strokes: _Strokes) -> np.ndarray:
        broken = strokes.ink.copy()
        ends, forks = fine_grid.count_crossings(fine_grid.pack(strokes.skeleton))
        special = fine_grid.unpack(ends | forks, len(broken))
        for i, skeleton in enumerate(strokes.skeleton):
            points = np.argwhere(skeleton)
            candidates = _far_from(points, np.argwhere(special[i]), _CLEAR_OF_ENDS_PX * SCALE)
            canvas = broken[i].astype(np.uint8)
            for place in places.reshape(len(places), -1)[strokes.rows[i], :count]:
                centre = _pick(candidates if len(candidates) else points, place)
                reach = strokes.inside[i][tuple(centre)] + _BEYOND_STROKE_PX * SCALE
                across = _across(points, centre) * reach
                first, last = (np.rint((centre + side * across)[::-1]).astype(int).tolist() for side in (-1, 1))
                cv2.line(canvas, first, last, 0, thickness=round(_FRACTURE_PX * SCALE))
            broken[i] = canvas > 0
        return broken

    return _perturb(images, cut, ink)


@dataclass(frozen=True)
class _Strokes:
    """Images with ink, on the fine grid; distances in fine pixels."""

    rows: np.ndarray  # int (n,), the images' places in the batch
    ink: np.ndarray  # bool (n, h, w)
    inside: np.ndarray  # float32 (n, h, w), distance to the edge of the ink
    skeleton: np.ndarray  # bool (n, h, w), never empty
    half: np.ndarray  # float64 (n,), half the stroke thickness: the mean of `inside` on the skeleton


def _perturb(images: np.ndarray, change: Callable[[_Strokes], np.ndarray], polarity: Ink) -> np.ndarray:
    """Change the ink (n, h, w) on the fine grid, a chunk of images at a time; images without ink are not changed."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"expected uint8 (N, H, W) or (N, H, W, 1), got {images.dtype} {images.shape}")
    grey = as_grey(images, "an operation on strokes")
    bright = grey if polarity == "bright" else 255 - grey
    changed = bright.copy()
    for start in range(0, len(images), _CHUNK):
        ink = fine_grid.find_ink(fine_grid.upsample(bright[start : start + _CHUNK]))
        inked = np.flatnonzero(ink.any(axis=(1, 2)))
        if len(inked):
            ink = ink[inked]
            inside, skeleton = fine_grid.distance_inside(ink), fine_grid.thin(ink)
            half = np.array([distance[line].mean() for distance, line in zip(inside, skeleton, strict=True)])
            strokes = _Strokes(start + inked, ink, inside, skeleton, half)
            changed[start + inked] = fine_grid.downsample(change(strokes))
    return (changed if polarity == "bright" else 255 - changed).reshape(images.shape)


def _pick(points: np.ndarray, place: float) -> np.ndarray:
    picked: np.ndarray = points[int(place * len(points))]
    return picked


def _far_from(points: np.ndarray, others: np.ndarray, distance: float) -> np.ndarray:
    if not len(others):
        return points
    apart = np.hypot(*(points[:, None] - others[None]).transpose(2, 0, 1))
    far: np.ndarray = points[apart.min(axis=1) >= distance]
    return far


def _across(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Unit vector across the skeleton at a point of it, from the points within 2 px."""
    near = points[np.hypot(*(points - centre).T) <= _CLEAR_OF_ENDS_PX * SCALE] - centre
    along = np.linalg.eigh(near.T @ near)[1][:, 1]
    return np.array([-along[1], along[0]])
