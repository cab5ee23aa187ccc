"""The verdict on prediction files as plain text."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from erroran.report.text import columns

if TYPE_CHECKING:
    from erroran.stages.diff import DiffResult
    from erroran.verdict.collateral import NonInferiority

_MAX_LISTED = 10


def diff_lines(result: "DiffResult") -> list[str]:
    """The verdict for a terminal or a log: the sentence first, plain text, no markup."""
    compared = (result.forward, result.reverse, result.both)
    rows = [
        ("errors per run", "before", "after"),
        *((row.name, _per_run(row.before_per_seed, 0), _per_run(row.after_per_seed, 0)) for row in compared),
        ("accuracy, %", *(_per_run([100 * value for value in values], 2) for values in result.accuracy.values())),
    ]
    p_value = "no p-value" if result.p_value is None else f"p = {result.p_value:.3g}"
    return [
        result.sentence,
        "",
        *columns(rows),
        "",
        _collateral_line(result),
        _found_line(result),
        f"test: {result.test}, {p_value}. {result.used_test.reason}",
        *(f"caveat: {caveat}" for caveat in result.caveats),
    ]


def _found_line(result: "DiffResult") -> str:
    found = result.other_cells_found
    if not found:
        return "other cells: no change was detected (false discovery rate 5 %)"
    told = [f"{cell.pair} {cell.before_mean:.1f} to {cell.after_mean:.1f}" for cell in found]
    more = f", and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    return f"other cells that changed (false discovery rate 5 %): {', '.join(told[:_MAX_LISTED])}{more}"


def _collateral_line(result: "DiffResult") -> str:
    collateral = result.collateral
    parts = (collateral.other_cells, collateral.accuracy, *collateral.recall)
    unsafe = sum(not part.safe for part in parts)
    state = "safe" if collateral.safe else f"not shown safe in {unsafe} of {len(parts)} respects"
    worse = "; something got worse" if collateral.worse else ""
    margin = f"margin {collateral.margin_per_10000:g} errors per 10,000"
    return f"collateral: {state} ({margin}): {', '.join(map(_bound, parts[:2]))}{worse}"


def _per_run(values: Sequence[float], digits: int) -> str:
    mean = f" (mean {fmean(values):.{digits or 1}f})" if len(values) > 1 else ""
    return " ".join(f"{value:.{digits}f}" for value in values) + mean


def _bound(part: "NonInferiority") -> str:
    return f"{part.name} {part.per_10000:+.1f} (at most {part.upper:+.1f})"
