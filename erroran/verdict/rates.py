"""How often each image is misread: what mined runs show, with the uncertainty of few images.

A plan needs the errors per run that fresh images and new seeds will show. Three things make this uncertain: a mined
pair was chosen because it had many errors; few images make most of them; few runs show how often each image is misread.
`fit_rates` puts the three into one posterior, and `ErrorRates.draw` draws images from it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from erroran.errors import BadInput
from erroran.stats.confusion import (
    BoolArray,
    Cell,
    FloatArray,
    IntArray,
    cell_errors,
    cell_mask,
    check_runs,
    confusion_counts,
    tabulate_errors,
)
from erroran.stats.dispersion import count_variance, run_variation

TAIL_DF: Final = 4.0
"""Degrees of freedom of Student's law of the logarithm of true errors over cells: a cell far above all others stays."""
UNEVENNESS: Final = 0.7
"""Prior median of the scale of that law; on MNIST (16,000 images, 25 convolutional networks) the estimate is 0.85."""
UNEVENNESS_SD: Final = 0.5
"""Standard deviation of the prior of the logarithm of the scale: 0.26 to 1.9 in 95 %."""
_SCALES: Final = np.geomspace(0.2, 3, 16)
_CENTRES: Final = np.linspace(-4, 2, 25)  # relative to the logarithm of the mean
_DRAWS: Final = 4000
CELL_PRIOR_DF: Final = 4.0
"""Weight of all cells' run-to-run variation against the cell's own, in degrees of freedom.

Of 1 and 4, tried on the networks of `erroran.benchmarks.calibration`, 4 came closer. It is less than
`dispersion.PRIOR_DF`: a forecast has to be right on average, but a test must not rely on the variance of three runs.
"""
NEGLIGIBLE_RATE: Final = 1e-4  # lower error rates are left out for speed


@dataclass(frozen=True)
class Images:
    """Images that may be misread; all others never are.

    Attributes:
        rates: float64 (H,): probability that a run misreads each of them, in [0, 1].
        cells: int64 (H,): which cell of the endpoint the image belongs to, by its place.
    """

    rates: FloatArray
    cells: IntArray


