"""Does a hypothesis hold? Ask the models that are trained already, before training another.

Each image of `mine` is swept from erosion to dilation, and every stored baseline model says how it reads each dose. If
the operation of the spec acts on the cause of the error, then it *induces* the error on images that are read correctly,
and its inverse *repairs* the errors.

The rule, for images of a that are read as b:

- Induction holds if, at the spec's largest dose, the induced rate's interval lies above the intervals of its four
  controls: the same images untouched, shifted by 1 px, under the inverse at the same dose, and bystander classes
  under the same operation. It fails if the rate is not above that of every control, and surely less than 10 %.
- Repair holds if the repaired rate, mean over the spec's doses, has an interval above that of a shift by 1 px, mean
  over its four directions. It fails if the rate is not above the shift's, and surely less than a half. With fewer than
  5 distinct errors it is open.
- A hypothesis is supported if both hold, not supported if either fails; else one cannot tell.

All rates are over images, each image counting with its mean over the runs; intervals are Wilson's, 95 %.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.operations import geometry, morphology
from erroran.shape.measure import closure_margin
from erroran.stats.correlation import Correlation, correlate_ranks
from erroran.stats.intervals import wilson_interval
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.records import Group, RunRecord
from erroran.training.predict import predict_with

STEP_PX = 0.25
REACH_PX = 1.5
FEWEST_ERRORS = 5
FEWEST_IMAGES = 20
LARGE_INDUCED, LARGE_REPAIRED = 0.1, 0.5
_SHIFTS = 4
_CORRECT_SHOWN, _ERRORS_SHOWN = 4, 4

Half = Literal["holds", "fails", "open"]
Word = Literal["supported", "not supported", "cannot tell"]


@dataclass(frozen=True)
class Rate:
    """A share of images, each counting with its mean over the runs.

    Attributes:
        images: Distinct images.
        share: In [0, 1]; None without images.
        low: Lower end of its 95 % interval; `high` the upper one; None without images.
    """

    images: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Direction:
    """What was found about images of one class that are read as another.

    Attributes:
        true: The class.
        predicted: What it is read as.
        operation: What is believed to cause the error: ``dilate`` or ``erode``.
        doses_px: The spec's doses.
        curve: Per dose of the sweep, the share of correctly read images that is then read as `predicted`.
        bystanders: The same for correctly read images of all other classes.
        repair: Per dose, the share of the errors that is then read as `true`.
        induced: At the largest of `doses_px`.
        induced_by_run: The same for each run alone; None for a run that reads no image correctly.
        errors_by_run: Errors of each run among the images swept.
        induced_controls: Name of the control to its rate.
        repaired: Under the inverse, mean over `doses_px`.
        repaired_by_shift: Under a shift by 1 px, mean over four directions.
        induction: Whether that half of the rule holds.
        repairing: Whether the other half does.
        flip_doses_px: float (F,): signed dose, positive dilates, at which half the runs read an image as `predicted`.
        flip_margins_px: float (F,): closure margins of these images.
        tracking: Their rank correlation.
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
    induced_controls: dict[str, Rate]
    repaired: Rate
    repaired_by_shift: Rate
    induction: Half
    repairing: Half
    flip_doses_px: np.ndarray
    flip_margins_px: np.ndarray
    tracking: Correlation

    @property
    def word(self) -> Word:
        """The rule's answer for this direction alone."""
        return _judge([self])

    def to_json(self) -> dict[str, object]:
        """JSON-ready data."""
        plain = asdict(self)
        margins = [None if np.isnan(m) else float(m) for m in self.flip_margins_px]
        return {**plain, "word": self.word, "flip_doses_px": self.flip_doses_px.tolist(), "flip_margins_px": margins}


@dataclass(frozen=True)
class Strip:
    """One image over the doses of the sweep.

    Attributes:
        label: What it is: its class, and whether it is an error.
        true: Its class.
        images: uint8 (D, H, W, C).
        read_as: D names: what most runs read.
    """

    label: str
    true: str
    images: np.ndarray
    read_as: list[str]


