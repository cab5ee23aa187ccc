"""Tests of the difference between two arms, from the errors of each run on each image.

The unit is the run: `change_test` compares the mean counts of two arms by the variance of counts over runs. Besides, it
asks whether the change holds for new images, and without the image that changed most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.dispersion import SHIFT_FACTORS, weigh_shifts

HALF_ERROR: Final = 0.5
"""Errors added to the total of both arms, so that one or two errors are no evidence.

With n errors on as many images, all in one of two equal arms, the test then gives the binomial mid-p value: n = 1 to 6
give 0.41, 0.21, 0.11, 0.06, 0.03, 0.02 instead of 0.5, 0.25, 0.13, 0.06, 0.03, 0.02.
"""
AGAINST: Final = 6.0
"""Variance of new images, in squared changes of the images that changed against the direction of the total.

If images change both ways at random, those against it have half of all squared changes on average, and fewer where the
total is large by chance, so 2 would be too small. Chosen among 2, 4, 6, 8 and 12 on simulations of images that
change both ways.
"""
PRIOR_IMAGES: Final = 8.0
"""Weight of "images change as the total does" against the squared changes found, in changed images.

Chosen among 4, 6, 8 and 12 on the same simulations, and on halvings of real cells image by image.
"""
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


@dataclass(frozen=True)
class Tally:
    """What the errors of R comparisons of two arms say about their difference; all in errors per run.

    Attributes:
        n_runs: Runs before and after, (S_b, S_a).
        mean: float64 (2, R), mean count of each arm.
        squares: float64 (2, R), sum over an arm's runs of the squared deviations of the count from its mean.
        flips: float64 (2, R), variance of an arm's count for images that err independently, each at its own rate.
        pooled: float64 (R,), the same from the runs of both arms together, which do not differ if nothing changed. An
            arm of one run has no variance of its own, so its `flips` and `noise` are these.
        rates: float64 (2, R, M), each image's error rate.
        noise: float64 (2, R, M), variance of these rates over seeds, for independent images.
    """

    n_runs: tuple[int, int]
    mean: FloatArray
    squares: FloatArray
    flips: FloatArray
    pooled: FloatArray
    rates: FloatArray
    noise: FloatArray

    @property
    def change(self) -> FloatArray:
        """float64 (R, M): change of each image's error rate, after minus before."""
        return np.asarray(self.rates[1] - self.rates[0])

    @property
    def difference(self) -> FloatArray:
        """float64 (R,): mean count after minus before."""
        return np.asarray(self.mean[1] - self.mean[0])


@dataclass(frozen=True)
class ErrorTest:
    """Tests of "no change", two-sided p-values float64 (R,) in [0, 1].

    Attributes:
        p_value: For new seeds on these images.
        p_images: For new seeds and new images; at least `p_value`, and equal to it if the images do not differ in how
            they change.
        p_rest: As `p_value` but one-sided and without the image that changed most in the direction of the total.
        variance_ratio: Variance between runs, relative to independent images.
    """

    p_value: FloatArray
    p_images: FloatArray
    p_rest: FloatArray
    variance_ratio: FloatArray


def tally_errors(before: BoolArray, after: BoolArray) -> Tally:
    """Sum up errors, bool (S_b, M) and (S_a, M), or R comparisons at once, bool (R, S_b, M) and (R, S_a, M)."""
    _, sizes, wrong, counts = _count(before, after)
    return _tally(sizes, wrong, counts)


def _count(
    before: BoolArray, after: BoolArray
) -> tuple[list[BoolArray], tuple[int, int], list[IntArray], list[IntArray]]:
    """Both arms as bool (R, S, M), their runs, each image's wrong runs (R, M), and errors per run (R, S)."""
    arms = [arm if arm.ndim == 3 else arm[None] for arm in (before, after)]
    wrong = [arm.sum(axis=1, dtype=np.int64) for arm in arms]
    counts = [arm.sum(axis=2, dtype=np.int64) for arm in arms]
    return arms, (arms[0].shape[1], arms[1].shape[1]), wrong, counts


def _tally(sizes: tuple[int, int], wrong: Sequence[IntArray], counts: Sequence[IntArray]) -> Tally:
    """From each arm's wrong runs per image, integer (R, M), and errors per run, integer (R, S)."""
    whole = sum(sizes)
    together = wrong[0] + wrong[1]
    pooled = together * (whole - together) / (whole * max(1, whole - 1))
    own = [k * (n - k) / (n * (n - 1)) if n > 1 else pooled for n, k in zip(sizes, wrong, strict=True)]
    return Tally(
        n_runs=sizes,
        mean=np.stack([count.mean(axis=1) for count in counts]),
        squares=np.stack([count.var(axis=1) * count.shape[1] for count in counts]),
        flips=np.stack([each.sum(axis=1) for each in own]),
        pooled=pooled.sum(axis=1),
        rates=np.stack([k / n for n, k in zip(sizes, wrong, strict=True)]),
        noise=np.stack([each / n for n, each in zip(sizes, own, strict=True)]),
    )


