"""Seeds of one run are trained as one program in this process: see `erroran.training.vectorized`."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice

from erroran.errors import BadInput
from erroran.execution.task import Finished, Task, Todo
from erroran.store.environment import backend, check_environment

SEEDS = 16
"""Seeds that are trained as one program, unless another number is given."""


class Vectorized:
    """Trains up to `seeds` runs that differ in the seed only at once, on JAX.

    Raises:
        BadInput: Keras does not run on JAX, or JAX is not installed.
    """

    jobs = 1  # a run's seconds are its share of those of the program

    def __init__(self, seeds: int = SEEDS) -> None:
        if backend() != "jax" or find_spec("jax") is None:
            raise BadInput(
                "--executor vectorized trains on JAX, "
                + ("which is not installed." if backend() == "jax" else f"but Keras runs on {backend()}."),
                fix="pip install 'erroran[jax]', and set KERAS_BACKEND=jax for every command that trains",
            )
        self._seeds = seeds

    def run(self, todo: Todo) -> Generator[Finished, None, None]:
        """See `Executor`."""
        while tasks := list(islice(todo.tasks, self._seeds)):
            alike: dict[str, list[Task]] = {}
            for task in tasks:
                check_environment(task.spec)
                alike.setdefault(task.spec.model_copy(update={"seed": 0}).id, []).append(task)
            for group in alike.values():
                yield from _train(group, todo)


def _train(tasks: Sequence[Task], todo: Todo) -> list[Finished]:
    from erroran.training.vectorized import train_together

    spec, store = tasks[0].spec, todo.store
    splits, names = store.get_splits(spec), store.get_dataset(spec.dataset).class_names
    added = store.get_dataset(spec.data.add) if spec.data.add else None
    specs, report = [task.spec for task in tasks], todo.on_progress
    runs = train_together(specs, splits, names, report, source=tasks[0].source, added=added)
    finished = [Finished.here(spec, run) for spec, run in zip(specs, runs, strict=True)]
    # Like the number of threads, it changes the rounding of sums.
    return [replace(one, machine={**one.machine, "program": "several seeds in one"}) for one in finished]
