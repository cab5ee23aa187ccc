"""The verdict: one word, one sentence, and the numbers that they are based on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.experiment.hypothesis import Hypothesis
from erroran.stats.confusion import IntArray, check_runs
from erroran.stats.intervals import Effect
from erroran.stats.multiplicity import CellChange
from erroran.verdict.collateral import Collateral, check_collateral
from erroran.verdict.compare import NO_TEST, ArmComparison, Comparison, PairComparison
from erroran.verdict.table import ALONE, CANNOT_TELL, EQUIVALENT, NOT_WORTHWHILE, TRADED, Findings, Row, look_up

WORTHWHILE_PERCENT: Final = 50.0
MARGIN_PER_10000: Final = 10.0
EQUIVALENCE_PER_10000: Final = 1.0
"""Defaults of a spec and of `judge`; conventions."""


@dataclass(frozen=True)
class Moved:
    """Errors outside the endpoint that changed significantly.

    Attributes:
        name: What was counted, in words.
        before_mean: Errors per run before; `after_mean` after.
        p_value: Two-sided, of this comparison alone.
        adjusted: Whether the change also holds with the correction for the number of comparisons.
    """

    name: str
    before_mean: float
    after_mean: float
    p_value: float
    adjusted: bool

    @property
    def clause(self) -> str:
        """Such as ``9 read as 4 rose from 3.2 to 4.1``."""
        return clause(self.name, self.before_mean, self.after_mean)


@dataclass(frozen=True, kw_only=True)
class Verdict(PairComparison):
    """The verdict on a treatment.

    Attributes:
        word: One of `table.WORDS`.
        row: Name of the row of the decision table that gave the word.
        sentence: The word and its main numbers: the first line of a report.
        pair: (a, b), class indices; `pair_names` their names.
        alpha: Two-sided level of the tests; the intervals have it too, except at a look of a sequential design.
        worthwhile_percent: The smallest reduction of the endpoint that is worth having, in percent.
        margin_per_10000: Collateral margin, errors per 10,000 evaluated images.
        equivalence_per_10000: Margin of "equivalent" for the endpoint, same units.
        findings: What the word was looked up by.
        costs: Other errors that rose significantly, smallest p-value first; `gains` those that fell.
        classes: All errors of the images of each class that has images.
        collateral: Non-inferiority of everything else.
        cells: The other directed cells, exploratory, under the false discovery rate.
        logit_sd: Run-to-run variation from all other cells, in logits.
        caveats: Limits of the verdict, in sentences.
    """

    word: str
    row: str
    sentence: str
    pair: Cell
    pair_names: tuple[str, str]
    alpha: float
    worthwhile_percent: float
    margin_per_10000: float
    equivalence_per_10000: float
    findings: Findings
    costs: tuple[Moved, ...]
    gains: tuple[Moved, ...]
    classes: tuple[Comparison, ...]
    collateral: Collateral
    cells: tuple[CellChange, ...]
    logit_sd: float
    caveats: tuple[str, ...]


def judge(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    *,
    pair: Cell,
    n_classes: int,
    endpoint: Endpoint = Endpoint.FORWARD,
    worthwhile_percent: float = WORTHWHILE_PERCENT,
    margin_per_10000: float = MARGIN_PER_10000,
    equivalence_per_10000: float = EQUIVALENCE_PER_10000,
    alpha: float = 0.05,
    alpha_excluded: float | None = None,
    alpha_images: float | None = None,
    alpha_excluded_images: float | None = None,
    class_names: Sequence[str] | None = None,
    unit: str = "images",
) -> Verdict:
    """Judge whether a treatment of the confusion "a predicted as b" worked.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        before: Integer (S_b, N), predictions of the runs without the treatment; fresh seeds, not those that selected
            the pair.
        after: Integer (S_a, N), predictions with the treatment on the same images. Runs need no pairing.
        pair: (a, b), a != b.
        n_classes: Number of classes C.
        endpoint: What the treatment was to reduce.
        worthwhile_percent: The smallest reduction of the endpoint that is worth having, in percent, in (0, 100).
        margin_per_10000: Growth tolerated elsewhere, errors per 10,000 evaluated images, > 0.
        equivalence_per_10000: Largest change of the endpoint that counts as none, same units.
        alpha: Two-sided level, in (0, 0.5).
        alpha_excluded: Level of all intervals, which may exclude the worthwhile reduction, if not `alpha`; sequential
            designs have a level of their own for each of the two.
        alpha_images: Level of the tests of other images, if not `alpha`. The looks of a sequential design see more and
            more runs but always the same images, so what other images would show is asked once, at the level of the
            whole design.
        alpha_excluded_images: The same for the intervals; by default their level for new seeds.
        class_names: Names for the sentence, length C; default the indices.
        unit: What was predicted, in the sentence.

    Returns:
        The `Verdict`. `table.ROWS` gives its word. Swapping the arms swaps improved and harmed.

    Raises:
        BadInput: Shapes disagree, a class is out of range, or a level or a percentage is.
    """
    for name, value, most, usual in (
        ("alpha", alpha, 0.5, 0.05),
        ("the worthwhile change in percent", worthwhile_percent, 100.0, WORTHWHILE_PERCENT),
    ):
        if not 0 < value < most:
            raise BadInput(f"{name} must lie above 0 and below {most:g}; got {value}", fix=f"for example {usual:g}")
    labels, before = check_runs(labels, before, n_classes)
    labels, after = check_runs(labels, after, n_classes)
    names = tuple(class_names or map(str, range(n_classes)))
    factor = 1.0 if alpha_images is None else alpha_images / alpha
    arms = ArmComparison(
        labels,
        before,
        after,
        names,
        skip=Endpoint.SUM.cells(pair),
        image_factor=factor,
        images_confidence=None if alpha_excluded_images is None else 1 - alpha_excluded_images,
    )
    level = alpha if alpha_excluded is None else alpha_excluded
    compared = arms.pair(pair, endpoint, confidence=1 - level)
    elsewhere = _Elsewhere(arms, pair, compared, alpha)
    cells = tuple(arms.single_cells())
    fewest = min(len(before), len(after))
    found = Findings(
        endpoint=compared.primary.test.direction(alpha),
        reverse=elsewhere.reverse.test.direction(alpha) if elsewhere.reverse else 0,
        inside=elsewhere.inside.test.direction(alpha) if elsewhere.inside else 0,
        elsewhere=tuple(sorted(elsewhere.signs() | {_sign(cell) for cell in cells if cell.found})),
        alone=elsewhere.alone(),
        netted=elsewhere.netted(),
        within=is_within(compared.primary.effect, equivalence_per_10000, worthwhile_percent),
        excluded=excludes_reduction(compared.primary.effect, worthwhile_percent),
    )
    tested = compared.primary.test.method != NO_TEST
    row = look_up(found if tested else Findings())
    moved = elsewhere.moved(cells, names)
    costs, gains = ([m for m in moved if (m.after_mean > m.before_mean) == rose] for rose in (True, False))
    collateral = check_collateral(arms, pair, margin_per_10000=margin_per_10000, alpha=level)
    return Verdict(
        **vars(compared),
        word=row.word,
        row=row.name,
        sentence=_sentence(row, compared, elsewhere, costs, gains, worthwhile_percent, unit),
        pair=pair,
        pair_names=(names[pair[0]], names[pair[1]]),
        alpha=alpha,
        worthwhile_percent=worthwhile_percent,
        margin_per_10000=margin_per_10000,
        equivalence_per_10000=equivalence_per_10000,
        findings=found,
        costs=tuple(costs),
        gains=tuple(gains),
        classes=tuple(elsewhere.classes.values()),
        collateral=collateral,
        cells=cells,
        logit_sd=arms.variation.logit_sd,
        caveats=_caveats(compared.primary, collateral, fewest),
    )


def judge_hypothesis(
    hypothesis: Hypothesis,
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    class_names: Sequence[str],
    *,
    alpha: float = 0.05,
    alpha_excluded: float | None = None,
    alpha_images: float | None = None,
    alpha_excluded_images: float | None = None,
) -> Verdict:
    """`judge` with the pair, the endpoint, the worthwhile change and the margins of a hypothesis."""
    return judge(
        labels,
        before,
        after,
        pair=hypothesis.pair.indices(class_names),
        n_classes=len(class_names),
        endpoint=hypothesis.primary,
        worthwhile_percent=hypothesis.worthwhile_percent,
        margin_per_10000=hypothesis.margin_per_10000,
        equivalence_per_10000=hypothesis.equivalence_per_10000,
        alpha=alpha,
        alpha_excluded=alpha_excluded,
        alpha_images=alpha_images,
        alpha_excluded_images=alpha_excluded_images,
        class_names=class_names,
    )


def excludes_reduction(effect: Effect, percent: float) -> bool:
    """Whether both intervals of the relative change lie above a reduction by `percent`; False without errors before."""
    return all(low is not None and 100 * low > -percent for low in (effect.seeds_relative_low, effect.relative_low))


def is_within(effect: Effect, margin: float, percent: float) -> bool:
    """Whether both intervals show neither a change beyond the margin nor a worthwhile one, in either direction."""
    if not excludes_reduction(effect, percent):
        return False
    most = 1 / (1 - percent / 100) - 1  # a reduction by `percent`, with the arms swapped
    return all(
        relative is not None and relative < most and -margin < low and high < margin
        for low, high, relative in (
            (effect.seeds_low, effect.seeds_high, effect.seeds_relative_high),
            (effect.low, effect.high, effect.relative_high),
        )
    )


class _Elsewhere:
    """Everything outside the endpoint.

    Attributes:
        reverse: The pair's other direction; None if the endpoint is the pair's sum.
        inside: Other errors of the class that errs; None if the endpoint is the pair's sum, or with two classes.
        classes: All errors of each class that has images, by its index.
        others: Errors of the two classes of the pair outside the pair, each other class, and all errors.
    """

    def __init__(self, arms: ArmComparison, pair: Cell, compared: PairComparison, alpha: float) -> None:
        confidence = compared.primary.effect.confidence
        self._pair, self._compared, self._alpha = pair, compared, alpha
        self.reverse = {Endpoint.FORWARD: compared.reverse, Endpoint.REVERSE: compared.forward}.get(compared.endpoint)
        self.classes = {label: arms.of_class(label, confidence=confidence) for label in arms.present}
        of_pair = {
            label: arms.other_errors_of_class(label, pair, confidence=confidence)
            for label in pair
            if label in arms.present and len(arms.class_names) > 2
        }
        true = {Endpoint.FORWARD: pair[0], Endpoint.REVERSE: pair[1]}.get(compared.endpoint)
        self.inside = None if true is None else of_pair.get(true)
        rest = [result for label, result in self.classes.items() if label not in pair]
        self.others = [*of_pair.values(), *rest, compared.overall]

    def signs(self) -> set[int]:
        """Signs of `others` at alpha, with Bonferroni's correction."""
        return {result.test.direction(self._alpha / len(self.others)) for result in self.others} - {0}

    def alone(self) -> tuple[int, ...]:
        """Signs that are a claim without the endpoint; see `Findings`."""
        signs = [result.test.direction(level) for result, level in self._family()]
        return tuple(sorted({signs[0]} if signs[0] else set(signs) - {0}))

    def claims(self) -> list[str]:
        """What a claim without the endpoint rests on, as clauses, all errors first."""
        return [
            clause(result.name, result.effect.before_mean, result.effect.after_mean)
            for result, level in self._family()
            if result.test.direction(level)
        ]

    def _family(self) -> list[tuple[Comparison, float]]:
        """The comparisons that can be a claim without the endpoint, all errors first, with their level."""
        family = [self._compared.overall, self._compared.both, *self.classes.values()]
        family += [self.reverse] if self.reverse else []
        return [(result, ALONE * self._alpha / len(family)) for result in family]

    def netted(self) -> bool:
        """Whether the errors of the pair, and of the class that errs, changed in the direction of the endpoint."""
        true = {Endpoint.FORWARD: self._pair[:1], Endpoint.REVERSE: self._pair[1:]}.get(self._compared.endpoint, ())
        wider = [self._compared.both, *(self.classes[label] for label in true if label in self.classes)]
        signs = [np.sign(result.effect.per_10000) for result in (self._compared.primary, *wider)]
        return len(set(signs)) == 1

    def moved(self, cells: Iterable[CellChange], names: Sequence[str]) -> list[Moved]:
        """What changed significantly outside the endpoint, smallest p-value first."""
        corrected = self._alpha / len(self.others)
        named = [result for result in (self.reverse, self.inside) if result]
        rest = [result for result in self.others if result is not self.inside]
        found = [
            Moved(
                name=result.name,
                before_mean=result.effect.before_mean,
                after_mean=result.effect.after_mean,
                p_value=result.test.p_value or 0.0,
                adjusted=result.test.direction(corrected) != 0,
            )
            for results, level in ((named, self._alpha), (rest, corrected))
            for result in results
            if result.test.direction(level)
        ]
        single = [
            Moved(
                name=f"{names[cell.cell[0]]} read as {names[cell.cell[1]]}",
                before_mean=cell.before_mean,
                after_mean=cell.after_mean,
                p_value=cell.p_value,
                adjusted=True,
            )
            for cell in cells
            if cell.found
        ]
        return sorted((*found, *single), key=lambda moved: moved.p_value)


