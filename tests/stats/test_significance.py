"""Every p-value against brute-force enumeration or a library."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from erroran.errors import BadInput
from erroran.stats.significance import (
    change_test,
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


def p_values(before, after, **options):
    found = change_test(np.array(before, bool), np.array(after, bool), **options)
    return float(found.p_value[0]), float(found.p_images[0]), float(found.p_rest[0])


def runs_with(counts, n_images, rng):
    """Runs with these counts of errors, on images drawn at random."""
    errors = np.zeros((len(counts), n_images), bool)
    for run, count in zip(errors, counts, strict=True):
        run[rng.choice(n_images, count, replace=False)] = True
    return errors


def test_the_cells_own_variance_counts_where_there_are_no_others():
    """Two classes, so the prior alone says how runs vary; 191 to 217 errors against 135 to 142."""
    rng = np.random.default_rng(0)
    before, after = runs_with([191, 190, 206, 217, 203], 600, rng), runs_with([138, 142, 142, 142, 135], 600, rng)
    assert max(p_values(before, after, logit_sd=0.5**0.5)) < 0.001


def test_p_is_smooth_in_the_variance_between_runs():
    """No jump anywhere, as there was where the variance ratio passed 1."""
    rng = np.random.default_rng(1)
    before, after = runs_with([9, 12, 10, 9, 11], 60, rng), runs_with([5, 8, 6, 8, 7], 60, rng)
    shifts = np.linspace(0, 1.5, 1501)
    found = np.array([p_values(before, after, logit_sd=shift)[0] for shift in shifts[::10]])
    assert np.all(np.diff(found) > -1e-9)
    assert np.abs(np.diff(found)).max() < 0.005


@pytest.mark.parametrize("n", range(1, 8))
def test_few_errors_give_the_binomial_midp_value(n):
    """N images that one run gets wrong once, all in one of two arms of ten: each falls into either arm by chance."""
    before, after = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    before[np.arange(n), np.arange(n)] = True
    midp = binomtest(0, n).pvalue - 0.5**n
    assert p_values(before, after)[0] == pytest.approx(midp, abs=0.025 if n > 2 else 0.09)


def one_image_apart(n_runs, fixed, broken=0):
    """Images wrong in every run before and right after, and the reverse, among others that never change."""
    before, after = np.zeros((n_runs, 12), bool), np.zeros((n_runs, 12), bool)
    before[:, :fixed], after[:, 9 : 9 + broken] = True, True
    return before, after


@pytest.mark.parametrize("n_runs", [2, 5, 10, 50])
@pytest.mark.parametrize(("fixed", "broken"), [(1, 0), (2, 0), (2, 1), (3, 1)])
def test_few_images_are_no_evidence_however_many_runs_agree(n_runs, fixed, broken):
    assert max(p_values(*one_image_apart(n_runs, fixed, broken))) > 0.05


def test_many_images_repaired_for_good_are_evidence():
    assert max(p_values(*one_image_apart(5, 8))) < 0.01


def test_no_errors_and_no_images_are_no_evidence():
    for n_images in (0, 7):
        zeros = np.zeros((3, n_images), bool)
        assert p_values(zeros, zeros)[0] == pytest.approx(1.0)
    ones = np.ones((3, 4), bool)
    assert p_values(ones, ones)[0] == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@example(192, 2, 2)  # as many errors before as after
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 6))
def test_change_test_is_symmetric_and_ignores_order_and_padding(seed, n_before, n_after):
    before, after = random_arms(seed, n_before, n_after, 15)
    found = p_values(before, after, logit_sd=0.4)
    assert p_values(after, before, logit_sd=0.4)[:2] == pytest.approx(found[:2])
    order = np.random.default_rng(seed).permutation(15)
    assert p_values(before[::-1, order], after[:, order], logit_sd=0.4) == pytest.approx(found)
    padded = [np.pad(arm, ((0, 0), (0, 4))) for arm in (before, after)]
    assert p_values(*padded, logit_sd=0.4) == pytest.approx(found)
    assert found[0] <= found[1]


def test_many_comparisons_at_once_are_each_alone():
    rng = np.random.default_rng(2)
    before, after = rng.random((20, 4, 12)) < 0.3, rng.random((20, 3, 12)) < 0.2
    shifts = rng.random(20)
    together = change_test(before, after, logit_sd=shifts)
    for at in range(20):
        alone = p_values(before[at], after[at], logit_sd=shifts[at])
        assert (together.p_value[at], together.p_images[at], together.p_rest[at]) == pytest.approx(alone)


def simulate(rng, n, n_runs, n_images, *, sd=0.0, run_sd=0.0):
    """N comparisons of arms whose images differ by `sd` logits, runs by `run_sd`; the population does not change."""
    rates = rng.beta(0.5, 1, (n, 1, n_images))
    logits = np.log(rates / (1 - rates))
    move = rng.normal(0, sd, rates.shape) / 2 if sd else 0.0
    arms = (logits + sign * move + rng.normal(0, run_sd, (n, n_runs, 1)) for sign in (-1, 1))
    return [rng.random((n, n_runs, n_images)) < 1 / (1 + np.exp(-arm)) for arm in arms]


@pytest.mark.parametrize("n_runs", [2, 3, 5, 10])
@pytest.mark.parametrize("n_images", [2, 9, 45])
@pytest.mark.parametrize("run_sd", [0.0, 0.7])
def test_false_claims_for_new_seeds(n_runs, n_images, run_sd):
    rng = np.random.default_rng([3, n_runs, n_images])
    found = change_test(*simulate(rng, 2000, n_runs, n_images, run_sd=run_sd), logit_sd=run_sd).p_value
    assert (found < 0.05).mean() < 0.065  # 5 % and three standard errors
    assert n_runs > 2 or n_images > 9 or run_sd or (found < 0.05).mean() < 0.045


@pytest.mark.parametrize("n_runs", [5, 20, 50])
@pytest.mark.parametrize("n_images", [45, 150])
def test_images_that_move_both_ways_are_no_change_of_the_population(n_runs, n_images):
    """By the runs alone, up to 38 % are claimed; with the images, at most 6 %."""
    rng = np.random.default_rng([4, n_runs, n_images])
    found = change_test(*simulate(rng, 1000, n_runs, n_images, sd=1.0), logit_sd=0.4)
    assert ((found.p_images < 0.05) & (found.p_rest < 0.05)).mean() < 0.06
    assert n_runs < 20 or (found.p_value < 0.05).mean() > 0.15


@pytest.mark.parametrize(("n_runs", "least"), [(5, 0.6), (10, 0.8)])
def test_half_of_a_small_cell_repaired_is_found(n_runs, least):
    """The 12 images of MNIST read 4 as 9 by 25 runs, so often; half of them repaired for good."""
    rng = np.random.default_rng([5, n_runs])
    rates = np.array([25, 14, 22, 6, 1, 20, 1, 3, 4, 1, 6, 12, 20]) / 25
    kept = rng.permuted(np.tile(np.arange(rates.size) % 2, (1000, 1)), axis=1)[:, None]
    before = rng.random((1000, n_runs, rates.size)) < rates
    after = rng.random((1000, n_runs, rates.size)) < rates * kept
    found = change_test(before, after, logit_sd=0.4)
    assert (np.maximum(found.p_images, found.p_rest) < 0.05).mean() > least