def change_test(before: BoolArray, after: BoolArray, *, logit_sd: float | FloatArray = 0.0) -> ErrorTest:
    """Test "no change" of one kind of error, in one or many comparisons.

    Args:
        before: bool (S_b, M), runs by images, or (R, S_b, M) for R comparisons at once; S_b >= 2. Images that no run
            gets wrong may be left out.
        after: bool (S_a, M) or (R, S_a, M), the same images; S_a >= 2.
        logit_sd: Run-to-run variation of this count in logits, one number or float64 (R,); see
            `dispersion.run_variation`.

    New seeds: the difference D of the mean counts over its standard error if nothing changed. The variance of a count
    over runs is e + (shift e)^2, with e from both arms' images. The shift is not known: the p-value is the mean of the
    normal p-values over its posterior (`dispersion.weigh_shifts`), which all cells and the runs' own counts determine.
    It is the test of Smyth (2004) with a posterior of the run-to-run shift only, because e is known better from the
    images than from few counts.

    New images: adds the variance of D over images. If all images change in proportion there is none; the images that
    changed against the direction of D show how much there is: `AGAINST` times their squared changes beyond seed noise.
    As images may change alike by chance, it is at least n / (n + `PRIOR_IMAGES`) of all squared changes beyond noise,
    with n their effective number, (sum d^2)^2 / sum d^4. The reference is Student's t with Satterthwaite's degrees of
    freedom, as this variance comes from few images.

    Source: Smyth (2004), Stat Appl Genet Mol Biol 3(1):3; Gelman (2006), Bayesian Analysis 1, 515-534; Satterthwaite
    (1946), Biometrics Bulletin 2, 110-114. The variance of new images is erroran's own; ``reports/calibration.md``
    shows its false claims and its power.
    """
    arms, sizes, wrong, counts = _count(before, after)
    tally = _tally(sizes, wrong, counts)
    weights = weigh_shifts(tally.squares, tally.flips, sizes, logit_sd)
    variances = null_variances(tally, logit_sd)
    p_value = _mean_p(tally, weights, variances)
    if not tally.rates.shape[2]:
        return ErrorTest(p_value, p_value, np.ones_like(p_value), np.ones_like(p_value))
    p_images = _mean_p(tally, weights, variances, *image_variance(tally))
    # Without the image that changed most; of equal ones, without that which flips most.
    sign = np.sign(tally.difference)[:, None]
    together = wrong[0] + wrong[1]
    most = (tally.change * sign + 1e-9 * together * (sum(sizes) - together)).argmax(axis=1)
    rows = np.arange(len(most))
    rest_wrong = [k.copy() for k in wrong]
    for k in rest_wrong:
        k[rows, most] = 0
    rest = _tally(sizes, rest_wrong, [count - arm[rows, :, most] for count, arm in zip(counts, arms, strict=True)])
    p_rest = _mean_p(rest, weights, null_variances(rest, logit_sd)) / 2
    p_rest = np.where(rest.difference * sign[:, 0] > 0, p_rest, 1 - p_rest)
    p_rest = np.where(sign[:, 0] == 0, 0.5, p_rest)  # without a direction no image stands out
    ratio = (weights * variances).sum(axis=1) / variances[:, 0]
    return ErrorTest(p_value, np.maximum(p_value, p_images), p_rest, ratio)


def null_variances(tally: Tally, logit_sd: float | FloatArray) -> FloatArray:
    """Variance of the difference over new seeds if nothing changed, float64 (R, G), for each of the `SHIFT_FACTORS`."""
    shift = (SHIFT_FACTORS * np.reshape(logit_sd, (-1, 1))) ** 2
    expected = (tally.pooled + HALF_ERROR / sum(tally.n_runs))[:, None]
    variance: FloatArray = (expected + shift * expected**2) * sum(1 / n for n in tally.n_runs)
    return variance


def image_variance(tally: Tally) -> tuple[FloatArray, FloatArray]:
    """Variance of the difference over new images if nothing changed, and its degrees of freedom, float64 (R,) each.

    See `change_test`.
    """
    change, noise = tally.change, tally.noise.sum(axis=0)
    squares = change**2
    against = change * np.sign(tally.difference)[:, None] < 0
    opposed = AGAINST * beyond_noise(squares * against, noise * against)
    images = effective_number(squares)
    uneven = beyond_noise(squares, noise) * images / (images + PRIOR_IMAGES)
    df = np.where(opposed > uneven, effective_number(squares * against), images)
    return np.maximum(opposed, uneven), np.maximum(1.0, df)


def beyond_noise(squares: FloatArray, noise: FloatArray) -> FloatArray:
    """Sum over images of the squared changes less their noise, float64 (R,), shrunk where it may be noise itself.

    The estimate q becomes max(0, q - v / q) with the variance v of the noise's part, after James and Stein (1961).
    """
    found = (squares - noise).sum(axis=1)
    variance = 2 * (noise**2).sum(axis=1)
    shrunk: FloatArray = np.where(found > 0, np.maximum(0.0, found - variance / np.maximum(found, 1e-12)), 0.0)
    return shrunk


def effective_number(values: FloatArray) -> FloatArray:
    """Effective number of terms of sums of values >= 0, (sum x)^2 / sum x^2, (R,) from (R, M); 0 if all are."""
    squares = (values**2).sum(axis=1)
    number: FloatArray = np.divide(values.sum(axis=1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    return number


def satterthwaite(share: FloatArray, df: FloatArray | float) -> FloatArray:
    """Degrees of freedom of a variance of which this share was estimated with `df`; at most a million."""
    return np.asarray(np.minimum(df / np.maximum(share, 1e-3) ** 2, 1e6))


def _mean_p(
    tally: Tally,
    weights: FloatArray,
    variances: FloatArray,
    extra: FloatArray | None = None,
    extra_df: FloatArray | None = None,
) -> FloatArray:
    """Two-sided p-values averaged over the shifts; `extra` is a variance with `extra_df` degrees of freedom."""
    from scipy.special import ndtr, stdtr

    size = np.abs(tally.difference)[:, None]
    if extra is None or extra_df is None:
        tails = ndtr(-size / np.sqrt(variances))
    else:
        whole = variances + extra[:, None]
        tails = stdtr(satterthwaite(extra[:, None] / whole, extra_df[:, None]), -size / np.sqrt(whole))
    p_value: FloatArray = np.minimum(1.0, 2 * (weights * tails).sum(axis=1))
    return p_value


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
