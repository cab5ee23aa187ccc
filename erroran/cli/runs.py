"""Commands about the content of the store: runs, runs show, runs remove."""

import json
from typing import Annotated

import typer

from erroran.cli.app import app, command, epilog, guarded
from erroran.cli.console import out, print_json, print_runs, talk
from erroran.cli.options import Session, expand

runs_app = typer.Typer(help="List, show and remove runs.", no_args_is_help=False)
app.add_typer(runs_app, name="runs")


def runs(session: Session, context: typer.Context) -> None:
    """List the runs in the store, oldest first."""
    if context.invoked_subcommand is not None:
        return
    records = session.store.list_runs()
    if session.as_json:
        print_json([record.summary() for record in records])
    elif records:
        print_runs(out, records)
    else:
        talk.say(f"no runs in {session.folder} yet; next:", "erroran baseline", "none")


runs_app.callback(invoke_without_command=True, epilog=epilog("erroran runs --json\nerroran runs show 3f2a"))(
    guarded(expand(runs, ("store", "json")))
)


@command(runs_app, "show", examples="erroran runs show 3f2a", shared=("store", "json"))
def runs_show(session: Session, run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning.")]) -> None:
    """Print everything recorded about a run."""
    record = session.store.get_run(run_id)
    content = {
        **record.model_dump(mode="json"),
        "id": record.id,
        "folder": str(session.store.run_folder(record.id)),
    }
    if session.as_json:
        print_json(content)
        return
    for key, value in content.items():
        out.print(f"{key}: {json.dumps(value) if isinstance(value, (dict, list)) else value}")


@command(runs_app, "remove", examples="erroran runs remove 3f2a 91bc", shared=("store",))
def runs_remove(
    session: Session,
    run_ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.", metavar="ID...")],
) -> None:
    """Delete runs. What needs them trains them again."""
    # All ids are checked before the first run is removed; by folder, because a damaged run can be removed too.
    for run_id in [session.store.run_folder(run_id).name for run_id in run_ids]:
        session.store.remove_run(run_id)
        out.print(f"removed {run_id}")
