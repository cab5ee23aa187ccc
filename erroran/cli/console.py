"""What the user sees: stdout is data, stderr is progress, remarks and errors."""

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict

from rich.console import Console
from rich.segment import Segment, Segments
from rich.text import Text

from erroran.report.text import columns, counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from erroran.execution.driver import Completed
    from erroran.stats.consistency import PairSummary
    from erroran.stats.intervals import Effect
    from erroran.store.records import ListedRun, RunRecord
    from erroran.training.fit import Progress as RunProgress
    from erroran.verdict.sequential import Design, Look, Replanned

# Control characters except tab and newline, marks that change the direction of text, lone surrogates.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ADVISED = re.compile(
    r"\berroran (?=(?:run|baseline|mine-confusions|review|across-models|propose|measure|preview|probe|plan|intervene"
    r"|report|stress|study|teach|runs)\b)"
)


class Screen(Console):
    r"""A console that prints text unchanged: no markup, no emoji, control characters as ``\x1b``."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, highlight=False, emoji=False, markup=False)
        self.store: str | None = None
        """The value of --store, which is added to the commands in messages."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Replace control characters."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Drop the remaining output, so that the exit code stays that of the command."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    def say(self, label: str, message: str, style: str = "bold") -> None:
        """Print a label and a message; commands in the message get the ``--store`` that was given."""
        self.print(Text.assemble((label, style), " ", visible(self.advise(message))))

    def advise(self, text: str) -> str:
        """Add the ``--store`` that was given to every command in a text."""
        if self.store is None:
            return text
        return _ADVISED.sub(lambda _: f"erroran --store {shlex.quote(self.store or '')} ", text)

    def table(self, *rows: Sequence[str]) -> None:
        """Print rows below the first, which is the header. No cell is cut: a narrow terminal wraps the lines."""
        first, *rest = columns([[visible(cell) for cell in row] for row in rows])
        self.print(first, style="bold")
        if rest:
            self.print(Segments([Segment("\n".join([*rest, ""]))]), end="")  # a Text takes a second for 10,000 lines


def visible(text: str) -> str:
    r"""Write control characters as escapes, such as ``\x1b``, so that a terminal does not act on them."""
    return _INVISIBLE.sub(lambda found: ascii(found.group())[1:-1], text)


out = Screen(stderr=False)
talk = Screen(stderr=True)
_errors = Screen(stderr=True)  # printed under --quiet as well


def configure(*, quiet: bool, store: str | None) -> None:
    """Apply --quiet and --store."""
    talk.quiet = quiet
    for screen in (out, talk, _errors):
        screen.store = store


class Hooks(TypedDict):
    """The callbacks of stages that train."""

    on_progress: "Callable[[RunProgress], None]"
    on_finished: "Callable[[RunRecord], None]"


class TrainingDisplay:
    """One bar per run in training, with seed, epoch, loss and remaining time; one line per finished run."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._start = time.perf_counter()
        self._trained = 0
        self.hooks: Hooks = {"on_progress": self._on_progress, "on_finished": self._on_finished}

    def _on_progress(self, progress: "RunProgress") -> None:
        if progress.run_id not in self._tasks:
            self._tasks[progress.run_id] = self._bars.add_task("", total=progress.steps)
        text = f"seed {progress.seed}  epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.4f}"
        self._bars.update(self._tasks[progress.run_id], completed=progress.step, description=text)

    def _on_finished(self, run: "RunRecord") -> None:
        self._trained += 1
        if run.id in self._tasks:
            self._bars.remove_task(self._tasks.pop(run.id))
        # Nothing on images that may judge: whoever watches an intervention train must not see its outcome.
        fold = run.spec.fold
        done = f", fold {fold[0] + 1} of {fold[1]}:" if fold else f": {run.accuracy_mine:.2%} on mine,"
        talk.print(f"trained {run.arm} seed {run.spec.seed}{done} {run.seconds:.0f} s")

    def say_replanned(self, replanned: "Replanned") -> None:
        """Print which looks the baseline's first runs lead to."""
        changed = replanned.design.horizon != replanned.planned
        talk.print(replanned.describe() + f"; so {replanned.design.describe()}" * changed)

    def say_look(self, look: "Look", design: "Design", *, runs_per_seed: int) -> None:
        """Print what a planned look showed, and how long the training took and may still take.

        Only baseline and treatment go on; each of their seeds is `runs_per_seed` runs.
        """
        primary, minutes = look.verdict.primary, (time.perf_counter() - self._start) / 60
        later = [seeds for seeds in design.looks if seeds > look.seeds]
        talk.print(
            f"after {look.seeds} seeds per arm: {primary.name} {primary.effect.before_mean:.1f} -> "
            f"{primary.effect.after_mean:.1f} errors per run, {_change(primary.effect)}",
            style="bold",
        )
        said = f"  {look.verdict.word}; {minutes:.1f} minutes so far"
        if look.chance is None:
            talk.print(said)
        elif look.stops:
            talk.print(f"{said}; stopped: more seeds would decide with at most {look.chance:.0%} chance")
        else:
            each = minutes / self._trained if self._trained else None
            ahead = [
                "" if each is None else f" (about {2 * runs_per_seed * (seeds - look.seeds) * each:.1f} minutes)"
                for seeds in (later[0], later[-1])
            ]
            talk.print(f"{said}; next look after {later[0]} seeds{ahead[0]}, the last after {later[-1]}{ahead[1]}")

    def say_trained(self, *completed: "Completed") -> None:
        """Print how many runs were trained, how many were in the store, and how long it took."""
        trained = sum(len(part.trained) for part in completed)
        kept = sum(len(part.records) for part in completed) - trained
        if not trained:
            talk.print(f"{_was('the run', f'all {kept} runs', kept)} in the store already: nothing was trained")
            return
        also = f", {_was('1', str(kept), kept)} in the store already" if kept else ""
        talk.print(f"trained {counted(trained, 'run')} in {time.perf_counter() - self._start:.0f} s{also}")


