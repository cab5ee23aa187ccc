"""Train several models alike, and compare them: which differ by more than chance, and which claims hold?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from erroran.data import Dataset
from erroran.execution.local import Completed
from erroran.experiment.study import Claim, Study, StudyModel
from erroran.stages.baseline import train_baseline
from erroran.stats.confusion import ClassScores, accuracy, class_scores, confusion_counts
from erroran.stats.multiplicity import holm
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress
from erroran.training.models import find_model
from erroran.training.predict import Latency, measure_latency
from erroran.verdict.compare import ArmComparison, Comparison

HOLDS, CONTRADICTED, CANNOT_TELL = "holds", "contradicted", "cannot tell"
_ALPHA = 0.05


@dataclass(frozen=True)
class ModelResult:
    """One model of a study.

    Attributes:
        entry: What the spec says of it.
        group: Its baseline group.
        evidence: Its runs on `confirm`.
        accuracy: Of every run on `confirm`, 0..1.
        interval: 95 % t interval of the mean accuracy over seeds: for training again, on the same images; ``None``
            with one seed.
        metrics: Per run: precision, recall, F1 of every class, weighted F1.
        counts: int64 (S, C, C): confusion matrices.
        latency: Time to predict, measured with the first run's model.
        bytes_on_disk: Size of its ``model.keras``.
    """

    entry: StudyModel
    group: Group
    evidence: Evidence
    accuracy: tuple[float, ...]
    interval: tuple[float, float] | None
    metrics: ClassScores
    counts: np.ndarray
    latency: Latency
    bytes_on_disk: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.group.template.model

    @property
    def mean(self) -> float:
        """Mean accuracy on `confirm`."""
        return float(np.mean(self.accuracy))

    @property
    def sd(self) -> float | None:
        """Standard deviation of the accuracy over seeds."""
        return float(np.std(self.accuracy, ddof=1)) if len(self.accuracy) > 1 else None

    @property
    def errors(self) -> float:
        """Mean errors per run on `confirm`."""
        return float(np.mean([run.sum() - np.trace(run) for run in self.counts]))

    @property
    def weighted_f1(self) -> float:
        """Mean over runs of the F1 of all classes, weighted by their images."""
        return float(self.metrics.weighted_f1.mean())

    @property
    def seconds(self) -> float:
        """Mean wall-clock time of training a run."""
        return float(np.mean([run.seconds for run in self.evidence.runs]))


@dataclass(frozen=True)
class ModelPair:
    """Two models compared by all their errors on `confirm`.

    Attributes:
        first: A model's name; `second` that of the other.
        comparison: Errors of the first ("before") and the second ("after").
        p_adjusted: Holm's over all pairs of the study; ``None`` where no test is valid.
    """

    first: str
    second: str
    comparison: Comparison
    p_adjusted: float | None

    @property
    def better(self) -> str | None:
        """The model with fewer errors, if they differ by more than chance."""
        if self.p_adjusted is None or self.p_adjusted >= _ALPHA:
            return None
        return self.second if self.comparison.effect.per_10000 < 0 else self.first


@dataclass(frozen=True)
class CheckedClaim:
    """A claim and what these runs say about it.

    Attributes:
        claim: From the spec.
        word: ``holds``, ``contradicted`` or ``cannot tell``.
        points: Measured difference in percentage points of accuracy, positive if it is as claimed; with interval.
        p_value: Two-sided, of this claim alone: it was made before.
        p_none: Why there is no p-value.
    """

    claim: Claim
    word: str
    points: tuple[float, float, float]
    p_value: float | None
    p_none: str


@dataclass(frozen=True)
class StudyResult:
    """Everything a study's report shows."""

    name: str
    study: Study
    models: tuple[ModelResult, ...]
    pairs: tuple[ModelPair, ...]
    claims: tuple[CheckedClaim, ...]

    @property
    def ranking(self) -> list[ModelResult]:
        """Models, most accurate first."""
        return sorted(self.models, key=lambda result: -result.mean)


