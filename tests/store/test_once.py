"""No work twice: files are read and checked, datasets split and effects measured once; what changed is done again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erroran.data import Dataset, load_dataset, split_dataset
from erroran.errors import BadInput
from erroran.experiment.hypothesis import Hypothesis
from erroran.stages.preview import preview
from erroran.store import Store

THICKEN = {"augment": {"0": {"operation": "dilate", "radius_px": 1}}}


def _write(path: Path, dataset: Dataset, *, first_pixel: int = 0) -> Path:
    images = dataset.x_train.copy()
    images[0, 0, 0] = first_pixel
    np.savez(path, x_train=images, y_train=dataset.y_train, x_test=dataset.x_test, y_test=dataset.y_test)
    return path


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[int]]:
    """Count the calls of a function, given by its full name."""

    def watch(name: str) -> list[int]:
        module, _, attribute = name.rpartition(".")
        calls: list[int] = []
        original = getattr(__import__(module, fromlist=["x"]), attribute)

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return original(*args, **kwargs)

        monkeypatch.setattr(name, counted)
        return calls

    return watch


def _load(path: Path, store: Store) -> Dataset:
    loaded = load_dataset(str(path), kept=store)
    store.put_dataset(loaded)
    return loaded


def test_a_file_is_read_once_and_again_when_it_changed(
    tiny_dataset: Dataset, store: Store, tmp_path: Path, count: Callable[[str], list[int]]
) -> None:
    """A second command gets the same dataset from the store; another content or another name is read anew."""
    built = count("erroran.data.sources.npz.build_dataset")
    path = _write(tmp_path / "a.npz", tiny_dataset)
    first = _load(path, store)
    again = _load(path, Store(store.root))
    assert len(built) == 1
    assert (again.digest, again.name, again.source, again.note) == (first.digest, first.name, first.source, first.note)
    for key in ("x_train", "y_train", "x_test", "y_test", "train_ids", "test_ids"):
        assert np.array_equal(getattr(again, key), getattr(first, key))
    _write(path, tiny_dataset, first_pixel=200)
    changed = _load(path, Store(store.root))
    assert (len(built), changed.digest == first.digest) == (2, False)
    other = _load(_write(tmp_path / "b.npz", tiny_dataset), Store(store.root))
    assert (len(built), other.digest, other.name) == (3, first.digest, "b")


def test_a_read_file_whose_dataset_is_gone_is_read_again(tiny_dataset: Dataset, store: Store, tmp_path: Path) -> None:
    """The note about the file outlives the copy of the dataset."""
    path = _write(tmp_path / "a.npz", tiny_dataset)
    digest = _load(path, store).digest
    (copy,) = (store.root / "datasets").iterdir()
    copy.rename(tmp_path / "gone")
    assert _load(path, Store(store.root)).digest == digest


def test_nothing_is_written_before_the_dataset_is_stored(tiny_dataset: Dataset, store: Store, tmp_path: Path) -> None:
    """A command that is refused after loading leaves no store."""
    loaded = load_dataset(str(_write(tmp_path / "a.npz", tiny_dataset)), kept=store)
    store.split(loaded)
    with pytest.raises(BadInput):
        store.split(loaded, mine_fraction=0.9)
    assert not store.root.exists()


@pytest.mark.parametrize("settings", [{}, {"mine_fraction": 0.25}, {"fold": (1, 3)}])
def test_a_dataset_is_split_once(
    tiny_dataset: Dataset, store: Store, count: Callable[[str], list[int]], settings: dict[str, Any]
) -> None:
    """The kept split is the one that is computed; a damaged one is computed again."""
    expected = split_dataset(tiny_dataset, **settings)
    computed = count("erroran.store.artifacts.split_dataset")
    store.put_dataset(tiny_dataset)
    for opened in (store, store, Store(store.root)):
        found = opened.split(opened.get_dataset(tiny_dataset.digest), **settings)
        for name in ("train", "mine", "confirm"):
            part, wanted = getattr(found, name), getattr(expected, name)
            assert part.ids.tolist() == wanted.ids.tolist()
            assert np.array_equal(part.y, wanted.y)
            assert np.array_equal(part.x, wanted.x)
    assert len(computed) == 1
    (path,) = (store.root / "splits").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    Store(store.root).split(tiny_dataset, **settings)
    assert len(computed) == 2


def test_effects_are_measured_once(tiny_dataset: Dataset, store: Store, count: Callable[[str], list[int]]) -> None:
    """Another operation or another fraction is measured anew."""
    measured = count("erroran.stages.preview.measure")
    hypothesis = Hypothesis.model_validate({"pair": "0:1", "hypothesis": "h", **THICKEN})
    store.put_dataset(tiny_dataset)
    first = preview(tiny_dataset, hypothesis, store=store)
    done = len(measured)
    again = preview(tiny_dataset, hypothesis, store=Store(store.root))
    assert (len(measured), again.effects) == (done, first.effects)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(again.rows, first.rows, strict=True))
    preview(tiny_dataset, hypothesis, mine_fraction=0.3, store=store)
    assert len(measured) > done
