"""What to do after each verdict."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from erroran.verdict import advice as module
from erroran.verdict.advice import ADOPT, COSTS, DROP, IMAGES, NOTHING, SEEDS, advise
from erroran.verdict.decide import Verdict, judge
from erroran.verdict.table import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED, NOT_WORTHWHILE, TRADED

Ints = npt.NDArray[np.int64]
LABELS = np.repeat(np.arange(3), 1000)
OFTEN = np.linspace(0.9, 0.1, 20)


def runs(rng: np.random.Generator, n: int, cells: dict[tuple[int, int], npt.NDArray[np.float64]]) -> Ints:
    """Predictions of n runs whose images err at the given rates."""
    pred = np.tile(LABELS, (n, 1))
    for (true, read_as), rates in cells.items():
        place = true * 1000 + 100 * read_as
        pred[:, place : place + rates.size] = np.where(rng.random((n, rates.size)) < rates, read_as, true)
    return pred


def advice_on(
    before: dict[tuple[int, int], npt.NDArray[np.float64]],
    after: dict[tuple[int, int], npt.NDArray[np.float64]],
    n: int = 6,
    **options: Any,
) -> tuple[Verdict, module.Advice]:
    rng = np.random.default_rng(3)
    arms = runs(rng, n, before), runs(rng, n, after)
    verdict = judge(LABELS, *arms, pair=(0, 1), n_classes=3)
    return verdict, advise(verdict, LABELS, *arms, **options)


def test_improved_is_adopted() -> None:
    """With its price: what is not shown to be safe elsewhere."""
    verdict, advice = advice_on({(0, 1): OFTEN}, {(0, 1): OFTEN / 6})
    assert (verdict.word, advice.kind) == (IMPROVED, ADOPT)
    assert advice.line.startswith("adopt it")
    assert (advice.seeds, advice.minutes, advice.chance) == (None, None, None)


def test_price_of_adopting_names_the_worst_bound() -> None:
    """Other errors that vary leave a bound above the margin."""
    noisy = {(2, 0): np.full(60, 0.5)}
    verdict, advice = advice_on({(0, 1): OFTEN, **noisy}, {(0, 1): OFTEN / 6, **noisy})
    assert verdict.word == IMPROVED
    worst = max(part.upper for part in (verdict.collateral.other_cells, *verdict.collateral.recall))
    assert f"up to +{worst:.0f} per 10,000 images are not excluded" in advice.line


def test_harm_is_dropped() -> None:
    """With what rose."""
    verdict, advice = advice_on({(0, 1): OFTEN / 6}, {(0, 1): OFTEN})
    assert (verdict.word, advice.kind) == (HARMED, DROP)
    was, now = verdict.primary.effect.before_mean, verdict.primary.effect.after_mean
    assert advice.line.startswith(f"drop it: 0 read as 1 rose from {was:.1f} to {now:.1f}")


def test_a_trade_says_what_it_costs() -> None:
    """Fewer errors one way, more the other."""
    cells = {(0, 1): OFTEN, (1, 0): OFTEN / 6}
    verdict, advice = advice_on(cells, {(0, 1): OFTEN / 6, (1, 0): OFTEN})
    assert (verdict.word, advice.kind) == (TRADED, COSTS)
    assert advice.line.startswith("look at what it costs: 1 read as 0 rose from ")
    assert "while 0 read as 1 fell from" in advice.line


@pytest.mark.parametrize("word", [NOT_WORTHWHILE, EQUIVALENT])
def test_too_little_is_dropped_with_the_best_case(word: str) -> None:
    """The lower one of both intervals' ends; costs are named."""
    verdict, _ = advice_on({(0, 1): OFTEN}, {(0, 1): OFTEN})
    effect = replace(verdict.primary.effect, relative_low=-0.28, seeds_relative_low=-0.2)
    forward = replace(verdict.forward, effect=effect)
    verdict = replace(verdict, word=word, row="too small", forward=forward, costs=())
    empty = np.tile(LABELS, (2, 1))
    assert advise(verdict, LABELS, empty, empty) == module.Advice("drop it: at best −28 %", DROP)
    worse = replace(verdict, forward=replace(forward, effect=replace(effect, relative_low=0.1, seeds_relative_low=0.1)))
    assert advise(worse, LABELS, empty, empty).line == "drop it: it does not reduce these errors"


