"""Prediction files of any framework: read, checked, and lined up by sample id.

One file a run: CSV (also ``.csv.gz``), Parquet or npz, with the columns ``sample_id``, ``label``, and
``prediction`` and/or one ``p_<class>`` per class. An npz holds arrays of the same names, or ``probabilities``
(N, C) with ``class_names`` (C,); integers beside text ``class_names`` are indices into them.

Classes are compared by name: ``4``, ``"4"``, ``"04"`` and ``4.0`` are one class. Where a file has both a
``prediction`` and probabilities, the prediction counts, even if it is not their argmax: a threshold may have
been moved on purpose. A tie of probabilities goes to the first class in class order.
"""

import csv
import difflib
import glob
import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput, DatasetError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".npz")
MAX_CLASSES: Final = 1000
"""More different values than this are taken for something that is not a class, such as a row number."""

_REQUIRED = ("sample_id", "label")
_OTHER_NAMES = {
    "sample_id": ("id", "ids", "sample", "image", "image_id", "filename", "file", "path", "index"),
    "label": ("labels", "target", "targets", "truth", "true", "true_label", "y", "y_true", "class"),
    "prediction": ("pred", "preds", "predicted", "predictions", "y_pred", "output", "argmax"),
}
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")
# pandas calls these missing; "NA" or "None" may be the name of a class.
_MISSING = ("", "nan", "NaN")
_EXAMPLES = 3

T = TypeVar("T")
Array = npt.NDArray[Any]
Pattern = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """What S runs predicted for the same N samples, in one order of samples.

    Attributes:
        labels: int64 (N,), indices into `class_names`.
        predicted: int64 (S, N), likewise.
        probabilities: float32 (S, N, C) in [0, 1], rows summing to 1; None unless every run has them
            and they were asked for. 0 for a class that a run does not know.
        ids: str (N,), all different, short before long and then alphabetical: numbers ascend.
        class_names: C names, ascending if all are whole numbers, else alphabetical: the labels, what
            was predicted, and the classes with a probability.
        files: S names, one per run, in the order of `predicted`.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32] | None
    ids: npt.NDArray[np.str_]
    class_names: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Coded:
    """A column of classes: integer (N,) indices into their canonical, different names."""

    codes: Array
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Probabilities:
    """float (N, K), one column per class name."""

    table: Array
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Run:
    """One run, checked by itself; not yet lined up with others."""

    source: str
    ids: Array
    label: _Coded
    predicted: _Coded
    probabilities: _Probabilities | None


# --- reading


def read_predictions(files: Pattern | Sequence[Pattern], *, probabilities: bool = True) -> PredictionSet:
    """Read the runs of one arm.

    Args:
        files: Paths or glob patterns (``**`` for any folders).
        probabilities: Whether to keep probabilities; they are checked in any case.

    Raises:
        DatasetError: No file, or one that cannot be used; it is named.
        BadInput: Parquet without pyarrow.
    """
    paths = expand_files(files)
    return align_runs([_read_files(paths, keep=probabilities)])[0]


def read_arms(
    before: Pattern | Sequence[Pattern], after: Pattern | Sequence[Pattern], *, probabilities: bool = False
) -> tuple[PredictionSet, PredictionSet]:
    """Read two arms and line them up: same samples, labels and classes in both.

    Args:
        before: Paths or glob patterns of the runs without the fix.
        after: The same with it.
        probabilities: Whether to keep probabilities; they are checked in any case.

    Raises:
        DatasetError: See `read_predictions`; or the arms have different samples or labels.
        BadInput: A file is in both arms.
    """
    paths = expand_files(before, option="--before"), expand_files(after, option="--after")
    _refuse_shared(*paths)
    runs = _read_files([*paths[0], *paths[1]], keep=probabilities)
    split = len(paths[0])
    first, second = align_runs([runs[:split], runs[split:]])
    return first, second


def expand_files(patterns: Pattern | Sequence[Pattern], *, option: str = "files") -> list[Path]:
    """The files that paths and patterns name, each once, numbers in names ascending.

    Args:
        patterns: One or several; an existing file is taken as it is, whatever characters it has.
        option: What to call the list in an error.

    Raises:
        DatasetError: A pattern matches nothing, a file does not exist or is a folder, or a file is spelt
            out twice. (Patterns may overlap.)
    """
    listed = [patterns] if isinstance(patterns, str | os.PathLike) else list(patterns)
    if not listed:
        raise DatasetError(f"{option}: no files were given.", fix="name at least one prediction file")
    spelt: dict[str, str] = {}
    found: dict[str, Path] = {}
    for pattern in [os.fspath(entry) for entry in listed]:
        path = Path(pattern).expanduser()
        if path.exists():
            key = os.path.realpath(path)
            if key in spelt:
                raise DatasetError(
                    f"{option}: {pattern} and {spelt[key]} are the same file; a copy is no second run.",
                    fix=f"name {pattern} once",
                )
            spelt[key] = pattern
        for match in [path] if path.exists() else _match(pattern, option):
            found.setdefault(os.path.realpath(match), match)
    for path in found.values():
        _check_kind(path)
    return sorted(found.values(), key=lambda path: _natural(str(path)))


def _match(pattern: str, option: str) -> list[Path]:
    if not glob.has_magic(pattern):
        close = difflib.get_close_matches(Path(pattern).name, _neighbours(pattern), n=1, cutoff=0.75)
        hint = f"did you mean {Path(pattern).parent / close[0]}?" if close else "check the path"
        raise DatasetError(f"{option}: there is no file {pattern}.", fix=hint)
    names = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207 - Path.glob refuses /...
    paths = [Path(name) for name in names if Path(name).is_file()]
    if not paths:
        raise DatasetError(
            f"{option}: no file matches {pattern}.",
            fix=f"list what is there (ls {Path(pattern).parent}) and quote the pattern",
        )
    return paths


def _neighbours(pattern: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(pattern).parent.iterdir())
    except OSError:
        return []


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sorting key by which b2 comes before b10."""
    return tuple((text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name))


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in (".csv.gz", ".csv", ".parquet", ".npz") if name.endswith(suffix)), None)


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise DatasetError(f"{path} is a folder.", fix=f"give its files, as in '{path}/*.csv'")
    if _kind(path) is None:
        raise DatasetError(
            f"{path} ends in {path.suffix or 'nothing'}; prediction files end in {', '.join(SUFFIXES)}.",
            fix="export the predictions as CSV with the columns sample_id, label, prediction",
        )


