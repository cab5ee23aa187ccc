"""Rank correlations of two quantities: plain with an interval, and partial."""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import FloatArray

_FEWEST = 5


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        n: Number of pairs.
        rho: In [-1, 1]; None with fewer than 5 pairs or without variation.
        low: Lower end of its 95 % interval; `high` is the upper end. None if `rho` is.
    """

    n: int
    rho: float | None
    low: float | None
    high: float | None


def correlate_ranks(x: FloatArray, y: FloatArray) -> Correlation:
    """Correlate the ranks of two quantities, float (n,) each; pairs with NaN or infinity are left out.

    Source: the interval is Fisher's with the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and Wright
    (2000), Psychometrika 65, 23-28.
    """
    from scipy.stats import norm, spearmanr

    there = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[there], y[there], int(there.sum())
    if n < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(n, None, None, None)
    rho = float(spearmanr(x, y).statistic)
    reach = float(norm.ppf(0.975)) * ((1 + rho**2 / 2) / (n - 3)) ** 0.5
    middle = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return Correlation(n, rho, float(np.tanh(middle - reach)), float(np.tanh(middle + reach)))


def partial_rank_correlation(x: FloatArray, y: FloatArray, given: FloatArray) -> float | None:
    """Spearman's correlation of `x` and `y` with `given` held fixed, float (n,) each; images with NaN are left out.

    In [-1, 1]; None with fewer than 10 images, without variation, or if the ranks of `given` are those of `x` or `y`.
    """
    from scipy.stats import rankdata

    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(given)
    columns = np.stack([x[there], y[there], given[there]])
    if there.sum() < 10 or (np.ptp(columns, axis=1) == 0).any():
        return None
    matrix = np.corrcoef(rankdata(columns, axis=1))
    rest = (1 - matrix[0, 2] ** 2) * (1 - matrix[1, 2] ** 2)
    if rest < 1e-9:
        return None
    return float((matrix[0, 1] - matrix[0, 2] * matrix[1, 2]) / rest**0.5)
