"""The Typer app, and the one place that turns errors into messages and exit codes."""

import functools
import os
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer

from erroran import __version__
from erroran.cli.console import complain, out
from erroran.cli.options import SHARED, Session, expand
from erroran.errors import ErroranError

P = ParamSpec("P")
R = TypeVar("R")
EVERY = ("store", "group", "json")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Find the confusions a classifier keeps making, try a targeted fix, learn whether it worked.

[bold]The loop[/]: baseline -> mine-confusions -> a hypothesis in experiments/*.toml -> preview -> intervene ->
report. [bold]erroran run[/] does all of it.

Everything trained is kept in ./.erroran and never trained twice; reports go to ./reports.""",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted. ERRORAN_DEBUG=1 shows tracebacks.",
)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one sentence and a fix, and into an exit code. The one place that does."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if os.environ.get("ERRORAN_DEBUG") == "1":
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        except ErroranError as error:
            complain(error.message, error.fix)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            complain("Interrupted; every finished run is kept.", "run the same command again to continue")
            raise typer.Exit(130) from error
        except SystemExit as error:  # from the code of a model: commands end with typer.Exit
            complain("Code that was called, such as a model's, ended Python.", "remove sys.exit() and exit() from it")
            raise typer.Exit(1) from error
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            complain(
                f"{type(error).__name__}: {error}",
                "ERRORAN_DEBUG=1 before the command shows where it happened",
            )
            raise typer.Exit(1) from error

    return wrapper


def command(
    parent: typer.Typer, name: str, *, examples: str, shared: tuple[str, ...] = EVERY
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a guarded command whose help ends with examples.

    Args:
        parent: Where to register it.
        name: The command's name.
        examples: One a line.
        shared: The shared options that it takes.
    """

    def register(function: Callable[P, R]) -> Callable[P, R]:
        parent.command(name, epilog=epilog(examples))(guarded(expand(function, shared)))
        return function

    return register


def epilog(examples: str) -> str:
    """The end of a help text."""
    lines = "\n\n".join(f"[cyan]$ {line}[/]" for line in examples.strip().splitlines())
    return f"[bold]Examples[/]\n\n{lines}"


def _root(
    session: Session, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    """Print the version, or go on to a command."""
    del session
    if version:
        out.print(__version__)
        raise typer.Exit


app.callback(invoke_without_command=True)(guarded(expand(_root, tuple(name for name in SHARED if name != "quiet"))))
