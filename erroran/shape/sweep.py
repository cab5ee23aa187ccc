"""Predictions for images swept from erosion to dilation, and the rule that tests a hypothesis by them.

If the operation of a spec acts on the cause of an error, then it *induces* the error on images that are predicted
correctly, and its inverse *repairs* the errors. The rule, for images of a that are predicted as b:

- Induction holds if, at the spec's largest dose, the induced rate is above that of each of its three controls: the same
  images shifted by 1 px, the same images under the inverse at the same dose, and bystander classes under the same
  operation. "Above" means that the interval of the difference is. It fails if the rate is not larger than that of
  every control, and certainly less than 10 %.
- Repair holds if the repaired rate, mean over the spec's doses, is above that of a shift by 1 px, mean over its four
  directions. It fails if the rate is not larger, and certainly less than a half. With fewer than 5 distinct errors it
  is open.
- A hypothesis is supported if both hold, not supported if either fails; otherwise one cannot tell.

All rates are over images, each counted with its mean over the runs; intervals are Wilson's, 95 %. Differences between
rates of the same images are paired, image by image and run by run (`stats.differences`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, computed_field

from erroran.errors import BadInput
from erroran.experiment.change import ALL_CLASSES, Step
from erroran.experiment.hypothesis import Hypothesis
from erroran.operations import geometry, morphology
from erroran.operations.table import OPERATIONS
from erroran.results import Result
from erroran.shape.measure import closure_margin
from erroran.stats.correlation import Correlation, correlate_ranks
from erroran.stats.differences import Difference, paired_difference, unpaired_difference
from erroran.stats.intervals import wilson_interval

STEP_PX = 0.25  # px of radius; the finest dose there is
REACH_PX = 1.5  # px of radius; strokes are 2 to 4 px thick, so that eroding by more leaves nothing
FEWEST_ERRORS = 5  # distinct images; fewer say little about other errors, whatever the intervals
FEWEST_IMAGES = 20  # distinct images; the same for induced rates, which are smaller
# Rates below which an operation counts as without effect; a choice, not from a source.
LARGE_INDUCED, LARGE_REPAIRED = 0.1, 0.5
_SHIFTS = 4  # directions
_CORRECT_SHOWN, _ERRORS_SHOWN = 4, 4  # images of each class

Half = Literal["holds", "fails", "open"]
Word = Literal["supported", "not supported", "cannot tell"]


class Rate(Result):
    """A share of images, each counted with its mean over the runs, and its 95 % interval; NaN without images."""

    images: int
    share: float = math.nan
    low: float = math.nan
    high: float = math.nan


class ControlRate(Rate):
    """The rate of a control, and how much larger the rate is that it is compared with.

    Attributes:
        paired: Whether both rates are of the same images.
        difference: The other rate minus this one, in [-1, 1]; its 95 % interval is `lead_low` to `lead_high`. NaN
            where one of them has no images.
    """

    paired: bool
    difference: float = math.nan
    lead_low: float = math.nan
    lead_high: float = math.nan


class ProbedDirection(Result):
    """Result for images of one class (`true`) that are predicted as another (`predicted`).

    Attributes:
        operation: The supposed cause of the error: ``dilate`` or ``erode``.
        doses_px: The spec's doses.
        curve: For each dose of the sweep, share of the correctly predicted images that is then predicted as
            `predicted`.
        bystanders: The same for correctly predicted images of all other classes.
        repair: For each dose, the share of the errors that is then predicted as `true`.
        induced: The rate of `curve` at the largest of `doses_px`.
        induced_by_run: The same for each run alone; None for a run that predicts no image correctly.
        errors_by_run: Errors of each run among the images swept.
        induced_controls: Name of the control to its rate, with the lead of `induced` over it.
        repaired: Share repaired by the inverse, mean over `doses_px`.
        repaired_by_shift: Share repaired by a shift by 1 px, mean over four directions, with the lead of `repaired`.
        induction: Whether that half of the rule holds; `repairing` the other half.
        flip_doses_px: float (F,): signed dose, positive dilates, at which half the runs predict an image as
            `predicted`.
        flip_margins_px: float (F,): closure margins of these images; NaN without a loop.
        tracking: Rank correlation of the two.
    """

    true: str
    predicted: str
    operation: str
    doses_px: tuple[float, ...]
    curve: list[Rate]
    bystanders: list[Rate]
    repair: list[Rate]
    induced: Rate
    induced_by_run: list[float | None]
    errors_by_run: list[int]
    induced_controls: dict[str, ControlRate]
    repaired: Rate
    repaired_by_shift: ControlRate
    induction: Half
    repairing: Half
    flip_doses_px: np.ndarray
    flip_margins_px: np.ndarray
    tracking: Correlation

    @computed_field  # type: ignore[prop-decorator]
    @property
    def word(self) -> Word:
        """Result of the rule for this direction alone."""
        return judge_directions([self])


class Strip(Result):
    """One image of class `true` at D doses of the sweep."""

    label: str  # its class, and whether it is an error
    true: str
    images: np.ndarray = Field(exclude=True)  # uint8 (D, H, W, 1)
    read_as: list[str]  # the class that most runs predict at each dose


@dataclass(frozen=True)
class Cause:
    """Supposed cause of an error: dilation (`sign` 1) or erosion (-1), by ascending radii `doses` in pixels."""

    sign: int
    doses: tuple[float, ...]


@dataclass(frozen=True)
class Sweep:
    """N images under D doses and four shifts."""

    labels: np.ndarray  # int (N,)
    drawn: np.ndarray  # bool (N,): in the random sample; the others are errors, swept for the repair only
    doses: np.ndarray  # float (D,), in pixels; negative erodes, positive dilates
    images: np.ndarray  # uint8 (D + 4, N, H, W, 1): the doses, then the shifts by 1 px
    margins: np.ndarray  # float (N,), closure margins in pixels; NaN without a loop

    def at(self, dose: float) -> int:
        """Place of a dose."""
        return int(abs(self.doses - dose).argmin())


def find_causes(name: str, hypothesis: Hypothesis) -> tuple[Step, tuple[Cause, Cause]]:
    """Read the supposed causes of the errors of a pair from a spec; `name` is for messages.

    Returns:
        The first of its steps on a class of the pair, whose kernel is swept; and the cause for either class. A class
        without an operation gets the inverse of the other's.

    Raises:
        BadInput: It neither dilates nor erodes a class of the pair by pixels, or has several operations for a class.
    """
    fix = f"probe a spec with one operation per class, dilate or erode, or judge this one: erroran intervene {name}"
    if not hypothesis.augment:
        raise BadInput(f"`{name}` applies no operation to images, so there is nothing to sweep.", fix=fix)
    if ALL_CLASSES in hypothesis.augment:
        raise BadInput(f"`{name}` acts on all classes, so that no class is left to compare with.", fix=fix)
    given = [hypothesis.augment.get(class_name, ()) for class_name in hypothesis.pair.classes]
    if any(len(steps) > 1 for steps in given):
        raise BadInput(f"`{name}` applies several operations to a class; a probe sweeps a single one.", fix=fix)
    first, second = (_read_cause(name, steps[0], fix) if steps else None for steps in given)
    if first is None and second is None:
        raise BadInput(f"`{name}` acts on neither class of its pair.", fix="add [augment.<class>] for one of them")
    first = first or Cause(-second.sign, second.doses)  # type: ignore[union-attr]
    second = second or Cause(-first.sign, first.doses)
    return next(steps[0] for steps in given if steps), (first, second)


def choose_images(
    labels: np.ndarray, predicted: np.ndarray, ids: np.ndarray, pair: tuple[int, int], *, most: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the images to sweep: a random sample, and all errors of the pair.

    Args:
        labels: int (N,).
        predicted: int (S, N).
        ids: str (N,), sample ids.
        pair: Labels of the pair.
        most: Images in the sample, at most: of each class of the pair, and of all other classes together.

    Returns:
        int (n,), rows; and bool (n,), which of them are in the sample.
    """
    by_id = np.argsort(ids)  # the sample is random, and the same in every order of the data
    sorted_labels, drawn = labels[by_id], np.zeros(len(by_id), dtype=bool)
    drawn[by_id[~np.isin(sorted_labels, pair)][: most[1]]] = True
    errors = np.zeros(len(by_id), dtype=bool)
    for true, other in (pair, pair[::-1]):
        drawn[by_id[sorted_labels == true][: most[0]]] = True
        errors |= (labels == true) & (predicted == other).any(axis=0)
    rows = np.flatnonzero(drawn | errors)
    return rows, drawn[rows]


