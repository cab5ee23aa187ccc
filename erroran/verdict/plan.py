"""What a planned comparison will say: experiments simulated from mined error rates, to the word of the verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Unpack

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.endpoint import Cell, Endpoint
from erroran.results import Result
from erroran.stats.confusion import (
    BoolArray,
    FloatArray,
    IntArray,
    cell_errors,
    cell_mask,
    check_runs,
    tabulate_errors,
)
from erroran.stats.dispersion import RunVariation, run_variation
from erroran.stats.intervals import score_interval
from erroran.verdict.compare import MIN_SEEDS, compare_errors, find_directions
from erroran.verdict.decide import EQUIVALENCE_PER_10000, WORTHWHILE_PERCENT, excludes_reduction, is_within, judge
from erroran.verdict.rates import ErrorRates, Images, fit_same_images, scale_odds, simulate_runs
from erroran.verdict.sequential import Design, Levels, Replanned, decide_in_looks, plan_looks
from erroran.verdict.table import CANNOT_TELL, HARMED, IMPROVED, WORDS, Findings, look_up

SEEDS: Final = (3, 5, 8, 10, 15, 20, 30)
LADDER: Final = (3, 5, 8, 10, 15, 20, 30, 50)
"""Seeds per arm that are simulated to find how many are needed."""
REDUCTIONS: Final = (0.25, 0.5, 0.75, 1.0)
N_SIMULATIONS: Final = 400
N_JUDGED: Final = 60
"""Simulated experiments with all cells of the confusion matrix, for each true change; they take 30 times as long."""
WANTED_POWER: Final = 0.8
MOST_SEEDS: Final = 200
"""Seeds per arm above which no number is named; a choice of display."""
ALPHA: Final = 0.05
ODDS: Final = "odds"
REPAIRED: Final = "repaired"
HOW: Final = (ODDS, REPAIRED)
ENOUGH: Final = 0.05
"""More seeds per arm that raise the power by less are not planned; see `replan`."""
LEAST_LAST_LOOK: Final = 15
"""Seeds per arm of the last look that `replan` chooses, at least.

