"""Loads a dataset by its name or path."""

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn, Protocol

from erroran.data.archive import is_stored, read_dataset
from erroran.data.dataset import Dataset
from erroran.data.download import download_mnist, find_cached, list_mirrors
from erroran.data.sources.digits import load_digits
from erroran.data.sources.idx import has_idx, load_idx
from erroran.data.sources.npz import MNIST_NPZ, load_npz
from erroran.data.sources.reading import reading, tidy_path
from erroran.data.sources.table import is_table, load_table
from erroran.errors import BadInput, DatasetError, Unavailable


class Kept(Protocol):
    """Remembers which dataset files contain, so that files that did not change are not read and checked again."""

    def find_read(self, key: str) -> Dataset | None:
        """The dataset of files that were read before; None if they were not."""

    def note_read(self, key: str, dataset: Dataset) -> None:
        """Remember the dataset of files."""


NAMES = ("auto", "mnist", "digits")
DATA_VARIABLE = "ERRORAN_DATA"

FORMATS: tuple[tuple[Callable[[Path], bool], Callable[[Path, str], Dataset]], ...] = (
    (is_stored, lambda path, _: read_dataset(path)),
    (has_idx, load_idx),
    (is_table, load_table),
    (Path.is_file, load_npz),
)
"""For each format, what recognises a path and what reads it; the first that recognises a path is used."""


def load_dataset(name: str = "auto", *, data_dir: Path | None = None, kept: Kept | None = None) -> Dataset:
    """Load a dataset by name or path.

    Args:
        name: "mnist"; "digits" (scikit-learn's, drawn like MNIST); "auto" (MNIST if it is on this machine or can be
            downloaded, otherwise digits, with a note); or the path of a ``.npz`` in the layout of Keras, of a ``.csv``
            in Kaggle's, of a folder with ``mnist.npz`` or the four IDX files, or of a dataset in a store.
        data_dir: Where MNIST is looked for first (default: ``$ERRORAN_DATA``), before Keras' cache, erroran's cache and
            the network.
        kept: Asked for the dataset before files are read.

    Raises:
        BadInput: No such name.
        DatasetError: A file was found but cannot be used, or a path does not exist.
        Unavailable: "mnist" is in none of the places.
    """
    if name == "digits":
        return _load_digits(kept)
    if name not in NAMES:
        path = Path(name).expanduser()
        return _load_path(path, _name_of(path), kept) or _reject_path(path)
    dataset, failures = _find_mnist(data_dir, kept)
    if dataset:
        return dataset
    if name == "mnist":
        raise Unavailable(
            f"MNIST is not on this machine and cannot be downloaded: {'; '.join(failures)}.",
            fix="use --dataset digits, --dataset PATH (a .npz, a .csv or a folder of IDX files), or "
            f"--data-dir DIR (a folder with {MNIST_NPZ})",
        )
    digits = _load_digits(kept)
    note = f"MNIST is not available, so these are scikit-learn's 1,797 small digits (tried {', '.join(failures)})"
    return replace(digits, note="; ".join(filter(None, (note, digits.note))))


def _load_path(path: Path, name: str, kept: Kept | None) -> Dataset | None:
    """The dataset at a path, or ``mnist.npz`` in it; None without either."""
    with reading(path):  # `exists` fails if a folder above may not be entered
        for place in (path / MNIST_NPZ, path):
            for recognises, load in FORMATS:
                if place.exists() and recognises(place):
                    again = None if recognises is is_stored else kept
                    return _read(partial(load, place, name), again, name, tidy_path(place), files=_files_of(place))
    return None


def _load_digits(kept: Kept | None) -> Dataset:
    return _read(load_digits, kept, version("scikit-learn"))


def _read(load: Callable[[], Dataset], kept: Kept | None, *parts: str, files: Sequence[Path] = ()) -> Dataset:
    """The dataset that is kept for files of this content, named and placed as `parts` say; else what `load` reads."""
    if kept is None:
        return load()
    content = hashlib.sha256("\0".join([*parts, *(file.name for file in files)]).encode())
    for file in (*sorted(Path(__file__).parent.rglob("*.py")), *files):  # other code may read them otherwise
        content.update(hashlib.sha256(file.read_bytes()).digest())
    key = content.hexdigest()[:24]
    found = kept.find_read(key)
    if found is None:
        found = load()
        kept.note_read(key, found)
    return found


def _files_of(place: Path) -> list[Path]:
    return (
        sorted(path for path in place.iterdir() if path.is_file() and "idx" in path.name) if place.is_dir() else [place]
    )


def _name_of(path: Path) -> str:
    """Name of a folder or file, without ``.npz``, ``.csv``, ``.csv.gz`` and the like."""
    if path.is_dir():
        return path.resolve().name
    return re.sub(r"(\.csv(\.\w+)?|\.[^.]*)$", "", path.name, flags=re.IGNORECASE) or path.name


def _reject_path(path: Path) -> NoReturn:
    if path.is_dir():
        raise DatasetError(
            f"The folder {tidy_path(path)} holds no {MNIST_NPZ} and no IDX files.",
            fix=f"put {MNIST_NPZ} or the four IDX files there, or name a .npz file",
        )
    if path.suffix or len(path.parts) != 1:
        raise DatasetError(
            f"{tidy_path(path)} does not exist.",
            fix="check the path, or use --dataset auto for MNIST or scikit-learn's digits",
        )
    near = difflib.get_close_matches(path.name, NAMES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise BadInput(
        f"There is no dataset called {path.name!r}, nor a file or folder of that name.{hint}",
        fix=f"use --dataset with one of {', '.join(NAMES)}, or the path of a .npz or .csv file or a folder",
    )


def _find_mnist(data_dir: Path | None, kept: Kept | None) -> tuple[Dataset | None, list[str]]:
    """MNIST from the first place that has it, or None with the reason for each place."""
    named = data_dir or os.environ.get(DATA_VARIABLE)
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras") / "datasets" / MNIST_NPZ
    failures = []
    for place in [Path(folder).expanduser() for folder in (named, keras) if folder]:
        if dataset := _load_path(place, "mnist", kept):
            return dataset, []
        failures.append(f"{tidy_path(place)} ({f'no {MNIST_NPZ}, no IDX files' if place.is_dir() else 'not there'})")
    mirrors = list_mirrors()
    found, refusals = find_cached(mirrors), list[str]()
    if not found:
        found, refusals = download_mnist(mirrors)
    return (_load_path(found, "mnist", kept) if found else None), failures + refusals
