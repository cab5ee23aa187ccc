"""Judge an intervention on `confirm` or out of fold, and collect everything that its report shows."""

from functools import partial

import numpy as np
from pydantic import Field, computed_field

from erroran.results import Result
from erroran.shape.exposure import Exposure, redraw
from erroran.stages.intervene import describe_change, fitted_part, gather_exposure
from erroran.stages.plan import KIND as PLANS
from erroran.stages.plan import PlanResult
from erroran.stats.confusion import cell_errors, cell_mask, confusion_counts
from erroran.stats.dispersion import run_variation
from erroran.store import Intervention, Store
from erroran.store.environment import compare_environments
from erroran.store.evidence import Judged, gather_judged, gather_mined
from erroran.store.records import Finding, Group, StoredVerdict
from erroran.store.stamps import Stamp, find_stamps, look_entry
from erroran.verdict.advice import advise
from erroran.verdict.compare import ArmComparison, Comparison
from erroran.verdict.controls import Control, LogitShift, apply_logit_shift, compare_controls, find_shift
from erroran.verdict.decide import Verdict, judge_hypothesis
from erroran.verdict.flips import Flip, find_flips
from erroran.verdict.plan import Recheck, check_again


class SeedRow(Result):
    """The baseline's and the treatment's runs of one seed.

    Attributes:
        seed: The seed.
        runs: For either arm the ids of the seed's runs: one, or out of fold one per fold.
        accuracy_before: On the judged images, 0..1; `accuracy_after` likewise.
    """

    seed: int
    runs: tuple[tuple[str, ...], tuple[str, ...]]
    accuracy_before: float
    accuracy_after: float


class Assessment(Result):
    """Everything that the report of an intervention shows.

    Attributes:
        group: The baseline group.
        intervention: What was run; `arms` the ids of its runs.
        change: What the treatment changes, in words.
        before: What the baseline's runs predict for the judged images; `after` what the treatment's do.
        population: The judged images in words.
        images: Their number.
        advice: What to do; empty if nothing is advised.
        distinct_images: How many of them show the error of the primary endpoint in any run of baseline or treatment.
        stamps: What limits the claim.
        environments: In what the arms' software or hardware differ: name to each arm's value.
        seeds: One row per seed.
        controls: The treatment against each control.
        against_baseline: Each control against the baseline, by the primary endpoint; "after" is the control.
        not_shown_to_beat: Names of the controls that the treatment is not shown to beat on the primary endpoint.
        mean_counts: float (2, C, C), mean confusion counts before and after; `mean_change` their difference.
        fixed: Images that the treatment predicts correctly more often, clearest first.
        broken: Images that it predicts wrongly more often, clearest first.
        exposure: What the augmentation did to the images that the treatment's runs saw; None without operations, and
            for images with several channels.
        shown: uint8 (n, H, W, C) twice: the exposure's examples before and after.
        versions: Of the packages that the treatment's first run used; `commit` and `machine` likewise.
        seconds: Run id to the time that training took.
        planned: What `plan` expected of the same version of the hypothesis; None if it was never planned.
        recheck: Whether the number of seeds suffices, by the baseline arm alone; None with one run, or without errors.
        probe: What `probe` found about it; `stress` likewise. None if never run.
    """

    group: Group
    intervention: Intervention
    change: list[str] = Field(exclude=True)
    arms: dict[str, tuple[str, ...]]
    before: Judged = Field(exclude=True)
    after: Judged = Field(exclude=True)
    population: str
    images: int
    distinct_images: int
    verdict: Verdict
    advice: str = ""
    stamps: list[Stamp]
    environments: dict[str, dict[str, str]]
    seeds: list[SeedRow]
    controls: list[Control]
    against_baseline: dict[str, Comparison]
    not_shown_to_beat: list[str]
    mean_counts: np.ndarray = Field(exclude=True)
    mean_change: list[list[float]]
    fixed: list[Flip]
    broken: list[Flip]
    exposure: Exposure | None
    shown: tuple[np.ndarray, np.ndarray] | None = Field(exclude=True)
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]
    seconds: dict[str, float]
    planned: PlanResult | None = Field(exclude=True)
    recheck: Recheck | None
    probe: Finding | None = Field(exclude=True)
    stress: Finding | None = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def spec_hash(self) -> str:
        """Hash of the hypothesis."""
        return self.intervention.hypothesis.hash


