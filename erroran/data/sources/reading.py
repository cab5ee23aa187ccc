"""Shared by the readers of all formats: paths in messages, unpacking, and errors of the file system."""

import csv
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erroran.errors import DatasetError

_GZIP_MAGIC = b"\x1f\x8b"


def tidy_path(path: Path) -> str:
    """The path as text, with ``~`` for the home folder, so that reports can be shared."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # outside the home folder; no home folder
        return str(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors while a file is read and unpacked into a `DatasetError`."""
    try:
        yield
    except UnicodeError as problem:
        raise DatasetError(f"{tidy_path(path)} is not UTF-8 text.", fix="save it as CSV in UTF-8") from problem
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, csv.Error) as problem:
        raise damaged(path, str(problem)) from problem
    except OSError as problem:
        raise DatasetError(
            f"{tidy_path(path)} cannot be read: {problem.strerror or problem}.",
            fix=f"make {tidy_path(path)} readable, or name another file",
        ) from problem


def read_unpacked(path: Path) -> bytes:
    """A file's bytes, without gzip; recognised by content, because downloads are often unpacked and not renamed."""
    with reading(path):
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content


def damaged(path: Path, detail: str) -> DatasetError:
    """The error for a file whose content does not follow its format."""
    return DatasetError(
        f"{tidy_path(path)} is damaged: {detail.strip().rstrip('.')}.",
        fix=f"delete {tidy_path(path)} or replace it with an intact copy",
    )
