"""Commands that analyse what stored runs predict: review, across-models."""

from erroran.cli.app import command
from erroran.cli.console import talk
from erroran.cli.options import EVERY, REPORTS, Session, SplitName
from erroran.errors import BadInput


@command(*EVERY)
def review(
    session: Session,
    threshold: float | None = None,
    target_accuracy: float | None = None,
    ensemble: bool = False,
    on: SplitName = "mine",
    predictions: list[str] | None = None,
) -> None:
    """Evaluate a confidence threshold: coverage, accuracy, calibration, and images to review. Trains nothing.

    Options:
        threshold: Answer images with at least this confidence; default: 0.8.
        target_accuracy: Instead: the lowest threshold on `mine` at which the answers reach this accuracy.
        ensemble: Evaluate the mean probabilities of all runs, not each run.
        on: confirm: recorded in the ledger; only numbers are shown.
        predictions FILES: Read prediction files with p_<class> instead of stored runs: one run per file; repeat, or
            quote a pattern.

    Examples:
        erroran review
        erroran review --threshold 0.95 --ensemble
        erroran review --target-accuracy 0.999 --on confirm
        erroran review --predictions 'runs/*.csv'
    """
    from erroran.report.review import review_sentence, threshold_text, write_review
    from erroran.stages import review as stage

    if predictions:
        if on == "confirm" or session.group_id is not None:
            raise BadInput("--predictions cannot be combined with --on confirm or --group.", fix="leave them out")
        reviewed = stage.review_files(
            predictions, threshold=threshold, target_accuracy=target_accuracy, ensemble=ensemble
        )
    else:
        reviewed = stage.review(
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
        table=[("threshold", "answered", "accuracy of the answers"), *rows],
        wrote=f"{path}" + (f" and {path.with_suffix('') / 'queue.csv'}" if reviewed.shows_images else ""),
        note=reviewed.note,
    )


@command("store", "json")
def across_models(session: Session, groups: str | None = None) -> None:
    """Show which confusions all models share, and which belong to one model. Trains nothing.

    Options:
        groups ID,ID,...: Baseline groups to compare; default: the latest of each model on the dataset used last.

    Examples:
        erroran across-models
        erroran across-models --groups 4f36,ab69 --json
    """
    from erroran.report.across_models import across_sentence, write_across
    from erroran.stages.across_models import compare_groups

    named = None if groups is None else [part.strip() for part in groups.split(",")]
    if named is not None and not all(named):
        raise BadInput(f"--groups `{groups}` is not a list of groups.", fix="--groups 4f36,ab69")
    compared = compare_groups(session.store, named)
    for left in compared.skipped:
        talk.print(f"left out: {left}")
    rows = [
        (
            str(pair.pair),
            *(f"{mean:.1f}" for mean in pair.mean_errors),
            str(pair.images_everywhere),
            f"{pair.surely_in} of {len(compared.models)}",
            pair.owner or "",
        )
        for pair in compared.pairs[:15]
    ]
    models = (model.name for model in compared.models)
    session.show(
        compared,
        headline=across_sentence(compared),
        table=[("pair", *models, "images in every model", "stands out in", "belongs to"), *rows],
        wrote=write_across(compared, REPORTS),
        note=compared.note,
    )