def _sign(cell: CellChange) -> int:
    return 1 if cell.after_mean > cell.before_mean else -1


def clause(name: str, before: float, after: float) -> str:
    """Such as ``9 read as 4 rose from 3.2 to 4.1``."""
    return f"{name} {'rose' if after > before else 'fell'} from {before:.1f} to {after:.1f}"


def _sentence(
    row: Row,
    compared: PairComparison,
    elsewhere: _Elsewhere,
    costs: Sequence[Moved],
    gains: Sequence[Moved],
    percent: float,
    unit: str,
) -> str:
    primary = compared.primary
    facts = _facts(primary.name, primary.effect, unit)
    word = row.word.capitalize()
    if row.name in ("more elsewhere", "fewer elsewhere", "elsewhere both ways"):
        return f"{word}: {' and '.join(elsewhere.claims()[:2])}; {facts}."
    against = costs if primary.effect.per_10000 < 0 else gains
    ending = ""
    if row.word == TRADED:
        ending = f", but {against[0].clause}" if against else ""
    elif row.name == "moved":
        ending = ", but the errors of the true class or of the pair did not: they moved to other cells"
    elif row.word == NOT_WORTHWHILE:
        ending = f"; a reduction by {percent:g} % is excluded" + (f", and {costs[0].clause}" if costs else "")
    elif row.word == EQUIVALENT:
        ending = "; the change lies within the margin"
    elif row.word == CANNOT_TELL:
        ending = _why_open(primary, percent)
    return f"{word}: {facts}{ending}."


