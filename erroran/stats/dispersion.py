"""How much do whole runs swing? Measured on every cell at once, because one cell tells too little.

Runs of one recipe differ in more than independent images would make them: a run that shifts the
border between 4 and 9 changes many images together. Four small networks on scikit-learn's digits: the
worst cell's count varied 2 to 7 times as much. Mined with three other runs and compared without any
change, the unadjusted stratified test called 16 to
44 % of them significant at 5 %, the overdispersion check with its fallback alone still 4 to
14 % at 3 seeds and 5, and with this module 0 to 5.5 %. Three seeds cannot show the swings of one cell,
but all cells together can: `run_variation` fits one number to them, and `moderate` blends the variance
ratio it predicts with the one seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.stats.confusion import BoolArray, FloatArray, IntArray, confusion_counts
from erroran.stats.significance import overdispersion

# Weight of the prediction, in degrees of freedom of a cell's own ratio. Simulated with 4, 8 and 16 on
# real runs without a change (digits, four networks, 3, 5 and 10 seeds): 8 kept false claims below
# 5.5 % and cost 2 points of power where images are independent.
PRIOR_DF = 8.0


@dataclass(frozen=True)
class RunVariation:
    """Swings of whole runs, from all directed cells.

    Attributes:
        run_sd: Relative standard deviation of a run's count in a cell, beyond independent images; >= 0.
        mean: float64 (C, C), mean errors per run and cell; 0 on the diagonal.
        variance: float64 (C, C), between-run variance of the count, pooled within arms.
        expected: float64 (C, C), the variance that independent images would give.
        df: Runs minus arms.
    """

    run_sd: float
    mean: FloatArray
    variance: FloatArray
    expected: FloatArray
    df: int

    def predicted_ratio(self, cells: BoolArray) -> float:
        """Variance ratio that `run_sd` predicts for a count over cells, bool (C, C), that swing apart."""
        expected = float(self.expected[cells].sum())
        if expected == 0:
            return 1.0
        return 1.0 + self.run_sd**2 * float((self.mean[cells] ** 2).sum()) / expected

    def moderated_ratios(self) -> FloatArray:
        """float64 (C, C): the ratio to use for each single cell, >= 1; see `moderate`."""
        safe = np.where(self.expected > 0, self.expected, 1.0)
        predicted = 1.0 + self.run_sd**2 * self.mean**2 / safe
        seen = np.where(self.expected > 0, self.variance / safe, 1.0)
        blended = (PRIOR_DF * predicted + self.df * seen) / (PRIOR_DF + self.df)
        ratios: FloatArray = np.where(self.expected > 0, np.maximum(blended, 1.0), 1.0)
        return ratios


def run_variation(labels: IntArray, *arms: IntArray, n_classes: int) -> RunVariation:
    """Estimate how much whole runs swing, from every directed cell.

    Args:
        labels: Integer (N,).
        arms: Integer (S, N) predictions each; swings are measured within arms.
        n_classes: Number of classes C.

    Returns:
        `RunVariation`; run_sd 0 if no arm has two runs or nothing swings.

    A count with mean m and independent-image variance e is taken to have variance e + (run_sd m)^2.
    Source: the quadratic variance law and pooling of edgeR and QuasiSeq (Robinson and Smyth 2008,
    Biostatistics 9, 321; Lund et al. 2012, Stat Appl Genet Mol Biol 11(5):8), fitted by weighted
    moments.
    """
    shape = (n_classes, n_classes)
    squares, expected, mean = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    df = 0
    for runs in arms:
        n_runs = len(runs)
        if n_runs < 2:
            continue
        counts = confusion_counts(labels, runs, n_classes).astype(np.float64)
        squares += ((counts - counts.mean(axis=0)) ** 2).sum(axis=0)
        expected += _flips(labels, runs, n_classes) / n_runs
        mean += counts.mean(axis=0) * (n_runs - 1)
        df += n_runs - 1
    if df == 0:
        return RunVariation(0.0, mean, squares, expected, 0)
    off = ~np.eye(n_classes, dtype=bool)
    squares, expected, mean = (np.where(off, table / df, 0.0) for table in (squares, expected, mean))
    used = off & (expected > 0)
    run_variance = _fit(squares[used], expected[used], mean[used])
    return RunVariation(run_variance**0.5, mean, squares, expected, df)


def moderate(ratio: float, df: int, predicted: float = 1.0) -> float:
    """Blend a cell's own variance ratio with the predicted one; never below 1.

    Args:
        ratio: Own ratio, nan if there is none.
        df: Its degrees of freedom.
        predicted: Ratio predicted from all cells, >= 1.

    Source: moderated variances, Smyth (2004), Stat Appl Genet Mol Biol 3(1):3.
    """
    if df == 0 or not np.isfinite(ratio):
        return max(1.0, predicted)
    return float(max(1.0, (PRIOR_DF * predicted + df * ratio) / (PRIOR_DF + df)))


def adjust_p(p_value: float | FloatArray, ratio: float | FloatArray) -> FloatArray:
    """One-sided p-values with their normal deviate divided by the root of a variance ratio >= 1."""
    from scipy.stats import norm

    adjusted: FloatArray = np.where(
        np.asarray(ratio) > 1.0,
        norm.sf(norm.isf(p_value) / np.sqrt(ratio)),
        p_value,
    )
    return adjusted


def excess_run_variance(before_errors: BoolArray, after_errors: BoolArray, predicted: float = 1.0) -> float:
    """Variance that swings of whole runs add to the difference of mean counts, errors squared, >= 0.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        predicted: Ratio predicted from all cells, >= 1.

    Takes the larger of the ratio seen and the moderated one, on the side of wide intervals.
    """
    arms = (before_errors, after_errors)
    seen = overdispersion(*arms)
    ratio = moderate(seen.ratio, seen.df, predicted)
    if seen.df > 0:
        ratio = max(ratio, seen.ratio)
    return (ratio - 1) * sum(overdispersion(runs).expected / len(runs) for runs in arms)


def _flips(labels: IntArray, runs: IntArray, n_classes: int) -> FloatArray:
    """Per cell the sum over images of k (S - k), k being the runs that put the image there."""
    run, image = np.nonzero(runs != labels)
    cell = labels[image].astype(np.int64) * n_classes + runs[run, image]
    key, wrong = np.unique(cell * labels.size + image, return_counts=True)
    weights = wrong * (len(runs) - wrong)
    flips = np.bincount(key // labels.size, weights=weights, minlength=n_classes**2)
    return flips.reshape(n_classes, n_classes).astype(np.float64)


def _fit(variance: npt.NDArray[np.float64], expected: npt.NDArray[np.float64], mean: FloatArray) -> float:
    """Weighted least squares of (variance - expected) on mean^2 through 0; weights 1 / variance^2."""
    found = 0.0
    for _ in range(10):
        weights = (mean / (expected + found * mean**2)) ** 2
        whole = float((weights * mean**2).sum())
        if whole == 0:
            return 0.0
        found = max(0.0, float((weights * (variance - expected)).sum()) / whole)
    return found
