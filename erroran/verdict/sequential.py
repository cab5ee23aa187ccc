"""A verdict in looks: group-sequential designs, whose levels account for the repeated tests.

After 5 seeds per arm, after 10 and so on the arms are judged, until the word is something other than *cannot tell*.
Each look has its own, stricter level, such that all looks together have the level of a single test.

The whole procedure, for stages, simulations and calibration alike: `plan_looks`; after the baseline runs of the first
look, and before any run of the treatment is read, `plan.replan`; then `decide_in_looks`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, Self, TypedDict, Unpack

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from erroran.errors import BadInput
from erroran.stats.confusion import FloatArray
from erroran.verdict.decide import Verdict
from erroran.verdict.table import CANNOT_TELL

MAX_SEEDS: Final = 40
LADDER: Final = (5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 200)
"""Seeds per arm at which a design looks, before its last look. Fewer than 5 runs cannot support a strict level."""
LEAST_STEP: Final = 1.15
"""The last look has at least this many times the seeds of the one before."""
ALPHA: Final = 0.05
ALPHA_EXCLUDED: Final = 0.1
"""Two-sided level of all intervals together that exclude the worthwhile reduction. Only their lower ends matter, so
*not worthwhile* is said of a change that has the worthwhile size in at most 5 % of cases."""
LEAST_CHANCE: Final = 0.1
"""Training ends if the last look decides with a smaller chance at best; a convention."""
_NODES: Final = 200
_FARTHEST_Z: Final = 8.0  # beyond it the density of a look is taken as 0
_LARGEST_BOUNDARY: Final = 15.0


class Levels(TypedDict, total=False):
    """The levels of a look, as options of `decide.judge`, which describes them."""

    alpha: float
    alpha_excluded: float
    alpha_images: float
    alpha_excluded_images: float


class Design(BaseModel):
    """After how many seeds the arms are compared, and at which levels.

    Attributes:
        looks: Seeds per arm at each look, rising.
        alphas: Two-sided nominal level of each look's tests and intervals.
        alphas_excluded: Two-sided nominal level of each look's interval that is to exclude the worthwhile reduction.
        alpha: Two-sided level of the tests of all looks together.
        alpha_excluded: Two-sided level of the intervals of all looks together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    looks: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_excluded: tuple[float, ...]
    alpha: float
    alpha_excluded: float = ALPHA_EXCLUDED

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not len(self.looks) == len(self.alphas) == len(self.alphas_excluded) > 0:
            raise ValueError("looks, alphas and alphas_excluded must have the same length, at least 1")
        if list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 2:
            raise ValueError("looks must rise, from at least 2")
        if not all(0 < level < 0.5 for level in (*self.alphas, *self.alphas_excluded, self.alpha, self.alpha_excluded)):
            raise ValueError("levels must lie in (0, 0.5)")
        return self

    @property
    def horizon(self) -> int:
        """Seeds per arm at the last look."""
        return self.looks[-1]

    def levels_at(self, seeds: int) -> Levels:
        """The levels of the look after so many seeds, as options of `decide.judge`.

        Other images are asked about at the levels of the whole design, since all looks see the same images.
        """
        place = self.looks.index(seeds)
        return {
            "alpha": self.alphas[place],
            "alpha_excluded": self.alphas_excluded[place],
            "alpha_images": self.alpha,
            "alpha_excluded_images": self.alpha_excluded,
        }

    def until(self, seeds: int) -> Self:
        """The looks after at most so many seeds per arm, at their levels."""
        n = sum(look <= seeds for look in self.looks)
        cut = {name: getattr(self, name)[:n] for name in ("looks", "alphas", "alphas_excluded")}
        return type(self).model_validate(self.model_dump() | cut)

    def describe(self) -> str:
        """Such as ``looks after 5, 10 and 20 seeds per arm``."""
        *first, last = map(str, self.looks)
        if not first:
            return f"one look after {last} seeds per arm"
        return f"looks after {', '.join(first)} and {last} seeds per arm"


