"""Commands that look at what stored runs predict: review, across-models."""

from typing import Annotated

import typer

from erroran.cli.app import app, command
from erroran.cli.console import talk
from erroran.cli.options import REPORTS, Session, SplitName
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
    session: Session,
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
    ] = "mine",
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            help="Prediction files of any framework instead of stored runs: one run per file, with p_<class>; repeat, "
            "or quote a pattern.",
            metavar="FILES",
        ),
    ] = None,
) -> None:
    """Answer only when sure: what a threshold buys, whether it can be trusted, who must look. Trains nothing."""
    from erroran.report.review import review_sentence, threshold_text, write_review
    from erroran.stages.review import review as review_runs
    from erroran.stages.review import review_files

    if predictions:
        if on == "confirm" or session.group_id is not None:
            raise BadInput("--predictions names all that is read.", fix="leave out --on and --group")
        reviewed = review_files(predictions, threshold=threshold, target_accuracy=target_accuracy, ensemble=ensemble)
    else:
        reviewed = review_runs(
            session.store,
            session.group,
            threshold=threshold,
            target_accuracy=target_accuracy,
            split=on,
            ensemble=ensemble,
        )
    path = write_review(reviewed, REPORTS)
    rows = [
        (threshold_text(step.threshold), f"{step.coverage[0]:.2%}", f"{step.accuracy[0]:.3%}" if step.accuracy else "-")
        for step in reviewed.ladder
    ]
    session.show(
        reviewed,
        headline=review_sentence(reviewed),
        table=[("threshold", "answered", "right, of the answered"), *rows],
        wrote=f"{path}" + (f" and {path.with_suffix('') / 'queue.csv'}" if reviewed.shows_images else ""),
        note=reviewed.note,
    )


@command(
    app,
    "across-models",
    examples="""
erroran across-models
erroran across-models --groups 4f36,ab69 --json
""",
    shared=("store", "json"),
)
def across_models(
    session: Session,
    groups: Annotated[
        str | None,
        typer.Option(
            help="Baseline groups to compare; default: the latest of each model, on the images of the latest of all.",
            metavar="ID,ID,...",
        ),
    ] = None,
) -> None:
    """Tell confusions that all models share from those that belong to one. Trains nothing."""
    from erroran.report.across_models import across_sentence, write_across
    from erroran.stages.across_models import compare_groups

    named = None if groups is None else [part.strip() for part in groups.split(",")]
    if named is not None and not all(named):
        raise BadInput(f"--groups `{groups}` is not a list of groups.", fix="--groups 4f36,ab69")
    compared = compare_groups(session.store, named)
    models = compared.models
    for left in compared.skipped:
        talk.print(f"left out: {left}")
    rows = [
        (
            str(pair.pair),
            *(f"{mean:.1f}" for mean in pair.mean_errors),
            str(pair.images_everywhere),
            f"{pair.surely_in} of {len(models)}",
            pair.owner or "",
        )
        for pair in compared.pairs[:15]
    ]
    headers = ("pair", *(model.name for model in models), "images in every model", "stands out in", "belongs to")
    session.show(
        compared,
        headline=across_sentence(compared),
        table=[headers, *rows],
        wrote=write_across(compared, REPORTS),
        note=compared.note,
    )
