"""Which confusions do several models share, and which are specific to one of them?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from erroran.stats.confusion import FloatArray, IntArray, check_runs, confusion_counts, tabulate_errors
from erroran.stats.consistency import adjust_cells, classify_images, partial_conjunction
from erroran.stats.dispersion import adjust_p, run_variation
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.stats.significance import stratified_from_totals

LEVEL = 0.05


@dataclass(frozen=True)
class PairAcross:
    """A directed cell (a, b) in M models.

    Attributes:
        pair: (a, b): images of class a predicted as b.
        mean_errors: Mean errors per run of each model, length M.
        share: The same as a share of all errors of the model, in [0, 1].
        in_every_run: For each model, whether every run of it makes the error.
        images_everywhere: Images of class a that more than half of the runs of every model predict as b.
        surely_in: Least number of models, 0 to M, in which the cell has more errors than if all errors were spread
            evenly over the cells, at a false-discovery rate of 5 % over all cells.
        q_all: Adjusted p-value for the same in every model.
        owner: Index of the one model that the pair is specific to, or None.
        q_owner: Smallest adjusted p-value of any model for owning the pair; 1 if no model could be tested.
    """

    pair: tuple[int, int]
    mean_errors: tuple[float, ...]
    share: tuple[float, ...]
    in_every_run: tuple[bool, ...]
    images_everywhere: int
    surely_in: int
    q_all: float
    owner: int | None
    q_owner: float


def compare_confusions(labels: IntArray, models: Sequence[IntArray], n_classes: int) -> list[PairAcross]:
    """Compare the confusions of several models on the same images, cell by cell.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        models: M >= 2 predictions, integer (S_m, N) each; the numbers of runs may differ.
        n_classes: Number of classes C.

    Returns:
        The cells with an error in any run, sorted by `surely_in`, `images_everywhere` and their mean share, falling.

    Raises:
        BadInput: See `confusion.check_runs`.

    `surely_in` tests each model by `uneven_p`, and "in at least k of M models" by the partial conjunction, which is
    valid for models that share their images, adjusted over all cells (Benjamini and Heller 2008, Biometrics 64, 1215).

    `owner`: the model has more errors in the cell than *each* other model on the same images (intersection-union test:
    the largest p counts, Berger 1982, Technometrics 24, 295-300), and by a larger odds ratio than over all cells. The
    test is one-sided, as `stratified_test` with the odds ratio of all errors of the two models (at least 1), corrected
    for run-to-run variation by `adjust_p`, adjusted over all models and cells. A pair has no owner if a model has a
    single run, where the effects of model and seed cannot be separated.
    """
    checked = [check_runs(labels, predicted, n_classes)[1] for predicted in models]
    labels = np.asarray(labels)
    counts = [confusion_counts(labels, predicted, n_classes) for predicted in checked]
    off = ~np.eye(n_classes, dtype=bool)
    means = np.stack([count.mean(axis=0) * off for count in counts])
    totals = means.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(means, totals, out=np.zeros_like(means), where=totals > 0)
    p_values = np.stack([uneven_p(labels, predicted, n_classes) for predicted in checked])
    by_number = np.stack([adjust_cells(p) for p in partial_conjunction(p_values)])
    always = np.stack([(count > 0).all(axis=0) for count in counts])
    _, everywhere = shared_images(labels, checked, n_classes)
    common = confusion_counts(labels, np.where(everywhere < 0, labels, everywhere), n_classes)[0]
    cells = np.argwhere(means.sum(axis=0) > 0)
    owned = benjamini_hochberg(_own_p(labels, checked, n_classes)[:, cells[:, 0], cells[:, 1]].ravel())
    owned = owned.reshape(len(models), len(cells))
    rows = []
    for (a, b), q_values in zip(cells.tolist(), owned.T, strict=True):
        best = int(q_values.argmin())
        rows.append(
            PairAcross(
                pair=(a, b),
                mean_errors=tuple(means[:, a, b].tolist()),
                share=tuple(shares[:, a, b].tolist()),
                in_every_run=tuple(always[:, a, b].tolist()),
                images_everywhere=int(common[a, b]),
                surely_in=int((by_number[:, a, b] <= LEVEL).sum()),
                q_all=float(by_number[-1, a, b]),
                owner=best if q_values[best] <= LEVEL else None,
                q_owner=float(q_values[best]),
            )
        )
    return sorted(rows, key=lambda row: (-row.surely_in, -row.images_everywhere, -sum(row.share), row.pair))


def uneven_p(labels: IntArray, pred: IntArray, n_classes: int) -> FloatArray:
    """p-values for "the cell has more errors than if all errors were spread evenly over the cells".

    Labels are integer (N,), predictions (S, N); the result is float64 (C, C), one-sided, not adjusted, 1 on the
    diagonal.

    Under the null hypothesis an error falls into the cells in proportion to the images that each class has. The images
    are the sample: with w = sum k^2 / sum k over images and wrong classes (k = runs wrong so), a count over w is an
    effective number of independent errors (Rao and Scott 1992, Biometrics 48, 577-585), and binomial; the incomplete
    beta function extends the tail to fractions.
    """
    from scipy.special import betainc

    labels, pred = check_runs(labels, pred, n_classes)
    table = tabulate_errors(labels, pred, n_classes=n_classes)
    times = table.runs[:, 0]
    p_values = np.ones((n_classes, n_classes))
    if times.size:
        counts = np.bincount(table.cell, times, n_classes**2).reshape(n_classes, n_classes)
        weight = (times**2).sum() / times.sum()
        support = np.bincount(labels, minlength=n_classes)
        expected = np.repeat(support / (len(labels) * (n_classes - 1)), n_classes).reshape(n_classes, n_classes)
        seen, total = counts / weight, counts.sum() / weight
        some = (counts > 0) & (expected > 0)
        p_values[some] = betainc(seen[some], total - seen[some] + 1, np.minimum(expected[some], 1.0))
    return p_values


def shared_images(
    labels: IntArray, models: Sequence[IntArray], n_classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the images that models predict wrongly in the same way.

    Args:
        labels: Integer (N,).
        models: M predictions, integer (S_m, N) each.
        n_classes: Number of classes C.

    Returns:
        int64 (M, N): the wrong class that more than half of a model's runs predict, -1 if there is none; and int64
        (N,): the wrong class where it is the same in every model, else -1.

    Raises:
        BadInput: See `confusion.check_runs`.
    """
    found = [classify_images(labels, predicted, n_classes) for predicted in models]
    predicted_as = np.stack(
        [
            np.where(2 * images.wrong_class_runs > len(predicted), images.wrong_class, -1)
            for images, predicted in zip(found, models, strict=True)
        ]
    )
    return predicted_as, np.where((predicted_as == predicted_as[0]).all(axis=0), predicted_as[0], -1)