class Replanned(BaseModel):
    """A design whose last look was chosen again, from the baseline's runs of the first look; see `plan.replan`.

    Attributes:
        planned: Seeds per arm at the last look before.
        errors_per_run: Errors of the endpoint that these runs made, on the judged images.
        chance: Probability of *improved* if the true reduction is the worthwhile one and `design.horizon` seeds per arm
            are judged once; None if these runs made no error, so that there is nothing to choose by.
        chance_planned: The same with `planned` seeds per arm.
        design: What is followed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    planned: int
    errors_per_run: float
    chance: float | None
    chance_planned: float | None
    design: Design

    def describe(self) -> str:
        """Why the last look is where it is, as a sentence without a full stop."""
        seen, last = f"the baseline's first runs make {self.errors_per_run:.1f} errors each", self.design.horizon
        if self.chance is None or self.chance_planned is None or last == self.planned:
            return f"{seen}: the last look stays at {last} seeds per arm"
        return (
            f"{seen}: the last look is after {last} seeds per arm instead of {self.planned}, which would raise the "
            f"chance of improved only from {100 * self.chance:.0f} % to {100 * self.chance_planned:.0f} %"
        )


class JudgeAt(Protocol):
    """Judges the first `seeds` runs of both arms at the levels of a look; see `Design.levels_at`."""

    def __call__(self, seeds: int, **levels: Unpack[Levels]) -> Verdict:
        """The verdict at these levels."""


@dataclass(frozen=True)
class Look:
    """One look of a design.

    Attributes:
        seeds: Runs per arm.
        alpha: Two-sided nominal level of its tests and intervals.
        alpha_excluded: Level of the interval that is to exclude the worthwhile reduction.
        verdict: The verdict at these levels.
        chance: Best chance that the last look decides; see `chance_to_decide`. None if this look decided, or is the
            last.
    """

    seeds: int
    alpha: float
    alpha_excluded: float
    verdict: Verdict
    chance: float | None

    @property
    def stops(self) -> bool:
        """Whether no further look is made."""
        return self.chance is None or self.chance < LEAST_CHANCE

    @property
    def decided(self) -> bool:
        """Whether the word is something other than *cannot tell*."""
        return self.verdict.word != CANNOT_TELL


@dataclass(frozen=True)
class Decision:
    """The looks that were made; the last one counts."""

    design: Design
    looks: tuple[Look, ...]

    @property
    def seeds(self) -> int:
        """Runs per arm at the last look."""
        return self.looks[-1].seeds

    @property
    def verdict(self) -> Verdict:
        """The verdict of the last look. Its intervals have the confidence 1 - `Look.alpha_excluded`.

        They are repeated confidence intervals: whatever the rule of stopping, each of their ends misses the truth at
        any look with at most half of the level that `plan_looks` spends on them (Jennison and Turnbull 1989, J R Stat
        Soc B 51:305).
        """
        return self.looks[-1].verdict

    @property
    def decided(self) -> bool:
        """Whether the last look decided."""
        return self.looks[-1].decided


@lru_cache(maxsize=64)
def plan_looks(max_seeds: int = MAX_SEEDS, *, alpha: float = ALPHA, alpha_excluded: float = ALPHA_EXCLUDED) -> Design:
    """Plan looks after 5, 10, 15, 20, 30, 40, ... seeds per arm.

    Tests have levels of the O'Brien-Fleming type: hardly any early, nearly the whole level at the last look. The
    intervals that exclude the worthwhile reduction spend their level as Pocock's boundary does, more evenly, because
    a treatment that is not worth its price is to be recognised early.

    Args:
        max_seeds: Seeds per arm of the last look, 2 or more. Fewer make early looks less strict.
        alpha: Two-sided level of the tests of all looks together.
        alpha_excluded: Two-sided level of all intervals that exclude the worthwhile reduction.

    Raises:
        BadInput: Fewer than 2 seeds.

    Source: Lan and DeMets (1983), Biometrika 70:659, both spending functions.
    """
    if max_seeds < 2:
        raise BadInput(f"A design needs at least 2 seeds per arm; got {max_seeds}.", fix="--max-seeds 40")
    looks = (*(seeds for seeds in LADDER if seeds * LEAST_STEP <= max_seeds), max_seeds)
    shares = np.array(looks) / max_seeds
    tests = nominal_levels(shares, spend_obrien_fleming(shares, alpha), sides=2)
    excluded = nominal_levels(shares, spend_pocock(shares, alpha_excluded / 2), sides=1)
    return Design(
        looks=looks,
        alphas=tests,
        alphas_excluded=tuple(2 * level for level in excluded),
        alpha=alpha,
        alpha_excluded=alpha_excluded,
    )


def decide_in_looks(
    design: Design,
    judge_at: JudgeAt,
    *,
    chance_at: Callable[[Verdict, int, Design], float] | None = None,
    after_look: Callable[[Look], None] = lambda _: None,
) -> Decision:
    """Look at the arms until the word is something other than *cannot tell*, or the design has no more looks.

    In the second half of a design, training also ends if the last look would hardly decide any more. That spends no
    level: a test that is not made cannot be wrong.

    Args:
        design: The looks and their levels.
        judge_at: Judges the arms; called once per look, with rising numbers of seeds. A stage trains the missing runs
            here.
        chance_at: Best chance that the last look decides, from a verdict that does not and its seeds; by default
            `chance_to_decide`.
        after_look: Called after each look.
    """
    chance_at = chance_at or chance_to_decide
    looks: list[Look] = []
    for seeds in design.looks:
        levels = design.levels_at(seeds)
        verdict = judge_at(seeds, **levels)
        open_ = verdict.word == CANNOT_TELL and seeds < design.horizon
        chance = chance_at(verdict, seeds, design) if open_ else None
        looks.append(Look(seeds, levels["alpha"], levels["alpha_excluded"], verdict, chance))
        after_look(looks[-1])
        if looks[-1].stops:
            break
    return Decision(design, tuple(looks))


def chance_to_decide(verdict: Verdict, seeds: int, design: Design) -> float:
    """Best chance, in [0, 1], that the last look of a design decides, given the runs so far.

    Args:
        verdict: After `seeds` seeds per arm.
        seeds: Fewer than the design's last look has.
        design: The design.

    Returns:
        1 in the first half of the design. Then the larger one of two conditional powers: of *improved* if the true
        change is the worthwhile reduction, and of *not worthwhile* if there is no change. Both are normal
        approximations for the errors per 10,000 images. Images stay the same, so their part of the variance does.

    Source: Lan, Simon and Halperin (1982), Seq Anal 1:207.
    """
    from scipy.special import ndtr, ndtri

    effect, share = verdict.primary.effect, seeds / design.horizon
    if share < 0.5:
        return 1.0
    runs, total = (
        (high - low) / 2 / -float(ndtri((1 - confidence) / 2))
        for low, high, confidence in (
            (effect.seeds_low, effect.seeds_high, effect.confidence),
            (effect.low, effect.high, effect.images_confidence),
        )
    )
    if not (0 < runs < np.inf and total < np.inf):
        return float(effect.before_mean > 0)
    worthwhile = -verdict.worthwhile_percent / 100 * effect.before_per_10000
    levels = design.levels_at(design.horizon)
    z_test, z_excluded, z_images = (
        -float(ndtri(level / 2))
        for level in (levels["alpha"], levels["alpha_excluded"], levels["alpha_excluded_images"])
    )
    at_last = runs * np.sqrt(share)  # sd of the estimate at the last look
    ahead = runs * np.sqrt(share * (1 - share))  # the part of it that is still open
    with_images = np.sqrt(at_last**2 + max(total**2 - runs**2, 0.0))
    fallen = (-z_test * at_last - (share * effect.per_10000 + (1 - share) * worthwhile)) / ahead
    half = max(z_excluded * at_last, z_images * with_images)  # both intervals have to exclude it
    excluded = (share * effect.per_10000 - worthwhile - half) / ahead
    return float(max(ndtr(fallen), ndtr(excluded)))


def spend_obrien_fleming(shares: FloatArray, alpha: float) -> FloatArray:
    """Level spent up to each share t of the information, float64, for a two-sided test: 2 - 2 Phi(z / sqrt t)."""
    from scipy.special import ndtr, ndtri

    spent: FloatArray = 2 * ndtr(ndtri(alpha / 2) / np.sqrt(shares))
    return spent


def spend_pocock(shares: FloatArray, alpha: float) -> FloatArray:
    """Level spent up to each share t of the information, float64: alpha ln(1 + (e - 1) t)."""
    spent: FloatArray = alpha * np.log1p((np.e - 1) * shares)
    return spent


def nominal_levels(
    shares: Sequence[float] | FloatArray, spent: Sequence[float] | FloatArray, *, sides: int
) -> tuple[float, ...]:
    """Nominal level of each look, such that the first crossing of a boundary has the given probabilities.

    Args:
        shares: Share of the information at each look, rising, in (0, 1].
        spent: Probability of a crossing up to each look if there is no effect, rising.
        sides: 2 for symmetric boundaries, with two-sided levels; 1 for upper boundaries, with one-sided levels.

    Returns:
        The levels: a look crosses its boundary if its own p-value is below its level.

    The sums of the looks form a Brownian motion. Its density inside the boundaries is integrated from look to look by
    Gauss and Legendre's rule.

    Source: Armitage, McPherson and Rowe (1969), J R Stat Soc A 132:235.
    """
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    places, mass = np.zeros(1), np.ones(1)  # the motion inside all earlier boundaries: values and their probabilities
    before, total, levels = 0.0, 0.0, []
    for share, until_now in zip(shares, spent, strict=True):
        step, root = np.sqrt(share - before), np.sqrt(share)
        boundary = _find_boundary(places / root, mass, step / root, until_now - total, sides)
        levels.append(sides * _upper_tail(boundary))
        top = min(boundary, _FARTHEST_Z) * root
        bottom = -top if sides == 2 else -_FARTHEST_Z * root
        inside = (top + bottom) / 2 + (top - bottom) / 2 * points
        density = np.exp(-(((inside[:, None] - places) / step) ** 2) / 2) @ mass / (step * np.sqrt(2 * np.pi))
        places, mass = inside, (top - bottom) / 2 * weights * density
        before, total = share, until_now
    return tuple(levels)


def _find_boundary(places: FloatArray, mass: FloatArray, step: float, target: float, sides: int) -> float:
    """The z that a normal step of sd `step` from `places`, of probabilities `mass`, exceeds with chance `target`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def excess(z: float) -> float:
        beyond = ndtr((places - z) / step) + (ndtr((-z - places) / step) if sides == 2 else 0.0)
        return float(mass @ beyond) - target

    return float(brentq(excess, 0.0, _LARGEST_BOUNDARY, xtol=1e-10))


def _upper_tail(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-z))
