"""Train several models alike, and compare them: which differ by more than chance, and which claims hold?"""

import statistics
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field, computed_field

from erroran.data import Dataset
from erroran.execution.local import Completed
from erroran.experiment.study import Study, StudyModel
from erroran.results import Result
from erroran.stages.baseline import train_baseline
from erroran.stats.confusion import accuracy, class_scores, confusion_counts
from erroran.stats.intervals import mean_interval
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress
from erroran.training.models import find_model
from erroran.training.predict import Latency, measure_latency
from erroran.verdict.models import CheckedClaim, ModelPair, check_claim, compare_all


class Accuracy(Result):
    """Accuracy of a model's runs on `confirm`, 0..1.

    Attributes:
        values: Of every run.
        mean: Their mean.
        sd: Their standard deviation; None with one run.
        interval: 95 % t interval of the mean over seeds, on the same images; None with one run.
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    interval: tuple[float, float] | None


class ClassScore(Result):
    """Scores of one class on `mine`, means over runs, 0..1."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float


class ModelResult(Result):
    """One model of a study.

    Attributes:
        entry: What the spec says of it.
        group: Its baseline group.
        evidence: Its runs on `confirm`; `mined` on `mine`.
        accuracy: On `confirm`.
        classes: Scores of every class on `mine`.
        weighted_f1: Mean over runs of the F1 of all classes on `mine`, weighted by their images.
        mean_counts: float (C, C), mean confusion matrix on `mine`.
        latency: Time to predict, measured with the first run's model.
        bytes_on_disk: Size of its ``model.keras``.
    """

    entry: StudyModel
    group: Group
    evidence: Evidence = Field(exclude=True)
    mined: Evidence = Field(exclude=True)
    accuracy: Accuracy
    classes: list[ClassScore]
    weighted_f1: float
    mean_counts: np.ndarray = Field(exclude=True)
    latency: Latency
    bytes_on_disk: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str:
        """The model's name."""
        return self.group.template.model

    @computed_field  # type: ignore[prop-decorator]
    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return self.evidence.runs[0].parameters

    @computed_field  # type: ignore[prop-decorator]
    @property
    def training_seconds(self) -> list[float]:
        """Wall-clock time of training each run."""
        return [run.seconds for run in self.evidence.runs]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def epochs_trained(self) -> list[int]:
        """Epochs of each run; early stopping makes them differ."""
        return [len(run.history["loss"]) for run in self.evidence.runs]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runs(self) -> list[str]:
        """Ids of the runs."""
        return [run.id for run in self.evidence.runs]


class StudyResult(Result):
    """Everything that a study's report shows."""

    name: str
    study: Study
    models: list[ModelResult]
    pairs: list[ModelPair]
    claims: list[CheckedClaim]

    @property
    def ranking(self) -> list[ModelResult]:
        """Models, most accurate first."""
        return sorted(self.models, key=lambda result: -result.accuracy.mean)


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
    models = [_result(store, entry, group, look) for entry, group in zip(study.models, groups, strict=True)]
    labels, class_names = models[0].evidence.labels, models[0].evidence.class_names
    predicted = {result.entry.model: result.evidence.predicted for result in models}
    return StudyResult(
        name=name,
        study=study,
        models=models,
        pairs=compare_all(labels, [(result.name, predicted[result.entry.model]) for result in models], class_names),
        claims=[
            check_claim(claim, labels, predicted[claim.worse], predicted[claim.better], class_names)
            for claim in study.claims
        ],
    )


def _result(store: Store, entry: StudyModel, group: Group, look: Entry) -> ModelResult:
    run_ids = [group.run_spec(seed).id for seed in group.seeds]
    evidence, mined = gather(store, run_ids, "confirm", look=look), gather(store, run_ids, "mine")
    names = mined.class_names
    scores = class_scores(mined.labels, mined.predicted, len(names))
    by_class = zip(
        names, scores.support, *(table.mean(axis=0) for table in (scores.precision, scores.recall, scores.f1)),
        strict=True,
    )  # fmt: skip
    values = accuracy(evidence.labels, evidence.predicted).tolist()
    several = len(values) > 1
    model_file = store.run_folder(run_ids[0]) / "model.keras"
    return ModelResult(
        entry=entry,
        group=group,
        evidence=evidence,
        mined=mined,
        accuracy=Accuracy(
            values=tuple(values),
            mean=statistics.fmean(values),
            sd=statistics.stdev(values) if several else None,
            interval=mean_interval(values) if several else None,
        ),
        classes=[
            ClassScore(name=c, support=int(n), precision=float(p), recall=float(r), f1=float(f))
            for c, n, p, r, f in by_class
        ],
        weighted_f1=float(scores.weighted_f1.mean()),
        mean_counts=confusion_counts(mined.labels, mined.predicted, len(names)).mean(axis=0),
        latency=measure_latency(model_file, mined.images[:2000], source=store.load_source_of(evidence.runs[0])),
        bytes_on_disk=model_file.stat().st_size,
    )