Chosen among 10, 15 and 20, with an `ENOUGH` of 2, 3, 5 and 8 points, on halvings of real cells: with 10 up to 6 points
fewer were found, as five runs show the worth of more seeds only roughly; with 20 hardly more, in more seeds.
"""
_REPLANS: Final = 25  # simulated experiments per design that is planned again inside a forecast
_IMAGES_FOR_ODDS: Final = 100  # simulated data sets from which the factor on the odds is computed


@dataclass(frozen=True, eq=False)
class Setting:
    """What is judged, and what decides.

    Attributes:
        rates: Error rates of the endpoint.
        n_images: Judged images that can make the endpoint's error.
        n_evaluated: All judged images.
        worthwhile: The smallest reduction worth having, in (0, 1).
        equivalence_per_10000: Margin of "equivalent".
        alpha: Two-sided level.
        same_images: Judge the mined images themselves again, instead of fresh ones.
    """

    rates: ErrorRates
    n_images: int
    n_evaluated: int
    worthwhile: float = WORTHWHILE_PERCENT / 100
    equivalence_per_10000: float = EQUIVALENCE_PER_10000
    alpha: float = ALPHA
    same_images: bool = False

    def draw(self, rng: np.random.Generator, n_draws: int) -> list[Images]:
        """Images of simulated experiments."""
        if self.same_images:
            return self.rates.draw_same(rng, n_draws)
        return self.rates.draw(rng, self.n_images, n_draws)

    @cached_property
    def _typical_rates(self) -> FloatArray:
        return np.concatenate([images.rates for images in self.draw(np.random.default_rng(0), _IMAGES_FOR_ODDS)])

    @cached_property
    def _factors(self) -> dict[float, float]:
        """Reduction to the factor on the odds of all images; filled by `treat`."""
        return {}

    def treat(self, rates: FloatArray, reduction: float, how: str, rng: np.random.Generator) -> FloatArray:
        """Rates under a treatment that removes a share of the errors, in [0, 1], as a mean over such images.

        `ODDS` multiplies the odds of an error by the same factor for all images, as a shift of the border between two
        classes does; `REPAIRED` sets the rates of this share of the images to 0. Multiplying the rates instead would
        make always-wrong images random and underestimate the power.
        """
        if how == REPAIRED:
            return np.where(rng.random(rates.size) < reduction, 0.0, rates)
        if reduction not in self._factors:
            self._factors[reduction] = odds_factor(self._typical_rates, reduction)
        return scale_odds(rates, self._factors[reduction])


class Chance(Result):
    """A probability, estimated by simulation, and its Monte Carlo standard error; both in [0, 1]."""

    value: float
    error: float


class Forecast(Result):
    """What a design will say if the treatment removes a certain share of the errors.

    Attributes:
        words: Each word of `table.WORDS` to its probability.
        seeds: Expected seeds per arm.
        seeds_error: Monte Carlo standard error of `seeds`.
    """

    words: dict[str, Chance]
    seeds: float
    seeds_error: float = 0.0

    @property
    def improved(self) -> Chance:
        """Probability of the word *improved*."""
        return self.words[IMPROVED]

    @property
    def decided(self) -> float:
        """Probability of any word but *cannot tell*."""
        return 1 - self.words[CANNOT_TELL].value


class Recheck(Result):
    """A plan checked again, after the baseline was trained.

    Attributes:
        errors_per_run: Of the baseline arm, on the judged images.
        seeds: Seeds per arm that were trained.
        improved: Probability of *improved* with these, if the true reduction is the worthwhile one.
        seeds_needed: Seeds per arm with 80 % power; None if 50 are not enough.
    """

    errors_per_run: float
    seeds: int
    improved: Chance
    seeds_needed: int | None


@dataclass(frozen=True)
class Agreement:
    """How often the word of the whole verdict differs from that of the endpoint alone.

    Attributes:
        counts: float64 (6, 6): simulated experiments by the endpoint's word (row) and the verdict's word (column), both
            in the order of `table.WORDS`. Half an experiment that agrees is added to each row.
    """

    counts: FloatArray = field(default_factory=lambda: np.eye(len(WORDS)) * 1e9)

    @property
    def shares(self) -> FloatArray:
        """float64 (6, 6): probabilities of the verdict's words for each word of the endpoint."""
        shares: FloatArray = self.counts / self.counts.sum(axis=1, keepdims=True)
        return shares

    def chances(self, words: IntArray) -> dict[str, Chance]:
        """Probabilities of the verdict's words from simulated words of the endpoint, integer (n,)."""
        of_endpoint = np.bincount(words, minlength=len(WORDS)) / words.size
        means = of_endpoint @ self.shares
        simulated = (of_endpoint @ self.shares**2 - means**2) / words.size
        judged = of_endpoint**2 @ (self.shares * (1 - self.shares) / self.counts.sum(axis=1, keepdims=True))
        errors = np.sqrt(np.maximum(simulated, 0) + judged)
        values = zip(WORDS, means.tolist(), errors.tolist(), strict=True)
        return {word: Chance(value=value, error=error) for word, value, error in values}


AGREES: Final = Agreement()
"""The verdict's word is that of the endpoint."""


def odds_factor(rates: FloatArray, reduction: float) -> float:
    """The factor on the odds of all images that removes this share, at most 1, of the errors; below 0 it adds errors.

    Not more errors are added than the images can make.
    """
    from scipy.optimize import brentq

    if reduction >= 1:
        return 0.0
    if reduction == 0 or not rates.size:
        return 1.0
    total = float(rates.sum())
    wanted = min((1 - reduction) * total, (total + rates.size) / 2)
    return float(np.exp(brentq(lambda log: float(scale_odds(rates, np.exp(log)).sum()) - wanted, -60, 60)))


