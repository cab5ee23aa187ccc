"""Figures: the numbers are on them, and the files are small and always the same."""

import io
from collections.abc import Callable

import matplotlib as mpl
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


def _draw_heatmap(counts: np.ndarray, names: list[str], title: str = "", *, change: bool = False) -> Figure:
    return figures.confusion_heatmaps.draw([(title, counts)], names, change=change)


DRAWN: dict[str, Callable[[], Figure]] = {
    "curves": lambda: figures.training_curves.draw({f"baseline {s}": _history(s / 10) for s in range(3)}),
    "heatmap": lambda: _draw_heatmap(COUNTS, DIGITS),
    "nine models": lambda: figures.confusion_heatmaps.draw([("cnn", COUNTS)] * 9, DIGITS),
    "300 classes": lambda: _draw_heatmap(np.ones((300, 300)), [f"class {i}" for i in range(300)]),
    "gallery": lambda: figures.gallery.draw(IMAGES, [str(i) for i in range(23)]),
    "long gallery": lambda: figures.gallery.draw(np.zeros((138, 28, 28, 1), dtype=np.uint8), [""] * 138, columns=3),
    "sheet": lambda: figures.image_rows.draw([("before", IMAGES[:8]), ("after", IMAGES[8:16])]),
    "wide sheet": lambda: figures.image_rows.draw([("a", IMAGES)]),
    "seeds": lambda: figures.errors_by_arm.draw(
        [("4 as 9", {"before": [[3, 5, 4]], "after": [[2, 2, 3]]}), ("all", {"before": [[9]], "after": [[8]]})]
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_pngs_are_small(name: str) -> None:
    """At most 900 pixels wide at double density, whatever the data, and small enough for a repository."""
    png = figures.to_png(DRAWN[name]())
    width, height = Image.open(io.BytesIO(png)).size
    assert width <= 1800
    assert height <= 3600
    assert len(png) < 300_000


def test_the_colour_bar_survives_the_palette() -> None:
    """Its colours are rare in the figure; a palette chosen by frequency loses most of them."""
    figure = figures.pairs_by_model.draw(
        np.ones((2, 2)), np.array([[1, 0], [0, 0.1]]), rows=["a", "b"], columns=["c", "d"],
        bold=np.zeros((2, 2)), framed=np.zeros((2, 2)),
    )  # fmt: skip
    image = np.asarray(Image.open(io.BytesIO(figures.to_png(figure))).convert("RGB"))
    box = figure.axes[1].get_position()
    x = round((box.x0 + box.x1) / 2 * image.shape[1])
    bar = image[round((1 - box.y1) * image.shape[0]) : round((1 - box.y0) * image.shape[0]), x]
    assert len(np.unique(bar, axis=0)) > 40


@pytest.mark.parametrize("name", ["curves", "seeds"])
def test_the_same_data_gives_the_same_bytes(name: str) -> None:
    """Rendering a report again changes no file."""
    assert figures.to_png(DRAWN[name]()) == figures.to_png(DRAWN[name]())


def test_drawing_leaves_the_settings_of_matplotlib() -> None:
    """The style is that of the figures, not of the program that draws them."""
    before = dict(mpl.rcParams)
    DRAWN["heatmap"]()
    assert dict(mpl.rcParams) == before


def test_training_curves_of_one_arm() -> None:
    """Loss (log) and accuracy over epochs from 1; train solid, validation dashed; a colour and a name per run."""
    figure = figures.training_curves.draw({"seed 0": _history(), "seed 1": _history(0.1)})
    left, right = figure.axes
    assert [(a.get_xlabel(), a.get_ylabel(), a.get_yscale()) for a in (left, right)] == [
        ("epoch", "loss", "log"), ("epoch", "accuracy", "linear"),
    ]  # fmt: skip
    assert [(line.get_linestyle(), line.get_ydata().tolist()) for line in left.lines[:2]] == [
        ("-", [0.5, 0.25, 0.125]), ("--", [0.4, 0.3, 0.2]),
    ]  # fmt: skip
    assert right.lines[2].get_ydata().tolist() == [0.8, 0.9, 0.95]
    assert left.lines[0].get_xdata().tolist() == [1, 2, 3]
    colours = [line.get_color() for line in left.lines[:4]]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    texts = [text.get_text() for text in right.get_legend().get_texts()]
    assert texts == ["run", "seed 0", "seed 1", "images", "train", "validation"]
    assert left.get_legend() is None


def test_training_curves_of_two_arms_share_a_colour_per_arm() -> None:
    """The legend names arms, once each."""
    labels = ("baseline 0", "baseline 1", "4to9 0", "4to9 1")
    figure = figures.training_curves.draw({label: _history() for label in labels})
    left, right = figure.axes
    colours = [line.get_color() for line in left.lines[:8:2]]
    assert colours == [figures.BEFORE, figures.BEFORE, figures.AFTER, figures.AFTER]
    assert [text.get_text() for text in right.get_legend().get_texts()][:3] == ["arm", "baseline", "4to9"]


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def _values(figure: Figure) -> np.ndarray:
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    return np.ma.getdata(mesh.get_array()).reshape(-1).astype(float)


def test_the_heatmap_shows_errors_and_leaves_the_diagonal_blank() -> None:
    """True by predicted, names on both axes, zeros unwritten, the input unchanged."""
    counts = np.array([[90, 2, 0], [1, 80, 7], [0, 0, 70]])
    before = counts.copy()
    figure = _draw_heatmap(counts, ["a", "b", "c"], "errors per run")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted", "true", "errors per run")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert _texts(figure) == ["", "2", "", "1", "", "7", "", "", ""]
    assert _values(figure).tolist() == [0, 2, 0, 1, 0, 7, 0, 0, 0]
    assert np.array_equal(counts, before)


def test_means_are_written_with_a_decimal() -> None:
    """Whole counts without, means over runs with."""
    figure = _draw_heatmap(np.array([[9, 1.5], [2, 9]]), ["a", "b"])
    assert _texts(figure) == ["", "1.5", "2.0", ""]


def test_the_difference_has_zero_in_the_middle_of_its_colours() -> None:
    """Fewer and more errors of the same size are equally far from white."""
    figure = _draw_heatmap(np.array([[5, -3], [1, -5]]), ["a", "b"], change=True)
    (mesh,) = (c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    assert mesh.get_clim() == (-3, 3)
    assert _texts(figure) == ["", "-3", "1", ""]
    fewer, more = mesh.get_cmap()(0.1), mesh.get_cmap()(0.9)
    assert fewer[0] < min(fewer[1], fewer[2])  # teal
    assert more[0] > more[1] > more[2]  # orange


def test_no_errors_at_all_can_be_drawn() -> None:
    """A perfect model, and a change of nothing: every cell blank."""
    for change in (False, True):
        assert set(_texts(_draw_heatmap(np.diag([5, 5, 5]), ["a", "b", "c"], change=change))) == {""}


def test_many_classes_are_drawn_without_numbers() -> None:
    """Beyond 12 classes numbers would be too small to read."""
    names = [str(i) for i in range(13)]
    assert _texts(_draw_heatmap(np.ones((13, 13)), names)) == []
    assert len(_texts(_draw_heatmap(np.ones((12, 12)), names[:12]))) == 144


def test_of_too_many_classes_those_of_the_largest_cells_are_drawn() -> None:
    """The title says how many; all models of a figure show the same ones."""
    names = [f"c{i}" for i in range(200)]
    first, second = np.zeros((2, 200, 200))
    first[150, 7], second[3, 199] = 9, 8
    figure = figures.confusion_heatmaps.draw([("a", first), ("b", second)], names)
    for axes, title in zip(figure.axes, "ab", strict=False):
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert len(labels) == 30
        assert {"c3", "c7", "c150", "c199"} <= set(labels)
        assert axes.get_title() == f"{title}\n(the 30 of 200 classes with the largest cells)"
    shown = _values(figure).reshape(30, 30)
    assert shown[labels.index("c150"), labels.index("c7")] == 9


@pytest.mark.parametrize(("n", "columns", "cells"), [(1, 10, 4), (3, 10, 4), (10, 10, 10), (23, 10, 30), (5, 2, 6)])
def test_a_gallery_has_room_for_all(n: int, columns: int, cells: int) -> None:
    """Each image in reading order with its caption; empty cells stay empty."""
    figure = figures.gallery.draw(IMAGES[:n], [f"no {i}" for i in range(n)], columns=columns)
    assert len(figure.axes) == cells
    assert [axes.get_title() for axes in figure.axes[:n]] == [f"no {i}" for i in range(n)]
    for axes, image in zip(figure.axes, IMAGES[:n], strict=False):
        assert np.array_equal(axes.images[0].get_array(), image[..., 0])
        assert axes.images[0].get_clim() == (0, 255)
    assert [len(axes.images) for axes in figure.axes[n:]] == [0] * (cells - n)


def test_long_captions_are_wrapped() -> None:
    """Captions of neighbouring images do not overlap; line breaks are kept."""
    axes = figures.gallery.draw(IMAGES[:1], ["Ankle boot read as Sneaker\n0.999"]).axes[0]
    assert axes.get_title() == "Ankle boot read as\nSneaker\n0.999"


def test_numbers_fit_into_the_cells_of_a_small_panel() -> None:
    """Three panels of ten classes have smaller numbers than one panel."""
    one = _draw_heatmap(COUNTS, DIGITS).axes[0].texts[1]
    three = figures.confusion_heatmaps.draw([("a", COUNTS)] * 3, DIGITS).axes[0].texts[1]
    assert three.get_fontsize() < 6.5 < one.get_fontsize()


def test_colour_is_shown_as_it_is() -> None:
    """Red, green and blue; beside each other with a white gap between."""
    colour = RNG.integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    axes = figures.gallery.draw(colour, ["a", "b", "c", "d"]).axes[2]
    assert np.array_equal(axes.images[0].get_array(), colour[2])
    shown = figures.pairs_gallery(colour, 255 - colour, ["a", "b", "c", "d"]).draw().axes[3].images[0].get_array()
    assert np.array_equal(shown, np.concatenate([colour[3], np.full((9, 1, 3), 255), 255 - colour[3]], axis=1))


def test_a_sheet_shows_the_same_samples_in_columns() -> None:
    """A row per dose with its name at the left."""
    figure = figures.image_rows.draw([("4", IMAGES[:3]), ("dilate 1 px", IMAGES[3:6])])
    assert [axes.get_ylabel() for axes in figure.axes] == ["4", "", "", "dilate 1 px", "", ""]
    assert all(np.array_equal(axes.images[0].get_array(), IMAGES[i, :, :, 0]) for i, axes in enumerate(figure.axes))


def test_predictions_stand_under_their_images() -> None:
    """Teal if right, orange if wrong; a shorter row ends with empty cells; heads are over the columns."""
    rows = [("first", IMAGES[:2], ["4", "9"], [True, False]), ("second", IMAGES[:1], ["7"], [True])]
    figure = figures.image_rows.draw(rows, heads=["0 px", "1 px"])
    labels = [(axes.get_xlabel(), axes.xaxis.label.get_color()) for axes in figure.axes[:3]]
    assert labels == [("4", figures.AFTER), ("9", figures.WRONG), ("7", figures.AFTER)]
    assert [axes.get_title() for axes in figure.axes] == ["0 px", "1 px", "", ""]
    assert not figure.axes[3].images


def test_before_and_after_stand_side_by_side() -> None:
    """With a white gap, in grey (shown as dark ink on white) and in colour."""
    for channels, white in ((1, 0), (3, 255)):
        before, after = RNG.integers(0, 256, (2, 1, 9, 9, channels), dtype=np.uint8)
        (shown,) = figures.pairs_gallery(before, after, ["x"]).draw().axes[0].images
        expected = np.hstack([before[0], np.full((9, 1, channels), white), after[0]])
        assert np.array_equal(shown.get_array(), expected.squeeze())


def test_every_run_is_a_dot_and_the_mean_a_line() -> None:
    """Baseline grey, treatment teal; all panels on one scale from 0, unless they count very different things."""
    panels = [("4 as 9", {"before": [[3, 5, 4]], "after": [[2, 2, 5]]}), ("all", {"before": [[90]], "after": [[91]]})]
    figure = figures.errors_by_arm.draw(panels)
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["4 as 9", "all"]
    assert [line.get_ydata().tolist() for line in first.lines] == [[3, 5, 4], [2, 2, 5]]
    assert [line.get_color() for line in first.lines] == [figures.BEFORE, figures.AFTER]
    assert all(before < 0 < after for before in first.lines[0].get_xdata() for after in first.lines[1].get_xdata())
    segments = [bar.get_segments()[0] for bar in first.collections]
    assert [y for (_, y), (_, end) in segments if y == end] == [4, 3]
    # Student's t with 2 degrees of freedom: 4.303 standard deviations of the mean, here 1 / sqrt(3) before.
    assert next(end - y for (_, y), (_, end) in segments if y != end) == pytest.approx(2 * 4.303 / 3**0.5, rel=1e-3)
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylim()[0] <= 0
    assert first.get_ylim()[1] > 91
    assert (first.get_ylabel(), second.get_ylabel()) == ("errors per run", "")
    apart = figures.errors_by_arm.draw(panels, one_scale=False)
    assert apart.axes[0].get_ylim()[1] < 10


def test_versions_are_groups_on_the_axis() -> None:
    """One group of arms for each version, named below it."""
    figure = figures.errors_by_arm.draw([("4 as 9", {"before": [[3], [5]], "after": [[2], [1]]})], ["plain", "thin"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["plain", "thin"]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3], [5], [2], [1]]
    assert [np.round(line.get_xdata()[0]) for line in axes.lines] == [0, 1, 0, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["before", "after"]


def test_counts_are_bars_and_measurements_are_boxes() -> None:
    """A box plot of a count that is 0, 1 or 2 shows nothing; a class without values stays empty."""
    values = {"holes": [np.array([0, 1, 1]), np.array([])], "area": [np.array([0.5, 2.5, 3.5]), np.array([1.0, 9.5])]}
    holes, area = figures.boxes_by_class.draw(values, ["8", "1"]).axes[:2]
    assert [bar.get_height() for bar in holes.patches] == [pytest.approx(2 / 3), 0]
    assert len(area.patches) == 2
    assert [label.get_text() for label in area.get_xticklabels()] == ["8", "1"]


def test_flips_have_equal_axes() -> None:
    """The diagonal is where a flip happens exactly at the margin."""
    margins, doses = np.array([-3.0, np.nan, 0.5]), np.array([1.0, 1.0, -0.5])
    axes = figures.flips_against_margin.draw([("4 read as 9", margins, doses)]).axes[0]
    assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-3.3, 1.3))
    assert axes.get_aspect() == 1


def test_risk_and_coverage_begin_where_something_happens() -> None:
    """Every run and the ensemble is a line in per cent; what is judged is marked; the flat part is cut off."""
    coverage = np.linspace(0.01, 1, 100)
    risk = np.where(coverage > 0.9, coverage - 0.9, 0)
    figure = figures.risk_coverage_curves.draw(
        [(coverage, risk), (coverage, risk / 2)], [(coverage, risk / 4)], [(0.95, 0.02)]
    )
    (axes,) = figure.axes
    assert [line.get_ydata()[-1] for line in axes.lines] == pytest.approx([10, 5, 2.5, 2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "each run",
        "ensemble of 2",
        "at the threshold",
    ]
    assert 85 < axes.get_xlim()[0] < 92
    assert axes.lines[-1].get_xdata() == pytest.approx([95])


def test_risk_of_a_perfect_run_can_be_drawn() -> None:
    """No errors at all: a flat line, not an empty axis."""
    figure = figures.risk_coverage_curves.draw([(np.array([0.5, 1]), np.zeros(2))], [], [(1.0, 0.0)])
    low, high = figure.axes[0].get_ylim()
    assert low < 0 < high


def test_reliability_shows_intervals_and_counts() -> None:
    """A dot at its confidence and accuracy, a bar of as many predictions below."""
    figure = figures.reliability_diagram.draw([(0.3, 0.25, 0.1, 0.5, 8), (0.9, 0.95, 0.9, 0.98, 100)], title="a run")
    above, below = figure.axes
    assert above.lines[1].get_xydata().tolist() == [[0.3, 0.25], [0.9, 0.95]]
    assert [segment[1][1] for segment in below.collections[0].get_segments()] == [8, 100]


def test_pairs_by_model_says_numbers_and_frames_owners() -> None:
    """Errors as text, a dot for none; colour by share; one frame where one was asked for."""
    errors, framed = np.array([[3.0, 0.0], [1.5, 2.5]]), np.array([[True, False], [False, False]])
    figure = figures.pairs_by_model.draw(
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
    assert axes.patches[0].get_xy() == pytest.approx((0.03, 0.06))