def _own_p(labels: IntArray, models: Sequence[IntArray], n_classes: int) -> FloatArray:
    """float64 (M, C, C): p-values for "this model errs more in this cell than each other model"."""
    others = [[other for n, other in enumerate(models) if n != m] for m in range(len(models))]
    return np.stack(
        [
            np.max([_exceeds(labels, other, own, n_classes) for other in rest], axis=0)
            for own, rest in zip(models, others, strict=True)
        ]
    )


def _exceeds(labels: IntArray, before: IntArray, after: IntArray, n_classes: int) -> FloatArray:
    """float64 (C, C): one-sided p-values for more errors in `after` than in `before`, beyond what holds overall."""
    n_before, n_after = len(before), len(after)
    p_values = np.ones((n_classes, n_classes))
    if min(n_before, n_after) < 2:
        return p_values
    # Per cell: images by the number of runs of both models with the error; and the errors of `after`.
    table = tabulate_errors(labels, before, after, n_classes=n_classes)
    n_totals = n_before + n_after + 1
    histograms = np.bincount(table.cell * n_totals + table.runs.sum(axis=1), minlength=n_classes**2 * n_totals)
    histograms = histograms.reshape(n_classes, n_classes, n_totals)
    observed = np.bincount(table.cell, table.runs[:, 1], n_classes**2).reshape(n_classes, n_classes).astype(np.int64)
    overall = _common_odds_ratio(histograms.sum(axis=(0, 1)), int(observed.sum()), n_before, n_after)
    if np.isinf(overall):  # the other model makes no errors, so nothing is beyond what holds overall
        return p_values
    tested = max(1.0, overall) if np.isfinite(overall) else 1.0
    variation = run_variation(labels, before, after, n_classes=n_classes)
    ratios = variation.ratios()
    for a, b in np.argwhere(observed > 0).tolist():
        found = stratified_from_totals(histograms[a, b], int(observed[a, b]), n_before, n_after, odds_ratio=tested)
        p_values[a, b] = float(adjust_p(found.p_greater_mid, ratios[a, b], variation.df))
    return p_values


def _common_odds_ratio(histogram: IntArray, observed: int, n_before: int, n_after: int) -> float:
    """Conditional maximum-likelihood estimate of the common odds ratio after : before of many 2x2 tables.

    Entry t of `histogram`, integer (n_before + n_after + 1,), counts the images that t runs predicted wrongly;
    `observed` are the errors of the runs after. 0 or inf if all errors that could lie in either arm lie in one, nan if
    none could.
    """
    from scipy.optimize import brentq
    from scipy.stats import nchypergeom_fisher

    totals = np.flatnonzero(histogram[1:]) + 1
    images = histogram[totals]
    lowest = int(np.maximum(0, totals - n_before) @ images)
    highest = int(np.minimum(totals, n_after) @ images)
    if lowest == highest:
        return float("nan")
    if observed in (lowest, highest):
        return 0.0 if observed == lowest else float("inf")

    def excess(log_ratio: float) -> float:
        ratio = float(np.exp(log_ratio))
        return float(nchypergeom_fisher.mean(n_before + n_after, totals, n_after, ratio) @ images) - observed

    return float(np.exp(brentq(excess, -30, 30)))
