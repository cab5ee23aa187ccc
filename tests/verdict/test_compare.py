"""Comparison of two arms: counts by hand, and the images that are left out."""

import numpy as np
import pytest

from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import cell_errors, cell_mask
from erroran.stats.dispersion import run_variation
from erroran.stats.intervals import score_interval
from erroran.verdict.compare import NO_TEST, ArmComparison, compare_errors

LABELS = np.array([0, 0, 0, 1, 1, 2])
BEFORE = np.array([[1, 1, 0, 1, 0, 2], [1, 0, 2, 1, 1, 2]])
AFTER = np.array([[0, 1, 0, 0, 1, 2], [0, 0, 2, 1, 1, 1], [0, 0, 0, 1, 1, 2]])
PAIR = (0, 1)


@pytest.fixture
def arms() -> ArmComparison:
    return ArmComparison(LABELS, BEFORE, AFTER, ["a", "b", "c"], skip=Endpoint.SUM.cells(PAIR))


@pytest.mark.parametrize(
    ("endpoint", "name", "before", "after"),
    [
        (Endpoint.FORWARD, "a read as b", (2, 1), (1, 0, 0)),
        (Endpoint.REVERSE, "b read as a", (1, 0), (1, 0, 0)),
        (Endpoint.SUM, "a and b confused either way", (3, 1), (2, 0, 0)),
    ],
)
def test_endpoints_count_their_cells(arms, endpoint, name, before, after):
    found = arms.endpoint(endpoint, PAIR)
    assert (found.name, found.before_per_seed, found.after_per_seed) == (name, before, after)
    assert found.effect.before_mean == np.mean(before)
    assert found.effect.n_images == 6


def test_all_errors_and_any_cells(arms):
    overall = arms.all_errors()
    assert (overall.before_per_seed, overall.after_per_seed) == ((3, 2), (2, 2, 0))
    one = arms.cells("a as c", cell_mask(3, [(0, 2)]))
    assert (one.before_per_seed, one.after_per_seed) == ((0, 1), (0, 1, 0))


def test_images_that_all_runs_get_right_change_nothing():
    """Leaving out the images that no run predicts wrongly gives the same numbers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 3000)
    rates = np.where(rng.random(3000) < 0.05, rng.beta(0.5, 1, 3000), 0)
    before, after = (np.where(rng.random((4, 3000)) < rates, (labels + 1) % 4, labels) for _ in range(2))
    found = ArmComparison(labels, before, after, "abcd").endpoint(Endpoint.FORWARD, PAIR)
    was, now = cell_errors(labels, before, PAIR), cell_errors(labels, after, PAIR)
    sd = run_variation(labels, before, after, n_classes=4).logit_sd
    direct = score_interval(was, now, 3000, logit_sd=sd)
    assert (found.effect.low, found.effect.high) == pytest.approx((direct.low, direct.high))
    assert found.effect.relative_high == pytest.approx(direct.relative_high)
    assert found.test.p_value == pytest.approx(compare_errors(was, now, logit_sd=sd).p_value)


def test_no_errors_at_all():
    found = ArmComparison(LABELS, LABELS[None], LABELS[None], "abc")
    assert found.all_errors().before_per_seed == (0,)
    assert found.all_errors().test.method == NO_TEST
    assert found.single_cells() == []


def test_run_by_run_counts_discordant_images(arms):
    """Run 0: images 0, 1 and 4 wrong before, 1 and 3 after. Run 1: 0 and 2 before, 2 and 5 after."""
    every = ~np.eye(3, dtype=bool)
    assert [(m.before_only, m.after_only) for m in arms.run_by_run(every)] == [(2, 1), (1, 1)]
    forward = cell_mask(3, [PAIR])
    assert [(m.before_only, m.after_only) for m in arms.run_by_run(forward)] == [(1, 0), (1, 0)]
