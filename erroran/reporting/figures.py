"""Figures: plain data in, a matplotlib Figure out. Nothing here reads or writes files."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

BEFORE, AFTER = "#6b7280", "#0f766e"


def to_png(figure: Figure, *, colours: int = 64) -> bytes:
    """Encode a figure as a small PNG (a palette of `colours`), so that reports can live in a repository."""
    from PIL import Image

    raw = io.BytesIO()
    figure.savefig(
        raw,
        format="png",
        dpi=110,
        facecolor="white",
        bbox_inches="tight",
        metadata={"Software": None},
    )
    small = io.BytesIO()
    Image.open(raw).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def training_curves(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Loss and accuracy per epoch; solid on train, dashed on `mine`.

    Args:
        histories: Label of a line to its history (``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``). Labels
            that begin alike up to the last word share a colour, so arms can be told apart.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    arms = list(dict.fromkeys(label.rpartition(" ")[0] for label in histories))
    shown = set()
    for label, history in histories.items():
        arm = label.rpartition(" ")[0]
        colour = f"C{arms.index(arm)}" if len(arms) > 1 else f"C{list(histories).index(label) % 10}"
        name = (arm if arm not in shown else None) if len(arms) > 1 else label
        shown.add(arm)
        epochs = np.arange(1, len(history["loss"]) + 1)
        for axes, metric in ((left, "loss"), (right, "accuracy")):
            axes.plot(epochs, history[metric], color=colour, lw=1.2, label=name)
            axes.plot(epochs, history[f"val_{metric}"], color=colour, lw=1.2, ls="--")
            axes.set(xlabel="epoch", ylabel=metric)
            axes.xaxis.get_major_locator().set_params(integer=True)
    left.set_yscale("log")
    right.legend(fontsize=7, title="solid: train, dashed: mine", title_fontsize=7)
    return figure


def confusion_heatmap(counts: np.ndarray, class_names: Sequence[str], *, title: str) -> Figure:
    """Errors per directed pair; the diagonal (correct) is left blank, or nothing else could be seen.

    Args:
        counts: (C, C), true class by predicted class; whole counts, or means over runs.
        class_names: The C names.
        title: What the numbers are.
    """
    errors = counts.astype(float).copy()
    np.fill_diagonal(errors, 0)
    return _matrix(errors, class_names, title, cmap="Reds", vmin=0, vmax=max(errors.max(), 1))


def confusion_heatmaps(models: Sequence[tuple[str, np.ndarray]], class_names: Sequence[str]) -> Figure:
    """Errors per directed pair of several models, on one scale of colours.

    Args:
        models: Name and (C, C) mean errors per run, true class by predicted class.
        class_names: The C names.
    """
    columns = 2 if len(models) in (2, 4) else min(3, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(4.1 * columns, 3.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    errors = [np.where(np.eye(len(class_names), dtype=bool), 0, counts) for _, counts in models]
    limit = max(1.0, *(float(matrix.max()) for matrix in errors))
    for cell in axes[len(models) :]:
        cell.axis("off")
    for cell, (name, _), matrix in zip(axes, models, errors, strict=False):
        cell.imshow(matrix, cmap="Reds", vmin=0, vmax=limit)
        if len(class_names) <= 20:
            for true, predicted in np.argwhere(matrix > 0):
                value = matrix[true, predicted]
                colour = "white" if value > 0.6 * limit else "black"
                cell.text(predicted, true, f"{value:.1f}", ha="center", va="center", fontsize=6, color=colour)
        cell.set_xticks(range(len(class_names)), class_names, fontsize=7)
        cell.set_yticks(range(len(class_names)), class_names, fontsize=7)
        cell.set(xlabel="predicted", ylabel="true")
        cell.set_title(f"{name}: {matrix.sum():.0f} errors per run", fontsize=9)
    return figure


def accuracy_chart(
    models: Sequence[tuple[str, Sequence[float], tuple[float, float] | None, float | None]],
) -> Figure:
    """Accuracy of models: every seed, the mean with its interval, and what was reported elsewhere.

    Args:
        models: Name, accuracy of every seed (0..1), interval of the mean, reported accuracy; the last one on top.
    """
    figure = Figure(figsize=(7.5, 0.55 * len(models) + 1.1), layout="constrained")
    axes = figure.subplots()
    labels: dict[str, Any] = {}
    for place, (_, values, interval, reported) in enumerate(models):
        percents = 100 * np.asarray(values)
        labels["every seed"] = axes.plot(percents, [place] * len(percents), "o", color=AFTER, ms=5, alpha=0.55)[0]
        labels["mean"] = axes.plot([percents.mean()] * 2, [place - 0.3, place + 0.3], color=AFTER, lw=2)[0]
        if interval:
            ends = 100 * np.asarray(interval)
            labels["95 % interval over seeds"] = axes.plot(ends, [place, place], color=AFTER, lw=1)[0]
        if reported:
            labels["reported elsewhere"] = axes.plot(100 * reported, place, "D", mfc="white", mec="#c2410c", ms=6)[0]
    axes.set_yticks(range(len(models)), [name for name, *_ in models])
    axes.set(xlabel="accuracy on confirm, %", ylim=(-0.6, len(models) - 0.4))
    axes.legend(labels.values(), labels.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(axis="x", lw=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def prediction_rows(rows: Sequence[tuple[str, np.ndarray, Sequence[str], Sequence[bool]]]) -> Figure:
    """Images with what a model reads, a row for each model; wrong readings are red.

    Args:
        rows: Name; uint8 (n, H, W); n captions; n times whether the reading is right.
    """
    n = max(len(images) for _, images, _, _ in rows)
    figure = Figure(figsize=(1.0 * n + 1.3, 1.15 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), n, squeeze=False)
    for line, (name, images, captions, right) in zip(axes, rows, strict=True):
        for cell in line:
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
        for cell, image, caption, good in zip(line, images, captions, right, strict=False):
            _show(cell, image)
            cell.set_title(caption, fontsize=7, pad=2, color=AFTER if good else "#b91c1c")
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def confusion_difference(change: np.ndarray, class_names: Sequence[str], *, title: str) -> Figure:
    """Change of errors per directed pair; green is fewer, purple is more.

    Args:
        change: (C, C), after minus before.
        class_names: The C names.
        title: What the numbers are.
    """
    errors = change.astype(float).copy()
    np.fill_diagonal(errors, 0)
    limit = max(abs(errors).max(), 0.5)
    return _matrix(errors, class_names, title, cmap="PRGn_r", vmin=-limit, vmax=limit)


def gallery(images: np.ndarray, captions: Sequence[str], *, columns: int = 10) -> Figure:
    """A grid of images with a caption above each.

    Args:
        images: uint8 (N, H, W), N >= 1.
        captions: N short texts.
        columns: Images in a row.
    """
    columns = min(columns, max(len(images), 4))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(0.95 * columns, 1.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in axes:
        cell.axis("off")
    for cell, image, caption in zip(axes, images, captions, strict=False):
        _show(cell, image)
        cell.set_title(caption, fontsize=6.5, pad=2)
    return figure


def before_after_sheet(rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Rows of images, each row with its name; the columns are the same samples.

    Args:
        rows: Name of the row and its images, uint8 (n, H, W), n the same in each.
    """
    n = len(rows[0][1])
    figure = Figure(figsize=(0.8 * n + 1.4, 0.85 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), n, squeeze=False)
    for line, (name, images) in zip(axes, rows, strict=True):
        for cell, image in zip(line, images, strict=True):
            _show(cell, image)
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def seeds_before_after(groups: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> Figure:
    """Every seed's errors as a dot, before and after, with the means as bars of their own.

    Args:
        groups: Name of the quantity, its value in each run before, and after.
    """
    figure = Figure(figsize=(2.1 * len(groups) + 1, 2.8), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for cell, (name, before, after) in zip(axes, groups, strict=True):
        for place, values, colour in ((0, before, BEFORE), (1, after, AFTER)):
            spread = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [0.0]
            cell.plot(place + np.asarray(spread), values, "o", color=colour, ms=5, alpha=0.8)
            cell.hlines(np.mean(values), place - 0.3, place + 0.3, color=colour, lw=2)
        cell.set(xticks=[0, 1], xticklabels=["before", "after"], xlim=(-0.5, 1.5), title=name)
        cell.set_ylim(0, max(1.0, 1.1 * max(*before, *after)))
        cell.yaxis.get_major_locator().set_params(integer=True)
        cell.title.set_fontsize(9)
        cell.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("errors per run")
    return figure


def _matrix(values: np.ndarray, class_names: Sequence[str], title: str, **colours: Any) -> Figure:
    import seaborn as sns

    size = max(4.2, 0.42 * len(class_names))
    figure = Figure(figsize=(size * 1.1, size), layout="constrained")
    axes = figure.subplots()
    whole = np.allclose(values, np.rint(values))
    texts = np.vectorize(lambda value: f"{value:.0f}" if whole else f"{value:.1f}")(values)
    texts[np.isclose(values, 0)] = ""
    sns.heatmap(
        values,
        ax=axes,
        annot=texts if len(class_names) <= 20 else False,
        fmt="",
        square=True,
        xticklabels=class_names,
        yticklabels=class_names,
        linewidths=0.5,
        linecolor="#e5e7eb",
        annot_kws={"fontsize": 8},
        cbar_kws={"shrink": 0.7},
        **colours,
    )
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=9)
    return figure


def _show(axes: Any, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")


def power_curves(seeds: Sequence[int], reductions: Sequence[float], power: Sequence[Sequence[float]]) -> Figure:
    """Power against the number of seeds, one line per true reduction.

    Args:
        seeds: Seeds an arm, n of them.
        reductions: True reductions, m of them, in (0, 1].
        power: n rows of m values, 0..1.
    """
    figure = Figure(figsize=(5.5, 3), layout="constrained")
    axes = figure.subplots()
    for i, reduction in enumerate(reductions):
        values = [row[i] for row in power]
        axes.plot(seeds, values, "o-", ms=4, label=f"−{reduction:.0%}")
    axes.axhline(0.8, color=BEFORE, lw=0.8, ls=":")
    axes.set(xlabel="seeds an arm", ylabel='chance of "improved"', ylim=(0, 1.02), xticks=list(seeds))
    axes.legend(fontsize=8, title="true change", title_fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def boxes_by_class(values: Mapping[str, Sequence[np.ndarray]], class_names: Sequence[str]) -> Figure:
    """A panel for each measurement, a box for each class.

    Args:
        values: Name of the measurement to the values of each class, (n,) each; a class without values has no box.
        class_names: The C names.
    """
    columns = 3
    rows = -(-len(values) // columns)
    figure = Figure(figsize=(9.5, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in axes[len(values) :]:
        cell.axis("off")
    for cell, (name, by_class) in zip(axes, values.items(), strict=False):
        cell.boxplot(
            [v if len(v) else [np.nan] for v in by_class],
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "#d1fae5", "edgecolor": AFTER, "linewidth": 0.8},
            medianprops={"color": AFTER, "linewidth": 1.6},
            whiskerprops={"color": BEFORE, "linewidth": 0.8},
            capprops={"color": BEFORE, "linewidth": 0.8},
        )
        cell.set_title(name, fontsize=8)
        cell.set_xticks(np.arange(1, len(class_names) + 1), class_names, fontsize=7)
        cell.tick_params(axis="y", labelsize=7)
        cell.spines[["top", "right"]].set_visible(False)
    return figure


def dose_responses(
    doses: Sequence[float], panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]], Sequence[float]]]
) -> Figure:
    """Shares against dose, with intervals as bands.

    Args:
        doses: D doses in pixels, negative erodes.
        panels: Title; per line its label and (D, 3): share, low, high, NaN where unknown; doses to mark.
    """
    figure = Figure(figsize=(4.6 * len(panels), 3.3), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for cell, (title, lines, marked) in zip(axes, panels, strict=True):
        for (label, band), colour in zip(lines, (AFTER, BEFORE, "#c2410c"), strict=False):
            if np.isnan(band).all():
                continue
            cell.fill_between(doses, band[:, 1], band[:, 2], color=colour, alpha=0.15, lw=0)
            cell.plot(doses, band[:, 0], "o-", color=colour, ms=3, lw=1.4, label=label)
        for dose in marked:
            cell.axvline(dose, color=BEFORE, lw=0.8, ls=":")
        cell.set(xlabel="dose in px: ← erode, dilate →", ylim=(-0.02, 1.02))
        cell.set_title(title, fontsize=9)
        cell.legend(fontsize=6.5)
        cell.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of the images")
    return figure


def dose_strips(rows: Sequence[tuple[str, np.ndarray, Sequence[str], str]], columns: Sequence[str]) -> Figure:
    """Images over doses, with what they are read as under each; a wrong reading is red.

    Args:
        rows: Name; uint8 (D, H, W); D readings; the right one.
        columns: D names of the doses.
    """
    figure = Figure(figsize=(0.85 * len(columns) + 1.6, 1.05 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, images, readings, right) in zip(axes, rows, strict=True):
        for cell, image, reading in zip(line, images, readings, strict=True):
            _show(cell, image)
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
            colour, weight = (AFTER, "normal") if reading == right else ("#b91c1c", "bold")
            cell.set_xlabel(reading, fontsize=8, labelpad=1, color=colour, weight=weight)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5)
    for cell, column in zip(axes[0], columns, strict=True):
        cell.set_title(column, fontsize=8)
    return figure


def flips_against_margin(groups: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """The dose at which each image flips against its closure margin.

    Args:
        groups: Name; closure margins in pixels (n,), NaN is left out; signed flip doses in pixels (n,).
    """
    figure = Figure(figsize=(3.6 * len(groups) + 0.6, 3), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for cell, (name, margins, doses) in zip(axes, groups, strict=True):
        # Doses come in steps: the points of a step are spread a little, evenly and by order, to be seen.
        spread = np.linspace(-0.06, 0.06, len(doses)) if len(doses) > 1 else np.zeros(len(doses))
        cell.plot(margins, doses + spread, "o", color=AFTER, ms=4, alpha=0.5, mew=0)
        cell.axline((0, 0), slope=1, color=BEFORE, lw=0.8, ls=":")
        cell.set(xlabel="closure margin, px", ylabel="flip dose, px")
        cell.set_xlim(np.nanmin(margins) - 0.3, np.nanmax(margins) + 0.3)
        cell.set_ylim(doses.min() - 0.3, doses.max() + 0.3)
        cell.set_title(name, fontsize=9)
        cell.spines[["top", "right"]].set_visible(False)
    return figure
