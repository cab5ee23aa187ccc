"""How many seeds does the question cost? Power by simulation from mined per-image error rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput
from erroran.stats.comparison import significant_change
from erroran.stats.confusion import BoolArray, FloatArray, IntArray, check_runs
from erroran.stats.significance import overdispersion

SEEDS = (3, 5, 8, 10, 15, 20)
REDUCTIONS = (0.25, 0.5, 0.75, 1.0)
_SEED_LADDER = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)
# Weight of all cells' swing against the cell's own, in degrees of freedom. Less than the test's
# (`dispersion.PRIOR_DF`): a test must not trust three runs, a forecast must be right on average.
# Of 1 and 4, tried on the networks of `benchmarks.calibration`: 4 came closer at 5 and 8 seeds, 1 at 3.
_PRIOR_DF = 4.0
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
        alpha: Two-sided level of the test.
        n_simulations: Experiments behind each value; its standard error is at most .5 / sqrt of this.
    """

    seeds: tuple[int, ...]
    reductions: tuple[float, ...]
    power: tuple[tuple[float, ...], ...]
    errors_per_seed: float
    mined_errors_per_seed: float
    run_sd: float
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
        shrink: Factor on all rates, in (0, 1].
        shift_sd: Sd of a run's shift of the whole cell, in logits; see `fit_rates`.
        run_sd: The same as relative sd of a run's count beyond independent images.
        pooled_sd: Relative sd of a run's count in any cell, which the verdict will know.
    """

    alpha: float
    beta: float
    runs_wrong: npt.NDArray[np.int64]
    n_runs: int
    shrink: float
    shift_sd: float
    run_sd: float
    pooled_sd: float

    def draw(self, rng: np.random.Generator, n_images: int | None = None) -> FloatArray:
        """Rates of new images, float64 (n_images,): mined images resampled, rates from posteriors."""
        runs_wrong = self.runs_wrong
        if n_images is not None:
            runs_wrong = rng.choice(runs_wrong, size=n_images)
        rates = rng.beta(self.alpha + runs_wrong, self.beta + self.n_runs - runs_wrong)
        return np.asarray(rates * self.shrink, dtype=np.float64)


def fit_rates(errors: BoolArray, *, shrink: float = 1.0, run_sd: float | None = None) -> ErrorRates:
    """Fit a beta law to per-image error rates by empirical Bayes.

    Args:
        errors: bool (S, M), mined errors of the cell, runs by images of class a.
        shrink: Expected share of the mined errors that is real, in (0, 1]; see `selection_shrink`.
        run_sd: Relative sd of whole runs over all cells (`dispersion.run_variation`), with which this
            cell's own variance is blended; None takes this cell alone.

    Returns:
        Rates to draw from. Posterior draws keep some images hard and others harmless instead of
        copying one mined outcome.

    A run that moves the border between two classes moves the rates p of all images at the border
    together, by about its shift times p (1 - p): images that are always or never wrong stay so. The
    variance of a cell's count then exceeds e = sum p (1 - p) by (shift_sd e)^2. In pools of 50 real
    networks this held with one shift_sd for all cells, while a swing in proportion to the count
    (`run_sd`) was too small for the cells with most errors by a factor of two and more.

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
    shift_sd, own_sd = _swing(errors, run_sd)
    return ErrorRates(
        alpha=size * rate,
        beta=size * (1 - rate),
        runs_wrong=runs_wrong,
        n_runs=n_runs,
        shrink=shrink,
        shift_sd=shift_sd,
        run_sd=own_sd,
        pooled_sd=own_sd if run_sd is None else run_sd,
    )


def plan_power(
    errors: BoolArray,
    *,
    rng: np.random.Generator,
    seeds: Sequence[int] = SEEDS,
    reductions: Sequence[float] = REDUCTIONS,
    n_images: int | None = None,
    shrink: float = 1.0,
    run_sd: float | None = None,
    alpha: float = 0.05,
    n_simulations: int = 400,
) -> PowerTable:
    """Simulate the verdict's own test on the mined error rates.

    Args:
        errors: bool (S, M), mined errors of the cell, runs by images of class a.
        rng: Generator of the simulation.
        seeds: Seeds an arm to try, each >= 2.
        reductions: True reductions to try, in (0, 1]; every image's rate falls by that share.
        n_images: Images of class a in the confirm set; default M (same size).
        shrink: See `selection_shrink`; 1 takes the mined rate at face value, which is too hopeful for
            a pair chosen because it was the worst.
        run_sd: See `fit_rates`.
        alpha: Two-sided level of the test.
        n_simulations: Experiments per value.

    Returns:
        For orientation, independent images, two-sided 5 %: a halving of 6.7 errors per run is found
        in 66 / 86 / 99 % with 3 / 5 / 10 seeds, of 3.3 errors in 35 / 60 / 87 % (one-sided: 78 / 93 /
        100 and 48 / 73 / 93 %). Power to find a significant fall, with the overdispersion check and its fallback as in
        `comparison.choose_test`.

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
    rates = fit_rates(errors, shrink=shrink, run_sd=run_sd)
    size = n_images or errors.shape[1]
    power = tuple(
        tuple(_power(rates, size, count, share, alpha, n_simulations, rng) for share in reductions) for count in seeds
    )
    mined = float(rates.runs_wrong.sum()) / rates.n_runs * size / errors.shape[1]
    return PowerTable(
        seeds=seeds,
        reductions=reductions,
        power=power,
        errors_per_seed=mined * shrink,
        mined_errors_per_seed=mined,
        run_sd=rates.run_sd,
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
    run_sd: float | None = None,
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
        run_sd: See `fit_rates`.
        alpha: See `plan_power`.
        n_simulations: Experiments per step.

    Returns:
        Seeds an arm; None if 50 are not enough.
    """
    rates = fit_rates(errors, shrink=shrink, run_sd=run_sd)
    size = n_images or errors.shape[1]
    # Power rises with seeds but for simulation error and the switch of tests at 5, so a plain
    # climb is honest where bisection might jump.
    for count in _SEED_LADDER:
        if _power(rates, size, count, reduction, alpha, n_simulations, rng) >= power:
            return count
    return None


