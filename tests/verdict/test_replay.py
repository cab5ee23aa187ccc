"""Replays: numbers checked by hand, intervals against libraries."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from erroran.errors import BadInput
from erroran.verdict.replay import (
    clustered_share,
    draw_runs,
    replay_naive,
    replay_once,
    replay_protocol,
    worst_cell,
    worst_cells,
)

# Eight images, two classes; three runs. Run 0 reads three 0s as 1 and no 1 as 0; run 1 one and two; run 2 one and one.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
RUNS = np.array(
    [
        [1, 1, 1, 0, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 0, 1, 1],
        [0, 1, 0, 0, 0, 1, 1, 1],
    ]
)


def noisy_runs(rng, n_runs, n_images=400):
    labels = rng.integers(0, 3, n_images)
    rates = np.where(rng.random(n_images) < 0.3, rng.beta(0.5, 1, n_images), 0.0)
    return labels, np.where(rng.random((n_runs, n_images)) < rates, (labels + 1) % 3, labels)


def test_worst_cell_of_one_run_and_of_all():
    assert worst_cell(LABELS, RUNS[0], 2) == (0, 1)
    assert worst_cell(LABELS, RUNS[1], 2) == (1, 0)
    assert worst_cell(LABELS, RUNS[2], 2) == (0, 1)  # one each: the first
    assert worst_cell(LABELS, RUNS, 2) == (0, 1)  # 5 against 3


def test_no_error_no_worst_cell():
    with pytest.raises(BadInput, match="no worst cell"):
        worst_cell(LABELS, LABELS[None], 2)


def test_naive_replay_by_hand():
    replay = replay_naive(LABELS, RUNS, 2)
    assert replay.cells == ((0, 1), (1, 0), (0, 1))
    assert replay.counts.tolist() == [[3, 1, 1], [0, 2, 1], [3, 1, 1]]
    assert replay.pairs == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert replay.before.tolist() == [3, 3, 2, 2, 1, 1]
    assert replay.after.tolist() == [1, 1, 0, 1, 3, 1]
    assert replay.mean_change == pytest.approx(7 / 12 - 1)
    # Changes -2/3, -2/3, -1, -1/2, 2, 0: sorted -1, -2/3, -2/3, ... the third is -2/3, first seen at (0, 1).
    assert replay.typical() == (0, 1)


def test_errors_elsewhere_rise_as_the_chosen_cell_falls():
    """The errors outside the chosen cell, counted pair by pair."""
    labels, pred = noisy_runs(np.random.default_rng(0), 7)
    replay = replay_naive(labels, pred, 3)
    changes = []
    for i, j in replay.pairs:
        a, b = replay.cells[i]
        outside = (labels != a)[None] | (pred != b)
        wrong = ((pred != labels) & outside).sum(axis=1)
        changes.append(wrong[j] - wrong[i])
    assert replay.elsewhere == pytest.approx(np.mean(changes))
    assert replay.mean_change < 0 < replay.elsewhere


def test_drawn_sets_are_disjoint_and_the_pool_can_be_too_small():
    sets = draw_runs(13, (3, 5, 5), np.random.default_rng(0))
    assert [len(some) for some in sets] == [3, 5, 5]
    assert sorted(np.concatenate(sets).tolist()) == list(range(13))
    with pytest.raises(BadInput, match="13 runs cannot be drawn from 12"):
        draw_runs(12, (3, 5, 5), np.random.default_rng(0))


def test_protocol_replay_uses_fresh_runs_and_is_repeatable():
    labels, pred = noisy_runs(np.random.default_rng(1), 12)
    options = {"n_seeds": 3, "n_draws": 5}
    one, two = (
        replay_protocol((labels, pred), (labels, pred), 3, rng=np.random.default_rng(2), **options) for _ in range(2)
    )
    assert one == two
    rng = np.random.default_rng(2)
    for replay in one:
        mining, *arms = draw_runs(12, (3, 3, 3), rng)
        a, b = worst_cell(labels, pred[mining], 3)
        before, after = (tuple(((labels == a) & (pred[arm] == b)).sum(axis=1)) for arm in arms)
        assert (replay.cell, replay.before, replay.after) == ((a, b), before, after)


def test_a_real_change_is_found_in_its_direction():
    rng = np.random.default_rng(3)
    labels, pred = noisy_runs(rng, 10)
    better = np.where(rng.random(pred.shape) < 0.9, labels, pred)
    assert replay_once(labels, pred[:5], better[:5], (0, 1), 3).word == "improved"
    assert replay_once(labels, better[:5], pred[:5], (0, 1), 3).word == "harmed"


def test_worst_cells_are_ranked_and_only_those_with_errors():
    assert worst_cells(LABELS, RUNS, 2) == [(0, 1), (1, 0)]  # 5 against 3
    assert worst_cells(LABELS, RUNS[0], 2) == [(0, 1)]


def test_share_of_one_outcome_a_cluster_is_nearly_clopper_pearson():
    """Independent comparisons: the effective number is n, but for the t quantile of few clusters."""
    found = clustered_share([1.0] * 10 + [0.0] * 190, range(200))
    assert (found.share, found.n) == (0.05, 200)
    assert found.n_effective == pytest.approx(199, abs=2)
    assert (found.low, found.high) == pytest.approx(proportion_confint(10, 200, method="beta"), abs=2e-3)


def test_equal_outcomes_within_a_cluster_count_once():
    """Fifty copies of each of twenty outcomes have the information of twenty."""
    outcomes = np.repeat([1.0] * 5 + [0.0] * 15, 50)
    found = clustered_share(outcomes, np.repeat(range(20), 50))
    assert found.n == 1000
    assert found.n_effective < 20
    low, high = proportion_confint(5, 20, method="beta")
    assert found.low < low < high < found.high


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_divisions_the_one_with_the_larger_variance_counts(swap):
    """All claims come from one of four sets of runs, and are spread evenly over twenty cells."""
    runs, cells = np.tile(range(4), 20), np.repeat(range(20), 4)
    outcomes = (runs == 0).astype(float)
    found = clustered_share(outcomes, *((cells, runs) if swap else (runs, cells)))
    assert found.share == 0.25
    assert found.n_effective < 4
    assert clustered_share(outcomes, cells).n_effective > 20


def test_without_any_claim_the_crossed_clusters_count():
    found = clustered_share([0.0] * 600, np.tile(range(4), 150), np.repeat(range(12), 50))
    assert (found.share, found.low, found.n_effective) == (0.0, 0.0, 48)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 48))
    with pytest.raises(BadInput, match="no comparison"):
        clustered_share([], [])


def test_a_difference_between_strata_is_no_uncertainty():
    """Two pools of one set of runs each: all claims are in one pool, evenly over its cells."""
    pools = np.repeat(["one", "two"], 200)
    cells = [(pool, k % 20) for k, pool in enumerate(pools)]
    outcomes = ((pools == "one") & (np.arange(400) // 20 % 10 == 0)).astype(float)
    assert clustered_share(outcomes, cells, pools).n_effective < 5
    found = clustered_share(outcomes, cells, pools, strata=pools)
    assert found.n_effective == 40  # cells of both pools
    assert found.low < 0.05 < found.high
