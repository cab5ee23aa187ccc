"""What a run costs besides its training, by executor.

``python -m erroran.benchmarks.executors`` requests 1,000 runs whose training is left out: the worker checks its
environment, splits the images and draws random predictions and a model file of the usual size; everything else is what
`complete_runs` does, from the lease to the stored run. Prints a Markdown table. Dask and Ray run on this machine.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np

from erroran.benchmarks.common import print_lines, start_parser, table_lines, write_section
from erroran.data import Dataset, Part, load_dataset
from erroran.execution.driver import Request, complete_runs
from erroran.execution.local import InProcess, Local
from erroran.execution.machine import count_cores
from erroran.execution.task import Data, Executor, Finished, OnProgress, Task
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import check_environment, current_environment
from erroran.store.records import RunRecord
from erroran.training.fit import Progress, TrainedRun

ALLOWED_MS: Final = 50.0
MODEL_BYTES: Final = 1_716_000
"""Of the default CNN, 421,642 parameters."""


def draw_run(task: Task, data: Data, on_progress: OnProgress) -> Finished:
    """What `train_task` does, with random results in place of a training."""
    spec = task.spec
    check_environment(spec)
    splits, n_classes = data.get_splits(spec), len(data.get_dataset(spec.dataset).class_names)
    rng = np.random.default_rng(spec.seed)

    def draw(part: Part) -> np.ndarray:
        scores = rng.random((len(part.y), n_classes), dtype=np.float32)
        probabilities: np.ndarray = scores / scores.sum(1, keepdims=True)
        return probabilities

    on_progress(Progress(spec.id, spec.seed, step=1, steps=1, epoch=1, epochs=1, loss=0.0))
    history = {name: [0.0] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    trained = TrainedRun(draw(splits.mine), draw(splits.confirm), history, rng.bytes(MODEL_BYTES), 0, 0.0)
    return Finished.here(spec, trained)


def _here() -> Iterator[Executor]:
    yield InProcess(work=draw_run)


def _workers(jobs: int) -> Iterator[Executor]:
    local = Local(jobs, work=draw_run)
    yield local
    local.close()


def _dask(jobs: int) -> Iterator[Executor]:
    from distributed.deploy.subprocess import SubprocessCluster

    from erroran.execution.dask import DaskCluster

    settings = {"host": "127.0.0.1", "dashboard_address": None}
    with SubprocessCluster(n_workers=jobs, threads_per_worker=1, **settings) as cluster:
        yield DaskCluster(cluster.scheduler_address, work=draw_run)


def _ray(jobs: int) -> Iterator[Executor]:
    import ray

    from erroran.execution.ray import RayCluster

    ray.init(num_cpus=jobs, include_dashboard=False)
    yield RayCluster(None, work=draw_run)
    ray.shutdown()


def measure(executor: Executor, dataset: Dataset, folder: Path, *, runs: int) -> tuple[float, float, float]:
    """Seconds until the first run is stored; milliseconds of each further run, by the clock and of all processors."""
    store = Store(folder)
    store.put_dataset(dataset)
    template = RunSpec(
        dataset=dataset.digest,
        mine_fraction=0.1,
        model="cnn",
        recipe=RECIPES["fast"],
        environment=current_environment("cnn"),
        seed=0,
    )
    requests = [Request("baseline", template.model_copy(update={"seed": seed})) for seed in range(runs)]
    clock = [time.perf_counter()]
    busy: list[float] = []

    def note(_: RunRecord) -> None:
        if not busy:
            clock.append(time.perf_counter())
            busy.append(_processor_seconds())

    complete_runs(store, requests, executor=executor, on_finished=note)
    each = [
        1000 * (end - start) / (runs - 1)
        for start, end in ((clock[1], time.perf_counter()), (busy[0], _processor_seconds()))
    ]
    return clock[1] - clock[0], each[0], each[1]


def _processor_seconds() -> float:
    """Of this process and all that it has started; needs psutil, which comes with Dask and Ray."""
    import psutil

    this = psutil.Process()
    spent = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if Dask is within the limit."""
    parser = start_parser("executors", __doc__)
    parser.add_argument("--dataset", default="auto", help="its size decides that of the predictions")
    parser.add_argument("--runs", type=int, default=1000, help="runs of each executor")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, in turns")
    parser.add_argument("--executors", nargs="+", choices=list(_EXECUTORS), default=list(_EXECUTORS))
    parser.add_argument("--write", action="store_true", help="write the section of reports/benchmarks.md")
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.dataset)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in options.executors}
    for _ in range(options.repeat):
        for name in options.executors:
            with tempfile.TemporaryDirectory() as folder, contextmanager(_EXECUTORS[name])(options.workers) as executor:
                found[name].append(measure(executor, dataset, Path(folder), runs=options.runs))
    rows = []
    for name, values in found.items():
        firsts, each, busy = zip(*values, strict=True)
        middle = statistics.median(each)
        rows.append(
            (
                name,
                f"{statistics.median(firsts):.1f}",
                f"{middle:.1f}",
                f"{min(each):.1f} to {max(each):.1f}",
                f"{ALLOWED_MS:g}" if name == "dask" else "-",
                f"{statistics.median(busy):.1f}",
                f"{middle * 10_000 / 60_000:.1f}",
            )
        )
    header = (
        "executor",
        "first run, s",
        "ms a run (median)",
        "range",
        "allowed",
        "processor ms, all",
        "10,000 runs, minutes",
    )
    load = f"{options.workers} workers on {count_cores()} cores; load {os.getloadavg()[0]:.1f} at the end"
    lines = [f"{options.runs:,} runs of {dataset.name}, {options.repeat} repetitions, {load}.", ""]
    lines += table_lines(header, rows)
    if options.write:
        write_section("What a run costs besides its training", "python -m erroran.benchmarks.executors", lines)
    print_lines(lines)
    return int("dask" in found and statistics.median(ms for _, ms, _ in found["dask"]) > ALLOWED_MS)


_EXECUTORS: Final = {"this process": lambda _: _here(), "local": _workers, "dask": _dask, "ray": _ray}

if __name__ == "__main__":
    sys.exit(main())
