"""Ids depend on the pixels, not on the position of the sample."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from erroran.data import sample_ids
from erroran.data.ids import strip_copy_numbers

few_images = st_np.arrays(
    np.uint8, st.tuples(st.integers(1, 8), st.just(2), st.just(2), st.just(1)), elements=st.integers(0, 1)
)


def test_an_id_is_sixteen_hex_digits() -> None:
    ids = sample_ids(np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1))
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in ids)


def test_ids_never_change() -> None:
    """Golden ids: stored results refer to samples by id."""
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    assert sample_ids(images).tolist() == GOLDEN


GOLDEN = ["c68d48ba217f73c6", "c928796219707c56"]


@given(images=few_images, data=st.data())
def test_reordering_permutes_the_ids(images: np.ndarray, data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=8, max_size=8)))[: len(images)]
    order = np.array(data.draw(st.permutations(range(len(images)))))
    before = sample_ids(images, labels)
    after = sample_ids(images[order], labels[order])

    def meaning(x: np.ndarray, y: np.ndarray, ids: np.ndarray) -> dict[str, tuple[bytes, int]]:
        return {name: (x[i].tobytes(), int(y[i])) for i, name in enumerate(ids.tolist())}

    assert meaning(images[order], labels[order], after) == meaning(images, labels, before)


@given(images=few_images)
def test_ids_are_unique_and_equal_images_share_the_stem(images: np.ndarray) -> None:
    ids = sample_ids(images)
    assert len(set(ids.tolist())) == len(images)
    stems = strip_copy_numbers(ids)
    for i, j in np.ndindex(len(images), len(images)):
        assert (stems[i] == stems[j]) == np.array_equal(images[i], images[j])


def test_copies_are_numbered_by_label_first() -> None:
    images = np.zeros((3, 2, 2, 1), dtype=np.uint8)
    stem = sample_ids(images)[0]
    ids = sample_ids(images, np.array([2, 0, 1]))
    assert ids.tolist() == [f"{stem}~2", stem, f"{stem}~1"]


def test_the_label_of_a_single_image_does_not_matter() -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    assert (sample_ids(images, np.array([0, 1])) == sample_ids(images, np.array([5, 3]))).all()


def test_no_images_have_no_ids() -> None:
    ids = sample_ids(np.empty((0, 2, 2, 1), dtype=np.uint8))
    assert ids.shape == (0,)
    assert ids.dtype.kind == "U"


def test_the_size_belongs_to_the_id() -> None:
    pixels = np.arange(12, dtype=np.uint8)
    shapes = [(1, 3, 4, 1), (1, 4, 3, 1), (1, 2, 2, 3), (1, 1, 4, 3)]
    assert len({str(sample_ids(pixels.reshape(shape))[0]) for shape in shapes}) == len(shapes)


def test_memory_layout_does_not_matter() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), dtype=np.uint8)
    assert (sample_ids(np.asfortranarray(images)) == sample_ids(images)).all()
