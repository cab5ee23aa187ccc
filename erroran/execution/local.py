"""Runs are trained in this process, or in local worker processes."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Manager

from erroran import provenance
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store
from erroran.store.environment import check_environment
from erroran.store.leases import is_leased, lease
from erroran.store.records import RunRecord
from erroran.training.fit import Progress, train

_POLL_SECONDS = 1.0

_log = logging.getLogger("erroran")

OnProgress = Callable[[Progress], None]
OnFinished = Callable[[RunRecord], None]


@dataclass(frozen=True)
class Request:
    """A requested run, and the arm that it is requested for; the record of a run names the first such arm."""

    arm: str
    spec: RunSpec


@dataclass(frozen=True)
class Completed:
    """One record per request, in order, and the ids of the runs that this process trained."""

    records: list[RunRecord]
    trained: list[str]


def complete_runs(
    store: Store,
    requests: Sequence[Request],
    *,
    jobs: int = 1,
    on_progress: OnProgress = lambda _: None,
    on_finished: OnFinished = lambda _: None,
) -> Completed:
    """Train the runs that the store lacks, and store each as soon as it is finished.

    Several processes, also on several machines, may request the same runs in one store: one process trains each run,
    and the others wait for it, with one message in the log.

    Args:
        store: Holds the dataset.
        requests: The runs, in order; a run that is requested twice is trained once.
        jobs: Runs at a time.
        on_progress: Called during the training, always from the same thread.
        on_finished: Called with each run that this process trained.

    Raises:
        TrainingError: A run failed; finished runs are kept.
        ErroranError: A missing run cannot be trained in this environment; nothing is trained then.
    """
    wanted = {request.spec.id: request for request in requests}
    trained = set()

    def finish(record: RunRecord) -> None:
        trained.add(record.id)
        on_finished(record)

    told = False
    while missing := [request for run_id, request in wanted.items() if not store.has_run(run_id)]:
        for request in missing:
            check_environment(request.spec)
        free = [request for request in missing if not is_leased(store.root, request.spec.id)]
        if jobs > 1 and len(free) > 1:
            _train_in_workers(store, free, jobs, on_progress, finish)
        elif free:
            _train_here(store, free, on_progress, finish)
        else:
            seeds = ", ".join(str(request.spec.seed) for request in missing)
            if not told:
                _log.warning("Waiting for another process that trains these seeds in %s: %s", store.root, seeds)
            told = True
            time.sleep(_POLL_SECONDS)
    records = [store.get_run(request.spec.id) for request in requests]
    return Completed(records, [run_id for run_id in wanted if run_id in trained])


def _train_here(store: Store, requests: Sequence[Request], on_progress: OnProgress, on_finished: OnFinished) -> None:
    with _stop_on_interrupt() as check:

        def watched(progress: Progress) -> None:
            check()
            on_progress(progress)

        for request in requests:
            check()
            record = _train_and_store(store, request, provenance.command_line(), watched)
            if record is not None:
                on_finished(record)
        check()


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], None]]:
    """Give a check that raises KeyboardInterrupt after the first Ctrl-C; a second Ctrl-C raises it at once.

    Without this, Python may raise it inside a destructor or a weakref callback, such as between two runs, where it is
    printed and ignored.
    """
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    def note(*_: object) -> None:
        check()
        asked.set()

    before = signal.getsignal(signal.SIGINT)
    # Signal handlers run in the main thread, and only that may set them. Under `nohup` Ctrl-C stays without effect.
    used = threading.current_thread() is threading.main_thread() and before != signal.SIG_IGN
    if used:
        signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        if used:
            signal.signal(signal.SIGINT, before)


def _train_in_workers(
    store: Store, requests: Sequence[Request], jobs: int, on_progress: OnProgress, on_finished: OnFinished
) -> None:
    from joblib import Parallel, delayed

    with Manager() as manager:
        messages = manager.Queue()

        def forward() -> None:
            with suppress(EOFError, OSError):  # the manager was stopped
                for progress in iter(messages.get, None):
                    on_progress(progress)

        listener = threading.Thread(target=forward, daemon=True)
        listener.start()
        try:
            workers = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)
            command = provenance.command_line()
            for record in workers(delayed(_train_and_store)(store, r, command, messages.put) for r in requests):
                if record is not None:
                    on_finished(record)
        finally:
            with suppress(EOFError, OSError):
                messages.put(None)
            listener.join()


def _train_and_store(store: Store, request: Request, command: str, on_progress: OnProgress) -> RunRecord | None:
    """Train a run and store it; None if another process trains it or has just finished it."""
    spec = request.spec
    with lease(store.root, spec.id) as granted:
        if not granted or store.has_run(spec.id):
            return None
        dataset, splits = store.get_dataset(spec.dataset), store.get_splits(spec)
        source = store.load_source_of(spec)
        added = store.get_dataset(spec.data.add) if spec.data.add else None
        trained = train(spec, splits, dataset.class_names, on_progress, source=source, added=added)
        parts = (splits.mine, trained.probabilities_mine), (splits.confirm, trained.probabilities_confirm)
        mine, confirm = (Predictions(probabilities=found, labels=part.y, ids=part.ids) for part, found in parts)
        record = RunRecord(
            spec=spec,
            arm=request.arm,
            dataset_name=dataset.name,
            note=dataset.note,
            accuracy_mine=_accuracy(mine),
            accuracy_confirm=_accuracy(confirm),
            seconds=trained.seconds,
            created=provenance.now(),
            command=command,
            versions=provenance.versions(),
            commit=provenance.commit(),
            machine=provenance.machine(),
            parameters=trained.parameters,
            history=trained.history,
        )
        store.put_run(record, {"mine": mine, "confirm": confirm}, {"model.keras": trained.model})
    return record


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.probabilities.argmax(1) == predictions.labels).mean())
