"""Drawings: the same data are drawn once, other data again."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from erroran.report import figures
from erroran.report.drawing import Drawing, painter
from erroran.report.render import write_figure


@dataclass
class Row:
    """A row of a figure, as reports have them."""

    name: str
    values: tuple[float, ...]


ROW = Row("a", (1.0, 2.0))


@painter
def lines(rows: list[Row], counts: np.ndarray, *, title: str = "") -> Figure:
    """A figure."""
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot(counts)
    axes.set_title(title + "".join(row.name for row in rows))
    return figure


def _plain(**changes: object) -> Drawing:
    return lines(**{"rows": [ROW], "counts": np.arange(3), "title": "t"} | changes)


def test_equal_data_have_one_digest_and_other_data_others() -> None:
    """Values, types, shapes and where a text ends count; which object holds them does not."""
    assert _plain().digest == _plain(rows=[replace(ROW)], counts=np.array([0, 1, 2])).digest
    others = [
        _plain(rows=[ROW, ROW]),
        _plain(rows=[replace(ROW, values=(1.0, 2.5))]),
        _plain(counts=np.arange(3.0)),
        _plain(counts=np.arange(3)[:, None]),
        _plain(title="u"),
        _plain(title="t", rows=[replace(ROW, name="t")]),
        lines([ROW], np.arange(3)),
    ]
    assert len({drawing.digest for drawing in (_plain(), *others)}) == len(others) + 1


def test_a_file_that_shows_the_data_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing is drawn; other data, another way to draw or a foreign file are drawn again."""
    drawn = []
    original = figures.to_png
    monkeypatch.setattr(figures, "to_png", lambda *given: drawn.append(1) or original(*given))
    path = tmp_path / "f.png"
    write_figure(path, _plain())
    first = path.read_bytes()
    write_figure(path, _plain())
    assert (len(drawn), path.read_bytes()) == (1, first)
    write_figure(path, _plain(title="u"))
    assert len(drawn) == 2
    path.write_bytes(original(_plain().draw()))
    write_figure(path, _plain())
    assert (len(drawn), path.read_bytes()) == (3, first)
    monkeypatch.setattr("erroran.report.drawing._digest_code", lambda _: "changed")
    write_figure(path, _plain())
    assert len(drawn) == 4
