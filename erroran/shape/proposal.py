"""Find the measurements associated with a confusion, and operations that change other images in the same direction.

Errors are few, but every image of a has log-odds log p_b - log p_a, mean over the runs. The tenth of the images of a
with the largest log-odds is *near* b, the others are the *rest*.

The rule, for images of a that are predicted as b:

- The images are cut in two halves by their content. In the first half each of the 15 measurements is compared between
  near and rest (Mann-Whitney); those with q <= 0.05 (Benjamini-Hochberg) and more than a negligible effect are found.
- A found measurement is supported if the other half agrees: same direction, one-sided p <= 0.05, not negligible. It is
  dropped if the misread images themselves (at least 10) lie on the other side of the rest.
- Of supported measurements that are correlated (absolute rank correlation of 0.6 or more) the one with the largest
  effect leads.
- The hypothesis is supported if a leading measurement separates images near b better than images near any third class.
- An operation is proposed if it moves the rest of the class towards the near images in the leading measurements, hardly
  changes the others, and erases almost no image. The other class is treated alike, by its own measurements; without
  any, it gets the opposite operation, so that the traces of the operation do not predict the class.
"""

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, computed_field, field_serializer

from erroran.data.ids import strip_copy_numbers
from erroran.operations.morphology import Ink
from erroran.operations.table import OPERATIONS
from erroran.results import Result
from erroran.shape.measure import MEASUREMENTS, measure
from erroran.shape.movements import Movement, list_trials, measure_movements
from erroran.stats.correlation import Correlation, correlate_ranks, partial_rank_correlation
from erroran.stats.roc import RocArea, roc_area
from erroran.stats.separation import FEWEST_IN_GROUP, Support, count_false_support, find_and_check

# No constant here comes from a source; each was set before the first proposal was made and has not been tuned since.
NEAR_SHARE = 0.1  # share of a class; 5 near images in each half, as `find_and_check` needs, then take 100 images
SAME = 0.6  # absolute rank correlation; from here on the second measurement counts as a repetition of the first
LEAST_FIT = 0.1  # see `Movement.fit`; below, an operation hardly moves the class
NEARLY = 0.1  # difference of fits; within it an operation that `probe` can sweep is preferred
MOST_ERASED = 0.02  # share of the images; an erased image keeps its label but not its content
MOVED_IMAGES = 250  # images that each operation is tried on, a millisecond each
FEWEST_IMAGES = round(2 * FEWEST_IN_GROUP / NEAR_SHARE)
THICKNESS = "thickness_px"
_FEWEST_RANKED = 20  # images; measurements with fewer values in common count as uncorrelated
_SMALLEST = 1e-30  # probability, so that 0 has a logarithm

Word = Literal["supported", "not supported", "cannot tell"]
Status = Literal["supported", "contradicted", "not held", "not found", "not testable"]
_STATUSES: tuple[Status, ...] = ("supported", "contradicted", "not held", "not found", "not testable")


class Finding(Result):
    """How one measurement is associated with a confusion.

    Attributes:
        measurement: Its column in `erroran measure`.
        missing: Share of the class's images without a value.
        find: Near against rest in the first half; `check` in the second.
        q_value: Of the first half, over the measurements; None where it cannot be tested.
        p_check: One-sided, of the second half; None likewise.
        elsewhere: Images near any third class against their rest, all images.
        misread: Images that at least half of the runs misread against all others.
        log_odds: Rank correlation with the log-odds, all images.
        given_thickness: The same with the stroke thickness held fixed.
        near_mean: Mean of near images; `rest_mean` and `rest_sd` of the rest; None without values.
        status: Result of the rule.
        same_as: The leading measurement that it is correlated with; None for a leading or unsupported one.
    """

    measurement: str
    missing: float
    find: RocArea
    check: RocArea
    q_value: float | None
    p_check: float | None
    elsewhere: RocArea
    misread: RocArea
    log_odds: Correlation
    given_thickness: float | None
    near_mean: float | None
    rest_mean: float | None
    rest_sd: float | None
    status: Status
    same_as: str | None = None

    @property
    def specific(self) -> bool:
        """Whether it separates images near this class better than images near any third one."""
        here, there = ((s.auc or 0.5) - 0.5 for s in (self.check, self.elsewhere))
        return abs(here) > (there if here > 0 else -there)

    @property
    def gap(self) -> float:
        """Near minus rest, in the measurement's unit; 0 where unknown."""
        return 0.0 if self.near_mean is None or self.rest_mean is None else self.near_mean - self.rest_mean


