"""The dataset, and the checks that every dataset passes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from erroran.data.ids import count_different, sample_ids, strip_copy_numbers
from erroran.errors import DatasetError

MAX_CLASSES = 1000
"""A file with more labels probably holds no classes, but row numbers."""
CHANNELS = (1, 3)
"""Channels of an image: grey, or red, green and blue."""
_IMAGES_AT_ONCE = 1024
_RENUMBER = "number the classes 0, 1, 2 ... without gaps"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Checked images and labels of a training and a test part; `build_dataset` makes one.

    Attributes:
        name: "mnist", "digits", or the stem of a path.
        source: A path or "scikit-learn"; errors name it.
        x_train: ``uint8`` (N, H, W, C), 0 to 255; C is 1 (grey) or 3 (colour).
        y_train: ``int64`` (N,), 0 to K-1, every class present.
        x_test: ``uint8`` (M, H, W, C).
        y_test: ``int64`` (M,), 0 to K-1.
        class_names: K names, in the order of the labels.
        train_ids: Strings (N,), all different, made from the pixels.
        test_ids: Strings (M,), likewise; an image in both parts has the same id in both.
        digest: SHA-256 in hex of all images and labels, and of the names of the classes unless they are 0 to K-1; does
            not depend on the order of the samples.
        note: A remark that users must see, or None.
    """

    name: str
    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    train_ids: np.ndarray
    test_ids: np.ndarray
    digest: str
    note: str | None = None


