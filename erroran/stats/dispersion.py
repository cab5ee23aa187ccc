"""Run-to-run variation: how much more whole runs differ than images that err independently would make them.

Model: a run shifts the decision border of a cell by some logits. An image's error rate p then moves by about the shift
times p (1 - p). The variance of the cell's count over runs is e + (logit_sd e)^2, where e = sum p (1 - p) is the
variance that independent images give and `logit_sd` the standard deviation of the shift (``reports/calibration.md``
compares this with real networks).

Few runs show little of the variation in one cell. So `run_variation` estimates one `logit_sd` from all cells, and
`weigh_shifts` gives the shifts of one cell a prior around it and weighs them by the variance that the cell shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from erroran.stats.confusion import BoolArray, Cell, FloatArray, IntArray, confusion_counts, tabulate_errors

PRIOR_DF: Final = 8.0
"""Weight of the variance predicted from all cells against the one observed in a cell, in degrees of freedom.

Chosen among 4, 8 and 16 on six sets of networks of `benchmarks.calibration`: 8 kept false claims below 5 %, 4 lost 10
points of power.
"""
PRIOR_LOGIT_VARIANCE: Final = 0.5
"""Prior mean of logit_sd^2, in squared logits.

Between what networks show over all their cells: 0.1 for 25 convolutional networks on MNIST, 0.6 to 1.2 for the
multilayer perceptrons of `benchmarks.calibration`.
"""
PRIOR_LOGIT_VARIANCE_SD: Final = 0.5
"""Standard deviation of that prior: it covers the range of those networks."""
SHIFT_FACTORS: Final = np.concatenate([[0.0], 2.0 ** np.arange(-5.5, 4.5, 0.5)])
"""Run-to-run shifts that a cell may have, as multiples of the `logit_sd` of all cells; see `weigh_shifts`."""
SHIFT_DF: Final = 4.0
"""Degrees of freedom of the half-t prior of a cell's shift.

