"""``reports/calibration.md`` from the numbers that a calibration saved, and from nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from erroran.benchmarks.calibration.result import ALLOWED_COVERAGE, BOTH_WAYS, CalibrationResult, Coverage, Planted
from erroran.report.figures import AFTER, BEFORE
from erroran.report.render import render, write_document

_COLOURS = (AFTER, "#b45309", "#4338ca")


def write_calibration(result: CalibrationResult, folder: Path, *, with_numbers: bool = True) -> Path:
    """Write the page and its figure.

    Args:
        result: What was measured, just now or in an earlier run.
        folder: ``./reports``.
        with_numbers: Write ``calibration.json``, too.
    """
    return write_document(
        folder,
        "calibration",
        render_calibration(result),
        figures={"power": draw_power(result.planted)} if result.planted else {},
        data={"calibration": result.to_json()} if with_numbers else {},
    )


def render_calibration(result: CalibrationResult) -> str:
    """The page as Markdown."""
    shifts = sorted({row.shift_sd for row in result.coverage}, reverse=True)
    of_setting = {(row.setting, row.shift_sd): row for row in result.coverage}
    settings = [row.setting for row in result.coverage if row.shift_sd == shifts[0]]

    def widest(*, required: bool) -> float:
        ends = [row.difference for row in result.coverage if row.required == required]
        return max((rate.high - rate.low) / 2 for rate in ends)

    low, high = ALLOWED_COVERAGE
    shares = [row.difference.share for row in result.coverage if row.shift_sd == 0]
    return render(
        "calibration.md.j2",
        **dict(result),
        settings=result.made.settings,
        claims_met=result.claims_met,
        off=result.power_off,
        required=result.covered(lambda row: row.required),
        stress=result.covered(lambda row: not row.required),
        allowed=ALLOWED_COVERAGE,
        shifts=shifts,
        coverage_rows=[[of_setting.get((setting, shift)) for shift in shifts] for setting in settings],
        data_sets={row.required: row.n for row in result.coverage},
        errors={required: widest(required=required) for required in (True, False)},
        calm={"low": min(shares), "high": max(shares)},
        above=_count(result.coverage, lambda share: share > high),
        below=_count(result.coverage, lambda share: share < low),
    )


def _count(rows: Sequence[Coverage], true: Any) -> dict[str, float]:
    """Rows whose coverage is so: all, those without run-to-run variation, those with images that move both ways."""
    chosen = [row for row in rows if true(row.difference.share)]
    return {
        "rows": len(chosen),
        "calm": sum(row.shift_sd == 0 for row in chosen),
        "both_ways": sum(row.how == BOTH_WAYS for row in chosen),
        "lowest": min((row.difference.share for row in chosen), default=1.0),
    }


def draw_power(rows: Sequence[Planted]) -> Figure:
    """Power found against power promised, a dot per planted effect and number of seeds, with 95 % intervals.

    The intervals are those of the difference: worlds differ in power, but each has its own promise.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BEFORE, lw=0.8, ls=":")
    for n_seeds, colour in zip(sorted({row.seeds for row in rows}), _COLOURS * len(rows), strict=False):
        chosen = [row for row in rows if row.seeds == n_seeds]
        off = [
            (0.0, 0.0) if d.low is None or d.high is None else (d.mean - d.low, d.high - d.mean)
            for d in (row.difference for row in chosen)
        ]
        axes.errorbar(
            [row.promised.mean for row in chosen], [row.found.mean for row in chosen], yerr=np.transpose(off),
            fmt="o", ms=5, color=colour, capsize=2, label=f"{n_seeds} seeds",
        )  # fmt: skip
    axes.set(xlabel="power promised by plan", ylabel="power found", xlim=(0, 1), ylim=(0, 1.05), aspect="equal")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
