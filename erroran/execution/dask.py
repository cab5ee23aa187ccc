"""Runs are trained by the workers of a Dask cluster. Imports Dask: import it inside functions."""

import threading
import time
import uuid
import warnings
from collections.abc import Generator
from concurrent.futures import CancelledError
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Any

from erroran.data import Dataset
from erroran.errors import ErroranError, TrainingError, Unavailable
from erroran.execution.task import CHECK_SECONDS, Finished, Task, Todo, Work, train_away, train_task
from erroran.training.fit import Progress

try:
    from distributed import Client, Future, KilledWorker, get_worker
    from distributed.worker import thread_state
except ImportError as error:
    raise ErroranError("--executor dask needs Dask.", fix="pip install 'erroran[dask]'") from error

_TIMEOUT_SECONDS = 10
_COUNT_SECONDS = 2.0
_training = threading.Lock()  # Keras' settings and random numbers belong to the process: one run at a time in each


class DaskCluster:
    """Trains runs on the workers of a Dask cluster.

    The images are the result of a task of their own, whose key has the dataset's digest: they reach each worker once,
    from the scheduler or from another worker, and again if the workers that held them are lost. The runs of a lost
    worker are given to others by the scheduler; after `allowed-failures` of its settings (3) it gives up.
    """

    def __init__(self, address: str, *, work: Work = train_task) -> None:
        """Connect to the scheduler at HOST:PORT; `work` is what the workers do.

        Raises:
            Unavailable: It does not answer.
        """
        try:
            self._client = Client(address, timeout=_TIMEOUT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"No Dask scheduler answers at {address}.", fix="dask scheduler, then --executor dask=HOST:8786"
            ) from error
        self._work, self._topic = work, f"erroran-{uuid.uuid4().hex}"
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._client.subscribe_topic(self._topic, lambda event: self._messages.put(Progress(**event[1]["progress"])))

    @property
    def jobs(self) -> int:
        """Runs at a time: threads of all workers."""
        return sum(self._client.ncores().values()) or 1

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """See `Executor`."""
        images: dict[str, Future] = {}
        futures: dict[Future, Task] = {}
        jobs, counted = 0, -_COUNT_SECONDS

        def submit(task: Task) -> None:
            for digest in task.datasets:
                if digest not in images:
                    images[digest] = self._send(todo.store.get_dataset(digest))
            key = f"erroran-{task.spec.id}-{uuid.uuid4().hex}"
            data = [images[digest] for digest in task.datasets]
            future = self._client.submit(_train, self._work, task, self._topic, *data, key=key, pure=False)
            futures[future] = task
            future.add_done_callback(self._messages.put)

        def fill() -> None:
            nonlocal jobs, counted
            if time.monotonic() - counted > _COUNT_SECONDS:  # workers come and go
                jobs, counted = self.jobs, time.monotonic()
            # A few more than fit, so that no worker waits for the next one.
            while len(futures) < 1 + jobs + jobs // 4 and (task := next(todo.tasks, None)):
                submit(task)

        try:
            fill()
            while futures:
                todo.check()
                try:
                    message = self._messages.get(timeout=CHECK_SECONDS)
                except Empty:
                    continue
                if isinstance(message, Progress):
                    todo.on_progress(message)
                elif message in futures:
                    yield _result(message, futures.pop(message))
                    fill()
        finally:
            if self._client.status == "running":
                self._client.cancel(list(futures))

    def _send(self, dataset: Dataset) -> Future:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # it is; once
            return self._client.submit(_hand_over, dataset, key=f"erroran-images-{dataset.digest}")


def _result(future: Future, task: Task) -> Finished:
    try:
        finished: Finished = future.result()
    except KilledWorker as error:
        raise TrainingError(
            f"Seed {task.spec.seed} was given up: several Dask workers ended while they trained it, as they do when"
            " memory runs out.",
            fix="read the workers' log; finished runs are kept, the same command goes on",
        ) from error
    except CancelledError as error:
        raise Unavailable(
            "The Dask scheduler is gone.", fix="start it again; finished runs are kept, the same command goes on"
        ) from error
    return finished


def _hand_over(dataset: Dataset) -> Dataset:
    return dataset


def _train(work: Work, task: Task, topic: str, *datasets: Dataset) -> Finished:
    """Do a task on a worker; progress goes to the topic. A run that nobody waits for any more breaks off."""
    worker, key = get_worker(), thread_state.key

    def report(progress: Progress) -> None:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise TrainingError("The run was cancelled.", fix="none: nobody waits for it")
        worker.log_event(topic, {"progress": asdict(progress)})

    with _training:
        return train_away(work, task, datasets, report)
