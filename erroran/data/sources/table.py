"""Datasets as one table in the layout of Kaggle's digit recogniser: ``label,pixel0,pixel1,...``, one image per row.

Such a file has no test part: a fifth of the rows of every class becomes `confirm`. It is chosen by the content of the
images, so that it depends neither on the order of the rows nor on a seed.
"""

import csv
import io
import math
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran.data.dataset import MAX_CLASSES, Dataset, build_dataset
from erroran.data.ids import choose_count, count_different, sample_ids, strip_copy_numbers
from erroran.data.sources.reading import damaged, read_unpacked, reading, tidy_path
from erroran.errors import BadInput, DatasetError, Unavailable
from erroran.files import writing

if TYPE_CHECKING:
    import pandas as pd

CONFIRM_SHARE = 0.2
FEWEST_OF_A_CLASS = 3
"""One image for each of train, mine and confirm."""
LONGEST_NAME = 100
_SUFFIXES = (".csv", ".csv.gz", ".csv.zip")
_LAYOUT = "use the header label,pixel0,pixel1,... with one pixel column for each pixel, row by row"
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's control, format and surrogate characters; ends of lines


def is_table(path: Path) -> bool:
    """Whether a path has the suffix of such a table, plain or compressed."""
    return path.name.lower().endswith(_SUFFIXES)


def load_table(path: Path, name: str) -> Dataset:
    """Read a table into a dataset of this name; `confirm` is 20 % of the rows, stratified by class.

    Args:
        path: UTF-8, ``.csv``, ``.csv.gz`` or ``.csv.zip`` with a single file in it. Pixels are whole numbers 0 to 255,
            the images square. Labels are whole numbers or names; the classes are the sorted labels.
        name: Name of the dataset.

    Raises:
        DatasetError: The file cannot be read or used; the message names it, with column and row where they are known.
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
    test = choose_count(groups, labels, count=round(CONFIRM_SHARE * len(labels)), purpose="confirm")
    arrays = {"x_train": images[~test], "y_train": labels[~test], "x_test": images[test], "y_test": labels[test]}
    return build_dataset(name, tidy_path(path), **arrays, class_names=names)


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read all rows of a table.

    Returns:
        Images, ``uint8`` (N, H, H, 1); labels, ``int64`` (N,), indices into the names; the names of the classes,
        ascending if all are whole numbers, else alphabetical.

    Raises:
        DatasetError: As for `load_table`.
    """
    with reading(path):
        content = _unzip(path, read_unpacked(path))
        header = _read_header(path, content)
        frame = _parse(path, content, header)
    if len(frame) == 0:
        raise DatasetError(f"{tidy_path(path)} has a header and no rows.", fix="give at least three images of a class")
    labels, names = _encode_labels(path, frame.pop("label").tolist())
    side = math.isqrt(len(header) - 1)
    return _check_pixels(path, frame).reshape(len(frame), side, side, 1), labels, names


