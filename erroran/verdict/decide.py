"""The verdict: one word, one sentence, and the numbers that they are based on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from erroran.errors import BadInput
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.experiment.hypothesis import Hypothesis
from erroran.stats.confusion import IntArray, cell_mask, check_runs
from erroran.stats.dispersion import count_variance
from erroran.stats.multiplicity import CellChange
from erroran.verdict.collateral import Collateral, check_collateral
from erroran.verdict.compare import MIN_SEEDS, NO_TEST, ArmComparison, Comparison, PairComparison

IMPROVED: Final = "improved"
HARMED: Final = "harmed"
EQUIVALENT: Final = "equivalent"
CANNOT_TELL: Final = "cannot tell"
_OPPOSITE = {IMPROVED: HARMED, HARMED: IMPROVED}
MOST_SEEDS: Final = 200
"""Seeds per arm above which a sentence names no number; a choice of display."""


@dataclass(frozen=True, kw_only=True)
class Verdict(PairComparison):
    """The verdict on a treatment.

    Attributes:
        word: "improved", "harmed", "equivalent" or "cannot tell".
        sentence: The word and its main numbers: the first line of a report.
        pair: (a, b), class indices; `pair_names` their names.
        alpha: Two-sided level of the primary test.
        margin_per_10000: Collateral margin, errors per 10,000 evaluated images.
        equivalence_per_10000: Margin of "equivalent" for the endpoint, same units.
        equivalence_low: Lower end of the 1 - 2 alpha interval compared with the margin; `equivalence_high` the upper.
        collateral: Non-inferiority of everything else.
        cells: The other directed cells, exploratory, under the false discovery rate.
        logit_sd: Run-to-run variation that the tests are corrected for, in logits, from all other cells.
        seeds_needed: Seeds per arm for 80 % power at a change of the observed size; None if no change was observed, or
            above `MOST_SEEDS`.
        caveats: Limits of the verdict, in sentences.
    """

    word: str
    sentence: str
    pair: Cell
    pair_names: tuple[str, str]
    alpha: float
    margin_per_10000: float
    equivalence_per_10000: float
    equivalence_low: float
    equivalence_high: float
    collateral: Collateral
    cells: tuple[CellChange, ...]
    logit_sd: float
    seeds_needed: int | None
    caveats: tuple[str, ...]


def judge(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    *,
    pair: Cell,
    n_classes: int,
    endpoint: Endpoint = Endpoint.FORWARD,
    margin_per_10000: float = 10.0,
    equivalence_per_10000: float | None = None,
    alpha: float = 0.05,
    class_names: Sequence[str] | None = None,
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
        margin_per_10000: Growth tolerated elsewhere, errors per 10,000 evaluated images, > 0.
        equivalence_per_10000: Largest change of the endpoint that counts as none, same units; by default the smaller
            of `margin_per_10000` and a quarter of the endpoint's mean rate.
        alpha: Two-sided level, in (0, 0.5).
        class_names: Names for the sentence, length C; default the indices.

    Returns:
        The `Verdict`. Its word:

        - *improved* / *harmed*: the primary endpoint changed, p < alpha (two-sided). If the pair's sum or the accuracy
          changed significantly in the other direction, the word follows them. If only the other cells did, or only the
          reverse cell while the pair's sum did not change as the endpoint, the word is *cannot tell*.
        - *equivalent*: the 1 - 2 alpha interval lies inside the equivalence margin (two one-sided
          tests, Schuirmann 1987) and the pair's sum and the accuracy show no change.
        - *cannot tell*: everything else, and always below 2 seeds per arm.

        Swapping the arms swaps improved and harmed.

    Raises:
        BadInput: Shapes disagree, a class is out of range, or alpha is.
    """
    if not 0 < alpha < 0.5:
        raise BadInput(f"alpha must lie in (0, 0.5); got {alpha}", fix="use alpha 0.05")
    labels, before = check_runs(labels, before, n_classes)
    labels, after = check_runs(labels, after, n_classes)
    names = tuple(class_names or map(str, range(n_classes)))
    arms = ArmComparison(labels, before, after, names, skip=Endpoint.SUM.cells(pair))
    compared = arms.pair(pair, endpoint, confidence=1 - alpha)
    primary = compared.primary
    inner = arms.endpoint(endpoint, pair, confidence=1 - 2 * alpha).effect
    margin = equivalence_per_10000
    if margin is None:
        margin = min(margin_per_10000, (primary.effect.before_per_10000 + primary.effect.after_per_10000) / 8)
    collateral = check_collateral(arms, pair, margin_per_10000=margin_per_10000, alpha=alpha)
    within = -margin < inner.low and inner.high < margin
    word, why = _decide(compared, collateral, alpha, within=within)
    needed = _seeds_for_observed(arms, endpoint, pair, primary, alpha)
    fewest = min(len(before), len(after))
    return Verdict(
        **vars(compared),
        word=word,
        sentence=_sentence(word, why, primary, collateral, needed, fewest),
        pair=pair,
        pair_names=(names[pair[0]], names[pair[1]]),
        alpha=alpha,
        margin_per_10000=margin_per_10000,
        equivalence_per_10000=margin,
        equivalence_low=inner.low,
        equivalence_high=inner.high,
        collateral=collateral,
        cells=tuple(arms.single_cells()),
        logit_sd=arms.variation.logit_sd,
        seeds_needed=needed,
        caveats=_caveats(primary, collateral, fewest, alpha),
    )


