"""Augmentation of a batch: which images are changed, how often, by which dose, and that no others are."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits

from erroran.data import sample_ids
from erroran.errors import BadInput
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import read_hypothesis, shipped_folder
from erroran.operations import morphology
from erroran.operations.apply import (
    LabelledStep,
    apply_dose,
    augment_batch,
    choose_doses,
    repeat_weights,
    resolve_steps,
)
from erroran.operations.keyed import sample_keys
from erroran.operations.table import OPERATIONS

RNG = np.random.default_rng(3)
N = 240
IMAGES = RNG.integers(0, 256, (N, 9, 8), dtype=np.uint8)
LABELS = np.arange(N) % 4
KEYS = sample_keys(sample_ids(IMAGES[..., None]))

NAMES = ("0", "1", "2", "3")


def _steps(**augment: Step | tuple[Step, ...]) -> tuple[LabelledStep, ...]:
    """``_0=step``: the step of class 0; ``all=step``: the step of all classes."""
    named = {name.strip("_"): steps if isinstance(steps, tuple) else (steps,) for name, steps in augment.items()}
    return resolve_steps(named, NAMES)


def _choose(step: Step, labels: np.ndarray, **moment: int) -> np.ndarray:
    """Dose of each sample of class 0; -1 where the step does not act."""
    return choose_doses(labels, MANY_KEYS[: len(labels)], _steps(_0=step)[0], **{"seed": 0, "epoch": 0} | moment)


AUGMENT = _steps(
    _0=Step(operation="dilate", radius_px=(0.5, 1), probability=0.6),
    _1=Step(operation="erode", kernel_px=(1, 2), probability=0.5),
    _2=Step(operation="shift", radius_px=(1, 2), probability=0.7),
)
MANY_KEYS = sample_keys(np.array([f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(40_000)]))


def _augmented(rows: np.ndarray, *, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return augment_batch(IMAGES[rows], LABELS[rows], KEYS[rows], AUGMENT, seed=seed, epoch=epoch)


@settings(max_examples=40)
@given(order=st.permutations(range(N)), batch_size=st.integers(1, N), seed=st.integers(0, 2**32 - 1))
def test_order_and_batch_size_change_no_byte(order: list[int], batch_size: int, seed: int) -> None:
    """Any permutation in batches of any size gives each sample the same bytes as one big batch."""
    whole = _augmented(np.arange(N), seed=seed, epoch=2)
    batches = [np.array(order[start : start + batch_size]) for start in range(0, N, batch_size)]
    for rows in batches:
        assert _augmented(rows, seed=seed, epoch=2).tobytes() == whole[rows].tobytes()


@settings(max_examples=25)
@given(chosen=st.lists(st.booleans(), min_size=N, max_size=N))
def test_the_subset_of_the_result_is_the_result_of_the_subset(chosen: list[bool]) -> None:
    """The result does not depend on the other samples."""
    rows = np.flatnonzero(chosen)
    assert np.array_equal(_augmented(rows), _augmented(np.arange(N))[rows])


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_untouched_classes_are_byte_identical(epoch: int) -> None:
    """A class without an entry in the spec keeps every byte; the others change."""
    changed = (_augmented(np.arange(N), epoch=epoch) != IMAGES).any(axis=(1, 2))
    assert {int(label) for label in LABELS[changed]} == {0, 1, 2}


def test_only_the_chosen_samples_change() -> None:
    """Samples that `choose_doses` leaves out are byte-identical, also in the treated classes."""
    kept = np.stack([choose_doses(LABELS, KEYS, step, seed=0, epoch=0) for step in AUGMENT]).max(axis=0) < 0
    assert 0 < kept[LABELS < 3].sum() < 180
    assert _augmented(np.arange(N))[kept].tobytes() == IMAGES[kept].tobytes()


def test_the_input_is_not_modified() -> None:
    """The training images in memory are the same after every epoch."""
    before = IMAGES.tobytes(), LABELS.tobytes(), KEYS.tobytes()
    for epoch in range(3):
        augment_batch(IMAGES, LABELS, KEYS, AUGMENT, seed=0, epoch=epoch)
    assert (IMAGES.tobytes(), LABELS.tobytes(), KEYS.tobytes()) == before


def test_epochs_and_seeds_differ_and_repeat() -> None:
    """Another epoch or seed changes other images; the same ones give the same bytes."""
    rows = np.arange(N)
    results = {(s, e): _augmented(rows, seed=s, epoch=e).tobytes() for s in (0, 1) for e in (0, 1)}
    assert len(set(results.values())) == 4
    assert _augmented(rows, seed=1, epoch=1).tobytes() == results[1, 1]


def test_nothing_to_do_returns_the_batch() -> None:
    """A baseline does not copy the batch."""
    assert augment_batch(IMAGES, LABELS, KEYS, (), seed=0, epoch=0) is IMAGES


@pytest.mark.parametrize("probability", [0.01, 0.12, 0.5, 0.97])
def test_the_share_of_changed_images_is_the_probability(probability: float) -> None:
    """Within the central 99.9 % of the binomial distribution, for each of two classes and three epochs."""
    step = Step(operation="dilate", radius_px=1, probability=probability)
    labels = np.arange(len(MANY_KEYS)) % 2
    low, high = stats.binom.interval(0.999, 20_000, probability)
    for epoch in range(3):
        for label, labelled in enumerate(_steps(_0=step, _1=step)):
            chosen = choose_doses(labels, MANY_KEYS, labelled, seed=4, epoch=epoch)
            assert low <= (chosen >= 0).sum() <= high
            assert set(labels[chosen >= 0]) == {label}


def test_probability_one_changes_everybody() -> None:
    """With probability 1 every image changes."""
    step = Step(operation="dilate", radius_px=1, probability=1)
    assert (_choose(step, np.zeros(40_000)) == 0).all()


@pytest.mark.parametrize("doses", [(0.5, 1), (0.25, 0.5, 1), (1, 2, 3, 4, 5)])
def test_doses_are_drawn_equally_often(doses: tuple[float, ...]) -> None:
    """Chi-square test over 20,000 changed images."""
    step = Step(operation="dilate", radius_px=doses, probability=0.5)
    chosen = _choose(step, np.zeros(40_000), seed=1)
    counts = np.bincount(chosen[chosen >= 0])
    assert len(counts) == len(doses)
    assert stats.chisquare(counts).pvalue > 0.001


def test_who_is_changed_does_not_depend_on_the_dose_or_operation() -> None:
    """Two arms with the same probability change the same images."""
    one = Step(operation="dilate", radius_px=(0.5, 1), probability=0.3)
    other = Step(operation="shift", radius_px=1, probability=0.3)
    chosen = [_choose(step, np.zeros(40_000), seed=1) >= 0 for step in (one, other)]
    assert np.array_equal(*chosen)


def test_chosen_doses_are_applied() -> None:
    """Each changed image equals the operation with its own dose, for radii and for kernels."""
    dilated, eroded, _ = (choose_doses(LABELS, KEYS, step, seed=0, epoch=0) for step in AUGMENT)
    result = _augmented(np.arange(N))
    for dose_index, dose in enumerate((0.5, 1)):
        rows = dilated == dose_index
        assert rows.any()
        assert np.array_equal(result[rows], morphology.dilate(IMAGES[rows], radius_px=dose))
    for dose_index, side in enumerate((1, 2)):
        rows = eroded == dose_index
        assert rows.any()
        assert np.array_equal(result[rows], morphology.erode_with_kernel(IMAGES[rows], kernel_px=side))


@pytest.mark.parametrize("shape", ["square", "disk", "cross"])
def test_the_shape_of_the_kernel_is_passed_on(shape: str) -> None:
    """A spec's `shape` decides the kernel."""
    step = Step(operation="erode", radius_px=2, shape=shape)
    assert np.array_equal(apply_dose(IMAGES, step, 2), morphology.erode(IMAGES, radius_px=2, shape=shape))


