"""The calibration: its parts by hand, its page from the saved numbers alone, and a quick run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from erroran.benchmarks.calibration import comparisons, power, simulations
from erroran.benchmarks.calibration.__main__ import main
from erroran.benchmarks.calibration.plants import PLANTS
from erroran.benchmarks.calibration.pools import POOLS, Pool, Split, divide, load_pool, read_fashion, save_pool
from erroran.benchmarks.calibration.report import render_calibration
from erroran.benchmarks.calibration.result import QUICK, CalibrationResult, Measured
from erroran.errors import BadInput
from erroran.stats.intervals import mean_interval

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"


def noisy_pool(n_runs: int = 20, n_images: int = 300) -> Pool:
    rng = np.random.default_rng(0)
    splits = {}
    for name in ("mine", "confirm"):
        labels = rng.integers(0, 10, n_images)
        rates = np.where(rng.random(n_images) < 0.4, rng.beta(0.5, 1, n_images), 0.0)
        wrong = (labels + rng.integers(1, 4, n_images)) % 10
        splits[name] = Split(labels, np.where(rng.random((n_runs, n_images)) < rates, wrong, labels))
    return Pool("some-mlp", {"model": "MLP", "arm": "baseline", "seeds": list(range(n_runs))}, splits)


def measured(question: str, value: float, low: float | None, high: float | None, **details: float) -> Measured:
    return Measured(
        question=question, data="", design="", value=value, low=low, high=high, n=1, n_effective=1, details=details
    )


# --- requirements


@pytest.mark.parametrize(
    ("question", "value", "low", "high", "met"),
    [
        ("aa", 0.03, 0.01, 0.08, True),
        ("aa", 0.03, 0.01, 0.081, False),  # the upper limit decides, not the point estimate
        ("aa", 0.051, 0.05, 0.052, False),
        ("power", 0.0, -0.11, 0.08, True),
        ("power", 0.0, -0.13, 0.08, False),  # 0 in the interval is no agreement
        ("power", 0.0, None, None, False),
        ("power", -0.05, -0.10, -0.01, True),
        ("both ways", 0.06, 0.0, 0.5, True),
        ("half", 0.9, 0.8, 1.0, None),
    ],
)
def test_requirements_are_judged_by_the_interval(
    question: str, value: float, low: float | None, high: float | None, met: bool | None
) -> None:
    assert measured(question, value, low, high).met is met


def test_coverage_needs_every_setting() -> None:
    rows = {"rows below": 0.0, "rows above": 0.0}
    assert measured("coverage", 0.95, 0.94, 0.96, **rows).met
    assert not measured("coverage", 0.95, 0.94, 0.96, **{**rows, "rows below": 1.0}).met


def test_a_part_of_the_data_is_not_judged() -> None:
    assert measured("aa", 0.5, 0.4, 0.6).model_copy(update={"judged": False}).met is None


# --- pools


def test_a_pool_is_read_as_it_was_written(tmp_path: Path) -> None:
    pool = noisy_pool()
    again = load_pool(save_pool(pool, tmp_path))
    assert (again.name, again.about, again.n_runs) == (pool.name, pool.about, 20)
    for name, split in pool.splits.items():
        assert np.array_equal(again.splits[name].labels, split.labels)
        assert np.array_equal(again.splits[name].predicted, split.predicted)
    with pytest.raises(BadInput, match="no pool"):
        load_pool(tmp_path / "other.npz")


def test_committed_pools_are_real_runs_of_distinct_seeds() -> None:
    paths = sorted((ROOT / POOLS).glob("*.npz"))
    assert len(paths) >= 7
    for path in paths:
        pool = load_pool(path)
        seeds = pool.about["seeds"]
        assert len(set(seeds)) == len(seeds) == pool.n_runs
        for split in pool.splits.values():
            assert len(np.unique(split.predicted, axis=0)) == pool.n_runs, f"{path.name} has copies of a run"
            assert (split.predicted == split.labels).mean() > 0.7


def test_fashion_images_are_read_and_divided_without_copies(tmp_path: Path) -> None:
    for label in range(10):
        images = [[label] * 784, [label + 100] * 784, [label + 100] * 784, []]  # one image twice, one empty
        (tmp_path / f"{label}.json").write_text(json.dumps({"data": images}))
    images, labels = read_fashion(tmp_path)
    assert images.shape == (30, 28, 28)
    divide(images, labels, [tmp_path / "some.npz"], n_train=12, n_test=8)
    with np.load(tmp_path / "some.npz") as arrays:
        assert (arrays["x_train"].shape, arrays["x_test"].shape) == ((12, 28, 28), (8, 28, 28))
        both = np.concatenate([arrays["x_train"], arrays["x_test"]])
        assert len(np.unique(both.reshape(20, -1), axis=0)) == 20
        assert np.array_equal(arrays["x_train"][:, 0, 0] % 100, arrays["y_train"])


# --- comparisons


def test_comparisons_of_different_blocks_share_no_run_and_mining_uses_others() -> None:
    pool = noisy_pool()
    drawn = list(comparisons.draw_comparisons(pool, 3, 12, QUICK, np.random.default_rng(1)))
    used: dict[int, set[int]] = {}
    for block, (a, b), before, after in drawn:
        assert a != b
        assert len({*before.tolist(), *after.tolist()}) == 6
        used.setdefault(block, set()).update(before.tolist(), after.tolist())
    assert sorted(used) == [0, 1]  # 20 runs less 3 for mining are 2 sets of 6
    assert not used[0] & used[1]


@pytest.mark.parametrize("name", list(PLANTS))
def test_a_plant_removes_half_of_the_errors_of_its_cell_and_nothing_else(name: str) -> None:
    split = noisy_pool().confirm
    cell, rng = (3, 4), np.random.default_rng(2)
    removed = []
    for _ in range(200):
        after = PLANTS[name](split.labels, split.predicted, split.predicted, cell, rng)
        changed = after != split.predicted
        assert (split.labels[None] == 3)[:, changed.any(axis=0)].all()
        assert (split.predicted[changed] == 4).all()
        assert (after[changed] == 3).all()
        removed.append(changed.sum())
    whole = ((split.labels == 3) & (split.predicted == 4)).sum()
    assert np.mean(removed) / whole == pytest.approx(0.5, abs=0.05)


def test_the_sequential_procedure_stops_at_a_look_of_its_design() -> None:
    found = comparisons.compare_pool(noisy_pool(), None, 4, QUICK, "", (0,))
    assert {outcome.seeds for outcome in found} <= {5, 8}  # 20 runs less 3: 8 seeds per arm


def test_jackknife_of_a_mean_of_one_run_each_is_its_standard_error() -> None:
    """Comparisons that use a single run each: the jackknife's variance is s^2 / n."""
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    share, low, high = comparisons.jackknife_share(values, [np.eye(8, dtype=bool)])
    error = values.std(ddof=1) / 8**0.5
    logits: NDArray[Any] = np.log(np.array([low, share, high]) / (1 - np.array([low, share, high])))
    assert np.diff(logits) == pytest.approx([1.96 * error / (share * (1 - share))] * 2)


