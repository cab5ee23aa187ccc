"""Which shape of the ink goes with a confusion, and which operation imitates it? A hypothesis from mined images.

There are few errors, but every image of a has a place between a and b: the log-odds log p_b - log p_a, mean over the
runs. The tenth of the images of a that is nearest to b is *near*, the others are the *rest*.

The rule, for images of a that are read as b:

- The images are cut in two halves by their content. In the first half each of the 15 measurements is compared between
  near and rest (Mann-Whitney); those with q <= 0.05 (Benjamini-Hochberg) and a not negligible effect are found.
- A found measurement is supported if the other half says the same: same direction, one-sided p <= 0.05, not negligible.
  It is dropped if the misread images themselves (at least 10) lie on the other side of the rest.
- Of supported measurements that say the same (rank correlation of 0.6 or more) the one with the largest effect leads.
- The hypothesis is supported if a leading measurement marks images near b more than images near any third class.
- An operation is proposed if it moves the rest of the class towards the near images in the leading measurements, leaves
  the others where they are, and erases next to no image. The other class is treated alike, by its own measurements;
  without any, it gets the opposite operation, so that the operation's own trace does not come to mean a class.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from erroran.data.ids import strip_copy_numbers
from erroran.errors import BadInput, NotFound
from erroran.operations.morphology import Ink, ink_is_bright
from erroran.shape.measure import MEASUREMENTS, measure
from erroran.shape.movements import CLOSURE, TO_EITHER_SIDE, Candidate, Movement, list_candidates, measure_movements
from erroran.stats.consistency import rank_pairs
from erroran.stats.correlation import Correlation, correlate_ranks, partial_rank_correlation
from erroran.stats.roc import RocArea, roc_area
from erroran.stats.separation import FEWEST_IN_GROUP, Support, count_false_support, find_and_check
from erroran.store import Store
from erroran.store.evidence import Evidence, gather_most
from erroran.store.records import Group, RunRecord

if TYPE_CHECKING:
    import pandas as pd

NEAR_SHARE = 0.1
SAME = 0.6
LEAST_FIT = 0.1
NEARLY = 0.1
MOST_ERASED = 0.02
MOVED_IMAGES = 250
PERMUTATIONS = 200
FEWEST_IMAGES = round(2 * FEWEST_IN_GROUP / NEAR_SHARE)
THICKNESS = "thickness_px"
PROBED = ("dilate", "erode")
_OPPOSITE = {
    "dilate": "erode",
    "erode": "dilate",
    "open": "close",
    "close": "open",
    "thin": "thicken",
    "thicken": "thin",
}
_SMALLEST = 1e-30  # probabilities below are stored as such or as 0

Word = Literal["supported", "not supported", "cannot tell"]
Status = Literal["supported", "contradicted", "not held", "not found", "not testable"]


@dataclass(frozen=True)
class Finding:
    """What one measurement has to do with a confusion.

    Attributes:
        measurement: Its column in `erroran measure`.
        missing: Share of the class's images that have no such value.
        find: Near against rest in the half that finds; `check` in the other half.
        q_value: Of the first half, over the measurements; None where it cannot be tested.
        p_check: One-sided, of the second half; None likewise.
        elsewhere: Images near any third class against their rest, all images: is it about this pair?
        misread: Images that at least half of the runs misread against all others.
        log_odds: Rank correlation with the log-odds, all images.
        given_thickness: The same with the stroke thickness held fixed.
        near_mean: Mean of near images; `rest_mean` and `rest_sd` of the rest; None without values.
        status: What the rule says.
        same_as: The leading measurement that says the same; None for a leading or unsupported one.
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
    def leads(self) -> bool:
        """Whether operations are chosen by it."""
        return self.status == "supported" and self.same_as is None

    @property
    def specific(self) -> bool:
        """Whether it marks images near this class more than images near any third one."""
        here, there = ((s.auc or 0.5) - 0.5 for s in (self.check, self.elsewhere))
        return abs(here) > (there if here > 0 else -there)

    @property
    def gap(self) -> float:
        """Near minus rest, in the measurement's unit; 0 where unknown."""
        return 0.0 if self.near_mean is None or self.rest_mean is None else self.near_mean - self.rest_mean


