"""Many cells at once: the false discovery rate over everything that was not the primary question."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import FloatArray, IntArray
from erroran.stats.dispersion import RunVariation, adjust_p, run_variation
from erroran.stats.significance import images_by_total, midp_sides


@dataclass(frozen=True)
class CellChange:
    """One directed cell before and after: mean errors per run, p-value and its adjusted form."""

    cell: tuple[int, int]
    before_mean: float
    after_mean: float
    p_value: float
    q_value: float
    found: bool


def benjamini_hochberg(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusted p-values (q-values), float64 (n,), in the order given; NaN is not allowed.

    Source: Benjamini and Hochberg (1995), through ``statsmodels.stats.multitest.multipletests``.
    """
    from statsmodels.stats.multitest import multipletests

    if len(p_values) == 0:
        return np.empty(0)
    q_values: FloatArray = multipletests(np.asarray(p_values, dtype=float), method="fdr_bh")[1]
    return q_values


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusted p-values that bound the chance of any false finding, float64 (n,), in the order given.

    Source: Holm (1979), through ``statsmodels.stats.multitest.multipletests``.
    """
    from statsmodels.stats.multitest import multipletests

    if len(p_values) == 0:
        return np.empty(0)
    adjusted: FloatArray = multipletests(np.asarray(p_values, dtype=float), method="holm")[1]
    return adjusted


def explore_cells(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    n_classes: int,
    *,
    skip: Sequence[tuple[int, int]] = (),
    fdr: float = 0.05,
    variation: RunVariation | None = None,
) -> list[CellChange]:
    """Test every directed cell with the stratified test (mid-p, adjusted for runs), under the FDR.

    Args:
        labels: Integer (N,).
        before: Integer (S_b, N), predictions.
        after: Integer (S_a, N), same images.
        n_classes: Number of classes C.
        skip: Directed cells left out (the pre-specified ones).
        fdr: Level at which a cell counts as found, in (0, 1).
        variation: How much whole runs swing, where known already.

    Returns:
        Cells with at least one error, smallest p-value first. Cells nobody ever fell into cannot be
        found at any level; they are left out of the list *and* of the correction, which stays valid
        because that choice looks only at both arms together (Gilbert 2005, J R Stat Soc C 54, 143).
        For the same reason a cell with so few flips that its smallest reachable p-value exceeds the
        level could be dropped too; it is kept, which only costs power.
    """
    n_before, n_after = len(before), len(after)
    if variation is None:
        variation = run_variation(labels, before, after, n_classes=n_classes, skip=skip)
    codes, totals, after_totals = _errors_by_image_and_cell(labels, before, after, n_classes)
    cells, starts = np.unique(codes, return_index=True)
    ends = np.append(starts, codes.size)[1:]
    skipped = {a * n_classes + b for a, b in skip}
    rows: list[tuple[int, float, float, float]] = []
    for cell, start, end in zip(cells.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if cell in skipped:
            continue
        histogram = images_by_total(totals[start:end], n_before + n_after)
        n_wrong_after = int(after_totals[start:end].sum())
        n_wrong_before = int(totals[start:end].sum()) - n_wrong_after
        p_value = min(midp_sides(histogram, n_wrong_after, n_before, n_after))
        rows.append((cell, n_wrong_before / n_before, n_wrong_after / n_after, p_value))
    if not rows:
        return []
    ratios = variation.moderated_ratios().ravel()[[row[0] for row in rows]]
    p_values = np.minimum(1.0, 2 * adjust_p(np.array([row[3] for row in rows]), ratios, variation.df))
    q_values = benjamini_hochberg(p_values)
    changes = [
        CellChange(divmod(cell, n_classes), was, now, float(p), float(q), bool(q <= fdr))
        for (cell, was, now, _), p, q in zip(rows, p_values, q_values, strict=True)
    ]
    return sorted(changes, key=lambda change: (change.p_value, change.cell))


def _errors_by_image_and_cell(
    labels: IntArray, before: IntArray, after: IntArray, n_classes: int
) -> tuple[IntArray, IntArray, IntArray]:
    """One entry per image and wrong class: its cell code (ascending), total and after-arm count."""
    runs = np.concatenate([before, after])
    run, image = np.nonzero(runs != labels)
    read_as = runs[run, image].astype(np.int64)
    cell = labels[image].astype(np.int64) * n_classes + read_as
    key, where, totals = np.unique(cell * labels.size + image, return_inverse=True, return_counts=True)
    after_totals = np.bincount(where, weights=run >= len(before), minlength=key.size)
    return key // labels.size, totals, after_totals.astype(np.int64)
