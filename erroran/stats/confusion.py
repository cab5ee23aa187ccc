"""Confusion matrices, errors of directed cells, and scores by class.

A *directed cell* (a, b) holds the images of class a that a run predicted as b.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput

IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Cell = tuple[int, int]


@dataclass(frozen=True)
class ClassScores:
    """Scores of S runs on C classes; rates are in [0, 1].

    A class that was never predicted has precision 0, one without images recall 0.

    Attributes:
        precision: float64 (S, C).
        recall: float64 (S, C).
        f1: float64 (S, C).
        support: int64 (C,), images of each class.
        weighted_f1: float64 (S,), mean F1 of the classes, weighted by their images.
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: npt.NDArray[np.int64]
    weighted_f1: FloatArray


@dataclass(frozen=True)
class ErrorTable:
    """Images and the wrong classes that they were predicted as; one entry per image and wrong class.

    Attributes:
        cell: int64 (n,), true class times C plus predicted class; ascending.
        image: int64 (n,), position among the labels.
        runs: int64 (n, A), runs of each arm that made this error.
    """

    cell: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int64]


def check_runs(labels: IntArray, pred: IntArray, n_classes: int) -> tuple[IntArray, IntArray]:
    """Check labels (N,) and predictions (S, N) or (N,); give them back as arrays, predictions 2-D.

    Raises:
        BadInput: Shapes disagree, an array is empty or not integer, or a class is out of range.
    """
    labels = np.asarray(labels)
    pred = np.atleast_2d(np.asarray(pred))
    if labels.ndim != 1 or pred.ndim != 2 or pred.shape[1] != labels.size or pred.size == 0:
        raise BadInput(
            f"labels need shape (N,) and predictions (S, N); got {labels.shape} and {pred.shape}",
            fix="pass one row of predictions per run, one column per labelled image",
        )
    for name, values in (("labels", labels), ("predictions", pred)):
        if not np.issubdtype(values.dtype, np.integer):
            raise BadInput(
                f"{name} must be integers; got {values.dtype}",
                fix="pass class indices (an argmax of the probabilities)",
            )
        if values.min() < 0 or values.max() >= n_classes:
            raise BadInput(
                f"{name} must lie in 0..{n_classes - 1}; got {values.min()}..{values.max()}",
                fix="pass n_classes as one more than the largest class index",
            )
    return labels, pred


def confusion_counts(labels: IntArray, pred: IntArray, n_classes: int) -> npt.NDArray[np.int64]:
    """Count images by run, true class and predicted class: int64 (S, C, C).

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        pred: Integer (S, N) or (N,), same range.
        n_classes: Number of classes C.

    Raises:
        BadInput: See `check_runs`.
    """
    labels, pred = check_runs(labels, pred, n_classes)
    rows = labels.astype(np.int64) * n_classes
    return np.stack([np.bincount(rows + run, minlength=n_classes**2).reshape(n_classes, -1) for run in pred])


def cell_errors(labels: IntArray, pred: IntArray, cell: Cell) -> BoolArray:
    """Mark the images of class a that each run predicted as b.

    Args:
        labels: Integer (N,).
        pred: Integer (S, N).
        cell: (a, b), a != b.

    Returns:
        bool (S, M), one column per image of class a, in their order.
    """
    truth, read_as = cell
    errors: BoolArray = np.atleast_2d(pred)[:, np.asarray(labels) == truth] == read_as
    return errors


def cell_mask(n_classes: int, cells: Iterable[Cell]) -> BoolArray:
    """Mark directed cells: bool (C, C), rows true, columns predicted."""
    mask = np.zeros((n_classes, n_classes), dtype=bool)
    for cell in cells:
        mask[cell] = True
    return mask


def pair_errors(labels: IntArray, pred: IntArray, cell: Cell) -> npt.NDArray[np.int64]:
    """Errors of one directed cell per run: int64 (S,) from labels (N,) and predictions (S, N)."""
    counts: npt.NDArray[np.int64] = cell_errors(labels, pred, cell).sum(axis=1, dtype=np.int64)
    return counts


def tabulate_errors(labels: IntArray, *arms: IntArray, n_classes: int) -> ErrorTable:
    """List every error of the arms by image and wrong class.

    Args:
        labels: Integer (N,).
        arms: Predictions, integer (S, N) each.
        n_classes: Number of classes C.
    """
    keys = []
    for arm in arms:
        run, image = np.nonzero(arm != labels)
        cell = labels[image].astype(np.int64) * n_classes + arm[run, image]
        keys.append(cell * labels.size + image)
    key, where = np.unique(np.concatenate(keys), return_inverse=True)
    by_arm = np.split(where, np.cumsum([part.size for part in keys])[:-1])
    runs = np.stack([np.bincount(part, minlength=key.size) for part in by_arm], axis=1)
    return ErrorTable(key // labels.size, key % labels.size, runs)


def class_scores(labels: IntArray, pred: IntArray, n_classes: int) -> ClassScores:
    """Precision, recall and F1 of every class, for every run; arguments and errors as for `confusion_counts`."""
    counts = confusion_counts(labels, pred, n_classes)
    right, predicted, actual = counts.diagonal(axis1=1, axis2=2), counts.sum(axis=1), counts.sum(axis=2)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(actual, 1)
    f1 = 2 * right / np.maximum(predicted + actual, 1)
    support = actual[0]
    return ClassScores(precision, recall, f1, support, np.average(f1, axis=1, weights=support))


def accuracy(labels: IntArray, pred: IntArray) -> FloatArray:
    """Share of images predicted correctly per run: float64 (S,) in [0, 1]."""
    shares: FloatArray = (np.atleast_2d(pred) == np.asarray(labels)).mean(axis=1)
    return shares
