"""Real clusters on this machine: the runs of a lost worker are trained again, with the same result."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset
from erroran.errors import Unavailable
from erroran.execution.choose import choose_executor
from erroran.execution.driver import Completed, Request, complete_runs
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.training.fit import Progress

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = 1_000_000


def _requests(dataset: Dataset, *, seeds: int, epochs: int) -> list[Request]:
    spec = RunSpec(
        dataset=dataset.digest,
        mine_fraction=0.1,
        model="dense-baseline",
        recipe=Recipe(name="standard", epochs=epochs, batch_size=8, learning_rate=1e-3, schedule="constant"),
        environment=current_environment("dense-baseline"),
        seed=0,
    )
    return [Request("baseline", spec.model_copy(update={"seed": seed})) for seed in range(seeds)]


def _store(folder: Path, dataset: Dataset) -> Store:
    store = Store(folder)
    store.put_dataset(dataset)
    return store


def _bytes_of(store: Store, completed: Completed) -> list[bytes]:
    return [
        np.load(store.run_folder(run.id) / f"{split}.npz")["probabilities"].tobytes()
        for run in completed.records
        for split in ("mine", "confirm")
    ]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[str]"]]]:
    """A Dask scheduler and two worker processes of one thread: its address, and the three processes."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'erroran[dask]'")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_LOGGING__DISTRIBUTED": "info"}
    log = tmp_path / "scheduler.log"

    def start(log: Path, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        with log.open("w") as file:
            return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=file, text=True)

    processes = [start(log, "scheduler", "--host", "127.0.0.1", "--port", "0")]
    try:
        while not (found := re.search(r"Scheduler at:\s+tcp://(\S+)", log.read_text())):
            assert processes[0].poll() is None, log.read_text()
            time.sleep(0.1)
        address = found.group(1)
        processes += [
            start(tmp_path / f"{name}.log", "worker", address, "--nthreads", "1", "--no-nanny") for name in "ab"
        ]
        yield address, processes
    finally:
        for process in reversed(processes):
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_killed_dask_worker_changes_no_result(
    scheduler: tuple[str, list["subprocess.Popen[str]"]], tmp_path: Path, tiny_dataset: Dataset
) -> None:
    """A worker is killed while both train; the other trains its run again, and all others.

    The same runs on the worker that is left have the same bytes. After Ctrl-C a worker stops its run. A
    lost scheduler is named.
    """
    address, (scheduler_process, first_worker, _) = scheduler
    cluster = choose_executor(f"dask={address}")
    store, started = _store(tmp_path / "one", tiny_dataset), list[int]()

    def kill(progress: Progress) -> None:
        if progress.step == 1:
            started.append(progress.seed)
            if len(started) == 2:
                first_worker.kill()

    requests = _requests(tiny_dataset, seeds=3, epochs=10)
    first = _bytes_of(store, complete_runs(store, requests, executor=cluster, on_progress=kill))
    assert sorted(set(started)) == [0, 1, 2]
    assert len(started) == 4
    assert cluster.jobs == 1

    again = _store(tmp_path / "two", tiny_dataset)
    completed = complete_runs(again, requests, executor=cluster)
    assert _bytes_of(again, completed) == first
    assert {run.machine["threads"] for run in completed.records} == {"1"}

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_runs(store, _requests(tiny_dataset, seeds=1, epochs=ENDLESS), executor=cluster, on_progress=interrupt)
    short = _requests(tiny_dataset, seeds=1, epochs=1)
    assert complete_runs(store, short, executor=cluster).trained  # the only worker is free

    with pytest.raises(Unavailable, match="The Dask scheduler is gone"):
        complete_runs(
            store,
            _requests(tiny_dataset, seeds=1, epochs=ENDLESS),
            executor=cluster,
            on_progress=lambda _: scheduler_process.kill(),
        )


def test_an_address_without_a_scheduler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'erroran[dask]'")
    monkeypatch.setattr("erroran.execution.dask._TIMEOUT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"No Dask scheduler answers at {address}"):
            choose_executor(f"dask={address}")


@pytest.mark.slow
def test_a_killed_ray_worker_changes_no_result(tmp_path: Path, tiny_dataset: Dataset) -> None:
    """A worker of a Ray that is started here is killed in its first run; Ray starts another, the result is the same."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'erroran[ray]'")
    cluster = choose_executor("ray")
    store, started = _store(tmp_path / "one", tiny_dataset), list[int]()

    def kill(progress: Progress) -> None:
        started.append(progress.seed)
        if len(started) == 1:
            os.kill(_ray_workers()[0], signal.SIGKILL)

    try:
        requests = _requests(tiny_dataset, seeds=2, epochs=10)
        first = complete_runs(store, requests, executor=cluster, on_progress=kill)
        assert len(started) > 1
        before = _bytes_of(store, first)
        for run_id in first.trained:
            store.remove_run(run_id)
        assert _bytes_of(store, complete_runs(store, requests, executor=cluster)) == before
    finally:
        ray.shutdown()


def _ray_workers() -> list[int]:
    """Processes that train in a Ray which this process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            raylet = _parent(folder)
            if (folder / "cmdline").read_bytes().startswith(b"ray::_train") and _parent(raylet).name == str(
                os.getpid()
            ):
                found.append(int(folder.name))
    return found


def _parent(process: Path) -> Path:
    return process.with_name((process / "stat").read_text().rpartition(")")[2].split()[1])
