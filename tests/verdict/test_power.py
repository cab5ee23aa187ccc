"""Forecasts: error rates from few images, and what simulated experiments say."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from erroran.errors import BadInput
from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import cell_errors, cell_mask
from erroran.stats.dispersion import run_variation
from erroran.verdict.decide import judge
from erroran.verdict.plan import (
    AGREES,
    ENOUGH,
    HOW,
    ODDS,
    REPAIRED,
    WANTED_POWER,
    Agreement,
    Setting,
    check_again,
    describe_surroundings,
    detectable_reduction,
    endpoint_word,
    forecast,
    mean_forecast,
    odds_factor,
    plan_power,
    replan,
    seeds_for,
    simulate_agreement,
    simulate_fixed,
    simulate_looks,
)
from erroran.verdict.rates import ErrorRates, Images, fit_rates, fit_same_images, scale_odds, simulate_runs
from erroran.verdict.replay import worst_cell
from erroran.verdict.sequential import plan_looks
from erroran.verdict.table import CANNOT_TELL, HARMED, IMPROVED, TRADED, WORDS

Ints = npt.NDArray[np.int64]
CELL = (0, 1)


def made_up_runs(
    rng: np.random.Generator, errors_per_run: float, *, n_runs: int = 5, per_class: int = 1000, others: float = 1.0
) -> tuple[Ints, Ints]:
    """Labels and predictions of ten classes; `others` are the errors per run of each other cell."""
    labels = np.repeat(np.arange(10), per_class)
    pred = np.tile(labels, (n_runs, 1))
    for true in range(10):
        for read_as in set(range(10)) - {true}:
            errors = errors_per_run if (true, read_as) == CELL else others
            rows = rng.choice(per_class, rng.poisson(3 * errors), replace=False) + true * per_class
            wrong = rng.random((n_runs, rows.size)) < rng.beta(0.5, 1, rows.size)
            pred[:, rows] = np.where(wrong, read_as, pred[:, rows])
    return labels, pred


def made_up_setting(errors_per_run: float = 12.0, *, seed: int = 0, n_images: int = 1000, **changes: Any) -> Setting:
    labels, pred = made_up_runs(np.random.default_rng(seed), errors_per_run)
    return Setting(rates=fit_rates(labels, pred, 10, [CELL]), n_images=n_images, n_evaluated=10_000, **changes)


def test_scaled_odds_by_hand() -> None:
    """Odds of 1 times 3 are 3; rates of 0 and 1 stay."""
    assert scale_odds(np.array([0.0, 0.5, 1.0]), 3.0) == pytest.approx([0, 0.75, 1])


def test_factor_on_the_odds_removes_the_share() -> None:
    """Also nothing, everything, and of no images."""
    rates = np.array([0.1, 0.5, 0.9, 1.0])
    assert scale_odds(rates, odds_factor(rates, 0.3)).sum() == pytest.approx(0.7 * rates.sum())
    assert (odds_factor(rates, 0.0), odds_factor(rates, 1.0), odds_factor(np.empty(0), 0.5)) == (1, 0, 1)


# --- rates


def test_expected_errors_of_the_worst_of_many_equal_cells_shrink() -> None:
    """The worst of 90 equal cells falls far; the posterior foresees it, and its interval covers the truth."""
    rng = np.random.default_rng(5)
    told, covered = [], []
    for _ in range(8):
        labels, pred = made_up_runs(rng, 1.5, n_runs=3, others=1.5)
        rates = fit_rates(labels, pred, 10, [worst_cell(labels, pred, 10)])
        low, high = rates.errors_interval(1000)
        told.append(rates.expected_errors(1000) / rates.mined_errors(1000))
        covered.append(low < 1.5 < high)
    assert 0.2 < np.mean(told) < 0.65
    assert sum(covered) >= 7


def test_expected_errors_of_a_cell_far_above_all_others_stay() -> None:
    """A planted confusion keeps nearly all its errors."""
    labels, pred = made_up_runs(np.random.default_rng(8), 40)
    rates = fit_rates(labels, pred, 10, [CELL])
    assert rates.expected_errors(1000) > 0.85 * rates.mined_errors(1000)


def test_few_images_leave_a_wide_interval() -> None:
    """Two always-wrong images of 600: the truth can be a third of the mined rate, or more than it (review V11)."""
    labels, pred = made_up_runs(np.random.default_rng(3), 0.0, per_class=600, others=0.7)
    pred[:, :2], pred[0, 2] = 1, 1
    rates = fit_rates(labels, pred, 10, [CELL])
    mined = rates.mined_errors(1000)
    low, high = rates.errors_interval(1000)
    assert low < mined / 3
    assert high > mined
    many_labels, many_pred = np.tile(labels, 10), np.tile(pred, (1, 10))
    wide, narrow = (one.totals for one in (rates, fit_rates(many_labels, many_pred, 10, [CELL])))
    assert narrow.std() / narrow.mean() < 0.6 * wide.std() / wide.mean()


def test_draws_have_the_expected_errors() -> None:
    """Whatever the number of images; the interval is that of the draws."""
    rates, rng = made_up_setting().rates, np.random.default_rng(1)
    for n_images in (500, 5000):
        drawn = [images.rates.sum() for images in rates.draw(rng, n_images, 1500)]
        assert np.mean(drawn) == pytest.approx(rates.expected_errors(n_images), rel=0.06)
        assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx(rates.errors_interval(n_images), rel=0.12, abs=0.5)


def test_images_that_are_always_wrong_stay_so() -> None:
    """Shrinking takes whole images away, not rates."""
    errors = np.zeros((5, 400), bool)
    errors[:, :100] = True
    rates = fit_same_images([errors], pooled_logit_sd=0.0, tested_logit_sd=0.0)
    drawn = rates.draw(np.random.default_rng(0), 400, 1)[0].rates
    assert ((drawn > 0.1) & (drawn < 0.9)).mean() < 0.05
    assert (drawn > 0.9).mean() > 0.9


def test_same_images_keep_their_errors() -> None:
    """Rates of the images themselves: about as many errors as were seen, and always-wrong images stay."""
    labels, pred = made_up_runs(np.random.default_rng(4), 20)
    errors = cell_errors(labels, pred, CELL)
    rates = fit_same_images([errors], pooled_logit_sd=0.5, tested_logit_sd=0.5)
    rng = np.random.default_rng(0)
    sums = [images.rates.sum() for images in rates.draw_same(rng, 300)]
    assert np.mean(sums) == pytest.approx(errors.sum() / 5, rel=0.05)
    assert np.std(sums) < 2.5


def test_beta_law_is_recovered() -> None:
    """Mean and concentration from many images."""
    rng = np.random.default_rng(4)
    errors = rng.random((6, 30_000)) < rng.beta(0.2, 3, 30_000)
    rates = fit_same_images([errors], pooled_logit_sd=0.0, tested_logit_sd=0.0)
    assert (rates.alpha, rates.beta) == pytest.approx((0.2, 3), rel=0.2)


def test_shift_of_a_cell_by_hand() -> None:
    """Four images at p = 1/2 over 2 runs, all flipping together: variance 8, e = 2, ratio 4, df 1."""
    errors = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], dtype=bool)
    rates = fit_same_images([errors], pooled_logit_sd=0.0, tested_logit_sd=0.3)
    blended = (4 * 1 + 1 * 4) / 5  # weight 4 on the prediction, 1 for an independent cell
    assert rates.logit_sd == pytest.approx(((blended - 1) / 2) ** 0.5)
    assert rates.relative_sd == pytest.approx(((blended - 1) * 2) ** 0.5 / 2)
    assert rates.tested_logit_sd == 0.3


def test_cells_of_a_sum_shift_by_themselves() -> None:
    """Review V8: two cells with independent shifts vary less together than one cell of both would."""
    runs = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    apart = fit_same_images([runs[:, :2], runs[:, 2:]], pooled_logit_sd=1.0, tested_logit_sd=0.7)
    expected = 4 * 4 / 12  # of each cell e = 2/3: two images, S^2 p (1 - p) / (S (S - 1)) = 1/3 each
    predicted = 1 + (2 * (expected / 2) ** 2) / expected
    counts = runs.sum(axis=1)
    blended = (4 * predicted + 3 * counts.var(ddof=1) / expected) / 7
    assert apart.logit_sd == pytest.approx(((blended - 1) * expected / (2 * (expected / 2) ** 2)) ** 0.5)
    images = Images(np.full(400, 0.5), np.repeat([0, 1], 200))
    rng = np.random.default_rng(0)
    two, one = (
        simulate_runs(Images(images.rates, cells), images.rates, 3000, 0.2, rng).sum(axis=1).var()
        for cells in (images.cells, np.zeros(400, int))
    )
    assert two == pytest.approx(100 + 2 * (0.2 * 50) ** 2, rel=0.1)
    assert one == pytest.approx(100 + (0.2 * 100) ** 2, rel=0.1)


def test_the_sum_is_tested_as_in_the_verdict() -> None:
    """Review V8: the run-to-run term is that of `judge` for the same cells."""
    labels, pred = made_up_runs(np.random.default_rng(6), 15)
    pred[0] = np.where((pred == labels).all(axis=0), pred[0], labels)  # one run without errors: runs vary as a whole
    both = Endpoint.SUM.cells(CELL)
    labels[1000:1500], pred[:, 1000:1500] = 1, np.where(pred[:, :500] == 1, 0, 1)  # as many errors the other way
    variation = run_variation(labels, pred, n_classes=10)
    single, summed = (fit_rates(labels, pred, 10, cells).tested_logit_sd for cells in ([CELL], both))
    assert single == pytest.approx(variation.logit_sd)
    assert summed == variation.logit_sd_of(cell_mask(10, both)) < 0.95 * single


def test_without_errors_there_is_no_plan() -> None:
    """Neither for mined runs nor for given images."""
    labels = np.array([0, 0, 1])
    with pytest.raises(BadInput, match="no mined error"):
        fit_rates(labels, np.array([[0, 0, 0]]), 2, [(0, 1)])
    with pytest.raises(BadInput, match="no error"):
        fit_same_images([np.zeros((2, 3), bool)], pooled_logit_sd=0.0, tested_logit_sd=0.0)


@pytest.mark.parametrize("n_runs", [1, 2])
def test_a_cell_that_every_run_always_gets_wrong_can_be_planned(n_runs: int) -> None:
    """A rate of 1 has no beta law; the rates that are drawn are nearly 1."""
    rates = fit_same_images([np.ones((n_runs, 10), bool)], pooled_logit_sd=0.5, tested_logit_sd=0.5)
    assert rates.beta > 0
    assert rates.draw_same(np.random.default_rng(0), 1)[0].rates.mean() > 0.8


# --- words


def test_word_of_the_endpoint_is_that_of_the_verdict_where_nothing_else_changes() -> None:
    """On the same runs, over all words that occur."""
    rng = np.random.default_rng(2)
    setting = made_up_setting(12)
    labels = np.repeat(np.arange(10), 1000)
    same = 0
    for k in range(24):
        (images,) = setting.draw(rng, 1)
        n = min(images.rates.size, 1000)
        rates = images.rates[:n]
        arms, errors = [], []
        for of_arm in (rates, setting.treat(rates, (0.0, 0.5, 0.9)[k % 3], HOW[k % 2], rng)):
            errors.append(rng.random((8, n)) < of_arm)
            pred = np.tile(labels, (8, 1))
            pred[:, :n] = np.where(errors[-1], 1, 0)
            arms.append(pred)
        word = endpoint_word(setting, errors[0], errors[1], alpha=0.05)
        same += word == judge(labels, *arms, pair=CELL, n_classes=10).word
    assert same >= 21  # the run-to-run variation of a single comparison is its own


@pytest.mark.parametrize("how", HOW)
def test_treatments_remove_the_share(how: str) -> None:
    """On average over new images, for both ways in which a treatment can work."""
    setting, rng = made_up_setting(), np.random.default_rng(0)
    drawn = [images.rates for images in setting.draw(rng, 400)]
    left = sum(setting.treat(rates, 0.4, how, rng).sum() for rates in drawn) / sum(rates.sum() for rates in drawn)
    assert left == pytest.approx(0.6, abs=0.04)


def test_repaired_images_never_err_again_and_the_others_stay() -> None:
    """Unlike a factor on all odds."""
    setting, rng = made_up_setting(), np.random.default_rng(0)
    rates = np.full(1000, 0.7)
    repaired = setting.treat(rates, 0.4, REPAIRED, rng)
    assert set(repaired) == {0.0, 0.7}
    assert len(set(setting.treat(rates, 0.4, ODDS, rng))) == 1


def test_power_rises_with_seeds_and_size() -> None:
    """And its standard error is that of the simulations."""
    power, errors = plan_power(
        made_up_setting(), (3, 10), (0.25, 0.75), rng=np.random.default_rng(1), n_simulations=100
    )
    (low, _), (_, high) = power
    assert low < power[0, 1] <= high
    assert low < power[1, 0] <= high
    assert errors == pytest.approx(np.sqrt(power * (1 - power) / 100), abs=0.01)


def test_power_is_that_of_new_experiments() -> None:
    """Promised from one mining, found in fresh runs on fresh images of the same law, many times over."""
    rng = np.random.default_rng(0)
    promised, found = [], []
    for k in range(10):
        setting = made_up_setting(8, seed=100 + k)
        promised.append(forecast(setting, 6, 0.5, rng=rng, n_simulations=60, how=(ODDS,)).improved.value)
        for _ in range(8):
            hard = rng.poisson(24)
            images = Images(rng.beta(0.5, 1, hard), np.zeros(hard, int))
            left = scale_odds(images.rates, odds_factor(rng.beta(0.5, 1, 20_000), 0.5))
            arms = [simulate_runs(images, rates, 6, setting.rates.logit_sd, rng) for rates in (images.rates, left)]
            found.append(endpoint_word(setting, arms[0], arms[1], alpha=0.05) == IMPROVED)
    assert np.mean(found) - 0.3 < np.mean(promised) < np.mean(found) + 0.1


def test_generators_agree_within_the_standard_error() -> None:
    """Review V8: one cell over six generator seeds differed 30 to 41 %."""
    setting = made_up_setting(6)
    chances = [
        forecast(setting, 5, 0.5, rng=np.random.default_rng(seed), n_simulations=120).improved for seed in range(6)
    ]
    values, error = np.array([chance.value for chance in chances]), np.mean([chance.error for chance in chances])
    assert values.std(ddof=1) < 2 * error
    assert error < 0.05


def test_a_curve_over_all_seeds_decides_how_many_are_needed() -> None:
    """Review V8: one value that is too high by chance does not count; a plateau below 80 % is never reached."""
    seeds = (3, 5, 8, 10, 15, 20, 30, 50)
    smooth = [0.9 * (1 - np.exp(-n / 12)) for n in seeds]
    assert seeds_for(seeds, smooth) == 27  # -12 ln(1 - 0.8 / 0.9) = 26.4
    noisy = [*smooth[:2], 0.81, *smooth[3:]]
    assert (seeds_for(seeds, noisy) or 0) > 15
    assert seeds_for(seeds, [0.7 * (1 - np.exp(-n / 5)) for n in seeds]) is None
    assert seeds_for(seeds, [0.01] * 8) is None
    assert seeds_for(seeds, [0.95] * 8) in (2, 3)


def test_detectable_reduction_is_interpolated() -> None:
    """No reduction has power alpha / 2."""
    found = [detectable_reduction((0.5, 1.0), power) for power in ((0.2, 0.6), (0.7, 0.9), (0.9, 1.0))]
    assert found[:2] == [None, pytest.approx(0.75)]
    assert found[2] == pytest.approx(0.5 * (WANTED_POWER - 0.025) / (0.9 - 0.025))


@pytest.mark.parametrize("changed", [{"seeds": (1,)}, {"reductions": (0.0,)}, {"reductions": (1.5,)}])
def test_bad_plans_are_refused(changed: dict[str, Any]) -> None:
    """Too few seeds, or a reduction out of range."""
    options = {"seeds": (3,), "reductions": (0.5,), **changed}
    with pytest.raises(BadInput, match="seeds >= 2 and reductions in"):
        plan_power(made_up_setting(), **options, rng=np.random.default_rng(0))


def test_words_of_the_verdict_by_hand() -> None:
    """Of 10 experiments with *improved* for the endpoint, 2 end as *traded*; half an experiment is added."""
    counts = np.eye(6) / 2
    at = {word: WORDS.index(word) for word in WORDS}
    counts[at[IMPROVED], at[IMPROVED]] += 8
    counts[at[IMPROVED], at[TRADED]] += 2
    words = np.array([at[IMPROVED]] * 3 + [at[CANNOT_TELL]])
    chances = Agreement(counts).chances(words)
    share = 8.5 / 10.5
    assert chances[IMPROVED].value == pytest.approx(0.75 * share)
    assert chances[TRADED].value == pytest.approx(0.75 * (1 - share))
    assert chances[CANNOT_TELL].value == pytest.approx(0.25)
    of_draws = (0.75 * share**2 - (0.75 * share) ** 2) / 4
    of_agreement = 0.75**2 * share * (1 - share) / 10.5
    assert chances[IMPROVED].error == pytest.approx((of_draws + of_agreement) ** 0.5)
    assert sum(chance.value for chance in AGREES.chances(words).values()) == pytest.approx(1)


def test_other_errors_take_words_away() -> None:
    """Review V8: the verdict's chance of *improved* is below that of the endpoint, as other errors vary too."""
    labels, pred = made_up_runs(np.random.default_rng(7), 15, per_class=300)
    setting = Setting(rates=fit_rates(labels, pred, 10, [CELL]), n_images=300, n_evaluated=3000)
    around = describe_surroundings(labels, pred, class_sizes=np.full(10, 300), pair=CELL, endpoint=Endpoint.FORWARD)
    expected = (pred != labels).sum() / 5 - (pred[:, :300] == 1).sum() / 5
    rng = np.random.default_rng(0)
    assert np.mean([around.draw(rng).rates.sum() for _ in range(200)]) == pytest.approx(expected, rel=0.05)
    found = simulate_agreement(setting, around, (4, 8), 0.8, n_simulations=24, rng=rng)
    assert found.counts.sum() == pytest.approx(3 + 24)
    improved = WORDS.index(IMPROVED)
    assert found.counts[improved].sum() > 12
    assert found.shares[improved, improved] > 0.7
    assert found.shares[improved, WORDS.index(HARMED)] < 0.1


