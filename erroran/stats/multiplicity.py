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

    Source: Benjamini and Hochberg (1995), J R Stat Soc B 57, 289-300.
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(-given)
    q_values = np.empty(given.size)
    q_values[order] = np.minimum.accumulate(given[order] * given.size / np.arange(given.size, 0, -1))
    return np.minimum(q_values, 1.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, in the order given; None, a comparison without a test, stays None and does not count.

    Source: Holm (1979), Scand J Stat 6, 65.
    """
    tested = [p for p in p_values if p is not None]
    order = np.argsort(tested)
    adjusted = np.empty(len(tested))
    adjusted[order] = np.maximum.accumulate(np.array(tested)[order] * np.arange(len(tested), 0, -1))
    rest = iter(np.minimum(adjusted, 1.0).tolist())
    return [None if p is None else next(rest) for p in p_values]


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
    skipped = [true * n_classes + read_as for true, read_as in skip]
    codes = [code for code in np.unique(table.cell).tolist() if code not in skipped]
    if not codes:
        return []
    images = [table.image[table.cell == code] for code in codes]
    # All cells are tested at once; images without errors fill up the rows of smaller cells.
    shape = len(codes), max(map(len, images))
    was, now = np.zeros((shape[0], n_before, shape[1]), bool), np.zeros((shape[0], n_after, shape[1]), bool)
    for row, (code, of_cell) in enumerate(zip(codes, images, strict=True)):
        was[row, :, : len(of_cell)] = before[:, of_cell] == code % n_classes
        now[row, :, : len(of_cell)] = after[:, of_cell] == code % n_classes
    p_values, stands = np.ones(len(codes)), np.zeros(len(codes), bool)
    if min(n_before, n_after) > 1:
        tested = change_test(was, now, logit_sd=variation.logit_sd)
        p_values, stands = tested.p_images, tested.p_rest < FDR
    q_values = benjamini_hochberg(p_values)
    means = was.sum(axis=(1, 2)) / n_before, now.sum(axis=(1, 2)) / n_after
    rows = zip(codes, *(column.tolist() for column in (*means, p_values, q_values, stands)), strict=True)
    found = [
        CellChange(divmod(code, n_classes), was_mean, now_mean, p_value, q_value, found=q_value <= FDR and stood)
        for code, was_mean, now_mean, p_value, q_value, stood in rows
    ]
    return sorted(found, key=lambda change: (change.p_value, change.cell))
