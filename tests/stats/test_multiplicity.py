"""False discovery rate over many cells."""

import numpy as np
import pytest

from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import run_variation
from erroran.stats.multiplicity import benjamini_hochberg, explore_cells, holm
from erroran.stats.significance import change_test


def independent_world(seed, n_seeds=4, n=3000, n_classes=5, factor=1.0):
    """Images err independently; errors 0 -> 1 of the second arm are scaled by `factor`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    rates = np.where(rng.random(n) < 0.1, rng.beta(0.5, 1, n), 0)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    scale = np.where((labels == 0) & (other == 1), factor, 1.0)
    before = np.where(rng.random((n_seeds, n)) < rates, other, labels)
    after = np.where(rng.random((n_seeds, n)) < rates * scale, other, labels)
    return labels, before, after


def test_benjamini_hochberg_by_hand():
    # q_i = min over j >= i of m p_(j) / j.
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert benjamini_hochberg([]).size == 0


def test_lone_finding_among_90_cells_needs_eleven_discordant_images():
    threshold = 0.05 / 90
    exact = {n: 2 * 0.5**n for n in range(8, 14)}
    assert min(n for n, p in exact.items() if p <= threshold) == 12
    assert min(n for n, p in exact.items() if p / 2 <= threshold) == 11


def test_cells_carry_the_p_value_for_new_images():
    labels, before, after = independent_world(0)
    variation = run_variation(labels, before, after, n_classes=5)
    cells = explore_cells(labels, before, after, 5, variation)
    for change in cells:
        arms = (cell_errors(labels, arm, change.cell) for arm in (before, after))
        assert change.p_value == pytest.approx(float(change_test(*arms, logit_sd=variation.logit_sd).p_images[0]))
    assert [c.p_value for c in cells] == sorted(c.p_value for c in cells)


def test_a_real_change_is_found_and_listed_first():
    labels, before, after = independent_world(1, n_seeds=8, n=8000, factor=0.1)
    variation = run_variation(labels, before, after, n_classes=5)
    cells = explore_cells(labels, before, after, 5, variation)
    assert cells[0].cell == (0, 1)
    assert cells[0].found
    assert cells[0].after_mean < cells[0].before_mean
    assert (0, 1) not in {c.cell for c in explore_cells(labels, before, after, 5, variation, skip=[(0, 1)])}


def test_no_errors_no_cells():
    labels = np.arange(5)
    runs = labels[None]
    assert explore_cells(labels, runs, runs, 5, run_variation(labels, runs, runs, n_classes=5)) == []


def test_holm_by_hand():
    """0.01, 0.04, 0.03 and one without a test: 3 x 0.01, then 2 x 0.03, and at least that for 0.04."""
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([None]) == [None]
