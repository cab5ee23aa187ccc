"""Scikit-learn's digits look like MNIST and need no network."""

import cv2
import numpy as np
import pytest

from erroran.data import Dataset, load_dataset
from erroran.data.sources.digits import enlarge_digits


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def test_the_frame_is_that_of_mnist(digits: Dataset) -> None:
    images = np.concatenate([digits.x_train, digits.x_test])
    assert images.shape == (1797, 28, 28, 1)
    outside = images.copy()
    outside[:, 4:24, 4:24] = 0
    assert not outside.any()
    assert images.max() == 255
    # Mostly background, like MNIST, whose mean is 33.
    assert 25 < images.mean() < 50


def test_a_third_of_each_class_is_for_the_test(digits: Dataset) -> None:
    train, test = np.bincount(digits.y_train), np.bincount(digits.y_test)
    assert test.tolist() == [round(n / 3) for n in train + test]


def test_digits_never_change(digits: Dataset) -> None:
    """Golden digest: the images are computed in whole numbers, the same on every machine."""
    assert digits.digest == GOLDEN
    assert (digits.name, digits.source, digits.note) == ("digits", "scikit-learn", None)


GOLDEN = "63ee84ee5dfc711ebcf988289745712a7a03e806aef1726756f3f78fceecae2b"


def test_enlarging_agrees_with_opencv() -> None:
    """OpenCV's cubic kernel has sharpness -0.75, ours -0.5: the results are close but not equal."""
    raw = np.random.default_rng(3).integers(0, 17, (20, 8, 8))
    ours = enlarge_digits(raw)[:, 4:24, 4:24, 0].astype(float)
    theirs = np.array([cv2.resize(image * 255 / 16, (20, 20), interpolation=cv2.INTER_CUBIC) for image in raw]).clip(
        0, 255
    )
    assert np.abs(ours - theirs).max() < 40
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("level", "grey"), [(0, 0), (8, 128), (16, 255)])
def test_even_grey_stays_even(level: int, grey: int) -> None:
    enlarged = enlarge_digits(np.full((1, 8, 8), level))
    assert (enlarged[0, 4:24, 4:24] == grey).all()
