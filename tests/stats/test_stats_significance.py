"""Every p-value against brute-force enumeration or a library."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact, hypergeom
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from erroran.errors import BadInput
from erroran.stats.significance import (
    mcnemar,
    mcnemar_midp,
    overdispersion,
    run_permutation_test,
    stratified_test,
)


def enumerate_arm_swaps(before, after):
    """All ways to hand the wrong runs of every image to the arms, with their probability."""
    n_before, n_after = len(before), len(after)
    totals = (before.sum(axis=0) + after.sum(axis=0)).tolist()
    distribution = {0: 1.0}
    for total in totals:
        chosen = {}
        for wrong in combinations(range(n_before + n_after), total):
            share = sum(run >= n_before for run in wrong)
            chosen[share] = chosen.get(share, 0) + 1 / comb(n_before + n_after, total)
        joint = {}
        for (s, p), (k, q) in product(distribution.items(), chosen.items()):
            joint[s + k] = joint.get(s + k, 0.0) + p * q
        distribution = joint
    return distribution


def random_arms(seed, n_before, n_after, n_images, rate=0.4):
    rng = np.random.default_rng(seed)
    rates = rng.beta(rate, 1, n_images)
    return rng.random((n_before, n_images)) < rates, rng.random((n_after, n_images)) < rates


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_stratified_p_values_equal_enumeration(seed, sizes):
    before, after = random_arms(seed, *sizes, n_images=7)
    reference = enumerate_arm_swaps(before, after)
    observed = int(after.sum())
    less = sum(p for s, p in reference.items() if s <= observed)
    greater = sum(p for s, p in reference.items() if s >= observed)
    point = reference[observed]

    result = stratified_test(before, after)

    expected = [less, greater, less - point / 2, greater - point / 2]
    found = [result.p_less, result.p_greater, result.p_less_mid, result.p_greater_mid]
    assert found == pytest.approx(expected, abs=1e-12)
    mean = sum(s * p for s, p in reference.items())
    assert result.null_mean == pytest.approx(mean)
    assert result.null_sd**2 == pytest.approx(sum((s - mean) ** 2 * p for s, p in reference.items()), abs=1e-12)


def test_stratified_test_of_single_runs_is_mcnemar():
    before, after = random_arms(1, 1, 1, n_images=60)
    only_before = int((before & ~after).sum())
    only_after = int((after & ~before).sum())
    result = stratified_test(before, after)
    expected = mcnemar(only_before, only_after)
    assert result.p_two_sided == pytest.approx(expected.p_exact, abs=1e-12)
    assert result.n_informative == only_before + only_after


def test_one_image_is_fishers_exact_test():
    before = np.array([[1], [1], [1], [1], [0]], dtype=bool)
    after = np.array([[0], [0], [1], [0], [0]], dtype=bool)
    table = [[1, 4], [4, 1]]
    result = stratified_test(before, after)
    assert result.p_less == pytest.approx(fisher_exact(table, alternative="less").pvalue)
    assert result.p_greater == pytest.approx(fisher_exact(table, alternative="greater").pvalue)


def test_huge_tables_agree_with_a_known_law():
    # 60,000 images that one of 10 + 10 runs got wrong: a binomial with a half.
    before, after = np.zeros((10, 60_000), bool), np.zeros((10, 60_000), bool)
    before[0, :30_200] = True
    after[0, 30_200:] = True
    result = stratified_test(before, after)
    reference = binomtest(29_800, 60_000, alternative="less").pvalue
    assert result.p_less == pytest.approx(reference, rel=1e-9)


def test_odds_ratio_interval_holds_its_own_p_value():
    before, after = random_arms(5, 4, 4, n_images=30)
    result = stratified_test(before, after, confidence=1 - 0.2)
    # The interval excludes 1 exactly when the mid-p test rejects at the same level.
    assert (result.odds_ratio_high < 1 or result.odds_ratio_low > 1) == (result.p_two_sided_mid < 0.2)
    assert result.odds_ratio_low < result.odds_ratio < result.odds_ratio_high


def test_odds_ratio_of_one_image_is_the_conditional_estimate():
    from scipy.stats.contingency import odds_ratio

    before = np.array([[1], [1], [1], [1], [0]], dtype=bool)
    after = np.array([[0], [0], [1], [0], [0]], dtype=bool)
    reference = odds_ratio([[1, 4], [4, 1]]).statistic
    assert stratified_test(before, after).odds_ratio == pytest.approx(reference, rel=1e-4)


def test_nothing_to_see():
    zeros, ones = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for arm in (zeros, ones):
        result = stratified_test(arm, arm)
        assert (result.p_less, result.p_greater, result.p_two_sided_mid) == (1.0, 1.0, 1.0)
        assert result.n_informative == 0
        assert np.isnan(result.odds_ratio)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5), st.integers(1, 40))
def test_swapping_arms_swaps_the_sides(seed, n_before, n_after, n_images):
    before, after = random_arms(seed, n_before, n_after, n_images)
    one, two = stratified_test(before, after), stratified_test(after, before)
    assert one.p_less == pytest.approx(two.p_greater, abs=1e-12)
    assert one.p_less_mid == pytest.approx(two.p_greater_mid, abs=1e-12)
    assert one.p_two_sided == pytest.approx(two.p_two_sided, abs=1e-12)
    order = np.random.default_rng(seed).permutation(n_images)
    assert str(stratified_test(before[:, order], after[:, order])) == str(one)
    assert str(stratified_test(before[::-1], after[::-1])) == str(one)


def test_mcnemar_exact_is_statsmodels():
    for b, c in [(0, 0), (1, 0), (6, 0), (3, 3), (9, 2), (2, 15)]:
        if b + c:
            reference = sm_mcnemar([[0, b], [c, 0]], exact=True).pvalue
            assert mcnemar(b, c).p_exact == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("b", range(6))
@pytest.mark.parametrize("c", range(6))
def test_mcnemar_midp_is_half_the_observed_tables_weight(b, c):
    n = b + c
    if n == 0:
        assert mcnemar_midp(b, c) == 1.0
        return
    weights = {k: comb(n, k) / 2**n for k in range(n + 1)}
    # Two-sided: tables strictly further out than the observed one, plus half of those as far out.
    further = sum(p for k, p in weights.items() if abs(2 * k - n) > abs(b - c))
    as_far = sum(p for k, p in weights.items() if abs(2 * k - n) == abs(b - c))
    assert mcnemar_midp(b, c) == pytest.approx(further + as_far / 2)


def test_six_discordant_images_are_needed_five_by_midp():
    assert mcnemar(5, 0).p_exact > 0.05 > mcnemar(6, 0).p_exact
    assert mcnemar(4, 0).p_midp > 0.05 > mcnemar(5, 0).p_midp


def test_mcnemar_rejects_negative_counts():
    with pytest.raises(BadInput, match="discordant"):
        mcnemar(-1, 2)


def test_overdispersion_is_cochrans_q_and_arms_add_up():
    before, after = random_arms(3, 4, 6, n_images=200)
    single = overdispersion(before)
    reference = cochrans_q(before.T.astype(int))
    assert single.statistic == pytest.approx(reference.statistic)
    assert single.p_value == pytest.approx(reference.pvalue)
    both = overdispersion(before, after)
    assert both.df == 3 + 5
    assert both.statistic == pytest.approx(single.statistic + overdispersion(after).statistic)


def test_overdispersion_by_hand():
    # Counts 2, 0: variance 2. Each image is wrong in half of 2 runs: 2 * 1/4 * 2/1 = 1.
    result = overdispersion(np.array([[1, 1], [0, 0]], dtype=bool))
    assert (result.variance, result.expected, result.ratio) == (2.0, 1.0, 2.0)


def test_overdispersion_finds_runs_that_move_as_one():
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 1, 60)
    steady = rng.random((8, 60)) < rates
    swinging = rng.random((8, 60)) < np.clip(rates * rng.choice([0.4, 1.8], (8, 1)), 0, 1)
    assert not overdispersion(steady).overdispersed
    assert overdispersion(swinging, swinging).overdispersed


def test_overdispersion_keeps_its_level():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(600):
        rates = np.where(rng.random(200) < 0.2, rng.beta(0.5, 1, 200), 0)
        arms = (rng.random((3, 200)) < rates, rng.random((3, 200)) < rates)
        found += overdispersion(*arms).overdispersed
    assert 0.02 < found / 600 < 0.08


def test_one_run_has_no_dispersion():
    result = overdispersion(np.ones((1, 5), bool), np.zeros((1, 5), bool))
    assert (result.df, result.p_value, result.overdispersed) == (0, 1.0, False)


def test_run_permutation_equals_enumeration():
    before, after = np.array([5, 6, 7, 5, 9]), np.array([4, 3, 6, 2, 5])
    pooled = np.concatenate([before, after])
    observed = after.sum()
    sums = [pooled[list(pick)].sum() for pick in combinations(range(10), 5)]
    result = run_permutation_test(before, after)
    assert result.p_less == pytest.approx(np.mean([s <= observed for s in sums]))
    assert result.p_greater == pytest.approx(np.mean([s >= observed for s in sums]))
    assert result.smallest_p == pytest.approx(2 / 252)


def test_three_seeds_never_reach_one_in_twenty():
    result = run_permutation_test([9, 8, 7], [0, 1, 2])
    assert result.p_less == pytest.approx(1 / 20)
    assert result.p_two_sided == pytest.approx(result.smallest_p)


@pytest.mark.parametrize("seed", range(6))
def test_run_permutation_is_scipys(seed):
    from scipy.stats import permutation_test

    rng = np.random.default_rng(seed)
    before, after = rng.poisson(8, rng.integers(2, 6)), rng.poisson(5, rng.integers(2, 6))
    found = run_permutation_test(before, after)
    for side, p_value in (("less", found.p_less), ("greater", found.p_greater)):
        reference = permutation_test(
            (after, before),
            lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
            vectorized=True,
            n_resamples=np.inf,
            alternative=side,
        )
        assert p_value == pytest.approx(reference.pvalue, abs=1e-12)


def test_run_permutation_stays_exact_for_many_runs():
    # All of 20 + 20 runs apart: one arrangement of C(40, 20).
    result = run_permutation_test(range(20), range(100, 120))
    assert result.p_greater == pytest.approx(1 / comb(40, 20), rel=1e-9)


def test_arms_must_share_images():
    with pytest.raises(BadInput, match="same images"):
        stratified_test(np.zeros((2, 3), bool), np.zeros((2, 4), bool))
    with pytest.raises(BadInput, match="two runs"):
        run_permutation_test([1], [1, 2])


def test_image_totals_follow_the_hypergeometric_law():
    from erroran.stats.significance import _hypergeometric

    for total in range(8):
        low, pmf = _hypergeometric(total, 4, 3)
        expected = hypergeom(7, total, 3).pmf(np.arange(low, low + pmf.size))
        assert pmf == pytest.approx(expected, abs=1e-12)
