"""Worker processes on this machine, with work that takes no time."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from erroran.benchmarks.executors import draw_run
from erroran.data import Dataset
from erroran.errors import BadInput, ErroranError, TrainingError
from erroran.execution import local
from erroran.execution.choose import choose_executor
from erroran.execution.driver import Request, complete_runs
from erroran.execution.local import InProcess, Local
from erroran.execution.machine import count_cores, free_memory, usable_cores
from erroran.execution.task import Data, Finished, OnProgress, Task, Todo
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.training.fit import Progress


@pytest.fixture
def ready(store: Store, tiny_dataset: Dataset) -> Store:
    store.put_dataset(tiny_dataset)
    return store


@pytest.fixture
def requests(tiny_dataset: Dataset) -> list[Request]:
    """Six seeds of a baseline."""
    spec = RunSpec(
        dataset=tiny_dataset.digest,
        mine_fraction=0.1,
        model="cnn",
        recipe=RECIPES["fast"],
        environment=current_environment("cnn"),
        seed=0,
    )
    return [Request("baseline", spec.model_copy(update={"seed": seed})) for seed in range(6)]


def _describe(task: Task, data: Data, on_progress: OnProgress) -> Finished:
    """A run whose record tells about its process."""
    images = data.get_dataset(task.spec.dataset).x_train
    time.sleep(0.2)  # so that no worker takes all
    told = {
        "process": str(os.getpid()),
        "cores": " ".join(map(str, sorted(os.sched_getaffinity(0)))),
        "settings": " ".join(os.environ[f"TF_NUM_{kind}OP_THREADS"] for kind in ("INTRA", "INTER")),
        "mapped": str(isinstance(images.base, np.memmap)),
        "tensorflow": str("tensorflow" in sys.modules),
    }
    run = draw_run(task, data, on_progress)
    return Finished(run.spec, run.trained, run.versions, run.commit, told)


def _endless(task: Task, data: Data, on_progress: OnProgress) -> Finished:
    """Seed 0 is finished at once; the others never end."""
    while task.spec.seed:
        on_progress(Progress(task.spec.id, task.spec.seed, step=1, steps=2, epoch=1, epochs=1, loss=0.0))
        time.sleep(0.05)
    return draw_run(task, data, on_progress)


def _break(task: Task, data: Data, on_progress: OnProgress) -> Finished:
    raise type("Strange", (Exception,), {})(f"seed {task.spec.seed}")  # pickle does not find this class


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_each_worker_has_cores_and_images_of_its_own(ready: Store, requests: list[Request]) -> None:
    """Shares of cores do not overlap; TensorFlow's threads are set before it is imported; images are mapped."""
    workers = Local(2, work=_describe)
    machines = [run.machine for run in complete_runs(ready, requests, executor=workers).records]
    workers.close()
    assert len({machine["process"] for machine in machines}) == 2
    assert str(os.getpid()) not in {machine["process"] for machine in machines}
    shares = {tuple(machine["cores"].split()) for machine in machines}
    assert len(shares) == min(2, len(usable_cores()))
    assert sorted(int(core) for share in shares for core in share) == list(usable_cores())
    assert {machine["settings"] for machine in machines} == {f"{max(1, count_cores() // 2)} 1"}
    assert {(machine["mapped"], machine["tensorflow"]) for machine in machines} == {("True", "False")}


def test_workers_are_kept_and_a_single_run_needs_none(ready: Store, requests: list[Request]) -> None:
    """A later call finds the workers of the first; a command of one run is trained in this process."""
    workers = Local(2, work=_describe)
    assert not complete_runs(ready, requests[:0], executor=workers).records
    first = {run.machine["process"] for run in complete_runs(ready, requests[:4], executor=workers).records}
    second = {run.machine["process"] for run in complete_runs(ready, requests[3:], executor=workers).records}
    assert len(first) == 2
    assert second <= first
    workers.close()
    ready.remove_run(requests[0].spec.id)
    alone = Local(2, work=draw_run)
    complete_runs(ready, requests[:1], executor=alone)
    assert not alone._workers


def test_a_killed_worker_is_named_and_finished_runs_stay(ready: Store, requests: list[Request]) -> None:
    workers, seen = Local(2, work=_endless), set()

    def kill(progress: Progress) -> None:
        seen.add(progress.seed)
        if seen >= {1, 2}:  # two endless runs, so seed 0 is stored
            os.kill(next(w.process.pid for w in workers._workers if w.task.spec.seed == 2), signal.SIGKILL)

    with pytest.raises(
        TrainingError, match=r"trained seed 2 was killed by SIGKILL, as .* memory .*; finished runs"
    ) as e:
        complete_runs(ready, requests, executor=workers, on_progress=kill)
    assert "--jobs 1" in e.value.fix
    assert [run.spec.seed for run in ready.list_runs()] == [0]
    assert not workers._workers
    assert len(complete_runs(ready, requests, executor=InProcess(work=draw_run)).trained) == 5


