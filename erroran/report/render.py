"""Fill a Markdown template, and write a document with the files beside it, each in one step."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erroran import files
from erroran.errors import Unavailable
from erroran.report.text import code, counted, made_with, md, p_value, per_run, percent, signed, url

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FILTERS = {
    "code": code,
    "counted": counted,
    "made_with": made_with,
    "md": md,
    "p_value": p_value,
    "percent": percent,
    "runs": per_run,
    "signed": signed,
    "url": url,
}


def render(template: str, **context: Any) -> str:
    """Fill a template of this package.

    Args:
        template: File name in ``templates/``.
        context: What it uses; a missing name is an error.

    Returns:
        Markdown that ends with one newline and never has two empty lines in a row.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("erroran.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML: the templates escape names with `md`
    )
    environment.filters.update(_FILTERS)
    text = environment.get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_document(
    folder: Path,
    name: str,
    text: str,
    *,
    figures: "Mapping[str, Figure] | None" = None,
    data: Mapping[str, object] | None = None,
    tables: Mapping[str, str] | None = None,
) -> Path:
    """Write ``<name>.md``, and its figures, JSON files and tables into ``<name>/``; the page itself last.

    Args:
        folder: ``./reports``.
        name: The document's name.
        text: The Markdown.
        figures: Stem to figure; written as PNG.
        data: Stem to JSON-ready content.
        tables: Stem to CSV text.

    Returns:
        The path of the Markdown file.

    Raises:
        Unavailable: The folder cannot be written.
    """
    from erroran.report.figures import to_png

    beside = folder / name
    with explain_failure(folder / f"{name}.md"):
        for stem, figure in (figures or {}).items():
            files.write_bytes(beside / _file_name(stem, "png"), to_png(figure))
        for stem, content in (data or {}).items():
            files.write_text(beside / _file_name(stem, "json"), json.dumps(content, indent=1, allow_nan=False) + "\n")
        for stem, table in (tables or {}).items():
            files.write_text(beside / _file_name(stem, "csv"), table)
    return write_page(folder / f"{name}.md", text)


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
    """Turn an error of the file system while a report is written into a message.

    Raises:
        Unavailable: There was one.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The report {path} cannot be written: {error.strerror or error}.",
            fix=f"check the folder {path.parent}; nothing has to be trained again",
        ) from error


def _file_name(stem: str, ending: str) -> str:
    """The name of a file beside a document.

    Raises:
        ValueError: The stem holds other characters than ASCII letters, digits, ``_``, ``.`` and ``-``: a class name,
            say, that should have been turned into a `Pair.slug`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", stem):
        raise ValueError(f"{stem!r} cannot be a file name")
    return f"{stem}.{ending}"
