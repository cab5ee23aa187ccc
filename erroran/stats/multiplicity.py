"""Corrections for many tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.stats.confusion import Cell, FloatArray, IntArray, tabulate_errors
from erroran.stats.dispersion import RunVariation, adjust_p
from erroran.stats.significance import stratified_from_totals

FDR: Final = 0.05
"""False discovery rate at which an exploratory finding counts, a convention."""


@dataclass(frozen=True)
class CellChange:
    """One directed cell before and after.

    Attributes:
        cell: (true class, predicted class), indices.
        before_mean: Mean errors per run before; `after_mean` after.
        p_value: Two-sided.
        q_value: Adjusted over all cells that were tested.
        found: Whether q_value <= `FDR`.
    """

    cell: Cell
    before_mean: float
    after_mean: float
    p_value: float
    q_value: float
    found: bool


def benjamini_hochberg(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusted p-values (q-values), float64 (n,), in the order given; NaN is not allowed.

    Source: Benjamini and Hochberg (1995), through ``scipy.stats.false_discovery_control``.
    """
    from scipy.stats import false_discovery_control

    q_values: FloatArray = false_discovery_control(np.asarray(p_values, dtype=float)) if len(p_values) else np.empty(0)
    return q_values


def explore_cells(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    n_classes: int,
    variation: RunVariation,
    *,
    skip: Sequence[Cell] = (),
) -> list[CellChange]:
    """Test every directed cell under the false discovery rate: `stratified_test`, mid-p, `adjust_p`.

    Args:
        labels: Integer (N,).
        before: Predictions, integer (S_b, N).
        after: Predictions, integer (S_a, N), same images.
        n_classes: Number of classes C.
        variation: Run-to-run variation of both arms.
        skip: Cells left out: those that were named beforehand.

    Returns:
        Cells with at least one error in either arm, smallest p-value first; only they count for the correction
        (Gilbert 2005, J R Stat Soc C 54, 143).
    """
    n_before, n_after = len(before), len(after)
    ratios = variation.ratios()
    table = tabulate_errors(labels, before, after, n_classes=n_classes)
    if not table.cell.size:
        return []
    cells, starts = np.unique(table.cell, return_index=True)
    found: list[tuple[float, Cell, float, float]] = []
    for code, runs in zip(cells.tolist(), np.split(table.runs, starts[1:]), strict=True):
        cell = divmod(code, n_classes)
        if cell in skip:
            continue
        was, now = runs.sum(axis=0).tolist()
        histogram = np.bincount(runs.sum(axis=1), minlength=n_before + n_after + 1)
        tested = stratified_from_totals(histogram, now, n_before, n_after)
        p_value = 2 * float(adjust_p(min(tested.p_less_mid, tested.p_greater_mid), ratios[cell], variation.df))
        found.append((min(1.0, p_value), cell, was / n_before, now / n_after))
    found.sort()
    q_values = benjamini_hochberg([p_value for p_value, *_ in found]).tolist()
    return [
        CellChange(cell, was, now, p_value, q_value, found=q_value <= FDR)
        for (p_value, cell, was, now), q_value in zip(found, q_values, strict=True)
    ]
