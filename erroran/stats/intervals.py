"""Intervals of a rate, of a mean, and of the change of an error rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.dispersion import SHIFT_FACTORS, weigh_shifts
from erroran.stats.significance import (
    HALF_ERROR,
    Tally,
    beyond_noise,
    check_arms,
    image_variance,
    satterthwaite,
    tally_errors,
)

PER_10000: Final = 10_000.0
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
        confidence: Level of the intervals for new seeds on these images.
        images_confidence: Level of those for new seeds and new images.
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
    images_confidence: float
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

    Source: Wilson (1927), J Am Stat Assoc 22, 209-212.
    """
    from scipy.special import ndtri

    count, weight = float(np.sum(errors)) / n_runs, 1.0
    if np.ndim(errors) and count:
        weight = float(np.sum(np.square(errors))) / n_runs / count / n_runs
    share, images, z2 = count / n_images, n_images / weight, float(ndtri((1 - confidence) / 2)) ** 2
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = np.sqrt(z2 / images * (share * (1 - share) + z2 / (4 * images))) / (1 + z2 / images)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def score_interval(
    before_errors: BoolArray,
    after_errors: BoolArray,
    n_images: int,
    *,
    confidence: float = 0.95,
    images_confidence: float | None = None,
    logit_sd: float = 0.0,
) -> Effect:
    """Change of an error rate with its intervals, for new seeds and for new seeds and new images.

    Args:
        before_errors: bool (S_b, M), runs by images; images that cannot err here may be left out.
        after_errors: bool (S_a, M), same images.
        n_images: Images evaluated, >= M.
        confidence: Level of the intervals, in (0, 1).
        images_confidence: Level of those for new images, if it is another.
        logit_sd: Run-to-run variation of this count, in logits; see `dispersion.run_variation`.

    Each interval holds the changes that its test does not reject, so it excludes "no change" exactly where the p-value
    of `significance.change_test` is below 1 - confidence: `p_value` for new seeds, `p_images` for new images. The
    tested contrast is after - before - delta for a difference delta, and after - ratio * before for a ratio.

    Variances belong to the change that is tested. At the observed change, and beyond it, each arm has its own variance
    over seeds; at no change, that of both arms together; between the two, a value between in proportion to the
    distance. Over new images the variance is that of `significance.image_variance` at no change. Elsewhere it comes
    from the images' deviations from the observed change, less seed noise: from their changes for a difference, from
    after - ratio * before for a ratio. A difference has, in addition, the variance of images that change in proportion
    to their error rates; a ratio has none then. As the variance jumps at no change, an interval reaches beyond no
    change exactly where that is not rejected.

    A ratio farther from 1 than the observed one, or on its other side, is tested with the images' deviations from the
    tested ratio itself: if half of the images are repaired for good, those that were not show how much the total
    varies with the choice of images. With few images this is not enough: a ratio r < 1 has at least the p-value r^k.
    That is the mid-p value, two-sided, if none of k images is repaired although each is with probability 1 - r; k is
    the number of equally frequent images with the same variance, (sum p)^2 / sum p^2. The same holds for 1 / r with
    the arms swapped.

    With one run in an arm, its variance over seeds is taken from the runs of both arms.

    Source: inverted score tests as in Tango (1998), Statistics in Medicine 17, 891-908; ratios: Fieller (1954), J R
    Stat Soc B 16, 175-185. Coverage of the 95 % intervals: ``reports/calibration.md``.
    """
    before, after = check_arms(before_errors, after_errors)
    was, now = float(before.sum() / len(before)), float(after.sum() / len(after))
    images_confidence = confidence if images_confidence is None else images_confidence
    intervals = _Intervals(tally_errors(before, after), logit_sd)
    scale = PER_10000 / n_images
    asked = ((1 - confidence, False), (1 - images_confidence, True))
    seeds, images = (intervals.difference(alpha, new_images=new) for alpha, new in asked)
    (seeds_below, seeds_above), (below, above) = (
        tuple(None if end is None else end - 1 for end in intervals.ratio(alpha, new_images=new))
        for alpha, new in asked
    )
    # New images are less certain than these; only a lower level could make their interval shorter.
    images = min(seeds[0], images[0]), max(seeds[1], images[1])
    below = below if below is None or seeds_below is None else min(seeds_below, below)
    above = None if above is None or seeds_above is None else max(seeds_above, above)
    return Effect(
        n_images=n_images,
        before_mean=was,
        after_mean=now,
        before_per_10000=was * scale,
        after_per_10000=now * scale,
        per_10000=(now - was) * scale,
        low=max(images[0] * scale, -PER_10000),
        high=min(images[1] * scale, PER_10000),
        seeds_low=max(seeds[0] * scale, -PER_10000),
        seeds_high=min(seeds[1] * scale, PER_10000),
        relative=now / was - 1 if was > 0 else None,
        relative_low=below,
        relative_high=above,
        seeds_relative_low=seeds_below,
        seeds_relative_high=seeds_above,
        confidence=confidence,
        images_confidence=images_confidence,
        method="score (new seeds; new seeds and new images)",
    )


