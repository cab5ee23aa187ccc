"""What the user sees: stdout is data, stderr is talk."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from erroran.runs import RunRecord
    from erroran.training import Progress as RunProgress


def _console(stream: TextIO, *, stderr: bool) -> Console:
    # Into a file or a pipe there is no width to fit: tables must not be cut.
    return Console(stderr=stderr, soft_wrap=True, highlight=False, width=None if stream.isatty() else 160)


out = _console(sys.stdout, stderr=False)
talk = _console(sys.stderr, stderr=True)


class TrainingDisplay:
    """One bar per run that trains: seed, epoch, loss, time left. Off a terminal: one line per run."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}

    def on_progress(self, progress: "RunProgress") -> None:
        """Move a run's bar."""
        if progress.run_id not in self._tasks:
            self._tasks[progress.run_id] = self._bars.add_task("", total=progress.steps)
        text = f"seed {progress.seed}  epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.4f}"
        task = self._tasks[progress.run_id]
        self._bars.update(task, completed=progress.step, description=text)  # type: ignore[arg-type]

    def on_finished(self, run: "RunRecord") -> None:
        """Replace a run's bar by a line."""
        if run.id in self._tasks:
            self._bars.remove_task(self._tasks.pop(run.id))  # type: ignore[arg-type]
        talk.print(
            f"trained [bold]{run.arm}[/] seed {run.spec.seed}: "
            f"{run.accuracy_confirm:.2%} on confirm, {run.seconds:.0f} s"
        )


@contextmanager
def training_display() -> Iterator[TrainingDisplay]:
    """Show runs as they train."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as bars:
        yield TrainingDisplay(bars)


def seconds_since(start: float) -> str:
    """How long something took, for a closing line."""
    return f"{time.perf_counter() - start:.0f} s"


def counted(number: int, noun: str) -> str:
    """Number and noun: ``1 run``, ``3 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