class ProposedDirection(Result):
    """What was found about images of one class (`true`) that are predicted as another (`predicted`).

    Attributes:
        images: uint8 (n, H, W, 1), all of the class, sorted by id; in JSON their number, as of `near` and `misread`.
        table: `MEASUREMENTS`, float64, n rows; NaN where an image has no such value.
        log_odds: float (n,).
        near: bool (n,).
        misread: bool (n,): by at least half of the runs.
        errors_by_run: Errors of each run.
        odds_of_near: Smallest log-odds of a near image.
        findings: One per measurement, supported ones first, then by effect; empty with too few images.
        false_support: In how many of `permutations` shuffles of the log-odds any measurement was supported.
        permutations: 0 with too few images.
        movements: Every trial with its fit, best first; empty unless something is supported. The fit is over the
            leading measurements, and over the `steady` ones, which an operation should not change.
        steady: Unsupported measurements that are not correlated with a leading one or with each other.
    """

    true: str
    predicted: str
    images: np.ndarray
    table: pd.DataFrame = Field(exclude=True)
    log_odds: np.ndarray = Field(exclude=True)
    near: np.ndarray
    misread: np.ndarray
    errors_by_run: list[int]
    odds_of_near: float | None
    findings: list[Finding] = Field(default=[])
    false_support: int = 0
    permutations: int = 0
    movements: list[Movement] = Field(default=[])
    steady: list[str] = Field(default=[])

    @property
    def leading(self) -> list[Finding]:
        """The supported measurements that are not correlated with each other, largest effect first."""
        return [f for f in self.findings if f.status == "supported" and f.same_as is None]

    @field_serializer("images", "near", "misread")
    def _count(self, values: np.ndarray) -> int:
        return int(values.sum()) if values.dtype == bool else len(values)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def word(self) -> Word:
        """The rule's answer for this direction."""
        if not any(f.status != "not testable" for f in self.findings):
            return "cannot tell"
        return "supported" if any(finding.specific for finding in self.leading) else "not supported"

    @property
    def rest(self) -> np.ndarray:
        """The images that operations are tried on: the first of the rest by id, which is a random sample."""
        rest: np.ndarray = self.images[~self.near][:MOVED_IMAGES]
        return rest


class Choice(Result):
    """An operation for one class; without a fit if it is the opposite of the other class's operation."""

    class_name: str
    movement: Movement


