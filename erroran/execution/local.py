"""Runs are trained on this machine: in this process, or in worker processes."""

import logging
import os
import pickle
import signal
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from erroran.data import read_dataset
from erroran.errors import ErroranError, TrainingError
from erroran.execution.machine import count_cores, free_memory, has_gpu, thread_settings, usable_cores
from erroran.execution.task import CHECK_SECONDS, Finished, Images, Task, Todo, Work, train_task
from erroran.training.fit import Progress

if TYPE_CHECKING:
    from pathlib import Path

WORKER_BYTES = 1_500_000_000
"""What a worker may need; training the default CNN on MNIST takes 1.4 GB."""
_SHORT_BYTES = 300_000_000
"""With less free memory than this, a worker that has finished a run is ended while others still train."""

_log = logging.getLogger("erroran")


class InProcess:
    """Trains one run after another in this process, with all its threads."""

    jobs = 1

    def __init__(self, *, work: Work = train_task) -> None:
        """`work` is what is done with each task."""
        self._work = work

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """See `Executor`."""
        for task in todo.tasks:
            yield self._work(task, todo.store, todo.on_progress)


class Local:
    """Trains runs in worker processes, each on cores of its own; a single run in this process, with all its threads.

    Workers map the images of the stored dataset into memory, so that all share one copy. They are kept for the next
    call, and end with this object or this process.
    """

    def __init__(self, jobs: int | None = None, *, work: Work = train_task) -> None:
        """Divide the cores among `jobs` workers.

        By default there is one worker with one thread per core, fewer if the free memory is too small, and this process
        alone if there is a GPU. `work` is what they do.
        """
        self._fixed, self._work = jobs is not None, work
        self.jobs = jobs or (1 if has_gpu() else count_cores())
        self._threads = max(1, count_cores() // self.jobs) if self._fixed else 1
        self._workers: list[_Worker] = []
        weakref.finalize(self, _stop, self._workers)

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """See `Executor`."""
        # By the requested runs, not by the missing ones: a command that is continued trains with as many threads.
        if self.jobs == 1 or todo.requested == 1:
            yield from InProcess(work=self._work).run(todo)
            return
        try:
            self._start(min(self.jobs, todo.at_most))
            for worker in list(self._workers):
                self._give(worker, todo)
            while busy := [worker for worker in self._workers if worker.task]:
                todo.check()
                ready = wait([worker.connection for worker in busy], timeout=CHECK_SECONDS)
                for worker in busy:
                    if worker.connection in ready:
                        yield from self._handle(worker, todo)
        finally:
            if any(worker.task for worker in self._workers):  # broken off
                self.close()

    def close(self) -> None:
        """End the workers, whatever they do."""
        _stop(self._workers)

    def _start(self, n: int) -> None:
        """Have at least `n` workers, or as many as the memory allows."""
        if len(self._workers) >= n and all(worker.process.is_alive() for worker in self._workers):
            return
        self.close()
        free = free_memory()
        if not self._fixed and free is not None and (fit := max(1, free // WORKER_BYTES)) < n:
            _log.warning(
                "%d of %d workers: %.1f GB of memory are free, and each may need %.1f GB; --jobs %d starts all",
                *(fit, n, free / 1e9, WORKER_BYTES / 1e9, n),
            )
            n = fit
        cores = usable_cores()
        for at in range(n):
            share = cores[at * len(cores) // n : (at + 1) * len(cores) // n]
            self._workers.append(_Worker.start(self._work, share or cores, self._threads))

    def _give(self, worker: "_Worker", todo: Todo) -> None:
        """Give a worker the next task, if there is one; end it if the memory is short and others still train."""
        worker.task = None
        free = None if self._fixed else free_memory()
        if free is not None and free < _SHORT_BYTES and any(other.task for other in self._workers):
            _log.warning("One worker fewer: only %.1f GB of memory are free", free / 1e9)
            self._workers.remove(worker)
            _stop([worker])
            return
        worker.task = next(todo.tasks, None)
        if worker.task is not None:
            folders = {digest: todo.store.dataset_folder(digest) for digest in worker.task.datasets}
            with suppress(OSError):  # it has ended, which the next reading reports
                worker.connection.send((worker.task, folders))

    def _handle(self, worker: "_Worker", todo: Todo) -> Iterator[Finished]:
        """Read a message of a worker; raises what it raised, or that it has ended."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost(worker) from error
        if isinstance(message, Progress):
            todo.on_progress(message)
        elif isinstance(message, Finished):
            try:
                self._give(worker, todo)  # before the run is stored, so that no core is idle
            except BaseException:
                yield message
                raise
            yield message
        else:
            raise message

    def _lost(self, worker: "_Worker") -> ErroranError:
        assert worker.task is not None
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}, as systems do when memory runs out"
        return TrainingError(
            f"The worker process that trained seed {worker.task.spec.seed} {how}; finished runs are kept.",
            fix=f"run the same command again; if memory is short, with --jobs {max(1, len(self._workers) - 1)}",
        )


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    task: Task | None = None

    @classmethod
    def start(cls, work: Work, cores: tuple[int, ...], threads: int) -> "_Worker":
        context = get_context("spawn")  # a fork would inherit TensorFlow's locks
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, cores), daemon=True)
        with _environment(threads), _no_interrupts():
            process.start()
        theirs.close()
        return cls(process, ours)


def _serve(connection: Connection, work: Work, cores: tuple[int, ...]) -> None:
    """Do tasks until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver ends this one
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    folders: dict[str, Path] = {}
    images = Images(lambda digest: read_dataset(folders[digest]))
    with suppress(EOFError, OSError):
        while True:
            task, known = connection.recv()
            folders.update(known)
            try:
                answer: object = work(task, images, connection.send)
            except BaseException as error:  # noqa: BLE001 - raised in the driver
                answer = _portable(error)
            connection.send(answer)


def _portable(error: BaseException) -> BaseException:
    """The error, or one in its place that another process can read."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - classes of users can raise anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.connection.close()
    workers.clear()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Limit the threads of processes that are started meanwhile."""
    values = thread_settings(threads)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C from their first instruction on; here it is only delayed."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
