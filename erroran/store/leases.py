"""Leases: which process trains a run, where several processes or machines share a store.

The lease of a run is a file ``leases/<run>.<n>`` that only one process can create. Its owner refreshes it during the
training. A lease that is not refreshed expires; if its owner was a process of this host that has ended, it expires at
once. The next process then creates number n + 1, which again only one process can do.

A lease of a store at a URL is an object there, see `erroran.store.remote`.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from erroran.files import make_folder, owner_is_dead, temporary_name
from erroran.store.folder import write_errors

HEARTBEAT_SECONDS = 10.0
EXPIRES_SECONDS = 60.0


class Leases(Protocol):
    """Where leases are; `heartbeat` and `expires` are in seconds."""

    heartbeat: float
    expires: float

    def list_leases(self, run_id: str) -> list[str]:
        """Names of the leases of a run."""

    def create_lease(self, name: str, owner: str) -> bool:
        """Create a lease; give whether it worked."""

    def read_lease(self, name: str) -> str:
        """The owner of a lease; FileNotFoundError if it is gone."""

    def lease_age(self, name: str) -> float:
        """Seconds since it was refreshed; FileNotFoundError if it is gone."""

    def refresh_lease(self, name: str, owner: str) -> None:
        """Note that the owner is alive."""

    def delete_lease(self, name: str) -> None:
        """Delete a lease, if it exists."""


class FolderLeases:
    """Leases in a store's folder."""

    def __init__(self, root: Path) -> None:
        self.heartbeat, self.expires = HEARTBEAT_SECONDS, EXPIRES_SECONDS
        self._root, self._folder = root, root / "leases"

    def list_leases(self, run_id: str) -> list[str]:
        """Names of the leases of a run."""
        with write_errors(self._root):
            return [path.name for path in self._folder.glob(f"{run_id}.*")]

    def create_lease(self, name: str, owner: str) -> bool:
        """Create a lease; give whether it worked."""
        with write_errors(self._root):
            make_folder(self._folder)
            try:
                with (self._folder / name).open("x", encoding="utf-8") as file:
                    file.write(owner)
            except FileExistsError:
                return False
        return True

    def read_lease(self, name: str) -> str:
        """The owner of a lease; FileNotFoundError if it is gone."""
        return (self._folder / name).read_text(encoding="utf-8")

    def lease_age(self, name: str) -> float:
        """Seconds since it was refreshed, by the clock that stamps the store's files; it may be another machine's."""
        with write_errors(self._root):
            probe = self._folder / f".{temporary_name('clock')}"
            probe.touch()
            try:
                now = probe.stat().st_mtime
            finally:
                probe.unlink()
        return now - (self._folder / name).stat().st_mtime

    def refresh_lease(self, name: str, owner: str) -> None:  # noqa: ARG002 - the file keeps it
        """Note that the owner is alive."""
        os.utime(self._folder / name)

    def delete_lease(self, name: str) -> None:
        """Delete a lease, if it exists."""
        (self._folder / name).unlink(missing_ok=True)


@contextmanager
def lease(leases: Leases, run_id: str) -> Iterator[bool]:
    """Try to become the process that trains a run; give whether it worked.

    Another process may have finished the run just before: check again. If the block ends without an exception, the
    run counts as finished. Raises `Unavailable` if the store cannot be written.
    """
    owner = temporary_name(run_id)
    name = _acquire(leases, run_id, owner)
    if name is None:
        yield False
        return
    done = threading.Event()
    heart = threading.Thread(target=_refresh, args=(leases, name, owner, done), daemon=True)
    heart.start()
    try:
        yield True
        for earlier in leases.list_leases(run_id):
            leases.delete_lease(earlier)
    finally:
        done.set()
        heart.join()
        leases.delete_lease(name)


def is_leased(leases: Leases, run_id: str) -> bool:
    """Whether a process trains a run at present."""
    names = sorted(leases.list_leases(run_id), key=_number)
    return bool(names) and not _has_expired(leases, names[-1])


def _acquire(leases: Leases, run_id: str, owner: str) -> str | None:
    names = sorted(leases.list_leases(run_id), key=_number)
    if names and not _has_expired(leases, names[-1]):
        return None
    name = f"{run_id}.{_number(names[-1]) + 1 if names else 0}"
    return name if leases.create_lease(name, owner) else None


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


def _has_expired(leases: Leases, name: str) -> bool:
    try:
        with contextlib.suppress(ValueError):  # killed before it wrote its name, or about to write it
            if owner_is_dead(leases.read_lease(name)):
                return True
        return leases.lease_age(name) > leases.expires
    except FileNotFoundError:  # released meanwhile
        return False


def _refresh(leases: Leases, name: str, owner: str, done: threading.Event) -> None:
    while not done.wait(leases.heartbeat):
        with contextlib.suppress(Exception):  # a failure of the network is not that of the training
            leases.refresh_lease(name, owner)