def build_dataset(
    name: str,
    source: str,
    *,
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Check arrays and make a Dataset of them, with ids and digest.

    Args:
        name: Short name of the dataset.
        source: Where the arrays come from; errors name it.
        x_train: Integers 0 to 255, (N, H, W), (N, H, W, 1) or (N, H, W, 3).
        y_train: Integers 0 to K-1, (N,) or (N, 1), every class present, 2 <= K <= 1000.
        x_test: As ``x_train``, with images of the same size.
        y_test: As ``y_train``; classes may be missing.
        class_names: K names, all different; default: 0 to K-1.

    Returns:
        The dataset; its note counts copies in the training part, and training images that are in the test part.

    Raises:
        DatasetError: The arrays cannot be used; the message says which and why.
    """
    x_train = _check_images(x_train, f"{source}: the training images")
    y_train = _check_labels(y_train, f"{source}: the training labels")
    x_test = _check_images(x_test, f"{source}: the test images")
    y_test = _check_labels(y_test, f"{source}: the test labels")
    _raise_first(f"{source}:", _joint_problems(x_train, y_train, x_test, y_test))

    train_ids, test_ids = sample_ids(x_train, y_train), sample_ids(x_test, y_test)
    numbers = _numbers(int(y_train.max()) + 1)
    names = numbers if class_names is None else tuple(class_names)
    assert len(set(names)) == len(names) == len(numbers), names
    digest = digest_of([(x_train, y_train, train_ids), (x_test, y_test, test_ids)], names)
    note = _describe_copies(train_ids, y_train, test_ids)
    return Dataset(name, source, x_train, y_train, x_test, y_test, names, train_ids, test_ids, digest, note)


def digest_of(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], class_names: tuple[str, ...]) -> str:
    """SHA-256 in hex of the training and the test part, each images, labels and ids; see `Dataset`."""
    content = hashlib.sha256()
    for images, labels, ids in parts:
        order = np.argsort(ids)
        shape = images.shape[:3] if images.shape[3] == 1 else images.shape  # keeps the digests of grey datasets
        content.update(np.array(shape, dtype="<i8").tobytes())
        for start in range(0, len(order), _IMAGES_AT_ONCE):
            content.update(images[order[start : start + _IMAGES_AT_ONCE]].tobytes())
        content.update(labels[order].astype("<i8").tobytes())
    if class_names == _numbers(len(class_names)):
        return content.hexdigest()
    return hashlib.sha256("\n".join([content.hexdigest(), *class_names]).encode()).hexdigest()


def _numbers(n_classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(n_classes)))


def _raise_first(what: str, problems: Iterator[tuple[str, str]]) -> None:
    """Raise the first problem, if there is one; each is a message and its fix."""
    for message, fix in problems:
        raise DatasetError(f"{what} {message}.", fix=fix)


def _check_images(images: np.ndarray, what: str) -> np.ndarray:
    """The images as ``uint8`` (N, H, W, C)."""
    _raise_first(what, _image_problems(images))
    return np.ascontiguousarray(images if images.ndim == 4 else images[..., np.newaxis], dtype=np.uint8)


def _image_problems(images: np.ndarray) -> Iterator[tuple[str, str]]:
    kind, shape = images.dtype.kind, images.shape
    if kind == "f" and np.isnan(images).any():
        yield "hold NaN", "replace the NaN, scale to 0 to 255 and save as uint8"
    if kind not in "iu":
        scale = "if they run from 0 to 1, multiply by 255; then save with .round().astype('uint8')"
        yield f"are {images.dtype}, not whole numbers from 0 to 255", scale
    if len(shape) == 4 and shape[3] not in CHANNELS:
        convert = "keep three channels, as in x[..., :3], or convert to grey: x.mean(axis=3).round().astype('uint8')"
        yield f"have {shape[3]} channels (shape {shape}); erroran takes 1 (grey) or 3 (colour)", convert
    if len(shape) not in (3, 4):
        reshape = "reshape them to one image a row, for example x.reshape(-1, 28, 28)"
        yield f"have shape {shape}, not (N, H, W) or (N, H, W, 3)", reshape
    if images.size == 0:
        yield f"are empty (shape {shape})", "give at least one image of each class"
    if images.min() < 0 or images.max() > 255:
        scale = "scale the images to 0 to 255 and save them as uint8"
        yield f"hold values from {images.min()} to {images.max()}, outside 0 to 255", scale


def _check_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """The labels as ``int64`` (N,)."""
    _raise_first(what, _label_problems(labels))
    return np.ascontiguousarray(labels.reshape(-1), dtype=np.int64)


def _label_problems(labels: np.ndarray) -> Iterator[tuple[str, str]]:
    kind, integers = labels.dtype.kind, "give every sample a class number from 0 on and save them as int64"
    if labels.ndim != 1 and (labels.ndim != 2 or labels.shape[1] != 1):
        one_each = "give one class number per sample; for one-hot labels save y.argmax(axis=1)"
        yield f"have shape {labels.shape}, not (N,)", one_each
    if kind == "f" and np.isnan(labels).any():
        yield "hold NaN", integers
    if kind not in "iu":
        yield f"are {labels.dtype}, not whole numbers", integers
    if labels.size == 0:
        yield "are empty", "give one class number per sample"
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        yield f"run from {labels.min()} to {labels.max()}; erroran takes 0 to {MAX_CLASSES - 1}", _RENUMBER


def _joint_problems(
    x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> Iterator[tuple[str, str]]:
    """Problems between arrays: counts, sizes, classes."""
    for part, x, y in (("training", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            same = "save images and labels of the same samples, in the same order"
            yield f"there are {len(x)} {part} images but {len(y)} {part} labels", same
    if x_train.shape[1:] != x_test.shape[1:]:
        sizes = [f"{x.shape[1]}x{x.shape[2]} pixels with {x.shape[3]} channel(s)" for x in (x_train, x_test)]
        one_size = "bring all images to one size and number of channels"
        yield f"training images are {sizes[0]}, test images {sizes[1]}", one_size
    last = int(y_train.max())
    if (absent := np.setdiff1d(np.arange(last), y_train)).size:
        yield f"no training image has label {_enumerate(absent)}, though labels run up to {last}", _RENUMBER
    if last == 0:
        yield "all training images have label 0; nothing can be confused", "give at least two classes"
    if (new := np.setdiff1d(y_test, y_train)).size:
        drop = "drop those test images, or add training images of that class"
        yield f"test images have label {_enumerate(new)}, which no training image has", drop


def _enumerate(labels: np.ndarray) -> str:
    return ", ".join(map(str, labels[:5])) + (" ..." if labels.size > 5 else "")


def _describe_copies(train_ids: np.ndarray, y_train: np.ndarray, test_ids: np.ndarray) -> str | None:
    groups, n = strip_copy_numbers(train_ids), len(train_ids)
    notes = []
    if in_test := int(np.isin(groups, strip_copy_numbers(test_ids)).sum()):
        left_out = "so they are neither trained on nor mined"
        notes.append(f"{in_test:,} of {n:,} training images are also in the test part, {left_out}")
    if copies := n - len(different := np.unique(groups)):
        several = int(count_different(groups, y_train).sum()) - len(different)
        with_labels = f"; {several:,} of them with another label" if several else ""
        notes.append(f"{copies:,} of {n:,} training images are copies of others{with_labels}")
    return "; ".join(notes) or None