def _refuse_shared(before: Sequence[Path], after: Sequence[Path]) -> None:
    real = {os.path.realpath(path) for path in before}
    shared = [path for path in after if os.path.realpath(path) in real]
    if shared:
        raise BadInput(
            f"{_some(map(str, shared), len(shared))} would be in both arms, before and after.",
            fix="give each file to one arm only",
        )


def _read_files(paths: Sequence[Path], *, keep: bool) -> list[Run]:
    # pandas parses outside Python's global lock, so threads do read side by side. A few are enough:
    # each holds one whole file.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1, len(paths))) as pool:
        return list(pool.map(lambda path: _read_file(path, keep=keep), paths))


def _read_file(path: Path, *, keep: bool) -> Run:
    readers: dict[str, Callable[[Path], Run]] = {".parquet": _read_parquet, ".npz": _read_npz}
    reader = readers.get(_kind(path) or "", _read_csv)
    try:
        run = reader(path)
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeError) as problem:
        raise _damaged(path, str(problem)) from problem
    except OSError as problem:
        raise DatasetError(
            f"{path} cannot be read: {problem.strerror or problem}.",
            fix=f"make {path} readable, or name another file",
        ) from problem
    if keep or run.probabilities is None:
        return run
    return Run(run.source, run.ids, run.label, run.predicted, None)


