"""The verdict on prediction files: as plain text, and as a page with a figure."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from erroran import provenance
from erroran.errors import BadInput
from erroran.report.text import change, columns, span
from erroran.verdict.table import ROWS

if TYPE_CHECKING:
    from erroran.stages.diff import DiffResult
    from erroran.verdict.collateral import NonInferiority

_MAX_LISTED = 10


def diff_lines(result: "DiffResult") -> list[str]:
    """The verdict for a terminal or a log: the sentence, what to do, then the numbers; plain text, no markup."""
    effect = result.effect
    condition = {row.name: row.condition for row in ROWS}[result.verdict.row]
    p_value = "no p-value" if result.p_value is None else f"p = {result.p_value:.3g}"
    here = span((effect.seeds_relative_low, effect.seeds_relative_high))
    new = span((effect.relative_low, effect.relative_high))
    levels = [f"{100 * level:.4g} %" for level in (effect.confidence, effect.images_confidence)]
    intervals = f"intervals: new seeds, these samples {here} ({levels[0]}); new samples {new} ({levels[1]})"
    return [
        result.sentence,
        *([f"what to do: {result.advice}"] if result.advice else []),
        "",
        *columns([("errors per run", "before", "after"), *_run_rows(result)]),
        "",
        f"change: {change(effect.relative)}; {intervals}",
        f"decided by: {result.verdict.row}: {condition}",
        _collateral_line(result),
        _found_line(result),
        f"test: {result.test}, {p_value}. {result.used_test.reason}",
        *(f"caveat: {caveat}" for caveat in result.caveats),
    ]


def write_diff(result: "DiffResult", path: Path) -> Path:
    """Write the page of a comparison, and its figure beside it as PNG.

    Args:
        result: The comparison.
        path: Of the page; it must end in ``.md``.

    Raises:
        BadInput: It does not.
        Unavailable: The folder cannot be written.
    """
    from erroran.report.forest import forest, verdict_rows
    from erroran.report.intervention import table_context
    from erroran.report.render import explain_failure, render, write_figure, write_page

    check_page(path)
    figure = path.with_suffix(".png")
    with explain_failure(path):
        write_figure(figure, forest(verdict_rows(result.verdict), unit="samples"))
    text = render(
        "diff.md.j2",
        r=result,
        figure=figure.name,
        rows=_run_rows(result),
        found=_found_line(result),
        collateral=_collateral_line(result),
        command=provenance.command_line(),
        version=provenance.versions()["erroran"],
        **table_context(),
    )
    return write_page(path, text)


def check_page(path: Path) -> None:
    """Refuse a page that is not called ``*.md``; see `write_diff`."""
    if path.suffix != ".md" or path.is_dir():
        better = path / "verdict.md" if path.is_dir() or not path.name else path.with_suffix(".md")
        raise BadInput(f"--report {path} is not a Markdown file.", fix=f"--report {better}")


def _run_rows(result: "DiffResult") -> list[tuple[str, str, str]]:
    """Errors of each run and its accuracy: name, before, after."""
    compared = (result.forward, result.reverse, result.both)
    before, after = (_per_run([100 * value for value in values], 2) for values in result.accuracy.values())
    return [
        *((row.name, _per_run(row.before_per_seed, 0), _per_run(row.after_per_seed, 0)) for row in compared),
        ("accuracy, %", before, after),
    ]


def _found_line(result: "DiffResult") -> str:
    found = result.other_cells_found
    if not found:
        return "other cells: no change is shown (false discovery rate 5 %)"
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