def test_an_interruption_ends_the_workers(ready: Store, requests: list[Request]) -> None:
    workers, processes = Local(2, work=_endless), []

    def interrupt(progress: Progress) -> None:
        processes[:] = [worker.process for worker in workers._workers]
        if progress.seed == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests, executor=workers, on_progress=interrupt)
    assert len(processes) == 2
    assert [process.is_alive() for process in processes if not process._closed] == [False, False]
    assert [run.spec.seed for run in ready.list_runs()] == [0]
    assert not list((ready.root / "leases").glob("*"))


def test_a_run_that_is_finished_at_the_moment_of_an_interruption_is_kept(
    ready: Store, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next task cannot be given: the run that its worker has just finished is stored nevertheless."""
    give = Local._give

    def broken(self: Local, worker: local._Worker, todo: Todo) -> None:
        if worker.task:
            raise KeyboardInterrupt
        give(self, worker, todo)

    monkeypatch.setattr(Local, "_give", broken)
    with pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests, executor=Local(2, work=draw_run))
    assert len(ready.list_runs()) == 1


def test_any_error_of_a_worker_arrives(ready: Store, requests: list[Request]) -> None:
    """Also one of a class that only the worker has."""
    workers = Local(2, work=_break)
    with pytest.raises(RuntimeError, match=r"Strange: seed [01]"):
        complete_runs(ready, requests, executor=workers)
    workers.close()


def test_there_are_only_as_many_workers_as_the_memory_allows(
    ready: Store, requests: list[Request], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By default; a number of workers that was asked for is started."""
    monkeypatch.setattr(local, "count_cores", lambda: 3)
    monkeypatch.setattr(local, "has_gpu", lambda: False)
    monkeypatch.setattr(local, "free_memory", lambda: int(1.5 * local.WORKER_BYTES))
    for jobs, processes in ((None, 1), (3, 3)):
        workers = Local(jobs, work=_describe)
        machines = [run.machine for run in complete_runs(ready, requests[:3], executor=workers).records]
        assert len({machine["process"] for machine in machines}) == processes
        workers.close()
        for request in requests[:3]:
            ready.remove_run(request.spec.id)
    (line,) = caplog.messages
    assert line.startswith("1 of 3 workers: 2.2 GB of memory are free, and each may need 1.5 GB; --jobs 3 starts all")


def test_a_worker_is_ended_when_the_memory_becomes_short(
    ready: Store, requests: list[Request], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others train all runs."""
    monkeypatch.setattr(local, "count_cores", lambda: 2)
    monkeypatch.setattr(local, "has_gpu", lambda: False)
    left = iter([4e9, 4e9, 4e9])  # at the start, and for the first task of each
    monkeypatch.setattr(local, "free_memory", lambda: int(next(left, 1e8)))
    workers = Local(work=_describe)
    machines = [run.machine for run in complete_runs(ready, requests, executor=workers).records]
    assert len({machine["process"] for machine in machines}) == 2
    assert len(workers._workers) == 1
    workers.close()
    assert caplog.messages == ["One worker fewer: only 0.1 GB of memory are free"]


def test_a_gpu_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "has_gpu", lambda: True)
    assert (Local().jobs, Local(2).jobs) == (1, 2)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells")
def test_free_memory_is_plausible() -> None:
    free = free_memory()
    assert free is not None
    assert 1e7 < free < 1e14


@pytest.mark.parametrize(
    ("name", "jobs", "message", "fix"),
    [
        ("slurm", None, "There is no executor `slurm`", "local, dask=HOST:PORT, ray"),
        ("dask", None, "There is no executor `dask`", "dask=HOST:PORT"),
        ("dask=127.0.0.1:8786", 2, "--jobs is for this machine", "leave out --jobs"),
    ],
)
def test_executors_that_do_not_exist_are_refused(name: str, jobs: int | None, message: str, fix: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        choose_executor(name, jobs)
    assert fix in refused.value.fix


@pytest.mark.parametrize(("name", "package"), [("dask=127.0.0.1:1", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, with the command that installs it."""
    kind = name.partition("=")[0]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"erroran.execution.{kind}", raising=False)
    with pytest.raises(ErroranError, match=f"--executor {kind} needs {kind.capitalize()}") as refused:
        choose_executor(name)
    assert refused.value.fix == f"pip install 'erroran[{kind}]'"
