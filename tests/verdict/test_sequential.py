"""Group-sequential designs: boundaries against published ones and brute force, looks, and the whole procedure."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal, norm

from erroran.errors import BadInput
from erroran.verdict.decide import judge
from erroran.verdict.plan import replan
from erroran.verdict.replay import decide_runs
from erroran.verdict.sequential import (
    Design,
    chance_to_decide,
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
    ("max_seeds", "looks"),
    [
        (40, (5, 10, 15, 20, 30, 40)),
        (20, (5, 10, 15, 20)),
        (12, (5, 10, 12)),
        (11, (5, 11)),
        (5, (5,)),
        (3, (3,)),
        (100, (5, 10, 15, 20, 30, 40, 60, 80, 100)),
    ],
)
def test_which_looks(max_seeds: int, looks: tuple[int, ...]) -> None:
    """The ladder below the limit, then the limit; no two looks close to each other."""
    design = plan_looks(max_seeds)
    assert (design.looks, design.horizon) == (looks, max_seeds)


def test_a_closer_last_look_makes_the_same_look_less_strict() -> None:
    """Ten of twenty seeds are half of the information, ten of forty a quarter."""
    assert plan_looks(20).alphas[1] > 10 * plan_looks(40).alphas[1]


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
    design = plan_looks(20)
    assert Design.model_validate_json(design.model_dump_json()) == design
    assert design.describe() == "looks after 5, 10, 15 and 20 seeds per arm"
    assert plan_looks(4).describe() == "one look after 4 seeds per arm"


def test_a_design_that_breaks_off_keeps_its_levels() -> None:
    """The looks after at most 12 seeds are those after 5 and 10."""
    design = plan_looks(20)
    cut = design.until(12)
    assert (cut.looks, cut.alpha) == ((5, 10), design.alpha)
    assert (cut.alphas, cut.alphas_excluded) == (design.alphas[:2], design.alphas_excluded[:2])


class _Judge:
    """Gives prepared words, one per look, and notes what it was asked."""

    def __init__(self, *words: str) -> None:
        self.words, self.asked = list(words), []

    def __call__(self, seeds: int, *, alpha: float, alpha_excluded: float, **of_images: float) -> object:
        assert of_images == {"alpha_images": 0.05, "alpha_excluded_images": 0.1}
        self.asked.append((seeds, alpha, alpha_excluded))
        return SimpleNamespace(word=self.words.pop(0))


@pytest.mark.parametrize("word", ["improved", "harmed", "traded", "not worthwhile", "equivalent"])
def test_looks_end_with_the_first_word_that_decides(word: str) -> None:
    """Each look has its own levels; nothing is asked for after the deciding one."""
    design, judge, seen = plan_looks(20), _Judge("cannot tell", "cannot tell", word, "never"), []
    decision = decide_in_looks(design, judge, chance_at=lambda *_: 1.0, after_look=seen.append)
    assert judge.asked == list(zip((5, 10, 15), design.alphas, design.alphas_excluded, strict=False))
    assert (decision.seeds, decision.decided, decision.verdict.word) == (15, True, word)
    assert list(decision.looks) == seen
    assert [(look.seeds, look.alpha, look.alpha_excluded) for look in seen] == judge.asked


def test_without_a_decision_all_looks_are_made() -> None:
    """The last word stays *cannot tell*."""
    design = plan_looks(10)
    decision = decide_in_looks(design, _Judge("cannot tell", "cannot tell"), chance_at=lambda *_: 1.0)
    assert (decision.seeds, decision.decided, len(decision.looks)) == (10, False, 2)


def test_training_ends_when_the_last_look_would_hardly_decide() -> None:
    """At the first look that leaves less than 10 % chance; the word is still *cannot tell*."""
    chances = iter([1.0, 0.4, 0.09])
    judge = _Judge(*["cannot tell"] * 4)
    decision = decide_in_looks(plan_looks(20), judge, chance_at=lambda *_: next(chances))
    assert (decision.seeds, decision.decided) == (15, False)
    assert [look.chance for look in decision.looks] == [1.0, 0.4, 0.09]


def _undecided(change: float, sd_of_runs: float, sd: float, *, alpha: float) -> SimpleNamespace:
    """A verdict whose endpoint had 10 errors per 10,000 images, and changed by so much."""
    z = norm.isf(alpha / 2)
    ends = {"seeds_low": change - z * sd_of_runs, "seeds_high": change + z * sd_of_runs}
    ends |= {"low": change - z * sd, "high": change + z * sd}
    known = {"before_per_10000": 10.0, "before_mean": 10.0, "per_10000": change}
    known |= {"confidence": 1 - alpha, "images_confidence": 1 - alpha}
    effect = SimpleNamespace(**known, **ends)
    return SimpleNamespace(primary=SimpleNamespace(effect=effect), worthwhile_percent=50.0)


def test_chance_to_decide_is_the_share_of_simulated_last_looks_that_decide() -> None:
    """The remaining half of the runs is drawn with the worthwhile change, or with none."""
    design, rng = plan_looks(40), np.random.default_rng(0)
    last = design.levels_at(40)
    for change, sd_of_runs, sd in ((-2.0, 2.0, 2.0), (-2.5, 3.0, 3.0), (-2.5, 1.2, 4.0)):
        found = chance_to_decide(_undecided(change, sd_of_runs, sd, alpha=design.alphas[3]), 20, design)
        at_last = sd_of_runs / np.sqrt(2)
        means = {true: (change + rng.normal(true, sd_of_runs, 200_000)) / 2 for true in (-5.0, 0.0)}
        improved = (means[-5.0] < -norm.isf(last["alpha"] / 2) * at_last).mean()
        with_images = np.sqrt(at_last**2 + sd**2 - sd_of_runs**2)
        widths = (last["alpha_excluded"], at_last), (last["alpha_excluded_images"], with_images)
        width = max(norm.isf(level / 2) * each for level, each in widths)
        excluded = (means[0.0] - width > -5.0).mean()
        assert found == pytest.approx(max(improved, excluded), abs=0.005)


def test_early_looks_and_unknown_variation_do_not_end_a_design() -> None:
    """Before half of the seeds the chance counts as 1; without any error before there is nothing to wait for."""
    design = plan_looks(40)
    assert chance_to_decide(_undecided(-2.0, 9.0, 9.0, alpha=design.alphas[2]), 15, design) == 1.0
    assert chance_to_decide(_undecided(-2.0, 9.0, 9.0, alpha=design.alphas[3]), 20, design) < 0.1
    unknown = _undecided(0.0, 0.0, 0.0, alpha=design.alphas[3])
    assert chance_to_decide(unknown, 20, design) == 1.0
    unknown.primary.effect.before_mean = 0.0
    assert chance_to_decide(unknown, 20, design) == 0.0


# Share of the runs that misread an image, for the 13 images of class 4 that networks read as 9 (26 runs on MNIST).
RATES = np.array([1.0, 0.88, 0.81, 0.77, 0.58, 0.46, 0.23, 0.23, 0.15, 0.12, 0.04, 0.04, 0.04])


def _world(rng: np.random.Generator, keep: np.ndarray, n_runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predictions of both arms, 300 images of two classes; after, the errors of `keep` images remain."""
    labels = np.repeat([0, 1], 150)
    before, after = (np.tile(labels, (n_runs, 1)) for _ in range(2))
    before[:, :13] = rng.random((n_runs, 13)) < RATES
    after[:, :13] = rng.random((n_runs, 13)) < RATES * keep
    for arm in (before, after):
        arm[:, 150:156] = rng.random((n_runs, 6)) > 0.5
    return labels, before, after


