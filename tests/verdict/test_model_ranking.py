"""Architectures compared by all their errors: a word holds for new images as for new seeds."""

import numpy as np

from erroran.experiment.study import Claim
from erroran.verdict.models import check_claim, compare_all

NAMES = ("a", "b", "c")
LABELS = np.arange(1200) % 3


def two_models(n_runs: int, *, sd: float, shift: float) -> list[np.ndarray]:
    """Runs of two models whose error rates differ by `sd` logits from image to image and by `shift` in all of them."""
    rng = np.random.default_rng(8)
    hard = rng.random(LABELS.size) < 0.1
    logits, apart = rng.normal(0, 2, LABELS.size), rng.normal(0, sd, LABELS.size) / 2
    models = []
    for sign in (-1, 1):
        rate = hard / (1 + np.exp(-logits - sign * (apart + shift / 2)))
        models.append(np.where(rng.random((n_runs, LABELS.size)) < rate, (LABELS + 1) % 3, LABELS))
    return models


def test_models_that_differ_on_these_images_only_are_not_ranked():
    first, second = two_models(30, sd=1.5, shift=0.12)
    (pair,) = compare_all(LABELS, [("one", first), ("two", second)], NAMES)
    assert pair.comparison.test.p_value < 0.01
    assert pair.comparison.effect.low < 0 < pair.comparison.effect.high
    assert pair.p_adjusted > 0.05
    assert pair.better is None
    claim = check_claim(Claim(text="a claim", better="one", worse="two"), [pair], "two", "one")
    assert claim.word == "cannot tell"


def test_a_model_that_is_better_on_most_images_is_found():
    first, second = two_models(6, sd=0.3, shift=1.2)
    third = first[::-1]
    found = {
        (pair.first, pair.second): pair
        for pair in compare_all(LABELS, [("one", first), ("two", second), ("copy", third)], NAMES)
    }
    assert found["one", "two"].better == "one"
    assert found["two", "copy"].better == "copy"
    assert found["one", "copy"].better is None
    pairs = list(found.values())
    assert check_claim(Claim(text="a claim", better="one", worse="two"), pairs, "two", "one").word == "holds"
    assert check_claim(Claim(text="a claim", better="two", worse="one"), pairs, "one", "two").word == "contradicted"
