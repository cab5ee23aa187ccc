"""Several comparisons whose claims must all hold: adjusted together by Holm's method."""

from collections.abc import Sequence
from dataclasses import dataclass

from erroran.stats.multiplicity import holm
from erroran.verdict.compare import ArmTest


@dataclass(frozen=True)
class Adjusted:
    """One comparison of a family.

    Attributes:
        p_value: Adjusted p-value of the least certain test that a claim needs (see `ArmTest`); None without a test.
        direction: -1 for significantly fewer errors after, 1 for more, 0 for neither, after the adjustment.
    """

    p_value: float | None
    direction: int


def adjust_family(tests: Sequence[ArmTest], alpha: float) -> list[Adjusted]:
    """Adjust the tests of several comparisons together; one without a test does not count.

    Args:
        tests: Of the comparisons.
        alpha: Probability, at most, that any claim is false.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted = holm([_least_certain(test) for test in tests])
    return [
        Adjusted(p, test.direction(alpha) if p is not None and p < alpha else 0)
        for test, p in zip(tests, adjusted, strict=True)
    ]


def _least_certain(test: ArmTest) -> float | None:
    """The largest p-value of the tests that `ArmTest.direction` needs."""
    if test.p_value is None or test.p_images is None or test.p_rest is None:
        return None
    return max(test.p_value, test.p_images, test.p_rest)
