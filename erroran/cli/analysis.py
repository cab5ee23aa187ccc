"""Commands that count, plan and compare: dataset, mine-confusions, new, plan, diff."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from annotated_types import Ge, Le

from erroran.cli.app import command
from erroran.cli.console import Screen, out, print_json, print_pairs, talk, training_display
from erroran.cli.options import (
    EVERY,
    REPORTS,
    ControlOptions,
    DataOptions,
    JobOptions,
    NameArgument,
    Session,
    SplitName,
    parse_numbers,
)
from erroran.cli.specs import find_spec, next_command, write_starter
from erroran.errors import BadInput
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.pair import Pair
from erroran.report.text import counted

if TYPE_CHECKING:
    from erroran.execution.task import Executor
    from erroran.stages.mine_confusions import MiningResult
    from erroran.store.records import Group


@command(*EVERY)
def mine_confusions(
    session: Session,
    parallel: JobOptions,
    on: SplitName = "mine",
    out_of_fold: Annotated[int | None, Ge(2), Le(20)] = None,
    predictions: list[str] | None = None,
    top: Annotated[int, Ge(1)] = 10,
) -> None:
    """Rank the class pairs that are confused consistently over seeds.

    Options:
        on: confirm mines the test set: later verdicts on this dataset are exploratory.
        out_of_fold K: Train K models per seed and mine all training data.
        predictions FILES: Mine prediction files of any framework instead of stored runs: one run per file; repeat, or
            quote a pattern. Prints a table, writes no report.
        top: Pairs to show, each with a gallery in the report.

    Examples:
        erroran mine-confusions
        erroran mine-confusions --top 5 --json
        erroran mine-confusions --out-of-fold 5
        erroran mine-confusions --predictions 'runs/*.csv'
        erroran mine-confusions --on confirm
    """
    if predictions:
        _mine_files(session, predictions, top)
        return
    if out_of_fold is not None and on == "confirm":
        raise BadInput("--out-of-fold mines the training data, not confirm.", fix="leave out --on confirm")
    executor = None if out_of_fold is None else parallel.choose()
    mined = mine_group(session, session.group, split=on, top=top, folds=out_of_fold, executor=executor)
    session.show(mined.first(top), note=mined.note)
    if not session.as_json:
        print_mined(out, mined, top=top)


def mine_group(
    session: Session,
    group: "Group",
    *,
    split: SplitName,
    top: int,
    folds: int | None = None,
    executor: "Executor | None" = None,
) -> "MiningResult":
    """Mine a baseline on a split, or out of fold if a number of folds is given, and write the report."""
    from erroran.report.confusions import write_confusions
    from erroran.stages.mine_confusions import rank_confusions, rank_out_of_fold

    if folds is None:
        mined = rank_confusions(session.store, group, split=split)
    else:
        with training_display() as display:
            mined, completed = rank_out_of_fold(session.store, group, folds, executor=executor, **display.hooks)
        display.say_trained(completed)
    talk.print(f"wrote {write_confusions(mined, REPORTS, top=top)}")
    return mined


def print_mined(screen: Screen, mined: "MiningResult", *, top: int) -> None:
    """Print the mined pairs, and the next command for the first."""
    names, seeds = mined.evidence.class_names, mined.seeds
    if mined.exploratory:
        talk.say("Exploratory:", "mined on confirm; every later verdict on this data is marked as such", "bold yellow")
    if not mined.pairs:
        screen.print(f"no errors on {mined.split} in {counted(len(seeds), 'run')}")
        return
    print_pairs(screen, [pair.found for pair in mined.pairs[:top]], names, len(seeds))
    if suspects := mined.suspected_mislabels:
        screen.print(f"{len(suspects)} suspected mislabels: see the report")
    pair = Pair(*(names[label] for label in mined.pairs[0].found.pair))
    screen.say("next:", next_command(pair), "none")


def _mine_files(session: Session, patterns: Sequence[str], top: int) -> None:
    from dataclasses import asdict

    from erroran.predictions import read_predictions
    from erroran.stats.consistency import SUSPECTED_MISLABEL, classify_images, rank_pairs

    found = read_predictions(patterns)
    names, runs = found.class_names, len(found.predicted)
    kinds = classify_images(found.labels, found.predicted, len(names), found.probabilities)
    suspected = kinds.kind == SUSPECTED_MISLABEL
    pairs = rank_pairs(found.labels, found.predicted, len(names), suspected=suspected)
    suspects = found.ids[suspected].tolist()
    if session.as_json:
        rows = [asdict(row) | {"pair": ":".join(names[label] for label in row.pair)} for row in pairs[:top]]
        print_json({"files": list(found.files), "pairs": rows, "suspected_mislabels": suspects})
        return
    if not pairs:
        out.print(f"no errors in {counted(runs, 'run')}")
        return
    print_pairs(out, pairs[:top], names, runs)
    if suspects:
        out.print(f"suspected mislabels: {', '.join(suspects[:20])}")
    pair = shlex.quote(":".join(names[label] for label in pairs[0].pair))
    out.print(f"next: try a fix for {pair}, predict other images with and without it, several runs each, then")
    out.print(f"erroran diff --before 'before*.csv' --after 'after*.csv' --pair {pair}", style="bold")


@command("json")
def dataset(
    session: Session, data: DataOptions, csv: Path | None = None, rows: Annotated[int | None, Ge(1)] = None
) -> None:
    """Check a dataset and count its images per class, or write it as one table in Kaggle's layout.

    Options:
        csv FILE: Write the images of train and test as label,pixel0,..., to a new file.
        rows: With --csv: number of rows, stratified by class.

    Examples:
        erroran dataset --dataset train.csv
        erroran dataset --dataset mnist --rows 42000 --csv train.csv
    """
    from erroran.stages.dataset import describe_dataset, export_dataset

    if rows is not None and csv is None:
        raise BadInput("--rows needs --csv, which is not given.", fix=f"--rows {rows} --csv train.csv")
    described = describe_dataset(data.load(), near_duplicates=csv is None)
    written = None if csv is None else export_dataset(described.dataset, csv, rows=rows)
    if session.as_json:
        print_json({**described.to_json(), "written": written})
        return
    if written is not None:
        out.print(f"wrote {counted(written, 'row')} to {csv}")
        return
    parts = described.images.values()
    counts = [(name, [part[name] for part in parts]) for name in described.classes]
    counts.append(("all", [sum(part.values()) for part in parts]))
    table = [(name, *(f"{n:,}" for n in (*numbers, sum(numbers)))) for name, numbers in counts]
    out.table(("class", *described.images, "all"), *table)
    for near in described.near_duplicates or ():
        if near.count:
            listed = ", ".join(f"{first} and {second}" for first, second, _ in near.first)
            pairs = counted(near.count, "pair")
            out.print(f"{pairs} of near duplicates in {' and '.join(near.parts)} (correlation from 0.99): {listed}")


@command("store", "group")
def new(
    session: Session,
    name: Annotated[str, typer.Argument(help="The hypothesis' name; the spec is written to experiments/NAME.toml.")],
    pair: str,
) -> None:
    """Write a starter spec for a pair, to be edited.

    Options:
        pair: true:predicted, as in 7:1.

    Examples:
        erroran new 7to1 --pair 7:1
    """
    try:
        chosen = Pair.parse(pair)
    except BadInput:  # a class name with a colon: only the baseline's class names tell where it ends
        if not session.store.has_group():
            raise
        chosen = Pair.parse(pair, session.store.get_dataset(session.group.template.dataset).class_names)
    write_starter(name, chosen)


@command(*EVERY)
def plan(
    session: Session,
    name: NameArgument,
    arms: ControlOptions,
    parallel: JobOptions,
    seeds: str = "3,5,8,10,15,20,30",
) -> None:
    """Simulate what each design would say, and how long its training takes. Trains nothing.

    Options:
        seeds N,N,...: Seeds per arm to try.

    Examples:
        erroran plan 4to9
        erroran plan 4to9 --seeds 3,5,10,30 --controls none --jobs 2
    """
    from erroran.report.plan import plan_sentence, write_plan
    from erroran.stages import plan as stage

    group = session.group
    stem, hypothesis = find_spec(name)
    counts = tuple(parse_numbers(seeds, option="--seeds", example="3,5,10"))
    if min(counts) < 2:
        raise BadInput("--seeds asks for an arm of one run, which cannot support a verdict.", fix="--seeds 3,5,10")
    with talk.status("simulating"):
        planned = stage.plan(
            session.store, group, stem, hypothesis, controls=arms.names(), seeds=counts, jobs=parallel.choose().jobs
        )
    rows = [
        (str(count), *(f"{value:.0%}" for value in row), f"{count * planned.minutes_per_seed:.0f}")
        for count, row in zip(planned.seeds, planned.power, strict=True)
    ]
    session.show(
        planned,
        headline=plan_sentence(planned) + "\n\nchance of the verdict improved, by true change:",
        table=[("seeds per arm", *(f"-{r:.0%}" for r in planned.reductions), "minutes"), *rows],
        wrote=write_plan(planned, REPORTS),
    )


@command("json")
def diff(
    session: Session,
    before: list[str],
    after: list[str],
    pair: str | None = None,
    endpoint: Endpoint = Endpoint.FORWARD,
    worthwhile: float = 50.0,
    margin: float = 10.0,
    fail_on: list[str] | None = None,
    report: Path | None = None,
) -> None:
    """Compare prediction files of any framework: CSV, Parquet or npz with sample_id, label, prediction or p_<class>.

    Options:
        before FILES: Prediction files without the fix, one run per file; repeat, or quote a pattern.
        after FILES: The same with the fix, on the same samples.
        pair A:B: True class and predicted class; default: the worst before (the verdict is then exploratory).
        endpoint: What the fix should reduce: A predicted as B, B predicted as A, or both together.
        worthwhile PERCENT: The smallest reduction that is worth having; choose it beforehand.
        margin: Largest tolerated increase of other errors, per 10,000 samples; choose it beforehand.
        fail_on WORDS: Exit with 1 if this is the verdict: improved, harmed, traded, not-worthwhile, equivalent,
            cannot-tell; repeat, or separate by commas.
        report FILE: Also write the verdict as a Markdown page, with a figure beside it.

    Examples:
        erroran diff --before 'before/*.csv' --after 'after/*.csv' --pair 4:9
        erroran diff --before b0.npz --before b1.npz --after 'a*.npz' --json
        erroran diff --before 'b*.csv' --after 'a*.csv' --pair cat:dog --fail-on harmed,traded
        erroran diff --before 'b*.csv' --after 'a*.csv' --pair cat:dog --worthwhile 30 --report verdict.md
    """
    from erroran.report.diff import check_page, write_diff
    from erroran.stages.diff import diff_predictions, parse_words

    words = parse_words(fail_on or [])  # a wrong word or file name is refused before the files are read
    if report is not None:
        check_page(report)
    result = diff_predictions(
        before, after, pair=pair, endpoint=endpoint, worthwhile_percent=worthwhile, margin_per_10000=margin
    )
    if report is not None:
        talk.print(f"wrote {write_diff(result, report)}")
    headline, *lines = result.lines()
    session.show(result, headline=headline)
    if not session.as_json:
        out.print("\n".join(lines))
    if result.word in words:
        talk.print(f"the verdict is {result.word}: exit code 1, as --fail-on asks")
        raise typer.Exit(1)
