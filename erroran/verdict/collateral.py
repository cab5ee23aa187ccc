"""Non-inferiority of everything outside the pair: do other errors grow by less than the margin?"""

from dataclasses import dataclass

import numpy as np

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import cell_mask
from erroran.verdict.compare import ArmComparison, Comparison


@dataclass(frozen=True)
class NonInferiority:
    """One kind of error that must not grow.

    All rates, and the margin, are errors per 10,000 images of a class where the row is about that class, else per
    10,000 of all images.

    Attributes:
        name: What was counted.
        n_images: Images that the rates refer to.
        before_per_10000: Rate before; `after_per_10000` after.
        per_10000: After minus before.
        upper: One-sided upper bound of that difference, for new seeds and new images.
        margin: The growth that is tolerated.
        safe: upper < margin; False means "not shown to be safe".
        worse: Significantly more errors after (`ArmTest.direction`).
        better: Significantly fewer.
        p_value: Two-sided, for new seeds; None without a test.
    """

    name: str
    n_images: int
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
        margin_per_10000: The margin, in errors per 10,000 of the images that each row refers to.
        other_cells: All errors outside the pair's two cells, together.
        accuracy: All errors.
        recall: Errors of the images of each class that has images, those of the pair's two cells left out.
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
    """Non-inferiority of all other cells together, of all errors, and of the other errors of every class.

    Args:
        arms: The two arms.
        pair: (a, b), the pair under treatment.
        margin_per_10000: Tolerated growth, > 0: errors per 10,000 images of a class in the rows about that class, and
            per 10,000 of all images in the others.
        alpha: Two-sided level of the intervals, whose upper ends are the bounds, and of the tests for harm.
    """

    def check(compared: Comparison) -> NonInferiority:
        effect, direction = compared.effect, compared.test.direction(alpha)
        return NonInferiority(
            name=compared.name,
            n_images=effect.n_images,
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

    n_classes, confidence = len(arms.class_names), 1 - alpha
    outside = ~np.eye(n_classes, dtype=bool) & ~cell_mask(n_classes, Endpoint.SUM.cells(pair))
    other = check(arms.cells("all other cells", outside, confidence=confidence))
    overall = check(arms.all_errors(confidence=confidence))
    recall = tuple(check(arms.other_errors_of_class(label, pair, confidence=confidence)) for label in arms.present)
    return Collateral(
        margin_per_10000=margin_per_10000,
        other_cells=other,
        accuracy=overall,
        recall=recall,
        safe=all(result.safe for result in (other, overall, *recall)),
        worse=other.worse or overall.worse,
    )
