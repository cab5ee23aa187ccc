"""How much do whole runs swing? Measured on every cell at once, because one cell tells too little.

Runs of one recipe differ in more than independent images would make them: a run that shifts the border between
4 and 9 by some logits moves the error rates p of the images at that border together, each by about the shift times
p (1 - p), and leaves those that are always or never wrong. The variance of a cell's count is then
e + (shift_sd e)^2, e = sum p (1 - p) being the variance that independent images would give. In the pools of 50
real networks of ``reports/calibration.md`` about the same shift_sd fits cells full of seed noise and cells full of
systematic errors, where a swing in proportion to the count needs twice as much for the one as for the other.

Three seeds cannot show the shift of one cell, but all cells together can. `run_variation` fits one shift to all of
them, `moderate` blends the variance ratio it predicts with the one seen in the cell, and `adjust_p` pays for both
being estimates with the tails of Student's t.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.stats.confusion import BoolArray, Cell, FloatArray, IntArray, confusion_counts
from erroran.stats.significance import overdispersion

# Weight of the prediction, in degrees of freedom of a cell's own ratio. Of 4, 8 and 16, tried on six worlds of
# `benchmarks.calibration`: 8 kept false claims below 5 % however the cell was chosen; 4 costs 10 points of power.
PRIOR_DF = 8.0
# What few runs say about shift_sd^2 is blended with what 1,320 networks said: 0.6 to 1.2 in the worlds of
# `benchmarks.calibration`, 0.8 on average over all cells, and 1.0 to 1.3 for the cells that mining chooses. The sd is
# wider than the spread of the worlds because other data sets and architectures will differ more.
PRIOR_SHIFT_VARIANCE = 1.0
PRIOR_SHIFT_VARIANCE_SD = 0.5


@dataclass(frozen=True)
class RunVariation:
    """Swings of whole runs, from all directed cells.

    Attributes:
        shift_sd: Sd of a run's shift of one cell's border, in logits; >= 0.
        run_sd: The same as a relative sd of a run's count in a cell, beyond independent images, fitted without the
            prior; >= 0. To describe, not to test with.
        mean: float64 (C, C), mean errors per run and cell; 0 on the diagonal.
        variance: float64 (C, C), between-run variance of the count, pooled within arms.
        expected: float64 (C, C), the variance that independent images would give.
        df: Runs minus arms.
    """

    shift_sd: float
    run_sd: float
    mean: FloatArray
    variance: FloatArray
    expected: FloatArray
    df: int

    def shift_of(self, cells: BoolArray) -> float:
        """Shift sd of a count over cells, bool (C, C), each of which shifts for itself."""
        expected = self.expected[cells]
        whole = float(expected.sum())
        apart = float(np.sqrt((expected**2).sum()))
        return self.shift_sd * apart / whole if whole > 0 else self.shift_sd

    def moderated_ratios(self) -> FloatArray:
        """float64 (C, C): the ratio to use for each single cell, >= 1; see `moderate`."""
        safe = np.where(self.expected > 0, self.expected, 1.0)
        predicted = 1.0 + self.shift_sd**2 * self.expected
        seen = np.where(self.expected > 0, self.variance / safe, 1.0)
        blended = (PRIOR_DF * predicted + self.df * seen) / (PRIOR_DF + self.df)
        ratios: FloatArray = np.where(self.expected > 0, np.maximum(blended, 1.0), 1.0)
        return ratios


def run_variation(labels: IntArray, *arms: IntArray, n_classes: int, skip: Sequence[Cell] = ()) -> RunVariation:
    """Estimate how much whole runs swing, from every directed cell.

    Args:
        labels: Integer (N,).
        arms: Integer (S, N) predictions each; swings are measured within arms.
        n_classes: Number of classes C.
        skip: Cells that do not count for `shift_sd`: the pair that a fix changed, whose arms differ.

    Returns:
        `RunVariation`; its shift_sd is the prior's where no arm has two runs or nothing flips.

    shift_sd^2 is the summed excess of the variances over e, divided by the summed e^2. The square of an
    estimated e is too large, which would make the shift too small (by a sixth with 3 + 3 runs); the product
    of two arms' estimates is not. With one arm, each image's own square is left out instead. The result is
    blended with the prior by their precisions, so that few runs cannot pretend to be calm.

    Source: pooling of variances over many small samples as in edgeR and QuasiSeq (Robinson and Smyth 2008,
    Biostatistics 9, 321; Lund et al. 2012, Stat Appl Genet Mol Biol 11(5):8), by moments.
    """
    shape = (n_classes, n_classes)
    off = ~np.eye(n_classes, dtype=bool)
    squares, expected, mean = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    own = np.zeros(shape)
    each: list[tuple[int, FloatArray]] = []
    for runs in arms:
        n_runs = len(runs)
        if n_runs < 2:
            continue
        counts = confusion_counts(labels, runs, n_classes).astype(np.float64)
        flips, flips_squared = _flips(labels, runs, n_classes)
        independent = np.where(off, flips / (n_runs * (n_runs - 1)), 0.0)
        own = np.where(off, flips_squared / (n_runs * (n_runs - 1)) ** 2, 0.0)
        squares += np.where(off, ((counts - counts.mean(axis=0)) ** 2).sum(axis=0), 0.0)
        expected += independent * (n_runs - 1)
        mean += np.where(off, counts.mean(axis=0), 0.0) * (n_runs - 1)
        each.append((n_runs - 1, independent))
    df = sum(weight for weight, _ in each)
    if df == 0:
        return RunVariation(PRIOR_SHIFT_VARIANCE**0.5, 0.0, mean, squares, expected, 0)
    squares, expected, mean = squares / df, expected / df, mean / df
    if len(each) == 1:
        product = np.maximum(0.0, expected**2 - own)
    else:
        shares = [weight / df for weight, _ in each]
        itself = np.sum([(w * e) ** 2 for w, (_, e) in zip(shares, each, strict=True)], axis=0)
        product = (expected**2 - itself) / (1 - sum(w**2 for w in shares))
    used = off & (expected > 0)
    run_sd = _fit(squares[used], expected[used], mean[used]) ** 0.5
    for cell in skip:
        used[cell] = False
    shift_variance = _shift_variance(squares[used], expected[used], product[used], df)
    return RunVariation(shift_variance**0.5, run_sd, mean, squares, expected, df)


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


def adjust_p(p_value: float | FloatArray, ratio: float | FloatArray, df: int) -> FloatArray:
    """Allow for runs that swing in one-sided p-values.

    Args:
        p_value: One-sided, in (0, 1].
        ratio: Moderated variance ratio, >= 1; at 1 nothing is changed.
        df: Degrees of freedom of the cell's own ratio.

    Returns:
        The normal deviate, divided by the root of the ratio, read as Student's t with `PRIOR_DF` + df degrees of
        freedom (the moderated t of Smyth 2004, see `moderate`).
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    adjusted: FloatArray = np.where(
        np.asarray(ratio) > 1.0,
        student.sf(norm.isf(p_value) / np.sqrt(ratio), PRIOR_DF + df),
        p_value,
    )
    return adjusted


