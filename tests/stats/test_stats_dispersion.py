"""Swings of whole runs: recovered from data made with known swings."""

import numpy as np
import pytest

from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import (
    PRIOR_SHIFT_VARIANCE,
    PRIOR_SHIFT_VARIANCE_SD,
    adjust_p,
    excess_run_variance,
    moderate,
    run_variation,
)
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


def shifting_runs(rng, n_seeds, shift_sd, n=20_000, n_classes=6):
    """Each run moves the rates p of all images of a cell by its own shift times p (1 - p)."""
    labels = rng.integers(0, n_classes, n)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    rates = np.where(rng.random(n) < 0.03, rng.beta(0.5, 1, n), 0)
    shift = rng.uniform(-1, 1, (n_seeds, n_classes, n_classes)) * 3**0.5 * shift_sd
    wrong = rng.random((n_seeds, n)) < rates + shift[:, labels, other] * rates * (1 - rates)
    return labels, np.where(wrong, other, labels)


@pytest.mark.parametrize("shift_sd", [0.0, 0.3, 0.55])
@pytest.mark.parametrize("n_seeds", [3, 8])
def test_the_shift_is_recovered(shift_sd, n_seeds):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(12):
        labels, runs = shifting_runs(rng, 2 * n_seeds, shift_sd, n=60_000)
        found.append(run_variation(labels, runs[:n_seeds], runs[n_seeds:], n_classes=6).shift_sd)
    # Many errors: the prior hardly counts, but at 0 the root of a squared noise is above 0.
    assert np.mean(np.square(found)) == pytest.approx(shift_sd**2, abs=0.06 if n_seeds > 3 else 0.15)


def test_few_errors_leave_it_to_the_prior():
    """Little to see: the shift is near the prior's and never far below it by luck."""
    rng = np.random.default_rng(7)
    found = [run_variation(*shifting_runs(rng, 3, 0.0, n=700), n_classes=6).shift_sd for _ in range(10)]
    assert min(found) > 0.7 * PRIOR_SHIFT_VARIANCE**0.5


def test_shift_by_hand():
    """Two arms of two runs and one cell: three images flip together before, two apart after."""
    labels = np.zeros(10, int)
    before, after = np.zeros((2, 10), int), np.zeros((2, 10), int)
    before[0, :3] = 1
    after[0, 3], after[1, 4] = 1, 1
    found = run_variation(labels, before, after, n_classes=2)
    # e: 3 and 2 images at half each, times 2; variances of the counts 3, 0 and 1, 1.
    variance, e, product = 4.5 / 2, (1.5 + 1.0) / 2, 1.5 * 1.0
    raw = (variance - e) / product
    noise = 2 * (e + PRIOR_SHIFT_VARIANCE * e**2) ** 2 / 2 / product**2
    weights = 1 / noise, 1 / PRIOR_SHIFT_VARIANCE_SD**2
    blended = (weights[0] * raw + weights[1] * PRIOR_SHIFT_VARIANCE) / sum(weights)
    assert found.shift_sd**2 == pytest.approx(blended)
    skipped = run_variation(labels, before, after, n_classes=2, skip=[(0, 1)])
    assert skipped.shift_sd**2 == pytest.approx(PRIOR_SHIFT_VARIANCE)


def test_shift_of_several_cells_by_hand():
    labels, runs = swinging_runs(np.random.default_rng(2), 5, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    cells = np.zeros((6, 6), bool)
    cells[0, 1] = True
    assert found.shift_of(cells) == pytest.approx(found.shift_sd)
    cells[1, 0] = True
    one, two = found.expected[0, 1], found.expected[1, 0]
    assert found.shift_of(cells) == pytest.approx(found.shift_sd * (one**2 + two**2) ** 0.5 / (one + two))
    assert np.all(found.moderated_ratios() >= 1)


def test_single_runs_show_no_swing():
    labels, runs = swinging_runs(np.random.default_rng(3), 1, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    assert (found.run_sd, found.df) == (0.0, 0)
    assert found.shift_sd**2 == PRIOR_SHIFT_VARIANCE
    assert np.all(found.moderated_ratios() == 1)


def test_moderation_blends_by_degrees_of_freedom():
    assert moderate(3.0, df=4, predicted=1.5) == pytest.approx((8 * 1.5 + 4 * 3) / 12)
    assert moderate(0.1, df=20, predicted=1.0) == 1.0
    assert moderate(float("nan"), df=0, predicted=1.5) == 1.5


def test_adjusted_p_values_are_moderated_t():
    from scipy.stats import norm, t

    assert adjust_p(norm.sf(2.0), 4.0, 4) == pytest.approx(t.sf(1.0, 12))
    assert adjust_p(0.03, 1.0, 4) == 0.03
    assert adjust_p(np.array([0.01, 0.5]), 2.0, 4)[1] == pytest.approx(0.5)


def test_swings_widen_the_variance_only_when_there_are_any():
    before = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    assert excess_run_variance(before, before) == 0.0
    assert excess_run_variance(before, before, shift_sd=2.0) > 0.0
    assert excess_run_variance(before[:1], before[:1], shift_sd=2.0) == 0.0