def endpoint_word(
    setting: Setting,
    before: BoolArray,
    after: BoolArray,
    *,
    alpha: float,
    alpha_excluded: float | None = None,
    alpha_images: float | None = None,
    alpha_excluded_images: float | None = None,
) -> str:
    """The word of the decision table for the endpoint alone: nothing else changes.

    Args:
        setting: What decides.
        before: bool (S_b, H), errors of the endpoint.
        after: bool (S_a, H), same images.
        alpha: Two-sided level.
        alpha_excluded: See `decide.judge`.
        alpha_images: See `decide.judge`.
        alpha_excluded_images: See `decide.judge`.
    """
    if min(len(before), len(after)) < MIN_SEEDS or not before.shape[1]:
        return CANNOT_TELL
    logit_sd = setting.rates.tested_logit_sd
    factor = 1.0 if alpha_images is None else alpha_images / alpha
    direction = compare_errors(before, after, logit_sd=logit_sd, image_factor=factor).direction(alpha)
    if direction:
        return look_up(Findings(endpoint=direction)).word
    percent, level = 100 * setting.worthwhile, alpha if alpha_excluded is None else alpha_excluded
    of_images = level if alpha_excluded_images is None else alpha_excluded_images
    effect = score_interval(
        before,
        after,
        setting.n_evaluated,
        confidence=1 - level,
        images_confidence=1 - of_images,
        logit_sd=logit_sd,
    )
    return look_up(
        Findings(
            within=is_within(effect, setting.equivalence_per_10000, percent),
            excluded=excludes_reduction(effect, percent),
        )
    ).word


def plan_power(
    setting: Setting,
    seeds: Sequence[int],
    reductions: Sequence[float],
    *,
    rng: np.random.Generator,
    n_simulations: int = N_SIMULATIONS,
    agreement: Agreement = AGREES,
) -> tuple[FloatArray, FloatArray]:
    """Probability of the verdict *improved* by seeds and true reduction.

    Args:
        setting: What is judged.
        seeds: Seeds per arm, rising, each >= 2.
        reductions: True shares of the errors removed, rising, in (0, 1].
        rng: Generator.
        n_simulations: Experiments per reduction; each is judged after every number of seeds. Half of them assume that
            the odds of all images change by one factor (`ODDS`), half that a share of the images is repaired
            (`REPAIRED`), which gives more power per error; real treatments lie between the two.
        agreement: From `simulate_agreement`; without it the word is that of the endpoint alone.

    Returns:
        float64 (seeds, reductions) twice: probabilities, and their Monte Carlo standard errors. Values that fall with
        more seeds or a larger reduction, by chance, are pooled.

    Every experiment draws error rates from their posterior, so the power is averaged over what is not known about them.

    Raises:
        BadInput: Seeds or reductions out of range.
    """
    from scipy.optimize import isotonic_regression

    if min(seeds, default=0) < MIN_SEEDS or not 0 < min(reductions, default=0) <= max(reductions) <= 1:
        raise BadInput(
            f"planning needs seeds >= 2 and reductions in (0, 1]; got {seeds} and {reductions}",
            fix="try seeds 3,5,10 and reductions 0.25,0.5,0.75,1",
        )
    power, errors = np.empty((2, len(seeds), len(reductions)))
    for column, reduction in enumerate(reductions):
        words = _simulate_claims(setting, seeds, reduction, n_simulations, rng)
        for row in range(len(seeds)):
            chance = agreement.chances(words[:, row])[IMPROVED]
            power[row, column], errors[row, column] = chance.value, chance.error
    for axis in (0, 1):
        power = np.apply_along_axis(lambda values: isotonic_regression(values).x, axis, power)
    return power, errors