def test_looks_end_early_where_the_effect_is_clear() -> None:
    """Fewer seeds than the design allows; all words together have probability 1."""
    setting = made_up_setting(40)
    found = forecast(setting, plan_looks(20), 0.8, rng=np.random.default_rng(0), n_simulations=40)
    assert found.seeds < 10
    assert found.seeds_error < 1
    assert found.decided > 0.9
    assert sum(chance.value for chance in found.words.values()) == pytest.approx(1)


def test_mean_of_forecasts_by_hand() -> None:
    """Probabilities and seeds are averaged; independent errors shrink by the root of 2."""
    setting, rng = made_up_setting(), np.random.default_rng(0)
    two = [forecast(setting, n, 0.5, rng=rng, n_simulations=50) for n in (4, 6)]
    both = mean_forecast(two)
    assert both.seeds == 5
    assert both.improved.value == pytest.approx((two[0].improved.value + two[1].improved.value) / 2)
    assert both.improved.error == pytest.approx(np.hypot(two[0].improved.error, two[1].improved.error) / 2)


def test_words_of_fewer_seeds_come_from_the_same_runs() -> None:
    """So that the curve over seeds is smooth: judging 10 seeds alone, or after 5, draws the same runs."""
    setting = made_up_setting()
    alone, both = (
        simulate_fixed(setting, seeds, 0.5, n_simulations=20, rng=np.random.default_rng(0))
        for seeds in ((10,), (5, 10))
    )
    assert (alone[:, 0] == both[:, 1]).all()


