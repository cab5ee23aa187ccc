"""The same training time on `confirm` and out of fold: counts by brute force, and designs of equal time."""

from itertools import combinations

import numpy as np
import pytest

from erroran.benchmarks.calibration.out_of_fold import describe_folds, draw_folds, measure_same_time
from erroran.benchmarks.calibration.pools import Pool, Split


def _split(n_runs: int, n_images: int, rate: float) -> Split:
    """Every second image is a 4, read as 9 at this rate; the others are 9s and right."""
    labels = np.where(np.arange(n_images) % 2, 9, 4)
    wrong = (labels == 4) & (np.random.default_rng(0).random((n_runs, n_images)) < rate)
    return Split(labels, np.where(wrong, 9, labels))


def test_distinct_images_by_brute_force() -> None:
    """The mean over all choices of n seeds, as if each choice were counted."""
    split = _split(5, 60, 0.3)
    found = describe_folds(split.labels, split.predicted)
    errors = (split.labels == 4) & (split.predicted == 9)
    assert found["errors"] == errors.sum(axis=1).tolist()
    for n in range(1, 6):
        counted = [errors[list(some)].any(axis=0).sum() for some in combinations(range(5), n)]
        assert found["distinct"][n - 1] == pytest.approx(np.mean(counted))


def test_each_fold_has_its_own_images_and_runs() -> None:
    """Within a fold every seed is another run of the pool, on the same images; without a size these are all images."""
    labels = np.arange(40) % 10
    split = Split(labels, np.arange(8)[:, None] * 100 + np.arange(40))  # a prediction tells its run and image
    drawn, predicted = draw_folds(split, 6, 3, 100, np.random.default_rng(1))
    assert (drawn.shape, predicted.shape) == ((300,), (6, 300))
    runs, images = predicted // 100, predicted % 100
    assert (images == images[0]).all()
    assert np.array_equal(drawn, labels[images[0]])
    by_fold = runs.reshape(6, 3, 100)
    assert (by_fold == by_fold[:, :, :1]).all()
    orders = by_fold[:, :, 0].T.tolist()
    assert all(len(set(order)) == 6 for order in orders)
    assert len(set(map(tuple, orders))) == 3
    drawn, predicted = draw_folds(split, 8, 1, None, np.random.default_rng(1))
    assert np.array_equal(drawn, labels)
    assert np.array_equal(np.sort(predicted, axis=0), split.predicted)


def test_designs_take_the_same_time() -> None:
    """2 and 3 seeds of five models are 9 and 13 runs on `confirm`; a pool of 30 runs has no more."""
    pool = Pool("made up", {}, {"confirm": _split(30, 400, 0.05)})
    rows = measure_same_time(pool, 3, images=2000)
    assert [(row.judging, row.seeds, row.training) for row in rows] == [
        ("confirm", 9, 9), ("out-of-fold=5", 2, 9), ("confirm", 13, 13), ("out-of-fold=5", 3, 13)
    ]  # fmt: skip
    assert all(sum(row.words.values()) == pytest.approx(1) for row in rows)
    assert rows[0].errors == pytest.approx(10, abs=2)
    assert rows[1].errors == pytest.approx(50, abs=10)
