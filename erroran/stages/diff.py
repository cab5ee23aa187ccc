"""The verdict on two sets of prediction files, from any framework: no training, no TensorFlow."""

import difflib
import math
from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

import numpy as np
from pydantic import ConfigDict, Field, InstanceOf

from erroran.errors import BadInput
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.experiment.pair import Pair
from erroran.predictions import Pattern, PredictionSet, read_arms
from erroran.results import Result
from erroran.stats.confusion import accuracy, cell_errors
from erroran.stats.consistency import SUSPECTED_MISLABEL, classify_images, rank_pairs
from erroran.stats.intervals import Effect
from erroran.stats.multiplicity import CellChange
from erroran.stats.significance import mcnemar
from erroran.verdict.advice import advise
from erroran.verdict.collateral import Collateral
from erroran.verdict.compare import Comparison
from erroran.verdict.decide import MARGIN_PER_10000, WORTHWHILE_PERCENT, Verdict, judge
from erroran.verdict.table import WORDS

PairName = str | Pair | Sequence[object]
_CHOSEN = (
    "Exploratory: the pair was chosen as the worst of the runs before and judged on the same samples; such a pair "
    "looks better next time even if nothing was changed. Confirm it with --pair on fresh runs before."
)
# Two runs may make the same few errors by chance, but not the same dozens.
_ERRORS_OF_CHANCE = 20


class DiffOptions(TypedDict, total=False):
    """Options of every form of `diff`.

    Attributes:
        pair: ``"4:9"`` or ``(4, 9)`` for 4 predicted as 9, by class names. Without it the worst confusion before is
            taken, and the result is exploratory.
        endpoint: What the fix should reduce: ``forward`` (default), ``reverse`` or ``sum``.
        worthwhile_percent: The smallest reduction of the endpoint that is worth having, in (0, 100); default 50.
        margin_per_10000: Largest tolerated increase of other errors, per 10,000 evaluated samples, > 0; default 10.
        alpha: Two-sided level, in (0, 0.5); default 0.05.
    """

    pair: PairName | None
    endpoint: str
    worthwhile_percent: float
    margin_per_10000: float
    alpha: float


class UsedTest(Result):
    """The test behind the p-value, and why it was used."""

    name: str
    reason: str


class TwoRuns(Result):
    """One run against one run: samples that only one of them gets wrong, and McNemar's test."""

    wrong_before_only: int
    wrong_after_only: int
    p_exact: float
    p_midp: float


class ComparedErrors(Result):
    """One kind of error in both arms: errors of each run, the change, its p-value (None without a test)."""

    name: str
    before_per_seed: tuple[int, ...]
    after_per_seed: tuple[int, ...]
    effect: InstanceOf[Effect]
    p_value: float | None
    test: str


class ChangedCell(Result):
    """A cell outside the pair that changed, under a false discovery rate of 5 %."""

    pair: str
    before_mean: float
    after_mean: float
    p_value: float
    q_value: float


