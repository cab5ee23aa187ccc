"""What an intervention changed, on the images kept for confirming: everything a report shows, and no more."""

from dataclasses import dataclass

import numpy as np

from erroran.experiment.endpoint import Endpoint
from erroran.shape.exposure import Exposure, redraw
from erroran.stages.intervene import gather_exposure
from erroran.stats.confusion import class_scores, confusion_counts, pair_errors
from erroran.stats.shift import LogitShift, apply_logit_shift, match_logit_shift
from erroran.stats.significance import McNemarResult, mcnemar
from erroran.store import Intervention, Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry, Ledger
from erroran.store.records import Group
from erroran.verdict.compare import ArmComparison, Comparison
from erroran.verdict.decide import Verdict, judge


@dataclass(frozen=True)
class SeedPair:
    """One run against one run, same seed; McNemar over all `confirm` images and over the primary cells.

    Attributes:
        seed: The seed.
        overall: Discordant images of all classes, right in one run and wrong in the other.
        primary: Discordant images that make the primary endpoint's error in one run only.
    """

    seed: int
    overall: McNemarResult
    primary: McNemarResult


@dataclass(frozen=True)
class ClassRow:
    """Scores of one class, mean over runs, 0..1."""

    name: str
    support: int
    precision: tuple[float, float]
    recall: tuple[float, float]
    f1: tuple[float, float]


@dataclass(frozen=True)
class Control:
    """The treatment against one control arm: ``before`` is the control, ``after`` the treatment.

    Attributes:
        name: The control.
        forward: Errors a -> b.
        reverse: Errors b -> a.
        both: Their sum.
        primary: Whichever of these is the primary endpoint.
        overall: All errors.
        accuracy: Mean accuracy of the control, 0..1.
        shift: For ``logit-shift``: the bias that was chosen on `mine`.
    """

    name: str
    forward: Comparison
    reverse: Comparison
    both: Comparison
    primary: Comparison
    overall: Comparison
    accuracy: float
    shift: LogitShift | None = None


@dataclass(frozen=True)
class Flip:
    """An image whose fate changed.

    Attributes:
        index: Its place in the evidence.
        wrong_before: Runs of the baseline that get it wrong.
        wrong_after: Runs of the treatment that get it wrong.
        true: Its label.
        read_as: The wrong class that most runs take it for, in the arm that errs more.
    """

    index: int
    wrong_before: int
    wrong_after: int
    true: int
    read_as: int


@dataclass(frozen=True)
class Assessment:
    """The whole comparison.

    Attributes:
        group: The baseline group.
        intervention: What was run.
        before: Baseline evidence on `confirm`.
        after: Treatment evidence on `confirm`.
        verdict: The verdict.
        seed_pairs: One per seed.
        classes: One row per class.
        controls: One per control.
        mean_change: float (C, C), mean confusion counts after minus before.
        fixed: Images that the treatment gets right more often, clearest first.
        broken: Images that it gets wrong more often, clearest first.
        stamps: What limits the claim, from the ledger and the design.
        exposure: What the operations did to the images that the treatment's runs saw; None where there are none, or
            where the images are not grey.
        shown: uint8 (n, H, W, C) twice: the exposure's examples before and after.
    """

    group: Group
    intervention: Intervention
    before: Evidence
    after: Evidence
    verdict: Verdict
    seed_pairs: list[SeedPair]
    classes: list[ClassRow]
    controls: list[Control]
    mean_change: np.ndarray
    fixed: list[Flip]
    broken: list[Flip]
    stamps: list[str]
    exposure: Exposure | None
    shown: tuple[np.ndarray, np.ndarray] | None

    @property
    def unbeaten(self) -> list[Control]:
        """Controls that the treatment is not shown to beat: neither on the primary endpoint, nor on what it costs.

        A bias on the logits can buy any drop of one direction; then the pair's sum or all errors give it away.
        """
        alpha = self.verdict.alpha
        return [
            control
            for control in self.controls
            if all(compared.test.direction(alpha) >= 0 for compared in (control.primary, control.both, control.overall))
        ]


