"""Selective prediction: the risk if the least confident predictions are rejected, and which threshold to use.

A model answers an image if its confidence is at least the threshold; a human decides the others. *Coverage* is the
share answered, *risk* the share of the answers that is wrong (El-Yaniv and Wiener 2010, JMLR 11, 1605-1641).
"""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.intervals import wilson_interval


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve of one run.

    Attributes:
        coverage: float64 (K,), rising to 1: the share answered at each threshold.
        risk: float64 (K,), in [0, 1]: the share of the answered that is wrong.
        thresholds: float64 (K,), falling: the K different confidences.
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
    """What S runs answer at a threshold.

    Attributes:
        threshold: Least confidence of an answer.
        kept_per_run: Images answered by each run, length S.
        errors_kept_per_run: Wrong answers of each run.
        errors_per_run: All errors of each run, answered or not.
        n_images: Images in all.
        coverage: Mean share answered, and the ends of its 95 % interval for new images.
        accuracy: The same of the share of the answers that is right; None if a run answers nothing.
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
    """What runs with confidences float (S, N) and errors bool (S, N) answer at a threshold; see `wilson_interval`."""
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
    """The lowest threshold at which the answers of all runs together reach an accuracy.

    The accuracy is higher on the images that the threshold was chosen on than on others; see `held_out`.

    Args:
        confidence: float (S, N), in [0, 1].
        wrong: bool (S, N).
        accuracy: Target, in (0, 1].

    Returns:
        A multiple of 0.000001, which a user can type; None if no threshold reaches the target.
    """
    curve = risk_coverage(np.floor(confidence.ravel() * 1e6) / 1e6, wrong.ravel())
    reached = np.flatnonzero(curve.risk <= 1 - accuracy + 1e-12)
    return float(curve.thresholds[reached[-1]]) if reached.size else None


def held_out(confidence: FloatArray, wrong: BoolArray, accuracy: float, folds: IntArray) -> tuple[float, float | None]:
    """What `threshold_for` achieves on images that it was not chosen on.

    Args:
        confidence: float (S, N).
        wrong: bool (S, N).
        accuracy: Target, in (0, 1].
        folds: Integer (N,): the threshold that is applied to a fold is chosen on the others.

    Returns:
        Share answered, and share of the answered that is right (None if nothing is answered), over all runs and folds.
    """
    answered = np.zeros(confidence.shape, dtype=bool)
    for fold in np.unique(folds):
        here = folds == fold
        threshold = threshold_for(confidence[:, ~here], wrong[:, ~here], accuracy)
        if threshold is not None:
            answered[:, here] = confidence[:, here] >= threshold
    right = 1 - float(wrong[answered].mean()) if answered.any() else None
    return float(answered.mean()), right