def assess(store: Store, group: Group, name: str) -> Assessment:
    """Judge an intervention on the images that it names, and enter the look in the ledger. Trains nothing.

    Raises:
        NotFound: The intervention was never run, or one of its runs is gone.
    """
    intervention = store.get_intervention(group.id, name)
    hypothesis = intervention.hypothesis
    look = look_entry(group, intervention, "look")
    judging = intervention.judging
    read = partial(gather_judged, store, judging=judging, look=look)
    arms = {arm: read(runs) for arm, runs in intervention.arms.items()}
    before, after = arms["baseline"], arms[name]
    labels, names = before.labels, before.class_names
    verdict = judge_hypothesis(hypothesis, labels, before.predicted, after.predicted, names, **intervention.levels)
    advice = advise(
        verdict, labels, before.predicted, after.predicted, minutes_per_seed=_minutes_per_seed(store, intervention)
    )
    concluded = look.model_copy(update={"kind": "verdict", "word": verdict.word, "sentence": verdict.sentence})
    store.ledger.record(concluded)
    environments = compare_environments({arm: evidence.runs for arm, evidence in arms.items()})
    others = {arm: evidence.predicted for arm, evidence in arms.items() if arm not in ("baseline", name)}
    shift = None
    if "logit-shift" in intervention.controls:
        shift = _choose_shift(store, intervention, verdict)
        classify = partial(apply_logit_shift, label=verdict.pair[0], shift=shift.shift)
        others["logit-shift"] = read(intervention.arms["baseline"], classify=classify).predicted
    controls = compare_controls(labels, others, after.predicted, names, verdict, shift)
    counts = np.stack([confusion_counts(labels, arm.predicted, len(names)).mean(axis=0) for arm in (before, after)])
    fixed, broken = find_flips(labels, before.predicted, after.predicted, before.ids.tolist(), names)
    exposure = gather_exposure(store, intervention)
    primary = cell_mask(len(names), verdict.endpoint.cells(verdict.pair))
    distinct = int(primary[labels, np.concatenate([before.predicted, after.predicted])].any(axis=0).sum())
    first = after.runs[0]
    train = fitted_part(store, first.spec)
    stored = _stored(intervention, verdict, before.population, distinct, advice.line)
    store.put_artifact("verdicts", intervention.key, stored)
    return Assessment(
        group=group,
        intervention=intervention,
        change=describe_change(store, intervention),
        arms=intervention.arms,
        before=before,
        after=after,
        verdict=verdict,
        advice=advice.line,
        stamps=find_stamps(store.ledger.entries(), concluded, group, intervention, environments),
        environments=environments,
        population=before.population,
        images=len(labels),
        distinct_images=distinct,
        seeds=_seed_rows(before, after),
        controls=controls,
        against_baseline={
            arm: ArmComparison(labels, before.predicted, predicted, names).endpoint(verdict.endpoint, verdict.pair)
            for arm, predicted in others.items()
        },
        not_shown_to_beat=[control.name for control in controls if not control.is_beaten],
        mean_counts=counts,
        mean_change=(counts[1] - counts[0]).round(6).tolist(),
        fixed=fixed,
        broken=broken,
        exposure=exposure,
        shown=None if exposure is None else redraw(train, names, hypothesis.augment, exposure.examples),
        versions=first.versions,
        commit=first.commit,
        machine=first.machine,
        seconds={run.id: round(run.seconds, 2) for run in (*before.runs, *after.runs)},
        recheck=check_again(
            [cell_errors(labels, before.predicted, cell) for cell in verdict.endpoint.cells(verdict.pair)],
            run_variation(labels, before.predicted, n_classes=len(names)),
            primary,
            n_evaluated=len(labels),
            worthwhile_percent=verdict.worthwhile_percent,
            equivalence_per_10000=verdict.equivalence_per_10000,
        ),
        planned=store.get_artifact(PLANS, intervention.key, PlanResult),
        probe=store.get_artifact("probes", intervention.key, Finding),
        stress=store.get_artifact("stress", intervention.key, Finding),
    )


def list_verdicts(store: Store) -> list[StoredVerdict]:
    """The stored verdicts on every version of every hypothesis, oldest first."""
    return sorted(store.list_artifacts("verdicts", StoredVerdict), key=lambda verdict: verdict.created)


def _minutes_per_seed(store: Store, intervention: Intervention) -> float:
    """Training time of one more seed of all arms, one run at a time."""
    seconds = sum(store.get_run(run_id).seconds for runs in intervention.arms.values() for run_id in runs)
    return seconds / len(intervention.seeds) / 60


def _stored(
    intervention: Intervention, verdict: Verdict, population: str, distinct_images: int, advice: str
) -> StoredVerdict:
    return StoredVerdict(
        name=intervention.name,
        pair=str(intervention.hypothesis.pair),
        group=intervention.group,
        spec_hash=intervention.hypothesis.hash,
        seeds=intervention.seeds,
        created=intervention.created,
        population=population,
        distinct_images=distinct_images,
        endpoint=verdict.primary.name,
        word=verdict.word,
        sentence=verdict.sentence,
        advice=advice,
        change=verdict.primary.test.direction(verdict.alpha),
        effect=verdict.primary.effect,
        worthwhile_percent=verdict.worthwhile_percent,
    )


def _choose_shift(store: Store, intervention: Intervention, verdict: Verdict) -> LogitShift:
    """Choose the bias of the control ``logit-shift`` on the images of `mine`, which do not judge."""
    mined = partial(gather_mined, store, judging=intervention.judging)
    labels, probabilities = mined(intervention.arms["baseline"])
    treated = mined(intervention.arms[intervention.name])[1].argmax(axis=2)
    return find_shift((labels, probabilities), treated, verdict.pair)


def _seed_rows(before: Judged, after: Judged) -> list[SeedRow]:
    right = [(arm.predicted == arm.labels).mean(axis=1).tolist() for arm in (before, after)]
    columns = zip(before.seeds, before.run_ids, after.run_ids, *right, strict=True)
    return [
        SeedRow(seed=seed, runs=(was, now), accuracy_before=right_before, accuracy_after=right_after)
        for seed, was, now, right_before, right_after in columns
    ]
