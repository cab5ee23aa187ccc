"""Augmentation of a batch: who is changed, how often, by how much - and nobody else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from erroran.data import sample_ids
from erroran.experiment.change import Step
from erroran.operations import morphology
from erroran.operations.apply import apply_dose, augment_batch, choose_doses, repeat_weights
from erroran.operations.keyed import sample_keys

RNG = np.random.default_rng(3)
N = 240
IMAGES = RNG.integers(0, 256, (N, 9, 8), dtype=np.uint8)
LABELS = np.arange(N) % 4
KEYS = sample_keys(sample_ids(IMAGES))

AUGMENT = {
    0: Step(operation="dilate", radius_px=(0.5, 1), probability=0.6),
    1: Step(operation="erode", kernel_px=(1, 2), probability=0.5),
    2: Step(operation="shift", radius_px=(1, 2), probability=0.7),
}
MANY_KEYS = sample_keys(np.array([f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(40_000)]))


def _augmented(rows: np.ndarray, *, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return augment_batch(IMAGES[rows], LABELS[rows], KEYS[rows], AUGMENT, seed=seed, epoch=epoch)


@settings(max_examples=40)
@given(order=st.permutations(range(N)), batch_size=st.integers(1, N), seed=st.integers(0, 2**32 - 1))
def test_order_and_batch_size_change_no_byte(order: list[int], batch_size: int, seed: int) -> None:
    """Cut any permutation into batches of any size: each sample gets the bytes it gets in one big batch."""
    whole = _augmented(np.arange(N), seed=seed, epoch=2)
    batches = [np.array(order[start : start + batch_size]) for start in range(0, N, batch_size)]
    for rows in batches:
        assert _augmented(rows, seed=seed, epoch=2).tobytes() == whole[rows].tobytes()


@settings(max_examples=25)
@given(chosen=st.lists(st.booleans(), min_size=N, max_size=N))
def test_the_subset_of_the_result_is_the_result_of_the_subset(chosen: list[bool]) -> None:
    """Which other samples exist does not matter."""
    rows = np.flatnonzero(chosen)
    assert np.array_equal(_augmented(rows), _augmented(np.arange(N))[rows])


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_untouched_classes_are_byte_identical(epoch: int) -> None:
    """A class without an entry in the spec keeps every byte; the others do change."""
    changed = (_augmented(np.arange(N), epoch=epoch) != IMAGES).any(axis=(1, 2))
    assert {int(label) for label in LABELS[changed]} == {0, 1, 2}


def test_only_the_chosen_samples_change() -> None:
    """Everything outside `choose_doses` is byte-identical, also inside the targeted classes."""
    chosen = choose_doses(LABELS, KEYS, AUGMENT, seed=0, epoch=0)
    kept = chosen < 0
    assert 0 < kept[LABELS < 3].sum() < 180
    assert _augmented(np.arange(N))[kept].tobytes() == IMAGES[kept].tobytes()


def test_the_input_is_not_modified() -> None:
    """The training images in memory stay what they are, epoch after epoch."""
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
    """A baseline copies nothing."""
    assert augment_batch(IMAGES, LABELS, KEYS, {}, seed=0, epoch=0) is IMAGES


@pytest.mark.parametrize("probability", [0.01, 0.12, 0.5, 0.97])
def test_the_share_of_changed_images_is_the_probability(probability: float) -> None:
    """Within the central 99.9 % of the binomial distribution, for each of two classes and three epochs."""
    step = Step(operation="dilate", radius_px=1, probability=probability)
    labels = np.arange(len(MANY_KEYS)) % 2
    low, high = stats.binom.interval(0.999, 20_000, probability)
    for epoch in range(3):
        chosen = choose_doses(labels, MANY_KEYS, {0: step, 1: step}, seed=4, epoch=epoch)
        for label in (0, 1):
            assert low <= (chosen[labels == label] >= 0).sum() <= high


def test_probability_one_changes_everybody() -> None:
    """The upper end of the range is taken literally."""
    step = Step(operation="dilate", radius_px=1, probability=1)
    assert (choose_doses(np.zeros(40_000), MANY_KEYS, {0: step}, seed=0, epoch=0) == 0).all()


@pytest.mark.parametrize("doses", [(0.5, 1), (0.25, 0.5, 1), (1, 2, 3, 4, 5)])
def test_doses_are_drawn_equally_often(doses: tuple[float, ...]) -> None:
    """A chi-square test over 20,000 changed images finds no favourite."""
    step = Step(operation="dilate", radius_px=doses, probability=0.5)
    chosen = choose_doses(np.zeros(40_000), MANY_KEYS, {0: step}, seed=1, epoch=0)
    counts = np.bincount(chosen[chosen >= 0])
    assert len(counts) == len(doses)
    assert stats.chisquare(counts).pvalue > 0.001


def test_who_is_changed_does_not_depend_on_the_dose_or_operation() -> None:
    """Two arms with the same probability change the same images, so that they differ in one thing only."""
    one = Step(operation="dilate", radius_px=(0.5, 1), probability=0.3)
    other = Step(operation="shift", radius_px=1, probability=0.3)
    labels = np.zeros(40_000)
    chosen = [choose_doses(labels, MANY_KEYS, {0: step}, seed=1, epoch=0) >= 0 for step in (one, other)]
    assert np.array_equal(*chosen)


def test_chosen_doses_are_applied() -> None:
    """Every changed image is the operation with its own dose; radii and kernels each use theirs."""
    chosen = choose_doses(LABELS, KEYS, AUGMENT, seed=0, epoch=0)
    result = _augmented(np.arange(N))
    for dose_index, dose in enumerate((0.5, 1)):
        rows = (LABELS == 0) & (chosen == dose_index)
        assert rows.any()
        assert np.array_equal(result[rows], morphology.dilate(IMAGES[rows], radius_px=dose))
    for dose_index, side in enumerate((1, 2)):
        rows = (LABELS == 1) & (chosen == dose_index)
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
    """Right, down, left, up by quarters of the draw: every pixel by the dose, emptiness behind it."""
    step = Step(operation="shift", radius_px=pixels)
    inner = np.zeros((N, 15, 14), dtype=np.uint8)
    inner[:, 3:12, 3:11] = IMAGES
    expected = np.zeros_like(inner)
    top, left = 3 + pixels * down, 3 + pixels * right
    expected[:, top : top + 9, left : left + 8] = IMAGES
    assert np.array_equal(apply_dose(inner, step, pixels, directions=np.full(N, quarter)), expected)


def test_shift_drops_what_leaves_the_image() -> None:
    """Nothing wraps around."""
    step = Step(operation="shift", radius_px=1)
    image = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
    assert apply_dose(image, step, 1, directions=np.array([0.0])).tolist() == [[[0, 1, 2], [0, 4, 5]]]


def test_shifts_go_in_all_directions_equally_often() -> None:
    """Over many keyed draws each direction gets its quarter."""
    step = Step(operation="shift", radius_px=1, probability=1)
    dots = np.zeros((8000, 3, 3), dtype=np.uint8)
    dots[:, 1, 1] = 255
    moved = augment_batch(dots, np.zeros(8000), MANY_KEYS[:8000], {0: step}, seed=0, epoch=0)
    counts = (moved > 0).sum(axis=0)
    assert counts[::2, ::2].sum() + counts[1, 1] == 0
    assert stats.chisquare([counts[0, 1], counts[1, 0], counts[1, 2], counts[2, 1]]).pvalue > 0.001


def test_repeat_changes_weights_and_no_pixel() -> None:
    """`repeat` counts the chosen images twice; other classes, and other operations, count once."""
    repeat = Step(operation="repeat", probability=0.5)
    augment = {3: repeat, 0: AUGMENT[0]}
    chosen = choose_doses(LABELS, KEYS, augment, seed=0, epoch=0)
    weights = repeat_weights(LABELS, KEYS, augment, seed=0, epoch=0)
    assert weights.tolist() == [2.0 if c >= 0 and y == 3 else 1.0 for c, y in zip(chosen, LABELS, strict=True)]
    assert weights.dtype == np.float32
    assert 15 < (weights == 2).sum() < 45
    result = augment_batch(IMAGES, LABELS, KEYS, {3: repeat}, seed=0, epoch=0)
    assert np.array_equal(result, IMAGES)


def test_exact_duplicates_are_changed_independently() -> None:
    """Of 400 copies of one image, about half change: ids with `~k` are samples of their own."""
    copies = np.repeat(IMAGES[:1], 400, axis=0)
    augment = {0: Step(operation="dilate", radius_px=1, probability=0.5)}
    result = augment_batch(copies, np.zeros(400), sample_keys(sample_ids(copies)), augment, seed=0, epoch=0)
    assert 150 < (result != copies).any(axis=(1, 2)).sum() < 250
