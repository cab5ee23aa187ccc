"""Previews: what is measured is what the operation does, on training images only."""

import numpy as np
import pytest

from erroran.data import Dataset, build_dataset, split_dataset
from erroran.errors import NotFound
from erroran.experiment.hypothesis import Hypothesis
from erroran.stages.preview import preview


def _square(side: int, *, at: int = 2) -> np.ndarray:
    image = np.zeros((12, 12), dtype=np.uint8)
    image[at : at + side, at : at + side] = 255
    return image


@pytest.fixture
def squares() -> Dataset:
    """Class 0: full 4 x 4 squares in different places; class 1: single pixels; class 2: blank but for grey."""
    rng = np.random.default_rng(3)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        images = [_square(4, at=2 + i % 5) for i in range(n)] + [_square(1, at=2 + i % 8) for i in range(n)]
        stack = np.stack([*images, *rng.integers(0, 60, (n, 12, 12))]).astype(np.uint8)
        return stack, np.repeat(np.arange(3), n)

    (x_train, y_train), (x_test, y_test) = draw(10), draw(4)
    return build_dataset("squares", "made here", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _hypothesis(augment: dict[str, dict[str, object]]) -> Hypothesis:
    return Hypothesis.model_validate({"pair": "0:1", "hypothesis": "h", "augment": augment})


def test_dilation_by_hand(squares: Dataset) -> None:
    """A 4 x 4 square grows to 6 x 6 with a square of radius 1: 20 of 144 pixels change, and ink follows."""
    step = {"operation": "dilate", "radius_px": 1, "shape": "square"}
    (effect,) = preview(squares, _hypothesis({"0": step}), mine_fraction=0.1).effects
    assert effect.images == 9  # ten of the class, one of them in `mine`
    assert effect.changed_pixels == pytest.approx(20 / 144)
    assert effect.ink_before == pytest.approx(255 * 16 / 144)
    assert effect.ink_after == pytest.approx(255 * 36 / 144)
    assert effect.thickness_after_px > effect.thickness_before_px
    assert (effect.erased, effect.unchanged) == (0, 0)


def test_erased_and_unchanged_are_counted(squares: Dataset) -> None:
    """Eroding a single pixel leaves nothing; a kernel of side 1 changes nothing."""
    doses = {"1": {"operation": "erode", "radius_px": 1}, "0": {"operation": "dilate", "kernel_px": 1}}
    erased, unchanged = preview(squares, _hypothesis(doses)).effects
    assert (erased.class_name, erased.erased, erased.thickness_after_px) == ("1", 9, 0)
    assert (unchanged.class_name, unchanged.unchanged, unchanged.changed_pixels) == ("0", 9, 0)


def test_sheet_has_originals_and_one_row_a_dose(squares: Dataset) -> None:
    """Each row shows the same samples."""
    step = {"operation": "dilate", "radius_px": [0.5, 1]}
    shown = preview(squares, _hypothesis({"0": step, "1": step}))
    names = ["0, as it is", "dilate 0.5 px", "dilate 1 px", "1, as it is", "dilate 0.5 px", "dilate 1 px"]
    assert [name for name, _ in shown.rows] == names
    assert [e.dose for e in shown.effects] == [0.5, 1, 0.5, 1]
    before, _, after = (images for _, images in shown.rows[:3])
    assert (after >= before).all()


def test_only_training_images_are_shown(squares: Dataset) -> None:
    """Neither `mine` nor `confirm` is looked at."""
    shown = preview(squares, _hypothesis({"2": {"operation": "shift", "radius_px": 1}}), mine_fraction=0.5)
    train = split_dataset(squares, mine_fraction=0.5).train
    assert shown.effects[0].images == 5
    assert {i.tobytes() for i in shown.rows[0][1]} <= {i.tobytes() for i in train.x}


def test_order_of_the_data_changes_nothing(squares: Dataset) -> None:
    """The sample is chosen by content."""
    order = np.random.default_rng(0).permutation(len(squares.y_train))
    shuffled = build_dataset(
        "squares",
        "made here",
        x_train=squares.x_train[order],
        y_train=squares.y_train[order],
        x_test=squares.x_test,
        y_test=squares.y_test,
    )
    spec = _hypothesis({"2": {"operation": "dilate", "radius_px": 1}})
    assert preview(squares, spec).effects == preview(shuffled, spec).effects


def test_unknown_class(squares: Dataset) -> None:
    """A class the dataset lacks is named, with those there are."""
    with pytest.raises(NotFound, match="class `7`") as caught:
        preview(squares, _hypothesis({"7": {"operation": "dilate", "radius_px": 1}}))
    assert caught.value.fix.endswith("0, 1, 2")
