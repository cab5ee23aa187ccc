"""Several runs, aligned: the same samples in one order, the same labels, the same classes."""

import difflib
import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from erroran.errors import BadInput, DatasetError
from erroran.predictions.check import MAX_CLASSES, Array, Run, order_classes, some
from erroran.predictions.formats import check_kind, read_file

Pattern = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """Predictions of S runs for the same N samples, in the same order.

    Attributes:
        labels: int64 (N,), indices into `class_names`.
        predicted: int64 (S, N), likewise.
        probabilities: float32 (S, N, C) in [0, 1], rows summing to 1, 0 for a class that a run does not know; None
            unless every run has them and they were asked for.
        ids: str (N,), all different, sorted by length, then alphabetically.
        class_names: The C classes of labels, predictions and probabilities, ascending if all are whole numbers, else
            alphabetical.
        files: S names, one per run.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32] | None
    ids: npt.NDArray[np.str_]
    class_names: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The probability of each predicted class, float64 (S, N)."""
        assert self.probabilities is not None
        picked = np.take_along_axis(self.probabilities, self.predicted[:, :, None], axis=2)[:, :, 0]
        return picked.astype(np.float64)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Whether each prediction is wrong, bool (S, N)."""
        wrong: npt.NDArray[np.bool_] = self.predicted != self.labels
        return wrong


def read_predictions(files: Pattern | Sequence[Pattern], *, probabilities: bool = True) -> PredictionSet:
    """Read the runs of one arm.

    Args:
        files: Paths or glob patterns (``**`` for any folders).
        probabilities: Whether to keep probabilities; they are always checked.

    Raises:
        DatasetError: There is no file, one cannot be used, or files disagree.
        BadInput: A file is Parquet, and pyarrow is missing.
    """
    return align_runs([_read_files(expand_files(files), keep=probabilities)])[0]


def read_arms(
    before: Pattern | Sequence[Pattern], after: Pattern | Sequence[Pattern], *, probabilities: bool = False
) -> tuple[PredictionSet, PredictionSet]:
    """Read two arms as in `read_predictions`, and align them: same samples, labels and classes in both.

    Raises:
        BadInput: A file is in both arms.
    """
    first, second = expand_files(before, option="--before"), expand_files(after, option="--after")
    real = {os.path.realpath(path) for path in first}
    if shared := [path for path in second if os.path.realpath(path) in real]:
        raise BadInput(f"{some(shared)} would be in both arms, before and after.", fix="give each file to one arm only")
    runs = _read_files([*first, *second], keep=probabilities)
    one, other = align_runs([runs[: len(first)], runs[len(first) :]])
    return one, other


def expand_files(patterns: Pattern | Sequence[Pattern], *, option: str = "files") -> list[Path]:
    """The files that paths and patterns name, each once; b2 comes before b10.

    Args:
        patterns: One or several; patterns may overlap. The name of an existing file is never read as a pattern.
        option: Name of the list in errors.

    Raises:
        DatasetError: A pattern matches nothing, a file does not exist or is a folder, or a file is named twice.
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
                problem = f"{option}: {pattern} and {spelt[key]} are the same file; a copy is no second run."
                raise DatasetError(problem, fix=f"name {pattern} once")
            spelt[key] = pattern
        for match in [path] if path.exists() else _match(pattern, option):
            found.setdefault(os.path.realpath(match), match)
    for path in found.values():
        check_kind(path)
    return sorted(found.values(), key=lambda path: [(t, int(d or 0)) for t, d in re.findall(r"(\D*)(\d*)", str(path))])


def _match(pattern: str, option: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if not glob.has_magic(pattern):
        beside = sorted(other.name for other in path.parent.glob("*"))
        close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.75)
        hint = f"did you mean {path.parent / close[0]}?" if close else "check the path"
        raise DatasetError(f"{option}: there is no file {pattern}.", fix=hint)
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob refuses /...
    matches = [match for match in map(Path, names) if match.is_file()]
    if not matches:
        raise DatasetError(
            f"{option}: no file matches {pattern}.",
            fix=f"list what is there (ls {path.parent}) and quote the pattern",
        )
    return matches


