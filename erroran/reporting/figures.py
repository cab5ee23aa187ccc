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
