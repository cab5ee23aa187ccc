"""The rules of every document, and how it is written."""

from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from erroran.errors import Unavailable
from erroran.report.figures import gallery
from erroran.report.render import render, write_document, write_page
from erroran.verdict.table import ROWS

IMAGE = np.zeros((1, 8, 8, 1), dtype=np.uint8)


def test_a_missing_name_is_an_error() -> None:
    """A template that lacks a value fails rather than printing nothing."""
    with pytest.raises(UndefinedError):
        render("index.md.j2", rows=[])


def test_blank_lines_and_end() -> None:
    """Never two empty lines in a row; one newline at the end."""
    text = render("index.md.j2", title="Nothing", rows=[], pending=[], documents=[], table=ROWS)
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_write_document(tmp_path: Path) -> None:
    """The text beside a folder of its own with figures, data and tables; NaN never becomes JSON."""
    path = write_document(
        tmp_path, "a", "# A\n", figures={"f": gallery(IMAGE, ["a"])}, data={"d": {"x": 1}}, tables={"t": "x\n1\n"}
    )
    assert path.read_text() == "# A\n"
    assert (tmp_path / "a" / "f.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a" / "d.json").read_text() == '{\n "x": 1\n}\n'
    assert (tmp_path / "a" / "t.csv").read_text() == "x\n1\n"
    with pytest.raises(ValueError, match="JSON"):
        write_document(tmp_path, "b", "", data={"d": float("nan")})


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while a report is written: the report of before is whole, and nothing else is left."""
    path = write_document(tmp_path, "a", "old\n", data={"d": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("erroran.files.sync", full)
    for write in (lambda: write_document(tmp_path, "a", "new\n", data={"d": 2}), lambda: write_page(path, "new\n")):
        with pytest.raises(Unavailable, match=r"a\.md cannot be written: No space left"):
            write()
    assert path.read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "a.md", "d.json"]
    assert (tmp_path / "a" / "d.json").read_text() == "1\n"


@pytest.mark.parametrize("stem", ["../x", "a/b", ".hidden", "é", ""])
def test_files_beside_a_document_have_plain_names(tmp_path: Path, stem: str) -> None:
    """A class name cannot become a path."""
    with pytest.raises(ValueError, match="cannot be a file name"):
        write_document(tmp_path, "a", "", data={stem: 1})