def selection_shrink(
    labels: IntArray,
    pred: IntArray,
    n_classes: int,
    *,
    rng: np.random.Generator,
    n_boot: int = 400,
    new_images: bool = True,
) -> float:
    """How much of the worst pair's mined errors is real, on new seeds and new images?

    Args:
        labels: Integer (N,), the mined images.
        pred: Integer (S, N), the mining runs.
        n_classes: Number of classes C.
        rng: Generator of the resamples.
        n_boot: Resamples.
        new_images: The fix will be judged on other images than the mined ones (it should be).

    Returns:
        Factor in (0, 1]: 1 minus the relative excess that choosing the worst cell brings.

    Each resample draws seeds (and images) anew and picks its worst cell; the excess of that
    cell's resampled count over its count in the full data mimics the excess of the mined worst cell
    over the truth. Resampling adds noise to data that already hold some, so the worst cell of the
    resample competes with an already inflated field: the correction is on the small side.

    Source: Sun and Bull (2005), Genetic Epidemiology 28, 352-367 (bootstrap reduction of selection
    bias, here in its shadow form).
    """
    labels, pred = check_runs(labels, pred, n_classes)
    n_runs = len(pred)
    run, image = np.nonzero(pred != labels)
    if run.size == 0:
        return 1.0
    cell = labels[image].astype(np.int64) * n_classes + pred[run, image]
    kept, cell = np.unique(cell, return_inverse=True)
    _, image = np.unique(image, return_inverse=True)
    n_wrong = int(image.max()) + 1
    full = np.bincount(cell, minlength=kept.size) / n_runs
    excess, chosen = 0.0, 0.0
    for _ in range(n_boot):
        image_weight = rng.poisson(1.0, n_wrong) if new_images else np.ones(n_wrong)
        run_weight = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs))
        weights = image_weight[image] * run_weight[run]
        again = np.bincount(cell, weights=weights, minlength=kept.size) / n_runs
        worst = int(again.argmax())
        excess += float(again[worst] - full[worst])
        chosen += float(again[worst])
    return float(np.clip(1 - excess / chosen, 0.05, 1.0)) if chosen > 0 else 1.0


def _swing(errors: BoolArray, pooled_sd: float | None) -> tuple[float, float]:
    """Sd of a run's shift in logits, and relative sd of its count, for one cell."""
    spread = overdispersion(errors, level=0.2)
    mean = float(errors.sum()) / len(errors)
    if spread.df == 0:
        # No image flipped, so there is no border; a relative swing still moves what was mined.
        return pooled_sd or 0.0, pooled_sd or 0.0
    if pooled_sd is None:
        excess = max(0.0, spread.ratio - 1) if spread.overdispersed else 0.0
    else:
        predicted = 1 + (pooled_sd * mean) ** 2 / spread.expected
        blended = (_PRIOR_DF * predicted + spread.df * spread.ratio) / (_PRIOR_DF + spread.df)
        excess = max(0.0, blended - 1)
    return math.sqrt(excess / spread.expected), math.sqrt(excess * spread.expected) / mean


def _power(
    rates: ErrorRates,
    n_images: int,
    n_seeds: int,
    reduction: float,
    alpha: float,
    n_simulations: int,
    rng: np.random.Generator,
) -> float:
    found = 0
    for _ in range(n_simulations):
        before = rates.draw(rng, n_images)
        before = before[before > _NEGLIGIBLE_RATE]
        arms = [_simulate_runs(before * factor, n_seeds, rates.shift_sd, rng) for factor in (1.0, 1.0 - reduction)]
        ratio = _predicted_ratio(arms, rates.pooled_sd)
        found += significant_change(arms[0], arms[1], alpha=alpha, predicted_ratio=ratio) < 0
    return found / n_simulations


def _predicted_ratio(arms: list[BoolArray], run_sd: float) -> float:
    """What `RunVariation.predicted_ratio` would say of these arms, knowing run_sd."""
    expected = overdispersion(*arms).expected
    if run_sd == 0 or expected == 0:
        return 1.0
    mean = float(np.mean([arm.sum() / len(arm) for arm in arms]))
    return float(1 + (run_sd * mean) ** 2 / expected)


def _simulate_runs(rates: FloatArray, n_seeds: int, shift_sd: float, rng: np.random.Generator) -> BoolArray:
    """Simulate bool (S, M): independent images, each run's rates p moved by its own shift times p (1 - p)."""
    moved = np.broadcast_to(rates, (n_seeds, rates.size))
    if shift_sd > 0:
        moved = moved + rng.normal(0, shift_sd, (n_seeds, 1)) * rates * (1 - rates)
    errors: BoolArray = rng.random((n_seeds, rates.size)) < moved
    return errors
