"""Commands that look at what stored runs predict: review, across-models."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from erroran.cli.app import app, command
from erroran.cli.console import out, print_json, say_note, talk
from erroran.cli.options import REPORTS, GroupOption, JsonOption, SplitName, StoreOption, open_store
from erroran.errors import BadInput


@command(
    app,
    "review",
    examples="""
erroran review
erroran review --threshold 0.95 --ensemble
erroran review --target-accuracy 0.999 --on confirm
erroran review --predictions 'runs/*.csv'
""",
)
def review(
    threshold: Annotated[
        float | None, typer.Option(help="Confidence from which on an image is answered; default: 0.8.")
    ] = None,
    target_accuracy: Annotated[
        float | None,
        typer.Option(help="Instead: the lowest threshold on `mine` at which so many of the answers are right."),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Judge the mean probabilities of all runs, not each run.")
    ] = False,
    on: Annotated[
        SplitName, typer.Option("--on", help="confirm: entered in the ledger, and only numbers are shown.")
    ] = SplitName.MINE,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            help="Prediction files of any framework instead of stored runs: one run a file, with p_<class>; repeat, "
            "or quote a pattern.",
            metavar="FILES",
        ),
    ] = None,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Answer only when sure: what a threshold buys, whether it can be trusted, who must look. Trains nothing."""
    from erroran.report.review import review_sentence, threshold_text, write_review
    from erroran.stages.review import review as review_runs
    from erroran.stages.review import review_files

    if predictions:
        if on is SplitName.CONFIRM or group is not None:
            raise BadInput("--predictions names all that is read.", fix="leave out --on and --group")
        reviewed = review_files(predictions, threshold=threshold, target_accuracy=target_accuracy, ensemble=ensemble)
    else:
        opened = open_store(store)
        reviewed = review_runs(
            opened,
            opened.get_group(group),
            threshold=threshold,
            target_accuracy=target_accuracy,
            split=on.value,
            ensemble=ensemble,
        )
    path = write_review(reviewed, REPORTS)
    if as_json:
        print_json(reviewed.to_json())
        return
    say_note(reviewed.group.note if reviewed.group else None)
    out.print(f"[bold]{escape(review_sentence(reviewed))}[/]")
    table = Table("threshold", "answered", "right, of the answered", box=None)
    for step in reviewed.ladder:
        right = f"{step.accuracy[0]:.3%}" if step.accuracy else "-"
        table.add_row(threshold_text(step.threshold), f"{step.coverage[0]:.2%}", right)
    out.print(table)
    talk.print(f"wrote {path}" + ("" if reviewed.discreet else f" and {path.parent / 'review' / 'queue.csv'}"))


@command(
    app,
    "across-models",
    examples="""
erroran across-models
erroran across-models --groups 4f36,ab69 --json
""",
)
def across_models(
    groups: Annotated[
        str | None,
        typer.Option(
            help="Baseline groups to compare; default: the latest of each model, on the images of the latest of all.",
            metavar="ID,ID,...",
        ),
    ] = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Tell confusions that all models share from those that belong to one. Trains nothing."""
    from erroran.report.across_models import across_sentence, write_across
    from erroran.stages.across_models import compare_groups

    named = None if groups is None else [part.strip() for part in groups.split(",")]
    if named is not None and not all(named):
        raise BadInput(f"--groups `{groups}` is not a list of groups.", fix="--groups 4f36,ab69")
    compared = compare_groups(open_store(store), named)
    path = write_across(compared, REPORTS)
    if as_json:
        print_json(compared.to_json())
        return
    say_note(compared.models[0].group.note)
    for left in compared.skipped:
        talk.print(f"left aside: {escape(left)}")
    out.print(f"[bold]{escape(across_sentence(compared))}[/]")
    names = [escape(model.name) for model in compared.models]
    table = Table("pair", *names, "images in every model", "stands out in", "belongs to", box=None)
    for pair in compared.pairs[:15]:
        owner = "" if pair.owner is None else escape(compared.models[pair.owner].name)
        errors = (f"{mean:.1f}" for mean in pair.mean_errors)
        common = str(pair.images_everywhere)
        table.add_row(
            compared.pair_name(pair.pair), *errors, common, f"{pair.surely_in} of {len(compared.models)}", owner
        )
    out.print(table)
    talk.print(f"wrote {path}")
