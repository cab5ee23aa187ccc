"""What a dataset is, and what it has to fulfil before anything else sees it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from erroran.data.ids import sample_ids, strip_copy_numbers
from erroran.errors import DatasetError

MAX_CLASSES = 1000
"""More labels than this are taken for something that is not a class, such as a row number."""
CHANNELS = (1, 3)
"""Channels an image may have: grey, or red, green and blue."""
_IMAGES_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Dataset:
    """Checked images and labels of a training and a test part; make one with ``build_dataset``.

    Attributes:
        name: "mnist", "digits", or the stem of a path.
        source: Where it came from, for people: a path or "scikit-learn".
        x_train: ``uint8`` of shape (N, H, W, C), 0 to 255; C is 1 for grey images, 3 for colour.
        y_train: ``int64`` of shape (N,), 0 to C-1, every class present.
        x_test: ``uint8`` of shape (M, H, W, C).
        y_test: ``int64`` of shape (M,), 0 to C-1.
        class_names: C names, in the order of the labels.
        train_ids: Strings of shape (N,), all different, made from the pixels.
        test_ids: Strings of shape (M,), likewise; an image in both parts has the same id in both.
        digest: SHA-256 in hex of all images and labels, and of the names of the classes unless they are 0 to C-1; the
            order of samples does not matter.
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
        source: Where the arrays come from; named in every error.
        x_train: Integers 0 to 255 of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3).
        y_train: Integers 0 to C-1 of shape (N,) or (N, 1), every class present, 2 <= C <= 1000.
        x_test: As ``x_train``, with images of the same size.
        y_test: As ``y_train``; classes may be missing, but none may be new.
        class_names: C names, all different; default: 0 to C-1.

    Returns:
        The dataset; its note tells of copies in the training part, and of training images that are in the test part.

    Raises:
        DatasetError: The arrays cannot be used; the message says which and why.
    """
    x_train = _check_images(x_train, f"{source}: the training images")
    y_train = _check_labels(y_train, f"{source}: the training labels")
    x_test = _check_images(x_test, f"{source}: the test images")
    y_test = _check_labels(y_test, f"{source}: the test labels")
    _check_together(source, x_train, y_train, x_test, y_test)

    arrays = {
        "x_train": x_train,
        "y_train": y_train,
        "train_ids": sample_ids(x_train, y_train),
        "x_test": x_test,
        "y_test": y_test,
        "test_ids": sample_ids(x_test, y_test),
    }
    names = _numbers(int(y_train.max()) + 1) if class_names is None else tuple(class_names)
    return Dataset(
        name=name,
        source=source,
        class_names=names,
        digest=digest_of(**arrays, class_names=names),
        note=_describe_copies(arrays["train_ids"], y_train, arrays["test_ids"]),
        **arrays,
    )


def digest_of(
    *,
    x_train: np.ndarray,
    y_train: np.ndarray,
    train_ids: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    test_ids: np.ndarray,
    class_names: Sequence[str],
) -> str:
    """SHA-256 in hex of images, labels and names of classes; see `Dataset`."""
    content = hashlib.sha256()
    for images, labels, ids in ((x_train, y_train, train_ids), (x_test, y_test, test_ids)):
        order = np.argsort(ids)
        shape = images.shape[:3] if images.shape[3] == 1 else images.shape  # as before colour
        content.update(np.array(shape, dtype="<i8").tobytes())
        for start in range(0, len(order), _IMAGES_AT_ONCE):
            content.update(images[order[start : start + _IMAGES_AT_ONCE]].tobytes())
        content.update(labels[order].astype("<i8").tobytes())
    if tuple(class_names) == _numbers(len(class_names)):
        return content.hexdigest()
    return hashlib.sha256("\n".join([content.hexdigest(), *class_names]).encode()).hexdigest()


def _numbers(n_classes: int) -> tuple[str, ...]:
    return tuple(str(label) for label in range(n_classes))


def _check_images(images: np.ndarray, what: str) -> np.ndarray:
    """Return the images as ``uint8`` of shape (N, H, W, C), or say what is wrong with them."""
    if images.dtype.kind not in "iu":
        _reject_pixels(images, what)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in CHANNELS:
        _reject_shape(images, what)
    if images.size == 0:
        raise DatasetError(f"{what} are empty (shape {images.shape}).", fix="give at least one image of each class")
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise DatasetError(
            f"{what} hold values from {low} to {high}, outside 0 to 255.",
            fix="scale the images to 0 to 255 and save them as uint8",
        )
    return np.ascontiguousarray(images, dtype=np.uint8)


def _reject_pixels(images: np.ndarray, what: str) -> NoReturn:
    if images.dtype.kind == "f" and np.isnan(images).any():
        raise DatasetError(f"{what} hold NaN.", fix="replace the NaN, scale to 0 to 255 and save as uint8")
    raise DatasetError(
        f"{what} are {images.dtype}, not whole numbers from 0 to 255.",
        fix="if they run from 0 to 1, multiply by 255; then save with .round().astype('uint8')",
    )


def _reject_shape(images: np.ndarray, what: str) -> NoReturn:
    if images.ndim == 4:
        raise DatasetError(
            f"{what} have {images.shape[3]} channels (shape {images.shape}); erroran takes 1 (grey) or 3 (colour).",
            fix="keep three channels, as in x[..., :3], or convert to grey: x.mean(axis=3).round().astype('uint8')",
        )
    raise DatasetError(
        f"{what} have shape {images.shape}, not (N, H, W) or (N, H, W, 3).",
        fix="reshape them to one image a row, for example x.reshape(-1, 28, 28)",
    )


def _check_labels(labels: np.ndarray, what: str) -> np.ndarray:
    """Return the labels as ``int64`` of shape (N,), or say what is wrong with them."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DatasetError(
            f"{what} have shape {labels.shape}, not (N,).",
            fix="give one class number a sample; for one-hot labels save y.argmax(axis=1)",
        )
    if labels.dtype.kind not in "iu":
        missing = labels.dtype.kind == "f" and np.isnan(labels).any()
        raise DatasetError(
            f"{what} hold NaN." if missing else f"{what} are {labels.dtype}, not whole numbers.",
            fix="give every sample a class number from 0 on and save them as int64",
        )
    if labels.size == 0:
        raise DatasetError(f"{what} are empty.", fix="give one class number a sample")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DatasetError(
            f"{what} run from {low} to {high}; erroran takes 0 to {MAX_CLASSES - 1}.",
            fix="number the classes 0, 1, 2 ... without gaps",
        )
    return np.ascontiguousarray(labels, dtype=np.int64)


