"""The predictions of several runs for the same images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from erroran.data import Part
from erroran.errors import ErroranError, NotFound
from erroran.experiment.judging import FEWEST_FOLDS, MOST_FOLDS, Judging
from erroran.experiment.runspec import RunSpec
from erroran.store.artifacts import Predictions, Store
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord


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


@dataclass(frozen=True, eq=False)
class Judged:
    """What the runs of one arm predict for the images that judge a hypothesis.

    Attributes:
        judging: Which images these are.
        runs: S * F records, F being `Judging.runs_per_seed`: seed by seed, for each seed fold by fold.
        part: The N images with labels, the original ones, and ids.
        fold: ``int64`` (N,), 0 to F - 1: which run of each seed has not trained on the image and predicts it.
        predicted: ``int64`` (S, N): the predicted class.
        class_names: The K names.
    """

    judging: Judging
    runs: tuple[RunRecord, ...]
    part: Part
    fold: np.ndarray
    predicted: np.ndarray
    class_names: tuple[str, ...]

    @property
    def images(self) -> np.ndarray:
        """``uint8`` (N, H, W, C)."""
        return self.part.x

    @property
    def labels(self) -> np.ndarray:
        """``int64`` (N,)."""
        return self.part.y

    @property
    def ids(self) -> np.ndarray:
        """Strings (N,)."""
        return self.part.ids

    @property
    def seeds(self) -> list[int]:
        """The S seeds."""
        return [run.spec.seed for run in self.runs[:: self.judging.runs_per_seed]]

    @property
    def run_ids(self) -> list[tuple[str, ...]]:
        """For each seed the ids of its runs, one per fold."""
        ids, size = [run.id for run in self.runs], self.judging.runs_per_seed
        return [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]

    @property
    def population(self) -> str:
        """The judged images in words."""
        return self.judging.describe(len(self.labels))


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
    runs = _get_runs(store, run_ids)
    splits = store.get_splits(runs[0].spec)
    part = splits.mine if split == "mine" else splits.confirm
    class_names = store.get_dataset(runs[0].spec.dataset).class_names
    stacked = []
    for run in runs:
        predictions = store.get_predictions(run.id, split, look=look)
        if not np.array_equal(predictions.ids, part.ids) or predictions.probabilities.shape[1] != len(class_names):
            raise _other_images(run, split, class_names)
        stacked.append(predictions.probabilities)
    return Evidence(runs, split, part.x, part.y, part.ids, np.stack(stacked), class_names)


def gather_judged(
    store: Store,
    run_ids: Sequence[str],
    judging: Judging,
    *,
    look: Entry,
    classify: Callable[[np.ndarray], np.ndarray] = lambda probabilities: probabilities.argmax(axis=1),
) -> Judged:
    """Read what the runs of one arm predict for the images that judge a hypothesis.

    Out of fold these are the images of `train` as the group's runs split it: all training images but those of `mine`.

    Args:
        store: Holds the runs.
        run_ids: Of the runs, seed by seed, for each seed fold by fold; at least one seed.
        judging: Which images judge.
        look: The ledger's entry, which is recorded before the reading.
        classify: Makes classes (n,) of the probabilities (n, K) of one run; by default the most probable class.

    Raises:
        NotFound: A run was removed.
        ErroranError: The predictions of a run do not belong to its images.
    """
    runs = _get_runs(store, run_ids)
    store.ledger.record(look)
    part = judged_part(store, runs[0].spec, judging)
    predicted, fold = _read_held_out(store, runs, judging, part, classify, look)
    return Judged(judging, runs, part, fold, predicted, store.get_dataset(runs[0].spec.dataset).class_names)


def judged_part(store: Store, spec: RunSpec, judging: Judging) -> Part:
    """The images that judge, with their labels; reads no predictions.

    Args:
        store: Holds the dataset.
        spec: Any run of the baseline group; it gives the dataset and the part that is mined.
        judging: Which images judge.
    """
    splits = store.get_splits(_without_fold(spec))
    return splits.confirm if judging.folds is None else splits.train


def gather_mined(store: Store, run_ids: Sequence[str], judging: Judging) -> tuple[np.ndarray, np.ndarray]:
    """Read what the runs of one arm predict for the images of `mine`, which do not judge.

    Args:
        store: Holds the runs.
        run_ids: As in `gather_judged`.
        judging: Out of fold, each image is predicted by the run of each seed that has not trained on it.

    Returns:
        Labels, ``int64`` (M,), and probabilities, ``float32`` (S, M, K).

    Raises:
        NotFound: A run was removed.
        ErroranError: The predictions of a run do not belong to its images.
    """
    runs = _get_runs(store, run_ids)
    part = store.get_splits(_without_fold(runs[0].spec)).mine
    if judging.folds is None:
        return part.y, gather(store, run_ids, "mine").probabilities
    return part.y, _read_held_out(store, runs, judging, part, lambda probabilities: probabilities, None)[0]


def _read_held_out(
    store: Store,
    runs: Sequence[RunRecord],
    judging: Judging,
    part: Part,
    read: Callable[[np.ndarray], np.ndarray],
    look: Entry | None,
) -> tuple[np.ndarray, np.ndarray]:
    """What each seed's runs say about each image of `part`: (S, N, ...), and the fold that holds the image out (N,).

    The ids in the prediction files tell which images a run has held out; other images than those of `part` are left
    out. `read` is given the probabilities (n, K) of one run.
    """
    split, size = ("confirm", 1) if judging.folds is None else ("mine", judging.folds)
    class_names = store.get_dataset(runs[0].spec.dataset).class_names
    if len(runs) % size:
        raise _other_images(runs[-1], split, class_names)
    order = np.argsort(part.ids)
    names = part.ids[order]
    known: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    found: np.ndarray | None = None
    fold = np.full(len(names), -1)
    for at, run in enumerate(runs):
        seed, k = divmod(at, size)
        expected = None if judging.folds is None else (k, judging.folds)
        predictions = store.get_predictions(run.id, split, look=look if split == "confirm" else None)
        if k not in known or not np.array_equal(known[k][0], predictions.ids):
            nearest = np.minimum(np.searchsorted(names, predictions.ids), len(names) - 1)
            rows = np.flatnonzero(names[nearest] == predictions.ids)
            known[k] = predictions.ids, rows, order[nearest[rows]]
        _, rows, places = known[k]
        twice = seed == 0 and bool((fold[places] >= 0).any())
        if seed == 0:
            fold[places] = k
        known_images = _belong(predictions, part, (rows, places), fold == k, len(class_names))
        if run.spec.fold != expected or twice or not known_images:
            raise _other_images(run, split, class_names)
        values = read(predictions.probabilities[rows])
        if found is None:
            found = np.empty((len(runs) // size, len(names), *values.shape[1:]), dtype=values.dtype)
        found[seed, places] = values
    if found is None or (fold < 0).any():
        raise _other_images(runs[-1], split, class_names)
    return found, fold


def _belong(
    predictions: Predictions, part: Part, shared: tuple[np.ndarray, np.ndarray], expected: np.ndarray, n_classes: int
) -> bool:
    """Whether predictions are about the expected images of `part`, bool (N,), each once, with their labels."""
    rows, places = shared
    each_once = len(np.unique(places)) == len(places) == int(expected.sum()) and bool(expected[places].all())
    same_labels = np.array_equal(predictions.labels[rows], part.y[places])
    return each_once and same_labels and predictions.probabilities.shape[1] == n_classes


def _get_runs(store: Store, run_ids: Sequence[str]) -> tuple[RunRecord, ...]:
    for run_id in run_ids:
        if not store.has_run(run_id):
            raise NotFound(
                f"Run {run_id} is needed, and is not in the store {store.name} any more.",
                fix="repeat the `erroran baseline` or `erroran intervene` that trained it",
            )
    return tuple(store.get_run(run_id) for run_id in run_ids)


def _without_fold(spec: RunSpec) -> RunSpec:
    return spec.model_copy(update={"fold": None})


def _other_images(run: RunRecord, split: str, class_names: Sequence[str]) -> ErroranError:
    return ErroranError(
        f"Run {run.id} has no predictions for the images of `{split}` in {len(class_names)} classes.",
        fix=f"erroran runs remove {run.id}, then train it again",
    )


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
    for folds in range(FEWEST_FOLDS, MOST_FOLDS + 1):
        by_fold = [[group.run_spec(seed, fold=(k, folds)).id for k in range(folds)] for seed in group.seeds]
        complete = [ids for ids in by_fold if all(map(store.has_run, ids))]
        if complete and len(complete) >= (len(found[0]) if found else 0):
            found = [list(ids) for ids in zip(*complete, strict=True)]
    if found:
        return gather_out_of_fold(store, found)
    return gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
