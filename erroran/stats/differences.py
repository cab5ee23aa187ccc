"""Intervals for the difference of two shares of images."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A difference of two shares, in [-1, 1], with its 95 % interval; NaN without images."""

    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan


def paired_difference(first_only: float, second_only: float, n_images: int, *, confidence: float = 0.95) -> Difference:
    """Difference of two shares of the same images.

    Args:
        first_only: Images that count for the first share alone; may be fractional, such as a mean over runs.
        second_only: Images that count for the second share alone.
        n_images: All images, also those that count for both shares or for neither.
        confidence: Level, in (0, 1).

    Source: Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37, 479-488 (adjusted Wald
    interval), recommended by Fagerland, Lydersen, Laake (2014), Statistics in Medicine 33, 2850-2875.
    """
    from scipy.stats import norm

    if not n_images:
        return Difference()
    first, second = (first_only + 1) / (n_images + 2), (second_only + 1) / (n_images + 2)
    middle = first - second
    half = float(norm.ppf((1 + confidence) / 2)) * math.sqrt((first + second - middle**2) / (n_images + 2))
    return Difference((first_only - second_only) / n_images, max(-1.0, middle - half), min(1.0, middle + half))


def unpaired_difference(
    first: float, first_images: int, second: float, second_images: int, *, confidence: float = 0.95
) -> Difference:
    """Difference of the shares of two disjoint sets of images.

    Args:
        first: Images that count in the first set; may be fractional. `second` likewise.
        first_images: All images of the first set.
        second: Images that count in the second set.
        second_images: All images of the second set.
        confidence: Level, in (0, 1).

    Source: Newcombe (1998), Statistics in Medicine 17, 873-890, method 10, through
    ``statsmodels.stats.proportion.confint_proportions_2indep``.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    if not first_images or not second_images:
        return Difference()
    counts = first, first_images, second, second_images
    low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - confidence)
    return Difference(first / first_images - second / second_images, float(low), float(high))
