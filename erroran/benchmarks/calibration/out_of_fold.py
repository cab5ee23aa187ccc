"""Verdicts for the same training time on `confirm` and out of fold.

Out of fold each seed is K models, each judged on its own images. So few seeds judge many images. Few real runs out of
fold exist; verdicts on more of them are simulated from the runs of a pool: the images of each fold are drawn from
`confirm` with replacement, and each fold takes the runs in another random order, as its models are independent of those
of the other folds. `describe_folds` shows the same numbers of real runs out of fold.

::

    python -m erroran.benchmarks.calibration.pools store S mnist-cnn-folds --dataset mnist --folds 5
    python -m erroran.benchmarks.calibration.out_of_fold
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from erroran.benchmarks.calibration.pools import N_CLASSES, POOLS, Pool, Split, load_pool
from erroran.benchmarks.common import start_parser
from erroran.experiment.judging import CONFIRM, Judging
from erroran.results import Result
from erroran.stats.confusion import Cell, IntArray, cell_errors
from erroran.verdict.decide import judge
from erroran.verdict.table import HARMED, IMPROVED, TRADED, WORDS

CELL: Final = (4, 9)
MINE_FRACTION: Final = 0.1
SEEDS: Final = (2, 3, 4, 5)
"""Seeds per arm out of fold; on `confirm` as many as take the same training time."""


class SameTime(Result):
    """Verdicts of one design, where half of the misread images of `CELL` are repaired for good.

    Attributes:
        judging: As in `erroran intervene --judge`.
        seeds: Seeds per arm.
        training: Training time of an arm, in runs that are judged on `confirm`.
        words: Share of each word, in [0, 1].
        claims_without_change: Share of *improved*, *harmed* and *traded* where nothing is repaired.
        errors: Errors of a seed, mean.
        distinct: Images of an arm that show the error, mean.
        comparisons: Number of comparisons; they share runs.
    """

    judging: str
    seeds: int
    training: int
    words: dict[str, float]
    claims_without_change: float
    errors: float
    distinct: float
    comparisons: int


def measure_same_time(pool: Pool, n_draws: int, *, folds: int = 5, images: int = 54_000) -> list[SameTime]:
    """Judge on `confirm` and out of fold with the same training time, as long as the pool has enough runs.

    Args:
        pool: Runs of one recipe that were judged on `confirm`.
        n_draws: Comparisons of each design.
        folds: Models per seed out of fold.
        images: Images that are judged out of fold.
    """
    judging, rows = Judging(folds), []
    for n_folded in SEEDS:
        training = round(n_folded * judging.relative_time(MINE_FRACTION))
        if 2 * training > pool.n_runs:
            break
        for how, n_seeds in ((CONFIRM, training), (judging, n_folded)):
            rng = np.random.default_rng([5, how.runs_per_seed, n_seeds])
            size = None if how == CONFIRM else images // folds
            drawn = [_judge_once(pool.confirm, n_seeds, how.runs_per_seed, size, rng) for _ in range(n_draws)]
            words = [word for word, *_ in drawn]
            rows.append(
                SameTime(
                    judging=str(how),
                    seeds=n_seeds,
                    training=training,
                    words={word: words.count(word) / n_draws for word in WORDS},
                    claims_without_change=float(np.mean([one[1] in (IMPROVED, HARMED, TRADED) for one in drawn])),
                    errors=float(np.mean([one[2] for one in drawn])),
                    distinct=float(np.mean([one[3] for one in drawn])),
                    comparisons=n_draws,
                )
            )
    return rows


def _judge_once(
    split: Split, n_seeds: int, folds: int, size: int | None, rng: np.random.Generator
) -> tuple[str, str, float, int]:
    """The word with half of the misread images repaired, that without a change, errors per seed, distinct images."""
    labels, predicted = draw_folds(split, 2 * n_seeds, folds, size, rng)
    before, after = predicted[:n_seeds], predicted[n_seeds:]
    misread = (labels == CELL[0]) & (after == CELL[1])
    repaired = np.where(misread & (rng.random(labels.size) < 0.5), labels, after)
    words = [judge(labels, before, arm, pair=CELL, n_classes=N_CLASSES).word for arm in (repaired, after)]
    errors = cell_errors(labels, before, CELL)
    return words[0], words[1], float(errors.sum(axis=1).mean()), int(errors.any(axis=0).sum())


def draw_folds(
    split: Split, n_seeds: int, folds: int, size: int | None, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Simulate seeds of several models each.

    Args:
        split: Runs, int64 (S, N), of which each fold takes other ones.
        n_seeds: Seeds to draw, at most S.
        folds: Models per seed.
        size: Images of each fold, drawn with replacement; None for the N images themselves.
        rng: Generator.

    Returns:
        Labels (folds * size,) and predicted classes (n_seeds, folds * size).
    """
    labels, predicted = [], []
    for _ in range(folds):
        n_images = split.labels.size
        rows = np.arange(n_images) if size is None else rng.integers(0, n_images, size)
        runs = rng.permutation(len(split.predicted))[:n_seeds]
        labels.append(split.labels[rows])
        predicted.append(split.predicted[np.ix_(runs, rows)])
    return np.concatenate(labels), np.concatenate(predicted, axis=1)


def describe_folds(labels: IntArray, predicted: IntArray, cell: Cell = CELL) -> dict[str, list[float]]:
    """Errors per seed and distinct images of a cell in real runs.

    Args:
        labels: Integer (N,).
        predicted: Integer (S, N), a row per seed.
        cell: (a, b).

    Returns:
        ``errors``: of each seed; ``distinct``: images with the error in any of n seeds, for n from 1 to S, as a mean
        over all choices of n seeds.
    """
    from scipy.special import comb

    errors = cell_errors(labels, predicted, cell)
    n_runs, times = len(predicted), errors.sum(axis=0)
    missed = [comb(n_runs - times, n) / comb(n_runs, n) for n in range(1, n_runs + 1)]
    return {
        "errors": errors.sum(axis=1).astype(float).tolist(),
        "distinct": [float((1 - of_n).sum()) for of_n in missed],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``reports/calibration/out-of-fold.json``: real runs, and verdicts for the same training time."""
    parser = start_parser("calibration.out_of_fold", __doc__)
    parser.add_argument("--pools", type=Path, default=POOLS, metavar="FOLDER")
    parser.add_argument("--draws", type=int, default=200, help="comparisons of each design")
    options = parser.parse_args(arguments)
    pool = load_pool(options.pools / "mnist-cnn.npz")
    real = {"confirm": describe_folds(pool.confirm.labels, pool.confirm.predicted)}
    folded = options.pools / "mnist-cnn-folds.npz"
    if folded.is_file():
        found = load_pool(folded).splits["folds"]
        real["out of fold"] = describe_folds(found.labels, found.predicted)
    rows = [row.to_json() for row in measure_same_time(pool, options.draws)]
    content = {
        "command": f"{parser.prog} --draws {options.draws}",
        "runs": pool.n_runs,
        "real": real,
        "same_time": rows,
    }
    path = options.pools.parent / "out-of-fold.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