@dataclass(frozen=True)
class ErrorRates:
    """Posterior of the error rates of the images that can make one kind of error; see `fit_rates`.

    Attributes:
        runs_wrong: int64 (K,): number of runs that misread each image that any run misreads.
        cells: int64 (K,): its cell, by its place in the endpoint.
        n_runs: Runs that were mined.
        n_images: Images that could make the error, M >= K.
        alpha: First parameter of the beta law of the rates over images; `beta` is the second.
        totals: float64 (D,): posterior draws of the errors per run on M such images, as a mean over many runs.
        logit_sd: Sd of a run's shift of the border of one cell of the endpoint, in logits.
        relative_sd: The same as relative sd of a run's count beyond independent images.
        tested_logit_sd: The run-to-run variation that a verdict corrects this count for, from all cells.
    """

    runs_wrong: IntArray
    cells: IntArray
    n_runs: int
    n_images: int
    alpha: float
    beta: float
    totals: FloatArray
    logit_sd: float
    relative_sd: float
    tested_logit_sd: float

    def mined_errors(self, n_images: int) -> float:
        """Mined errors per run, scaled to a number of images; not corrected for the choice of the pair."""
        return float(self.runs_wrong.sum()) / self.n_runs * n_images / self.n_images

    def expected_errors(self, n_images: int) -> float:
        """Errors per run that are expected on a number of fresh images: the posterior mean."""
        return float(self.totals.mean()) * n_images / self.n_images

    def errors_interval(self, n_images: int, confidence: float = 0.9) -> tuple[float, float]:
        """Interval of the errors per run on a number of fresh images: of their mean over many runs.

        It contains the uncertainty of the posterior and the sampling of the images, from 2,000 draws.
        """
        drawn = [images.rates.sum() for images in self.draw(np.random.default_rng(0), n_images, 2000)]
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
        return low, high

    def draw(self, rng: np.random.Generator, n_images: int, n_draws: int) -> list[Images]:
        """Draw sets of fresh images.

        The errors per run come from their posterior, the kinds of images from a Bayesian bootstrap of the mined ones
        (Rubin 1981, Ann Stat 9:130), the number of each kind from Poisson's law, their rates from their posteriors.
        Fewer errors mean fewer such images, not lower rates: otherwise always-wrong images would become random, and the
        power 6 to 9 points too low.
        """
        runs, wrong = self.n_runs, self.runs_wrong
        totals = rng.choice(self.totals, n_draws)
        kinds = rng.exponential(size=(n_draws, wrong.size))
        size = self.alpha + self.beta + runs
        untouched = self.n_images - wrong.size
        whole = (kinds @ (self.alpha + wrong) + untouched * self.alpha) / size
        times = totals / whole * n_images / self.n_images
        copies = rng.poisson(times[:, None] * kinds)
        kept = np.repeat(np.tile(np.arange(wrong.size), n_draws), copies.ravel())
        rates = rng.beta(self.alpha + wrong[kept], self.beta + runs - wrong[kept])
        return self._join(rng, rates, kept, copies.sum(axis=1), times * untouched)

    def draw_same(self, rng: np.random.Generator, n_draws: int) -> list[Images]:
        """Draw the rates of the mined images themselves, several times."""
        wrong = self.runs_wrong
        kept = np.tile(np.arange(wrong.size), n_draws)
        rates = rng.beta(self.alpha + wrong[kept], self.beta + self.n_runs - wrong[kept])
        untouched = np.full(n_draws, float(self.n_images - wrong.size))
        return self._join(rng, rates, kept, np.full(n_draws, wrong.size), untouched)

    def _join(
        self, rng: np.random.Generator, rates: FloatArray, kinds: IntArray, sizes: IntArray, untouched: FloatArray
    ) -> list[Images]:
        """Add images that no run misread, with rates above `NEGLIGIBLE_RATE`, to each set of images."""
        from scipy.special import betaincc, betainccinv

        laws = self.alpha, self.beta + self.n_runs
        above = float(betaincc(*laws, NEGLIGIBLE_RATE))
        rare_sizes = rng.poisson(untouched * above)
        rare = betainccinv(*laws, above * rng.random(rare_sizes.sum()))
        rare_cells = rng.choice(self.cells, size=rare.size)
        parts = (
            np.split(values, np.cumsum(of_sets)[:-1])
            for values, of_sets in (
                (rates, sizes),
                (self.cells[kinds], sizes),
                (rare, rare_sizes),
                (rare_cells, rare_sizes),
            )
        )
        return [
            Images(np.concatenate([seen, new]), np.concatenate([seen_cells, new_cells]))
            for seen, seen_cells, new, new_cells in zip(*parts, strict=True)
        ]


