"""`split_dataset(fold=...)`: the folds are a stratified partition that depends on the content alone."""

import numpy as np
import pytest

from erroran.data import build_dataset, split_dataset
from erroran.errors import BadInput

Arrays = dict[str, np.ndarray]


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_partition(arrays: Arrays, folds: int) -> None:
    """Every training image is held out exactly once, and trained on in all other folds."""
    dataset = build_dataset("d", "here", **arrays)
    splits = [split_dataset(dataset, fold=(k, folds)) for k in range(folds)]
    held_out = np.concatenate([s.mine.ids for s in splits])
    assert sorted(held_out.tolist()) == sorted(dataset.train_ids.tolist())
    for s in splits:
        assert sorted([*s.train.ids.tolist(), *s.mine.ids.tolist()]) == sorted(dataset.train_ids.tolist())


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_stratified(arrays: Arrays, folds: int) -> None:
    """Each of K folds has 1/K of each class, plus or minus one image."""
    dataset = build_dataset("d", "here", **arrays)
    for k in range(folds):
        counts = np.bincount(split_dataset(dataset, fold=(k, folds)).mine.y, minlength=3)
        assert set(counts.tolist()) <= {20 // folds, -(-20 // folds)}


def test_order_of_the_data_changes_nothing(arrays: Arrays) -> None:
    """The held-out images do not depend on the order of the samples."""
    order = np.random.default_rng(1).permutation(60)
    shuffled = {**arrays, "x_train": arrays["x_train"][order], "y_train": arrays["y_train"][order]}
    ids = [
        set(split_dataset(build_dataset("d", "here", **a), fold=(1, 3)).mine.ids.tolist()) for a in (arrays, shuffled)
    ]
    assert ids[0] == ids[1]


def test_images_and_labels_stay_together(arrays: Arrays) -> None:
    """Held-out images keep their own pixels and labels."""
    dataset = build_dataset("d", "here", **arrays)
    at = {name: row for row, name in enumerate(dataset.train_ids.tolist())}
    mine = split_dataset(dataset, fold=(2, 4)).mine
    rows = [at[name] for name in mine.ids.tolist()]
    np.testing.assert_array_equal(mine.x, dataset.x_train[rows])
    np.testing.assert_array_equal(mine.y, dataset.y_train[rows])


def test_confirm_is_the_test_part(arrays: Arrays) -> None:
    """`confirm` is the test part in every fold; the mine fraction has no effect."""
    dataset = build_dataset("d", "here", **arrays)
    one, other = (split_dataset(dataset, fold=(0, 3), mine_fraction=f) for f in (0.1, 0.5))
    assert one.confirm.ids.tolist() == dataset.test_ids.tolist()
    assert one.mine.ids.tolist() == other.mine.ids.tolist()


@pytest.mark.parametrize("fold", [(2, 2), (-1, 2), (0, 0), (0, 21)])
def test_no_such_fold(arrays: Arrays, fold: tuple[int, int]) -> None:
    """A fold out of range, or more folds than the smallest class has images."""
    with pytest.raises(BadInput, match="no fold"):
        split_dataset(build_dataset("d", "here", **arrays), fold=fold)
