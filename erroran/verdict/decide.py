"""The product: one word, one sentence, and every number behind them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import (
    BoolArray,
    Cell,
    IntArray,
    cell_errors,
    check_runs,
    confusion_counts,
    metrics_from_counts,
)
from erroran.stats.dispersion import run_variation
from erroran.stats.intervals import Effect, bootstrap_interval, score_interval
from erroran.stats.multiplicity import CellChange, explore_cells
from erroran.verdict.collateral import Collateral, check_collateral
from erroran.verdict.compare import MIN_SEEDS, NO_TEST, ArmTest, Comparison, compare_arms

IMPROVED: Final = "improved"
HARMED: Final = "harmed"
EQUIVALENT: Final = "equivalent"
CANNOT_TELL: Final = "cannot tell"
_OPPOSITE = {IMPROVED: HARMED, HARMED: IMPROVED}
_MANY_SEEDS = 200


@dataclass(frozen=True)
class ClassScores:
    """Precision and recall of one class, every run, in [0, 1]."""

    name: str
    precision_before: tuple[float, ...]
    precision_after: tuple[float, ...]
    recall_before: tuple[float, ...]
    recall_after: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """What the data say about a fix, with everything needed to print it.

    Attributes:
        word: "improved", "harmed", "equivalent" or "cannot tell".
        sentence: The first line of a report, plain English.
        pair: (a, b), class indices; `pair_names` their names.
        endpoint: The primary endpoint: "forward" (a read as b), "reverse" or "sum".
        alpha: Two-sided level of the primary test.
        margin_per_10000: Collateral margin, errors per 10,000 evaluated images.
        equivalence_per_10000: Margin of "equivalent" for the endpoint, same units.
        n_images: Images evaluated.
        seeds_before: Runs before; `seeds_after` after.
        p_value: Two-sided p-value of the primary test; None where no test is valid.
        test: The primary test and why it was used.
        effect: Change of the primary endpoint with its interval.
        bootstrap: The same with the seeds x images bootstrap, a second opinion; None below 5 seeds
            an arm or without any error.
        equivalence_low: Lower end of the 1 - 2 alpha interval compared with the margin, and upper.
        forward: a read as b, before and after; `reverse` b read as a; `both` their sum.
        scores: Precision and recall of a and of b.
        collateral: Non-inferiority of everything else.
        cells: The other directed cells, exploratory, under the false discovery rate.
        run_sd: Relative sd of a run's count in a cell beyond independent images, from all cells.
        shift_sd: What the tests allow for: sd of a run's shift of a cell's border, in logits, from all other cells.
        seeds_needed: Seeds an arm to see a change of the observed size with 80 % power; None if
            that is no help (no change seen, or above 200).
        caveats: Sentences a reader must know.
    """

    word: str
    sentence: str
    pair: tuple[int, int]
    pair_names: tuple[str, str]
    endpoint: str
    alpha: float
    margin_per_10000: float
    equivalence_per_10000: float
    n_images: int
    seeds_before: int
    seeds_after: int
    p_value: float | None
    test: ArmTest
    effect: Effect
    bootstrap: Effect | None
    equivalence_low: float
    equivalence_high: float
    forward: Comparison
    reverse: Comparison
    both: Comparison
    scores: tuple[ClassScores, ClassScores]
    collateral: Collateral
    cells: tuple[CellChange, ...]
    run_sd: float
    shift_sd: float
    seeds_needed: int | None
    caveats: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None (for NaN and infinity): ready for ``json.dumps``."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain


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
    rng: np.random.Generator | None = None,
    class_names: Sequence[str] | None = None,
    fdr: float = 0.05,
) -> Verdict:
    """Judge whether a fix of the confusion "a read as b" worked.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        before: Integer (S_b, N), predictions of the runs without the fix; fresh seeds, not those
            that selected the pair.
        after: Integer (S_a, N), predictions with the fix on the same images. Runs need no pairing.
        pair: (a, b), a != b.
        n_classes: Number of classes C.
        endpoint: What the fix promised to lower: "forward" (a read as b), "reverse", or "sum".
        margin_per_10000: Growth tolerated elsewhere, errors per 10,000 evaluated images, > 0.
        equivalence_per_10000: Largest change of the endpoint that counts as none, same units. By
            default the smaller of `margin_per_10000` and a quarter of the endpoint's mean rate.
        alpha: Two-sided level, in (0, 0.5).
        rng: Generator of the bootstrap; default seed 0.
        class_names: Names for the sentence, length C; default the indices.
        fdr: Level of the exploratory cells.

    Returns:
        The `Verdict`. Its word:

        - *improved* / *harmed*: the primary endpoint changed, p < alpha (two-sided), and nothing
          contradicts it. If the pair's sum or the accuracy changed significantly *the other way*,
          the word follows them: errors that only move are no gain. If just the rest of the matrix did, the
          word is *cannot tell*; likewise if the reverse cell did, unless the pair's sum changed significantly the
          way of the endpoint: then the word stands, and the sentence says what moved.
        - *equivalent*: the 1 - 2 alpha interval lies inside the equivalence margin (two one-sided
          tests, Schuirmann 1987) and the pair's sum and the accuracy show no change.
        - *cannot tell*: everything else, and always below 2 seeds an arm, or below 5 where runs
          differ more than independent images would make them.

        Swapping the arms swaps improved and harmed.

    Raises:
        BadInput: Shapes disagree, a class is out of range, or an option is.
    """
    labels, before = check_runs(labels, before, n_classes)
    labels, after = check_runs(labels, after, n_classes)
    a, b = pair
    _check_options(pair, n_classes, endpoint, alpha, margin_per_10000)
    names = tuple(class_names or map(str, range(n_classes)))

    def errors_of(runs: IntArray) -> dict[str, BoolArray]:
        forward, reverse = cell_errors(labels, runs, (a, b)), cell_errors(labels, runs, (b, a))
        both = np.concatenate([forward, reverse], axis=1)
        return {"forward": forward, "reverse": reverse, "sum": both}

    was, now = errors_of(before), errors_of(after)
    described = {
        "forward": f"{names[a]} read as {names[b]}",
        "reverse": f"{names[b]} read as {names[a]}",
        "sum": f"{names[a]} and {names[b]} confused either way",
    }
    variation = run_variation(labels, before, after, n_classes=n_classes, skip=((a, b), (b, a)))
    cells = {
        "forward": _cell_mask(n_classes, (a, b)),
        "reverse": _cell_mask(n_classes, (b, a)),
        "sum": _cell_mask(n_classes, (a, b), (b, a)),
    }
    shifts = {key: variation.shift_of(mask) for key, mask in cells.items()}
    results = {
        key: compare_arms(name, was[key], now[key], labels.size, confidence=1 - alpha, shift_sd=shifts[key])
        for key, name in described.items()
    }
    collateral = check_collateral(
        labels,
        before,
        after,
        pair=pair,
        n_classes=n_classes,
        margin_per_10000=margin_per_10000,
        variation=variation,
        names=names,
        alpha=alpha,
    )
    primary = results[endpoint]
    margin = _equivalence_margin(primary.effect, equivalence_per_10000, margin_per_10000)
    inner = score_interval(
        was[endpoint], now[endpoint], labels.size, confidence=1 - 2 * alpha, shift_sd=shifts[endpoint]
    )
    within = -margin < inner.low and inner.high < margin
    word, why = _decide(results, endpoint, collateral, alpha, within=within)
    needed = _seeds_for_observed(was[endpoint], now[endpoint], primary, alpha)
    return Verdict(
        word=word,
        sentence=_sentence(word, why, primary, collateral, needed, len(before), len(after)),
        pair=(a, b),
        pair_names=(names[a], names[b]),
        endpoint=endpoint,
        alpha=alpha,
        margin_per_10000=margin_per_10000,
        equivalence_per_10000=margin,
        n_images=int(labels.size),
        seeds_before=len(before),
        seeds_after=len(after),
        p_value=primary.test.p_value,
        test=primary.test,
        effect=primary.effect,
        bootstrap=_second_opinion(was[endpoint], now[endpoint], labels.size, alpha, rng),
        equivalence_low=inner.low,
        equivalence_high=inner.high,
        forward=results["forward"],
        reverse=results["reverse"],
        both=results["sum"],
        scores=_scores(labels, before, after, pair, n_classes, names),
        collateral=collateral,
        cells=tuple(
            explore_cells(labels, before, after, n_classes, skip=((a, b), (b, a)), fdr=fdr, variation=variation)
        ),
        run_sd=variation.run_sd,
        shift_sd=variation.shift_sd,
        seeds_needed=needed,
        caveats=_caveats(results, endpoint, collateral, min(len(before), len(after)), alpha),
    )


def _cell_mask(n_classes: int, *cells: Cell) -> BoolArray:
    mask = np.zeros((n_classes, n_classes), dtype=bool)
    for a, b in cells:
        mask[a, b] = True
    return mask


def _decide(
    results: dict[str, Comparison],
    endpoint: str,
    collateral: Collateral,
    alpha: float,
    *,
    within: bool,
) -> tuple[str, str]:
    """The word, and a clause that explains it where the endpoint alone does not."""
    moved = {key: result.test.direction(alpha) for key, result in results.items()}
    direction = moved[endpoint]
    overall = int(collateral.accuracy.worse) - int(collateral.accuracy.better)
    rest = int(collateral.other_cells.worse) - int(collateral.other_cells.better)
    if direction == 0:
        still = moved["sum"] == 0 and overall == 0 and results[endpoint].test.method != NO_TEST
        return (EQUIVALENT, "") if within and still else (CANNOT_TELL, "")
    word = IMPROVED if direction < 0 else HARMED
    against = {"the pair's sum": moved["sum"], "accuracy": overall}
    for_it = [key for key, sign in against.items() if sign == direction]
    opposed = [key for key, sign in against.items() if sign == -direction]
    verb = "got worse" if direction < 0 else "got better"
    if opposed and not for_it:
        return _OPPOSITE[word], f"{' and '.join(opposed)} {verb}"
    if opposed:
        return CANNOT_TELL, f"{opposed[0]} {verb} while {for_it[0]} did the opposite"
    if rest == -direction:
        return CANNOT_TELL, f"the other cells {verb}"
    opposite = [key for key in ("forward", "reverse") if moved[key] == -direction]
    if opposite and moved["sum"] != direction:
        return CANNOT_TELL, "errors moved from one direction of the pair to the other"
    return word, " and ".join(_moved_clause(results[key]) for key in opposite)


def _moved_clause(result: Comparison) -> str:
    was, now = result.effect.before_mean, result.effect.after_mean
    return f"{result.name} {'rose' if now > was else 'fell'} from {was:.1f} to {now:.1f}"


def _second_opinion(
    before: BoolArray,
    after: BoolArray,
    n_images: int,
    alpha: float,
    rng: np.random.Generator | None,
) -> Effect | None:
    if min(len(before), len(after)) < 5 or not (before.any() or after.any()):
        return None
    rng = rng if rng is not None else np.random.default_rng(0)
    return bootstrap_interval(before, after, n_images, rng, confidence=1 - alpha)


def _equivalence_margin(effect: Effect, asked: float | None, collateral: float) -> float:
    if asked is not None:
        return asked
    return min(collateral, (effect.before_per_10000 + effect.after_per_10000) / 8)


def _seeds_for_observed(before: BoolArray, after: BoolArray, primary: Comparison, alpha: float) -> int | None:
    """Normal approximation: seeds an arm for 80 % power at the observed difference."""
    from scipy.stats import norm

    change = abs(primary.effect.after_mean - primary.effect.before_mean)
    arms = [runs.mean(axis=0) for runs in (before, after)]
    sizes = [len(before), len(after)]
    if change == 0 or min(sizes) < MIN_SEEDS:
        return None
    noise = [float((p * (1 - p)).sum()) * s / (s - 1) for p, s in zip(arms, sizes, strict=True)]
    spread = primary.test.overdispersion
    factor = primary.test.dispersion_ratio
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(0.8))
    needed = math.ceil(factor * sum(noise) * (z / change) ** 2)
    needed = max(needed, MIN_SEEDS + 1, 5 if spread.overdispersed else 0)
    return needed if needed <= _MANY_SEEDS else None


def _sentence(
    word: str,
    why: str,
    primary: Comparison,
    collateral: Collateral,
    needed: int | None,
    n_before: int,
    n_after: int,
) -> str:
    effect = primary.effect
    facts = (
        f"{primary.name} went from {effect.before_mean:.1f} to {effect.after_mean:.1f} errors per "
        f"run ({_signed(effect.per_10000)} per 10,000 images, {effect.confidence:.0%} interval "
        f"{_signed(effect.low)} to {_signed(effect.high)})"
    ).replace("%", " %")
    if word == EQUIVALENT:
        return f"Equivalent within the margin: {facts}."
    opening = "Cannot tell yet" if word == CANNOT_TELL else word.capitalize()
    if why and word == _plain_word(primary):
        ending = f", though {why}"
        if not collateral.safe:
            ending += "; harm elsewhere is not ruled out"
    elif why:
        ending = f", but {why}"
    elif word != CANNOT_TELL and collateral.safe:
        ending = "; nothing else got worse by more than the margin"
    elif word != CANNOT_TELL:
        ending = "; harm elsewhere is not ruled out"
    else:
        ending = _what_would_tell(primary, needed, min(n_before, n_after))
    return f"{opening}: {facts}{ending}."


def _plain_word(primary: Comparison) -> str:
    """What the endpoint says by itself."""
    return IMPROVED if primary.effect.after_mean < primary.effect.before_mean else HARMED


def _what_would_tell(primary: Comparison, needed: int | None, n_seeds: int) -> str:
    if n_seeds < MIN_SEEDS:
        return "; one run an arm cannot tell, train at least 3 seeds"
    if primary.test.method == NO_TEST and (needed is None or needed <= 5):
        return "; the runs differ too much among themselves, train at least 5 seeds"
    if primary.effect.before_mean == primary.effect.after_mean == 0:
        return "; no run made this error, so there is nothing to judge"
    if needed is None:
        return "; more seeds alone would hardly settle a change this small"
    return f"; about {needed} seeds an arm would be needed to see a change of this size"


def _signed(value: float) -> str:
    digits = 0 if abs(value) >= 10 else 1
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return "0"
    return f"{'−' if value < 0 else '+'}{text}"


def _caveats(
    results: dict[str, Comparison], endpoint: str, collateral: Collateral, n_seeds: int, alpha: float
) -> tuple[str, ...]:
    primary = results[endpoint]
    notes = []
    if n_seeds < 5:
        notes.append(
            f"{n_seeds} seed{'s' * (n_seeds > 1)} an arm: the overdispersion check is weak, and no "
            "shuffle of runs reaches p < 0.05."
        )
    if primary.test.method == NO_TEST:
        notes.append(primary.test.reason)
    effect = primary.effect
    if primary.test.p_value is not None and primary.test.p_value < alpha and effect.low < 0 < effect.high:
        notes.append(
            "The interval includes 0 although the test does not: the test speaks about these "
            "images, the interval about new ones."
        )
    if primary.effect.before_mean == 0 or primary.effect.after_mean == 0:
        notes.append("An arm made no such error at all: the interval, not the ratio, says how rare it is.")
    if max(primary.effect.before_mean, primary.effect.after_mean) < 3:
        notes.append("Fewer than 3 errors per run: only a large change can show.")
    if not collateral.safe:
        notes.append(
            "Not shown to be safe elsewhere: "
            + ", ".join(
                f"{result.name} (up to {_signed(result.upper)} per 10,000)"
                for result in (collateral.other_cells, collateral.accuracy, *collateral.recall)
                if not result.safe
            )
            + f"; the margin is {collateral.margin_per_10000:g}."
        )
    return tuple(notes)


def _scores(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    pair: Cell,
    n_classes: int,
    names: tuple[str, ...],
) -> tuple[ClassScores, ClassScores]:
    arms = [
        [metrics_from_counts(counts) for counts in confusion_counts(labels, runs, n_classes)]
        for runs in (before, after)
    ]

    def of(index: int) -> ClassScores:
        return ClassScores(
            names[index],
            *(
                tuple(float(getattr(run, metric)[index]) for run in arm)
                for metric in ("precision", "recall")
                for arm in arms
            ),
        )

    return of(pair[0]), of(pair[1])


def _check_options(pair: Cell, n_classes: int, endpoint: str, alpha: float, margin: float) -> None:
    a, b = pair
    if a == b or not (0 <= a < n_classes and 0 <= b < n_classes):
        raise BadInput(
            f"a pair needs two different classes in 0..{n_classes - 1}; got {a} and {b}",
            fix="name the class and the one it is read as, such as 4to9",
        )
    if endpoint not in ("forward", "reverse", "sum"):
        raise BadInput(f"unknown endpoint {endpoint!r}", fix="choose one of forward, reverse, sum")
    if not 0 < alpha < 0.5 or margin <= 0:
        raise BadInput(
            f"alpha must lie in (0, 0.5) and the margin above 0; got {alpha} and {margin}",
            fix="use alpha 0.05 and a margin such as 10 errors per 10,000 images",
        )


def _plain(value: object) -> object:
    """Tuples to lists, NumPy scalars to Python's, NaN and infinity to None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
