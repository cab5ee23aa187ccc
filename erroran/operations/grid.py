"""The four times finer grid of Morpho-MNIST: upsampling, binarization, downsampling, distances and skeletons.

Each image's result is independent of the rest of the batch, bit for bit. For this the resampling uses whole-number
weights, whose sums are exact in any order.

Source: Castro, Tan, Kainz, Konukoglu, Glocker, "Morpho-MNIST: Quantitative Assessment and Diagnostics for
Representation Learning", JMLR 20(178), 2019, section 3 (upsampling, binarisation, skeleton, distance transform).
"""

import functools
from typing import Literal

import numpy as np

SCALE = 4
"""Fine pixels per pixel, in each direction."""

_WEIGHT_UNITS = 128  # 255 x (1.3 x 128)^2 < 2^24: every sum of a resampling is exact in float32
_IMAGES_A_WORD = 8


def upsample(images: np.ndarray) -> np.ndarray:
    """Resample to the fine grid: cubic spline, then a Gaussian of 4/3 fine pixels, as a Gaussian pyramid does.

    Args:
        images: uint8 (N, H, W).

    Returns:
        float32 (N, 4 H, 4 W), cut to the range of each image, which a spline overshoots.
    """
    rows, columns = (_expansion(side) for side in images.shape[1:])
    wide = images.reshape(-1, images.shape[2]).astype(np.float32) @ columns.T
    fine: np.ndarray = rows @ wide.reshape(*images.shape[:2], -1)
    fine *= np.float32(1 / _WEIGHT_UNITS**2)
    darkest, brightest = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    np.clip(fine, darkest, brightest, out=fine, casting="same_kind")
    return fine


def find_ink(fine: np.ndarray) -> np.ndarray:
    """Separate bright ink from background at the middle of each image's range; none in an image without contrast.

    Takes float32 (N, h, w) from `upsample`, and returns bool (N, h, w).
    """
    low, high = fine.min(axis=(1, 2), keepdims=True), fine.max(axis=(1, 2), keepdims=True)
    ink: np.ndarray = fine >= (low + high) / 2
    ink &= high > low
    return ink


