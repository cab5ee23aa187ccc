"""Intervals of a rate, of a mean, and of the change of an error rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.dispersion import PRIOR_DF, SHIFT_FACTORS, excess_run_variance, weigh_shifts
from erroran.stats.significance import HALF_ERROR, Tally, check_arms, tally_errors

PER_10000: Final = 10_000.0
PRIOR_IMAGES: Final = 8.0
"""Weight of "all images change in proportion to their error rate" against what the images show, in changed images.

Chosen among 4, 8, 16 and infinity on the simulations of `benchmarks.calibration`: coverage 94 to 97 % where images
change in proportion, 93 to 96 % where each is repaired or not.
"""

_LARGEST_RATIO: Final = 1e3  # an upper end of a ratio beyond this counts as unbounded


@dataclass(frozen=True)
class Effect:
    """The change of an error rate, after minus before: negative is better.

    Attributes:
        n_images: Images evaluated (all classes): the denominator of "per 10,000".
        before_mean: Errors per run, mean over the runs before; `after_mean` likewise.
        before_per_10000: Errors per 10,000 evaluated images; `after_per_10000` likewise.
        per_10000: Difference of the rates, after minus before, per 10,000 evaluated images.
        low: Lower end of its interval for new seeds and new images; `high` the upper one.
        seeds_low: Lower end of its interval for new seeds on these images; `seeds_high` the upper one.
        relative: after / before - 1; None if there were no errors before.
        relative_low: Lower end of its interval for new seeds and new images, >= -1; None if undefined.
        relative_high: Upper end; None if unbounded.
        seeds_relative_low: Lower end of its interval for new seeds on these images, >= -1; None if undefined.
        seeds_relative_high: Upper end; None if unbounded.
        confidence: Level of all intervals.
        method: Which intervals these are.
    """

    n_images: int
    before_mean: float
    after_mean: float
    before_per_10000: float
    after_per_10000: float
    per_10000: float
    low: float
    high: float
    seeds_low: float
    seeds_high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    seeds_relative_low: float | None
    seeds_relative_high: float | None
    confidence: float
    method: str


def wilson_interval(
    errors: float | IntArray, n_images: float, confidence: float = 0.95, *, n_runs: int = 1
) -> tuple[float, float]:
    """Score interval of one rate.

    Args:
        errors: Count in one run, >= 0, which may be fractional. Or, for runs on the same images, integer (n,): how many
            of the runs made the error, image by image; zeros may be left out.
        n_images: Images that a run was evaluated on, > 0; may be fractional.
        confidence: Level, in (0, 1).
        n_runs: Runs behind an array of errors.

    Returns:
        Low and high end in [0, 1], for new images.

    Runs on the same images are no independent samples: with w = sum k^2 / sum k over images, sum k / w is the effective
    number of errors (design effect of Rao and Scott 1992, Biometrics 48, 577-585).

    Source: Wilson (1927), through ``statsmodels.stats.proportion.proportion_confint``.
    """
    from statsmodels.stats.proportion import proportion_confint

    count, weight = float(np.sum(errors)) / n_runs, 1.0
    if np.ndim(errors) and count:
        weight = float(np.sum(np.square(errors))) / n_runs / count / n_runs
    low, high = proportion_confint(count / weight, n_images / weight, alpha=1 - confidence, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def score_interval(
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    *,
    confidence: float = 0.95,
    logit_sd: float = 0.0,
) -> Effect:
    """Change of an error rate with a score interval, for new images and new seeds.

    Args:
        before_errors: bool (S_b, M), runs by images; images that cannot err here may be left out.
        after_errors: bool (S_a, M), same images.
        n_images: Images evaluated, >= M.
        confidence: Level of the interval, in (0, 1).
        logit_sd: Run-to-run variation of this count, in logits; see `dispersion.run_variation`.

    The interval of the difference holds all changes delta of the total with (D - delta)^2 <= t^2 (V + H(delta)), where
    D is the observed change. V is the variance of D if nothing changes: that of the images, estimated within the arms
    (an estimate from the changes d_i alone would contain D and be too wide), plus `dispersion.excess_run_variance`.
    H(delta) is the variance due to sampling images, if all change in proportion to their error rates. Where sum d_i^2
    shows more uneven changes, V is moderated towards it with the weight `PRIOR_IMAGES`. As V is estimated, t is
    Student's with Satterthwaite's degrees of freedom.

    With one run in an arm, or without any change: Tango's interval, with its discordant counts divided by the mean
    change per image.

    The interval of the ratio is Wilson's for the after arm's share of all errors, with an effective sample size; the
    level is widened to Student's t for the share of the variance that is between whole runs.

    Coverage at 95 % in simulations (``reports/calibration.md``): 93 to 97 % from 3 errors per run up, 96 to 98 % at 1;
    up to 100 % with 3 seeds that do not vary as a whole; the ratio's falls to 89 % where a few images are repaired in
    every run.

    Source: Tango (1998), Statistics in Medicine 17, 891-908 (score intervals); Rao and Scott (1992), Biometrics 48,
    577-585 (effective counts); Smyth (2004), Stat Appl Genet Mol Biol 3(1):3 (moderation); Satterthwaite (1946),
    Biometrics Bulletin 2, 110-114 (degrees of freedom).
    """
    before, after = check_arms(before_errors, after_errors)
    change = after.mean(axis=0) - before.mean(axis=0)
    run_variance = excess_run_variance(before, after, logit_sd)
    run_df = PRIOR_DF + len(before) + len(after) - 2
    image_variance = float((change**2).sum())
    share = run_variance / (image_variance + run_variance) if image_variance else 0.0
    widened = _widen(confidence, share, run_df)
    if min(len(before), len(after)) < 2 or not change.any():
        low, high = _effective_tango(change, run_variance, n_images, widened)
    else:
        ends = _score_ends(before, after, run_variance, run_df, confidence)
        low, high = max(-1.0, ends[0] / n_images), min(1.0, ends[1] / n_images)
    ratio_low, ratio_high = _ratio_interval(before, after, run_variance, widened)
    was, now = float(before.sum() / len(before)), float(after.sum() / len(after))
    scale = PER_10000 / n_images
    seeds = _SeedsInterval(tally_errors(before, after), logit_sd)
    reach = seeds.reach(confidence)
    seeds_ratio = seeds.ratios(confidence)
    return Effect(
        n_images=n_images,
        before_mean=was,
        after_mean=now,
        before_per_10000=was * scale,
        after_per_10000=now * scale,
        per_10000=(now - was) * scale,
        low=low * PER_10000,
        high=high * PER_10000,
        seeds_low=max(now - was - reach, -n_images) * scale,
        seeds_high=min(now - was + reach, n_images) * scale,
        relative=now / was - 1 if was > 0 else None,
        relative_low=ratio_low - 1 if was > 0 and ratio_low is not None else None,
        relative_high=ratio_high - 1 if was > 0 and ratio_high is not None else None,
        seeds_relative_low=seeds_ratio[0] - 1 if seeds_ratio[0] is not None else None,
        seeds_relative_high=seeds_ratio[1] - 1 if seeds_ratio[1] is not None else None,
        confidence=confidence,
        method="score (seeds, whole runs, sampled images)",
    )


class _SeedsInterval:
    """Intervals of the difference and of the ratio for new seeds on these images; see `score_interval`."""

    def __init__(self, tally: Tally, logit_sd: float) -> None:
        self._before, self._after = tally.mean[:, 0].tolist()
        self._weights = weigh_shifts(tally.squares, tally.flips, tally.n_runs, logit_sd)[0]
        self._shift = (SHIFT_FACTORS * logit_sd) ** 2
        self._runs = tally.n_runs
        half = HALF_ERROR / sum(tally.n_runs)
        self._own = [float(flips) + half for flips in tally.flips[:, 0]]
        self._null = float(tally.pooled[0]) + half

    def p_value(self, contrast: float, share: float, ratio: float = 1.0) -> float:
        """Two-sided p-value of a contrast "after - ratio * before", at a share of the way to "no change"."""
        from scipy.special import ndtr

        expected = [own + (self._null - own) * share for own in self._own]
        of_arms = [(e + self._shift * e**2) / n for e, n in zip(expected, self._runs, strict=True)]
        variance = of_arms[0] * ratio**2 + of_arms[1]
        return float(2 * (self._weights * ndtr(-abs(contrast) / np.sqrt(variance))).sum())

    def reach(self, confidence: float) -> float:
        """Half the width of the interval of the difference, in errors per run."""
        size = abs(self._after - self._before)

        def excess(reach: float) -> float:
            return 1 - confidence - self.p_value(reach, min(1.0, reach / size) if size else 1.0)

        return _root_beyond(excess, 0.0, 0.1)

    def ratios(self, confidence: float) -> tuple[float | None, float | None]:
        """Ends of the interval of after / before; None where undefined or unbounded."""
        was, now = self._before, self._after
        if was == 0:
            return None, None
        size = abs(now - was)

        def excess(ratio: float) -> float:
            contrast = now - ratio * was
            return 1 - confidence - self.p_value(contrast, min(1.0, abs(contrast) / size) if size else 1.0, ratio)

        estimate = now / was
        low = 0.0
        if estimate > 0 and excess(0.0) > 0:
            low = estimate - _root_beyond(lambda below: excess(estimate - below), 0.0, estimate / 8, most=estimate)
        highest = _LARGEST_RATIO * max(1.0, estimate)
        high = estimate + _root_beyond(lambda above: excess(estimate + above), 0.0, 0.01, most=highest)
        return low, high if high < highest else None


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of independent values, at least two."""
    from statsmodels.stats.weightstats import DescrStatsW

    low, high = DescrStatsW(np.asarray(values, dtype=float)).tconfint_mean(alpha=1 - confidence)
    return float(low), float(high)


