"""Differences between two groups: against brute force and scipy, and how often both halves agree by chance."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from erroran.stats import separation
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.stats.separation import count_false_support, find_and_check

NAN = float("nan")


def _images(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlated columns, one of counts, one with gaps; a tenth near; halves."""
    base = rng.normal(size=n)
    columns = [base + rng.normal(size=n), base, np.rint(base + 3), rng.normal(size=n), np.where(base > 0, base, NAN)]
    near = np.zeros(n, dtype=bool)
    near[rng.permutation(n)[: n // 10]] = True
    return np.stack(columns, axis=1), near, rng.random(n) < 0.5


def test_p_values_are_those_of_scipy() -> None:
    """With ties and missing values, in both halves."""
    values, near, finding = _images(400, np.random.default_rng(0))
    found = find_and_check(values, near, finding, np.zeros(400, dtype=bool))
    p_find = []
    for column in range(values.shape[1]):
        halves = []
        for half in (finding, ~finding):
            there = half & ~np.isnan(values[:, column])
            sides = values[there & near, column], values[there & ~near, column]
            halves.append(mannwhitneyu(*sides, use_continuity=False, method="asymptotic"))
            share = halves[-1].statistic / len(sides[0]) / len(sides[1])
            halves.append(share > 0.5)
        p_find.append(halves[0].pvalue)
        p = halves[2].pvalue / 2
        assert found.p_check[column] == pytest.approx(p if halves[1] == halves[3] else 1 - p)
    assert found.testable.all()
    assert found.q_find == pytest.approx(benjamini_hochberg(np.array(p_find)))


def _planted(n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    near = np.arange(n) % 10 == 0
    return rng.normal(size=(n, 3)), near, rng.random(n) < 0.5


def test_what_differs_in_both_halves_is_supported() -> None:
    """One column of three is moved by a standard deviation for near images."""
    values, near, finding = _planted()
    values[near, 1] -= 1
    found = find_and_check(values, near, finding, np.zeros(600, dtype=bool))
    assert found.supported.tolist() == [False, True, False]
    assert found.p_check[1] < 0.001


@pytest.mark.parametrize("elsewhere", [0, 1])
def test_what_differs_in_one_half_alone_is_not_supported(elsewhere: float) -> None:
    """Found, but the other half shows no difference, or the opposite one."""
    values, near, finding = _planted()
    values[near & finding, 1] -= 1
    values[near & ~finding, 1] += elsewhere
    found = find_and_check(values, near, finding, np.zeros(600, dtype=bool))
    assert (found.found[1], found.supported.any()) == (True, False)


def test_the_negligible_is_not_supported() -> None:
    """A tenth of a standard deviation is significant in 200,000 images, but negligible."""
    values, near, finding = _planted(200_000)
    values[near, 1] += 0.1
    found = find_and_check(values, near, finding, np.zeros(200_000, dtype=bool))
    assert found.q_find[1] < 1e-6
    assert not found.found.any()


@pytest.mark.parametrize(("misread", "contradicted"), [(12, True), (9, False)])
def test_misread_images_can_contradict(misread: int, contradicted: bool) -> None:
    """Near images have lower values, but misread images higher ones; fewer than 10 misread images do not count."""
    values, near, finding = _planted()
    values[near, 1] -= 2
    wrong = np.zeros(600, dtype=bool)
    wrong[np.flatnonzero(near)[:misread]] = True
    values[wrong, 1] = 3
    found = find_and_check(values, near, finding, wrong)
    assert (found.held[1], found.contradicted[1], found.supported[1]) == (True, contradicted, not contradicted)


def test_what_cannot_be_tested() -> None:
    """A constant, a column without values, and one with values for four near images; they do not count in the FDR."""
    values, near, finding = _planted(200)
    values[:, 0], values[:, 1] = 2, NAN
    values[near, 2] = NAN
    values[np.flatnonzero(near & finding)[:4], 2] = 9
    found = find_and_check(values, near, finding, near)
    assert not found.testable.any()
    assert np.isnan(found.q_find).all()
    assert not found.supported.any()


def test_few_false_positives() -> None:
    """Shuffled nearness is supported in fewer than 5 % of 400 shuffles, on columns that do differ."""
    values, near, finding = _images(500, np.random.default_rng(1))
    values[near] -= 1
    misread = near & (np.arange(500) % 3 == 0)
    count = count_false_support(values, near, finding, misread, times=400, rng=np.random.default_rng(2))
    again = count_false_support(values, near, finding, misread, times=400, rng=np.random.default_rng(2))
    assert count == again <= 20


def test_without_the_check_there_are_many_false_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a second half and a least effect, at a rate of 30 %, many shuffles are supported."""
    values, near, finding = _images(500, np.random.default_rng(1))
    for name, value in (("CHECK_LEVEL", 1.0), ("SMALL", -1.0), ("FDR", 0.3)):
        monkeypatch.setattr(separation, name, value)
    count = count_false_support(values, near, finding, near, times=200, rng=np.random.default_rng(2))
    assert count > 20
