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
        rows: Name; uint8 (n, H, W, C); n captions; n times whether the reading is right.
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
        images: uint8 (N, H, W, C), N >= 1.
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


def pairs_gallery(before: np.ndarray, after: np.ndarray, captions: Sequence[str], *, columns: int = 6) -> Figure:
    """A grid of images, each beside what became of it, with a caption above.

    Args:
        before: uint8 (N, H, W, C), N >= 1.
        after: uint8 (N, H, W, C).
        captions: N short texts.
        columns: Pairs in a row.
    """
    rows = -(-len(before) // columns)
    figure = Figure(figsize=(1.55 * columns, 1.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in axes:
        cell.axis("off")
    _, height, width, channels = before.shape
    gap = np.full((height, max(1, width // 9), channels), np.nan)
    for cell, was, now, caption in zip(axes, before, after, captions, strict=False):
        _show(cell, np.concatenate([was, gap, now], axis=1))
        cell.set_title(caption, fontsize=6.5, pad=2)
    return figure


def before_after_sheet(rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Rows of images, each row with its name; the columns are the same samples.

    Args:
        rows: Name of the row and its images, uint8 (n, H, W, C), n the same in each.
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
    """Draw an image (H, W, 1), ink black, or (H, W, 3); NaN is left white."""
    shown = image[..., 0] if image.shape[2] == 1 else np.nan_to_num(image, nan=255).astype(np.uint8)
    axes.imshow(shown, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")


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
        rows: Name; uint8 (D, H, W, C); D readings; the right one.
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


def group_histograms(panels: Sequence[tuple[str, Sequence[np.ndarray]]], names: Sequence[str]) -> Figure:
    """How one quantity is spread in four groups, a panel for each quantity.

    Args:
        panels: Title; values of the four groups, (n,) each without NaN: filled, a line, ticks at the bottom (a small
            group), a dotted line.
        names: Of the groups.
    """
    columns = min(len(panels), 4)
    figure = Figure(figsize=(2.7 * columns + 0.4, 2.9), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for cell, (title, groups) in zip(axes, panels, strict=True):
        bins = _shared_bins(np.concatenate([groups[i] for i in (0, 1, 3)]))
        rest, near, few, other = (np.clip(values, bins[0], bins[-1]) for values in groups)
        if len(rest):
            cell.hist(rest, bins, density=True, color="#d1d5db", label=names[0])
        for values, style, colour, name in ((near, "-", AFTER, names[1]), (other, ":", "#1f2937", names[3])):
            if len(values):
                cell.hist(values, bins, density=True, histtype="step", ls=style, lw=1.5, color=colour, label=name)
        if len(few):
            # Counts fall together: their ticks are spread a little, evenly and by order, to be seen.
            spread = np.linspace(-0.3, 0.3, len(few)) if bins[1] - bins[0] == 1 else 0
            cell.plot(
                np.sort(few) + spread,
                np.zeros(len(few)),
                "|",
                color="#b91c1c",
                ms=14,
                mew=1,
                label=names[2],
                clip_on=False,
            )
        cell.set_title(title, fontsize=9)
        cell.set(yticks=[])
        cell.tick_params(labelsize=7)
        cell.spines[["top", "right", "left"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    return figure


def _shared_bins(values: np.ndarray) -> np.ndarray:
    """Bins for all groups: one a value for small counts, else 24 between the outer hundredths."""
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = np.quantile(values, [0.01, 0.99])
    if np.all(values == np.rint(values)) and high - low < 12:
        return np.arange(low - 0.5, high + 1)
    return np.linspace(low, high if high > low else low + 1, 25)


def errors_by_version(
    versions: Sequence[str], panels: Sequence[tuple[str, Mapping[str, Sequence[Sequence[float]]]]]
) -> Figure:
    """Every run's errors as a dot, with the means as bars of their own: a panel a kind of error, a group a version.

    Args:
        versions: V names.
        panels: Kind of error; arm to the values of its runs, V sequences.
    """
    arms = list(panels[0][1])
    width = 0.8 / len(arms)
    figure = Figure(figsize=(3.9 * len(panels), 3.3), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colours = (BEFORE, AFTER, "#c2410c", "#7c3aed", "#b45309", "#0369a1")
    for cell, (title, by_arm) in zip(axes, panels, strict=True):
        for i, (arm, by_version) in enumerate(by_arm.items()):
            colour = colours[i % len(colours)]
            for place, values in enumerate(by_version):
                middle = place + (i - (len(arms) - 1) / 2) * width
                spread = np.linspace(-width / 4, width / 4, len(values)) if len(values) > 1 else [0.0]
                cell.plot(middle + np.asarray(spread), values, "o", color=colour, ms=3.5, alpha=0.75, mew=0)
                name = arm if place == 0 else None
                mean = float(np.mean(values))
                cell.hlines(mean, middle - width * 0.4, middle + width * 0.4, color=colour, lw=2, label=name)
        cell.set_ylim(bottom=-0.02 * cell.get_ylim()[1])  # dots at zero are seen whole
        cell.set_xticks(range(len(versions)), versions, rotation=35, ha="right", fontsize=8)
        cell.set_title(title, fontsize=9)
        cell.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("errors per run")
    axes[0].legend(fontsize=7)
    return figure


def margins_by_class(classes: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """Closure margins of each class as a histogram, images without a loop beside it, misread ones as dots.

    Args:
        classes: Title; margins in pixels (n,), infinite without a loop; bool (n,), misread.
    """
    figure = Figure(figsize=(7.5, 1.9 * len(classes)), layout="constrained")
    axes = figure.subplots(len(classes), 1, squeeze=False, sharex=True)[:, 0]
    there = np.concatenate([margins[np.isfinite(margins)] for _, margins, _ in classes] or [np.zeros(1)])
    low, high = (float(there.min()), float(there.max())) if len(there) else (-1.0, 1.0)
    step = 0.25
    bins = np.arange(np.floor(low / step) * step, high + 2 * step, step)
    beyond = bins[-1] + 4 * step
    for cell, (title, margins, misread) in zip(axes, classes, strict=True):
        finite = np.isfinite(margins)
        share = 1 / max(1, len(margins))
        cell.hist(margins[finite], bins, weights=np.full(int(finite.sum()), share), color="#99d5cb", edgecolor=AFTER)
        top = cell.get_ylim()[1]
        # As a bar it would dwarf the others wherever most images have no loop.
        cell.axvspan(beyond - 2 * step, beyond + 2 * step, color="#f3f4f6", lw=0)
        missing = (~finite).mean() if len(margins) else 0.0
        cell.text(beyond, 0.9 * top, f"{missing:.0%}".replace("%", " %"), ha="center", va="center", fontsize=8)
        x = np.where(finite, margins, beyond)[misread]
        spread = np.linspace(0.35, 0.65, len(x)) if len(x) > 1 else np.full(len(x), 0.5)
        cell.plot(x, spread * top, "o", color="#b91c1c", ms=5, mew=0, alpha=0.85)
        cell.axvline(0, color=BEFORE, lw=0.8, ls=":")
        cell.set_title(title, fontsize=9)
        cell.set_ylabel("share of the class", fontsize=8)
        cell.tick_params(labelsize=8)
        cell.spines[["top", "right"]].set_visible(False)
    ticks = [tick for tick in range(int(np.floor(low)), int(np.ceil(high)) + 1) if tick <= high + step]
    axes[-1].set_xticks([*ticks, beyond], [*map(str, ticks), "no loop"])
    axes[-1].set_xlabel("closure margin, px: ← closed, open →", fontsize=8)
    return figure


def risk_coverage_curves(
    runs: Sequence[tuple[str, np.ndarray, np.ndarray]],
    together: tuple[str, np.ndarray, np.ndarray] | None,
    marks: Sequence[tuple[float, float]],
) -> Figure:
    """Share of wrong answers against the share of images answered.

    Args:
        runs: Name, coverage (K,) and risk (K,) of each run, both in [0, 1].
        together: The same of their ensemble, drawn in front.
        marks: Coverage and risk at the threshold of each that is judged.
    """
    figure = Figure(figsize=(5.6, 3.3), layout="constrained")
    axes = figure.subplots()
    for i, (_, coverage, risk) in enumerate(runs):
        label = ("each run" if len(runs) > 1 else "the run") if i == 0 else None
        axes.plot(coverage, 100 * risk, color=BEFORE, lw=0.9, alpha=0.7, label=label)
    if together is not None:
        axes.plot(together[1], 100 * together[2], color=AFTER, lw=1.8, label=together[0])
    axes.plot(*np.array([(c, 100 * r) for c, r in marks]).T, "o", color="#c2410c", ms=5, label="at the threshold")
    curves = [*runs, *([together] if together else [])]
    top = max(risk[-1] for _, _, risk in curves)
    # Far to the left nothing happens: the picture begins where the first curve leaves the ground.
    lifts = [coverage[np.argmax(risk > 0.02 * top)] for _, coverage, risk in curves]
    left = min(0.99, *lifts, *(c for c, _ in marks))
    axes.set(xlim=(left - 0.08 * (1 - left), 1 + 0.03 * (1 - left)), ylim=(-4 * top, 108 * top or 1))
    axes.set(xlabel="share of the images answered", ylabel="wrong answers, %")
    axes.legend(fontsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def reliability_diagram(bins: Sequence[tuple[float, float, float, float, int]], *, title: str) -> Figure:
    """Accuracy against confidence, with how many predictions there are of each confidence below.

    Args:
        bins: Mean confidence, accuracy, lower and upper end of its interval, number of predictions.
        title: Whose.
    """
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy, low, high, count = np.array(bins, dtype=float).T
    above.plot([0, 1], [0, 1], color=BEFORE, lw=0.8, ls=":")
    error = np.maximum([accuracy - low, high - accuracy], 0)
    above.errorbar(confidence, accuracy, yerr=error, fmt="o", color=AFTER, ms=4, lw=1, capsize=2)
    above.set(ylabel="share that is right", ylim=(-0.03, 1.03), xlim=(0, 1.02))
    above.set_title(title, fontsize=9)
    below.vlines(confidence, 0.8, count, color=AFTER, lw=5)
    below.set(yscale="log", ylim=(0.8, 2 * count.max()), xlabel="confidence", ylabel="predictions")
    for cell in (above, below):
        cell.spines[["top", "right"]].set_visible(False)
    return figure


def pairs_by_model(
    errors: np.ndarray,
    share: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    bold: np.ndarray,
    framed: np.ndarray,
) -> Figure:
    """Confusions by model: the number is errors per run, the colour the share of all errors of the model.

    Args:
        errors: float (P, M).
        share: float (P, M), in [0, 1].
        rows: P names of pairs.
        columns: M names of models.
        bold: bool (P, M).
        framed: bool (P, M).
    """
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(1.6 + 0.95 * len(columns), 1.1 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(100 * share, cmap="Reds", vmin=0, vmax=max(100 * share.max(), 1), aspect="auto")
    dark = share > 0.6 * share.max()
    for i, j in np.ndindex(*errors.shape):
        axes.text(
            j,
            i,
            f"{errors[i, j]:.1f}" if errors[i, j] else "·",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark[i, j] else "black",
            weight="bold" if bold[i, j] else "normal",
        )
        if framed[i, j]:
            axes.add_patch(Rectangle((j - 0.47, i - 0.44), 0.94, 0.88, fill=False, ec="#1d4ed8", lw=1.8))
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xticks(range(len(columns)), columns, fontsize=8, rotation=30, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, shrink=0.5, label="share of the model's errors, %")
    return figure
