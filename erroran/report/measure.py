"""``reports/morphometry.md``: measurements of the ink by class, and the table of all images."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran import files
from erroran.report import figures
from erroran.report.render import explain_failure, render, write_document
from erroran.report.text import area, counted
from erroran.shape.measure import MEASUREMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from erroran.report.drawing import Drawing
    from erroran.shape.closure import Closure, ClosureOutcome
    from erroran.stages.measure import MeasureResult
    from erroran.stats.roc import RocArea

_FEW = 20


def write_measurements(
    measured: "MeasureResult", folder: Path, closures: "Sequence[Closure]" = ()
) -> tuple[Path, Path]:
    """Write the page with its figures and JSON, and the table (Parquet; CSV where pyarrow is missing).

    Returns:
        The paths of the page and of the table.
    """
    summary = measured.to_json()
    rows = {name: measured.table[measured.table["label"] == name] for name in measured.class_names}
    by_class = {key: [rows[name][key].dropna().to_numpy(dtype=float) for name in rows] for key in MEASUREMENTS}
    beside = folder / "morphometry"
    table = _write_table(measured.table, beside)
    drawn = {"by-class": figures.boxes_by_class(by_class, measured.class_names)}
    drawn |= {figure_name(closure): _draw_margins(closure) for closure in closures}
    page = write_document(
        folder,
        "morphometry",
        render(
            "measure.md.j2",
            summary=summary,
            table=table.name,
            closures=closures,
            sentence=closure_sentence,
            figure_name=figure_name,
            separation=area,
            few=_FEW,
        ),
        figures=drawn,
        data={"summary": summary} | ({"closure": [closure.to_json() for closure in closures]} if closures else {}),
    )
    return page, table


def figure_name(closure: "Closure") -> str:
    """Stem of the figure of a pair's margins."""
    return f"closure-{closure.pair.slug}-{closure.source}"


def closure_sentence(closure: "Closure") -> str:
    """Whether the closure margin separates the classes, and their errors from other images, with the numbers."""
    a, b = closure.pair.classes
    text = f"The closure margin {_tells(closure.classes)} {a} from {b} ({_auc_text(closure.classes)})"
    return "; ".join([text, *(_outcome_text(outcome) for outcome in closure.outcomes if outcome.predicted)]) + "."


def _outcome_text(outcome: "ClosureOutcome") -> str:
    told = f"the {outcome.true}s read as {outcome.predicted}"
    if outcome.signed.auc is None:
        return f"there are no {told.removeprefix('the ')} to compare" if not outcome.signed.marked else f"{told}: all"
    return (
        f"it {_tells(outcome.signed)} {told} from the other {outcome.true}s ({_auc_text(outcome.signed)}; "
        f"{counted(outcome.signed.marked, 'misread image')})"
    )


def _tells(found: "RocArea") -> str:
    unclear = found.low is None or found.high is None or found.low <= 0.5 <= found.high
    return "is not shown to separate" if unclear else "separates"


def _auc_text(found: "RocArea") -> str:
    return f"AUC {area(found)}".replace(" (", ", ").removesuffix(")")


def _draw_margins(closure: "Closure") -> "Drawing":
    rows = []
    for name, other in (closure.pair.classes, closure.pair.classes[::-1]):
        errors = f", {int(closure.misread[name].sum())} misread as {other}" if closure.seeds else ""
        title = f"class {name}: {counted(len(closure.margins[name]), 'image')}{errors}"
        rows.append((title, closure.margins[name], closure.misread[name]))
    return figures.margins_by_class(rows)


def _write_table(table: "pd.DataFrame", folder: Path) -> Path:
    path = folder / "measurements.parquet"
    with explain_failure(path):
        try:
            with files.writing(path) as temporary:
                table.to_parquet(temporary, index=False, engine="pyarrow")
        except ImportError:
            path = path.with_suffix(".csv")
            files.write_text(path, table.to_csv(index=False))
    return path
