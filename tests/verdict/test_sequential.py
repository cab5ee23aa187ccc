"""Group-sequential designs: boundaries against published ones and brute force, looks, and the whole procedure."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal, norm

from erroran.errors import BadInput
from erroran.verdict.sequential import (
    Design,
    decide_in_looks,
    nominal_levels,
    plan_looks,
    spend_obrien_fleming,
    spend_pocock,
)

FIFTHS = np.arange(1, 6) / 5


def test_obrien_fleming_boundaries_are_the_published_ones() -> None:
    """Five equal looks, 2.5 % spent on each side (Reboussin et al. 2000, Control Clin Trials 21:190)."""
    levels = nominal_levels(FIFTHS, 2 * spend_obrien_fleming(FIFTHS, 0.025), sides=2)
    assert norm.isf(np.array(levels) / 2) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=6e-4)


def test_pocock_boundaries_are_the_published_ones() -> None:
    """The same source, Pocock's type of spending."""
    levels = nominal_levels(FIFTHS, spend_pocock(FIFTHS, 0.05), sides=2)
    assert norm.isf(np.array(levels) / 2) == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=6e-4)


@pytest.mark.parametrize("sides", [1, 2])
def test_boundaries_have_the_probability_of_a_multivariate_normal(sides: int) -> None:
    """The chance to stay inside all boundaries of three unequal looks, by an integral over the statistics."""
    shares = np.array([0.25, 0.5, 1.0])
    levels = np.array(nominal_levels(shares, spend_pocock(shares, 0.05), sides=sides))
    upper = norm.isf(levels / sides)
    lower = -upper if sides == 2 else np.full(3, -np.inf)
    correlation = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    inside = multivariate_normal(np.zeros(3), correlation, abseps=1e-6, seed=0).cdf(upper, lower_limit=lower)
    assert 1 - inside == pytest.approx(0.05, abs=2e-5)


def test_levels_of_a_design_add_up() -> None:
    """Walks of 40 steps without drift cross the boundaries of a default design in 5 % of cases, on the tested side."""
    design, rng = plan_looks(), np.random.default_rng(0)
    at = np.array(design.looks) - 1
    z = rng.standard_normal((50_000, design.horizon)).cumsum(axis=1)[:, at] / np.sqrt(at + 1)
    tests = (abs(z) >= norm.isf(np.array(design.alphas) / 2)).any(axis=1).mean()
    excluded = (z >= norm.isf(np.array(design.alphas_excluded) / 2)).any(axis=1).mean()
    assert tests == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 50_000))
    assert excluded == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 50_000))


def test_one_look_has_the_whole_level() -> None:
    """A design of a single look is the plain test."""
    design = plan_looks(5)
    assert design.looks == (5,)
    assert design.alphas == pytest.approx([0.05])
    assert design.alphas_excluded == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("asked", "horizon", "looks"),
    [
        (40, None, (5, 10, 15, 20, 30, 40)),
        (40, 20, (5, 10, 15, 20)),
        (10, 20, (5, 10)),
        (40, 12, (5, 10, 12)),
        (40, 11, (5, 11)),
        (3, None, (3,)),
        (100, None, (5, 10, 15, 20, 30, 40, 60, 80, 100)),
    ],
)
def test_which_looks(asked: int, horizon: int | None, looks: tuple[int, ...]) -> None:
    """The ladder below the smaller of the two limits, then that limit; no two looks close to each other."""
    design = plan_looks(asked, horizon=horizon)
    assert (design.looks, design.horizon, design.max_seeds) == (looks, looks[-1], asked)


def test_a_closer_horizon_makes_the_same_look_less_strict() -> None:
    """Ten of twenty seeds are half of the information, ten of forty a quarter."""
    assert plan_looks(40, horizon=20).alphas[1] > 10 * plan_looks(40).alphas[1]


def test_one_seed_is_no_design() -> None:
    """One run per arm has no test."""
    with pytest.raises(BadInput, match="at least 2 seeds"):
        plan_looks(1)


@pytest.mark.parametrize(
    "change",
    [
        {"alphas": (0.05,)},
        {"looks": (10, 5)},
        {"looks": (1, 5)},
        {"max_seeds": 9},
        {"alphas": (0.0, 0.05)},
        {"alphas_excluded": (0.02, float("nan"))},
    ],
)
def test_a_design_that_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    """Also when it is read from a record."""
    with pytest.raises(ValidationError):
        Design.model_validate({**plan_looks(10).model_dump(), **change})


def test_a_design_survives_json() -> None:
    """Registered and read again it is the same, to the last digit."""
    design = plan_looks(40, horizon=20)
    assert Design.model_validate_json(design.model_dump_json()) == design
    assert design.describe() == "looks after 5, 10, 15 and 20 seeds per arm"
    assert plan_looks(4).describe() == "one look after 4 seeds per arm"


class _Judge:
    """Gives prepared words, one per look, and notes what it was asked."""

    def __init__(self, *words: str) -> None:
        self.words, self.asked = list(words), []

    def __call__(self, seeds: int, *, alpha: float, alpha_excluded: float) -> object:
        self.asked.append((seeds, alpha, alpha_excluded))
        return SimpleNamespace(word=self.words.pop(0))


@pytest.mark.parametrize("word", ["improved", "harmed", "traded", "not worthwhile", "equivalent"])
def test_looks_end_with_the_first_word_that_decides(word: str) -> None:
    """Each look has its own levels; nothing is asked for after the deciding one."""
    design, judge, seen = plan_looks(40, horizon=20), _Judge("cannot tell", "cannot tell", word, "never"), []
    decision = decide_in_looks(design, judge, after_look=seen.append)
    assert judge.asked == list(zip((5, 10, 15), design.alphas, design.alphas_excluded, strict=False))
    assert (decision.seeds, decision.decided, decision.verdict.word) == (15, True, word)
    assert list(decision.looks) == seen
    assert [(look.seeds, look.alpha, look.alpha_excluded) for look in seen] == judge.asked


def test_without_a_decision_all_looks_are_made() -> None:
    """The last word stays *cannot tell*."""
    design = plan_looks(10)
    decision = decide_in_looks(design, _Judge("cannot tell", "cannot tell"))
    assert (decision.seeds, decision.decided, len(decision.looks)) == (10, False, 2)
