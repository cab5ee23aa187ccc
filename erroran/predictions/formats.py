"""Reading one prediction file: CSV (also ``.csv.gz``), Parquet or npz, one run per file.

The columns are ``sample_id``, ``label``, and ``prediction`` and/or one ``p_<class>`` per class. An npz holds arrays of
the same names, or ``probabilities`` (N, C) with ``class_names`` (C,); integers beside text ``class_names`` are indices
into them.
"""

import csv
import gzip
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from erroran.errors import BadInput, DatasetError
from erroran.predictions.check import MISSING, Run, empty, not_numbers, pick_columns, run_from_arrays, run_from_frame

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".npz")
_DAMAGE = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeError, csv.Error)


def check_kind(path: Path) -> None:
    """Refuse a folder, and a file name with another ending than `SUFFIXES`.

    Raises:
        DatasetError: It is one.
    """
    if path.is_dir():
        raise DatasetError(f"{path} is a folder.", fix=f"give its files, as in '{path}/*.csv'")
    if not path.name.lower().endswith(SUFFIXES):
        raise DatasetError(
            f"{path} ends in {path.suffix or 'nothing'}; prediction files end in {', '.join(SUFFIXES)}.",
            fix="export the predictions as CSV with the columns sample_id, label, prediction",
        )


def read_file(path: Path) -> Run:
    """Read and check one file.

    Raises:
        DatasetError: It is damaged, or its content cannot be used.
        BadInput: Parquet without pyarrow.
    """
    readers = {".parquet": _read_parquet, ".npz": _read_npz}
    try:
        return readers.get(path.suffix.lower(), _read_csv)(path)
    except _DAMAGE as problem:
        raise _damaged(path, str(problem)) from problem
    except OSError as problem:
        message = f"{path} cannot be read: {problem.strerror or problem}."
        raise DatasetError(message, fix=f"make {path} readable, or name another file") from problem


def _read_csv(path: Path) -> Run:
    header = _csv_header(path)
    kinds: dict[str, Any] = dict.fromkeys(pick_columns(str(path), header), np.float64)
    kinds |= {name: "category" for name in ("label", "prediction") if name in kinds} | {"sample_id": object}
    try:
        frame = pd.read_csv(
            path,
            header=0,
            # Other columns may have one name several times, which pandas refuses.
            names=[name if name in kinds else f"{at}: {name}" for at, name in enumerate(header)],
            # Without `usecols` pandas also notices rows that are too long.
            usecols=None if len(kinds) == len(header) else list(kinds),
            dtype=kinds,
            encoding="utf-8",
            skipinitialspace=True,
            keep_default_na=False,
            na_values=list(MISSING),
        )
    except pd.errors.ParserError as problem:
        raise _damaged(path, str(problem).removeprefix("Error tokenizing data. C error: ")) from problem
    except UnicodeError:
        raise
    except ValueError as problem:
        raise not_numbers(str(path), problem) from problem
    return run_from_frame(str(path), frame)


def _csv_header(path: Path) -> list[str]:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, skipinitialspace=True) if any(cell.strip() for cell in row))
        header, first = next(rows, None), next(rows, None)
    if header is None:
        raise empty(str(path))
    if first is not None and len(first) > len(header):
        # pandas would take the surplus for an index, and shift every column.
        raise _damaged(path, f"its header has {len(header)} fields, the row below {len(first)}")
    return [cell.strip() for cell in header]


def _read_parquet(path: Path) -> Run:
    try:
        import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as problem:
        message = f"{path} is Parquet; reading it needs pyarrow, which is not installed."
        raise BadInput(message, fix="pip install 'erroran[parquet]'") from problem
    try:
        table = pq.read_table(path, columns=pick_columns(str(path), pq.read_schema(path).names))
    except pa.ArrowException as problem:
        raise _damaged(path, str(problem)) from problem
    # Without pandas' metadata: a sample_id that was an index is a column like any other.
    return run_from_frame(str(path), table.to_pandas(ignore_metadata=True))


def _read_npz(path: Path) -> Run:
    if path.stat().st_size == 0:
        raise empty(str(path))
    with path.open("rb") as file:
        try:
            stored = np.load(file, allow_pickle=False)
        except ValueError as problem:
            raise _damaged(path, "it is not a npz archive") from problem
        if not hasattr(stored, "files"):
            raise _damaged(path, "it holds one array, not an archive of arrays")
        names = list(stored.files)
        matrix = "probabilities" in names
        wanted = pick_columns(str(path), names, matrix=matrix) + ["probabilities"] * matrix
        arrays = {name: _member(path, stored, name) for name in wanted}
        class_names = _member(path, stored, "class_names").tolist() if "class_names" in names else None
    return run_from_arrays(str(path), arrays, class_names)


def _member(path: Path, stored: Any, name: str) -> np.ndarray:
    try:
        array: np.ndarray = stored[name]
    except (ValueError, MemoryError) as problem:
        message = f"{path}: {name} holds Python objects, or is damaged ({problem})."
        raise DatasetError(message, fix=f"save {name} as numbers or with .astype(str)") from problem
    wanted = "(N, C)" if name == "probabilities" else "(N,)"
    if array.ndim != (2 if name == "probabilities" else 1):
        raise DatasetError(
            f"{path}: {name} has shape {array.shape}; {wanted} is needed.",
            fix="save one run per file, one row per sample",
        )
    return array


def _damaged(path: Path, detail: str) -> DatasetError:
    return DatasetError(f"{path} is damaged: {detail.strip().rstrip('.')}.", fix=f"write {path} again, or leave it out")