class _Intervals:
    """Intervals of one comparison, each at the level 1 - alpha; see `score_interval`."""

    def __init__(self, tally: Tally, logit_sd: float) -> None:
        self._before, self._after = tally.mean[:, 0].tolist()
        self._runs = tally.n_runs
        self._weights = weigh_shifts(tally.squares, tally.flips, tally.n_runs, logit_sd)[0]
        self._shift = (SHIFT_FACTORS * logit_sd) ** 2
        half = HALF_ERROR / sum(tally.n_runs)
        self._own = [float(flips) + half for flips in tally.flips[:, 0]]
        self._null = float(tally.pooled[0]) + half
        variance, df = image_variance(tally)
        self._null_images, self._null_df = float(variance[0]), float(df[0])
        self._rates, self._noise = tally.rates[:, 0], tally.noise[:, 0]
        self._severity = _severity(self._rates, self._noise)
        squares = np.maximum(0.0, (self._rates**2 - self._noise).sum(axis=1))
        self._images = np.divide(tally.mean[:, 0] ** 2, squares, out=np.zeros(2), where=squares > 0).tolist()

    def difference(self, alpha: float, *, new_images: bool) -> tuple[float, float]:
        """Ends for after - before, in errors per run."""
        observed = self._after - self._before
        uneven = max(0.0, self._uneven(1.0) - self._in_proportion(observed)) if new_images else 0.0

        def excess(delta: float) -> float:
            share = self._share(observed - delta)
            images, df = uneven, np.inf
            if new_images and share == 1:
                images, df = self._null_images, self._null_df
            known = self._in_proportion(delta) * new_images
            return alpha - self._p_value(observed - delta, share, images=images, df=df, known=known)

        return _ends(excess, observed, 0.0, steps=(0.1, 0.1))

    def ratio(self, alpha: float, *, new_images: bool) -> tuple[float | None, float | None]:
        """Ends for after / before; None where undefined or unbounded."""
        if self._before == 0:
            return None, None
        estimate = self._after / self._before
        observed = self._uneven(estimate) / estimate if new_images and estimate else 0.0  # over the ratio
        nearer, farther = min(1.0, estimate), max(1.0, estimate)

        def excess(ratio: float) -> float:
            contrast = self._after - ratio * self._before
            share = self._share(contrast / ratio**0.5 if ratio > 0 else contrast)  # as for before / after
            images, df = ratio * observed, np.inf
            if new_images and share == 1:
                images, df = ratio * self._null_images, self._null_df
            if new_images and not nearer <= ratio <= farther and (at_ratio := self._uneven(ratio)) > images:
                images, df = at_ratio, np.inf
            p_value = self._p_value(contrast, share, ratio, images=images, df=df)
            if new_images:
                p_value = max(p_value, self._none_changed(ratio, estimate))
            return alpha - p_value

        highest = _LARGEST_RATIO * farther
        low, high = _ends(excess, estimate, 1.0, steps=(max(estimate, 0.01) / 8, 0.02), within=(0.0, highest))
        return low, high if high < highest else None

    def _p_value(
        self,
        contrast: float,
        share: float,
        ratio: float = 1.0,
        *,
        images: float = 0.0,
        df: float = np.inf,
        known: float = 0.0,
    ) -> float:
        """Two-sided p-value of the contrast "after - ratio * before" for seeds, and for images of these variances."""
        from scipy.special import ndtr, stdtr

        expected = [own + (self._null - own) * share for own in self._own]
        of_arms = [(e + self._shift * e**2) / n for e, n in zip(expected, self._runs, strict=True)]
        variance = of_arms[0] * ratio**2 + of_arms[1] + images + known
        deviate = -abs(contrast) / np.sqrt(variance)
        tails = stdtr(satterthwaite(images / variance, df), deviate) if images > 0 else ndtr(deviate)
        return float(2 * (self._weights * tails).sum())

    def _share(self, contrast: float) -> float:
        """How far a tested change is on the way from the observed one to "no change", in [0, 1]."""
        observed = self._after - self._before
        return min(1.0, max(0.0, contrast / observed)) if observed else 1.0

    def _uneven(self, ratio: float) -> float:
        """Variance over images of after - ratio * before, from the images themselves."""
        contrasts = (self._rates[1] - ratio * self._rates[0])[None]
        noise = (self._noise[1] + ratio**2 * self._noise[0])[None]
        return float(beyond_noise(contrasts**2, noise)[0])

    def _none_changed(self, ratio: float, estimate: float) -> float:
        """Chance that no image is repaired if each is with probability 1 - ratio; likewise with swapped arms."""
        if ratio < min(1.0, estimate):
            return float(ratio ** self._images[0])
        if ratio > max(1.0, estimate):
            return float(ratio ** -self._images[1])
        return 0.0

    def _in_proportion(self, delta: float) -> float:
        """Variance over new images of a change of the total if all images change in proportion to their error rates."""
        # The images of the arm with more errors changed; the total of both arms is taken as known.
        size = abs(delta)
        return self._severity * size**2 / max((self._before + self._after + size) / 2, size) if size else 0.0


