"""Keyed random numbers depend on their sample only."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from erroran.data import sample_ids
from erroran.operations.keyed import keyed_uniform, sample_keys

IDS = np.array([f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(20_000)])
KEYS = sample_keys(IDS)
MOMENTS = [(0, 0, "apply"), (0, 1, "apply"), (1, 0, "apply"), (0, 0, "dose"), (0, 0, "order"), (7, 9, "apply")]


def test_golden_keys() -> None:
    """The keys of ids never change: stored runs depend on them."""
    ids = np.array(["0" * 16, "0123456789abcdef", "0123456789abcdef~1", "0123456789abcdef~2", "f" * 16])
    expected = [0, 0x0123456789ABCDEF, 0x9F5ABF2108F64A04, 0x3D9238DA8840C619, 2**64 - 1]
    assert sample_keys(ids).tolist() == expected


@pytest.mark.parametrize(
    ("seed", "epoch", "purpose", "expected"),
    [
        (0, 0, "apply", [0.6838311183715025, 0.4830577170630218, 0.3606467950037151, 0.9830346244572862]),
        (0, 1, "apply", [0.1099376434892051, 0.8961826671830077, 0.050327420048141835, 0.18319409392304553]),
        (1, 0, "apply", [0.3058332837004851, 0.4663979958491913, 0.6194854453295143, 0.24884600101956245]),
        (0, 0, "dose", [0.38517466981948334, 0.0944612005664689, 0.6652868019886531, 0.3213951427677958]),
        (2**32 - 1, 9, "order", [0.1957453619785431, 0.07058595050942096, 0.47903368025279003, 0.6089511546228629]),
    ],
)
def test_golden_numbers(seed: int, epoch: int, purpose: str, expected: list[float]) -> None:
    """The numbers never change either, to the last bit."""
    keys = sample_keys(np.array(["0" * 16, "0123456789abcdef", "0123456789abcdef~1", "f" * 16]))
    assert keyed_uniform(seed, epoch, keys, purpose=purpose).tolist() == expected


@given(rows=st.lists(st.integers(0, 499), max_size=80), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 99))
def test_neither_order_nor_company_matters(rows: list[int], seed: int, epoch: int) -> None:
    """Any choice of samples, in any order and repeated, gives each the same numbers as among all samples."""
    everybody = keyed_uniform(seed, epoch, KEYS[:500], purpose="apply")
    chosen = np.array(rows, dtype=int)
    assert keyed_uniform(seed, epoch, KEYS[chosen], purpose="apply").tolist() == everybody[chosen].tolist()


def test_seed_epoch_and_purpose_each_change_every_number() -> None:
    """No sample keeps its number when one part of the key changes, not even with seed and epoch exchanged."""
    numbers = [keyed_uniform(seed, epoch, KEYS, purpose=purpose) for seed, epoch, purpose in MOMENTS]
    assert [int((one == other).sum()) for one, other in combinations(numbers, 2)] == [0] * 15


@pytest.mark.parametrize(("seed", "epoch", "purpose"), MOMENTS)
def test_numbers_are_uniform(seed: int, epoch: int, purpose: str) -> None:
    """A Kolmogorov-Smirnov test over 20,000 samples; all lie in [0, 1)."""
    numbers = keyed_uniform(seed, epoch, KEYS, purpose=purpose)
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    assert numbers.min() >= 0
    assert numbers.max() < 1


@pytest.mark.parametrize("varied", ["epoch", "seed"])
def test_every_sample_is_uniform_over_epochs_and_over_seeds(varied: str) -> None:
    """The KS p-values of 300 samples over 500 epochs, or seeds, are uniform."""
    moments = [(0, i) if varied == "epoch" else (i, 0) for i in range(500)]
    numbers = np.array([keyed_uniform(*moment, KEYS[:300], purpose="apply") for moment in moments])
    p_values = stats.kstest(numbers, "uniform", axis=0).pvalue
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_numbers_of_different_moments_are_uncorrelated() -> None:
    """|r| between epochs, seeds and purposes stays below 4 standard errors (1 / sqrt n each)."""
    numbers = [keyed_uniform(seed, epoch, KEYS, purpose=purpose) for seed, epoch, purpose in MOMENTS]
    correlations = np.corrcoef(numbers)[np.triu_indices(len(MOMENTS), 1)]
    assert abs(correlations).max() < 4 / np.sqrt(len(KEYS))


def test_neighbouring_samples_are_uncorrelated() -> None:
    """Ids that differ in their last digit give unrelated numbers."""
    numbers = keyed_uniform(0, 0, np.arange(20_000, dtype=np.uint64), purpose="apply")
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 4 / np.sqrt(len(numbers))


def test_exact_duplicates_are_drawn_separately() -> None:
    """Three copies of one image have three keys and three numbers."""
    keys = sample_keys(sample_ids(np.zeros((3, 4, 4, 1), dtype=np.uint8)))
    assert len(set(keys.tolist())) == 3
    assert len(set(keyed_uniform(0, 0, keys, purpose="apply").tolist())) == 3


def test_no_samples_no_numbers() -> None:
    """An empty batch gives an empty array."""
    assert keyed_uniform(0, 0, sample_keys(np.array([], dtype="U16")), purpose="apply").shape == (0,)
