"""Tests on the real MNIST, skipped if it is not on this machine."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, load_dataset, sample_ids, split_dataset
from erroran.data.near import find_near_duplicates

PLACE = Path(
    os.environ.get("ERRORAN_TEST_MNIST") or Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist.npz"
)

pytestmark = pytest.mark.skipif(not PLACE.exists(), reason="no real MNIST: set ERRORAN_TEST_MNIST to an mnist.npz")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset("mnist", data_dir=PLACE)


def test_sizes_and_class_counts(mnist: Dataset) -> None:
    """Counts as published: LeCun, Cortes, Burges, "The MNIST database of handwritten digits"."""
    assert mnist.x_train.shape == (60000, 28, 28, 1)
    assert mnist.x_test.shape == (10000, 28, 28, 1)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.y_train).tolist() == counts


def test_no_image_occurs_twice(mnist: Dataset) -> None:
    ids = np.concatenate([mnist.train_ids, mnist.test_ids])
    assert len(np.unique(ids)) == 70000
    assert mnist.note is None


def test_a_tenth_of_each_class_is_mined(mnist: Dataset) -> None:
    mined = np.bincount(split_dataset(mnist).mine.y)
    assert mined.tolist() == [round(0.1 * n) for n in np.bincount(mnist.y_train)]


def test_mnist_is_split_as_ever(mnist: Dataset) -> None:
    """Golden digest: stored runs depend on it."""
    splits, fold = split_dataset(mnist), split_dataset(mnist, fold=(1, 5))
    found = [
        (len(part.ids), hashlib.sha256("".join(part.ids).encode()).hexdigest()[:16])
        for part in (splits.train, splits.mine, fold.mine)
    ]
    assert found == [(54001, "fd937d771b4a28cc"), (5999, "46fb6326cca78939"), (12002, "09a281610b465fcf")]


@pytest.mark.slow
def test_near_duplicates_are_found_in_seconds(mnist: Dataset) -> None:
    """One pair of ones in 70,000 images; under 30 seconds of processor time."""
    splits, start = split_dataset(mnist), time.process_time()
    found = find_near_duplicates({"train": splits.train, "mine": splits.mine, "confirm": splits.confirm})
    assert time.process_time() - start < 30
    assert [near.count for near in found] == [0, 1, 0]
    assert found[1].first[0][:2] == ("f55dfd4ba3b34a51", "1a5661b5a8d0da0c")


def test_ids_are_made_quickly(mnist: Dataset) -> None:
    start = time.process_time()
    sample_ids(mnist.x_train)
    assert time.process_time() - start < 2
