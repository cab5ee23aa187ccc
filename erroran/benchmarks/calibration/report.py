"""``reports/calibration.md`` from the saved numbers of a calibration alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from erroran.benchmarks.calibration.result import ALLOWED_COVERAGE, BOTH_WAYS, CalibrationResult, Planted
from erroran.report.figures import AFTER, BEFORE
from erroran.report.render import render, write_document

_COLOURS = (AFTER, "#b45309", "#4338ca")


def write_calibration(result: CalibrationResult, folder: Path, *, with_numbers: bool = True) -> Path:
    """Write the page and its figure to ``./reports``, and ``calibration.json`` if the numbers are new."""
    figures = {"power": draw_power(result.planted)} if result.planted else {}
    data = {"calibration": result.to_json()} if with_numbers else {}
    return write_document(folder, "calibration", render_calibration(result), figures=figures, data=data)


def render_calibration(result: CalibrationResult) -> str:
    """The page as Markdown."""
    shifts = sorted({row.shift_sd for row in result.coverage}, reverse=True)
    table: dict[tuple[Any, ...], dict[float, Any]] = {}
    for row in sorted(result.coverage, key=lambda row: -row.shift_sd):
        table.setdefault((row.how, row.errors_per_run, row.factor, row.seeds), {})[row.shift_sd] = row
    low, high = ALLOWED_COVERAGE
    widths = {yes: [r.difference for r in result.coverage if r.required == yes] for yes in (True, False)}
    return render(
        "calibration.md.j2",
        **dict(result),
        settings=result.made.settings,
        claims_met=result.claims_met,
        off=result.power_off,
        allowed=ALLOWED_COVERAGE,
        shifts=shifts,
        coverage_rows=[[rows.get(shift) for shift in shifts] for rows in table.values()],
        data_sets={row.required: row.n for row in result.coverage},
        errors={yes: max((rate.high - rate.low) / 2 for rate in rates) for yes, rates in widths.items()},
        required=result.covered(lambda row: row.required),
        stress=result.covered(lambda row: not row.required),
        calm=result.covered(lambda row: row.shift_sd == 0),
        above=result.covered(lambda row: row.difference.share > high),
        calm_above=result.covered(lambda row: row.difference.share > high and row.shift_sd == 0),
        below=result.covered(lambda row: row.difference.share < low),
        both_ways_below=result.covered(lambda row: row.difference.share < low and row.how == BOTH_WAYS),
    )


def draw_power(rows: Sequence[Planted]) -> Figure:
    """Power found against power planned, a dot per planted effect and number of seeds.

    The 95 % intervals are those of the difference: worlds differ in power, but each has its own plans.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BEFORE, lw=0.8, ls=":")
    for n_seeds, colour in zip(sorted({row.seeds for row in rows}), _COLOURS * len(rows), strict=False):
        chosen = [row for row in rows if row.seeds == n_seeds]
        ends = [(row.difference.low, row.difference.mean, row.difference.high) for row in chosen]
        off = [
            (mean - low, high - mean) if low is not None and high is not None else (0, 0) for low, mean, high in ends
        ]
        x, y = [row.promised.mean for row in chosen], [row.found.mean for row in chosen]
        label = f"{n_seeds} seeds"
        axes.errorbar(x, y, yerr=np.transpose(off), fmt="o", ms=5, color=colour, capsize=2, label=label)
    axes.set(xlabel="planned power", ylabel="power found", xlim=(0, 1), ylim=(0, 1.05), aspect="equal")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