@pytest.mark.parametrize("pixels", [1, 2, 3])
@pytest.mark.parametrize(("quarter", "down", "right"), [(0.0, 0, 1), (0.25, 1, 0), (0.5, 0, -1), (0.999, -1, 0)])
def test_shift_moves_by_exactly_the_dose(pixels: int, quarter: float, down: int, right: int) -> None:
    """Right, down, left, up by quarters of the draw; pixels from outside are background."""
    step = Step(operation="shift", radius_px=pixels)
    inner = np.zeros((N, 15, 14), dtype=np.uint8)
    inner[:, 3:12, 3:11] = IMAGES
    expected = np.zeros_like(inner)
    top, left = 3 + pixels * down, 3 + pixels * right
    expected[:, top : top + 9, left : left + 8] = IMAGES
    assert np.array_equal(apply_dose(inner, step, pixels, np.full((N, 1), quarter)), expected)


def test_shift_drops_what_leaves_the_image() -> None:
    """Pixels that leave the image do not reappear on the other side."""
    step = Step(operation="shift", radius_px=1)
    image = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
    assert apply_dose(image, step, 1, np.array([[0.0]])).tolist() == [[[0, 1, 2], [0, 4, 5]]]


def test_shifts_go_in_all_directions_equally_often() -> None:
    """Over many keyed draws each direction has a quarter."""
    step = Step(operation="shift", radius_px=1, probability=1)
    dots = np.zeros((8000, 3, 3), dtype=np.uint8)
    dots[:, 1, 1] = 255
    moved = augment_batch(dots, np.zeros(8000), MANY_KEYS[:8000], _steps(_0=step), seed=0, epoch=0)
    counts = (moved > 0).sum(axis=0)
    assert counts[::2, ::2].sum() + counts[1, 1] == 0
    assert stats.chisquare([counts[0, 1], counts[1, 0], counts[1, 2], counts[2, 1]]).pvalue > 0.001


