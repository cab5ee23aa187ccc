"""How large is the change? Differences in errors per 10,000 images, and ratios, with intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.dispersion import PRIOR_DF, excess_run_variance
from erroran.stats.significance import check_arms

PER_10000 = 10_000.0
# Weight of "all images move in proportion" against what the images show, in images that changed. Of 4, 8, 16 and
# infinity, 8 kept coverage where they did (94 to 97 %) and where each was repaired or not (93 to 96 %).
_PRIOR_IMAGES = 8.0


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

    A score interval: it holds the changes delta of the total with (D - delta)^2 <= t^2 (V + H(delta)), D being the
    observed change. V is what D would vary by without any change: seed noise of each image, seen between the runs of an
    arm, and what whole runs swing (`dispersion.excess_run_variance`). H is what a change of delta adds because other
    images would have been sampled: delta^2 over the effective number of images that err, as if all moved in
    proportion. Where images move more unevenly, sum d_i^2 shows it, d_i being the change of image i: V is moderated
    towards it, `_PRIOR_IMAGES` images that move in proportion against those that changed. t is Student's, with
    Satterthwaite's degrees of freedom, because V is estimated.

    Seed noise comes from within the arms because D says nothing about it: sum d_i^2 contains D, so with few images an
    interval made of it alone can hardly miss 0 (98.5 % at 3 errors per run instead of 95 %), and is up to a third wider
    where runs shift.

    With one run in an arm seed noise cannot be seen: then Tango's interval, its discordant counts divided by the mean
    jump (sum d_i^2 plus the runs' swing, over sum |d_i|); with one run in each it is Tango's itself. If no image
    changed, it is Tango's with jumps of 1, the most cautious.

    The ratio's interval is Wilson's for the after arm's share of all errors, on its effective size; the level is
    widened to Student's t for the share of the variance that swings of runs are.

    Simulated coverage at 95 %: ``reports/calibration.md``. With runs that shift as real ones do 93 to 97 % from 3
    errors per run up, 96 to 98 % at 1; 92 to 96 % if a fix moves some images up and others down. Runs that do not shift
    at all are expected to by the prior: up to 100 % with 3 seeds. The ratio's: 93 to 97 % from 3 errors per run up, but
    down to 89 % where a few images are repaired for good. The seeds x images bootstrap counts seed noise up to
    three times: 95 to 100 %, but only 85 % at 1 error per run.

    Source: score intervals that estimate the variance at each delta: Tango (1998), Statistics in Medicine 17, 891-908;
    effective counts after Rao and Scott (1992), Biometrics 48, 577-585; moderation: Smyth (2004), Stat Appl Genet Mol
    Biol 3(1):3; degrees of freedom: Satterthwaite (1946), Biometrics Bulletin 2, 110-114.
    """
    before, after = check_arms(before_errors, after_errors)
    change = after.mean(axis=0) - before.mean(axis=0)
    run_variance = excess_run_variance(before, after, shift_sd)
    image_variance = float((change**2).sum())
    share = run_variance / (image_variance + run_variance) if image_variance else 0.0
    widened = _for_estimated(confidence, share, _run_df(before, after))
    if min(len(before), len(after)) < 2 or not change.any():
        low, high = _effective_tango(change, run_variance, n_images, widened)
    else:
        ends = _score_ends(before, after, run_variance, confidence)
        low, high = max(-1.0, ends[0] / n_images), min(1.0, ends[1] / n_images)
    return _effect(
        before,
        after,
        n_images,
        ends=(low, high),
        ratio_ends=_ratio_interval(before, after, run_variance, widened),
        confidence=confidence,
        method="score (seed noise, swings of runs, sampled images)",
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


def _score_ends(before: BoolArray, after: BoolArray, run_variance: float, confidence: float) -> tuple[float, float]:
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
        # The arm with more errors, if the total of both stays: its images are those that changed.
        return severity * size**2 / max((total + size) / 2, size) if size else 0.0

    noise = _seed_noise(before) + _seed_noise(after)
    real = max(0.0, observed**2 - noise - run_variance) ** 0.5
    squares = change**2
    uneven = max(0.0, float(squares.sum()) - from_images(real))
    images = float(squares.sum() ** 2 / (squares**2).sum())
    of_images = (_PRIOR_IMAGES * noise + images * uneven) / (_PRIOR_IMAGES + images)
    variance = of_images + run_variance
    z = float(norm.ppf((1 + confidence) / 2))
    if variance > 0:
        share = run_variance / variance
        df = 1 / (share**2 / _run_df(before, after) + (1 - share) ** 2 / (_PRIOR_IMAGES + images))
        z = float(student.ppf((1 + confidence) / 2, df))

    def excess(delta: float) -> float:
        return (observed - delta) ** 2 - z**2 * (variance + from_images(delta))

    return _first_above(excess, observed, -1), _first_above(excess, observed, 1)


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
    """Mean error rate of the images behind an error, sum p^2 / sum p, in [0, 1]; cautious where errors are few.

    The squares are unbiased, from pairs of runs. Half an image that is always wrong is added, so that no error at all
    means 1.
    """
    squares, total = 0.0, 0.0
    for runs in (before, after):
        wrong, n_runs = runs.sum(axis=0, dtype=np.int64), len(runs)
        squares += float((wrong * (wrong - 1)).sum()) / (n_runs * (n_runs - 1))
        total += float(wrong.sum()) / n_runs
    return (squares + 0.5) / (total + 0.5)


def _seed_noise(runs: BoolArray) -> float:
    """Variance of an arm's mean count that new seeds bring on the same images, independently image by image."""
    rate = runs.mean(axis=0)
    return float((rate * (1 - rate)).sum()) / (len(runs) - 1)


def _run_df(before: BoolArray, after: BoolArray) -> float:
    """Degrees of freedom behind the variance of whole runs."""
    return PRIOR_DF + len(before) + len(after) - 2


def _effective_tango(change: FloatArray, run_variance: float, n_images: int, confidence: float) -> tuple[float, float]:
    """Tango's interval with rises and falls divided by the mean jump."""
    up, down = float(change[change > 0].sum()), float(-change[change < 0].sum())
    weight = (float((change**2).sum()) + run_variance) / (up + down) if up + down > 0 else 1.0
    return tango_interval(down / weight, up / weight, n_images / weight, confidence)


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
