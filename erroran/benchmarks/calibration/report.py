"""``reports/calibration.md`` from the saved numbers of a calibration alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from erroran.benchmarks.calibration.result import FALSE_CLAIMS, QUESTIONS, CalibrationResult, Measured
from erroran.report.drawing import painter
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIMS = ("aa", "aa looks", "worthwhile", "worthwhile looks")


def write_calibration(result: CalibrationResult, folder: Path, *, with_numbers: bool = True) -> Path:
    """Write the page and its figure to ``./reports``, and ``calibration.json`` if the numbers are new."""
    data = {"calibration": result.to_json()} if with_numbers else {}
    figures = {"claims": draw_claims(result)}
    return write_document(folder, "calibration", render_calibration(result), figures=figures, data=data)


def render_calibration(result: CalibrationResult) -> str:
    """The page as Markdown."""
    asked = {key: question for key, question in QUESTIONS.items() if result.of(key)}
    return render(
        "calibration.md.j2",
        result=result,
        questions=asked,
        missing=[question.title for key, question in QUESTIONS.items() if key not in asked],
        judged={key: result.of(key, judged=True) for key in asked},
        n_judged=sum(row.met is not None for row in result.measured),
        not_met={key: rows for key in asked if (rows := [row for row in result.of(key) if row.met is False])},
        claims=CLAIMS,
        settings=result.made.settings,
    )


@painter
def draw_claims(result: CalibrationResult) -> "Figure":
    """False claims of every design with their intervals, beside the largest share and upper limit allowed."""
    rows = result.of(*CLAIMS, judged=True)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.6 + 0.2 * len(rows)), layout="constrained")
    axes: Any = figure.subplots()
    for at, row in enumerate(rows):
        colour = "#0f766e" if row.met else "#b45309"
        axes.plot([100 * (row.low or 0), 100 * (row.high or 0)], [at, at], color=colour, lw=1.5)
        axes.plot(100 * row.value, at, "o", ms=4, color=colour)
    for value, style in zip(FALSE_CLAIMS, ("-", ":"), strict=True):
        axes.axvline(100 * value, color="0.5", lw=0.8, ls=style)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=7)
    axes.set(xlabel="false claims in %, with 95 % intervals", ylim=(len(rows) - 0.5, -0.5), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _label(row: Measured) -> str:
    kind = "A/A" if row.question.startswith("aa") else "not worthwhile"
    return f"{kind}, {row.data}, {row.design}"