def assess(store: Store, group: Group, name: str) -> Assessment:
    """Judge an intervention on `confirm` and enter the look in the ledger. Trains nothing.

    Raises:
        NotFound: The intervention was never run, or one of its runs is gone.
    """
    intervention = store.get_intervention(group.id, name)
    hypothesis = intervention.hypothesis
    look = Entry(
        kind="look",
        dataset=group.template.dataset,
        group=group.id,
        name=name,
        pair=str(hypothesis.pair),
        spec_hash=hypothesis.hash,
        seeds=intervention.seeds,
        epochs=intervention.epochs,
        recipe=group.template.recipe.name,
    )
    arms = {arm: gather(store, runs, "confirm", look=look) for arm, runs in intervention.arms.items()}
    before, after = arms["baseline"], arms[name]
    names = before.class_names
    pair = (names.index(hypothesis.pair.classes[0]), names.index(hypothesis.pair.classes[1]))
    verdict = judge(
        before.labels,
        before.predicted,
        after.predicted,
        pair=pair,
        n_classes=len(names),
        endpoint=hypothesis.primary,
        margin_per_10000=hypothesis.margin_per_10000,
        equivalence_per_10000=hypothesis.equivalence_per_10000,
        class_names=names,
    )
    stamps = _stamps(store.ledger, group, intervention)
    concluded = {"kind": "verdict", "word": verdict.word, "sentence": verdict.sentence}
    store.ledger.record(look.model_copy(update=concluded))
    controls = [
        _against(arm, evidence.predicted, after, pair, hypothesis.primary)
        for arm, evidence in arms.items()
        if arm not in ("baseline", name)
    ]
    if "logit-shift" in intervention.controls:
        controls.append(_against_shift(store, intervention, before, after, pair))
    fixed, broken = _flips(before, after)
    exposure = gather_exposure(store, intervention)
    return Assessment(
        group=group,
        intervention=intervention,
        before=before,
        after=after,
        verdict=verdict,
        seed_pairs=_seed_pairs(before, after, pair, hypothesis.primary),
        classes=_class_rows(before, after),
        controls=controls,
        mean_change=_mean_counts(after) - _mean_counts(before),
        fixed=fixed,
        broken=broken,
        stamps=stamps,
        exposure=exposure,
        shown=_redraw(store, group, intervention, exposure),
    )


def _redraw(
    store: Store, group: Group, intervention: Intervention, exposure: Exposure | None
) -> tuple[np.ndarray, np.ndarray] | None:
    if exposure is None:
        return None
    train, names = store.get_splits(group.template).train, store.get_dataset(group.template.dataset).class_names
    return redraw(train, names, intervention.hypothesis.augment, exposure.examples)


def _stamps(ledger: Ledger, group: Group, intervention: Intervention) -> list[str]:
    hypothesis = intervention.hypothesis
    entries = [entry for entry in ledger.entries() if entry.dataset == group.template.dataset]
    verdicts = [entry for entry in entries if entry.kind == "verdict"]
    mine = [e for e in verdicts if (e.name, e.spec_hash) == (intervention.name, hypothesis.hash)]
    others = [e for e in verdicts if e not in mine]
    stamps = []
    if group.note:
        stamps.append(f"**Data:** {group.note}.")
    if any(entry.kind == "mined-on-confirm" for entry in entries):
        stamps.append(
            "**Exploratory:** pairs were mined on `confirm`, the images that this report judges by; an effect found "
            "on the images that suggested it is no confirmation."
        )
    if not intervention.fresh_baseline:
        stamps.append(
            "**Reused baseline:** the runs before are those that the confusions were mined from. Mining picks what "
            "went wrong in them by chance too, so that any retraining looks a little like a cure."
        )
    if any(set(e.seeds) != set(intervention.seeds) and e.group == group.id for e in mine):
        stamps.append(
            "**Peeked:** this hypothesis was judged before with other seeds; stopping when the answer pleases raises "
            "the rate of false claims above the level that is stated."
        )
    if len(intervention.seeds) != hypothesis.seeds:
        ran = len(intervention.seeds)
        stamps.append(
            f"**Seeds:** the spec asks for {hypothesis.seeds} an arm, {ran} {'was' if ran == 1 else 'were'} run."
        )
    looks = []
    if others:
        looks.append(f"verdicts were reached on these images for {_named(others)} too")
    if stressed := [entry for entry in entries if entry.kind == "stress"]:
        looks.append(f"changed versions of these images were read in a stress test of {_named(stressed)}")
    if looks:
        stamps.append(f"**Not the only look:** {'; '.join(looks)}; nothing here is adjusted for that.")
    changed = sorted({e.spec_hash for e in entries if e.name == intervention.name and e.kind == "registered"})
    if len(changed) > 1:
        stamps.append(f"**Changed spec:** {len(changed)} versions of `{intervention.name}` have been registered.")
    return stamps


