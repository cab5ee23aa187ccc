"""The Typer app, and the one place that turns errors into messages and exit codes."""

import functools
import os
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer

from erroran import __version__
from erroran.cli.console import complain, out
from erroran.errors import ErroranError

P = ParamSpec("P")


R = TypeVar("R")

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
            complain("Interrupted; every finished run is kept.", "the same command again goes on from there")
            raise typer.Exit(130) from error
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            complain(
                f"{type(error).__name__}: {error}",
                "ERRORAN_DEBUG=1 before the command shows where it happened",
            )
            raise typer.Exit(1) from error

    return wrapper


def command(parent: typer.Typer, name: str, *, examples: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a guarded command whose help ends with examples."""

    def register(function: Callable[P, R]) -> Callable[P, R]:
        lines = "\n\n".join(f"[cyan]$ {line}[/]" for line in examples.strip().splitlines())
        registered = guarded(function)
        parent.command(name, epilog=f"[bold]Examples[/]\n\n{lines}")(registered)
        return registered

    return register


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version, or go on to a command."""
    if version:
        out.print(__version__)
        raise typer.Exit
