"""Calibration errors and proper scores, against scikit-learn, brute force and calibrated models."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from erroran.stats.reliability import N_BINS, Calibration, assess_calibration, reliability_bins


def drawn(n: int, seed: int = 0, *, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities over four classes and labels drawn from them; sharpened, they are overconfident."""
    rng = np.random.default_rng(seed)
    honest = rng.dirichlet([0.3] * 4, n)
    labels = np.array([rng.choice(4, p=row) for row in honest])
    told = honest**sharpen
    return told / told.sum(axis=1, keepdims=True), labels


def assess(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    return assess_calibration(probabilities, labels, probabilities.argmax(axis=1), rng=np.random.default_rng(0))


def test_scores_against_scikit_learn() -> None:
    """Log loss as scikit-learn computes it; Brier's score summed over classes."""
    probabilities, labels = drawn(500)
    found = assess(probabilities, labels)
    clipped = np.clip(probabilities, 1e-7, 1)
    assert found.nll == pytest.approx(log_loss(labels, clipped / clipped.sum(axis=1, keepdims=True)), rel=1e-5)
    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities, scale_by_half=False))


def test_scores_by_hand() -> None:
    """Certain and right: 0; certain and wrong: 2, and a finite log loss."""
    found = assess(np.eye(2), np.array([0, 0]))
    assert found.brier == 1.0
    assert found.nll == pytest.approx(-np.log(1e-7) / 2)
    assert (found.ece_width, found.ece_mass) == (0.5, 0.5)


def test_calibration_errors_by_brute_force() -> None:
    """Bin by bin from the definition."""
    probabilities, labels = drawn(997, sharpen=1.5)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels

    def error(groups: list[np.ndarray]) -> float:
        return sum(len(g) / 997 * abs(confidence[g].mean() - right[g].mean()) for g in groups if len(g))

    edges = np.linspace(0, 1, N_BINS + 1)
    width = [np.flatnonzero((confidence > low) & (confidence <= high)) for low, high in itertools.pairwise(edges)]
    found = assess(probabilities, labels)
    assert found.ece_width == pytest.approx(error(width))
    # array_split cuts a sample or two elsewhere
    assert found.ece_mass == pytest.approx(error(np.array_split(np.argsort(confidence), N_BINS)), abs=2e-3)


def test_a_calibrated_model_has_the_error_of_the_reference() -> None:
    """Labels drawn from the probabilities have the reference's error; sharpened probabilities a much larger one."""
    inside = [assess(*drawn(1500, seed)) for seed in range(20)]
    assert np.mean([c.ece_mass for c in inside]) == pytest.approx(
        np.mean([c.ece_mass_if_perfect for c in inside]), rel=0.15
    )
    assert sum(c.ece_mass > c.ece_mass_if_perfect_high for c in inside) <= 4
    over = assess(*drawn(1500, sharpen=3))
    assert over.ece_mass > 2 * over.ece_mass_if_perfect_high
    assert over.mean_confidence > over.accuracy


def test_bins_hold_every_prediction_once() -> None:
    """Sizes and means add up; intervals hold the accuracy."""
    probabilities, labels = drawn(1500)
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    bins = reliability_bins(np.stack([confidence] * 2), np.stack([wrong] * 2))
    assert sum(b.predictions for b in bins) == 3000
    assert sum(b.predictions * b.accuracy for b in bins) == pytest.approx(2 * (~wrong).sum())
    assert sum(b.predictions * b.confidence for b in bins) == pytest.approx(2 * confidence.sum())
    assert all(b.low <= b.accuracy <= b.high for b in bins)
    assert [round(b.confidence * 15 + 0.5) for b in bins] == list(range(16 - len(bins), 16))


def test_equal_confidences_stay_together() -> None:
    """Ninety predictions at exactly 0.8, of which the first 18 are wrong: one bin without a gap, not several with."""
    probabilities, labels = np.tile([0.8, 0.2], (90, 1)), (np.arange(90) < 18).astype(int)
    assert assess(probabilities, labels).ece_mass == pytest.approx(0)
