"""Two arms compared on the same images: effect, interval and test of any kind of error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import BoolArray, IntArray, cell_mask
from erroran.stats.dispersion import RunVariation, adjust_p, count_variance, moderated_ratio, run_variation
from erroran.stats.intervals import Effect, score_interval
from erroran.stats.multiplicity import CellChange, explore_cells
from erroran.stats.significance import McNemarResult, StratifiedResult, mcnemar, stratified_test

STRATIFIED: Final = "stratified"
ADJUSTED: Final = "stratified, adjusted for runs"
NO_TEST: Final = "none"
MIN_SEEDS: Final = 2


@dataclass(frozen=True)
class ArmTest:
    """The test of "no change"; its p-values are None without a test.

    Attributes:
        method: "stratified", "stratified, adjusted for runs" or "none".
        reason: Why this method, one sentence.
        p_value: Two-sided.
        p_less: One-sided, fewer errors after; `p_greater` more.
        variance_ratio: Variance between runs, relative to independent images, that the test allows for; >= 1.
        stratified: The stratified test without that correction.
    """

    method: str
    reason: str
    p_value: float | None
    p_less: float | None
    p_greater: float | None
    variance_ratio: float
    stratified: StratifiedResult

    def direction(self, alpha: float) -> int:
        """-1 for significantly fewer errors after, +1 for more, 0 for neither."""
        if self.p_value is None or self.p_less is None or self.p_greater is None or self.p_value >= alpha:
            return 0
        return -1 if self.p_less < self.p_greater else 1


@dataclass(frozen=True)
class Comparison:
    """One kind of error, before and after.

    Attributes:
        name: What was counted, in words.
        before_per_seed: Errors of each run before; `after_per_seed` after.
        effect: The change with its interval.
        test: The test of "no change".
    """

    name: str
    before_per_seed: tuple[int, ...]
    after_per_seed: tuple[int, ...]
    effect: Effect
    test: ArmTest


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """Two arms compared by the errors of a pair (a, b), and by all errors.

    Attributes:
        endpoint: The primary endpoint.
        forward: a predicted as b.
        reverse: b predicted as a.
        both: Their sum.
        overall: All errors.
    """

    endpoint: Endpoint
    forward: Comparison
    reverse: Comparison
    both: Comparison
    overall: Comparison

    @property
    def primary(self) -> Comparison:
        """The comparison of the primary endpoint."""
        return {Endpoint.FORWARD: self.forward, Endpoint.REVERSE: self.reverse, Endpoint.SUM: self.both}[self.endpoint]


def compare_errors(before_errors: BoolArray, after_errors: BoolArray, *, logit_sd: float = 0.0) -> ArmTest:
    """Test "no change" of one kind of error.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        logit_sd: Run-to-run variation of this count, in logits; see `dispersion.run_variation`.

    Returns:
        The stratified mid-p test, corrected for the moderated variance ratio (`dispersion.adjust_p`); no test below
        `MIN_SEEDS` runs in an arm.
    """
    stratified = stratified_test(before_errors, after_errors)
    if min(len(before_errors), len(after_errors)) < MIN_SEEDS:
        reason = "With one run in an arm a change cannot be distinguished from the variation between seeds."
        return ArmTest(NO_TEST, reason, None, None, None, 1.0, stratified)
    counted = count_variance(before_errors, after_errors)
    ratio = moderated_ratio(counted, logit_sd)
    less, greater = adjust_p(np.array([stratified.p_less_mid, stratified.p_greater_mid]), ratio, counted.df).tolist()
    method, reason = STRATIFIED, "The runs vary no more than runs whose images err independently."
    if ratio > 1.0:
        method = ADJUSTED
        reason = (
            f"Estimated from all cells, the variance between runs is about {ratio:.1f} times that of images that err "
            "independently; the test is corrected for it."
        )
    return ArmTest(method, reason, min(1.0, 2 * min(less, greater)), less, greater, ratio, stratified)


class ArmComparison:
    """Two arms on the same images; their run-to-run variation is estimated once.

    Attributes:
        class_names: The C names.
        n_images: Images evaluated, N.
        present: Classes that have images, as indices.
        variation: Run-to-run variation of both arms.
    """

    def __init__(
        self,
        labels: IntArray,
        before: IntArray,
        after: IntArray,
        class_names: Sequence[str],
        *,
        skip: Sequence[Cell] = (),
    ) -> None:
        """Prepare the comparison.

        Args:
            labels: Integer (N,), values in 0..C-1.
            before: Predictions, integer (S_b, N).
            after: Predictions, integer (S_a, N). Runs need no pairing.
            class_names: The C names.
            skip: Cells that do not count for the run-to-run variation: the pair that a treatment changed.
        """
        self.class_names = tuple(class_names)
        self.n_images = int(labels.size)
        self.present: tuple[int, ...] = tuple(np.unique(labels).tolist())
        self.variation: RunVariation = run_variation(labels, before, after, n_classes=len(self.class_names), skip=skip)
        # Images that all runs predict correctly are left out: they change no number below.
        some = (before != labels).any(axis=0) | (after != labels).any(axis=0)
        self._labels, self._before, self._after = labels[some], before[:, some], after[:, some]
        self._skip = tuple(skip)

    def endpoint(self, endpoint: Endpoint, pair: Cell, *, confidence: float = 0.95) -> Comparison:
        """Compare the errors of an endpoint of a pair (a, b) of class indices."""
        name = endpoint.describe(*(self.class_names[label] for label in pair))
        return self.cells(name, cell_mask(len(self.class_names), endpoint.cells(pair)), confidence=confidence)

    def pair(self, pair: Cell, endpoint: Endpoint, *, confidence: float = 0.95) -> PairComparison:
        """Compare every endpoint of a pair, and all errors; `endpoint` is the primary one."""
        forward, reverse, both = (self.endpoint(each, pair, confidence=confidence) for each in Endpoint)
        overall = self.all_errors(confidence=confidence)
        return PairComparison(endpoint=endpoint, forward=forward, reverse=reverse, both=both, overall=overall)

    def all_errors(self, *, confidence: float = 0.95) -> Comparison:
        """Compare all errors."""
        return self.cells("all errors", ~np.eye(len(self.class_names), dtype=bool), confidence=confidence)

    def cells(self, name: str, counted: BoolArray, *, confidence: float = 0.95) -> Comparison:
        """Compare the errors of several directed cells together.

        Args:
            name: What is counted, in words.
            counted: bool (C, C), the cells; rows true, columns predicted.
            confidence: Level of the interval, in (0, 1).
        """
        was, now = self.errors(counted)
        logit_sd = self.variation.logit_sd_of(counted)
        return Comparison(
            name=name,
            before_per_seed=tuple(was.sum(axis=1).tolist()),
            after_per_seed=tuple(now.sum(axis=1).tolist()),
            effect=score_interval(was, now, self.n_images, confidence=confidence, logit_sd=logit_sd),
            test=compare_errors(was, now, logit_sd=logit_sd),
        )

    def errors(self, counted: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Errors in cells, bool (C, C), before and after: bool (S, M), for the M images that any run gets wrong."""
        return counted[self._labels, self._before], counted[self._labels, self._after]

    def single_cells(self) -> list[CellChange]:
        """Every directed cell that was not skipped; see `explore_cells`."""
        arms = self._labels, self._before, self._after
        return explore_cells(*arms, len(self.class_names), self.variation, skip=self._skip)

    def run_by_run(self, counted: BoolArray) -> list[McNemarResult]:
        """McNemar's test of the i-th run before against the i-th run after, for the errors of cells, bool (C, C)."""
        pairs = zip(*self.errors(counted), strict=False)
        return [mcnemar(int((was & ~now).sum()), int((now & ~was).sum())) for was, now in pairs]