def _why_open(primary: Comparison, percent: float) -> str:
    if primary.test.method == NO_TEST:
        return "; one run per arm is not enough, train at least 3 seeds"
    if primary.effect.before_mean == primary.effect.after_mean == 0:
        return "; no run made this error, so there is nothing to judge"
    return f"; a reduction by {percent:g} % is neither shown nor excluded"


def _facts(name: str, effect: Effect, unit: str) -> str:
    """The change of the endpoint with both intervals: relative where there were errors before."""
    went = f"{name} went from {effect.before_mean:.1f} to {effect.after_mean:.1f} errors per run"
    level = f"{100 * effect.confidence:.4g} % interval"
    others = f"for new {unit}"
    if effect.images_confidence != effect.confidence:
        others = f"{100 * effect.images_confidence:.4g} % interval {others}"
    if effect.relative is None:
        return (
            f"{went} ({signed(effect.per_10000)} per 10,000 {unit}, {level} {signed(effect.seeds_low)} to "
            f"{signed(effect.seeds_high)}; {others} {signed(effect.low)} to {signed(effect.high)})"
        )
    change = "" if effect.after_mean == 0 else f"{signed(100 * effect.relative)} %, "  # no bare "-100 %"
    here = _percent_range(effect.seeds_relative_low, effect.seeds_relative_high)
    new = _percent_range(effect.relative_low, effect.relative_high)
    return f"{went} ({change}{level} {here}; {others} {new})"


