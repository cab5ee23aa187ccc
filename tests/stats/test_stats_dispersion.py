"""Swings of whole runs: recovered from data made with known swings."""

import numpy as np
import pytest

from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import adjust_p, excess_run_variance, moderate, run_variation
from erroran.stats.significance import overdispersion


def swinging_runs(rng, n_seeds, run_sd, n=20_000, n_classes=6):
    labels = rng.integers(0, n_classes, n)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    rates = np.where(rng.random(n) < 0.1, rng.beta(0.5, 2, n), 0)
    swing = np.ones((n_seeds, n_classes, n_classes))
    if run_sd:
        swing = rng.gamma(1 / run_sd**2, run_sd**2, swing.shape)
    wrong = rng.random((n_seeds, n)) < rates * swing[:, labels, other]
    return labels, np.where(wrong, other, labels)


def test_cells_agree_with_the_overdispersion_of_each():
    labels, runs = swinging_runs(np.random.default_rng(0), 8, 0.3, n=4000)
    found = run_variation(labels, runs[:3], runs[3:], n_classes=6)
    arms = [cell_errors(labels, part, (0, 1)) for part in (runs[:3], runs[3:])]
    expected = overdispersion(*arms)
    assert found.variance[0, 1] == pytest.approx(expected.variance)
    assert found.expected[0, 1] == pytest.approx(expected.expected)
    assert found.df == expected.df


@pytest.mark.parametrize("run_sd", [0.0, 0.2, 0.5])
def test_the_swing_is_recovered(run_sd):
    rng = np.random.default_rng(1)
    found = [run_variation(*swinging_runs(rng, 5, run_sd), n_classes=6).run_sd for _ in range(12)]
    assert np.mean(found) == pytest.approx(run_sd, abs=0.08)


def test_predicted_ratio_by_hand():
    labels, runs = swinging_runs(np.random.default_rng(2), 5, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    cells = np.zeros((6, 6), bool)
    cells[0, 1] = cells[1, 0] = True
    swing = found.run_sd**2 * (found.mean[0, 1] ** 2 + found.mean[1, 0] ** 2)
    expected = found.expected[0, 1] + found.expected[1, 0]
    assert found.predicted_ratio(cells) == pytest.approx(1 + swing / expected)
    assert np.all(found.moderated_ratios() >= 1)


def test_single_runs_show_no_swing():
    labels, runs = swinging_runs(np.random.default_rng(3), 1, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    assert (found.run_sd, found.df) == (0.0, 0)
    assert found.predicted_ratio(np.ones((6, 6), bool)) == 1.0


def test_moderation_blends_by_degrees_of_freedom():
    assert moderate(3.0, df=4, predicted=1.5) == pytest.approx((8 * 1.5 + 4 * 3) / 12)
    assert moderate(0.1, df=20, predicted=1.0) == 1.0
    assert moderate(float("nan"), df=0, predicted=1.5) == 1.5


def test_adjusted_p_values_keep_the_normal_deviate_rule():
    from scipy.stats import norm

    assert adjust_p(norm.sf(2.0), 4.0) == pytest.approx(norm.sf(1.0))
    assert adjust_p(0.03, 1.0) == 0.03
    assert adjust_p(np.array([0.01, 0.5]), 2.0)[1] == pytest.approx(0.5)


def test_swings_widen_the_variance_only_when_there_are_any():
    before = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    assert excess_run_variance(before, before) == 0.0
    assert excess_run_variance(before, before, predicted=4.0) > 0.0
