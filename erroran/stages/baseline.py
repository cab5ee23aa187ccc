"""Train the same model under several seeds: the ground that every later claim stands on."""

from collections.abc import Callable, Sequence

from erroran import provenance
from erroran.data import Dataset, split_dataset
from erroran.execution.local import Completed, Request, complete_runs
from erroran.experiment.recipe import Precision, Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress
from erroran.training.models import find_model


def train_baseline(
    store: Store,
    dataset: Dataset,
    *,
    recipe: Recipe,
    seeds: Sequence[int],
    model: str = "cnn",
    precision: Precision = "float32",
    mine_fraction: float = 0.1,
    study: str | None = None,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> tuple[Group, Completed]:
    """Complete a baseline group; runs that are in the store already are not trained again.

    Args:
        store: Where runs go.
        dataset: The images; a copy is kept in the store.
        recipe: How to train.
        seeds: One run each.
        model: Name of the architecture, or ``path/to/file.py:function``.
        precision: Keras dtype policy.
        mine_fraction: Part of the training data held out for mining, in (0, 0.5].
        study: Name of the study that asks; a group that the user trained as a baseline stays one.
        jobs: Runs at a time.
        on_progress: Called often.
        on_finished: Called with each run that was trained.

    Returns:
        The group, now the latest unless it is a study's, and its runs in the order of `seeds`.
    """
    model_name, source = find_model(model)
    split_dataset(dataset, mine_fraction=mine_fraction)  # refuses bad fractions before anything is written
    group = Group(
        template=RunSpec(
            dataset=dataset.digest,
            mine_fraction=mine_fraction,
            model=model_name,
            recipe=recipe,
            environment=current_environment(model_name),
            precision=precision,
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
    store.put_dataset(dataset)
    store.mark_mined(dataset.digest, seeds)
    store.ledger.record(Entry(kind="baseline-accuracy", dataset=dataset.digest, group=group.id, seeds=tuple(seeds)))
    requests = [Request("baseline", group.run_spec(seed)) for seed in seeds]
    completed = complete_runs(store, requests, jobs=jobs, on_progress=on_progress, on_finished=on_finished)
    if study is None or not store.has_group(group.id):
        store.put_group(group)
    return group, completed
