"""Simulated runs with a known true change: coverage of the intervals, claims, and numbers that the documents quote."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import comb
from typing import Final

import numpy as np

from erroran.benchmarks.calibration.comparisons import CLAIMS
from erroran.benchmarks.calibration.pools import N_CLASSES
from erroran.benchmarks.calibration.result import Measured, Settings
from erroran.benchmarks.calibration.runner import Runner
from erroran.stats.confusion import FloatArray, IntArray, cell_errors
from erroran.stats.dispersion import run_variation
from erroran.stats.intervals import score_interval, wilson_interval
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.stats.significance import mcnemar
from erroran.verdict.decide import judge
from erroran.verdict.rates import scale_odds
from erroran.verdict.replay import clustered_share

NO_CHANGE: Final = "no change"
IN_PROPORTION: Final = "odds divided"
ONE_BY_ONE: Final = "images repaired"
BOTH_WAYS: Final = "images move both ways"
SHIFTS: Final = (0.5, 1.0)
"""Run-to-run variation in logits: that of convolutional networks on MNIST, and of small dense networks."""
UNEVEN_SD: Final = 1.0
"""Standard deviation, in logits, of the change of a single image between networks of two kinds."""
KINDS: Final = ("difference, new images", "ratio, new images", "difference, these images", "ratio, these images")


@dataclass(frozen=True)
class Simulated:
    """Simulated runs of a ten-class problem.

    Attributes:
        how: How the arm after differs: not at all; the odds of all errors are divided by one factor, so that half of
            the errors remain; each image is repaired with probability one half; or the log-odds of each image differ
            by a random amount of either sign, without a change of the population.
        shift_sd: Run-to-run variation in logits.
        errors_per_run: Expected errors before in the judged cell.
        seeds: Runs per arm.
    """

    how: str
    shift_sd: float
    errors_per_run: int
    seeds: int


@dataclass(frozen=True)
class Arms:
    """Simulated labels (N,) and predictions (S, N), and the errors per run that new seeds make on these images.

    Only images are listed that can be misread.
    """

    labels: IntArray
    before: IntArray
    after: IntArray
    expected_before: float
    expected_after: float


def simulate_arms(rng: np.random.Generator, row: Simulated) -> Arms:
    """Simulate both arms; cell (0, 1) is judged, all other cells together have about 60 errors per run."""
    expected = 60 * _cell_shares()
    expected[0, 1] = row.errors_per_run / _mean_errors(row.shift_sd, 1.0)
    cell, rates = _hard_images(rng, expected.ravel())
    labels, wrong = np.divmod(cell, N_CLASSES)
    before = after = rates
    if row.how == IN_PROPORTION:
        after = np.where(cell == 1, scale_odds(rates, _halving(row.shift_sd)), rates)
    elif row.how == ONE_BY_ONE:
        after = rates * ((cell != 1) | (rng.random(cell.size) < 0.5))
    elif row.how == BOTH_WAYS:  # half of the change in either arm, so that the arms can be exchanged
        before, after = (scale_odds(rates, np.exp(rng.normal(0, UNEVEN_SD / 2**0.5, cell.size))) for _ in range(2))
    arms = []
    for rate in (before, after):
        shift = rng.normal(0, row.shift_sd, (row.seeds, expected.size))[:, cell]
        arms.append(np.where(rng.random((row.seeds, cell.size)) < scale_odds(rate, np.exp(shift)), wrong, labels))
    totals = [_expected_errors(rate[cell == 1], row.shift_sd) for rate in (before, after)]
    return Arms(labels, arms[0], arms[1], *totals)


def measure_coverage(settings: Settings, run: Runner) -> list[Measured]:
    """Measure how often the 95 % intervals of a verdict contain the true change, for new images and for these."""
    kinds = (NO_CHANGE, IN_PROPORTION, ONE_BY_ONE)
    rows = [Simulated(*some) for some in product(kinds, SHIFTS, (3, 6, 15), (3, 5, 10))]
    held = run(_cover, [(row, settings.coverage, at) for at, row in enumerate(rows)])
    measured = []
    for how, (k, kind) in product(kinds, enumerate(KINDS)):
        chosen = [counts[k] for row, counts in zip(rows, held, strict=True) if row.how == how]
        ends = [wilson_interval(count, settings.coverage) for count in chosen]
        share, n = sum(chosen) / len(chosen) / settings.coverage, len(chosen) * settings.coverage
        low, high = wilson_interval(sum(chosen), n)
        details = {
            "lowest": min(chosen) / settings.coverage,
            "highest": max(chosen) / settings.coverage,
            "rows": float(len(chosen)),
            "rows below": float(sum(end < 0.93 for _, end in ends)),
            "rows above": float(sum(end > 0.97 for end, _ in ends)),
        }
        measured.append(
            Measured(
                question="coverage", data=kind, design=how, value=share, low=low, high=high, n=n, n_effective=n,
                details=details,
            )
        )  # fmt: skip
    return measured


def _cover(row: Simulated, n: int, seed: int) -> list[int]:
    """How many of n simulated data sets have the truth in each of the intervals of `KINDS`."""
    rng = np.random.default_rng([5, seed])
    kept = {NO_CHANGE: 1.0, IN_PROPORTION: 0.5, ONE_BY_ONE: 0.5}[row.how]
    held = np.zeros(len(KINDS), dtype=int)
    for _ in range(n):
        arms = simulate_arms(rng, row)
        variation = run_variation(arms.labels, arms.before, arms.after, n_classes=N_CLASSES, skip=((0, 1), (1, 0)))
        before, after = (cell_errors(arms.labels, runs, (0, 1)) for runs in (arms.before, arms.after))
        effect = score_interval(before, after, 10_000, logit_sd=variation.logit_sd)
        change = arms.expected_after - arms.expected_before
        relative = arms.expected_after / arms.expected_before - 1 if arms.expected_before else 0.0
        held += [
            _inside(row.errors_per_run * (kept - 1), effect.low, effect.high),
            _inside(kept - 1, effect.relative_low, effect.relative_high),
            _inside(change, effect.seeds_low, effect.seeds_high),
            _inside(relative, effect.seeds_relative_low, effect.seeds_relative_high),
        ]
    return [int(count) for count in held]


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (-math.inf if low is None else low) <= value + 1e-9 and value - 1e-9 <= (math.inf if high is None else high)


def measure_both_ways(settings: Settings, run: Runner) -> list[Measured]:
    """Claims where images move both ways between the arms, and the population does not change."""
    measured = []
    sizes = (5, 20, 50)
    rows = [Simulated(BOTH_WAYS, SHIFTS[0], errors, seeds) for seeds in sizes for errors in (5, 15)]
    n = -(-settings.both_ways // 2)
    words = run(_judge_both_ways, [(row, n, at) for at, row in enumerate(rows)])
    for seeds in sizes:
        found = [word for row, some in zip(rows, words, strict=True) if row.seeds == seeds for word in some]
        share = clustered_share([float(word in CLAIMS) for word in found], range(len(found)))
        details = {word: found.count(word) / len(found) for word in sorted(set(found))}
        measured.append(
            Measured(
                question="both ways", data=f"simulated, sd {UNEVEN_SD:g} logit", design=f"{seeds} v {seeds}",
                value=share.share, low=share.low, high=share.high, n=share.n, n_effective=share.n_effective,
                details=details,
            )
        )  # fmt: skip
    return measured


def _judge_both_ways(row: Simulated, n: int, seed: int) -> list[str]:
    rng = np.random.default_rng([6, seed])
    drawn = (simulate_arms(rng, row) for _ in range(n))
    return [judge(arms.labels, arms.before, arms.after, pair=(0, 1), n_classes=N_CLASSES).word for arms in drawn]


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


def _expected_errors(rates: FloatArray, shift_sd: float) -> float:
    """Expected errors of a run on images of these rates, float64 (M,), over its random shift."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(25)
    moved = scale_odds(rates[:, None], np.exp(shift_sd * nodes))
    return float((moved @ weights).sum() / weights.sum())


