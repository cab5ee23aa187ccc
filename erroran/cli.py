"""The command line, as a table of contents: importing a module registers its commands."""

from erroran.commands import analysis, loop, runs, studies
from erroran.commands.app import app

__all__ = ["analysis", "app", "loop", "main", "runs", "studies"]

_PIPELINE = (
    *("run", "baseline", "mine-confusions", "new", "measure", "preview", "probe", "plan", "intervene", "report"),
    *("diff", "study", "teach"),
)
app.registered_commands.sort(key=lambda registered: _PIPELINE.index(registered.name or ""))


def main() -> None:
    """Entry point of the ``erroran`` command."""
    app()
