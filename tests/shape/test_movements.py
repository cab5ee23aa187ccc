"""What operations do to measurements, on shapes whose answer is known."""

import numpy as np
import pytest

from erroran.operations.apply import apply_dose
from erroran.shape.movements import Candidate, Movement, list_candidates, measure_movements


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


def _move(images: np.ndarray, operation: str, key: str, dose: float, side: int = 0) -> Movement:
    return measure_movements(images, [Candidate(operation, key, dose, side, "bright")])[0]


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
@pytest.mark.parametrize("side", [-1, 1])
def test_sides_are_what_they_say(operation: str, side: int) -> None:
    """A bar leans by the angle, the top to the right for side 1, which is a positive slant; and it says so."""
    moved = _move(_bars(), operation, "angle_deg", 10.0, side)
    assert moved.moves["slant_deg"] == pytest.approx(10 * side, abs=1)
    assert moved.candidate.describe() == f"{operation} 10 ° to the {'right' if side > 0 else 'left'}"


def test_what_only_some_images_have_needs_twenty() -> None:
    """Bars have no loop: no closure margin to move, and no share of images in which it rises."""
    moved = _move(_bars(), "dilate", "radius_px", 0.5)
    assert (moved.moves["closure_margin_px"], moved.rising, moved.falling) == (None, None, None)


@pytest.mark.parametrize("ink", ["bright", "dark"])
def test_every_candidate_is_a_spec(ink: str) -> None:
    """Each has a step that a spec would accept and that does the same; dark ink moves as bright ink does."""
    candidates = list_candidates(ink)
    assert len({(c.operation, c.dose, c.side) for c in candidates}) == len(candidates)
    for candidate in candidates:
        assert candidate.step.doses == (candidate.dose,)
        assert candidate.step.ink == ink
    images = _rings(4) if ink == "bright" else 255 - _rings(4)
    slanted = next(c for c in candidates if c.operation == "slant" and c.side == -1)
    expected = apply_dose(images, slanted.step, slanted.dose, np.full((24, 1), 0.9))
    assert np.array_equal(slanted.apply(images), expected)
    moved = measure_movements(images, [c for c in candidates if (c.operation, c.dose) == ("dilate", 0.5)])[0]
    assert moved.moves["closure_margin_px"] == pytest.approx(-0.5, abs=0.2)


def test_no_candidates_no_movements() -> None:
    """Nothing is measured for nothing."""
    assert measure_movements(_bars(), []) == []