def _read_csv(path: Path) -> Run:
    import pandas as pd

    header = _csv_header(path)
    wanted, classes = _pick_columns(str(path), header)
    places = {name: str(header.index(name)) for name in [*wanted, *classes]}
    kinds: dict[str, Any] = {places[name]: "category" for name in wanted} | {places["sample_id"]: object}
    kinds |= {places[name]: np.float64 for name in classes}
    try:
        frame = pd.read_csv(
            path,
            header=0,
            names=[str(place) for place in range(len(header))],
            # Without `usecols` pandas also notices rows that are too long.
            usecols=None if len(kinds) == len(header) else list(kinds),
            dtype=kinds,
            encoding="utf-8",
            encoding_errors="strict",
            skipinitialspace=True,
            keep_default_na=False,
            na_values=list(_MISSING),
        )
    except pd.errors.ParserError as problem:
        raise _damaged(path, str(problem).removeprefix("Error tokenizing data. C error: ")) from problem
    except UnicodeError:
        raise
    except ValueError as problem:
        raise DatasetError(
            f"{path}: a probability is not a number ({problem}).", fix="write numbers from 0 to 1"
        ) from problem
    columns = {name: frame[places[name]].array for name in wanted if name != "sample_id"}
    block = frame[[places[name] for name in classes]].to_numpy() if classes else None
    return _make_run(str(path), frame[places["sample_id"]].to_numpy(), columns, block, classes)


def _csv_header(path: Path) -> list[str]:
    opener: Any = gzip.open if _kind(path) == ".csv.gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, skipinitialspace=True) if any(cell.strip() for cell in row))
        header, first = next(rows, None), next(rows, None)
    if header is None:
        raise _empty(str(path))
    if first is not None and len(first) > len(header):
        # pandas would take the surplus for an index, and shift every column.
        raise _damaged(path, f"its header has {len(header)} fields, the row below {len(first)}")
    return [cell.strip() for cell in header]


def _read_parquet(path: Path) -> Run:
    try:
        import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as problem:
        raise BadInput(
            f"{path} is Parquet; reading it needs pyarrow, which is not installed.",
            fix="pip install 'erroran[parquet]'",
        ) from problem
    try:
        wanted, classes = _pick_columns(str(path), pq.read_schema(path).names)
        table = pq.read_table(path, columns=[*wanted, *classes])
    except pa.ArrowException as problem:
        raise _damaged(path, str(problem)) from problem
    # Without pandas' metadata: a sample_id that was an index is a column like any other.
    frame = table.to_pandas(ignore_metadata=True)
    return _run_from_frame(str(path), frame, wanted, classes)


def _read_npz(path: Path) -> Run:
    with path.open("rb") as file, _open_npz(path, file) as stored:
        names = list(stored.files)
        matrix = "probabilities" in names
        wanted, classes = _pick_columns(str(path), names, has_matrix=matrix)
        if matrix and classes:
            raise DatasetError(f"{path} has both probabilities and {classes[0]}.", fix="keep one of the two forms")
        arrays = {name: _member(path, stored, name) for name in wanted}
        class_names = _member(path, stored, "class_names").tolist() if "class_names" in names else None
        if matrix:
            return run_from_arrays(str(path), arrays, _member(path, stored, "probabilities"), class_names)
        block = np.column_stack([_member(path, stored, name) for name in classes]) if classes else None
    return run_from_arrays(str(path), arrays, block, class_names, [name[2:] for name in classes])


def _open_npz(path: Path, file: BinaryIO) -> Any:
    if path.stat().st_size == 0:
        raise _empty(str(path))
    try:
        stored = np.load(file, allow_pickle=False)
    except ValueError as problem:
        raise _damaged(path, "it is not a npz archive") from problem
    if not hasattr(stored, "files"):
        raise _damaged(path, "it holds one array, not an archive of arrays")
    return stored


def _member(path: Path, stored: Any, name: str) -> Array:
    try:
        array: Array = stored[name]
    except ValueError as problem:
        raise DatasetError(
            f"{path}: {name} holds Python objects.", fix=f"save {name} as numbers or with .astype(str)"
        ) from problem
    wanted = 2 if name == "probabilities" else 1
    if array.ndim != wanted:
        raise DatasetError(
            f"{path}: {name} has shape {array.shape}; {'(N, C)' if wanted == 2 else '(N,)'} is needed.",
            fix="save one run a file, one row a sample",
        )
    return array


# --- one run


def run_from_frame(source: str, frame: "pd.DataFrame") -> Run:
    """Check a data frame with the columns of a prediction file.

    Args:
        source: What to call it in errors.
        frame: N rows; ``sample_id`` may also be the index.

    Raises:
        DatasetError: A column is missing, or a value cannot be used.
    """
    if "sample_id" not in frame.columns and frame.index.name == "sample_id":
        frame = frame.reset_index()
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    wanted, classes = _pick_columns(source, list(frame.columns))
    return _run_from_frame(source, frame, wanted, classes)


