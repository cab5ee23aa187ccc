"""Two arms compared on the same images: effect, interval and test of any kind of error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import BoolArray, FloatArray, IntArray, cell_mask
from erroran.stats.dispersion import RunVariation, run_variation
from erroran.stats.intervals import Effect, score_interval
from erroran.stats.multiplicity import CellChange, explore_cells
from erroran.stats.significance import change_test, check_arms

RUNS: Final = "runs' counts"
IMAGES: Final = "new images"
ALL_BUT_ONE: Final = "all images but one"
NO_TEST: Final = "none"
MIN_SEEDS: Final = 2
_REASONS: Final = {
    RUNS: "The counts of the runs decide: their variance says how far two arms differ by chance.",
    IMAGES: "The images decide: they are few or changed in both directions, so that other images may change otherwise.",
    ALL_BUT_ONE: "A single image decides: without it the change of the other images would be less certain.",
    NO_TEST: "With one run in an arm a change cannot be distinguished from the variation between seeds.",
}


@dataclass(frozen=True)
class ArmTest:
    """The tests of "no change"; all p-values are None with one run in an arm.

    A change is claimed where three tests agree (`direction`): for new seeds on these images, for new seeds and new
    images, and one-sided without the image that changed most. See `significance.change_test`.

    Attributes:
        method: The least certain of the three: "runs' counts", "new images" or "all images but one"; "none" without a
            test.
        reason: What that means, one sentence.
        p_value: Two-sided, for new seeds on these images.
        p_less: One-sided, fewer errors after; `p_greater` more.
        p_images: Two-sided, for new seeds and new images; at least `p_value`.
        p_rest: One-sided in the direction of the change, without the image that changed most.
        variance_ratio: Variance between runs, relative to independent images, that the test allows for; >= 1.
        image_factor: How many times higher the level of the tests of other images is than that of new seeds; above 1
            at the looks of a sequential design, see `decide.judge`.
    """

    method: str
    reason: str
    p_value: float | None
    p_less: float | None
    p_greater: float | None
    p_images: float | None
    p_rest: float | None
    variance_ratio: float
    image_factor: float = 1.0

    def direction(self, alpha: float) -> int:
        """-1 for significantly fewer errors after, +1 for more, 0 for neither; `alpha` is the level for new seeds."""
        of_images = self.image_factor * alpha
        levels = ((self.p_value, alpha), (self.p_images, of_images), (self.p_rest, of_images))
        if any(p is None or p >= level for p, level in levels) or self.p_less is None or self.p_greater is None:
            return 0
        return -1 if self.p_less < self.p_greater else 1


@dataclass(frozen=True)
class Comparison:
    """One kind of error, before and after.

    Attributes:
        name: What was counted, in words.
        before_per_seed: Errors of each run before; `after_per_seed` after.
        effect: The change with its interval.
        test: The tests of "no change".
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


def compare_errors(
    before_errors: BoolArray, after_errors: BoolArray, *, logit_sd: float = 0.0, image_factor: float = 1.0
) -> ArmTest:
    """Test "no change" of one kind of error.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        logit_sd: Run-to-run variation of this count, in logits; see `dispersion.run_variation`.
        image_factor: See `ArmTest`.

    Returns:
        The tests of `significance.change_test`; no test below `MIN_SEEDS` runs in an arm. `find_directions` takes many
        comparisons at once.
    """
    before, after = check_arms(before_errors, after_errors)
    if min(len(before), len(after)) < MIN_SEEDS:
        return ArmTest(NO_TEST, _REASONS[NO_TEST], None, None, None, None, None, 1.0)
    tested = change_test(before, after, logit_sd=logit_sd)
    p_value, p_images, p_rest = float(tested.p_value[0]), float(tested.p_images[0]), float(tested.p_rest[0])
    tail = p_value / 2 if after.sum() * len(before) < before.sum() * len(after) else 1 - p_value / 2
    method = max((p_value, RUNS), (p_images, IMAGES), (p_rest, ALL_BUT_ONE), key=lambda found: found[0])[1]
    ratio = float(tested.variance_ratio[0])
    return ArmTest(method, _REASONS[method], p_value, tail, 1 - tail, p_images, p_rest, ratio, image_factor)


def find_directions(
    before_errors: BoolArray, after_errors: BoolArray, *, logit_sd: float | FloatArray = 0.0, alpha: float
) -> IntArray:
    """`ArmTest.direction` of many comparisons at once, for simulations.

    Args:
        before_errors: bool (R, S_b, M), comparisons by runs by images; S_b >= 2. Images without errors may pad.
        after_errors: bool (R, S_a, M), same images; S_a >= 2.
        logit_sd: As for `compare_errors`, one number or float64 (R,).
        alpha: Two-sided level.

    Returns:
        int64 (R,): -1, 0 or 1. Some 10 microseconds a comparison with 5 runs an arm and 20 images.
    """
    tested = change_test(before_errors, after_errors, logit_sd=logit_sd)
    sign = np.sign(after_errors.mean(axis=(1, 2)) - before_errors.mean(axis=(1, 2))).astype(np.int64)
    found: IntArray = sign * (np.maximum(tested.p_images, tested.p_rest) < alpha)
    return found