def seeds_for(seeds: Sequence[int], power: Sequence[float], *, wanted: float = WANTED_POWER) -> int | None:
    """Fewest seeds per arm with the wanted power; None if there are none up to the largest number simulated.

    Args:
        seeds: Seeds per arm, rising.
        power: Simulated power of each.
        wanted: In (0, 1).

    A curve c (1 - exp(-(n / k)^m)) is fitted to all numbers of seeds, so that one value that is too high by chance does
    not count as reached. It levels off below 1 where more seeds cannot replace more images.
    """
    from scipy.optimize import curve_fit

    n, values = np.asarray(seeds, dtype=float), np.asarray(power, dtype=float)
    if values.max() < wanted / 2:
        return None  # and too little for a fit

    def curve(n: FloatArray, top: float, scale: float, shape: float) -> FloatArray:
        return np.asarray(top * -np.expm1(-((n / scale) ** shape)))

    start = (min(0.95, float(values.max())), float(np.median(n)), 1.0)
    (top, scale, shape), _ = curve_fit(curve, n, values, p0=start, bounds=([0.01, 0.1, 0.2], [1.0, 1e3, 6.0]))
    if top <= wanted:
        return None
    needed = max(MIN_SEEDS, math.ceil(scale * (-math.log1p(-wanted / top)) ** (1 / shape) - 1e-9))
    return needed if needed <= seeds[-1] else None


def detectable_reduction(reductions: Sequence[float], power: Sequence[float]) -> float | None:
    """Smallest reduction with 80 % power for one number of seeds; None if there is none.

    Linear interpolation between the simulated reductions, which must rise; 0 has power alpha / 2.
    """
    reductions, powers = (0.0, *reductions), (ALPHA / 2, *power)
    at = next((i for i, value in enumerate(powers) if value >= WANTED_POWER), None)
    return None if at is None else float(np.interp(WANTED_POWER, powers[at - 1 : at + 1], reductions[at - 1 : at + 1]))


def forecast(
    setting: Setting,
    design: int | Design,
    reduction: float,
    *,
    rng: np.random.Generator,
    n_simulations: int = N_SIMULATIONS,
    agreement: Agreement = AGREES,
    how: Sequence[str] = HOW,
) -> Forecast:
    """What a design will say: a number of seeds per arm that is judged once, or looks.

    Arguments as in `plan_power`, for one reduction in [0, 1].
    """
    options: dict[str, Any] = {"n_simulations": n_simulations, "rng": rng, "how": how}
    if isinstance(design, int):
        words = simulate_fixed(setting, (design,), reduction, **options)[:, 0]
        return Forecast(words=agreement.chances(words), seeds=design)
    words, seeds = simulate_looks(setting, design, reduction, **options)
    return Forecast(
        words=agreement.chances(words),
        seeds=float(seeds.mean()),
        seeds_error=float(seeds.std(ddof=1)) / math.sqrt(n_simulations),
    )


def check_again(
    errors: Sequence[BoolArray],
    variation: RunVariation,
    cells: BoolArray,
    *,
    n_evaluated: int,
    worthwhile_percent: float,
    equivalence_per_10000: float,
    n_simulations: int = 200,
) -> Recheck | None:
    """Check a plan again on the baseline arm alone; None with one run, or without errors.

    Args:
        errors: bool (S, M) for each cell of the endpoint, errors of the baseline's runs on the judged images.
        variation: Run-to-run variation of the baseline.
        cells: bool (C, C), the endpoint's cells.
        n_evaluated: All judged images.
        worthwhile_percent: See `decide.judge`.
        equivalence_per_10000: See `decide.judge`.
        n_simulations: Number of experiments.

    The treatment's runs are not looked at, so the level of the tests stays what it is.

    Source: Wittes and Brittain (1990), Stat Med 9:65 (internal pilot).
    """
    seeds = len(errors[0])
    if seeds < MIN_SEEDS or not any(part.any() for part in errors):
        return None
    rates = fit_same_images(errors, pooled_logit_sd=variation.logit_sd, tested_logit_sd=variation.logit_sd_of(cells))
    setting = Setting(
        rates=rates,
        n_images=rates.n_images,
        n_evaluated=n_evaluated,
        worthwhile=worthwhile_percent / 100,
        equivalence_per_10000=equivalence_per_10000,
        same_images=True,
    )
    ladder = tuple(sorted({*LADDER, seeds}))
    power, error = plan_power(
        setting, ladder, [setting.worthwhile], rng=np.random.default_rng(0), n_simulations=n_simulations
    )
    at = ladder.index(seeds)
    return Recheck(
        errors_per_run=sum(float(part.sum()) for part in errors) / seeds,
        seeds=seeds,
        improved=Chance(value=float(power[at, 0]), error=float(error[at, 0])),
        seeds_needed=seeds_for(ladder, power[:, 0].tolist()),
    )