def _change(effect: "Effect") -> str:
    """``-48 % (99 % interval -80 to -3)``, for new seeds on the same images."""
    if effect.relative is None:
        return "no error before"
    low, high = (
        "?" if end is None else f"{100 * end:+.0f}" for end in (effect.seeds_relative_low, effect.seeds_relative_high)
    )
    return f"{100 * effect.relative:+.0f} % ({100 * effect.confidence:.4g} % interval {low} to {high})"


def _was(one: str, many: str, number: int) -> str:
    return f"{one} was" if number == 1 else f"{many} were"


def _bars() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=talk, transient=True, disable=talk.quiet or not talk.is_terminal)


@contextmanager
def training_display() -> Iterator[TrainingDisplay]:
    """Show runs while they train."""
    with _bars() as bars:
        yield TrainingDisplay(bars)


@contextmanager
def steps_display() -> Iterator[Callable[[str, int, int], None]]:
    """Show steps as one bar; yield its update: name of the current step, steps done, steps in all."""
    with _bars() as bars:
        task = bars.add_task("")
        yield lambda step, done, in_all: bars.update(task, description=step, completed=done, total=in_all)


def print_json(content: Any) -> None:
    """Print data for a script; stdout holds nothing else."""
    out.out(json.dumps(content, indent=2, allow_nan=False))


def complain(message: str, fix: str) -> None:
    """Print an error: what is wrong, and how to fix it."""
    _errors.say("error:", message, "bold red")
    _errors.say("fix:  ", fix)


def say_note(note: str | None) -> None:
    """Print an important remark, if there is one."""
    if note:
        talk.say("Note:", note, "bold yellow")


def print_runs(screen: Screen, records: "Sequence[ListedRun]") -> None:
    """Print runs, one a row."""
    keys = ("id", "arm", "seed", "dataset", "model", "recipe", "epochs")
    rows = [
        (
            *(str(summary[key]) for key in keys),
            f"{record.accuracy_mine:.2%}",
            f"{record.accuracy_confirm:.2%}",
            f"{record.seconds:.1f}",
        )
        for record, summary in ((record, record.summary()) for record in records)
    ]
    screen.table(("run", *keys[1:], "mine", "confirm", "seconds"), *rows)


def print_pairs(screen: Screen, pairs: "Sequence[PairSummary]", names: Sequence[str], n_runs: int) -> None:
    """Print mined pairs, one a row."""
    headers = ("pair", "errors per run", "mean", "runs with it", "systematic", "mislabels?", "reverse", "rate (95 %)")
    rows = [
        (
            ":".join(names[label] for label in found.pair),
            " ".join(map(str, found.errors_per_seed)),
            f"{found.mean_errors:.1f}",
            f"{found.seeds_with_it}/{n_runs}",
            *("-" if n is None else str(n) for n in (found.n_systematic, found.n_suspected)),
            " ".join(map(str, found.reverse_per_seed)),
            f"{found.rate:.2%} ({found.rate_low:.2%} to {found.rate_high:.2%})",
        )
        for found in pairs
    ]
    screen.table(headers, *rows)
