"""Is the difference between two arms more than luck? Exact tests on per-image errors.

One run against one run: `mcnemar`. Several runs against several: `stratified_test`, after
`overdispersion` has checked its assumption; if that fails, `run_permutation_test`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput
from erroran.stats.confusion import BoolArray, FloatArray, IntArray

# Exact p-values below this are rounded to it: the far tails of huge tables are cut off there.
_TAIL = 1e-60


@dataclass(frozen=True)
class McNemarResult:
    """McNemar's test from discordant counts; p-values are two-sided, in (0, 1]."""

    before_only: int
    after_only: int
    p_exact: float
    p_midp: float


@dataclass(frozen=True)
class StratifiedResult:
    """The stratified exact test. "less" means fewer errors after, "greater" more.

    Attributes:
        observed: Errors of the after arm, summed over images and runs.
        null_mean: Its expectation if the arms were exchangeable within every image.
        null_sd: Its standard deviation under the same hypothesis.
        n_informative: Images that some but not all runs of the two arms got wrong.
        p_less: Exact one-sided p-value; `p_greater` is its mirror.
        p_two_sided: Twice the smaller one, at most 1.
        p_less_mid: Mid-p versions: half the weight on the observed count.
        smallest_p: The smallest two-sided mid-p that these images could have given.
        odds_ratio: Common odds ratio after : before; 0 or inf at the ends, nan if uninformed.
        odds_ratio_low: Its mid-p interval, conditional on these images; see `confidence`.
        confidence: Level of that interval.
    """

    observed: int
    null_mean: float
    null_sd: float
    n_informative: int
    p_less: float
    p_greater: float
    p_two_sided: float
    p_less_mid: float
    p_greater_mid: float
    p_two_sided_mid: float
    smallest_p: float
    odds_ratio: float
    odds_ratio_low: float
    odds_ratio_high: float
    confidence: float


@dataclass(frozen=True)
class Overdispersion:
    """Do runs differ more in their counts than independent images would make them?

    Attributes:
        variance: Between-run variance of the count, pooled over arms (errors squared).
        expected: The variance that independent images would give, same pooling.
        ratio: variance / expected; 1 if independent, nan if no image ever flips.
        statistic: Cochran's Q, summed over arms.
        df: Runs minus arms.
        p_value: Upper chi-square tail.
        overdispersed: p_value below the level of the check.
    """

    variance: float
    expected: float
    ratio: float
    statistic: float
    df: int
    p_value: float
    overdispersed: bool


@dataclass(frozen=True)
class RunPermutationResult:
    """Whole runs shuffled between the arms; p-values in (0, 1].

    Attributes:
        difference: Mean count after minus mean count before.
        p_less: One-sided, fewer errors after.
        p_greater: One-sided, more errors after.
        p_two_sided: Twice the smaller, at most 1.
        smallest_p: The smallest two-sided p-value that this number of runs can reach.
    """

    difference: float
    p_less: float
    p_greater: float
    p_two_sided: float
    smallest_p: float


def mcnemar(before_only: int, after_only: int) -> McNemarResult:
    """McNemar's exact and mid-p tests for one run against one run.

    Args:
        before_only: Images wrong before and right after, >= 0.
        after_only: Images right before and wrong after, >= 0.

    Returns:
        Both two-sided p-values; 1 when no image is discordant.

    Raises:
        BadInput: A count is negative.

    Source: Fagerland, Lydersen, Laake (2013), BMC Med Res Methodol 13:91. The exact one equals
    ``statsmodels.stats.contingency_tables.mcnemar(exact=True)``; statsmodels has no mid-p.
    """
    from scipy.stats import binom

    if before_only < 0 or after_only < 0:
        raise BadInput(
            f"discordant counts must be >= 0; got {before_only} and {after_only}",
            fix="count images that exactly one of the two runs got wrong",
        )
    n, fewer = before_only + after_only, min(before_only, after_only)
    if n == 0:
        return McNemarResult(0, 0, 1.0, 1.0)
    exact = min(1.0, 2 * float(binom.cdf(fewer, n, 0.5)))
    at_observed = float(binom.pmf(fewer, n, 0.5))
    # With an even split both tails hold the observed point: mid-p is then 1 minus half of it.
    mid = 1 - at_observed / 2 if before_only == after_only else exact - at_observed
    # The lower tail is exact minus one point twice over two: 2 * (cdf - pmf / 2).
    return McNemarResult(before_only, after_only, exact, mid)


