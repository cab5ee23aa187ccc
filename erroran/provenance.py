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
    "opencv-python-headless",
    "scikit-learn",
    "scipy",
    "tensorflow",
)


def now() -> str:
    """The time in UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


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
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True
        )  # noqa: S603 - a fixed command
        changed = subprocess.run(  # noqa: S603 - a fixed command
            [*git, "status", "--porcelain", "--", "erroran"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> dict[str, str]:
    """Platform and number of processors; bit-identical repetition needs the same of both."""
    return {"platform": platform.platform(), "cpus": str(os.cpu_count())}
