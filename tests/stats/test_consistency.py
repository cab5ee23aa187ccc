"""Ranking pairs and images: hand-made runs, enumeration, libraries."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.rates import test_poisson_2indep as poisson_2indep

from erroran.stats.consistency import classify_images, partial_conjunction, rank_pairs

LABELS = np.array([4, 4, 4, 9, 9, 0])
RUNS = np.array(
    [
        [9, 4, 9, 9, 4, 0],
        [9, 4, 4, 9, 9, 0],
        [9, 9, 4, 9, 9, 1],
    ]
)


def random_runs(seed, n_runs=4, n=300, n_classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    wrong = rng.random((n_runs, n)) < rng.beta(0.2, 1, n)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    return labels, np.where(wrong, other, labels)


def test_rank_by_hand():
    first, second, third = rank_pairs(LABELS, RUNS, 10)
    assert first.pair == (4, 9)
    assert first.errors_per_seed == (2, 1, 2)
    assert first.seeds_with_it == 3
    # Image 0 in all three runs, images 1 and 2 in one each.
    assert first.images_by_runs == (0, 2, 0, 1)
    assert first.n_systematic == 1
    assert first.reverse_per_seed == (1, 0, 0)
    assert first.rate == pytest.approx(5 / 9)
    assert {second.pair, third.pair} == {(9, 4), (0, 1)}
    assert second.n_systematic == 0


def test_suspected_mislabels_are_not_systematic():
    """Image 0 is wrong in all runs; as a suspected mislabel it counts apart, and the pair ranks by its other images."""
    (first,) = [row for row in rank_pairs(LABELS, RUNS, 10, suspected=np.arange(6) == 0) if row.pair == (4, 9)]
    assert (first.n_systematic, first.n_suspected) == (0, 1)
    assert first.errors_per_seed == (2, 1, 2)
    labels, runs = np.array([0, 0, 1, 2]), np.tile([1, 1, 0, 2], (3, 1))
    assert [row.pair for row in rank_pairs(labels, runs, 3)] == [(0, 1), (1, 0)]
    marked = rank_pairs(labels, runs, 3, suspected=labels == 0)
    assert [(row.pair, row.n_systematic, row.n_suspected) for row in marked] == [((1, 0), 1, 0), ((0, 1), 0, 2)]
    assert rank_pairs(LABELS, RUNS[:1], 10)[0].n_suspected is None


def test_one_run_has_nothing_systematic():
    rows = rank_pairs(LABELS, RUNS[:1], 10)
    assert [row.pair for row in rows] == [(4, 9), (9, 4)]
    assert rows[0].n_systematic is None
    low, high = proportion_confint(2, 3, method="wilson")
    assert (rows[0].rate_low, rows[0].rate_high) == pytest.approx((low, high))


def test_asymmetry_of_one_run_is_the_score_test():
    labels, pred = random_runs(1, n_runs=1)
    row = rank_pairs(labels, pred, 4)[0]
    a, b = row.pair
    reference = poisson_2indep(
        row.errors_per_seed[0],
        int((labels == a).sum()),
        row.reverse_per_seed[0],
        int((labels == b).sum()),
        method="score",
    )
    assert row.asymmetry_p == pytest.approx(reference.pvalue)


def test_same_errors_in_every_run_count_once():
    # Copies of one run have no new images: the interval must not shrink.
    labels, pred = random_runs(2, n_runs=1)
    once = rank_pairs(labels, pred, 4)[0]
    copies = rank_pairs(labels, np.repeat(pred, 5, axis=0), 4)[0]
    assert (copies.rate_low, copies.rate_high) == pytest.approx((once.rate_low, once.rate_high))


def test_partial_conjunction_is_bonferroni_over_subsets():
    """At least k false nulls: every subset of S - k + 1 must hold one; worst subset counts."""
    p_values = np.array([0.003, 0.2, 0.01, 0.04])
    combined = partial_conjunction(p_values)
    for k in range(1, 5):
        size = 4 - k + 1
        worst = max(min(1.0, size * min(subset)) for subset in combinations(p_values, size))
        assert combined[k - 1] == pytest.approx(worst)


def test_partial_conjunction_never_falls_with_k():
    combined = partial_conjunction(np.array([0.02, 0.021, 0.5]))
    assert np.all(np.diff(combined) >= 0)


def test_conjunction_uses_the_share_of_evenly_spread_errors():
    row = rank_pairs(LABELS, RUNS[:1], 10)[0]
    # 3 errors in the run; half the images are fours, read as one of 9 other classes.
    reference = binomtest(2, 3, 0.5 / 9, alternative="greater").pvalue
    assert row.partial_conjunction_p == pytest.approx(reference)


def test_images_by_kind():
    found = classify_images(LABELS, RUNS, 10)
    assert found.kind.tolist() == [
        "systematic",
        "seed noise",
        "seed noise",
        "correct",
        "seed noise",
        "seed noise",
    ]
    assert found.wrong_class.tolist() == [9, 9, 9, -1, 4, 1]
    assert found.wrong_class_runs.tolist() == [3, 1, 1, 0, 1, 1]
    assert classify_images(LABELS, RUNS[:1], 10).kind[0] == "undecided"


def test_a_tie_of_wrong_classes_takes_the_smaller():
    found = classify_images(np.array([0]), np.array([[2], [1]]), 3)
    assert found.wrong_class.tolist() == [1]
    assert found.kind.tolist() == ["seed noise"]


def test_a_confident_contradiction_is_a_suspected_mislabel():
    labels = np.array([0, 0, 0, 1, 1, 1])
    mean = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8], [0.45, 0.55]])
    probs = np.stack([mean, mean])
    found = classify_images(labels, probs.argmax(axis=2), 2, probs)
    # Thresholds: class 0 (.9 + .8 + .05) / 3 = .58, class 1 (.9 + .8 + .55) / 3 = .75.
    assert found.kind.tolist() == ["correct", "correct", "suspected mislabel", *["correct"] * 3]
    assert found.suggested_class[2] == 1
    assert found.self_confidence == pytest.approx([0.9, 0.8, 0.05, 0.9, 0.8, 0.55])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_relabelling_permutes_and_order_is_irrelevant(seed):
    labels, pred = random_runs(seed)
    rng = np.random.default_rng(seed)
    name, order = rng.permutation(4), rng.permutation(labels.size)
    rows = {row.pair: row for row in rank_pairs(labels, pred, 4)}
    renamed = rank_pairs(name[labels], name[pred], 4)
    assert len(renamed) == len(rows)
    for row in renamed:
        a, b = (int(np.flatnonzero(name == index)[0]) for index in row.pair)
        assert row.errors_per_seed == rows[a, b].errors_per_seed
        assert row.asymmetry_p == pytest.approx(rows[a, b].asymmetry_p)
    assert str(rank_pairs(labels[order], pred[:, order], 4)) == str(list(rows.values()))
