"""The forest plot: changes of errors with both intervals, against no change and the worthwhile change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran.report.drawing import painter
from erroran.report.figures import AFTER, BEFORE, CONTROLS
from erroran.report.text import change

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stats.intervals import Effect
    from erroran.verdict.compare import Comparison
    from erroran.verdict.decide import Verdict

_TICKS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20)
_NARROWEST = (0.4, 2.0)  # ratios that are always on the axis
_WIDEST = (0.05, 20.0)  # no interval is drawn beyond these
_INK, _DASHES = "#111827", (0, (3, 2))
_MOST_CLASSES = 10
"""Classes up to which the figure has a row for each; of more, those that changed significantly have one."""


@dataclass(frozen=True)
class ForestRow:
    """One comparison of the figure.

    Attributes:
        name: At the left; a row without an effect is a heading.
        effect: The change with its intervals.
        change: -1 for significantly fewer errors, 1 for more, 0 for neither.
        arm: ``treatment``, or the name of a control; it decides the colour.
        worthwhile_percent: The reduction that the row is held against.
        strong: Whether the name is bold.
        ruled: Whether a line is drawn above the row.
    """

    name: str
    effect: "Effect | None" = None
    change: int = 0
    arm: str = "treatment"
    worthwhile_percent: float | None = None
    strong: bool = False
    ruled: bool = False


def verdict_rows(verdict: "Verdict") -> list[ForestRow]:
    """The endpoint, the rest of the pair, all errors, the pair's two classes, and the other classes."""
    significant = {moved.name for moved in (*verdict.costs, *verdict.gains)}
    pair = [f"errors of {name}" for name in verdict.pair_names]
    rest = [one for one in (verdict.forward, verdict.reverse, verdict.both) if one.name != verdict.primary.name]
    of_pair = [one for one in verdict.classes if one.name in pair]
    others = [one for one in verdict.classes if one.name not in pair]
    if len(verdict.classes) > _MOST_CLASSES:
        others = [one for one in others if one.name in significant]
    first = ForestRow(
        verdict.primary.name,
        verdict.primary.effect,
        verdict.primary.test.direction(verdict.alpha),
        worthwhile_percent=verdict.worthwhile_percent,
        strong=True,
    )
    groups = (rest, [verdict.overall], of_pair, others)
    return [first, *(_row(one, one.name in significant, one is group[0]) for group in groups for one in group)]


def control_rows(verdict: "Verdict", controls: "Sequence[tuple[str, Comparison]]") -> list[ForestRow]:
    """Each control against the baseline, by the endpoint, under a heading; nothing without controls."""
    rows = [
        ForestRow(name, found.effect, found.test.direction(verdict.alpha), name, verdict.worthwhile_percent)
        for name, found in controls
    ]
    return [ForestRow(f"{verdict.primary.name}, controls:", ruled=True), *rows] if rows else []


def _row(compared: "Comparison", significant: bool, ruled: bool) -> ForestRow:
    sign = int(np.sign(compared.effect.per_10000)) if significant else 0
    return ForestRow(compared.name, compared.effect, sign, ruled=ruled)


def levels(found: Iterable[float]) -> str:
    """Levels of intervals: ``95 %``, or ``95 to 99.5 %``, since each planned look has its own."""
    found = sorted(set(found)) or [0.95]
    return " to ".join(f"{100 * level:.4g}" for level in dict.fromkeys((found[0], found[-1]))) + " %"


@painter
def forest(rows: Sequence[ForestRow], *, unit: str = "images") -> "Figure":
    """Relative changes on a logarithmic axis; each with its intervals for new seeds (thick) and new images (thin).

    Without errors before there is no ratio, and only the numbers are printed. Without errors after, the mark is at the
    left edge. An interval that is cut at an edge ends in an arrow. `unit` is what was predicted, in the plural.
    """
    low, high = _limits(rows)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.95 + 0.235 * len(rows)), layout="constrained")
    axes: Any = figure.subplots()
    axes.set_xscale("log")
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
    axes.axvline(1, color=_INK, lw=1)
    texts = axes.get_yaxis_transform()
    for place, row in enumerate(rows):
        weight = "bold" if row.strong else "normal"
        axes.text(-0.01, place, row.name, ha="right", va="center", transform=texts, size=8, weight=weight)
        if row.worthwhile_percent is not None:
            axes.vlines(1 - row.worthwhile_percent / 100, place - 0.5, place + 0.5, color=_INK, lw=1, ls=_DASHES)
        if row.ruled:
            axes.axhline(place - 0.5, color="#e5e7eb", lw=0.8, zorder=0)
        if row.effect is not None:
            _draw(axes, place, row, (low, high))
            heavy = "bold" if row.change or row.strong else "normal"
            axes.text(1.015, place, _numbers(row, row.effect), va="center", transform=texts, size=8, weight=heavy)
    _finish(figure, axes, rows, unit)
    return figure


