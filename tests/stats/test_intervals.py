"""Intervals: published examples, libraries, symmetry, and coverage with known truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from erroran.stats.intervals import mean_interval, score_interval, wilson_interval
from erroran.stats.significance import change_test


def simulated_arms(rng, n_seeds, errors_per_run, factor, n_images=1000):
    """A cell with known truth: new images (mostly easy, some hard) and new seeds."""
    hard = rng.random(n_images) < 3 * errors_per_run / n_images
    rates = np.where(hard, rng.beta(0.5, 1, n_images), 0.0)

    def runs(rates):
        return rng.random((n_seeds, n_images)) < rates

    return runs(rates), runs(rates * factor)


def coverage(n_seeds, errors_per_run, factor, repetitions, seed=0):
    rng = np.random.default_rng(seed)
    truth = errors_per_run * (factor - 1)  # per 10,000 of 10,000 images
    inside = 0
    for _ in range(repetitions):
        effect = score_interval(*simulated_arms(rng, n_seeds, errors_per_run, factor), 10_000)
        inside += effect.low <= truth <= effect.high
    return inside / repetitions


def test_mean_of_three_by_hand():
    """Mean 2, sd 1, n 3; t(2) at 97.5 % is 4.3027."""
    reach = 4.3027 / 3**0.5
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - reach, 2 + reach), abs=1e-4)


def test_wilson_is_statsmodels():
    assert wilson_interval(3, 40) == pytest.approx(proportion_confint(3, 40, method="wilson"))
    low, high = wilson_interval(0, 10)
    assert low == 0.0
    assert 0.2 < high < 0.3


def test_wilson_counts_images_that_runs_share_once():
    """Each error in one run only: as if there were S times as many images. In all runs: as if there were one run."""
    assert wilson_interval(np.ones(12, dtype=int), 100, n_runs=3) == pytest.approx(wilson_interval(12, 300))
    assert wilson_interval(np.array([3, 3, 3, 3, 0]), 100, n_runs=3) == pytest.approx(wilson_interval(4, 100))
    assert wilson_interval(np.zeros(5, dtype=int), 100, n_runs=3) == pytest.approx(wilson_interval(0, 100))


def test_effect_by_hand():
    before = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    after = np.array([[0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    effect = score_interval(before, after, 100)
    assert (effect.before_mean, effect.after_mean) == (1.5, 0.5)
    assert effect.per_10000 == pytest.approx(-100)
    assert effect.relative == pytest.approx(-2 / 3)
    assert effect.low < -100 < effect.high


def test_seeds_interval_by_hand():
    """Five images that one of five runs gets wrong before, none after; no shift between runs.

    An arm's own variance is 5 x 1/5 x 4/5 x 5/4 = 1 before and 0 after, that of both together 5 x 1/10 x 9/10 x 10/9 =
    1/2; half an error over ten runs is added to each.
    """
    before, after = np.zeros((5, 30), bool), np.zeros((5, 30), bool)
    before[np.arange(5), np.arange(5)] = True
    effect = score_interval(before, after, 10_000, logit_sd=0.0)

    def outside(delta):
        share = min(1.0, abs(-1 - delta))
        variance = (1 + (0.5 - 1) * share + 0.05) / 5 + (0.5 * share + 0.05) / 5
        return abs(-1 - delta) > 1.959964 * variance**0.5

    grid = np.linspace(-3, 1, 40_001)
    held = grid[[not outside(delta) for delta in grid]]
    assert (effect.seeds_low, effect.seeds_high) == pytest.approx((held.min(), held.max()), abs=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_before=st.integers(2, 8),
    n_after=st.integers(2, 8),
    factor=st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0]),
    confidence=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_intervals_exclude_no_change_exactly_where_the_tests_reject_it(seed, n_before, n_after, factor, confidence):
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.3, 1, 30) / max(1.0, factor)
    before, after = rng.random((n_before, 30)) < rates, rng.random((n_after, 30)) < rates * factor
    effect = score_interval(before, after, 500, confidence=confidence, logit_sd=0.5)
    tested = change_test(before, after, logit_sd=0.5)
    for p_value, low, high, ratio_low, ratio_high in (
        (tested.p_value, effect.seeds_low, effect.seeds_high, effect.seeds_relative_low, effect.seeds_relative_high),
        (tested.p_images, effect.low, effect.high, effect.relative_low, effect.relative_high),
    ):
        if abs(float(p_value[0]) - (1 - confidence)) < 1e-6:
            continue
        significant = float(p_value[0]) < 1 - confidence
        assert significant == (low > 0 or high < 0)
        if ratio_low is not None:
            assert significant == (ratio_low > 0 or (ratio_high is not None and ratio_high < 0))
    assert effect.low <= effect.seeds_low + 1e-6
    assert effect.seeds_high <= effect.high + 1e-6


def test_more_seeds_shrink_the_interval_on_these_images_only():
    """Images that change wholly: with 40 runs an arm the seeds interval is narrow, that for new images is not."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 1, 30)
    kept = rng.random(30) < 0.5
    effect = score_interval(rng.random((40, 30)) < rates, rng.random((40, 30)) < rates * kept, 10_000)
    assert effect.high - effect.low > 2 * (effect.seeds_high - effect.seeds_low)


