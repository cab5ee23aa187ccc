"""Effects of operations on measurements, on shapes with known answers."""

import numpy as np
import pytest

from erroran.experiment.change import Step
from erroran.operations.apply import apply_dose
from erroran.shape.movements import Movement, list_trials, measure_movements


def _rings(gap: int, count: int = 24, *, thick: int = 3) -> np.ndarray:
    """Square rings of 16 px at different places, with a gap at the top."""
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    for i in range(count):
        top, left = 3 + i % 5, 3 + i // 5
        images[i, top : top + 16, left : left + 16] = 255
        images[i, top + thick : top + 16 - thick, left + thick : left + 16 - thick] = 0
        if gap:
            start = left + 8 - gap // 2
            images[i, top : top + thick, start : start + gap] = 0
    return images


def _bars() -> np.ndarray:
    images = np.zeros((24, 28, 28), dtype=np.uint8)
    images[:, 4:24, 12:16] = 255
    return images


def _move(images: np.ndarray, operation: str, key: str, dose: float, side: str = "either") -> Movement:
    step = Step.model_validate({"operation": operation, key: dose, "side": side})
    return measure_movements(images, [step])[0]


@pytest.mark.parametrize(("operation", "sign"), [("dilate", -1), ("erode", 1)])
def test_the_closure_margin_moves_as_predicted(operation: str, sign: int) -> None:
    """A gap of 4 px has margin 2; a dose of half a pixel moves it by about as much, in every image."""
    moved = _move(_rings(4), operation, "radius_px", 0.5)
    assert moved.predicted_closure == sign
    assert moved.moves["closure_margin_px"] == pytest.approx(sign * 0.5, abs=0.2)
    assert (moved.rising, moved.falling) == ((1, 0) if sign > 0 else (0, 1))
    assert moved.moves["thickness_px"] == pytest.approx(-sign, abs=0.4)
    assert (moved.topology, moved.erased, moved.images) == (0, 0, 24)


def test_closing_a_gap_changes_topology() -> None:
    """A gap of 2 px closes at radius 1 in every image: one hole more."""
    moved = _move(_rings(2), "dilate", "radius_px", 1.0)
    assert moved.topology == 1
    assert moved.moves["holes"] == 1


def test_thin_strokes_are_erased() -> None:
    """Eroding strokes of 1 px by 1 px leaves nothing."""
    assert _move(_rings(4, thick=1), "erode", "radius_px", 1.0).erased == 1


@pytest.mark.parametrize("operation", ["slant", "rotate"])
@pytest.mark.parametrize(("side", "sign"), [("left", -1), ("right", 1)])
def test_sides_are_what_they_say(operation: str, side: str, sign: int) -> None:
    """A bar leans by the angle, the top to the side that is named: to the right is a positive slant."""
    moved = _move(_bars(), operation, "angle_deg", 10.0, side)
    assert moved.moves["slant_deg"] == pytest.approx(10 * sign, abs=1)
    assert moved.name == f"{operation} 10 ° to the {side}"
    assert moved.to_json()["step"] == {"operation": operation, "angle_deg": [10.0], "side": side}


def test_what_only_some_images_have_needs_twenty() -> None:
    """Bars have no loop: the change of the closure margin is None, and so are the shares."""
    moved = _move(_bars(), "dilate", "radius_px", 0.5)
    assert (moved.moves["closure_margin_px"], moved.rising, moved.falling) == (None, None, None)


@pytest.mark.parametrize("ink", ["bright", "dark"])
def test_every_trial_is_one_dose_to_one_side(ink: str) -> None:
    """Each operation of the table that has trials; dark ink moves as bright ink does."""
    trials = list_trials(ink)
    assert len(set(trials)) == len(trials)
    assert {len(step.doses) for step in trials} == {1}
    assert {step.side for step in trials if step.operation in {"slant", "rotate"}} == {"left", "right"}
    images = _rings(4) if ink == "bright" else 255 - _rings(4)
    slanted = next(step for step in trials if step.operation == "slant" and step.side == "left")
    either = apply_dose(images, slanted.model_copy(update={"side": "either"}), 5, np.full((24, 1), 0.9))
    assert np.array_equal(apply_dose(images, slanted, 5), either)
    moved = measure_movements(images, [s for s in trials if (s.operation, s.doses) == ("dilate", (0.5,))])[0]
    assert moved.moves["closure_margin_px"] == pytest.approx(-0.5, abs=0.2)


def test_no_steps_no_movements() -> None:
    """Without steps the result is empty."""
    assert measure_movements(_bars(), []) == []
