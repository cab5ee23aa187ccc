"""Leases: which process trains a run, where several processes or machines share a store.

The lease of a run is a file ``leases/<run>.<n>`` that only one process can create. Its owner refreshes it while the
run trains. A lease that is no longer refreshed has expired, and one whose owner is a process of this host that has
ended expires at once; the next process then creates number n + 1, which again only one can. So no two processes take
over the same lease.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erroran.files import make_folder, owner_is_dead, temporary_name
from erroran.store.folder import saying_what_failed

HEARTBEAT_SECONDS = 10.0
EXPIRES_SECONDS = 60.0


@contextmanager
def lease(root: Path, run_id: str) -> Iterator[bool]:
    """Try to become the process that trains a run; give whether it worked.

    The run may have been finished by another process just before: look once more. If the block ends without an
    exception, the run counts as finished.

    Args:
        root: The store's folder.
        run_id: The run.

    Raises:
        Unavailable: The store cannot be written.
    """
    with saying_what_failed(root):
        path = _acquire(root, run_id)
    if path is None:
        yield False
        return
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
    heart.start()
    try:
        yield True
        for earlier in _numbers(root, run_id):
            _path(root, run_id, earlier).unlink(missing_ok=True)
    finally:
        done.set()
        heart.join()
        path.unlink(missing_ok=True)


def is_leased(root: Path, run_id: str) -> bool:
    """Whether a process trains a run at present."""
    with saying_what_failed(root):
        numbers = _numbers(root, run_id)
        return bool(numbers) and not _has_expired(root, _path(root, run_id, numbers[-1]))


def _acquire(root: Path, run_id: str) -> Path | None:
    numbers = _numbers(root, run_id)
    if numbers and not _has_expired(root, _path(root, run_id, numbers[-1])):
        return None
    path = _path(root, run_id, numbers[-1] + 1 if numbers else 0)
    make_folder(path.parent)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(temporary_name(run_id))
    except FileExistsError:
        return None
    return path


def _numbers(root: Path, run_id: str) -> list[int]:
    return sorted(int(path.suffix[1:]) for path in (root / "leases").glob(f"{run_id}.*"))


def _path(root: Path, run_id: str, number: int) -> Path:
    return root / "leases" / f"{run_id}.{number}"


def _has_expired(root: Path, path: Path) -> bool:
    try:
        with contextlib.suppress(ValueError):  # killed before it wrote its name, or about to write it
            if owner_is_dead(path.read_text(encoding="utf-8")):
                return True
        return _clock(root) - path.stat().st_mtime > EXPIRES_SECONDS
    except FileNotFoundError:  # given back meanwhile
        return False


def _clock(root: Path) -> float:
    """The time by the clock that stamps the store's files, which may be another machine's."""
    probe = root / "leases" / f".{temporary_name('clock')}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)
