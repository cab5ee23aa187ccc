"""A lesson in five minutes, offline: a fix that changes nothing looks like a cure, until it is judged properly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from erroran.data import load_dataset
from erroran.execution.local import Completed, Request, complete_runs
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store import Store, environment
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import RunRecord
from erroran.training.fit import Progress
from erroran.verdict.decide import HARMED, IMPROVED
from erroran.verdict.replay import NaiveReplay, Replay, replay_naive, replay_protocol

RECIPE = Recipe(name="teach", epochs=8, batch_size=32, learning_rate=2e-3, schedule="one-cycle")
"""Short, and good enough: errors get rare, as in a network that somebody would use, in a few seconds a run."""

MINE_FRACTION = 0.3
"""The digits are few; a tenth of them would leave hardly an error to mine."""

MINING_RUNS = 3
SEEDS_PER_ARM = 5


@dataclass(frozen=True)
class Taught:
    """What the lesson found.

    Attributes:
        evidence: All runs on `confirm`, the test images.
        mined_images: Images of `mine`.
        completed: The runs, and which of them were trained just now.
        naive: Act 1: each run's worst cell, counted again in every other run.
        protocol: Act 2: comparisons of runs with runs under erroran's protocol.
    """

    evidence: Evidence
    mined_images: int
    completed: Completed
    naive: NaiveReplay
    protocol: tuple[Replay, ...]

    @property
    def claims(self) -> int:
        """Comparisons of act 2 whose verdict is "improved" or "harmed"; every one is false."""
        return sum(replay.word in (IMPROVED, HARMED) for replay in self.protocol)

    @property
    def seconds(self) -> float:
        """Training time of all runs, whenever they were trained."""
        return sum(record.seconds for record in self.completed.records)

    def cell_name(self, cell: tuple[int, int]) -> str:
        """A cell in words: ``4 read as 9``."""
        names = self.evidence.class_names
        return f"{names[cell[0]]} read as {names[cell[1]]}"

    def to_json(self) -> dict[str, object]:
        """Every number behind the report as JSON-ready data."""
        naive = self.naive
        return {
            "dataset": self.completed.records[0].dataset_name,
            "seeds": self.evidence.seeds,
            "accuracy": [record.accuracy_confirm for record in self.completed.records],
            "naive": {
                "pairs_of_runs": len(naive.before),
                "improved": naive.improved,
                "worse": naive.worse,
                "mean_change": naive.mean_change,
                "elsewhere": naive.elsewhere,
                "cells": [self.cell_name(cell) for cell in naive.cells],
                "counts": naive.counts.tolist(),
                "all_errors": naive.totals.tolist(),
            },
            "protocol": {
                "comparisons": len(self.protocol),
                "claims": self.claims,
                "mining_runs": MINING_RUNS,
                "seeds_per_arm": SEEDS_PER_ARM,
                "verdicts": [
                    {
                        "cell": self.cell_name(replay.cell),
                        "word": replay.word,
                        "before": replay.before,
                        "after": replay.after,
                        "method": replay.method,
                    }
                    for replay in self.protocol
                ],
            },
        }


def teach(
    store: Store,
    *,
    model: str = "cnn",
    n_runs: int = 16,
    n_draws: int = 200,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
    on_judged: Callable[[int], None] = lambda _: None,
) -> Taught:
    """Train the same network several times on scikit-learn's digits, and judge a fix that does nothing.

    The fix is a placebo: it changes the seed. The runs go into the store like any others, so a second call trains
    nothing. They do not become the latest group. The look at `confirm` is entered in the ledger.

    Args:
        store: Where runs go.
        model: Name of the architecture.
        n_runs: Runs, at least 13: 3 that mine, 5 before, 5 after.
        n_draws: Comparisons under erroran's protocol, drawn at random.
        jobs: Runs at a time.
        on_progress: Called often while training.
        on_finished: Called with each run that was trained.
        on_judged: Called with the number of comparisons done.

    Raises:
        BadInput: Too few runs.
    """
    dataset = load_dataset("digits")
    store.put_dataset(dataset)
    template = {
        "dataset": dataset.digest,
        "mine_fraction": MINE_FRACTION,
        "model": model,
        "recipe": RECIPE,
        "environment": environment.current_environment(model),
    }
    specs = [RunSpec.model_validate({**template, "seed": seed}) for seed in range(n_runs)]
    requests = [Request("placebo", spec) for spec in specs]
    completed = complete_runs(store, requests, jobs=jobs, on_progress=on_progress, on_finished=on_finished)
    run_ids = [spec.id for spec in specs]
    look = Entry(kind="teach", dataset=dataset.digest, group=specs[0].group_id, seeds=tuple(range(n_runs)))
    mine, confirm = gather(store, run_ids, "mine"), gather(store, run_ids, "confirm", look=look)
    n_classes = len(confirm.class_names)
    return Taught(
        evidence=confirm,
        mined_images=len(mine.labels),
        completed=completed,
        naive=replay_naive(confirm.labels, confirm.predicted, n_classes),
        protocol=tuple(
            replay_protocol(
                (mine.labels, mine.predicted),
                (confirm.labels, confirm.predicted),
                n_classes,
                n_seeds=SEEDS_PER_ARM,
                n_mining=MINING_RUNS,
                n_draws=n_draws,
                rng=np.random.default_rng(0),
                on_draw=on_judged,
            )
        ),
    )
