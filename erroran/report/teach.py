"""``reports/teach.md``: a lesson for a classroom, with the numbers of runs that were really trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from erroran import provenance
from erroran.report.figures import AFTER, BEFORE
from erroran.report.render import render, write_document
from erroran.report.text import percent, signed

if TYPE_CHECKING:
    from erroran.stages.teach import Taught
    from erroran.verdict.replay import NaiveReplay

_CHOSEN = "#b91c1c"


def write_teach(taught: "Taught", folder: Path) -> Path:
    """Write the lesson, its figures and its numbers."""
    naive = taught.naive
    chosen, again = naive.typical()
    boldest = int(naive.relative.argmin())
    accuracy = [record.accuracy_confirm for record in taught.completed.records]
    text = render(
        "teach.md.j2",
        taught=taught,
        naive=naive,
        sentence=teach_sentence(taught),
        accuracy=accuracy,
        mean_accuracy=float(np.mean(accuracy)),
        story={
            "cell": taught.cell_name(naive.cells[chosen]),
            "first": taught.evidence.seeds[chosen],
            "second": taught.evidence.seeds[again],
            "before": int(naive.counts[chosen, chosen]),
            "after": int(naive.counts[chosen, again]),
            "change": _whole_percent(naive.counts[chosen, again] / naive.counts[chosen, chosen] - 1),
        },
        boldest={
            "before": int(naive.before[boldest]),
            "after": int(naive.after[boldest]),
            "cell": taught.cell_name(naive.cells[naive.pairs[boldest][0]]),
            "change": _whole_percent(naive.relative[boldest]),
        },
        down=int((np.diag(naive.counts) > _means_of_others(naive)).sum()),
        mean_change=_whole_percent(naive.mean_change),
        same=1 - naive.improved - naive.worse,
        mean_before=float(naive.before.mean()),
        mean_after=float(naive.after.mean()),
        verdicts=_verdicts(taught),
        claims=_how_many(taught.claims, len(taught.protocol)),
        single=_single_cell(taught),
        seeds_per_arm=len(taught.protocol[0].before),
        mining_runs=len(taught.protocol[0].runs[0]),
        runs=taught.completed.records,
        command=provenance.command_line(),
    )
    drawn = {"headlines": headline_histogram(naive), "regression": regression_chart(naive, taught.evidence.seeds)}
    return write_document(folder, "teach", text, figures=drawn, data={"teach": taught.to_json()})


def teach_sentence(taught: "Taught") -> str:
    """What was seen, in numbers: the first line of the report."""
    naive = taught.naive
    seen = f"by {percent(-naive.mean_change, 0)} on average" if naive.mean_change < 0 else "but not on average"
    return (
        f'A fix that changes nothing "improves" the worst confusion in {percent(naive.improved, 0)} of '
        f"{len(naive.before)} retrainings, {seen}; erroran's protocol claims a change in "
        f"{_how_many(taught.claims, len(taught.protocol))} comparisons"
    )


def headline_histogram(naive: "NaiveReplay") -> Figure:
    """How often each change of the worst cell is announced, over all ordered pairs of runs."""
    figure = Figure(figsize=(6.5, 2.8), layout="constrained")
    axes: Any = figure.subplots()
    change = 100 * naive.relative
    width = 20.0
    edges = np.arange(-110, max(change.max(), 0) + width, width)
    counts, _ = np.histogram(change, edges)
    centres = edges[:-1] + width / 2
    axes.bar(centres, counts, width=0.9 * width, color=[AFTER if at < -1 else BEFORE for at in centres])
    axes.axvline(100 * naive.mean_change, color=_CHOSEN, lw=1.5, ls="--")
    axes.annotate(
        f"all together {signed(100 * naive.mean_change, 0)} %",
        (100 * naive.mean_change, 1.12 * counts.max()),
        xytext=(4, 0),
        textcoords="offset points",
        color=_CHOSEN,
        fontsize=8,
        va="top",
    )
    axes.set(xlabel='announced change of the worst cell, % (the "fix" does nothing)', ylabel="pairs of runs")
    axes.set_ylim(0, 1.15 * counts.max())
    axes.set_xticks(np.arange(-100, edges[-1], 100 if change.max() > 400 else 50))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def regression_chart(naive: "NaiveReplay", seeds: list[int]) -> Figure:
    """Each run's worst cell: its count in that run, and in all the others.

    Args:
        naive: The replay.
        seeds: The runs' seeds.
    """
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes: Any = figure.subplots()
    chosen = np.diag(naive.counts)
    order = np.argsort(-chosen, kind="stable")
    for place, run in enumerate(order):
        others = np.delete(naive.counts[run], run)
        levels, runs = np.unique(others, return_counts=True)
        names = ("the same cell in the other runs (area: how many)", "their mean") if place == 0 else (None, None)
        axes.scatter([place] * len(levels), levels, s=14 * runs, color=BEFORE, alpha=0.45, lw=0, label=names[0])
        axes.hlines(others.mean(), place - 0.35, place + 0.35, color=AFTER, lw=2.5, label=names[1])
        arrow = {"arrowstyle": "->", "lw": 1.2, "color": _CHOSEN, "shrinkB": 0}
        axes.annotate("", (place, others.mean()), (place, chosen[run]), arrowprops=arrow)
    axes.plot(range(len(order)), chosen[order], "D", ms=6, color=_CHOSEN, label="in the run that chose it")
    axes.set(
        xlabel="run (seed), each with its own worst cell",
        ylabel="errors in that cell",
        xticks=range(len(order)),
        xticklabels=[seeds[run] for run in order],
    )
    axes.set_ylim(bottom=-0.5)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handletextpad=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _verdicts(taught: "Taught") -> list[tuple[str, int]]:
    words, counts = np.unique([replay.word for replay in taught.protocol], return_counts=True)
    found = dict(zip(words.tolist(), counts.tolist(), strict=True))
    return [(word, found.get(word, 0)) for word in ("improved", "harmed", "equivalent", "cannot tell")]


def _single_cell(taught: "Taught") -> dict[str, object]:
    """How many different cells were chosen as worst, and the most frequent one."""
    cells = taught.naive.cells
    most = max(sorted(set(cells)), key=cells.count)
    return {"different": len(set(cells)), "name": taught.cell_name(most), "runs": cells.count(most)}


def _means_of_others(naive: "NaiveReplay") -> np.ndarray:
    """Give float64 (S,): mean count of each run's worst cell in the other runs."""
    chosen = np.diag(naive.counts)
    means: np.ndarray = (naive.counts.sum(axis=1) - chosen) / (len(chosen) - 1)
    return means


def _how_many(count: int, of: int) -> str:
    return f"none of {of}" if count == 0 else f"{count} of {of}"


def _whole_percent(change: float) -> str:
    return f"{signed(100 * float(change), 0)} %"
