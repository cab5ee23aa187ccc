"""Datasets as one table, in the layout of Kaggle's digit recogniser: ``label,pixel0,pixel1,...``, an image a row.

Such a file has no test part: `confirm` is drawn from it, a fifth of the rows of every class, by the images' content.
The order of the rows and seeds change nothing; so the same file always gives the same parts.
"""

import csv
import gzip
import io
import math
import os
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran.data.dataset import MAX_CLASSES, Dataset, build_dataset
from erroran.data.ids import choose_count, count_different, sample_ids, strip_copy_numbers
from erroran.data.sources.files import tidy_path
from erroran.errors import BadInput, DatasetError, Unavailable

if TYPE_CHECKING:
    import pandas as pd

CONFIRM_SHARE = 0.2
FEWEST_OF_A_CLASS = 3
"""One image to train on, one to mine, one to confirm with."""
_SUFFIXES = (".csv", ".csv.gz", ".csv.zip")
_LAYOUT = "use the header label,pixel0,pixel1,... with one pixel column for each pixel, row by row"
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
# Class names become parts of file names, links and pairs such as 4:9.
_NAME = re.compile(r"[\w.+-]{1,40}")


def is_table(path: Path) -> bool:
    """Whether the name of a path says that it is such a table, plain or compressed."""
    return path.name.lower().endswith(_SUFFIXES)


def load_table(path: Path) -> Dataset:
    """Read a table and draw `confirm` from it: 20 % of the rows, stratified by class.

    Args:
        path: UTF-8, ``.csv``, ``.csv.gz`` or ``.csv.zip`` with a single file in it. Pixels are whole numbers 0 to 255,
            the images square. Labels are whole numbers or names; the classes are the sorted labels.

    Raises:
        DatasetError: The file cannot be read or used; it is named, with column and row where they are known.
    """
    images, labels, names = read_table(path)
    groups = strip_copy_numbers(sample_ids(images))
    different = count_different(groups, labels)
    if different.min() < FEWEST_OF_A_CLASS:
        raise DatasetError(
            f"{tidy_path(path)}: class {names[different.argmin()]} has {different.min()} different image(s) in the "
            f"{len(labels):,} rows; to train, mine and confirm takes {FEWEST_OF_A_CLASS}.",
            fix="add images of that class, or leave it out",
        )
    chosen = choose_count(groups, labels, count=round(CONFIRM_SHARE * len(labels)), purpose="confirm")
    return build_dataset(
        re.sub(r"\.csv(\.\w+)?$", "", path.name, flags=re.IGNORECASE),
        tidy_path(path),
        x_train=images[~chosen],
        y_train=labels[~chosen],
        x_test=images[chosen],
        y_test=labels[chosen],
        class_names=names,
    )


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read a table as it is.

    Returns:
        Images, ``uint8`` (N, H, H, 1); labels, ``int64`` (N,), indices into the names; the names of the classes,
        ascending if all are whole numbers, else alphabetical.

    Raises:
        DatasetError: As for `load_table`.
    """
    content = _read_content(path)
    header = _read_header(path, content)
    side = _check_header(path, header)
    frame = _parse(path, content, header)
    if len(frame) == 0:
        raise DatasetError(f"{tidy_path(path)} has a header and no rows.", fix="give at least three images of a class")
    labels, names = _encode_labels(path, frame["label"].tolist())
    frame.pop("label")
    pixels = _check_pixels(path, frame)
    return pixels.reshape(len(frame), side, side, 1), labels, names


def write_table(path: Path, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Write a table that `read_table` reads back exactly; readers never see half a file.

    Args:
        path: Must not exist.
        images: ``uint8`` (N, H, H, 1).
        labels: Integers (N,), indices into `class_names`.
        class_names: C names.

    Raises:
        BadInput: The images are not square or not grey, or the file exists.
        Unavailable: It cannot be written.
    """
    _, height, width, channels = images.shape
    if height != width or channels != 1:
        raise BadInput(
            f"These images are {height}x{width} pixels with {channels} channel(s); this layout holds square grey ones.",
            fix="keep them as .npz",
        )
    if path.exists():
        raise BadInput(f"{tidy_path(path)} exists already.", fix=f"give another name, or delete {tidy_path(path)}")
    texts = [str(value) for value in range(256)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(height * width))])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(f"{header}\n")
                for image, label in zip(images, labels.tolist(), strict=True):
                    pixels = map(texts.__getitem__, image.ravel().tolist())
                    file.write(f"{class_names[label]},{','.join(pixels)}\n")
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise Unavailable(
            f"{tidy_path(path)} cannot be written: {problem.strerror or problem}.", fix="give another path"
        ) from problem