def _severity(rates: FloatArray, noise: FloatArray) -> float:
    """Mean error rate of the images weighted by that rate, sum p^2 / sum p, in [0, 1].

    Half an image that is always wrong is added: without errors it is 1.
    """
    return float(min(1.0, ((rates**2 - noise).sum() + 0.5) / (rates.sum() + 0.5)))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of independent values, at least two."""
    from scipy.special import stdtrit

    mean, n = float(np.mean(values)), len(values)
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / np.sqrt(n))
    return mean - half, mean + half


def _ends(
    excess: Callable[[float], float],
    estimate: float,
    null: float,
    *,
    steps: tuple[float, float],
    within: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float]:
    """Where `excess`, at most 0 at the estimate, rises above 0 below and above it.

    It may jump at "no change", `null`. Where that is rejected, the end is sought before it, otherwise beyond it.
    """

    def end(sign: int, step: float, edge: float) -> float:
        start, most = 0.0, abs(edge - estimate)
        if (null - estimate) * sign > 0:
            start, most = (0.0, abs(null - estimate)) if excess(null) > 0 else (abs(null - estimate), most)
        return estimate + sign * _root_beyond(lambda by: excess(estimate + sign * by), step, start, most)

    return end(-1, steps[0], within[0]), end(1, steps[1], within[1])


def _root_beyond(excess: Callable[[float], float], step: float, inner: float, most: float) -> float:
    """Where `excess`, at most 0 at `inner`, first rises above 0; `most` if it does not before."""
    from scipy.optimize import brentq

    while excess(min(inner + step, most)) <= 0:
        inner += step
        if inner >= most:
            return most
        step *= 1.6
    return float(brentq(excess, inner, min(inner + step, most), xtol=1e-9))