def excess_run_variance(before_errors: BoolArray, after_errors: BoolArray, shift_sd: float = 0.0) -> float:
    """Variance that swings of whole runs add to the difference of mean counts, errors squared, >= 0.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        shift_sd: Sd of a run's shift in logits, from all cells; see `run_variation`.

    Each arm's variance is predicted from its own e; how much more or less both arms show than that is moderated.
    """
    arms = [runs for runs in (before_errors, after_errors) if len(runs) > 1]
    spreads = [overdispersion(runs) for runs in arms]
    predicted = [spread.expected + (shift_sd * spread.expected) ** 2 for spread in spreads]
    df = sum(spread.df for spread in spreads)
    if df == 0:
        return 0.0
    whole = sum(spread.df * value for spread, value in zip(spreads, predicted, strict=True))
    seen = sum(spread.df * spread.variance for spread in spreads) / whole
    factor = (PRIOR_DF + df * seen) / (PRIOR_DF + df)
    excess = sum(
        (factor * value - spread.expected) / len(runs)
        for runs, spread, value in zip(arms, spreads, predicted, strict=True)
    )
    return max(0.0, float(excess))


def _flips(labels: IntArray, runs: IntArray, n_classes: int) -> tuple[FloatArray, FloatArray]:
    """Per cell the sums over images of k (S - k) and of its square, k being the runs that put the image there."""
    run, image = np.nonzero(runs != labels)
    cell = labels[image].astype(np.int64) * n_classes + runs[run, image]
    key, wrong = np.unique(cell * labels.size + image, return_counts=True)
    weights = wrong * (len(runs) - wrong)
    shape = (n_classes, n_classes)
    sums = [np.bincount(key // labels.size, weights=w, minlength=n_classes**2) for w in (weights, weights**2)]
    return sums[0].reshape(shape).astype(np.float64), sums[1].reshape(shape).astype(np.float64)


def _shift_variance(variance: FloatArray, expected: FloatArray, product: FloatArray, df: int) -> float:
    """Moment estimate of shift_sd^2 over cells, blended with the prior by precision; >= 0."""
    whole = float(product.sum())
    if whole <= 0:
        return PRIOR_SHIFT_VARIANCE
    found = float((variance - expected).sum()) / whole
    # Variance of a variance of nearly normal counts, 2 sigma^4 / df.
    noise = float((2 * (expected + PRIOR_SHIFT_VARIANCE * expected**2) ** 2).sum()) / df / whole**2
    prior = 1 / PRIOR_SHIFT_VARIANCE_SD**2
    return max(0.0, (found / noise + PRIOR_SHIFT_VARIANCE * prior) / (1 / noise + prior))


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
