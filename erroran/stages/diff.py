"""The verdict on two sets of prediction files, from any framework: no training, no TensorFlow."""

import difflib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput, NotFound
from erroran.experiment.endpoint import Endpoint
from erroran.predictions import Pattern, PredictionSet, read_arms
from erroran.stats.confusion import accuracy, cell_errors
from erroran.stats.consistency import rank_pairs
from erroran.stats.significance import McNemarResult, mcnemar
from erroran.verdict.collateral import NonInferiority
from erroran.verdict.compare import Comparison
from erroran.verdict.decide import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED, Verdict, judge

WORDS: Final = (IMPROVED, HARMED, EQUIVALENT, CANNOT_TELL)
MARGIN_PER_10000: Final = 10.0
_MAX_LISTED = 10
# Two runs may well make the same few errors; not the same dozens.
_ERRORS_OF_CHANCE = 20


@dataclass(frozen=True, eq=False)
class DiffResult:
    """A verdict on predictions, and how it came about.

    Attributes:
        verdict: The word and the numbers.
        before: The runs without the fix; `after` those with it.
        exploratory: Whether the pair was chosen on the runs before, so that some fall is expected
            from the choice alone.
        mcnemar: One run against one run: these two compared on the endpoint; else None.
        caveats: Sentences a reader must know.
    """

    verdict: Verdict
    before: PredictionSet
    after: PredictionSet
    exploratory: bool
    mcnemar: McNemarResult | None
    caveats: tuple[str, ...]

    @property
    def word(self) -> str:
        """``improved``, ``harmed``, ``equivalent`` or ``cannot tell``."""
        return self.verdict.word

    @property
    def sentence(self) -> str:
        """The verdict in plain English, marked if it is exploratory."""
        return f"Exploratory: {self.verdict.sentence}" if self.exploratory else self.verdict.sentence

    @property
    def pair(self) -> str:
        """The pair as it is typed: ``4:9``, 4 read as 9."""
        return ":".join(self.verdict.pair_names)

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value of the endpoint; McNemar's mid-p for one run against one run."""
        return self.verdict.p_value if self.mcnemar is None else self.mcnemar.p_midp

    @property
    def test(self) -> str:
        """Name of the test behind `p_value`."""
        return self.verdict.test.method if self.mcnemar is None else "McNemar mid-p"

    def to_json(self) -> dict[str, Any]:
        """Everything as plain dicts, lists, strings, finite numbers, booleans and None.

        Rates are in errors per 10,000 evaluated samples; changes are after minus before.
        """
        plain = self.verdict.to_dict()
        return {
            "verdict": self.word,
            "sentence": self.sentence,
            "pair": self.pair,
            "endpoint": self.verdict.endpoint,
            "exploratory": self.exploratory,
            "effect": plain["effect"],
            "p_value": _finite(self.p_value),
            "test": {"name": self.test, "reason": self._test_reason()},
            "seeds": {"before": self.verdict.seeds_before, "after": self.verdict.seeds_after},
            "seeds_needed": plain["seeds_needed"],
            "samples": self.verdict.n_images,
            "classes": len(self.before.class_names),
            "forward": _comparison_json(self.verdict.forward, plain["forward"]),
            "reverse": _comparison_json(self.verdict.reverse, plain["reverse"]),
            "sum": _comparison_json(self.verdict.both, plain["both"]),
            "accuracy": {arm: list(values) for arm, values in self._accuracies().items()},
            "collateral": plain["collateral"],
            "other_cells_found": list(self._found_cells()),
            "bootstrap": None,
            "mcnemar": self._mcnemar_json(),
            "alpha": self.verdict.alpha,
            "margin_per_10000": self.verdict.margin_per_10000,
            "equivalence_per_10000": self.verdict.equivalence_per_10000,
            "caveats": list(self.caveats),
            "files": {"before": list(self.before.files), "after": list(self.after.files)},
        }

    def lines(self) -> list[str]:
        """The verdict for a terminal or a log: the sentence first, plain text, no markup."""
        rows = [
            ("errors per run", "before", "after"),
            *(
                (result.name, _counts(result.before_per_seed), _counts(result.after_per_seed))
                for result in (self.verdict.forward, self.verdict.reverse, self.verdict.both)
            ),
            ("accuracy, %", *map(_percents, self._accuracies().values())),
        ]
        return [
            self.sentence,
            "",
            *_columns(rows),
            "",
            self._collateral_line(),
            *self._found_lines(),
            self._test_line(),
            *(f"caveat: {caveat}" for caveat in self.caveats),
        ]

    def _accuracies(self) -> dict[str, list[float]]:
        return {
            "before": accuracy(self.before.labels, self.before.predicted).tolist(),
            "after": accuracy(self.after.labels, self.after.predicted).tolist(),
        }

    def _test_reason(self) -> str:
        if self.mcnemar is None:
            return self.verdict.test.reason
        return (
            f"{self.mcnemar.before_only} samples wrong only before, {self.mcnemar.after_only} only after: "
            "it compares these two runs, not what a new seed would give."
        )

    def _mcnemar_json(self) -> dict[str, Any] | None:
        if self.mcnemar is None:
            return None
        return {
            "wrong_before_only": self.mcnemar.before_only,
            "wrong_after_only": self.mcnemar.after_only,
            "p_exact": self.mcnemar.p_exact,
            "p_midp": self.mcnemar.p_midp,
        }

    def _found_cells(self) -> Iterator[dict[str, Any]]:
        names = self.before.class_names
        for cell in self.verdict.cells:
            if cell.found:
                yield {
                    "pair": f"{names[cell.cell[0]]}:{names[cell.cell[1]]}",
                    "before_mean": cell.before_mean,
                    "after_mean": cell.after_mean,
                    "p_value": cell.p_value,
                    "q_value": cell.q_value,
                }

    def _found_lines(self) -> list[str]:
        found = list(self._found_cells())
        if not found:
            return ["other cells: none changed (false discovery rate 5 %)"]
        told = [f"{cell['pair']} {cell['before_mean']:.1f} to {cell['after_mean']:.1f}" for cell in found]
        more = f", and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
        return [f"other cells that changed (false discovery rate 5 %): {', '.join(told[:_MAX_LISTED])}{more}"]

    def _collateral_line(self) -> str:
        collateral = self.verdict.collateral
        parts = (collateral.other_cells, collateral.accuracy, *collateral.recall)
        told = [_bound(part) for part in parts[:2]]
        unsafe = sum(not part.safe for part in parts)
        state = "safe" if collateral.safe else f"not shown safe in {unsafe} of {len(parts)} respects"
        worse = "; something got worse" if collateral.worse else ""
        margin = f"margin {collateral.margin_per_10000:g} errors per 10,000"
        return f"collateral: {state} ({margin}): {', '.join(told)}{worse}"

    def _test_line(self) -> str:
        p_value = "no p-value" if self.p_value is None else f"p = {self.p_value:.3g}"
        return f"test: {self.test}, {p_value}. {self._test_reason()}"


