"""Corrections for many tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.stats.confusion import Cell, FloatArray, IntArray, tabulate_errors
from erroran.stats.dispersion import RunVariation
from erroran.stats.significance import change_test

FDR: Final = 0.05
"""False discovery rate at which an exploratory finding counts, a convention."""


@dataclass(frozen=True)
class CellChange:
    """One directed cell before and after.

    Attributes:
        cell: (true class, predicted class), indices.
        before_mean: Mean errors per run before; `after_mean` after.
        p_value: Two-sided, for new seeds and new images; 1 with one run in an arm.
        q_value: Adjusted over all cells that were tested.
        found: Whether q_value <= `FDR`, and the cell changed also without the image that changed most.
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


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, in the order given; None, a comparison without a test, stays None and does not count.

    Source: Holm (1979), Scand J Stat 6, 65, through ``statsmodels.stats.multitest.multipletests``.
    """
    from statsmodels.stats.multitest import multipletests

    tested = [p for p in p_values if p is not None]
    adjusted = iter(multipletests(tested, method="holm")[1].tolist() if tested else [])
    return [None if p is None else next(adjusted) for p in p_values]


def explore_cells(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    n_classes: int,
    variation: RunVariation,
    *,
    skip: Sequence[Cell] = (),
) -> list[CellChange]:
    """Test every directed cell under the false discovery rate by `significance.change_test`.

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
    table = tabulate_errors(labels, before, after, n_classes=n_classes)
    found: list[tuple[float, Cell, float, float, bool]] = []
    for code in np.unique(table.cell).tolist():
        cell = divmod(code, n_classes)
        if cell in skip:
            continue
        images = table.image[table.cell == code]
        was, now = before[:, images] == cell[1], after[:, images] == cell[1]
        p_value, stands = 1.0, False
        if min(n_before, n_after) > 1:
            tested = change_test(was, now, logit_sd=variation.logit_sd)
            p_value, stands = float(tested.p_images[0]), float(tested.p_rest[0]) < FDR
        found.append((p_value, cell, float(was.sum()) / n_before, float(now.sum()) / n_after, stands))
    found.sort()
    q_values = benjamini_hochberg([p_value for p_value, *_ in found]).tolist()
    return [
        CellChange(cell, was, now, p_value, q_value, found=q_value <= FDR and stands)
        for (p_value, cell, was, now, stands), q_value in zip(found, q_values, strict=True)
    ]