def mcnemar_midp(before_only: int, after_only: int) -> float:
    """The mid-p value alone; see `mcnemar`."""
    return mcnemar(before_only, after_only).p_midp


def stratified_test(before_errors: BoolArray, after_errors: BoolArray, *, confidence: float = 0.95) -> StratifiedResult:
    """Compare two arms on the same images; every image is its own stratum.

    Per image the runs form a 2x2 table (arm by error). Given how many of all runs got the image
    wrong, the after arm's share is hypergeometric if the arms are exchangeable; the sum over
    images is a convolution of these, computed exactly. Within a run, images must err independently
    of each other (each at its own rate): `overdispersion` checks that.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), the same images in the same order.
        confidence: Level of the odds-ratio interval, in (0, 1).

    Returns:
        Exact and mid-p p-values (see `StratifiedResult`). All are 1 without informative images
        (one-sided mid-p: 0.5).

    Raises:
        BadInput: The arms do not cover the same number of images, or one has no runs.

    Source: Jung (2014), Biometrical Journal, PMC3884832 (stratified Fisher's exact test). Under a
    common odds ratio psi the null distribution f(s) becomes proportional to f(s) psi^s, which
    gives the interval.
    """
    before_errors, after_errors = check_arms(before_errors, after_errors)
    n_before, n_after = len(before_errors), len(after_errors)
    totals = before_errors.sum(axis=0) + after_errors.sum(axis=0)
    return stratified_from_totals(
        images_by_total(totals, n_before + n_after),
        int(after_errors.sum()),
        n_before,
        n_after,
        confidence=confidence,
    )


def stratified_from_totals(
    histogram: IntArray,
    observed: int,
    n_before: int,
    n_after: int,
    *,
    confidence: float = 0.95,
) -> StratifiedResult:
    """`stratified_test` from its sufficient statistics.

    Args:
        histogram: Integer (S_b + S_a + 1,): entry t counts images that t runs got wrong.
        observed: Errors of the after arm over all images and runs.
        n_before: Runs before, S_b >= 1.
        n_after: Runs after, S_a >= 1.
        confidence: Level of the odds-ratio interval.
    """
    key = tuple(int(count) for count in histogram[1:])
    offset, pmf, mean, variance = _null_distribution(key, n_before, n_after)
    at = observed - offset
    lower, upper, point = _tails(pmf, at)
    low, centre, high = _odds_ratio(pmf, at, confidence)
    less_mid, greater_mid = lower - point / 2, upper - point / 2
    return StratifiedResult(
        observed=observed,
        null_mean=mean,
        null_sd=variance**0.5,
        n_informative=int(sum(key[:-1])),
        p_less=lower,
        p_greater=upper,
        p_two_sided=min(1.0, 2 * min(lower, upper)),
        p_less_mid=less_mid,
        p_greater_mid=greater_mid,
        p_two_sided_mid=min(1.0, 2 * min(less_mid, greater_mid)),
        smallest_p=min(1.0, float(min(pmf[0], pmf[-1]))),
        odds_ratio=centre,
        odds_ratio_low=low,
        odds_ratio_high=high,
        confidence=confidence,
    )


