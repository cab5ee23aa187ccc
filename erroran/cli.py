"""The command line: parses, calls one function, prints. The only module that prints or exits.

Heavy imports (TensorFlow, matplotlib, pandas) happen inside the commands, so that ``--help`` is quick.
"""

import contextlib
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from erroran import __version__
from erroran.console import counted, out, seconds_since, talk, training_display
from erroran.errors import BadInput, ErroranError, NotFound

if TYPE_CHECKING:
    from erroran.augment.hypothesis import Hypothesis
    from erroran.data import Dataset
    from erroran.runs import Group, Recipe, RunRecord
    from erroran.stages.mine_confusions import Mined
    from erroran.stats.consistency import PairSummary
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
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted. ERRORAN_DEBUG=1 shows tracebacks.",
)


class RecipeName(StrEnum):
    """Training recipes."""

    STANDARD = "standard"
    FAST = "fast"


class PrecisionName(StrEnum):
    """Keras dtype policies."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


class EndpointName(StrEnum):
    """What a fix promises to lower."""

    FORWARD = "forward"
    REVERSE = "reverse"
    SUM = "sum"


class SplitName(StrEnum):
    """Splits that can be mined."""

    MINE = "mine"
    CONFIRM = "confirm"


StoreOption = Annotated[Path, typer.Option("--store", envvar="ERRORAN_STORE", help="Folder of the artifact store.")]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="Baseline group to stand on; default: the latest.", metavar="ID"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of tables.")]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, each in a process of its own.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        help="auto (MNIST if it can be had, else digits), mnist, digits, or a path: .npz in Keras layout, or a "
        "folder with the four MNIST IDX files."
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="ERRORAN_DATA", help="Where to look for MNIST before downloading it."),
]
SeedsOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Number of runs: seeds 0, 1, 2, ...")]
SeedListOption = Annotated[
    str | None,
    typer.Option("--seed-list", help="The seeds themselves, as in 7,8,9.", metavar="N,N,..."),
]
RecipeOption = Annotated[
    RecipeName, typer.Option(help="standard: 10 plain epochs; fast: 4 epochs, one-cycle schedule.")
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's number of epochs.")]
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's 128.")]
ModelOption = Annotated[str, typer.Option(help="Architecture.")]
PrecisionOption = Annotated[PrecisionName, typer.Option(help="Arithmetic of the layers.")]
MineFractionOption = Annotated[float, typer.Option(help="Part of the training data held out for mining, up to 0.5.")]
ControlsOption = Annotated[
    str,
    typer.Option(
        help="default (sham, logit-shift), all, none, or a list of: sham, swapped, same-op, oversample, logit-shift."
    ),
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse-baseline",
        help="Compare with the mined runs instead of fresh ones: cheaper, and stamped in the report.",
    ),
]
NameArgument = Annotated[str, typer.Argument(help="A spec in ./experiments, a shipped one, or a path.", metavar="NAME")]


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one sentence and a fix, and into an exit code. The one place that does."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if os.environ.get("ERRORAN_DEBUG") == "1":
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        except ErroranError as error:
            _complain(error.message, error.fix)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _complain("Interrupted; every finished run is kept.", "the same command again goes on from there")
            raise typer.Exit(130) from error
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            _complain(
                f"{type(error).__name__}: {error}",
                "ERRORAN_DEBUG=1 before the command shows where it happened",
            )
            raise typer.Exit(1) from error

    return wrapper


def command(parent: typer.Typer, name: str, *, examples: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a guarded command whose help ends with examples."""

    def register(function: Callable[P, R]) -> Callable[P, R]:
        lines = "\n\n".join(f"[cyan]$ {line}[/]" for line in examples.strip().splitlines())
        registered = guarded(function)
        parent.command(name, epilog=f"[bold]Examples[/]\n\n{lines}")(registered)
        return registered

    return register


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, or go on to a command."""
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
    from erroran.reporting.baseline_report import write_baseline
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
    spread = f" +- {accuracy['sd']:.2%} over {len(group.seeds)} seeds" if len(group.seeds) > 1 else ", one seed"
    out.print(f"accuracy on confirm: {accuracy['mean']:.2%}{spread}")
    out.print("wrote reports/baseline.md\nnext: [bold]erroran mine-confusions[/]")


@command(
    app,
    "mine-confusions",
    examples="""
