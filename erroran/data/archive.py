"""One file that holds a whole Dataset, so that a result can be traced to its exact input."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from erroran.data.dataset import Dataset, build_dataset, name_classes
from erroran.data.sources.files import KEYS, read_npz, tidy_path
from erroran.errors import DatasetError

_TEXTS = ("name", "source", "note", "digest")
_NAMES = ("class_names", "train_ids", "test_ids")


def save_dataset(dataset: Dataset, path: Path | str) -> None:
    """Write all fields to one compressed ``.npz``; readers never see half a file.

    Args:
        dataset: The dataset.
        path: The file, used as it is; its folder is made where missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fields: dict[str, np.ndarray] = {
        **{key: getattr(dataset, key) for key in KEYS},
        **{key: np.array(getattr(dataset, key)) for key in _NAMES},
        **{key: np.array(getattr(dataset, key) or "") for key in _TEXTS},
    }
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **fields)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_dataset(path: Path | str) -> Dataset:
    """Read what ``save_dataset`` wrote.

    Raises:
        DatasetError: The file is missing or damaged, or its content does not match its digest.
    """
    path = Path(path)
    fields = read_npz(path, (*KEYS, *_NAMES, *_TEXTS))
    name, source, note, digest = (str(fields[key]) for key in _TEXTS)
    rebuilt = build_dataset(name, source, **{key: fields[key] for key in KEYS})
    rebuilt = name_classes(rebuilt, fields["class_names"].tolist())
    same_ids = np.array_equal(rebuilt.train_ids, fields["train_ids"]) and np.array_equal(
        rebuilt.test_ids, fields["test_ids"]
    )
    if rebuilt.digest != digest or not same_ids:
        raise DatasetError(
            f"{tidy_path(path)} does not hold what was saved: its content has digest "
            f"{rebuilt.digest[:12]}, it claims {digest[:12]}.",
            fix=f"delete {tidy_path(path)} and load the dataset again",
        )
    return replace(rebuilt, note=note or None)
