"""Control arms are derived from the hypothesis; each differs from the treatment only as its name says."""

from collections.abc import Sequence

import pytest

from erroran.errors import BadInput
from erroran.experiment.change import Augmentations, Step
from erroran.experiment.controls import CONTROLS, DEFAULT_CONTROLS, TRAINED_CONTROLS, build_controls, parse_controls
from erroran.experiment.hypothesis import Hypothesis

FOUR = {"operation": "dilate", "radius_px": [0.5, 1], "probability": 0.12}
NINE = {"operation": "erode", "radius_px": 0.5, "probability": 0.3}


def _hypothesis(augment: dict[str, object], pair: str = "4:9") -> Hypothesis:
    return Hypothesis.model_validate({"pair": pair, "hypothesis": "h", "augment": augment})


def halve(name: str, step: Step) -> tuple[float, ...]:
    """Gains of an operation that halves the ink of every class, whatever its dose."""
    del name
    return (0.5,) * len(step.doses)


def control_arms(hypothesis: Hypothesis, names: Sequence[str]) -> dict[str, Augmentations]:
    return {name: change.augment for name, change in build_controls(hypothesis, names, halve).arms.items()}


def _step(**fields: object) -> tuple[Step, ...]:
    return (Step.model_validate(fields),)


@pytest.fixture
def both() -> Hypothesis:
    return _hypothesis({"4": FOUR, "9": NINE})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("default", DEFAULT_CONTROLS),
        ("all", CONTROLS),
        ("none", ()),
        ("swapped,sham", ("swapped", "sham")),
        (" sham , logit-shift,sham", ("sham", "logit-shift")),
    ],
)
def test_parse(text: str, names: tuple[str, ...]) -> None:
    """Words for sets, or names in the order given, each once."""
    assert parse_controls(text) == names


@pytest.mark.parametrize("text", ["shan", "", "sham,", "sham;swapped", "all,sham"])
def test_unknown_control(text: str) -> None:
    """The message lists the known controls."""
    with pytest.raises(BadInput, match="no control") as caught:
        parse_controls(text)
    assert "logit-shift" in caught.value.fix


def test_default_is_cheap() -> None:
    """The default is the sham and the logit shift, which trains nothing (SCIENCE.md, Arms)."""
    assert set(DEFAULT_CONTROLS) == {"sham", "logit-shift"}


def test_sham_shifts_the_same_classes_at_the_same_rates(both: Hypothesis) -> None:
    """The shift is 1 px for any doses of the hypothesis."""
    assert control_arms(both, ["sham"])["sham"] == {
        "4": _step(operation="shift", radius_px=1, probability=0.12),
        "9": _step(operation="shift", radius_px=1, probability=0.3),
    }


def test_swapped_exchanges_operations_but_not_rates(both: Hypothesis) -> None:
    """Each class gets the other's operation and doses at its own rate."""
    assert control_arms(both, ["swapped"])["swapped"] == {
        "4": _step(operation="erode", radius_px=0.5, probability=0.12),
        "9": _step(operation="dilate", radius_px=[0.5, 1], probability=0.3),
    }


@pytest.mark.parametrize(("operation", "opposite"), [("dilate", "erode"), ("erode", "dilate")])
def test_swapped_with_one_class_is_the_opposite(operation: str, opposite: str) -> None:
    """With one treated class, dilation becomes erosion."""
    single = _hypothesis({"4": {**FOUR, "operation": operation}})
    assert control_arms(single, ["swapped"])["swapped"] == {"4": _step(**{**FOUR, "operation": opposite})}


def test_same_op_treats_both_classes_as_the_true_one(both: Hypothesis) -> None:
    """Both classes of the pair get the true class's operation."""
    assert control_arms(both, ["same-op"])["same-op"] == {"4": _step(**FOUR), "9": _step(**FOUR)}


def test_same_op_falls_back_to_the_only_step() -> None:
    """If the true class is not treated, both classes get the other class's step."""
    assert control_arms(_hypothesis({"9": NINE}), ["same-op"])["same-op"] == {"4": _step(**NINE), "9": _step(**NINE)}


def test_oversample_repeats_at_the_same_rates(both: Hypothesis) -> None:
    """The same images are counted twice, unchanged."""
    assert control_arms(both, ["oversample"])["oversample"] == {
        "4": _step(operation="repeat", probability=0.12),
        "9": _step(operation="repeat", probability=0.3),
    }


def test_logit_shift_trains_nothing(both: Hypothesis) -> None:
    """It has no arm; the others are in the order of the names."""
    assert list(control_arms(both, CONTROLS)) == ["sham", "swapped", "same-op", "brightness", "oversample"]
    assert control_arms(both, ["logit-shift"]) == {}


