"""Comparison of two arms: counts by hand, and the images that are left out."""

import numpy as np
import pytest

from erroran.errors import BadInput
from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import cell_errors, cell_mask
from erroran.stats.dispersion import run_variation
from erroran.stats.intervals import score_interval
from erroran.verdict.compare import ALL_BUT_ONE, IMAGES, NO_TEST, ArmComparison, compare_errors, find_directions

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


def test_classes_have_their_own_denominators(arms):
    """Three images of a, two of b, one of c."""
    of_a, of_c = arms.of_class(0), arms.of_class(2)
    assert (of_a.name, of_a.before_per_seed, of_a.effect.n_images) == ("errors of a", (2, 2), 3)
    assert of_a.effect.before_per_10000 == pytest.approx(2 / 3 * 10_000)
    assert (of_c.before_per_seed, of_c.after_per_seed, of_c.effect.n_images) == ((0, 0), (0, 1, 0), 1)
    other = arms.other_errors_of_class(0, PAIR)
    assert (other.name, other.before_per_seed, other.after_per_seed) == ("other errors of a", (0, 1), (0, 1, 0))
    assert arms.other_errors_of_class(2, PAIR) == of_c


def test_a_class_without_images_is_not_judged():
    found = ArmComparison(LABELS, BEFORE, AFTER, "abcd")
    assert (found.present, found.class_sizes) == ((0, 1, 2), (3, 2, 1, 0))
    with pytest.raises(BadInput, match="no images"):
        found.of_class(3)


def test_many_directions_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 1, (40, 1, 25))
    before = rng.random((40, 5, 25)) < rates
    after = rng.random((40, 5, 25)) < rates * rng.choice([0.2, 1.0], (40, 1, 1))
    alone = [compare_errors(was, now, logit_sd=0.3).direction(0.05) for was, now in zip(before, after, strict=True)]
    assert find_directions(before, after, logit_sd=0.3, alpha=0.05).tolist() == alone
    assert find_directions(after, before, logit_sd=0.3, alpha=0.05).tolist() == [-one for one in alone]
    assert set(alone) == {-1, 0}


@pytest.mark.parametrize(("images", "method"), [(1, ALL_BUT_ONE), (2, IMAGES), (12, IMAGES)])
def test_the_reason_names_the_least_certain_test(images, method):
    before = np.zeros((5, 20), bool)
    before[:, :images] = True
    found = compare_errors(before, np.zeros_like(before))
    assert (found.method, found.direction(0.05)) == (method, -1 if images > 2 else 0)
    assert found.p_value < 0.01