def examine_class(
    images: np.ndarray,
    ids: np.ndarray,
    probabilities: np.ndarray,
    pair: tuple[int, int],
    class_names: tuple[str, ...],
    *,
    ink: Ink,
    permutations: int,
) -> ProposedDirection:
    """Find the measurements associated with images of one class being predicted as another.

    Args:
        images: uint8 (n, H, W, 1), all of the true class.
        ids: str (n,), sample ids.
        probabilities: float32 (S, n, C) of S runs.
        pair: Labels of the true and the predicted class.
        class_names: C names.
        ink: Of the images.
        permutations: Shuffles of the log-odds, as a negative control.

    Raises:
        BadInput: The images are not grey.
    """
    a, b = pair
    order = np.argsort(ids)  # the same in every order of the data
    images, ids, probabilities = images[order], ids[order], probabilities[:, order]
    read_as = probabilities.argmax(axis=2) == b
    log_odds = _log_odds(probabilities, a)
    near, third_odds = _nearest(log_odds[:, b]), np.delete(log_odds, [a, b], axis=1)
    third = _nearest(third_odds.max(axis=1)) if third_odds.shape[1] else np.zeros(len(ids), dtype=bool)
    direction = ProposedDirection(
        true=class_names[a],
        predicted=class_names[b],
        images=images,
        table=measure(images, ink=ink).astype(float),
        log_odds=log_odds[:, b],
        near=near,
        misread=read_as.mean(axis=0) >= 0.5,
        errors_by_run=read_as.sum(axis=1).tolist(),
        odds_of_near=float(log_odds[near, b].min()) if near.any() else None,
    )
    if len(ids) < FEWEST_IMAGES:
        return direction
    values, finding = direction.table.to_numpy(), split_in_halves(ids)
    support = find_and_check(values, near, finding, direction.misread)
    rng = np.random.default_rng([a, b])
    false = count_false_support(values, near, finding, direction.misread, times=permutations, rng=rng)
    found = [_describe(direction, i, finding, third, support) for i in range(len(MEASUREMENTS))]
    marked = _mark_repeats(found, _find_correlated(direction))
    return direction.model_copy(update={"findings": marked, "false_support": false, "permutations": permutations})


def split_in_halves(ids: np.ndarray) -> np.ndarray:
    """Cut images in two halves by sample id, a hash of the content, so that copies stay together; bool (n,)."""
    return np.array([int(name[-1], 16) % 2 == 0 for name in strip_copy_numbers(ids).tolist()], dtype=bool)


def try_operations(direction: ProposedDirection, ink: Ink) -> ProposedDirection:
    """Measure what every trial does to images of the rest, and how well that fits."""
    correlated = _find_correlated(direction)
    found, leading = {f.measurement: f for f in direction.findings}, direction.leading
    steady: list[Finding] = []
    for name in MEASUREMENTS:
        others = [f.measurement for f in (*leading, *steady)]
        if found[name].status in {"not found", "not held"} and not correlated.loc[name, others].any():
            steady.append(found[name])
    wanted = [(f, f.gap) for f in leading] + [(f, 0.0) for f in steady]
    tried = [
        movement.model_copy(update={"fit": _fit(movement, wanted)})
        for movement in measure_movements(direction.rest, list_trials(ink))
    ]
    names = [f.measurement for f in steady]
    return direction.model_copy(update={"movements": sorted(tried, key=lambda m: -(m.fit or 0.0)), "steady": names})


def choose_operations(forward: ProposedDirection, reverse: ProposedDirection) -> list[Choice]:
    """Choose an operation for each class, the true class first; none if nothing fits the true class."""
    first = _choose(forward)
    if first is None:
        return []
    second = _choose(reverse) or _oppose(first.movement, reverse)
    return [first] if second is None else [first, second]


def _choose(direction: ProposedDirection) -> Choice | None:
    """The best fit; of nearly as good ones, one that `probe` can sweep."""
    allowed = [m for m in direction.movements if m.erased <= MOST_ERASED and (m.fit or 0.0) >= LEAST_FIT]
    if not allowed:
        return None
    close = [m for m in allowed if (m.fit or 0.0) >= (allowed[0].fit or 0.0) - NEARLY]
    swept = [m for m in close if OPERATIONS[m.step.operation].sweep]
    return Choice(class_name=direction.true, movement=(swept or close)[0])


def _oppose(chosen: Movement, other: ProposedDirection) -> Choice | None:
    """The opposite operation for the other class, at the same dose or the largest smaller one that hardly erases."""
    opposite = chosen.step.opposite
    if opposite is None:
        return None
    wanted = [
        step
        for step in list_trials(chosen.step.ink)
        if step.operation == opposite.operation
        and step.side == opposite.side
        and (step.doses[0] <= chosen.dose or step.amount)  # half a stroke and 0.7 of it are doses of different kinds
    ]
    movements = measure_movements(other.rest, wanted if opposite.operation != "scale" else [opposite])
    safe = [movement for movement in movements if movement.erased <= MOST_ERASED]
    return Choice(class_name=other.true, movement=max(safe, key=lambda m: m.dose)) if safe else None


