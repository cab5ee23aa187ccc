"""What the user sees: stdout is data, stderr is talk."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from erroran.report.text import counted

if TYPE_CHECKING:
    from erroran.stats.consistency import PairSummary
    from erroran.store.records import RunRecord
    from erroran.training.fit import Progress as RunProgress


def _console(stream: TextIO, *, stderr: bool) -> Console:
    # Into a file or a pipe there is no width to fit: tables must not be cut.
    width = None if stream.isatty() else 160
    # Without `emoji=False` a pair such as a:b: would become a picture.
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False, width=width)


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


@contextmanager
def steps_display() -> Iterator[Callable[[str, int, int], None]]:
    """Show work that comes in pieces as one bar; give what moves it: the piece under way, pieces done, in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as bars:
        task = bars.add_task("")

        def move(piece: str, done: int, in_all: int) -> None:
            bars.update(task, description=piece, completed=done, total=in_all)

        yield move


def seconds_since(start: float) -> str:
    """How long something took, for a closing line."""
    return f"{time.perf_counter() - start:.0f} s"


def print_json(content: Any) -> None:
    """Print data for a script, alone on stdout."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def complain(message: str, fix: str) -> None:
    """Print an error: what is wrong, and what fixes it."""
    talk.print(f"[bold red]error:[/] {escape(message)}")
    talk.print(f"[bold]fix:[/]   {escape(fix)}")


def say_note(note: str | None) -> None:
    """Print a remark that must be seen."""
    if note:
        talk.print(f"[bold yellow]Note:[/] {escape(note)}")


def say_trained(trained: int, wanted: int, start: float) -> None:
    """Print what was trained, what was there, and how long it took."""
    kept = wanted - trained
    if not trained:
        all_of_it = "the run was" if wanted == 1 else f"all {wanted} runs were"
        talk.print(f"{all_of_it} in the store already: nothing was trained")
    else:
        also = f", {kept} {'was' if kept == 1 else 'were'} in the store already" if kept else ""
        talk.print(f"trained {counted(trained, 'run')} in {seconds_since(start)}{also}")


def dataset_table(class_names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Table:
    """Lay out the images of each class, a column for each part, with their sums."""
    table = Table("class", *counts, "all", box=None, header_style="bold")
    for name, *row in zip(class_names, *counts.values(), strict=True):
        table.add_row(name, *(f"{n:,}" for n in (*row, sum(row))))
    sums = [sum(column) for column in counts.values()]
    table.add_row("[bold]all[/]", *(f"[bold]{n:,}[/]" for n in (*sums, sum(sums))))
    return table


def runs_table(records: "list[RunRecord]") -> Table:
    """Lay out runs, one a row."""
    columns = (
        "run",
        "arm",
        "seed",
        "dataset",
        "model",
        "recipe",
        "epochs",
        "mine",
        "confirm",
        "seconds",
    )
    table = Table(*columns, box=None, header_style="bold")
    for record in records:
        row = record.summary()
        table.add_row(
            *(str(row[key]) for key in ("id", "arm", "seed", "dataset", "model", "recipe", "epochs")),
            f"{record.accuracy_mine:.2%}",
            f"{record.accuracy_confirm:.2%}",
            f"{record.seconds:.1f}",
        )
    return table


def pairs_table(pairs: "Sequence[PairSummary]", names: "Sequence[str]", n_runs: int) -> Table:
    """Lay out mined pairs, one a row."""
    headers = ("pair", "errors per run", "mean", "runs with it", "systematic", "reverse", "rate, 95 % interval")
    table = Table(*headers, box=None)
    for found in pairs:
        table.add_row(
            f"{names[found.pair[0]]}:{names[found.pair[1]]}",
            " ".join(map(str, found.errors_per_seed)),
            f"{found.mean_errors:.1f}",
            f"{found.seeds_with_it}/{n_runs}",
            "-" if found.n_systematic is None else str(found.n_systematic),
            " ".join(map(str, found.reverse_per_seed)),
            f"{found.rate:.2%} ({found.rate_low:.2%} to {found.rate_high:.2%})",
        )
    return table
