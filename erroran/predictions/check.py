"""Checks of a single run: ids, classes, probabilities.

Classes are compared by name: ``4``, ``"4"``, ``"04"`` and ``4.0`` are one class. If a run has both a ``prediction`` and
probabilities, the prediction counts, even if it is not their argmax: the threshold may have been changed on purpose.
Equal probabilities count for the first class in class order.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from erroran.errors import DatasetError

MAX_CLASSES: Final = 1000
MISSING: Final = ("", "nan", "NaN")
"""Texts that count as missing; pandas' other ones, such as "NA" and "None", may be names of classes."""

_OTHER_NAMES = {
    "sample_id": ("id", "ids", "sample", "image", "image_id", "filename", "file", "path", "index"),
    "label": ("labels", "target", "targets", "truth", "true", "true_label", "y", "y_true", "class"),
    "prediction": ("pred", "preds", "predicted", "predictions", "y_pred", "output", "argmax"),
}
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?|-?inf")

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of N samples, not yet aligned with others.

    Attributes:
        source: The file, or what errors call the run.
        ids: N different texts.
        label: Names of classes (N,); `predicted` likewise.
        probabilities: float32 (N, K) in [0, 1], rows summing to 1, a column per class name in class order; or None.
    """

    source: str
    ids: pd.Index
    label: pd.Categorical
    predicted: pd.Categorical
    probabilities: pd.DataFrame | None


def run_from_frame(source: str, frame: pd.DataFrame) -> Run:
    """Check a data frame with the columns of a prediction file; ``sample_id`` may also be the index.

    Raises:
        DatasetError: A column is missing, or a value cannot be used; `source` is named.
    """
    if "sample_id" not in frame.columns and frame.index.name == "sample_id":
        frame = frame.reset_index()
    frame = frame.set_axis(frame.columns.map(str), axis=1)
    frame = frame[pick_columns(source, list(frame.columns))]
    if frame.empty:
        raise empty(source)
    ids = _check_ids(source, frame["sample_id"])
    label = _check_classes(source, "label", frame["label"], ids)
    columns = [name for name in frame.columns if name.startswith("p_")]
    probabilities = _check_probabilities(source, frame[columns], label, ids) if columns else None
    if "prediction" in frame:
        predicted = _check_classes(source, "prediction", frame["prediction"], ids)
        _check_same_kind(source, label, predicted)
    else:
        assert probabilities is not None
        predicted = pd.Categorical(probabilities.columns[probabilities.to_numpy().argmax(axis=1)])
    return Run(source, ids, label, predicted, probabilities)


def run_from_arrays(source: str, arrays: Mapping[str, Array], class_names: Sequence[object] | None = None) -> Run:
    """Check arrays of one run.

    Args:
        source: Its name in errors.
        arrays: ``sample_id`` and ``label`` (N,); ``prediction`` (N,), or ``probabilities`` (N, K), or ``p_<class>``
            (N,) for each class, or several of them.
        class_names: C names; integers among the arrays are then indices, unless the names are whole numbers
            themselves, and they name the columns of ``probabilities`` (default 0..K-1).

    Raises:
        DatasetError: Lengths disagree, or a value cannot be used.
    """
    if len({len(values) for values in arrays.values()}) > 1:
        told = ", ".join(f"{name} {len(values):,}" for name, values in arrays.items())
        raise DatasetError(f"{source}: lengths disagree: {told}.", fix="one entry per sample in each")
    columns: dict[str, Array] = {}
    for name, values in arrays.items():
        if name != "probabilities":
            columns[name] = _name_classes(source, name, values, class_names) if name in _OTHER_NAMES else values
            continue
        if repeated := [other for other in arrays if other.startswith("p_")]:
            raise DatasetError(f"{source} has both probabilities and {repeated[0]}.", fix="keep one of the two forms")
        named = range(values.shape[1]) if class_names is None else class_names
        if len(named) != values.shape[1]:
            raise DatasetError(
                f"{source}: {len(named)} class_names for {values.shape[1]} columns of probabilities.",
                fix="give one name per column, in their order",
            )
        if len({*map(str, named)}) < len(named):
            raise _same_class_twice(source)
        columns |= {f"p_{entry}": column for entry, column in zip(named, values.T, strict=True)}
    return run_from_frame(source, pd.DataFrame(columns))


def pick_columns(source: str, found: Sequence[str], *, matrix: bool = False) -> list[str]:
    """The columns to read: those with fixed names, then those of probabilities.

    Args:
        source: The file's name in errors.
        found: All columns.
        matrix: Whether there is a matrix of probabilities as well.

    Raises:
        DatasetError: One is missing, or there twice.
    """
    classes = [name for name in found if name.startswith("p_") and len(name) > len("p_")]
    wanted = [name for name in _OTHER_NAMES if name in found]
    for name in (*wanted, *classes):
        if found.count(name) > 1:
            raise DatasetError(f"{source}: column {name} is there twice.", fix="keep one of them")
    for name in _OTHER_NAMES:
        if name not in found and not (name == "prediction" and (classes or matrix)):
            raise _missing_column(source, name, found)
    return [*wanted, *classes]


def order_classes(names: Iterable[str]) -> list[str]:
    """Class names ascending if all are whole numbers, else alphabetical."""
    names = sorted(names)
    return sorted(names, key=int) if all(map(_WHOLE.fullmatch, names)) else names


def some(items: Iterable[object]) -> str:
    """The first three, and how many more there are."""
    listed = [str(item) for item in items]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3:,} more" if len(listed) > 3 else "")


def empty(source: str) -> DatasetError:
    """The error for a file or frame without samples."""
    return DatasetError(f"{source} is empty: there is no sample in it.", fix="write the predictions again")


def not_numbers(source: str, problem: Exception) -> DatasetError:
    """The error for a probability that is text."""
    return DatasetError(f"{source}: a probability is not a number ({problem}).", fix="write numbers from 0 to 1")


def _same_class_twice(source: str) -> DatasetError:
    return DatasetError(f"{source}: two columns of probabilities belong to one class.", fix="keep one per class")


def _missing_column(source: str, name: str, found: Sequence[str]) -> DatasetError:
    listed = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    also = " (or probabilities p_<class>)" if name == "prediction" else ""
    message = f"{source} has no column {name}{also}; it has {listed or 'none'}."
    if len(found) == 1 and re.search(r"[;\t]", found[0]):
        return DatasetError(message, fix="separate the columns by commas")
    lower = {column.strip().lower(): column for column in reversed(found)}
    close = [other for other in (name, *_OTHER_NAMES[name]) if other in lower]
    close += difflib.get_close_matches(name, lower, n=1, cutoff=0.7)
    fix = f"did you mean {lower[close[0]]}? Rename it to {name}" if close else f"add a column {name}"
    return DatasetError(message, fix=fix)


def _name_classes(source: str, column: str, values: Array, class_names: Sequence[object] | None) -> Array:
    """Class names in place of indices."""
    if column == "sample_id" or class_names is None or not np.issubdtype(values.dtype, np.integer):
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


def _check_ids(source: str, values: pd.Series) -> pd.Index:
    missing = values.isna() | (values == "")
    if missing.any():
        raise DatasetError(
            f"{source}: sample_id is missing in row {some(np.flatnonzero(missing) + 1)} of the data.",
            fix="give every sample an id",
        )
    listed = values.tolist()
    if {*map(type, listed)} != {str}:
        listed = [_id_text(value) for value in listed]
    ids: pd.Index = pd.Index(listed, dtype=object)
    if ids.has_duplicates:
        raise DatasetError(
            f"{source}: sample_id {some(ids[ids.duplicated()].unique())} is there more than once.",
            fix="write one row per sample, and one file per run",
        )
    return ids


def _id_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    # A whole number stored as a float, as pandas does beside a gap, is that number.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_classes(source: str, column: str, values: pd.Series, ids: pd.Index) -> pd.Categorical:
    """Each class in its one spelling."""
    try:
        codes, raw = pd.factorize(values)
    except TypeError as problem:
        raise DatasetError(
            f"{source}: {column} holds something that is not a class ({problem}).",
            fix="use whole numbers or names as classes",
        ) from problem
    # One more entry at the end: code -1 is a missing value.
    names = np.array([*(_class_name(source, column, value) for value in raw), None], dtype=object)
    found = pd.Categorical(names[codes])
    if (missing := found.isna()).any():
        raise DatasetError(
            f"{source}: {column} is missing for {missing.sum():,} of {len(ids):,} samples, "
            f"such as {some(ids[missing])}.",
            fix=f"give every sample a {column}, or leave those samples out of every file",
        )
    if len(found.categories) > MAX_CLASSES:
        raise DatasetError(
            f"{source}: {column} has {len(found.categories):,} different values; at most {MAX_CLASSES:,} classes "
            "are supported.",
            fix=f"check that {column} holds classes, not ids or scores",
        )
    return found


def _class_name(source: str, column: str, value: object) -> str | None:
    """The one spelling of a class; None if missing."""
    value = value.item() if isinstance(value, np.generic) else value
    text = (value.decode() if isinstance(value, bytes) else str(value)).strip()
    if text in MISSING:
        return None
    if _WHOLE.fullmatch(text):
        return str(int(text.split(".")[0]))
    if _FRACTION.fullmatch(text):
        raise DatasetError(
            f"{source}: {column} holds {text}, which is not a class.",
            fix="use whole numbers or names as classes; probabilities belong into p_<class> columns, "
            "or an array (S, N, C)",
        )
    return text


def _check_same_kind(source: str, label: pd.Categorical, predicted: pd.Categorical) -> None:
    labels, predictions = label.categories, predicted.categories
    numeric = {all(map(_WHOLE.fullmatch, names)) for names in (labels, predictions)}
    if len(numeric) == 2 and labels.intersection(predictions).empty:
        raise DatasetError(
            f"{source}: labels are {some(labels)}, but predictions are {some(predictions)}.",
            fix="use the same class names in both columns",
        )


def _check_probabilities(source: str, table: pd.DataFrame, label: pd.Categorical, ids: pd.Index) -> pd.DataFrame:
    """Numbers in [0, 1] that sum to 1, a column for every label; columns into class order."""
    names = [_class_name(source, "p_<class>", str(column).removeprefix("p_")) or "" for column in table]
    if len({*names}) < len(names):
        raise _same_class_twice(source)
    if without := [name for name in label.categories if name not in names]:
        raise DatasetError(
            f"{source}: there is no column p_{without[0]}, but {without[0]} is a label; probabilities are "
            f"there for {some(names)}.",
            fix=f"name the columns p_<class> as the labels are spelt, and add p_{without[0]} (zeros if the "
            "model does not know this class)",
        )
    try:
        table = table.set_axis(names, axis=1)[order_classes(names)].astype(np.float32)
    except (TypeError, ValueError) as problem:
        raise not_numbers(source, problem) from problem
    _check_range(source, table.to_numpy(), ids)
    return table


def _check_range(source: str, values: Array, ids: pd.Index) -> None:
    # Printed with few digits, or computed in bfloat16, probabilities do not sum to 1 exactly.
    tolerance = max(0.01, 5e-5 * values.shape[1])
    sums, low, high = values.sum(axis=1), values.min(axis=1), values.max(axis=1)
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
