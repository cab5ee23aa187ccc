"""A kept dataset comes back whole, or not at all."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, build_dataset, load_dataset, read_dataset, save_dataset
from erroran.data.dataset import name_classes
from erroran.errors import DatasetError

Arrays = dict[str, np.ndarray]


@pytest.fixture
def dataset(arrays: Arrays) -> Dataset:
    return build_dataset("tiny", "somewhere", **arrays)


def _tamper(path: Path, **changes: np.ndarray) -> None:
    with np.load(path) as stored:
        np.savez(path, **dict(stored) | changes)


@pytest.mark.parametrize("note", [None, "a remark"])
def test_all_fields_come_back(tmp_path: Path, dataset: Dataset, note: str | None) -> None:
    dataset = replace(name_classes(dataset, ("zero", "one", "two")), note=note)
    save_dataset(dataset, tmp_path / "new" / "kept.npz")
    back = read_dataset(tmp_path / "new" / "kept.npz")
    for field in fields(Dataset):
        expected, actual = getattr(dataset, field.name), getattr(back, field.name)
        if isinstance(expected, np.ndarray):
            assert expected.dtype == actual.dtype
            assert np.array_equal(expected, actual)
        else:
            assert expected == actual


def test_saving_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path, dataset: Dataset) -> None:
    for name in ("a.npz", "b.npz"):
        save_dataset(dataset, tmp_path / "kept" / name)
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["a.npz", "b.npz"]
    first, second = ((tmp_path / "kept" / name).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept" / "a.npz"
    save_dataset(dataset, path)
    monkeypatch.setattr(np, "savez_compressed", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_dataset(replace(dataset, name="other"), path)
    assert read_dataset(path).name == "tiny"
    assert [file.name for file in path.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_changed_content_is_noticed(tmp_path: Path, dataset: Dataset, arrays: Arrays, key: str) -> None:
    path = tmp_path / "a.npz"
    save_dataset(dataset, path)
    changed = arrays[key].copy()
    changed[0] = (changed[0] + 1) % 3
    _tamper(path, **{key: changed})
    with pytest.raises(DatasetError, match=r"a\.npz does not hold what was saved") as caught:
        read_dataset(path)
    assert "load the dataset again" in caught.value.fix


def test_changed_ids_are_noticed(tmp_path: Path, dataset: Dataset) -> None:
    save_dataset(dataset, tmp_path / "a.npz")
    _tamper(tmp_path / "a.npz", test_ids=dataset.test_ids[::-1])
    with pytest.raises(DatasetError, match="does not hold what was saved"):
        read_dataset(tmp_path / "a.npz")


def test_a_file_that_was_not_saved_by_us(tmp_path: Path, arrays: Arrays) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DatasetError, match="lacks class_names"):
        read_dataset(tmp_path / "a.npz")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read: No such file"):
        read_dataset(tmp_path / "a.npz")


def test_a_kept_file_is_itself_a_dataset(tmp_path: Path, dataset: Dataset) -> None:
    save_dataset(dataset, tmp_path / "a.npz")
    assert load_dataset(str(tmp_path / "a.npz")).digest == dataset.digest