def _limits(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """Ratios at the edges: all changes are inside, and the intervals of endpoints, up to `_WIDEST`."""
    inside = [1.0]
    for effect, whole in ((row.effect, row.worthwhile_percent is not None) for row in rows):
        if effect is not None and effect.relative is not None:
            ends = (effect.seeds_relative_low, effect.seeds_relative_high, effect.relative_low, effect.relative_high)
            inside += [1 + change for change in (effect.relative, *(ends if whole else ())) if change is not None]
    low, high = min(inside) / 1.1, 1.1 * max(inside)
    return max(_WIDEST[0], min(_NARROWEST[0], low)), min(_WIDEST[1], max(_NARROWEST[1], high))


def _draw(axes: Any, place: int, row: ForestRow, limits: tuple[float, float]) -> None:
    effect, colour = row.effect, CONTROLS.get(row.arm, AFTER)
    if effect is None or effect.relative is None:
        return
    low, high = limits
    for ends, width, alpha in (
        ((effect.seeds_relative_low, effect.seeds_relative_high), 5, 0.45),
        ((effect.relative_low, effect.relative_high), 1.2, 1.0),
    ):
        left = low / 2 if ends[0] is None else 1 + ends[0]
        right = 2 * high if ends[1] is None else 1 + ends[1]
        if left < high and right > low:
            look = {"color": colour, "alpha": alpha, "solid_capstyle": "butt"}
            axes.plot([max(low, left), min(high, right)], [place, place], lw=width, **look)
        for edge, cut, marker in ((low, left < low, 8), (high, right > high, 9)):
            if cut:  # an arrow at the edge
                axes.plot(edge, place, marker=marker, color=colour, ms=6, clip_on=False)
    shape, size = ("o", 7) if row.strong else ("s", 5)
    axes.plot(max(1 + effect.relative, low), place, shape, color=colour, mec="white", mew=0.6, ms=size, clip_on=False)


def _numbers(row: ForestRow, effect: "Effect") -> str:
    ratio = "" if effect.relative is None else f"  {change(effect.relative)}"
    found = {-1: ", fewer", 0: "", 1: ", more"}[row.change]
    return f"{effect.before_mean:.1f} → {effect.after_mean:.1f}{ratio}{found}"


def _finish(figure: "Figure", axes: Any, rows: Sequence[ForestRow], unit: str) -> None:
    from matplotlib.lines import Line2D

    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [change(tick - 1) for tick in ticks], size=8)
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("change of the errors per run:  ← fewer, more →")
    effects = [row.effect for row in rows if row.effect]
    of_seeds = levels(effect.confidence for effect in effects)
    of_images = levels(effect.images_confidence for effect in effects)
    handles = [
        Line2D([], [], color=BEFORE, lw=5, alpha=0.45, label=f"{of_seeds}: new seeds, these {unit}"),
        Line2D([], [], color=BEFORE, lw=1.2, label=f"{of_images}: new seeds, new {unit}"),
    ]
    percents = sorted({row.worthwhile_percent for row in rows if row.worthwhile_percent is not None})
    if percents:
        label = f"worthwhile: −{percents[0]:g} %" if len(percents) == 1 else "worthwhile change"
        handles.append(Line2D([], [], color=_INK, lw=1, ls=_DASHES, label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    told = {"transform": axes.get_yaxis_transform(), "size": 7, "color": BEFORE}
    axes.text(1.015, -0.75, "errors per run, change", **told)