def sweep_images(
    images: np.ndarray, labels: np.ndarray, drawn: np.ndarray, step: Step, causes: Sequence[Cause]
) -> Sweep:
    """Erode and dilate images in steps of a quarter of a pixel, at least to the doses of `causes`; shift them by one.

    Images are uint8 (N, H, W, 1); `step` gives the shape of the kernel and the ink. See `Sweep`.

    Raises:
        BadInput: The images are not grey.
    """
    bright = images if step.ink == "bright" else 255 - images
    margins = closure_margin(bright, distance="chessboard" if step.shape == "square" else "euclidean")
    reach = round(max(REACH_PX, *(dose for cause in causes for dose in cause.doses)) / STEP_PX)
    doses = np.arange(-reach, reach + 1) * STEP_PX
    swept = [
        (morphology.dilate if d > 0 else morphology.erode)(images, radius_px=abs(d), shape=step.shape, ink=step.ink)
        for d in doses.tolist()
    ]
    ways = np.repeat(np.arange(_SHIFTS)[:, None], len(images), axis=1)
    swept += [geometry.shift(images, pixels=1, direction=way, ink=step.ink) for way in ways]
    return Sweep(labels, drawn, doses, np.stack(swept), margins)


def examine_direction(
    swept: Sweep, read: np.ndarray, pair: tuple[int, int], cause: Cause, names: Sequence[str]
) -> ProbedDirection:
    """Apply the rule to images of the first class of `pair` that are predicted as the second.

    `read` is int (S, D + 4, N): predictions of S runs for ``swept.images``.
    """
    a, b = pair
    read, shifted = read[:, : len(swept.doses)], read[:, len(swept.doses) :]
    zero = swept.at(0)
    before = read[:, zero]  # (S, N)
    correct = (before == swept.labels) & swept.drawn
    of_a = swept.labels == a
    errors = of_a & (before == b)
    others = correct & ~np.isin(swept.labels, pair)
    by_dose = read.transpose(1, 0, 2)
    curve = [mean_rate(run == b, of_a & correct) for run in by_dose]
    bystanders = [mean_rate(run == b, others) for run in by_dose]
    largest = swept.at(cause.sign * cause.doses[-1])
    inverse = [swept.at(-cause.sign * dose) for dose in cause.doses]
    induced, opposite = read[:, largest] == b, read[:, swept.at(-cause.sign * cause.doses[-1])] == b
    controls = {
        "shifted by 1 px": compare_paired(induced, (shifted == b).mean(axis=1), of_a & correct),
        "the inverse": compare_paired(induced, opposite, of_a & correct),
        "bystanders": compare_unpaired(curve[largest], bystanders[largest]),
    }
    repairing = (read[:, inverse] == a).mean(axis=1)
    repaired = mean_rate(repairing, errors)
    by_shift = compare_paired(repairing, (shifted == a).mean(axis=1), errors)
    rows, flips = _flip_doses(swept, read, pair, cause)
    return ProbedDirection(
        true=names[a],
        predicted=names[b],
        operation=next(operation.name for operation in OPERATIONS.values() if operation.sweep == cause.sign),
        doses_px=cause.doses,
        curve=curve,
        bystanders=bystanders,
        repair=[mean_rate(run == a, errors) for run in by_dose],
        induced=curve[largest],
        induced_by_run=[
            mean_rate(run[None, largest] == b, counted[None]).share if counted.any() else None
            for run, counted in zip(read, of_a & correct, strict=True)
        ],
        errors_by_run=errors.sum(axis=1).tolist(),
        induced_controls=controls,
        repaired=repaired,
        repaired_by_shift=by_shift,
        induction=judge_half(curve[largest], list(controls.values()), FEWEST_IMAGES, LARGE_INDUCED),
        repairing=judge_half(repaired, [by_shift], FEWEST_ERRORS, LARGE_REPAIRED),
        flip_doses_px=flips,
        flip_margins_px=swept.margins[rows],
        tracking=correlate_ranks(flips, swept.margins[rows]),
    )


