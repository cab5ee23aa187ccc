"""Comparisons of real runs whose true difference is known: nothing was changed, or an effect was planted."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from erroran.benchmarks.calibration.plants import PLANTS
from erroran.benchmarks.calibration.pools import N_CLASSES, Pool
from erroran.benchmarks.calibration.result import Measured, Naive, Settings
from erroran.benchmarks.calibration.runner import Runner
from erroran.stats.confusion import Cell, IntArray, cell_errors, pair_errors
from erroran.stats.significance import mcnemar
from erroran.verdict.decide import judge
from erroran.verdict.replay import NaiveReplay, clustered_share, decide_runs, replay_naive, worst_cells
from erroran.verdict.sequential import Design, plan_looks
from erroran.verdict.table import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED, NOT_WORTHWHILE, TRADED, WORDS

CLAIMS: Final = (IMPROVED, HARMED, TRADED)
TOO_SMALL: Final = (NOT_WORTHWHILE, EQUIVALENT)
CONVOLUTIONAL: Final = "convolutional networks"
DENSE: Final = "dense networks"


@dataclass(frozen=True)
class Outcome:
    """One comparison.

    Attributes:
        pool: Name of the pool.
        cell: The judged cell.
        block: The set of runs that it used; sets of different numbers have no run in common.
        word: The verdict's word.
        seeds: Seeds per arm when it was decided, or at the end.
        errors: Errors of the cell per run before.
        plant: What was planted.
    """

    pool: str
    cell: Cell
    block: int
    word: str
    seeds: int
    errors: float
    plant: str = ""

    @property
    def confusion(self) -> tuple[str, int, int]:
        """The pair of classes, whose two cells are not independent."""
        return (self.pool, *sorted(self.cell))  # type: ignore[return-value]

    @property
    def runs(self) -> tuple[str, int]:
        """The set of runs."""
        return self.pool, self.block


def is_convolutional(pool: Pool) -> bool:
    """Whether its networks are convolutional."""
    return "MLP" not in pool.about["model"]


def tuned(pool: Pool) -> bool:
    """Whether a number of erroran was chosen on this pool, or on a part of it."""
    return pool.name in TUNED_ON


TUNED_ON: Final = ("mnist-cnn", "mnist-mlp-1", "mnist-mlp-2", "mnist-mlp-3")
"""Pools on which priors were estimated and variants of the tests tried. All others tuned nothing."""


def draw_comparisons(
    pool: Pool, n_seeds: int, n_draws: int, settings: Settings, rng: np.random.Generator
) -> Iterator[tuple[int, Cell, IntArray, IntArray]]:
    """Draw comparisons of runs of one recipe: block, cell, and the runs of both arms.

    The runs are divided once into blocks of two arms, so that comparisons of different blocks share no run. A cell is
    mined by other runs, on a random half of the images to mine, and is one of the worst ones: a user works on one of
    the first of the list.
    """
    order = rng.permutation(pool.n_runs)
    n_blocks = max(1, (pool.n_runs - settings.mining_runs) // (2 * n_seeds))
    for k in range(n_draws):
        block = k % n_blocks
        chosen = rng.permutation(order[2 * n_seeds * block : 2 * n_seeds * (block + 1)])
        others = np.setdiff1d(order, chosen)
        mining = rng.permutation(others)[: settings.mining_runs]
        half = rng.random(pool.mine.labels.size) < 0.5
        ranked = worst_cells(pool.mine.labels[half], pool.mine.predicted[mining][:, half], N_CLASSES)
        cell = ranked[int(rng.integers(min(settings.worst, len(ranked))))]
        yield block, cell, chosen[:n_seeds], chosen[n_seeds:]


def most_seeds(pool: Pool, settings: Settings) -> int:
    """Seeds per arm of a sequential design that the pool has enough runs for."""
    return min(settings.max_seeds, (pool.n_runs - settings.mining_runs) // 2)


def compare_pool(
    pool: Pool, n_seeds: int | None, n_draws: int, settings: Settings, plant: str, seed: Sequence[int]
) -> list[Outcome]:
    """Compare runs of one recipe many times, the arm after with a planted effect (`plants.PLANTS`) or without.

    With `n_seeds` None the whole sequential procedure decides.
    """
    rng = np.random.default_rng(seed)
    looks = n_seeds is None
    size = most_seeds(pool, settings) if n_seeds is None else n_seeds
    design = plan_looks(size)
    split = pool.confirm
    found = []
    for block, cell, *arms in draw_comparisons(pool, size, n_draws, settings, rng):
        before, after = (split.predicted[arm] for arm in arms)
        errors = float(pair_errors(split.labels, split.predicted, cell).mean())
        if plant:
            if not errors:
                continue
            after = PLANTS[plant](split.labels, split.predicted, after, cell, rng)
        word, used = decide(split.labels, before, after, cell, None if not looks else design)
        found.append(Outcome(pool.name, cell, block, word, used, errors, plant))
    return found


def decide(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    cell: Cell,
    design: Design | None,
    *,
    at_most: int | None = None,
) -> tuple[str, int]:
    """The word, and the seeds per arm that it took; judged once without a design. See `replay.decide_runs`."""
    if design is None:
        return judge(labels, before, after, pair=cell, n_classes=N_CLASSES).word, len(before)
    decision = decide_runs(design, labels, before, after, pair=cell, n_classes=N_CLASSES, at_most=at_most)
    return decision.verdict.word, decision.seeds


def measure_claims(pools: Sequence[Pool], settings: Settings, run: Runner) -> list[Measured]:
    """How often a change is claimed where there is none, and how often a worthwhile one is excluded."""
    measured = []
    designs: list[tuple[str, int | None]] = [("aa", n) for n in settings.sizes]
    designs += [("aa looks", None), *(("worthwhile", n) for n in settings.planted_sizes), ("worthwhile looks", None)]
    jobs: list[tuple[Any, ...]] = []
    for at, (question, n_seeds) in enumerate(designs):
        plants = tuple(PLANTS) if question.startswith("worthwhile") else ("",)
        for k, pool in enumerate(pools):
            if pool.n_runs < 2 * (n_seeds or 5) + settings.mining_runs:
                continue
            n = -(-settings.draws // (len(plants) * (1 if is_convolutional(pool) else 2)))
            jobs += [(pool, n_seeds, n, settings, plant, (1, at, k, p)) for p, plant in enumerate(plants)]
    results = run(compare_pool, jobs)
    for question, n_seeds in designs:
        of_design = [
            outcome
            for job, outcomes in zip(jobs, results, strict=True)
            if job[1] == n_seeds and bool(job[4]) == question.startswith("worthwhile")
            for outcome in outcomes
        ]
        words = TOO_SMALL if question.startswith("worthwhile") else CLAIMS
        measured += _sum_up(question, n_seeds, of_design, pools, words)
    return measured


def _sum_up(
    question: str, n_seeds: int | None, outcomes: Sequence[Outcome], pools: Sequence[Pool], words: Sequence[str]
) -> list[Measured]:
    """Values of all convolutional pools, of all worlds of dense networks, of the data that tuned nothing, of parts."""
    conv = {pool.name for pool in pools if is_convolutional(pool)}
    free = {pool.name for pool in pools if not tuned(pool)}
    every = {pool.name for pool in pools}
    groups: dict[str, tuple[set[str], bool]] = {
        CONVOLUTIONAL: (conv, True),
        DENSE: (every - conv, True),
        "all that tuned nothing": (free, True),
        **{name: ({name}, False) for name in sorted(conv)},
    }
    design = "looks" if n_seeds is None else f"{n_seeds} v {n_seeds}"
    measured = []
    for data, (names, judged) in groups.items():
        chosen = [outcome for outcome in outcomes if outcome.pool in names]
        if chosen:
            row = measure_share(question, data, design, chosen, words)
            measured.append(row.model_copy(update={"judged": judged, "held_out": names <= free}))
    for plant in sorted({outcome.plant for outcome in outcomes} - {""}):
        chosen = [outcome for outcome in outcomes if outcome.plant == plant]
        measured.append(measure_share(question, plant, design, chosen, words).model_copy(update={"judged": False}))
    return measured


def measure_share(question: str, data: str, design: str, outcomes: Sequence[Outcome], words: Sequence[str]) -> Measured:
    """Share of comparisons with one of some words; cells and sets of runs are the clusters."""
    values = [float(outcome.word in words) for outcome in outcomes]
    clusters = [o.confusion for o in outcomes], [o.runs for o in outcomes]
    share = clustered_share(values, *clusters, strata=[o.pool for o in outcomes])
    details = {word: float(np.mean([o.word == word for o in outcomes])) for word in WORDS}
    details["errors per run"] = float(np.mean([o.errors for o in outcomes]))
    details["seeds"] = float(np.mean([o.seeds for o in outcomes]))
    details["cells"] = float(len({(o.pool, o.cell) for o in outcomes}))
    return Measured(
        question=question,
        data=data,
        design=design,
        value=share.share,
        low=share.low,
        high=share.high,
        n=share.n,
        n_effective=share.n_effective,
        details=details,
    )


# --- a real repair, and half of a cell


def measure_repair(baseline: Pool, relabelled: Pool, settings: Settings, run: Runner) -> list[Measured]:
    """Networks trained with 5 % of the 4s labelled 9 against networks without, 5 v 5, beside Welch's t-test.

    The interval is a jackknife over the runs of both pools, which for such means over subsets is on average too wide.

    Source: Efron and Stein (1981), Ann Stat 9, 586.
    """
    cell, n_seeds = (4, 9), 5
    jobs = [(baseline, relabelled, cell, n_seeds, part, (2, k)) for k, part in enumerate(_parts(settings.repair_draws))]
    drawn = [one for some in run(_judge_repairs, jobs) for one in some]
    sizes = relabelled.n_runs, baseline.n_runs
    used = [np.array([np.isin(np.arange(size), one[arm]) for one in drawn]) for arm, size in enumerate(sizes)]
    rates = [pair_errors(p.confirm.labels, p.confirm.predicted, cell).mean() for p in (relabelled, baseline)]
    rows = []
    for place, name in ((2, "verdict"), (3, "Welch's t-test of the counts")):
        share, low, high = jackknife_share(np.array([one[place] for one in drawn], dtype=float), used)
        rows.append(
            Measured(
                question="repair",
                data=name,
                design=f"{n_seeds} v {n_seeds}",
                value=share,
                low=low,
                high=high,
                n=len(drawn),
                n_effective=float(min(size // n_seeds for size in sizes)),
                held_out=False,
                judged=place == 2,
                details={"before": float(rates[0]), "after": float(rates[1])},
            )
        )
    return rows


def _judge_repairs(
    baseline: Pool, relabelled: Pool, cell: Cell, n_seeds: int, n: int, seed: Sequence[int]
) -> list[tuple[IntArray, IntArray, bool, bool]]:
    """Runs of both arms, whether the verdict is "improved", and whether Welch's t-test finds fewer errors."""
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(seed)
    found = []
    labels = baseline.confirm.labels
    for _ in range(n):
        chosen = [rng.permutation(pool.n_runs)[:n_seeds] for pool in (relabelled, baseline)]
        before, after = relabelled.confirm.predicted[chosen[0]], baseline.confirm.predicted[chosen[1]]
        counts = [pair_errors(labels, runs, cell) for runs in (before, after)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of an arm whose counts are all equal
            test = ttest_ind(*counts, equal_var=False)
        word, _ = decide(labels, before, after, cell, None)
        found.append((*chosen, word == IMPROVED, bool(test.pvalue < 0.05 and test.statistic > 0)))
    return found  # type: ignore[return-value]


def jackknife_share(values: np.ndarray, used: Sequence[np.ndarray]) -> tuple[float, float | None, float | None]:
    """Share and its interval on the scale of logits, for comparisons of random subsets of the runs of pools.

    Args:
        values: float64 (n,) in [0, 1].
        used: For each pool bool (n, S): which runs a comparison used. No interval if all used the same run.
    """
    share, variance = float(values.mean()), 0.0
    for table in used:
        if table.all(axis=0).any():
            return share, None, None
        without = np.array([values[~column].mean() for column in table.T])
        variance += float((len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum())
    inside = min(max(share, 0.5 / len(values)), 1 - 0.5 / len(values))
    half = 1.96 * variance**0.5 / (inside * (1 - inside))
    ends = np.log(inside / (1 - inside)) + np.array([-half, half])
    low, high = (1 / (1 + np.exp(-ends))).tolist()
    return share, low, high


def measure_half(pool: Pool, settings: Settings, run: Runner) -> list[Measured]:
    """Half of 4→9 repaired for good, decided in looks: median seeds per arm, and the share decided by 20.

    The interval of the median is that of the comparisons drawn; they share runs.
    """
    cell, most = (4, 9), min(20, pool.n_runs // 2)
    jobs = [(pool, cell, most, part, (3, k)) for k, part in enumerate(_parts(settings.half_draws))]
    drawn = [one for some in run(_decide_halves, jobs) for one in some]
    seeds = np.array([used if word != CANNOT_TELL else 2 * most for word, used, _ in drawn])
    used_runs = [np.array([np.isin(np.arange(pool.n_runs), rows) for _, _, rows in drawn])]
    share, low, high = jackknife_share((seeds <= most).astype(float), used_runs)
    resampled = np.random.default_rng(4).choice(seeds, (1000, seeds.size))
    ends = np.quantile(np.median(resampled, axis=1), [0.025, 0.975])
    details = {word: float(np.mean([one[0] == word for one in drawn])) for word in WORDS}
    details["errors per run"] = float(pair_errors(pool.confirm.labels, pool.confirm.predicted, cell).mean())
    median, *ends = map(float, (np.median(seeds), *ends))
    common = {"data": pool.name, "design": "looks", "n": len(drawn), "n_effective": 1.0, "held_out": False}
    return [
        Measured(question="half seeds", value=median, low=ends[0], high=ends[1], details=details, **common),
        Measured(question="half decided", value=share, low=low, high=high, details=details, **common),
    ]


def _decide_halves(pool: Pool, cell: Cell, most: int, n: int, seed: Sequence[int]) -> list[tuple[str, int, IntArray]]:
    rng = np.random.default_rng(seed)
    design = plan_looks()
    found: list[tuple[str, int, IntArray]] = []
    split = pool.confirm
    for _ in range(n):
        rows = rng.permutation(pool.n_runs)[: 2 * most]
        after = PLANTS["images repaired"](split.labels, split.predicted, split.predicted[rows[most:]], cell, rng)
        word, used = decide(split.labels, split.predicted[rows[:most]], after, cell, design, at_most=most)
        found.append((word, used, rows))
    return found


# --- the usual way


def measure_naive(pools: Mapping[str, Sequence[Pool]]) -> list[Naive]:
    """Judge in the usual way: worst cell of one run, one retraining, same images, fewer errors."""
    rows = []
    for data, some in pools.items():
        replays = [replay_naive(pool.confirm.labels, pool.confirm.predicted, N_CLASSES) for pool in some]
        changes = [(replay.after < replay.before, replay.after > replay.before) for replay in replays]
        rows.append(
            Naive(
                data=data,
                improved=float(np.mean([np.mean(down) for down, _ in changes])),
                worse=float(np.mean([np.mean(up) for _, up in changes])),
                mcnemar=float(np.mean([_mcnemar_claims(*one) for one in zip(some, replays, strict=True)])),
                change=float(np.mean([replay.mean_change for replay in replays])),
                before=float(np.mean([replay.before.mean() for replay in replays])),
                after=float(np.mean([replay.after.mean() for replay in replays])),
                n=sum(len(replay.pairs) for replay in replays),
            )
        )
    return rows


def _mcnemar_claims(pool: Pool, replay: NaiveReplay) -> float:
    """Share of ordered pairs of runs for which McNemar's mid-p test (see `significance.mcnemar`) is significant."""
    labels, predicted = pool.confirm.labels, pool.confirm.predicted
    claims = []
    for i, j in replay.pairs:
        was, now = cell_errors(labels, predicted[[i, j]], replay.cells[i])
        claims.append(mcnemar(int((was & ~now).sum()), int((now & ~was).sum())).p_midp < 0.05)
    return float(np.mean(claims))


def _parts(n: int, size: int = 50) -> list[int]:
    """`n` in parts of at most `size`."""
    return [min(size, n - start) for start in range(0, n, size)]