@dataclass(frozen=True)
class Probed:
    """What the stored models say about a hypothesis.

    Attributes:
        name: The hypothesis.
        hypothesis: Its spec.
        group: The baseline group.
        runs: Its runs.
        doses_px: The sweep; negative erodes, positive dilates.
        shape: Of the kernel.
        forward: Images of the pair's true class.
        reverse: Images of the other class: the reverse pair.
        strips: A few images.
        images: Images swept.
    """

    name: str
    hypothesis: Hypothesis
    group: Group
    runs: tuple[RunRecord, ...]
    doses_px: tuple[float, ...]
    shape: str
    forward: Direction
    reverse: Direction
    strips: list[Strip]
    images: int

    @property
    def judged(self) -> list[Direction]:
        """The directions that the spec's primary endpoint is about."""
        both = {"forward": [self.forward], "reverse": [self.reverse], "sum": [self.forward, self.reverse]}
        return both[self.hypothesis.primary]

    @property
    def word(self) -> Word:
        """The verdict on the hypothesis."""
        return _judge(self.judged)

    def to_json(self) -> dict[str, object]:
        """The result as strict JSON-ready data."""
        return {
            "hypothesis": self.name,
            "hash": self.hypothesis.hash,
            "pair": str(self.hypothesis.pair),
            "primary": self.hypothesis.primary,
            "verdict": self.word,
            "group": self.group.id,
            "dataset": self.group.dataset_name,
            "note": self.group.note,
            "runs": [run.id for run in self.runs],
            "seeds": [run.spec.seed for run in self.runs],
            "images": self.images,
            "doses_px": list(self.doses_px),
            "shape": self.shape,
            "forward": self.forward.to_json(),
            "reverse": self.reverse.to_json(),
        }


@dataclass(frozen=True)
class _Swept:
    """What S runs read in N images under D doses and four shifts.

    Attributes:
        labels: int (N,).
        drawn: bool (N,): in the random sample; the others are errors, swept to be repaired.
        images: uint8 (D, N, H, W, C).
        read: int (S, D, N).
        shifted: int (S, 4, N).
        doses: float (D,).
        margins: float (N,); NaN where there is none.
    """

    labels: np.ndarray
    drawn: np.ndarray
    images: np.ndarray
    read: np.ndarray
    shifted: np.ndarray
    doses: np.ndarray
    margins: np.ndarray

    @property
    def zero(self) -> int:
        return int(np.flatnonzero(self.doses == 0)[0])

    def at(self, dose: float) -> int:
        return int(abs(self.doses - dose).argmin())


@dataclass(frozen=True)
class _Cause:
    """What a spec believes to cause an error of a class.

    Attributes:
        sign: 1 dilates, -1 erodes.
        doses: Radii in pixels, ascending.
    """

    sign: int
    doses: tuple[float, ...]

    @property
    def operation(self) -> str:
        return "dilate" if self.sign > 0 else "erode"