def judge_hypothesis(
    hypothesis: Hypothesis, labels: IntArray, before: IntArray, after: IntArray, class_names: Sequence[str]
) -> Verdict:
    """`judge` with the pair, the endpoint and the margins of a hypothesis."""
    return judge(
        labels,
        before,
        after,
        pair=hypothesis.pair.indices(class_names),
        n_classes=len(class_names),
        endpoint=hypothesis.primary,
        margin_per_10000=hypothesis.margin_per_10000,
        equivalence_per_10000=hypothesis.equivalence_per_10000,
        class_names=class_names,
    )


def _decide(compared: PairComparison, collateral: Collateral, alpha: float, *, within: bool) -> tuple[str, str]:
    """The word, and a clause that explains it where the endpoint alone does not."""
    direction = compared.primary.test.direction(alpha)
    pair_sum = compared.both.test.direction(alpha)
    overall = int(collateral.accuracy.worse) - int(collateral.accuracy.better)
    rest = int(collateral.other_cells.worse) - int(collateral.other_cells.better)
    if direction == 0:
        still = pair_sum == overall == 0 and compared.primary.test.method != NO_TEST
        return (EQUIVALENT, "") if within and still else (CANNOT_TELL, "")
    word = IMPROVED if direction < 0 else HARMED
    against = {"the pair's sum": pair_sum, "accuracy": overall}
    for_it = [key for key, sign in against.items() if sign == direction]
    opposed = [key for key, sign in against.items() if sign == -direction]
    verb = "got worse" if direction < 0 else "got better"
    if opposed and not for_it:
        return _OPPOSITE[word], f"{' and '.join(opposed)} {verb}"
    if opposed:
        return CANNOT_TELL, f"{opposed[0]} {verb} while {for_it[0]} did the opposite"
    if rest == -direction:
        return CANNOT_TELL, f"the other cells {verb}"
    opposite = [side for side in (compared.forward, compared.reverse) if side.test.direction(alpha) == -direction]
    if opposite and pair_sum != direction:
        return CANNOT_TELL, "errors moved from one direction of the pair to the other"
    return word, " and ".join(map(_moved_clause, opposite))


def _moved_clause(result: Comparison) -> str:
    was, now = result.effect.before_mean, result.effect.after_mean
    return f"{result.name} {'rose' if now > was else 'fell'} from {was:.1f} to {now:.1f}"


