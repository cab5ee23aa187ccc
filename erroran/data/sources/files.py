"""Datasets on disk: one ``.npz`` in the layout of Keras, or the four IDX files of MNIST.

IDX: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from erroran.errors import DatasetError

KEYS = ("x_train", "y_train", "x_test", "y_test")
MNIST_NPZ = "mnist.npz"

_IDX_STEMS = {
    "x_train": ("train-images", 3),
    "y_train": ("train-labels", 1),
    "x_test": ("t10k-images", 3),
    "y_test": ("t10k-labels", 1),
}
_IDX_UINT8 = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"


def tidy_path(path: Path) -> str:
    """The path as text, with ``~`` for the home folder, so that reports can be shared."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # outside the home folder; no home folder
        return str(path)


def find_dataset(path: Path) -> Path | None:
    """What there is to read at a path.

    Args:
        path: A file or folder, which need not exist.

    Returns:
        The file itself; for a folder, the ``mnist.npz`` in it, or the folder if it has IDX files;
        None where there is nothing.

    Raises:
        DatasetError: One may not look there.
    """
    try:
        if not path.is_dir():
            return path if path.exists() else None
        if (path / MNIST_NPZ).exists():
            return path / MNIST_NPZ
        return path if _list_idx(path) else None
    except OSError as problem:  # a folder above it that may not be entered
        raise _unreadable(path, problem) from problem


def read_arrays(path: Path) -> dict[str, Any]:
    """Read ``x_train``, ``y_train``, ``x_test`` and ``y_test``, unchecked.

    Args:
        path: A ``.npz`` file, or a folder with the four IDX files.

    Raises:
        DatasetError: The file cannot be read, is damaged, or lacks something; it is named.
    """
    return _read_idx_folder(path) if path.is_dir() else read_npz(path, KEYS)


def read_npz(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read the named arrays of a ``.npz``; never unpickles.

    Raises:
        DatasetError: Not a ``.npz``, damaged, a key is missing, or an array holds Python objects.
    """
    try:
        _check_zip(path)
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in keys if key not in stored.files]
            if missing:
                raise DatasetError(
                    f"{tidy_path(path)} lacks {', '.join(missing)}; it holds {', '.join(stored.files) or 'nothing'}.",
                    fix=f"save it with np.savez(path, {', '.join(f'{key}=...' for key in KEYS)})",
                )
            return {key: _read_member(path, stored, key) for key in keys}
    except (zipfile.BadZipFile, zlib.error, EOFError) as problem:
        raise _damaged(path, str(problem)) from problem
    except OSError as problem:
        raise _unreadable(path, problem) from problem


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one IDX file of ``uint8``, gzipped or not.

    Args:
        path: The file.
        dimensions: 3 for images (magic number 2051), 1 for labels (2049).

    Raises:
        DatasetError: Unreadable, damaged, another magic number, or more or fewer bytes than stated.
    """
    content = _read_maybe_gzip(path)
    magic = int.from_bytes(content[:4], "big")
    wanted = _IDX_UINT8 << 8 | dimensions
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
        raise _damaged(path, f"its header states {stated:,} bytes, {found:,} follow")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _check_zip(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if zipfile.is_zipfile(path):
        return
    if start == _ZIP_MAGIC:
        raise _damaged(path, "the end of the archive is missing")
    raise DatasetError(
        f"{tidy_path(path)} is not a .npz file.",
        fix="give a .npz file, or a folder with the four IDX files of MNIST",
    )


def _read_member(path: Path, stored: Any, key: str) -> np.ndarray:
    try:
        array = stored[key]
    except ValueError as problem:
        if "allow_pickle" not in str(problem):
            raise _damaged(path, f"{key}: {problem}") from problem
        raise DatasetError(
            f"{tidy_path(path)}: {key} holds Python objects instead of numbers.",
            fix=f"save {key} as one array of integers in which all rows have the same length",
        ) from problem
    if not isinstance(array, np.ndarray):
        raise _damaged(path, f"{key} is not an array")
    return array


def _read_idx_folder(folder: Path) -> dict[str, np.ndarray]:
    files = _list_idx(folder)
    missing = [f"{stem}-idx{n}-ubyte" for key, (stem, n) in _IDX_STEMS.items() if key not in files]
    if missing:
        raise DatasetError(
            f"{tidy_path(folder)} lacks {', '.join(missing)}.",
            fix="put all four IDX files there, gzipped or not",
        )
    return {key: read_idx(path, _IDX_STEMS[key][1]) for key, path in files.items()}


def _list_idx(folder: Path) -> dict[str, Path]:
    """The IDX files in a folder, by the key of the array that they hold."""
    found = {}
    for key, (stem, dimensions) in _IDX_STEMS.items():
        for name in (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte"):
            for path in (folder / f"{name}.gz", folder / name):
                if path.is_file():
                    found[key] = path
    return found


def _read_maybe_gzip(path: Path) -> bytes:
    # The content decides: downloads are often unpacked without renaming, or the other way round.
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise _damaged(path, str(problem)) from problem
    except OSError as problem:
        raise _unreadable(path, problem) from problem


def _damaged(path: Path, detail: str) -> DatasetError:
    return DatasetError(
        f"{tidy_path(path)} is damaged: {detail.rstrip('.')}.",
        fix=f"delete {tidy_path(path)} or replace it with an intact copy",
    )


def _unreadable(path: Path, problem: OSError) -> DatasetError:
    return DatasetError(
        f"{tidy_path(path)} cannot be read: {problem.strerror or problem}.",
        fix=f"make {tidy_path(path)} readable, or name another file",
    )