def test_no_images_no_word() -> None:
    """An experiment without a single image that can err ends with *cannot tell*."""
    nothing = np.zeros((5, 0), bool)
    assert endpoint_word(made_up_setting(), nothing, nothing, alpha=0.05) == CANNOT_TELL
    assert isinstance(made_up_setting().rates, ErrorRates)


def test_the_baseline_arm_tells_whether_the_seeds_suffice() -> None:
    """Many errors need few seeds; the treatment is not among the arguments. Without errors there is nothing to tell."""
    labels, pred = made_up_runs(np.random.default_rng(9), 25, n_runs=6, per_class=300)
    options: dict[str, Any] = {
        "variation": run_variation(labels, pred, n_classes=10),
        "cells": cell_mask(10, [CELL]),
        "n_evaluated": 3000,
        "worthwhile_percent": 80.0,
        "equivalence_per_10000": 1.0,
        "n_simulations": 30,
    }
    errors = cell_errors(labels, pred, CELL)
    found = check_again([errors], **options)
    assert found is not None
    assert (found.seeds, found.errors_per_run) == (6, pytest.approx(errors.sum() / 6))
    assert found.improved.value > 0.8
    assert found.seeds_needed is not None
    assert found.seeds_needed <= 6
    assert check_again([errors[:1]], **options) is None
    assert check_again([np.zeros_like(errors)], **options) is None