def _run_from_frame(source: str, frame: "pd.DataFrame", wanted: Sequence[str], classes: Sequence[str]) -> Run:
    columns = {name: frame[name].to_numpy() for name in wanted if name != "sample_id"}
    block = frame[list(classes)].to_numpy() if classes else None
    return _make_run(source, frame["sample_id"].to_numpy(), columns, block, classes)


def run_from_arrays(
    source: str,
    arrays: Mapping[str, Array],
    block: Array | None,
    class_names: Sequence[object] | None = None,
    columns: Sequence[object] | None = None,
) -> Run:
    """Check arrays of one run.

    Args:
        source: What to call it in errors.
        arrays: ``sample_id``, ``label`` and perhaps ``prediction``, each (N,).
        block: Float (N, K) probabilities, or None.
        class_names: C names; integers among the arrays are then indices, unless the names are whole
            numbers themselves.
        columns: K classes of the columns of `block`; default `class_names`, or 0..K-1.

    Raises:
        DatasetError: Lengths disagree, or a value cannot be used.
    """
    named = {key: _by_name(source, key, arrays[key], class_names) for key in arrays if key != "sample_id"}
    if block is None:
        return _make_run(source, arrays["sample_id"], named, None, ())
    if columns is None:
        columns = range(block.shape[1]) if class_names is None else class_names
    if len(columns) != block.shape[1]:
        raise DatasetError(
            f"{source}: {len(columns)} class_names for {block.shape[1]} columns of probabilities.",
            fix="give one name per column, in their order",
        )
    return _make_run(source, arrays["sample_id"], named, block, [f"p_{name}" for name in columns])


def _by_name(source: str, column: str, values: Array, class_names: Sequence[object] | None) -> Array:
    if class_names is None or not np.issubdtype(values.dtype, np.integer):
        return values
    if all(_WHOLE.fullmatch(str(name)) for name in class_names):
        return values
    if values.size and (values.min() < 0 or values.max() >= len(class_names)):
        raise DatasetError(
            f"{source}: {column} goes from {values.min()} to {values.max()}, "
            f"but there are {len(class_names)} class_names.",
            fix="give class_names in the order of the class indices",
        )
    return np.asarray(class_names, dtype=object)[values]


def _make_run(
    source: str,
    ids: Array,
    columns: Mapping[str, Any],
    block: Array | None,
    classes: Sequence[str],
) -> Run:
    """Check everything that one run can be checked for."""
    lengths = {"sample_id": len(ids)} | {name: len(values) for name, values in columns.items()}
    if block is not None:
        lengths["probabilities"] = len(block)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DatasetError(f"{source}: lengths disagree: {told}.", fix="one entry per sample in each")
    if len(ids) == 0:
        raise _empty(source)
    names = _clean_ids(source, ids)
    label = _encode(source, "label", columns["label"], names)
    probabilities = None if block is None else _check_probabilities(source, block, classes, label, names)
    if "prediction" in columns:
        predicted = _encode(source, "prediction", columns["prediction"], names)
        _check_same_kind(source, label, predicted)
    else:
        assert probabilities is not None
        predicted = _Coded(probabilities.table.argmax(axis=1), probabilities.names)
    return Run(source, names, label, predicted, probabilities)


def _pick_columns(source: str, found: Sequence[str], *, has_matrix: bool = False) -> tuple[list[str], list[str]]:
    """The columns to read: those named, and those of probabilities."""
    repeated = sorted({name for name in found if found.count(name) > 1})
    classes = [name for name in found if name.startswith("p_") and len(name) > len("p_")]
    if repeated and set(repeated) & {*_REQUIRED, "prediction", *classes}:
        raise DatasetError(f"{source}: column {repeated[0]} is there twice.", fix="keep one of them")
    for name in _REQUIRED:
        if name not in found:
            raise _missing_column(source, name, found)
    if "prediction" not in found and not classes and not has_matrix:
        raise _missing_column(source, "prediction", found, " (or probabilities p_<class>)")
    return [name for name in (*_REQUIRED, "prediction") if name in found], classes


