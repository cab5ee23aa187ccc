"""Images in colour: trained on, mined and shown; what needs strokes refuses them with a sentence."""

import numpy as np
import pytest

from erroran.data import Dataset, Part, build_dataset
from erroran.errors import BadInput
from erroran.experiment.change import Step
from erroran.experiment.recipe import Recipe
from erroran.report.confusions import write_confusions
from erroran.shape.exposure import measure_exposure
from erroran.stages.baseline import train_baseline
from erroran.stages.measure import measure_dataset
from erroran.stages.mine_confusions import rank_confusions
from erroran.store import Store


@pytest.fixture
def colours() -> Dataset:
    """Red, green and blue squares in noise: only the channels tell them apart; 60 and 15 images."""
    rng = np.random.default_rng(4)

    def draw(per_class: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(3), per_class)
        images = rng.integers(0, 60, (len(labels), 8, 8, 3))
        images[np.arange(len(labels)), 2:6, 2:6, labels] += 190
        return images.astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = draw(20), draw(5)
    return build_dataset("colours", "made here", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def test_colour_is_trained_on_and_mined(store: Store, colours: Dataset) -> None:
    """The channels reach the network, which learns what no grey image shows; the mined evidence has them too."""
    recipe = Recipe(name="standard", epochs=12, batch_size=9, learning_rate=1e-2, schedule="constant")
    group, completed = train_baseline(store, colours, recipe=recipe, seeds=[0], model="dense-baseline")
    assert completed.records[0].accuracy_confirm > 0.9
    mined = rank_confusions(store, group)
    assert mined.evidence.images.shape == (6, 8, 8, 3)
    assert write_confusions(mined, store.root / "report", top=3).exists()


def test_strokes_are_measured_on_grey_images_only(colours: Dataset) -> None:
    """`measure` says so."""
    with pytest.raises(BadInput, match="grey images only"):
        measure_dataset(colours)


def test_what_training_saw_is_not_measured_in_colour(colours: Dataset) -> None:
    """There is no topology to report."""
    part = Part(colours.x_train, colours.y_train, colours.train_ids)
    augment = {"1": (Step(operation="dilate", radius_px=1, probability=0.5),)}
    assert measure_exposure(part, colours.class_names, augment, runs=["r"], seeds=[0], epochs=[4]) is None