def test_the_whole_procedure_on_simulated_runs() -> None:
    """As on MNIST: half of the images repaired is decided by ten seeds; nothing changed is seldom called a change."""
    rng, design, found = np.random.default_rng(7), plan_looks(20), {}
    for name, draws in (("null", 20), ("half", 20)):
        keep = {"null": np.ones(13), "half": np.arange(13) % 2}[name]
        decisions = [decide_runs(design, *_world(rng, keep, 20), pair=(0, 1), n_classes=2) for _ in range(draws)]
        found[name] = ([each.verdict.word for each in decisions], [each.seeds for each in decisions])
    assert sum(word in ("improved", "harmed", "traded") for word in found["null"][0]) <= 3
    assert found["half"][0].count("improved") >= 17
    assert np.median(found["half"][1]) <= 10


def test_runs_that_are_there_are_judged_by_the_design_that_was_planned_again() -> None:
    """Fewer seeds suffice, so no look after 40 is planned; looks without runs are left out where asked for."""
    rng = np.random.default_rng(7)
    world = _world(rng, np.zeros(13), 20)
    replanned = replan(plan_looks(40), world[0], world[1][:5], pair=(0, 1), n_classes=2)
    decision = decide_runs(plan_looks(40), *world, pair=(0, 1), n_classes=2)
    assert decision.design == replanned.design == plan_looks(replanned.design.horizon) != plan_looks(40)
    short = [runs[:6] for runs in world[1:]]
    broken_off = decide_runs(plan_looks(40), world[0], *short, at_most=6, pair=(0, 1), n_classes=2)
    assert broken_off.design == replanned.design.until(6)
    with pytest.raises(BadInput, match="there are 6 and 6"):
        decide_runs(plan_looks(40), world[0], *short, pair=(0, 1), n_classes=2)


def test_other_images_are_asked_about_at_the_level_of_all_looks() -> None:
    """Six of 13 images repaired, p < 0.001 for new seeds: all looks see the same images, which are asked about once."""
    labels, before, after = _world(np.random.default_rng(3), np.arange(13) % 2, 10)
    options = {"pair": (0, 1), "n_classes": 2, "alpha": 0.001, "alpha_excluded": 0.02}
    verdict = judge(labels, before, after, **options, alpha_images=0.05)
    assert verdict.primary.test.p_value < 0.001 < verdict.primary.test.p_images < 0.05
    assert verdict.primary.test.direction(0.001) == -1
    assert judge(labels, before, after, **options).primary.test.direction(0.001) == 0


def test_too_few_runs_for_a_design() -> None:
    """Named with both numbers."""
    runs = np.zeros((9, 4), dtype=int)
    with pytest.raises(BadInput, match="20 runs per arm; there are 9 and 9"):
        decide_runs(plan_looks(20), runs[0], runs, runs, pair=(0, 1), n_classes=2)
