"""A stored dataset is read as it was written or refused, and its images stay on disk until they are used."""

import json
import mmap
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, build_dataset, load_dataset, read_dataset, save_dataset, split_dataset
from erroran.errors import DatasetError, Unavailable

Arrays = dict[str, np.ndarray]


@pytest.fixture
def dataset(arrays: Arrays) -> Dataset:
    return build_dataset("tiny", "somewhere", **arrays, class_names=("zero", "one", "éléphant"))


def _is_mapped(array: np.ndarray | None) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@pytest.mark.parametrize("note", [None, "a remark"])
def test_all_fields_come_back(tmp_path: Path, dataset: Dataset, note: str | None) -> None:
    dataset = replace(dataset, note=note)
    save_dataset(dataset, tmp_path / "new" / "kept")
    back = read_dataset(tmp_path / "new" / "kept")
    for field in fields(Dataset):
        expected, actual = getattr(dataset, field.name), getattr(back, field.name)
        if isinstance(expected, np.ndarray):
            assert expected.dtype == actual.dtype
            assert np.array_equal(expected, actual)
        else:
            assert expected == actual


def test_images_stay_on_disk(tmp_path: Path, dataset: Dataset) -> None:
    """Opening, splitting and `take` load no image; `read` loads only the requested ones."""
    save_dataset(dataset, tmp_path / "kept")
    splits = split_dataset(read_dataset(tmp_path / "kept"))
    for part in (splits.train, splits.mine, splits.confirm, splits.train.take(np.array([3, 1]))):
        assert _is_mapped(part.images)
    assert _is_mapped(splits.confirm.x)
    assert not _is_mapped(splits.train.read(np.array([0])))
    with pytest.raises(ValueError, match="read-only"):
        splits.confirm.x[0] = 0


def test_content_is_hashed_when_it_is_stored_and_not_when_it_is_read(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is checked once, after it is written."""
    with pytest.raises(Unavailable, match="differs from what was written"):
        save_dataset(replace(dataset, digest="0" * 64), tmp_path / "wrong")
    with pytest.raises(DatasetError):
        read_dataset(tmp_path / "wrong")
    save_dataset(dataset, tmp_path / "kept")
    for name in ("dataset.digest_of", "archive.digest_of", "dataset.sample_ids"):
        monkeypatch.setattr(f"erroran.data.{name}", lambda *_, **__: 1 / 0)
    assert read_dataset(tmp_path / "kept").digest == dataset.digest


def test_saving_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path, dataset: Dataset) -> None:
    for name in ("a", "b"):
        save_dataset(dataset, tmp_path / name)
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second
    keys = ("x_train", "x_test", "y_train", "y_test", "train_ids", "test_ids")
    assert set(first) == {"dataset.json", *(f"{key}.npy" for key in keys)}


@pytest.mark.parametrize("name", ["x_train.npy", "y_test.npy", "train_ids.npy", "dataset.json"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_an_incomplete_copy_is_said(tmp_path: Path, dataset: Dataset, name: str, damage: str) -> None:
    """Each file cut or missing, including the one that is written last."""
    save_dataset(dataset, tmp_path / "kept")
    file = tmp_path / "kept" / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[:-1])
    with pytest.raises(DatasetError, match="kept is damaged: ") as caught:
        read_dataset(tmp_path / "kept")
    assert "repeat `erroran baseline`" in caught.value.fix


def test_a_description_that_is_not_ours(tmp_path: Path, dataset: Dataset) -> None:
    save_dataset(dataset, tmp_path / "kept")
    for content in ("[]", json.dumps({"name": "x"}), "\ud800"):
        (tmp_path / "kept" / "dataset.json").write_bytes(content.encode("utf-8", "surrogatepass"))
        with pytest.raises(DatasetError, match="kept is damaged"):
            read_dataset(tmp_path / "kept")


def test_a_stored_folder_is_itself_a_dataset(tmp_path: Path, dataset: Dataset) -> None:
    """``--dataset`` accepts a stored dataset and does not read its images."""
    save_dataset(dataset, tmp_path / "kept")
    back = load_dataset(str(tmp_path / "kept"))
    assert (back.digest, back.name) == (dataset.digest, "tiny")
    assert _is_mapped(back.x_train)