def test_the_mean_over_clusters_has_students_interval_if_each_has_one_value() -> None:
    values = [0.3, -0.1, 0.2, 0.0, 0.1]
    mean, low, high, n = power.clustered_mean(values, [(str(k),) for k in range(5)])
    assert (mean, n) == (pytest.approx(0.1), 5)
    assert (low, high) == pytest.approx(mean_interval(values))
    twice = power.clustered_mean(values * 2, [(str(k),) for k in range(5)] * 2)
    assert twice == pytest.approx((mean, low, high, n))  # copies within a cluster have no information


def test_plans_are_made_for_cells_of_the_required_size_and_judged_on_other_runs() -> None:
    settings = QUICK.model_copy(update={"power_runs": 5})
    for seed in range(4):
        plan = power._plan_and_judge(noisy_pool(), settings, (seed,))
        assert plan is not None
        assert 2 <= plan.mined <= 20
        assert 0 <= plan.promised[0] <= 1
        assert plan.found[0] in (0, 0.5, 1)  # of two comparisons


# --- simulations


@pytest.mark.parametrize("how", [simulations.IN_PROPORTION, simulations.ONE_BY_ONE])
def test_simulated_arms_have_the_intended_errors(how: str) -> None:
    rng = np.random.default_rng(0)
    row = simulations.Simulated(how, 0.5, 6, 2)
    counts, expected = [], []
    for _ in range(400):
        arms = simulations.simulate_arms(rng, row)
        counts.append([((arms.labels == 0) & (runs == 1)).sum(axis=1).mean() for runs in (arms.before, arms.after)])
        expected.append([arms.expected_before, arms.expected_after])
    assert np.mean(counts, axis=0) == pytest.approx([6, 3], rel=0.1)
    assert np.mean(expected, axis=0) == pytest.approx([6, 3], rel=0.1)


def test_images_that_move_both_ways_do_not_change_the_population() -> None:
    rng = np.random.default_rng(1)
    row = simulations.Simulated(simulations.BOTH_WAYS, 0.5, 15, 2)
    drawn = [simulations.simulate_arms(rng, row) for _ in range(400)]
    before, after = np.transpose([(arms.expected_before, arms.expected_after) for arms in drawn])
    assert after.mean() == pytest.approx(before.mean(), rel=0.03)
    assert np.std(after - before) > 1  # but these images do change


# --- the page


def test_the_committed_page_is_that_of_the_committed_numbers() -> None:
    result = CalibrationResult.model_validate_json((REPORTS / "calibration" / "calibration.json").read_bytes())
    assert render_calibration(result) == (REPORTS / "calibration.md").read_text()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    for name in ("mnist-mlp-1", "mnist-mlp-4"):
        save_pool(load_pool(ROOT / POOLS / f"{name}.npz"), folder / "pools")
    main(["--quick", "--pools", str(folder / "pools"), "--reports", str(folder)])
    return folder


@pytest.mark.slow
def test_the_calibration_runs_and_its_page_can_be_written_again(quick: Path) -> None:
    page, numbers = quick / "calibration.md", quick / "calibration" / "calibration.json"

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads(numbers.read_text(), parse_constant=refuse)
    assert {row["question"] for row in content["measured"]} >= {"aa", "aa looks", "worthwhile", "coverage", "both ways"}
    assert content["facts"]["mcnemar_exact"] == 6
    first, before = page.read_text(), numbers.read_bytes()
    page.unlink()
    main(["--render", "--reports", str(quick)])
    assert (page.read_text(), numbers.read_bytes()) == (first, before)


@pytest.mark.slow
def test_values_that_are_not_as_required_are_counted(quick: Path) -> None:
    content = json.loads((quick / "calibration" / "calibration.json").read_text())
    for row in content["measured"]:
        row["judged"] = row["question"] == "aa"
        if row["judged"]:
            row |= {"value": 0.09, "low": 0.05, "high": 0.2}
    n = sum(row["judged"] for row in content["measured"])
    text = render_calibration(CalibrationResult.model_validate(content))
    assert f"\n{n} of {n} requirements on this page are not met" in text
    assert text.count("| **no** |") == n
