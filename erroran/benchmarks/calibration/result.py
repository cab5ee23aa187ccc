"""What a calibration measured: the content of ``reports/calibration/calibration.json``. All intervals are 95 %."""

from collections.abc import Callable
from typing import Final

from pydantic import BaseModel, ConfigDict

from erroran.results import Result
from erroran.verdict.replay import Share

ALLOWED_CLAIMS: Final = 0.05
ALLOWED_COVERAGE: Final = (0.93, 0.97)
IN_PROPORTION: Final = "in proportion"
ONE_BY_ONE: Final = "one by one"
BOTH_WAYS: Final = "both ways"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # files of earlier versions hold more


class Settings(_Part):
    """How much is trained and judged."""

    n_worlds: int = 12
    train_sizes: tuple[int, ...] = (1000, 2000, 3000)  # training images of a world, used in turn
    pool: int = 50  # networks per world without any change
    planted_pool: int = 20  # networks per world and share of wrong labels
    # Shares of class a's training labels changed to b: the last is the arm before, the others and 0 the arms after.
    planted: tuple[float, ...] = (0.08, 0.16, 0.3)
    seeds: tuple[int, ...] = (3, 5, 10)  # runs per arm in the A/A comparisons
    draws: int = 50  # A/A comparisons per world and number of seeds
    power_seeds: tuple[int, ...] = (3, 5, 8)  # runs per arm in the planted comparisons
    plans: int = 6  # per world and share of wrong labels
    judged: int = 4  # comparisons per plan and number of seeds
    simulations: int = 100  # per planned power
    coverage: int = 5000  # data sets per required row of the coverage table; the other rows get a tenth
    falls: int = 2000  # repetitions of the simulated fall of a worst cell
    mining_runs: int = 3
    # First worlds, on which the use of run-to-run variation was chosen; the others are held out from that.
    tuned_on: int = 6
    uneven_sd: float = 1.0  # logits by which images move in simulations of BOTH_WAYS

    @property
    def sizes(self) -> list[int]:
        """Those of `seeds` for which a world has enough networks."""
        return [n for n in self.seeds if self.pool >= self.mining_runs + 2 * n]


QUICK: Final = Settings(
    n_worlds=2, train_sizes=(300,), pool=14, planted_pool=9, planted=(0.2, 0.5), seeds=(3, 5), draws=3,
    power_seeds=(3,), plans=2, judged=2, simulations=20, coverage=40, falls=100,
)  # fmt: skip


class Made(_Part):
    """How the numbers were made; `prior` is mean and sd of the run-to-run variance, in logits squared."""

    command: str
    seconds: float
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]
    dataset: str
    settings: Settings
    prior: tuple[float, float] = (1.0, 0.5)


class Mean(_Part):
    """Mean over worlds with its interval, None with a single world."""

    mean: float
    low: float | None
    high: float | None


class Rate(_Part):
    """Share of independent simulations with its interval, in [0, 1]."""

    share: float
    low: float
    high: float


class WorldSummary(_Part):
    """One world: numbers of images and networks, their mean accuracy and errors on `confirm`, and the planted pair.

    Run-to-run variation: `run_sd` is a relative sd of a cell's count, `shift_sd` the sd of a run's shift in logits.
    """

    train: int
    mine: int
    confirm: int
    networks: int
    accuracy: float
    errors: float
    run_sd: float
    shift_sd: float
    pair: str


class Claims(_Part):
    """Shares of A/A comparisons: the verdict's words (`claims`: improved or harmed), and significant tests.

    `primary` is the primary test, `plain` the same without correction for run-to-run variation; `distinct` comparisons
    share no run. `no_test` and `without_gate`, here and in `Planted` `refused`, are of an earlier version, in which a
    check could refuse to test.
    """

    improved: Share
    harmed: Share
    claims: Share
    primary: Share
    cannot_tell: Share
    plain: Share
    errors_per_run: float
    distinct: int
    no_test: Share | None = None
    without_gate: Share | None = None


