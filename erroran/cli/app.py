"""The Typer app, and the one place that turns errors into messages and exit codes.

``erroran --help`` imports this module, so it imports nothing that is slow.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from erroran import __version__
from erroran.cli.commands import Commands
from erroran.errors import ErroranError

P = ParamSpec("P")
R = TypeVar("R")

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Folder or URL (s3://..., gs://...) of the store; default: $ERRORAN_STORE, else .erroran.",
        metavar="PLACE",
    ),
]
GroupOption = Annotated[str | None, typer.Option("--group", help="Baseline group; default: the latest.", metavar="ID")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of tables.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
SHARED: Mapping[str, Any] = {"store": StoreOption, "group": GroupOption, "json": JsonOption, "quiet": QuietOption}
"""Options that may stand before and after the command; the value after the command counts."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is plain text: Rich takes longer to import than all that the help needs
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Find the classes that a classifier confuses consistently, try a targeted fix, and test whether it works.

The steps: baseline -> mine-confusions -> a hypothesis in experiments/*.toml -> preview -> intervene -> report.
"erroran run" does all of them.

Every trained run is kept in ./.erroran and is not trained again; reports are written to ./reports.""",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted. ERRORAN_DEBUG=1 shows tracebacks.",
)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one sentence, a fix and an exit code."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if os.environ.get("ERRORAN_DEBUG") == "1":
                raise
            from erroran.cli.console import complain

            message, fix, code = _explain(error)
            complain(message, fix)
            raise typer.Exit(code) from error

    return wrapper


def _explain(error: BaseException) -> tuple[str, str, int]:
    """The message, the fix and the exit code of an error."""
    match error:
        case ErroranError():
            return error.message, error.fix, error.exit_code
        case KeyboardInterrupt():
            return "Interrupted; every finished run is kept.", "run the same command again to continue", 130
        case SystemExit():  # commands end with typer.Exit
            return "Code that was called, such as a model's, ended Python.", "remove sys.exit() and exit() from it", 1
    return f"{type(error).__name__}: {error}", "ERRORAN_DEBUG=1 before the command shows where it happened", 1


def command(
    *shared: str, parent: typer.Typer = app, callback: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a command under its function's name.

    Args:
        shared: The shared options that it takes.
        parent: Where to register it.
        callback: Whether it is what `parent` does without a subcommand.
    """
    from erroran.cli.options import expand, read_docstring

    def register(function: Callable[P, R]) -> Callable[P, R]:
        text, _, examples = read_docstring(function)
        epilog = "\n".join(["\b", "Examples:", *(f"  $ {line}" for line in examples)])
        if callback:
            add = parent.callback(invoke_without_command=True, help=text, epilog=epilog)
        else:
            add = parent.command(function.__name__.replace("_", "-"), help=text, epilog=epilog)
        add(guarded(expand(function, shared)))
        return function

    return register


@app.callback(invoke_without_command=True)
@guarded
def _root(
    context: typer.Context,
    store: StoreOption = None,
    group: GroupOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, or go on to a command."""
    from erroran.cli.options import merge

    merge(context, {"store": store, "group": group, "json": json, "quiet": quiet}, ("store", "group", "json"))
    if version:
        from erroran.cli.console import out

        out.print(__version__)
        raise typer.Exit
