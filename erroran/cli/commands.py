"""The table of contents of the command line. The module of a command is imported when the command is used."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command_from_info, get_group_from_info

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("loop", "Run all steps: baseline, mine-confusions, preview, intervene, report."),
    "dataset": ("analysis", "Check a dataset and count its images per class."),
    "baseline": ("loop", "Train the same model under several seeds, and store every run."),
    "mine-confusions": ("analysis", "Rank the class pairs that are confused consistently over seeds."),
    "review": ("inspection", "Evaluate a confidence threshold."),
    "across-models": ("inspection", "Show which confusions all models share, and which belong to one model."),
    "propose": ("shapes", "Find shape measures that are associated with a confusion."),
    "new": ("analysis", "Write a starter spec for a pair, to be edited."),
    "measure": ("shapes", "Measure the shape of the ink of every image."),
    "preview": ("shapes", "Show how a hypothesis, or augmentation in the model, changes images."),
    "probe": ("shapes", "Test on the stored models whether a hypothesis' operation causes the error."),
    "plan": ("analysis", "Simulate what each design would say, and how long its training takes."),
    "intervene": ("loop", "Retrain with the change that a hypothesis declares."),
    "report": ("loop", "Write the report of an intervention again."),
    "stress": ("shapes", "Evaluate an intervention on thinned, thickened, swollen and fractured images."),
    "diff": ("analysis", "Compare prediction files of any framework."),
    "study": ("studies", "Train several models under several seeds."),
    "teach": ("loop", "Show on digits, offline, how a fix that changes nothing can look like a success."),
    "runs": ("runs", "List the runs in the store, oldest first; or show or remove one."),
}
"""Command to the module that has it, and what the list of commands says about it."""


class _Loaded(Mapping[str, Any]):
    """Name to command; imports the module of a command that is asked for."""

    def __getitem__(self, name: str) -> Any:
        from erroran.cli.app import app

        import_module(f"erroran.cli.{COMMANDS[name][0]}")
        for command in app.registered_commands:
            if command.name == name:
                return get_command_from_info(command, pretty_exceptions_short=False, rich_markup_mode=None)
        (group,) = (group for group in app.registered_groups if group.name == name)
        return get_group_from_info(group, pretty_exceptions_short=False, suggest_commands=True, rich_markup_mode=None)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands, which are listed without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Loaded()})

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
