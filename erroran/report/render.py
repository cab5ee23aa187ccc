"""Fill a Markdown template, and write a document with the files beside it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from erroran.cli.console import counted
from erroran.errors import Unavailable
from erroran.report.figures import to_png


def render(template: str, **context: Any) -> str:
    """Fill a template of this package.

    Args:
        template: File name in ``templates/``.
        context: What it uses; a missing name is an error.

    Returns:
        Markdown that ends with one newline and never has two empty lines in a row.
    """
    environment = Environment(
        loader=PackageLoader("erroran.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )
    environment.filters.update(
        percent=percent, signed=signed, p_value=p_value, cell=table_cell, runs=per_run, counted=counted
    )
    text = environment.get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_document(
    folder: Path, name: str, text: str, *, figures: Mapping[str, Figure], data: Mapping[str, object]
) -> Path:
    """Write ``<name>.md``, and its figures and JSON files into ``<name>/``.

    Args:
        folder: ``./reports``.
        name: The document's name.
        text: The Markdown.
        figures: Stem to figure; written as PNG.
        data: Stem to JSON-ready content.

    Returns:
        The path of the Markdown file.

    Raises:
        Unavailable: The folder cannot be written.
    """
    beside = folder / name
    try:
        beside.mkdir(parents=True, exist_ok=True)
        for stem, figure in figures.items():
            (beside / f"{stem}.png").write_bytes(to_png(figure))
        for stem, content in data.items():
            (beside / f"{stem}.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        path = folder / f"{name}.md"
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            f"The report {folder / name}.md cannot be written: {error.strerror}.",
            fix="check the folder ./reports; nothing has to be trained again",
        ) from error
    return path


def percent(fraction: float, digits: int = 2) -> str:
    """0.9925 as ``99.25 %``."""
    return f"{fraction:.{digits}%}".replace("%", " %")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign; a true minus; ``0`` without one; a dash for None."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+") + text


def p_value(value: float | None) -> str:
    """A p-value as a reader wants it."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def per_run(values: Any) -> str:
    """Each run's value, separated by commas."""
    return ", ".join(f"{value:g}" for value in values)


def table_cell(text: object) -> str:
    """Text that cannot break a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")
