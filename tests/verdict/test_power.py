"""Power: planned against simulated, and the estimates behind it by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq

from erroran.errors import BadInput
from erroran.stats.confusion import cell_errors
from erroran.verdict import plan as power_module
from erroran.verdict.compare import compare_errors
from erroran.verdict.plan import (
    ErrorRates,
    detectable_reduction,
    fit_rates,
    plan_power,
    scale_odds,
    seeds_needed,
    selection_shrink,
)
from erroran.verdict.replay import worst_cell


def hard_images(rng, errors_per_run, n_images=1000):
    hard = rng.random(n_images) < 3 * errors_per_run / n_images
    return np.where(hard, rng.beta(0.5, 1, n_images), 0.0)


def with_fewer_errors(rates, factor):
    """All odds lowered by one factor, so that this share of the errors is left."""

    def left(log_odds):
        return rates * np.exp(log_odds) / (rates * np.exp(log_odds) + 1 - rates)

    return left(brentq(lambda x: left(x).sum() - factor * rates.sum(), -30, 0))


def found_power(rng, errors_per_run, n_seeds, factor, repetitions=300):
    found = 0
    for _ in range(repetitions):
        rates = hard_images(rng, errors_per_run)
        before = rng.random((n_seeds, rates.size)) < rates
        after = rng.random((n_seeds, rates.size)) < with_fewer_errors(rates, factor)
        found += compare_errors(before, after).direction(0.05) < 0
    return found / repetitions


def test_scaled_odds_by_hand():
    assert scale_odds(np.array([0.0, 0.5, 1.0]), 3.0) == pytest.approx([0, 0.75, 1])


def test_planned_power_is_that_of_the_test():
    rng = np.random.default_rng(0)
    # A large mining set, so that the plan knows the rates.
    mined = rng.random((5, 20_000)) < hard_images(rng, 134, n_images=20_000)
    rates = fit_rates(mined, logit_sd=0.0)
    power = plan_power(rates, rng=rng, seeds=(3, 8), reductions=(0.5,), n_images=1000, n_simulations=300)
    for (promised,), n_seeds in zip(power, (3, 8), strict=True):
        assert promised == pytest.approx(found_power(rng, 6.7, n_seeds, 0.5), abs=0.11)
    assert rates.mined_errors(1000) == pytest.approx(6.7, abs=1.5)


def test_power_rises_with_seeds_and_size_and_falls_with_run_variation():
    rng = np.random.default_rng(1)
    mined = rng.random((5, 1000)) < hard_images(rng, 10)
    options = {"seeds": (3, 10), "reductions": (0.25, 0.75), "n_images": 1000, "n_simulations": 150}
    calm, wild = (plan_power(fit_rates(mined, logit_sd=logit_sd), rng=rng, **options) for logit_sd in (0.0, 1.5))
    (low, _), (_, high) = calm
    assert low < calm[0, 1] <= high
    assert low < calm[1, 0] <= high
    assert wild[0, 1] < calm[0, 1]


def test_detectable_reduction_is_interpolated():
    found = [detectable_reduction((0.5, 1.0), power) for power in ((0.2, 0.6), (0.7, 0.9), (0.9, 1.0))]
    assert found[:2] == [None, pytest.approx(0.75)]
    assert found[2] == pytest.approx(0.5 * (0.8 - 0.025) / (0.9 - 0.025))  # no reduction has power alpha / 2


def test_seeds_needed_reaches_the_power():
    rng = np.random.default_rng(3)
    mined = rng.random((5, 1000)) < hard_images(rng, 12)
    rates = fit_rates(mined, logit_sd=0.0)
    few, many = (seeds_needed(rates, reduction=x, rng=rng, n_images=1000, n_simulations=100) for x in (0.9, 0.3))
    assert few is not None
    assert few < (many or 51)


def test_fitted_rates_keep_the_mean_and_the_concentration():
    rng = np.random.default_rng(4)
    mined = rng.random((6, 30_000)) < rng.beta(0.2, 3, 30_000)
    rates = fit_rates(mined)
    assert (rates.alpha, rates.beta) == pytest.approx((0.2, 3), rel=0.2)
    assert rates.draw(rng).mean() == pytest.approx(mined.mean(), rel=0.05)
    assert fit_rates(mined, shrink=0.5).draw(rng).mean() == pytest.approx(mined.mean() / 2, rel=0.05)


def test_selection_shrink_predicts_the_fall_of_the_worst_cell():
    """The worst of 90 cells on fresh images and seeds, against the prediction from the mining data."""
    rng = np.random.default_rng(5)
    told, kept = [], []
    for _ in range(25):
        labels = np.repeat(np.arange(10), 400)
        other = (labels + rng.integers(1, 10, labels.size)) % 10
        rates = hard_images(rng, 120, n_images=labels.size)
        mined = np.where(rng.random((3, labels.size)) < rates, other, labels)
        # Cells are equal in truth, so the worst one's true count is their mean.
        counts = np.bincount(labels * 10 + other, weights=rates, minlength=100)
        codes = (labels * 10 + mined)[mined != labels]
        worst = np.bincount(codes, minlength=100).max() / 3
        told.append(selection_shrink(labels, mined, 10, [worst_cell(labels, mined, 10)]))
        kept.append(counts.sum() / 90 / worst)
    assert np.mean(told) < 0.85
    assert np.mean(kept) <= np.mean(told) + 0.05


def test_a_cell_far_above_all_others_keeps_its_errors():
    rng = np.random.default_rng(8)
    labels = np.repeat(np.arange(10), 400)
    other = (labels + rng.integers(1, 10, labels.size)) % 10
    rates = hard_images(rng, 60, n_images=labels.size)
    planted = (labels == 3) & (rng.random(labels.size) < 0.2)
    rates[planted], other[planted] = 0.6, 8
    mined = np.where(rng.random((3, labels.size)) < rates, other, labels)
    assert worst_cell(labels, mined, 10) == (3, 8)
    alike = np.flatnonzero(~planted)
    ordinary = worst_cell(labels[alike], mined[:, alike], 10)
    shrunk = selection_shrink(labels[alike], mined[:, alike], 10, [ordinary])
    assert selection_shrink(labels, mined, 10, [(3, 8)]) > 0.9 > shrunk
    # Another cell than the worst shrinks by its own place among the others.
    counts = [cell_errors(labels, mined, cell).sum() for cell in ((3, 8), (1, 2))]
    assert counts[0] > 3 * counts[1]
    assert selection_shrink(labels, mined, 10, [(1, 2)]) != selection_shrink(labels, mined, 10, [(3, 8)])


@pytest.mark.parametrize("changed", [{"seeds": (1,)}, {"reductions": (0.0,)}, {"reductions": (1.5,)}])
def test_bad_plans_are_refused(changed):
    options = {"seeds": (3,), "reductions": (0.5,), **changed}
    with pytest.raises(BadInput, match="seeds >= 2 and reductions in"):
        plan_power(fit_rates(np.ones((2, 3), bool)), rng=np.random.default_rng(0), n_images=3, **options)


def test_without_errors_there_is_no_plan():
    with pytest.raises(BadInput, match="no mined error"):
        fit_rates(np.zeros((3, 5), bool))
    with pytest.raises(BadInput, match="shrink must lie"):
        fit_rates(np.ones((2, 3), bool), shrink=0.0)


def test_the_variation_of_the_cell_itself_is_used():
    """Two cells with the same errors and the same variation elsewhere: the one that varies more has less power."""
    rng = np.random.default_rng(6)
    rates = np.r_[np.full(60, 0.5), np.zeros(940)]
    calm = rng.random((6, 1000)) < rates
    wild = rng.random((6, 1000)) < rates + np.linspace(-1.6, 1.6, 6)[:, None] * rates * (1 - rates)
    assert fit_rates(wild, logit_sd=0.0).logit_sd > 0.4
    assert fit_rates(calm, logit_sd=0.0).logit_sd < 0.2
    found = [
        plan_power(
            fit_rates(cell, logit_sd=0.0), rng=rng, seeds=(5,), reductions=(0.3,), n_images=1000, n_simulations=150
        )
        for cell in (calm, wild)
    ]
    assert found[1] < found[0]


def test_shift_of_a_cell_by_hand():
    """Four images at p = 1/2 over 2 runs, all flipping together: variance 8, e = 2, ratio 4, df 1."""
    errors = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], dtype=bool)
    rates = fit_rates(errors, logit_sd=0.0)
    blended = (4 * 1 + 1 * 4) / 5  # weight 4 on the prediction, 1 for an independent cell
    assert rates.logit_sd == pytest.approx(((blended - 1) / 2) ** 0.5)
    assert rates.relative_sd == pytest.approx(((blended - 1) * 2) ** 0.5 / 2)
    assert (rates.pooled_logit_sd, fit_rates(errors, logit_sd=0.3).pooled_logit_sd) == (0.0, 0.3)


def test_shrinking_drops_images_and_keeps_their_rates() -> None:
    """Images that are always wrong keep their rates or drop to 0."""
    mined = np.zeros((5, 400), bool)
    mined[:, :100] = True
    rates = fit_rates(mined, shrink=0.5).draw(np.random.default_rng(0))
    assert (rates > 0.9).mean() == pytest.approx(0.125, abs=0.04)
    assert ((rates > 0.1) & (rates < 0.9)).mean() < 0.01


def test_values_that_fall_are_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """More seeds (rows) and larger effects (columns) cannot have less power."""
    simulated = {(3, 0.5): 0.1, (3, 1.0): 0.3, (5, 0.5): 0.3, (5, 1.0): 0.2, (8, 0.5): 0.2, (8, 1.0): 0.9}
    monkeypatch.setattr(power_module, "_prepare", lambda *_: lambda count, share: simulated[count, share])
    rates, rng = fit_rates(np.ones((2, 3), bool)), np.random.default_rng(0)
    power = plan_power(rates, rng=rng, seeds=(3, 5, 8), reductions=(0.5, 1.0), n_images=3)
    assert power == pytest.approx(np.array([[0.1, 0.25], [0.25, 0.25], [0.25, 0.9]]))


@pytest.mark.parametrize("chance", [0.45, 0.9])
def test_bias_of_mining_is_corrected(monkeypatch: pytest.MonkeyPatch, chance: float) -> None:
    """With a known bias: the difference to repeated mining is added, and the power never exceeds 1."""
    mined = np.zeros((3, 50), bool)
    mined[:, :5] = True
    rates = fit_rates(mined)

    def simulated(given: ErrorRates, *_: object) -> float:
        return chance if given is rates else chance - 0.2

    monkeypatch.setattr(power_module, "_simulated_power", simulated)
    power_of = power_module._prepare(rates, 50, 100, np.random.default_rng(0))
    assert power_of(3, 0.5) == pytest.approx(min(1.0, chance + 0.2))


def test_a_cell_that_every_run_always_gets_wrong_can_be_planned() -> None:
    """A rate of 1 has no beta law; the rates that are drawn are nearly 1."""
    rates = fit_rates(np.ones((2, 10), bool))
    assert rates.beta > 0
    assert rates.draw(np.random.default_rng(0)).mean() > 0.9
