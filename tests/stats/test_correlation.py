"""Rank correlations: by hand, and against the correlation of residuals."""

import numpy as np
import pytest

from erroran.stats.correlation import correlate_ranks, partial_rank_correlation

NAN = float("nan")


def test_rank_correlation() -> None:
    """Ranks alone count, pairs with NaN or infinity do not; too few or constant values have none."""
    x = np.arange(10.0)
    rising = correlate_ranks(np.append(x, [NAN, 3]), np.append(np.exp(x), [1, np.inf]))
    assert (rising.n, rising.rho) == (10, pytest.approx(1))
    assert correlate_ranks(x[:4], x[:4]).rho is None
    assert correlate_ranks(x, np.ones(10)).rho is None


def test_the_interval_by_hand() -> None:
    """Five swapped neighbours of ten: rho = 1 - 6 * 10 / 990; tanh(atanh(rho) +- 1.96 sqrt((1 + rho^2 / 2) / 7))."""
    found = correlate_ranks(np.arange(10.0), np.array([1, 0, 3, 2, 5, 4, 7, 6, 9, 8.0]))
    assert found.rho == pytest.approx(0.939394)
    assert (found.low, found.high) == pytest.approx((0.687675, 0.989501), abs=1e-5)


def test_partial_correlation() -> None:
    """Against the correlation of what is left of the ranks; what a third quantity explains vanishes."""
    rng = np.random.default_rng(3)
    third = rng.normal(size=3000)
    x, y = third + rng.normal(size=3000), third + rng.normal(size=3000)
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (x, y, third)]
    left = [v - np.polyval(np.polyfit(ranks[2], v, 1), ranks[2]) for v in ranks[:2]]
    expected = np.corrcoef(left)[0, 1]
    assert partial_rank_correlation(x, y, third) == pytest.approx(expected, abs=1e-9)
    assert abs(expected) < 0.06
    assert partial_rank_correlation(np.append(x, NAN), np.append(y, 1), np.append(third, 1)) == pytest.approx(expected)


@pytest.mark.parametrize("given_", [np.zeros(20), np.arange(20.0)])
def test_no_partial_correlation(given_: np.ndarray) -> None:
    """A constant has no ranks; a quantity that decides x leaves nothing of it; nine images are too few."""
    x, y = np.arange(20.0), np.random.default_rng(0).normal(size=20)
    assert partial_rank_correlation(x, y, given_) is None
    assert partial_rank_correlation(x[:9], y[:9], y[:9] ** 2) is None