class AA(Claims):
    """A/A comparisons of one size; the cell was chosen on `mine`.

    In `same_images` the cell was chosen on `confirm` by other networks than those compared, in `reused` by the same
    networks. `held_out` are the claims in worlds on which nothing was tuned, by ``fresh`` and ``same_images``.
    """

    seeds: int
    same_images: Claims
    reused: Claims
    held_out: dict[str, Share]


class Naive(_Part):
    """The usual way, over all ordered pairs of networks: fewer errors, more errors, McNemar's test significant."""

    improved: Share
    worse: Share
    mcnemar: Share
    mean_change: Mean
    elsewhere_per_run: Mean
    before: float
    after: float


class Planted(_Part):
    """Planted effects of one size, with one number of seeds.

    Plans assumed `errors_expected` and `swing_planned` (run-to-run variation in logits); `errors_before` and
    `swing_true` are the values of all networks. `promised` is the planned power, `knowing` the planned power with known
    rates and variation, `found` the share of comparisons in which the primary test found fewer errors; `difference` is
    found - promised, `difference_knowing` found - knowing.
    """

    relabelled_before: float
    relabelled_after: float
    seeds: int
    worlds: int
    comparisons: int
    planted_first: float
    reduction: float
    errors_before: float
    errors_expected: float
    shrink: float
    swing_planned: float
    swing_true: float
    promised: Mean
    found: Mean
    verdict_improved: Mean
    knowing: Mean
    difference: Mean
    held_out: Mean | None
    difference_knowing: Mean
    per_world: dict[str, list[float]]
    refused: float | None = None
    without_gate: float | None = None


class Simulated(_Part):
    """A setting of the coverage table.

    Between the arms all error rates are multiplied by `factor` (`IN_PROPORTION`), the error rate of each image drops to
    0 with probability 1 - `factor` (`ONE_BY_ONE`), or the log-odds of each image change by a random amount of either
    sign (`BOTH_WAYS`). `shift_sd` is the run-to-run variation in logits; `errors_per_run` are those before, in the
    judged cell.
    """

    shift_sd: float
    errors_per_run: int
    factor: float
    seeds: int
    how: str


class Coverage(Simulated):
    """How often the 95 % interval contains the true change, over `n` simulated data sets.

    Required in realistic settings: runs vary, at least 3 errors per run, images change in one direction.
    """

    required: bool
    true_change: float
    n: int
    difference: Rate
    ratio: Rate


class CalibrationResult(Result):
    """Everything that was measured; `swings` and `facts` are numbers by name."""

    made: Made
    worlds: list[WorldSummary]
    swings: dict[str, dict[str, float]]
    aa: list[AA]
    naive: Naive
    planted: list[Planted]
    coverage: list[Coverage]
    facts: dict[str, int | float | dict[str, Mean]]

    @property
    def claims_met(self) -> bool:
        """Whether no kind of A/A comparison has too many false claims."""
        return all(some.claims.share <= ALLOWED_CLAIMS for row in self.aa for some in (row, row.same_images))

    @property
    def power_off(self) -> list[Planted]:
        """Rows whose power found differs from the planned one by more than sampling error."""
        ends = ((row, row.difference.low, row.difference.high) for row in self.planted)
        return [row for row, low, high in ends if low is not None and high is not None and not low <= 0 <= high]

    def covered(self, chosen: Callable[[Coverage], bool]) -> dict[str, float]:
        """Sum up rows of the coverage table: how many, how many are as required, and their range."""
        shares = [row.difference.share for row in self.coverage if chosen(row)]
        low, high = ALLOWED_COVERAGE
        inside = sum(low <= share <= high for share in shares)
        ends = {"low": min(shares, default=1.0), "high": max(shares, default=0.0)}
        return {"rows": len(shares), "inside": inside, **ends}
