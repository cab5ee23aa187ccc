"""The stored copy of a dataset: a folder of ``.npy`` files, whose images are read from disk as they are needed."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from erroran.data.dataset import Dataset, digest_of
from erroran.data.sources.reading import tidy_path
from erroran.errors import DatasetError, Unavailable
from erroran.files import write_text

DESCRIPTION = "dataset.json"
_ARRAYS = ("x_train", "x_test", "y_train", "y_test", "train_ids", "test_ids")


class _Description(BaseModel):
    """The file beside the arrays: fields of `Dataset`, and the size of each array's file, to detect cut files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    note: str | None
    digest: str
    class_names: tuple[str, ...]
    bytes: dict[str, int]


def is_stored(path: Path) -> bool:
    """Whether a path is a folder that `save_dataset` wrote."""
    return (path / DESCRIPTION).is_file()


def save_dataset(dataset: Dataset, folder: Path | str) -> None:
    """Write each array to a ``.npy`` file, read all back once to check the content, and write ``dataset.json`` last.

    Args:
        dataset: The dataset.
        folder: Is made; files in it are overwritten.

    Raises:
        Unavailable: What is read back differs from the dataset.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for key in _ARRAYS:
        np.save(_file(folder, key), getattr(dataset, key), allow_pickle=False)
    stored = {key: np.load(_file(folder, key), mmap_mode="r") for key in _ARRAYS}
    parts = [(stored[f"x_{part}"], stored[f"y_{part}"], stored[f"{part}_ids"]) for part in ("train", "test")]
    if digest_of(parts, dataset.class_names) != dataset.digest:
        raise Unavailable(
            f"The copy of the dataset in {tidy_path(folder)} differs from what was written: the disk may be damaged.",
            fix="use --store with a folder on another disk",
        )
    sizes = {key: _file(folder, key).stat().st_size for key in _ARRAYS}
    description = _Description.model_validate({"bytes": sizes, **{
        key: getattr(dataset, key) for key in _Description.model_fields if key != "bytes"
    }})  # fmt: skip
    write_text(folder / DESCRIPTION, description.model_dump_json())


def read_dataset(folder: Path | str) -> Dataset:
    """Read what `save_dataset` wrote; DatasetError if a file is missing or its size differs."""
    folder = Path(folder)
    try:
        description = _Description.model_validate_json((folder / DESCRIPTION).read_text(encoding="utf-8"))
        for key in _ARRAYS:
            size, stored = _file(folder, key).stat().st_size, description.bytes.get(key, 0)
            if size != stored:
                raise ValueError(f"{key}.npy has {size:,} bytes, not {stored:,}")  # noqa: TRY301
        arrays: dict[str, Any] = {
            # As plain arrays on the same memory: results computed from a `memmap` would be of type `memmap`, too.
            key: np.asarray(np.load(_file(folder, key), mmap_mode="r" if key.startswith("x_") else None))
            for key in _ARRAYS
        }
    except (OSError, ValueError) as problem:
        reason = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else problem
        raise DatasetError(
            f"The stored dataset {tidy_path(folder)} is damaged: {reason}.",
            fix=f"delete {tidy_path(folder)} and repeat `erroran baseline`",
        ) from problem
    return Dataset(**description.model_dump(exclude={"bytes"}), **arrays)


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"
