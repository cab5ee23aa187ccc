"""An offline lesson of five minutes: why a treatment that changes nothing seems to work, and how to judge it."""

from collections.abc import Callable

import numpy as np
from pydantic import Field

from erroran.data import load_dataset
from erroran.execution.driver import Completed, Request, complete_runs
from erroran.execution.task import Executor
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.results import Result
from erroran.store import Store, environment
from erroran.store.evidence import gather
from erroran.store.ledger import Entry
from erroran.store.records import RunRecord
from erroran.training.fit import Progress
from erroran.verdict.replay import NaiveReplay, replay_naive, replay_protocol
from erroran.verdict.table import HARMED, IMPROVED

MODEL = "cnn"
RECIPE = Recipe(name="teach", epochs=8, batch_size=32, learning_rate=2e-3, schedule="one-cycle")
"""A few seconds per run, and about as few errors as networks in use make."""
MINE_FRACTION = 0.3
"""There are few digits: the usual tenth of them would have hardly any errors to mine."""
MINING_RUNS = 3
SEEDS_PER_ARM = 5


class NaiveLesson(Result):
    """Act 1: each run's worst cell, counted again in every other run.

    Attributes:
        pairs_of_runs: Number of ordered pairs of runs.
        improved: Share of the pairs with fewer errors after; `worse` with more.
        mean_change: All errors after over all errors before, minus 1.
        elsewhere: Mean change of the errors in all other cells, per run.
        cells: The worst cell of each run, as in ``4 read as 9``.
        counts: Entry [i][j] counts the errors of run j in run i's worst cell.
        all_errors: Errors of each run.
    """

    pairs_of_runs: int
    improved: float
    worse: float
    mean_change: float
    elsewhere: float
    cells: list[str]
    counts: list[list[int]]
    all_errors: list[int]


class JudgedComparison(Result):
    """One comparison of act 2: the cell, the verdict's word, errors per run of both arms, and the primary test."""

    cell: str
    word: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    method: str


class ProtocolLesson(Result):
    """Act 2: comparisons of runs with runs under erroran's protocol.

    Attributes:
        comparisons: Number of comparisons.
        claims: Number of verdicts "improved" or "harmed"; every one is false.
        mining_runs: Number of runs that choose the cell.
    """

    comparisons: int
    claims: int
    mining_runs: int
    seeds_per_arm: int
    verdicts: list[JudgedComparison]


class LessonResult(Result):
    """What the lesson found.

    Attributes:
        accuracy: Accuracy of each run on `confirm`, the test images.
        test_images: Number of images of `confirm`; `mined_images` of `mine`.
        replay: The comparisons of act 1.
        completed: The runs, and which of them were trained by this call.
    """

    dataset: str
    seeds: list[int]
    accuracy: list[float]
    test_images: int
    mined_images: int
    naive: NaiveLesson
    protocol: ProtocolLesson
    replay: NaiveReplay = Field(exclude=True)
    completed: Completed = Field(exclude=True)


def teach(
    store: Store,
    *,
    n_runs: int = 16,
    n_draws: int = 200,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> LessonResult:
    """Train a network several times on scikit-learn's digits, and judge a placebo that changes nothing but the seed.

    The runs are stored like any others, so a second call trains nothing; they do not become the latest group. The look
    at `confirm` is entered in the ledger.

    Args:
        store: Where the runs are kept.
        n_runs: Number of runs, at least 13: 3 that mine, 5 before, 5 after.
        n_draws: Number of random comparisons under erroran's protocol.
        executor: See `complete_runs`.
        on_progress: Called often while training.
        on_finished: Called with each run that was trained.

    Raises:
        BadInput: Too few runs.
    """
    dataset = load_dataset("digits")
    store.put_dataset(dataset)
    template = {"dataset": dataset.digest, "mine_fraction": MINE_FRACTION, "model": MODEL, "recipe": RECIPE}
    template["environment"] = environment.current_environment(MODEL)
    specs = [RunSpec.model_validate({**template, "seed": seed}) for seed in range(n_runs)]
    requests = [Request("placebo", spec) for spec in specs]
    completed = complete_runs(store, requests, executor=executor, on_progress=on_progress, on_finished=on_finished)
    run_ids = [spec.id for spec in specs]
    look = Entry(kind="teach", dataset=dataset.digest, group=specs[0].group_id, seeds=tuple(range(n_runs)))
    mine, confirm = gather(store, run_ids, "mine"), gather(store, run_ids, "confirm", look=look)
    names = confirm.class_names
    naive = replay_naive(confirm.labels, confirm.predicted, len(names))
    replays = replay_protocol(
        (mine.labels, mine.predicted), (confirm.labels, confirm.predicted), len(names),
        n_seeds=SEEDS_PER_ARM, n_mining=MINING_RUNS, n_draws=n_draws, rng=np.random.default_rng(0),
    )  # fmt: skip

    def name(cell: Cell) -> str:
        return Endpoint.FORWARD.describe(names[cell[0]], names[cell[1]])

    return LessonResult(
        dataset=dataset.name,
        seeds=confirm.seeds,
        accuracy=[record.accuracy_confirm for record in completed.records],
        test_images=len(confirm.labels),
        mined_images=len(mine.labels),
        naive=NaiveLesson(
            pairs_of_runs=len(naive.pairs),
            improved=float((naive.after < naive.before).mean()),
            worse=float((naive.after > naive.before).mean()),
            mean_change=naive.mean_change,
            elsewhere=naive.elsewhere,
            cells=[name(cell) for cell in naive.cells],
            counts=naive.counts.tolist(),
            all_errors=(confirm.predicted != confirm.labels).sum(axis=1).tolist(),
        ),
        protocol=ProtocolLesson(
            comparisons=len(replays),
            claims=sum(replay.word in (IMPROVED, HARMED) for replay in replays),
            mining_runs=MINING_RUNS,
            seeds_per_arm=SEEDS_PER_ARM,
            verdicts=[
                JudgedComparison(cell=name(r.cell), word=r.word, before=r.before, after=r.after, method=r.method)
                for r in replays
            ],
        ),
        replay=naive,
        completed=completed,
    )
