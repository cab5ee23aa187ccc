"""The logit shift against brute force over a fine grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.stats.confusion import pair_errors
from erroran.verdict.controls import apply_logit_shift, match_logit_shift

GRID = np.arange(0, 12, 0.002)


def _random(seed: int, *, runs: int = 3, images: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, images), rng.dirichlet(np.full(classes, 0.7), (runs, images))


def _errors(labels: np.ndarray, probs: np.ndarray, pair: tuple[int, int], shift: float) -> int:
    return int(pair_errors(labels, apply_logit_shift(probs, pair[0], shift), pair).sum())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_smallest_shift_that_reaches_the_target(seed: int, share: float) -> None:
    """The bias that is found reaches the target; no smaller bias of the grid does."""
    labels, probs = _random(seed)
    before = _errors(labels, probs, (0, 1), 0)
    target = share * before / len(probs)
    found = match_logit_shift(labels, probs, (0, 1), target)
    reached = [shift for shift in GRID if _errors(labels, probs, (0, 1), shift) <= target * len(probs)]
    assert found.shift == pytest.approx(reached[0], abs=0.0021)
    assert found.errors_before == before
    assert found.errors_after == _errors(labels, probs, (0, 1), found.shift) <= target * len(probs)


def test_by_hand() -> None:
    """Leads of log 2 and log 4 over class 0: one error less takes a bias just above log 2."""
    labels = np.array([0, 0, 1])
    probs = np.array([[[0.2, 0.4, 0.4], [0.1, 0.4, 0.5], [0.1, 0.8, 0.1]], [[0.2, 0.8, 0], [0.3, 0.6, 0.1], [0, 1, 0]]])
    found = match_logit_shift(labels, probs, (0, 1), 1.0)
    assert (found.errors_before, found.errors_target, found.errors_after) == (3, 2, 1)  # two leads are log 2
    assert found.shift == pytest.approx(np.log(2))
    assert match_logit_shift(labels, probs, (0, 1), 0.0).shift == pytest.approx(np.log(4))


@pytest.mark.parametrize("target", [2.0, 100.0])
def test_nothing_to_do(target: float) -> None:
    """A target that is met already needs no bias."""
    labels = np.array([0, 0])
    probs = np.array([[[0.3, 0.7], [0.4, 0.6]]])
    found = match_logit_shift(labels, probs, (0, 1), target)
    assert (found.shift, found.errors_after) == (0.0, 2)


@given(st.integers(0, 10_000), st.floats(-5, 5), st.integers(0, 3))
def test_favouring_one_class_is_disfavouring_all_others(seed: int, shift: float, label: int) -> None:
    """A bias moves predictions only to its class, or if it is negative, only from it."""
    _, probs = _random(seed, runs=2, images=15)
    before, after = probs.argmax(axis=2), apply_logit_shift(probs, label, shift)
    moved = before != after
    assert (after[moved] == label).all() if shift >= 0 else (before[moved] == label).all()


@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_a_bias_on_one_of_two_is_the_opposite_on_the_other(seed: int, shift: float) -> None:
    """With two classes only the difference of the logits matters."""
    _, probs = _random(seed, classes=2)
    np.testing.assert_array_equal(apply_logit_shift(probs, 0, shift), apply_logit_shift(probs, 1, -shift))


@given(st.integers(0, 10_000), st.floats(-5, 5), st.permutations(range(4)))
def test_relabelling_permutes_predictions(seed: int, shift: float, order: list[int]) -> None:
    """The order of the classes makes no difference."""
    _, probs = _random(seed, images=15)
    place = np.argsort(order)
    moved = apply_logit_shift(probs[..., order], int(place[2]), shift)
    np.testing.assert_array_equal(np.asarray(order)[moved], apply_logit_shift(probs, 2, shift))


def test_no_shift_is_the_prediction_and_input_is_kept() -> None:
    """Without a bias the most probable class is predicted; the input is not changed."""
    _, probs = _random(1)
    copy = probs.copy()
    np.testing.assert_array_equal(apply_logit_shift(probs, 1, 0.0), probs.argmax(axis=2))
    apply_logit_shift(probs, 1, 3.0)
    np.testing.assert_array_equal(probs, copy)


def test_zero_probability_is_no_trap() -> None:
    """Probabilities of exactly 0 and 1, as float32 softmax gives them, stay finite."""
    probs = np.array([[[0.0, 1.0]]], dtype=np.float32)
    found = match_logit_shift(np.array([0]), probs, (0, 1), 0.0)
    assert np.isfinite(found.shift)
    assert found.errors_after == 0
