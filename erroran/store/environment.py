"""The environment that is recorded in a run's key, and how the environments of runs differ."""

import hashlib
import io
import json
import os
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from erroran.errors import ErroranError
from erroran.experiment.runspec import Environment, RunSpec
from erroran.provenance import versions
from erroran.store.records import RunRecord

_TRAINING_CODE = (
    "training/*.py",
    "training/models/augmentation.py",
    "data/ids.py",
    "data/split.py",
    "data/change.py",
    "operations/keyed.py",  # draws the order of the samples of every run
)
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
    """The environment that a run of a model (an architecture or ``file.py:function``) would be trained in now."""
    packages = ("keras", backend(), "numpy", "opencv-python")
    family = "dense" if model.startswith("dense") else "convolutional"
    code = {
        "training": digest_own_code(*_TRAINING_CODE),
        "model": "" if ":" in model else digest_own_code(f"training/models/{family}.py"),
        "operations": digest_own_code("operations/*.py"),
    }
    known = versions()
    return Environment(backend=backend(), versions={p: known[p] for p in packages if p in known}, code=code)


def check_environment(spec: RunSpec) -> None:
    """Refuse to train a run in another environment than that in its key.

    Raises:
        ErroranError: Keras' backend, a package's version, or erroran's own code differs.
    """
    here = _software(spec.model_copy(update={"environment": current_environment(spec.model)}))
    recorded = _software(spec)
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


def compare_environments(arms: Mapping[str, Sequence[RunRecord]]) -> dict[str, dict[str, str]]:
    """Compare the software and hardware that the runs of several arms were trained with.

    Args:
        arms: Arm name to its runs.

    Returns:
        The name of each difference, such as ``keras`` or ``threads``, to each arm's value. The code of operations is
        compared only among runs that use them, the code of a model only among its runs.
    """
    found = {
        arm: [{**_software(run.spec), **run.versions, **run.machine} for run in runs] for arm, runs in arms.items()
    }
    names = dict.fromkeys(name for runs in found.values() for run in runs for name in run)
    rows = {}
    for name in names:
        row = {arm: sorted({run[name] for run in runs if name in run}) for arm, runs in found.items()}
        if len(set().union(*row.values())) > 1:
            rows[name] = {arm: ", ".join(values) for arm, values in row.items()}
    return rows


def _software(spec: RunSpec) -> dict[str, str]:
    """Backend, versions and digests of the code that a run uses."""
    environment = spec.environment
    code = {f"code of {part}": environment.code.get(part, "") for part in ("training", "operations")}
    if not spec.augment:
        del code["code of operations"]
    if model := environment.code.get("model"):
        code[f"code of {spec.model}"] = model
    return {"backend": environment.backend, **environment.versions, **code}


@cache
def digest_own_code(*patterns: str) -> str:
    """Digest of files of erroran, given by patterns; see `digest_code`."""
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

    It is cut at the tokens, because the output of `ast.unparse` differs between versions of Python.
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
