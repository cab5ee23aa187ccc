"""What to do after a verdict, in one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from erroran.stats.confusion import IntArray, cell_errors, cell_mask
from erroran.stats.dispersion import run_variation
from erroran.verdict.decide import Verdict, clause, signed
from erroran.verdict.plan import MOST_SEEDS, WANTED_POWER, Setting, endpoint_word, odds_factor
from erroran.verdict.rates import fit_same_images, scale_odds, simulate_runs
from erroran.verdict.table import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED, NOT_WORTHWHILE, TRADED

ADOPT: Final = "adopt"
DROP: Final = "drop"
COSTS: Final = "costs"
SEEDS: Final = "seeds"
IMAGES: Final = "images"
NOTHING: Final = "nothing"
_LADDER: Final = (3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 160, MOST_SEEDS)
_TIMES: Final = (2, 3, 5, 8, 12, 20, 40)  # as many images
_SEEDS_FOR_IMAGES: Final = 10
_SIMULATIONS: Final = 80  # per number of seeds and true change; the standard error of a chance is at most 6 points


@dataclass(frozen=True)
class Advice:
    """What to do after a verdict.

    Attributes:
        line: One sentence without a full stop.
        kind: ``adopt``, ``drop``, ``costs`` (look at what it costs), ``seeds`` (train more), ``images`` (judge more) or
            ``nothing`` (no run made the error).
        seeds: For ``seeds`` and ``images``: seeds per arm in all that would decide.
        minutes: Training time of the missing seeds, where known.
        chance: Probability that these seeds decide: the smaller one of the worthwhile change and no change.
    """

    line: str
    kind: str
    seeds: int | None = None
    minutes: float | None = None
    chance: float | None = None


def advise(
    verdict: Verdict,
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    *,
    minutes_per_seed: float | None = None,
    unit: str = "images",
) -> Advice:
    """Say what to do after a verdict.

    Args:
        verdict: The verdict.
        labels: Integer (N,), as judged; `before` and `after` are the predictions, (S_b, N) and (S_a, N).
        before: See `labels`.
        after: See `labels`.
        minutes_per_seed: Training time of one more seed of all arms, where known.
        unit: What was predicted.

    After *cannot tell*, experiments are simulated from the error rates of both arms together, in the case that the
    true change is the worthwhile one, and in the case of no change. The observed difference is not used: power at the
    observed effect says no more than the p-value (Hoenig and Heisey 2001, Am Stat 55:19).
    """
    primary = verdict.primary
    if verdict.word == CANNOT_TELL and verdict.row != "moved":
        return _decide_later(verdict, labels, before, after, minutes_per_seed, unit)
    costs = [cost.clause for cost in verdict.costs]
    gains = [gain.clause for gain in verdict.gains]
    moved = clause(primary.name, primary.effect.before_mean, primary.effect.after_mean)
    direction = primary.test.direction(verdict.alpha)
    if direction:
        (costs if direction > 0 else gains).insert(0, moved)
    if verdict.word == IMPROVED:
        return Advice(_adopt(verdict, gains, direction, unit), ADOPT)
    if verdict.word == HARMED:
        return Advice(f"drop it: {_listed(costs) or 'errors rose'}", DROP)
    if verdict.word == TRADED:
        paid = f"look at what it costs: {_listed(costs)}"
        return Advice(f"{paid}, while {_listed(gains)}" if gains else paid, COSTS)
    if verdict.word in (NOT_WORTHWHILE, EQUIVALENT):
        effect = primary.effect
        best = min((low for low in (effect.relative_low, effect.seeds_relative_low) if low is not None), default=0.0)
        at_best = f"at best {signed(100 * best)} %" if best < 0 else "it does not reduce these errors"
        return Advice(f"drop it: {at_best}" + (f", and {_listed(costs)}" if costs else ""), DROP)
    return Advice(
        f"look at where the errors went: {moved}, but they moved to other cells",
        COSTS,
    )


def _adopt(verdict: Verdict, gains: Sequence[str], direction: int, unit: str) -> str:
    what = "adopt it" if direction < 0 else f"adopt it for what it improves: {_listed(gains) or 'fewer errors'}"
    collateral = verdict.collateral
    if collateral.safe:
        return f"{what}: nothing else rose by more than {collateral.margin_per_10000:g} per 10,000 {unit}"
    parts = (collateral.other_cells, collateral.accuracy, *collateral.recall)
    worst = max((part for part in parts if not part.safe), key=lambda part: part.upper)
    return (
        f"{what}, if its price is acceptable: nothing else was shown to rise, but up to {signed(worst.upper)} per "
        f"10,000 {unit} are not excluded ({worst.name})"
    )


def _decide_later(
    verdict: Verdict,
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    minutes_per_seed: float | None,
    unit: str,
) -> Advice:
    cells = verdict.endpoint.cells(verdict.pair)
    pooled = np.concatenate([before, after])
    errors = [cell_errors(labels, pooled, cell) for cell in cells]
    if not any(part.any() for part in errors):
        return Advice(f"choose another pair, or judge more {unit}: no run made this error", NOTHING)
    n_classes = max(int(labels.max()), int(pooled.max())) + 1
    variation = run_variation(labels, before, after, n_classes=n_classes, skip=verdict.endpoint.SUM.cells(verdict.pair))
    setting = Setting(
        rates=fit_same_images(
            errors,
            pooled_logit_sd=variation.logit_sd,
            tested_logit_sd=variation.logit_sd_of(cell_mask(n_classes, cells)),
        ),
        n_images=sum(part.shape[1] for part in errors),
        n_evaluated=len(labels),
        worthwhile=verdict.worthwhile_percent / 100,
        equivalence_per_10000=verdict.equivalence_per_10000,
        alpha=verdict.alpha,
        same_images=True,
    )
    fewest = min(len(before), len(after))
    ladder = [seeds for seeds in _LADDER if seeds > fewest]
    found = _first_enough(ladder, lambda seeds: _chance_to_decide(setting, seeds))
    if found is not None:
        seeds, chance = found
        minutes = None if minutes_per_seed is None else (seeds - fewest) * minutes_per_seed
        time = "" if minutes is None else f", about {max(1, round(minutes))} minutes,"
        more = f"{seeds - fewest} more seed{'s' if seeds - fewest > 1 else ''} per arm{time}"
        return Advice(f"{more} would decide with {_percent(chance)} chance", SEEDS, seeds, minutes, chance)
    seeds = max(fewest, _SEEDS_FOR_IMAGES)
    distinct = len(setting.rates.runs_wrong)
    reason = f"no number of seeds up to {MOST_SEEDS} would decide: only {distinct} {unit} are ever misread so"
    found = _first_enough(_TIMES, lambda times: _chance_to_decide(_with_images(setting, times), seeds))
    if found is None:
        return Advice(f"judge more than {_TIMES[-1]} times as many {unit}: {reason}", IMAGES)
    times, chance = found
    line = f"judge about {times} times as many {unit}, with {seeds} seeds per arm ({_percent(chance)} chance): {reason}"
    return Advice(line, IMAGES, seeds, None, chance)


def _with_images(setting: Setting, times: int) -> Setting:
    """The same question on other images of the same kind, this many times as many."""
    return replace(
        setting, same_images=False, n_images=times * setting.n_images, n_evaluated=times * setting.n_evaluated
    )


def _chance_to_decide(setting: Setting, seeds: int) -> float:
    """Probability of any word but *cannot tell*: the smaller one of the two cases."""
    return min(_decided(setting, seeds, reduction) for reduction in (setting.worthwhile, 0.0))


def _decided(setting: Setting, seeds: int, reduction: float) -> float:
    """Share of simulated experiments that decide, where both arms together have the rates of the setting."""
    rng = np.random.default_rng(0)
    drawn = setting.draw(rng, _SIMULATIONS)
    typical = np.concatenate([images.rates for images in drawn])
    # Their mean over both arms stays: r removed from the arm before leaves (2 - r) / 2 of it on average.
    factors = [odds_factor(typical, removed) for removed in (-reduction / (2 - reduction), reduction / (2 - reduction))]
    decided = 0
    for images in drawn:
        arms = [
            simulate_runs(images, scale_odds(images.rates, factor), seeds, setting.rates.logit_sd, rng)
            for factor in factors
        ]
        decided += endpoint_word(setting, arms[0], arms[1], alpha=setting.alpha) != CANNOT_TELL
    return decided / len(drawn)


def _first_enough(values: Sequence[int], chance_of: Callable[[int], float]) -> tuple[int, float] | None:
    """The first of rising values with the wanted chance, by bisection; None if even the last has less."""
    low, high = 0, len(values) - 1
    if high < 0 or (chance := chance_of(values[high])) < WANTED_POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        here = chance_of(values[middle])
        if here >= WANTED_POWER:
            high, chance = middle, here
        else:
            low = middle + 1
    return values[high], chance


def _listed(clauses: Sequence[str]) -> str:
    return " and ".join(clauses[:2])


def _percent(chance: float) -> str:
    return f"{100 * chance:.0f} %"
