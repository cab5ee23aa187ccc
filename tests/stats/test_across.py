"""Shared and owned confusions: hand-made models, brute force, and the false-positive rate of ownership."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from erroran.stats.across import _common_odds_ratio, compare_confusions, shared_images, uneven_p
from erroran.stats.significance import stratified_from_totals

C = 4


def simulate(
    rng: np.random.Generator, rates: np.ndarray, *, runs: int, extra: dict[tuple[int, int], np.ndarray] | None = None
) -> np.ndarray:
    """Predictions (runs, N) of a model: image i errs with rate i, into the next class, or as `extra` says.

    `extra` maps a cell to rates (N,) that are added there.
    """
    labels = np.arange(len(rates)) % C
    predicted = np.tile(labels, (runs, 1))
    wrong = rng.random(predicted.shape) < rates
    predicted[wrong] = (predicted[wrong] + 1 + rng.integers(0, C - 1, wrong.sum())) % C
    for (a, b), more in (extra or {}).items():
        hit = (rng.random(predicted.shape) < more) & (labels == a)
        predicted[hit] = b
    return predicted


def test_images_by_hand() -> None:
    """More than half of the runs of each model, and the same wrong class in all."""
    labels = np.array([0, 0, 0, 0])
    first = np.array([[1, 1, 0, 1], [1, 2, 0, 1], [1, 1, 1, 0]])
    second = np.array([[1, 2, 0, 1], [1, 2, 0, 2]])
    by_model, everywhere = shared_images(labels, [first, second], C)
    assert by_model.tolist() == [[1, 1, -1, 1], [1, 2, -1, -1]]
    assert everywhere.tolist() == [1, -1, -1, -1]


def test_unevenness_of_one_run_is_binomial() -> None:
    """Whole numbers: the incomplete beta function is the binomial tail."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % C
    pred = simulate(rng, np.full(400, 0.1), runs=1)
    p_values = uneven_p(labels, pred, C)
    total = (pred != labels).sum()
    for a, b in itertools.permutations(range(C), 2):
        seen = ((pred == b) & (labels == a)).sum()
        assert p_values[a, b] == pytest.approx(binom.sf(seen - 1, total, 1 / (C * (C - 1))))
    assert (np.diag(p_values) == 1).all()


def test_copies_of_a_run_do_not_make_a_pair_uneven() -> None:
    """Ten copies of a run give the p-values of the run."""
    rng = np.random.default_rng(1)
    labels = np.arange(400) % C
    pred = simulate(rng, np.full(400, 0.05), runs=1)
    assert uneven_p(labels, np.tile(pred, (10, 1)), C) == pytest.approx(uneven_p(labels, pred, C))


def test_a_perfect_model() -> None:
    """Without errors no cell is uneven or owned."""
    labels = np.arange(40) % C
    right = np.tile(labels, (3, 1))
    assert (uneven_p(labels, right, C) == 1).all()
    assert compare_confusions(labels, [right, right], C) == []
    wrong = right.copy()
    wrong[:, 0] = 1
    (pair,) = compare_confusions(labels, [right, wrong], C)
    assert (pair.pair, pair.mean_errors, pair.owner) == ((0, 1), (0.0, 1.0), None)


def test_tilted_tails_by_enumeration() -> None:
    """Every assignment of errors to runs, weighted by the odds ratio to the power of the errors after."""
    histogram, n_before, n_after, ratio = np.array([0, 2, 1, 0, 0]), 2, 2, 2.5
    weights: dict[int, float] = {}
    assignments = [list(itertools.combinations(range(4), t)) for t in (1, 1, 2)]
    for assignment in itertools.product(*assignments):
        after = sum(run >= n_before for runs in assignment for run in runs)
        weights[after] = weights.get(after, 0.0) + ratio**after
    whole = sum(weights.values())
    for observed, weight in weights.items():
        found = stratified_from_totals(histogram, observed, n_before, n_after, odds_ratio=ratio)
        less, greater = found.p_less_mid, found.p_greater_mid
        half = weight / whole / 2
        assert greater == pytest.approx(sum(w for k, w in weights.items() if k >= observed) / whole - half)
        assert less == pytest.approx(sum(w for k, w in weights.items() if k <= observed) / whole - half)


