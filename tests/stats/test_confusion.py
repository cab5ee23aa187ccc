"""Counts and scores against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from erroran.errors import BadInput
from erroran.stats.confusion import (
    accuracy,
    cell_errors,
    class_scores,
    confusion_counts,
    pair_errors,
    tabulate_errors,
)


def runs(seed, n_runs=3, n=200, n_classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n), rng.integers(0, n_classes, (n_runs, n))


def test_counts_are_scikit_learns():
    labels, pred = runs(0)
    expected = np.stack([confusion_matrix(labels, run, labels=range(4)) for run in pred])
    assert np.array_equal(confusion_counts(labels, pred, 4), expected)


def test_small_labels_do_not_overflow():
    labels = np.array([99, 0], dtype=np.uint8)
    pred = np.array([[98, 0]], dtype=np.uint8)
    assert confusion_counts(labels, pred, 100)[0, 99, 98] == 1


def test_pair_errors_by_hand():
    labels = np.array([4, 4, 9, 4])
    pred = np.array([[9, 4, 4, 9], [4, 4, 9, 9]])
    assert pair_errors(labels, pred, (4, 9)).tolist() == [2, 1]
    assert pair_errors(labels, pred, (9, 4)).tolist() == [1, 0]
    assert cell_errors(labels, pred, (4, 9)).tolist() == [[True, False, True], [False, False, True]]


def test_error_table_by_hand():
    labels = np.array([0, 2, 1])
    before = np.array([[1, 2, 1], [1, 0, 1], [2, 2, 1]])
    after = np.array([[1, 2, 1], [0, 0, 1]])
    found = tabulate_errors(labels, before, after, n_classes=3)
    # (0, 1) of image 0, (0, 2) of image 0, (2, 0) of image 1; nobody gets image 2 wrong.
    assert found.cell.tolist() == [1, 2, 6]
    assert found.image.tolist() == [0, 0, 1]
    assert found.runs.tolist() == [[2, 1], [1, 0], [1, 1]]
    assert tabulate_errors(labels, labels[None], n_classes=3).runs.shape == (0, 1)


def test_scores_by_hand():
    """Class 2 is never predicted: precision 0; class 3 has no images: recall 0. Zeros, no warnings."""
    labels, pred = np.array([0, 0, 1, 2]), np.array([[0, 1, 1, 0]])
    found = class_scores(labels, pred, 4)
    assert found.precision.tolist() == [[0.5, 0.5, 0, 0]]
    assert found.recall.tolist() == [[0.5, 1, 0, 0]]
    assert found.f1[0] == pytest.approx([0.5, 2 / 3, 0, 0])
    assert found.support.tolist() == [2, 1, 1, 0]
    assert found.weighted_f1 == pytest.approx([(2 * 0.5 + 2 / 3) / 4])
    assert accuracy(labels, pred).tolist() == [0.5]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_relabelling_permutes_and_order_is_irrelevant(seed):
    labels, pred = runs(seed, n=50)
    rng = np.random.default_rng(seed)
    name, order = rng.permutation(4), rng.permutation(50)
    counts = confusion_counts(labels, pred, 4)
    renamed = confusion_counts(name[labels], name[pred], 4)
    assert np.array_equal(renamed[:, name][:, :, name], counts)
    assert np.array_equal(confusion_counts(labels[order], pred[:, order], 4), counts)


@pytest.mark.parametrize(
    ("labels", "pred"),
    [
        (np.array([0, 1]), np.array([[0, 1, 1]])),
        (np.array([0, 1]), np.array([[0.0, 1.0]])),
        (np.array([0, 1]), np.array([[0, 7]])),
        (np.array([0, -1]), np.array([[0, 1]])),
        (np.array([], dtype=int), np.zeros((1, 0), dtype=int)),
    ],
)
def test_bad_input_is_refused(labels, pred):
    with pytest.raises(BadInput):
        confusion_counts(labels, pred, 2)