def write_table(path: Path, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Write a table that `read_table` reads back exactly.

    Args:
        path: Must not exist.
        images: ``uint8`` (N, H, H, 1).
        labels: Integers (N,), indices into `class_names`.
        class_names: K names.

    Raises:
        BadInput: The images are not square or not grey, or the file exists.
        Unavailable: It cannot be written.
    """
    import pandas as pd

    n, height, width, channels = images.shape
    if height != width or channels != 1:
        raise BadInput(
            f"These images are {height}x{width} pixels with {channels} channel(s); this layout holds square grey ones.",
            fix="keep them as .npz",
        )
    if path.exists():
        raise BadInput(f"{tidy_path(path)} exists already.", fix=f"give another name, or delete {tidy_path(path)}")
    frame = pd.DataFrame(images.reshape(n, -1)).add_prefix("pixel")
    frame.insert(0, "label", [class_names[label] for label in labels.tolist()])
    try:
        with writing(path) as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n", compression=None)
    except OSError as problem:
        raise Unavailable(
            f"{tidy_path(path)} cannot be written: {problem.strerror or problem}.", fix="give another path"
        ) from problem


def draw_rows(dataset: Dataset, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of both parts of a dataset together, or a stratified sample of them.

    Args:
        dataset: The dataset.
        rows: How many, in the proportions of the classes, chosen by the content of the images. None for all.

    Returns:
        ``uint8`` (rows, H, W, C) and ``int64`` (rows,), in the order of the dataset, training part first.

    Raises:
        BadInput: More than there are, or too few for every class to be used.
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


def _unzip(path: Path, content: bytes) -> bytes:
    """The only table in a zip archive; other content is returned as it is."""
    if not content.startswith(b"PK\x03\x04"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if len(tables) != 1:
            raise DatasetError(
                f"{tidy_path(path)} holds {len(tables)} CSV files ({', '.join(tables[:5]) or 'none'}), not one.",
                fix="unpack it, and give the file with the labels",
            )
        return archive.read(tables[0])


def _read_header(path: Path, content: bytes) -> list[str]:
    """The names of the columns: label, then the pixels of a square image."""
    if not content.strip():
        raise DatasetError(f"{tidy_path(path)} is empty.", fix=_LAYOUT)
    lines = io.BytesIO(content)
    header, row = (next(csv.reader([lines.readline().decode(c).rstrip("\r\n")]), []) for c in ("utf-8-sig", "utf-8"))
    if len(row) > len(header):  # pandas would take the surplus for an index, and shift every column
        raise damaged(path, f"its header has {len(header)} columns, the first row {len(row)}")
    header = [name.strip() for name in header]
    for problem in _header_problems(header):
        raise DatasetError(f"{tidy_path(path)}: {problem}.", fix=_LAYOUT)
    n_pixels = len(header) - 1
    if n_pixels == 0 or math.isqrt(n_pixels) ** 2 != n_pixels:
        raise DatasetError(
            f"{tidy_path(path)} has {n_pixels} pixel columns, which make no square image.",
            fix="give every pixel of a square image, such as pixel0 to pixel783 for 28x28",
        )
    return header


def _header_problems(header: list[str]) -> Iterator[str]:
    shown = {name: name or "(without a name)" for name in header}
    yield from (f"column {shown[name]} is there twice" for name, times in Counter(header).items() if times > 1)
    if "label" not in header:
        if header[0] == "pixel0":
            yield "there are pixels and no labels, as in the test.csv of Kaggle; train.csv has both"
        yield f"there is no column label; the first is called {header[0] or '(nothing)'}"
    if header[0] != "label":
        yield f"label is column {header.index('label') + 1}, not the first"
    wanted = [f"pixel{i}" for i in range(len(header) - 1)]
    no_pixels = (name for name in header[1:] if not re.fullmatch(r"pixel\d+", name))
    yield from (f"there is a column {shown[name]}, which is no pixel" for name in no_pixels)
    yield from (f"column {name} is missing" for name in wanted if name not in shown)
    misplaced = ((name, place) for name, place in zip(header[1:], wanted, strict=True) if name != place)
    yield from (f"column {name} stands where {place} belongs" for name, place in misplaced)


def _parse(path: Path, content: bytes, header: list[str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        # Read in one piece, every column has a single type: text, if one of its values is no number.
        return pd.read_csv(
            io.BytesIO(content), header=0, names=header, index_col=False, dtype={"label": str}, encoding="utf-8-sig",
            na_filter=False, low_memory=False,
        )  # fmt: skip
    except pd.errors.ParserError as problem:
        raise damaged(path, str(problem).removeprefix("Error tokenizing data. C error: ")) from problem


def _check_pixels(path: Path, frame: "pd.DataFrame") -> np.ndarray:
    """The pixels as ``uint8`` (N, H * H)."""
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
    """A column that pandas did not read as integers, such as 12.0, as whole numbers of type float (N,)."""
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
    different = {text: unicodedata.normalize("NFC", text.strip()) for text in set(texts)}
    if numbered := all(map(_WHOLE.fullmatch, different.values())):
        different = {text: str(int(label.partition(".")[0])) for text, label in different.items()}
    names = sorted(set(different.values()), key=int if numbered else str)
    for name in names:
        if not 0 < len(name) <= LONGEST_NAME or any(unicodedata.category(letter) in _INVISIBLE for letter in name):
            row = [different[text] for text in texts].index(name) + 1
            shown = repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...") if name else "empty"
            raise DatasetError(
                f"{tidy_path(path)}: the label of row {row} is {shown}.",
                fix=f"name classes by whole numbers, or by up to {LONGEST_NAME} visible characters",
            )
    if len(names) > MAX_CLASSES:
        raise DatasetError(
            f"{tidy_path(path)} has {len(names):,} different labels; erroran takes {MAX_CLASSES:,}.",
            fix="check that the column label holds classes, not numbers of rows",
        )
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[different[text]] for text in texts], dtype=np.int64), tuple(names)