class DiffResult(Result):
    """A verdict on predictions, with the numbers behind it. `to_json` gives these fields as plain data.

    Rates are in errors per 10,000 evaluated samples; changes are after minus before; arms are ``before`` and ``after``.

    Attributes:
        word: One of `erroran.verdict.table.WORDS`; in JSON ``verdict``.
        sentence: The verdict in plain English, marked if it is exploratory.
        advice: What to do; empty if nothing is advised.
        pair: ``4:9`` for 4 predicted as 9.
        endpoint: What the fix should reduce: ``forward``, ``reverse`` or ``sum``.
        exploratory: Whether the pair was chosen on the runs before: a drop is then expected from the choice alone.
        effect: Change of the endpoint.
        p_value: Two-sided p-value of the endpoint; McNemar's mid-p for one run against one run; None without a test.
        used_test: The test behind it; in JSON ``test``.
        seeds: Number of runs of each arm.
        seeds_needed: Runs per arm in all that would decide; see `verdict.advice.Advice`.
        samples: Samples evaluated.
        classes: Number of classes.
        forward: Errors from the true to the predicted class; `reverse` the other way; `both` together (in JSON
            ``sum``).
        accuracy: Accuracy of each run of each arm, in [0, 1].
        collateral: Non-inferiority of everything else.
        other_cells_found: Cells outside the pair that changed.
        bootstrap: Always None: a statistic of earlier versions.
        mcnemar: One run against one run; else None.
        alpha: Two-sided level.
        worthwhile_percent: The smallest reduction of the endpoint that is worth having.
        margin_per_10000: Largest tolerated increase of other errors.
        equivalence_per_10000: Margin of "equivalent" for the endpoint.
        caveats: Limits of the verdict, one sentence each.
        files: Names of the runs of each arm.
        verdict: The verdict with all its numbers; `before` and `after` are the predictions. None of the three is in
            the JSON.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    word: str = Field(serialization_alias="verdict")
    sentence: str
    advice: str = ""
    pair: str
    endpoint: Endpoint
    exploratory: bool
    effect: InstanceOf[Effect]
    p_value: float | None
    used_test: UsedTest = Field(serialization_alias="test")
    seeds: dict[str, int]
    seeds_needed: int | None
    samples: int
    classes: int
    forward: ComparedErrors
    reverse: ComparedErrors
    both: ComparedErrors = Field(serialization_alias="sum")
    accuracy: dict[str, list[float]]
    collateral: InstanceOf[Collateral]
    other_cells_found: tuple[ChangedCell, ...]
    bootstrap: None = None
    mcnemar: TwoRuns | None
    alpha: float
    worthwhile_percent: float
    margin_per_10000: float
    equivalence_per_10000: float
    caveats: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    verdict: InstanceOf[Verdict] = Field(exclude=True)
    before: InstanceOf[PredictionSet] = Field(exclude=True)
    after: InstanceOf[PredictionSet] = Field(exclude=True)

    @property
    def test(self) -> str:
        """Name of the test behind `p_value`."""
        return self.used_test.name

    def lines(self) -> list[str]:
        """The verdict for a terminal or a log: the sentence first, plain text."""
        from erroran.report.diff import diff_lines

        return diff_lines(self)

    def __repr__(self) -> str:
        return f"<DiffResult {self.pair}: {self.sentence}>"

    __str__ = __repr__


def diff_predictions(
    before: Pattern | Sequence[Pattern], after: Pattern | Sequence[Pattern], **options: Unpack[DiffOptions]
) -> DiffResult:
    """Judge prediction files, one run per file, given as paths or patterns. Options and errors as in `erroran.diff`."""
    return diff_sets(*read_arms(before, after), **options)


def diff_sets(
    before: PredictionSet,
    after: PredictionSet,
    *,
    pair: PairName | None = None,
    endpoint: str = "forward",
    worthwhile_percent: float = WORTHWHILE_PERCENT,
    margin_per_10000: float = MARGIN_PER_10000,
    alpha: float = 0.05,
) -> DiffResult:
    """Judge two arms that are aligned already. Options and errors as in `erroran.diff`."""
    if not (math.isfinite(margin_per_10000) and margin_per_10000 > 0):
        raise BadInput(f"--margin {margin_per_10000:g} is not a finite number above 0.", fix="--margin 10")
    if endpoint not in list(Endpoint):
        raise BadInput(f"--endpoint {endpoint} is not known.", fix=_hint(endpoint, list(Endpoint)))
    names, arms = before.class_names, {"before": before, "after": after}
    cell = choose_pair(before) if pair is None else Pair.parse(pair, names).indices(names)
    verdict = judge(
        before.labels,
        before.predicted,
        after.predicted,
        pair=cell,
        n_classes=len(names),
        endpoint=Endpoint(endpoint),
        worthwhile_percent=worthwhile_percent,
        margin_per_10000=margin_per_10000,
        alpha=alpha,
        class_names=names,
        unit="samples",
    )
    advice = advise(verdict, before.labels, before.predicted, after.predicted, unit="samples")
    single = len(before.predicted) == len(after.predicted) == 1
    two_runs = _compare_two_runs(before, after, verdict.endpoint.cells(cell)) if single else None
    return DiffResult(
        word=verdict.word,
        sentence=f"Exploratory: {verdict.sentence}" if pair is None else verdict.sentence,
        pair=":".join(verdict.pair_names),
        endpoint=verdict.endpoint,
        exploratory=pair is None,
        effect=verdict.primary.effect,
        p_value=two_runs.p_midp if two_runs else verdict.primary.test.p_value,
        used_test=_used_test(verdict, two_runs),
        seeds={name: len(arm.predicted) for name, arm in arms.items()},
        seeds_needed=advice.seeds,
        advice=advice.line,
        samples=len(before.labels),
        classes=len(names),
        forward=_compared(verdict.forward),
        reverse=_compared(verdict.reverse),
        both=_compared(verdict.both),
        accuracy={name: accuracy(arm.labels, arm.predicted).tolist() for name, arm in arms.items()},
        collateral=verdict.collateral,
        other_cells_found=tuple(_changed(cell, names) for cell in verdict.cells if cell.found),
        mcnemar=two_runs,
        alpha=verdict.alpha,
        worthwhile_percent=verdict.worthwhile_percent,
        margin_per_10000=verdict.margin_per_10000,
        equivalence_per_10000=verdict.equivalence_per_10000,
        caveats=(*([_CHOSEN] if pair is None else []), *verdict.caveats, *_copies(before, after)),
        files={name: arm.files for name, arm in arms.items()},
        verdict=verdict,
        before=before,
        after=after,
    )


def choose_pair(predictions: PredictionSet) -> tuple[int, int]:
    """The most systematic confusion, as class indices.

    Raises:
        BadInput: No run makes any error.
    """
    runs = predictions.labels, predictions.predicted, len(predictions.class_names)
    suspected = classify_images(*runs, predictions.probabilities).kind == SUSPECTED_MISLABEL
    ranked = rank_pairs(*runs, suspected=suspected)
    if not ranked:
        raise BadInput(
            "No run before makes any error, so there is no pair to choose.", fix="name one, as in --pair 4:9"
        )
    return ranked[0].pair


def parse_words(words: Sequence[str]) -> set[str]:
    """Verdict words from options: each may be a comma list; ``cannot-tell`` is ``cannot tell``.

    Raises:
        BadInput: Not a verdict word.
    """
    asked = set()
    for part in ",".join(words).split(",") if words else ():
        word = " ".join(part.replace("-", " ").replace("_", " ").lower().split())
        if word not in WORDS:
            raise BadInput(f"--fail-on {part.strip() or '(empty)'} is not a verdict.", fix=_hint(word, WORDS))
        asked.add(word)
    return asked


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}"


def _compare_two_runs(before: PredictionSet, after: PredictionSet, cells: Sequence[Cell]) -> TwoRuns:
    was, now = (
        np.concatenate([cell_errors(arm.labels, arm.predicted, cell)[0] for cell in cells]) for arm in (before, after)
    )
    found = mcnemar(int((was & ~now).sum()), int((now & ~was).sum()))
    return TwoRuns(
        wrong_before_only=found.before_only,
        wrong_after_only=found.after_only,
        p_exact=found.p_exact,
        p_midp=found.p_midp,
    )


def _used_test(verdict: Verdict, two_runs: TwoRuns | None) -> UsedTest:
    if two_runs is None:
        reason = _of_samples(verdict.primary.test.reason)
        return UsedTest(name=_of_samples(verdict.primary.test.method), reason=reason)
    reason = (
        f"{two_runs.wrong_before_only} samples wrong only before, {two_runs.wrong_after_only} only after: "
        "it compares these two runs, not what a new seed would give."
    )
    return UsedTest(name="McNemar mid-p", reason=reason)


def _of_samples(text: str) -> str:
    """A text of a test, which names no class, about samples: prediction files need not be about images."""
    return text.replace("images", "samples").replace("image", "sample")


def _compared(comparison: Comparison) -> ComparedErrors:
    test = comparison.test
    return ComparedErrors(**{**vars(comparison), "test": _of_samples(test.method), "p_value": test.p_value})


def _changed(change: CellChange, names: Sequence[str]) -> ChangedCell:
    values = {name: value for name, value in vars(change).items() if name in ChangedCell.model_fields}
    return ChangedCell(pair=":".join(names[label] for label in change.cell), **values)


def _copies(before: PredictionSet, after: PredictionSet) -> Iterator[str]:
    """A caveat for each file that has the same predictions as an earlier one: a copied file is not another seed."""
    seen: dict[bytes, str] = {}
    for file, predicted in zip((*before.files, *after.files), (*before.predicted, *after.predicted), strict=True):
        if (predicted != before.labels).sum() >= _ERRORS_OF_CHANCE:
            first = seen.setdefault(predicted.tobytes(), file)
            if first != file:
                yield f"{file} and {first} make exactly the same errors; a copied run is no second seed."
