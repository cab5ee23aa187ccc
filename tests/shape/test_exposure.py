"""Images used in training after augmentation, computed again and counted on rings with known answers."""

from typing import Any

import numpy as np
import pytest

from erroran.data import Part
from erroran.errors import ErroranError, NotFound
from erroran.experiment.change import Augmentations, Step
from erroran.operations.apply import augment_batch, resolve_steps
from erroran.operations.keyed import sample_keys
from erroran.shape.exposure import Exposure, measure_exposure, redraw
from erroran.shape.measure import find_erased, measure
from erroran.shape.movements import measure_movements
from erroran.stages.intervene import gather_exposure
from erroran.store import Intervention, Store

NAMES = ("open", "ring")


def _rings(n: int = 40) -> Part:
    """Rings of 2 px strokes, 12 px wide, each somewhere else; the first half with a gap of 2 px at the top."""
    labels = np.repeat([0, 1], n // 2)
    images = np.zeros((n, 28, 28, 1), dtype=np.uint8)
    for i, label in enumerate(labels):
        top, left = 4 + i % 5, 4 + i // 5 % 8
        images[i, top : top + 12, left : left + 12] = 255
        images[i, top + 2 : top + 10, left + 2 : left + 10] = 0
        if label == 0:
            images[i, top : top + 2, left + 5 : left + 7] = 0
        images[i, 0, 0] = i  # so that no two are alike; far too faint to be ink
    return Part(images, labels, np.array([f"{i:016x}" for i in range(n)]))


def _step(**fields: object) -> tuple[Step, ...]:
    return (Step.model_validate({"probability": 0.5, **fields}),)


def _measure(augment: Augmentations, part: Part | None = None, **options: Any) -> Exposure:
    moments = {"runs": ("a", "b"), "seeds": (7, 8), "epochs": (3, 3)}
    exposure = measure_exposure(part or _rings(), NAMES, augment, **(moments | options))
    assert exposure is not None
    return exposure


def test_dilation_closes_every_gap() -> None:
    """A gap of 2 px is closed by dilating 1 px: each changed open ring gains a hole, and no piece."""
    (dose,) = _measure({"open": _step(operation="dilate", radius_px=1)}).doses
    assert dose.changed == dose.measured == dose.topology_changed == dose.holes_made > 0
    assert (dose.holes_lost, dose.pieces_made, dose.pieces_lost, dose.erased) == (0, 0, 0, 0)
    assert (dose.before["holes"], dose.after["holes"]) == (0, 1)
    assert dose.before["closure_margin_px"] > 0 > dose.after["closure_margin_px"]


def test_each_dose_by_itself() -> None:
    """Half a pixel thickens a closed ring, and five pixels fill it."""
    thicker, filled = _measure({"ring": _step(operation="dilate", radius_px=[0.5, 5])}).doses
    assert (thicker.dose, thicker.topology_changed) == (0.5, 0)
    assert thicker.before["thickness_px"] < thicker.after["thickness_px"] < filled.after["thickness_px"]
    assert (filled.dose, filled.topology_changed, filled.holes_lost) == (5, filled.measured, filled.measured)


def test_erosion_can_erase() -> None:
    """An erosion by 1 px erases a stroke of 2 px; an erased image has no margin."""
    (dose,) = _measure({"ring": _step(operation="erode", radius_px=1)}).doses
    assert dose.erased == dose.measured == dose.pieces_lost
    assert (dose.with_margin, dose.before["closure_margin_px"], dose.after["area_px2"]) == (0, None, 0)


@pytest.mark.parametrize(
    "step",
    [
        _step(operation="shift", radius_px=1),
        _step(operation="dilate", kernel_px=1),
        _step(operation="repeat"),
    ],
)
def test_what_forms_no_ink_changes_no_topology(step: tuple[Step, ...]) -> None:
    """A shift, a kernel of one pixel, and repetition change no topology."""
    exposure = _measure({"open": step, "ring": step})
    assert [dose.topology_changed for dose in exposure.doses] == [0, 0]
    assert all(dose.drawn == dose.measured > 0 for dose in exposure.doses)
    assert exposure.examples == ()
    for dose in exposure.doses:
        assert dose.before["thickness_px"] == pytest.approx(dose.after["thickness_px"])


def test_a_kernel_of_one_pixel_changes_nothing() -> None:
    """The original recipe draws kernels of side 1 and 2 equally often: only the second half is changed."""
    nothing, shifted = _measure({"ring": _step(operation="dilate", kernel_px=[1, 2])}).doses
    assert (nothing.dose, nothing.changed, nothing.all_changed) == (1, 0, 0)
    assert shifted.changed == shifted.measured == shifted.drawn == shifted.all_changed
    assert nothing.drawn == nothing.measured > 0
    for step in (_step(operation="repeat"), _step(operation="dilate", kernel_px=1)):
        assert [dose.changed for dose in _measure({"open": step, "ring": step}).doses] == [0, 0]


def test_erased_means_the_same_everywhere() -> None:
    """One image of a ring loses its ink, one three of its sides, one nothing: two are erased, also in proposals."""
    ring = _rings(2).x[1]
    sides = ring.copy()
    sides[8:] = 0
    before, after = np.stack([ring] * 3), np.stack([np.zeros_like(ring), sides, ring])
    tables = measure(before, ink="bright"), measure(after, ink="bright")
    assert find_erased(*tables).tolist() == [True, True, False]
    step = Step.model_validate({"operation": "erode", "radius_px": 1, "probability": 1})
    part = _rings(4)
    part.x[1::2] = 0
    part.x[1::2, 4:24, 10:16] = 255
    (dose,) = _measure({"all": (step,)}, part).doses
    (movement,) = measure_movements(part.x, [step])
    assert dose.erased / dose.measured == movement.erased == 0.5


def test_counts_are_those_of_training() -> None:
    """As many images as `augment_batch` changes, image by image, over all seeds and epochs 1 to the last."""
    part, step = _rings(), _step(operation="dilate", radius_px=1)
    keys, changed = sample_keys(part.ids), 0
    for seed in (7, 8):
        for epoch in (1, 2, 3):
            seen = augment_batch(part.x, part.y, keys, resolve_steps({"open": step}, NAMES), seed=seed, epoch=epoch)
            changed += int((seen != part.x).any(axis=(1, 2, 3)).sum())
    (dose,) = _measure({"open": step}).doses
    assert dose.changed == dose.drawn == changed


def test_a_run_that_stopped_early_saw_less() -> None:
    """Each run's own number of epochs counts."""
    augment = {"open": _step(operation="dilate", radius_px=1)}

    def changed(*epochs: int) -> int:
        return _measure(augment, epochs=epochs).doses[0].changed

    assert changed(3, 1) == changed(3, 3) - changed(0, 3) + changed(0, 1) < changed(3, 3)


def test_the_order_of_the_data_changes_nothing() -> None:
    augment = {"open": _step(operation="dilate", radius_px=[0.5, 1]), "ring": _step(operation="fracture", fractures=1)}
    part, shuffled = _rings(), np.random.default_rng(0).permutation(40)
    other = Part(part.x[shuffled], part.y[shuffled], part.ids[shuffled])
    first, second = (_measure(augment, p, runs=("a",), seeds=(7,), epochs=(3,)) for p in (part, other))
    assert first.examples == second.examples
    for one, two in zip(first.doses, second.doses, strict=True):
        plain = [{k: v for k, v in dose.model_dump().items() if k not in ("before", "after")} for dose in (one, two)]
        assert plain[0] == plain[1]
        assert one.after == pytest.approx(two.after)


def test_more_than_can_be_measured_is_sampled() -> None:
    """All changed images are counted; about the requested number is measured, the same each time."""
    augment = {"open": _step(operation="dilate", radius_px=1)}
    (whole,), (sample,) = _measure(augment).doses, _measure(augment, most_measured=20).doses
    assert sample.drawn == whole.drawn == whole.changed > 40
    assert sample.all_changed == sample.drawn
    assert sample.changed == sample.measured
    assert 5 < sample.measured < 40
    assert sample.topology_changed == sample.measured
    assert _measure(augment, most_measured=20).doses == (sample,)


def test_examples_can_be_drawn_again() -> None:
    """Before: the training image. After: the image of that run and epoch, with the recorded number of holes."""
    augment = {"open": _step(operation="dilate", radius_px=1), "ring": _step(operation="fracture", fractures=2)}
    part, exposure = _rings(), _measure(augment)
    assert {example.class_name for example in exposure.examples} == {"open", "ring"}
    before, after = redraw(part, NAMES, augment, exposure.examples)
    rows = [part.ids.tolist().index(example.sample_id) for example in exposure.examples]
    assert np.array_equal(before, part.x[rows])
    for images, side in ((before, 0), (after, 1)):
        table = measure(images, ink="bright")
        assert table["holes"].tolist() == [example.holes[side] for example in exposure.examples]
        assert table["components"].tolist() == [example.pieces[side] for example in exposure.examples]
    assert all(e.holes[0] != e.holes[1] or e.pieces[0] != e.pieces[1] for e in exposure.examples)
    assert len({example.sample_id for example in exposure.examples}) == len(exposure.examples)


def test_a_rare_augmentation_may_change_nothing() -> None:
    """If no image is changed, counts are 0 and means None."""
    (dose,) = _measure({"open": _step(operation="dilate", radius_px=1, probability=1e-9)}).doses
    assert (dose.drawn, dose.measured, dose.all_changed, dose.before["area_px2"]) == (0, 0, 0, None)


def test_steps_are_measured_one_by_one() -> None:
    """A gap that the first step closes is a hole to the second, which opens it again; `all` counts both classes."""
    close, undo = _step(operation="dilate", radius_px=1, probability=1), _step(operation="erode", radius_px=1.5)
    shift = _step(operation="shift", radius_px=1)
    exposure = _measure({"all": shift, "open": close + undo})
    dilated, eroded, moved = exposure.doses
    assert [(dose.class_name, dose.step) for dose in exposure.doses] == [("open", 1), ("open", 2), ("all", 1)]
    assert exposure.class_images == {"open": 20, "all": 40}
    assert dilated.changed == 20 * 6
    assert (dilated.before["holes"], dilated.after["holes"], eroded.before["holes"]) == (0, 1, 1)
    assert eroded.before["thickness_px"] == pytest.approx(dilated.after["thickness_px"], abs=0.05)
    assert eroded.after["thickness_px"] < eroded.before["thickness_px"] - 1
    assert moved.changed == pytest.approx(20 * 6, abs=40)
    assert moved.topology_changed == 0
    part = _rings()
    both = [example for example in exposure.examples if example.step == 2]
    before, after = redraw(part, NAMES, {"all": shift, "open": close + undo}, both)
    for images, side in ((before, 0), (after, 1)):
        assert measure(images, ink="bright").holes.tolist() == [example.holes[side] for example in both]


def test_nothing_is_measured_without_operations_or_in_colour() -> None:
    """The result is None."""
    part, moments = _rings(), {"runs": ("a",), "seeds": (7,), "epochs": (3,)}
    colour = Part(part.x.repeat(3, axis=3), part.y, part.ids)
    assert measure_exposure(part, NAMES, {}, **moments) is None
    assert measure_exposure(colour, NAMES, {"open": _step(operation="dilate", radius_px=1)}, **moments) is None


@pytest.fixture
def intervention() -> Intervention:
    spec = {"pair": "open:ring", "hypothesis": "h", "augment": {"open": {"operation": "dilate", "radius_px": 1}}}
    fields = {"name": "x", "hypothesis": spec, "group": "g", "epochs": 3, "seeds": (7, 8), "controls": ()}
    arms = {"baseline": ("c", "d"), "x": ("a", "b")}
    more = {"arms": arms, "fresh_baseline": True, "created": "2026-01-01", "command": "erroran intervene x"}
    return Intervention.model_validate({**fields, **more})


def test_kept_in_the_store(store: Store, intervention: Intervention) -> None:
    """Read back as written, without the runs; not used for other runs."""
    exposure = _measure({"open": _step(operation="dilate", radius_px=1)})
    store.put_artifact("exposures", intervention.key, exposure)
    assert gather_exposure(store, intervention) == exposure
    with pytest.raises(NotFound, match="No run begins with `a`"):
        gather_exposure(store, intervention.model_copy(update={"arms": {"baseline": (), "x": ("a", "e")}}))


def test_damage_is_named(store: Store, intervention: Intervention) -> None:
    exposure = _measure({"open": _step(operation="dilate", radius_px=1)})
    store.put_artifact("exposures", intervention.key, exposure)
    (path,) = (store.root / "exposures").rglob("*.json")
    path.write_text("{")
    with pytest.raises(ErroranError, match="is damaged") as caught:
        gather_exposure(store, intervention)
    assert str(path) in caught.value.fix
