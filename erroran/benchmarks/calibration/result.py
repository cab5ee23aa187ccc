"""What a calibration measured: the content of ``reports/calibration/calibration.json``. All intervals are 95 %."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from erroran.results import Result

FALSE_CLAIMS: Final = (0.05, 0.08)
"""Largest share of false claims, and the largest upper limit of its interval."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Part):
    """How much is judged."""

    sizes: tuple[int, ...] = (2, 3, 5, 10)  # seeds per arm in the A/A comparisons
    draws: int = 80  # comparisons per pool of convolutional networks and design; a world of dense ones gets a half
    planted_sizes: tuple[int, ...] = (5, 10, 20)
    mining_runs: int = 3
    worst: int = 5  # the cell is one of so many worst ones
    power_sizes: tuple[int, ...] = (5, 10)
    power_runs: int = 5  # runs that a plan is made from
    plans: int = 18  # per pool; those that tuned something get a third
    power_draws: int = 8  # comparisons per plan and number of seeds
    power_simulations: int = 60  # of the endpoint per plan
    power_judged: int = 10  # simulations of the whole verdict per plan
    repair_draws: int = 1000
    half_draws: int = 200
    same_time: int = 40  # comparisons per design out of fold
    both_ways: int = 240  # data sets per number of seeds
    coverage: int = 300  # data sets per row
    falls: int = 2000  # repetitions of the simulated fall of a worst cell
    max_seeds: int = 40  # of sequential designs, where the pool has enough runs


QUICK: Final = Settings(
    sizes=(2,), draws=8, planted_sizes=(5,), power_sizes=(5,), plans=1, power_draws=2, power_simulations=8,
    power_judged=4, repair_draws=4, half_draws=4, same_time=2, both_ways=2, coverage=10, falls=50, max_seeds=10,
)  # fmt: skip


class Made(_Part):
    """How the numbers were made; `pools` is the record of each pool, by name."""

    command: str
    seconds: float
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]
    settings: Settings
    pools: dict[str, dict[str, object]]


class Measured(_Part):
    """One measured value with its interval.

    Attributes:
        question: Key of `QUESTIONS`.
        data: What was judged, in words.
        design: Seeds per arm, or the kind of simulation.
        value: A share in [0, 1], a difference of shares, or a number of seeds.
        low: Lower end of its interval, None without one; `high` the upper.
        n: Comparisons; `n_effective` independent ones with the same information.
        held_out: Whether the data tuned nothing; None for simulations.
        judged: Whether the requirement is about this value; if not, it is a part of one that is judged.
        details: Other numbers, by name.
    """

    question: str
    data: str
    design: str
    value: float
    low: float | None
    high: float | None
    n: int
    n_effective: float
    held_out: bool | None = None
    judged: bool = True
    details: dict[str, float] = {}

    @property
    def met(self) -> bool | None:
        """Whether the requirement is met; None if there is none for this value."""
        return QUESTIONS[self.question].met(self) if self.judged else None


@dataclass(frozen=True)
class Question:
    """What is asked, what is required, and whether a value is as required."""

    title: str
    required: str
    met: Callable[[Measured], bool | None]
    unit: str = "share"


def _few_claims(found: Measured) -> bool:
    most, limit = FALSE_CLAIMS
    return found.value <= most and found.high is not None and found.high <= limit


def _covers(found: Measured) -> bool:
    """Whether the share is in the range, and no single setting is significantly outside."""
    return 0.93 <= found.value <= 0.97 and found.details["rows below"] == found.details["rows above"] == 0


def _at_least(least: float) -> Callable[[Measured], bool]:
    return lambda found: found.value >= least


def _within(low: float, high: float) -> Callable[[Measured], bool]:
    """Whether the interval lies inside these ends."""
    return lambda found: low <= (-math.inf if found.low is None else found.low) and (found.high or math.inf) <= high


_FALSE = "at most 5 %, upper limit 8 %"
QUESTIONS: Final = {
    "aa": Question("Nothing was changed (A/A): *improved*, *harmed* or *traded*", _FALSE, _few_claims),
    "aa looks": Question("A/A, the whole sequential procedure: the same words", _FALSE, _few_claims),
    "worthwhile": Question(
        "*Not worthwhile* (or *equivalent*) although the true reduction is the worthwhile one", _FALSE, _few_claims
    ),
    "worthwhile looks": Question(
        "*Not worthwhile* (or *equivalent*) wrongly, the whole sequential procedure", _FALSE, _few_claims
    ),
    "both ways": Question(
        "Images move both ways, no change of the population: claims", "at most 6 %", lambda found: found.value <= 0.06
    ),
    "power": Question(
        "Power found minus promised, cells with 2 to 20 errors per run",
        "95 % interval inside ±12 points",
        _within(-0.12, 0.12),
        "points",
    ),
    "coverage": Question("Coverage of the 95 % intervals, settings like real runs", "93 to 97 %", _covers),
    "repair": Question(
        "A real repair on MNIST: 5 % of the 4s no longer labelled 9, found", "at least 75 %", _at_least(0.75)
    ),
    "half seeds": Question(
        "Half of 4→9 repaired on MNIST, in looks: median seeds per arm",
        "at most 10",
        lambda found: found.value <= 10,
        "seeds",
    ),
    "half decided": Question(
        "Half of 4→9 repaired on MNIST, in looks: decided by 20 seeds", "at least 85 %", _at_least(0.85)
    ),
    "half": Question("Half of 4→9 repaired on MNIST, same training time: found", "reported", lambda _: None),
}


class Naive(_Part):
    """The usual way on one kind of data, over all ordered pairs of runs; shares in [0, 1].

    Attributes:
        data: Which runs.
        improved: Fewer errors in the retrained run; `worse` more.
        mcnemar: McNemar's mid-p test significant.
        change: Mean relative change of the worst cell, mean over the pools.
        before: Errors of the worst cell when it was chosen; `after` after retraining.
    """

    data: str
    improved: float
    worse: float
    mcnemar: float
    change: float
    before: float
    after: float
    n: int


class CalibrationResult(Result):
    """Everything that was measured; `facts` are numbers by name."""

    made: Made
    measured: list[Measured]
    naive: list[Naive]
    facts: dict[str, float]

    def of(self, *questions: str, judged: bool | None = None) -> list[Measured]:
        """The values of some questions, all or only those judged or not."""
        return [row for row in self.measured if row.question in questions and judged in (None, row.judged)]
