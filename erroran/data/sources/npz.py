"""One ``.npz`` file in the layout of Keras: ``x_train``, ``y_train``, ``x_test``, ``y_test``."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from erroran.data.dataset import Dataset, build_dataset
from erroran.data.sources.reading import damaged, reading, tidy_path
from erroran.errors import DatasetError

MNIST_NPZ = "mnist.npz"

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_ZIP_MAGIC = b"PK\x03\x04"


def load_npz(path: Path, name: str) -> Dataset:
    """Read a ``.npz`` into a dataset of this name, without pickle; DatasetError if it cannot be used."""
    with reading(path):
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                if file.read(4) == _ZIP_MAGIC:
                    raise damaged(path, "the end of the archive is missing")
            raise DatasetError(
                f"{tidy_path(path)} is not a .npz file.",
                fix="give a .npz file, or a folder with the four IDX files of MNIST",
            )
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in _KEYS if key not in stored.files]
            if missing:
                raise DatasetError(
                    f"{tidy_path(path)} lacks {', '.join(missing)}; it holds {', '.join(stored.files) or 'nothing'}.",
                    fix=f"save it with np.savez(path, {', '.join(f'{key}=...' for key in _KEYS)})",
                )
            arrays: dict[str, Any] = {key: _read_member(path, stored, key) for key in _KEYS}
    return build_dataset(name, tidy_path(path), **arrays)


def _read_member(path: Path, stored: Any, key: str) -> np.ndarray:
    try:
        array = stored[key]
    except Exception as problem:  # junk in an archive or in an array's header raises errors without a common class
        if "allow_pickle" not in str(problem):
            raise damaged(path, f"{key}: {problem}") from problem
        raise DatasetError(
            f"{tidy_path(path)}: {key} holds Python objects instead of numbers.",
            fix=f"save {key} as one array of integers in which all rows have the same length",
        ) from problem
    if not isinstance(array, np.ndarray):
        raise damaged(path, f"{key} is not an array")
    return array
