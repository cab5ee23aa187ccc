"""Figures: the numbers are on them, and the files are small and always the same."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from erroran.report import figures

RNG = np.random.default_rng(2)
DIGITS = [str(digit) for digit in range(10)]
COUNTS = RNG.integers(0, 9, (10, 10)) + np.diag([900] * 10)
IMAGES = RNG.integers(0, 256, (23, 28, 28, 1), dtype=np.uint8)


def _history(shift: float = 0.0) -> dict[str, list[float]]:
    return {
        "loss": [0.5 + shift, 0.25 + shift, 0.125 + shift],
        "accuracy": [0.8, 0.9, 0.95],
        "val_loss": [0.4 + shift, 0.3 + shift, 0.2 + shift],
        "val_accuracy": [0.85, 0.9, 0.92],
    }


DRAWN: dict[str, Callable[[], Figure]] = {
    "curves": lambda: figures.training_curves({f"baseline {s}": _history(s / 10) for s in range(3)}),
    "heatmap": lambda: figures.confusion_heatmap(COUNTS, DIGITS, title="errors"),
    "difference": lambda: figures.confusion_difference(COUNTS - 4, DIGITS, title="change"),
    "gallery": lambda: figures.gallery(IMAGES, [str(i) for i in range(23)]),
    "sheet": lambda: figures.before_after_sheet([("before", IMAGES[:8]), ("after", IMAGES[8:16])]),
    "seeds": lambda: figures.seeds_before_after(
        [("4 as 9", [3, 5, 4], [2, 2, 3]), ("all", [90, 95, 93], [91, 90, 92])]
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_pngs_are_small_and_of_a_palette(name: str) -> None:
    """At most 64 colours and 150 kB, so that reports can live in a repository."""
    png = figures.to_png(DRAWN[name]())
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "P")
    assert len(image.getcolors() or []) <= 64
    assert len(png) < 150_000
    assert min(image.size) > 100


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_data_gives_the_same_bytes(name: str) -> None:
    """Rendering a report again changes no file."""
    assert figures.to_png(DRAWN[name]()) == figures.to_png(DRAWN[name]())


def test_the_number_of_colours_can_be_chosen() -> None:
    """Fewer colours for smaller files."""
    image = Image.open(io.BytesIO(figures.to_png(DRAWN["heatmap"](), colours=8)))
    assert len(image.getcolors() or []) <= 8


def test_training_curves_of_one_arm() -> None:
    """Loss (log) and accuracy over epochs from 1; train solid, `mine` dashed; a colour and a name per run."""
    figure = figures.training_curves({"seed 0": _history(), "seed 1": _history(0.1)})
    left, right = figure.axes
    assert [(a.get_xlabel(), a.get_ylabel(), a.get_yscale()) for a in (left, right)] == [
        ("epoch", "loss", "log"), ("epoch", "accuracy", "linear"),
    ]  # fmt: skip
    assert [(line.get_linestyle(), line.get_ydata().tolist()) for line in left.lines[:2]] == [
        ("-", [0.5, 0.25, 0.125]), ("--", [0.4, 0.3, 0.2]),
    ]  # fmt: skip
    assert right.lines[2].get_ydata().tolist() == [0.8, 0.9, 0.95]
    assert left.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert [line.get_color() for line in left.lines] == ["C0", "C0", "C1", "C1"]
    legend = right.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["seed 0", "seed 1"]
    assert legend.get_title().get_text() == "solid: train, dashed: mine"


def test_training_curves_of_two_arms_share_a_colour_per_arm() -> None:
    """The legend names arms, once each."""
    labels = ("baseline 0", "baseline 1", "4to9 0", "4to9 1")
    figure = figures.training_curves({label: _history() for label in labels})
    left, right = figure.axes
    assert [line.get_color() for line in left.lines[::2]] == ["C0", "C0", "C1", "C1"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["baseline", "4to9"]


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def _values(figure: Figure) -> np.ndarray:
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    return np.ma.getdata(mesh.get_array()).reshape(-1).astype(float)


def test_the_heatmap_shows_errors_and_leaves_the_diagonal_blank() -> None:
    """True by predicted, names on both axes, zeros unwritten, the input unchanged."""
    counts = np.array([[90, 2, 0], [1, 80, 7], [0, 0, 70]])
    before = counts.copy()
    figure = figures.confusion_heatmap(counts, ["a", "b", "c"], title="errors per run")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted", "true", "errors per run")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert _texts(figure) == ["", "2", "", "1", "", "7", "", "", ""]
    assert _values(figure).tolist() == [0, 2, 0, 1, 0, 7, 0, 0, 0]
    assert np.array_equal(counts, before)


def test_means_are_written_with_a_decimal() -> None:
    """Whole counts without, means over runs with."""
    figure = figures.confusion_heatmap(np.array([[9, 1.5], [2, 9]]), ["a", "b"], title="")
    assert _texts(figure) == ["", "1.5", "2.0", ""]


def test_the_difference_has_zero_in_the_middle_of_its_colours() -> None:
    """Fewer and more errors of the same size are equally far from white."""
    figure = figures.confusion_difference(np.array([[5, -3], [1, -5]]), ["a", "b"], title="change")
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    assert mesh.get_clim() == (-3, 3)
    assert _texts(figure) == ["", "-3", "1", ""]
    fewer, more = mesh.get_cmap()(0.1), mesh.get_cmap()(0.9)
    assert fewer[1] > max(fewer[0], fewer[2])
    assert more[1] < min(more[0], more[2])


def test_no_errors_at_all_can_be_drawn() -> None:
    """A perfect model, and a change of nothing: every cell blank."""
    for draw in (figures.confusion_heatmap, figures.confusion_difference):
        assert set(_texts(draw(np.diag([5, 5, 5]), ["a", "b", "c"], title=""))) == {""}


def test_many_classes_are_drawn_without_numbers() -> None:
    """Beyond 20 classes numbers would overlap."""
    names = [str(i) for i in range(21)]
    assert _texts(figures.confusion_heatmap(np.ones((21, 21)), names, title="")) == []
    assert len(_texts(figures.confusion_heatmap(np.ones((20, 20)), names[:20], title=""))) == 400


@pytest.mark.parametrize(("n", "columns", "cells"), [(1, 10, 4), (3, 10, 4), (10, 10, 10), (23, 10, 30), (5, 2, 6)])
def test_a_gallery_has_room_for_all(n: int, columns: int, cells: int) -> None:
    """Each image in reading order with its caption; empty cells stay empty."""
    figure = figures.gallery(IMAGES[:n], [f"no {i}" for i in range(n)], columns=columns)
    assert len(figure.axes) == cells
    assert [axes.get_title() for axes in figure.axes[:n]] == [f"no {i}" for i in range(n)]
    for axes, image in zip(figure.axes, IMAGES[:n], strict=False):
        assert np.array_equal(axes.images[0].get_array(), image[..., 0])
        assert axes.images[0].get_clim() == (0, 255)
    assert [len(axes.images) for axes in figure.axes[n:]] == [0] * (cells - n)


def test_colour_is_shown_as_it_is() -> None:
    """Red, green and blue; beside each other with a white gap between."""
    colour = RNG.integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    axes = figures.gallery(colour, ["a", "b", "c", "d"]).axes[2]
    assert np.array_equal(axes.images[0].get_array(), colour[2])
    shown = figures.pairs_gallery(colour, 255 - colour, ["a", "b", "c", "d"]).axes[3].images[0].get_array()
    assert np.array_equal(shown, np.concatenate([colour[3], np.full((9, 1, 3), 255), 255 - colour[3]], axis=1))


def test_a_sheet_shows_the_same_samples_in_columns() -> None:
    """A row per dose with its name at the left."""
    figure = figures.before_after_sheet([("4", IMAGES[:3]), ("dilate 1 px", IMAGES[3:6])])
    assert [axes.get_ylabel() for axes in figure.axes] == ["4", "", "", "dilate 1 px", "", ""]
    assert all(np.array_equal(axes.images[0].get_array(), IMAGES[i, ..., 0]) for i, axes in enumerate(figure.axes))


def test_every_seed_is_a_dot_and_the_mean_a_bar() -> None:
    """Before at the left, after at the right, from zero, nothing hidden."""
    figure = figures.seeds_before_after([("4 as 9", [3, 5, 4], [2, 2, 5]), ("all", [90], [91])])
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["4 as 9", "all"]
    assert [line.get_ydata().tolist() for line in first.lines] == [[3, 5, 4], [2, 2, 5]]
    assert [line.get_xdata().tolist() for line in first.lines] == [
        pytest.approx([-0.15, 0, 0.15]), pytest.approx([0.85, 1, 1.15]),
    ]  # fmt: skip
    assert [bar.get_segments()[0][0][1] for bar in first.collections] == [4, 3]
    assert [bar.get_segments()[0][0][1] for bar in second.collections] == [90, 91]
    assert [label.get_text() for label in first.get_xticklabels()] == ["before", "after"]
    assert first.get_ylim()[0] == 0
    assert (first.get_ylabel(), second.get_ylabel()) == ("errors per run", "")


def test_risk_and_coverage_begin_where_something_happens() -> None:
    """Every run and the ensemble is a line in per cent; what is judged is marked; the flat part is cut off."""
    coverage = np.linspace(0.01, 1, 100)
    risk = np.where(coverage > 0.9, coverage - 0.9, 0)
    figure = figures.risk_coverage_curves(
        [("seed 0", coverage, risk), ("seed 1", coverage, risk / 2)], ("both", coverage, risk / 4), [(0.95, 0.02)]
    )
    (axes,) = figure.axes
    assert [line.get_ydata()[-1] for line in axes.lines] == pytest.approx([10, 5, 2.5, 2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["each run", "both", "at the threshold"]
    assert 0.85 < axes.get_xlim()[0] < 0.92


def test_risk_of_a_perfect_run_can_be_drawn() -> None:
    """No errors at all: a flat line, not an empty axis."""
    figure = figures.risk_coverage_curves([("seed 0", np.array([0.5, 1]), np.zeros(2))], None, [(1.0, 0.0)])
    low, high = figure.axes[0].get_ylim()
    assert low < high


def test_reliability_shows_intervals_and_counts() -> None:
    """A dot at its confidence and accuracy, a bar of as many predictions below."""
    figure = figures.reliability_diagram([(0.3, 0.25, 0.1, 0.5, 8), (0.9, 0.95, 0.9, 0.98, 100)], title="a run")
    above, below = figure.axes
    assert above.lines[1].get_xydata().tolist() == [[0.3, 0.25], [0.9, 0.95]]
    assert [segment[1][1] for segment in below.collections[0].get_segments()] == [8, 100]


def test_pairs_by_model_says_numbers_and_frames_owners() -> None:
    """Errors as text, a dot for none; colour by share; one frame where one was asked for."""
    errors, framed = np.array([[3.0, 0.0], [1.5, 2.5]]), np.array([[True, False], [False, False]])
    figure = figures.pairs_by_model(
        errors,
        errors / errors.sum(axis=0),
        rows=["4 → 9", "9 → 4"],
        columns=["cnn", "dense"],
        bold=framed,
        framed=framed,
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["3.0", "·", "1.5", "2.5"]
    assert [text.get_weight() for text in axes.texts] == ["bold", "normal", "normal", "normal"]
    assert len(axes.patches) == 1
    assert axes.patches[0].get_xy() == pytest.approx((-0.47, -0.44))