def midp_sides(
    histogram: IntArray, observed: int, n_before: int, n_after: int, *, odds_ratio: float = 1.0
) -> tuple[float, float]:
    """Only the one-sided mid-p values (less, greater) of `stratified_from_totals`; much quicker.

    Args:
        histogram: As there, as are the next three.
        observed: See there.
        n_before: See there.
        n_after: See there.
        odds_ratio: Common odds ratio after : before that is tested, > 0; 1 for arms that do not differ. The null
            distribution is then Fisher's noncentral hypergeometric, convolved over the images.
    """
    key = tuple(int(count) for count in histogram[1:])
    offset, pmf, _, _ = _null_distribution(key, n_before, n_after, odds_ratio)
    lower, upper, point = _tails(pmf, observed - offset)
    return lower - point / 2, upper - point / 2


def common_odds_ratio(histogram: IntArray, observed: int, n_before: int, n_after: int) -> float:
    """Conditional maximum-likelihood estimate of the common odds ratio after : before, for tables of any size.

    Args:
        histogram: As for `stratified_from_totals`, as are the others.
        observed: See there.
        n_before: See there.
        n_after: See there.

    Returns:
        0 or inf if the arm of the errors is certain, nan if no image tells anything; otherwise that of
        `StratifiedResult`, which needs the whole distribution.
    """
    from scipy.optimize import brentq

    totals = [(total, int(n)) for total, n in enumerate(histogram) if n and total]
    lowest = sum(max(0, total - n_before) * n for total, n in totals)
    highest = sum(min(total, n_after) * n for total, n in totals)
    if lowest == highest:
        return float("nan")
    if observed in (lowest, highest):
        return 0.0 if observed == lowest else float("inf")

    def excess(log_ratio: float) -> float:
        mean = 0.0
        for total, n in totals:
            low, pmf = _hypergeometric(total, n_before, n_after, float(np.exp(log_ratio)))
            mean += n * float(pmf @ np.arange(low, low + pmf.size))
        return mean - observed

    return float(np.exp(brentq(excess, -30, 30)))


def overdispersion(*arms: BoolArray, level: float = 0.05, shift_sd: float = 0.0) -> Overdispersion:
    """Check that images err independently within a run, given each image's own error rate.

    Args:
        arms: bool (S, M) each; arms may have different runs, and need not share images.
        level: The check is failed below this p-value.
        shift_sd: Swing of whole runs that is expected anyway, in logits (`dispersion.run_variation`): the check
            is then against the variance e + (shift_sd e)^2. The ratio stays that to independent images.

    Returns:
        The variance ratio and its test. With one run per arm, or no image that ever flips, there is
        nothing to see: ratio nan, p-value 1.

    The expected variance of a count is sum_i p_i (1 - p_i); its unbiased plug-in is
    sum_i p^_i (1 - p^_i) S / (S - 1), p^_i being the share of runs. Then (S - 1) times the ratio is
    exactly Cochran's Q (``statsmodels.stats.contingency_tables.cochrans_q``): chi-square with
    S - 1 degrees of freedom for independent images; arms add up. The approximation needs some five
    flips in all.

    Power is poor with few runs: with 3 + 3 runs a true ratio of 2 is seen about 3 times in 10 at
    the 5 % level, with 5 + 5 runs every second time, with 10 + 10 runs 7 times in 10. Passing the
    check is weak evidence at 3 seeds.

    Source: Jordan (2023), arXiv 2304.01910, section 4 (variance of independent images); Cochran
    (1950), Biometrika 37, 256-266.
    """
    from scipy.stats import chi2

    statistic, df, spread, expected = 0.0, 0, 0.0, 0.0
    for errors in arms:
        runs = np.atleast_2d(np.asarray(errors, dtype=bool))
        n_runs = len(runs)
        wrong = runs.sum(axis=0, dtype=np.int64)
        flips = float((wrong * (n_runs - wrong)).sum())
        if n_runs < 2 or flips == 0:
            continue
        counts = runs.sum(axis=1)
        squares = float(((counts - counts.mean()) ** 2).sum())
        arm_expected = flips / (n_runs * (n_runs - 1))
        statistic += squares / (arm_expected + (shift_sd * arm_expected) ** 2)
        df += n_runs - 1
        spread += squares
        expected += (n_runs - 1) * arm_expected
    if df == 0:
        return Overdispersion(0.0, 0.0, float("nan"), 0.0, 0, 1.0, overdispersed=False)
    p_value = float(chi2.sf(statistic, df))
    return Overdispersion(
        variance=spread / df,
        expected=expected / df,
        ratio=spread / expected,
        statistic=statistic,
        df=df,
        p_value=p_value,
        overdispersed=p_value < level,
    )


