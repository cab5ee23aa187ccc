"""Writing files in one step, synced to disk: readers never see an unfinished file, and it survives a power cut."""

import contextlib
import errno
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

CACHE_VARIABLE = "ERRORAN_CACHE"
"""Names another folder than the user's cache."""


def cache_folder() -> Path:
    """Folder of what can be downloaded again: ``$ERRORAN_CACHE``, else erroran's folder in the user's cache."""
    from pooch import os_cache

    return Path(os.environ.get(CACHE_VARIABLE) or os_cache("erroran")).expanduser()


@cache
def host() -> str:
    """This machine since its last start: its name and, on Linux, the id of the start; without ``-``."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()}.{boot}".replace("-", "_")


def temporary_name(stem: str) -> str:
    """A name that no other process on any machine uses: ``<host>-<process>-<random>-<stem>``."""
    return f"{host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}-{stem}"


def owner_is_dead(name: str) -> bool:
    """Whether the process that made a temporary name is known to have ended; False for other hosts.

    Raises:
        ValueError: `name` is not from `temporary_name`.
    """
    owner, process, *_ = name.split("-")
    if owner != host():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def writing(path: Path, *, folder: Path | None = None) -> Iterator[Path]:
    """Give a temporary path; the file or folder that is written there becomes `path` in one step, synced to disk.

    Args:
        path: An existing file is replaced; an existing folder is not: another process wrote the same.
        folder: Where the temporary path is, on the same file system; default: beside `path`.

    Raises:
        OSError: The folder cannot be written.
    """
    make_folder(path.parent)
    temporary = folder / temporary_name(path.name) if folder else path.with_name(f".{temporary_name(path.name)}")
    try:
        yield temporary
        for part in (*temporary.rglob("*"), temporary):
            sync(part)
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync(path.parent)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file in one step; see `writing`."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole text file as UTF-8 in one step; see `writing`."""
    write_bytes(path, content.encode("utf-8"))


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, synced to disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk.

    Raises:
        OSError: A file could not be written; some disks report only here that they are full. Errors of folders are
            ignored, because some systems cannot sync folders.
    """
    with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
