"""How many seeds does the question cost? Power by simulation from mined per-image error rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, Cell, FloatArray, IntArray, check_runs, confusion_counts
from erroran.stats.dispersion import PRIOR_LOGIT_VARIANCE, count_variance, run_variation
from erroran.verdict.compare import compare_errors

SEEDS = (3, 5, 8, 10, 15, 20)
REDUCTIONS = (0.25, 0.5, 0.75, 1.0)
_SEED_LADDER = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)
# Weight of all cells' swing against the cell's own, in degrees of freedom. Less than the test's
# (`dispersion.PRIOR_DF`): a test must not trust three runs, a forecast must be right on average.
# Of 1 and 4, tried on networks of `benchmarks.calibration`: 4 came closer.
_PRIOR_DF = 4.0
# Repetitions of mining behind the correction for bias; each costs a fit.
_REPETITIONS = 50
# Only where planted effects have been measured (about 20 errors a run): with a handful of errors the repetitions often
# have next to none, and the correction would promise too much.
_MIN_ERRORS_TO_CORRECT = 5.0
# Draws of images behind the odds of a reduction.
_DRAWS_FOR_ODDS = 5
# A rate below this adds less than an error in ten thousand images and runs; skipped for speed.
_NEGLIGIBLE_RATE = 1e-4


@dataclass(frozen=True)
class PowerTable:
    """Chance to call the fix "improved", by seeds and true reduction.

    Attributes:
        seeds: Seeds an arm, rising.
        reductions: True shares of the errors removed, in (0, 1], rising.
        power: One row per entry of `seeds`, one value per reduction, in [0, 1].
        errors_per_seed: Expected errors per run before the fix, after shrinking.
        mined_errors_per_seed: The same as mined, before shrinking.
        run_sd: Assumed swing of whole runs in this cell: relative sd of a run's count before the fix.
        shift_sd: The same as the sd of a run's shift of the cell's border, in logits.
        alpha: Two-sided level of the test.
        n_simulations: Experiments behind each value, and as many behind its correction; the standard error is at most
            1.2 / sqrt of this.
    """

    seeds: tuple[int, ...]
    reductions: tuple[float, ...]
    power: tuple[tuple[float, ...], ...]
    errors_per_seed: float
    mined_errors_per_seed: float
    run_sd: float
    shift_sd: float
    alpha: float
    n_simulations: int

    def detectable(self, power: float = 0.8) -> tuple[float | None, ...]:
        """Smallest reduction found with this power, per entry of `seeds`; None if none is.

        Linear interpolation between the simulated reductions, 0 having power alpha / 2.
        """
        return tuple(self._detectable_in(row, power) for row in self.power)

    def _detectable_in(self, row: tuple[float, ...], wanted: float) -> float | None:
        left, left_power = 0.0, self.alpha / 2
        for right, right_power in zip(self.reductions, row, strict=True):
            if right_power >= wanted:
                share = (wanted - left_power) / max(right_power - left_power, 1e-9)
                return left + share * (right - left)
            left, left_power = right, right_power
        return None


@dataclass(frozen=True)
class ErrorRates:
    """Per-image error rates to simulate from.

    Attributes:
        alpha: First parameter of the fitted beta law over images.
        beta: Its second parameter.
        runs_wrong: Mined runs wrong, per image, int (M,).
        n_runs: Mined runs.
        shrink: Share of the erring images that are kept, in (0, 1].
        shift_sd: Sd of a run's shift of the whole cell, in logits; see `fit_rates`.
        run_sd: The same as relative sd of a run's count beyond independent images.
        pooled_shift: Sd of a run's shift in any cell, which the verdict will go by.
    """

    alpha: float
    beta: float
    runs_wrong: npt.NDArray[np.int64]
    n_runs: int
    shrink: float
    shift_sd: float
    run_sd: float
    pooled_shift: float

    def draw(self, rng: np.random.Generator, n_images: int | None = None) -> FloatArray:
        """Rates of new images, float64 (n_images,): mined images resampled, rates from posteriors.

        Shrinking makes images harmless, 1 - shrink of them: fewer errors of the same kind. Lower rates instead would
        turn images that are always wrong into coins that each run tosses anew, and promise 6 to 9 points too little.
        """
        runs_wrong = self.runs_wrong
        if n_images is not None:
            runs_wrong = rng.choice(runs_wrong, size=n_images)
        rates = rng.beta(self.alpha + runs_wrong, self.beta + self.n_runs - runs_wrong)
        return np.asarray(np.where(rng.random(rates.size) < self.shrink, rates, 0.0), dtype=np.float64)


def fit_rates(errors: BoolArray, *, shrink: float = 1.0, shift_sd: float | None = None) -> ErrorRates:
    """Fit a beta law to per-image error rates by empirical Bayes.

    Args:
        errors: bool (S, M), mined errors of the cell, runs by images of class a.
        shrink: Expected share of the mined errors that is real, in (0, 1]; see `selection_shrink`.
        shift_sd: Sd of a run's shift over all cells (`dispersion.run_variation`), with which this cell's own
            variance is blended; None takes what other networks did.

    Returns:
        Rates to draw from. Posterior draws keep some images hard and others harmless instead of
        copying one mined outcome.

    A run that moves the border between two classes moves the rates p of all images at the border together, each by
    about its shift times p (1 - p); see `dispersion`.

    Raises:
        BadInput: No mined error, or `shrink` out of range.

    Source: beta-binomial empirical Bayes (Carlin and Louis 2000, ch. 3), maximum likelihood with
    ``scipy.stats.betabinom``.
    """
    from scipy.optimize import minimize
    from scipy.stats import betabinom

    errors = np.atleast_2d(np.asarray(errors, dtype=bool))
    if not errors.any():
        raise BadInput("no mined error to plan from", fix="choose a pair that was confused")
    if not 0 < shrink <= 1:
        raise BadInput(f"shrink must lie in (0, 1]; got {shrink}", fix="use selection_shrink")
    n_runs = len(errors)
    runs_wrong = errors.sum(axis=0).astype(np.int64)
    counts = np.bincount(runs_wrong, minlength=n_runs + 1)
    k = np.arange(n_runs + 1)
    rate = float(runs_wrong.mean()) / n_runs

    # The mean is known well; only the concentration needs a search. A single run says nothing
    # about it: then half the errors are taken to come from hard images.
    def loss(log_size: npt.NDArray[np.float64]) -> float:
        size = float(np.exp(log_size[0]))
        return float(-(counts * betabinom.logpmf(k, n_runs, size * rate, size * (1 - rate))).sum())

    size = 1.0
    if n_runs > 1:
        best = minimize(loss, x0=[0.0], method="L-BFGS-B", bounds=[(-4.0, 7.0)])
        size = float(np.exp(best.x[0]))
    pooled = PRIOR_LOGIT_VARIANCE**0.5 if shift_sd is None else shift_sd
    own_shift, own_sd = _swing(errors, pooled)
    return ErrorRates(
        alpha=size * rate,
        beta=size * (1 - rate),
        runs_wrong=runs_wrong,
        n_runs=n_runs,
        shrink=shrink,
        shift_sd=own_shift,
        run_sd=own_sd,
        pooled_shift=pooled,
    )


def plan_power(
    errors: BoolArray,
    *,
    rng: np.random.Generator,
    seeds: Sequence[int] = SEEDS,
    reductions: Sequence[float] = REDUCTIONS,
    n_images: int | None = None,
    shrink: float = 1.0,
    shift_sd: float | None = None,
    alpha: float = 0.05,
    n_simulations: int = 400,
) -> PowerTable:
    """Simulate the verdict's own test on the mined error rates.

    Args:
        errors: bool (S, M), mined errors of the cell, runs by images of class a.
        rng: Generator of the simulation.
        seeds: Seeds an arm to try, each >= 2.
        reductions: True shares of the errors removed, in (0, 1].
        n_images: Images of class a in the confirm set; default M (same size).
        shrink: See `selection_shrink`; 1 takes the mined rate at face value, which is too hopeful for
            a pair chosen because it was the worst.
        shift_sd: See `fit_rates`.
        alpha: Two-sided level of the test.
        n_simulations: Experiments per value.

    Returns:
        Power to find a significant fall, by the test of `compare.compare_errors`. For
        orientation, Beta(0.5, 1) rates, two-sided 5 %: a halving of 6.7 errors per run is found in 67 / 87 / 97 % with
        3 / 5 / 10 seeds if images are independent, in 22 / 44 / 76 % if runs shift by 1 logit as real ones do; of 3.3
        errors in 32 / 55 / 78 % and 12 / 30 / 59 %.

    A fix is taken to move the border between the two classes, as a run does: all images' odds of the error fall by the
    same factor. Then an image that is always wrong stays mostly wrong or becomes mostly right. Scaling the rates
    would turn it into a coin that each run tosses anew; networks whose planted confusion was repaired in part had
    half the seed noise of that and hence more power.

    Rates and swing come from few runs and images, and power bends: what such estimates promise is on average too little
    where power is high. How far off, a parametric bootstrap tells: mining is repeated on what was estimated, and what
    the repetitions promise less (or more) than their truth is added, where at least 5 errors per run were mined.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 10.

    Raises:
        BadInput: No mined error, or an option out of range.
    """
    seeds = tuple(sorted({int(count) for count in seeds}))
    reductions = tuple(sorted({float(share) for share in reductions}))
    if not seeds or seeds[0] < 2 or not reductions or not 0 < reductions[0] <= reductions[-1] <= 1:
        raise BadInput(
            f"planning needs seeds >= 2 and reductions in (0, 1]; got {seeds} and {reductions}",
            fix="try seeds 3,5,10 and reductions 0.25,0.5,0.75,1",
        )
    rates = fit_rates(errors, shrink=shrink, shift_sd=shift_sd)
    size = n_images or errors.shape[1]
    again = _mine_again(rates, rng)
    simulated = [
        [_power(rates, again, size, count, share, alpha, n_simulations, rng) for share in reductions] for count in seeds
    ]
    power = tuple(tuple(row) for row in _rising(np.array(simulated)).tolist())
    mined = float(rates.runs_wrong.sum()) / rates.n_runs * size / errors.shape[1]
    return PowerTable(
        seeds=seeds,
        reductions=reductions,
        power=power,
        errors_per_seed=mined * shrink,
        mined_errors_per_seed=mined,
        run_sd=rates.run_sd,
        shift_sd=rates.shift_sd,
        alpha=alpha,
        n_simulations=n_simulations,
    )


def seeds_needed(
    errors: BoolArray,
    *,
    reduction: float,
    rng: np.random.Generator,
    power: float = 0.8,
    n_images: int | None = None,
    shrink: float = 1.0,
    shift_sd: float | None = None,
    alpha: float = 0.05,
    n_simulations: int = 400,
) -> int | None:
    """Fewest seeds an arm (of 2..8, 10, 12, 15, 20, 25, 30, 40, 50) that reach a power.

    Args:
        errors: bool (S, M), mined errors of the cell.
        reduction: True reduction, in (0, 1].
        rng: Generator of the simulation.
        power: Wanted chance to find it, in (0, 1).
        n_images: See `plan_power`.
        shrink: See `plan_power`.
        shift_sd: See `fit_rates`.
        alpha: See `plan_power`.
        n_simulations: Experiments per step.

    Returns:
        Seeds an arm; None if 50 are not enough.
    """
    rates = fit_rates(errors, shrink=shrink, shift_sd=shift_sd)
    size = n_images or errors.shape[1]
    again = _mine_again(rates, rng)
    # Power rises with seeds but for simulation error and the switch of tests at 5, so a plain
    # climb is honest where bisection might jump.
    for count in _SEED_LADDER:
        if _power(rates, again, size, count, reduction, alpha, n_simulations, rng) >= power:
            return count
    return None


def selection_shrink(
    labels: IntArray,
    pred: IntArray,
    n_classes: int,
    *,
    cells: Sequence[Cell] | None = None,
    shift_sd: float | None = None,
    new_images: bool = True,
) -> float:
    """How much of a chosen pair's mined errors is real, on new seeds and new images?

    Args:
        labels: Integer (N,), the mined images.
        pred: Integer (S, N), the mining runs.
        n_classes: Number of classes C.
        cells: The directed cells whose errors count together; default the worst one.
        shift_sd: Sd of a run's shift, in logits; default `dispersion.run_variation` of these runs.
        new_images: The fix will be judged on other images than the mined ones (it should be).

    Returns:
        Factor in (0, 1]: posterior mean over observed count.

    The worst cell is partly the unluckiest. How much, depends on its neighbours: one of many alike falls back to
    them, one far above all others is there for a reason. Empirical Bayes tells these apart cell by cell: the true
    counts of all C (C - 1) cells come from a common law of any form, estimated by maximum likelihood on a grid,
    and a cell's count is Poisson in units of the average jump that new images and seeds bring. The posterior mean
    needs no correction for the choice. (One factor from a bootstrap of the worst cell promised 20 to 30 % too many
    errors for ordinary worst cells of real networks, and too few for planted ones.)

    Source: Kiefer and Wolfowitz (1956), Ann Math Stat 27, 887; Koenker and Mizera (2014), J Am Stat Assoc 109, 674;
    selection: Efron (2011), J Am Stat Assoc 106, 1602.
    """
    labels, pred = check_runs(labels, pred, n_classes)
    off = ~np.eye(n_classes, dtype=bool)
    mean = np.where(off, confusion_counts(labels, pred, n_classes).mean(axis=0), 0.0)
    if not mean.any():
        return 1.0
    chosen = np.zeros_like(off)
    for a, b in cells or [divmod(int(mean.argmax()), n_classes)]:
        chosen[a, b] = True
    observed = float(mean[chosen].sum())
    if observed == 0:
        return 1.0
    variation = run_variation(labels, pred, n_classes=n_classes)
    shift_sd = variation.logit_sd if shift_sd is None else shift_sd
    variance = (variation.expected + (shift_sd * variation.expected) ** 2).sum() / len(pred)
    if new_images:
        run, image = np.nonzero(pred != labels)
        _, times = np.unique(image.astype(np.int64) * n_classes + pred[run, image], return_counts=True)
        # With new images each brings its own rate, squared, of which seed noise is a part.
        variance += float(((times / len(pred)) ** 2).sum()) - float(variation.expected.sum()) / len(pred)
    jump = float(variance) / float(mean.sum())
    if jump <= 0:
        return 1.0
    values, which = np.unique(mean[off], return_inverse=True)
    posterior = np.zeros_like(mean)
    posterior[off] = _posterior_means(values, np.bincount(which), jump)[which]
    return float(np.clip(posterior[chosen].sum() / observed, 0.05, 1.0))


def _posterior_means(values: FloatArray, times: IntArray, jump: float) -> FloatArray:
    """Posterior means of counts that are Poisson in units of `jump`, each seen `times` times."""
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


def _swing(errors: BoolArray, pooled_shift: float) -> tuple[float, float]:
    """Sd of a run's shift in logits, and relative sd of its count, for one cell."""
    spread = count_variance(errors)
    mean = float(errors.sum()) / len(errors)
    if spread.df == 0:
        # No image flipped, so there is no border to see.
        return pooled_shift, 0.0
    predicted = 1 + pooled_shift**2 * spread.expected
    blended = (_PRIOR_DF * predicted + spread.df * spread.ratio) / (_PRIOR_DF + spread.df)
    excess = max(0.0, blended - 1)
    return math.sqrt(excess / spread.expected), math.sqrt(excess * spread.expected) / mean