@dataclass(frozen=True)
class Choice:
    """An operation for one class.

    Attributes:
        class_name: The class.
        movement: What the operation does to its images.
        fit: See `Direction.movements`; None for an operation that was taken as the opposite of the other class's.
    """

    class_name: str
    movement: Movement
    fit: float | None


@dataclass(frozen=True, eq=False)
class Direction:
    """What was found about images of one class that are read as another.

    Attributes:
        true: The class.
        predicted: What it is read as.
        images: uint8 (n, H, W, C), all of the class.
        table: Their measurements, n rows.
        log_odds: float (n,).
        near: bool (n,).
        misread: bool (n,): by at least half of the runs.
        errors_by_run: Errors of each run.
        odds_of_near: Log-odds at which "near" begins.
        findings: One per measurement, supported ones first, then by effect; empty with too few images.
        false_support: In how many of `permutations` shuffles of the log-odds anything was supported.
        permutations: 0 with too few images.
        movements: Every candidate with its fit, best first; empty unless something is supported. The fit is the share
            of the squared distance from the rest to near images that the mean image is moved, 1 at best, negative if
            it ends up further off; over the leading measurements, and over `steady` ones, which should stay.
        steady: Measurements that neither are supported nor repeat a leading one or each other.
    """

    true: str
    predicted: str
    images: np.ndarray
    table: "pd.DataFrame"
    log_odds: np.ndarray
    near: np.ndarray
    misread: np.ndarray
    errors_by_run: list[int]
    odds_of_near: float | None
    findings: list[Finding]
    false_support: int
    permutations: int
    movements: list[tuple[Movement, float]]
    steady: list[str]

    @property
    def leading(self) -> list[Finding]:
        """The supported measurements that do not repeat each other, largest effect first."""
        return [finding for finding in self.findings if finding.leads]

    @property
    def word(self) -> Word:
        """The rule's answer for this direction."""
        if not any(f.status != "not testable" for f in self.findings):
            return "cannot tell"
        return "supported" if any(finding.specific for finding in self.leading) else "not supported"

    def to_json(self) -> dict[str, object]:
        """JSON-ready data."""
        return {
            "true": self.true,
            "predicted": self.predicted,
            "word": self.word,
            "images": len(self.images),
            "near": int(self.near.sum()),
            "odds_of_near": self.odds_of_near,
            "misread": int(self.misread.sum()),
            "errors_by_run": self.errors_by_run,
            "findings": [asdict(finding) for finding in self.findings],
            "false_support": self.false_support,
            "permutations": self.permutations,
            "steady": self.steady,
            "movements": [self._movement_json(movement, fit) for movement, fit in self.movements],
        }

    def _movement_json(self, movement: Movement, fit: float) -> dict[str, object]:
        """What a reader of the tables may want: the leading and the steady measurements, not all of every candidate."""
        of_interest = [*(finding.measurement for finding in self.leading), *self.steady]
        moves = {name: movement.moves[name] for name in MEASUREMENTS if name in {*of_interest, CLOSURE, THICKNESS}}
        plain = asdict(replace(movement, moves=moves))
        return {**plain.pop("candidate"), "fit": fit, **plain}


@dataclass(frozen=True, eq=False)
class Proposed:
    """A hypothesis for a pair, or the finding that the measurements offer none.

    Attributes:
        name: The pair as it names files: ``4to9``.
        pair: ``4:9``.
        group: The baseline group.
        runs: The runs that were asked, of the first fold where they are out of fold.
        split: ``train`` for predictions out of fold, else ``mine``.
        forward: Images of the pair's true class; `reverse` the reverse pair.
        choices: What is proposed: the true class first; empty without a proposal.
    """

    name: str
    pair: str
    group: Group
    runs: tuple[RunRecord, ...]
    split: str
    forward: Direction
    reverse: Direction
    choices: list[Choice]

    @property
    def word(self) -> Word:
        """The verdict."""
        return self.forward.word

    def to_json(self) -> dict[str, object]:
        """The result as strict JSON-ready data."""
        return {
            "name": self.name,
            "pair": self.pair,
            "verdict": self.word,
            "group": self.group.id,
            "dataset": self.group.dataset_name,
            "note": self.group.note,
            "split": self.split,
            "seeds": [run.spec.seed for run in self.runs],
            "choices": [asdict(choice) for choice in self.choices],
            "forward": self.forward.to_json(),
            "reverse": self.reverse.to_json(),
        }


