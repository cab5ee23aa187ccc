"""Figures: plain data in, a matplotlib Figure out, see `drawing.painter`. Nothing here reads or writes files.

One colour has one meaning: grey is before or the baseline, teal after or the treatment, orange errors; each control
has its own. Images are NHWC.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran.report.drawing import Drawing, painter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER, WRONG = "#6b7280", "#0f766e", "#c2410c"
_PALE = "#99d5cb"
CONTROLS = {
    "sham": "#0369a1",
    "same-op": "#a16207",
    "brightness": "#be185d",
    "swapped": "#7c3aed",
    "oversample": "#56b4e9",
    "logit-shift": "#1f2937",
}
"""Colours of the controls."""
_WIDTH = 9.0  # inches; a page shows 100 pixels per inch
_DENSITY = 200  # pixels per inch of the file, for screens of double density
_MAX_PIXELS = (1800, 3600)
_MAX_CLASSES = 30
_MAX_NUMBERED = 12
_small: Any = dict.fromkeys(("legend.fontsize", "legend.title_fontsize", "xtick.labelsize", "ytick.labelsize"), 7)
_large: Any = {"font.size": 8, "axes.labelsize": 8, "axes.titlesize": 9}
_lines: Any = {"axes.linewidth": 0.8, "axes.spines.right": False, "axes.spines.top": False}
STYLE = _small | _large | _lines


def to_png(figure: "Figure", digest: str = "") -> bytes:
    """Encode a figure as a small PNG of at most 1800 x 3600 pixels, so that reports can live in a repository.

    `digest` is kept in it as a text, see `drawing.Drawing`.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    width, height = figure.get_size_inches()
    raw = io.BytesIO()
    dpi = min(_DENSITY, _MAX_PIXELS[0] / width, _MAX_PIXELS[1] / height)
    figure.savefig(raw, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    picture = Image.open(raw).convert("RGB")
    # Maximum coverage keeps the rare colours of a colour bar; median cut gives the palette to common ones.
    small = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    encoded = io.BytesIO()
    texts = PngInfo()
    if digest:
        texts.add_text("digest", digest)
    small.save(encoded, "PNG", optimize=True, pnginfo=texts)
    return encoded.getvalue()


@painter
def training_curves(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> "Figure":
    """Loss and accuracy per epoch; solid on train, dashed on the validation images.

    Args:
        histories: Label of a run, such as ``baseline 3``, to its history (``loss``, ``accuracy``, ``val_loss``,
            ``val_accuracy``). The label without its last word is the arm. Of several arms each has one colour.
    """
    import pandas as pd
    import seaborn as sns

    table = pd.concat(
        pd.DataFrame({"run": label, "images": images} | {m: history[prefix + m] for m in ("loss", "accuracy")})
        for label, history in histories.items()
        for images, prefix in (("train", ""), ("validation", "val_"))
    ).reset_index(names="epoch")
    table["epoch"] += 1
    table["arm"] = table["run"].str.rpartition(" ")[0]
    arms = _arm_colours(table["arm"].unique().tolist())
    by_run = {"hue": "run", "palette": sns.color_palette("crest", len(histories)), "legend": len(histories) <= 12}
    look = {"hue": "arm", "palette": arms} if len(arms) > 1 else by_run
    figure, axes = _panels(2, width=4, height=3)
    for cell, metric in zip(axes, ("loss", "accuracy"), strict=True):
        sns.lineplot(table, x="epoch", y=metric, style="images", units="run", estimator=None, lw=1.2, ax=cell, **look)
        cell.xaxis.get_major_locator().set_params(integer=True)
    if axes[0].get_legend():
        axes[0].get_legend().remove()
    axes[0].set_yscale("log")
    return figure


@painter
def confusion_heatmaps(
    panels: Sequence[tuple[str, np.ndarray]], class_names: Sequence[str], *, change: bool = False
) -> "Figure":
    """Errors per directed pair, all panels on one scale of colours; the diagonal (correct predictions) is blank.

    Args:
        panels: Title and (C, C), true class by predicted class: counts, means over runs, or a difference of these. Of
            more than 30 classes, those of the largest cells are drawn.
        class_names: C names.
        change: Whether they are differences: fewer errors are teal, more are orange.
    """
    import seaborn as sns

    errors = np.array([np.where(np.eye(len(counts), dtype=bool), 0.0, counts) for _, counts in panels])
    shown, part = _largest(errors, class_names)
    names = [class_names[i] for i in shown]
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    size = min(0.9 * _WIDTH / columns, max(4.2, 0.42 * len(names)))
    figure, axes = _panels(len(panels), columns, width=1.1 * size, height=size)
    limit = max(abs(errors).max(), 0.5 if change else 1)
    colours = sns.diverging_palette(180, 30, s=90, as_cmap=True) if change else "Oranges"
    scale = {"cmap": colours, "vmin": -limit if change else 0, "vmax": limit}
    scale["cbar"] = columns == 1 or len(names) > _MAX_NUMBERED
    scale["annot_kws"] = {"size": min(8, 22 * size / len(names))}
    for cell, (title, _), matrix in zip(axes, panels, errors, strict=False):
        _heatmap(cell, matrix[np.ix_(shown, shown)], names, names, cbar_kws={"shrink": 0.7}, **scale)
        cell.set(xlabel="predicted", ylabel="true", title=title + part)
    return figure


@painter
def pairs_by_model(
    errors: np.ndarray,
    share: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    bold: np.ndarray,
    framed: np.ndarray,
) -> "Figure":
    """P confusions by M models: the number is errors per run, the colour the share of all errors of the model.

    Args:
        errors: float (P, M).
        share: float (P, M), in [0, 1].
        rows: P names of pairs.
        columns: M names of models.
        bold: bool (P, M), numbers to print in bold; `framed` cells to frame.
        framed: bool (P, M).
    """
    from matplotlib.patches import Rectangle

    figure, (axes,) = _panels(1, width=1.6 + 0.95 * len(columns), height=1.4 + 0.27 * len(rows))
    texts = np.where(errors > 0, np.vectorize("{:.1f}".format)(errors), "·")
    scale = {"cmap": "Oranges", "vmin": 0, "vmax": max(100 * share.max(), 1)}
    bar = {"label": "share of the\nmodel's errors, %", "shrink": max(0.5, 1 - len(rows) / 10)}
    _heatmap(axes, 100 * share, columns, rows, texts, square=False, cbar_kws=bar, **scale)
    for text, heavy in zip(axes.texts, bold.ravel(), strict=True):
        text.set_weight("bold" if heavy else "normal")
    for row, column in np.argwhere(framed):
        axes.add_patch(Rectangle((column + 0.03, row + 0.06), 0.94, 0.88, fill=False, ec="#1d4ed8", lw=1.8))
    axes.xaxis.tick_top()
    axes.set_xticks(axes.get_xticks(), columns, rotation=30, ha="left", rotation_mode="anchor")
    axes.tick_params(length=0)
    return figure


@painter
def gallery(images: np.ndarray, captions: Sequence[str], *, columns: int = 10, width: float = 0.9) -> "Figure":
    """A grid of images with a caption above each.

    Args:
        images: uint8 (N, H, W, C), N >= 1.
        captions: N texts; long lines are wrapped.
        columns: Images in a row.
        width: Of an image, in inches.
    """
    columns = min(columns, max(len(images), 4))
    captions = ["\n".join(textwrap.fill(line, int(21 * width)) for line in text.splitlines()) for text in captions]
    lines = 1 + max(caption.count("\n") for caption in captions)
    figure, axes = _panels(
        len(images), columns, width=width, height=width * np.divide(*images.shape[1:3]) + 0.15 * lines
    )
    for cell, image, caption in zip(axes, images, captions, strict=True):
        _show(cell, image, caption)
        cell.axis("off")
    return figure


def pairs_gallery(before: np.ndarray, after: np.ndarray, captions: Sequence[str]) -> Drawing:
    """A grid of image pairs, before and after side by side, with a caption above each.

    Args:
        before: uint8 (N, H, W, C), N >= 1.
        after: uint8 (N, H, W, C).
        captions: N texts.
    """
    white = 0 if before.shape[3] == 1 else 255  # grey images are shown inverted
    gap = np.full_like(before[:, :, : max(1, before.shape[2] // 9)], white)
    return gallery(np.concatenate([before, gap, after], axis=2), captions, columns=6, width=1.5)


@painter
def image_rows(rows: Sequence[tuple[Any, ...]], *, heads: Sequence[str] = ()) -> "Figure":
    """Rows of images with their names; where given, the prediction stands under each image, orange if it is wrong.

    Args:
        rows: Name of the row and its images, uint8 (n, H, W, C); optionally n predictions and n flags for "right".
        heads: Titles of the columns.
    """
    n = max(len(row[1]) for row in rows)
    figure, axes = _panels(len(rows) * n, n, width=0.9, height=0.9 if len(rows[0]) == 2 else 1.1)
    for cell in axes:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    for line, (name, images, *told) in zip(axes.reshape(len(rows), n), rows, strict=True):
        for cell, image in zip(line, images, strict=False):
            _show(cell, image)
        for cell, prediction, right in zip(line, *told, strict=False) if told else ():
            colour, weight = (AFTER, "normal") if right else (WRONG, "bold")
            cell.set_xlabel(prediction, labelpad=1, color=colour, weight=weight)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for cell, head in zip(axes, heads, strict=False):
        cell.set_title(head, fontsize=8)
    return figure


@painter
def accuracy_chart(
    models: Sequence[tuple[str, Sequence[float], tuple[float, float] | None, float | None]],
) -> "Figure":
    """Accuracy of models: every seed, the mean with its interval, and what was reported elsewhere.

    Args:
        models: Name, accuracy of every seed in [0, 1], interval of the mean, reported accuracy; the last one on top.
    """
    figure, (axes,) = _panels(1, width=7.5, height=0.55 * len(models) + 1.1)
    labels: dict[str, Any] = {}
    for place, (_, values, interval, reported) in enumerate(models):
        percents = 100 * np.asarray(values)
        labels["every seed"] = axes.plot(percents, [place] * len(percents), "o", color=AFTER, ms=5, alpha=0.55)[0]
        labels["mean"] = axes.plot([percents.mean()] * 2, [place - 0.3, place + 0.3], color=AFTER, lw=2)[0]
        if interval:
            ends = 100 * np.asarray(interval)
            labels["95 % interval over seeds"] = axes.plot(ends, [place, place], color=AFTER, lw=1)[0]
        if reported:
            labels["reported elsewhere"] = axes.plot(100 * reported, place, "D", mfc="white", mec=WRONG, ms=6)[0]
    axes.set_yticks(range(len(models)), [name for name, *_ in models])
    axes.set(xlabel="accuracy on confirm, %", ylim=(-0.6, len(models) - 0.4))
    axes.legend(labels.values(), labels.keys(), loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(axis="x", lw=0.4)
    return figure


@painter
def errors_by_arm(
    panels: Sequence[tuple[str, Mapping[str, Sequence[Sequence[float]]]]],
    versions: Sequence[str] = ("",),
    *,
    one_scale: bool = True,
) -> "Figure":
    """Errors of every run as a dot, the mean of each arm as a line with its 95 % interval (Student's t, over runs).

    Args:
        panels: Kind of error; arm to (V, S) values of its S runs on V versions of the images. The first arm is the
            baseline, the second the treatment.
        versions: V names.
        one_scale: Whether all panels share the y axis.
    """
    from erroran.stats.intervals import mean_interval

    figure, axes = _panels(len(panels), width=2.2 if len(versions) == 1 else 3.9, height=3, sharey=one_scale)
    for cell, (title, by_arm) in zip(axes, panels, strict=True):
        width, colours = 0.8 / len(by_arm), _arm_colours(list(by_arm))
        for i, (arm, by_version) in enumerate(by_arm.items()):
            colour = colours[arm]
            for version, values in enumerate(by_version):
                middle = version + (i - (len(by_arm) - 1) / 2) * width
                cell.plot(middle + _spread(len(values), width / 2), values, "o", color=colour, ms=4, alpha=0.55, mew=0)
                ends, label = (middle - 0.4 * width, middle + 0.4 * width), arm if version == 0 else None
                cell.hlines(float(np.mean(values)), *ends, color=colour, lw=2, label=label)
                if len(set(values)) > 1:
                    low, high = mean_interval(values)
                    cell.vlines(middle, max(0.0, low), high, color=colour, lw=1)
        top = max(1.0, *(max(values) for by_version in by_arm.values() for values in by_version))
        cell.set(title=title, ylim=(-0.02 * top, max(1.08 * top, cell.get_ylim()[1])))  # dots at 0 are seen whole
        cell.yaxis.get_major_locator().set_params(integer=True)
        named = versions if any(versions) else ()
        cell.set_xticks(range(len(named)), named, rotation=35, ha="right")
    axes[0].set_ylabel("errors per run")
    look = {"loc": "outside lower center", "ncols": 8, "frameon": False, "columnspacing": 1.2, "handlelength": 1.2}
    figure.legend(*axes[0].get_legend_handles_labels(), **look)
    return figure


@painter
def power_curves(seeds: Sequence[int], reductions: Sequence[float], power: Sequence[Sequence[float]]) -> "Figure":
    """Power against the number of seeds, one line per true reduction.

    Args:
        seeds: Seeds per arm, n of them.
        reductions: True reductions, m of them, in (0, 1].
        power: (n, m), in [0, 1].
    """
    import seaborn as sns

    figure, (axes,) = _panels(1, width=5.5, height=3)
    for reduction, values, colour in zip(
        reductions, np.transpose(power), sns.color_palette("crest", len(reductions)), strict=True
    ):
        axes.plot(seeds, values, "o-", ms=4, color=colour, label=f"−{reduction:.0%}".replace("%", " %"))
    axes.axhline(0.8, color=BEFORE, lw=0.8, ls=":")
    axes.set(xlabel="seeds per arm", ylabel="chance of the verdict improved", ylim=(0, 1.02), xticks=list(seeds))
    axes.legend(title="true change")
    return figure


@painter
def boxes_by_class(values: Mapping[str, Sequence[np.ndarray]], class_names: Sequence[str]) -> "Figure":
    """A panel for each measurement with a box for each class; of a measurement with small counts, a bar for the mean.

    Args:
        values: Name of the measurement to the values of each class, (n,) each, n >= 0.
        class_names: C names.
    """
    figure, axes = _panels(len(values), 3, width=3, height=1.9)
    line = {"color": AFTER, "linewidth": 0.8}
    look = dict.fromkeys(("medianprops", "whiskerprops", "capprops"), line)
    box = {"facecolor": _PALE, "edgecolor": AFTER, "linewidth": 0.8}
    rotation = 90 if max(map(len, class_names)) > 3 else 0
    names = class_names if len(class_names) <= _MAX_CLASSES else []
    for cell, (name, by_class) in zip(axes, values.items(), strict=True):
        if _are_counts(np.concatenate(by_class)):
            means = [np.mean(v) if len(v) else 0 for v in by_class]
            cell.bar(range(len(by_class)), means, color=_PALE, ec=AFTER)
            cell.set_title(f"{name}, mean")
        else:
            places = range(len(by_class))
            cell.boxplot(by_class, positions=places, widths=0.6, sym="", patch_artist=True, boxprops=box, **look)
            cell.set_title(name)
        cell.set_xticks(range(len(names)), names, rotation=rotation)
    return figure


@painter
def dose_responses(
    doses: Sequence[float], panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]], Sequence[float]]]
) -> "Figure":
    """Shares against dose, with intervals as bands.

    Args:
        doses: D doses in pixels; negative doses erode.
        panels: Title; for each line its label and (D, 3): share, low, high, NaN where unknown; doses to mark.
    """
    figure, axes = _panels(len(panels), width=4.4, height=3.3, sharey=True)
    for cell, (title, lines, marked) in zip(axes, panels, strict=True):
        for (label, band), colour in zip(lines, (AFTER, BEFORE, WRONG), strict=False):
            if np.isnan(band).all():
                continue
            cell.fill_between(doses, band[:, 1], band[:, 2], color=colour, alpha=0.15, lw=0)
            cell.plot(doses, band[:, 0], "o-", color=colour, ms=3, lw=1.4, label=label)
        for dose in marked:
            cell.axvline(dose, color=BEFORE, lw=0.8, ls=":")
        cell.set(xlabel="dose in px: ← erode, dilate →", ylim=(-0.02, 1.02), title=title)
        cell.legend()
    axes[0].set_ylabel("share of the images")
    return figure


@painter
def flips_against_margin(groups: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> "Figure":
    """The dose at which each image flips against its closure margin, on equal axes.

    Args:
        groups: Name; closure margins in pixels (n,), NaN is not drawn; signed flip doses in pixels (n,).
    """
    figure, axes = _panels(len(groups), width=3.6, height=3.2)
    for cell, (name, margins, doses) in zip(axes, groups, strict=True):
        # Doses come in steps. The points of a step are moved apart a little.
        cell.plot(margins, doses + _spread(len(doses), 0.12), "o", color=AFTER, ms=4, alpha=0.5, mew=0)
        cell.axline((0, 0), slope=1, color=BEFORE, lw=0.8, ls=":")
        limits = (min(np.nanmin(margins), doses.min()) - 0.3, max(np.nanmax(margins), doses.max()) + 0.3)
        cell.set(xlabel="closure margin, px", ylabel="flip dose, px", xlim=limits, ylim=limits, title=name)
        cell.set_aspect("equal")
    return figure


@painter
def group_histograms(panels: Sequence[tuple[str, Sequence[np.ndarray]]], names: Sequence[str]) -> "Figure":
    """The distributions of several quantities in four groups, a panel for each quantity.

    Args:
        panels: Title; values of the four groups, (n,) each without NaN. They are drawn filled, as a line, as ticks at
            the bottom (a small group), and as a dotted line.
        names: Names of the groups.
    """
    figure, axes = _panels(len(panels), width=2.2, height=2.9)
    for cell, (title, groups) in zip(axes, panels, strict=True):
        bins = _shared_bins(np.concatenate([groups[i] for i in (0, 1, 3)]))
        rest, near, few, other = (np.clip(values, bins[0], bins[-1]) for values in groups)
        outline: dict[str, Any] = {"histtype": "step", "lw": 1.5}
        looks = ({"color": "#d1d5db"}, outline | {"color": AFTER}, outline | {"color": "#1f2937", "ls": ":"})
        for values, look, name in zip((rest, near, other), looks, (names[0], names[1], names[3]), strict=True):
            if len(values):
                cell.hist(values, bins, density=True, label=name, **look)
        # Ticks of equal counts are moved apart a little.
        _ticks(cell, np.sort(few) + (_spread(len(few), 0.6) if bins[1] - bins[0] == 1 else 0), names[2])
        cell.set(yticks=[], title=title)
        cell.spines["left"].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


@painter
def margins_by_class(classes: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> "Figure":
    """Closure margins of each class as a histogram, beside it the share without a loop; misread images are ticks.

    Args:
        classes: Title; margins in pixels (n,), infinite without a loop; bool (n,), misread.
    """
    figure, axes = _panels(len(classes), 1, width=7.5, height=1.9, sharex=True)
    there = np.concatenate([margins[np.isfinite(margins)] for _, margins, _ in classes])
    low, high = (float(there.min()), float(there.max())) if there.size else (-1.0, 1.0)
    step = 0.25
    bins = np.arange(np.floor(low / step) * step, high + 2 * step, step)
    beyond = bins[-1] + 4 * step
    for cell, (title, margins, misread) in zip(axes, classes, strict=True):
        finite = np.isfinite(margins)
        weights = np.full(int(finite.sum()), 1 / max(1, len(margins)))
        cell.hist(margins[finite], bins, weights=weights, color=_PALE, edgecolor=AFTER)
        # A number, because the bar would be much higher than the others where most images have no loop.
        cell.axvspan(beyond - 2 * step, beyond + 2 * step, color="#f3f4f6", lw=0)
        missing = 100 * (~finite).mean() if len(margins) else 0.0
        cell.text(beyond, 0.9 * cell.get_ylim()[1], f"{missing:.0f} %", ha="center", va="center")
        _ticks(cell, np.where(finite, margins, beyond + _spread(len(margins), 3 * step))[misread])
        cell.axvline(0, color=BEFORE, lw=0.8, ls=":")
        cell.set(title=title, ylabel="share of the class")
    ticks = np.arange(np.floor(low), high + step).astype(int)
    axes[-1].set_xticks([*ticks, beyond], [*map(str, ticks), "no loop"])
    axes[-1].set_xlabel("closure margin, px: ← closed, open →")
    return figure


@painter
def risk_coverage_curves(
    runs: Sequence[tuple[np.ndarray, np.ndarray]],
    together: Sequence[tuple[np.ndarray, np.ndarray]],
    marks: Sequence[tuple[float, float]],
) -> "Figure":
    """Share of wrong answers against the share of images answered.

    Args:
        runs: Coverage (K,) and risk (K,) of each run, both in [0, 1].
        together: The same of their ensemble; empty if there is none.
        marks: Coverage and risk at the threshold.
    """
    figure, (axes,) = _panels(1, width=5.6, height=3.3)
    looks = {"color": BEFORE, "lw": 0.9, "alpha": 0.7}, {"color": AFTER, "lw": 1.8}
    labels = "each run" if len(runs) > 1 else "the run", f"ensemble of {len(runs)}"
    for curves, look, label in zip((runs, together), looks, labels, strict=True):
        for i, (coverage, risk) in enumerate(curves):
            axes.plot(100 * coverage, 100 * risk, label=label if i == 0 else None, **look)
    if marks:
        axes.plot(*100 * np.transpose(marks), "o", color=WRONG, ms=5, label="at the threshold")
    top = max(risk[-1] for _, risk in (*runs, *together)) or 0.01
    # The axis begins where the first curve rises from 0.
    rises = [coverage[np.argmax(risk > 0.02 * top)] for coverage, risk in (*runs, *together)]
    left = 100 * min(0.99, *rises, *(coverage for coverage, _ in marks))
    margin = 0.03 * (100 - left)
    axes.set(xlim=(left - 2 * margin, 100 + margin), ylim=(-4 * top, 108 * top))
    axes.set(xlabel="images answered, %", ylabel="wrong answers, %")
    axes.legend()
    return figure


@painter
def reliability_diagram(bins: Sequence[tuple[float, float, float, float, int]], *, title: str) -> "Figure":
    """Accuracy against confidence; below it, the number of predictions in each bin.

    Args:
        bins: Mean confidence, accuracy, lower and upper end of its interval, number of predictions.
        title: Of the figure.
    """
    figure, (above, below) = _panels(2, 1, width=4.6, height=2.1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy, low, high, count = np.array(bins, dtype=float).T
    above.plot([0, 1], [0, 1], color=BEFORE, lw=0.8, ls=":")
    error = np.maximum([accuracy - low, high - accuracy], 0)
    above.errorbar(confidence, accuracy, yerr=error, fmt="o", color=AFTER, ms=4, lw=1, capsize=2)
    above.set(ylabel="accuracy", ylim=(-0.03, 1.03), xlim=(0, 1.02), title=title)
    below.vlines(confidence, 0.8, count, color=AFTER, lw=5)
    below.set(yscale="log", ylim=(0.8, 2 * count.max()), xlabel="confidence", ylabel="predictions")
    return figure


def _panels(n: int, columns: int = 0, *, width: float, height: float, **options: Any) -> "tuple[Figure, np.ndarray]":
    """A figure of n axes, by default in one row, each of width x height inches, or narrower to fit the page."""
    columns = columns or n
    rows = -(-n // columns)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(_WIDTH, width * columns), height * rows), layout="constrained")
    axes: np.ndarray = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for cell in axes[n:]:
        cell.axis("off")
    return figure, axes[:n]


def _show(cell: Any, image: np.ndarray, caption: str = "") -> None:
    """Show an image (H, W, C): grey as dark ink on white, colour as it is."""
    cell.imshow(image, cmap="gray_r", vmin=0, vmax=255)
    cell.set_title(caption, fontsize=6.5, pad=2)


def _heatmap(
    cell: Any,
    values: np.ndarray,
    columns: Sequence[str],
    rows: Sequence[str],
    texts: np.ndarray | None = None,
    **options: Any,
) -> None:
    import seaborn as sns

    if texts is None:
        whole = np.allclose(values, np.rint(values))
        texts = np.vectorize(lambda value: f"{value:.0f}" if whole else f"{value:.1f}")(values)
        texts = np.where(np.isclose(values, 0), "", texts)
    options = {"square": True, "linewidths": 0.5, "linecolor": "#e5e7eb", **options}
    annotations = texts if len(columns) <= _MAX_NUMBERED else False
    sns.heatmap(values, ax=cell, annot=annotations, fmt="", xticklabels=False, yticklabels=False, **options)
    # seaborn would measure every label, which takes a second per panel of 30 classes; a character is 0.06 in wide.
    room = cell.get_position().width * cell.figure.get_figwidth() / len(columns)
    upright = max(map(len, columns)) * 0.06 > room
    cell.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90 if upright else 0)
    cell.set_yticks(np.arange(len(rows)) + 0.5, rows)


def _largest(errors: np.ndarray, class_names: Sequence[str]) -> tuple[list[int], str]:
    """The classes of (M, C, C) errors to draw, and what to add to the title if that is not all of them."""
    if len(class_names) <= _MAX_CLASSES:
        return list(range(len(class_names))), ""
    sizes = np.abs(errors).max(axis=0)
    classes = np.transpose(np.unravel_index(np.argsort(-sizes, axis=None, kind="stable"), sizes.shape)).ravel()
    shown = sorted(list(dict.fromkeys(classes.tolist()))[:_MAX_CLASSES])
    return shown, f"\n(the {len(shown)} of {len(class_names)} classes with the largest cells)"


def _arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """A colour for each arm: a control's own; the others grey, teal, and then the controls' that are left."""
    others = cycle([BEFORE, AFTER, *(colour for name, colour in CONTROLS.items() if name not in arms)])
    return {arm: CONTROLS.get(arm) or next(others) for arm in arms}


def _spread(n: int, width: float) -> np.ndarray:
    """Offsets (n,), evenly spaced, that keep equal points apart."""
    return np.linspace(-width / 2, width / 2, n) if n > 1 else np.zeros(n)


def _ticks(cell: Any, places: np.ndarray, label: str | None = None) -> None:
    """Mark values on the x axis."""
    if len(places):
        cell.plot(places, np.zeros(len(places)), "|", color=WRONG, ms=14, mew=1, label=label, clip_on=False)


def _are_counts(values: np.ndarray) -> bool:
    return bool(values.size and np.all(values == np.rint(values)) and np.ptp(values) < 12)


def _shared_bins(values: np.ndarray) -> np.ndarray:
    """Edges of bins: one bin for each value of small counts, else 24 between the 1st and the 99th percentile."""
    if not len(values):
        return np.array([0.0, 1.0])
    if _are_counts(values):
        return np.arange(values.min() - 0.5, values.max() + 1)
    low, high = np.quantile(values, [0.01, 0.99])
    return np.linspace(low, high if high > low else low + 1, 25)
