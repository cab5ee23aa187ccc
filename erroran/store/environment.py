"""The environment that a run is trained in, as far as its key records it, and how the environments of runs differ."""

import hashlib
import io
import json
import os
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from erroran.errors import ErroranError
from erroran.experiment.runspec import Environment, RunSpec
from erroran.provenance import versions
from erroran.store.records import RunRecord

_TRAINING_CODE = ("training/*.py", "training/models/augmentation.py", "data/ids.py", "data/split.py")
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}


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
        "training": _digest_files(*_TRAINING_CODE),
        "model": "" if ":" in model else _digest_files(f"training/models/{family}.py"),
        "operations": _digest_files("operations/*.py"),
    }
    known = versions()
    return Environment(backend=backend(), versions={p: known[p] for p in packages if p in known}, code=code)


def check_environment(spec: RunSpec) -> None:
    """Refuse to train a run in another environment than its key says.

    Raises:
        ErroranError: Keras' backend, a package's version, or erroran's own code differs.
    """
    here = _aspects(spec.model_copy(update={"environment": current_environment(spec.model)}))
    recorded = _aspects(spec)
    differing = [
        f"{name} was {recorded.get(name, 'absent')}, here it is {here.get(name, 'absent')}"
        for name in sorted(recorded.keys() | here.keys())
        if recorded.get(name) != here.get(name)
    ]
    if differing:
        raise ErroranError(
            f"Seed {spec.seed} of `{spec.model}` cannot be trained here as its baseline was: {'; '.join(differing)}.",
            fix="repeat `erroran baseline` to train the baseline in this environment, or go back to the other one",
        )


def describe_environments(records: Iterable[RunRecord]) -> str | None:
    """Say in what the environments of runs that are compared differ.

    Backend, versions of packages, erroran's code, device, number of threads and features of the processor are
    compared; the code of operations only among runs that use them, that of a model only among its runs.

    Returns:
        One sentence; None where they do not differ.
    """
    found: dict[str, set[str]] = {}
    for record in records:
        machine = {name: record.machine.get(name, "unknown") for name in ("device", "threads", "processor")}
        for name, value in {**_aspects(record.spec), **machine}.items():
            found.setdefault(name, set()).add(value)
    differing = [f"{name} ({', '.join(sorted(values))})" for name, values in found.items() if len(values) > 1]
    return f"The runs were not all trained in the same environment: {'; '.join(differing)}." if differing else None


def _aspects(spec: RunSpec) -> dict[str, str]:
    environment = spec.environment
    aspects = {"Keras' backend": environment.backend, **environment.versions}
    aspects["the digest of erroran's training code"] = environment.code.get("training", "")
    aspects[f"the digest of `{spec.model}`"] = environment.code.get("model", "")
    if spec.augment:
        aspects["the digest of erroran's operations"] = environment.code.get("operations", "")
    return aspects


@cache
def _digest_files(*patterns: str) -> str:
    root = Path(__file__).resolve().parents[1]
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    return digest_code([path.read_text(encoding="utf-8") for path in paths])


def digest_code(sources: Iterable[str]) -> str:
    """Digest of Python sources, 12 hexadecimal digits, the same in all versions of Python.

    Comments, docstrings, blank lines, trailing spaces and kinds of line endings do not count.
    """
    digest = hashlib.sha256()
    for source in sources:
        digest.update(_strip(source).encode() + b"\0")
    return digest.hexdigest()[:12]


def _strip(source: str) -> str:
    """A source without comments, strings that are statements, and blank lines.

    The text is cut where the tokens are; what `ast.unparse` makes of a source changes with the version of Python.
    """
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline))
    code = [token for token in tokens if token.type not in _LAYOUT]
    starts = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    statements = [
        token
        for before, token, after in zip([None, *code], code, code[1:], strict=False)
        if token.type == tokenize.STRING
        and (before is None or before.type in starts)
        and after.type == tokenize.NEWLINE
    ]
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    for token in sorted([*statements, *comments], reverse=True, key=lambda token: token.start):
        (first, begin), (last, end) = token.start, token.end
        lines[first - 1 : last] = [lines[first - 1][:begin] + lines[last - 1][end:]]
    return "\n".join(line.rstrip() for line in lines if line.strip())
