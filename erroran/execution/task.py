"""What a worker gets, does and gives back. Workers are pure: they never see a store."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from erroran import provenance
from erroran.data import Dataset, Splits, split_dataset
from erroran.execution.machine import thread_settings
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import check_environment
from erroran.training.fit import Progress, TrainedRun, train

CHECK_SECONDS = 0.5
"""How often an executor that waits calls `Todo.check`."""
_REPORT_SECONDS = 1.0

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Task:
    """One run to train.

    Attributes:
        spec: The run.
        source: Code of a user's own model.
    """

    spec: RunSpec
    source: str | None

    @property
    def datasets(self) -> tuple[str, ...]:
        """Digests of the datasets that the run reads."""
        added = self.spec.data.add
        return (self.spec.dataset,) if added in (None, self.spec.dataset) else (self.spec.dataset, added)


@dataclass(frozen=True)
class Finished:
    """A trained run, with what only its worker knows of the record: see `RunRecord`."""

    spec: RunSpec
    trained: TrainedRun
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]

    @classmethod
    def here(cls, spec: RunSpec, trained: TrainedRun) -> "Finished":
        """A run that was trained in this process."""
        return cls(spec, trained, provenance.versions(), provenance.commit(), provenance.machine())


class Data(Protocol):
    """Gives datasets by digest; a `Store` does, and `Images` where there is none."""

    def get_dataset(self, digest: str) -> Dataset:
        """The dataset of a digest."""

    def get_splits(self, spec: RunSpec) -> Splits:
        """The dataset of a run, split as the run splits it."""


class Images:
    """The datasets of a worker, each read once, and the last split."""

    def __init__(self, read: Callable[[str], Dataset]) -> None:
        """`read` gives the dataset of a digest."""
        self._read = read
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[tuple[object, ...], Splits] = {}

    def get_dataset(self, digest: str) -> Dataset:
        """The dataset of a digest; errors are those of `read`."""
        if digest not in self._datasets:
            self._datasets[digest] = self._read(digest)
        return self._datasets[digest]

    def get_splits(self, spec: RunSpec) -> Splits:
        """The dataset of a run, split as the run splits it."""
        key = (spec.dataset, spec.mine_fraction, spec.fold)
        if key not in self._splits:
            dataset = self.get_dataset(spec.dataset)
            self._splits.clear()  # out of fold, each fold has splits of its own
            self._splits[key] = split_dataset(dataset, mine_fraction=spec.mine_fraction, fold=spec.fold)
        return self._splits[key]


_images: dict[tuple[str, ...], Images] = {}

Work = Callable[[Task, Data, OnProgress], Finished]


def train_task(task: Task, data: Data, on_progress: OnProgress) -> Finished:
    """Train a run in this process.

    Raises:
        ErroranError: The software of this process is not that of the run's key.
        TrainingError, BadInput: See `erroran.training.fit.train`.
    """
    spec = task.spec
    check_environment(spec)
    splits, names = data.get_splits(spec), data.get_dataset(spec.dataset).class_names
    added = data.get_dataset(spec.data.add) if spec.data.add else None
    return Finished.here(spec, train(spec, splits, names, on_progress, source=task.source, added=added))


def train_away(work: Work, task: Task, datasets: Sequence[Dataset], on_progress: OnProgress) -> Finished:
    """Do a task in a process of a cluster, with one thread unless its environment says otherwise.

    The process keeps the last datasets and their split; progress is reported once a second.
    """
    for name, value in thread_settings(1).items():
        os.environ.setdefault(name, value)
    key = tuple(dataset.digest for dataset in datasets)
    if key not in _images:
        _images.clear()
        _images[key] = Images(dict(zip(key, datasets, strict=True)).__getitem__)
    reported = 0.0

    def report(progress: Progress) -> None:
        nonlocal reported
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            on_progress(progress)

    return work(task, _images[key], report)


@dataclass(frozen=True)
class Todo:
    """The runs that an executor is to train.

    Attributes:
        tasks: The runs. Taking one takes its lease: take it only when a worker is free for it, or nearly so.
        at_most: As many `tasks` can give; fewer if other processes train some of them.
        requested: Runs of the whole command, those included that are finished.
        store: To read datasets from: `get_dataset`, `get_splits`, `dataset_folder`; an executor writes nothing.
        on_progress: Raises KeyboardInterrupt after Ctrl-C. Call it from the thread that iterates.
        check: The same without a report: call it every `CHECK_SECONDS` while nothing is reported.
    """

    tasks: Iterator[Task]
    at_most: int
    requested: int
    store: Store
    on_progress: OnProgress
    check: Callable[[], None]


class Executor(Protocol):
    """Trains runs somewhere."""

    @property
    def jobs(self) -> int:
        """Runs at a time."""

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """Give each run as soon as it is finished, in any order.

        When the iterator is closed early, work that has begun is stopped.

        Raises:
            ErroranError: A run failed, or a worker was lost; the other runs in training are lost as well.
        """
