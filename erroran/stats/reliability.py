"""How well do confidences fit? Calibration errors, reliability bins and proper scores of predicted probabilities.

scikit-learn's ``calibration_curve`` gives no counts, so neither weights nor intervals; its ``log_loss`` and
``brier_score_loss`` warn about probabilities that are rounded in a file.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.intervals import wilson_interval

N_BINS = 15
SMALLEST_PROBABILITY = 1e-7
"""The log loss takes smaller probabilities of the right class for this: float32 rounds them to 0."""

Binning = Literal["equal width", "equal mass"]


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions of similar confidence, over all runs together.

    Attributes:
        low: Smallest confidence that belongs here; `high` the largest.
        predictions: How many, all runs together.
        confidence: Their mean confidence, in [0, 1].
        accuracy: Share that is right.
        accuracy_low: Lower end of its 95 % interval for new images; `accuracy_high` the upper one.
    """

    low: float
    high: float
    predictions: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclass(frozen=True)
class Calibration:
    """How well one run's confidences fit.

    Attributes:
        ece_mass: Expected calibration error over 15 bins of equal mass, in [0, 1].
        ece_width: The same over 15 bins of equal width.
        ece_mass_if_perfect: What `ece_mass` would be on average if every confidence were exactly right: with finite
            samples it is never 0. 95 % of such samples stay below `ece_mass_if_perfect_high`.
        ece_mass_if_perfect_high: See there.
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


def reliability_bins(confidence: FloatArray, wrong: BoolArray, *, binning: Binning) -> list[ReliabilityBin]:
    """Group predictions by confidence; empty bins are left out.

    Args:
        confidence: float (S, N) or (N,), in [0, 1].
        wrong: bool, the same shape.
        binning: ``equal width``: (0, 1/15], (1/15, 2/15] ...; ``equal mass``: 15 bins with equal numbers of
            predictions, as far as equal confidences stay in one bin.

    Source: Guo et al. (2017), arXiv 1706.04599 (equal width); Naeini et al. (2015), AAAI (equal mass).
    """
    confidence, wrong = _check(confidence, wrong)
    bins = []
    place = _places(confidence.ravel(), binning).reshape(confidence.shape)
    for number in np.unique(place):
        here = place == number
        count, sure = int(here.sum()), confidence[here]
        failing = (here & wrong).sum(axis=0)
        low, high = wilson_interval(failing, count / len(confidence), n_runs=len(confidence))
        accuracy = 1 - float(failing.sum()) / count
        mean = float(sure.mean())
        bins.append(ReliabilityBin(float(sure.min()), float(sure.max()), count, mean, accuracy, 1 - high, 1 - low))
    return bins


def expected_calibration_error(confidence: FloatArray, wrong: BoolArray, *, binning: Binning) -> float:
    """Mean distance between confidence and accuracy over the bins of `reliability_bins`, weighted by size.

    Args:
        confidence: float (N,), in [0, 1].
        wrong: bool (N,).
        binning: See `reliability_bins`.

    Source: Naeini, Cooper, Hauskrecht (2015), AAAI; for the top class as in Guo et al. (2017), arXiv 1706.04599.
    """
    confidence, wrong = _check(confidence, wrong)
    return float(_ece(confidence.ravel(), wrong.ravel()[None], _places(confidence.ravel(), binning))[0])


def assess_calibration(
    probabilities: npt.NDArray[np.floating],
    labels: IntArray,
    predicted: IntArray,
    *,
    rng: np.random.Generator,
    n_draws: int = 200,
) -> Calibration:
    """Calibration errors and proper scores of one run.

    Args:
        probabilities: float (N, C), rows summing to 1.
        labels: Integer (N,).
        predicted: Integer (N,), usually the most probable class.
        rng: For the calibration error of a perfect model.
        n_draws: Draws for it.

    Source: Brier (1950), Monthly Weather Review 78, 1-3. The reference draws right and wrong from the confidences
    themselves (consistency resampling, Broecker and Smith 2007, Weather and Forecasting 22, 651-661).
    """
    table = np.asarray(probabilities, dtype=np.float64)
    rows = np.arange(len(table))
    confidence, wrong = table[rows, predicted], predicted != labels
    by_mass = _places(confidence, "equal mass")
    drawn = rng.random((n_draws, len(table))) >= confidence
    perfect = _ece(confidence, drawn, by_mass)
    of_label = table[rows, labels]
    return Calibration(
        ece_mass=float(_ece(confidence, wrong[None], by_mass)[0]),
        ece_width=expected_calibration_error(confidence, wrong, binning="equal width"),
        ece_mass_if_perfect=float(perfect.mean()),
        ece_mass_if_perfect_high=float(np.quantile(perfect, 0.95)),
        mean_confidence=float(confidence.mean()),
        accuracy=1 - float(wrong.mean()),
        brier=float((np.square(table).sum(axis=1) - 2 * of_label + 1).mean()),
        nll=float(-np.log(np.maximum(of_label, SMALLEST_PROBABILITY)).mean()),
    )


def _places(confidence: FloatArray, binning: Binning) -> npt.NDArray[np.int64]:
    """The bin of each prediction, int64 (N,)."""
    places: npt.NDArray[np.int64]
    if binning == "equal width":
        places = np.clip(np.ceil(confidence * N_BINS) - 1, 0, N_BINS - 1).astype(np.int64)
        return places
    # Equal confidences go together, to where the first of them belongs.
    places = np.searchsorted(np.sort(confidence), confidence, side="left") * N_BINS // len(confidence)
    return places


def _ece(confidence: FloatArray, wrong: BoolArray, place: npt.NDArray[np.int64]) -> FloatArray:
    """Calibration errors float64 (D,) of D rows of errors, bool (D, N), under the same bins."""
    gap = confidence - ~wrong
    summed = np.zeros((len(wrong), int(place.max()) + 1))
    for number in np.unique(place):
        summed[:, number] = gap[:, place == number].sum(axis=1)
    errors: FloatArray = abs(summed).sum(axis=1) / len(confidence)
    return errors


def _check(confidence: FloatArray, wrong: BoolArray) -> tuple[FloatArray, BoolArray]:
    confidence, wrong = np.atleast_2d(np.asarray(confidence, dtype=float)), np.atleast_2d(np.asarray(wrong, dtype=bool))
    if confidence.shape != wrong.shape or confidence.size == 0:
        raise BadInput(
            f"confidences and errors need the same shape; got {confidence.shape} and {wrong.shape}",
            fix="pass one confidence and one error flag per prediction",
        )
    return confidence, wrong
