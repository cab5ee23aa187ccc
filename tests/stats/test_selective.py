"""Risk, coverage and thresholds, against brute force and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.stats.intervals import wilson_interval
from erroran.stats.selective import held_out, risk_coverage, select, threshold_for

CASES = st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9, 0.99]), st.booleans()), min_size=1, max_size=30)


def arrays(cases: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidence, wrong = zip(*cases, strict=True)
    return np.array(confidence), np.array(wrong)


def test_by_hand() -> None:
    """Three right, one wrong, the wrong one third: risks 0, 0, 1/3, 1/4."""
    curve = risk_coverage(np.array([0.6, 0.9, 0.7, 0.8]), np.array([False, False, True, False]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.area == pytest.approx((1 / 3 + 1 / 4) / 4)
    assert curve.best_area == pytest.approx(1 / 16)


@given(CASES)
def test_the_curve_is_what_each_threshold_does(cases: list[tuple[float, bool]]) -> None:
    """Brute force: answer at each confidence and count."""
    confidence, wrong = arrays(cases)
    curve = risk_coverage(confidence, wrong)
    assert curve.thresholds.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, risk in zip(curve.thresholds, curve.coverage, curve.risk, strict=True):
        kept = confidence >= threshold
        assert coverage == pytest.approx(kept.mean())
        assert risk == pytest.approx(wrong[kept].mean())


@given(CASES)
def test_the_area_is_the_mean_over_orders_of_equals(cases: list[tuple[float, bool]]) -> None:
    """Brute force: many random orders among equal confidences; and no order beats the best one."""
    confidence, wrong = arrays(cases)
    curve = risk_coverage(confidence, wrong)
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(400):
        order = np.lexsort((rng.random(len(wrong)), -confidence))
        areas.append((np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)).mean())
    assert curve.area == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / 20 + 1e-9)
    assert curve.best_area <= min(areas) + 1e-12


def test_the_order_of_images_does_not_matter() -> None:
    """Shuffled, with ties: the same curve and area."""
    rng = np.random.default_rng(3)
    confidence, wrong = rng.integers(0, 5, 200) / 5, rng.random(200) < 0.2
    order = rng.permutation(200)
    first, second = risk_coverage(confidence, wrong), risk_coverage(confidence[order], wrong[order])
    assert first.area == pytest.approx(second.area)
    assert first.risk.tolist() == second.risk.tolist()


def test_two_runs_at_a_threshold() -> None:
    """Counts of each run, and means over both; exactly the threshold is answered."""
    confidence = np.array([[0.9, 0.8, 0.7, 0.95], [0.9, 0.5, 0.85, 0.6]])
    wrong = np.array([[False, True, True, False], [False, False, True, False]])
    chosen = select(confidence, wrong, 0.8)
    assert (chosen.kept_per_run, chosen.errors_kept_per_run, chosen.errors_per_run) == ((3, 2), (1, 1), (2, 1))
    assert chosen.coverage[0] == 5 / 8
    assert chosen.accuracy is not None
    assert chosen.accuracy[0] == 1 - 2 / 5
    for middle, low, high in (chosen.coverage, chosen.accuracy):
        assert 0 <= low < middle < high <= 1


def test_one_run_has_the_wilson_interval() -> None:
    """200 images, 150 answered, 3 of those wrong."""
    confidence = np.repeat([0.9, 0.2], [150, 50])
    wrong = np.arange(200) < 3
    chosen = select(confidence[None], wrong[None], 0.8)
    low, high = wilson_interval(50, 200)
    assert chosen.coverage == pytest.approx((0.75, 1 - high, 1 - low))
    low, high = wilson_interval(3, 150)
    assert chosen.accuracy == pytest.approx((1 - 3 / 150, 1 - high, 1 - low))


def test_copies_of_a_run_do_not_narrow_the_intervals() -> None:
    """Five copies of a run have the intervals of the run."""
    rng = np.random.default_rng(1)
    confidence, wrong = rng.random((1, 300)), rng.random((1, 300)) < 0.1
    one = select(confidence, wrong, 0.5)
    five = select(np.tile(confidence, (5, 1)), np.tile(wrong, (5, 1)), 0.5)
    assert five.coverage == pytest.approx(one.coverage)
    assert five.accuracy == pytest.approx(one.accuracy)


def test_nothing_answered() -> None:
    """Without answers there is no accuracy."""
    chosen = select(np.array([[0.5, 0.6]]), np.array([[False, True]]), 0.9)
    assert chosen.kept_per_run == (0,)
    assert chosen.accuracy is None


@given(CASES, st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_the_threshold_is_the_lowest_that_reaches_the_target(cases: list[tuple[float, bool]], target: float) -> None:
    """Brute force over all thresholds; None only if none reaches the target."""
    confidence, wrong = arrays(cases)
    good = [t for t in sorted(set(confidence.tolist())) if 1 - wrong[confidence >= t].mean() >= target - 1e-12]
    assert threshold_for(confidence[None], wrong[None], target) == (pytest.approx(good[0]) if good else None)


def test_a_threshold_can_be_typed() -> None:
    """Six decimals, rounded down so that the same images are answered."""
    confidence = np.array([[0.12345678, 0.99999999]])
    threshold = threshold_for(confidence, np.zeros((1, 2), dtype=bool), 0.9)
    assert threshold == 0.123456
    assert select(confidence, np.zeros((1, 2), dtype=bool), float(f"{threshold:.6f}")).kept_per_run == (2,)


def test_held_out_accuracy_is_lower() -> None:
    """With uninformative confidences the threshold reaches the target only on the images it was chosen on."""
    rng = np.random.default_rng(2)
    gaps = []
    for _ in range(50):
        confidence, wrong = rng.random((1, 300)), rng.random((1, 300)) < 0.1
        threshold = threshold_for(confidence, wrong, 0.95)
        _, right = held_out(confidence, wrong, 0.95, np.arange(300) % 10)
        if threshold is not None and right is not None:
            chosen = select(confidence, wrong, threshold)
            assert chosen.accuracy is not None
            assert chosen.accuracy[0] >= 0.95
            gaps.append(chosen.accuracy[0] - right)
    assert len(gaps) > 20
    assert np.mean(gaps) > 0.02
