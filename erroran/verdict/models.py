"""Models compared by all their errors, and claims about them checked."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from pydantic import Field

from erroran.experiment.study import Claim
from erroran.results import Result
from erroran.stats.confusion import IntArray
from erroran.verdict.compare import ArmComparison, Comparison
from erroran.verdict.family import adjust_family
from erroran.verdict.table import CANNOT_TELL

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
        p_adjusted: By Holm's method over all pairs; see `family.Adjusted`.
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
        word: ``holds`` if the comparison of the two models says that the model is better, ``contradicted`` if it says
            that it is worse, else ``cannot tell``.
        measured: Difference of the accuracies, positive if it is as claimed.
        compared: The comparison of the two models: a claim and the table of pairs rest on the same test.
    """

    claim: Claim
    word: str
    measured: Points
    compared: ModelPair = Field(exclude=True)


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
    adjusted = adjust_family([compared.test for *_, compared in pairs], ALPHA)
    return [
        ModelPair(
            first=first,
            second=second,
            comparison=compared,
            points=_points(compared),
            p_adjusted=found.p_value,
            better={-1: second, 1: first}.get(found.direction),
        )
        for (first, second, compared), found in zip(pairs, adjusted, strict=True)
    ]


def check_claim(claim: Claim, pairs: Sequence[ModelPair], worse: str, better: str) -> CheckedClaim:
    """Check by the comparison of its pair whether one model makes significantly fewer errors, as was claimed.

    Args:
        claim: The claim.
        pairs: From `compare_all`.
        worse: Name, in `pairs`, of the model that was said to be worse.
        better: Name of the other.
    """
    pair = next(pair for pair in pairs if {pair.first, pair.second} == {worse, better})
    word = {better: "holds", worse: "contradicted", None: CANNOT_TELL}[pair.better]
    points = pair.points
    if pair.second != better:
        points = Points(difference=-points.difference, low=-points.high, high=-points.low)
    return CheckedClaim(claim=claim, word=word, measured=points, compared=pair)


def _points(comparison: Comparison) -> Points:
    # Errors per 10,000 images are hundredths of a point, and fewer errors are more points.
    effect = comparison.effect
    return Points(difference=-effect.per_10000 / 100, low=-effect.high / 100, high=-effect.low / 100)