def probe(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    most_per_class: int = 1000,
    most_bystanders: int = 1000,
) -> Probed:
    """Sweep images of `mine` and let the stored baseline models of all seeds read them. Trains nothing.

    Args:
        store: Holds the group's runs and their models.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec: dilates or erodes at least one class of its pair, by radius or kernel. A class of the
            pair without an operation of its own gets the inverse of the other's.
        most_per_class: Images of each class of the pair; errors of the pair beyond them are swept for the repair.
        most_bystanders: Images of all other classes together.

    Raises:
        NotFound: The spec names a class that the dataset lacks, or a run is gone.
        BadInput: The spec neither dilates nor erodes, or not in pixels.
        ErroranError: A stored model cannot be read.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    check_classes(hypothesis, evidence.class_names)
    a, b = (evidence.class_names.index(class_name) for class_name in hypothesis.pair.classes)
    step, causes = _find_causes(name, hypothesis)
    reach = max(REACH_PX, *causes[0].doses, *causes[1].doses)
    doses = np.arange(-round(reach / STEP_PX), round(reach / STEP_PX) + 1) * STEP_PX
    rows, drawn = _choose(evidence, (a, b), most_per_class, most_bystanders)
    swept = _sweep(store, evidence, rows, drawn, doses, step)
    names = evidence.class_names
    forward = _examine(swept, (a, b), causes[0], names)
    reverse = _examine(swept, (b, a), causes[1], names)
    return Probed(
        name=name,
        hypothesis=hypothesis,
        group=group,
        runs=evidence.runs,
        doses_px=tuple(doses.tolist()),
        shape=step.shape,
        forward=forward,
        reverse=reverse,
        strips=_strips(swept, (a, b), causes, names),
        images=len(rows),
    )


def _find_causes(name: str, hypothesis: Hypothesis) -> tuple[Step, tuple[_Cause, _Cause]]:
    steps = [(hypothesis.augment.get(class_name) or (None,))[0] for class_name in hypothesis.pair.classes]
    causes = [None if step is None else _read_cause(name, step) for step in steps]
    first, second = causes
    if first is None and second is None:
        raise BadInput(f"`{name}` acts on neither class of its pair.", fix="add [augment.<class>] for one of them")
    first = first or _Cause(-second.sign, second.doses)  # type: ignore[union-attr]
    second = second or _Cause(-first.sign, first.doses)
    return next(step for step in steps if step), (first, second)


def _read_cause(name: str, step: Step) -> _Cause:
    fix = f"probe a spec with dilate or erode and radius_px, or judge it directly: erroran intervene {name}"
    if step.operation not in {"dilate", "erode"}:
        raise BadInput(f"`{name}` uses {step.operation}; a probe sweeps from erosion to dilation.", fix=fix)
    radii = step.radius_px or tuple((side - 1) / 2 for side in step.kernel_px or ())
    doses = tuple(sorted({float(radius) for radius in radii if radius > 0}))
    if not doses:
        raise BadInput(f"`{name}` has no dose in pixels that changes anything.", fix=fix)
    return _Cause(1 if step.operation == "dilate" else -1, doses)


def _choose(
    evidence: Evidence, pair: tuple[int, int], most_per_class: int, most_bystanders: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to sweep, and which of them are the random sample that rates of correctly read images are over."""
    by_id = np.argsort(evidence.ids)  # a random sample that is the same in every order of the data
    labels, drawn = evidence.labels[by_id], np.zeros(len(by_id), dtype=bool)
    drawn[by_id[~np.isin(labels, pair)][:most_bystanders]] = True
    errors = np.zeros(len(by_id), dtype=bool)
    for true, other in (pair, pair[::-1]):
        drawn[by_id[labels == true][:most_per_class]] = True
        errors |= (evidence.labels == true) & (evidence.predicted == other).any(axis=0)
    rows = np.flatnonzero(drawn | errors)
    return rows, drawn[rows]


def _sweep(
    store: Store,
    evidence: Evidence,
    rows: np.ndarray,
    drawn: np.ndarray,
    doses: np.ndarray,
    step: Step,
) -> _Swept:
    images = evidence.images[rows]
    bright = images if step.ink == "bright" else 255 - images
    margins = closure_margin(bright, distance="chessboard" if step.shape == "square" else "euclidean")
    by_dose = np.stack([_apply(images, dose, step) for dose in doses])
    directions = [np.full(len(images), direction) for direction in range(_SHIFTS)]
    shifts = np.stack([geometry.shift(images, pixels=1, direction=d, ink=step.ink) for d in directions])
    everything = np.concatenate([by_dose, shifts])
    flat = everything.reshape(-1, *images.shape[1:])
    read = np.stack(
        [
            predict_with(store.run_folder(run.id) / "model.keras", flat, source=store.load_source_of(run))
            .argmax(axis=1)
            .reshape(everything.shape[:2])
            for run in evidence.runs
        ]
    )
    return _Swept(
        labels=evidence.labels[rows],
        drawn=drawn,
        images=by_dose,
        read=read[:, : len(doses)],
        shifted=read[:, len(doses) :],
        doses=doses,
        margins=margins,
    )


def _apply(images: np.ndarray, dose: float, step: Step) -> np.ndarray:
    operation = morphology.dilate if dose > 0 else morphology.erode
    return operation(images, radius_px=abs(float(dose)), shape=step.shape, ink=step.ink)


