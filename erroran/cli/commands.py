"""The table of contents of the command line: importing a module registers its commands."""

from erroran.cli import analysis, inspection, loop, runs, shapes, studies
from erroran.cli.app import app

__all__ = ["analysis", "app", "inspection", "loop", "runs", "shapes", "studies"]

_ORDER = (
    *("run", "dataset", "baseline", "mine-confusions", "review", "across-models", "propose", "new", "measure"),
    *("preview", "probe", "plan", "intervene", "report", "stress", "diff", "study", "teach"),
)
app.registered_commands.sort(key=lambda registered: _ORDER.index(registered.name or ""))