def fit_rates(labels: IntArray, pred: IntArray, n_classes: int, cells: Sequence[Cell]) -> ErrorRates:
    """Estimate the error rates of an endpoint from runs on images that they have not trained on.

    Args:
        labels: Integer (N,), of the mined images.
        pred: Integer (S, N), predictions of the runs.
        n_classes: Number of classes C.
        cells: The directed cells whose errors count together.

    Raises:
        BadInput: No run makes the error.

    The worst of many cells is partly the worst by chance: mostly if many cells have similar counts, hardly if it is far
    above all others. So the errors per run of all C (C - 1) cells get a common prior: their logarithms follow Student's
    law. A cell's count is Poisson in units of the average change that new images and seeds cause; always-wrong images
    make this unit large. The posterior of the cell needs no correction for its choice. Centre and scale of the prior
    are uncertain with few errors, so they are integrated out on a grid. (A plugged-in estimate of the prior expected
    1.6 errors per run where 6 images made 4.7, and fresh runs made 5.2, with no interval.)

    The rates of single images follow a beta law, by empirical Bayes.

    Source: Robbins (1956) and Efron (2011), J Am Stat Assoc 106, 1602 (selection); Carlin and Louis (2000), Bayes and
    Empirical Bayes Methods, ch. 3 (beta and binomial).
    """
    labels, pred = check_runs(labels, pred, n_classes)
    errors = [cell_errors(labels, pred, cell) for cell in cells]
    if not any(part.any() for part in errors):
        raise BadInput("no mined error to plan from", fix="choose a pair that was confused")
    variation = run_variation(labels, pred, n_classes=n_classes)
    counted = cell_mask(n_classes, cells)
    off = ~np.eye(n_classes, dtype=bool)
    mean = np.where(off, confusion_counts(labels, pred, n_classes).mean(axis=0), 0.0)
    # Variance of all cells together: run-to-run variation, and the squared rates of other images, seed noise included.
    of_runs = float(((variation.logit_sd * variation.expected) ** 2).sum()) / len(pred)
    rates = tabulate_errors(labels, pred, n_classes=n_classes).runs[:, 0] / len(pred)
    jump = (of_runs + float((rates**2).sum())) / float(mean.sum())
    return _describe_images(
        errors,
        totals=jump * _draw_counts(mean[off] / jump, mean[counted] / jump),
        pooled=variation.logit_sd,
        tested=variation.logit_sd_of(counted),
    )


def fit_same_images(errors: Sequence[BoolArray], *, pooled_logit_sd: float, tested_logit_sd: float) -> ErrorRates:
    """Estimate the error rates of given images, whose pair was not chosen by these runs.

    Args:
        errors: bool (S, M) for each cell of the endpoint, runs by images.
        pooled_logit_sd: Run-to-run variation of single cells; see `dispersion.run_variation`.
        tested_logit_sd: The same of their sum.

    Raises:
        BadInput: No run makes the error.
    """
    rates = np.concatenate([part.mean(axis=0) for part in errors])
    if not rates.any():
        raise BadInput("no error to plan from", fix="choose a pair that is confused")
    # Gamma law with the observed mean, and the variance of other images of the same kind.
    scale = float((rates**2).sum() / rates.sum())
    return _describe_images(
        errors,
        totals=np.random.default_rng(0).gamma(rates.sum() / scale, scale, _DRAWS),
        pooled=pooled_logit_sd,
        tested=tested_logit_sd,
    )


def _describe_images(errors: Sequence[BoolArray], *, totals: FloatArray, pooled: float, tested: float) -> ErrorRates:
    together = np.concatenate(errors, axis=1)
    places = np.repeat(np.arange(len(errors)), [part.shape[1] for part in errors])
    wrong = together.sum(axis=0, dtype=np.int64)
    alpha, beta = _fit_images(together, wrong)
    logit_sd, relative_sd = _cell_variation(errors, pooled)
    some = wrong > 0
    return ErrorRates(
        runs_wrong=wrong[some],
        cells=places[some],
        n_runs=len(together),
        n_images=wrong.size,
        alpha=alpha,
        beta=beta,
        totals=totals,
        logit_sd=logit_sd,
        relative_sd=relative_sd,
        tested_logit_sd=tested,
    )


def _draw_counts(counts: FloatArray, chosen: FloatArray) -> FloatArray:
    """Posterior draws of the summed true counts of the chosen cells, float64 (D,).

    Args:
        counts: float64 (cells,): errors per run of all cells, in units of the average change.
        chosen: float64 (n,): those of the chosen cells.
    """
    values, times = np.unique(counts, return_counts=True)
    true = np.geomspace(1e-3, 3 * float(values[-1]) + 10, 250)
    logs = np.log(true)
    centres = math.log(float(counts.mean())) + _CENTRES
    deviate = (logs - centres[:, None, None]) / _SCALES[:, None]
    prior = (1 + deviate**2 / TAIL_DF) ** (-(TAIL_DF + 1) / 2) * np.gradient(logs)
    prior /= prior.sum(axis=2, keepdims=True)
    fit = values[:, None] * logs - true  # Poisson's law, extended to counts that are not integer
    best = fit.max(axis=1)
    likelihood = np.exp(fit - best[:, None])
    evidence = np.log(np.maximum(prior @ likelihood.T, 1e-300)) @ times
    evidence -= (np.log(_SCALES / UNEVENNESS) / UNEVENNESS_SD) ** 2 / 2
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    rng = np.random.default_rng(0)
    drawn = np.zeros(_DRAWS)
    for value in chosen:
        posterior = prior * likelihood[np.searchsorted(values, value)]
        posterior /= posterior.sum(axis=2, keepdims=True)
        drawn += rng.choice(true, _DRAWS, p=np.tensordot(weights, posterior, 2))
    return drawn


