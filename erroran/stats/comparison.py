"""One error indicator, two arms: which test applies, and what does it say?"""

from dataclasses import dataclass
from typing import Final

from erroran.stats.confusion import BoolArray
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
RUN_PERMUTATION: Final = "run permutation"
NO_TEST: Final = "none"
MIN_SEEDS: Final = 2
MIN_SEEDS_TO_SHUFFLE: Final = 5


@dataclass(frozen=True)
class ArmTest:
    """The test that was used, why, and its p-values.

    Attributes:
        method: "stratified", "run permutation" or "none".
        reason: Why this one, one sentence.
        p_value: Two-sided; None without a valid test.
        p_less: One-sided, fewer errors after; None without a valid test.
        p_greater: One-sided, more errors after.
        smallest_p: The smallest two-sided p-value that could have come out; None without a test.
        stratified: The stratified test's numbers, whichever test was used.
        overdispersion: The check that chose.
    """

    method: str
    reason: str
    p_value: float | None
    p_less: float | None
    p_greater: float | None
    smallest_p: float | None
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
    overdispersion_level: float = 0.05,
) -> ArmTest:
    """Test two arms with the stratified test, or by shuffling runs where it does not hold.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        overdispersion_level: Level of the check that chooses between the tests.

    Returns:
        Below 2 runs an arm no test; the stratified mid-p test if the runs pass the overdispersion
        check; else whole runs shuffled, with at least 5 an arm; else no test.
    """
    before, after = check_arms(before_errors, after_errors)
    stratified = stratified_test(before, after)
    spread = overdispersion(before, after, level=overdispersion_level)
    fewest = min(len(before), len(after))
    nothing = (None, None, None, None)
    if fewest < MIN_SEEDS:
        reason = "One run an arm cannot tell a change from the luck of a seed."
        return ArmTest(NO_TEST, reason, *nothing, stratified, spread)
    if not spread.overdispersed:
        reason = "Runs differ no more than independent images would make them."
        if spread.df == 0:
            reason = "No image is read differently by runs of one arm."
        p_values = (stratified.p_two_sided_mid, stratified.p_less_mid, stratified.p_greater_mid)
        return ArmTest(STRATIFIED, reason, *p_values, stratified.smallest_p, stratified, spread)
    swing = f"Runs differ {spread.ratio:.1f} times as much as independent images would make them"
    if fewest < MIN_SEEDS_TO_SHUFFLE:
        reason = f"{swing}; then only whole runs may be shuffled, which takes 5 seeds an arm."
        return ArmTest(NO_TEST, reason, *nothing, stratified, spread)
    shuffled = run_permutation_test(before.sum(axis=1), after.sum(axis=1))
    return ArmTest(
        RUN_PERMUTATION,
        f"{swing}, so whole runs were shuffled.",
        shuffled.p_two_sided,
        shuffled.p_less,
        shuffled.p_greater,
        shuffled.smallest_p,
        stratified,
        spread,
    )


def significant_change(
    before_errors: BoolArray,
    after_errors: BoolArray,
    *,
    alpha: float = 0.05,
    overdispersion_level: float = 0.05,
) -> int:
    """`choose_test(...).direction(alpha)` without the rest: quick enough for simulations.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        alpha: Two-sided level.
        overdispersion_level: See `choose_test`.

    Returns:
        -1 for significantly fewer errors after, +1 for more, 0 for neither.
    """
    fewest = min(len(before_errors), len(after_errors))
    if fewest < MIN_SEEDS:
        return 0
    if overdispersion(before_errors, after_errors, level=overdispersion_level).overdispersed:
        if fewest < MIN_SEEDS_TO_SHUFFLE:
            return 0
        shuffled = run_permutation_test(before_errors.sum(axis=1), after_errors.sum(axis=1))
        less, greater = shuffled.p_less, shuffled.p_greater
    else:
        sizes = (len(before_errors), len(after_errors))
        totals = before_errors.sum(axis=0) + after_errors.sum(axis=0)
        histogram = images_by_total(totals, sum(sizes))
        less, greater = midp_sides(histogram, int(after_errors.sum()), *sizes)
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
) -> Comparison:
    """Effect, interval and test of one kind of error.

    Args:
        name: What is counted, in words.
        before_errors: bool (S_b, M), runs by images that can make this error.
        after_errors: bool (S_a, M), same images.
        n_images: All images evaluated, >= M.
        confidence: Level of the interval, in (0, 1).
    """
    return Comparison(
        name=name,
        before_per_seed=tuple(before_errors.sum(axis=1).tolist()),
        after_per_seed=tuple(after_errors.sum(axis=1).tolist()),
        effect=score_interval(before_errors, after_errors, n_images, confidence=confidence),
        test=choose_test(before_errors, after_errors),
    )
