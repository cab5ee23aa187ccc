"""A folder with the four IDX files of MNIST, gzipped or not.

Source: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from erroran.data.dataset import Dataset, build_dataset
from erroran.data.sources.reading import damaged, read_unpacked, tidy_path
from erroran.errors import DatasetError

_TRAIN = {"x_train": ("train-images", 3), "y_train": ("train-labels", 1)}
_STEMS = _TRAIN | {"x_test": ("t10k-images", 3), "y_test": ("t10k-labels", 1)}
_UINT8 = 0x08


def has_idx(folder: Path) -> bool:
    """Whether a folder holds at least one of the files."""
    return bool(_list_files(folder))


def load_idx(folder: Path, name: str) -> Dataset:
    """Read the four files into a dataset of this name; DatasetError if a file or its arrays cannot be used."""
    files = _list_files(folder)
    missing = [f"{stem}-idx{n}-ubyte" for key, (stem, n) in _STEMS.items() if key not in files]
    if missing:
        raise DatasetError(
            f"{tidy_path(folder)} lacks {', '.join(missing)}.",
            fix="put all four IDX files there, gzipped or not",
        )
    arrays: dict[str, Any] = {key: _read(path, _STEMS[key][1]) for key, path in files.items()}
    return build_dataset(name, tidy_path(folder), **arrays)


def _list_files(folder: Path) -> dict[str, Path]:
    """The files in a folder, by array; unpacked files are preferred."""
    return {
        key: path
        for key, (stem, n) in _STEMS.items()
        for name in (f"{stem}-idx{n}-ubyte", f"{stem}.idx{n}-ubyte")
        for path in (folder / f"{name}.gz", folder / name)
        if path.is_file()
    }


def _read(path: Path, dimensions: int) -> np.ndarray:
    """The ``uint8`` array of one file: images (3 dimensions, magic number 2051) or labels (1, 2049)."""
    content = read_unpacked(path)
    magic = int.from_bytes(content[:4], "big")
    wanted = _UINT8 << 8 | dimensions
    header = 4 + 4 * dimensions
    if len(content) < header or magic != wanted:
        raise DatasetError(
            f"{tidy_path(path)} is no IDX file of {'images' if dimensions == 3 else 'labels'}: "
            f"its magic number is {magic}, not {wanted}.",
            fix=f"replace {tidy_path(path)} with the original file",
        )
    shape = tuple(np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).tolist())
    stated, found = math.prod(shape), len(content) - header
    if stated != found:
        raise damaged(path, f"its header states {stated:,} bytes, {found:,} follow")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