def diff_predictions(
    before: Pattern | Sequence[Pattern],
    after: Pattern | Sequence[Pattern],
    *,
    pair: str | None = None,
    endpoint: str = "forward",
    margin_per_10000: float = MARGIN_PER_10000,
    alpha: float = 0.05,
) -> DiffResult:
    """Judge prediction files: was the confusion of a pair reduced, and at what price?

    Args:
        before: Paths or glob patterns of the runs without the fix, one run a file.
        after: The same with the fix, on the same samples.
        pair: ``"4:9"`` for 4 read as 9, by class names. Without it the most systematic confusion of the
            runs before is taken, and the result is exploratory.
        endpoint: What was to fall: ``forward``, ``reverse`` or ``sum``.
        margin_per_10000: Growth tolerated elsewhere, errors per 10,000 evaluated samples, > 0.
        alpha: Two-sided level, in (0, 0.5).

    Raises:
        DatasetError: A file cannot be used, or files disagree.
        NotFound: The pair names a class that is not there.
        BadInput: An option is out of range, or there is no pair to choose.
    """
    _check_endpoint(endpoint)
    arms = read_arms(before, after)
    return diff_sets(*arms, pair=pair, endpoint=endpoint, margin_per_10000=margin_per_10000, alpha=alpha)


def diff_sets(
    before: PredictionSet,
    after: PredictionSet,
    *,
    pair: str | None = None,
    endpoint: str = "forward",
    margin_per_10000: float = MARGIN_PER_10000,
    alpha: float = 0.05,
) -> DiffResult:
    """Judge two arms that are lined up already; options and errors as in `diff_predictions`."""
    names = before.class_names
    cell = choose_pair(before) if pair is None else parse_pair(pair, names)
    verdict = judge(
        before.labels,
        before.predicted,
        after.predicted,
        pair=cell,
        n_classes=len(names),
        endpoint=_check_endpoint(endpoint),
        margin_per_10000=margin_per_10000,
        alpha=alpha,
        class_names=names,
    )
    single = len(before.predicted) == len(after.predicted) == 1
    return DiffResult(
        verdict=verdict,
        before=before,
        after=after,
        exploratory=pair is None,
        mcnemar=_compare_two_runs(before, after, cell, endpoint) if single else None,
        caveats=(*_choice_caveat(pair), *verdict.caveats, *_copies(before, after)),
    )


def choose_pair(predictions: PredictionSet) -> tuple[int, int]:
    """The most systematic confusion, as class indices.

    Raises:
        BadInput: No run makes any error.
    """
    ranked = rank_pairs(predictions.labels, predictions.predicted, len(predictions.class_names))
    if not ranked:
        raise BadInput(
            "No run before makes any error, so there is no pair to choose.", fix="name one, as in --pair 4:9"
        )
    return ranked[0].pair