def _read_files(paths: Sequence[Path], *, keep: bool) -> list[Run]:
    def read(path: Path) -> Run:
        run = read_file(path)
        return run if keep else replace(run, probabilities=None)

    # pandas parses without Python's global lock, so threads read in parallel. Few, because each holds a whole file.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1, len(paths))) as pool:
        return list(pool.map(read, paths))


def align_runs(arms: Sequence[Sequence[Run]]) -> list[PredictionSet]:
    """Align the runs of one or several arms, at least one in the first: same samples, order, labels and classes.

    Raises:
        DatasetError: Two runs have different samples, or different labels.
    """
    runs = [run for arm in arms for run in arm]
    tables = [run.probabilities for run in runs if run.probabilities is not None]
    known = [names for run in runs for names in (run.label.categories, run.predicted.categories)]
    known += [table.columns for table in tables]
    class_names = order_classes({name for names in known for name in names})
    if len(class_names) > MAX_CLASSES:
        raise DatasetError(
            f"The files have {len(class_names):,} different classes together; at most {MAX_CLASSES:,} are supported.",
            fix="check that label and prediction hold classes, spelt alike in every file",
        )
    rows = list(_rows_of(runs))
    ids = runs[0].ids[rows[0]].to_numpy().astype(str)

    def codes(classes: pd.Categorical, row: Array) -> npt.NDArray[np.int64]:
        return classes.set_categories(class_names).codes[row].astype(np.int64)

    labels = codes(runs[0].label, rows[0])
    for run, row in zip(runs[1:], rows[1:], strict=True):
        _check_labels(runs[0].source, run.source, ids, labels, codes(run.label, row), class_names)
    predicted = np.stack([codes(run.predicted, row) for run, row in zip(runs, rows, strict=True)])
    probabilities = None
    if len(tables) == len(runs):
        probabilities = np.zeros((*predicted.shape, len(class_names)), dtype=np.float32)
        for stacked, table, row in zip(probabilities, tables, rows, strict=True):
            stacked[:, pd.Index(class_names).get_indexer(table.columns)] = table.to_numpy()[row]
    sets = []
    for end, arm in zip(itertools.accumulate(map(len, arms)), arms, strict=True):
        part = slice(end - len(arm), end)
        kept = None if probabilities is None else probabilities[part]
        files = tuple(run.source for run in arm)
        sets.append(PredictionSet(labels, predicted[part], kept, ids, tuple(class_names), files))
    return sets


def _rows_of(runs: Sequence[Run]) -> Iterator[Array]:
    """For each run int64 (N,): its rows in the order of sorted ids, short before long."""
    # Not in the first file's order: results must not depend on the order of rows.
    ids = pd.Index(sorted(runs[0].ids, key=lambda name: (len(name), name)), dtype=object)
    first = runs[0].ids.get_indexer(ids)
    for run in runs:
        rows = first if run.ids.equals(runs[0].ids) else run.ids.get_indexer(ids)
        if len(run.ids) != len(ids) or (rows < 0).any():
            raise _other_samples(runs[0], run)
        yield rows


def _other_samples(first: Run, other: Run) -> DatasetError:
    lines = []
    for run, model in ((other, first), (first, other)):
        if len(lacking := model.ids.difference(run.ids)):
            lines.append(
                f"{run.source} lacks {len(lacking):,} of the {len(model.ids):,} ids of {model.source}, "
                f"such as {some(lacking)}"
            )
    if first.ids.intersection(other.ids).empty:
        examples = f"such as {min(first.ids)} and {min(other.ids)}"
        lines = [f"{first.source} and {other.source} have no sample_id in common: {examples}"]
    return DatasetError("; ".join(lines) + ".", fix="evaluate every run on the same samples, with the same ids")


def _check_labels(first: str, other: str, ids: Array, labels: Array, found: Array, names: Sequence[str]) -> None:
    wrong = np.flatnonzero(labels != found)
    if wrong.size:
        at = wrong[0]
        raise DatasetError(
            f"Labels disagree for {wrong.size:,} of {len(ids):,} samples: sample_id {ids[at]} is "
            f"{names[labels[at]]} in {first} and {names[found[at]]} in {other}.",
            fix="evaluate every run on the same labels, and check that the ids mean the same samples",
        )
