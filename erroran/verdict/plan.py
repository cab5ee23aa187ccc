"""Power of a planned comparison, simulated from the per-image error rates of the mined runs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from erroran.errors import BadInput
from erroran.stats.confusion import (
    BoolArray,
    Cell,
    FloatArray,
    IntArray,
    check_runs,
    confusion_counts,
    tabulate_errors,
)
from erroran.stats.dispersion import PRIOR_LOGIT_VARIANCE, count_variance, run_variation
from erroran.verdict.compare import compare_errors

SEEDS: Final = (3, 5, 8, 10, 15, 20)
REDUCTIONS: Final = (0.25, 0.5, 0.75, 1.0)
N_SIMULATIONS: Final = 400
WANTED_POWER: Final = 0.8
ALPHA: Final = 0.05  # two-sided level of the simulated test: that of a verdict
SEED_LADDER: Final = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)  # seeds that `seeds_needed` tries
# Weight of all cells' run-to-run variation against the cell's own, in degrees of freedom. Of 1 and 4, tried on the
# networks of `erroran.benchmarks.calibration`, 4 came closer. It is less than `dispersion.PRIOR_DF`: a forecast has to
# be right on average, but a test must not rely on the variance of three runs.
CELL_PRIOR_DF: Final = 4.0
REPETITIONS: Final = 50  # of mining, for the correction of the bias; each costs a fit
# Mined errors per run from which the bias is corrected. The correction was checked on planted effects of about 20
# errors per run. With few errors many repetitions have next to none, and the corrected power would be too high.
MIN_ERRORS_TO_CORRECT: Final = 5.0
DRAWS_FOR_ODDS: Final = 5  # least number of simulated data sets from which the factor on the odds is computed
NEGLIGIBLE_RATE: Final = 1e-4  # lower error rates are skipped for speed
LEAST_SHRINK: Final = 0.05  # least value of `selection_shrink`, so that a plan always has errors to start from


@dataclass(frozen=True)
class ErrorRates:
    """Per-image error rates to simulate from; see `fit_rates`.

    Attributes:
        alpha: First parameter of the fitted beta law over images; `beta` is the second.
        runs_wrong: int (M,): number of mined runs that get each image wrong.
        n_runs: Number of mined runs.
        shrink: Share of the erring images that is kept, in (0, 1].
        logit_sd: Sd of a run's shift of the border of this cell, in logits.
        relative_sd: The same as relative sd of a run's count beyond independent images.
        pooled_logit_sd: Sd of a run's shift in any cell, which the verdict's test uses.
    """

    alpha: float
    beta: float
    runs_wrong: IntArray
    n_runs: int
    shrink: float
    logit_sd: float
    relative_sd: float
    pooled_logit_sd: float

    def mined_errors(self, n_images: int) -> float:
        """Mined errors per run, scaled to a number of images; not shrunk."""
        return float(self.runs_wrong.sum()) / self.n_runs * n_images / self.runs_wrong.size

    def draw(self, rng: np.random.Generator, n_images: int | None = None) -> FloatArray:
        """Rates of new images, float64 (n_images,): mined images resampled, rates from their posteriors.

        Shrinking sets the rates of a share 1 - shrink of the images to 0. Lower rates of all images instead would make
        always-wrong images random and underestimate the power by 6 to 9 points.
        """
        runs_wrong = self.runs_wrong
        if n_images is not None:
            runs_wrong = rng.choice(runs_wrong, size=n_images)
        rates = rng.beta(self.alpha + runs_wrong, self.beta + self.n_runs - runs_wrong)
        return np.asarray(np.where(rng.random(rates.size) < self.shrink, rates, 0.0), dtype=np.float64)


def fit_rates(errors: BoolArray, *, shrink: float = 1.0, logit_sd: float = PRIOR_LOGIT_VARIANCE**0.5) -> ErrorRates:
    """Fit a beta law to per-image error rates by empirical Bayes.

    Args:
        errors: bool (S, M), mined errors of the cell, runs by images of class a.
        shrink: Expected share of the mined errors that is real, in (0, 1]; see `selection_shrink`. 1 is too high for a
            pair that was chosen because it was the worst.
        logit_sd: Run-to-run variation over all cells, in logits (`dispersion.run_variation`), with which this cell's
            own is blended.

    A run that shifts the border between two classes changes the error rate p of every image by about its shift times
    p (1 - p); see `dispersion`.

    Raises:
        BadInput: No mined error, or `shrink` out of range.

    Source: beta-binomial empirical Bayes (Carlin and Louis 2000, ch. 3), maximum likelihood with
    ``scipy.stats.betabinom``.
    """
    from scipy.optimize import minimize
    from scipy.stats import betabinom

    if not errors.any():
        raise BadInput("no mined error to plan from", fix="choose a pair that was confused")
    if not 0 < shrink <= 1:
        raise BadInput(f"shrink must lie in (0, 1]; got {shrink}", fix="use selection_shrink")
    n_runs = len(errors)
    runs_wrong = errors.sum(axis=0).astype(np.int64)
    counts = np.bincount(runs_wrong, minlength=n_runs + 1)
    k = np.arange(n_runs + 1)
    # Where all runs get all images wrong, half an error is taken off: a beta law has no rate of 1.
    rate = min(float(errors.mean()), 1 - 0.5 / errors.size)

    def loss(log_size: FloatArray) -> float:
        size = float(np.exp(log_size[0]))
        return float(-(counts * betabinom.logpmf(k, n_runs, size * rate, size * (1 - rate))).sum())

    # The mean is the observed one; only the concentration is fitted. A single run has no information on it: 1 then
    # means that half the errors come from images that are usually wrong.
    size = 1.0
    if n_runs > 1:
        best = minimize(loss, x0=[0.0], method="L-BFGS-B", bounds=[(-4.0, 7.0)])
        size = float(np.exp(best.x[0]))
    own, relative = _cell_variation(errors, logit_sd)
    return ErrorRates(size * rate, size * (1 - rate), runs_wrong, n_runs, shrink, own, relative, logit_sd)


def plan_power(
    rates: ErrorRates,
    *,
    seeds: Sequence[int],
    reductions: Sequence[float],
    n_images: int,
    rng: np.random.Generator,
    n_simulations: int = N_SIMULATIONS,
) -> FloatArray:
    """Simulate the verdict's primary test on the mined error rates.

    Args:
        rates: Error rates of the cell.
        seeds: Seeds per arm to try, rising, each >= 2.
        reductions: True shares of the errors removed, rising, in (0, 1].
        n_images: Images of `confirm` that can make the error.
        rng: Generator of the simulation.
        n_simulations: Experiments per value, and as many for its correction; the standard error of a value is at most
            1.2 / sqrt of this.

    Returns:
        float64 (seeds, reductions): probability of a significant fall in `compare.compare_errors`, in [0, 1]. For
        orientation, with Beta(0.5, 1) rates and 3 / 5 / 10 seeds: a 50 % drop of 6.7 errors per run has power 67 / 87 /
        97 % if images are independent and 22 / 44 / 76 % if runs shift by 1 logit as real ones do; of 3.3 errors 32 /
        55 / 78 % and 12 / 30 / 59 %.

    The treatment is assumed to shift the border between the two classes, as a run does: it multiplies the odds of an
    error by the same factor for all images. Multiplying the rates instead would make always-wrong images random and
    underestimate power: networks whose planted confusion was repaired in part had half the seed noise of that model.

    Power is not linear in the rates and their variation, so plug-in estimates are biased, on average too low where
    power is high. A parametric bootstrap estimates the bias: mining is repeated on data simulated from the estimates,
    and the difference between their power and the mean over the repetitions is added, where at least 5 errors per run
    were mined.

    Raises:
        BadInput: Seeds or reductions out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 10.
    """
    from scipy.optimize import isotonic_regression

    if min(seeds, default=0) < 2 or not 0 < min(reductions, default=0) <= max(reductions) <= 1:
        raise BadInput(
            f"planning needs seeds >= 2 and reductions in (0, 1]; got {seeds} and {reductions}",
            fix="try seeds 3,5,10 and reductions 0.25,0.5,0.75,1",
        )
    power_of = _prepare(rates, n_images, n_simulations, rng)
    power = np.array([[power_of(count, share) for share in reductions] for count in seeds])
    for axis in (0, 1):  # more seeds and larger effects have more power: values that fall by chance are pooled
        power = np.apply_along_axis(lambda values: isotonic_regression(values).x, axis, power)
    return power


def detectable_reduction(reductions: Sequence[float], power: Sequence[float]) -> float | None:
    """Smallest reduction with 80 % power for one number of seeds; None if there is none.

    Linear interpolation between the simulated reductions, which must rise; 0 has power alpha / 2.
    """
    reductions, powers = (0.0, *reductions), (ALPHA / 2, *power)
    at = next((i for i, value in enumerate(powers) if value >= WANTED_POWER), None)
    return None if at is None else float(np.interp(WANTED_POWER, powers[at - 1 : at + 1], reductions[at - 1 : at + 1]))


def seeds_needed(
    rates: ErrorRates,
    *,
    reduction: float,
    n_images: int,
    rng: np.random.Generator,
    n_simulations: int = N_SIMULATIONS,
) -> int | None:
    """Fewest seeds per arm, of `SEED_LADDER`, with 80 % power for a reduction; None if 50 are not enough.

    Arguments as in `plan_power`.
    """
    power_of = _prepare(rates, n_images, n_simulations, rng)
    return next((count for count in SEED_LADDER if power_of(count, reduction) >= WANTED_POWER), None)


def selection_shrink(labels: IntArray, pred: IntArray, n_classes: int, cells: Sequence[Cell]) -> float:
    """Share of a chosen pair's mined errors that is expected with new seeds on new images.

    Args:
        labels: Integer (N,), of the mined images.
        pred: Integer (S, N), of the mining runs.
        n_classes: Number of classes C.
        cells: The directed cells whose errors count together.

    Returns:
        Posterior mean over observed count, in [0.05, 1]; 1 without errors.

    The worst cell is partly the worst by chance: mostly if many cells have similar counts, hardly if it is far above
    all others. Empirical Bayes estimates this for each cell. The true counts of all C (C - 1) cells come from a common
    law of any form, estimated by maximum likelihood on a grid; a cell's count is Poisson in units of the average change
    that new images and seeds cause. The posterior mean needs no correction for the choice of the cell. (One factor from
    a bootstrap of the worst cell expected 20 to 30 % too many errors for the worst cells of real networks, and too few
    for planted ones.)

    Source: Kiefer and Wolfowitz (1956), Ann Math Stat 27, 887; Koenker and Mizera (2014), J Am Stat Assoc 109, 674;
    selection: Efron (2011), J Am Stat Assoc 106, 1602.
    """
    labels, pred = check_runs(labels, pred, n_classes)
    off = ~np.eye(n_classes, dtype=bool)
    mean = np.where(off, confusion_counts(labels, pred, n_classes).mean(axis=0), 0.0)
    chosen = np.zeros_like(off)
    for cell in cells:
        chosen[cell] = True
    observed = float(mean[chosen].sum())
    if observed == 0:
        return 1.0
    variation = run_variation(labels, pred, n_classes=n_classes)
    # Variance of all cells together: run-to-run variation, and the squared rates of other images, seed noise included.
    of_runs = float(((variation.logit_sd * variation.expected) ** 2).sum()) / len(pred)
    rates = tabulate_errors(labels, pred, n_classes=n_classes).runs[:, 0] / len(pred)
    jump = (of_runs + float((rates**2).sum())) / float(mean.sum())
    values, which = np.unique(mean[off], return_inverse=True)
    posterior = np.zeros_like(mean)
    posterior[off] = _posterior_means(values, np.bincount(which), jump)[which]
    return float(np.clip(posterior[chosen].sum() / observed, LEAST_SHRINK, 1.0))


def _posterior_means(values: FloatArray, times: IntArray, jump: float) -> FloatArray:
    """Posterior means of counts that are Poisson in units of `jump`, each observed `times` times.

    The prior has 120 points, from below the smallest count to above the largest; 300 EM steps fit their weights.
    """
    top = float(values.max())
    grid = np.geomspace(min(0.02, top / 10), 1.5 * top, 120)
    rate = grid / jump
    log_chance = values[:, None] / jump * np.log(rate) - rate
    chance = np.exp(log_chance - log_chance.max(axis=1, keepdims=True))
    weights = np.full(grid.size, 1 / grid.size)
    for _ in range(300):
        share = chance * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = times @ share / times.sum()
    share = chance * weights
    means: FloatArray = (share @ grid) / share.sum(axis=1)
    return means


def _cell_variation(errors: BoolArray, pooled: float) -> tuple[float, float]:
    """Run-to-run variation of one cell: sd of a run's shift in logits, and relative sd of its count."""
    counted = count_variance(errors)
    if counted.df == 0:
        return pooled, 0.0  # no image differs between runs, so the cell has no information on a shift
    predicted = 1 + pooled**2 * counted.expected
    blended = (CELL_PRIOR_DF * predicted + counted.df * counted.ratio) / (CELL_PRIOR_DF + counted.df)
    excess = max(0.0, blended - 1)
    mean = float(errors.sum()) / len(errors)
    return math.sqrt(excess / counted.expected), math.sqrt(excess * counted.expected) / mean