def downsample(ink: np.ndarray) -> np.ndarray:
    """From bool (N, 4 H, 4 W) to uint8 (N, H, W): 255 times the share of a pixel's fine pixels that are ink."""
    n, height, width = ink.shape
    blocks = ink.reshape(n, height // SCALE, SCALE, width // SCALE, SCALE)
    shares: np.ndarray = np.rint(blocks.mean(axis=(2, 4), dtype=np.float64) * 255).astype(np.uint8)
    return shares


def distance_inside(
    mask: np.ndarray, *, metric: Literal["euclidean", "about euclidean", "chessboard"] = "euclidean"
) -> np.ndarray:
    """Distance from the centre of each pixel of a mask to the nearest pixel centre outside it.

    Args:
        mask: bool (N, h, w). What lies beyond the image does not count as outside.
        metric: ``about euclidean`` is exact along rows and columns, and within 2 % in other directions, for a third
            of the time (Borgefors 1986, 5 x 5 chamfer mask).

    Returns:
        float32 (N, h, w) in pixels of the mask: 0 outside, at least 1 inside; the image's diagonal where there is no
        outside.
    """
    import cv2

    method = {
        "euclidean": (cv2.DIST_L2, cv2.DIST_MASK_PRECISE),
        "about euclidean": (cv2.DIST_L2, cv2.DIST_MASK_5),
        "chessboard": (cv2.DIST_C, cv2.DIST_MASK_3),
    }[metric]
    distance = np.empty(mask.shape, dtype=np.float32)
    for image, target in zip(mask.view(np.uint8), distance, strict=True):
        target[...] = cv2.distanceTransform(image, *method)
    np.minimum(distance, np.float32(np.hypot(*mask.shape[1:])), out=distance)
    return distance


def thin(ink: np.ndarray) -> np.ndarray:
    """Reduce strokes to 8-connected lines one pixel wide that keep the topology.

    Args:
        ink: bool (N, h, w).

    Returns:
        bool (N, h, w).

    Source: Guo and Hall, "Parallel thinning with two-subiteration algorithms", Communications of the ACM 32(3),
    1989, algorithm A1; computed for eight images at once, one in each bit of a byte.
    """
    packed = pack(ink)
    thin_packed(packed)
    return unpack(packed, len(ink))


def thin_packed(packed: np.ndarray) -> None:
    """`thin` in place on what `pack` made."""
    before = None
    while before is None or not np.array_equal(before, packed):
        before = packed.copy()
        _thin_once(packed, first=True)
        _thin_once(packed, first=False)


def pack(masks: np.ndarray) -> np.ndarray:
    """Put eight images (bool (N, h, w)) into the bits of bytes, with a frame of one empty pixel.

    Returns:
        uint8 (N / 8 rounded up, h + 2, w + 2).
    """
    n, height, width = masks.shape
    packed = np.zeros((-(-n // _IMAGES_A_WORD), height + 2, width + 2), dtype=np.uint8)
    for bit in range(min(n, _IMAGES_A_WORD)):
        part = masks.view(np.uint8)[bit::_IMAGES_A_WORD]
        packed[: len(part), 1:-1, 1:-1] |= part << np.uint8(bit)
    return packed


def unpack(packed: np.ndarray, n: int) -> np.ndarray:
    """Undo `pack` for `n` images."""
    masks = np.empty((n, packed.shape[1] - 2, packed.shape[2] - 2), dtype=np.uint8)
    for bit in range(min(n, _IMAGES_A_WORD)):
        part = masks[bit::_IMAGES_A_WORD]
        part[...] = (packed[: len(part), 1:-1, 1:-1] >> np.uint8(bit)) & 1
    return masks.view(bool)


def neighbours(packed: np.ndarray) -> tuple[np.ndarray, ...]:
    """The eight neighbours of every pixel of `pack`'s result, clockwise from the one above.

    Returns:
        Eight views of the flat array, shorter at both ends by a row and a pixel; `centres` gives the pixels.
    """
    flat, row = packed.reshape(-1), packed.shape[2]
    reach = row + 1
    size = len(flat) - 2 * reach
    moves = (-row, -row + 1, 1, row + 1, row, row - 1, -1, -row - 1)
    return tuple(flat[reach + move : reach + move + size] for move in moves)


def centres(packed: np.ndarray) -> np.ndarray:
    """The pixels that `neighbours` belong to, as a view."""
    reach = packed.shape[2] + 1
    return packed.reshape(-1)[reach:-reach]


def count_crossings(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the ends and the forks of packed lines that are one pixel wide.

    Returns:
        Two arrays like `packed`: pixels with one run of neighbours around them, and with three or four.
    """
    around = neighbours(packed)
    ones, twos, more = (np.zeros(len(around[0]), dtype=np.uint8) for _ in range(3))
    for this, following in zip(around, (*around[1:], around[0]), strict=True):
        starts = ~this & following  # one for each run of ink around the pixel
        more |= twos & ones & starts
        twos, ones = twos ^ (ones & starts), ones ^ starts
    here = centres(packed)
    ends, forks = np.zeros_like(packed), np.zeros_like(packed)
    # `ones`, `twos` and `more` are the binary digits of the number of runs.
    centres(ends)[:] = here & ones & ~twos & ~more
    centres(forks)[:] = here & ((ones & twos) | more)
    return ends, forks


def prune(packed: np.ndarray, length: int) -> np.ndarray:
    """Cut branches up to `length` pixels long off a packed skeleton; longer ones keep their ends."""
    pruned = packed.copy()
    for _ in range(length):
        ends, _ = count_crossings(pruned)
        pruned &= ~ends
    tips, _ = count_crossings(pruned)
    for _ in range(length):
        grown = tips.copy()
        for neighbour in neighbours(tips):
            centres(grown)[:] |= neighbour
        tips = grown & packed
    pruned |= tips
    return pruned


def _thin_once(bits: np.ndarray, *, first: bool) -> None:
    """One subiteration of Guo and Hall, in place; p2 is above, then clockwise to p9."""
    p2, p3, p4, p5, p6, p7, p8, p9 = neighbours(bits)
    pair_1, pair_2, pair_3, pair_4 = p9 | p2, p3 | p4, p5 | p6, p7 | p8
    other_1, other_2, other_3, other_4 = p2 | p3, p4 | p5, p6 | p7, p8 | p9
    c1, c2, c3, c4 = ~p2 & pair_2, ~p4 & pair_3, ~p6 & pair_4, ~p8 & pair_1
    both, either = (c1 & c2) | (c3 & c4), (c1 | c2) & (c3 | c4)
    one_stretch = (c1 | c2 | c3 | c4) & ~(both | either)
    two_or_more = (pair_1 & pair_2) | (pair_3 & pair_4) | ((pair_1 | pair_2) & (pair_3 | pair_4))
    two_or_more &= (other_1 & other_2) | (other_3 & other_4) | ((other_1 | other_2) & (other_3 | other_4))
    all_four = pair_1 & pair_2 & pair_3 & pair_4 & other_1 & other_2 & other_3 & other_4
    keep = (p6 | p7 | ~p9) & p8 if first else (p2 | p3 | ~p5) & p4
    centres(bits)[:] &= ~(one_stretch & two_or_more & ~all_four & ~keep)


@functools.lru_cache(maxsize=16)
def _expansion(side: int) -> np.ndarray:
    """Weights of the pixels of a line in its fine pixels: whole numbers, float32 (4 side, side)."""
    from scipy import ndimage

    spline = ndimage.zoom(np.eye(side), (SCALE, 1), order=3, mode="mirror", grid_mode=True)
    smooth = ndimage.gaussian_filter1d(spline, 2 * SCALE / 6, axis=0, mode="mirror")
    weights = np.rint(smooth * _WEIGHT_UNITS)
    # The weights of each fine pixel must still sum to 1 after rounding.
    weights[np.arange(len(weights)), weights.argmax(axis=1)] += _WEIGHT_UNITS - weights.sum(axis=1)
    rounded: np.ndarray = weights.astype(np.float32)
    return rounded
