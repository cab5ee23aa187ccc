"""What is declared is imported and what is imported is declared; heavy packages are imported late."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Tools that are run and stubs that are read by mypy; pytest-xdist is used by the options of pytest, Flask by moto.
TOOLS = {
    "flask",
    "flask-cors",
    "import-linter",
    "mypy",
    "pandas-stubs",
    "pre-commit",
    "pytest-xdist",
    "ruff",
    "types-requests",
}

# Parts of a declared package that are distributions of their own.
PARTS = {
    "annotated-types": "pydantic",
    "fsspec": "s3fs",
    "keras": "tensorflow",
    "psutil": "distributed",
    "pydantic-core": "pydantic",
    "threadpoolctl": "scikit-learn",
}


def _names(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower() for requirement in requirements}


def _imported(folder: str) -> set[str]:
    """The distributions that the modules below a folder import from, wherever in a module."""
    modules = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.add(node.module.partition(".")[0])
    known = metadata.packages_distributions()
    found = {known[module][0].lower().replace("_", "-") for module in (modules & known.keys()) - {"erroran"}}
    return {PARTS.get(name, name) for name in found}


def test_dependencies_are_those_that_are_imported() -> None:
    """With the extras, and no more. fsspec imports gcsfs; Ray need not be installed."""
    extras = [names for extra, names in PROJECT["optional-dependencies"].items() if extra != "dev"]
    declared = _names(PROJECT["dependencies"]).union(*map(_names, extras))
    assert _imported("erroran") | {"gcsfs", "ray"} == declared


@pytest.mark.parametrize(("part", "whole"), PARTS.items())
def test_parts_come_with_their_package(part: str, whole: str) -> None:
    """Whoever installs the one has the other."""
    assert part in _names(metadata.requires(whole))


def test_development_dependencies_are_used() -> None:
    """Imported by a test, or in a process that it starts, or one of the tools that the configuration names."""
    declared = _names(PROJECT["optional-dependencies"]["dev"])
    assert _imported("tests") - _names(PROJECT["dependencies"]) <= declared
    assert declared - TOOLS <= _imported("tests") | {"distributed", "jax", "pyarrow"}
    used = "".join((ROOT / name).read_text() for name in (".ci/run", ".pre-commit-config.yaml", "pyproject.toml"))
    assert all(name in used for name in ("ruff", "mypy", "lint-imports", "-n 2"))


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("import erroran.store", {"cv2", "keras", "matplotlib", "tensorflow"}),
        ("import erroran.report.render, erroran.report.text", {"keras", "matplotlib", "tensorflow"}),
        ("import erroran.api, erroran.verdict.decide, erroran.execution.driver", {"keras", "tensorflow"}),
    ],
)
def test_heavy_packages_are_imported_late(command: str, absent: set[str]) -> None:
    """In a fresh process, where no other test has imported them; `tests/cli` checks the same of every `--help`."""
    code = f"import sys\n{command}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not absent & set(loaded.split())