class ArmComparison:
    """Two arms on the same images; their run-to-run variation is estimated once.

    Attributes:
        class_names: The C names.
        n_images: Images evaluated, N.
        class_sizes: Images of each class, length C.
        present: Classes that have images, as indices; others are not judged.
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
        image_factor: float = 1.0,
        images_confidence: float | None = None,
    ) -> None:
        """Prepare the comparison.

        Args:
            labels: Integer (N,), values in 0..C-1.
            before: Predictions, integer (S_b, N).
            after: Predictions, integer (S_a, N). Runs need no pairing.
            class_names: The C names.
            skip: Cells that do not count for the run-to-run variation: the pair that a treatment changed.
            image_factor: Of all tests; see `ArmTest`.
            images_confidence: Level of the intervals for new images, if it is another than that for new seeds.
        """
        self.class_names = tuple(class_names)
        self.n_images = int(labels.size)
        self.class_sizes: tuple[int, ...] = tuple(np.bincount(labels, minlength=len(self.class_names)).tolist())
        self.present: tuple[int, ...] = tuple(np.flatnonzero(self.class_sizes).tolist())
        self.variation: RunVariation = run_variation(labels, before, after, n_classes=len(self.class_names), skip=skip)
        # Images that all runs predict correctly are left out: they change no number below.
        some = (before != labels).any(axis=0) | (after != labels).any(axis=0)
        self._labels, self._before, self._after = labels[some], before[:, some], after[:, some]
        self._skip, self._image_factor, self._images_confidence = tuple(skip), image_factor, images_confidence
        self._known: dict[tuple[str, bytes, float, int | None], Comparison] = {}

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

    def of_class(self, label: int, *, confidence: float = 0.95) -> Comparison:
        """Compare all errors of the images of a class that has images, per 10,000 images of that class."""
        return self._row(f"errors of {self.class_names[label]}", label, (), confidence)

    def other_errors_of_class(self, label: int, pair: Cell, *, confidence: float = 0.95) -> Comparison:
        """Compare the errors of the images of a class except those in either direction of a pair.

        `of_class` counts the pair as well. Rates are per 10,000 images of the class, which must have images.
        """
        cells = [cell for cell in Endpoint.SUM.cells(pair) if cell[0] == label]
        name = f"other errors of {self.class_names[label]}" if cells else f"errors of {self.class_names[label]}"
        return self._row(name, label, cells, confidence)

    def _row(self, name: str, label: int, without: Sequence[Cell], confidence: float) -> Comparison:
        if not self.class_sizes[label]:
            raise BadInput(
                f"class {self.class_names[label]} has no images, so its errors cannot be compared",
                fix="compare the classes in `present`",
            )
        n_classes = len(self.class_names)
        counted = cell_mask(n_classes, [(label, read_as) for read_as in range(n_classes) if read_as != label])
        counted &= ~cell_mask(n_classes, without)
        return self.cells(name, counted, confidence=confidence, n_images=self.class_sizes[label])

    def cells(
        self, name: str, counted: BoolArray, *, confidence: float = 0.95, n_images: int | None = None
    ) -> Comparison:
        """Compare the errors of several directed cells together.

        Args:
            name: What is counted, in words.
            counted: bool (C, C), the cells; rows true, columns predicted.
            confidence: Level of the intervals, in (0, 1).
            n_images: Images that rates refer to; by default all.
        """
        key = (name, counted.tobytes(), confidence, n_images)
        if key not in self._known:  # verdict and collateral ask for the same classes
            self._known[key] = self._compare(name, counted, confidence, n_images or self.n_images)
        return self._known[key]

    def _compare(self, name: str, counted: BoolArray, confidence: float, n_images: int) -> Comparison:
        was, now = self.errors(counted)
        logit_sd = self.variation.logit_sd_of(counted)
        return Comparison(
            name=name,
            before_per_seed=tuple(was.sum(axis=1).tolist()),
            after_per_seed=tuple(now.sum(axis=1).tolist()),
            effect=score_interval(
                was,
                now,
                n_images,
                confidence=confidence,
                images_confidence=self._images_confidence,
                logit_sd=logit_sd,
            ),
            test=compare_errors(was, now, logit_sd=logit_sd, image_factor=self._image_factor),
        )

    def errors(self, counted: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Errors in cells, bool (C, C), before and after: bool (S, M), for the M images that any run gets wrong."""
        return counted[self._labels, self._before], counted[self._labels, self._after]

    def single_cells(self) -> list[CellChange]:
        """Every directed cell that was not skipped; see `explore_cells`."""
        arms = self._labels, self._before, self._after
        return explore_cells(*arms, len(self.class_names), self.variation, skip=self._skip)