@pytest.mark.parametrize("observed", [3, 5, 8, 11])
def test_the_common_odds_ratio_by_enumeration(observed: int) -> None:
    """The observed count is its expectation over every assignment of errors to runs, weighted by the ratio."""
    histogram, totals = np.array([0, 3, 2, 1, 1, 0, 0]), [1, 1, 1, 2, 2, 3, 4]
    ratio = _common_odds_ratio(histogram, observed, 3, 3)
    mean = 0.0
    for total in totals:
        after = [sum(run >= 3 for run in runs) for runs in itertools.combinations(range(6), total)]
        weights = np.power(ratio, np.array(after, dtype=float))
        mean += float(np.average(after, weights=weights))
    assert mean == pytest.approx(observed, abs=1e-6)


def test_certain_and_uninformed_odds_ratios() -> None:
    """All errors on one side, and images that every run or none gets wrong."""
    assert _common_odds_ratio(np.array([0, 4, 0, 0, 0]), 4, 2, 2) == np.inf
    assert _common_odds_ratio(np.array([0, 4, 0, 0, 0]), 0, 2, 2) == 0
    assert np.isnan(_common_odds_ratio(np.array([5, 0, 0, 0, 3]), 6, 2, 2))


def test_a_pair_of_all_models_and_a_pair_of_one() -> None:
    """A confusion planted in all models is shared; one planted in a single model is owned by it."""
    rng = np.random.default_rng(4)
    n = 2000
    labels = np.arange(n) % C
    base = np.full(n, 0.01)
    data = np.where(np.arange(n) < 200, 0.9, 0.0)  # images 0, 4, 8 ... are read as 1 by everyone
    quirk = np.where((np.arange(n) > 500) & (np.arange(n) < 900), 0.4, 0.0)
    models = [simulate(rng, base, runs=4, extra={(0, 1): data}) for _ in range(2)]
    models.append(simulate(rng, base, runs=3, extra={(0, 1): data, (2, 3): quirk}))
    pairs = {pair.pair: pair for pair in compare_confusions(labels, models, C)}
    assert pairs[0, 1].surely_in == 3
    assert pairs[0, 1].owner is None
    assert 40 <= pairs[0, 1].images_everywhere <= 50
    assert pairs[0, 1].in_every_run == (True, True, True)
    assert pairs[2, 3].owner == 2
    assert pairs[2, 3].surely_in == 1
    assert [pair.pair for pair in pairs.values() if pair.owner is not None] == [(2, 3)]
    for m in range(3):
        assert sum(pair.share[m] for pair in pairs.values()) == pytest.approx(1)
        assert sum(pair.mean_errors[m] for pair in pairs.values()) == pytest.approx((models[m] != labels).sum(1).mean())


def test_a_weak_model_owns_nothing() -> None:
    """A model with five times the errors in every cell owns none of the cells."""
    rng = np.random.default_rng(5)
    labels = np.arange(2000) % C
    spread = rng.beta(0.3, 10, 2000)
    models = [simulate(rng, spread, runs=4), simulate(rng, np.minimum(1, 5 * spread), runs=4)]
    assert [pair.pair for pair in compare_confusions(labels, models, C) if pair.owner is not None] == []


def test_equal_models_seldom_own_a_pair() -> None:
    """Two models with the same error rates: hardly any pair is owned."""
    rng = np.random.default_rng(6)
    labels = np.arange(1200) % C
    owned = 0
    for _ in range(60):
        spread = rng.beta(0.15, 4, 1200)
        models = [simulate(rng, spread, runs=3) for _ in range(2)]
        owned += any(pair.owner is not None for pair in compare_confusions(labels, models, C))
    assert owned <= 7  # 5 % of 60, and two standard deviations


def test_single_runs_own_nothing() -> None:
    """With one run the effect of the model cannot be separated from that of the seed."""
    rng = np.random.default_rng(7)
    labels = np.arange(2000) % C
    quirk = np.full(2000, 0.5)
    models = [
        simulate(rng, np.full(2000, 0.01), runs=1, extra={(2, 3): quirk}),
        simulate(rng, np.full(2000, 0.01), runs=4),
    ]
    assert all(pair.owner is None for pair in compare_confusions(labels, models, C))