The half-t prior of a standard deviation is Gelman's (2006, Bayesian Analysis 1, 515-534). With 4, the shift of a cell
lies between 0.07 and 2.8 times that of all cells with 90 % probability.
"""


@dataclass(frozen=True)
class CountVariance:
    """Variance over runs of the count of one kind of error, pooled within arms; all in errors squared.

    Attributes:
        variance: Observed.
        expected: What images that err independently, each at its own rate, would give.
        df: Degrees of freedom: runs minus arms, over the arms in which any image flips.
    """

    variance: float
    expected: float
    df: int

    @property
    def ratio(self) -> float:
        """Observed over expected; nan where no image flips."""
        return self.variance / self.expected if self.df else float("nan")


def count_variance(*arms: BoolArray) -> CountVariance:
    """Compare the variance of a count over runs with that of independent images.

    Args:
        arms: bool (S, M) each, runs by images; arms need not share images.

    The expected variance is sum_i p_i (1 - p_i); with q_i, the share of the S runs that are wrong on image i, its
    unbiased estimate is sum_i q_i (1 - q_i) S / (S - 1). For one arm, df times the ratio is Cochran's Q.

    Source: Jordan (2023), arXiv 2304.01910, section 4; Cochran (1950), Biometrika 37, 256-266.
    """
    df, squares, expected = 0, 0.0, 0.0
    for errors in arms:
        n_runs = len(errors)
        wrong = errors.sum(axis=0, dtype=np.int64)
        flips = float((wrong * (n_runs - wrong)).sum())
        if n_runs > 1 and flips > 0:
            counts = errors.sum(axis=1)
            squares += float(((counts - counts.mean()) ** 2).sum())
            expected += flips / n_runs
            df += n_runs - 1
    return CountVariance(squares / df, expected / df, df) if df else CountVariance(0.0, 0.0, 0)


@dataclass(frozen=True)
class RunVariation:
    """Run-to-run variation of a set of runs, from all directed cells.

    Attributes:
        logit_sd: Standard deviation of a run's shift of the border of one cell, in logits; >= 0.
        variance: float64 (C, C), variance over runs of each cell's count, pooled within arms; 0 on the diagonal.
        expected: float64 (C, C), the variance that independent images would give.
        df: Runs minus arms.
    """

    logit_sd: float
    variance: FloatArray
    expected: FloatArray
    df: int

    def logit_sd_of(self, cells: BoolArray) -> float:
        """`logit_sd` of the summed count of several cells, bool (C, C), whose shifts are independent."""
        expected = self.expected[cells]
        whole = float(expected.sum())
        apart = float(np.sqrt((expected**2).sum()))
        return self.logit_sd * apart / whole if whole > 0 else self.logit_sd

    def ratios(self) -> FloatArray:
        """float64 (C, C): the moderated variance ratio of each single cell, >= 1; see `moderate`."""
        some = self.expected > 0
        observed = np.divide(self.variance, self.expected, out=np.ones_like(self.expected), where=some)
        blended = moderate(observed, 1.0 + self.logit_sd**2 * self.expected, self.df)
        return np.where(some, np.maximum(blended, 1.0), 1.0)


def run_variation(labels: IntArray, *arms: IntArray, n_classes: int, skip: Sequence[Cell] = ()) -> RunVariation:
    """Estimate run-to-run variation from every directed cell.

    Args:
        labels: Integer (N,).
        arms: Predictions, integer (S, N) each; variation is measured within arms.
        n_classes: Number of classes C.
        skip: Cells that do not count for `logit_sd`: those that a treatment was to change.

    Returns:
        `logit_sd` is the prior's where no arm has two runs or no image flips.

    The estimate of logit_sd^2 is the sum of the excess variances over the sum of e^2, blended with the prior by
    precision, so that few runs cannot yield a far too small variance. As the square of an estimated e is biased, e^2 is
    the product of two arms' estimates, or with one arm, leaves out each image's own square.

    Source: pooling of variances over many small samples as in edgeR and QuasiSeq (Robinson and Smyth 2008,
    Biostatistics 9, 321; Lund et al. 2012, Stat Appl Genet Mol Biol 11(5):8), by moments.
    """
    shape = (n_classes, n_classes)
    off = ~np.eye(n_classes, dtype=bool)
    squares, own = np.zeros(shape), np.zeros(shape)
    weights: list[int] = []
    estimates: list[FloatArray] = []
    for runs in arms:
        n_runs = len(runs)
        if n_runs < 2:
            continue
        counts = confusion_counts(labels, runs, n_classes)
        squares += np.where(off, ((counts - counts.mean(axis=0)) ** 2).sum(axis=0), 0.0)
        table = tabulate_errors(labels, runs, n_classes=n_classes)
        flips = table.runs[:, 0] * (n_runs - table.runs[:, 0])
        scale = float(n_runs * (n_runs - 1))
        estimates.append(np.bincount(table.cell, flips, n_classes**2).reshape(shape) / scale)
        own = np.bincount(table.cell, flips**2, n_classes**2).reshape(shape) / scale**2
        weights.append(n_runs - 1)
    if not weights:
        return RunVariation(PRIOR_LOGIT_VARIANCE**0.5, squares, squares, 0)
    df = sum(weights)
    shares = np.array(weights) / df
    expected = np.tensordot(shares, estimates, 1)
    variance = squares / df
    if len(estimates) == 1:
        product = np.maximum(0.0, expected**2 - own)
    else:
        itself = np.tensordot(shares**2, np.square(estimates), 1)
        product = (expected**2 - itself) / (1 - float((shares**2).sum()))
    used = off & (expected > 0)
    for cell in skip:
        used[cell] = False
    logit_variance = _logit_variance(variance[used], expected[used], product[used], df)
    return RunVariation(logit_variance**0.5, variance, expected, df)


def moderate(observed: FloatArray | float, predicted: FloatArray | float, df: int) -> FloatArray:
    """Blend observed variances (or their ratios) of `df` degrees of freedom with predicted ones of `PRIOR_DF`.

    Source: moderated variances, Smyth (2004), Stat Appl Genet Mol Biol 3(1):3.
    """
    return np.asarray((PRIOR_DF * predicted + df * observed) / (PRIOR_DF + df))


def adjust_p(p_value: float | FloatArray, ratio: float | FloatArray, df: int) -> FloatArray:
    """Correct one-sided p-values for run-to-run variation: the moderated t of Smyth (2004), see `moderate`.

    Args:
        p_value: One-sided, in (0, 1].
        ratio: Moderated variance ratio, >= 1; at 1 nothing is changed.
        df: Degrees of freedom of the count's own variance.
    """
    from scipy.special import ndtri, stdtr

    deviate = ndtri(p_value) / np.sqrt(ratio)
    return np.where(np.asarray(ratio) > 1.0, stdtr(PRIOR_DF + df, deviate), p_value)


def weigh_shifts(
    squares: FloatArray, expected: FloatArray, n_runs: tuple[int, int], logit_sd: float | FloatArray
) -> FloatArray:
    """Posterior weights of the shifts `SHIFT_FACTORS` times `logit_sd`, float64 (R, G), for R counts in two arms.

    Args:
        squares: float64 (2, R), sum over the runs of an arm of the squared deviations of the count from its mean.
        expected: float64 (2, R), variance of the count that independent images give; 0 where no image flips.
        n_runs: Runs of the two arms.
        logit_sd: Run-to-run variation of these counts, in logits, from all cells.

    The prior is half-t with `SHIFT_DF` degrees of freedom and scale `logit_sd`. With the variance v of a shift (module
    docstring), the squares of an arm over v have a chi-squared distribution with S - 1 degrees of freedom. Small counts
    are not normal: the variance of their variance is 2 v^2 / df + v / S rather than 2 v^2 / df, so the log-likelihood
    counts by 2 e / (2 e + 1).
    """
    shift = (SHIFT_FACTORS * np.reshape(logit_sd, (-1, 1))) ** 2
    log_weight = np.broadcast_to(_log_shift_prior(), (expected.shape[1], SHIFT_FACTORS.size)).copy()
    for n, e, found in zip(n_runs, expected, squares, strict=True):
        if n < 2:
            continue
        flips = np.maximum(e, 1e-9)[:, None]
        variance = flips + shift * flips**2
        log_weight -= flips / (2 * flips + 1) * ((n - 1) * np.log(variance) + found[:, None] / variance)
    likelihood = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    weight: FloatArray = likelihood / likelihood.sum(axis=1, keepdims=True)
    return weight


@lru_cache(maxsize=1)
def _log_shift_prior() -> FloatArray:
    """Logarithm of the half-t probability of the bin around each shift factor; bins meet half-way in logarithms."""
    from scipy.special import stdtr

    edges = np.concatenate([[0.0, SHIFT_FACTORS[1] / 2**0.25], SHIFT_FACTORS[1:-1] * 2**0.25, [np.inf]])
    bins: FloatArray = np.log(2 * np.diff(stdtr(SHIFT_DF, edges)))
    return bins


def _logit_variance(variance: FloatArray, expected: FloatArray, product: FloatArray, df: int) -> float:
    """Moment estimate of logit_sd^2 over cells, blended with the prior by precision; >= 0."""
    whole = float(product.sum())
    if whole <= 0:
        return PRIOR_LOGIT_VARIANCE
    found = float((variance - expected).sum()) / whole
    prior = 1 / PRIOR_LOGIT_VARIANCE_SD**2
    blended = PRIOR_LOGIT_VARIANCE
    for _ in range(20):
        # Variance of the variance of counts: 2 v^2 / df if they were normal, v / df more as small counts are skewed.
        of_counts = expected + blended * expected**2
        noise = float((2 * of_counts**2 + of_counts).sum()) / df / whole**2
        blended = max(0.0, (found / noise + PRIOR_LOGIT_VARIANCE * prior) / (1 / noise + prior))
    return blended
