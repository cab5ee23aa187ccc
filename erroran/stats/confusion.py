"""Counts: confusion matrices per run, errors of one directed cell, precision and recall.

A *directed cell* (a, b) holds the images of class a that a run read as b.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput

IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Cell = tuple[int, int]


@dataclass(frozen=True)
class ClassMetrics:
    """Scores of one run. Arrays have shape (n_classes,); rates are in [0, 1].

    A class that was never predicted has precision 0, one without images recall 0 (scikit-learn's
    ``zero_division=0``).
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: npt.NDArray[np.int64]
    accuracy: float
    weighted_f1: float


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
    """Count images by run, label and predicted class.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        pred: Integer (S, N) or (N,), same range.
        n_classes: Number of classes C.

    Returns:
        int64 (S, C, C): entry [s, a, b] counts images of class a that run s read as b.

    Raises:
        BadInput: See `check_runs`.
    """
    labels, pred = check_runs(labels, pred, n_classes)
    rows = labels.astype(np.int64) * n_classes
    size = n_classes * n_classes
    counts = np.stack([np.bincount(rows + run, minlength=size) for run in pred])
    return counts.reshape(-1, n_classes, n_classes).astype(np.int64)


def cell_errors(labels: IntArray, pred: IntArray, cell: Cell) -> BoolArray:
    """Which images of class a did each run read as b?

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


def pair_errors(labels: IntArray, pred: IntArray, cell: Cell) -> npt.NDArray[np.int64]:
    """Errors of one directed cell per run: int64 (S,) from labels (N,) and predictions (S, N)."""
    counts: npt.NDArray[np.int64] = cell_errors(labels, pred, cell).sum(axis=1, dtype=np.int64)
    return counts


def per_class_metrics(labels: IntArray, pred_run: IntArray, n_classes: int) -> ClassMetrics:
    """Precision, recall, F1 and support of every class, for one run.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        pred_run: Integer (N,), same range.
        n_classes: Number of classes C.

    Raises:
        BadInput: See `check_runs`.
    """
    return metrics_from_counts(confusion_counts(labels, pred_run, n_classes)[0])


def metrics_from_counts(counts: IntArray) -> ClassMetrics:
    """The same from one confusion matrix, integer (C, C), rows true and columns predicted."""
    hits = np.diag(counts).astype(np.float64)
    support = counts.sum(axis=1)
    predicted = counts.sum(axis=0)
    f1 = _ratio(2 * hits, support + predicted)
    return ClassMetrics(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=f1,
        support=support.astype(np.int64),
        accuracy=float(hits.sum() / support.sum()),
        weighted_f1=float(np.average(f1, weights=support)),
    )


def accuracy(labels: IntArray, pred: IntArray) -> FloatArray:
    """Share of images read correctly per run: float64 (S,) in [0, 1]."""
    shares: FloatArray = (np.atleast_2d(pred) == np.asarray(labels)).mean(axis=1)
    return shares


def _ratio(part: npt.NDArray[np.floating], whole: IntArray) -> FloatArray:
    out: FloatArray = np.zeros(part.shape, dtype=np.float64)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
