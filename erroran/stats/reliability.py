"""Calibration errors, reliability bins and proper scores of predicted probabilities.

scikit-learn's ``calibration_curve`` gives no counts, so neither weights nor intervals; its ``log_loss`` and
``brier_score_loss`` warn about probabilities that are rounded in a file.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.intervals import wilson_interval

N_BINS = 15
N_DRAWS = 200
SMALLEST_PROBABILITY = 1e-7
"""The log loss takes smaller probabilities of the right class for this: float32 rounds them to 0."""


class ReliabilityBin(NamedTuple):
    """Predictions of similar confidence, over all runs together.

    Attributes:
        confidence: Their mean confidence, in [0, 1].
        accuracy: Share that is right; `low` and `high` are the ends of its 95 % interval for new images.
        predictions: How many.
    """

    confidence: float
    accuracy: float
    low: float
    high: float
    predictions: int


@dataclass(frozen=True)
class Calibration:
    """Calibration of one run's confidences.

    Attributes:
        ece_mass: Expected calibration error over 15 bins of equal mass, in [0, 1].
        ece_width: The same over 15 bins of equal width.
        ece_mass_if_perfect: Mean of `ece_mass` if every confidence were exactly right; with finite samples it is never
            0. 95 % of such samples stay below `ece_mass_if_perfect_high`.
        mean_confidence: Mean of the confidences; above `accuracy`: overconfident.
        accuracy: Share that is right.
        brier: Mean squared distance of the probabilities from the truth, summed over classes, in [0, 2].
        nll: Mean negative log-likelihood of the right class, in nats.
    """

    ece_mass: float
    ece_width: float
    ece_mass_if_perfect: float
    ece_mass_if_perfect_high: float
    mean_confidence: float
    accuracy: float
    brier: float
    nll: float


def reliability_bins(confidence: FloatArray, wrong: BoolArray) -> list[ReliabilityBin]:
    """Group predictions by confidence in (0, 1/15], (1/15, 2/15] ...; empty bins are left out.

    Args:
        confidence: float (S, N), in [0, 1].
        wrong: bool, the same shape.

    Source: Guo et al. (2017), arXiv 1706.04599.
    """
    bins = []
    place = _equal_width(confidence)
    for number in np.unique(place):
        here = place == number
        count, failing = int(here.sum()), (here & wrong).sum(axis=0)
        low, high = wilson_interval(failing, count / len(confidence), n_runs=len(confidence))
        accuracy = 1 - float(failing.sum()) / count
        bins.append(ReliabilityBin(float(confidence[here].mean()), accuracy, 1 - high, 1 - low, count))
    return bins


def assess_calibration(
    probabilities: npt.NDArray[np.floating],
    labels: IntArray,
    predicted: IntArray,
    *,
    rng: np.random.Generator,
) -> Calibration:
    """Calibration errors and proper scores of one run.

    Args:
        probabilities: float (N, C), rows summing to 1.
        labels: Integer (N,).
        predicted: Integer (N,), usually the most probable class.
        rng: Generator of the 200 draws from a perfect model.

    Source: Naeini, Cooper, Hauskrecht (2015), AAAI (equal mass); Guo et al. (2017), arXiv 1706.04599 (equal width);
    Brier (1950), Monthly Weather Review 78, 1-3; the reference draws right and wrong from the confidences themselves
    (consistency resampling, Broecker and Smith 2007, Weather and Forecasting 22, 651-661).
    """
    table = np.asarray(probabilities, dtype=np.float64)
    rows = np.arange(len(table))
    confidence, wrong = table[rows, predicted], predicted != labels
    # Bins of equal mass: equal confidences go together, to where the first of them belongs.
    by_mass = np.searchsorted(np.sort(confidence), confidence, side="left") * N_BINS // len(confidence)
    perfect = _calibration_errors(confidence, rng.random((N_DRAWS, len(table))) >= confidence, by_mass)
    of_label = table[rows, labels]
    return Calibration(
        ece_mass=float(_calibration_errors(confidence, wrong[None], by_mass)[0]),
        ece_width=float(_calibration_errors(confidence, wrong[None], _equal_width(confidence))[0]),
        ece_mass_if_perfect=float(perfect.mean()),
        ece_mass_if_perfect_high=float(np.quantile(perfect, 0.95)),
        mean_confidence=float(confidence.mean()),
        accuracy=1 - float(wrong.mean()),
        brier=float((np.square(table).sum(axis=1) - 2 * of_label + 1).mean()),
        nll=float(-np.log(np.maximum(of_label, SMALLEST_PROBABILITY)).mean()),
    )


def _equal_width(confidence: FloatArray) -> npt.NDArray[np.int64]:
    """The bin of each prediction, int64, 0 to 14."""
    places: npt.NDArray[np.int64] = np.clip(np.ceil(confidence * N_BINS) - 1, 0, N_BINS - 1).astype(np.int64)
    return places


def _calibration_errors(confidence: FloatArray, wrong: BoolArray, place: npt.NDArray[np.int64]) -> FloatArray:
    """Calibration errors float64 (D,) of D rows of errors, bool (D, N), under the same bins."""
    gap = confidence - ~wrong
    summed = [gap[:, place == number].sum(axis=1) for number in np.unique(place)]
    errors: FloatArray = np.abs(summed).sum(axis=0) / len(confidence)
    return errors