def test_more_seeds_are_counted_and_timed() -> None:
    """Missing seeds, their minutes, and the smaller chance of the two cases."""
    verdict, advice = advice_on({(0, 1): OFTEN}, {(0, 1): OFTEN * 0.8}, n=2, minutes_per_seed=3.0)
    assert (verdict.word, advice.kind) == (CANNOT_TELL, SEEDS)
    assert advice.seeds is not None
    assert advice.chance is not None
    assert 2 < advice.seeds <= 20
    assert advice.minutes == pytest.approx(3 * (advice.seeds - 2))
    assert 0.8 <= advice.chance <= 1
    assert advice.line == (
        f"{advice.seeds - 2} more seed{'s' * (advice.seeds > 3)} per arm, about {advice.minutes:.0f} minutes, would "
        f"decide with {100 * advice.chance:.0f} % chance"
    )
    without = advice_on({(0, 1): OFTEN}, {(0, 1): OFTEN * 0.8}, n=2)[1]
    assert without.minutes is None
    assert "minutes" not in without.line


def test_the_observed_difference_does_not_count() -> None:
    """Review V7: arms swapped, or errors moved from one arm to the other, give the same advice."""
    rng = np.random.default_rng(0)
    before, after = runs(rng, 3, {(0, 1): OFTEN}), runs(rng, 3, {(0, 1): OFTEN})
    mixed = np.concatenate([before[:1], after[:2]]), np.concatenate([after[2:], before[1:]])
    found = []
    for arms in ((before, after), (after, before), mixed):
        verdict = replace(judge(LABELS, *arms, pair=(0, 1), n_classes=3), word=CANNOT_TELL, row="open")
        found.append(advise(verdict, LABELS, *arms))
    assert found[0] == found[1]
    assert found[0].seeds == pytest.approx(found[2].seeds, abs=5)  # the run-to-run variation is measured within arms


def test_few_images_need_more_images() -> None:
    """Two always-wrong images: seeds cannot help."""
    certain = {(0, 1): np.ones(2)}
    verdict, advice = advice_on(certain, certain)
    advice = advise(
        replace(verdict, word=CANNOT_TELL, row="open"), LABELS, *[runs(np.random.default_rng(0), 6, certain)] * 2
    )
    assert advice.kind == IMAGES
    assert "times as many images" in advice.line
    assert "only 2 images are ever misread so" in advice.line
    assert advice.seeds == 10


def test_without_errors_there_is_nothing_to_decide() -> None:
    """The unit is the user's."""
    verdict, advice = advice_on({}, {}, unit="samples")
    assert (verdict.word, advice.kind) == (CANNOT_TELL, NOTHING)
    assert advice.line == "choose another pair, or judge more samples: no run made this error"


def test_errors_that_moved_are_looked_at() -> None:
    """0 read as 1 fell, 0 read as 2 rose as much."""
    verdict, _ = advice_on({(0, 1): OFTEN}, {(0, 1): OFTEN / 6})
    moved = replace(verdict, word=CANNOT_TELL, row="moved")
    empty = np.tile(LABELS, (2, 1))
    advice = advise(moved, LABELS, empty, empty)
    assert advice.kind == COSTS
    assert advice.line.startswith("look at where the errors went: 0 read as 1 fell from")


def test_bisection_finds_the_first_that_is_enough() -> None:
    """By hand; None where even the last is not."""
    chances = {2: 0.1, 3: 0.5, 5: 0.8, 8: 0.9, 12: 1.0}
    assert module._first_enough(list(chances), chances.__getitem__) == (5, 0.8)
    assert module._first_enough([2, 3], chances.__getitem__) is None
    assert module._first_enough([], chances.__getitem__) is None
    assert module._first_enough([12], chances.__getitem__) == (12, 1.0)
