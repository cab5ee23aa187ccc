"""Commands about several models at once."""

from typing import Annotated

import typer

from erroran.cli.app import command
from erroran.cli.console import out, training_display
from erroran.cli.options import REPORTS, Count, DataOptions, JobOptions, Session
from erroran.cli.specs import EXPERIMENTS, check_name


@command("store", "json")
def study(
    session: Session,
    data: DataOptions,
    parallel: JobOptions,
    name: Annotated[str, typer.Argument(help="A study in ./experiments, a shipped one, or a path.", metavar="NAME")],
    seeds: Count = None,
) -> None:
    """Train several models under several seeds, and test which of them differ.

    Options:
        seeds: Runs per model, instead of the study's.

    Examples:
        erroran study dense-study
        erroran study cnn-study --jobs 2
        erroran study path/to/study.toml --seeds 5 --dataset digits
    """
    from erroran.experiment.hypothesis import shipped_folder
    from erroran.experiment.study import find_study, read_study
    from erroran.report.study import claim_line, study_headline, write_study
    from erroran.stages.study import assess_study, train_study

    path = find_study(name, [EXPERIMENTS, shipped_folder()])
    check_name(path.stem, fix=f"rename {path}")
    spec = read_study(path)
    if seeds is not None:
        spec = spec.model_copy(update={"seeds": seeds})
    images = data.load(session.store)
    executor = parallel.choose()
    with training_display() as display:
        trained = train_study(session.store, images, path.stem, spec, executor=executor, **display.hooks)
    display.say_trained(*(completed for _, completed in trained))
    result = assess_study(session.store, path.stem, spec, [group for group, _ in trained])
    session.show(write_study(result, REPORTS), headline=study_headline(result).replace("`", ""))
    if not session.as_json:
        for checked in result.claims:
            out.print("  " + claim_line(checked).replace("`", "").replace("**", ""))
        out.print(f"wrote {REPORTS / path.stem}.md")