erroran mine-confusions
erroran mine-confusions --top 5 --json
erroran mine-confusions --out-of-fold 5
erroran mine-confusions --predictions 'runs/*.csv'
erroran mine-confusions --on confirm
""",
)
def mine_confusions(
    on: Annotated[
        SplitName,
        typer.Option("--on", help="confirm uses up the test set: later verdicts become exploratory."),
    ] = SplitName.MINE,
    out_of_fold: Annotated[
        int | None,
        typer.Option(
            "--out-of-fold", min=2, max=20, help="Train K models per seed and mine all training data.", metavar="K"
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            help="Mine prediction files of any framework instead of stored runs: one run a file; repeat, or quote a "
            "pattern. Prints a table, writes no report.",
            metavar="FILES",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Pairs to show, each with a gallery in the report.")] = 10,
    jobs: JobsOption = 1,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Rank the class pairs that are confused consistently over seeds."""
    from erroran.reporting.confusion_report import write_confusions

    if predictions:
        _mine_files(predictions, top, as_json=as_json)
        return
    from erroran.stages.mine_confusions import mine, mine_out_of_fold

    opened = _open_store(store)
    found = opened.get_group(group)
    if out_of_fold is None:
        mined = mine(opened, found, split=on.value)
    else:
        if on is SplitName.CONFIRM:
            raise BadInput("--out-of-fold mines the training data, not confirm.", fix="leave out --on confirm")
        start = time.perf_counter()
        with training_display() as display:
            mined, completed = mine_out_of_fold(
                opened,
                found,
                out_of_fold,
                jobs=jobs,
                on_progress=display.on_progress,
                on_finished=display.on_finished,
            )
        _say_trained(len(completed.trained), len(completed.records), start)
    path = write_confusions(mined, REPORTS, top=top)
    if as_json:
        _print_json(mined.to_json(top=top))
        return
    _say_note(mined.group.note)
    _say_mined(mined, top)
    talk.print(f"wrote {path}")