def _log_odds(probabilities: np.ndarray, true: int) -> np.ndarray:
    """Mean over runs of log p_c - log p_a, float64 (n, C), from float32 (S, n, C)."""
    logs = np.log(np.maximum(probabilities.astype(float), _SMALLEST))
    odds: np.ndarray = (logs - logs[:, :, [true]]).mean(axis=0)
    return odds


def _nearest(odds: np.ndarray) -> np.ndarray:
    """The tenth of the images with the largest odds, at least one; bool (n,)."""
    near = np.zeros(len(odds), dtype=bool)
    near[np.argsort(-odds, kind="stable")[: -(-len(odds) // round(1 / NEAR_SHARE))]] = True
    return near


def _describe(
    direction: ProposedDirection, column: int, finding: np.ndarray, third: np.ndarray, support: Support
) -> Finding:
    name = list(MEASUREMENTS)[column]
    values, near, odds = direction.table[name].to_numpy(), direction.near, direction.log_odds
    there = ~np.isnan(values)
    of_near, of_rest = values[there & near], values[there & ~near]
    testable = bool(support.testable[column])
    passed = (support.testable, support.found, support.held, ~support.contradicted)
    return Finding(
        measurement=name,
        missing=1 - float(there.mean()),
        find=roc_area(values[finding], near[finding]),
        check=roc_area(values[~finding], near[~finding]),
        q_value=float(support.q_find[column]) if testable else None,
        p_check=float(support.p_check[column]) if testable else None,
        elsewhere=roc_area(values, third),
        misread=roc_area(values, direction.misread),
        log_odds=correlate_ranks(values, odds),
        given_thickness=None
        if name == THICKNESS
        else partial_rank_correlation(values, odds, direction.table[THICKNESS].to_numpy()),
        near_mean=float(of_near.mean()) if len(of_near) else None,
        rest_mean=float(of_rest.mean()) if len(of_rest) else None,
        rest_sd=float(of_rest.std(ddof=1)) if len(of_rest) > 1 else None,
        status=next((s for s, ok in zip(_STATUSES[:0:-1], passed, strict=True) if not ok[column]), "supported"),
    )


def _mark_repeats(findings: list[Finding], correlated: pd.DataFrame) -> list[Finding]:
    """Sort by status, then effect in the first half; name the leader that each supported one is correlated with."""
    by_effect = sorted(findings, key=lambda f: (_STATUSES.index(f.status), -abs((f.find.auc or 0.5) - 0.5)))
    leaders: list[str] = []
    marked = []
    for finding in by_effect:
        same = None
        if finding.status == "supported":
            same = next((name for name in leaders if correlated.loc[finding.measurement, name]), None)
            if same is None:
                leaders.append(finding.measurement)
        marked.append(finding.model_copy(update={"same_as": same}))
    return marked


def _find_correlated(direction: ProposedDirection) -> pd.DataFrame:
    """Which measurements are correlated with which; bool, by name. Not with fewer than 20 images that have both."""
    return direction.table.corr(method="spearman", min_periods=_FEWEST_RANKED).abs() >= SAME


def _fit(movement: Movement, wanted: list[tuple[Finding, float]]) -> float:
    """See `Movement.fit`; `wanted` has the change that each measurement should have. In units of the rest's `sd`."""
    scaled = [(gap / f.rest_sd, (movement.moves[f.measurement] or 0.0) / f.rest_sd) for f, gap in wanted if f.rest_sd]
    whole = sum(gap**2 for gap, _ in scaled)
    return 1 - sum((gap - move) ** 2 for gap, move in scaled) / whole if whole else 0.0
