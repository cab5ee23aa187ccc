"""What a calibration measured: the content of ``reports/calibration/calibration.json``."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from erroran.results import Result
from erroran.verdict.replay import Share

ALLOWED_CLAIMS = 0.05
"""False claims allowed in A/A comparisons: the level of the verdict's test."""
ALLOWED_COVERAGE = (0.93, 0.97)
"""Coverage required of a 95 % interval in settings like real runs."""
BOTH_WAYS = "both ways"
"""Value of `Coverage.how`: each image's log-odds of an error move by its own amount, up or down."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # files of earlier versions hold more


class Settings(_Part):
    """How much is trained and judged.

    Attributes:
        n_worlds: Worlds.
        train_sizes: Training images of a world, used in turn.
        pool: Networks per world without any change.
        planted_pool: Networks per world and share of wrong labels.
        planted: Shares of class a's training labels that are changed to b, rising: the last is the arm before, the
            others and 0 are the arms after, a repair in part or in whole.
        seeds: Runs per arm in the A/A comparisons.
        draws: A/A comparisons per world and number of seeds.
        power_seeds: Runs per arm in the planted comparisons.
        plans: Plans per world and share of wrong labels.
        judged: Comparisons per plan and number of seeds.
        simulations: Simulated experiments per planned power.
        coverage: Simulated data sets per required row of the coverage table; the other rows get a tenth.
        falls: Repetitions of the simulated fall of a worst cell.
        mining_runs: Networks that choose the cell.
        tuned_on: First worlds, on which the use of run-to-run variation (estimate, weights, how a repair moves error
            rates) was chosen; the others are held out from that.
        uneven_sd: Sd, in logits, by which images move in simulations of `BOTH_WAYS`.
    """

    n_worlds: int = 12
    train_sizes: tuple[int, ...] = (1000, 2000, 3000)
    pool: int = 50
    planted_pool: int = 20
    planted: tuple[float, ...] = (0.08, 0.16, 0.3)
    seeds: tuple[int, ...] = (3, 5, 10)
    draws: int = 50
    power_seeds: tuple[int, ...] = (3, 5, 8)
    plans: int = 6
    judged: int = 4
    simulations: int = 100
    coverage: int = 5000
    falls: int = 2000
    mining_runs: int = 3
    tuned_on: int = 6
    uneven_sd: float = 1.0


QUICK = Settings(
    n_worlds=2, train_sizes=(300,), pool=14, planted_pool=9, planted=(0.2, 0.5), seeds=(3, 5), draws=3,
    power_seeds=(3,), plans=2, judged=2, simulations=20, coverage=40, falls=100,
)  # fmt: skip
"""A few networks only, to see that it works."""


class Made(_Part):
    """How the numbers were made.

    Attributes:
        command: The command line.
        seconds: Wall-clock time.
        versions: Package to version.
        commit: Of the checkout, None for an installed package.
        machine: Platform, number of CPUs.
        dataset: Its name.
        settings: How much was trained and judged.
        prior: Mean and sd of the prior of the run-to-run variance, in logits squared, that the verdicts used.
    """

    command: str
    seconds: float
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]
    dataset: str
    settings: Settings
    prior: tuple[float, float] = (1.0, 0.5)


class Mean(_Part):
    """Mean over worlds with its 95 % interval, None with a single world."""

    mean: float
    low: float | None
    high: float | None

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the interval."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


class Rate(_Part):
    """Share of independent simulations with its 95 % interval, in [0, 1]."""

    share: float
    low: float
    high: float


class WorldSummary(_Part):
    """One world.

    Attributes:
        train: Training images; `mine` and `confirm` likewise.
        networks: Networks trained.
        accuracy: Mean accuracy on `confirm` of the networks without a change.
        errors: Their mean number of errors there.
        run_sd: Run-to-run variation as a relative sd of a cell's count.
        shift_sd: The same as the sd of a run's shift of a cell's border, in logits.
        pair: Where an effect is planted.
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


class Swing(_Part):
    """Run-to-run variation of a kind of cells, as `WorldSummary.run_sd` and `WorldSummary.shift_sd`."""

    relative: float
    logits: float


class Claims(_Part):
    """Verdicts of A/A comparisons.

    Attributes:
        improved: Share of verdicts "improved"; `harmed`, `claims` (either of them) and `cannot_tell` likewise.
        primary: Share in which the primary test is significant.
        plain: The same without its correction for run-to-run variation.
        errors_per_run: Mean errors per run before.
        distinct: Comparisons that share no run.
        no_test: Share of comparisons without a test, and `without_gate` the claims if there had been one: of an earlier
            version, in which a check could refuse to test.
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

    Attributes:
        seeds: Runs per arm.
        same_images: The cell was chosen on `confirm`, by other networks than those compared.
        reused: The cell was chosen on the runs and images that judge it.
        held_out: Claims in the worlds after `Settings.tuned_on`, of the first two ways (``fresh``, ``same_images``);
            empty without such worlds.
    """

    seeds: int
    same_images: Claims
    reused: Claims
    held_out: dict[str, Share]