def _examine(swept: _Swept, pair: tuple[int, int], cause: _Cause, names: tuple[str, ...]) -> Direction:
    a, b = pair
    before = swept.read[:, swept.zero]  # (S, N)
    correct = (before == swept.labels) & swept.drawn
    of_a = swept.labels == a
    errors = of_a & (before == b)
    others = correct & ~np.isin(swept.labels, pair)
    curve = [_rate(read == b, of_a & correct) for read in swept.read.transpose(1, 0, 2)]
    bystanders = [_rate(read == b, others) for read in swept.read.transpose(1, 0, 2)]
    repair = [_rate(read == a, errors) for read in swept.read.transpose(1, 0, 2)]
    largest = swept.at(cause.sign * cause.doses[-1])
    inverse = [swept.at(-cause.sign * dose) for dose in cause.doses]
    controls = {
        "untouched": curve[swept.zero],
        "shifted by 1 px": _rate((swept.shifted == b).mean(axis=1), of_a & correct),
        "the inverse": curve[swept.at(-cause.sign * cause.doses[-1])],
        "bystanders": bystanders[largest],
    }
    repaired = _rate((swept.read[:, inverse] == a).mean(axis=1), errors)
    by_shift = _rate((swept.shifted == a).mean(axis=1), errors)
    rows, flips = _flip_doses(swept, pair, cause)
    return Direction(
        true=names[a],
        predicted=names[b],
        operation=cause.operation,
        doses_px=cause.doses,
        curve=curve,
        bystanders=bystanders,
        repair=repair,
        induced=curve[largest],
        induced_by_run=[
            _rate(r[None, largest] == b, c[None]).share for r, c in zip(swept.read, of_a & correct, strict=True)
        ],
        errors_by_run=errors.sum(axis=1).tolist(),
        induced_controls=controls,
        repaired=repaired,
        repaired_by_shift=by_shift,
        induction=_beats(curve[largest], list(controls.values()), FEWEST_IMAGES, LARGE_INDUCED),
        repairing=_beats(repaired, [by_shift], FEWEST_ERRORS, LARGE_REPAIRED),
        flip_doses_px=flips,
        flip_margins_px=swept.margins[rows],
        tracking=correlate_ranks(flips, swept.margins[rows]),
    )


def _rate(hit: np.ndarray, among: np.ndarray) -> Rate:
    """Share of hits; (S, N) both, `among` says which runs count for which images."""
    counted = among.any(axis=0)
    n = int(counted.sum())
    if not n:
        return Rate(0, None, None, None)
    by_image = (hit * among).sum(axis=0)[counted] / among.sum(axis=0)[counted]
    total = float(by_image.sum())
    low, high = wilson_interval(total, n)
    return Rate(n, total / n, low, high)


def _beats(rate: Rate, controls: list[Rate], fewest: int, large: float) -> Half:
    """Half of the rule: more than every control, or neither more nor possibly `large`."""
    if rate.share is None or rate.low is None or rate.high is None or rate.images < fewest:
        return "open"
    there = [(c.share, c.high) for c in controls if c.share is not None and c.high is not None]
    if any(rate.share <= share for share, _ in there):
        return "fails" if rate.high < large else "open"
    return "holds" if all(rate.low > high for _, high in there) else "open"


def _judge(directions: list[Direction]) -> Word:
    halves = [half for d in directions for half in (d.induction, d.repairing)]
    if "fails" in halves:
        return "not supported"
    return "supported" if set(halves) == {"holds"} else "cannot tell"


def _flip_doses(swept: _Swept, pair: tuple[int, int], cause: _Cause) -> tuple[np.ndarray, np.ndarray]:
    """Images of the first class that most runs read correctly and that flip; rows, and signed doses."""
    a, b = pair
    right = (swept.labels == a) & ((swept.read[:, swept.zero] == swept.labels).mean(axis=0) > 0.5)
    steps = np.flatnonzero(swept.doses * cause.sign > 0)
    steps = steps[np.argsort(abs(swept.doses[steps]))]
    flipped = ((swept.read[:, steps] == b).mean(axis=0) >= 0.5) & right  # (steps, N)
    rows = np.flatnonzero(flipped.any(axis=0))
    return rows, swept.doses[steps[flipped[:, rows].argmax(axis=0)]]


def _strips(swept: _Swept, pair: tuple[int, int], causes: tuple[_Cause, _Cause], names: tuple[str, ...]) -> list[Strip]:
    """The first images of each class to flip, and the errors that most runs make."""
    found = []
    for (a, b), cause in ((pair, causes[0]), (pair[::-1], causes[1])):
        rows, flips = _flip_doses(swept, (a, b), cause)
        wrong = ((swept.read[:, swept.zero] == b) & (swept.labels == a)).mean(axis=0)
        errors = [row for row in np.argsort(-wrong, kind="stable") if wrong[row] > 0][:_ERRORS_SHOWN]
        easiest = rows[np.argsort(abs(flips), kind="stable")][:_CORRECT_SHOWN]
        for kind, some in ((f"{names[a]}, read correctly", easiest), (f"{names[a]} read as {names[b]}", errors)):
            for row in some:
                votes = [np.bincount(swept.read[:, i, row]).argmax() for i in range(len(swept.doses))]
                found.append(Strip(kind, names[a], swept.images[:, row], [names[v] for v in votes]))
    return found
