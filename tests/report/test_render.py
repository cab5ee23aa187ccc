"""The filters of the templates, by hand, and the rules of every document."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from erroran.report.render import p_value, per_run, percent, render, signed, table_cell, write_document


@pytest.mark.parametrize(
    ("fraction", "digits", "text"), [(0.9925, 2, "99.25 %"), (1.0, 0, "100 %"), (0.0, 1, "0.0 %"), (0.005, 0, "0 %")]
)
def test_percent(fraction: float, digits: int, text: str) -> None:
    """A fraction, with a space before the sign."""
    assert percent(fraction, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.25, 1, "+1.2"), (-3.0, 1, "−3.0"), (0.0, 1, "0.0"), (-0.04, 1, "0.0"), (0.04, 1, "0.0"), (None, 1, "–"),
     (-63.7, 0, "−64")],
)  # fmt: skip
def test_signed(value: float | None, digits: int, text: str) -> None:
    """A true minus; what rounds to nothing has no sign; None is a dash."""
    assert signed(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "< 0.001"), (0.001, "0.001"), (0.0499, "0.050"), (0.0996, "0.100"), (0.25, "0.25"), (1.0, "1.00"),
     (None, "–")],
)  # fmt: skip
def test_p_value(value: float | None, text: str) -> None:
    """Three digits where it matters, never a bare 0."""
    assert p_value(value) == text


def test_per_run() -> None:
    """Whole numbers stay whole."""
    assert per_run([3, 0, 2.5]) == "3, 0, 2.5"


def test_table_cell() -> None:
    """A bar or a line break in a name cannot break a table."""
    assert table_cell("a|b\nc") == "a\\|b c"


def test_a_missing_name_is_an_error() -> None:
    """A template that lacks a value fails rather than printing nothing."""
    with pytest.raises(UndefinedError):
        render("index.md.j2", rows=[])


def test_blank_lines_and_end() -> None:
    """Never two empty lines in a row; one newline at the end."""
    text = render("index.md.j2", rows=[], pending=[], documents=[])
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_write_document(tmp_path: Path) -> None:
    """The text beside a folder of its own with figures and data; NaN never becomes JSON."""
    path = write_document(tmp_path, "a", "# A\n", figures={"f": Figure()}, data={"d": {"x": 1}})
    assert path.read_text() == "# A\n"
    assert (tmp_path / "a" / "f.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a" / "d.json").read_text() == '{\n "x": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_document(tmp_path, "b", "", figures={}, data={"d": float("nan")})
