"""Which errors are common to all runs, and which depend on the seed?"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from erroran.stats.confusion import BoolArray, FloatArray, IntArray, check_runs, confusion_counts, tabulate_errors
from erroran.stats.multiplicity import benjamini_hochberg

CORRECT: Final = "correct"
SYSTEMATIC: Final = "systematic"
SEED_NOISE: Final = "seed noise"
SUSPECTED_MISLABEL: Final = "suspected mislabel"
UNDECIDED: Final = "undecided"


@dataclass(frozen=True)
class PairSummary:
    """A directed cell (a, b) over S runs.

    Attributes:
        pair: (a, b): images of class a predicted as b.
        errors_per_seed: Errors of each run, length S.
        mean_errors: Their mean.
        seeds_with_it: Number of runs with at least one such error.
        images_by_runs: Length S + 1; entry k counts images of class a that exactly k runs predict as b.
        n_systematic: Number of images that more than half of the runs predict as b, without suspected mislabels; None
            with a single run.
        n_suspected: Number of suspected mislabels that more than half of the runs predict as b; None likewise.
        reverse_per_seed: Errors b -> a of each run.
        asymmetry_p: Two-sided p-value for equal rates a -> b and b -> a.
        rate: Mean share of class-a images predicted as b, in [0, 1]; `rate_low` and `rate_high` are the ends of its
            95 % score interval for new images.
        partial_conjunction_p: p-value for "in more than half of the runs this cell has more errors than if all errors
            were spread evenly over the cells".
        partial_conjunction_q: The same, adjusted over all directed cells (Benjamini-Hochberg).
    """

    pair: tuple[int, int]
    errors_per_seed: tuple[int, ...]
    mean_errors: float
    seeds_with_it: int
    images_by_runs: tuple[int, ...]
    n_systematic: int | None
    n_suspected: int | None
    reverse_per_seed: tuple[int, ...]
    asymmetry_p: float
    rate: float
    rate_low: float
    rate_high: float
    partial_conjunction_p: float
    partial_conjunction_q: float


@dataclass(frozen=True)
class ImageConsistency:
    """Errors that the runs have in common, image by image. Arrays have length N.

    Attributes:
        kind: "correct", "systematic", "seed noise", "suspected mislabel", or "undecided" (wrong in the only run).
        wrong_runs: Number of runs that predict the image wrongly.
        wrong_class: The wrong class that most runs predict (the smallest on a tie); -1 if none does.
        wrong_class_runs: Number of runs that predict it.
        self_confidence: Mean probability of the given label, in [0, 1]; None without probabilities.
        suggested_class: For a suspected mislabel the class it looks like, else -1.
    """

    kind: npt.NDArray[np.str_]
    wrong_runs: npt.NDArray[np.int64]
    wrong_class: npt.NDArray[np.int64]
    wrong_class_runs: npt.NDArray[np.int64]
    self_confidence: FloatArray | None
    suggested_class: npt.NDArray[np.int64]


def rank_pairs(
    labels: IntArray, pred: IntArray, n_classes: int, *, suspected: BoolArray | None = None
) -> list[PairSummary]:
    """Rank every directed pair with any error: by systematic images, then mean errors (both falling), then the pair.

    Args:
        labels: Integer (N,), values in 0..n_classes-1.
        pred: Integer (S, N), predictions of S runs of one arm.
        n_classes: Number of classes C.
        suspected: bool (N,), suspected mislabels: a wrong label is no systematic error that a fix could reduce.

    Raises:
        BadInput: See `confusion.check_runs`.

    Intervals and the asymmetry test treat images, not runs, as the sample: with w = sum k^2 / sum k over images (k =
    runs wrong), sum k / w is the effective number of independent errors (the design effect of Rao and Scott 1992,
    Biometrics 48, 577-585). With one run these are Wilson's interval and the score test of two Poisson rates.
    """
    from erroran.stats.intervals import wilson_interval

    labels, pred = check_runs(labels, pred, n_classes)
    n_runs, majority = len(pred), len(pred) // 2
    support = np.bincount(labels, minlength=n_classes)
    counts = confusion_counts(labels, pred, n_classes)
    p_values = _conjunction_by_cell(counts, majority)
    q_values = adjust_cells(p_values)
    table = tabulate_errors(labels, pred, n_classes=n_classes)
    cells, starts = np.unique(table.cell, return_index=True)
    images = dict(zip(cells.tolist(), np.split(table.runs[:, 0], starts[1:]), strict=False))  # none: one empty part
    doubtful = np.zeros(len(labels), dtype=bool) if suspected is None else suspected
    mislabels = dict(zip(cells.tolist(), np.split(doubtful[table.image], starts[1:]), strict=False))
    none = np.empty(0, dtype=np.int64)
    summaries = []
    for cell, runs_wrong in images.items():
        a, b = divmod(cell, n_classes)
        most = runs_wrong > majority
        low, high = wilson_interval(runs_wrong, int(support[a]), n_runs=n_runs)
        histogram = np.bincount(runs_wrong, minlength=n_runs + 1)
        histogram[0] = support[a] - len(runs_wrong)
        reverse = images.get(b * n_classes + a, none)
        summaries.append(
            PairSummary(
                pair=(a, b),
                errors_per_seed=tuple(counts[:, a, b].tolist()),
                mean_errors=float(counts[:, a, b].mean()),
                seeds_with_it=int((counts[:, a, b] > 0).sum()),
                images_by_runs=tuple(histogram.tolist()),
                n_systematic=int((most & ~mislabels[cell]).sum()) if n_runs > 1 else None,
                n_suspected=int((most & mislabels[cell]).sum()) if n_runs > 1 else None,
                reverse_per_seed=tuple(counts[:, b, a].tolist()),
                asymmetry_p=_asymmetry_p((runs_wrong, reverse), (int(support[a]), int(support[b]))),
                rate=float(runs_wrong.sum() / (n_runs * support[a])),
                rate_low=low,
                rate_high=high,
                partial_conjunction_p=float(p_values[a, b]),
                partial_conjunction_q=float(q_values[a, b]),
            )
        )
    return sorted(summaries, key=lambda row: (-(row.n_systematic or 0), -row.mean_errors, row.pair))


def partial_conjunction(p_values: FloatArray) -> FloatArray:
    """p-values for "at least k of the S nulls are false", k = 1..S.

    Args:
        p_values: float (S, ...), one p-value per run along the first axis; they may depend on each other in any way.

    Returns:
        float64 of the same shape: entry k-1 is (S - k + 1) times the k-th smallest p-value, at most 1, made
        non-decreasing in k.

    Source: Dror et al. (2017), arXiv 1709.09500, section 4 (Bonferroni partial conjunction of Benjamini and Heller
    2008, valid under dependence, as runs share their images).
    """
    ordered = np.sort(np.asarray(p_values, dtype=float), axis=0)
    n_runs = len(ordered)
    factors = np.arange(n_runs, 0, -1).reshape(-1, *[1] * (ordered.ndim - 1))
    combined: FloatArray = np.minimum(1.0, np.maximum.accumulate(ordered * factors, axis=0))
    return combined


def classify_images(
    labels: IntArray, pred: IntArray, n_classes: int, probs: npt.NDArray[np.floating] | None = None
) -> ImageConsistency:
    """Classify images as correct, systematic error, seed noise or suspected mislabel.

    - *Systematic*: more than half of the runs predict the same wrong class.
    - *Seed noise*: wrong in some run, but not systematic.
    - *Suspected mislabel*: wrong in some run, and another class's mean probability reaches that class's usual
      self-confidence (its mean over images labelled so) while the given label's stays below its own; needs `probs`.

    Args:
        labels: Integer (N,).
        pred: Integer (S, N).
        n_classes: Number of classes C.
        probs: Optional float (S, N, C), rows summing to 1, of runs that did not train on these images: a network that
            did may have memorised wrong labels.

    Raises:
        BadInput: See `confusion.check_runs`.

    Source: Northcutt, Jiang, Chuang (2021), JAIR 70, eqs. 1-2 (confident joint, class thresholds).
    """
    labels, pred = check_runs(labels, pred, n_classes)
    n_runs, n_images = pred.shape
    table = tabulate_errors(labels, pred, n_classes=n_classes)
    wrong_class = np.full(n_images, -1, dtype=np.int64)
    wrong_class_runs = np.zeros(n_images, dtype=np.int64)
    # Sorted by runs (rising) and class (falling): of several assignments to an image the last one stays.
    order = np.lexsort((-(table.cell % n_classes), table.runs[:, 0]))
    wrong_class[table.image[order]] = table.cell[order] % n_classes
    wrong_class_runs[table.image[order]] = table.runs[order, 0]

    wrong_runs = (pred != labels).sum(axis=0, dtype=np.int64)
    kind = np.full(n_images, CORRECT, dtype="<U18")
    kind[wrong_runs > 0] = SEED_NOISE if n_runs > 1 else UNDECIDED
    if n_runs > 1:
        kind[2 * wrong_class_runs > n_runs] = SYSTEMATIC
    suggested = np.full(n_images, -1, dtype=np.int64)
    if probs is None:
        return ImageConsistency(kind, wrong_runs, wrong_class, wrong_class_runs, None, suggested)
    mean_probs: FloatArray = probs.mean(axis=0, dtype=np.float64)
    confidence = mean_probs[np.arange(n_images), labels]
    looks_like = _confident_class(labels, mean_probs, confidence)
    suspected = (looks_like >= 0) & (looks_like != labels) & (wrong_runs > 0)
    kind[suspected] = SUSPECTED_MISLABEL
    suggested[suspected] = looks_like[suspected]
    return ImageConsistency(kind, wrong_runs, wrong_class, wrong_class_runs, confidence, suggested)


def _confident_class(labels: IntArray, mean_probs: FloatArray, confidence: FloatArray) -> npt.NDArray[np.int64]:
    """The likeliest class among those that reach their own threshold; -1 if none does."""
    n_classes = mean_probs.shape[1]
    support = np.bincount(labels, minlength=n_classes)
    summed = np.bincount(labels, weights=confidence, minlength=n_classes)
    # A class without images has no threshold, so no image can reach it.
    thresholds = np.where(support > 0, summed / np.maximum(support, 1), np.inf)
    eligible = np.where(mean_probs >= thresholds, mean_probs, -1.0)
    best = eligible.argmax(axis=1)
    return np.where(eligible.max(axis=1) >= 0, best, -1).astype(np.int64)


def _asymmetry_p(runs_wrong: tuple[IntArray, IntArray], support: tuple[int, int]) -> float:
    """Score test of equal error rates in both directions, on effective counts.

    Source of the test: Gu, Ng, Tang and Schucany (2008), Biometrical J 50, 283-298.

    For each direction: how many runs made the error, image by image, integer (n,); and the images of the class.
    """
    from scipy.special import ndtr

    if 0 in support:
        return 1.0
    both = np.concatenate(runs_wrong)
    weight = float((both**2).sum() / both.sum())
    counts = [float(times.sum()) / weight for times in runs_wrong]
    expected = support[0] / support[1]  # of the counts' ratio
    score = (counts[0] - counts[1] * expected) / np.sqrt(sum(counts) * expected)
    return float(2 * ndtr(-abs(score)))


def _conjunction_by_cell(counts: npt.NDArray[np.int64], majority: int) -> FloatArray:
    """float64 (C, C): p-values for "more than `majority` runs confuse the cell"; 1 on the diagonal.

    Under the null hypothesis of a run its errors fall into the C (C - 1) cells in proportion to the images of each
    class, so a cell's count is binomial.
    """
    from scipy.special import bdtrc

    n_classes = counts.shape[1]
    off = ~np.eye(n_classes, dtype=bool)
    support = counts[0].sum(axis=1)
    share = support / (support.sum() * max(1, n_classes - 1))
    wrong = (counts * off).sum(axis=(1, 2))
    p_values = bdtrc(counts - 1, wrong[:, None, None], share[None, :, None])
    p_values[:, ~off] = 1.0
    combined: FloatArray = partial_conjunction(p_values)[majority]
    return combined


def adjust_cells(p_values: FloatArray) -> FloatArray:
    """Benjamini-Hochberg over the off-diagonal cells of a (C, C) table."""
    off = ~np.eye(len(p_values), dtype=bool)
    adjusted = np.ones_like(p_values)
    adjusted[off] = benjamini_hochberg(p_values[off])
    return adjusted