# --- the last look, chosen from the baseline's first runs


def _baseline(rate: float, *, n_images: int = 12, n_runs: int = 5) -> tuple[Ints, Ints]:
    """Labels and predictions of two classes with 100 images each, of which so many are misread at this rate."""
    labels = np.repeat([0, 1], 100)
    pred = np.tile(labels, (n_runs, 1))
    pred[:, :n_images] = np.random.default_rng(4).random((n_runs, n_images)) < rate
    return labels, pred


@pytest.mark.parametrize(("rate", "horizons"), [(0.9, (15, 15)), (0.5, (20, 30)), (0.2, (30, 40))])
def test_the_last_look_comes_later_where_more_seeds_teach_more(rate: float, horizons: tuple[int, int]) -> None:
    """Images that every run misreads are known after few runs; images that few runs misread are not."""
    found = replan(plan_looks(40), *_baseline(rate), pair=CELL, n_classes=2)
    assert horizons[0] <= found.design.horizon <= horizons[1]
    assert found.design == plan_looks(found.design.horizon)
    assert found.chance is not None
    assert found.chance_planned is not None
    assert found.chance > found.chance_planned - ENOUGH


def test_the_last_look_is_the_same_for_the_same_runs_and_never_later_than_planned() -> None:
    """Twice the same; and `--max-seeds` stays the limit."""
    labels, pred = _baseline(0.2)
    twice = [replan(plan_looks(40), labels, pred, pair=CELL, n_classes=2) for _ in range(2)]
    assert twice[0] == twice[1]
    for most in (3, 5, 8, 20):
        assert replan(plan_looks(most), labels, pred, pair=CELL, n_classes=2).design.horizon <= most


def test_without_errors_the_last_look_stays() -> None:
    """There is nothing to choose by."""
    found = replan(plan_looks(40), *_baseline(0.0), pair=CELL, n_classes=2)
    assert (found.design, found.chance, found.chance_planned) == (plan_looks(40), None, None)
    assert found.describe() == "the baseline's first runs make 0.0 errors each: the last look stays at 40 seeds per arm"


def test_a_forecast_of_looks_plans_again_as_the_stage_does() -> None:
    """40 errors: with the last look after 40 seeds the first one has next to no level; planned again, it decides."""
    setting = made_up_setting(40)
    words, seeds = simulate_looks(setting, plan_looks(40), 0.5, n_simulations=30, rng=np.random.default_rng(0))
    assert (words == WORDS.index(IMPROVED)).all()
    assert np.median(seeds) == 5
