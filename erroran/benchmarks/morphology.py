"""Time the morphology and the measurements against other libraries.

``python -m erroran.benchmarks.morphology`` prints two Markdown tables, measured on one core. scikit-image,
albumentations, kornia and TensorFlow are optional. Without ``--mnist`` the images are scikit-learn's digits, enlarged.
"""

import importlib
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402 - reads the numbers of threads when it is imported

from erroran.benchmarks.common import Work, print_lines, start_parser, table_lines, time_in_turns  # noqa: E402
from erroran.operations import grid as fine_grid  # noqa: E402
from erroran.operations import morphology  # noqa: E402

CHANNELS: Final = 128  # images that OpenCV gets as the channels of one image
NOTE: Final = "checked to give the same bytes"


def _in_parts(images: np.ndarray, size: int, change: Callable[[np.ndarray], np.ndarray]) -> Work:
    """Work that changes `size` images (n, H, W) at a time."""
    return lambda: np.concatenate([change(images[at : at + size]) for at in range(0, len(images), size)])


def dilations(images: np.ndarray) -> dict[str, Callable[[], Work]]:
    """Ways to dilate uint8 images (N, H, W) by a 3 x 3 square.

    Each value prepares the work, and raises ImportError where the library is not installed.
    """
    import cv2
    from scipy import ndimage

    kernel = np.ones((3, 3), np.uint8)

    def opencv_loop() -> np.ndarray:
        out = np.empty_like(images)
        for image, target in zip(images, out, strict=True):
            cv2.dilate(image, kernel, dst=target)
        return out

    def opencv_channels(part: np.ndarray) -> np.ndarray:
        dilated = cv2.dilate(np.ascontiguousarray(part.transpose(1, 2, 0)), kernel)
        return np.atleast_3d(dilated).transpose(2, 0, 1)

    def scikit_image() -> Work:
        dilation = importlib.import_module("skimage.morphology").dilation
        return lambda: np.stack([dilation(image, kernel) for image in images])

    def albumentations() -> Work:
        step = importlib.import_module("albumentations").Morphological(scale=(3, 3), operation="dilation", p=1)
        return lambda: np.stack([step(image=image)["image"] for image in images])

    def kornia() -> Work:
        torch, dilation = importlib.import_module("torch"), importlib.import_module("kornia.morphology").dilation
        torch.set_num_threads(1)
        square = torch.ones(3, 3)

        def dilate(part: np.ndarray) -> np.ndarray:
            dilated: np.ndarray = dilation(torch.from_numpy(part[:, None]).float(), square).numpy()
            return dilated[:, 0].astype(np.uint8)

        return _in_parts(images, 1000, dilate)

    def tensorflow() -> Work:
        tf = importlib.import_module("tensorflow")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)

        def dilate(part: np.ndarray) -> np.ndarray:
            pooled: np.ndarray = tf.nn.max_pool2d(part[..., None].astype(np.float32), 3, 1, "SAME").numpy()
            return pooled[..., 0].astype(np.uint8)

        return _in_parts(images, 1000, dilate)

    return {
        "copying the array": lambda: images.copy,
        "erroran, square": lambda: lambda: morphology.dilate(images, radius_px=1),
        "erroran, cross": lambda: lambda: morphology.dilate(images, radius_px=1, shape="cross"),
        f"OpenCV, {CHANNELS} images as channels": lambda: _in_parts(images, CHANNELS, opencv_channels),
        "OpenCV, image by image": lambda: opencv_loop,
        "scipy.ndimage.grey_dilation": lambda: lambda: ndimage.grey_dilation(images, size=(1, 3, 3)),
        "scikit-image, image by image": scikit_image,
        "albumentations Morphological": albumentations,
        "kornia": kornia,
        "tf.nn.max_pool2d": tensorflow,
    }


def measure_as_published(image: np.ndarray) -> tuple[float, ...]:
    """Morpho-MNIST's six measurements of one image as the paper describes them, with scikit-image.

    Args:
        image: uint8 (H, W), bright ink.

    Returns:
        Area, length, thickness, slant, width and height, in pixels; the slant in degrees.

    Source: Castro et al., JMLR 20(178), 2019, section 3.1: cubic pyramid expansion by 4, threshold at half range,
    medial axis; moments and ink distribution of the expanded grey image, 1 % outside on each side.
    """
    from scipy import ndimage

    transform, skeletons = (importlib.import_module(f"skimage.{name}") for name in ("transform", "morphology"))
    scale = fine_grid.SCALE
    grey = (255 * transform.pyramid_expand(image, upscale=scale, order=3)).astype(np.uint8)
    ink = grey >= (int(grey.min()) + int(grey.max())) / 2
    skeleton, to_edge = skeletons.medial_axis(ink, return_distance=True, rng=0)  # ties are broken at random
    links = ndimage.correlate(skeleton.astype(float), [[0, 0, 0], [0, 0, 1], [2**0.5, 1, 2**0.5]], mode="constant")
    weight = grey.astype(float)
    y, x = np.indices(grey.shape)
    mass = weight.sum()
    middle_x, middle_y = (x * weight).sum() / mass, (y * weight).sum() / mass
    spread = (y**2 * weight).sum() / mass - middle_y**2
    shear = ((x * y * weight).sum() / mass - middle_x * middle_y) / spread
    columns, rows = np.arange(grey.shape[1]), np.arange(grey.shape[0])
    left_of = [weight[x + 0.5 < column + shear * (y - middle_y)].sum() / mass for column in columns]
    above = [weight[y < row].sum() / mass for row in rows]
    left, right = np.interp([0.01, 0.99], left_of, columns)
    top, bottom = np.interp([0.01, 0.99], above, rows)
    return (
        float(ink.sum() / scale**2),
        float((links * skeleton).sum() / scale),
        float(2 * to_edge[skeleton].mean() / scale),
        float(np.rad2deg(np.arctan(-shear))),
        float((right - left) / scale),
        float((bottom - top) / scale),
    )


