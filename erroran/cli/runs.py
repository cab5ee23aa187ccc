"""Commands about the content of the store: runs, runs show, runs remove."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from erroran.cli.app import app, command
from erroran.cli.console import out, print_json, print_runs, talk
from erroran.cli.options import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erroran.experiment.judging import Population
    from erroran.store.records import ListedRun

runs_app = typer.Typer(no_args_is_help=False)
app.add_typer(runs_app, name="runs")


@command("store", "json", parent=runs_app, callback=True)
def runs(session: Session, context: typer.Context) -> None:
    """List the runs in the store, oldest first; or show or remove one.

    Examples:
        erroran runs --json
        erroran runs show 3f2a
    """
    if context.invoked_subcommand is not None:
        return
    records = session.store.list_short()
    _enter_look(session, records)
    if session.as_json:
        print_json([record.summary() for record in records])
    elif records:
        print_runs(out, records)
    else:
        talk.say(f"no runs in {session.folder} yet; next:", "erroran baseline", "none")


@command("store", "json", parent=runs_app)
def show(session: Session, run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning.")]) -> None:
    """Print everything that is recorded about a run.

    Examples:
        erroran runs show 3f2a
    """
    record = session.store.get_run(run_id)
    _enter_look(session, [record.listed()])
    folder = str(session.store.run_folder(record.id))
    content = {**record.model_dump(mode="json"), "id": record.id, "folder": folder}
    if session.as_json:
        print_json(content)
        return
    for key, value in content.items():
        out.print(f"{key}: {json.dumps(value) if isinstance(value, (dict, list)) else value}")


@command("store", parent=runs_app)
def remove(
    session: Session,
    run_ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.", metavar="ID...")],
) -> None:
    """Delete runs. A later command that needs them trains them again.

    Examples:
        erroran runs remove 3f2a 91bc
    """
    # All ids are checked before the first run is removed; by folder, because a damaged run can be removed too.
    for run_id in [session.store.run_folder(run_id).name for run_id in run_ids]:
        session.store.remove_run(run_id)
        out.print(f"removed {run_id}")


def _enter_look(session: Session, records: "Sequence[ListedRun]") -> None:
    """Enter in the ledger that accuracies on `confirm` are shown, and those of folds on their training images."""
    from erroran.store.ledger import Entry

    seeds: dict[tuple[str, Population], set[int]] = {}
    for spec in (record.spec for record in records):
        seeds.setdefault((spec.dataset, "confirm"), set()).add(spec.seed)
        if spec.fold is not None:
            seeds.setdefault((spec.dataset, "train"), set()).add(spec.seed)
    for (dataset, population), some in seeds.items():
        look = Entry(kind="runs-listed", dataset=dataset, population=population, seeds=tuple(sorted(some)))
        session.store.ledger.record(look)
