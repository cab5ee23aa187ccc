"""Copies of an image are used together: in one part, in one fold, never in training and in a test."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.data import Dataset, Splits, build_dataset, load_dataset, split_dataset, validation_part
from erroran.data.ids import choose_count, choose_fraction, sample_ids, strip_copy_numbers
from erroran.data.sources.table import load_table, write_table
from erroran.errors import DatasetError


def _images(numbers: list[int] | np.ndarray) -> np.ndarray:
    """2x2 grey images, equal where the given numbers are equal."""
    return np.array([[n % 251, n // 251, 7, 9] for n in numbers], dtype=np.uint8).reshape(-1, 2, 2, 1)


def _dataset(train: list[tuple[int, int]], test: list[tuple[int, int]]) -> Dataset:
    (x_train, y_train), (x_test, y_test) = (
        (_images(x), np.array(y)) for x, y in (zip(*part, strict=True) for part in (train, test))
    )
    return build_dataset("d", "d.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _stems(splits: Splits) -> list[set[str]]:
    return [set(strip_copy_numbers(part.ids).tolist()) for part in (splits.train, splits.mine, splits.confirm)]


def _apart(*parts: set[str]) -> bool:
    return sum(map(len, parts)) == len(set.union(*parts))


# Six different images of each class, then any copies of them, with any labels.
some_copies = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1)), max_size=30)
ORIGINALS = [(n, n % 2) for n in range(12)]


@given(copies=some_copies, fraction=st.floats(0.01, 0.5))
def test_copies_never_straddle_train_and_mine(copies: list[tuple[int, int]], fraction: float) -> None:
    """Copies with different labels stay together, too; no image is lost; each class is in both parts."""
    dataset = _dataset([*ORIGINALS, *copies], [(100, 0), (101, 1)])
    splits = split_dataset(dataset, mine_fraction=fraction)
    assert _apart(*_stems(splits))
    assert sorted([*splits.train.ids, *splits.mine.ids]) == sorted(dataset.train_ids)
    assert set(splits.train.y) == {0, 1}


@given(copies=some_copies, folds=st.integers(2, 6))
def test_copies_never_straddle_folds(copies: list[tuple[int, int]], folds: int) -> None:
    """The folds are still a partition."""
    dataset = _dataset([*ORIGINALS, *copies], [(100, 0), (101, 1)])
    splits = [split_dataset(dataset, fold=(k, folds)) for k in range(folds)]
    assert _apart(*(set(strip_copy_numbers(split.mine.ids).tolist()) for split in splits))
    assert sorted(name for split in splits for name in split.mine.ids) == sorted(dataset.train_ids)


def test_every_image_doubled() -> None:
    """With every image doubled, 4 of 40 per class are mined: two images and their copies."""
    numbers = [(n, n % 2) for n in range(40)] * 2
    splits = split_dataset(_dataset(numbers, [(100, 0), (101, 1)]))
    assert np.bincount(splits.mine.y).tolist() == [4, 4]
    assert _apart(*_stems(splits))
    (dealt,) = {np.bincount(split_dataset(_dataset(numbers, [(100, 0), (101, 1)]), fold=(k, 4)).mine.y).tobytes()
                for k in range(4)}  # fmt: skip
    assert np.frombuffer(dealt, dtype=np.int64).tolist() == [10, 10]


def test_groups_larger_than_the_quota() -> None:
    """If all groups of a class exceed its quota, the smallest one is mined and another is trained on."""
    groups = np.array(["a"] * 7 + ["b"] * 3 + ["c"] * 2 + ["d", "e", "f", "g"])
    labels = np.array([0] * 12 + [1] * 4)
    chosen = choose_fraction(groups, labels, fraction=0.1, purpose="x")
    assert groups[chosen & (labels == 0)].tolist() == ["c", "c"]
    assert (chosen & (labels == 1)).sum() == 1
    assert not choose_fraction(groups[:7], labels[:7], fraction=0.1, purpose="x").any()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.floats(0.05, 0.95))
def test_without_copies_every_quota_is_met_by_the_smallest_hashes(labels: list[int], fraction: float) -> None:
    """Without copies, the chosen samples of each class are the first by a hash of purpose and id."""
    ids, y = np.array([f"{n:016x}" for n in range(len(labels))]), np.array(labels)
    chosen = choose_fraction(ids, y, fraction=fraction, purpose="mine")
    for label in set(labels):
        members = [name for name, of in zip(ids, labels, strict=True) if of == label]
        ranked = sorted(members, key=lambda name: hashlib.blake2b(f"mine:{name}".encode()).digest())
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        assert set(ids[chosen & (y == label)]) == set(ranked[:count])


def test_training_images_that_are_in_the_test_part_are_left_out() -> None:
    """`confirm` keeps all its images; none of them is in `train` or `mine`, and the note counts them."""
    dataset = _dataset([(n, n % 2) for n in range(40)], [(3, 1), (8, 0), (100, 0)])
    splits = split_dataset(dataset, mine_fraction=0.25)
    assert _apart(*_stems(splits))
    assert (len(splits.confirm.y), len(splits.train.y) + len(splits.mine.y)) == (3, 38)
    folds = [split_dataset(dataset, fold=(k, 3)) for k in range(3)]
    assert sum(len(split.mine.y) for split in folds) == 38
    assert dataset.note == "2 of 40 training images are also in the test part, so they are neither trained on nor mined"


def test_copies_in_the_training_part_are_noted() -> None:
    """The note counts the copies, and those with another label."""
    numbers = [(n, n % 2) for n in range(40)]
    dataset = _dataset([*numbers, (1, 1), (1, 1), (2, 1)], [(100, 0), (101, 1)])
    assert dataset.note == "3 of 43 training images are copies of others; 1 of them with another label"
    assert _dataset(numbers, [(100, 0), (101, 1)]).note is None


@pytest.mark.parametrize("fold", [None, (0, 2)])
def test_a_class_of_one_image(fold: tuple[int, int] | None) -> None:
    """A class needs two different training images that are not in the test part."""
    for train in ([*ORIGINALS, (50, 2), (50, 2)], [*ORIGINALS, (50, 2), (100, 2)]):
        with pytest.raises(DatasetError, match="class 2 has 1 different") as caught:
            split_dataset(_dataset(train, [(100, 0), (101, 1)]), fold=fold)
        assert "add training images" in caught.value.fix


def test_tables_keep_copies_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    """When `confirm` is drawn from a table, copies stay together, too."""
    path = tmp_path_factory.mktemp("table") / "t.csv"
    numbers = np.arange(60).repeat(2)
    write_table(path, _images(numbers), numbers % 3, ("0", "1", "2"))
    splits = split_dataset(load_table(path, "t"))
    assert _apart(*_stems(splits))
    assert np.bincount(splits.confirm.y).tolist() == [8, 8, 8]


def test_a_table_with_too_few_different_images(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    numbers = np.array([*range(10), 20, 20, 20, 21])
    write_table(path, _images(numbers), np.array([0] * 10 + [1] * 4), ("a", "b"))
    with pytest.raises(DatasetError, match=r"class b has 2 different image\(s\) in the 14 rows; .* takes 3"):
        load_table(path, "t")


def test_an_exact_number_of_single_samples() -> None:
    """Without copies the count is met exactly, for any sizes of the classes."""
    labels = np.random.default_rng(0).integers(0, 7, 500)
    ids = sample_ids(_images(np.zeros(500, dtype=int)))
    assert choose_count(ids, labels, count=123, purpose="rows").sum() == 123


def test_the_digits_are_split_as_ever() -> None:
    """Golden digest: stored runs depend on it."""
    digits = load_dataset("digits")
    assert _summary(split_dataset(digits)) == [
        (1078, "e6aff01f82be1de4"), (120, "75892967ac1bc00c"), (599, "f714b901f63af45a")
    ]  # fmt: skip
    assert _summary(split_dataset(digits, fold=(1, 5)))[1] == (240, "c09ec5e7a7a269ec")


def _summary(splits: Splits) -> list[tuple[int, str]]:
    parts = (splits.train, splits.mine, splits.confirm)
    return [(len(part.ids), hashlib.sha256("".join(part.ids.tolist()).encode()).hexdigest()[:16]) for part in parts]


@given(copies=some_copies, fraction=st.floats(0.05, 0.5))
def test_the_validation_part_is_an_inner_one(copies: list[tuple[int, int]], fraction: float) -> None:
    """The validation part is taken from the training part; copies stay together; each class is trained on."""
    train = split_dataset(_dataset([*ORIGINALS, *copies], [(100, 0), (101, 1)])).train
    inner, stop = validation_part(train, fraction=fraction)
    assert _apart(*(set(strip_copy_numbers(part.ids).tolist()) for part in (inner, stop)))
    assert sorted([*inner.ids, *stop.ids]) == sorted(train.ids)
    at = {name: row for row, name in enumerate(train.ids.tolist())}
    rows = [at[name] for name in stop.ids.tolist()]
    assert np.array_equal(stop.x, train.x[rows])
    assert np.array_equal(stop.y, train.y[rows])
    assert set(inner.y) == {0, 1}


def test_the_validation_part_is_stratified_and_independent_of_mine() -> None:
    """A tenth of each class; the choice is independent of the one for `mine`."""
    train = split_dataset(load_dataset("digits")).train
    inner, stop = validation_part(train)
    assert np.bincount(stop.y).tolist() == [round(0.1 * n) for n in np.bincount(train.y)]
    assert len(inner.y) + len(stop.y) == len(train.y)
    mined = train.ids[choose_fraction(train.ids, train.y, fraction=0.1, purpose="mine")]
    assert len(set(mined) & set(stop.ids)) < 0.25 * len(mined)


def test_nothing_to_validate_on() -> None:
    """One image of each class is left to train on."""
    train = split_dataset(_dataset([(0, 0), (1, 0), (2, 1), (3, 1)], [(100, 0), (101, 1)])).train
    with pytest.raises(DatasetError, match="too few to set some aside for early stopping"):
        validation_part(train)


def test_a_part_reads_only_what_is_asked_for() -> None:
    """`read` and `take` give the same pixels as `x`, also from a part of a part."""
    images = _images(range(30))
    part = split_dataset(_dataset([(n, n % 2) for n in range(30)], [(100, 0), (101, 1)]), mine_fraction=0.3).train
    assert part.image_shape == (2, 2, 1)
    assert np.array_equal(part.x, images[[n for n in range(30) if sample_ids(images)[n] in set(part.ids)]])
    inner = part.take(part.y == 1).take(np.array([2, 0]))
    expected = part.x[part.y == 1][[2, 0]]
    assert np.array_equal(inner.x, expected)
    assert np.array_equal(inner.read(np.array([1])), expected[[1]])
    assert inner.ids.tolist() == part.ids[part.y == 1][[2, 0]].tolist()