def mean_rate(hit: np.ndarray, among: np.ndarray) -> Rate:
    """Share of hits over images, (S, N); bool `among` (S, N) says which runs count for which images."""
    counted = among.any(axis=0)
    n = int(counted.sum())
    if not n:
        return Rate(images=0)
    by_image = (hit * among).sum(axis=0)[counted] / among.sum(axis=0)[counted]
    total = float(by_image.sum())
    low, high = wilson_interval(total, n)
    return Rate(images=n, share=total / n, low=low, high=high)


def compare_paired(hit: np.ndarray, control: np.ndarray, among: np.ndarray) -> ControlRate:
    """The rate of `control`, compared with that of `hit` on the same images.

    Both are bool or float (S, N) in [0, 1], fractions such as a mean over doses; `among` is that of `mean_rate`.
    """
    rate = mean_rate(control, among)
    ahead, behind = (mean_rate(share, among) for share in (hit * (1.0 - control), control * (1.0 - hit)))
    if not rate.images:
        return ControlRate(images=0, paired=True)
    lead = paired_difference(ahead.share * rate.images, behind.share * rate.images, rate.images)
    return _with_lead(rate, lead, paired=True)


def compare_unpaired(rate: Rate, control: Rate) -> ControlRate:
    """The rate of a control, compared with another rate on other images."""
    lead = unpaired_difference(rate.share * rate.images, rate.images, control.share * control.images, control.images)
    return _with_lead(control, lead, paired=False)


