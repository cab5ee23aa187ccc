"""``reports/teach.md``: a lesson for a classroom, with the numbers of trained runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran import provenance
from erroran.report.drawing import painter
from erroran.report.figures import AFTER, BEFORE, WRONG
from erroran.report.render import render, write_document
from erroran.report.text import percent, signed
from erroran.verdict.table import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stages.teach import LessonResult
    from erroran.verdict.replay import NaiveReplay


def write_lesson(lesson: "LessonResult", folder: Path) -> Path:
    """Write the lesson, its figures and its numbers."""
    replay, words = lesson.replay, [judged.word for judged in lesson.protocol.verdicts]
    means_of_others = (replay.counts.sum(axis=1) - np.diag(replay.counts)) / (len(lesson.seeds) - 1)
    most_frequent = max(sorted(set(lesson.naive.cells)), key=lesson.naive.cells.count)
    text = render(
        "teach.md.j2",
        lesson=lesson,
        naive=lesson.naive,
        sentence=lesson_sentence(lesson),
        mean_accuracy=float(np.mean(lesson.accuracy)),
        story=_retraining(lesson, replay.typical()),
        largest=_retraining(lesson, replay.pairs[int(replay.relative.argmin())]),
        down=int((np.diag(replay.counts) > means_of_others).sum()),
        mean_before=float(replay.before.mean()),
        mean_after=float(replay.after.mean()),
        verdicts=[(word, words.count(word)) for word in (IMPROVED, HARMED, EQUIVALENT, CANNOT_TELL)],
        claims=_how_many(lesson),
        most_frequent=most_frequent,
        runs=lesson.completed.records,
        seconds=sum(record.seconds for record in lesson.completed.records),
        command=provenance.command_line(),
    )
    drawn = {"headlines": headline_histogram(replay), "regression": regression_chart(replay, lesson.seeds)}
    return write_document(folder, "teach", text, figures=drawn, data={"teach": lesson.to_json()})


def _retraining(lesson: "LessonResult", pair: tuple[int, int]) -> dict[str, str | int | float]:
    """What the usual way says about two runs."""
    first, second = pair
    before, after = lesson.naive.counts[first][first], lesson.naive.counts[first][second]
    seeds = {"first": lesson.seeds[first], "second": lesson.seeds[second]}
    return {"cell": lesson.naive.cells[first], **seeds, "before": before, "after": after, "change": after / before - 1}


def lesson_sentence(lesson: "LessonResult") -> str:
    """The finding in numbers, the first line of the report."""
    naive = lesson.naive
    seen = f"by {percent(-naive.mean_change, 0)} on average" if naive.mean_change < 0 else "but not on average"
    return (
        f'A treatment that changes nothing "improves" the worst confusion in {percent(naive.improved, 0)} of '
        f"{naive.pairs_of_runs} retrainings, {seen}; erroran's protocol claims a change in {_how_many(lesson)} "
        "comparisons"
    )


def _how_many(lesson: "LessonResult") -> str:
    return f"{lesson.protocol.claims or 'none'} of {lesson.protocol.comparisons}"


@painter
def headline_histogram(naive: "NaiveReplay") -> "Figure":
    """Histogram of the change of the worst cell over all ordered pairs of runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 2.8), layout="constrained")
    axes: Any = figure.subplots()
    change = 100 * naive.relative
    width = 20.0
    edges = np.arange(-110, max(change.max(), 0) + width, width)
    counts, _ = np.histogram(change, edges)
    centres = edges[:-1] + width / 2
    axes.bar(centres, counts, width=0.9 * width, color=[AFTER if at < -1 else BEFORE for at in centres])
    axes.axvline(100 * naive.mean_change, color=WRONG, lw=1.5, ls="--")
    axes.annotate(
        f"all together {signed(100 * naive.mean_change, 0)} %",
        (100 * naive.mean_change, 1.12 * counts.max()),
        xytext=(4, 0),
        textcoords="offset points",
        color=WRONG,
        fontsize=8,
        va="top",
    )
    axes.set(xlabel='announced change of the worst cell, % (the "fix" does nothing)', ylabel="pairs of runs")
    axes.set_ylim(0, 1.15 * counts.max())
    axes.set_xticks(np.arange(-100, edges[-1], 100 if change.max() > 400 else 50))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@painter
def regression_chart(naive: "NaiveReplay", seeds: list[int]) -> "Figure":
    """Each run's worst cell: its errors in that run, and in all other runs; `seeds` label the runs."""
    from matplotlib.figure import Figure

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
        arrow = {"arrowstyle": "->", "lw": 1.2, "color": WRONG, "shrinkB": 0}
        axes.annotate("", (place, others.mean()), (place, chosen[run]), arrowprops=arrow)
    axes.plot(range(len(order)), chosen[order], "D", ms=6, color=WRONG, label="in the run that chose it")
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
