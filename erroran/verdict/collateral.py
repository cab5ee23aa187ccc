"""Non-inferiority of everything outside the pair: do other errors grow by less than the margin?"""

from dataclasses import dataclass

import numpy as np

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import BoolArray, cell_mask
from erroran.verdict.compare import ArmComparison


@dataclass(frozen=True)
class NonInferiority:
    """One kind of error that must not grow; all rates in errors per 10,000 evaluated images.

    Attributes:
        name: What was counted.
        before_per_10000: Rate before; `after_per_10000` after.
        per_10000: After minus before.
        upper: One-sided upper bound of that difference.
        margin: The growth that is tolerated.
        safe: upper < margin; False means "not shown to be safe".
        worse: Significantly more errors after (two-sided test).
        better: Significantly fewer.
        p_value: Of that test; None without one.
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


def check_collateral(arms: ArmComparison, pair: Cell, *, margin_per_10000: float, alpha: float = 0.05) -> Collateral:
    """Non-inferiority of all other cells together, of all errors, and of every other class's recall.

    Args:
        arms: The two arms.
        pair: (a, b), the pair under treatment.
        margin_per_10000: Tolerated growth, errors per 10,000 evaluated images, > 0.
        alpha: One-sided level of the bounds; two-sided level of the tests for harm.
    """

    def check(name: str, counted: BoolArray) -> NonInferiority:
        compared = arms.cells(name, counted, confidence=1 - 2 * alpha)
        effect, direction = compared.effect, compared.test.direction(alpha)
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
            p_value=compared.test.p_value,
        )

    n_classes = len(arms.class_names)
    every = ~np.eye(n_classes, dtype=bool)
    rows = np.arange(n_classes)[:, None]
    other = check("all other cells", every & ~cell_mask(n_classes, Endpoint.SUM.cells(pair)))
    overall = check("accuracy", every)
    recall = tuple(
        check(f"recall of {arms.class_names[label]}", every & (rows == label))
        for label in arms.present
        if label not in pair
    )
    return Collateral(
        margin_per_10000=margin_per_10000,
        other_cells=other,
        accuracy=overall,
        recall=recall,
        safe=all(result.safe for result in (other, overall, *recall)),
        worse=other.worse or overall.worse,
    )