def _fit_images(errors: BoolArray, wrong: IntArray) -> tuple[float, float]:
    """Beta law of the rates over images by maximum likelihood: the counts are beta-binomial.

    The mean is the observed one; only the concentration is fitted. A single run has no information on it: 1 then means
    that half the errors come from images that are usually wrong.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import betaln

    n_runs = len(errors)
    counts = np.bincount(wrong, minlength=n_runs + 1)
    k = np.arange(n_runs + 1)
    # Where all runs get all images wrong, half an error is taken off: a beta law has no rate of 1.
    rate = min(float(errors.mean()), 1 - 0.5 / errors.size)

    def loss(log_size: float) -> float:
        a, b = math.exp(log_size) * rate, math.exp(log_size) * (1 - rate)
        return -float(counts @ (betaln(k + a, n_runs - k + b) - betaln(a, b)))  # without the binomial coefficients

    size = 1.0
    if n_runs > 1:
        size = math.exp(minimize_scalar(loss, bounds=(-4.0, 7.0), method="bounded", options={"xatol": 1e-3}).x)
    return size * rate, size * (1 - rate)


def _cell_variation(errors: Sequence[BoolArray], pooled: float) -> tuple[float, float]:
    """Run-to-run variation of one cell: sd of a run's shift in logits; and relative sd of the count of all cells."""
    expected = np.array([count_variance(part).expected for part in errors])
    whole = float(expected.sum())
    if whole == 0:
        return pooled, 0.0  # no image differs between runs, so the cells have no information on a shift
    counted = count_variance(np.concatenate(errors, axis=1))
    squares = float((expected**2).sum())
    predicted = 1 + pooled**2 * squares / whole
    blended = (CELL_PRIOR_DF * predicted + counted.df * counted.ratio) / (CELL_PRIOR_DF + counted.df)
    excess = max(0.0, blended - 1) * whole
    mean = sum(float(part.sum()) for part in errors) / len(errors[0])
    return math.sqrt(excess / squares), math.sqrt(excess) / mean


def scale_odds(rates: FloatArray, factor: float | FloatArray) -> FloatArray:
    """Multiply the odds of rates in [0, 1] by a factor, broadcast against them."""
    certain = np.minimum(rates, 1 - 1e-9)  # odds must be finite
    lifted = certain * factor
    moved: FloatArray = lifted / (lifted + 1 - certain)
    return moved


def simulate_runs(
    images: Images, rates: FloatArray, n_runs: int, logit_sd: float, rng: np.random.Generator
) -> BoolArray:
    """Simulate errors, bool (n_runs, H).

    Images err independently; each run moves the rates p of a cell by a shift of its own times p (1 - p).

    Args:
        images: The images.
        rates: float64 (H,), their rates in this arm.
        n_runs: Number of runs.
        logit_sd: Sd of the shifts, in logits.
        rng: Generator.
    """
    moved = np.broadcast_to(rates, (n_runs, rates.size))
    if logit_sd > 0 and rates.size:
        # Mean 0, but never below -1: skewed as a shift in logits is, and no rate turns negative.
        shift = rng.gamma(logit_sd**-2, logit_sd**2, (n_runs, int(images.cells.max()) + 1)) - 1
        moved = moved + shift[:, images.cells] * rates * (1 - rates)
    errors: BoolArray = rng.random((n_runs, rates.size)) < moved
    return errors