def _missing_column(source: str, name: str, found: Sequence[str], also: str = "") -> DatasetError:
    listed = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    message = f"{source} has no column {name}{also}; it has {listed or 'none'}."
    if len(found) == 1 and re.search(r"[;\t]", found[0]):
        return DatasetError(message, fix="separate the columns by commas")
    lower = {column.strip().lower(): column for column in reversed(found)}
    close = [lower[other] for other in (name, *_OTHER_NAMES[name]) if other in lower]
    close += [lower[other] for other in difflib.get_close_matches(name, lower, n=1, cutoff=0.7)]
    if close:
        return DatasetError(message, fix=f"did you mean {close[0]}? Rename it to {name}")
    return DatasetError(message, fix=f"add a column {name}")


def _clean_ids(source: str, values: Array) -> Array:
    """Ids as an object array of str, none missing, all different."""
    import pandas as pd

    if values.dtype.kind in "iu":
        return _all_different(source, values.astype(str).astype(object))
    values = values.astype(object)
    missing = np.asarray(pd.isna(values)) | (values == "")
    if missing.any():
        rows = (np.flatnonzero(missing) + 1).tolist()
        raise DatasetError(
            f"{source}: sample_id is missing in row {_some(rows, len(rows))} of the data.",
            fix="give every sample an id",
        )
    if not all(type(value) is str for value in values):
        # A whole number stored as a float, as pandas does beside a gap, is that number.
        values = np.array([_id_text(value) for value in values], dtype=object)
    return _all_different(source, values)


def _id_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _all_different(source: str, ids: Array) -> Array:
    import pandas as pd

    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        names = list(dict.fromkeys(ids[repeated].tolist()))
        raise DatasetError(
            f"{source}: sample_id {_some(names, len(names))} is there more than once.",
            fix="write one row per sample, and one file per run",
        )
    return ids


def _encode(source: str, column: str, values: Any, ids: Array) -> _Coded:
    """Classes to indices and canonical names; a numpy array (N,) or pandas Categorical in."""
    codes, raw = _factorize(source, column, values)
    names = [_class_name(source, column, value) for value in raw]
    distinct = list(dict.fromkeys(name for name in names if name))
    place = {name: index for index, name in enumerate(distinct)}
    # One more entry at the end: code -1, missing, stays -1.
    table = np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int64)
    merged = table[codes]
    if (merged < 0).any():
        where = ids[merged < 0]
        raise DatasetError(
            f"{source}: {column} is missing for {len(where):,} of {len(ids):,} samples, "
            f"such as {_some(where.tolist(), len(where))}.",
            fix=f"give every sample a {column}, or leave those samples out of every file",
        )
    if len(distinct) > MAX_CLASSES:
        raise DatasetError(
            f"{source}: {column} has {len(distinct):,} different values; at most {MAX_CLASSES:,} classes "
            "are supported.",
            fix=f"check that {column} holds classes, not ids or scores",
        )
    return _Coded(merged, tuple(distinct))


def _factorize(source: str, column: str, values: Any) -> tuple[Array, list[Any]]:
    import pandas as pd

    if isinstance(values, pd.Categorical):
        return values.codes.astype(np.int64), values.categories.tolist()
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        values = values.astype(object)
    try:
        codes, raw = pd.factorize(values)
    except TypeError as problem:
        raise DatasetError(
            f"{source}: {column} holds something that is not a class ({problem}).",
            fix="use whole numbers or names as classes",
        ) from problem
    return codes, list(raw)


