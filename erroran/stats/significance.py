"""Exact tests of the difference between two arms, from the errors of each run on each image."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, FloatArray, IntArray

_TAIL = 1e-60  # smaller probabilities are cut off, which keeps tables of 60,000 images fast


@dataclass(frozen=True)
class McNemarResult:
    """McNemar's test of one run against one run.

    Attributes:
        before_only: Images wrong before and right after.
        after_only: Images right before and wrong after.
        p_exact: Two-sided exact p-value, in (0, 1].
        p_midp: Two-sided mid-p value, in (0, 1].
    """

    before_only: int
    after_only: int
    p_exact: float
    p_midp: float


@dataclass(frozen=True)
class StratifiedResult:
    """The stratified exact test; "less" means fewer errors after, "greater" more.

    Attributes:
        p_less: Exact one-sided p-value; `p_greater` is its mirror.
        p_less_mid: Mid-p version: half the weight on the observed count. `p_greater_mid` is its mirror.
    """

    p_less: float
    p_greater: float
    p_less_mid: float
    p_greater_mid: float


def mcnemar(before_only: int, after_only: int) -> McNemarResult:
    """McNemar's exact and mid-p tests for one run against one run.

    Args:
        before_only: Images wrong before and right after, >= 0.
        after_only: Images right before and wrong after, >= 0.

    Source: Fagerland, Lydersen, Laake (2013), BMC Med Res Methodol 13:91. statsmodels has the exact test without mid-p.
    """
    from scipy.stats import binom

    n, fewer = before_only + after_only, min(before_only, after_only)
    if n == 0:
        return McNemarResult(0, 0, 1.0, 1.0)
    exact = min(1.0, 2 * float(binom.cdf(fewer, n, 0.5)))
    at_observed = float(binom.pmf(fewer, n, 0.5))
    # With equal counts both tails hold the observed table: mid-p is then 1 minus half its probability.
    mid = 1 - at_observed / 2 if before_only == after_only else exact - at_observed
    return McNemarResult(before_only, after_only, exact, mid)


def stratified_test(before_errors: BoolArray, after_errors: BoolArray) -> StratifiedResult:
    """Compare two arms on the same images; every image is its own stratum.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), the same images in the same order.

    Raises:
        BadInput: The arms do not cover the same number of images, or one has no runs.

    Given how many of all runs predicted an image wrongly, the after arm's share is hypergeometric if the arms do not
    differ; the sum over images is the convolution of these distributions. The errors of one run count as independent
    between images; `dispersion.adjust_p` corrects for runs that vary as a whole.

    Source: Jung (2014), Biometrical Journal, PMC3884832 (stratified Fisher's exact test). R's
    ``mantelhaen.test(exact = TRUE)`` gives the same one-sided p-values.
    """
    before, after = check_arms(before_errors, after_errors)
    totals = before.sum(axis=0) + after.sum(axis=0)
    histogram = np.bincount(totals, minlength=len(before) + len(after) + 1)
    return stratified_from_totals(histogram, int(after.sum()), len(before), len(after))


def stratified_from_totals(
    histogram: IntArray, observed: int, n_before: int, n_after: int, *, odds_ratio: float = 1.0
) -> StratifiedResult:
    """`stratified_test` from its sufficient statistics.

    Args:
        histogram: Integer (S_b + S_a + 1,): entry t counts images that t runs predicted wrongly.
        observed: Errors of the after arm over all images and runs.
        n_before: Runs before, S_b >= 1.
        n_after: Runs after, S_a >= 1.
        odds_ratio: Odds ratio after : before under the null hypothesis, > 0; if not 1, each image's distribution is
            Fisher's noncentral hypergeometric.
    """
    offset, pmf = _null_distribution(tuple(histogram[1:].tolist()), n_before, n_after, odds_ratio)
    less, greater, point = _tails(pmf, observed - offset)
    return StratifiedResult(less, greater, less - point / 2, greater - point / 2)


def check_arms(before: BoolArray, after: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Both arms as bool 2-D arrays, runs by images.

    Raises:
        BadInput: The arms do not cover the same number of images, or one has no runs.
    """
    before = np.atleast_2d(np.asarray(before, dtype=bool))
    after = np.atleast_2d(np.asarray(after, dtype=bool))
    if before.shape[1] != after.shape[1] or not len(before) or not len(after):
        raise BadInput(
            f"both arms need runs on the same images; got {before.shape} and {after.shape}",
            fix="evaluate both arms on the same images, in the same order",
        )
    return before, after


@lru_cache(maxsize=4096)
def _hypergeometric(total: int, n_before: int, n_after: int, odds_ratio: float) -> tuple[int, FloatArray]:
    """Lowest value and probabilities of the after arm's count on one image."""
    from scipy.stats import hypergeom, nchypergeom_fisher

    low, high = max(0, total - n_before), min(total, n_after)
    sizes, counts = (n_before + n_after, total, n_after), np.arange(low, high + 1)
    if odds_ratio == 1.0:
        return low, hypergeom.pmf(counts, *sizes)
    return low, nchypergeom_fisher.pmf(counts, *sizes, odds_ratio)


@lru_cache(maxsize=2048)
def _null_distribution(
    histogram: tuple[int, ...], n_before: int, n_after: int, odds_ratio: float
) -> tuple[int, FloatArray]:
    """Lowest value and probabilities of the after arm's count over all images."""
    offset, pmf = 0, np.ones(1)
    for total, n_images in enumerate(histogram, start=1):
        if n_images:
            low, single = _hypergeometric(total, n_before, n_after, odds_ratio)
            shift, power = _power(single, n_images)
            cut, pmf = _trim(np.convolve(pmf, power))
            offset += low * n_images + shift + cut
    return offset, pmf


def _power(pmf: FloatArray, n: int) -> tuple[int, FloatArray]:
    """The n-fold convolution of `pmf`, by squaring, and how many low entries were cut off."""
    shift, out = 0, np.ones(1)
    base_shift, base = 0, pmf
    while True:
        if n & 1:
            cut, out = _trim(np.convolve(out, base))
            shift += base_shift + cut
        n >>= 1
        if n == 0:
            return shift, out
        cut, base = _trim(np.convolve(base, base))
        base_shift = 2 * base_shift + cut


def _trim(pmf: FloatArray) -> tuple[int, FloatArray]:
    """Cut off ends with probabilities below `_TAIL`; also how many low entries were cut off."""
    if pmf.size < 512:
        return 0, pmf
    kept = np.flatnonzero(pmf > _TAIL)
    return int(kept[0]), pmf[kept[0] : kept[-1] + 1]


def _tails(pmf: FloatArray, at: int) -> tuple[float, float, float]:
    """P(X <= at), P(X >= at), P(X = at); the first two are never exactly 0."""
    if at < 0:
        return _TAIL, 1.0, 0.0
    if at >= pmf.size:
        return 1.0, _TAIL, 0.0
    lower, upper = float(pmf[: at + 1].sum()), float(pmf[at:].sum())
    return min(1.0, max(lower, _TAIL)), min(1.0, max(upper, _TAIL)), float(pmf[at])