def _prepare(
    rates: ErrorRates, n_images: int, n_simulations: int, rng: np.random.Generator
) -> Callable[[int, float], float]:
    """Power as a function of seeds per arm and reduction, corrected for the bias of mining; see `plan_power`."""
    again = _mine_again(rates, rng)

    def power_of(n_seeds: int, reduction: float) -> float:
        plain = _simulated_power(rates, n_images, n_seeds, reduction, n_simulations, rng)
        if not again:
            return plain
        each = -(-n_simulations // len(again))
        repeated = [_simulated_power(mined, n_images, n_seeds, reduction, each, rng) for mined in again]
        return min(1.0, max(0.0, 2 * plain - float(np.mean(repeated))))

    return power_of


def _mine_again(rates: ErrorRates, rng: np.random.Generator) -> list[ErrorRates]:
    """Estimates from mining repeated on simulated runs and images; empty with too few errors for a correction."""
    if rates.runs_wrong.sum() / rates.n_runs < MIN_ERRORS_TO_CORRECT:
        return []
    whole = replace(rates, shrink=1.0)
    again: list[ErrorRates] = []
    while len(again) < REPETITIONS:
        errors = _simulate_runs(whole.draw(rng, rates.runs_wrong.size), rates.n_runs, rates.logit_sd, rng)
        if errors.any():  # otherwise there would have been no plan
            again.append(fit_rates(errors, shrink=rates.shrink, logit_sd=rates.pooled_logit_sd))
    return again


def _simulated_power(
    rates: ErrorRates, n_images: int, n_seeds: int, reduction: float, n_simulations: int, rng: np.random.Generator
) -> float:
    """Share of simulated experiments with a significant fall, not corrected for bias."""
    draws = [rates.draw(rng, n_images) for _ in range(max(n_simulations, DRAWS_FOR_ODDS))]
    odds = _odds_factor(np.concatenate(draws), reduction)
    found = 0
    for drawn in draws[:n_simulations]:
        before = drawn[drawn > NEGLIGIBLE_RATE]
        arms = [_simulate_runs(scale_odds(before, factor), n_seeds, rates.logit_sd, rng) for factor in (1.0, odds)]
        found += compare_errors(arms[0], arms[1], logit_sd=rates.pooled_logit_sd).direction(ALPHA) < 0
    return found / n_simulations


def _odds_factor(rates: FloatArray, reduction: float) -> float:
    """The factor on the odds of all images that removes this share of the errors."""
    from scipy.optimize import brentq

    if reduction >= 1:
        return 0.0
    wanted = (1 - reduction) * float(rates.sum())
    return float(np.exp(brentq(lambda log: float(scale_odds(rates, np.exp(log)).sum()) - wanted, -60, 0)))


def scale_odds(rates: FloatArray, factor: float | FloatArray) -> FloatArray:
    """Multiply the odds of rates in [0, 1] by a factor, broadcast against them."""
    certain = np.minimum(rates, 1 - 1e-9)  # odds must be finite
    lifted = certain * factor
    moved: FloatArray = lifted / (lifted + 1 - certain)
    return moved


def _simulate_runs(rates: FloatArray, n_seeds: int, logit_sd: float, rng: np.random.Generator) -> BoolArray:
    """Simulate bool (S, M): independent images, each run's rates p moved by its own shift times p (1 - p)."""
    moved = np.broadcast_to(rates, (n_seeds, rates.size))
    if logit_sd > 0:
        # Mean 0, but never below -1: skewed as a shift in logits is, and no rate turns negative.
        shift = rng.gamma(logit_sd**-2, logit_sd**2, (n_seeds, 1)) - 1
        moved = moved + shift * rates * (1 - rates)
    errors: BoolArray = rng.random((n_seeds, rates.size)) < moved
    return errors