def _class_name(source: str, column: str, value: object) -> str:
    """The one spelling of a class; empty if missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    text = repr(float(value)) if isinstance(value, Real) else str(value).strip()
    if text in _MISSING:
        return ""
    if _WHOLE.fullmatch(text):
        return str(int(text.split(".")[0]))
    if _FRACTION.fullmatch(text) or text in ("inf", "-inf"):
        raise DatasetError(
            f"{source}: {column} holds {text}, which is not a class.",
            fix="use whole numbers or names as classes; probabilities belong into p_<class> columns, "
            "or an array (S, N, C)",
        )
    return text


def _check_same_kind(source: str, label: _Coded, predicted: _Coded) -> None:
    numeric = [all(map(_WHOLE.fullmatch, coded.names)) for coded in (label, predicted)]
    if numeric[0] != numeric[1] and not set(label.names) & set(predicted.names):
        raise DatasetError(
            f"{source}: labels are {_some(label.names, len(label.names))}, but predictions are "
            f"{_some(predicted.names, len(predicted.names))}.",
            fix="use the same class names in both columns",
        )


def _check_probabilities(
    source: str, block: Array, columns: Sequence[str], label: _Coded, ids: Array
) -> _Probabilities:
    """Numbers in [0, 1] that sum to 1, a column for every label; columns into class order."""
    names = [_class_name(source, "p_<class>", column.removeprefix("p_")) for column in columns]
    if len(set(names)) < len(names):
        raise DatasetError(f"{source}: two columns of probabilities belong to one class.", fix="keep one per class")
    without = [name for name in label.names if name not in set(names)]
    if without:
        raise DatasetError(
            f"{source}: there is no column p_{without[0]}, but {without[0]} is a label; probabilities are "
            f"there for {_some(names, len(names))}.",
            fix=f"name the columns p_<class> as the labels are spelt, and add p_{without[0]} (zeros if the "
            "model does not know this class)",
        )
    order = [names.index(name) for name in order_classes(names)]
    try:
        values = np.asarray(block, dtype=np.float32)[:, order]
    except (TypeError, ValueError) as problem:
        raise DatasetError(
            f"{source}: a probability is not a number ({problem}).", fix="write numbers from 0 to 1"
        ) from problem
    _check_range(source, values, ids)
    return _Probabilities(values, tuple(names[place] for place in order))


def _check_range(source: str, values: Array, ids: Array) -> None:
    # Printed with few digits, or computed in bfloat16, probabilities do not sum to 1 exactly.
    tolerance = max(0.01, 5e-5 * values.shape[1])
    sums = values.sum(axis=1)
    low, high = values.min(axis=1), values.max(axis=1)
    problems = (
        (np.isnan(sums), "are not all there", "write a number for every class"),
        (~((low >= -1e-6) & (high <= 1 + 1e-6)), "do not lie in 0 to 1", "apply a softmax to logits"),
        (~(abs(sums - 1) <= tolerance), "do not sum to 1", "write the p_<class> columns of all classes"),
    )
    for wrong, what, fix in problems:
        if wrong.any():
            at = int(wrong.argmax())
            shown = "" if np.isnan(sums[at]) else f": {low[at]:.4g} to {high[at]:.4g}, sum {sums[at]:.4g}"
            raise DatasetError(
                f"{source}: the probabilities of {int(wrong.sum()):,} of {len(ids):,} samples {what}, such as "
                f"those of sample_id {ids[at]}{shown}.",
                fix=fix,
            )


# --- several runs


def order_classes(names: Sequence[str]) -> list[str]:
    """Class names ascending if all are whole numbers, else alphabetical."""
    if all(_WHOLE.fullmatch(name) for name in names):
        return sorted(names, key=int)
    return sorted(names)


def align_runs(arms: Sequence[Sequence[Run]]) -> list[PredictionSet]:
    """Line up runs of one or several arms: same samples in the same order, same labels, same classes.

    Args:
        arms: Runs of each arm, at least one in the first.

    Raises:
        DatasetError: A run lacks samples that another has, or gives one another label.
    """
    runs = [run for arm in arms for run in arm]
    names = {name for run in runs for name in _names_of(run)}
    if len(names) > MAX_CLASSES:
        raise DatasetError(
            f"The files have {len(names):,} different classes together; at most {MAX_CLASSES:,} are supported.",
            fix="check that label and prediction hold classes, spelt alike in every file",
        )
    class_names = tuple(order_classes(sorted(names)))
    rows = list(_rows_of(runs))
    first = runs[0]
    ids = first.ids[rows[0]]
    labels = _codes_in(first.label, class_names)[rows[0]]
    for run, row in zip(runs[1:], rows[1:], strict=True):
        _check_labels(first.source, run.source, ids, labels, _codes_in(run.label, class_names)[row], class_names)
    predicted = np.stack([_codes_in(run.predicted, class_names)[row] for run, row in zip(runs, rows, strict=True)])
    probabilities = _stack_probabilities(runs, rows, class_names)
    sets, start = [], 0
    for arm in arms:
        part = slice(start, start + len(arm))
        start += len(arm)
        sets.append(
            PredictionSet(
                labels=labels,
                predicted=predicted[part],
                probabilities=None if probabilities is None else probabilities[part],
                ids=ids.astype(str),
                class_names=class_names,
                files=tuple(run.source for run in arm),
            )
        )
    return sets


def _names_of(run: Run) -> Iterator[str]:
    yield from run.label.names
    yield from run.predicted.names
    yield from run.probabilities.names if run.probabilities else ()


def _rows_of(runs: Sequence[Run]) -> Iterator[Array]:
    """For each run int64 (N,): its rows in the order of sorted ids."""
    import pandas as pd

    first = runs[0].ids
    # Sorted ids, not the first file's order: results must not depend on the order of rows.
    order = np.array(sorted(range(len(first)), key=lambda row: (len(first[row]), first[row])), dtype=np.int64)
    index = pd.Index(first[order])
    for run in runs:
        if np.array_equal(run.ids, first):
            yield order
            continue
        place = index.get_indexer(pd.Index(run.ids))
        if len(place) != len(order) or (place < 0).any():
            raise _other_samples(runs[0], run)
        row = np.empty_like(order)
        row[place] = np.arange(len(place))
        yield row


def _other_samples(first: Run, other: Run) -> DatasetError:
    here, there = set(first.ids.tolist()), set(other.ids.tolist())
    lines = []
    for run, lacking, model in ((other, here - there, first), (first, there - here, other)):
        if lacking:
            lines.append(
                f"{run.source} lacks {len(lacking):,} of the {len(model.ids):,} ids of {model.source}, "
                f"such as {_some(sorted(lacking), len(lacking))}"
            )
    if not here & there:
        lines = [f"{first.source} and {other.source} have no sample_id in common: such as {min(here)} and {min(there)}"]
    return DatasetError("; ".join(lines) + ".", fix="evaluate every run on the same samples, and give each the same id")


def _check_labels(first: str, other: str, ids: Array, labels: Array, found: Array, names: Sequence[str]) -> None:
    wrong = np.flatnonzero(labels != found)
    if wrong.size:
        at = wrong[0]
        raise DatasetError(
            f"Labels disagree for {wrong.size:,} of {len(ids):,} samples: sample_id {ids[at]} is "
            f"{names[labels[at]]} in {first} and {names[found[at]]} in {other}.",
            fix="evaluate every run on the same labels, and check that the ids mean the same samples",
        )


def _codes_in(coded: _Coded, class_names: Sequence[str]) -> npt.NDArray[np.int64]:
    place = {name: index for index, name in enumerate(class_names)}
    return np.array([place[name] for name in coded.names], dtype=np.int64)[coded.codes]


def _stack_probabilities(
    runs: Sequence[Run], rows: Sequence[Array], class_names: Sequence[str]
) -> npt.NDArray[np.float32] | None:
    blocks = [run.probabilities for run in runs if run.probabilities is not None]
    if len(blocks) < len(runs):
        return None
    place = {name: index for index, name in enumerate(class_names)}
    stacked = np.zeros((len(runs), len(rows[0]), len(class_names)), dtype=np.float32)
    for out, block, row in zip(stacked, blocks, rows, strict=True):
        out[:, [place[name] for name in block.names]] = block.table[row]
    return stacked


# --- messages


def _some(items: "Iterator[T] | Sequence[T] | map[T]", count: int) -> str:
    """The first few, and how many there are."""
    shown = [str(item) for item, _ in zip(items, range(_EXAMPLES), strict=False)]
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return ", ".join(shown) + more


def _empty(source: str) -> DatasetError:
    return DatasetError(f"{source} is empty: there is no sample in it.", fix="write the predictions again")


def _damaged(path: Path, detail: str) -> DatasetError:
    return DatasetError(f"{path} is damaged: {detail.strip().rstrip('.')}.", fix=f"write {path} again, or leave it out")
