"""Measure the shape of the ink, for all images of a batch at once.

All measurements are on the four times finer grid of Morpho-MNIST (`erroran.operations.grid`), where pixels above the
middle of an image's range are ink. Ink is 8-connected, background 4-connected. Units are pixels of the original image;
positions are counted from the image's top left corner.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from erroran.operations import grid as fine_grid
from erroran.operations.grid import SCALE
from erroran.operations.morphology import as_grey, ink_is_bright

if TYPE_CHECKING:
    import pandas as pd

MEASUREMENTS = {
    "thickness_px": "stroke thickness: twice the mean distance from the skeleton to the edge",
    "length_px": "stroke length: links of the skeleton, 1 straight and √2 diagonal",
    "slant_deg": "slant: angle of the main axis from upright, positive to the right",
    "width_px": "width of the slanted box that holds 98 % of the ink",
    "height_px": "height of the rows that hold 98 % of the ink",
    "area_px2": "area of the ink",
    "components": "separate pieces of ink",
    "holes": "holes",
    "hole_area_px2": "area of all holes",
    "hole_row_px": "centre of the holes, from the top; empty without a hole",
    "hole_column_px": "centre of the holes, from the left; empty without a hole",
    "euler": "Euler number: components minus holes",
    "tips": "free ends of the skeleton",
    "forks": "branching points of the skeleton",
    "closure_margin_px": "dose that closes (positive) or opens (negative) the main loop; empty without one",
}
"""Columns of the table, in order, and their meaning."""

SIX = ("area_px2", "length_px", "thickness_px", "slant_deg", "width_px", "height_px")
"""Those of Morpho-MNIST."""

_SPUR = 6  # fine pixels = 1.5 px, less than a stroke is thick: shorter branches come from bumps of its outline
_OUTSIDE = 0.02  # share of the ink outside the bounding parallelogram, in each direction; Morpho-MNIST's
_SHALLOW = 0.5  # px between the doses that make and fill a loop; one of fewer is an uneven outline
_DISTANCE_UNITS = 16  # per fine pixel
_CHUNK = 256
_LEAST_LEFT = 0.5  # share of the stroke length; a choice, not from a source

Distance = Literal["euclidean", "chessboard"]
_METRIC: dict[Distance, Literal["about euclidean", "chessboard"]] = {
    "euclidean": "about euclidean",
    "chessboard": "chessboard",
}


def measure(
    images: np.ndarray,
    *,
    ink: Literal["bright", "dark", "detect"] = "detect",
    distance: Distance = "euclidean",
) -> "pd.DataFrame":
    """Measure every image.

    - Area, length, thickness, slant, width and height are Morpho-MNIST's, with one difference: the skeleton comes
      from Guo and Hall's thinning, which makes fewer spurs than a medial axis.
    - Holes are pieces of background that do not touch the border, 4-connected.
    - Tips and forks belong to the skeleton without branches up to 1.5 px; forks nearer to each other than the
      stroke is thick count as one.
    - Closure margin: f is the distance to the ink outside it, minus the distance to the background inside it. A loop is
      born at the level of f at which dilation closes it or, if negative, erosion opens it: half the gap of an open
      shape, minus half the thinnest neck of a closed one, to 1/8 px. The main loop is the one that persists over
      the widest range of doses.

    Args:
        images: uint8 (N, H, W, 1) or (N, H, W).
        ink: Brighter or darker than the background; ``detect`` decides for the whole batch with `ink_is_bright`.
        distance: Of the closure margin: ``euclidean`` for disks, ``chessboard`` for square kernels.

    Returns:
        N rows; columns and meanings in `MEASUREMENTS`. An image without ink has zeros, and NaN where nothing can be
        measured.

    Source: Castro et al., "Morpho-MNIST", JMLR 20(178), 2019, section 3.1 (the six); Edelsbrunner and
    Harer, "Computational Topology", 2010, ch. VII (persistence of sublevel sets).
    """
    import pandas as pd

    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"expected uint8 (N, H, W, 1) or (N, H, W), got {images.dtype} {images.shape}")
    images = as_grey(images, "measuring strokes")
    bright = ink == "bright" or (ink == "detect" and ink_is_bright(images))
    parts = [
        _measure_chunk(images[start : start + _CHUNK], bright, distance)
        for start in range(0, max(len(images), 1), _CHUNK)
    ]
    table = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in MEASUREMENTS})
    return table.astype(dict.fromkeys(("components", "holes", "euler", "tips", "forks"), "int64"))


def find_erased(before: "pd.DataFrame", after: "pd.DataFrame") -> np.ndarray:
    """Which images an operation erases: no ink is left, or less than half of the stroke length; bool (N,).

    The one definition of "erased" in proposals, previews and exposures. An erased image keeps its label, but hardly
    shows its class any more.

    Args:
        before: From `measure`, N rows; at least the columns ``area_px2`` and ``length_px``.
        after: The same images after the operation.
    """
    lost = after["length_px"].to_numpy() < _LEAST_LEFT * before["length_px"].to_numpy()
    return np.asarray(lost | (after["area_px2"].to_numpy() == 0))


def summarize_by_class(table: "pd.DataFrame", class_names: Sequence[str]) -> "dict[str, dict[str, Any]]":
    """Mean, standard deviation and quartiles of each measurement, for each class.

    Args:
        table: Columns ``label`` (the class's name) and those of `MEASUREMENTS`, one row per image.
        class_names: The classes, also those without an image.

    Returns:
        Class to ``images``, and to a dict for each measurement: ``missing`` (images without the value), ``mean``,
        ``sd``, ``q25``, ``median`` and ``q75``; NaN without values.
    """
    statistics = {"mean": "mean", "sd": "std", "q25": "25%", "median": "50%", "q75": "75%"}
    classes: dict[str, dict[str, Any]] = {}
    for name in class_names:
        rows = table.loc[table["label"] == name, list(MEASUREMENTS)].astype(float)
        described = rows.describe().to_dict()
        classes[name] = {"images": len(rows)}
        for key in MEASUREMENTS:
            missing = len(rows) - int(described[key]["count"])
            classes[name][key] = {"missing": missing, **{k: described[key][v] for k, v in statistics.items()}}
    return classes


def closure_margin(images: np.ndarray, *, distance: Distance = "euclidean") -> np.ndarray:
    """The closure margin of `measure` alone, of images with bright ink: float64 (N,), NaN without a loop."""
    margins, images = [np.empty(0)], as_grey(images, "measuring strokes")
    for start in range(0, len(images), _CHUNK):
        boxed, _, _ = _cut_out(fine_grid.find_ink(fine_grid.upsample(images[start : start + _CHUNK])))
        inside = fine_grid.distance_inside(boxed, metric=_METRIC[distance])
        margins.append(_loops(boxed, inside, distance)["closure_margin_px"])
    return np.concatenate(margins)


def _measure_chunk(images: np.ndarray, bright: bool, distance: Distance) -> dict[str, np.ndarray]:
    if not len(images):
        return dict.fromkeys(MEASUREMENTS, np.empty(0))
    import cv2

    fine = fine_grid.upsample(images if bright else 255 - images)
    ink = fine_grid.find_ink(fine)
    boxed, top, left = _cut_out(ink)
    inside = fine_grid.distance_inside(boxed, metric=_METRIC["euclidean"])
    components, holes = (
        np.array([cv2.connectedComponents(image, connectivity=connectivity)[0] for image in mask.view(np.uint8)])
        for mask, connectivity in ((boxed, 8), (~boxed, 4))
    )
    components, holes = components - 1, holes - 2  # OpenCV counts the rest as one; the outer background is no hole
    by_dose = inside if distance == "euclidean" else fine_grid.distance_inside(boxed, metric=_METRIC[distance])
    loops = _loops(boxed, by_dose, distance)
    loops["hole_row_px"] += top / SCALE
    loops["hole_column_px"] += left / SCALE
    return {
        "area_px2": np.array([np.count_nonzero(image) for image in boxed]) / SCALE**2,
        "components": components,
        "euler": components - holes,
        "holes": holes,
        **_slanted_box(fine, ink),
        **_skeleton(boxed, inside),
        **loops,
    }


def _cut_out(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut each image to the box around its ink, all as large as the largest box, in a frame of background.

    Returns:
        bool (N, h', w'), and the offsets from its rows and columns to those of `ink`, int (N,) each.
    """
    origins, sizes = [], []
    for used in (np.logical_or.reduce(ink, axis=2), np.logical_or.reduce(ink, axis=1)):
        first, end = used.argmax(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1)
        end[~used.any(axis=1)] = 1
        size = int((end - first).max())
        origins.append(np.minimum(first, used.shape[1] - size))
        sizes.append(size)
    (height, width), (tops, lefts) = sizes, origins
    boxed = np.zeros((len(ink), height + 2, width + 2), dtype=bool)
    for image, target, top, left in zip(ink, boxed, tops.tolist(), lefts.tolist(), strict=True):
        target[1:-1, 1:-1] = image[top : top + height, left : left + width]
    return boxed, tops - 1, lefts - 1


def _slanted_box(fine: np.ndarray, ink: np.ndarray) -> dict[str, np.ndarray]:
    """Slant from second moments; width and height of the parallelogram of that slant."""
    n, height, width = fine.shape
    grey = fine
    grey[~ink.any(axis=(1, 2))] = 0
    x, y = np.arange(width), np.arange(height)
    # Mass and first moment of each row; the moments of the image follow from them.
    by_row = grey @ np.stack([np.ones(width), x]).T.astype(np.float32)
    mass_of_row, first_of_row = by_row[..., 0].astype(float), by_row[..., 1].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mass = mass_of_row.sum(axis=1)
        middle = mass_of_row @ y / mass
        shear = (first_of_row @ y / mass - first_of_row.sum(axis=1) / mass * middle) / (
            mass_of_row @ y**2 / mass - middle**2
        )
        above = np.concatenate([np.zeros((n, 1)), mass_of_row.cumsum(axis=1)], axis=1) / mass[:, None]
    low, high = (_quantile(above[:, :height], q) for q in (_OUTSIDE / 2, 1 - _OUTSIDE / 2))
    safe, centre = np.nan_to_num(shear), np.nan_to_num(middle)
    left, right = _sheared_quantiles(grey, safe, centre)
    empty = mass == 0
    return {
        "slant_deg": np.where(empty, np.nan, np.rad2deg(np.arctan(-shear))),
        "width_px": np.where(empty, 0, (right - left) / SCALE),
        "height_px": np.where(empty, 0, (high - low) / SCALE),
    }


def _quantile(cumulative: np.ndarray, share: float) -> np.ndarray:
    """Where a row of (N, K) reaches a share, between its indices."""
    last = cumulative.shape[1] - 1
    after = np.clip((cumulative < share).sum(axis=1), 1, last)
    rows = np.arange(len(cumulative))
    low, high = cumulative[rows, after - 1], cumulative[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((share - low) / (high - low), 0, 1)
    quantile: np.ndarray = np.where(high > low, after - 1 + part, last)
    return quantile


def _sheared_quantiles(grey: np.ndarray, shear: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of slanted lines with 1 % of the ink to the left, and to the right, of them, at the middle row.

    The ink left of a line is a sum over rows of cumulative sums; bisection finds the line of all images at once.
    """
    n, height, width = grey.shape
    sums = np.zeros((n, height, width + 1), dtype=np.float32)
    np.cumsum(grey, axis=2, out=sums[..., 1:])
    total = sums[..., -1].sum(axis=1, dtype=float)
    offset = shear[:, None] * (np.arange(height) - middle[:, None]) - 0.5
    first = (np.arange(n)[:, None] * height + np.arange(height)) * (width + 1)
    flat = sums.reshape(-1)

    def left_of(line: np.ndarray) -> np.ndarray:
        ends = np.clip(np.ceil(line[:, None] + offset), 0, width).astype(np.int64)
        ink: np.ndarray = flat[first + ends].sum(axis=1, dtype=float)
        return ink

    reach = int(np.ceil(abs(offset).max())) + 1
    found = []
    for share in (_OUTSIDE / 2, 1 - _OUTSIDE / 2):
        goal = share * total
        low, high = np.full(n, -reach), np.full(n, width + reach)
        while (high - low > 1).any():
            middle_line = (low + high) // 2
            below = left_of(middle_line) < goal
            low, high = np.where(below, middle_line, low), np.where(below, high, middle_line)
        before, after = left_of(low), left_of(high)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(low + np.nan_to_num((goal - before) / (after - before)))
    return found[0], found[1]


def _skeleton(boxed: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
    """Thickness, length, tips and forks."""
    n, height, width = boxed.shape
    packed = fine_grid.pack(boxed)
    fine_grid.thin_packed(packed)
    skeleton = fine_grid.unpack(packed, n)
    flat, places = skeleton.reshape(-1), np.flatnonzero(skeleton)
    image = places // (height * width)
    count = np.bincount(image, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        to_edge = np.bincount(image, inside.reshape(-1)[places], minlength=n) / count
    thickness = np.nan_to_num(2 * to_edge / SCALE)
    links = flat[places + 1] + flat[places + width] * 1.0
    links += np.sqrt(2) * (flat[places + width - 1] + flat[places + width + 1] * 1.0)
    ends, forks = (fine_grid.unpack(p, n) for p in fine_grid.count_crossings(fine_grid.prune(packed, _SPUR)))
    return {
        "thickness_px": thickness,
        "length_px": np.bincount(image, links, minlength=n) / SCALE,
        "tips": np.bincount(np.flatnonzero(ends) // (height * width), minlength=n),
        "forks": _count_groups(forks, np.maximum(thickness * SCALE, 1.5)),
    }


def _count_groups(marks: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Count marked pixels of (N, h, w), taking those within `reach` (N,) of each other for one; int (N,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    image, row, column = np.unravel_index(np.flatnonzero(marks), marks.shape)
    if not len(image):
        return np.zeros(len(marks), dtype=np.int64)
    far_apart = 4.0 * max(marks.shape[1:])
    points = np.stack([image * far_apart, row / reach[image], column / reach[image]], axis=1)
    near = KDTree(points).query_pairs(1.0, output_type="ndarray")
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(image), len(image)))
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return np.bincount(image[first], minlength=len(marks))


def _loops(boxed: np.ndarray, inside: np.ndarray, distance: Distance) -> dict[str, np.ndarray]:
    """Closure margin, hole area and centre, from one flood of the background around the ink."""
    n = len(boxed)
    signed = fine_grid.distance_inside(~boxed, metric=_METRIC[distance]) - inside
    signed += np.where(boxed, np.float32(0.5), np.float32(-0.5))
    # Images last: each step of the flood then moves through all images at once.
    level = np.ascontiguousarray(
        np.clip(np.rint(signed * _DISTANCE_UNITS), -30_000, 30_000).astype(np.int16).transpose(1, 2, 0)
    )
    flood = _flood(level)
    depth = level - flood
    flat_depth, flat_flood = depth.reshape(-1, n), flood.reshape(-1, n)
    deepest, each = flat_depth.argmax(axis=0), np.arange(n)
    units = _DISTANCE_UNITS * SCALE
    shallow = flat_depth[deepest, each] < _SHALLOW * units
    hole_row, hole_column, hole_image = np.unravel_index(np.flatnonzero((level > 0) & (flood < 0)), level.shape)
    area = np.bincount(hole_image, minlength=n)
    with np.errstate(invalid="ignore"):
        row, column = (np.bincount(hole_image, at + 0.5, minlength=n) / area for at in (hole_row, hole_column))
    return {
        "hole_area_px2": area / SCALE**2,
        "hole_row_px": row / SCALE,
        "hole_column_px": column / SCALE,
        "closure_margin_px": np.where(shallow, np.nan, flat_flood[deepest, each] / units),
    }


def _flood(level: np.ndarray) -> np.ndarray:
    """For each pixel the largest minimum of `level` along any 4-connected path from the border; int16 (h, w, N).

    Where it is below the pixel's own level, a loop separates the pixel from the border; the loop is born at the level
    of the flood and dies at that of the pixel.

    Source: Vincent, "Morphological grayscale reconstruction in image analysis", IEEE Trans. Image Processing 2(2),
    1993: the sequential algorithm, as sweeps in four directions until nothing changes.
    """
    flood = np.full_like(level, np.iinfo(np.int16).min)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        flood[edge] = level[edge]
    water, ground, rising = flood, level, np.arange(level.shape[2])
    while len(rising):
        before = water.copy()
        for upright in (True, False):
            w, g = (water, ground) if upright else (water.transpose(1, 0, 2), ground.transpose(1, 0, 2))
            _sweep(w, g)
            _sweep(w[::-1], g[::-1])
        changed = (before != water).any(axis=(0, 1))
        if changed.mean() < 0.7:  # most images need few rounds; go on with the others alone
            flood[:, :, rising] = water
            rising = rising[changed]
            water, ground = (np.ascontiguousarray(a[:, :, changed]) for a in (water, ground))
    return flood


def _sweep(water: np.ndarray, ground: np.ndarray) -> None:
    arriving = np.empty(water.shape[1:], dtype=water.dtype)
    for here, previous, top in zip(water[1:], water[:-1], ground[1:], strict=True):
        np.minimum(previous, top, out=arriving)
        np.maximum(here, arriving, out=here)
