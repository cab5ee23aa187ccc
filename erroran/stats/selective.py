"""Selective prediction: the risk if the least confident predictions are rejected, and which threshold to use.

A model *answers* an image if its confidence is at least the threshold; the others are left to a human. *Coverage* is
the share answered, *risk* the share of the answered that is wrong (El-Yaniv and Wiener 2010, JMLR 11, 1605-1641).
"""

from dataclasses import dataclass

import numpy as np

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.intervals import wilson_interval


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve of one run.

    Attributes:
        coverage: float64 (K,), rising to 1: the share answered at each different confidence as a threshold.
        risk: float64 (K,), in [0, 1]: the share of the answered that is wrong.
        thresholds: float64 (K,), falling: the confidences.
        area: Area under the curve (AURC): the mean risk over 1, 2, ... N images answered; where confidences are equal,
            the mean over all orders of these images.
        best_area: The area if the same errors were the least confident predictions.
    """

    coverage: FloatArray
    risk: FloatArray
    thresholds: FloatArray
    area: float
    best_area: float


@dataclass(frozen=True)
class Selection:
    """What S runs do at a threshold; means over the runs, with 95 % intervals for new images.

    Attributes:
        threshold: Confidence from which on a run answers.
        kept_per_run: Images answered by each run, length S.
        errors_kept_per_run: Those of them that are wrong.
        errors_per_run: All errors of each run, answered or not.
        n_images: Images in all.
        coverage: Mean share answered, its interval behind it.
        accuracy: Mean share of the answered that is right, its interval behind it; None if a run answers nothing.
    """

    threshold: float
    kept_per_run: tuple[int, ...]
    errors_kept_per_run: tuple[int, ...]
    errors_per_run: tuple[int, ...]
    n_images: int
    coverage: tuple[float, float, float]
    accuracy: tuple[float, float, float] | None


def risk_coverage(confidence: FloatArray, wrong: BoolArray) -> RiskCoverage:
    """The risk-coverage curve of one run.

    Args:
        confidence: float (N,), higher is more confident.
        wrong: bool (N,).

    Source: El-Yaniv and Wiener (2010); the area as in Geifman, Uziel, El-Yaniv (2019), arXiv 1805.08206.
    """
    confidence, wrong = _check(confidence, wrong)
    order = np.argsort(-confidence, kind="stable")
    ranked, errors = confidence[order], np.cumsum(wrong[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    answered = np.arange(1, len(ranked) + 1)
    # Among equals the order is arbitrary: each of them counts with their mean.
    even = np.interp(answered, np.append(0, last + 1), np.append(0, errors[last]))
    n_wrong = int(errors[-1])
    best = np.maximum(0, answered - (len(ranked) - n_wrong))
    return RiskCoverage(
        coverage=(last + 1) / len(ranked),
        risk=errors[last] / (last + 1),
        thresholds=ranked[last],
        area=float((even / answered).mean()),
        best_area=float((best / answered).mean()),
    )


def select(confidence: FloatArray, wrong: BoolArray, threshold: float) -> Selection:
    """What runs do at a threshold.

    Args:
        confidence: float (S, N).
        wrong: bool (S, N).
        threshold: Images with at least this confidence are answered.

    Intervals are `wilson_interval`, for new images and these runs.
    """
    confidence, wrong = np.atleast_2d(confidence), np.atleast_2d(wrong)
    kept = confidence >= threshold
    waiting, failing = (~kept).sum(axis=0), (kept & wrong).sum(axis=0)
    low, high = wilson_interval(waiting, kept.shape[1], n_runs=len(kept))
    answered = int(kept.sum())
    accuracy = None
    if kept.any(axis=1).all():
        fails_low, fails_high = wilson_interval(failing, answered / len(kept), n_runs=len(kept))
        accuracy = (1 - float(failing.sum()) / answered, 1 - fails_high, 1 - fails_low)
    return Selection(
        threshold=float(threshold),
        kept_per_run=tuple(kept.sum(axis=1).tolist()),
        errors_kept_per_run=tuple((kept & wrong).sum(axis=1).tolist()),
        errors_per_run=tuple(wrong.sum(axis=1).tolist()),
        n_images=kept.shape[1],
        coverage=(float(kept.mean()), 1 - high, 1 - low),
        accuracy=accuracy,
    )


def threshold_for(confidence: FloatArray, wrong: BoolArray, accuracy: float) -> float | None:
    """The lowest threshold at which the answered images reach an accuracy, all runs together.

    On the images that it was chosen on it reaches more than on others; `held_out` says by how much.

    Args:
        confidence: float (S, N), in [0, 1].
        wrong: bool (S, N).
        accuracy: Target, in (0, 1].

    Returns:
        A multiple of 0.000001, so that it can be typed; None if no threshold reaches the target.
    """
    confidence, wrong = _check(np.ravel(confidence), np.ravel(wrong))
    curve = risk_coverage(np.floor(confidence * 1e6) / 1e6, wrong)
    reached = np.flatnonzero(curve.risk <= 1 - accuracy + 1e-12)
    return float(curve.thresholds[reached[-1]]) if reached.size else None


def held_out(confidence: FloatArray, wrong: BoolArray, accuracy: float, folds: IntArray) -> tuple[float, float | None]:
    """What `threshold_for` achieves on images that it was not chosen on.

    Args:
        confidence: float (S, N).
        wrong: bool (S, N).
        accuracy: Target, in (0, 1].
        folds: Integer (N,): for each fold, the threshold is chosen on the others and applied to it.

    Returns:
        Share answered, and share of the answered that is right (None if nothing is answered), over all runs and folds.
    """
    confidence, wrong = np.atleast_2d(confidence), np.atleast_2d(wrong)
    answered = np.zeros(confidence.shape, dtype=bool)
    for fold in np.unique(folds):
        here = folds == fold
        threshold = threshold_for(confidence[:, ~here], wrong[:, ~here], accuracy)
        if threshold is not None:
            answered[:, here] = confidence[:, here] >= threshold
    right = 1 - float(wrong[answered].mean()) if answered.any() else None
    return float(answered.mean()), right


def _check(confidence: FloatArray, wrong: BoolArray) -> tuple[FloatArray, BoolArray]:
    confidence, wrong = np.asarray(confidence, dtype=float), np.asarray(wrong, dtype=bool)
    if confidence.ndim != 1 or confidence.shape != wrong.shape or confidence.size == 0:
        raise BadInput(
            f"confidences need shape (N,) and errors the same; got {confidence.shape} and {wrong.shape}",
            fix="pass one confidence and one error flag per image",
        )
    return confidence, wrong
