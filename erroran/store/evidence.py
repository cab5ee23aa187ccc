"""The predictions of several runs for the same images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from erroran.errors import ErroranError, NotFound
from erroran.store.artifacts import Store
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

MOST_FOLDS = 20
"""Largest number that ``mine-confusions --out-of-fold`` accepts."""


@dataclass(frozen=True)
class Evidence:
    """Predictions of S runs for N images.

    Attributes:
        runs: The S records.
        split: ``mine``, ``confirm``, or ``train``: the whole training data, each image predicted by the models
            that did not train on it (`runs` are then those of the first fold).
        images: ``uint8`` (N, H, W, C).
        labels: ``int64`` (N,).
        ids: Strings (N,).
        probabilities: ``float32`` (S, N, K).
        class_names: The K names.
    """

    runs: tuple[RunRecord, ...]
    split: str
    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]

    @cached_property
    def predicted(self) -> np.ndarray:
        """``int64`` (S, N): each run's most probable class."""
        predicted: np.ndarray = self.probabilities.argmax(axis=2)
        return predicted

    @property
    def seeds(self) -> list[int]:
        """The runs' seeds."""
        return [run.spec.seed for run in self.runs]


def gather(store: Store, run_ids: Sequence[str], split: str, *, look: Entry | None = None) -> Evidence:
    """Read the predictions of runs on the same dataset and split.

    Args:
        store: Holds the runs.
        run_ids: At least one.
        split: ``mine`` or ``confirm``.
        look: See `Store.get_predictions`.

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
    splits = store.get_splits(runs[0].spec)
    part = splits.mine if split == "mine" else splits.confirm
    class_names = store.get_dataset(runs[0].spec.dataset).class_names
    stacked = []
    for run in runs:
        predictions = store.get_predictions(run.id, split, look=look)
        columns = predictions.probabilities.shape[1]
        if not np.array_equal(predictions.ids, part.ids) or columns != len(class_names):
            raise ErroranError(
                f"Run {run.id} has no predictions for the images of `{split}` in {len(class_names)} classes.",
                fix=f"erroran runs remove {run.id}, then train it again",
            )
        stacked.append(predictions.probabilities)
    return Evidence(runs, split, part.x, part.y, part.ids, np.stack(stacked), class_names)


def gather_out_of_fold(store: Store, folds: Sequence[Sequence[str]]) -> Evidence:
    """Concatenate the held-out predictions of all folds.

    Args:
        store: Holds the runs.
        folds: Per fold the ids of its runs, one per seed, the seeds in the same order.
    """
    parts = [gather(store, run_ids, "mine") for run_ids in folds]
    arrays: dict[str, Any] = {
        key: np.concatenate([getattr(part, key) for part in parts]) for key in ("images", "labels", "ids")
    }
    probabilities = np.concatenate([part.probabilities for part in parts], axis=1)
    return replace(parts[0], split="train", probabilities=probabilities, **arrays)


def gather_most(store: Store, group: Group) -> Evidence:
    """The stored predictions of a baseline group's runs for as many held-out images as possible; trains nothing.

    If ``mine-confusions --out-of-fold`` has been run for some of the group's seeds, these are all training images (with
    the number of folds that has the most seeds, then the most folds); else `mine`.

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