def _with_lead(rate: Rate, lead: Difference, *, paired: bool) -> ControlRate:
    ends = {"difference": lead.difference, "lead_low": lead.low, "lead_high": lead.high}
    return ControlRate(**rate.model_dump(), paired=paired, **ends)


def judge_half(rate: Rate, controls: Sequence[ControlRate], fewest: int, large: float) -> Half:
    """One half of the rule: it holds above every control, and fails if not above all and certainly below `large`."""
    if rate.images < fewest:
        return "open"
    there = [control for control in controls if control.images]
    if any(control.difference <= 0 for control in there):
        return "fails" if rate.high < large else "open"
    return "holds" if all(control.lead_low > 0 for control in there) else "open"


def judge_directions(directions: Sequence[ProbedDirection]) -> Word:
    """Result of the rule for one or both directions."""
    halves = [half for d in directions for half in (d.induction, d.repairing)]
    if "fails" in halves:
        return "not supported"
    return "supported" if set(halves) == {"holds"} else "cannot tell"


def choose_strips(
    swept: Sweep, read: np.ndarray, pair: tuple[int, int], causes: Sequence[Cause], names: Sequence[str]
) -> list[Strip]:
    """The first images of each class to flip, and the errors that most runs make; see `examine_direction`."""
    read, found = read[:, : len(swept.doses)], []
    for (a, b), cause in zip((pair, pair[::-1]), causes, strict=True):
        rows, flips = _flip_doses(swept, read, (a, b), cause)
        wrong = ((read[:, swept.at(0)] == b) & (swept.labels == a)).mean(axis=0)
        errors = [row for row in np.argsort(-wrong, kind="stable") if wrong[row] > 0][:_ERRORS_SHOWN]
        easiest = rows[np.argsort(abs(flips), kind="stable")][:_CORRECT_SHOWN]
        for kind, some in ((f"{names[a]}, read correctly", easiest), (f"{names[a]} read as {names[b]}", errors)):
            for row in some:
                votes = [np.bincount(read[:, i, row]).argmax() for i in range(len(swept.doses))]
                images = swept.images[: len(swept.doses), row]
                found.append(Strip(label=kind, true=names[a], images=images, read_as=[names[int(v)] for v in votes]))
    return found


def _read_cause(name: str, step: Step, fix: str) -> Cause:
    sign = OPERATIONS[step.operation].sweep
    if not sign:
        raise BadInput(f"`{name}` uses {step.operation}; a probe sweeps from erosion to dilation.", fix=fix)
    radii = step.radius_px or tuple((side - 1) / 2 for side in step.kernel_px or ())
    doses = tuple(sorted({float(radius) for radius in radii if radius > 0}))
    if not doses:
        raise BadInput(f"`{name}` has no dose in pixels that changes anything.", fix=fix)
    return Cause(sign, doses)


def _flip_doses(swept: Sweep, read: np.ndarray, pair: tuple[int, int], cause: Cause) -> tuple[np.ndarray, np.ndarray]:
    """Images of the first class that most runs predict correctly and that flip; rows, and signed doses."""
    a, b = pair
    right = (swept.labels == a) & ((read[:, swept.at(0)] == swept.labels).mean(axis=0) > 0.5)
    steps = np.flatnonzero(swept.doses * cause.sign > 0)
    steps = steps[np.argsort(abs(swept.doses[steps]))]
    flipped = ((read[:, steps] == b).mean(axis=0) >= 0.5) & right  # (steps, N)
    rows = np.flatnonzero(flipped.any(axis=0))
    return rows, swept.doses[steps[flipped[:, rows].argmax(axis=0)]]
