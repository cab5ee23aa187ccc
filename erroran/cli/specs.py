"""Find a hypothesis by name, or offer a starter."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from erroran.cli.console import talk
from erroran.errors import BadInput, NotFound

if TYPE_CHECKING:
    from erroran.experiment.hypothesis import Hypothesis

EXPERIMENTS = Path("experiments")


_TAKEN = (
    "readme",
    "baseline",
    "benchmarks",
    "calibration",
    "confusions",
    "in-model-preview",
    "morphometry",
    "out-of-fold",
    "proposals",
    "teach",
)


def find_path(name: str) -> Path:
    """Find a spec's file, in ./experiments first, then among those shipped."""
    from erroran.experiment.hypothesis import find_hypothesis, shipped_folder

    return find_hypothesis(name, [EXPERIMENTS, shipped_folder()])


def find_spec(name: str) -> "tuple[str, Hypothesis]":
    """Find and read a spec: its name and content."""
    from erroran.experiment.hypothesis import read_hypothesis

    path = find_path(name)
    check_name(path.stem, fix=f"rename {path}")
    return path.stem, read_hypothesis(path)


def check_name(name: str, *, fix: str) -> None:
    """Refuse a hypothesis' name that cannot be linked in a report, or would overwrite another document or arm."""
    from erroran.experiment.controls import CONTROLS

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, flags=re.ASCII):
        raise BadInput(f"`{name}` cannot name a hypothesis: letters, digits, `-`, `_` and `.` can.", fix=fix)
    if name.lower() in {*_TAKEN, *CONTROLS}:
        raise BadInput(f"`{name}` is the name of another report or arm.", fix=fix)


def find_or_offer(name: str) -> "tuple[str, Hypothesis]":
    """Find a spec; for a pair that has none, such as 7to1, offer to write a starter."""
    try:
        return find_spec(name)
    except NotFound as error:
        true, _, predicted = name.partition("to")
        if not (true and predicted) or name.endswith(".toml"):
            raise
        path = EXPERIMENTS / f"{name}.toml"
        command = f"erroran new {name} --pair {true}:{predicted}"
        if not sys.stdin.isatty() or not typer.confirm(
            f"There is no spec for {name}. Write a starter to {path}?", err=True
        ):
            raise NotFound(error.message, fix=f"{command}   (writes a starter spec to edit)") from error
        write_starter(name, true, predicted)
        raise typer.Exit(0) from error


def write_starter(name: str, true: str, predicted: str) -> Path:
    """Write a starter spec, unless there is one."""
    from erroran.experiment.hypothesis import starter_toml

    check_name(name, fix=f"erroran new {true}to{predicted} --pair {true}:{predicted}")
    path = EXPERIMENTS / f"{name}.toml"
    if path.exists():
        raise BadInput(f"{path} exists already.", fix="edit it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(starter_toml(true, predicted), encoding="utf-8")
    talk.print(f"wrote a starter spec to [bold]{path}[/]; edit it, then: [bold]erroran preview {name}[/]")
    return path


def find_pair_name(name: str) -> str:
    """The pair of a spec of that name; the name itself, such as ``4to9`` or ``4:9``, where there is none."""
    if ":" in name:
        return name
    try:
        return str(find_spec(name)[1].pair)
    except NotFound:
        if name.endswith(".toml"):
            raise
        return name


def name_pair(true: str, predicted: str) -> str:
    """Name files after a pair, as in ``4to9``; what a file's name should not have becomes a dash."""
    parts = [re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") or "class" for part in (true, predicted)]
    return "to".join(parts)


def write_proposed(texts: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write proposed specs, or none of them if one would be overwritten that says something else.

    Args:
        texts: Name of the hypothesis to the spec's TOML.
        force: Overwrite.

    Raises:
        BadInput: A spec is there already, with another content.
    """
    for name, text in texts.items():
        path = EXPERIMENTS / f"{name}.toml"
        check_name(name, fix="rename the classes of the dataset")
        if path.exists() and not force and path.read_text(encoding="utf-8") != text:
            raise BadInput(
                f"{path} exists already and differs from what is proposed now.",
                fix="--force to overwrite it, or rename it",
            )
    paths = []
    for name, text in texts.items():
        EXPERIMENTS.mkdir(parents=True, exist_ok=True)
        paths.append(EXPERIMENTS / f"{name}.toml")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def split_pair(pair: str) -> tuple[str, str]:
    """Read what ``--pair`` was given, such as 7:1."""
    true, _, predicted = pair.partition(":")
    if not true or not predicted or true == predicted:
        raise BadInput(f"--pair {pair} does not name two classes.", fix="--pair 7:1")
    return true, predicted
