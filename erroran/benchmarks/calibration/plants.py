"""Effects of known size, planted in the predictions of real runs."""

from collections.abc import Callable
from typing import Final

import numpy as np

from erroran.stats.confusion import Cell, IntArray
from erroran.verdict.plan import odds_factor
from erroran.verdict.rates import scale_odds

Plant = Callable[[IntArray, IntArray, IntArray, Cell, np.random.Generator], IntArray]


def repair_images(labels: IntArray, pool: IntArray, runs: IntArray, cell: Cell, rng: np.random.Generator) -> IntArray:
    """Repair half of the misread images of a cell for good, drawn at random.

    Args:
        labels: Integer (N,).
        pool: Integer (S, N), predictions of all runs: the images of a that any of them reads as b are misread images.
        runs: Integer (R, N), predictions of the runs to repair.
        cell: (a, b).
        rng: Generator.

    Returns:
        Integer (R, N): the runs, with correct predictions where a repaired image was read as b. The reduction is 50 %
        as a mean over such images, so for new ones; on these images it depends on which are drawn.
    """
    misread = (labels == cell[0]) & (pool == cell[1]).any(axis=0)
    repaired = misread & (rng.random(labels.size) < 0.5)
    return np.where(repaired & (runs == cell[1]), labels, runs)


def halve_odds(labels: IntArray, pool: IntArray, runs: IntArray, cell: Cell, rng: np.random.Generator) -> IntArray:
    """Divide the odds of the errors of a cell by one factor for all images, so that half of the errors remain.

    Arguments as in `repair_images`. Each error stays with the probability that its image's new rate has of the old one,
    so that an image that all runs misread stays misread.
    """
    errors = (labels == cell[0]) & (pool == cell[1])
    rates = errors.mean(axis=0)
    kept = np.divide(scale_odds(rates, odds_factor(rates, 0.5)), rates, out=np.ones_like(rates), where=rates > 0)
    lost = (labels == cell[0]) & (runs == cell[1]) & (rng.random(runs.shape) >= kept)
    return np.where(lost, labels, runs)


PLANTS: Final[dict[str, Plant]] = {"images repaired": repair_images, "odds divided": halve_odds}
