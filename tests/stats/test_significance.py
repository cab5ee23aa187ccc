"""Every p-value against brute-force enumeration or a library."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from erroran.errors import BadInput
from erroran.stats.significance import (
    mcnemar,
    stratified_from_totals,
    stratified_test,
)


def enumerate_arm_swaps(before, after):
    """Distribution of the after arm's errors over all assignments of the wrong runs to the arms, image by image."""
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


def test_stratified_test_of_single_runs_is_mcnemar():
    before, after = random_arms(1, 1, 1, n_images=60)
    only_before = int((before & ~after).sum())
    only_after = int((after & ~before).sum())
    result = stratified_test(before, after)
    expected = mcnemar(only_before, only_after)
    assert min(1.0, 2 * min(result.p_less, result.p_greater)) == pytest.approx(expected.p_exact, abs=1e-12)


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


def test_nothing_to_see():
    zeros, ones = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for arm in (zeros, ones):
        result = stratified_test(arm, arm)
        assert (result.p_less, result.p_greater, result.p_less_mid) == (1.0, 1.0, 0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5), st.integers(1, 40))
def test_swapping_arms_swaps_the_sides(seed, n_before, n_after, n_images):
    before, after = random_arms(seed, n_before, n_after, n_images)
    one, two = stratified_test(before, after), stratified_test(after, before)
    assert one.p_less == pytest.approx(two.p_greater, abs=1e-12)
    assert one.p_less_mid == pytest.approx(two.p_greater_mid, abs=1e-12)
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
        assert mcnemar(b, c).p_midp == 1.0
        return
    weights = {k: comb(n, k) / 2**n for k in range(n + 1)}
    # Two-sided: tables strictly further out than the observed one, plus half of those as far out.
    further = sum(p for k, p in weights.items() if abs(2 * k - n) > abs(b - c))
    as_far = sum(p for k, p in weights.items() if abs(2 * k - n) == abs(b - c))
    assert mcnemar(b, c).p_midp == pytest.approx(further + as_far / 2)


def test_six_discordant_images_are_needed_five_by_midp():
    assert mcnemar(5, 0).p_exact > 0.05 > mcnemar(6, 0).p_exact
    assert mcnemar(4, 0).p_midp > 0.05 > mcnemar(5, 0).p_midp


def test_arms_must_share_images():
    with pytest.raises(BadInput, match="same images"):
        stratified_test(np.zeros((2, 3), bool), np.zeros((2, 4), bool))


@pytest.mark.parametrize("odds_ratio", [0.3, 1.0, 2.5])
def test_two_images_at_an_odds_ratio_are_the_convolved_noncentral_law(odds_ratio):
    """Two images that 3 and 2 of 4 + 3 runs get wrong: all ways to share the errors, weighted by ratio ** count."""
    weights = {}
    for k, m in product(range(4), range(3)):
        ways = comb(3, k) * comb(4, 3 - k) * odds_ratio**k, comb(3, m) * comb(4, 2 - m) * odds_ratio**m
        weights[k + m] = weights.get(k + m, 0) + ways[0] * ways[1]
    whole = sum(weights.values())
    for observed, weight in weights.items():
        found = stratified_from_totals(np.array([0, 0, 1, 1, 0, 0, 0, 0]), observed, 4, 3, odds_ratio=odds_ratio)
        less = sum(w for s, w in weights.items() if s <= observed) / whole
        greater = sum(w for s, w in weights.items() if s >= observed) / whole
        point = weight / whole
        expected = (less, greater, less - point / 2, greater - point / 2)
        assert (found.p_less, found.p_greater, found.p_less_mid, found.p_greater_mid) == pytest.approx(expected)
