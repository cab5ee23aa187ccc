"""The command line: parses, calls one function, prints. The only module that prints or exits.

Heavy imports (TensorFlow, matplotlib, pandas) happen inside the commands, so that ``--help`` is quick.
"""

import functools
import json
import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from erroran import __version__
from erroran.console import out, seconds_since, talk, training_display
from erroran.errors import BadInput, ErroranError, NotFound

if TYPE_CHECKING:
    from erroran.data import Dataset
    from erroran.runs import Group, Recipe, RunRecord
    from erroran.store import Store

P = ParamSpec("P")
R = TypeVar("R")

REPORTS = Path("reports")
EXPERIMENTS = Path("experiments")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Find the confusions a classifier keeps making, try a targeted fix, learn whether it worked.

[bold]The loop[/]: baseline -> mine-confusions -> a hypothesis in experiments/*.toml -> preview -> intervene ->
report. [bold]erroran run[/] does all of it.

Everything trained is kept in ./.erroran and never trained twice; reports go to ./reports.""",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted. "
    "ERRORAN_DEBUG=1 shows tracebacks.",
)


class RecipeName(StrEnum):
    """Training recipes."""

    STANDARD = "standard"
    FAST = "fast"


class PrecisionName(StrEnum):
    """Keras dtype policies."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


class SplitName(StrEnum):
    """Splits that can be mined."""

    MINE = "mine"
    CONFIRM = "confirm"


StoreOption = Annotated[
    Path, typer.Option("--store", envvar="ERRORAN_STORE", help="Folder of the artifact store.")
]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="Baseline group to stand on; default: the latest.", metavar="ID"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of tables.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, help="Runs at a time, each in a process of its own.")
]
DatasetOption = Annotated[
    str,
    typer.Option(
        help="auto (MNIST if it can be had, else digits), mnist, digits, or a path: .npz in Keras layout, or a "
        "folder with the four MNIST IDX files."
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", envvar="ERRORAN_DATA", help="Where to look for MNIST before downloading it."
    ),
]
SeedsOption = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Number of runs: seeds 0, 1, 2, ...")
]
SeedListOption = Annotated[
    str | None,
    typer.Option("--seed-list", help="The seeds themselves, as in 7,8,9.", metavar="N,N,..."),
]
RecipeOption = Annotated[
    RecipeName, typer.Option(help="standard: 10 plain epochs; fast: 4 epochs, one-cycle schedule.")
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Instead of the recipe's number of epochs.")
]
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's 128.")]
ModelOption = Annotated[str, typer.Option(help="Architecture.")]
PrecisionOption = Annotated[PrecisionName, typer.Option(help="Arithmetic of the layers.")]
MineFractionOption = Annotated[
    float, typer.Option(help="Part of the training data held out for mining, up to 0.5.")
]
NameArgument = Annotated[
    str, typer.Argument(help="A spec in ./experiments, a shipped one, or a path.", metavar="NAME")
]


def command(
    parent: typer.Typer, name: str, *, examples: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a command whose errors become one sentence and a fix, and whose help ends with examples."""

    def register(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if os.environ.get("ERRORAN_DEBUG") == "1":
                return function(*args, **kwargs)
            try:
                return function(*args, **kwargs)
            except ErroranError as error:
                _complain(error.message, error.fix)
                raise typer.Exit(error.exit_code) from error
            except KeyboardInterrupt as error:
                _complain(
                    "Interrupted; every finished run is kept.",
                    "the same command again goes on from there",
                )
                raise typer.Exit(130) from error
            except (typer.Exit, typer.Abort, typer.BadParameter):
                raise
            except Exception as error:  # noqa: BLE001 - the last resort before a traceback
                _complain(
                    f"{type(error).__name__}: {error}",
                    "ERRORAN_DEBUG=1 before the command shows where it happened",
                )
                raise typer.Exit(1) from error

        lines = "\n\n".join(f"[cyan]$ {line}[/]" for line in examples.strip().splitlines())
        parent.command(name, epilog=f"[bold]Examples[/]\n\n{lines}")(guarded)
        return guarded

    return register


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:  # noqa: FBT002
    if version:
        out.print(__version__)
        raise typer.Exit


@command(
    app,
    "baseline",
    examples="""
erroran baseline --seeds 3
erroran baseline --seeds 5 --recipe fast
erroran baseline --dataset digits --seed-list 7,8,9 --epochs 5 --jobs 2
""",
)
def baseline(
    dataset: DatasetOption = "auto",
    data_dir: DataDirOption = None,
    seeds: SeedsOption = None,
    seed_list: SeedListOption = None,
    recipe: RecipeOption = RecipeName.STANDARD,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    model: ModelOption = "cnn",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    mine_fraction: MineFractionOption = 0.1,
    jobs: JobsOption = 1,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Train the same model under several seeds, and keep everything about each run."""
    from erroran.reporting.documents import write_baseline
    from erroran.stages.baseline import train_baseline

    start = time.perf_counter()
    opened = _open_store(store)
    with training_display() as display:
        group, completed = train_baseline(
            opened,
            _load(dataset, data_dir),
            recipe=_recipe(recipe, epochs, batch_size),
            seeds=_seeds(seeds, seed_list, default=3),
            model=model,
            precision=precision.value,
            mine_fraction=mine_fraction,
            jobs=jobs,
            on_progress=display.on_progress,
            on_finished=display.on_finished,
        )
    _say_trained(len(completed.trained), len(completed.records), start)
    summary = write_baseline(opened, group, REPORTS)
    if as_json:
        _print_json(summary)
        return
    out.print(_runs_table(completed.records))
    accuracy = summary["accuracy_confirm"]
    out.print(
        f"accuracy on confirm: {accuracy['mean']:.2%} +- {accuracy['sd']:.2%} over {len(group.seeds)} seeds"
    )
    out.print("wrote reports/baseline.md\nnext: [bold]erroran mine-confusions[/]")


# --- shared steps


def _open_store(root: Path) -> "Store":
    from erroran.store import Store

    return Store(root)


def _load(dataset: str, data_dir: Path | None) -> "Dataset":
    from erroran.data import load_dataset

    loaded = load_dataset(dataset, data_dir=data_dir)
    if loaded.note:
        talk.print(f"[bold yellow]Note:[/] {escape(loaded.note)}")
    return loaded


def _recipe(name: RecipeName, epochs: int | None, batch_size: int | None) -> "Recipe":
    from erroran.runs import RECIPES

    changes = {"epochs": epochs, "batch_size": batch_size}
    return RECIPES[name.value].model_copy(
        update={k: v for k, v in changes.items() if v is not None}
    )


def _seeds(count: int | None, listed: str | None, *, default: int) -> list[int]:
    if listed is None:
        return list(range(default if count is None else count))
    if count is not None:
        raise BadInput("--seeds and --seed-list were both given.", fix="give one of them")
    try:
        seeds = [int(part) for part in listed.split(",")]
    except ValueError as error:
        raise BadInput(
            f"--seed-list {listed} is not a list of whole numbers.", fix="--seed-list 7,8,9"
        ) from error
    if len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise BadInput(
            f"--seed-list {listed} has a repeated or negative seed.", fix="--seed-list 7,8,9"
        )
    return seeds


def _say_trained(trained: int, wanted: int, start: float) -> None:
    kept = wanted - trained
    if not trained:
        talk.print(f"all {wanted} runs were in the store already: nothing was trained")
    else:
        also = f", {kept} were in the store already" if kept else ""
        talk.print(f"trained {trained} runs in {seconds_since(start)}{also}")


def _runs_table(records: "list[RunRecord]") -> Table:
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
            *(
                str(row[key])
                for key in ("id", "arm", "seed", "dataset", "model", "recipe", "epochs")
            ),
            f"{record.accuracy_mine:.2%}",
            f"{record.accuracy_confirm:.2%}",
            f"{record.seconds:.1f}",
        )
    return table


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2))


def _complain(message: str, fix: str) -> None:
    talk.print(f"[bold red]error:[/] {escape(message)}")
    talk.print(f"[bold]fix:[/]   {escape(fix)}")


def main() -> None:
    """Entry point of the ``erroran`` command."""
    app()