def train_study(
    store: Store,
    dataset: Dataset,
    name: str,
    study: Study,
    *,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> list[tuple[Group, Completed]]:
    """Train every model of a study; what is in the store already is not trained again.

    Args:
        store: Where runs go. Groups of a study do not become the latest baseline.
        dataset: The images.
        name: The study's name.
        study: Its spec.
        jobs: Runs at a time.
        on_progress: Called often.
        on_finished: Called with each run that was trained.

    Returns:
        Per model its group and runs.

    Raises:
        NotFound: A model does not exist; nothing has been trained then.
    """
    for entry in study.models:
        find_model(entry.model)
    return [
        train_baseline(
            store,
            dataset,
            recipe=entry.training(study.recipe),
            seeds=range(study.seeds),
            model=entry.model,
            precision=study.precision,
            mine_fraction=study.mine_fraction,
            study=name,
            jobs=jobs,
            on_progress=on_progress,
            on_finished=on_finished,
        )
        for entry in study.models
    ]


def assess_study(store: Store, name: str, study: Study, groups: Sequence[Group]) -> StudyResult:
    """Compare the trained models of a study; enters the look at `confirm` in the ledger.

    Args:
        store: Holds the runs.
        name: The study's name.
        study: Its spec.
        groups: One per model, in the order of the spec.
    """
    look = Entry(
        kind="study",
        dataset=groups[0].template.dataset,
        group=" ".join(group.id for group in groups),
        name=name,
        seeds=tuple(range(study.seeds)),
    )
    models = tuple(_result(store, entry, group, look) for entry, group in zip(study.models, groups, strict=True))
    by_reference = {result.entry.model: result for result in models}
    return StudyResult(
        name=name,
        study=study,
        models=models,
        pairs=_pairs(models),
        claims=tuple(_check(claim, by_reference[claim.worse], by_reference[claim.better]) for claim in study.claims),
    )


def _result(store: Store, entry: StudyModel, group: Group, look: Entry) -> ModelResult:
    run_ids = [group.run_spec(seed).id for seed in group.seeds]
    evidence = gather(store, run_ids, "confirm", look=look)
    counts = confusion_counts(evidence.labels, evidence.predicted, len(evidence.class_names))
    model_file = store.run_folder(run_ids[0]) / "model.keras"
    metrics = class_scores(evidence.labels, evidence.predicted, len(evidence.class_names))
    shares = tuple(accuracy(evidence.labels, evidence.predicted).tolist())
    return ModelResult(
        entry=entry,
        group=group,
        evidence=evidence,
        accuracy=shares,
        interval=_t_interval(shares),
        metrics=metrics,
        counts=counts,
        latency=measure_latency(
            model_file,
            evidence.images[:2000],
            source=store.load_source_of(evidence.runs[0]),
        ),
        bytes_on_disk=model_file.stat().st_size,
    )


def _t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    from statsmodels.stats.weightstats import DescrStatsW

    if len(values) < 2:
        return None
    low, high = DescrStatsW(np.asarray(values)).tconfint_mean()
    return float(low), float(high)


def compare_models(first: Evidence, second: Evidence, name: str) -> Comparison:
    """Compare all errors of two models by the test that verdicts use.

    Args:
        first: Runs of one model.
        second: Runs of the other, on the same images.
        name: What the comparison is called.
    """
    arms = ArmComparison(first.labels, first.predicted, second.predicted, first.class_names)
    return replace(arms.all_errors(), name=name)


def _pairs(models: Sequence[ModelResult]) -> tuple[ModelPair, ...]:
    compared = [
        (a.name, b.name, compare_models(a.evidence, b.evidence, f"{a.name} against {b.name}"))
        for a, b in combinations(models, 2)
    ]
    adjusted = iter(holm([c.test.p_value for _, _, c in compared if c.test.p_value is not None]))
    return tuple(
        ModelPair(a, b, comparison, None if comparison.test.p_value is None else float(next(adjusted)))
        for a, b, comparison in compared
    )


def _check(claim: Claim, worse: ModelResult, better: ModelResult) -> CheckedClaim:
    comparison = compare_models(worse.evidence, better.evidence, claim.text)
    direction = comparison.test.direction(_ALPHA)
    effect = comparison.effect
    return CheckedClaim(
        claim=claim,
        word={-1: HOLDS, 1: CONTRADICTED, 0: CANNOT_TELL}[direction],
        # Errors per 10,000 images are hundredths of a point, and fewer errors are more points.
        points=(-effect.per_10000 / 100, -effect.high / 100, -effect.low / 100),
        p_value=comparison.test.p_value,
        p_none=comparison.test.reason,
    )