def parse_pair(pair: str, class_names: Sequence[str]) -> tuple[int, int]:
    """Read ``"4:9"`` as class indices; class names may themselves contain a colon.

    Args:
        pair: The true class, a colon, the class it is read as.
        class_names: C names.

    Raises:
        NotFound: A class is not there; all that are get listed.
        BadInput: No colon, or twice the same class.
    """
    parts = pair.split(":")
    if len(parts) == 1:
        raise BadInput(f"--pair {pair} has no colon.", fix="write the true class first, as in --pair 4:9")
    place = {name: index for index, name in enumerate(class_names)}
    splits = [(":".join(parts[:at]).strip(), ":".join(parts[at:]).strip()) for at in range(1, len(parts))]
    known = next((split for split in splits if split[0] in place and split[1] in place), splits[0])
    for name in known:
        if name not in place:
            close = difflib.get_close_matches(name, class_names, n=1)
            listed = ", ".join(class_names[:20]) + (", ..." if len(class_names) > 20 else "")
            raise NotFound(
                f"--pair {pair}: there is no class {name or '(empty)'}; the files have {listed}.",
                fix=f"did you mean {close[0]}?" if close else "name two of these classes, as in --pair A:B",
            )
    if known[0] == known[1]:
        raise BadInput(f"--pair {pair} names one class twice.", fix="name the true class and the one it is read as")
    return place[known[0]], place[known[1]]


def parse_words(words: Sequence[str]) -> set[str]:
    """Verdict words from options: each may be a comma list; ``cannot-tell`` is ``cannot tell``.

    Raises:
        BadInput: Not a verdict word.
    """
    asked = set()
    for part in (part for word in words for part in word.split(",")):
        word = " ".join(part.replace("-", " ").replace("_", " ").lower().split())
        if word not in WORDS:
            close = difflib.get_close_matches(word, WORDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(WORDS)}"
            raise BadInput(f"--fail-on {part.strip() or '(empty)'} is no verdict.", fix=hint)
        asked.add(word)
    return asked


def should_fail(result: DiffResult, words: Sequence[str]) -> bool:
    """Whether the verdict is one of `words`; see `parse_words`."""
    return result.word in parse_words(words)


def _check_endpoint(endpoint: str) -> Endpoint:
    for known in list(Endpoint):
        if endpoint == known:
            chosen: Endpoint = known
            return chosen
    choices = list(Endpoint)
    close = difflib.get_close_matches(endpoint, choices, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(choices)}"
    raise BadInput(f"--endpoint {endpoint} is not known.", fix=hint)


def _compare_two_runs(
    before: PredictionSet, after: PredictionSet, pair: tuple[int, int], endpoint: str
) -> McNemarResult:
    cells = {"forward": [pair], "reverse": [pair[::-1]], "sum": [pair, pair[::-1]]}[endpoint]
    was, now = (
        np.concatenate([cell_errors(arm.labels, arm.predicted, cell)[0] for cell in cells]) for arm in (before, after)
    )
    return mcnemar(int((was & ~now).sum()), int((now & ~was).sum()))


def _choice_caveat(pair: str | None) -> Iterator[str]:
    if pair is None:
        yield (
            "Exploratory: the pair was chosen as the worst of the runs before and judged on the same samples; "
            "such a pair looks better next time even if nothing was changed. Confirm it with --pair on "
            "fresh runs before."
        )


def _copies(before: PredictionSet, after: PredictionSet) -> Iterator[str]:
    """A caveat for files with equal predictions: a copied file must not pass for a seed."""
    seen: dict[bytes, str] = {}
    runs = [*zip(before.files, before.predicted, strict=True), *zip(after.files, after.predicted, strict=True)]
    for file, predicted in runs:
        if (predicted != before.labels).sum() < _ERRORS_OF_CHANCE:
            continue
        key = _bytes_of(predicted)
        if key in seen:
            yield f"{file} and {seen[key]} make exactly the same errors; a copied run is no second seed."
        seen.setdefault(key, file)


def _bytes_of(predicted: npt.NDArray[np.int64]) -> bytes:
    return os.fsencode(str(predicted.shape)) + predicted.tobytes()


# --- rendering


def _comparison_json(comparison: Comparison, plain: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "before_per_seed": list(comparison.before_per_seed),
        "after_per_seed": list(comparison.after_per_seed),
        "effect": plain["effect"],
        "p_value": _finite(comparison.test.p_value),
        "test": comparison.test.method,
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _counts(values: Sequence[int]) -> str:
    mean = f" (mean {sum(values) / len(values):.1f})" if len(values) > 1 else ""
    return " ".join(map(str, values)) + mean


def _percents(values: Sequence[float]) -> str:
    mean = f" (mean {100 * sum(values) / len(values):.2f})" if len(values) > 1 else ""
    return " ".join(f"{100 * value:.2f}" for value in values) + mean


def _bound(part: NonInferiority) -> str:
    return f"{part.name} {part.per_10000:+.1f} (at most {part.upper:+.1f})"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