def run_permutation_test(
    before_counts: Sequence[int] | IntArray, after_counts: Sequence[int] | IntArray
) -> RunPermutationResult:
    """Shuffle whole runs between the arms; valid however the errors of one run hang together.

    Args:
        before_counts: Errors per run before, integer (S_b,).
        after_counts: Errors per run after, integer (S_a,).

    Returns:
        Exact p-values and the smallest p these runs could reach: with 3 + 3 runs 0.1, so nothing is
        ever significant at 5 %; use it from 5 + 5 runs up (0.008).

    Raises:
        BadInput: An arm has fewer than two runs.

    Source: Fisher's permutation test. Counts of all choices by their sum come from the shift algorithm
    of Streitberg and Roehmel (1986), Statistical Software Newsletter 12, 10-17, which stays exact where
    ``scipy.stats.permutation_test`` would have to sample.
    """
    before, after = np.asarray(before_counts, np.int64), np.asarray(after_counts, np.int64)
    if before.size < 2 or after.size < 2:
        raise BadInput("each arm needs at least two runs to shuffle", fix="train more seeds")
    pooled = np.concatenate([before, after])
    floor = int(pooled.min())
    chances = _sum_distribution(tuple(sorted((pooled - floor).tolist())), after.size)
    observed = int(after.sum()) - floor * after.size
    less = min(1.0, float(chances[: observed + 1].sum()))
    greater = min(1.0, float(chances[observed:].sum()))
    return RunPermutationResult(
        difference=float(after.mean() - before.mean()),
        p_less=less,
        p_greater=greater,
        p_two_sided=min(1.0, 2 * min(less, greater)),
        smallest_p=2 / comb(pooled.size, after.size),
    )


@lru_cache(maxsize=256)
def _sum_distribution(values: tuple[int, ...], n_chosen: int) -> FloatArray:
    """Chance of each sum of `n_chosen` of the values, all choices equally likely."""
    ways = np.zeros((n_chosen + 1, sum(values) + 1))
    ways[0, 0] = 1.0
    for value in values:
        # Copied first: a value may be chosen once only.
        ways[1:, value:] += ways[:-1, : ways.shape[1] - value].copy()
    chances: FloatArray = ways[n_chosen] / comb(len(values), n_chosen)
    return chances


