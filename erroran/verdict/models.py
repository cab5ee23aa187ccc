"""Models compared by all their errors, and claims about them checked."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from pydantic import Field

from erroran.experiment.study import Claim
from erroran.results import Result
from erroran.stats.confusion import IntArray
from erroran.stats.multiplicity import holm
from erroran.verdict.compare import ArmComparison, Comparison

ALPHA: Final = 0.05
"""Two-sided level, a convention."""


class Points(Result):
    """A difference of accuracies in percentage points, with its 95 % interval."""

    difference: float
    low: float
    high: float


class ModelPair(Result):
    """Two models compared by all their errors.

    Attributes:
        first: A model's name; `second` that of the other.
        comparison: Errors of the first ("before") and the second ("after").
        points: Accuracy of the second minus that of the first.
        p_adjusted: For new seeds and new images, by Holm's method over all pairs; None without a test.
        better: The model with significantly fewer errors, for new seeds on these images as for new images; None where
            that cannot be told.
    """

    first: str
    second: str
    comparison: Comparison
    points: Points
    p_adjusted: float | None
    better: str | None


class CheckedClaim(Result):
    """A claim and its check against the runs.

    Attributes:
        claim: From the spec.
        word: ``holds``, ``contradicted`` or ``cannot tell``.
        measured: Difference of the accuracies, positive if it is as claimed.
        p_value: Two-sided, for new seeds and new images, of this claim alone, which was made beforehand; None without a
            test.
        comparison: Errors of the model that was said to be worse ("before") and of the other ("after").
    """

    claim: Claim
    word: str
    measured: Points
    p_value: float | None
    comparison: Comparison = Field(exclude=True)


def compare_all(
    labels: IntArray, models: Sequence[tuple[str, IntArray]], class_names: Sequence[str]
) -> list[ModelPair]:
    """Compare every two models on the same images.

    Args:
        labels: Integer (N,).
        models: Name and predictions, integer (S, N), of each.
        class_names: The C names.
    """
    pairs = [
        (first, second, ArmComparison(labels, was, now, class_names).all_errors())
        for (first, was), (second, now) in combinations(models, 2)
    ]
    adjusted = holm([compared.test.p_images for *_, compared in pairs])
    found = []
    for (first, second, compared), p_adjusted in zip(pairs, adjusted, strict=True):
        direction = compared.test.direction(ALPHA) if p_adjusted is not None and p_adjusted < ALPHA else 0
        better = {-1: second, 1: first}.get(direction)
        found.append(
            ModelPair(
                first=first,
                second=second,
                comparison=compared,
                points=_points(compared),
                p_adjusted=p_adjusted,
                better=better,
            )
        )
    return found


def check_claim(
    claim: Claim, labels: IntArray, worse: IntArray, better: IntArray, class_names: Sequence[str]
) -> CheckedClaim:
    """Check whether a model makes significantly fewer errors than another, as was claimed.

    Args:
        claim: The claim.
        labels: Integer (N,).
        worse: Predictions of the model that was said to be worse, integer (S, N).
        better: Predictions of the other.
        class_names: The C names.
    """
    comparison = ArmComparison(labels, worse, better, class_names).all_errors()
    word = {-1: "holds", 1: "contradicted", 0: "cannot tell"}[comparison.test.direction(ALPHA)]
    return CheckedClaim(
        claim=claim, word=word, measured=_points(comparison), p_value=comparison.test.p_images, comparison=comparison
    )


def _points(comparison: Comparison) -> Points:
    # Errors per 10,000 images are hundredths of a point, and fewer errors are more points.
    effect = comparison.effect
    return Points(difference=-effect.per_10000 / 100, low=-effect.high / 100, high=-effect.low / 100)
