"""Leases: one owner at a time, also after a crash and with simultaneous requests."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from erroran.errors import Unavailable
from erroran.files import host
from erroran.store import Store, leases
from erroran.store.leases import FolderLeases, is_leased, lease

RUN = "0123456789ab"


@pytest.fixture
def root(store: Store) -> Path:
    return store.root


def _files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "leases").iterdir())


def _leave(root: Path, owner: str, number: int = 0, age_seconds: float = 0) -> Path:
    """Write a lease that nobody refreshes."""
    path = root / "leases" / f"{RUN}.{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(owner)
    refreshed = time.time() - age_seconds
    os.utime(path, (refreshed, refreshed))
    return path


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_owner_at_a_time(root: Path) -> None:
    """A second request fails; other runs are not affected; the file is deleted at the end."""
    assert not is_leased(FolderLeases(root), RUN)
    at = FolderLeases(root)
    with lease(at, RUN) as first, lease(at, RUN) as second, lease(at, "f" * 12) as other:
        assert (first, second, other) == (True, False, True)
        assert is_leased(FolderLeases(root), RUN)
    assert _files(root) == []
    with lease(FolderLeases(root), RUN) as again:
        assert again


def test_given_back_after_an_error(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lease(FolderLeases(root), RUN):
        raise KeyboardInterrupt
    assert not is_leased(FolderLeases(root), RUN)
    assert _files(root) == []


def test_a_dead_process_of_this_host_loses_it_at_once(root: Path) -> None:
    """The lease of a killed process expires at once, and is deleted when the run is finished."""
    _leave(root, f"{host()}-{_ended_process()}-0-{RUN}")
    assert not is_leased(FolderLeases(root), RUN)
    with lease(FolderLeases(root), RUN) as granted:
        assert granted
        assert _files(root) == [f"{RUN}.0", f"{RUN}.1"]
        with lease(FolderLeases(root), RUN) as second:
            assert not second
    assert _files(root) == []


@pytest.mark.parametrize(
    "owner", [f"elsewhere-1-0-{RUN}", f"{host()}-{os.getppid()}-0-{RUN}", ""], ids=["elsewhere", "here", "no name yet"]
)
def test_an_owner_that_may_live_keeps_it_until_it_is_not_refreshed(root: Path, owner: str) -> None:
    """Leases of a crashed machine, of a process that hangs, and of one killed before it wrote its name."""
    _leave(root, owner, age_seconds=leases.EXPIRES_SECONDS - 20)
    assert is_leased(FolderLeases(root), RUN)
    _leave(root, owner, age_seconds=leases.EXPIRES_SECONDS + 1)
    assert not is_leased(FolderLeases(root), RUN)
    with lease(FolderLeases(root), RUN) as granted:
        assert granted


def test_an_owner_that_broke_off_after_taking_over_leaves_an_expired_lease(root: Path) -> None:
    """After a failed take-over the expired lease stays, so that the next process takes the number above it."""
    _leave(root, f"elsewhere-1-0-{RUN}", age_seconds=leases.EXPIRES_SECONDS + 1)
    with pytest.raises(KeyboardInterrupt), lease(FolderLeases(root), RUN):
        raise KeyboardInterrupt
    assert _files(root) == [f"{RUN}.0"]
    with lease(FolderLeases(root), RUN) as granted:
        assert granted
    assert _files(root) == []


def test_it_is_refreshed_while_it_is_held(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread refreshes the lease during a long epoch."""
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    with lease(FolderLeases(root), RUN):
        path = root / "leases" / f"{RUN}.0"
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert is_leased(FolderLeases(root), RUN)


@pytest.mark.parametrize("expired", [False, True], ids=["new", "taken over"])
def test_only_one_of_many_processes_gets_it(root: Path, expired: bool) -> None:
    """Eight simultaneous requests, for a free run and for one whose owner died: one succeeds."""
    if expired:
        _leave(root, f"elsewhere-1-0-{RUN}", age_seconds=leases.EXPIRES_SECONDS + 1)
    context = multiprocessing.get_context("fork")
    start, asked = context.Barrier(8), context.Barrier(8)

    def ask() -> None:
        start.wait()
        with lease(FolderLeases(root), RUN) as granted:
            asked.wait()  # nobody gives it back before all have asked
        os._exit(int(granted))

    for _ in range(5):
        processes = [context.Process(target=ask) for _ in range(8)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert sorted(process.exitcode for process in processes) == [0] * 7 + [1]


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    broken = FolderLeases(tmp_path / "file" / "s")
    with (
        pytest.raises(Unavailable, match="cannot be written: Not a directory"),
        lease(broken, RUN),
    ):
        pass
