"""Find a hypothesis by name, or write a starter."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from erroran.cli.console import talk
from erroran.errors import BadInput, NotFound
from erroran.experiment.pair import Pair
from erroran.files import write_text

if TYPE_CHECKING:
    from erroran.experiment.hypothesis import Hypothesis

EXPERIMENTS = Path("experiments")
REPORT_NAMES = (
    "readme", "across-models", "baseline", "benchmarks", "calibration", "confusions", "in-model-preview", "morphometry",
    "proposals", "review", "teach",
)  # fmt: skip
"""Documents in ``reports/`` that belong to no hypothesis."""
REPORT_ENDINGS = ("-preview", "-probe", "-proposal", "-plan", "-stress")
"""Name endings of a hypothesis' other documents."""


def stem_of(name: str) -> str:
    """The name of a hypothesis that is given by name or by path."""
    return Path(name).stem if name.endswith(".toml") else name


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
    """Refuse a name that cannot be linked in a report, or would overwrite another document or arm.

    Raises:
        BadInput: It would.
    """
    from erroran.experiment.controls import CONTROLS

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, flags=re.ASCII):
        raise BadInput(f"`{name}` cannot name a hypothesis: up to 100 letters, digits, `-`, `_` and `.` can.", fix=fix)
    if name.lower() in {*REPORT_NAMES, *CONTROLS} or name.lower().endswith(REPORT_ENDINGS):
        raise BadInput(f"`{name}` is the name of another report or arm.", fix=fix)


def find_or_offer(name: str, class_names: Sequence[str]) -> "tuple[str, Hypothesis]":
    """Find a spec; for a pair without one, such as 7to1, offer to write a starter.

    Raises:
        NotFound: There is no spec, and none was written.
    """
    try:
        return find_spec(name)
    except NotFound as error:
        try:
            pair = Pair.parse(name, class_names)
        except BadInput:
            raise error from None
        path = EXPERIMENTS / f"{pair.slug}.toml"
        question = f"There is no spec for {name}. Write a starter to {path}?"
        if not sys.stdin.isatty() or not typer.confirm(question, err=True):
            raise NotFound(error.message, fix=f"{new_command(pair)}   (writes a starter spec to edit)") from error
        write_starter(pair.slug, pair)
        raise typer.Exit(0) from error


def new_command(pair: Pair) -> str:
    """The command that writes a starter spec for a pair."""
    return f"erroran new {pair.slug} --pair {shlex.quote(str(pair))}"


def next_command(pair: Pair) -> str:
    """The command for a chosen pair: test its hypothesis, or write one."""
    try:
        find_path(pair.slug)
    except NotFound:
        return new_command(pair)
    return f"erroran intervene {pair.slug}"


def spec_for_pair(pair: Pair) -> "tuple[str, Hypothesis]":
    """The spec that is named after a pair; a starter is written if there is none."""
    try:
        return find_spec(pair.slug)
    except NotFound:
        write_starter(pair.slug, pair)
        return find_spec(pair.slug)


def write_starter(name: str, pair: Pair) -> None:
    """Write a starter spec, unless there is one.

    Raises:
        BadInput: There is one, or the name cannot be used.
    """
    from erroran.experiment.hypothesis import starter_toml

    check_name(name, fix=new_command(pair))
    path = EXPERIMENTS / f"{name}.toml"
    if path.exists():
        raise BadInput(f"{path} exists already.", fix="edit it, or choose another name")
    write_text(path, starter_toml(*pair.classes))
    talk.say(f"wrote a starter spec to {path}; edit it, then:", f"erroran preview {name}", "none")


def read_pair(text: str, class_names: Sequence[str]) -> Pair:
    """The pair of the spec of that name; otherwise the pair that the text itself names, as ``4to9`` or ``4:9``.

    Raises:
        BadInput: Neither.
    """
    if ":" not in text:
        try:
            return find_spec(text)[1].pair
        except NotFound:
            if text.endswith(".toml"):
                raise
    return Pair.parse(text, class_names)


def write_proposed(texts: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write proposed specs (TOML by name), or none if one exists with another content.

    Raises:
        BadInput: One does, and `force` is not given.
    """
    paths = {EXPERIMENTS / f"{name}.toml": text for name, text in texts.items()}
    for path, text in paths.items():
        check_name(path.stem, fix="rename the classes of the dataset")
        if path.exists() and not force and path.read_text(encoding="utf-8") != text:
            raise BadInput(
                f"{path} exists already and differs from what is proposed now.",
                fix="--force to overwrite it, or rename it",
            )
    for path, text in paths.items():
        write_text(path, text)
    return list(paths)
