"""How often does a way of judging claim a change between runs whose true difference is known?

`replay_naive` judges in the usual way (worst cell of one confusion matrix, one retraining), `replay_protocol` in
erroran's, and `decide_runs` in its looks. `clustered_share` sums up such comparisons, which share runs and images.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput
from erroran.stats.confusion import Cell, FloatArray, IntArray, confusion_counts, pair_errors
from erroran.verdict.decide import Verdict, judge
from erroran.verdict.plan import replan
from erroran.verdict.sequential import Decision, Design, Levels, chance_to_decide, decide_in_looks


@dataclass(frozen=True)
class NaiveReplay:
    """Every run's worst cell, counted again in every other run on the same images.

    Attributes:
        cells: The worst cell of each of the S runs.
        counts: int64 (S, S): entry [i, j] counts the errors of run j in run i's worst cell.
    """

    cells: tuple[Cell, ...]
    counts: npt.NDArray[np.int64]

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The S (S - 1) ordered pairs of runs (i, j): the cell is chosen in i and counted again in j."""
        return list(permutations(range(len(self.cells)), 2))

    @property
    def before(self) -> npt.NDArray[np.int64]:
        """int64 (S (S - 1),): errors in the cell when it was chosen, in the order of `pairs`."""
        return np.repeat(np.diag(self.counts), len(self.cells) - 1)

    @property
    def after(self) -> npt.NDArray[np.int64]:
        """int64 (S (S - 1),): errors in the same cell after retraining, in the order of `pairs`."""
        return self.counts[~np.eye(len(self.cells), dtype=bool)]

    @property
    def relative(self) -> FloatArray:
        """float64 (S (S - 1),): after / before - 1."""
        change: FloatArray = self.after / self.before - 1.0
        return change

    @property
    def mean_change(self) -> float:
        """All errors after over all errors before, minus 1."""
        return float(self.after.sum() / self.before.sum()) - 1.0

    @property
    def elsewhere(self) -> float:
        """Mean change of the errors outside the chosen cell, in errors per run.

        Over all ordered pairs the errors of all cells together change by exactly 0, so this is minus the mean change
        inside the chosen cell.
        """
        return float((self.before - self.after).mean())

    def typical(self) -> tuple[int, int]:
        """The ordered pair whose relative change is the median of all; the first of equal ones."""
        middle = np.quantile(self.relative, 0.5, method="lower")
        return self.pairs[int((self.relative == middle).argmax())]


@dataclass(frozen=True)
class Replay:
    """One comparison under erroran's protocol.

    Attributes:
        cell: The cell that was judged.
        word: The verdict's word.
        method: The primary test.
        before: Errors per run in the cell, and `after`.
    """

    cell: Cell
    word: str
    method: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """A share with its interval, all in [0, 1].

    Attributes:
        share: Mean over all comparisons; its 95 % interval is `low` to `high`.
        n: Number of comparisons.
        n_effective: Number of independent comparisons with the same information.
    """

    share: float
    low: float
    high: float
    n: int
    n_effective: float


def worst_cell(labels: IntArray, pred: IntArray, n_classes: int) -> Cell:
    """The directed cell with most errors, all runs together; the first of equal ones.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        pred: Integer (S, N) or (N,).
        n_classes: Number of classes C.

    Raises:
        BadInput: No run makes an error; see also `confusion.check_runs`.
    """
    return worst_cells(labels, pred, n_classes)[0]


def worst_cells(labels: IntArray, pred: IntArray, n_classes: int) -> list[Cell]:
    """The directed cells with errors, those with most errors first; arguments and errors as in `worst_cell`."""
    counts = confusion_counts(labels, pred, n_classes).sum(axis=0)
    np.fill_diagonal(counts, 0)
    if not counts.any():
        raise BadInput("no run makes any error, so there is no worst cell", fix="use more images, or weaker models")
    order = np.argsort(-counts, axis=None, kind="stable")[: np.count_nonzero(counts)]
    return [divmod(place, n_classes) for place in order.tolist()]


def replay_naive(labels: IntArray, pred: IntArray, n_classes: int) -> NaiveReplay:
    """Take each run's worst cell and count it again in every other run; see `worst_cell` for the arguments."""
    cells = tuple(worst_cell(labels, run, n_classes) for run in pred)
    return NaiveReplay(cells, np.stack([pair_errors(labels, pred, cell) for cell in cells]))


