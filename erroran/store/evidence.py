"""What a verdict rests on: the predictions of several runs side by side, and what the treatment's runs were shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.data import split_dataset
from erroran.errors import ErroranError, NotFound
from erroran.shape.exposure import Exposure, measure_exposure
from erroran.store import Intervention, Store
from erroran.store.records import Group, RunRecord

MOST_FOLDS = 20
"""As many as ``mine-confusions --out-of-fold`` takes."""


@dataclass(frozen=True)
class Evidence:
    """What S runs say about N images.

    Attributes:
        runs: The S records.
        split: ``mine``, ``confirm``, or ``train``: the whole training data, each image predicted by the models
            that did not train on it (`runs` are then those of the first fold).
        images: uint8 (N, H, W).
        labels: int64 (N,).
        ids: str (N,).
        probabilities: float32 (S, N, C).
        class_names: The C names.
    """

    runs: tuple[RunRecord, ...]
    split: str
    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]

    @property
    def predicted(self) -> np.ndarray:
        """int64 (S, N): each run's most probable class."""
        predicted: np.ndarray = self.probabilities.argmax(axis=2)
        return predicted

    @property
    def seeds(self) -> list[int]:
        """The runs' seeds."""
        return [run.spec.seed for run in self.runs]


def gather(store: Store, run_ids: Sequence[str], split: str) -> Evidence:
    """Read the predictions of runs on the same dataset and split.

    Args:
        store: Where they are.
        run_ids: At least one.
        split: ``mine`` or ``confirm``.

    Raises:
        NotFound: A run was removed.
        ErroranError: The predictions of a run do not belong to the split's images.
    """
    for run_id in run_ids:
        if not store.has_run(run_id):
            raise NotFound(
                f"Run {run_id} is needed, and is not in the store {store.root} any more.",
                fix="repeat the `erroran baseline` or `erroran intervene` that trained it",
            )
    runs = tuple(store.get_run(run_id) for run_id in run_ids)
    dataset = store.get_dataset(runs[0].spec.dataset)
    splits = split_dataset(dataset, mine_fraction=runs[0].spec.mine_fraction, fold=runs[0].spec.fold)
    part = splits.mine if split == "mine" else splits.confirm
    stacked = []
    for run in runs:
        predictions = store.get_predictions(run.id, split)
        if not np.array_equal(predictions.ids, part.ids):
            raise ErroranError(
                f"Run {run.id} has no predictions for the images of `{split}`.",
                fix=f"erroran runs remove {run.id}, then train it again",
            )
        stacked.append(predictions.probabilities)
    return Evidence(
        runs=runs,
        split=split,
        images=part.x,
        labels=part.y,
        ids=part.ids,
        probabilities=np.stack(stacked),
        class_names=dataset.class_names,
    )


def gather_out_of_fold(store: Store, folds: Sequence[Sequence[str]]) -> Evidence:
    """Put the held-out predictions of all folds together.

    Args:
        store: Where the runs are.
        folds: Per fold the ids of its runs, one per seed, the seeds in the same order.
    """
    parts = [gather(store, run_ids, "mine") for run_ids in folds]
    return Evidence(
        runs=parts[0].runs,
        split="train",
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts], axis=1),
        class_names=parts[0].class_names,
    )


def gather_most(store: Store, group: Group) -> Evidence:
    """The most that a group's stored runs say about images they did not train on. Trains nothing.

    Out of fold, if ``mine-confusions --out-of-fold`` has been run for at least one of the group's seeds (of several
    such minings the one with most seeds, then with most folds); else `mine`.

    Args:
        store: Where the runs are.
        group: The baseline group.

    Raises:
        NotFound: A run of the group was removed.
    """
    found: list[list[str]] = []
    for folds in range(2, MOST_FOLDS + 1):
        by_fold = [[group.run_spec(seed, fold=(k, folds)).id for k in range(folds)] for seed in group.seeds]
        complete = [ids for ids in by_fold if all(map(store.has_run, ids))]
        if complete and len(complete) >= (len(found[0]) if found else 0):
            found = [list(ids) for ids in zip(*complete, strict=True)]
    if found:
        return gather_out_of_fold(store, found)
    return gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")


def gather_exposure(store: Store, intervention: Intervention) -> Exposure | None:
    """Read what the runs of a treatment saw; what is not in the store is drawn again, measured and kept.

    Returns:
        None for a treatment without operations, and for images with several channels.

    Raises:
        NotFound: A run was removed.
    """
    kept = store.get_exposure(intervention)
    if kept is not None:
        return kept
    run_ids = intervention.arms[intervention.name]
    runs = [store.get_run(run_id) for run_id in run_ids]
    spec = runs[0].spec
    dataset = store.get_dataset(spec.dataset)
    exposure = measure_exposure(
        split_dataset(dataset, mine_fraction=spec.mine_fraction).train,
        dataset.class_names,
        intervention.hypothesis.augment,
        runs=run_ids,
        seeds=intervention.seeds,
        epochs=[len(run.history["loss"]) for run in runs],
    )
    if exposure is not None:
        store.put_exposure(intervention, exposure)
    return exposure
