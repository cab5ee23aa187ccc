"""Writing files: whole or not at all, on the disk, under names that nobody else uses."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from erroran.files import host, make_folder, owner_is_dead, sync, temporary_name, write_text, writing


@pytest.fixture(autouse=True)
def _host_is_asked_again() -> None:
    host.cache_clear()
    yield
    host.cache_clear()


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    """Half of the new content is there when it fails."""
    write_text(tmp_path / "a" / "b.md", "old")

    def fail() -> None:
        with writing(tmp_path / "a" / "b.md") as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.md"]
    assert (tmp_path / "a" / "b.md").read_text() == "old"


def test_a_disk_that_is_full_only_when_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network disks are: what cannot be written out must not replace what is there. Folders are another matter."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "b.md", "new")
    assert list(tmp_path.iterdir()) == []
    sync(tmp_path)


def test_new_folders_are_synced_with_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not listed in its parent after a power cut is lost with all that was synced in it."""
    synced = []
    monkeypatch.setattr("erroran.files.sync", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert sorted(synced) == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


@pytest.mark.parametrize("name", ["machine", "my-machine-2", "a.b-c"])
def test_the_owner_of_a_temporary_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """This process lives; one that has ended is dead; of another host's processes nothing is known."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = temporary_name("run-1")
    assert mine.endswith("-run-1")
    assert mine != temporary_name("run-1")
    dead = mine.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    assert not owner_is_dead(mine)
    assert owner_is_dead(dead)
    host.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    assert not owner_is_dead(dead)
