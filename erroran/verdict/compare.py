"""One error indicator, two arms: which test applies, and what does it say?"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.stats.confusion import BoolArray
from erroran.stats.dispersion import adjust_p, moderate
from erroran.stats.intervals import Effect, score_interval
from erroran.stats.significance import (
    Overdispersion,
    StratifiedResult,
    check_arms,
    images_by_total,
    midp_sides,
    overdispersion,
    run_permutation_test,
    stratified_test,
)

STRATIFIED: Final = "stratified"
ADJUSTED: Final = "stratified, adjusted for runs"
RUN_PERMUTATION: Final = "run permutation"
NO_TEST: Final = "none"
MIN_SEEDS: Final = 2
MIN_SEEDS_TO_SHUFFLE: Final = 5
OVERDISPERSION_LEVEL: Final = 0.01


@dataclass(frozen=True)
class ArmTest:
    """The test that was used, why, and its p-values.

    Attributes:
        method: "stratified", "stratified, adjusted for runs", "run permutation" or "none".
        reason: Why this one, one sentence.
        p_value: Two-sided; None without a valid test.
        p_less: One-sided, fewer errors after; None without a valid test.
        p_greater: One-sided, more errors after.
        smallest_p: The smallest two-sided p-value that could have come out; None without a test.
        dispersion_ratio: Variance ratio that the stratified test was adjusted by, >= 1.
        stratified: The stratified test's numbers, whichever test was used.
        overdispersion: The check that chose.
    """

    method: str
    reason: str
    p_value: float | None
    p_less: float | None
    p_greater: float | None
    smallest_p: float | None
    dispersion_ratio: float
    stratified: StratifiedResult
    overdispersion: Overdispersion

    def direction(self, alpha: float) -> int:
        """-1 for significantly fewer errors after, +1 for more, 0 for neither."""
        if self.p_value is None or self.p_less is None or self.p_greater is None:
            return 0
        if self.p_value >= alpha:
            return 0
        return -1 if self.p_less < self.p_greater else 1


@dataclass(frozen=True)
class Comparison:
    """One kind of error, before and after.

    Attributes:
        name: What was counted, in words.
        before_per_seed: Errors of each run before.
        after_per_seed: Errors of each run after.
        effect: The change with its interval.
        test: The test of "no change".
    """

    name: str
    before_per_seed: tuple[int, ...]
    after_per_seed: tuple[int, ...]
    effect: Effect
    test: ArmTest


def choose_test(
    before_errors: BoolArray,
    after_errors: BoolArray,
    *,
    shift_sd: float = 0.0,
    overdispersion_level: float = OVERDISPERSION_LEVEL,
) -> ArmTest:
    """Test two arms with the stratified test, or by shuffling runs where it does not hold.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        shift_sd: Sd of a run's shift of this count, in logits; see `dispersion.run_variation`.
        overdispersion_level: Level of the check that chooses between the tests.

    Returns:
        - below 2 runs an arm, no test;
        - if runs vary no more than `shift_sd` predicts, the stratified mid-p test, with an allowance for the
          moderated variance ratio where that exceeds 1 (`dispersion.adjust_p`);
        - if they vary visibly more, whole runs shuffled with at least 5 an arm, else no test.

    What runs of any recipe do is no reason to refuse an answer: the allowance pays for it. The check asks
    whether these runs do more, at a level so low that it does not choose by chance among usual ones.
    """
    before, after = check_arms(before_errors, after_errors)
    stratified = stratified_test(before, after)
    spread = overdispersion(before, after, level=overdispersion_level, shift_sd=shift_sd)
    ratio = moderate(spread.ratio, spread.df, 1 + shift_sd**2 * spread.expected)
    fewest = min(len(before), len(after))

    def result(method: str, reason: str, *p_values: float | None) -> ArmTest:
        less, greater, smallest = p_values or (None, None, None)
        both = None if less is None or greater is None else min(1.0, 2 * min(less, greater))
        return ArmTest(method, reason, both, less, greater, smallest, ratio, stratified, spread)

    if fewest < MIN_SEEDS:
        return result(NO_TEST, "One run an arm cannot tell a change from the luck of a seed.")
    if not spread.overdispersed:
        sides = (stratified.p_less_mid, stratified.p_greater_mid, stratified.smallest_p / 2)
        if ratio == 1.0:
            reason = "Runs differ no more than independent images would make them."
            return result(STRATIFIED, reason, sides[0], sides[1], stratified.smallest_p)
        reason = (
            f"Judged by this and all other cells, runs differ about {ratio:.1f} times as much as "
            "independent images would make them; the test allows for it."
        )
        less, greater, smallest = adjust_p(np.array(sides), ratio, spread.df).tolist()
        return result(ADJUSTED, reason, less, greater, 2 * smallest)
    swing = f"Runs differ {spread.ratio:.1f} times as much as independent images would make them, more than runs do"
    if fewest < MIN_SEEDS_TO_SHUFFLE:
        reason = f"{swing} elsewhere; then only whole runs may be shuffled, which takes 5 seeds an arm."
        return result(NO_TEST, reason)
    shuffled = run_permutation_test(before.sum(axis=1), after.sum(axis=1))
    reason = f"{swing} elsewhere, so whole runs were shuffled."
    return result(RUN_PERMUTATION, reason, shuffled.p_less, shuffled.p_greater, shuffled.smallest_p)


def significant_change(
    before_errors: BoolArray,
    after_errors: BoolArray,
    *,
    alpha: float = 0.05,
    shift_sd: float = 0.0,
    overdispersion_level: float = OVERDISPERSION_LEVEL,
) -> int:
    """`choose_test(...).direction(alpha)` without the rest: quick enough for simulations.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        alpha: Two-sided level.
        shift_sd: See `choose_test`.
        overdispersion_level: See `choose_test`.

    Returns:
        -1 for significantly fewer errors after, +1 for more, 0 for neither.
    """
    fewest = min(len(before_errors), len(after_errors))
    if fewest < MIN_SEEDS:
        return 0
    spread = overdispersion(before_errors, after_errors, level=overdispersion_level, shift_sd=shift_sd)
    if spread.overdispersed:
        if fewest < MIN_SEEDS_TO_SHUFFLE:
            return 0
        shuffled = run_permutation_test(before_errors.sum(axis=1), after_errors.sum(axis=1))
        less, greater = shuffled.p_less, shuffled.p_greater
    else:
        sizes = (len(before_errors), len(after_errors))
        totals = before_errors.sum(axis=0) + after_errors.sum(axis=0)
        histogram = images_by_total(totals, sum(sizes))
        less, greater = midp_sides(histogram, int(after_errors.sum()), *sizes)
        ratio = moderate(spread.ratio, spread.df, 1 + shift_sd**2 * spread.expected)
        less, greater = adjust_p(np.array([less, greater]), ratio, spread.df).tolist()
    if 2 * min(less, greater) >= alpha:
        return 0
    return -1 if less < greater else 1


def compare_arms(
    name: str,
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    *,
    confidence: float = 0.95,
    shift_sd: float = 0.0,
) -> Comparison:
    """Effect, interval and test of one kind of error.

    Args:
        name: What is counted, in words.
        before_errors: bool (S_b, M), runs by images that can make this error.
        after_errors: bool (S_a, M), same images.
        n_images: All images evaluated, >= M.
        confidence: Level of the interval, in (0, 1).
        shift_sd: See `choose_test`.
    """
    return Comparison(
        name=name,
        before_per_seed=tuple(before_errors.sum(axis=1).tolist()),
        after_per_seed=tuple(after_errors.sum(axis=1).tolist()),
        effect=score_interval(
            before_errors,
            after_errors,
            n_images,
            confidence=confidence,
            shift_sd=shift_sd,
        ),
        test=choose_test(before_errors, after_errors, shift_sd=shift_sd),
    )
