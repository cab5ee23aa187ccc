"""Many tests at once: the false discovery rate, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import Cell, FloatArray, IntArray, tabulate_errors
from erroran.stats.dispersion import RunVariation, adjust_p, run_variation
from erroran.stats.significance import images_by_total, stratified_from_totals


@dataclass(frozen=True)
class CellChange:
    """One directed cell before and after.

    Attributes:
        cell: (true class, predicted class), indices.
        before_mean: Mean errors per run before; `after_mean` after.
        p_value: Two-sided.
        q_value: Adjusted over all cells that were tested.
        found: q_value within the false discovery rate.
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


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusted p-values that bound the chance of any false finding, float64 (n,), in the order given.

    Source: Holm (1979), through ``statsmodels.stats.multitest.multipletests``.
    """
    from statsmodels.stats.multitest import multipletests

    adjusted: FloatArray = multipletests(p_values, method="holm")[1] if len(p_values) else np.empty(0)
    return adjusted


def explore_cells(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    n_classes: int,
    *,
    skip: Sequence[Cell] = (),
    fdr: float = 0.05,
    variation: RunVariation | None = None,
) -> list[CellChange]:
    """Test every directed cell with the stratified test (mid-p, corrected for run-to-run variation), under the FDR.

    Args:
        labels: Integer (N,).
        before: Integer (S_b, N), predictions.
        after: Integer (S_a, N), same images.
        n_classes: Number of classes C.
        skip: Directed cells left out (those that were named beforehand).
        fdr: Level at which a cell counts as found, in (0, 1).
        variation: Run-to-run variation, where known already.

    Returns:
        Cells with at least one error, smallest p-value first. Cells without any are left out of the list *and* of the
        correction, which stays valid because that choice looks only at both arms together (Gilbert 2005, J R Stat Soc C
        54, 143).
    """
    n_before, n_after = len(before), len(after)
    if variation is None:
        variation = run_variation(labels, before, after, n_classes=n_classes, skip=skip)
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
        histogram = images_by_total(runs.sum(axis=1), n_before + n_after)
        tested = stratified_from_totals(histogram, now, n_before, n_after)
        p_value = 2 * float(adjust_p(min(tested.p_less_mid, tested.p_greater_mid), ratios[cell], variation.df))
        found.append((min(1.0, p_value), cell, was / n_before, now / n_after))
    found.sort()
    q_values = benjamini_hochberg([p_value for p_value, *_ in found]).tolist()
    return [
        CellChange(cell, was, now, p_value, q_value, found=q_value <= fdr)
        for (p_value, cell, was, now), q_value in zip(found, q_values, strict=True)
    ]
