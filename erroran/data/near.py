"""Pairs of nearly equal images in different parts of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from erroran.data.split import Part

NEAR_CORRELATION = 0.99
"""Least correlation of the pixels of near duplicates; it does not depend on brightness and contrast."""
MOST_COMPARED = 5_000_000_000
"""Most pairs of images that are compared, about 15 seconds of processor time; larger parts are sampled."""

_CELLS = 8  # most cells of the coarse grid in each direction
_PAIRS_AT_ONCE = 4096
_IMAGES_AT_ONCE = 8192


@dataclass(frozen=True)
class NearDuplicates:
    """Near duplicates in two parts.

    Attributes:
        parts: Names of the parts.
        count: Pairs of images, one in each part.
        first: The first few pairs by id: id in the first part, id in the second part, correlation.
        compared: Share of the second part's images that were compared; below 1 for very large parts.
    """

    parts: tuple[str, str]
    count: int
    first: tuple[tuple[str, str, float], ...]
    compared: float


def find_near_duplicates(
    parts: Mapping[str, Part], *, correlation: float = NEAR_CORRELATION, shown: int = 5
) -> list[NearDuplicates]:
    """Find the near duplicates in each two parts; none is missed.

    With pixels centred and scaled to length 1, the correlation of images a and b is 1 - |a - b|^2 / 2. Sums over the
    cells of a coarse grid, divided by the root of the cell's size, are an orthogonal projection, which increases no
    distance. So only pairs that are near on the grid are compared pixel by pixel. Images without contrast have
    correlation 0.

    Args:
        parts: Name to part, all of one image size; two or more.
        correlation: Least correlation, in (0, 1).
        shown: Number of pairs in `NearDuplicates.first`.
    """
    from sklearn.neighbors import NearestNeighbors

    codes = {name: _coarse_codes(part) for name, part in parts.items()}
    found = []
    for first, second in combinations(parts, 2):
        most = max(1, MOST_COMPARED // max(1, len(codes[first])))
        # Ids are hashes: the smallest ones are a random sample that does not depend on the order of the data.
        others = np.sort(np.argsort(parts[second].ids, kind="stable")[:most])
        near = NearestNeighbors(radius=np.sqrt(2 * (1 - correlation)) + 1e-4, algorithm="brute").fit(codes[first])
        rows = near.radius_neighbors(codes[second][others], return_distance=False)
        pairs = np.stack([np.concatenate(rows), np.repeat(others, [len(row) for row in rows])], axis=1).astype(np.int64)
        exact = _correlate(parts[first], parts[second], pairs)
        pairs, exact = pairs[exact >= correlation], exact[exact >= correlation]
        ids = [(str(parts[first].ids[a]), str(parts[second].ids[b])) for a, b in pairs.tolist()]
        listed = sorted((*names, float(value)) for names, value in zip(ids, exact, strict=True))[:shown]
        share = len(others) / max(1, len(parts[second].ids))
        found.append(NearDuplicates((first, second), len(pairs), tuple(listed), share))
    return found


def _coarse_codes(part: Part) -> np.ndarray:
    """Projections of centred and scaled images to a coarse grid, float32 (N, cells)."""
    height, width, _ = part.image_shape
    edges = [np.arange(0, side, -(-side // _CELLS)) for side in (height, width)]
    sizes = [np.diff(starts, append=side) for starts, side in zip(edges, (height, width), strict=True)]
    scale = np.sqrt(np.outer(*sizes) * part.image_shape[2]).astype(np.float32)
    codes = [np.empty((0, scale.size), dtype=np.float32)]
    for start in range(0, len(part.y), _IMAGES_AT_ONCE):
        images = _normalise(part.read(np.arange(start, min(start + _IMAGES_AT_ONCE, len(part.y))))).sum(axis=3)
        cells = np.add.reduceat(np.add.reduceat(images, edges[0], axis=1), edges[1], axis=2) / scale
        codes.append(cells.reshape(len(cells), -1))
    return np.concatenate(codes)


def _correlate(first: Part, second: Part, pairs: np.ndarray) -> np.ndarray:
    """Correlations of pairs (P, 2) of places in the two parts, float32 (P,)."""
    blocks = [pairs[start : start + _PAIRS_AT_ONCE].T for start in range(0, max(1, len(pairs)), _PAIRS_AT_ONCE)]
    found = [np.einsum("nhwc,nhwc->n", _normalise(first.read(a)), _normalise(second.read(b))) for a, b in blocks]
    return np.concatenate(found)


def _normalise(images: np.ndarray) -> np.ndarray:
    """Centre each image and scale it to length 1 (0 without contrast), float32 (N, H, W, C)."""
    centred = images.astype(np.float32)
    centred -= centred.mean(axis=(1, 2, 3), keepdims=True)
    length = np.sqrt(np.einsum("nhwc,nhwc->n", centred, centred))[:, None, None, None]
    normalised: np.ndarray = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return normalised