def find_pair(name: str, class_names: Sequence[str]) -> tuple[int, int]:
    """Read a pair: ``4:9`` or ``4to9``, with the dataset's class names.

    Raises:
        BadInput: This names no pair at all.
        NotFound: A class is not in the dataset.
    """
    if ":" in name:
        splits = [name.split(":", 1)]
    else:
        places = [i for i in range(len(name)) if name.startswith("to", i)]
        splits = [[name[:i], name[i + 2 :]] for i in places]
    splits = [split for split in splits if split[0] and split[1] and split[0] != split[1]]
    if not splits:
        raise BadInput(f"`{name}` does not name two classes.", fix="erroran propose 4:9")
    known = [split for split in splits if set(split) <= set(class_names)]
    if not known:
        missing = next(part for part in splits[0] if part not in class_names)
        raise NotFound(
            f"`{name}` names class `{missing}`, which the dataset does not have.",
            fix=f"use two of its classes, as in A:B: {', '.join(class_names[:30])}",
        )
    true, predicted = known[0]
    return class_names.index(true), class_names.index(predicted)


def worst_pairs(evidence: Evidence, count: int) -> list[tuple[int, int]]:
    """The pairs with most systematic errors, as `mine-confusions` ranks them; fewer where there are fewer."""
    ranked = rank_pairs(evidence.labels, evidence.predicted, len(evidence.class_names))
    return [found.pair for found in ranked[:count]]


def gather_evidence(store: Store, group: Group) -> Evidence:
    """What the group's runs say about images they did not train on, out of fold where that has been mined."""
    return gather_most(store, group)


def propose(
    evidence: Evidence, group: Group, pair: tuple[int, int], name: str, *, permutations: int = PERMUTATIONS
) -> Proposed:
    """Look for a morphological hypothesis about a pair. Trains nothing.

    Args:
        evidence: From `gather_evidence`.
        group: Its group.
        pair: True and predicted class.
        name: The pair as it names files.
        permutations: Shuffles of the negative control.
    """
    a, b = pair
    ink: Ink = "bright" if ink_is_bright(evidence.images) else "dark"
    forward, reverse = (_examine(evidence, way, ink, permutations) for way in ((a, b), (b, a)))
    choices: list[Choice] = []
    if forward.word == "supported":
        forward, reverse = (_try_operations(d, ink) if d.word == "supported" else d for d in (forward, reverse))
        choices = _choose_both(forward, reverse, ink)
    return Proposed(
        name=name,
        pair=f"{forward.true}:{forward.predicted}",
        group=group,
        runs=evidence.runs,
        split=evidence.split,
        forward=forward,
        reverse=reverse,
        choices=choices,
    )


def _examine(evidence: Evidence, pair: tuple[int, int], ink: Ink, permutations: int) -> Direction:
    a, b = pair
    rows = np.flatnonzero(evidence.labels == a)
    rows = rows[np.argsort(evidence.ids[rows])]  # the same in every order of the data
    predicted, images = evidence.predicted[:, rows], evidence.images[rows]
    log_odds = _log_odds(evidence.probabilities[:, rows], a)
    near, third_odds = _nearest(log_odds[:, b]), np.delete(log_odds, [a, b], axis=1)
    third = _nearest(third_odds.max(axis=1)) if third_odds.shape[1] else np.zeros(len(rows), dtype=bool)
    misread = (predicted == b).mean(axis=0) >= 0.5
    enough = len(rows) >= FEWEST_IMAGES
    direction = Direction(
        true=evidence.class_names[a],
        predicted=evidence.class_names[b],
        images=images,
        table=measure(images, ink=ink),
        log_odds=log_odds[:, b],
        near=near,
        misread=misread,
        errors_by_run=(predicted == b).sum(axis=1).tolist(),
        odds_of_near=float(log_odds[near, b].min()) if near.any() else None,
        findings=[],
        false_support=0,
        permutations=permutations if enough else 0,
        movements=[],
        steady=[],
    )
    if not enough:
        return direction
    values, finding = direction.table[list(MEASUREMENTS)].to_numpy(dtype=float), _half(evidence.ids[rows])
    support = find_and_check(values, near, finding, misread)
    rng = np.random.default_rng([a, b])
    false = count_false_support(values, near, finding, misread, times=permutations, rng=rng)
    found = [_describe(direction, i, finding, third, support) for i in range(len(MEASUREMENTS))]
    return replace(direction, findings=_mark_repeats(found, direction.table), false_support=false)