# --- changes of other kinds


def test_several_operations_and_all_classes() -> None:
    """Rates combine as independent probabilities; only the sham replaces operations on all classes."""
    four = [FOUR, {"operation": "rotate", "angle_deg": 10, "side": "left", "probability": 0.5}]
    hypothesis = _hypothesis({"4": four, "all": {"operation": "erode", "radius_px": 0.5}})
    arms = control_arms(hypothesis, CONTROLS)
    rate = pytest.approx(1 - 0.88 * 0.5)
    assert {name: step.probability for name, (step,) in arms["sham"].items()} == {"4": rate, "all": 0.12}
    turned = _hypothesis({"4": [{**FOUR, "operation": "erode"}, {**four[1], "side": "right"}]}).augment["4"]
    assert arms["swapped"] == {"4": turned, "all": hypothesis.augment["all"]}
    assert arms["same-op"] == {**hypothesis.augment, "9": hypothesis.augment["4"]}
    assert {name: (step.operation, step.probability) for name, (step,) in arms["oversample"].items()} == {
        "4": ("repeat", rate)
    }


def test_a_control_keeps_the_rest_of_the_change() -> None:
    """Model, recipe, weights and data are those of the treatment."""
    rest = {"model": "dense", "recipe": {"epochs": 3}, "class_weights": {"4": 2}, "data": {"add": "more"}}
    hypothesis = Hypothesis.model_validate({"pair": "4:9", "hypothesis": "h", "augment": {"4": FOUR}, **rest})
    for change in build_controls(hypothesis, CONTROLS, halve).arms.values():
        assert change.model_copy(update={"augment": hypothesis.augment}) == hypothesis.change


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"model": "dense"}, dict.fromkeys(TRAINED_CONTROLS, "applies no operation to images")),
        ({"data": {"add": "more"}}, dict.fromkeys(TRAINED_CONTROLS, "applies no operation to images")),
        (
            {"augment": {"all": FOUR}},
            dict.fromkeys(("swapped", "same-op", "oversample"), "the same for all classes"),
        ),
        ({"augment": {"4": {"operation": "swell", "strength": 3}}}, {"swapped": "swell has no opposite"}),
        ({"augment": {"4": FOUR, "9": FOUR}}, dict.fromkeys(("swapped", "same-op"), "the treatment itself")),
        (
            {"augment": {"4": {"operation": "repeat"}}},
            {"swapped": "no opposite", "oversample": "the treatment itself", "brightness": "does not change the ink"},
        ),
        (
            {"augment": {"4": {"operation": "shift", "radius_px": 1}}},
            {"sham": "the treatment itself", "swapped": "shift has no opposite"},
        ),
    ],
)
def test_a_control_that_makes_no_sense_says_why(change: dict[str, object], reasons: dict[str, str]) -> None:
    hypothesis = Hypothesis.model_validate({"pair": "4:9", "hypothesis": "h", **change})
    built = build_controls(hypothesis, CONTROLS, halve)
    assert built.not_applicable.keys() == reasons.keys()
    assert built.arms.keys() == set(TRAINED_CONTROLS) - reasons.keys()
    for name, reason in reasons.items():
        assert reason in built.not_applicable[name]


def test_brightness_changes_the_ink_of_each_class_as_its_operation_does() -> None:
    """One gain per dose, at the operation's rate; none where the operations leave the sum of the ink as it is."""

    def find_gains(name: str, step: Step) -> tuple[float, ...]:
        return (1.0,) if step.operation == "shift" else {"4": (1.2, 1.5), "9": (0.4,)}[name]

    both = _hypothesis({"4": FOUR, "9": NINE})
    arm = build_controls(both, ["brightness"], find_gains).arms["brightness"].augment
    assert arm == {
        "4": _step(operation="brighten", gain=[1.2, 1.5], probability=0.12),
        "9": _step(operation="brighten", gain=0.4, probability=0.3),
    }
    shifted = build_controls(_hypothesis({"4": {"operation": "shift", "radius_px": 1}}), ["brightness"], find_gains)
    assert not shifted.arms
    assert "do not change the sum of the ink" in shifted.not_applicable["brightness"]


def test_the_sham_changes_as_many_images_as_the_treatment() -> None:
    """A kernel of side 1 changes no image, so half of the draws of kernel_px = [1, 2] do not count."""
    original = _hypothesis({"4": {"operation": "dilate", "kernel_px": [1, 2], "probability": 0.12}})
    arms = control_arms(original, ["sham", "oversample"])
    assert {name: augment["4"][0].probability for name, augment in arms.items()} == {"sham": 0.06, "oversample": 0.06}