def _named(entries: list[Entry]) -> str:
    return ", ".join(sorted({f"`{entry.name}`" for entry in entries}))


def _against(name: str, predicted: np.ndarray, after: Evidence, pair: tuple[int, int], endpoint: Endpoint) -> Control:
    arms = ArmComparison(after.labels, predicted, after.predicted, after.class_names, skip=Endpoint.SUM.cells(pair))
    compared = {key: arms.endpoint(key, pair) for key in Endpoint}
    return Control(
        name=name,
        forward=compared[Endpoint.FORWARD],
        reverse=compared[Endpoint.REVERSE],
        both=compared[Endpoint.SUM],
        primary=compared[endpoint],
        overall=arms.all_errors(),
        accuracy=float((predicted == after.labels).mean()),
    )


def _against_shift(
    store: Store, intervention: Intervention, before: Evidence, after: Evidence, pair: tuple[int, int]
) -> Control:
    mined, treated = (gather(store, intervention.arms[arm], "mine") for arm in ("baseline", intervention.name))
    target = float(pair_errors(treated.labels, treated.predicted, pair).mean())
    shift = match_logit_shift(mined.labels, mined.probabilities, pair, target)
    predicted = apply_logit_shift(before.probabilities, pair[0], shift.shift)
    control = _against("logit-shift", predicted, after, pair, intervention.hypothesis.primary)
    return Control(**{**vars(control), "shift": shift})


def _seed_pairs(before: Evidence, after: Evidence, pair: tuple[int, int], endpoint: str) -> list[SeedPair]:
    cells = {"forward": [pair], "reverse": [pair[::-1]], "sum": [pair, pair[::-1]]}[endpoint]
    labels = before.labels

    def primary(run: np.ndarray) -> np.ndarray:
        wrong: np.ndarray = np.any([(labels == a) & (run == b) for a, b in cells], axis=0)
        return wrong

    rows = []
    for seed, was, now in zip(before.seeds, before.predicted, after.predicted, strict=True):
        overall = _discordant(was != labels, now != labels)
        rows.append(SeedPair(seed, overall=overall, primary=_discordant(primary(was), primary(now))))
    return rows


def _discordant(was: np.ndarray, now: np.ndarray) -> McNemarResult:
    return mcnemar(int((was & ~now).sum()), int((now & ~was).sum()))


def _class_rows(before: Evidence, after: Evidence) -> list[ClassRow]:
    scores = []
    for evidence in (before, after):
        found = class_scores(evidence.labels, evidence.predicted, len(evidence.class_names))
        scores.append({m: getattr(found, m).mean(axis=0) for m in ("precision", "recall", "f1")})
    support = np.bincount(before.labels, minlength=len(before.class_names))
    return [
        ClassRow(
            name=name,
            support=int(support[i]),
            **{m: (float(scores[0][m][i]), float(scores[1][m][i])) for m in ("precision", "recall", "f1")},
        )
        for i, name in enumerate(before.class_names)
    ]


def _mean_counts(evidence: Evidence) -> np.ndarray:
    counts = confusion_counts(evidence.labels, evidence.predicted, len(evidence.class_names))
    mean: np.ndarray = counts.mean(axis=0)
    return mean


def _flips(before: Evidence, after: Evidence) -> tuple[list[Flip], list[Flip]]:
    """Images by how many more runs of one arm get them wrong; those that move by a third of the runs or more."""
    labels = before.labels
    wrong = [(arm.predicted != labels).mean(axis=0) for arm in (before, after)]
    change = wrong[1] - wrong[0]
    order = np.lexsort((before.ids, change))
    least = 1 / 3 - 1e-9

    def flip(i: int) -> Flip:
        erring = before if change[i] < 0 else after
        column = erring.predicted[:, i]
        return Flip(
            index=int(i),
            wrong_before=int((before.predicted[:, i] != labels[i]).sum()),
            wrong_after=int((after.predicted[:, i] != labels[i]).sum()),
            true=int(labels[i]),
            read_as=int(np.bincount(column[column != labels[i]]).argmax()),
        )

    fixed = [flip(i) for i in order if change[i] <= -least]
    broken = [flip(i) for i in order[::-1] if change[i] >= least]
    return fixed, broken
