"""Runs are trained by the workers of a Ray cluster. Imports Ray: import it inside functions."""

import logging
import os
import time
from collections.abc import Generator
from typing import Any

from erroran.data import Dataset
from erroran.errors import ErroranError, TrainingError, Unavailable
from erroran.execution.machine import count_cores
from erroran.execution.task import CHECK_SECONDS, Finished, Task, Todo, Work, train_away, train_task

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
    from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError
    from ray.util.queue import Queue
except ImportError as error:
    raise ErroranError("--executor ray needs Ray.", fix="pip install 'erroran[ray]'") from error

_RETRIES = 3


class RayCluster:
    """Trains runs on the workers of a Ray cluster, one core each.

    The images lie in Ray's object store: a machine gets them once, and its workers map them into memory. The runs of a
    lost worker are given to others by Ray, up to three times each.
    """

    def __init__(self, address: str | None = None, *, work: Work = train_task) -> None:
        """Connect to HOST:PORT; None for ``$RAY_ADDRESS``, else a new Ray on this machine. `work` is what workers do.

        Raises:
            Unavailable: It does not answer.
        """
        if not ray.is_initialized():
            start = {} if address or os.environ.get("RAY_ADDRESS") else {"num_cpus": count_cores()}
            quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
            try:
                ray.init(address=address, **start, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise Unavailable(
                    f"No Ray answers at {address or os.environ.get('RAY_ADDRESS')}.",
                    fix="ray start --head, then --executor ray=HOST:6379",
                ) from error
        self._train = ray.remote(num_cpus=1, max_retries=_RETRIES)(_train)
        self._work = work

    @property
    def jobs(self) -> int:
        """Runs at a time: cores of the cluster."""
        return int(ray.cluster_resources().get("CPU", 1))

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """See `Executor`."""
        reports = Queue(actor_options={"num_cpus": 0})
        images: dict[str, Any] = {}
        refs: dict[Any, Task] = {}

        def fill() -> None:
            # A few more than fit, so that no worker waits for the next one.
            wanted = 1 + self.jobs + self.jobs // 4
            while len(refs) < wanted and (task := next(todo.tasks, None)):
                for digest in task.datasets:
                    if digest not in images:
                        images[digest] = ray.put(todo.store.get_dataset(digest))
                data = [images[digest] for digest in task.datasets]
                refs[self._train.remote(self._work, task, reports, *data)] = task

        checked = time.monotonic()
        try:
            fill()
            while refs:
                todo.check()
                done, _ = ray.wait(list(refs), timeout=CHECK_SECONDS)
                for ref in done:
                    yield _result(ref, refs.pop(ref))
                    fill()
                if time.monotonic() - checked > CHECK_SECONDS:
                    checked = time.monotonic()
                    for progress in reports.get_nowait_batch(reports.size()):
                        todo.on_progress(progress)
        finally:
            for ref in refs:
                ray.cancel(ref, force=True)
            reports.shutdown(force=True)


def _result(ref: Any, task: Task) -> Finished:
    try:
        finished: Finished = ray.get(ref)
    except RayTaskError as error:
        raise error.cause from error
    except (OutOfMemoryError, WorkerCrashedError) as error:
        raise TrainingError(
            f"Seed {task.spec.seed} was given up: {1 + _RETRIES} Ray workers ended while they trained it, as they do"
            " when memory runs out.",
            fix="read Ray's log; finished runs are kept, the same command goes on",
        ) from error
    return finished


def _train(work: Work, task: Task, reports: Queue, *datasets: Dataset) -> Finished:
    """Do a task on a worker."""
    return train_away(work, task, datasets, reports.put_nowait)
