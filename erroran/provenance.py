"""What made an artifact: time, command, versions, commit, machine."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "erroran",
    "keras",
    "numpy",
    "opencv-python",
    "scikit-learn",
    "scipy",
    "tensorflow",
)


def now() -> str:
    """The time in UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def command_line() -> str:
    """The command that is running, as one would type it."""
    program = Path(sys.argv[0]).name.replace("__main__.py", "erroran")
    return shlex.join([program, *sys.argv[1:]])


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result can depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """The commit of the erroran checkout that runs (``+`` behind it: changed since), or ``None``."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=10", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "erroran")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def machine() -> dict[str, str]:
    """Platform and number of processors; bit-identical repetition needs the same of both."""
    return {"platform": platform.platform(), "cpus": str(os.cpu_count())}
