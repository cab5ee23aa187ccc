"""What is in the store: runs, runs show, runs remove."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from erroran.cli.app import app, command, guarded
from erroran.cli.console import (
    out,
    print_json,
    runs_table,
    talk,
)
from erroran.cli.options import (
    JsonOption,
    StoreOption,
    open_store,
)

runs_app = typer.Typer(help="List, show and remove runs.", invoke_without_command=True, no_args_is_help=False)
app.add_typer(runs_app, name="runs")


@runs_app.callback(epilog="[bold]Examples[/]\n\n[cyan]$ erroran runs --json[/]\n\n[cyan]$ erroran runs show 3f2a[/]")
@guarded
def runs(context: typer.Context, store: StoreOption = Path(".erroran"), as_json: JsonOption = False) -> None:
    """List the runs in the store, oldest first."""
    context.obj = store
    if context.invoked_subcommand is not None:
        return
    records = open_store(store).list_runs()
    if as_json:
        print_json([record.summary() for record in records])
    elif records:
        out.print(runs_table(records))
    else:
        talk.print(f"no runs in {store} yet; next: [bold]erroran baseline[/]")


@command(runs_app, "show", examples="erroran runs show 3f2a")
def runs_show(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    as_json: JsonOption = False,
) -> None:
    """Print everything recorded about a run."""
    store = open_store(context.obj)
    record = store.get_run(run_id)
    content = {**record.model_dump(mode="json"), "id": record.id, "folder": str(store.run_folder(record.id))}
    if as_json:
        print_json(content)
        return
    for key, value in content.items():
        out.print(f"[bold]{key}[/]: {escape(json.dumps(value) if isinstance(value, (dict, list)) else str(value))}")


@command(runs_app, "remove", examples="erroran runs remove 3f2a 91bc")
def runs_remove(
    context: typer.Context,
    run_ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.", metavar="ID...")],
) -> None:
    """Delete runs. What needs them trains them again."""
    store = open_store(context.obj)
    # All are checked before the first goes; by their folders, because a damaged run has to go too.
    for run_id in [store.run_folder(run_id).name for run_id in run_ids]:
        store.remove_run(run_id)
        out.print(f"removed {run_id}")