def test_no_errors_left_is_not_certainty():
    before = np.zeros((5, 1000), bool)
    before[:, :4] = True
    effect = score_interval(before, np.zeros((5, 1000), bool), 10_000)
    assert effect.relative == -1.0
    assert effect.relative_high is not None
    assert -1 < effect.relative_high < 0
    nothing = score_interval(np.zeros((5, 1000), bool), np.zeros((5, 1000), bool), 10_000)
    assert nothing.low < 0 < nothing.high
    assert nothing.relative is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_swapping_arms_flips_the_interval(seed, n_before, n_after):
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.3, 1, 50)
    before, after = rng.random((n_before, 50)) < rates, rng.random((n_after, 50)) < rates / 2
    one, two = score_interval(before, after, 500), score_interval(after, before, 500)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-6)
    assert one.per_10000 == pytest.approx(-two.per_10000)
    assert one.low <= one.per_10000 <= one.high
    if one.relative is not None:
        assert one.relative_low <= one.relative + 1e-12
        assert one.relative_high is None or one.relative <= one.relative_high + 1e-12
    if one.relative_high not in (None, -1.0) and two.relative_low not in (None, -1.0):
        assert (1 + one.relative_high) * (1 + two.relative_low) == pytest.approx(1)


@pytest.mark.parametrize(("n_seeds", "errors", "factor"), [(3, 6, 1), (5, 6, 0.5), (10, 15, 0.5)])
def test_coverage_is_near_95_percent(n_seeds, errors, factor):
    assert 0.925 <= coverage(n_seeds, errors, factor, repetitions=250) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("errors", [3, 6, 15])
@pytest.mark.parametrize("factor", [1, 0.5, 0.2])
def test_coverage_everywhere(n_seeds, errors, factor):
    assert coverage(n_seeds, errors, factor, repetitions=1500, seed=1) >= 0.925


@pytest.mark.parametrize("n_images", [6, 8, 12])
def test_few_images_bound_the_ratio_by_the_chance_that_none_is_repaired(n_images):
    """All runs of both arms misread the same k images: a ratio r is excluded where r^k is below 5 % (mid-p)."""
    wrong = np.ones((40, n_images), dtype=bool)
    effect = score_interval(wrong, wrong, 1000)
    assert 1 + effect.relative_low == pytest.approx(0.05 ** (1 / n_images), abs=1e-6)
    assert 1 + effect.relative_high == pytest.approx(0.05 ** (-1 / n_images), abs=1e-6)


def test_four_unchanged_images_do_not_exclude_a_halving_of_new_ones():
    """On these images it is excluded; other images may be repaired (0.5^4 = 6 %). Five images are enough."""
    excluded = {}
    for n_images in (4, 5):
        wrong = np.ones((40, n_images), dtype=bool)
        effect = score_interval(wrong, wrong, 1000)
        assert effect.seeds_relative_low > -0.5
        excluded[n_images] = effect.relative_low > -0.5
    assert excluded == {4: False, 5: True}


def test_the_interval_for_new_images_is_never_the_shorter_one():
    """Also at a lower level, as at the looks of a sequential design: many images, so that they add little."""
    rng = np.random.default_rng(3)
    before, after = rng.random((2, 5, 400)) < 0.1
    effect = score_interval(before, after, 1000, confidence=0.99, images_confidence=0.9, logit_sd=0.5)
    assert effect.low <= effect.seeds_low < effect.seeds_high <= effect.high
    assert effect.relative_low <= effect.seeds_relative_low < effect.seeds_relative_high <= effect.relative_high


def test_halvings_image_by_image_are_seldom_excluded():
    """Half of the images are repaired for good, each with probability one half; nominal 2.5 %, few images."""
    rng = np.random.default_rng(0)
    excluded = 0
    for _ in range(400):
        rates = rng.beta(0.5, 1, 12)
        before = rng.random((10, 12)) < rates
        after = rng.random((10, 12)) < rates * (rng.random(12) < 0.5)
        low = score_interval(before, after, 1000, logit_sd=0.5).relative_low
        excluded += low is not None and low > -0.5
    assert excluded / 400 < 0.04
