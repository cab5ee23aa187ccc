"""`erroran dataset`: counts by class and part, channels, and near duplicates in different parts."""

import json

import numpy as np

from erroran.data import build_dataset
from erroran.stages.dataset import describe_dataset


def test_counts_and_near_duplicates() -> None:
    """A brighter copy of a test image in the training part is reported; the keys are those of the JSON."""
    rng = np.random.default_rng(1)
    x_train, x_test = (rng.integers(0, 200, (n, 6, 8, 3), dtype=np.uint8) for n in (40, 6))
    x_train[7] = x_test[2] + 20
    dataset = build_dataset(
        "some", "made here", x_train=x_train, y_train=np.arange(40) % 2, x_test=x_test, y_test=np.arange(6) % 2,
        class_names=("dog", "cat"),
    )  # fmt: skip
    described = describe_dataset(dataset, mine_fraction=0.2)
    content = json.loads(json.dumps(described.to_json()))
    assert list(content) == [
        "name", "source", "note", "digest", "height_px", "width_px", "channels", "classes", "images", "near_duplicates",
    ]  # fmt: skip
    assert (content["height_px"], content["width_px"], content["channels"]) == (6, 8, 3)
    assert content["images"] == {
        "train": {"dog": 16, "cat": 16}, "mine": {"dog": 4, "cat": 4}, "confirm": {"dog": 3, "cat": 3}
    }  # fmt: skip
    (found,) = (near for near in content["near_duplicates"] if near["count"])
    assert found["parts"][1] == "confirm"
    assert found["first"][0][:2] == [dataset.train_ids[7], dataset.test_ids[2]]
    assert describe_dataset(dataset, near_duplicates=False).near_duplicates is None
