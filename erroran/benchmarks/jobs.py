"""One process with all threads against one worker of one thread per core (``--jobs 1`` and ``--jobs auto``).

``python -m erroran.benchmarks.jobs`` trains as many runs as there are cores both ways, in turns, on the first images of
a dataset, and prints a Markdown table. Both are warm: imports and the start of the workers are not timed.
"""

import multiprocessing
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from erroran.benchmarks.common import print_lines, start_parser, table_lines, time_in_turns, write_section
from erroran.data import Dataset, build_dataset, load_dataset
from erroran.execution.driver import Request, complete_runs
from erroran.execution.local import InProcess, Local
from erroran.execution.machine import count_cores
from erroran.execution.task import Executor
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment


def measure(model: str, precision: str, dataset: Dataset, *, repeat: int) -> tuple[str, ...]:
    """One row of the table; raises BadInput if the model cannot be trained."""
    workers, cores = Local(), count_cores()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put_dataset(dataset)
        recipe = RECIPES["fast"].model_copy(update={"epochs": 1})
        template = RunSpec.model_validate(
            {
                "dataset": dataset.digest,
                "mine_fraction": 0.1,
                "model": model,
                "recipe": recipe,
                "environment": current_environment(model),
                "precision": precision,
                "seed": 0,
            }
        )
        seeds = iter(range(10**9))

        def train(executor: Executor) -> None:
            specs = [template.model_copy(update={"seed": next(seeds)}) for _ in range(cores)]
            complete_runs(store, [Request("baseline", spec) for spec in specs], executor=executor)

        works = {"one": lambda: train(InProcess()), "auto": lambda: train(workers)}
        taken = {name: times[1:] for name, times in time_in_turns(works, 1 + repeat).items()}  # the first warms up
        peak = _peak_mb()
        parameters = store.list_runs()[0].parameters
    workers.close()
    one, auto = ([seconds / cores for seconds, _ in taken[name]] for name in works)
    ratios = [b / a for a, b in zip(one, auto, strict=True)]
    return (
        f"`{model}`, {precision}",
        f"{parameters:,}",
        *(f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" for values in (one, auto)),
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{peak:,.0f}" if peak else "-",
    )


def _peak_mb() -> float:
    """The most memory that a worker has held, MB; 0 where the system does not tell."""
    paths = [Path(f"/proc/{child.pid}/status") for child in multiprocessing.active_children()]
    lines = [line for path in paths if path.exists() for line in path.read_text(encoding="ascii").splitlines()]
    return max((1.024e-3 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), default=0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = start_parser("jobs", __doc__)
    parser.add_argument("--dataset", default="auto", help="the images")
    parser.add_argument("--images", type=int, default=10_000, help="training images")
    parser.add_argument("--models", nargs="+", default=["cnn", "cnn-enhanced"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, in turns")
    parser.add_argument("--write", action="store_true", help="write the section of reports/benchmarks.md")
    options = parser.parse_args(arguments)
    whole = load_dataset(options.dataset)
    part = np.arange(min(options.images, len(whole.y_train)))
    dataset = build_dataset(
        whole.name,
        whole.source,
        x_train=whole.x_train[part],
        y_train=whole.y_train[part],
        x_test=whole.x_test[:1000],
        y_test=whole.y_test[:1000],
        class_names=whole.class_names,
    )
    rows = [
        measure(model, precision, dataset, repeat=options.repeat)
        for model in options.models
        for precision in options.precisions
    ]
    header = ("model", "parameters", "s a run, one process", "s a run, auto", "auto / one process", "peak MB a worker")
    lines = [f"{len(part):,} images of {dataset.name}, one epoch, {count_cores()} runs, {options.repeat} repetitions."]
    lines += ["", *table_lines(header, rows)]
    if options.write:
        write_section("`--jobs auto` against one process", "python -m erroran.benchmarks.jobs", lines)
    print_lines(lines)


if __name__ == "__main__":
    main()
