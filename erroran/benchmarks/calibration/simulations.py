"""Simulated runs with a known true change: coverage of the intervals, and numbers that the documents quote."""

import math
from functools import lru_cache
from itertools import product
from math import comb

import numpy as np

from erroran.benchmarks.calibration.result import (
    BOTH_WAYS,
    IN_PROPORTION,
    ONE_BY_ONE,
    Coverage,
    Mean,
    Rate,
    Settings,
    Simulated,
)
from erroran.benchmarks.calibration.worlds import N_CLASSES
from erroran.benchmarks.common import follow
from erroran.stats.confusion import FloatArray, IntArray, cell_errors
from erroran.stats.dispersion import run_variation
from erroran.stats.intervals import score_interval, wilson_interval
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.stats.significance import mcnemar
from erroran.verdict.rates import scale_odds


def coverage_rows(shift_sd: float) -> list[Simulated]:
    """All simulated settings; `shift_sd` is the run-to-run variation of real networks in logits."""
    alike = product((0.0, shift_sd), (1, 3, 6, 15), (1.0, 0.5), (3, 5, 10), (IN_PROPORTION,))
    repaired = product((shift_sd,), (3, 6, 15), (0.5,), (3, 5, 10), (ONE_BY_ONE,))
    both_ways = product((shift_sd,), (3, 6, 15), (1.0,), (3, 5, 10), (BOTH_WAYS,))
    return [
        Simulated(shift_sd=shift, errors_per_run=errors, factor=factor, seeds=seeds, how=how)
        for rows in (alike, repaired, both_ways)
        for shift, errors, factor, seeds, how in rows
    ]


def measure_coverage(settings: Settings, shift_sd: float) -> list[Coverage]:
    """Measure how often the 95 % interval of a verdict contains the true change."""
    import joblib

    jobs = [joblib.delayed(cover)(row, settings, at) for at, row in enumerate(coverage_rows(shift_sd))]
    return list(follow(joblib.Parallel(n_jobs=-1, return_as="generator")(jobs), "coverage", total=len(jobs)))


