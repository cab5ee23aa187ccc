"""The folder of a store: its format, writing whole files and folders, reading validated JSON."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from erroran import files
from erroran.errors import BadInput, ErroranError, Unavailable
from erroran.store.remote import Remote

Model = TypeVar("Model", bound=BaseModel)

FORMAT = 2
"""Version of the folder's layout and of what the runs' keys contain."""

_MARKER = "store.json"
_VERY_OLD_SECONDS = 7 * 24 * 3600


class _Marker(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int


def check_format(root: Path) -> None:
    """Raise `BadInput` for a file or a store of another format; the folder may be empty or missing."""
    if root.exists() and not root.is_dir():
        raise BadInput(f"The store {root} is a file, not a folder.", fix="--store with a folder, or none at all")
    path = root / _MARKER
    if path.is_file():
        found = read_json(_Marker, path, fix=f"""write {{"format": {FORMAT}}} into {path}""").format
        if found != FORMAT:
            raise BadInput(
                f"The store {root} has format {found}; this version of erroran reads format {FORMAT}.",
                fix="use the version of erroran that wrote it, or --store DIR with a new folder",
            )
    elif any((root / name).exists() for name in ("runs", "groups", "ledger.jsonl")):
        raise BadInput(
            f"The store {root} was written by an earlier version of erroran, whose runs do not record the software "
            "that trained them.",
            fix=f"move {root} away, or use --store with a new folder; then train again",
        )


@contextmanager
def writing(root: Path, target: Path, remote: Remote | None = None) -> Iterator[Path]:
    """As `files.writing`, for a path in the store folder `root`, with temporary paths in ``tmp``.

    If the folder mirrors a remote store, what was written is uploaded before it is moved into place.

    Raises:
        Unavailable: The disk is full, or the store cannot be written.
    """
    with write_errors(root):
        files.make_folder(root / "tmp")
        _remove_stale(root)
        if target != root / _MARKER and not (root / _MARKER).is_file():
            write_json(root, root / _MARKER, _Marker(format=FORMAT), remote)
        with files.writing(target, folder=root / "tmp") as temporary:
            yield temporary
            if remote is not None:
                remote.push(temporary, target)


@contextmanager
def write_errors(root: Path) -> Iterator[None]:
    """Turn an error of the file system during writing into `Unavailable`: the disk is full, or not writable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                f"There is no space left for the store {root}; what was finished is kept.",
                fix="free some space (`erroran runs remove ID`) or use --store DIR, then repeat the command",
            ) from error
        raise Unavailable(
            f"The store {root} cannot be written: {error.strerror or error}.", fix="use --store DIR"
        ) from error


def write_json(root: Path, target: Path, content: BaseModel, remote: Remote | None = None) -> None:
    """Write a model as JSON; arguments and errors as in `writing`."""
    with writing(root, target, remote) as temporary:
        temporary.write_text(content.model_dump_json(indent=1), encoding="utf-8")


def read_json(model: type[Model], path: Path, *, fix: str) -> Model:
    """Read and validate a JSON file; ErroranError if it is missing or damaged."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a ValueError is invalid JSON, or text that is not UTF-8
        raise damaged(path, error, fix) from error


def damaged(path: Path, reason: object, fix: str) -> ErroranError:
    """The error for a file of the store that cannot be used."""
    if isinstance(reason, ValidationError):
        problem = reason.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        reason = f"{problem['msg']} ({place})" if place else problem["msg"]
    return ErroranError(f"{path} is damaged: {str(reason).splitlines()[0]}.", fix=fix)


def _remove_stale(root: Path) -> None:
    """Delete unfinished files of processes of this host that have ended, and any that are older than a week."""
    for path in (root / "tmp").glob("*-*-*-*"):
        with suppress(FileNotFoundError, ValueError):  # removed meanwhile; not a name that erroran gave
            if files.owner_is_dead(path.name) or time.time() - path.stat().st_mtime > _VERY_OLD_SECONDS:
                files.remove(path)
