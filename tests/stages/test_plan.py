"""Plans: the same twice, more seeds more power, and numbers that can be checked by hand."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from stages.test_report import BEFORE, HYPOTHESIS, MINED, made_up_dataset, put_group, put_run

from erroran.errors import BadInput, NotFound
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.judging import Judging
from erroran.experiment.pair import Pair
from erroran.experiment.recipe import RecipeChange
from erroran.report.plan import plan_sentence, write_plan
from erroran.stages.plan import PlanResult, gather_evidence, plan
from erroran.store import Store
from erroran.store.records import Group
from erroran.verdict.table import WORDS


@pytest.fixture
def group(store: Store) -> Group:
    return put_group(store, made_up_dataset(), MINED, BEFORE)


def _plan(store: Store, group: Group, **changes: object) -> PlanResult:
    fast = {
        "controls": ("sham", "logit-shift"),
        "seeds": (2, 5, 20),
        "n_simulations": 40,
        "n_judged": 6,
        "recommend": False,
    }
    options = {"hypothesis": HYPOTHESIS, **fast, **changes}
    return plan(store, group, "0to1", **options)


def test_a_plan_made_twice_is_the_same(store: Store, group: Group) -> None:
    """No hidden randomness: the JSON is equal to the last digit."""
    assert _plan(store, group).to_json() == _plan(store, group).to_json()


def test_more_seeds_and_larger_effects_have_more_power(store: Store, group: Group) -> None:
    """Down each column and along each row, within simulation error."""
    power = _plan(store, group, n_simulations=100).power
    assert all(many[-1] >= few[-1] - 0.05 for few, many in itertools.pairwise(power))
    assert all(large >= small - 0.05 for row in power for small, large in itertools.pairwise(row))
    assert power[-1][-1] > power[0][0] + 0.3


def test_arms_and_minutes(store: Store, group: Group) -> None:
    """Baseline, treatment and sham train, the shift does not; a made-up run takes 2 s."""
    planned = _plan(store, group)
    assert planned.arms == 3
    assert planned.minutes_per_seed == pytest.approx(3 * 2 / 60)
    assert planned.judged_images == 20


def test_out_of_fold_a_seed_is_several_runs_and_judges_more_images(store: Store, group: Group) -> None:
    """Four of five parts of the data five times, against the half outside `mine` once: 4 / 0.5 times the minutes."""
    options: dict[str, Any] = {"controls": (), "seeds": (3,), "n_simulations": 20, "n_judged": 4, "recommend": False}
    on_confirm = plan(store, group, "0to1", HYPOTHESIS, **options)
    folded = HYPOTHESIS.model_copy(update={"judge": Judging(5)})
    planned = plan(store, group, "0to1", folded, **options)
    assert planned.minutes_per_seed == pytest.approx(8 * on_confirm.minutes_per_seed)
    assert (on_confirm.population, on_confirm.judged_images) == ("the 60 images of `confirm`", 20)
    assert planned.population == "30 training images, each judged by models that had not seen it"
    assert planned.judged_images == 10
    assert planned.errors_per_seed_mined == pytest.approx(on_confirm.errors_per_seed_mined / 2)
    assert "30 training images" in plan_sentence(planned)


def test_minutes_go_by_the_epochs_of_each_arm(store: Store, group: Group) -> None:
    """The made-up recipe has 2 epochs; 6 for every arm, and 10 for the treatment and its control alone."""
    longer = HYPOTHESIS.model_copy(update={"epochs": 6})
    assert _plan(store, group, hypothesis=longer).minutes_per_seed == pytest.approx(3 * 3 * 2 / 60)
    longest = longer.model_copy(update={"recipe": RecipeChange(epochs=10)})
    assert _plan(store, group, hypothesis=longest).minutes_per_seed == pytest.approx((3 + 5 + 5) * 2 / 60)


def test_a_control_that_does_not_apply_costs_nothing(store: Store, group: Group, tmp_path: Path) -> None:
    """Another model has no operation that `sham` could replace: two arms, and the report says why."""
    other = HYPOTHESIS.model_copy(update={"augment": {}, "model": "dense"})
    planned = _plan(store, group, hypothesis=other)
    assert planned.arms == 2
    assert list(planned.not_applicable) == ["sham"]
    assert "The control `sham` is not applicable: the change applies no operation" in (
        write_plan(planned, tmp_path).read_text()
    )


def test_errors_start_from_mine(store: Store, group: Group) -> None:
    """7 errors in 3 runs on 10 images of `mine` are 14 / 3 on the 20 images of `confirm`; few images, wide interval."""
    planned = _plan(store, group)
    assert planned.errors_per_seed_mined == pytest.approx(7 / 3 * 2)
    assert planned.errors_per_seed_expected == pytest.approx(planned.shrink * planned.errors_per_seed_mined)
    low, high = planned.errors_interval
    assert low < planned.errors_per_seed_expected < high
    assert (planned.evidence_runs, planned.evidence_images, planned.evidence_distinct) == (3, 10, 3)
    assert planned.evidence == "the 30 images of `mine`"


def test_mine_of_other_baseline_runs_is_read_too(store: Store, group: Group) -> None:
    """Fresh baseline runs of the group, but neither their `confirm` nor a treatment's runs (review V11)."""
    dataset = made_up_dataset()
    wrong = {(0, 1): [7]}
    put_run(store, dataset, group.run_spec(1000), "baseline", mine=wrong, confirm={})
    put_run(store, dataset, group.run_spec(1000, HYPOTHESIS.change), "0to1", mine={(0, 1): [8]}, confirm={})
    evidence, described = gather_evidence(store, group)
    assert evidence.seeds == [0, 1, 2, 1000]
    assert _plan(store, group).evidence_distinct == 4
    assert described == "the 30 images of `mine`"
    assert not store.ledger.entries()


