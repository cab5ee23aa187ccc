"""Fill Markdown templates, and write reports with the files that belong to them."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erroran import files
from erroran.errors import Unavailable
from erroran.report.text import (
    change,
    code,
    counted,
    made_with,
    md,
    p_is,
    p_value,
    per_run,
    percent,
    signed,
    span,
    url,
)

if TYPE_CHECKING:
    from jinja2 import Environment

    from erroran.report.drawing import Drawing

_FILTERS = {
    "change": change,
    "code": code,
    "counted": counted,
    "made_with": made_with,
    "md": md,
    "p_is": p_is,
    "p_value": p_value,
    "percent": percent,
    "runs": per_run,
    "signed": signed,
    "span": span,
    "url": url,
}


def render(template: str, **context: Any) -> str:
    """Fill a template from ``templates/``; a name that it uses and `context` lacks is an error.

    Returns:
        Markdown that ends with one newline and never has two empty lines in a row.
    """
    text = _environment().get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("erroran.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML: the templates escape names with `md`
    )
    environment.filters.update(_FILTERS)
    return environment


def write_document(
    folder: Path,
    name: str,
    text: str,
    *,
    figures: "Mapping[str, Drawing] | None" = None,
    data: Mapping[str, object] | None = None,
    tables: Mapping[str, str] | None = None,
) -> Path:
    """Write files into ``<folder>/<name>/``, then the page ``<folder>/<name>.md``.

    Args:
        folder: ``./reports``.
        name: Name of the document.
        text: The Markdown.
        figures: File name without ending, to figure; written as PNG, unless the file shows the same already.
        data: The same, to content for `json.dumps`.
        tables: The same, to CSV text.

    Returns:
        The path of the Markdown file.

    Raises:
        Unavailable: The folder cannot be written.
    """
    beside = folder / name
    with explain_failure(folder / f"{name}.md"):
        for stem, figure in (figures or {}).items():
            write_figure(beside / _file_name(stem, "png"), figure)
        for stem, content in (data or {}).items():
            files.write_text(beside / _file_name(stem, "json"), json.dumps(content, indent=1, allow_nan=False) + "\n")
        for stem, table in (tables or {}).items():
            files.write_text(beside / _file_name(stem, "csv"), table)
    return write_page(folder / f"{name}.md", text)


def write_figure(path: Path, figure: "Drawing") -> None:
    """Draw a figure and write it as PNG, unless the file shows the same already."""
    if not figure.is_shown_by(path):
        from erroran.report.figures import to_png

        files.write_bytes(path, to_png(figure.draw(), figure.digest))


def write_page(path: Path, text: str) -> Path:
    """Write one file of text, and return its path.

    Raises:
        Unavailable: The folder cannot be written.
    """
    with explain_failure(path):
        files.write_text(path, text)
    return path


@contextmanager
def explain_failure(path: Path) -> Iterator[None]:
    """Turn an `OSError` into `Unavailable`, with the name of the report."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The report {path} cannot be written: {error.strerror or error}.",
            fix=f"check the folder {path.parent}; nothing has to be trained again",
        ) from error


def _file_name(stem: str, ending: str) -> str:
    """The name of a file that belongs to a document; a ValueError for anything that is not plain ASCII."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", stem):
        raise ValueError(f"{stem!r} cannot be a file name")
    return f"{stem}.{ending}"