def dilation_rows(images: np.ndarray, *, repeat: int) -> list[tuple[str, ...]]:
    """Rows of the first table: the shortest time of each way, as it is least disturbed by other load."""
    expected = morphology.dilate(images, radius_px=1)
    works: dict[str, Work] = {}
    absent = []
    for name, prepare in dilations(images).items():
        try:
            works[name] = prepare()
        except ImportError:
            absent.append((name, "-", "-", "-", "not installed"))
    notes = {name: NOTE if np.array_equal(work(), expected) else "" for name, work in works.items()}
    notes["erroran, square"] = ""
    taken = time_in_turns(works, repeat, once_above=2)
    best = {name: min(seconds for seconds, _ in times) for name, times in taken.items()}
    copy, loop = best["copying the array"], best["OpenCV, image by image"]
    rows = [
        (name, f"{1000 * seconds:,.0f}", f"{seconds / copy:.1f}", f"{loop / seconds:.2f}", notes[name])
        for name, seconds in best.items()
    ]
    return [*rows, *absent]


def measurement_lines(images: np.ndarray, *, published: int, repeat: int) -> list[str]:
    """Time and agreement of the measurements with the published method on the first `published` images."""
    from scipy.stats import spearmanr

    from erroran.shape.measure import SIX, measure

    def ours() -> float:
        times = time_in_turns({"ours": lambda: measure(images)}, repeat)["ours"]
        return min(seconds for seconds, _ in times) / len(images)

    measure(images[:128])
    before = ours()
    lines = [f"All {len(images):,} images, all measurements: {1000 * before:.3f} ms an image."]
    try:
        measure_as_published(images[0])
    except ImportError:
        return [*lines, "The published method was not timed: scikit-image is not installed."]
    found: list[tuple[float, ...]] = []
    timed = time_in_turns({"theirs": lambda: found.extend(map(measure_as_published, images[:published]))}, 1)
    per_image = timed["theirs"][0][0] / published
    own = statistics.mean((before, ours()))  # before and after, so that a change of the machine's load shows in both
    table = measure(images[:published])
    rows = [
        (name, f"{spearmanr(values, table[name]).statistic:.4f}", f"{values.mean():.2f}", f"{table[name].mean():.2f}")
        for name, values in zip(SIX, np.transpose(found), strict=True)
    ]
    header = ("measurement", "Spearman correlation with the published method", "mean, published", "mean, erroran")
    return [
        *lines,
        (
            f"The published method, its six alone, {published:,} images: {1000 * per_image:.2f} ms an image, "
            f"{per_image / own:.0f} times erroran's {1000 * own:.3f} ms (mean of before and after)."
        ),
        "",
        *table_lines(header, rows),
    ]


def load_images(path: Path | None, *, size: int, part: str) -> np.ndarray:
    """MNIST's images, or scikit-learn's digits, enlarged to 28 x 28; repeated up to `size`: uint8 (size, 28, 28)."""
    if path is not None:
        with np.load(path) as stored:
            images: np.ndarray = stored[part]
    else:
        from erroran.data import load_dataset

        images = load_dataset("digits").x_train[..., 0]
    return np.ascontiguousarray(np.resize(images, (size, *images.shape[1:])))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = start_parser("morphology", __doc__)
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="mnist.npz in Keras layout")
    parser.add_argument("--images", type=int, default=60_000, help="images to dilate")
    parser.add_argument("--measured", type=int, default=10_000, help="images to measure")
    parser.add_argument("--published", type=int, default=1_000, help="images for the published method")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions; the fastest counts")
    parser.add_argument("--only", choices=("dilate", "measure"), help="only one of the tables")
    options = parser.parse_args(arguments)
    import cv2

    cv2.setNumThreads(0)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines: list[str] = []
    if options.only != "measure":
        images = load_images(options.mnist, size=options.images, part="x_train")
        shape = " x ".join(f"{side:,}" for side in images.shape)
        header = ("way", "ms", "times a copy", "times faster than OpenCV, image by image", "result")
        lines += [f"Dilation by 3 x 3, {shape}, uint8, one core:", ""]
        lines += [*table_lines(header, dilation_rows(images, repeat=options.repeat)), ""]
    if options.only != "dilate":
        images = load_images(options.mnist, size=options.measured, part="x_test")
        lines += measurement_lines(images, published=min(options.published, len(images)), repeat=2)
    print_lines(lines)


if __name__ == "__main__":
    main()
