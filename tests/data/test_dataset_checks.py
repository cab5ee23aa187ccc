"""Arrays that cannot be a dataset are refused; the message names the file and the fix."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from erroran.data import build_dataset
from erroran.errors import DatasetError

Arrays = dict[str, np.ndarray]


def test_dtypes_and_shapes_are_settled(arrays: Arrays) -> None:
    given = {
        "x_train": arrays["x_train"].astype(np.int32)[..., None],
        "y_train": arrays["y_train"].astype(np.uint8)[:, None],
        "x_test": arrays["x_test"].astype(np.uint16),
        "y_test": arrays["y_test"].astype(np.int8),
    }
    dataset = build_dataset("tiny", "here", **given)
    for key, expected in arrays.items():
        actual = getattr(dataset, key)
        assert actual.dtype == (np.uint8 if key.startswith("x") else np.int64)
        assert actual.shape == ((*expected.shape, 1) if key.startswith("x") else expected.shape)
        assert np.array_equal(actual.squeeze(), expected)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.note is None


def test_colour_is_taken(arrays: Arrays) -> None:
    """Colour images have ids and a digest that differ from those of grey images."""
    colour = {key: np.stack([x, x // 2, 255 - x], axis=3) for key, x in arrays.items() if key.startswith("x")}
    dataset, grey = build_dataset("c", "here", **arrays | colour), build_dataset("g", "here", **arrays)
    assert np.array_equal(dataset.x_train, colour["x_train"])
    assert (dataset.x_test.shape, dataset.x_test.dtype) == ((21, 6, 5, 3), np.uint8)
    assert dataset.digest != grey.digest
    wide = arrays | {key: x.reshape(len(x), 6, 15) for key, x in colour.items()}
    assert dataset.digest != build_dataset("w", "here", **wide).digest


def test_a_dataset_is_frozen(arrays: Arrays) -> None:
    with pytest.raises(FrozenInstanceError):
        build_dataset("tiny", "here", **arrays).name = "other"  # type: ignore[misc]


def test_the_digest_ignores_order(arrays: Arrays) -> None:
    order = np.random.default_rng(1).permutation(60)
    shuffled = arrays | {key: arrays[key][order] for key in ("x_train", "y_train")}
    assert build_dataset("a", "here", **shuffled).digest == build_dataset("b", "there", **arrays).digest


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_the_digest_sees_every_part(arrays: Arrays, key: str) -> None:
    before = build_dataset("tiny", "here", **arrays).digest
    changed = arrays[key].copy()
    changed[0] = (changed[0] + 1) % 3
    assert build_dataset("tiny", "here", **arrays | {key: changed}).digest != before


def test_the_digest_sees_copies_with_exchanged_labels_as_the_same(arrays: Arrays) -> None:
    arrays["x_train"][1] = arrays["x_train"][0]
    arrays["y_train"][:2] = [0, 1]
    swapped = arrays | {"y_train": np.concatenate([[1, 0], arrays["y_train"][2:]])}
    assert build_dataset("tiny", "here", **arrays).digest == build_dataset("tiny", "here", **swapped).digest


def test_overlap_is_noted(arrays: Arrays) -> None:
    arrays["x_test"][:3] = arrays["x_train"][5]
    note = build_dataset("tiny", "here", **arrays).note
    assert note == "1 of 60 training images are also in the test part, so they are neither trained on nor mined"


def _change(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {key: change(arrays[key])}


def _with_nan(x: np.ndarray) -> np.ndarray:
    x = x.astype(float)
    x.flat[0] = np.nan
    return x


def _relabel(y: np.ndarray, old: int, new: int) -> np.ndarray:
    return np.where(y == old, new, y)


PROBLEMS = {
    "floats": (_change("x_train", lambda x: x / 255), "are float64", "multiply by 255"),
    "booleans": (_change("x_test", lambda x: x > 9), "are bool", "multiply by 255"),
    "texts": (_change("x_test", lambda x: x.astype(str)), "not whole numbers", "uint8"),
    "NaN pixels": (_change("x_train", _with_nan), "images hold NaN", "replace the NaN"),
    "too bright": (_change("x_train", lambda x: x.astype(int) + 1), "from 1 to 256", "scale"),
    "negative": (_change("x_train", lambda x: x.astype(int) - 1), "from -1 to 254", "scale"),
    "transparency": (_change("x_train", lambda x: np.stack([x] * 4, -1)), "have 4 channels", "x[..., :3]"),
    "other channels": (
        _change("x_train", lambda x: np.stack([x] * 3, -1)),
        "3 channel(s), test",
        "channels",
    ),
    "flat images": (_change("x_train", lambda x: x.reshape(60, 30)), "(60, 30)", "reshape"),
    "scalar images": (_change("x_train", lambda x: x[0, 0, 0]), "shape ()", "reshape"),
    "no images": (_change("x_test", lambda x: x[:0]), "test images are empty", "at least one"),
    "no pixels": (_change("x_test", lambda x: x[:, :0]), "test images are empty", "at least one"),
    "no labels": (_change("y_test", lambda y: y[:0]), "labels are empty", "one class number"),
    "one-hot": (_change("y_train", lambda y: np.eye(3, dtype=int)[y]), "(60, 3)", "argmax"),
    "float labels": (_change("y_train", lambda y: y / 1), "labels are float64", "int64"),
    "NaN labels": (_change("y_test", _with_nan), "labels hold NaN", "int64"),
    "negative labels": (_change("y_train", lambda y: y - 1), "from -1 to 1", "0, 1, 2"),
    "huge labels": (_change("y_test", lambda y: y + 1000), "from 1000 to 1002", "0, 1, 2"),
    "gap": (_change("y_train", lambda y: _relabel(y, 1, 3)), "has label 1,", "0, 1, 2"),
    "one class": (_change("y_train", lambda y: y * 0), "have label 0;", "two classes"),
    "new class": (_change("y_test", lambda y: _relabel(y, 1, 3)), "have label 3,", "drop"),
    "fewer labels": (_change("y_train", lambda y: y[1:]), "60 training images but 59", "same"),
    "fewer images": (_change("x_test", lambda x: x[1:]), "20 test images but 21", "same"),
    "other size": (_change("x_test", lambda x: x[:, 1:]), "6x5 pixels with 1 channel(s), test images 5x5", "size"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_cannot_be_used_is_named_with_its_repair(arrays: Arrays, case: str) -> None:
    damage, message, fix = PROBLEMS[case]
    with pytest.raises(DatasetError) as caught:
        build_dataset("tiny", "tiny.npz", **damage(arrays))
    assert caught.value.message.startswith("tiny.npz: ")
    assert message in caught.value.message
    assert fix in caught.value.fix
