"""Leases: which process trains a run, where several processes or machines share a store.

The lease of a run is a file ``leases/<run>.<n>`` that only one process can create. Its owner refreshes it during the
training. A lease that is not refreshed expires; if its owner was a process of this host that has ended, it expires at
once. The next process then creates number n + 1, which again only one process can do.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erroran.files import make_folder, owner_is_dead, temporary_name
from erroran.store.folder import write_errors

HEARTBEAT_SECONDS = 10.0
EXPIRES_SECONDS = 60.0


@contextmanager
def lease(root: Path, run_id: str) -> Iterator[bool]:
    """Try to become the process that trains a run; give whether it worked.

    Another process may have finished the run just before: check again. If the block ends without an exception, the
    run counts as finished. Raises `Unavailable` if the store cannot be written.
    """
    with write_errors(root):
        path = _acquire(root, run_id)
    if path is None:
        yield False
        return
    done = threading.Event()
    heart = threading.Thread(target=_refresh, args=(path, done), daemon=True)
    heart.start()
    try:
        yield True
        for earlier in _list(root, run_id):
            earlier.unlink(missing_ok=True)
    finally:
        done.set()
        heart.join()
        path.unlink(missing_ok=True)


def is_leased(root: Path, run_id: str) -> bool:
    """Whether a process trains a run at present."""
    with write_errors(root):
        leases = _list(root, run_id)
        return bool(leases) and not _has_expired(leases[-1])


def _acquire(root: Path, run_id: str) -> Path | None:
    leases = _list(root, run_id)
    if leases and not _has_expired(leases[-1]):
        return None
    number = _number(leases[-1]) + 1 if leases else 0
    path = root / "leases" / f"{run_id}.{number}"
    make_folder(path.parent)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(temporary_name(run_id))
    except FileExistsError:
        return None
    return path


def _list(root: Path, run_id: str) -> list[Path]:
    return sorted((root / "leases").glob(f"{run_id}.*"), key=_number)


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _has_expired(path: Path) -> bool:
    try:
        with contextlib.suppress(ValueError):  # killed before it wrote its name, or about to write it
            if owner_is_dead(path.read_text(encoding="utf-8")):
                return True
        return _clock(path.parent) - path.stat().st_mtime > EXPIRES_SECONDS
    except FileNotFoundError:  # released meanwhile
        return False


def _clock(folder: Path) -> float:
    """The time by the clock that stamps the store's files, which may be another machine's."""
    probe = folder / f".{temporary_name('clock')}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _refresh(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)
