"""Writing files that no reader ever sees half of, and that survive a power cut once they are there."""

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary_name(stem: str) -> str:
    """A name that no other process on any machine uses: ``<host>-<process>-<random>-<stem>``."""
    return f"{socket.gethostname().replace('-', '_')}-{os.getpid()}-{uuid.uuid4().hex[:12]}-{stem}"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there replaces `path` in one step, synced to disk.

    Raises:
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{temporary_name(path.name)}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file in one step; see `writing`."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole text file as UTF-8 in one step; see `writing`."""
    write_bytes(path, content.encode("utf-8"))


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk; folders cannot be synced on every system."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