def tango_interval(before_only: float, after_only: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a paired difference of proportions, (after_only - before_only) / n.

    Args:
        before_only: Images wrong only before, >= 0; may be fractional.
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


def _score_ends(
    before: BoolArray, after: BoolArray, run_variance: float, run_df: float, confidence: float
) -> tuple[float, float]:
    """Ends of the score interval for the change of the total, in errors per run; each arm has two runs or more."""
    from scipy.stats import norm
    from scipy.stats import t as student

    was, now = before.mean(axis=0), after.mean(axis=0)
    change = now - was
    observed = float(change.sum())
    total = float(was.sum() + now.sum())
    severity = _severity(before, after)

    def from_images(delta: float) -> float:
        size = abs(delta)
        # The images of the arm with more errors changed; the total of both arms is taken as known.
        return severity * size**2 / max((total + size) / 2, size) if size else 0.0

    noise = _image_variance(before) + _image_variance(after)
    real = max(0.0, observed**2 - noise - run_variance) ** 0.5
    squares = change**2
    uneven = max(0.0, float(squares.sum()) - from_images(real))
    images = float(squares.sum() ** 2 / (squares**2).sum())
    of_images = (PRIOR_IMAGES * noise + images * uneven) / (PRIOR_IMAGES + images)
    variance = of_images + run_variance
    z = float(norm.ppf((1 + confidence) / 2))
    if variance > 0:
        share = run_variance / variance
        df = 1 / (share**2 / run_df + (1 - share) ** 2 / (PRIOR_IMAGES + images))
        z = float(student.ppf((1 + confidence) / 2, df))

    def excess(delta: float) -> float:
        return (observed - delta) ** 2 - z**2 * (variance + from_images(delta))

    return _first_above(excess, observed, -1), _first_above(excess, observed, 1)


def _root_beyond(excess: Callable[[float], float], start: float, step: float, most: float = np.inf) -> float:
    """Where `excess`, at most 0 at `start`, first rises above 0; `most` if it does not before."""
    from scipy.optimize import brentq

    inner = start
    while excess(min(inner + step, most)) <= 0:
        inner += step
        if inner >= most:
            return most
        step *= 1.6
    return float(brentq(excess, inner, min(inner + step, most), xtol=1e-10))


def _first_above(excess: Callable[[float], float], start: float, sign: int) -> float:
    """Where `excess`, at most 0 at `start`, first rises above 0 in the direction of `sign`."""
    from scipy.optimize import brentq

    inner, step = start, 0.1
    while excess(inner + sign * step) <= 0:
        inner += sign * step
        step *= 1.3
    if excess(inner) >= 0:
        return inner
    return float(brentq(excess, inner, inner + sign * step, xtol=1e-9))


def _severity(before: BoolArray, after: BoolArray) -> float:
    """Mean error rate of the images weighted by that rate, sum p^2 / sum p, in [0, 1].

    The squares are unbiased, from pairs of runs. Half an image that is always wrong is added: without errors it is 1.
    """
    squares, total = 0.0, 0.0
    for runs in (before, after):
        wrong, n_runs = runs.sum(axis=0, dtype=np.int64), len(runs)
        squares += float((wrong * (wrong - 1)).sum()) / (n_runs * (n_runs - 1))
        total += float(wrong.sum()) / n_runs
    return (squares + 0.5) / (total + 0.5)


def _image_variance(runs: BoolArray) -> float:
    """Variance of an arm's mean count over new seeds on the same images, if images err independently."""
    rate = runs.mean(axis=0)
    return float((rate * (1 - rate)).sum()) / (len(runs) - 1)


def _effective_tango(change: FloatArray, run_variance: float, n_images: int, confidence: float) -> tuple[float, float]:
    """Tango's interval with rises and falls divided by the mean change per changed image."""
    up, down = float(change[change > 0].sum()), float(-change[change < 0].sum())
    weight = (float((change**2).sum()) + run_variance) / (up + down) if up + down > 0 else 1.0
    return tango_interval(down / weight, up / weight, n_images / weight, confidence)


def _widen(confidence: float, share: float, df: float) -> float:
    """The level whose normal quantile is Student's, where a share of the variance is estimated with `df`."""
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
    # The share's effective binomial size, from its variance. At 0 and 1 that variance is 0, so it is taken at a share
    # shrunk towards one half by one average image, plus one average change.
    jump = float(((was + now) ** 2).sum()) / both
    moved = np.abs(now - was)
    change = float((moved**2).sum() / moved.sum()) if moved.any() else jump
    at = (float(now.sum()) + jump / 2) / (both + jump)
    spread = float((((1 - at) * now - at * was) ** 2).sum()) + (run_variance + change**2) * at * (1 - at)
    size = at * (1 - at) * both**2 / spread
    low, high = wilson_interval(share * size, size, confidence)
    return low / (1 - low) if low < 1 else None, high / (1 - high) if high < 1 else None
