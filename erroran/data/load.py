"""From the name of a dataset to the dataset."""

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from erroran.data.archive import DESCRIPTION, read_dataset
from erroran.data.dataset import Dataset, build_dataset
from erroran.data.download import cache_folder, download_mnist, find_cached, list_sources
from erroran.data.sources.digits import load_digits
from erroran.data.sources.files import MNIST_NPZ, find_dataset, read_arrays, tidy_path
from erroran.data.sources.table import is_table, load_table
from erroran.errors import BadInput, DatasetError, Unavailable

NAMES = ("auto", "mnist", "digits")
DATA_VARIABLE = "ERRORAN_DATA"


def load_dataset(name: str = "auto", *, data_dir: Path | None = None) -> Dataset:
    """Load a dataset by name or path.

    Args:
        name: "mnist"; "digits" (scikit-learn's, drawn like MNIST); "auto" (MNIST if it can be had,
            otherwise digits, with a note); or the path of a ``.npz`` in the layout of Keras, of a ``.csv``
            in Kaggle's, or of a folder with ``mnist.npz`` or the four IDX files.
        data_dir: Where MNIST is looked for first (default: ``$ERRORAN_DATA``); then Keras' cache,
            erroran's cache and the network.

    Raises:
        BadInput: No such name.
        DatasetError: A file was found but cannot be used. It is never skipped silently.
        Unavailable: "mnist" was asked for and is in none of the places.
    """
    if name == "digits":
        return load_digits()
    if name not in NAMES:
        return _load_path(name)
    dataset, failures = _find_mnist(data_dir)
    if dataset:
        return dataset
    if name == "auto":
        return _fall_back(failures)
    raise Unavailable(
        f"MNIST is not on this machine and cannot be downloaded: {'; '.join(failures)}.",
        fix="use --dataset digits, --dataset PATH (a .npz, a .csv or a folder of IDX files), or "
        f"--data-dir DIR (a folder with {MNIST_NPZ})",
    )


def _load_path(name: str) -> Dataset:
    path = Path(name).expanduser()
    if (path / DESCRIPTION).is_file():
        return read_dataset(path)
    found = find_dataset(path)
    if not found:
        _reject_path(path)
    if is_table(found):
        return load_table(found)
    stem = path.resolve().name if path.is_dir() else path.stem
    return build_dataset(stem, tidy_path(found), **read_arrays(found))


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


def _find_mnist(data_dir: Path | None) -> tuple[Dataset | None, list[str]]:
    """MNIST from the first place that has it; and why the places before did not."""
    failures = []
    for place in _list_places(data_dir):
        found = find_dataset(place)
        if found:
            return _load_mnist(found), []
        failures.append(f"{tidy_path(place)} ({_describe_lack(place)})")

    sources, cache = list_sources(), cache_folder()
    cached = find_cached(sources, cache)
    if cached:
        return _load_mnist(cached), []
    downloaded, refusals = download_mnist(sources, cache)
    if downloaded:
        return _load_mnist(downloaded), []
    return None, failures + refusals


def _list_places(data_dir: Path | None) -> list[Path]:
    named = data_dir or os.environ.get(DATA_VARIABLE)
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras") / "datasets" / MNIST_NPZ
    places = [Path(named), keras] if named else [keras]
    return [place.expanduser() for place in places]


def _describe_lack(place: Path) -> str:
    return "no mnist.npz, no IDX files" if place.is_dir() else "not there"


def _load_mnist(path: Path) -> Dataset:
    return build_dataset("mnist", tidy_path(path), **read_arrays(path))


def _fall_back(failures: list[str]) -> Dataset:
    digits = load_digits()
    note = f"MNIST could not be had, so these are scikit-learn's 1,797 small digits (tried {', '.join(failures)})"
    return replace(digits, note="; ".join(filter(None, (note, digits.note))))
