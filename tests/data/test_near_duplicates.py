"""Near duplicates: all pairs are found by their pixels, for any brightness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erroran.data import Part
from erroran.data import near as near_module
from erroran.data.near import NearDuplicates, find_near_duplicates


def _part(images: np.ndarray, first: int = 0) -> Part:
    return Part(
        images, np.zeros(len(images), dtype=np.int64), np.array([f"{n + first:016x}" for n in range(len(images))])
    )


def _by_hand(a: np.ndarray, b: np.ndarray, least: float) -> set[tuple[int, int]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.corrcoef(np.concatenate([a, b]).reshape(len(a) + len(b), -1))
    return {(i, j) for i, j in np.argwhere(both[: len(a), len(a) :] >= least).tolist()}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6), height=st.integers(2, 19), width=st.integers(2, 19), channels=st.sampled_from([1, 3])
)
def test_no_pair_is_missed(seed: int, height: int, width: int, channels: int) -> None:
    """Noisy, brighter and constant variants of a few images, compared with NumPy's correlations of all pairs."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 256, (6, height, width, channels)).astype(float)

    def draw(n: int) -> np.ndarray:
        picked = bases[rng.integers(0, 6, n)] * rng.choice([0, 0.4, 1], (n, 1, 1, 1)) + rng.choice(
            [0, 60], (n, 1, 1, 1)
        )
        return np.clip(
            picked + rng.normal(0, 1, picked.shape) * rng.choice([0, 2, 12, 40], (n, 1, 1, 1)), 0, 255
        ).astype(np.uint8)

    a, b = draw(30), draw(20)
    (found,) = find_near_duplicates({"train": _part(a), "mine": _part(b, 100)}, correlation=0.97, shown=10**6)
    pairs = {(int(one, 16), int(other, 16) - 100) for one, other, _ in found.first}
    surely, perhaps = _by_hand(a, b, 0.97 + 1e-5), _by_hand(a, b, 0.97 - 1e-5)
    assert surely <= pairs <= perhaps
    assert found.count == len(pairs)


def test_each_two_parts_and_the_first_by_id() -> None:
    """Train with mine, train with confirm, mine with confirm; the smallest ids are listed."""
    images = np.random.default_rng(0).integers(0, 256, (9, 12, 12, 1), dtype=np.uint8)
    dimmed = (images // 2 + 20).astype(np.uint8)
    parts = {"train": _part(images), "mine": _part(dimmed[4:7], 20), "confirm": _part(255 - images, 40)}
    found = find_near_duplicates(parts, shown=2)
    assert [(near.parts, near.count) for near in found] == [
        (("train", "mine"), 3), (("train", "confirm"), 0), (("mine", "confirm"), 0)
    ]  # fmt: skip
    assert [pair[:2] for pair in found[0].first] == [(f"{4:016x}", f"{20:016x}"), (f"{5:016x}", f"{21:016x}")]
    assert all(pair[2] > 0.99 for pair in found[0].first)


def test_very_large_parts_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample does not depend on the order of the images; its share is reported."""
    monkeypatch.setattr(near_module, "MOST_COMPARED", 60)
    images = np.random.default_rng(0).integers(0, 256, (20, 5, 5, 1), dtype=np.uint8)
    part, order = _part(images), np.random.default_rng(1).permutation(20)
    (one,) = find_near_duplicates({"train": part, "mine": part})
    (other,) = find_near_duplicates({"train": part, "mine": part.take(order)})
    assert one == other == NearDuplicates(("train", "mine"), 3, one.first, 3 / 20)
