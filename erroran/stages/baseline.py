"""Train a model once per seed, and sum up the scores of the runs."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import Any

import numpy as np
from pydantic import Field

from erroran import provenance
from erroran.data import Dataset
from erroran.execution.driver import Completed, Request, complete_runs
from erroran.execution.task import Executor
from erroran.experiment.recipe import Precision, PrecisionChoice, Recipe, choose_precision
from erroran.experiment.runspec import RunSpec
from erroran.results import Result
from erroran.stats.confusion import class_scores, confusion_counts
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.store.evidence import gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress
from erroran.training.models import check_model, find_model


class Spread(Result):
    """One value per run, 0..1, with their mean and sample standard deviation (0 for a single run)."""

    mean: float
    sd: float
    values: list[float]


class BaselineResult(Result):
    """Scores of a baseline group.

    On `confirm` only each run's accuracy over all images is shown; everything by class is on `mine`.

    Attributes:
        trained: The group.
        records: Its runs, in the order of its seeds.
        confusions: int64 (S, K, K): images of `mine` by run, true class and predicted class.
        group: Its id.
        classes: For each class its name, number of images of `mine`, precision, recall and F1 (`Spread` each).
        classes_on: The split of `classes`.

    The other fields are those of the group and of its first run.
    """

    trained: Group = Field(exclude=True)
    records: tuple[RunRecord, ...] = Field(exclude=True)
    confusions: np.ndarray = Field(exclude=True)
    class_names: tuple[str, ...] = Field(exclude=True)
    group: str
    dataset: str
    dataset_digest: str
    note: str | None
    model: str
    recipe: Recipe
    precision: Precision
    mine_fraction: float
    accuracy_confirm: Spread
    accuracy_mine: Spread
    runs: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    classes_on: str = "mine"
    command: str
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]


def train_baseline(
    store: Store,
    dataset: Dataset,
    *,
    recipe: Recipe,
    seeds: Sequence[int],
    model: str = "cnn",
    precision: PrecisionChoice = "float32",
    mine_fraction: float = 0.1,
    study: str | None = None,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> tuple[Group, Completed]:
    """Complete a baseline group; runs that are in the store already are not trained again.

    Args:
        store: Where runs go.
        dataset: The images; a copy is kept in the store.
        recipe: How to train.
        seeds: The seed of each run.
        model: Name of the architecture, or ``path/to/file.py:function``.
        precision: Keras dtype policy; ``auto`` is chosen by this processor.
        mine_fraction: Part of the training data held out as `mine`, in (0, 0.5].
        study: Name of the study that the runs belong to; a group that was trained as a baseline before stays one.
        executor: See `complete_runs`.
        on_progress: Called every few steps of a training.
        on_finished: Called with each run that was trained.

    Returns:
        The group, now the latest unless it is a study's, and its runs in the order of `seeds`.

    Raises:
        NotFound: There is no such model.
        BadInput: The model cannot be built for these images or not be loaded again, or `mine_fraction` is out of range.
            Nothing has been written then.
    """
    model_name, source = find_model(model)
    store.split(dataset, mine_fraction=mine_fraction)  # refuses bad fractions before anything is written
    chosen = choose_precision(precision, own_model=source is not None)
    shape, n_classes = dataset.x_train.shape[1:], len(dataset.class_names)
    check = partial(check_model, model_name, shape, n_classes, source=source, precision=chosen)
    if source is not None:
        check()
    group = Group(
        template=RunSpec(
            dataset=dataset.digest,
            mine_fraction=mine_fraction,
            model=model_name,
            recipe=recipe,
            environment=current_environment(model_name),
            precision=chosen,
            seed=0,
            source=None if source is None else store.put_source(source),
        ),
        seeds=tuple(seeds),
        dataset_name=dataset.name,
        note=dataset.note,
        updated=provenance.now(),
        command=provenance.command_line(),
        study=study,
    )
    requests = [Request("baseline", group.run_spec(seed)) for seed in seeds]
    if source is None and not all(store.has_run(request.spec.id) for request in requests):
        check()
    store.put_dataset(dataset)
    store.mark_mined(dataset.digest, seeds)
    store.ledger.record(Entry(kind="baseline-accuracy", dataset=dataset.digest, group=group.id, seeds=tuple(seeds)))
    completed = complete_runs(store, requests, executor=executor, on_progress=on_progress, on_finished=on_finished)
    if study is None or not store.has_group(group.id):
        store.put_group(group)
    return group, completed


def summarise(store: Store, group: Group) -> BaselineResult:
    """Gather the scores of a baseline group.

    Raises:
        NotFound: A run of the group was removed.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    names, labels = evidence.class_names, evidence.labels
    scores = class_scores(labels, evidence.predicted, len(names))
    template, first = group.template, evidence.runs[0]
    return BaselineResult(
        trained=group,
        records=evidence.runs,
        confusions=confusion_counts(labels, evidence.predicted, len(names)),
        class_names=names,
        group=group.id,
        dataset=group.dataset_name,
        dataset_digest=template.dataset,
        note=group.note,
        accuracy_confirm=_spread([run.accuracy_confirm for run in evidence.runs]),
        accuracy_mine=_spread([run.accuracy_mine for run in evidence.runs]),
        runs=[run.listed().summary() for run in evidence.runs],
        classes=[
            {"class": name, "support": int(scores.support[k])}
            | {score: _spread(getattr(scores, score)[:, k]) for score in ("precision", "recall", "f1")}
            for k, name in enumerate(names)
        ],
        command=group.command,
        **{key: getattr(template, key) for key in ("model", "recipe", "precision", "mine_fraction")},
        **{key: getattr(first, key) for key in ("versions", "commit", "machine")},
    )


def _spread(values: Sequence[float] | np.ndarray) -> Spread:
    listed = [float(value) for value in values]
    return Spread(mean=fmean(listed), sd=stdev(listed) if len(listed) > 1 else 0.0, values=listed)