def test_out_of_fold_predictions_are_preferred(store: Store, group: Group) -> None:
    """All 60 training images, from the seed that was mined out of fold."""
    dataset = made_up_dataset()
    for k in range(2):
        put_run(store, dataset, group.run_spec(0, fold=(k, 2)), "baseline", mine={(0, 1): [0]}, confirm={})
    planned = _plan(store, group)
    assert planned.evidence == "all 60 training images, out of fold"
    assert (planned.evidence_runs, planned.evidence_images) == (1, 20)


def test_designs_are_compared_and_kept(store: Store, group: Group, tmp_path: Path) -> None:
    """The cheapest design with 80 % power is named, with its words in both cases; the plan is kept for the report."""
    planned = _plan(store, group, recommend=True, n_simulations=16, jobs=2)
    assert {str(option.judging) for option in planned.options} == {"confirm", "out-of-fold=5"}
    for option in planned.options:
        for case in (option.worthwhile, option.unchanged):
            assert set(case.words) == set(WORDS)
            assert sum(chance.value for chance in case.words.values()) == pytest.approx(1)
        expected = (option.worthwhile.seeds + option.unchanged.seeds) / 2
        times = option.judging.relative_time(0.5)
        assert option.minutes == pytest.approx(expected * 3 * 2 / 60 / 2 * times)
        assert set(option.improved_if) == {"odds", "repaired"}
    enough = [option for option in planned.options if option.worthwhile.improved.value >= 0.8]
    assert planned.cheapest == min(enough, key=lambda option: option.minutes, default=None)
    assert store.get_artifact("plans", f"{group.id}/0to1-{HYPOTHESIS.hash}", PlanResult) == planned
    text = write_plan(planned, tmp_path).read_text()
    assert "--until-decided --max-seeds 40 --judge confirm" in text
    assert " ± " in text


def test_json(store: Store, group: Group) -> None:
    """Strict JSON with one power for each number of seeds and reduction."""
    content = json.loads(json.dumps(_plan(store, group).to_json(), allow_nan=False))
    assert (content["pair"], content["primary"], content["seeds"]) == ("0:1", "forward", [2, 5, 20])
    assert [len(row) for row in content["power"]] == [len(content["reductions"])] * 3
    assert len(content["detectable_reduction"]) == 3
    assert {"hypothesis", "group", "dataset", "note", "errors_per_seed_mined", "errors_per_seed_expected", "shrink",
            "recommended_seeds", "minutes_per_seed", "arms", "simulations", "options",
            "power_error"} <= content.keys()  # fmt: skip


def test_primary_endpoint_decides_what_is_planned(store: Store, group: Group) -> None:
    """`sum` counts both directions: 8 errors, and the images of both classes."""
    both = HYPOTHESIS.model_copy(update={"primary": Endpoint.SUM})
    planned = plan(store, group, "0to1", both, controls=(), seeds=(3,), n_simulations=20, n_judged=4, recommend=False)
    assert planned.judged_images == 40
    assert planned.errors_per_seed_mined == pytest.approx(8 / 3 * 2)
    assert plan_sentence(planned).endswith("judge more images, or choose another pair.")
    assert "0 and 1 confused either way" in plan_sentence(planned)


def test_no_such_error(store: Store, group: Group) -> None:
    """A pair that no run confuses cannot be planned; the message names the hypothesis and what to do."""
    other = HYPOTHESIS.model_copy(update={"pair": Pair("2", "1")})
    with pytest.raises(BadInput, match="`2to1`") as caught:
        plan(store, group, "2to1", other, controls=())
    assert "mine-confusions" in caught.value.fix


def test_unknown_class(store: Store, group: Group) -> None:
    """A class the dataset lacks is refused before anything is simulated."""
    with pytest.raises(NotFound, match="class `7`"):
        plan(store, group, "7to1", HYPOTHESIS.model_copy(update={"pair": Pair("7", "1")}), controls=())
