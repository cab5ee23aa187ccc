"""Commands that train, and the report they end with: baseline, intervene, report, run, teach."""

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from erroran.cli.analysis import mine_confusions
from erroran.cli.app import app, command
from erroran.cli.console import (
    out,
    print_json,
    runs_table,
    say_note,
    say_trained,
    talk,
    training_display,
)
from erroran.cli.options import (
    REPORTS,
    BatchSizeOption,
    BestWeightsOption,
    ControlsOption,
    DataDirOption,
    DatasetOption,
    EarlyStoppingOption,
    EpochsOption,
    GroupOption,
    JobsOption,
    JsonOption,
    LearningRateOption,
    MineFractionOption,
    ModelOption,
    NameArgument,
    PlateauOption,
    PrecisionName,
    PrecisionOption,
    RecipeName,
    RecipeOption,
    ReuseOption,
    RotationOption,
    ScheduleOption,
    SeedListOption,
    SeedsOption,
    StoreOption,
    TranslationOption,
    ZoomOption,
    load_data,
    open_store,
    parse_recipe,
    parse_seeds,
)
from erroran.cli.shapes import preview
from erroran.cli.specs import find_or_offer, find_path, find_spec, write_starter
from erroran.errors import BadInput, NotFound

if TYPE_CHECKING:
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.store import Store
    from erroran.store.records import Group


@command(
    app,
    "baseline",
    examples="""
erroran baseline --seeds 3
erroran baseline --seeds 5 --recipe fast
erroran baseline --dataset digits --seed-list 7,8,9 --epochs 5 --jobs 2
erroran baseline --model cnn-enhanced --recipe plateau --rotation 15
erroran baseline --model my_model.py:build_fn --early-stopping 3
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
    learning_rate: LearningRateOption = None,
    schedule: ScheduleOption = None,
    early_stopping: EarlyStoppingOption = None,
    reduce_on_plateau: PlateauOption = None,
    best_weights: BestWeightsOption = None,
    rotation: RotationOption = None,
    zoom: ZoomOption = None,
    translation: TranslationOption = None,
    model: ModelOption = "cnn",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    mine_fraction: MineFractionOption = 0.1,
    jobs: JobsOption = 1,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Train the same model under several seeds, and keep everything about each run."""
    from erroran.report.baseline import write_baseline
    from erroran.stages.baseline import summarise, train_baseline

    start = time.perf_counter()
    opened = open_store(store)
    chosen = parse_seeds(seeds, seed_list, default=3)
    training = parse_recipe(
        recipe,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule and schedule.value,
        early_stopping=early_stopping,
        reduce_on_plateau=reduce_on_plateau,
        best_weights=best_weights,
        rotation_deg=rotation,
        zoom_percent=zoom,
        translation_percent=translation,
    )
    images = load_data(dataset, data_dir)
    with training_display() as display:
        group, completed = train_baseline(
            opened,
            images,
            recipe=training,
            seeds=chosen,
            model=model,
            precision=precision.value,
            mine_fraction=mine_fraction,
            jobs=jobs,
            on_progress=display.on_progress,
            on_finished=display.on_finished,
        )
    say_trained(len(completed.trained), len(completed.records), start)
    summary = summarise(opened, group)
    write_baseline(summary, REPORTS)
    if as_json:
        print_json(summary.to_json())
        return
    out.print(runs_table(completed.records))
    accuracy = summary.accuracy_confirm
    spread = f" +- {accuracy.sd:.2%} over {len(group.seeds)} seeds" if len(group.seeds) > 1 else ", one seed"
    out.print(f"accuracy on confirm: {accuracy.mean:.2%}{spread}")
    out.print("wrote reports/baseline.md\nnext: [bold]erroran mine-confusions[/]")


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
    opened = open_store(store)
    found = opened.get_group(group)
    stem, hypothesis = find_or_offer(name)
    chosen = parse_seeds(seeds, seed_list, default=1) if seed_list is not None else None
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
    opened = open_store(store)
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
    from erroran.experiment.controls import parse_controls

    hypothesis_first = find_spec(name) if name else None  # a typo must not cost a training
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
        opened = open_store(store)
        group = opened.get_group()
        stem, hypothesis = hypothesis_first or _hypothesis_for_top_pair(opened, group)
        _step(3, f"preview {stem}")
        preview(str(find_path(name or stem)), store=store)
        _step(4, f"intervene {stem}")
        _intervene(
            opened,
            group,
            stem,
            hypothesis,
            n_seeds=seeds or (len(group.seeds) if reuse_baseline else None),
            controls=controls,
            reuse_baseline=reuse_baseline,
            jobs=jobs,
        )
    _step(5, f"report {stem}")
    _report(opened, group, stem, as_json=as_json)


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
    from erroran.report.teach import teach_sentence, write_teach
    from erroran.stages.teach import teach as replay

    start = time.perf_counter()
    with training_display() as display:
        taught = replay(
            open_store(store),
            n_runs=runs,
            jobs=jobs,
            on_progress=display.on_progress,
            on_finished=display.on_finished,
        )
    say_trained(len(taught.completed.trained), len(taught.completed.records), start)
    path = write_teach(taught, REPORTS)
    if as_json:
        print_json(taught.to_json())
        return
    out.print(f"[bold]{escape(teach_sentence(taught))}[/]")
    talk.print(f"wrote {path}")


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
    from erroran.experiment.controls import parse_controls
    from erroran.stages.intervene import intervene as train_arms

    start = time.perf_counter()
    chosen_controls = parse_controls(controls)
    say_note(group.note)
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
            before_training=lambda count: _warn_of_low_power(store, group, stem, hypothesis, count),
            on_progress=display.on_progress,
            on_finished=display.on_finished,
            before_measuring=lambda: talk.print("measuring what the augmentation did to the images"),
        )
    say_trained(len(completed.trained), len(completed.records), start)


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
    from erroran.report.index import write_index
    from erroran.report.intervention import comparison_json, write_intervention
    from erroran.stages.report import assess
    from erroran.store.ledger import Ledger

    with talk.status("judging"):
        assessment = assess(store, group, stem)
    path = write_intervention(assessment, REPORTS)
    write_index(Ledger(store.root).entries(), REPORTS)
    if as_json:
        print_json(comparison_json(assessment))
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


def _hypothesis_for_top_pair(store: "Store", group: "Group") -> "tuple[str, Hypothesis]":
    from erroran.stages.mine_confusions import rank_confusions

    mined = rank_confusions(store, group)
    if not mined.pairs:
        raise NotFound(
            "The runs make no errors on `mine`: there is no pair to work on.",
            fix="erroran run --mine-fraction 0.3, or name a hypothesis: erroran run 4to9",
        )
    true, predicted = (mined.evidence.class_names[c] for c in mined.pairs[0].found.pair)
    name = f"{true}to{predicted}"
    try:
        return find_spec(name)
    except NotFound:
        write_starter(name, true, predicted)
        return find_spec(name)


def _step(number: int, title: str) -> None:
    talk.print(f"\n[bold cyan]{number}/5[/] [bold]{title}[/]")