@lru_cache
def _typical_rates() -> FloatArray:
    return np.random.default_rng(4).beta(0.5, 1, 100_000)


@lru_cache
def _mean_errors(shift_sd: float, factor: float) -> float:
    """Expected errors per nominal one: shifts in logits do not keep the mean."""
    rates = scale_odds(_typical_rates(), factor)
    return _expected_errors(rates, shift_sd) / rates.size * 3


@lru_cache
def _halving(shift_sd: float) -> float:
    """The factor on the odds of all images that halves the expected errors."""
    from scipy.optimize import brentq

    wanted = _mean_errors(shift_sd, 1.0) / 2
    return float(brentq(lambda factor: _mean_errors(shift_sd, factor) - wanted, 1e-3, 1.0, xtol=1e-4))


def measure_facts(settings: Settings) -> dict[str, float]:
    """Properties of tests, and the fall of the worst cell without any change, by number of seeds."""
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
        **{
            f"fall_{images}_{n}": _fall_of_the_worst(n, settings.falls, new_images=images == "fresh")
            for images in ("same", "fresh")
            for n in (1, 3)
        },
    }


def _fall_of_the_worst(n_seeds: int, repetitions: int, *, new_images: bool) -> float:
    """Mean relative change of the worst of 90 cells when nothing changes; about 80 errors per run."""
    rng = np.random.default_rng([7, n_seeds])
    expected = 80 * _cell_shares()[~np.eye(N_CLASSES, dtype=bool)]
    was, now = np.zeros(repetitions), np.zeros(repetitions)
    for k in range(repetitions):
        images = _hard_images(rng, expected)
        arms = (images, _hard_images(rng, expected) if new_images else images)
        first, second = (np.bincount(cell, rng.binomial(n_seeds, rates), minlength=90) for cell, rates in arms)
        worst = int(first.argmax())
        was[k], now[k] = first[worst], second[worst]
    return float(now.sum() / was.sum() - 1)
