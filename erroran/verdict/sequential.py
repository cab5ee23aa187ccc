"""A verdict in looks: group-sequential designs, whose levels account for the repeated tests.

After 5 seeds per arm, after 10 and so on the arms are judged, until the word is something other than *cannot tell*.
Each look has its own, stricter level, such that all looks together have the level of a single test. `decide_in_looks`
is the whole procedure, for stages, simulations and calibration alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

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
_NODES: Final = 200
_FARTHEST_Z: Final = 8.0  # beyond it the density of a look is taken as 0
_LARGEST_BOUNDARY: Final = 15.0


class Design(BaseModel):
    """After how many seeds the arms are compared, and at which levels.

    Attributes:
        looks: Seeds per arm at each look, rising.
        alphas: Two-sided nominal level of each look's tests and intervals.
        alphas_excluded: Two-sided nominal level of each look's interval that is to exclude the worthwhile reduction.
        alpha: Two-sided level of all looks together.
        max_seeds: Seeds per arm that were allowed; the last look may have fewer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    looks: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_excluded: tuple[float, ...]
    alpha: float
    max_seeds: int

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not len(self.looks) == len(self.alphas) == len(self.alphas_excluded) > 0:
            raise ValueError("looks, alphas and alphas_excluded must have the same length, at least 1")
        if list(self.looks) != sorted(set(self.looks)) or not 2 <= self.looks[0] <= self.looks[-1] <= self.max_seeds:
            raise ValueError("looks must rise, from at least 2 to at most max_seeds")
        if not all(0 < level < 0.5 for level in (*self.alphas, *self.alphas_excluded, self.alpha)):
            raise ValueError("levels must lie in (0, 0.5)")
        return self

    @property
    def horizon(self) -> int:
        """Seeds per arm at the last look."""
        return self.looks[-1]

    def levels_at(self, seeds: int) -> dict[str, float]:
        """The levels of the look after so many seeds, as `alpha` and `alpha_excluded` of `decide.judge`."""
        place = self.looks.index(seeds)
        return {"alpha": self.alphas[place], "alpha_excluded": self.alphas_excluded[place]}

    def describe(self) -> str:
        """Such as ``looks after 5, 10 and 20 seeds per arm``."""
        *first, last = map(str, self.looks)
        if not first:
            return f"one look after {last} seeds per arm"
        return f"looks after {', '.join(first)} and {last} seeds per arm"


class JudgeAt(Protocol):
    """Judges the first `seeds` runs of both arms at the levels of a look; see `decide.judge`."""

    def __call__(self, seeds: int, *, alpha: float, alpha_excluded: float) -> Verdict:
        """The verdict at these levels."""


@dataclass(frozen=True)
class Look:
    """One look of a design.

    Attributes:
        seeds: Runs per arm.
        alpha: Two-sided nominal level of its tests and intervals.
        alpha_excluded: Level of the interval that is to exclude the worthwhile reduction.
        verdict: The verdict at these levels.
    """

    seeds: int
    alpha: float
    alpha_excluded: float
    verdict: Verdict

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
        """The verdict of the last look. Its intervals have the confidence 1 - alpha of that look.

        They are repeated confidence intervals: those of all looks together contain the truth with probability
        1 - `Design.alpha`, whatever the rule of stopping (Jennison and Turnbull 1989, J R Stat Soc B 51:305).
        """
        return self.looks[-1].verdict

    @property
    def decided(self) -> bool:
        """Whether the last look decided."""
        return self.looks[-1].decided


def plan_looks(
    max_seeds: int = MAX_SEEDS,
    *,
    horizon: int | None = None,
    alpha: float = ALPHA,
    alpha_excluded: float = ALPHA_EXCLUDED,
) -> Design:
    """Plan looks after 5, 10, 15, 20, 30, 40, ... seeds per arm.

    Tests have levels of the O'Brien-Fleming type: hardly any early, nearly the whole level at the last look. The
    intervals that exclude the worthwhile reduction spend their level as Pocock's boundary does, more evenly, because
    a treatment that is not worth its price is to be recognised early.

    Args:
        max_seeds: Most seeds per arm, 2 or more.
        horizon: Seeds per arm of the last look, if fewer than `max_seeds`. A closer horizon makes early looks less
            strict.
        alpha: Two-sided level of the tests of all looks together.
        alpha_excluded: Two-sided level of all intervals that exclude the worthwhile reduction.

    Raises:
        BadInput: Fewer than 2 seeds.

    Source: Lan and DeMets (1983), Biometrika 70:659, both spending functions.
    """
    last = min(max_seeds, horizon or max_seeds)
    if last < 2:
        raise BadInput(f"A design needs at least 2 seeds per arm; got {last}.", fix="--max-seeds 40")
    looks = (*(seeds for seeds in LADDER if seeds * LEAST_STEP <= last), last)
    shares = np.array(looks) / last
    tests = nominal_levels(shares, spend_obrien_fleming(shares, alpha), sides=2)
    excluded = nominal_levels(shares, spend_pocock(shares, alpha_excluded / 2), sides=1)
    return Design(
        looks=looks,
        alphas=tests,
        alphas_excluded=tuple(2 * level for level in excluded),
        alpha=alpha,
        max_seeds=max_seeds,
    )


def decide_in_looks(
    design: Design, judge_at: JudgeAt, *, after_look: Callable[[Look], None] = lambda _: None
) -> Decision:
    """Look at the arms until the word is something other than *cannot tell*, or the design has no more looks.

    Args:
        design: The looks and their levels.
        judge_at: Judges the arms; called once per look, with rising numbers of seeds. A stage trains the missing runs
            here.
        after_look: Called after each look.
    """
    looks: list[Look] = []
    for seeds in design.looks:
        levels = design.levels_at(seeds)
        looks.append(Look(seeds=seeds, verdict=judge_at(seeds, **levels), **levels))
        after_look(looks[-1])
        if looks[-1].decided:
            break
    return Decision(design, tuple(looks))


def spend_obrien_fleming(shares: FloatArray, alpha: float) -> FloatArray:
    """Level spent up to each share t of the information, float64, for a two-sided test: 2 - 2 Phi(z / sqrt t)."""
    from scipy.stats import norm

    spent: FloatArray = 2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(shares))
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