def draw_rows(dataset: Dataset, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of both parts of a dataset together, or a stratified draw from them.

    Args:
        dataset: The dataset.
        rows: How many, in the proportions of the classes; which ones depends on the images alone. None for all.

    Returns:
        ``uint8`` (rows, H, W, C) and ``int64`` (rows,), in the order of the dataset, training part first.

    Raises:
        BadInput: There are not so many, or too few for every class to be used.
    """
    images = np.concatenate([dataset.x_train, dataset.x_test])
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    if rows is None:
        return images, labels
    fewest = math.ceil(FEWEST_OF_A_CLASS * len(labels) / np.bincount(labels).min())
    if not fewest <= rows <= len(labels):
        raise BadInput(
            f"{rows:,} rows cannot be drawn: {dataset.name} has {len(labels):,}, and with fewer than "
            f"{fewest:,} a class would have fewer than {FEWEST_OF_A_CLASS}.",
            fix=f"--rows with a number from {fewest} to {len(labels)}",
        )
    chosen = choose_count(sample_ids(images, labels), labels, count=rows, purpose="rows")
    return images[chosen], labels[chosen]


def _read_content(path: Path) -> bytes:
    """The table's bytes; its content, not its name, says whether it is compressed."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"PK\x03\x04"):
            return _unzip(path, content)
        return content
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as problem:
        raise _damaged(path, str(problem)) from problem
    except OSError as problem:
        raise DatasetError(
            f"{tidy_path(path)} cannot be read: {problem.strerror or problem}.",
            fix=f"make {tidy_path(path)} readable, or name another file",
        ) from problem


def _unzip(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if len(tables) != 1:
            raise DatasetError(
                f"{tidy_path(path)} holds {len(tables)} CSV files ({', '.join(tables[:5]) or 'none'}), not one.",
                fix="unpack it, and give the file with the labels",
            )
        return archive.read(tables[0])


def _read_header(path: Path, content: bytes) -> list[str]:
    if not content.strip():
        raise DatasetError(f"{tidy_path(path)} is empty.", fix=_LAYOUT)
    try:
        lines = io.BytesIO(content)
        first, second = lines.readline().decode("utf-8-sig"), lines.readline().decode()
    except UnicodeDecodeError as problem:
        raise _not_utf8(path) from problem
    header, row = (next(csv.reader([line.rstrip("\r\n")]), []) for line in (first, second))
    if len(row) > len(header):  # pandas would take the surplus for an index, and shift every column
        raise _damaged(path, f"its header has {len(header)} columns, the first row {len(row)}")
    return [name.strip() for name in header]


def _check_header(path: Path, header: list[str]) -> int:
    """The side of the images, if the header is right; else say what is wrong with it."""
    where, n_pixels = tidy_path(path), len(header) - 1
    if header != ["label", *(f"pixel{i}" for i in range(n_pixels))]:
        raise DatasetError(f"{where}: {_explain_header(header)}.", fix=_LAYOUT)
    side = math.isqrt(n_pixels)
    if n_pixels == 0 or side * side != n_pixels:
        raise DatasetError(
            f"{where} has {n_pixels} pixel columns, which make no square image.",
            fix="give every pixel of a square image, such as pixel0 to pixel783 for 28x28",
        )
    return side


def _explain_header(header: list[str]) -> str:
    repeated = [name for name, times in Counter(header).items() if times > 1]
    if repeated:
        return f"column {repeated[0] or '(without a name)'} is there twice"
    if "label" not in header:
        if header[0] == "pixel0":
            return "there are pixels and no labels, as in the test.csv of Kaggle; train.csv has both"
        return f"there is no column label; the first is called {header[0] or '(nothing)'}"
    if header[0] != "label":
        return f"label is column {header.index('label') + 1}, not the first"
    return _explain_pixels(header)


def _explain_pixels(header: list[str]) -> str:
    wanted = [f"pixel{i}" for i in range(len(header) - 1)]
    unknown = [name for name in header[1:] if not re.fullmatch(r"pixel\d+", name)]
    if unknown:
        return f"there is a column {unknown[0] or '(without a name)'}, which is no pixel"
    missing = [name for name in wanted if name not in set(header)]
    if missing:
        return f"column {missing[0]} is missing"
    at, name = next((i, name) for i, name in enumerate(header[1:]) if name != wanted[i])
    return f"column {name} stands where {wanted[at]} belongs"


def _parse(path: Path, content: bytes, header: list[str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        # In one piece it is faster, and every column has a single type; what is no number shows as text.
        frame = pd.read_csv(
            io.BytesIO(content),
            header=0,
            names=header,
            index_col=False,
            dtype={"label": str},
            encoding="utf-8-sig",
            na_filter=False,
            low_memory=False,
        )
    except UnicodeError as problem:
        raise _not_utf8(path) from problem
    except pd.errors.ParserError as problem:
        raise _damaged(path, str(problem).removeprefix("Error tokenizing data. C error: ")) from problem
    return frame


def _check_pixels(path: Path, frame: "pd.DataFrame") -> np.ndarray:
    """The pixels, ``uint8`` (N, H * H), or the first that is none."""
    for name, kind in frame.dtypes.items():
        if kind.kind not in "iu":
            frame[name] = _whole_numbers(path, str(name), frame[name])
    pixels = frame.to_numpy()
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        row, column = np.argwhere((pixels < 0) | (pixels > 255))[0]
        raise DatasetError(
            f"{tidy_path(path)}: pixels run from {low:g} to {high:g}, outside 0 to 255; the first such is "
            f"{frame.columns[column]} of row {row + 1}.",
            fix="scale the images to whole numbers from 0 to 255",
        )
    return pixels.astype(np.uint8)


def _whole_numbers(path: Path, name: str, column: "pd.Series[Any]") -> np.ndarray:
    """A column that pandas did not take for whole numbers, float (N,): 12.0 will do."""
    import pandas as pd

    texts = column.astype(str)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isfinite(numbers) | (numbers != np.rint(numbers))
    if not wrong.any():
        return numbers
    at = int(wrong.argmax())
    value = texts.iloc[at].strip()
    raise DatasetError(
        f"{tidy_path(path)}: {name} of row {at + 1} {f'is {value}, not a whole number' if value else 'is empty'}.",
        fix="write every pixel as a whole number from 0 to 255; if they run from 0 to 1, multiply by 255 and round",
    )


def _encode_labels(path: Path, texts: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Indices of the labels, ``int64`` (N,), and the names of the classes."""
    labels = [text.strip() for text in texts]
    different = set(labels)
    if all(map(_WHOLE.fullmatch, different)):
        spelling = {label: str(int(label.partition(".")[0])) for label in different}
        names = sorted(set(spelling.values()), key=int)
    else:
        spelling = {label: label for label in different}
        names = sorted(different)
    refused = next((name for name in names if not _NAME.fullmatch(name)), None)
    if refused is not None:
        row = [spelling[label] for label in labels].index(refused) + 1
        raise DatasetError(
            f"{tidy_path(path)}: the label of row {row} is {refused!r}."
            if refused
            else f"{tidy_path(path)}: the label of row {row} is empty.",
            fix="name classes by whole numbers, or by letters, digits and . _ + - (40 at the most, no spaces)",
        )
    if len(names) > MAX_CLASSES:
        raise DatasetError(
            f"{tidy_path(path)} has {len(names):,} different labels; erroran takes {MAX_CLASSES:,}.",
            fix="check that the column label holds classes, not numbers of rows",
        )
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[spelling[label]] for label in labels], dtype=np.int64), tuple(names)


def _not_utf8(path: Path) -> DatasetError:
    return DatasetError(f"{tidy_path(path)} is not UTF-8 text.", fix="save it as CSV with UTF-8 encoding")


def _damaged(path: Path, detail: str) -> DatasetError:
    return DatasetError(
        f"{tidy_path(path)} is damaged: {detail.strip().rstrip('.')}.",
        fix=f"delete {tidy_path(path)} or replace it with an intact copy",
    )