def _log_odds(probabilities: np.ndarray, true: int) -> np.ndarray:
    """Mean over runs of log p_c - log p_a, float64 (n, C), from float32 (S, n, C)."""
    logs = np.log(np.maximum(probabilities.astype(float), _SMALLEST))
    odds: np.ndarray = (logs - logs[:, :, [true]]).mean(axis=0)
    return odds


def _nearest(odds: np.ndarray) -> np.ndarray:
    """The tenth with the largest odds, at least one; bool (n,)."""
    near = np.zeros(len(odds), dtype=bool)
    near[np.argsort(-odds, kind="stable")[: -(-len(odds) // round(1 / NEAR_SHARE))]] = True
    return near


def _half(ids: np.ndarray) -> np.ndarray:
    """Cut images in two halves by their content alone: ids are hashes; copies of an image stay together."""
    last_digits = [int(name[-1], 16) for name in strip_copy_numbers(ids).tolist()]
    half: np.ndarray = np.array(last_digits, dtype=int) % 2 == 0
    return half


def _describe(direction: Direction, column: int, finding: np.ndarray, third: np.ndarray, support: Support) -> Finding:
    name = list(MEASUREMENTS)[column]
    values, near = direction.table[name].to_numpy(dtype=float), direction.near
    there = ~np.isnan(values)
    of_near, of_rest = values[there & near], values[there & ~near]
    thickness = direction.table[THICKNESS].to_numpy(dtype=float)
    by_thickness = name == THICKNESS
    testable = bool(support.testable[column])
    return Finding(
        measurement=name,
        missing=1 - float(there.mean()),
        find=roc_area(values[finding], near[finding]),
        check=roc_area(values[~finding], near[~finding]),
        q_value=float(support.q_find[column]) if testable else None,
        p_check=float(support.p_check[column]) if testable else None,
        elsewhere=roc_area(values, third),
        misread=roc_area(values, direction.misread),
        log_odds=correlate_ranks(values, direction.log_odds),
        given_thickness=None if by_thickness else partial_rank_correlation(values, direction.log_odds, thickness),
        near_mean=float(of_near.mean()) if len(of_near) else None,
        rest_mean=float(of_rest.mean()) if len(of_rest) else None,
        rest_sd=float(of_rest.std(ddof=1)) if len(of_rest) > 1 else None,
        status=_status(support, column),
    )


def _status(support: Support, column: int) -> Status:
    if not support.testable[column]:
        return "not testable"
    if not support.found[column]:
        return "not found"
    if not support.held[column]:
        return "not held"
    return "contradicted" if support.contradicted[column] else "supported"


def _mark_repeats(findings: list[Finding], table: "pd.DataFrame") -> list[Finding]:
    """Sort by support, then effect in the finding half, and name for each supported one the leader it repeats."""
    ranks = _rank_correlations(table)
    order: list[Status] = ["supported", "contradicted", "not held", "not found", "not testable"]
    by_effect = sorted(findings, key=lambda f: (order.index(f.status), -abs((f.find.auc or 0.5) - 0.5)))
    leaders: list[str] = []
    marked = []
    for finding in by_effect:
        same = next((name for name in leaders if ranks[finding.measurement, name] >= SAME), None)
        if finding.status == "supported" and same is None:
            leaders.append(finding.measurement)
        marked.append(replace(finding, same_as=same if finding.status == "supported" else None))
    return marked


def _rank_correlations(table: "pd.DataFrame") -> dict[tuple[str, str], float]:
    """Absolute rank correlation of each two measurements; 0 with fewer than 20 images that have both."""
    values = table[list(MEASUREMENTS)].corr(method="spearman", min_periods=20).abs().fillna(0).to_numpy()
    return {(a, b): float(values[i, j]) for i, a in enumerate(MEASUREMENTS) for j, b in enumerate(MEASUREMENTS)}


def _try_operations(direction: Direction, ink: Ink) -> Direction:
    """Measure what every candidate does to images of the rest, and how well that fits."""
    rest = direction.images[~direction.near][:MOVED_IMAGES]  # sorted by id: a random sample
    ranks = _rank_correlations(direction.table)
    kept, steady = [finding.measurement for finding in direction.leading], []
    unsupported = {f.measurement: f for f in direction.findings if f.status in {"not found", "not held"}}
    for name in MEASUREMENTS:
        if name in unsupported and all(ranks[name, other] < SAME for other in kept):
            kept.append(name)
            steady.append(unsupported[name])
    tried = [(m, _fit(m, direction.leading, steady)) for m in measure_movements(rest, list_candidates(ink))]
    names = [finding.measurement for finding in steady]
    return replace(direction, movements=sorted(tried, key=lambda pair: -pair[1]), steady=names)


def _fit(movement: Movement, leading: list[Finding], steady: list[Finding]) -> float:
    """See `Direction.movements`; distances in standard deviations of the rest."""
    wanted = [(finding, finding.gap) for finding in leading] + [(finding, 0.0) for finding in steady]
    scaled = [(gap / f.rest_sd, (movement.moves[f.measurement] or 0.0) / f.rest_sd) for f, gap in wanted if f.rest_sd]
    whole = sum(gap**2 for gap, _ in scaled)
    return 1 - sum((gap - move) ** 2 for gap, move in scaled) / whole if whole else 0.0


def _choose_both(forward: Direction, reverse: Direction, ink: Ink) -> list[Choice]:
    first = _choose(forward)
    if first is None:
        return []
    second = _choose(reverse) or _oppose(first, reverse, ink)
    return [first] if second is None else [first, second]


def _choose(direction: Direction) -> Choice | None:
    """The best fit; of nearly as good ones, one that `probe` can sweep, or at least one that has no sides."""
    allowed = [(m, fit) for m, fit in direction.movements if m.erased <= MOST_ERASED and fit >= LEAST_FIT]
    if not allowed:
        return None
    close = [pair for pair in allowed if pair[1] >= allowed[0][1] - NEARLY]
    sweepable = [pair for pair in close if pair[0].candidate.operation in PROBED]
    one_way = [pair for pair in close if pair[0].candidate.side == 0]
    movement, fit = (sweepable or one_way or close)[0]
    return Choice(direction.true, movement, fit)


def _oppose(choice: Choice, other: Direction, ink: Ink) -> Choice | None:
    """The opposite operation for the other class, at the same dose or the largest below that erases nothing."""
    chosen = choice.movement.candidate
    if chosen.operation in _OPPOSITE:
        wanted = [
            candidate
            for candidate in list_candidates(ink)
            if candidate.operation == _OPPOSITE[chosen.operation]
            and (candidate.dose <= chosen.dose or candidate.unit_key == "amount")
        ]
    elif chosen.operation == "scale":
        wanted = [Candidate("scale", chosen.unit_key, round(1 / chosen.dose, 2), 0, ink)]
    elif chosen.operation in TO_EITHER_SIDE:
        wanted = [chosen]
    else:
        return None
    movements = measure_movements(other.images[~other.near][:MOVED_IMAGES], wanted)
    safe = [movement for movement in movements if movement.erased <= MOST_ERASED]
    return Choice(other.true, max(safe, key=lambda m: m.candidate.dose), None) if safe else None
