"""The forest plot: which rows it has, and where marks and intervals are."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from erroran.report.figures import AFTER, CONTROLS, to_png
from erroran.report.forest import ForestRow, control_rows, forest, verdict_rows
from erroran.stats.intervals import Effect
from erroran.verdict.compare import ArmComparison
from erroran.verdict.decide import Moved, Verdict, judge

EFFECT = Effect(
    n_images=1000, before_mean=10.0, after_mean=5.0, before_per_10000=100, after_per_10000=50, per_10000=-50,
    low=-90, high=10, seeds_low=-80, seeds_high=-20, relative=-0.5, relative_low=-0.75, relative_high=0.5,
    seeds_relative_low=-0.7, seeds_relative_high=-0.2, confidence=0.95, images_confidence=0.95,
    method="made up",
)  # fmt: skip
ENDPOINT = ForestRow("4 read as 9", EFFECT, -1, worthwhile_percent=40.0, strong=True)


def _verdict(n_classes: int, *, harmed: int | None = None) -> Verdict:
    """Class 0 is read as 1 by four images, one of them repaired; in class `harmed` 8 images go wrong."""
    labels = np.repeat(np.arange(n_classes), 20)
    before, after = (np.tile(labels, (5, 1)) for _ in range(2))
    before[:, :4], after[:, :3] = 1, 1
    if harmed is not None:
        after[:, 20 * harmed : 20 * harmed + 8] = 0
    return judge(labels, before, after, pair=(0, 1), n_classes=n_classes)


def _lines(figure: Figure) -> list[tuple[list[float], str]]:
    """Ends of the intervals, thick ones first, as ratios, and their colours."""
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_linewidth() != 1]
    return [(np.round(line.get_xdata(), 6).tolist(), line.get_color()) for line in lines if line.get_ydata()[0] >= 0]


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_rows_of_a_verdict() -> None:
    """The endpoint first, then the pair, all errors, the classes of the pair, the others."""
    rows = verdict_rows(_verdict(4))
    assert [row.name for row in rows] == [
        "0 read as 1",
        "1 read as 0",
        "0 and 1 confused either way",
        "all errors",
        *(f"errors of {label}" for label in (0, 1, 2, 3)),
    ]
    assert [row.worthwhile_percent for row in rows] == [50] + 7 * [None]
    assert [row.ruled for row in rows] == [False, True, False, True, True, False, True, False]


def test_of_many_classes_those_that_changed_have_a_row() -> None:
    """A class that got significantly worse is never left out."""
    verdict = _verdict(12, harmed=7)
    rose = Moved("errors of 7", before_mean=0.0, after_mean=8.0, p_value=0.001, adjusted=True)
    rows = verdict_rows(replace(verdict, costs=(rose,)))
    assert [row.name for row in rows[4:]] == ["errors of 0", "errors of 1", "errors of 7"]
    assert [row.change for row in rows[4:]] == [0, 0, 1]


def test_controls_are_compared_with_the_baseline_under_a_heading() -> None:
    """Each in its own colour, held against the same worthwhile change."""
    labels = np.repeat([0, 1], 20)
    before = np.tile(labels, (3, 1))
    before[:, :4] = 1
    verdict = judge(labels, before, before, pair=(0, 1), n_classes=2)
    found = ArmComparison(labels, before, before, ("0", "1")).endpoint(verdict.endpoint, (0, 1))
    heading, sham, same = control_rows(verdict, [("sham", found), ("same-op", found)])
    assert (heading.effect, heading.name) == (None, "0 read as 1, controls:")
    assert [(row.name, row.arm, row.worthwhile_percent) for row in (sham, same)] == [
        ("sham", "sham", 50),
        ("same-op", "same-op", 50),
    ]
    assert control_rows(verdict, []) == []
    colours = {colour for _, colour in _lines(forest.draw([ENDPOINT, sham, same]))}
    assert colours == {AFTER, CONTROLS["sham"], CONTROLS["same-op"]}


def test_intervals_are_ratios_on_a_logarithmic_axis() -> None:
    """Thick: new seeds, -70 to -20 %. Thin: new images, -75 to +50 %. The mark is at half the errors."""
    figure = forest.draw([ENDPOINT])
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [ends for ends, _ in _lines(figure)] == [[0.3, 0.8], [0.25, 1.5]]
    assert any(line.get_xdata()[0] == 0.5 for line in axes.lines if line.get_marker() == "o")
    (worthwhile,) = [c.get_segments()[0] for c in axes.collections]
    assert worthwhile[:, 0] == pytest.approx([0.6, 0.6])
    assert "10.0 → 5.0  −50 %, fewer" in _texts(figure)
    assert "−50 %" in [label.get_text() for label in axes.get_xticklabels()]
    assert "worthwhile: −40 %" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_no_errors_before_or_after() -> None:
    """Without errors before there is no ratio: numbers alone. Without errors after the mark is at the left edge."""
    empty = replace(
        EFFECT, before_mean=0.0, after_mean=0.4, relative=None, relative_low=None, relative_high=None,
        seeds_relative_low=None, seeds_relative_high=None,
    )  # fmt: skip
    gone = replace(
        EFFECT, after_mean=0.0, relative=-1.0, relative_low=-1.0, seeds_relative_low=-1.0, relative_high=None
    )
    figure = forest.draw([ForestRow("none before", empty), replace(ENDPOINT, effect=gone)])
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert low == pytest.approx(0.05)
    assert "0.0 → 0.4" in _texts(figure)
    assert not [
        line for line in axes.lines if len(line.get_ydata()) and line.get_ydata()[0] == 0 and line.get_color() == AFTER
    ]
    marks = [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", 8, 9)]
    assert marks == [(8, low), (8, low), (9, high), ("o", low)]


def test_a_wide_interval_of_another_row_does_not_squeeze_the_endpoint() -> None:
    """It is cut at the edge, with an arrow; the endpoint's own interval is inside as a whole."""
    wide = replace(EFFECT, relative_low=-0.99, relative_high=30.0)
    axes = forest.draw([ENDPOINT, ForestRow("errors of 1", wide)]).axes[0]
    low, high = axes.get_xlim()
    assert (low, high) == pytest.approx((0.25 / 1.1, 2))
    assert [line.get_marker() for line in axes.lines if line.get_marker() in (8, 9)] == [8, 9]


def test_the_file_is_opaque_and_narrow() -> None:
    """White background for dark pages, at most 900 px at double density; samples are called samples."""
    figure = forest.draw([ENDPOINT] * 20, unit="samples")
    image = Image.open(io.BytesIO(to_png(figure)))
    assert image.size[0] <= 1800
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == [
        "95 %: new seeds, these samples",
        "95 %: new seeds, new samples",
    ]