def cover(row: Simulated, settings: Settings, seed: int) -> Coverage:
    """Simulate one row of the coverage table."""
    rng = np.random.default_rng([3, seed])
    required = row.shift_sd > 0 and row.errors_per_run >= 3 and row.how != BOTH_WAYS
    n = settings.coverage if required else max(10, settings.coverage // 10)
    # The number of hard images that gives these errors per run under run-to-run variation.
    nominal = row.errors_per_run / _mean_errors(row.shift_sd, 1.0)
    before = float(row.errors_per_run)
    after = {
        IN_PROPORTION: nominal * _mean_errors(row.shift_sd, row.factor),
        ONE_BY_ONE: row.factor * before,
        BOTH_WAYS: nominal * _mean_errors(math.hypot(row.shift_sd, settings.uneven_sd), 1.0),
    }[row.how]
    held = np.zeros(2, dtype=int)
    for _ in range(n):
        labels, *arms = simulate_arms(rng, row, errors=nominal, uneven_sd=settings.uneven_sd)
        variation = run_variation(labels, *arms, n_classes=N_CLASSES, skip=((0, 1), (1, 0)))
        errors = [cell_errors(labels, arm, (0, 1)) for arm in arms]
        effect = score_interval(errors[0], errors[1], 10_000, logit_sd=variation.logit_sd)
        low = -1.0 if effect.relative_low is None else effect.relative_low
        high = math.inf if effect.relative_high is None else effect.relative_high
        held += effect.low <= after - before <= effect.high, low <= after / before - 1 <= high
    rates = [(k / n, *wilson_interval(k, n)) for k in held.tolist()]
    difference, ratio = (Rate(share=share, low=low, high=high) for share, low, high in rates)
    change = after / before - 1
    return Coverage(**dict(row), required=required, true_change=change, n=n, difference=difference, ratio=ratio)


def simulate_arms(
    rng: np.random.Generator, row: Simulated, *, errors: float, uneven_sd: float = 1.0
) -> tuple[IntArray, IntArray, IntArray]:
    """Simulate labels (N,) and predictions (S, N) of two arms of a ten-class problem; only hard images are listed.

    The judged cell (0, 1) has `errors` expected errors per run before, without run-to-run variation; all other cells
    together have about 60.
    """
    expected = 60 * _cell_shares()
    expected[0, 1] = errors
    cell, rates = _hard_images(rng, expected.ravel())
    labels, wrong = np.divmod(cell, N_CLASSES)
    moved = row.factor * rates
    if row.how == ONE_BY_ONE:
        moved = rates * (rng.random(len(cell)) < row.factor)
    elif row.how == BOTH_WAYS:
        moved = scale_odds(rates, np.exp(rng.normal(0, uneven_sd, len(cell))))
    arms = []
    for rate in (rates, np.where(cell == 1, moved, rates)):
        shift = rng.normal(0, row.shift_sd, (row.seeds, expected.size))[:, cell]
        arms.append(np.where(rng.random((row.seeds, len(cell))) < scale_odds(rate, np.exp(shift)), wrong, labels))
    return labels, arms[0], arms[1]


def _hard_images(rng: np.random.Generator, expected: FloatArray) -> tuple[IntArray, FloatArray]:
    """Cell and Beta(0.5, 1) error rate of new images: Poisson numbers that give the expected errors of each cell."""
    cell = np.repeat(np.arange(expected.size), rng.poisson(3 * expected))  # the mean rate is 1/3
    return cell, rng.beta(0.5, 1, len(cell))


def _cell_shares() -> FloatArray:
    """Float (C, C): share of each cell in all errors, as uneven as in real confusion matrices; 0 on the diagonal."""
    off = ~np.eye(N_CLASSES, dtype=bool)
    shares = np.zeros((N_CLASSES, N_CLASSES))
    shares[off] = np.random.default_rng(0).gamma(0.5, 1.0, int(off.sum()))
    spread: FloatArray = shares / shares.sum()
    return spread


@lru_cache
def _mean_errors(shift_sd: float, scale: float) -> float:
    """Expected errors per nominal one: shifts in logits do not keep the mean."""
    rng = np.random.default_rng(4)
    rates = scale * rng.beta(0.5, 1, 400_000)
    return float(scale_odds(rates, np.exp(rng.normal(0, shift_sd, rates.size))).mean() * 3)


def measure_facts(settings: Settings) -> dict[str, int | float | dict[str, Mean]]:
    """Properties of tests, and the fall of the worst cell without any change."""
    one_way = {n: mcnemar(n, 0) for n in range(1, 40)}
    lone = 0.05 / 90
    return {
        "mcnemar_exact": next(n for n, test in one_way.items() if test.p_exact < 0.05),
        "mcnemar_midp": next(n for n, test in one_way.items() if test.p_midp < 0.05),
        **{f"permute_{n}": 1 / comb(2 * n, n) for n in (3, 4, 5)},
        "signflip_3": 0.5**3,
        "lone_p": lone,
        "lone_q": float(benjamini_hochberg(np.array([lone, *[1.0] * 89]))[0]),
        "lone_midp": next(n for n, test in one_way.items() if test.p_midp <= lone),
        "lone_exact": next(n for n, test in one_way.items() if test.p_exact <= lone),
        "falls": {
            f"{images}_{n}": _fall_of_the_worst(n, settings.falls, new_images=images == "fresh")
            for images in ("same", "fresh")
            for n in (1, 3)
        },
    }


def _fall_of_the_worst(n_seeds: int, repetitions: int, *, new_images: bool) -> Mean:
    """Mean relative change of the worst of 90 cells when nothing changes; about 80 errors per run."""
    rng = np.random.default_rng([5, n_seeds])
    expected = 80 * _cell_shares()[~np.eye(N_CLASSES, dtype=bool)]
    was, now = np.zeros(repetitions), np.zeros(repetitions)
    for k in range(repetitions):
        images = _hard_images(rng, expected)
        arms = (images, _hard_images(rng, expected) if new_images else images)
        first, second = (np.bincount(cell, rng.binomial(n_seeds, rates), minlength=90) for cell, rates in arms)
        worst = int(first.argmax())
        was[k], now[k] = first[worst], second[worst]
    resampled = rng.integers(0, repetitions, (1000, repetitions))
    low, high = np.quantile(now[resampled].sum(axis=1) / was[resampled].sum(axis=1) - 1, [0.025, 0.975])
    return Mean(mean=float(now.sum() / was.sum() - 1), low=float(low), high=float(high))