@command(
    app,
    "preview",
    examples="""
erroran preview 4to9
erroran preview 4to9-original --dataset digits
""",
)
def preview(
    name: NameArgument,
    dataset: Annotated[
        str | None, typer.Option(help="Instead of the baseline's dataset: auto, mnist, digits or a path.")
    ] = None,
    data_dir: DataDirOption = None,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Show what a hypothesis does to images, as pictures and in figures. Trains nothing."""
    from dataclasses import asdict

    from erroran.reporting.preview_report import write_preview
    from erroran.stages.preview import preview as make_preview

    stem, hypothesis = _find(name)
    opened = _open_store(store)
    if dataset is not None or not opened.has_group():
        images, fraction = _load(dataset or "auto", data_dir), 0.1
    else:
        template = opened.get_group(group).template
        images, fraction = opened.get_dataset(template.dataset), template.mine_fraction
    previewed = make_preview(images, hypothesis, mine_fraction=fraction)
    path = write_preview(stem, hypothesis, previewed, images.name, REPORTS)
    if as_json:
        _print_json([asdict(effect) for effect in previewed.effects])
        return
    table = Table("class", "operation", "dose px", "pixels changed", "thickness px", "erased", box=None)
    for effect in previewed.effects:
        table.add_row(
            effect.class_name,
            effect.operation,
            f"{effect.dose_px:g}",
            f"{effect.changed_pixels:.1%}",
            f"{effect.thickness_before_px:.2f} -> {effect.thickness_after_px:.2f}",
            f"{effect.erased} of {effect.images}",
        )
    out.print(table)
    out.print(f"pictures: {path}")


@command(app, "new", examples="erroran new 7to1 --pair 7:1")
def new(
    name: Annotated[str, typer.Argument(help="The hypothesis' name: experiments/NAME.toml is written.")],
    pair: Annotated[str, typer.Option(help="true:predicted, as in 7:1.")],
) -> None:
    """Write a starter spec for a pair, to be edited."""
    true, _, predicted = pair.partition(":")
    if not true or not predicted or true == predicted:
        raise BadInput(f"--pair {pair} does not name two classes.", fix="--pair 7:1")
    _write_starter(name, true, predicted)


@command(
    app,
    "plan",
    examples="""
erroran plan 4to9
erroran plan 4to9 --seeds 3,5,10,30 --controls none
""",
)
def plan(
    name: NameArgument,
    seeds: Annotated[str, typer.Option(help="Seeds an arm to try.", metavar="N,N,...")] = "3,5,8,10,15,20",
    controls: ControlsOption = "default",
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Simulate how many seeds it takes to see a fix, and what that costs. Trains nothing."""
    from erroran.augment.controls import parse_controls
    from erroran.reporting.plan_report import plan_sentence, write_plan
    from erroran.stages.plan import plan as simulate

    opened = _open_store(store)
    found = opened.get_group(group)
    stem, hypothesis = _find(name)
    counts = tuple(_numbers(seeds, option="--seeds", example="3,5,10"))
    if min(counts) < 2:
        raise BadInput("--seeds asks for an arm of one run, which cannot carry a verdict.", fix="--seeds 3,5,10")
    with talk.status("simulating"):
        planned = simulate(opened, found, stem, hypothesis, controls=parse_controls(controls), seeds=counts)
    path = write_plan(planned, REPORTS)
    if as_json:
        _print_json(planned.to_json())
        return
    power = planned.power
    table = Table("seeds an arm", *(f"-{r:.0%}" for r in power.reductions), "minutes", box=None)
    for count, row in zip(power.seeds, power.power, strict=True):
        table.add_row(str(count), *(f"{value:.0%}" for value in row), f"{count * planned.minutes_per_seed:.0f}")
    out.print(f'[bold]{escape(plan_sentence(planned))}[/]\n\nchance of the verdict "improved", by true change:')
    out.print(table)
    talk.print(f"wrote {path}")


@command(
    app,
    "intervene",
    examples="""
erroran intervene 4to9
erroran intervene 4to9 --seeds 5 --controls all
erroran intervene path/to/mine.toml --jobs 2
""",
)
def intervene(
    name: NameArgument,
    seeds: Annotated[int | None, typer.Option(min=1, max=1000, help="Runs per arm, instead of the spec's.")] = None,
    seed_list: SeedListOption = None,
    epochs: EpochsOption = None,
    controls: ControlsOption = "default",
    reuse_baseline: ReuseOption = False,
    jobs: JobsOption = 1,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Retrain with a hypothesis' augmentation, beside a baseline and controls, and judge it."""
    opened = _open_store(store)
    found = opened.get_group(group)
    stem, hypothesis = _find_or_offer(name)
    chosen = _seeds(seeds, seed_list, default=1) if seed_list is not None else None
    _intervene(
        opened,
        found,
        stem,
        hypothesis,
        seeds=chosen,
        n_seeds=seeds,
        epochs=epochs,
        controls=controls,
        reuse_baseline=reuse_baseline,
        jobs=jobs,
    )
    _report(opened, found, stem, as_json=as_json)


@command(
    app,
    "report",
    examples="""
erroran report 4to9
erroran report 4to9 --json
""",
)
def report(
    name: NameArgument,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Write the report of an intervention again. Trains nothing."""
    opened = _open_store(store)
    _report(opened, opened.get_group(group), Path(name).stem if name.endswith(".toml") else name, as_json=as_json)


@command(
    app,
    "run",
    examples="""
erroran run 4to9
erroran run --dataset digits --seeds 5
erroran run --recipe fast
""",
)
def run(
    name: Annotated[
        str | None, typer.Argument(help="A hypothesis; without one, the top mined pair.", metavar="[NAME]")
    ] = None,
    dataset: DatasetOption = "auto",
    data_dir: DataDirOption = None,
    seeds: SeedsOption = None,
    recipe: RecipeOption = RecipeName.STANDARD,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    model: ModelOption = "cnn",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    mine_fraction: MineFractionOption = 0.1,
    controls: ControlsOption = "default",
    reuse_baseline: ReuseOption = False,
    jobs: JobsOption = 1,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Do the whole loop: baseline, mine-confusions, preview, intervene, report. Skips what is done."""
    from erroran.augment.controls import parse_controls

    hypothesis_first = _find(name) if name else None  # a typo must not cost a training
    parse_controls(controls)
    _step(1, "baseline")
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        baseline(
            dataset=dataset,
            data_dir=data_dir,
            seeds=seeds,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            model=model,
            precision=precision,
            mine_fraction=mine_fraction,
            jobs=jobs,
            store=store,
        )
        _step(2, "mine-confusions")
        mine_confusions(store=store)
        opened = _open_store(store)
        group = opened.get_group()
        stem, hypothesis = hypothesis_first or _hypothesis_for_top_pair(opened, group)
        _step(3, f"preview {stem}")
        preview(str(_find_path(name or stem)), store=store)
        _step(4, f"intervene {stem}")
        _intervene(
            opened,
            group,
            stem,
            hypothesis,
            n_seeds=seeds,
            controls=controls,
            reuse_baseline=reuse_baseline,
            jobs=jobs,
        )
    _step(5, f"report {stem}")
    _report(opened, group, stem, as_json=as_json)


@command(
    app,
    "diff",
    examples="""
erroran diff --before 'before/*.csv' --after 'after/*.csv' --pair 4:9
erroran diff --before b0.npz --before b1.npz --after 'a*.npz' --json
erroran diff --before 'b*.csv' --after 'a*.csv' --pair cat:dog --fail-on harmed
""",
)
def diff(
    before: Annotated[
        list[str],
        typer.Option(
            help="Prediction files without the fix, one run a file; repeat, or quote a pattern.", metavar="FILES"
        ),
    ],
    after: Annotated[list[str], typer.Option(help="The same with the fix, on the same samples.", metavar="FILES")],
    pair: Annotated[
        str | None,
        typer.Option(
            help="True class and the class it is read as; default: the worst before (the verdict is then exploratory).",
            metavar="A:B",
        ),
    ] = None,
    endpoint: Annotated[
        EndpointName, typer.Option(help="What was to fall: A read as B, B read as A, or both together.")
    ] = EndpointName.FORWARD,
    margin: Annotated[
        float, typer.Option(help="Growth tolerated elsewhere, errors per 10,000 samples; fix it beforehand.")
    ] = 10.0,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 if this is the verdict: improved, harmed, equivalent, cannot-tell; repeat, or separate "
            "by commas.",
            metavar="WORDS",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge prediction files of any framework: CSV, Parquet or npz with sample_id, label, prediction or p_<class>."""
    from erroran.stages.diff import diff_predictions, parse_words, should_fail

    parse_words(fail_on or [])  # a typing error shows before the work, not after it
    result = diff_predictions(before, after, pair=pair, endpoint=endpoint.value, margin_per_10000=margin)
    if as_json:
        _print_json(result.to_json())
    else:
        headline, *rest = result.lines()
        out.print(f"[bold]{escape(headline)}[/]")
        for line in rest:
            out.print(escape(line))
    if should_fail(result, fail_on or []):
        talk.print(f"the verdict is [bold]{result.word}[/]: exit code 1, as --fail-on asks")
        raise typer.Exit(1)


@command(
    app,
    "teach",
    examples="""
erroran teach
erroran teach --runs 24 --jobs 2
""",
)
def teach(
    runs: Annotated[int, typer.Option(min=13, max=200, help="Runs of the same network to train.")] = 16,
    jobs: JobsOption = 1,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Replay, on digits and offline, how a fix that changes nothing looks like a success."""
    from erroran.reporting.teach_report import teach_sentence, write_teach
    from erroran.stages.teach import teach as replay

    start = time.perf_counter()
    with training_display() as display:
        taught = replay(
            _open_store(store),
            n_runs=runs,
            jobs=jobs,
            on_progress=display.on_progress,
            on_finished=display.on_finished,
        )
    _say_trained(len(taught.completed.trained), len(taught.completed.records), start)
    path = write_teach(taught, REPORTS)
    if as_json:
        _print_json(taught.to_json())
        return
    out.print(f"[bold]{escape(teach_sentence(taught))}[/]")
    talk.print(f"wrote {path}")


runs_app = typer.Typer(help="List, show and remove runs.", invoke_without_command=True, no_args_is_help=False)
app.add_typer(runs_app, name="runs")


@runs_app.callback(epilog="[bold]Examples[/]\n\n[cyan]$ erroran runs --json[/]\n\n[cyan]$ erroran runs show 3f2a[/]")
@guarded
def runs(context: typer.Context, store: StoreOption = Path(".erroran"), as_json: JsonOption = False) -> None:
    """List the runs in the store, oldest first."""
    context.obj = store
    if context.invoked_subcommand is not None:
        return
    records = _open_store(store).list_runs()
    if as_json:
        _print_json([record.summary() for record in records])
    elif records:
        out.print(_runs_table(records))
    else:
        talk.print(f"no runs in {store} yet; next: [bold]erroran baseline[/]")


@command(runs_app, "show", examples="erroran runs show 3f2a")
def runs_show(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    as_json: JsonOption = False,
) -> None:
    """Print everything recorded about a run."""
    store = _open_store(context.obj)
    record = store.get_run(run_id)
    content = {**record.model_dump(mode="json"), "id": record.id, "folder": str(store.run_folder(record.id))}
    if as_json:
        _print_json(content)
        return
    for key, value in content.items():
        out.print(f"[bold]{key}[/]: {escape(json.dumps(value) if isinstance(value, (dict, list)) else str(value))}")


@command(runs_app, "remove", examples="erroran runs remove 3f2a 91bc")
def runs_remove(
    context: typer.Context,
    run_ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.", metavar="ID...")],
) -> None:
    """Delete runs. What needs them trains them again."""
    store = _open_store(context.obj)
    # All are checked before the first goes; by their folders, because a damaged run has to go too.
    for run_id in [store.run_folder(run_id).name for run_id in run_ids]:
        store.remove_run(run_id)
        out.print(f"removed {run_id}")


# --- shared steps


def _open_store(root: Path) -> "Store":
    from erroran.store import Store

    return Store(root)


def _load(dataset: str, data_dir: Path | None) -> "Dataset":
    from erroran.data import load_dataset

    loaded = load_dataset(dataset, data_dir=data_dir)
    _say_note(loaded.note)
    return loaded


def _find_path(name: str) -> Path:
    from erroran.augment.hypothesis import find_hypothesis, shipped_folder

    return find_hypothesis(name, [EXPERIMENTS, shipped_folder()])


def _find(name: str) -> "tuple[str, Hypothesis]":
    from erroran.augment.hypothesis import read_hypothesis

    path = _find_path(name)
    _check_name(path.stem, fix=f"rename {path}")
    return path.stem, read_hypothesis(path)


def _check_name(name: str, *, fix: str) -> None:
    """Refuse a hypothesis' name that cannot be linked in a report, or would overwrite another document or arm."""
    from erroran.augment.controls import CONTROLS

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, flags=re.ASCII):
        raise BadInput(f"`{name}` cannot name a hypothesis: letters, digits, `-`, `_` and `.` can.", fix=fix)
    if name.lower() in {"readme", "baseline", "confusions", "out-of-fold", *CONTROLS}:
        raise BadInput(f"`{name}` is the name of another report or arm.", fix=fix)


def _find_or_offer(name: str) -> "tuple[str, Hypothesis]":
    """Find a spec; for a pair that has none, such as 7to1, offer to write a starter."""
    try:
        return _find(name)
    except NotFound as error:
        true, _, predicted = name.partition("to")
        if not (true and predicted) or name.endswith(".toml"):
            raise
        path = EXPERIMENTS / f"{name}.toml"
        command = f"erroran new {name} --pair {true}:{predicted}"
        if not sys.stdin.isatty() or not typer.confirm(
            f"There is no spec for {name}. Write a starter to {path}?", err=True
        ):
            raise NotFound(error.message, fix=f"{command}   (writes a starter spec to edit)") from error
        _write_starter(name, true, predicted)
        raise typer.Exit(0) from error


def _write_starter(name: str, true: str, predicted: str) -> Path:
    from erroran.augment.hypothesis import starter_toml

    _check_name(name, fix=f"erroran new {true}to{predicted} --pair {true}:{predicted}")
    path = EXPERIMENTS / f"{name}.toml"
    if path.exists():
        raise BadInput(f"{path} exists already.", fix="edit it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(starter_toml(true, predicted), encoding="utf-8")
    talk.print(f"wrote a starter spec to [bold]{path}[/]; edit it, then: [bold]erroran preview {name}[/]")
    return path


def _hypothesis_for_top_pair(store: "Store", group: "Group") -> "tuple[str, Hypothesis]":
    from erroran.stages.mine_confusions import mine

    mined = mine(store, group)
    if not mined.pairs:
        raise NotFound(
            "The runs make no errors on `mine`: there is no pair to work on.",
            fix="erroran run --mine-fraction 0.3, or name a hypothesis: erroran run 4to9",
        )
    true, predicted = (mined.evidence.class_names[c] for c in mined.pairs[0].pair)
    name = f"{true}to{predicted}"
    try:
        return _find(name)
    except NotFound:
        _write_starter(name, true, predicted)
        return _find(name)


def _intervene(
    store: "Store",
    group: "Group",
    stem: str,
    hypothesis: "Hypothesis",
    *,
    controls: str,
    reuse_baseline: bool,
    jobs: int,
    seeds: list[int] | None = None,
    n_seeds: int | None = None,
    epochs: int | None = None,
) -> None:
    from erroran.augment.controls import parse_controls
    from erroran.stages.intervene import intervene as train_arms

    start = time.perf_counter()
    chosen_controls = parse_controls(controls)
    _say_note(group.note)
    _warn_of_low_power(store, group, stem, hypothesis, len(seeds) if seeds else n_seeds or hypothesis.seeds)
    with training_display() as display:
        _, completed = train_arms(
            store,
            group,
            stem,
            hypothesis,
            seeds=seeds,
            n_seeds=n_seeds,
            epochs=epochs,
            controls=chosen_controls,
            fresh_baseline=not reuse_baseline,
            jobs=jobs,
            on_progress=display.on_progress,
            on_finished=display.on_finished,
        )
    _say_trained(len(completed.trained), len(completed.records), start)


def _warn_of_low_power(store: "Store", group: "Group", stem: str, hypothesis: "Hypothesis", seeds: int) -> None:
    """Say before training when the plan holds no hope; a question that cannot be answered costs as much."""
    from erroran.stages.plan import HALVING
    from erroran.stages.plan import plan as simulate

    if seeds < 2:
        talk.print("[bold yellow]Warning:[/] one run an arm cannot carry any verdict.")
        return
    try:
        planned = simulate(
            store, group, stem, hypothesis, controls=(), seeds=(seeds,), n_simulations=200, recommend=False
        )
    except NotFound:  # the spec does not fit the data: said where it ends the command
        return
    except BadInput as error:
        talk.print(f"[bold yellow]Warning:[/] no plan: {escape(error.message)}")
        return
    power = planned.power_for(seeds)
    if power is not None and power < HALVING:
        talk.print(
            f"[bold yellow]Warning:[/] with {seeds} seeds an arm a halving of the errors would be seen with "
            f"{power:.0%} probability; `erroran plan {escape(stem)}` says what it takes."
        )


def _report(store: "Store", group: "Group", stem: str, *, as_json: bool) -> None:
    from erroran.ledger import Ledger
    from erroran.reporting.index import write_index
    from erroran.reporting.intervention_report import comparison_json, write_intervention
    from erroran.stages.report import assess

    assessment = assess(store, group, stem)
    path = write_intervention(assessment, REPORTS)
    write_index(Ledger(store.root).entries(), REPORTS)
    if as_json:
        _print_json(comparison_json(assessment))
        return
    verdict = assessment.verdict
    out.print(f"[bold]{escape(verdict.sentence)}[/]")
    for compared in (verdict.forward, verdict.reverse, verdict.both):
        before, after = (" ".join(map(str, values)) for values in (compared.before_per_seed, compared.after_per_seed))
        out.print(f"  {compared.name}: {before} -> {after}")
    if verdict.word == "improved" and assessment.unbeaten:
        names = " or ".join(control.name for control in assessment.unbeaten)
        out.print(f"  [yellow]not shown to do more than {names}[/]")
    for stamp in assessment.stamps:
        out.print(f"  [yellow]{escape(stamp.replace('**', ''))}[/]")
    out.print(f"wrote {path}")


def _step(number: int, title: str) -> None:
    talk.print(f"\n[bold cyan]{number}/5[/] [bold]{title}[/]")


def _say_note(note: str | None) -> None:
    if note:
        talk.print(f"[bold yellow]Note:[/] {escape(note)}")


def _mine_files(patterns: list[str], top: int, *, as_json: bool) -> None:
    from dataclasses import asdict

    from erroran.predictions import read_predictions
    from erroran.stats.consistency import classify_images, rank_pairs

    found = read_predictions(patterns)
    names = found.class_names
    pairs = rank_pairs(found.labels, found.predicted, len(names))
    kinds = classify_images(found.labels, found.predicted, len(names), found.probabilities)
    suspects = found.ids[kinds.kind == "suspected mislabel"].tolist()
    if as_json:
        rows = [{**asdict(row), "pair": f"{names[row.pair[0]]}:{names[row.pair[1]]}"} for row in pairs[:top]]
        _print_json({"files": [str(file) for file in found.files], "pairs": rows, "suspected_mislabels": suspects})
        return
    if not pairs:
        out.print(f"no errors in {counted(len(found.predicted), 'run')}")
        return
    out.print(_pairs_table(pairs[:top], names, len(found.predicted)))
    if suspects:
        out.print(f"suspected mislabels: {', '.join(map(str, suspects[:20]))}")
    true, predicted = (names[c] for c in pairs[0].pair)
    out.print(
        f"next: try a fix for {true}:{predicted}, predict other images with and without it, several runs each, then\n"
        f"[bold]erroran diff --before 'before*.csv' --after 'after*.csv' --pair {true}:{predicted}[/]"
    )


def _say_mined(mined: "Mined", top: int) -> None:
    names, seeds = mined.evidence.class_names, mined.evidence.seeds
    if mined.exploratory:
        talk.print("[bold yellow]Exploratory:[/] mined on confirm; every later verdict on this data carries the stamp")
    if not mined.pairs:
        out.print(f"no errors on {mined.evidence.split} in {counted(len(seeds), 'run')}")
        return
    out.print(_pairs_table(mined.pairs[:top], names, len(seeds)))
    if suspects := mined.suspects():
        out.print(f"{len(suspects)} suspected mislabels: see the report")
    true, predicted = (names[c] for c in mined.pairs[0].pair)
    out.print(f"next: [bold]erroran intervene {true}to{predicted}[/]")


def _pairs_table(pairs: "Sequence[PairSummary]", names: "Sequence[str]", n_runs: int) -> Table:
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


def _recipe(name: RecipeName, epochs: int | None, batch_size: int | None) -> "Recipe":
    from erroran.runs import RECIPES

    changes = {"epochs": epochs, "batch_size": batch_size}
    return RECIPES[name.value].model_copy(update={k: v for k, v in changes.items() if v is not None})


def _seeds(count: int | None, listed: str | None, *, default: int) -> list[int]:
    if listed is None:
        return list(range(default if count is None else count))
    if count is not None:
        raise BadInput("--seeds and --seed-list were both given.", fix="give one of them")
    return _numbers(listed, option="--seed-list", example="7,8,9")


def _numbers(listed: str, *, option: str, example: str) -> list[int]:
    """Read different whole numbers that can be seeds."""
    fix = f"{option} {example}"
    try:
        numbers = [int(part) for part in listed.split(",")]
    except ValueError as error:
        raise BadInput(f"{option} `{listed}` is not a list of whole numbers.", fix=fix) from error
    if len(set(numbers)) < len(numbers):
        raise BadInput(f"{option} `{listed}` names a number twice.", fix=fix)
    if not all(0 <= number < 2**32 for number in numbers):
        raise BadInput(f"{option} `{listed}` has a number outside 0 to {2**32 - 1}.", fix=fix)
    return numbers


def _say_trained(trained: int, wanted: int, start: float) -> None:
    kept = wanted - trained
    if not trained:
        all_of_it = "the run was" if wanted == 1 else f"all {wanted} runs were"
        talk.print(f"{all_of_it} in the store already: nothing was trained")
    else:
        also = f", {kept} {'was' if kept == 1 else 'were'} in the store already" if kept else ""
        talk.print(f"trained {counted(trained, 'run')} in {seconds_since(start)}{also}")


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
            *(str(row[key]) for key in ("id", "arm", "seed", "dataset", "model", "recipe", "epochs")),
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
