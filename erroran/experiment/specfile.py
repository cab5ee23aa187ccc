"""Read a TOML spec strictly: an unknown key is an error that suggests the most similar known one."""

import difflib
import json
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from erroran.errors import NotFound, SpecError

Spec = TypeVar("Spec", bound=BaseModel)


class Strict(BaseModel):
    """A model that refuses unknown keys and numbers that are not finite, and cannot be modified."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read_spec(path: Path, model: type[Spec], *, see: str, others: Mapping[str, str]) -> Spec:
    """Read and check a spec file.

    Args:
        path: The file.
        model: Its pydantic model.
        see: The command whose help explains such files.
        others: Keys that occur only in another kind of spec, to the command for that kind.

    Raises:
        SpecError: The file is not TOML, or a key is unknown, missing or has a wrong value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"The spec {path} cannot be read: {error}.", fix=f"check the file {path}") from error
    except (ValueError, RecursionError) as error:  # also integers of 5,000 digits, and tables nested too deep
        raise SpecError(f"The spec {path} is not valid TOML: {error}.", fix=f"edit {path}") from error
    for key, command in others.items():
        if key in content and key not in model.model_fields:
            raise SpecError(f"{path} is a spec of another kind: it has `{key}`.", fix=f"{command} {path.stem}")
    try:
        return model.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise SpecError(_explain(path, model, content, error), fix=f"edit {path}; see `{see} --help`") from error


def find_spec_file(name: str, folders: Sequence[Path], *, what: str) -> Path | None:
    """Find a spec by its stem (in the first of `folders` that has it) or by a path that ends in ``.toml``.

    Returns:
        None if no folder has the name.

    Raises:
        NotFound: There is no file at the path; `what` is the kind of file, for the message.
    """
    direct = Path(name)
    if direct.suffix == ".toml":
        if direct.is_file():
            return direct
        raise NotFound(f"There is no {what} file {direct}.", fix="check the path")
    return next((path for folder in folders if (path := folder / f"{name}.toml").is_file()), None)


def quote(text: str | list[str]) -> str:
    """A TOML string, or a quoted key, of any text; or a list of strings."""
    # TOML has JSON's escapes, and forbids a bare DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _explain(path: Path, model: type[BaseModel], content: Any, error: ValidationError) -> str:
    problems = error.errors()
    # A misspelt key is also reported as a missing one; report the misspelling.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    place = _place_in(content, problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = list(_model_at(model, problem["loc"][:-1]).model_fields)
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        return f"The spec {path} has an unknown key `{place}` ({hint})."
    if problem["type"] == "missing":
        return f"The spec {path} lacks the key `{place}`."
    message = problem["msg"].removeprefix("Value error, ")
    return f"The spec {path} has a wrong value at `{place or 'top level'}`: {message}."


def _place_in(content: Any, location: tuple[Any, ...]) -> str:
    """A location as written in the file, where a single value or table may stand for a list of one."""
    parts = []
    for part in location:
        if isinstance(content, Mapping):
            if isinstance(part, int):
                continue
            content = content.get(part)
        elif isinstance(content, list):
            content = content[part] if isinstance(part, int) and part < len(content) else None
        elif isinstance(part, int):
            continue
        parts.append(str(part))
    return ".".join(parts)


def _model_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """The model of the table at a location; keys of dictionaries and places in lists are skipped."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return model


def _models_in(annotation: Any) -> "typing.Iterator[type[BaseModel]]":
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
