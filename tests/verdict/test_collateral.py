"""Non-inferiority of everything outside the pair."""

import numpy as np

from erroran.verdict.collateral import check_collateral
from erroran.verdict.compare import ArmComparison


def arms_of(after_rate: float, margin: float):
    """1,200 images of three classes; some 2s are predicted as 1, in the arm after at another rate."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 400)
    rates = rng.beta(0.1, 2, labels.size)

    def arm(rate):
        return np.where(rng.random((5, labels.size)) < rates * rate * (labels == 2), 1, labels)

    arms = ArmComparison(labels, arm(1.0), arm(after_rate), "abc", skip=[(0, 1), (1, 0)])
    return check_collateral(arms, (0, 1), margin_per_10000=margin)


def test_no_change_is_safe_within_a_wide_margin_only():
    wide, tight = arms_of(1.0, 500), arms_of(1.0, 0.1)
    assert wide.safe
    assert [result.name for result in wide.recall] == ["other errors of a", "other errors of b", "errors of c"]
    assert not tight.safe
    assert not tight.worse


def test_more_errors_outside_the_pair_are_worse():
    found = arms_of(8.0, 50)
    assert found.worse
    assert found.other_cells.worse
    assert [row.worse for row in found.recall] == [False, False, True]
    assert not found.safe
    assert found.other_cells.upper > found.other_cells.per_10000 > 0


def test_a_class_has_its_margin_per_10000_of_its_own_images():
    """2 of 400 images of c become errors in every run: 50 per 10,000 of c, but 17 of all images."""
    labels = np.tile(np.arange(3), 400)
    before = np.tile(labels, (5, 1))
    after = before.copy()
    after[:, [2, 5]] = 1
    found = check_collateral(ArmComparison(labels, before, after, "abc"), (0, 1), margin_per_10000=40)
    of_c = found.recall[-1]
    assert (of_c.name, of_c.n_images, of_c.per_10000) == ("errors of c", 400, 50)
    assert found.accuracy.per_10000 == np.float64(2 / 1200 * 10_000)
    assert not of_c.safe