def _rising(power: FloatArray) -> FloatArray:
    """Smooth simulation error: more seeds and larger effects have more power, so values that fall are pooled."""
    from scipy.optimize import isotonic_regression

    for axis in (0, 1):
        power = np.apply_along_axis(lambda values: isotonic_regression(values).x, axis, power)
    return power


def _mine_again(rates: ErrorRates, rng: np.random.Generator) -> list[ErrorRates]:
    """What other mining runs on other images would have estimated, if the estimates were the truth.

    Empty where too few errors were mined for a correction.
    """
    if rates.runs_wrong.sum() / rates.n_runs < _MIN_ERRORS_TO_CORRECT:
        return []
    whole = replace(rates, shrink=1.0)
    again: list[ErrorRates] = []
    while len(again) < _REPETITIONS:
        errors = _simulate_runs(whole.draw(rng, rates.runs_wrong.size), rates.n_runs, rates.shift_sd, rng)
        if errors.any():  # else there would have been no plan
            again.append(fit_rates(errors, shrink=rates.shrink, shift_sd=rates.pooled_shift))
    return again


def _power(
    rates: ErrorRates,
    again: Sequence[ErrorRates],
    n_images: int,
    n_seeds: int,
    reduction: float,
    alpha: float,
    n_simulations: int,
    rng: np.random.Generator,
) -> float:
    """Power as estimated, corrected by what repeated mining promises on average; in [0, 1]."""
    promised = _plain_power(rates, n_images, n_seeds, reduction, alpha, n_simulations, rng)
    if not again:
        return promised
    each = -(-n_simulations // len(again))
    repeated = float(np.mean([_plain_power(r, n_images, n_seeds, reduction, alpha, each, rng) for r in again]))
    return min(1.0, max(0.0, 2 * promised - repeated))


def _plain_power(
    rates: ErrorRates,
    n_images: int,
    n_seeds: int,
    reduction: float,
    alpha: float,
    n_simulations: int,
    rng: np.random.Generator,
) -> float:
    draws = [rates.draw(rng, n_images) for _ in range(max(n_simulations, _DRAWS_FOR_ODDS))]
    odds = _odds_factor(np.concatenate(draws), reduction)
    found = 0
    for drawn in draws[:n_simulations]:
        before = drawn[drawn > _NEGLIGIBLE_RATE]
        arms = [_simulate_runs(_with_odds(before, factor), n_seeds, rates.shift_sd, rng) for factor in (1.0, odds)]
        found += compare_errors(arms[0], arms[1], logit_sd=rates.pooled_shift).direction(alpha) < 0
    return found / n_simulations


def _odds_factor(rates: FloatArray, reduction: float) -> float:
    """Factor on all images' odds of an error that removes this share of the errors."""
    from scipy.optimize import brentq

    if reduction >= 1:
        return 0.0
    wanted = (1 - reduction) * float(rates.sum())
    return float(np.exp(brentq(lambda log: float(_with_odds(rates, np.exp(log)).sum()) - wanted, -60, 0)))


def _with_odds(rates: FloatArray, factor: float) -> FloatArray:
    certain = np.minimum(rates, 1 - 1e-9)  # odds must be finite
    lifted = certain * factor
    moved: FloatArray = lifted / (lifted + 1 - certain)
    return moved


def _simulate_runs(rates: FloatArray, n_seeds: int, shift_sd: float, rng: np.random.Generator) -> BoolArray:
    """Simulate bool (S, M): independent images, each run's rates p moved by its own shift times p (1 - p)."""
    moved = np.broadcast_to(rates, (n_seeds, rates.size))
    if shift_sd > 0:
        # Mean 0, but never below -1: skewed as a shift in logits is, and no rate turns negative.
        shift = rng.gamma(shift_sd**-2, shift_sd**2, (n_seeds, 1)) - 1
        moved = moved + shift * rates * (1 - rates)
    errors: BoolArray = rng.random((n_seeds, rates.size)) < moved
    return errors
