"""What made an artifact: time, command, versions, commit, machine."""

import ast
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from erroran.experiment.runspec import Environment

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


def backend() -> str:
    """Keras' backend, without importing Keras: ``$KERAS_BACKEND``, else Keras' configuration file, else TensorFlow."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    try:
        configured = json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError):
        configured = None
    return str(os.environ.get("KERAS_BACKEND") or configured or "tensorflow")


def current_environment(model: str) -> Environment:
    """The environment that a run of an architecture would be trained in now.

    Args:
        model: Name of the architecture, or ``file.py:function`` for one of the user's own.
    """
    packages = ("keras", backend(), "numpy", "opencv-python")
    family = "dense" if model.startswith("dense") else "convolutional"
    code = {
        "training": _code_digest("training/*.py", "data/ids.py", "data/split.py"),
        "model": "" if ":" in model else _code_digest(f"training/models/{family}.py"),
        "operations": _code_digest("operations/*.py"),
    }
    known = versions()
    return Environment(backend=backend(), versions={p: known[p] for p in packages if p in known}, code=code)


@cache
def _code_digest(*patterns: str) -> str:
    """Digest of source files of this package without comments and docstrings, 12 hexadecimal digits."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:] or [ast.Pass()]
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:12]


@cache
def commit() -> str | None:
    """The commit of the erroran checkout that runs (``+`` behind it: changed since), or ``None``."""
    root = Path(__file__).resolve().parents[2]
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
