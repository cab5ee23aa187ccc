"""Areas under ROC curves against counting by hand and SciPy, and the coverage of their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.stats.roc import roc_area

SCORES = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, np.inf]), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_pairs_counted_one_by_one(chosen: list[float], rest: list[float]) -> None:
    """Every marked image against every other, ties half; the interval holds the area and stays in [0, 1]."""
    marked = np.repeat([True, False], [len(chosen), len(rest)])
    found = roc_area(np.array(chosen + rest), marked)
    wins = [1.0 if x > y else 0.5 if x == y else 0.0 for x in chosen for y in rest]
    assert found.auc == pytest.approx(np.mean(wins))
    assert 0 <= found.low <= found.auc <= found.high <= 1
    assert found.low < found.high


def test_as_scipy() -> None:
    """U of Mann and Whitney, over the number of pairs."""
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 9, 30), rng.integers(2, 11, 50)
    found = roc_area(np.concatenate([x, y]).astype(float), np.arange(80) < 30)
    assert found.auc == pytest.approx(mannwhitneyu(x, y).statistic / 1500)


def test_a_negated_score_mirrors_the_interval() -> None:
    rng = np.random.default_rng(2)
    scores, marked = rng.normal(size=60), np.arange(60) < 9
    there, back = roc_area(scores, marked), roc_area(-scores, marked)
    assert (back.auc, back.low, back.high) == pytest.approx((1 - there.auc, 1 - there.high, 1 - there.low))


def test_newcombes_interval() -> None:
    """With one marked image above all of 9 others there is no variance: method 5 alone, its equation solved by hand.

    (1 - x)^2 = z^2 x (1 - x) (1 + 4 ((1 - x) / (2 - x) + x / (1 + x))) / 9 at the lower end.
    """
    found = roc_area(np.arange(10.0), np.arange(10) == 9)
    x, z = found.low, 1.959964
    spread = (1 - x) / (2 - x) + x / (1 + x)
    assert (found.auc, found.high) == (1, 1)
    assert (1 - x) ** 2 == pytest.approx(z**2 * x * (1 - x) * (1 + 4 * spread) / 9, rel=1e-4)


@pytest.mark.parametrize("spread", [0.5, 1, 2])
@pytest.mark.parametrize("shift", [0, 1.5])
def test_few_marked_images_are_covered(spread: float, shift: float) -> None:
    """Of 300 draws of 6 marked images among 200, about 95 % of the intervals hold the true area, or more."""
    from scipy.stats import norm

    rng, hits = np.random.default_rng(3), 0
    truth = float(norm.cdf(shift / np.hypot(spread, 1)))
    marked = np.arange(206) < 6
    for _ in range(300):
        found = roc_area(np.concatenate([rng.normal(shift, spread, 6), rng.normal(size=200)]), marked)
        hits += found.low <= truth <= found.high
    assert hits / 300 > 0.92


def test_an_empty_group_has_no_area() -> None:
    found = roc_area(np.arange(3.0), np.zeros(3, dtype=bool))
    assert (found.marked, found.others, found.auc, found.low, found.high) == (0, 3, None, None, None)


def test_images_without_a_score_are_left_out() -> None:
    """Of 6 pairs 3 are won and 2 tied; NaN counts nowhere."""
    found = roc_area(np.array([1, 2, 2, 2, 0, np.nan, np.nan]), np.array([1, 1, 1, 0, 0, 1, 0], dtype=bool))
    assert (found.marked, found.others, found.auc) == (3, 2, pytest.approx(4 / 6))
