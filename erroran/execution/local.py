"""Where runs execute: in this process, or in local worker processes."""

import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Manager
from pathlib import Path
from typing import Any

from erroran.data import Dataset, Splits, split_dataset
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store
from erroran.store import environment as provenance
from erroran.store.records import RunRecord
from erroran.training.fit import Progress, train


@dataclass(frozen=True)
class Request:
    """A run that somebody wants.

    Attributes:
        arm: The name it is wanted under.
        spec: The run.
    """

    arm: str
    spec: RunSpec


@dataclass(frozen=True)
class Completed:
    """The runs of a list of requests.

    Attributes:
        records: One per request, in order.
        trained: Ids of those that were not in the store before.
    """

    records: list[RunRecord]
    trained: list[str]


def complete_runs(
    store: Store,
    requests: Sequence[Request],
    *,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> Completed:
    """Train what the store lacks; each run is stored as soon as it is finished.

    Args:
        store: Holds the dataset already.
        requests: The runs, in order; one that is asked for twice is trained once.
        jobs: Runs at a time.
        on_progress: Called often, from one thread.
        on_finished: Called with each run that was trained.

    Raises:
        TrainingError: A run broke off; those before it are kept.
    """
    missing = {r.spec.id: r for r in requests if not store.has_run(r.spec.id)}
    if jobs == 1 or len(missing) <= 1:
        with _stop_on_interrupt() as check:

            def watched(progress: Progress) -> None:
                check()
                on_progress(progress)

            for request in missing.values():
                check()
                on_finished(_train_and_store(request, store.root, provenance.command_line(), watched))
    else:
        _in_workers(store, list(missing.values()), jobs, on_progress, on_finished)
    return Completed([store.get_run(r.spec.id) for r in requests], list(missing))


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], None]]:
    """Give a check that raises KeyboardInterrupt once Ctrl-C was pressed.

    Python raises KeyboardInterrupt wherever the main thread happens to be. Inside a destructor or a weakref
    callback, where clean-up between two runs spends its time, it is printed and lost, and training would go on.
    So the first Ctrl-C is only noted, for the next check to act on; a second one acts at once.
    """
    asked = threading.Event()

    def note(signum: int, frame: object) -> None:
        del signum, frame
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may set handlers, and only it is interrupted
        return
    before = signal.signal(signal.SIGINT, note) if signal.getsignal(signal.SIGINT) != signal.SIG_IGN else None
    try:
        yield check
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _in_workers(
    store: Store,
    requests: list[Request],
    jobs: int,
    on_progress: Callable[[Progress], None],
    on_finished: Callable[[RunRecord], None],
) -> None:
    from joblib import Parallel, delayed

    with Manager() as manager:
        messages = manager.Queue()
        done = threading.Event()
        listener = threading.Thread(target=_forward, args=(messages, done, on_progress), daemon=True)
        listener.start()
        try:
            workers = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)
            command = provenance.command_line()
            tasks = (delayed(_train_and_store)(r, store.root, command, messages.put) for r in requests)
            for record in workers(tasks):
                on_finished(record)
        finally:
            done.set()
            listener.join()


def _forward(messages: Any, done: threading.Event, on_progress: Callable[[Progress], None]) -> None:
    while not done.is_set():
        try:
            on_progress(messages.get(timeout=0.2))
        except queue.Empty:
            continue
        except (EOFError, OSError):  # the other end is gone: the runs are being stopped
            return


def _train_and_store(request: Request, root: Path, command: str, on_progress: Callable[[Progress], None]) -> RunRecord:
    store, spec = Store(root), request.spec
    splits, dataset = _load(root, spec.dataset, spec.mine_fraction, spec.fold)
    class_names = dataset.class_names
    source = store.get_source(spec.source) if spec.source else None
    trained = train(spec, splits, class_names, on_progress, source=source)
    predictions = {
        name: Predictions(probabilities=probabilities, labels=part.y, ids=part.ids)
        for name, part, probabilities in (
            ("mine", splits.mine, trained.probabilities_mine),
            ("confirm", splits.confirm, trained.probabilities_confirm),
        )
    }
    accuracy = {name: _accuracy(part) for name, part in predictions.items()}
    record = RunRecord(
        spec=spec,
        arm=request.arm,
        dataset_name=dataset.name,
        note=dataset.note,
        accuracy_mine=accuracy["mine"],
        accuracy_confirm=accuracy["confirm"],
        seconds=trained.seconds,
        created=provenance.now(),
        command=command,
        versions=provenance.versions(),
        commit=provenance.commit(),
        machine=provenance.machine(),
        parameters=trained.parameters,
        history=trained.history,
    )
    store.put_run(record, predictions, {"model.keras": trained.model})
    return record


@lru_cache(maxsize=1)
def _load(root: Path, digest: str, mine_fraction: float, fold: tuple[int, int] | None) -> tuple[Splits, Dataset]:
    dataset = Store(root).get_dataset(digest)
    return split_dataset(dataset, mine_fraction=mine_fraction, fold=fold), dataset


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.probabilities.argmax(1) == predictions.labels).mean())
