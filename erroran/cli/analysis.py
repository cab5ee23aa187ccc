"""Commands that count, plan and judge: dataset, mine-confusions, new, plan, diff."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from erroran.cli.app import app, command
from erroran.cli.console import (
    dataset_table,
    out,
    pairs_table,
    print_json,
    say_note,
    say_trained,
    talk,
    training_display,
)
from erroran.cli.options import (
    REPORTS,
    ControlsOption,
    DataDirOption,
    DatasetOption,
    EndpointName,
    GroupOption,
    JobsOption,
    JsonOption,
    NameArgument,
    SplitName,
    StoreOption,
    load_data,
    open_store,
    parse_numbers,
)
from erroran.cli.specs import find_spec, split_pair, write_starter
from erroran.errors import BadInput
from erroran.report.text import counted

if TYPE_CHECKING:
    from erroran.stages.mine_confusions import MiningResult


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
    from erroran.report.confusions import write_confusions

    if predictions:
        _mine_files(predictions, top, as_json=as_json)
        return
    from erroran.stages.mine_confusions import rank_confusions, rank_out_of_fold

    opened = open_store(store)
    found = opened.get_group(group)
    if out_of_fold is None:
        mined = rank_confusions(opened, found, split=on.value)
    else:
        if on is SplitName.CONFIRM:
            raise BadInput("--out-of-fold mines the training data, not confirm.", fix="leave out --on confirm")
        start = time.perf_counter()
        with training_display() as display:
            mined, completed = rank_out_of_fold(
                opened,
                found,
                out_of_fold,
                jobs=jobs,
                on_progress=display.on_progress,
                on_finished=display.on_finished,
            )
        say_trained(len(completed.trained), len(completed.records), start)
    path = write_confusions(mined, REPORTS, top=top)
    if as_json:
        print_json(mined.first(top).to_json())
        return
    say_note(mined.note)
    _say_mined(mined, top)
    talk.print(f"wrote {path}")


@command(
    app,
    "dataset",
    examples="""
erroran dataset --dataset train.csv
erroran dataset --dataset mnist --rows 42000 --csv train.csv
""",
)
def dataset(
    dataset: DatasetOption = "auto",
    data_dir: DataDirOption = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", help="Write the images of both parts as label,pixel0,..., to a new file.", metavar="FILE"
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="With --csv: so many, in the proportions of the classes.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a dataset and count its images, class by class; or write it as one table in Kaggle's layout."""
    from erroran.stages.dataset import describe_dataset, export_dataset

    if rows is not None and csv is None:
        raise BadInput(
            "--rows says how many rows to write, and --csv is not given.", fix=f"--rows {rows} --csv train.csv"
        )
    described = describe_dataset(load_data(dataset, data_dir))
    written = None if csv is None else export_dataset(described.dataset, csv, rows=rows)
    if as_json:
        print_json({**described.to_json(), "written": written})
        return
    if written is not None:
        out.print(f"wrote {counted(written, 'row')} to {csv}")
        return
    out.print(dataset_table(described.dataset.class_names, described.counts))


@command(app, "new", examples="erroran new 7to1 --pair 7:1")
def new(
    name: Annotated[str, typer.Argument(help="The hypothesis' name: experiments/NAME.toml is written.")],
    pair: Annotated[str, typer.Option(help="true:predicted, as in 7:1.")],
) -> None:
    """Write a starter spec for a pair, to be edited."""
    write_starter(name, *split_pair(pair))


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
    from erroran.experiment.controls import parse_controls
    from erroran.report.plan import plan_sentence, write_plan
    from erroran.stages.plan import plan as simulate

    opened = open_store(store)
    found = opened.get_group(group)
    stem, hypothesis = find_spec(name)
    counts = tuple(parse_numbers(seeds, option="--seeds", example="3,5,10"))
    if min(counts) < 2:
        raise BadInput("--seeds asks for an arm of one run, which cannot carry a verdict.", fix="--seeds 3,5,10")
    with talk.status("simulating"):
        planned = simulate(opened, found, stem, hypothesis, controls=parse_controls(controls), seeds=counts)
    path = write_plan(planned, REPORTS)
    if as_json:
        print_json(planned.to_json())
        return
    table = Table("seeds per arm", *(f"-{r:.0%}" for r in planned.reductions), "minutes", box=None)
    for count, row in zip(planned.seeds, planned.power, strict=True):
        table.add_row(str(count), *(f"{value:.0%}" for value in row), f"{count * planned.minutes_per_seed:.0f}")
    out.print(f'[bold]{escape(plan_sentence(planned))}[/]\n\nchance of the verdict "improved", by true change:')
    out.print(table)
    talk.print(f"wrote {path}")


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
        print_json(result.to_json())
    else:
        headline, *rest = result.lines()
        out.print(f"[bold]{escape(headline)}[/]")
        for line in rest:
            out.print(escape(line))
    if should_fail(result, fail_on or []):
        talk.print(f"the verdict is [bold]{result.word}[/]: exit code 1, as --fail-on asks")
        raise typer.Exit(1)


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
        print_json({"files": [str(file) for file in found.files], "pairs": rows, "suspected_mislabels": suspects})
        return
    if not pairs:
        out.print(f"no errors in {counted(len(found.predicted), 'run')}")
        return
    out.print(pairs_table(pairs[:top], names, len(found.predicted)))
    if suspects:
        out.print(f"suspected mislabels: {', '.join(map(str, suspects[:20]))}")
    true, predicted = (names[c] for c in pairs[0].pair)
    out.print(
        f"next: try a fix for {true}:{predicted}, predict other images with and without it, several runs each, then\n"
        f"[bold]erroran diff --before 'before*.csv' --after 'after*.csv' --pair {true}:{predicted}[/]"
    )


def _say_mined(mined: "MiningResult", top: int) -> None:
    names, seeds = mined.evidence.class_names, mined.seeds
    if mined.exploratory:
        talk.print("[bold yellow]Exploratory:[/] mined on confirm; every later verdict on this data carries the stamp")
    if not mined.pairs:
        out.print(f"no errors on {mined.split} in {counted(len(seeds), 'run')}")
        return
    out.print(pairs_table([pair.found for pair in mined.pairs[:top]], names, len(seeds)))
    if suspects := mined.suspected_mislabels:
        out.print(f"{len(suspects)} suspected mislabels: see the report")
    true, predicted = (names[c] for c in mined.pairs[0].found.pair)
    out.print(f"next: [bold]erroran intervene {true}to{predicted}[/]")
