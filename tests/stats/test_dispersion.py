"""Run-to-run variation: recovered from data made with a known one."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import cochrans_q

from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import (
    PRIOR_DF,
    PRIOR_LOGIT_VARIANCE,
    PRIOR_LOGIT_VARIANCE_SD,
    SHIFT_FACTORS,
    adjust_p,
    count_variance,
    moderate,
    run_variation,
    weigh_shifts,
)


def varying_runs(rng, n_seeds, relative_sd, n=20_000, n_classes=6):
    labels = rng.integers(0, n_classes, n)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    rates = np.where(rng.random(n) < 0.1, rng.beta(0.5, 2, n), 0)
    factor = rng.gamma(1 / relative_sd**2, relative_sd**2, (n_seeds, n_classes, n_classes))
    wrong = rng.random((n_seeds, n)) < rates * factor[:, labels, other]
    return labels, np.where(wrong, other, labels)


def test_count_variance_is_cochrans_q_and_arms_add_up():
    rng = np.random.default_rng(3)
    rates = rng.beta(0.4, 1, 200)
    before, after = rng.random((4, 200)) < rates, rng.random((6, 200)) < rates
    for arm in (before, after):
        found = count_variance(arm)
        assert found.df * found.ratio == pytest.approx(cochrans_q(arm.T.astype(int)).statistic)
    one, two, both = count_variance(before), count_variance(after), count_variance(before, after)
    assert both.df == 3 + 5
    assert both.variance == pytest.approx((3 * one.variance + 5 * two.variance) / 8)
    assert both.expected == pytest.approx((3 * one.expected + 5 * two.expected) / 8)


def test_count_variance_by_hand():
    # Counts 2, 0: variance 2. Each image is wrong in half of 2 runs: 2 * 1/4 * 2/1 = 1.
    found = count_variance(np.array([[1, 1], [0, 0]], dtype=bool))
    assert (found.variance, found.expected, found.ratio, found.df) == (2.0, 1.0, 2.0, 1)


def test_one_run_has_no_variance():
    found = count_variance(np.ones((1, 5), bool), np.zeros((1, 5), bool))
    assert (found.variance, found.expected, found.df) == (0.0, 0.0, 0)
    assert np.isnan(found.ratio)


def test_cells_agree_with_the_variance_of_each():
    labels, runs = varying_runs(np.random.default_rng(0), 8, 0.3, n=4000)
    found = run_variation(labels, runs[:3], runs[3:], n_classes=6)
    arms = [cell_errors(labels, part, (0, 1)) for part in (runs[:3], runs[3:])]
    expected = count_variance(*arms)
    assert found.variance[0, 1] == pytest.approx(expected.variance)
    assert found.expected[0, 1] == pytest.approx(expected.expected)
    assert found.df == expected.df


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
        found.append(run_variation(labels, runs[:n_seeds], runs[n_seeds:], n_classes=6).logit_sd)
    # Many errors: the prior hardly counts, but at 0 the root of a squared noise is above 0.
    assert np.mean(np.square(found)) == pytest.approx(shift_sd**2, abs=0.06 if n_seeds > 3 else 0.15)


def test_few_errors_leave_it_to_the_prior():
    """With few errors the estimate stays near the prior and never falls far below it."""
    rng = np.random.default_rng(7)
    found = [run_variation(*shifting_runs(rng, 3, 0.0, n=700), n_classes=6).logit_sd for _ in range(10)]
    assert min(found) > 0.7 * PRIOR_LOGIT_VARIANCE**0.5


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
    of_counts = e + found.logit_sd**2 * e**2
    noise = (2 * of_counts**2 + of_counts) / 2 / product**2
    weights = 1 / noise, 1 / PRIOR_LOGIT_VARIANCE_SD**2
    blended = (weights[0] * raw + weights[1] * PRIOR_LOGIT_VARIANCE) / sum(weights)
    assert found.logit_sd**2 == pytest.approx(blended)  # the noise is that at the estimate itself
    skipped = run_variation(labels, before, after, n_classes=2, skip=[(0, 1)])
    assert skipped.logit_sd**2 == pytest.approx(PRIOR_LOGIT_VARIANCE)


def test_shift_of_several_cells_by_hand():
    labels, runs = varying_runs(np.random.default_rng(2), 5, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    cells = np.zeros((6, 6), bool)
    cells[0, 1] = True
    assert found.logit_sd_of(cells) == pytest.approx(found.logit_sd)
    cells[1, 0] = True
    one, two = found.expected[0, 1], found.expected[1, 0]
    assert found.logit_sd_of(cells) == pytest.approx(found.logit_sd * (one**2 + two**2) ** 0.5 / (one + two))
    assert np.all(found.ratios() >= 1)


def test_single_runs_leave_it_to_the_prior():
    labels, runs = varying_runs(np.random.default_rng(3), 1, 0.5)
    found = run_variation(labels, runs, n_classes=6)
    assert found.df == 0
    assert found.logit_sd**2 == pytest.approx(PRIOR_LOGIT_VARIANCE)
    assert np.all(found.ratios() == 1)


def test_moderation_blends_by_degrees_of_freedom():
    assert PRIOR_DF == 8
    assert moderate(3.0, 1.5, 4) == pytest.approx((8 * 1.5 + 4 * 3) / 12)


def test_adjusted_p_values_are_moderated_t():
    from scipy.stats import norm, t

    assert adjust_p(norm.sf(2.0), 4.0, 4) == pytest.approx(t.sf(1.0, 12))
    assert adjust_p(0.03, 1.0, 4) == 0.03
    assert adjust_p(np.array([0.01, 0.5]), 2.0, 4)[1] == pytest.approx(0.5)


def weights_of(squares, expected, n_runs, logit_sd):
    return weigh_shifts(np.array(squares)[:, None], np.array(expected)[:, None], n_runs, logit_sd)[0]


def test_the_counts_own_variance_overrules_a_wrong_prior():
    """Two arms of five runs whose counts vary as 100 independent images do, though other cells shift by 0.7 logits."""
    weights = weights_of([4 * 100.0, 4 * 100.0], [100.0, 100.0], (5, 5), 0.7)
    variance = 100 + (SHIFT_FACTORS * 0.7) ** 2 * 100**2
    assert weights.sum() == pytest.approx(1)
    assert weights @ variance < 200 < 100 + 0.7**2 * 100**2
    wild = weights_of([4 * 20_000.0, 4 * 20_000.0], [100.0, 100.0], (5, 5), 0.7)
    assert wild @ variance > 10_000


def test_few_flipping_images_leave_it_to_the_prior():
    """Without flipping images, or with single runs, the weights are those of the half-t prior."""
    from scipy.stats import t

    for args in (([0.0, 0.0], [0.0, 0.0], (5, 5)), ([0.0, 0.0], [3.0, 3.0], (1, 1))):
        weights = weights_of(*args, 0.7)
        at = SHIFT_FACTORS <= 1
        assert weights[at].sum() == pytest.approx(2 * t.cdf(2**0.25, 4) - 1, abs=1e-3)
