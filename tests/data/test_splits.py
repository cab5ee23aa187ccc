"""Splits depend on the content, not on order or seed."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erroran.data import Dataset, build_dataset, split_dataset
from erroran.errors import BadInput, DatasetError

Arrays = dict[str, np.ndarray]


@pytest.fixture
def dataset(arrays: Arrays) -> Dataset:
    return build_dataset("tiny", "here", **arrays)


def _id_sets(dataset: Dataset, fraction: float = 0.1) -> list[set[str]]:
    splits = split_dataset(dataset, mine_fraction=fraction)
    return [set(part.ids.tolist()) for part in (splits.train, splits.mine, splits.confirm)]


def test_the_parts_are_disjoint_and_complete(dataset: Dataset) -> None:
    train, mine, confirm = _id_sets(dataset)
    assert not train & mine
    assert train | mine == set(dataset.train_ids.tolist())
    assert confirm == set(dataset.test_ids.tolist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.01, 0.5))
def test_order_does_not_matter(arrays: Arrays, seed: int, fraction: float) -> None:
    order = np.random.default_rng(seed).permutation(60)
    shuffled = arrays | {key: arrays[key][order] for key in ("x_train", "y_train")}
    one, other = (build_dataset("tiny", "here", **each) for each in (arrays, shuffled))
    assert _id_sets(one, fraction) == _id_sets(other, fraction)


@pytest.mark.parametrize(("fraction", "mined"), [(0.001, 1), (0.1, 2), (0.33, 7), (0.5, 10)])
def test_each_class_gives_the_same_share(dataset: Dataset, fraction: float, mined: int) -> None:
    splits = split_dataset(dataset, mine_fraction=fraction)
    assert np.bincount(splits.mine.y).tolist() == [mined] * 3
    assert np.bincount(splits.train.y).tolist() == [20 - mined] * 3


def test_a_larger_part_contains_the_smaller(dataset: Dataset) -> None:
    assert _id_sets(dataset, 0.1)[1] < _id_sets(dataset, 0.3)[1]


def test_parts_keep_order_and_belong_together(dataset: Dataset) -> None:
    splits = split_dataset(dataset)
    place = {name: index for index, name in enumerate(dataset.train_ids.tolist())}
    for part in (splits.train, splits.mine):
        indices = [place[name] for name in part.ids.tolist()]
        assert indices == sorted(indices)
        assert np.array_equal(part.x, dataset.x_train[indices])
        assert np.array_equal(part.y, dataset.y_train[indices])


def test_confirm_is_the_test_part_as_it_is(dataset: Dataset) -> None:
    confirm = split_dataset(dataset).confirm
    assert confirm.x is dataset.x_test
    assert confirm.y is dataset.y_test
    assert confirm.ids is dataset.test_ids


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.51, 1.0, float("nan")])
def test_a_senseless_fraction_is_refused(dataset: Dataset, fraction: float) -> None:
    with pytest.raises(BadInput, match=r"above 0 and at most 0\.5") as caught:
        split_dataset(dataset, mine_fraction=fraction)
    assert "0.1" in caught.value.fix


def test_a_class_of_one_cannot_be_split(arrays: Arrays) -> None:
    arrays["y_train"] = np.array([0] * 30 + [1] * 29 + [2])
    dataset = build_dataset("tiny", "tiny.npz", **arrays)
    with pytest.raises(DatasetError, match=r"tiny\.npz: class 2 has 1 different training images"):
        split_dataset(dataset)


def test_a_class_of_two_gives_one_to_each_part(arrays: Arrays) -> None:
    arrays["y_train"] = np.array([0] * 30 + [1] * 28 + [2] * 2)
    splits = split_dataset(build_dataset("tiny", "here", **arrays))
    assert np.bincount(splits.mine.y)[2] == np.bincount(splits.train.y)[2] == 1