def check_arms(before: BoolArray, after: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Both arms as bool 2-D arrays on the same images, at least one run each."""
    before = np.atleast_2d(np.asarray(before, dtype=bool))
    after = np.atleast_2d(np.asarray(after, dtype=bool))
    if before.shape[1] != after.shape[1] or not len(before) or not len(after):
        raise BadInput(
            f"both arms need runs on the same images; got {before.shape} and {after.shape}",
            fix="evaluate both arms on the same images, in the same order",
        )
    return before, after


@lru_cache(maxsize=4096)
def _hypergeometric(total: int, n_before: int, n_after: int, odds_ratio: float = 1.0) -> tuple[int, FloatArray]:
    """Lowest value and probabilities of the after arm's count on one image (Fisher's noncentral distribution)."""
    low, high = max(0, total - n_before), min(total, n_after)
    ways = [comb(n_after, k) * comb(n_before, total - k) for k in range(low, high + 1)]
    whole = comb(n_before + n_after, total)
    pmf: FloatArray = np.array([way / whole for way in ways])
    if odds_ratio != 1.0:
        with np.errstate(divide="ignore"):
            log_weight = np.log(pmf) + np.arange(pmf.size) * np.log(odds_ratio)
        pmf = np.exp(log_weight - log_weight.max())
        pmf = pmf / pmf.sum()
    return low, pmf


@lru_cache(maxsize=2048)
def _null_distribution(
    histogram: tuple[int, ...], n_before: int, n_after: int, odds_ratio: float = 1.0
) -> tuple[int, FloatArray, float, float]:
    """Offset, probabilities, and (at an odds ratio of 1) mean and variance of the after arm's count over all images."""
    n_runs = n_before + n_after
    offset, mean, variance = 0, 0.0, 0.0
    pmf: FloatArray = np.ones(1)
    for total, n_images in enumerate(histogram, start=1):
        if n_images == 0:
            continue
        low, single = _hypergeometric(total, n_before, n_after, odds_ratio)
        shift, power = _power(single, n_images)
        cut, pmf = _trim(np.convolve(pmf, power))
        offset += low * n_images + shift + cut
        mean += n_images * total * n_after / n_runs
        if n_runs > 1:
            spread = total * (n_runs - total) * n_before * n_after / (n_runs**2 * (n_runs - 1))
            variance += n_images * spread
    return offset, pmf, mean, variance


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
    """Cut tails that no p-value can feel; keeps huge tables (60,000 images) fast."""
    if pmf.size < 512:
        return 0, pmf
    kept = np.flatnonzero(pmf > _TAIL)
    return int(kept[0]), pmf[kept[0] : kept[-1] + 1]


def _tails(pmf: FloatArray, at: int) -> tuple[float, float, float]:
    """P(X <= at), P(X >= at), P(X = at); never exactly zero."""
    if at < 0:
        return _TAIL, 1.0, 0.0
    if at >= pmf.size:
        return 1.0, _TAIL, 0.0
    lower, upper = float(pmf[: at + 1].sum()), float(pmf[at:].sum())
    return min(1.0, max(lower, _TAIL)), min(1.0, max(upper, _TAIL)), float(pmf[at])


def _odds_ratio(pmf: FloatArray, at: int, confidence: float) -> tuple[float, float, float]:
    """Low end, conditional maximum-likelihood estimate, high end of the common odds ratio."""
    from scipy.optimize import brentq

    if pmf.size == 1 or not 0 <= at < pmf.size:
        return (0.0, float("nan"), float("inf"))
    with np.errstate(divide="ignore"):
        log_pmf = np.log(pmf)
    values = np.arange(pmf.size, dtype=float)
    tail = (1 - confidence) / 2

    def tilted(log_psi: float) -> FloatArray:
        log_weight = log_pmf + (values - at) * log_psi
        weight: FloatArray = np.exp(log_weight - log_weight.max())
        share: FloatArray = weight / weight.sum()
        return share

    def upper_excess(log_psi: float) -> float:
        weight = tilted(log_psi)
        return float(weight[at:].sum() - weight[at] / 2) - tail

    def lower_excess(log_psi: float) -> float:
        weight = tilted(log_psi)
        return tail - float(weight[: at + 1].sum() - weight[at] / 2)

    def mean_excess(log_psi: float) -> float:
        return float(tilted(log_psi) @ values) - at

    last = pmf.size - 1
    low = 0.0 if at == 0 else float(np.exp(brentq(upper_excess, -60, 60)))
    high = float("inf") if at == last else float(np.exp(brentq(lower_excess, -60, 60)))
    if at == 0:
        return low, 0.0, high
    if at == last:
        return low, float("inf"), high
    return low, float(np.exp(brentq(mean_excess, -60, 60))), high


def images_by_total(totals: npt.NDArray[np.integer], n_runs: int) -> npt.NDArray[np.int64]:
    """Histogram of per-image totals: integer (M,) in 0..n_runs to int64 (n_runs + 1,)."""
    histogram: npt.NDArray[np.int64] = np.bincount(totals, minlength=n_runs + 1)
    return histogram
