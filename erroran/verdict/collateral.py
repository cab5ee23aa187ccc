"""Did the fix break something else? One-sided non-inferiority with a margin fixed beforehand."""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, Cell, IntArray
from erroran.stats.dispersion import RunVariation
from erroran.stats.intervals import score_interval
from erroran.verdict.compare import choose_test


@dataclass(frozen=True)
class NonInferiority:
    """One thing that must not get worse; all rates in errors per 10,000 evaluated images.

    Attributes:
        name: What was counted.
        before_per_10000: Rate before; `after_per_10000` after.
        per_10000: After minus before.
        upper: One-sided upper bound of that difference.
        margin: The most that was declared tolerable.
        safe: upper < margin. "Not safe" means not shown to be safe.
        worse: Significantly more errors after (two-sided test).
        better: Significantly fewer.
        p_value: Of that test; None where no test is valid.
    """

    name: str
    before_per_10000: float
    after_per_10000: float
    per_10000: float
    upper: float
    margin: float
    safe: bool
    worse: bool
    better: bool
    p_value: float | None


@dataclass(frozen=True)
class Collateral:
    """Everything outside the pair.

    Attributes:
        margin_per_10000: The margin, in errors per 10,000 evaluated images.
        other_cells: All errors outside the pair's two cells, together.
        accuracy: All errors.
        recall: Missed images of every class outside the pair.
        safe: All of these are shown to stay within the margin (intersection-union: no correction).
        worse: `other_cells` or `accuracy` is significantly worse.
    """

    margin_per_10000: float
    other_cells: NonInferiority
    accuracy: NonInferiority
    recall: tuple[NonInferiority, ...]
    safe: bool
    worse: bool


def noninferiority(
    name: str,
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    margin_per_10000: float,
    *,
    alpha: float = 0.05,
    shift_sd: float = 0.0,
) -> NonInferiority:
    """Show that one kind of error grew by less than a margin.

    Args:
        name: What is counted.
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        n_images: All images evaluated.
        margin_per_10000: Tolerated growth, errors per 10,000 evaluated images, > 0.
        alpha: One-sided level of the bound; two-sided level of the test for harm.
        shift_sd: See `choose_test`.
    """
    effect = score_interval(before_errors, after_errors, n_images, confidence=1 - 2 * alpha, shift_sd=shift_sd)
    test = choose_test(before_errors, after_errors, shift_sd=shift_sd)
    direction = test.direction(alpha)
    return NonInferiority(
        name=name,
        before_per_10000=effect.before_per_10000,
        after_per_10000=effect.after_per_10000,
        per_10000=effect.per_10000,
        upper=effect.high,
        margin=margin_per_10000,
        safe=effect.high < margin_per_10000,
        worse=direction > 0,
        better=direction < 0,
        p_value=test.p_value,
    )


def check_collateral(
    labels: IntArray,
    before: IntArray,
    after: IntArray,
    *,
    pair: Cell,
    n_classes: int,
    margin_per_10000: float,
    variation: RunVariation,
    names: tuple[str, ...] | None = None,
    alpha: float = 0.05,
) -> Collateral:
    """Non-inferiority of all other cells together, of every other class's recall, of accuracy.

    Args:
        labels: Integer (N,).
        before: Integer (S_b, N), predictions.
        after: Integer (S_a, N), same images.
        pair: (a, b), the pair under treatment.
        n_classes: Number of classes C.
        margin_per_10000: Tolerated growth, errors per 10,000 evaluated images.
        variation: How much whole runs swing; see `dispersion.run_variation`.
        names: Class names, length C.
        alpha: See `noninferiority`.
    """
    names = names or tuple(str(index) for index in range(n_classes))
    n_images = labels.size
    wrong_before, wrong_after = before != labels, after != labels
    in_pair = np.isin(labels, pair)

    every_cell = ~np.eye(n_classes, dtype=bool)
    outside = every_cell.copy()
    outside[pair[0], pair[1]] = outside[pair[1], pair[0]] = False

    def check(name: str, was: BoolArray, now: BoolArray, cells: BoolArray) -> NonInferiority:
        shift_sd = variation.shift_of(cells)
        return noninferiority(name, was, now, n_images, margin_per_10000, alpha=alpha, shift_sd=shift_sd)

    def row(label: int) -> BoolArray:
        mask = np.zeros_like(every_cell)
        mask[label] = every_cell[label]
        return mask

    other = check(
        "all other cells",
        wrong_before & ~(in_pair & np.isin(before, pair)),
        wrong_after & ~(in_pair & np.isin(after, pair)),
        outside,
    )
    overall = check("accuracy", wrong_before, wrong_after, every_cell)
    recall = tuple(
        check(f"recall of {names[c]}", wrong_before[:, labels == c], wrong_after[:, labels == c], row(c))
        for c in np.unique(labels).tolist()
        if c not in pair
    )
    return Collateral(
        margin_per_10000=margin_per_10000,
        other_cells=other,
        accuracy=overall,
        recall=recall,
        safe=all(result.safe for result in (other, overall, *recall)),
        worse=other.worse or overall.worse,
    )
