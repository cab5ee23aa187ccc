"""The environment that a run is trained in, as far as its key records it."""

import ast
import hashlib
import json
import os
from functools import cache
from pathlib import Path

from erroran.errors import ErroranError
from erroran.experiment.runspec import Environment, RunSpec
from erroran.provenance import versions


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


def check_environment(spec: RunSpec) -> None:
    """Refuse to train a run in another environment than its key says.

    Raises:
        ErroranError: Backend, a package's version, or erroran's own code differs.
    """
    differing = _differences(spec, current_environment(spec.model))
    if differing:
        raise ErroranError(
            f"Seed {spec.seed} of `{spec.model}` cannot be trained here as its baseline was: {'; '.join(differing)}.",
            fix="repeat `erroran baseline` to train the baseline in this environment, or go back to the other one",
        )


def _differences(spec: RunSpec, here: Environment) -> list[str]:
    recorded = spec.environment
    found = []
    if recorded.backend != here.backend:
        found.append(f"Keras' backend was {recorded.backend}, here it is {here.backend}")
    for package in sorted(recorded.versions.keys() | here.versions.keys()):
        was, now = (versions.get(package, "absent") for versions in (recorded.versions, here.versions))
        if was != now:
            found.append(f"{package} was {was}, here it is {now}")
    changed = {part for part in here.code if recorded.code.get(part) != here.code[part]}
    if not spec.augment:
        changed.discard("operations")
    return found + [f"erroran's code of {part} has changed" for part in sorted(changed)]


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
