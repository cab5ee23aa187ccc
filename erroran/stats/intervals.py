"""How large is the change? Differences in errors per 10,000 images, and ratios, with intervals."""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, IntArray
from erroran.stats.dispersion import PRIOR_DF, excess_run_variance
from erroran.stats.significance import check_arms

PER_10000 = 10_000.0


@dataclass(frozen=True)
class Effect:
    """The change of an error rate, after minus before: negative is better.

    Attributes:
        n_images: Images evaluated (all classes): the denominator of "per 10,000".
        before_mean: Errors per run, mean over the runs before; `after_mean` likewise.
        before_per_10000: Errors per 10,000 evaluated images.
        per_10000: Difference of the rates, after minus before, per 10,000 evaluated images.
        low: Lower end of its interval; `high` the upper one.
        relative: after / before - 1; None if there were no errors before.
        relative_low: Lower end of its interval, >= -1; None if undefined.
        relative_high: Upper end; None if unbounded.
        confidence: Level of both intervals.
        method: Which interval this is.
    """

    n_images: int
    before_mean: float
    after_mean: float
    before_per_10000: float
    after_per_10000: float
    per_10000: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    confidence: float
    method: str


def wilson_interval(errors: float, n_images: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of one rate.

    Args:
        errors: Count, >= 0; an effective count may be fractional.
        n_images: Images, > 0.
        confidence: Level, in (0, 1).

    Returns:
        Low and high end in [0, 1].

    Source: Wilson (1927); ``statsmodels.stats.proportion.proportion_confint(method="wilson")``.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(errors, n_images, alpha=1 - confidence, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def clustered_wilson(times: IntArray, n_runs: int, n_images: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a mean rate over runs that share their images; the images are the sample.

    Args:
        times: Integer (N,): how many of the runs the event happened in, image by image; zeros may be left out.
        n_runs: Runs.
        n_images: Images a run was evaluated on, > 0; a mean over the runs may be fractional.
        confidence: Level, in (0, 1).

    Returns:
        Low and high end in [0, 1]; with one run `wilson_interval`.

    With w = sum k^2 / sum k, sum k / w is the effective number of independent events (the design effect of Rao and
    Scott 1992, Biometrics 48, 577-585).
    """
    total = float(np.sum(times))
    weight = float(np.sum(np.square(times))) / total / n_runs if total else 1.0
    return wilson_interval(total / n_runs / weight, n_images / weight, confidence)


def score_interval(
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    *,
    confidence: float = 0.95,
    shift_sd: float = 0.0,
) -> Effect:
    """Change of an error rate with a score interval, for new images and new seeds.

    Args:
        before_errors: bool (S_b, M), runs by images; images that cannot err here may be left out.
        after_errors: bool (S_a, M), same images.
        n_images: Images evaluated, >= M.
        confidence: Level of the interval, in (0, 1).
        shift_sd: Sd of a run's shift of this count, in logits; see `dispersion.run_variation`.

    The images are the sample: with d_i the change of image i (mean over runs), new images *and*
    new seeds move the total by about sum d_i^2, plus what whole runs swing
    (`dispersion.excess_run_variance`). That variance over sum |d_i| is the mean jump w; rises and
    falls divided by w are effective discordant counts, put into Tango's score interval. With one
    run an arm this is Tango's interval itself. No image changed: w is 1, the most cautious.

    The ratio's interval is Wilson's for the after arm's share of all errors, on its effective size.

    The level is widened to Student's t for the share of the variance that swings of runs are, which are estimated.

    Simulated coverage at 95 %: ``reports/calibration.md``. With runs that shift as real ones do and 3 errors per run or
    more 93 to 99 %, difference and ratio; below that 95 to 100 %. Runs that do not shift at all are expected to by the
    prior: up to 100 % with 3 seeds. The seeds x images bootstrap counts seed noise up to three times: 95 to 100 %, but
    only 85 % at 1 error per run.

    Source: Tango (1998), Statistics in Medicine 17, 891-908; effective counts after Rao and Scott
    (1992), Biometrics 48, 577-585.
    """
    before, after = check_arms(before_errors, after_errors)
    change = after.mean(axis=0) - before.mean(axis=0)
    up, down = float(change[change > 0].sum()), float(-change[change < 0].sum())
    run_variance = excess_run_variance(before, after, shift_sd)
    weight, widened = 1.0, confidence
    if up + down > 0:
        image_variance = float((change**2).sum())
        weight = (image_variance + run_variance) / (up + down)
        df = PRIOR_DF + len(before) + len(after) - 2
        widened = _for_estimated(confidence, run_variance / (image_variance + run_variance), df)
    low, high = tango_interval(down / weight, up / weight, n_images / weight, widened)
    ratio_low, ratio_high = _ratio_interval(before, after, run_variance, widened)
    return _effect(
        before,
        after,
        n_images,
        ends=(low, high),
        ratio_ends=(ratio_low, ratio_high),
        confidence=confidence,
        method="score (Tango 1998, effective counts)",
    )


def bootstrap_interval(
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    rng: np.random.Generator,
    *,
    n_boot: int = 2000,
    confidence: float = 0.95,
) -> Effect:
    """The same change with a percentile interval from resampling seeds and images together.

    Conservative for rare errors (see `score_interval`), but free of its variance model: a second
    opinion from 5 seeds an arm up. Undefined, hence zero width, where no image ever errs.

    Args:
        before_errors: bool (S_b, M), runs by images.
        after_errors: bool (S_a, M), same images.
        n_images: Images evaluated, >= M.
        rng: Generator for the resamples.
        n_boot: Resamples, >= 1.
        confidence: Level, in (0, 1).

    Source: Sellam et al. (2022), The MultiBERTs, arXiv 2106.16163, section 4 (Multi-Bootstrap,
    unpaired seeds). Images get Poisson(1) weights, the large-sample form of resampling them.
    """
    before, after = check_arms(before_errors, after_errors)
    ever = before.any(axis=0) | after.any(axis=0)
    weights = rng.poisson(1.0, (int(ever.sum()), n_boot)).astype(np.float64)
    totals = []
    for runs in (before, after):
        drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=n_boot)
        counts = runs[:, ever].astype(np.float64) @ weights
        totals.append((counts * drawn.T).sum(axis=0) / len(runs))
    tail = (1 - confidence) / 2
    low, high = np.quantile(totals[1] - totals[0], [tail, 1 - tail]) / n_images
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = totals[1] / totals[0]
    # nan (no error in a resample of either arm) sorts last, as "unbounded" should.
    ratio_low, ratio_high = np.quantile(
        np.nan_to_num(ratios, nan=np.inf, posinf=np.inf), [tail, 1 - tail], method="nearest"
    )
    return _effect(
        before,
        after,
        n_images,
        ends=(float(low), float(high)),
        ratio_ends=(float(ratio_low), float(ratio_high) if np.isfinite(ratio_high) else None),
        confidence=confidence,
        method="bootstrap over seeds and images (Multi-Bootstrap)",
    )


def tango_interval(before_only: float, after_only: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a paired difference of proportions, (after_only - before_only) / n.

    Args:
        before_only: Images wrong only before, >= 0; effective counts may be fractional.
        after_only: Images wrong only after, >= 0.
        n: Images, >= before_only + after_only.
        confidence: Level, in (0, 1).

    Returns:
        Low and high end in [-1, 1].

    Source: Tango (1998), Statistics in Medicine 17, 891-908, eqs. 5-8.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    estimate = (after_only - before_only) / n

    def score(delta: float) -> float:
        a = 2 * n
        b = -before_only - after_only + (2 * n - after_only + before_only) * delta
        c = -before_only * delta * (1 - delta)
        down = max(0.0, ((b * b - 4 * a * c) ** 0.5 - b) / (2 * a))
        variance = n * (2 * down + delta * (1 - delta))
        if variance <= 0:
            return 0.0
        return float((after_only - before_only - n * delta) / variance**0.5)

    edge = 1e-12
    low = -1.0
    if estimate > -1 + edge and score(-1 + edge) > z:
        low = float(brentq(lambda delta: score(delta) - z, -1 + edge, estimate - edge / n))
    high = 1.0
    if estimate < 1 - edge and score(1 - edge) < -z:
        high = float(brentq(lambda delta: score(delta) + z, estimate + edge / n, 1 - edge))
    return low, high


def _for_estimated(confidence: float, share: float, df: float) -> float:
    """The level at which a normal quantile is Student's, where only a share of the variance has `df`.

    Source: Satterthwaite (1946), Biometrics Bulletin 2, 110-114.
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    if share <= 0:
        return confidence
    return float(2 * norm.cdf(student.ppf((1 + confidence) / 2, df / share**2)) - 1)


def _ratio_interval(
    before: BoolArray, after: BoolArray, run_variance: float, confidence: float
) -> tuple[float | None, float | None]:
    """Interval of after / before: Wilson for the after share of all errors, effective counts."""
    was, now = before.mean(axis=0), after.mean(axis=0)
    both = float(was.sum() + now.sum())
    if both == 0:
        return None, None
    share = float(now.sum()) / both
    # The share's effective binomial size, from its variance. At 0 and 1 that variance is blind, so it
    # is taken at a share shrunk towards one half by one average image, plus one average change.
    jump = float(((was + now) ** 2).sum()) / both
    moved = np.abs(now - was)
    change = float((moved**2).sum() / moved.sum()) if moved.any() else jump
    at = (float(now.sum()) + jump / 2) / (both + jump)
    spread = float((((1 - at) * now - at * was) ** 2).sum()) + (run_variance + change**2) * at * (1 - at)
    size = at * (1 - at) * both**2 / spread
    low, high = wilson_interval(share * size, size, confidence)
    return low / (1 - low) if low < 1 else None, high / (1 - high) if high < 1 else None


def _effect(
    before: BoolArray,
    after: BoolArray,
    n_images: int,
    *,
    ends: tuple[float, float],
    ratio_ends: tuple[float | None, float | None],
    confidence: float,
    method: str,
) -> Effect:
    was, now = float(before.sum() / len(before)), float(after.sum() / len(after))
    scale = PER_10000 / n_images
    low, high = (None if end is None else end - 1 for end in ratio_ends)
    return Effect(
        n_images=n_images,
        before_mean=was,
        after_mean=now,
        before_per_10000=was * scale,
        after_per_10000=now * scale,
        per_10000=(now - was) * scale,
        low=ends[0] * PER_10000,
        high=ends[1] * PER_10000,
        relative=now / was - 1 if was > 0 else None,
        relative_low=low if was > 0 else None,
        relative_high=high if was > 0 else None,
        confidence=confidence,
        method=method,
    )