def replan(
    design: Design,
    labels: IntArray,
    baseline: IntArray,
    *,
    pair: Cell,
    n_classes: int,
    endpoint: Endpoint = Endpoint.FORWARD,
    worthwhile_percent: float = WORTHWHILE_PERCENT,
    n_simulations: int = N_SIMULATIONS,
) -> Replanned:
    """Choose the last look of a design again, from the baseline's runs of its first look alone.

    The levels of early looks are the stricter the farther the last look is, and on given images more seeds soon teach
    little. So the last look becomes the first one, of `LEAST_LAST_LOOK` seeds or more, whose power, judged once, is
    within `ENOUGH` of that of the look that was planned as the last. Same runs, same design.

    Args:
        design: As registered; its last look is not exceeded.
        labels: Integer (N,), of the judged images.
        baseline: Integer (S, N), predictions of the baseline's runs of the first look.
        pair: (a, b), class indices.
        n_classes: Number of classes C.
        endpoint: What is judged of the pair.
        worthwhile_percent: The true reduction for which there is to be power.
        n_simulations: Simulated experiments.

    The treatment's runs are not looked at: the errors of the baseline say how many seeds a change would need, not
    whether there is one. ``reports/calibration.md`` shows the false claims of the whole procedure.

    Source: Wittes and Brittain (1990), Stat Med 9:65 (internal pilot).
    """
    cells = endpoint.cells(pair)
    variation = run_variation(labels, baseline, n_classes=n_classes)
    return _choose_last_look(
        design,
        [cell_errors(labels, baseline, cell) for cell in cells],
        n_evaluated=labels.size,
        worthwhile=worthwhile_percent / 100,
        pooled_logit_sd=variation.logit_sd,
        tested_logit_sd=variation.logit_sd_of(cell_mask(n_classes, cells)),
        n_simulations=n_simulations,
    )


def _choose_last_look(
    design: Design,
    errors: Sequence[BoolArray],
    *,
    n_evaluated: int,
    worthwhile: float,
    pooled_logit_sd: float,
    tested_logit_sd: float,
    n_simulations: int,
) -> Replanned:
    """`replan` from the errors of each cell of the endpoint, bool (S, M)."""
    per_run = sum(float(part.sum()) for part in errors) / len(errors[0])
    if not per_run:
        return Replanned(planned=design.horizon, errors_per_run=0.0, chance=None, chance_planned=None, design=design)
    rates = fit_same_images(errors, pooled_logit_sd=pooled_logit_sd, tested_logit_sd=tested_logit_sd)
    setting = Setting(
        rates=rates, n_images=rates.n_images, n_evaluated=n_evaluated, worthwhile=worthwhile, same_images=True
    )
    looks = [look for look in design.looks if look >= LEAST_LAST_LOOK] or [design.horizon]
    rng = np.random.default_rng(0)
    power = plan_power(setting, looks, [worthwhile], rng=rng, n_simulations=n_simulations)[0][:, 0]
    chosen = int((power > power[-1] - ENOUGH).argmax())
    return Replanned(
        planned=design.horizon,
        errors_per_run=per_run,
        chance=float(power[chosen]),
        chance_planned=float(power[-1]),
        design=design if looks[chosen] == design.horizon else plan_looks(looks[chosen], alpha=design.alpha),
    )


