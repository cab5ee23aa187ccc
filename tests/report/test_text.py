"""Numbers in words, by hand; and names from outside, which must be shown as they are wherever they stand."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.report.text import code, md, p_value, per_run, percent, signed, to_csv, url


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
    """A true minus; what rounds to 0 has no sign; None is a dash."""
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


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("4 read as 9: p < 0.05, −0.4 (−3.3 to +1.9); 4to9-dilate_only", None),
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("# Verdict", r"\# Verdict"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("`rm -rf`", r"\`rm -rf\`"),
        ("a|b", r"a\|b"),
        ("line\nbreak\r\n\n# heading", r"line break \# heading"),
        ("> quote", r"\> quote"),
        ("- item", r"\- item"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("1. first", r"1\. first"),
        ("-1", None),
        ("2.5 px", None),
        ("*bold* _slanted_ snake_case", r"\*bold\* \_slanted\_ snake_case"),
        ("&lt; &#60; R&D", r"\&lt; \&\#60; R&D"),
        (r"back\slash", r"back\\slash"),
        ("https://example.org", r"https:\//example.org"),
        ("a\x1b[31mred\u202e", r"a\[31mred"),
    ],
)
def test_md(text: str, escaped: str | None) -> None:
    """What would be markup is escaped; ordinary sentences stay as they are (None)."""
    assert md(text) == (text if escaped is None else escaped)


@given(st.text(alphabet="ab \\`*_[]()<>#|~!&$-+=.1\n/:", max_size=12))
def test_md_shows_the_text(text: str) -> None:
    """A Markdown parser sees the same characters and no element in them, in a paragraph, a heading and a cell."""
    from rich.markdown import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    shown = " ".join(text.split())
    for source in (md(text), f"# a {md(text)}", f"| a |\n|---|\n| {md(text)} |"):
        inline = [token for token in parser.parse(source) if token.type == "inline"][-1:]
        found = "".join(child.content for token in inline for child in token.children or [])
        if not shown:
            continue
        assert {child.type for token in inline for child in token.children or []} <= {"text", "text_special"}
        assert found.removeprefix("a ") == shown or found == shown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [("4to9", "`4to9`"), ("a*b", "`a*b`"), ("a`b", r"<code>a\`b</code>"), ("a|<b>", r"<code>a\|\<b></code>")],
)
def test_code(text: str, markdown: str) -> None:
    """Backticks where they suffice, else an element whose content is escaped."""
    assert code(text) == markdown


def test_url() -> None:
    """A name with spaces and brackets stays one target; folders stay folders."""
    assert url("a (b)/c#1.png") == "a%20%28b%29/c%231.png"


def test_csv_runs_no_formula() -> None:
    """Text that a spreadsheet would run is quoted; numbers, also negative ones, are not."""
    cells = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "-1.5e3", "+7", "a=b", 'x,"y"', ""]
    safe = ["'=1+1", "'+cmd", "'-2+3", "'@SUM(A1)", "'\t=1", "-1.5e3", "+7", "a=b", 'x,"y"', ""]
    text = to_csv(["name", "share", "n"], [(cell, -0.5, 3) for cell in cells])
    assert list(csv.reader(io.StringIO(text))) == [["name", "share", "n"], *([c, "-0.500000", "3"] for c in safe)]
