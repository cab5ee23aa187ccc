"""Differences of shares: by hand, against enumeration, and the ends of the range."""

import math

import numpy as np
import pytest
from scipy.stats import multinomial

from erroran.stats.differences import paired_difference, unpaired_difference


def test_paired_by_hand() -> None:
    """12 and 3 of 100 alone: 13 and 4 of 102 give 0.0882, and a half width of 1.96 * sqrt(0.1589 / 102) = 0.0773."""
    found = paired_difference(12, 3, 100)
    assert found.difference == pytest.approx(0.09)
    assert (found.low, found.high) == (pytest.approx(0.0109, abs=2e-4), pytest.approx(0.1656, abs=2e-4))


@pytest.mark.parametrize(
    ("first", "second", "most"), [(0.2, 0.2, 0.98), (0.3, 0.1, 0.98), (0.6, 0.05, 0.98), (0.05, 0.01, 1)]
)
def test_paired_coverage_by_enumeration(first: float, second: float, most: float) -> None:
    """Over all tables of 30 images the interval covers the true difference with a probability of 93 % or more."""
    n = 30
    tables = np.array([(i, j) for i in range(n + 1) for j in range(n + 1 - i)])
    weights = multinomial.pmf(np.column_stack([tables, n - tables.sum(axis=1)]), n, [first, second, 1 - first - second])
    found = [paired_difference(i, j, n) for i, j in tables.tolist()]
    covered = [interval.low <= first - second <= interval.high for interval in found]
    assert 0.93 <= (weights * covered).sum() <= most


def test_unpaired_is_newcombes() -> None:
    """Newcombe (1998), table II, example (a): 56 of 70 against 48 of 80 gives 0.2, 0.0524 to 0.3339."""
    found = unpaired_difference(56, 70, 48, 80)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_pairing_helps() -> None:
    """Shares of 50 % and 40 % of the same 100 images, all of the second among the first: paired images decide."""
    assert paired_difference(10, 0, 100).low > 0 > unpaired_difference(50, 100, 40, 100).low


def test_without_images() -> None:
    assert math.isnan(paired_difference(0, 0, 0).low)
    assert math.isnan(unpaired_difference(0, 0, 1, 2).difference)
    assert paired_difference(5, 0, 5).high == 1