def mean_forecast(forecasts: Sequence[Forecast]) -> Forecast:
    """The mean of independent forecasts."""
    n = len(forecasts)
    return Forecast(
        words={
            word: Chance(
                value=sum(each.words[word].value for each in forecasts) / n,
                error=math.hypot(*(each.words[word].error for each in forecasts)) / n,
            )
            for word in WORDS
        },
        seeds=sum(each.seeds for each in forecasts) / n,
        seeds_error=math.hypot(*(each.seeds_error for each in forecasts)) / n,
    )


def simulate_fixed(
    setting: Setting,
    seeds: Sequence[int],
    reduction: float,
    *,
    n_simulations: int,
    rng: np.random.Generator,
    how: Sequence[str] = HOW,
) -> IntArray:
    """Simulate experiments that are judged once.

    Args:
        setting: What is judged.
        seeds: Seeds per arm, each of which is judged on the same simulated runs.
        reduction: True share of the errors that the treatment removes, in [0, 1].
        n_simulations: Number of experiments.
        rng: Generator.
        how: How the treatment changes images, in turn.

    Returns:
        int64 (n_simulations, seeds): places in `table.WORDS` of the words of the endpoint.
    """
    words = np.empty((n_simulations, len(seeds)), dtype=np.int64)
    for k, images in enumerate(setting.draw(rng, n_simulations)):
        before, after = _simulate_arms(setting, images, reduction, how[k % len(how)], max(seeds), rng)
        for at, n in enumerate(seeds):
            words[k, at] = WORDS.index(endpoint_word(setting, before[:n], after[:n], alpha=setting.alpha))
    return words


def _simulate_claims(
    setting: Setting, seeds: Sequence[int], reduction: float, n_simulations: int, rng: np.random.Generator
) -> IntArray:
    """As `simulate_fixed`, but words without a claim about the endpoint stay *cannot tell*; all experiments at once."""
    drawn = setting.draw(rng, n_simulations)
    sizes = [images.rates.size for images in drawn]
    of = np.repeat(np.arange(n_simulations), sizes)  # the experiment of each image
    place = np.arange(of.size) - np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    rates, cells = (np.concatenate([getattr(images, name) for images in drawn]) for name in ("rates", "cells"))
    # Each experiment has cells of its own, so that its runs have shifts of their own.
    together = Images(rates, cells + of * (int(cells.max(initial=0)) + 1))
    ways = np.stack([setting.treat(rates, reduction, how, rng) for how in HOW])
    treated = ways[of % len(HOW), np.arange(of.size)]
    arms = np.zeros((2, n_simulations, max(seeds), max(1, *sizes)), dtype=bool)
    for arm, of_arm in zip(arms, (rates, treated), strict=True):
        arm[of, :, place] = simulate_runs(together, of_arm, max(seeds), setting.rates.logit_sd, rng).T
    words = {-1: IMPROVED, 0: CANNOT_TELL, 1: HARMED}
    places = np.array([WORDS.index(words[sign]) for sign in (-1, 0, 1)])
    options: dict[str, float] = {"logit_sd": setting.rates.tested_logit_sd, "alpha": setting.alpha}
    found = [find_directions(arms[0][:, :n], arms[1][:, :n], **options) for n in seeds]
    claims: IntArray = places[np.stack(found, axis=1) + 1]
    return claims