def _percent_range(low: float | None, high: float | None) -> str:
    ends = ("−100" if low is None else signed(100 * low), "?" if high is None else signed(100 * high))
    return f"{ends[0]} to {ends[1]} %"


def signed(value: float) -> str:
    """A number with its sign, to two digits at least, such as ``+1.4`` or ``0``."""
    digits = 0 if abs(value) >= 10 else 1
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return "0"
    return f"{'−' if value < 0 else '+'}{text}"


def _caveats(primary: Comparison, collateral: Collateral, n_seeds: int) -> tuple[str, ...]:
    effect, test = primary.effect, primary.test
    notes = []
    if test.method == NO_TEST:
        notes.append(test.reason)
    elif n_seeds < 5:
        notes.append(
            f"{n_seeds} seeds per arm: the estimate of the run-to-run variation rests partly on other cells and other "
            "networks."
        )
    if effect.before_mean == 0 or effect.after_mean == 0:
        notes.append("One arm made no such error: use the interval, not the ratio.")
    if max(effect.before_mean, effect.after_mean) < 3:
        notes.append("Fewer than 3 errors per run: only a large change can be found.")
    unsafe = [
        f"{result.name} (up to {signed(result.upper)} per 10,000)"
        for result in (collateral.other_cells, collateral.accuracy, *collateral.recall)
        if not result.safe
    ]
    if unsafe:
        notes.append(
            f"Not shown to be safe elsewhere: {', '.join(unsafe)}; the margin is {collateral.margin_per_10000:g}."
        )
    return tuple(notes)
