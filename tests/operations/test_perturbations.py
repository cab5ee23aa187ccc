"""Morpho-MNIST's perturbations change what their names say, measured, and treat each image alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erroran.data import load_dataset, sample_ids
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis
from erroran.operations import grid as fine_grid
from erroran.operations.apply import apply_dose, augment_batch, resolve_steps
from erroran.operations.keyed import sample_keys
from erroran.operations.perturbations import fracture, redraw_strokes, swell, thicken_strokes, thin_strokes
from erroran.shape.measure import measure

DIGITS = load_dataset("digits").x_train[:48, ..., 0]
KEYS = sample_keys(sample_ids(DIGITS[..., None]))


def _bar(width: int = 4) -> np.ndarray:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 12 : 12 + width] = 255
    return image


@pytest.mark.parametrize("amount", [0.25, 0.5])
def test_thinning_takes_its_share_of_the_thickness(amount: float) -> None:
    before, after = (measure(x).thickness_px[0] for x in (_bar(6), thin_strokes(_bar(6), amount=amount)))
    assert after == pytest.approx((1 - amount) * before, abs=0.4)


@pytest.mark.parametrize("amount", [0.5, 1])
def test_thickening_adds_its_share_of_the_thickness(amount: float) -> None:
    before, after = (measure(x).thickness_px[0] for x in (_bar(), thicken_strokes(_bar(), amount=amount)))
    assert after == pytest.approx((1 + amount) * before, abs=0.4)


def test_thinning_and_thickening_on_digits() -> None:
    before = measure(DIGITS)
    thin, thick = measure(thin_strokes(DIGITS)), measure(thicken_strokes(DIGITS))
    assert (thin.area_px2 < before.area_px2).all()
    assert (thick.area_px2 > before.area_px2).all()
    assert (thick.thickness_px / before.thickness_px).median() == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_fracture_breaks_a_bar_once_more(count: int) -> None:
    broken = fracture(_bar(), places=np.array([[0.1, 0.5, 0.9]]), count=count)
    found = measure(broken).iloc[0]
    assert found.components == count + 1
    assert found.area_px2 == pytest.approx(80 - count * 4 * 1.5, abs=count * 2.5)


def test_fractures_lie_across_the_stroke() -> None:
    """A slanted bar: the cut removes no more ink than across an upright one."""
    y, x = np.indices((28, 28))
    slanted = ((abs(x - y) <= 2) & (y > 3) & (y < 24)).astype(np.uint8)[None] * 255
    found = measure(np.concatenate([slanted, fracture(slanted, places=np.full((1, 1), 0.5), count=1)]))
    assert found.components.tolist() == [1, 2]
    assert found.area_px2[0] - found.area_px2[1] < 1.5 * 1.7 * found.thickness_px[0]


def test_swelling_adds_ink_in_one_place() -> None:
    bar = _bar()
    swollen = swell(bar, places=np.array([0.5]))
    rows = (swollen.astype(int) - bar).sum(axis=2)[0] / 255
    assert rows.max() > 2
    assert (abs(rows[[5, 6, 21, 22]]) < 0.5).all()
    assert np.array_equal(measure(swollen).components, [1])
    assert np.abs(swell(bar, places=np.array([0.5]), strength=1.0001).astype(int) - bar).mean() < 2


def test_places_decide_where() -> None:
    low, high = (swell(_bar(), places=np.array([p])) for p in (0.2, 0.8))
    rows = np.arange(28)
    centre = [(image[0].sum(axis=1) @ rows) / image.sum() for image in (low, high)]
    assert centre[1] - centre[0] > 2


STEPS = {
    "thin": Step(operation="thin", amount=0.7),
    "thicken": Step(operation="thicken", amount=(0.5, 1)),
    "swell": Step(operation="swell", strength=3, probability=0.9),
    "fracture": Step(operation="fracture", fractures=(1, 3), probability=0.9),
    "rotate": Step(operation="rotate", angle_deg=15),
    "slant": Step(operation="slant", angle_deg=20),
    "scale": Step(operation="scale", factor=(0.8, 1.2)),
    "open": Step(operation="open", radius_px=0.5),
    "close": Step(operation="close", stroke_fraction=0.5, shape="disk"),
    "dilate": Step(operation="dilate", stroke_fraction=0.5),
}


@settings(max_examples=4)
@given(order=st.permutations(range(len(DIGITS))), size=st.integers(1, len(DIGITS)))
@pytest.mark.parametrize("name", ["thicken", "swell", "fracture", "slant", "close"])
def test_order_and_batch_change_no_byte(name: str, order: list[int], size: int) -> None:
    augment = resolve_steps({"0": (STEPS[name],)}, ["0"])
    labels = np.zeros(len(DIGITS), dtype=int)

    def changed(rows: np.ndarray) -> np.ndarray:
        return augment_batch(DIGITS[rows], labels[rows], KEYS[rows], augment, seed=3, epoch=2)

    whole = changed(np.arange(len(DIGITS)))
    for start in range(0, len(order), size):
        rows = np.array(order[start : start + size])
        assert np.array_equal(changed(rows), whole[rows])


def test_places_differ_between_epochs_and_seeds() -> None:
    labels = np.zeros(len(DIGITS), dtype=int)
    step = resolve_steps({"0": (Step(operation="fracture", fractures=1, probability=1),)}, ["0"])
    moments = [(0, 1), (0, 2), (1, 1)]
    results = [augment_batch(DIGITS, labels, KEYS, step, seed=s, epoch=e) for s, e in moments]
    for other in results[1:]:
        assert (results[0] != other).any(axis=(1, 2)).mean() > 0.8


@pytest.mark.parametrize("name", STEPS)
def test_every_operation_works_on_all_kinds_of_batches(name: str) -> None:
    """Doses from specs; the input untouched; dark ink; empty and blank images."""
    step, given_images = STEPS[name], DIGITS.copy()
    for dose in step.doses:
        changed = apply_dose(given_images, step, dose)
        assert (changed.dtype, changed.shape) == (np.uint8, DIGITS.shape)
        assert (changed != DIGITS).any()
    assert np.array_equal(given_images, DIGITS)
    dark = apply_dose(255 - DIGITS, step.model_copy(update={"ink": "dark"}), step.doses[0])
    assert abs(255 - dark.astype(int) - apply_dose(DIGITS, step, step.doses[0])).max() <= 2
    blank = np.zeros((2, 10, 9), np.uint8)
    assert np.array_equal(apply_dose(blank, step, step.doses[0]), blank)
    assert apply_dose(DIGITS[:0], step, step.doses[0]).shape == (0, 28, 28)


@given(values=st.lists(st.integers(0, 255), min_size=9 * 9, max_size=9 * 9), n=st.integers(1, 5))
def test_upsampling_is_exact_whatever_the_batch(values: list[int], n: int) -> None:
    """The same bits alone and in a batch; a plain surface stays plain."""
    image = np.array(values, np.uint8).reshape(1, 9, 9)
    alone = fine_grid.upsample(image)
    company = fine_grid.upsample(np.concatenate([DIGITS[:n, :9, :9], image]))
    assert np.array_equal(company[-1:], alone)
    assert (fine_grid.upsample(np.full((1, 9, 9), values[0], np.uint8)) == values[0]).all()


def test_thinning_keeps_the_topology() -> None:
    ink = fine_grid.find_ink(fine_grid.upsample(DIGITS[:12]))
    skeleton = fine_grid.thin(ink)
    as_images = (skeleton * np.uint8(255)).repeat(2, 1).repeat(2, 2)
    before, after = measure(DIGITS[:12]), measure(as_images, ink="bright")
    assert not (skeleton & ~ink).any()
    assert after.components.tolist() == before.components.tolist()
    assert after.euler.tolist() == before.euler.tolist()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"operation": "thin"}, "needs amount"),
        ({"operation": "thin", "radius_px": 1}, "thin takes amount, not radius_px"),
        ({"operation": "dilate", "amount": 1}, "dilate takes radius_px or kernel_px or stroke_fraction, not amount"),
        ({"operation": "dilate", "radius_px": 1, "stroke_fraction": 1}, "needs exactly one of radius_px and kernel_px"),
        ({"operation": "open", "kernel_px": 2}, "open takes radius_px or stroke_fraction, not kernel_px"),
        ({"operation": "swell", "strength": 1}, "greater than 1"),
        ({"operation": "fracture", "fractures": 1.5}, "integer"),
        ({"operation": "fracture", "fractures": 11}, "less than or equal to 10"),
        ({"operation": "rotate", "angle_deg": 0}, "greater than 0"),
        ({"operation": "slant", "angle_deg": 81}, "less than or equal to 80"),
        ({"operation": "scale", "factor": []}, "needs at least one dose"),
        ({"operation": "repeat", "factor": 2}, "repeat takes no factor"),
    ],
)
def test_wrong_doses_are_refused(step: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Step.model_validate(step)


def test_steps_describe_themselves() -> None:
    assert STEPS["thicken"].describe() == "thicken, 0.5 or 1 of half the stroke, 12 % of the images"
    assert STEPS["fracture"].describe() == "fracture, 1 or 3 cuts, 90 % of the images"
    assert STEPS["slant"].describe() == "slant, 20 °, 12 % of the images"
    assert STEPS["close"].describe() == "close, radius 0.5 of half the stroke (disk), 12 % of the images"


def test_new_keys_leave_old_hypotheses_their_hash() -> None:
    """Golden hashes: the ledger and stored interventions are filed under them."""
    step = Step(operation="dilate", radius_px=(0.5, 1))
    old = Hypothesis(pair="4:9", hypothesis="A belief.", augment={"4": step})
    assert old.hash == "a02f91d9"
    new = old.model_copy(update={"augment": {"4": (step.model_copy(update={"ink": "dark"}),)}})
    assert new.hash != old.hash


def test_redrawing_keeps_the_form() -> None:
    """Full ink is unchanged, bright or dark; grey ink becomes full ink."""
    drawn = np.zeros((1, 28, 28), dtype=np.uint8)
    drawn[:, 5:23, 10:14] = 255
    redrawn = redraw_strokes(drawn)
    assert np.abs(redrawn.astype(int) - drawn).max() <= 32  # corners are rounded by a fine pixel or two
    assert np.array_equal(255 - redraw_strokes(255 - drawn, ink="dark"), redrawn)
    assert np.array_equal(redraw_strokes(drawn // 2), redrawn)
