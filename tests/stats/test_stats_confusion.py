"""Counts and scores against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.metrics import precision_recall_fscore_support as sk_scores

from erroran.errors import BadInput
from erroran.stats.confusion import (
    accuracy,
    cell_errors,
    confusion_counts,
    pair_errors,
    per_class_metrics,
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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_scores_are_scikit_learns():
    labels, pred = runs(1)
    pred[0][pred[0] == 3] = 2  # class 3 is never predicted
    found = per_class_metrics(labels, pred[0], 5)
    precision, recall, f1, support = sk_scores(labels, pred[0], labels=range(5), average=None, zero_division=0)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(f1)
    assert found.support.tolist() == support.tolist()
    assert found.accuracy == pytest.approx(accuracy_score(labels, pred[0]))
    assert found.weighted_f1 == pytest.approx(f1_score(labels, pred[0], average="weighted"))
    assert accuracy(labels, pred)[0] == pytest.approx(found.accuracy)


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