def test_repeat_changes_weights_and_no_pixel() -> None:
    """`repeat` counts the chosen images twice; other classes, and other operations, count once."""
    repeat = Step(operation="repeat", probability=0.5)
    augment = _steps(_3=repeat, _0=AUGMENT[0].step)
    chosen = choose_doses(LABELS, KEYS, augment[0], seed=0, epoch=0)
    weights = repeat_weights(LABELS, KEYS, augment, seed=0, epoch=0)
    assert weights.tolist() == [2.0 if dose >= 0 else 1.0 for dose in chosen]
    assert weights.dtype == np.float32
    assert 15 < (weights == 2).sum() < 45
    result = augment_batch(IMAGES, LABELS, KEYS, _steps(_3=repeat), seed=0, epoch=0)
    assert np.array_equal(result, IMAGES)


def test_exact_duplicates_are_changed_independently() -> None:
    """Of 400 copies of one image, about half change: ids with `~k` are samples of their own."""
    copies = np.repeat(IMAGES[:1], 400, axis=0)
    augment = _steps(_0=Step(operation="dilate", radius_px=1, probability=0.5))
    result = augment_batch(copies, np.zeros(400), sample_keys(sample_ids(copies[..., None])), augment, seed=0, epoch=0)
    assert 150 < (result != copies).any(axis=(1, 2)).sum() < 250