class Naive(_Part):
    """The usual way: worst cell of one network, one retraining, the same images. Over all ordered pairs of networks.

    Attributes:
        improved: Share with fewer errors after; `worse` with more.
        mcnemar: Share in which McNemar's mid-p test is significant.
        mean_change: Relative change of the worst cell.
        elsewhere_per_run: Change of all other errors, per run.
        before: Mean errors in the cell before, and `after`.
    """

    improved: Share
    worse: Share
    mcnemar: Share
    mean_change: Mean
    elsewhere_per_run: Mean
    before: float
    after: float


class Planted(_Part):
    """Planted effects of one size, judged with one number of seeds.

    Attributes:
        relabelled_before: Share of class a's labels that are b in the arm before; `relabelled_after` in the arm after.
        seeds: Runs per arm.
        worlds: Worlds in which mining ranked the planted pair first at least once.
        comparisons: Comparisons judged.
        planted_first: Share of minings that ranked the planted pair first.
        reduction: True reduction, over all networks and images.
        errors_before: True errors per run before; `errors_expected` those that plans started from.
        shrink: Mean of `plan.selection_shrink`.
        swing_planned: Mean run-to-run variation that plans assumed, in logits; `swing_true` over all networks.
        promised: Planned power.
        found: Share in which the primary test found fewer errors.
        verdict_improved: Share of verdicts "improved".
        knowing: Planned power if rates and variation are known from all networks and images.
        difference: found - promised; `difference_knowing` is found - knowing.
        held_out: The difference in the worlds after `Settings.tuned_on`; None without such worlds.
        per_world: The values of each world behind ``promised``, ``found`` and ``knowing``.
        refused: As `Claims.no_test`; `without_gate` as there.
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


class Coverage(_Part):
    """How often the 95 % interval contains the truth in one simulated setting.

    Attributes:
        shift_sd: Run-to-run variation, in logits.
        errors_per_run: Expected errors per run of the judged cell before.
        factor: True ratio of the arms, but for `BOTH_WAYS`.
        seeds: Runs per arm.
        how: How images move from the arm before to the arm after.
        required: Whether `ALLOWED_COVERAGE` is required here.
        true_change: True relative change.
        n: Simulated data sets.
        difference: Coverage of the interval of the difference; `ratio` of that of the relative change.
    """

    shift_sd: float
    errors_per_run: int
    factor: float
    seeds: int
    how: str
    required: bool
    true_change: float
    n: int
    difference: Rate
    ratio: Rate

    @property
    def setting(self) -> tuple[object, ...]:
        """All that is simulated but the run-to-run variation."""
        return self.how, self.errors_per_run, self.factor, self.seeds


class Facts(_Part):
    """Facts about tests that the documents quote, and the fall of a worst cell without any change (`falls`)."""

    mcnemar_exact: int
    mcnemar_midp: int
    permute_3: float
    signflip_3: float
    permute_4: float
    permute_5: float
    lone_p: float
    lone_q: float
    lone_midp: int
    lone_exact: int
    falls: dict[str, Mean]


class CalibrationResult(Result):
    """Everything that was measured."""

    made: Made
    worlds: list[WorldSummary]
    swings: dict[str, Swing]
    aa: list[AA]
    naive: Naive
    planted: list[Planted]
    coverage: list[Coverage]
    facts: Facts

    @property
    def claims_met(self) -> bool:
        """Whether no kind of A/A comparison has too many false claims."""
        return all(some.claims.share <= ALLOWED_CLAIMS for row in self.aa for some in (row, row.same_images))

    @property
    def power_off(self) -> list[Planted]:
        """Rows whose power found differs from the planned one by more than sampling error."""
        return [row for row in self.planted if not row.difference.holds_zero]

    def covered(self, true: Callable[[Coverage], bool]) -> dict[str, float]:
        """Sum up rows of the coverage table: how many there are and lie within `ALLOWED_COVERAGE`, and their range."""
        shares = [row.difference.share for row in self.coverage if true(row)]
        inside = sum(ALLOWED_COVERAGE[0] <= share <= ALLOWED_COVERAGE[1] for share in shares)
        return {"rows": len(shares), "inside": inside, "low": min(shares), "high": max(shares)}
