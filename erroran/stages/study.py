"""Train several models with the same data and seeds, compare them, and check claims about them."""

from collections.abc import Callable, Sequence

from pydantic import Field

from erroran.data import Dataset
from erroran.execution.driver import Completed
from erroran.execution.task import Executor
from erroran.experiment.recipe import choose_precision
from erroran.experiment.study import Study, StudyModel
from erroran.results import Result
from erroran.stages.baseline import BaselineResult, summarise, train_baseline
from erroran.stats.confusion import class_scores
from erroran.stats.intervals import mean_interval
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress
from erroran.training.models import check_model, find_model
from erroran.training.predict import Latency, measure_latency
from erroran.verdict.models import CheckedClaim, ModelPair, check_claim, compare_all


class ModelResult(Result):
    """One model of a study.

    Attributes:
        entry: What the spec says of it.
        scores: Of its baseline group: accuracy on `confirm`, everything by class on `mine`.
        interval: 95 % t interval of the mean accuracy on `confirm` over seeds, on the same images; None with one seed.
        weighted_f1: Mean over runs of the F1 of all classes on `mine`, weighted by their images.
        parameters: Number of the model's parameters.
        latency: Measured with the first run's model.
        bytes_on_disk: Size of its ``model.keras``.
        evidence: Its runs on `confirm`; `mined` on `mine`.
    """

    entry: StudyModel
    scores: BaselineResult
    interval: tuple[float, float] | None
    weighted_f1: float
    parameters: int
    latency: Latency
    bytes_on_disk: int
    evidence: Evidence = Field(exclude=True)
    mined: Evidence = Field(exclude=True)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.scores.model


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
        return sorted(self.models, key=lambda result: -result.scores.accuracy_confirm.mean)


def train_study(
    store: Store,
    dataset: Dataset,
    name: str,
    study: Study,
    *,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> list[tuple[Group, Completed]]:
    """Train every model of a study; runs that are in the store already are not trained again.

    Other arguments are as for `train_baseline`. Groups of a study do not become the latest baseline.

    Returns:
        Per model its group and runs.

    Raises:
        NotFound: A model does not exist.
        BadInput: A model cannot be built for these images. Nothing has been trained then, whichever model it is.
    """
    found = [find_model(entry.model) for entry in study.models]
    own = any(source is not None for _, source in found)
    precision = choose_precision(study.precision, own_model=own)
    for model, source in found:
        shape, n_classes = dataset.x_train.shape[1:], len(dataset.class_names)
        check_model(model, shape, n_classes, source=source, precision=precision)
    return [
        train_baseline(
            store,
            dataset,
            recipe=entry.training(study.recipe),
            seeds=range(study.seeds),
            model=entry.model,
            precision=precision,
            mine_fraction=study.mine_fraction,
            study=name,
            executor=executor,
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
    name_of = {model.entry.model: model.name for model in models}
    pairs = compare_all(labels, [(model.name, model.evidence.predicted) for model in models], class_names)
    return StudyResult(
        name=name,
        study=study,
        models=models,
        pairs=pairs,
        claims=[check_claim(claim, pairs, name_of[claim.worse], name_of[claim.better]) for claim in study.claims],
    )


def _result(store: Store, entry: StudyModel, group: Group, look: Entry) -> ModelResult:
    run_ids = [group.run_spec(seed).id for seed in group.seeds]
    evidence, mined = gather(store, run_ids, "confirm", look=look), gather(store, run_ids, "mine")
    scores = summarise(store, group)
    values = scores.accuracy_confirm.values
    weighted_f1 = class_scores(mined.labels, mined.predicted, len(mined.class_names)).weighted_f1
    model_file = store.model_file(run_ids[0])
    return ModelResult(
        entry=entry,
        scores=scores,
        interval=mean_interval(values) if len(values) > 1 else None,
        weighted_f1=float(weighted_f1.mean()),
        parameters=evidence.runs[0].parameters,
        latency=measure_latency(model_file, mined.images[:2000], source=store.load_source_of(evidence.runs[0].spec)),
        bytes_on_disk=model_file.stat().st_size,
        evidence=evidence,
        mined=mined,
    )