def _check_together(
    source: str, x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> None:
    """Check what no array shows on its own: counts, sizes, classes."""
    for part, x, y in (("training", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise DatasetError(
                f"{source}: there are {len(x)} {part} images but {len(y)} {part} labels.",
                fix="save images and labels of the same samples, in the same order",
            )
    if x_train.shape[1:] != x_test.shape[1:]:
        sizes = [f"{x.shape[1]}x{x.shape[2]} pixels with {x.shape[3]} channel(s)" for x in (x_train, x_test)]
        raise DatasetError(
            f"{source}: training images are {sizes[0]}, test images {sizes[1]}.",
            fix="bring all images to one size and number of channels",
        )
    _check_classes(source, y_train, y_test)


def _check_classes(source: str, y_train: np.ndarray, y_test: np.ndarray) -> None:
    classes = int(y_train.max()) + 1
    absent = np.setdiff1d(np.arange(classes), y_train)
    if absent.size:
        raise DatasetError(
            f"{source}: no training image has label {_enumerate(absent)}, though labels run up to {classes - 1}.",
            fix="number the classes 0, 1, 2 ... without gaps",
        )
    if classes < 2:
        raise DatasetError(
            f"{source}: all training images have label 0; nothing can be confused.",
            fix="give at least two classes",
        )
    new = np.setdiff1d(y_test, y_train)
    if new.size:
        raise DatasetError(
            f"{source}: test images have label {_enumerate(new)}, which no training image has.",
            fix="drop those test images, or add training images of that class",
        )


def _enumerate(labels: np.ndarray) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return f"{shown} ..." if labels.size > 5 else shown


def _describe_copies(train_ids: np.ndarray, y_train: np.ndarray, test_ids: np.ndarray) -> str | None:
    groups, n = strip_copy_numbers(train_ids), len(train_ids)
    notes = []
    if in_test := int(np.isin(groups, strip_copy_numbers(test_ids)).sum()):
        notes.append(f"{in_test:,} of {n:,} training images are also in the test part, so they are neither trained on "
                     "nor mined")  # fmt: skip
    if copies := n - len(different := np.unique(groups)):
        several = len(set(zip(groups.tolist(), y_train.tolist(), strict=True))) - len(different)
        with_labels = f"; {several:,} of them with another label" if several else ""
        notes.append(f"{copies:,} of {n:,} training images are copies of others{with_labels}")
    return "; ".join(notes) or None
