"""Complete the runs of a command: the only place that takes leases and writes runs into the store."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from erroran import provenance
from erroran.errors import TrainingError
from erroran.execution.local import InProcess
from erroran.execution.task import Executor, Finished, OnProgress, Task, Todo
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store
from erroran.store.environment import check_environment
from erroran.store.leases import is_leased, lease
from erroran.store.records import RunRecord
from erroran.training.fit import Progress

_POLL_SECONDS = 1.0

_log = logging.getLogger("erroran")

OnFinished = Callable[[RunRecord], None]


@dataclass(frozen=True)
class Request:
    """A requested run, and the arm that it is requested for; the record of a run names the first such arm."""

    arm: str
    spec: RunSpec


@dataclass(frozen=True)
class Completed:
    """One record per request, in order, and the ids of the runs that this process had trained."""

    records: list[RunRecord]
    trained: list[str]


def complete_runs(
    store: Store,
    requests: Sequence[Request],
    *,
    executor: Executor | None = None,
    on_progress: OnProgress = lambda _: None,
    on_finished: OnFinished = lambda _: None,
) -> Completed:
    """Train the runs that the store lacks, and store each as soon as it is finished.

    Several processes, also on several machines, may request the same runs in one store: one process trains each run,
    and the others wait for it, with one message in the log.

    Args:
        store: Holds the dataset.
        requests: The runs, in order; a run that is requested twice is trained once.
        executor: Trains them; by default this process, one after another.
        on_progress: Called during the training, always from this thread.
        on_finished: Called with each run that was trained for this call.

    Raises:
        TrainingError: A run failed; finished runs are kept.
        ErroranError: A missing run cannot be trained in this environment; nothing is trained then.
    """
    wanted: dict[str, Request] = {}
    for request in requests:
        wanted.setdefault(request.spec.id, request)
    executor = executor or InProcess()
    trained: set[str] = set()
    told = False
    with _stop_on_interrupt() as check:
        while missing := [request for run_id, request in wanted.items() if not store.has_run(run_id)]:
            for request in missing:
                check_environment(request.spec)
            free = [request for request in missing if not is_leased(store.leases, request.spec.id)]
            if not free:
                if not told:
                    seeds = ", ".join(str(request.spec.seed) for request in missing)
                    _log.warning("Waiting for another process that trains these seeds in %s: %s", store.name, seeds)
                told = True
                time.sleep(_POLL_SECONDS)
                check()
                continue
            for record in _train(store, free, len(wanted), executor, on_progress, check):
                trained.add(record.id)
                on_finished(record)
    records = [store.get_run(request.spec.id) for request in requests]
    return Completed(records, [run_id for run_id in wanted if run_id in trained])


def _train(
    store: Store,
    requests: Sequence[Request],
    requested: int,
    executor: Executor,
    on_progress: OnProgress,
    check: Callable[[], None],
) -> Iterator[RunRecord]:
    """Have the runs trained that no other process trains; store each, then give it."""
    held: dict[str, tuple[Request, ExitStack]] = {}

    def watched(progress: Progress) -> None:
        check()
        if progress.run_id in held:  # the report of a cluster's worker can come after its result
            on_progress(progress)

    # If anything fails, the leases that are still held end with that exception: their runs are not finished.
    with ExitStack() as leases:

        def take() -> Iterator[Task]:
            for request in requests:
                check()
                spec, one = request.spec, ExitStack()
                granted = leases.enter_context(one).enter_context(lease(store.leases, spec.id))
                if not granted or store.has_run(spec.id):
                    one.close()
                    continue
                held[spec.id] = request, one
                yield Task(spec, store.load_source_of(spec))

        todo = Todo(take(), len(requests), requested, store, watched, check)
        with closing(executor.run(todo)) as finished:
            for run in finished:
                request, one = held.pop(run.spec.id)
                record = _store_run(store, request, run)
                one.close()
                yield record
                check()
        if held:
            raise TrainingError(f"{len(held)} runs were not trained.", fix="run the same command again")


def _store_run(store: Store, request: Request, run: Finished) -> RunRecord:
    spec, trained = request.spec, run.trained
    dataset, splits = store.get_dataset(spec.dataset), store.get_splits(spec)
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
        command=provenance.command_line(),
        versions=run.versions,
        commit=run.commit,
        machine=run.machine,
        parameters=trained.parameters,
        history=trained.history,
    )
    store.put_run(record, {"mine": mine, "confirm": confirm}, {"model.keras": trained.model})
    return record


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.probabilities.argmax(1) == predictions.labels).mean())


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
