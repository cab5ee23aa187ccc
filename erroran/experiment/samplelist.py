"""Read the CSV files of a spec's ``[data]``: sample ids, each with a label or a number of repetitions."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_BYTES = 64_000_000
"""A longer file is refused unread; a million ids with labels fit."""

_SAMPLE_ID = re.compile(r"[0-9a-f]{16}(~[1-9][0-9]*)?")
_MOST_SHOWN = 40


def read_ids(path: Path) -> list[str]:
    """Read the column ``sample_id``; sorted, so that the order of the rows does not count.

    Raises:
        ValueError: The file is missing, too long, no CSV in UTF-8, lacks the column, or an id is malformed or repeated;
            the message names file and line.
    """
    return sorted(_read(path, lambda _: None))


def read_labels(path: Path) -> dict[str, str]:
    """Read the columns ``sample_id`` and ``label``; errors as in `read_ids`, also for a row without a label."""

    def label(row: dict[str, Any]) -> str:
        if not row["label"]:
            raise ValueError("the label is empty")
        return str(row["label"])

    return _read(path, label, needs=("label",))


def read_times(path: Path) -> dict[str, int]:
    """Read the columns ``sample_id`` and ``times``; 2 for all without ``times``; errors as in `read_ids`."""

    def times(row: dict[str, Any]) -> int:
        text = row.get("times", "2")
        if not re.fullmatch(r"\s*[0-9]{1,9}\s*", text or ""):
            raise ValueError(f"times `{_shorten(text)}` is not a whole number")
        return int(text)

    return _read(path, times)


def _read(path: Path, value: Callable[[dict[str, Any]], Any], *, needs: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has more than {MOST_BYTES // 1_000_000} MB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in ("sample_id", *needs) if name not in (rows.fieldnames or ())]
            if missing:
                has = ", ".join(map(_shorten, (rows.fieldnames or ())[:10])) or "none"
                raise ValueError(f"{path} lacks the column {missing[0]} (its columns: {has})")
            for row in rows:
                sample_id = row["sample_id"] or ""
                where = f"{path}, line {rows.line_num}"
                if not _SAMPLE_ID.fullmatch(sample_id):
                    raise ValueError(f"{where}: `{_shorten(sample_id)}` is not a sample id (16 hexadecimal digits)")
                if sample_id in found:
                    raise ValueError(f"{where}: the sample id {sample_id} is in line {lines[sample_id]} already")
                try:
                    found[sample_id] = value(row)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from error
                lines[sample_id] = rows.line_num
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if not found:
        raise ValueError(f"{path} has no rows")
    return found


def _shorten(text: object) -> str:
    plain = str(text)
    return plain if len(plain) <= _MOST_SHOWN else f"{plain[:_MOST_SHOWN]}..."