GOLDEN = {
    "4to9": "49cf44b760028600",
    "4to9-original": "55e0fb420598d6f8",
    "rotate": "7dc1d3e5cb48aa9a",
    "swell": "7b23c69b1b388915",
    "slant": "5ffdf68951e47861",
    "fracture": "b136a558a7a571a2",
    "stroke": "ddcc599cfe1e715f",
    "thin dark": "c25fd6c259a0f90c",
    "kernel dark": "5fb311c18899febf",
    "shift": "96eb056e600e85ac",
    "scale": "3d4194d98e6d8ee4",
    "close": "4b490f19baf5f2ed",
}
SPECS: dict[str, dict[str, tuple[Step, ...]]] = {
    "rotate": {"4": (Step(operation="rotate", angle_deg=(10, 20), probability=0.5),)},
    "swell": {"4": (Step(operation="swell", strength=(2, 3), probability=0.5, ink="dark"),)},
    "slant": {"9": (Step(operation="slant", angle_deg=(10,), probability=0.5),)},
    "fracture": {"9": (Step(operation="fracture", fractures=(1, 3), probability=0.5),)},
    "stroke": {"4": (Step(operation="dilate", stroke_fraction=(0.5, 1), probability=0.5, shape="disk"),)},
    "thin dark": {"4": (Step(operation="thin", amount=0.7, probability=0.5, ink="dark"),)},
    "kernel dark": {"4": (Step(operation="erode", kernel_px=(2, 3), probability=0.5, ink="dark"),)},
    "shift": {"4": (Step(operation="shift", radius_px=(1, 2), probability=0.5),)},
    "scale": {"4": (Step(operation="scale", factor=(0.8, 1.25), probability=0.5),)},
    "close": {"4": (Step(operation="close", radius_px=(0.75, 1), probability=0.5),)},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes(name: str) -> None:
    """Old specs give the same bytes as in the first release (commit 1b69415), at three (seed, epoch)."""
    augment = SPECS[name] if name in SPECS else read_hypothesis(shipped_folder() / f"{name}.toml").augment
    digits = load_digits()
    images = (np.kron(digits.images[:400], np.ones((1, 3, 3))) * 15.9375).astype(np.uint8)[..., np.newaxis]
    labels, keys = digits.target[:400], MANY_KEYS[:400]
    steps, digest = resolve_steps(augment, [str(digit) for digit in range(10)]), hashlib.sha256()
    for seed, epoch in ((0, 1), (0, 2), (7, 1)):
        digest.update(augment_batch(images, labels, keys, steps, seed=seed, epoch=epoch).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[name]


ERODE = Step(operation="erode", radius_px=0.5, probability=0.5)
SHIFT = Step(operation="shift", radius_px=(1, 2), probability=0.4)
TURN = Step(operation="rotate", angle_deg=20, probability=0.3)


def test_steps_of_a_class_are_applied_in_order_and_then_those_of_all() -> None:
    """Computed by hand: each step acts on the result of the one before it, with its own draws."""
    augment = _steps(all=(TURN, ERODE), _1=(SHIFT, ERODE))
    assert [(step.class_name, step.place) for step in augment] == [("1", 1), ("1", 2), ("all", 1), ("all", 2)]
    expected = IMAGES.copy()
    for step in augment:
        expected = augment_batch(expected, LABELS, KEYS, (step,), seed=3, epoch=4)
    assert np.array_equal(augment_batch(IMAGES, LABELS, KEYS, augment, seed=3, epoch=4), expected)
    reversed_steps = augment_batch(IMAGES, LABELS, KEYS, augment[::-1], seed=3, epoch=4)
    assert not np.array_equal(reversed_steps, expected)


def test_each_step_is_drawn_for_itself() -> None:
    """The same operation twice, or on a class and on all, changes images independently."""
    step = Step(operation="dilate", radius_px=(0.5, 1), probability=0.5)
    augment = _steps(_0=(step, step), all=(step, step))
    chosen = [choose_doses(np.zeros(40_000), MANY_KEYS, labelled, seed=1, epoch=1) for labelled in augment]
    for i, one in enumerate(chosen):
        for other in chosen[:i]:
            both = np.histogram2d(one, other, bins=3)[0]
            assert stats.chi2_contingency(both).pvalue > 1e-4


@given(labels=st.lists(st.integers(0, 3), min_size=N, max_size=N), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_all_changes_every_class_alike(labels: list[int], seed: int) -> None:
    """A step of `all` does not look at the labels."""
    every = [
        augment_batch(IMAGES, np.array(some), KEYS, _steps(all=(SHIFT, ERODE)), seed=seed, epoch=1)
        for some in (labels, [0] * N)
    ]
    assert np.array_equal(*every)


def test_adding_steps_leaves_the_first_as_it_is() -> None:
    """The draws of the first step of a class do not depend on later steps."""
    added = Step(operation="dilate", kernel_px=1)  # changes nothing
    alone = augment_batch(IMAGES, LABELS, KEYS, _steps(_0=SHIFT), seed=0, epoch=1)
    more = augment_batch(IMAGES, LABELS, KEYS, _steps(_0=(SHIFT, added), all=added), seed=0, epoch=1)
    assert np.array_equal(alone, more)


def test_repetitions_multiply() -> None:
    """An image repeated by two independent steps has weight 4; this holds for about a quarter."""
    repeat = Step(operation="repeat", probability=0.5)
    augment = _steps(_0=(repeat, ERODE), all=repeat)
    labels = np.arange(40_000) % 2
    weights = repeat_weights(labels, MANY_KEYS, augment, seed=0, epoch=1)
    shares = [np.bincount(weights[labels == label].astype(int), minlength=5) / 20_000 for label in (0, 1)]
    assert shares[0] == pytest.approx([0, 0.25, 0.5, 0, 0.25], abs=0.02)
    assert shares[1] == pytest.approx([0, 0.5, 0.5, 0, 0], abs=0.02)


@pytest.mark.parametrize("operation", ["slant", "rotate"])
def test_a_named_side_is_the_only_one(operation: str) -> None:
    """A bar's top moves right, or left, in every image; without a side, in about half of the images each."""
    bars = np.zeros((200, 29, 29, 1), dtype=np.uint8)
    bars[:, 4:25, 13:16] = 255

    def tops(side: str) -> np.ndarray:
        step = Step.model_validate({"operation": operation, "angle_deg": 20, "side": side, "probability": 1})
        turned = augment_batch(bars, np.zeros(200), MANY_KEYS[:200], _steps(_0=step), seed=0, epoch=1)
        return np.sign((turned[:, :9, :, 0] * (np.arange(29) - 14.0)).sum(axis=(1, 2)))

    assert (tops("right") == 1).all()
    assert (tops("left") == -1).all()
    assert 70 < (tops("either") == 1).sum() < 130


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.apply])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (9, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_table_says_which_images_an_operation_takes(name: str, shape: tuple[int, int], channels: int) -> None:
    """Any size; colour except for operations that measure strokes, which refuse it. Channels do not mix."""
    operation = OPERATIONS[name]
    key, doses = next(iter(operation.trials.items()), (operation.doses[0], (2.0,)))
    step = Step.model_validate({"operation": name, key: [int(d) if d % 1 == 0 else d for d in doses]})
    images = RNG.integers(0, 256, (5, *shape, channels), dtype=np.uint8)
    if operation.channels == "grey" and channels > 1:
        with pytest.raises(BadInput, match="have 3 channels"):
            apply_dose(images, step, step.doses[0])
        return
    changed = apply_dose(images, step, step.doses[0])
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    for channel in range(channels):
        alone = apply_dose(images[..., channel : channel + 1], step, step.doses[0])
        assert np.array_equal(changed[..., channel : channel + 1], alone)


def test_a_fraction_of_the_stroke_needs_grey_images() -> None:
    step = Step(operation="dilate", stroke_fraction=0.5)
    with pytest.raises(BadInput, match="stroke thickness works on grey images only"):
        apply_dose(np.zeros((2, 9, 9, 3), dtype=np.uint8), step, 0.5)


def test_the_table_imports_neither_opencv_nor_scipy() -> None:
    """The command line and the store import the table, which must be fast."""
    code = "import sys, erroran.experiment.hypothesis; print({'cv2', 'scipy', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