def simulate_looks(
    setting: Setting,
    design: Design,
    reduction: float,
    *,
    n_simulations: int,
    rng: np.random.Generator,
    how: Sequence[str] = HOW,
) -> tuple[IntArray, IntArray]:
    """Simulate experiments that are judged in looks, planned again after the first baseline runs (`replan`).

    Arguments as in `simulate_fixed`.

    Returns:
        int64 (n_simulations,): places in `table.WORDS` of the words; and the seeds per arm that were used.
    """
    words, used = np.empty((2, n_simulations), dtype=np.int64)
    for k, images in enumerate(setting.draw(rng, n_simulations)):
        arms = _simulate_arms(setting, images, reduction, how[k % len(how)], design.horizon, rng)
        followed = _replan_simulated(setting, design, images, arms[0][: design.looks[0]])
        # The rule that ends hopeless designs is left out: the seeds that it spares are counted here.
        decision = decide_in_looks(followed, _JudgeEndpoint(setting, *arms), chance_at=lambda *_: 1.0)
        words[k], used[k] = WORDS.index(decision.verdict.word), decision.seeds
    return words, used


def _replan_simulated(setting: Setting, design: Design, images: Images, baseline: BoolArray) -> Design:
    """The design that simulated baseline runs of the first look lead to, bool (S, H), errors on `images`."""
    n_cells = int(setting.rates.cells.max()) + 1
    errors = [baseline[:, images.cells == cell] for cell in range(n_cells)]
    missing = [max(0, setting.n_images // n_cells - part.shape[1]) for part in errors]  # never misread
    return _choose_last_look(
        design,
        [np.pad(part, ((0, 0), (0, more))) for part, more in zip(errors, missing, strict=True)],
        n_evaluated=setting.n_evaluated,
        worthwhile=setting.worthwhile,
        pooled_logit_sd=setting.rates.logit_sd,
        tested_logit_sd=setting.rates.tested_logit_sd,
        n_simulations=_REPLANS,
    ).design


@dataclass(frozen=True)
class _Word:
    """What `decide_in_looks` needs of a verdict: its word."""

    word: str


@dataclass(frozen=True)
class _JudgeEndpoint:
    """Judges the endpoint alone at the levels of a look, for `decide_in_looks`."""

    setting: Setting
    before: BoolArray
    after: BoolArray

    def __call__(self, seeds: int, **levels: Unpack[Levels]) -> Any:
        arms = self.before[:seeds], self.after[:seeds]
        return _Word(endpoint_word(self.setting, *arms, **levels))


def _simulate_arms(
    setting: Setting, images: Images, reduction: float, how: str, n_runs: int, rng: np.random.Generator
) -> tuple[BoolArray, BoolArray]:
    treated = setting.treat(images.rates, reduction, how, rng)
    sd = setting.rates.logit_sd
    return (
        simulate_runs(images, images.rates, n_runs, sd, rng),
        simulate_runs(images, treated, n_runs, sd, rng),
    )


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The errors outside the endpoint, from which whole experiments are simulated.

    Attributes:
        class_sizes: int64 (C,): judged images of each class.
        pair: (a, b), class indices; `endpoint` is what is judged of it.
        cells: int64 (E,): true class times C plus predicted class, of each image and wrong class that occurred.
        runs_wrong: int64 (E,): how many of the `n_runs` mined runs made the error.
        copies: float64 (E,): expected number of such images among the judged ones.
        logit_sd: Run-to-run variation of single cells.
    """

    class_sizes: IntArray
    pair: Cell
    endpoint: Endpoint
    cells: IntArray
    runs_wrong: IntArray
    n_runs: int
    copies: FloatArray
    logit_sd: float

    def draw(self, rng: np.random.Generator) -> Images:
        """Images of one experiment; rates come from their posteriors under Haldane's prior, which keeps the mean."""
        kept = np.repeat(np.arange(self.cells.size), rng.poisson(self.copies))
        wrong = self.runs_wrong[kept]
        right = self.n_runs - wrong
        rates = np.where(right > 0, rng.beta(wrong, np.maximum(right, 1)), 1.0)
        return Images(rates, self.cells[kept])


def describe_surroundings(
    labels: IntArray, pred: IntArray, *, class_sizes: IntArray, pair: Cell, endpoint: Endpoint
) -> Surroundings:
    """Collect the errors outside the endpoint.

    Args:
        labels: Integer (N,), of the mined images.
        pred: Integer (S, N), of the mined runs.
        class_sizes: Integer (C,), judged images of each class.
        pair: (a, b), class indices.
        endpoint: What is judged of the pair.
    """
    n_classes = len(class_sizes)
    labels, pred = check_runs(labels, pred, n_classes)
    table = tabulate_errors(labels, pred, n_classes=n_classes)
    others = ~cell_mask(n_classes, endpoint.cells(pair)).ravel()[table.cell]
    cells = table.cell[others]
    mined = np.bincount(labels, minlength=n_classes)
    return Surroundings(
        class_sizes=class_sizes,
        pair=pair,
        endpoint=endpoint,
        cells=cells,
        runs_wrong=table.runs[others, 0],
        n_runs=len(pred),
        copies=(class_sizes / np.maximum(mined, 1))[cells // n_classes],
        logit_sd=run_variation(labels, pred, n_classes=n_classes).logit_sd,
    )


def simulate_agreement(
    setting: Setting,
    around: Surroundings,
    seeds: Sequence[int],
    reduction: float,
    *,
    n_simulations: int,
    rng: np.random.Generator,
) -> Agreement:
    """Simulate whole experiments, in which nothing but the endpoint changes, and compare the verdict's word with it.

    Args:
        setting: What is judged.
        around: Errors outside the endpoint.
        seeds: Seeds per arm, used in turn.
        reduction: True share of the endpoint's errors that the treatment removes, in [0, 1].
        n_simulations: Number of experiments.
        rng: Generator.
    """
    n_classes = len(around.class_sizes)
    labels = np.repeat(np.arange(n_classes, dtype=np.int16), around.class_sizes)
    starts = np.cumsum([0, *around.class_sizes[:-1]])
    codes = np.array([true * n_classes + read_as for true, read_as in around.endpoint.cells(around.pair)])
    counts = np.eye(len(WORDS)) / 2
    for k, images in enumerate(setting.draw(rng, n_simulations)):
        n, how = seeds[k % len(seeds)], HOW[(k // len(seeds)) % len(HOW)]
        others = around.draw(rng)
        rates = images.rates, setting.treat(images.rates, reduction, how, rng)
        cells = np.concatenate([codes[images.cells], others.cells])
        true, read_as = np.divmod(cells, n_classes)
        place = _rank_within(true)
        fits = place < around.class_sizes[true]
        at = (starts[true] + place)[fits]
        arms, of_endpoint = [], []
        for of_arm in rates:
            own = simulate_runs(images, of_arm, n, setting.rates.logit_sd, rng)
            rest = simulate_runs(others, others.rates, n, around.logit_sd, rng)
            pred = np.tile(labels, (n, 1))
            pred[:, at] = np.where(np.concatenate([own, rest], axis=1), read_as, true)[:, fits]
            of_endpoint.append(own)
            arms.append(pred)
        word = endpoint_word(setting, of_endpoint[0], of_endpoint[1], alpha=setting.alpha)
        verdict = judge(
            labels,
            *arms,
            pair=around.pair,
            n_classes=n_classes,
            endpoint=around.endpoint,
            worthwhile_percent=100 * setting.worthwhile,
            equivalence_per_10000=setting.equivalence_per_10000,
            alpha=setting.alpha,
        )
        counts[WORDS.index(word), WORDS.index(verdict.word)] += 1
    return Agreement(counts)


def _rank_within(groups: IntArray) -> IntArray:
    """Place of each element among those of its group, in their order: [3, 1, 3] -> [0, 0, 1]."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order])
    ranks = np.empty(groups.size, dtype=np.int64)
    ranks[order] = np.arange(groups.size) - starts
    return ranks
