"""The README is true: its commands exist and parse, its links lead somewhere, CI runs its test command."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from erroran.cli.app import app
from erroran.experiment.hypothesis import Hypothesis

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ erroran (.+)$", README, flags=re.MULTILINE)


def leaf_commands() -> dict[str, object]:
    """Every command by its full name, such as ``runs show``."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        found[name] = command
        for inner, nested in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = nested
    return found


@pytest.mark.parametrize("line", COMMANDS)
def test_each_example_parses(line):
    """Command, arguments and options of every example exist and take these values."""
    words = shlex.split(line, comments=True)
    commands = leaf_commands()
    name = " ".join(words[:2]) if " ".join(words[:2]) in commands else words[0]
    rest = words[len(name.split()) :]
    commands[name].make_context(name, rest)


@pytest.mark.parametrize("name", sorted(leaf_commands()))
def test_each_command_is_in_the_table_and_has_examples(name):
    """No command goes without a row in the README's table, a help text and examples of its own."""
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    assert name.split()[0] in {word.split()[0] for row in rows for word in re.findall(r"`([^`]+)`", row)}
    command = leaf_commands()[name]
    assert command.help
    assert "Examples" in command.epilog


def test_the_shipped_predictions_give_the_output_that_is_shown(monkeypatch):
    """The example of `diff` runs on the files that come with erroran, and prints what the README prints."""
    monkeypatch.chdir(ROOT)
    (line,) = (line for line in COMMANDS if line.startswith("diff"))
    shown = re.search(r"\$ erroran diff.+?```\n\n```\n(.+?)```", README, flags=re.DOTALL).group(1)
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 0, done.output
    printed = " ".join(done.output.split())
    for part in shown.split("..."):
        assert " ".join(part.split()) in printed


def test_relative_links_and_images_exist():
    """No relative link of the README is broken."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_ci_runs_the_test_command_of_the_readme():
    """The line that .ci/run looks for is in the README, once."""
    found = re.findall(r"^python3 -m venv \.venv && .*/pytest$", README, flags=re.MULTILINE)
    assert len(found) == 1
    assert r"^python3 -m venv \.venv && .*/pytest$" in (ROOT / ".ci" / "run").read_text()


def test_the_spec_in_the_readme_is_the_shipped_one():
    """The hypothesis that is shown is the one that runs."""
    import tomllib

    shown = tomllib.loads(re.search(r"```toml\n(.+?)```", README, flags=re.DOTALL).group(1))
    shipped = tomllib.loads((ROOT / "experiments" / "4to9.toml").read_text())
    assert Hypothesis.model_validate(shown) == Hypothesis.model_validate(shipped)
