"""Text for terminals, reports and tables: formatted numbers, columns, and escaped names.

Class names, hypotheses, notes and paths may contain any characters. In Markdown they pass through `md` or `code`, in
link targets through `url`, in CSV through `to_csv`, so that they are shown literally and are never run as markup.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from erroran.stats.roc import RocArea
    from erroran.store.records import RunRecord

_INVISIBLE = re.compile("[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]")
# Characters that start markup within a line. An underscore inside a word does not, nor a `<` that begins no tag.
_MARKUP = re.compile(r"[\\`*\[\]|~#$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<=:)/(?=/)")
# Characters that start a block at the beginning of a line: quote, list, underline of a heading, numbered list.
_BLOCK = re.compile(r"^(?:([>=])|([-+])(?!\d)|(\d{1,9})([.)])(?=\s|$))")
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def counted(number: int, noun: str) -> str:
    """Number and noun: ``1 run``, ``3 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of equal length as left-aligned columns, two spaces apart; nothing is cut or wrapped."""
    from rich.cells import cell_len  # a Chinese character takes two columns of a terminal

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(cells).rstrip() for cells in padded]


def percent(fraction: float, digits: int = 2) -> str:
    """0.9925 as ``99.25 %``."""
    return f"{fraction:.{digits}%}".replace("%", " %")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign (a true minus); no sign where it rounds to 0; a dash for None."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+") + text


def p_value(value: float | None) -> str:
    """A p-value: three digits below 0.1, two above, a dash for None."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def p_is(value: float | None) -> str:
    """A p-value in a sentence: ``= 0.012`` or ``< 0.001``."""
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def change(relative: float | None) -> str:
    """A relative change in percent, such as ``-37 %`` (with a true minus); a dash where there is no ratio."""
    return "–" if relative is None else f"{signed(100 * relative, 0)} %"


def span(ends: tuple[float | None, float | None]) -> str:
    """The interval of a relative change, ``-39 to +32 %``, with a true minus; a dash without a ratio, ``?`` if open."""
    if ends == (None, None):
        return "–"
    low, high = ("?" if end is None else signed(100 * end, 0) for end in ends)
    return f"{low} to {high} %"


def area(found: "RocArea") -> str:
    """An area under the ROC curve with its interval: ``0.71 (0.68 to 0.73)``; a dash where a group is empty."""
    if found.auc is None:
        return "–"
    interval = "" if found.low is None or found.high is None else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.auc:.2f}{interval}"


def per_run(values: Iterable[float]) -> str:
    """Each run's value, separated by commas."""
    return ", ".join(f"{value:g}" for value in values)


def md(text: object) -> str:
    """Any text as one line of Markdown that shows it literally, also in headings, table cells and link texts."""
    line = " ".join(_INVISIBLE.sub("", str(text)).split())
    escaped = _MARKUP.sub(lambda found: "\\" + found[0], line)
    return _BLOCK.sub(lambda found: f"{found[3]}\\{found[4]}" if found[3] else "\\" + found[0], escaped)


def code(text: object) -> str:
    """Any text as inline code, also in a table cell."""
    line = " ".join(_INVISIBLE.sub("", str(text)).split())
    return f"<code>{md(line)}</code>" if re.search(r"[`|]", line) or not line else f"`{line}`"


def url(path: object) -> str:
    """A relative path as the target of a Markdown link."""
    return quote(str(path), safe="/")


def made_with(run: "RunRecord") -> str:
    """The software and the machine that trained a run, as Markdown."""
    software, at = run.spec.environment, f" at `{run.commit}`" if run.commit else ""
    used = {**dict(sorted(software.versions.items())), "Python": run.versions["python"]}
    packages = ", ".join(f"{name} {version}" for name, version in used.items())
    machine = f"{md(run.machine['platform'])}, {run.machine['cpus']} CPUs"
    return f"erroran {run.versions['erroran']}{at}, backend {software.backend}, {packages} · {machine}"


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, floats with six decimals.

    Text that a spreadsheet would run as a formula (it begins with ``= + - @`` or a tab, and is not a number) is
    prefixed with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.match(value):
        return f"'{value}"
    return value
