"""Commands that train, and the report they end with: baseline, intervene, report, run, teach."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from annotated_types import Ge, Le

from erroran.cli.analysis import mine_group, print_mined
from erroran.cli.app import command
from erroran.cli.console import Screen, out, print_runs, say_note, talk, training_display
from erroran.cli.options import (
    EVERY,
    REPORTS,
    ArmOptions,
    BaselineOfRun,
    BaselineOptions,
    InterveneOptions,
    JobOptions,
    LookOptions,
    NameArgument,
    Session,
    build_recipe,
)
from erroran.cli.shapes import preview_hypothesis, print_preview
from erroran.cli.specs import find_or_offer, find_spec, spec_for_pair, stem_of
from erroran.errors import BadInput, NotFound
from erroran.experiment.pair import Pair

if TYPE_CHECKING:
    from erroran.execution.task import Executor
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.stages.baseline import BaselineResult
    from erroran.stages.mine_confusions import MiningResult
    from erroran.store.records import Group
    from erroran.verdict.sequential import Design

_LOW_POWER = 0.5  # below it `intervene` warns


@command("store", "json")
def baseline(session: Session, options: BaselineOptions) -> None:
    """Train the same model under several seeds, and store every run.

    Examples:
        erroran baseline --seeds 3
        erroran baseline --seeds 5 --recipe fast
        erroran baseline --dataset digits --seed-list 7,8,9 --epochs 5 --jobs 2
        erroran baseline --model cnn-enhanced --recipe plateau --rotation 15
        erroran baseline --model my_model.py:build_fn --early-stopping 3
    """
    summary = _train_baseline(session, options, options.choose())
    session.show(summary)
    if not session.as_json:
        _print_baseline(out, summary)


@command(*EVERY)
def intervene(session: Session, name: NameArgument, options: InterveneOptions) -> None:
    """Retrain with the change that a hypothesis declares, beside a baseline and controls, and give a verdict.

    Examples:
        erroran intervene 4to9
        erroran intervene 4to9 --seeds 5 --controls all
        erroran intervene 4to9 --judge out-of-fold=5
        erroran intervene 4to9 --until-decided --max-seeds 20
        erroran intervene path/to/mine.toml --jobs 2
    """
    group = session.group
    stem, hypothesis = find_or_offer(name, session.store.get_dataset(group.template.dataset).class_names)
    _train_arms(session, group, stem, options.judged(hypothesis), options, options.choose())
    _report(session, group, stem)


@command(*EVERY)
def report(session: Session, name: NameArgument) -> None:
    """Write the report of an intervention again. Trains nothing.

    Examples:
        erroran report 4to9
        erroran report 4to9 --json
    """
    _report(session, session.group, stem_of(name))


@command("store", "json")
def run(
    session: Session,
    options: BaselineOfRun,
    arms: ArmOptions,
    looks: LookOptions,
    name: Annotated[
        str | None, typer.Argument(help="A hypothesis; default: that of the top mined pair.", metavar="[NAME]")
    ] = None,
) -> None:
    """Run all steps: baseline, mine-confusions, preview, intervene, report. Skips what is in the store already.

    Examples:
        erroran run 4to9
        erroran run --dataset digits --seeds 5
        erroran run --recipe fast --until-decided
    """
    named = find_spec(name) if name else None  # wrong names and options are refused before the training
    arms.names()
    arms.judging()
    looks.most_seeds()
    executor = options.choose()
    _say_step(1, "baseline")
    summary = _train_baseline(session, options, executor)
    _print_baseline(session.screen, summary)
    group = summary.trained
    _say_step(2, "mine-confusions")
    mined = mine_group(session, group, split="mine", top=10)
    print_mined(session.screen, mined, top=10)
    stem, hypothesis = named or _hypothesis_for_top_pair(mined)
    hypothesis = arms.judged(hypothesis)
    _say_step(3, f"preview {stem}")
    dataset = session.store.get_dataset(group.template.dataset)
    previewed = preview_hypothesis(session, stem, hypothesis, dataset, group.template.mine_fraction)
    print_preview(session.screen, *previewed)
    _say_step(4, f"intervene {stem}")
    seeds = len(group.seeds) if options.seeds is None and arms.reuse_baseline else options.seeds
    seeds = None if looks.until_decided else seeds  # --seeds is then the baseline's alone
    settings = InterveneOptions(seeds=seeds, **arms.model_dump(), **looks.model_dump())
    _train_arms(session, group, stem, hypothesis, settings, executor)
    _say_step(5, f"report {stem}")
    _report(session, group, stem)


@command("store", "json")
def teach(session: Session, parallel: JobOptions, runs: Annotated[int, Ge(13), Le(200)] = 16) -> None:
    """Show on digits, offline, how a fix that changes nothing can look like a success.

    Options:
        runs: Runs of the same network to train.

    Examples:
        erroran teach
        erroran teach --runs 24 --jobs 2
    """
    from erroran.report.teach import lesson_sentence, write_lesson
    from erroran.stages import teach as stage

    executor = parallel.choose()
    with training_display() as display:
        taught = stage.teach(session.store, n_runs=runs, executor=executor, **display.hooks)
    display.say_trained(taught.completed)
    session.show(taught, headline=lesson_sentence(taught), wrote=write_lesson(taught, REPORTS))


def _train_baseline(session: Session, options: BaselineOptions, executor: "Executor") -> "BaselineResult":
    from erroran.report.baseline import write_baseline
    from erroran.stages.baseline import summarise, train_baseline

    seeds, recipe = options.chosen(), build_recipe(options.recipe, options)
    how = options.model_dump(include={"model", "precision", "mine_fraction"})
    dataset = options.load(session.store)
    with training_display() as display:
        group, completed = train_baseline(
            session.store, dataset, recipe=recipe, seeds=seeds, executor=executor, **how, **display.hooks
        )
    display.say_trained(completed)
    summary = summarise(session.store, group)
    write_baseline(summary, REPORTS)
    return summary


def _print_baseline(screen: Screen, summary: "BaselineResult") -> None:
    print_runs(screen, [record.listed() for record in summary.records])
    accuracy, runs = summary.accuracy_confirm, len(summary.records)
    spread = f" +- {accuracy.sd:.2%} over {runs} seeds" if runs > 1 else ", one seed"
    screen.print(f"accuracy on confirm: {accuracy.mean:.2%}{spread}")
    screen.print(f"wrote {REPORTS / 'baseline.md'}")
    screen.say("next:", "erroran mine-confusions", "none")


def _train_arms(
    session: Session,
    group: "Group",
    stem: str,
    hypothesis: "Hypothesis",
    options: InterveneOptions,
    executor: "Executor",
) -> None:
    from erroran.stages import intervene as stage
    from erroran.verdict.sequential import plan_looks

    controls, listed, most = options.names(), options.listed(), options.most_seeds()
    say_note(group.note)
    design = None if most is None else plan_looks(most)

    def before_training(seeds: int, planned: "Design | None") -> None:
        if hypothesis.judge.folds is not None:
            times = hypothesis.judge.relative_time(group.template.mine_fraction)
            talk.print(
                f"judged out of fold: {hypothesis.judge.folds} runs per seed and arm, together {times:.1f} times the "
                "training of one run that is judged on confirm"
            )
        if planned is None:
            _warn_of_low_power(session, group, stem, hypothesis, seeds)
        else:
            talk.print(f"{planned.describe()}, until the verdict is decided; at most {seeds}")

    with training_display() as display:
        _, completed = stage.intervene(
            session.store,
            group,
            stem,
            hypothesis,
            seeds=listed,
            n_seeds=options.seeds,
            design=design,
            epochs=options.epochs,
            controls=controls,
            fresh_baseline=not options.reuse_baseline,
            executor=executor,
            before_training=before_training,
            after_replanning=display.say_replanned,
            after_look=partial(display.say_look, runs_per_seed=hypothesis.judge.runs_per_seed),
            before_measuring=lambda: talk.print("measuring what the augmentation did to the images"),
            **display.hooks,
        )
    display.say_trained(completed)


def _warn_of_low_power(session: Session, group: "Group", stem: str, hypothesis: "Hypothesis", seeds: int) -> None:
    """Warn before training if the power is low, or unknown."""
    from erroran.stages.plan import plan

    try:
        warning = "one run per arm cannot support any verdict."
        if seeds >= 2:
            planned = plan(
                session.store,
                group,
                stem,
                hypothesis,
                controls=(),
                seeds=(seeds,),
                n_simulations=200,
                n_judged=50,
                recommend=False,
            )
            power = planned.power_of(seeds)
            if power >= _LOW_POWER:
                return
            warning = (
                f"with {seeds} seeds per arm the chance of the verdict `improved` is {power:.0%} if the errors really "
                f"drop by {planned.worthwhile_percent:g}%; see `erroran plan {stem}`."
            )
    except NotFound:  # the spec does not fit the data: `intervene` itself refuses it
        return
    except BadInput as error:
        warning = f"the power cannot be computed: {error.message}"
    talk.say("Warning:", warning, "bold yellow")


def _report(session: Session, group: "Group", stem: str) -> None:
    from erroran.report.intervention import write_intervention
    from erroran.stages.report import assess

    with talk.status("comparing the arms"):
        assessment = assess(session.store, group, stem)
    path = write_intervention(assessment, REPORTS)
    session.write_index()
    verdict = assessment.verdict
    session.show(assessment, headline=verdict.sentence)
    if session.as_json:
        return
    if assessment.advice:
        out.print(f"what to do: {assessment.advice}")
    for compared in (verdict.forward, verdict.reverse, verdict.both):
        before, after = (" ".join(map(str, values)) for values in (compared.before_per_seed, compared.after_per_seed))
        out.print(f"  {compared.name}: {before} -> {after}")
    if verdict.word == "improved" and assessment.not_shown_to_beat:
        out.print(
            f"  not shown to make fewer such errors than {' or '.join(assessment.not_shown_to_beat)}", style="yellow"
        )
    for stamp in assessment.stamps:
        out.print(f"  {stamp.kind}: {stamp.sentence}", style="yellow")
    out.print(f"wrote {path}")


def _hypothesis_for_top_pair(mined: "MiningResult") -> "tuple[str, Hypothesis]":
    if not mined.pairs:
        raise NotFound(
            "The runs make no errors on `mine`: there is no pair to work on.",
            fix="erroran run --mine-fraction 0.3, or name a hypothesis: erroran run 4to9",
        )
    names = mined.evidence.class_names
    return spec_for_pair(Pair(*(names[label] for label in mined.pairs[0].found.pair)))


def _say_step(number: int, title: str) -> None:
    talk.print(f"\n{number}/5 {title}", style="bold")