def draw_runs(n_runs: int, sizes: Sequence[int], rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Draw disjoint sets of the given sizes from the indices of `n_runs` runs.

    Raises:
        BadInput: There are too few runs.
    """
    if sum(sizes) > n_runs:
        raise BadInput(f"{sum(sizes)} runs cannot be drawn from {n_runs}", fix="train more seeds")
    return np.split(rng.permutation(n_runs)[: sum(sizes)], np.cumsum(sizes)[:-1])


def replay_protocol(
    mine: tuple[IntArray, IntArray],
    confirm: tuple[IntArray, IntArray],
    n_classes: int,
    *,
    n_seeds: int,
    n_draws: int,
    rng: np.random.Generator,
    n_mining: int = 3,
) -> list[Replay]:
    """Compare runs of one recipe with each other, many times, under erroran's protocol.

    Each draw takes three disjoint sets of runs: one chooses the worst cell on `mine`; the other two are the arms, which
    are compared on `confirm`. Draws share runs, so they are not independent of each other.

    Args:
        mine: Labels (N,) and predictions (S, N) on the images for mining.
        confirm: The same runs, in the same order, on the images for judging.
        n_classes: Number of classes C.
        n_seeds: Runs per arm.
        n_draws: Number of comparisons.
        rng: Generator of the draws.
        n_mining: Runs that choose the cell.

    Raises:
        BadInput: The pool is too small, or the mining runs make no error.
    """
    labels, pred = confirm
    found = []
    for _ in range(n_draws):
        mining, before, after = draw_runs(len(pred), (n_mining, n_seeds, n_seeds), rng)
        cell = worst_cell(mine[0], mine[1][mining], n_classes)
        found.append(replay_once(labels, pred[before], pred[after], cell, n_classes))
    return found


def replay_once(labels: IntArray, before: IntArray, after: IntArray, cell: Cell, n_classes: int) -> Replay:
    """Judge one comparison of integer predictions (S, N) against labels (N,)."""
    verdict = judge(labels, before, after, pair=cell, n_classes=n_classes)
    counts = verdict.forward.before_per_seed, verdict.forward.after_per_seed
    return Replay(cell, verdict.word, verdict.primary.test.method, *counts)


def decide_runs(
    design: Design,
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    *,
    at_most: int | None = None,
    **options: Any,
) -> Decision:
    """The whole sequential procedure (`sequential`) on runs that are there already.

    Args:
        design: As registered; `plan.replan` chooses its last look again.
        labels: Integer (N,).
        before: Integer (S, N), predictions of at least as many runs as the last look needs.
        after: The same of the treatment.
        at_most: Later looks are not made, as if training broke off, where there are too few runs for them.
        options: `pair`, `n_classes` and others of `decide.judge`.

    Raises:
        BadInput: Too few runs.
    """
    asked = {key: options[key] for key in ("pair", "n_classes", "endpoint", "worthwhile_percent") if key in options}
    followed = replan(design, labels, before[: design.looks[0]], **asked).design
    made = followed if at_most is None else followed.until(at_most)
    if min(len(before), len(after)) < made.horizon:
        raise BadInput(
            f"The last look needs {made.horizon} runs per arm; there are {len(before)} and {len(after)}.",
            fix="more runs, or a closer horizon",
        )

    def judge_at(seeds: int, **levels: Unpack[Levels]) -> Verdict:
        return judge(labels, before[:seeds], after[:seeds], **levels, **options)

    return decide_in_looks(
        made, judge_at, chance_at=lambda verdict, seeds, _: chance_to_decide(verdict, seeds, followed)
    )


def clustered_share(
    outcomes: Sequence[float], *clusters: Sequence[Hashable], strata: Sequence[Hashable] | None = None
) -> Share:
    """A share with a 95 % interval, for comparisons that share runs or images.

    Args:
        outcomes: In [0, 1], one per comparison.
        clusters: One or two ways to divide the comparisons, each given as the cluster of every comparison. With one,
            comparisons of different clusters are independent. With two, such as cells and sets of runs, those that
            share neither are.
        strata: The stratum of every comparison, such as its pool: only differences between clusters of one stratum
            count, as the share is that of these strata. One with a single cluster shows no variance.

    The interval is Clopper and Pearson's for the effective number of comparisons. This number follows from the variance
    between clusters, reduced for few clusters; of the variances by either division and by both, the largest counts.
    Where all outcomes are equal, that variance is 0 and the number of clusters by both divisions is taken.

    Raises:
        BadInput: There is no comparison.

    Source: Korn and Graubard (1998), Survey Methodology 24, 193-201; two divisions: Cameron, Gelbach and Miller (2011),
    J Bus Econ Stat 29, 238-249.
    """
    from scipy.stats import t as student
    from statsmodels.stats.proportion import proportion_confint

    values = np.asarray(outcomes, dtype=float)
    n = values.size
    if n == 0:
        raise BadInput("no comparison, so no share", fix="draw at least one comparison")
    share = float(values.mean())
    groups = [0] * n if strata is None else strata
    off = np.empty(n)
    for stratum in set(groups):
        inside = np.array([group == stratum for group in groups])
        off[inside] = (values[inside] - values[inside].mean()) / n
    crossed = list(zip(*clusters, strict=True))
    single = [_between(off, given, groups) for given in clusters]
    both, free = _between(off, crossed, groups)
    options = [*single, (both, free)]
    if len(single) == 2:
        options.append((sum(variance for variance, _ in single) - both, min(each for _, each in single)))
    effective = float(len(set(crossed)))
    if 0 < share < 1:
        sizes = [
            share * (1 - share) / variance * float(student.ppf(0.975, n - 1) / student.ppf(0.975, df)) ** 2
            for variance, df in options
            if variance > 0 and df > 0
        ]
        effective = min((float(n), *sizes)) if sizes else effective
    low, high = proportion_confint(share * effective, effective, alpha=0.05, method="beta")
    # statsmodels gives nan for the ends at shares of 0 and 1.
    return Share(share, float(np.nan_to_num(low, nan=0.0)), float(np.nan_to_num(high, nan=1.0)), n, effective)


def _between(off: FloatArray, clusters: Sequence[Hashable], strata: Sequence[Hashable]) -> tuple[float, int]:
    """Variance of a mean from the sums of its terms `off` by cluster, within strata, and its degrees of freedom."""
    variance, df = 0.0, 0
    for stratum in set(strata):
        inside = [k for k, group in enumerate(strata) if group == stratum]
        names = {name: place for place, name in enumerate(dict.fromkeys(clusters[k] for k in inside))}
        sums = np.bincount([names[clusters[k]] for k in inside], off[inside])
        if len(sums) > 1:
            variance += float((sums**2).sum()) * len(sums) / (len(sums) - 1)
            df += len(sums) - 1
    return variance, df
