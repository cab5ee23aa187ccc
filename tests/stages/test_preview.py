"""Previews measure the effect of the operation, on training images only."""

from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, build_dataset, split_dataset
from erroran.errors import BadInput, NotFound
from erroran.experiment.hypothesis import Hypothesis
from erroran.operations.apply import apply_dose
from erroran.operations.morphology import dilate
from erroran.report.preview import write_preview
from erroran.stages.preview import preview


def _square(side: int, place: int) -> np.ndarray:
    image = np.zeros((12, 12), dtype=np.uint8)
    top, left = 1 + place % 7, 1 + place // 7
    image[top : top + side, left : left + side] = 255
    return image


@pytest.fixture
def squares() -> Dataset:
    """Class 0: full 4 x 4 squares in different places; class 1: single pixels; class 2: blank but for grey."""
    rng = np.random.default_rng(3)

    def draw(places: range) -> tuple[np.ndarray, np.ndarray]:
        n = len(places)
        images = [_square(4, i) for i in places] + [_square(1, i) for i in places]
        stack = np.stack([*images, *rng.integers(0, 60, (n, 12, 12))]).astype(np.uint8)
        return stack, np.repeat(np.arange(3), n)

    (x_train, y_train), (x_test, y_test) = draw(range(10)), draw(range(10, 14))
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
    """Neither `mine` nor `confirm` is shown."""
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
    """The message names the class that the dataset lacks, and its classes."""
    with pytest.raises(NotFound, match="class `7`") as caught:
        preview(squares, _hypothesis({"7": {"operation": "dilate", "radius_px": 1}}))
    assert caught.value.fix.endswith("0, 1, 2")


def _ids(dataset: Dataset, label: int) -> list[str]:
    train = split_dataset(dataset, mine_fraction=0.1).train
    return sorted(train.ids[train.y == label].tolist())


def test_several_operations_are_shown_alone_and_one_after_the_other(squares: Dataset, tmp_path: Path) -> None:
    """Each dose on the images as they are; then all of them in turn, those of all classes last."""
    grow, move = {"operation": "dilate", "radius_px": [0.5, 1]}, {"operation": "shift", "radius_px": 1}
    turn = {"operation": "rotate", "angle_deg": 90 - 10, "side": "left"}
    hypothesis = _hypothesis({"0": [grow, {"operation": "repeat"}, move], "all": turn})
    shown = preview(squares, hypothesis)
    assert [name for name, _ in shown.rows] == [
        "0, as it is", "dilate 0.5 px", "dilate 1 px", "shift 1 px", "one after the other, last doses",
        "all classes, as it is", "rotate 80 ° to the left",
    ]  # fmt: skip
    rows = dict(shown.rows)
    turned = dilate(rows["0, as it is"], radius_px=1)
    for step in (hypothesis.augment["0"][2], hypothesis.augment["all"][0]):
        turned = apply_dose(turned, step, step.doses[0])
    assert np.array_equal(rows["one after the other, last doses"], turned)
    assert np.array_equal(rows["dilate 1 px"], dilate(rows["0, as it is"], radius_px=1))
    assert [(effect.class_name, effect.operation) for effect in shown.effects] == [
        ("0", "dilate"), ("0", "dilate"), ("0", "shift"), ("all", "rotate"),
    ]  # fmt: skip
    assert shown.effects[-1].images == 27
    assert "| all | rotate | 80 ° |" in write_preview("x", hypothesis, shown, squares, tmp_path).read_text()


def test_images_whose_data_change_are_shown(squares: Dataset, tmp_path: Path) -> None:
    """Left out, relabelled (from and to which class), repeated: each with its number; what is held out is not shown."""
    zeros, ones = _ids(squares, 0), _ids(squares, 1)
    held_out = split_dataset(squares, mine_fraction=0.1).mine.ids[0]
    data = {
        "leave_out": (zeros[0], held_out),
        "relabel": {zeros[1]: "1", zeros[2]: "1", ones[0]: "2"},
        "repeat": {ones[1]: 3},
        "add": "more.npz",
    }
    spec = {"pair": "0:1", "hypothesis": "h", "data": data, "model": "dense", "class_weights": {"0": 2}}
    hypothesis = Hypothesis.model_validate({**spec, "recipe": {"epochs": 3}})
    shown = preview(squares, hypothesis)
    found = [(effect.name, effect.images) for effect in shown.data]
    assert found == [("left out", 1), ("0 -> 1", 2), ("1 -> 2", 1), ("repeated", 1)]
    assert [(name, len(images)) for name, images in shown.rows] == found
    assert shown.effects == []
    assert shown.not_drawn == [
        "model dense", "epochs = 3", "weights in the loss: 0: 2", "added: the training images of more.npz",
    ]  # fmt: skip
    text = write_preview("x", hypothesis, shown, squares, tmp_path).read_text()
    assert "| 0 -> 1 | 2 |" in text
    assert "Not shown, because it changes no image: model dense; epochs = 3; weights" in text
    assert (tmp_path / "x-preview" / "sheet.png").is_file()


def test_an_image_that_nobody_has_is_named(squares: Dataset) -> None:
    data = {"leave_out": ["0123456789abcdef"]}
    with pytest.raises(BadInput, match="0123456789abcdef, which is in no part of this dataset"):
        preview(squares, Hypothesis.model_validate({"pair": "0:1", "hypothesis": "h", "data": data}))


def test_a_change_of_the_model_alone_has_no_picture(squares: Dataset, tmp_path: Path) -> None:
    hypothesis = Hypothesis.model_validate({"pair": "0:1", "hypothesis": "h", "model": "dense"})
    shown = preview(squares, hypothesis)
    assert (shown.rows, shown.effects, shown.not_drawn) == ([], [], ["model dense"])
    assert "sheet.png" not in write_preview("x", hypothesis, shown, squares, tmp_path).read_text()


def test_colour_has_no_strokes_to_measure(squares: Dataset, tmp_path: Path) -> None:
    """Changed pixels are counted; an operation on strokes is refused."""
    colour = build_dataset(
        "colour", "made here", x_train=squares.x_train.repeat(3, axis=3), y_train=squares.y_train,
        x_test=squares.x_test.repeat(3, axis=3), y_test=squares.y_test,
    )  # fmt: skip
    hypothesis = _hypothesis({"0": {"operation": "dilate", "radius_px": 1}})
    (effect,) = preview(colour, hypothesis).effects
    assert (effect.changed_pixels, effect.thickness_before_px, effect.erased) == (pytest.approx(20 / 144), None, None)
    assert "| – | – |" in write_preview("x", hypothesis, preview(colour, hypothesis), colour, tmp_path).read_text()
    with pytest.raises(BadInput, match="3 channels"):
        preview(colour, _hypothesis({"0": {"operation": "thin", "amount": 0.5}}))