def _seeds_for_observed(
    arms: ArmComparison, endpoint: Endpoint, pair: Cell, primary: Comparison, alpha: float
) -> int | None:
    """Normal approximation: seeds per arm for 80 % power at the observed difference."""
    from scipy.stats import norm

    change = abs(primary.effect.after_mean - primary.effect.before_mean)
    if change == 0 or primary.test.method == NO_TEST:
        return None
    counted = cell_mask(len(arms.class_names), endpoint.cells(pair))
    noise = sum(count_variance(errors).expected for errors in arms.errors(counted))
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(0.8))
    needed = max(MIN_SEEDS + 1, math.ceil(primary.test.variance_ratio * noise * (z / change) ** 2))
    return needed if needed <= MOST_SEEDS else None


def _sentence(
    word: str, why: str, primary: Comparison, collateral: Collateral, needed: int | None, n_seeds: int
) -> str:
    effect = primary.effect
    facts = (
        f"{primary.name} went from {effect.before_mean:.1f} to {effect.after_mean:.1f} errors per "
        f"run ({_signed(effect.per_10000)} per 10,000 images, {effect.confidence:.0%} interval "
        f"{_signed(effect.low)} to {_signed(effect.high)})"
    ).replace("%", " %")
    if word == EQUIVALENT:
        return f"Equivalent within the margin: {facts}."
    elsewhere = "harm elsewhere is not ruled out"
    if why:
        by_itself = IMPROVED if effect.after_mean < effect.before_mean else HARMED
        ending = f", though {why}" if word == by_itself else f", but {why}"
        ending += f"; {elsewhere}" if word == by_itself and not collateral.safe else ""
    elif word == CANNOT_TELL:
        ending = _what_would_tell(primary, needed, n_seeds)
    elif collateral.safe:
        ending = "; nothing else got worse by more than the margin"
    else:
        ending = f"; {elsewhere}"
    return f"{'Cannot tell yet' if word == CANNOT_TELL else word.capitalize()}: {facts}{ending}."


def _what_would_tell(primary: Comparison, needed: int | None, n_seeds: int) -> str:
    if n_seeds < MIN_SEEDS:
        return "; one run per arm is not enough, train at least 3 seeds"
    if primary.effect.before_mean == primary.effect.after_mean == 0:
        return "; no run made this error, so there is nothing to judge"
    if needed is None:
        return f"; more than {MOST_SEEDS} seeds per arm would be needed to see a change this small"
    return f"; about {needed} seeds per arm would be needed to see a change of this size"


def _signed(value: float) -> str:
    digits = 0 if abs(value) >= 10 else 1
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return "0"
    return f"{'−' if value < 0 else '+'}{text}"


def _caveats(primary: Comparison, collateral: Collateral, n_seeds: int, alpha: float) -> tuple[str, ...]:
    effect, test = primary.effect, primary.test
    notes = []
    if test.method == NO_TEST:
        notes.append(test.reason)
    elif n_seeds < 5:
        notes.append(
            f"{n_seeds} seeds per arm: the estimate of the run-to-run variation comes mostly from other networks, not "
            "from these runs."
        )
    if test.p_value is not None and test.p_value < alpha and effect.low < 0 < effect.high:
        notes.append(
            "The interval includes 0 although the test is significant: the test is about these images, the interval "
            "about new ones."
        )
    if effect.before_mean == 0 or effect.after_mean == 0:
        notes.append("One arm made no such error: use the interval, not the ratio.")
    if max(effect.before_mean, effect.after_mean) < 3:
        notes.append("Fewer than 3 errors per run: only a large change can be found.")
    unsafe = [
        f"{result.name} (up to {_signed(result.upper)} per 10,000)"
        for result in (collateral.other_cells, collateral.accuracy, *collateral.recall)
        if not result.safe
    ]
    if unsafe:
        notes.append(
            f"Not shown to be safe elsewhere: {', '.join(unsafe)}; the margin is {collateral.margin_per_10000:g}."
        )
    return tuple(notes)
