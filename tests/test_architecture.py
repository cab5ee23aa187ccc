"""Who may import whom: the map in the README stays true, and `--help` stays quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "erroran"
HEAVY = ("tensorflow", "keras", "matplotlib", "pandas", "scipy", "sklearn", "cv2", "seaborn", "joblib")
USES_KERAS = {"erroran.backend", "erroran.training", "erroran.augment.batches"}
MAY_NEED_KERAS_AT_IMPORT = {"erroran.augment.batches"}


def _module_name(path: Path) -> str:
    parts = ["erroran", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def _imported(module: str, nodes: list[ast.AST]) -> set[str]:
    """Modules that import statements name: `from a import b` gives a, and a.b if that is a module of ours."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if module in PACKAGES else module.rpartition(".")[0]
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES}
    return found


def _guards_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _walk(tree: ast.AST, *, functions: bool) -> list[ast.AST]:
    """All nodes but those that only type checkers see; on wish also without the bodies of functions."""
    nodes, rest = [], [tree]
    while rest:
        node = rest.pop()
        nodes.append(node)
        skipped = not functions and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        rest += [] if skipped or _guards_typing(node) else ast.iter_child_nodes(node)
    return nodes


def _imports_anywhere(module: str) -> set[str]:
    return _imported(module, _walk(ast.parse(MODULES[module].read_text()), functions=True))


def _imports_at_import(module: str) -> set[str]:
    return _imported(module, _walk(ast.parse(MODULES[module].read_text()), functions=False))


def _of(names: set[str], *packages: str) -> set[str]:
    return {name for name in names if any(name == p or name.startswith(f"{p}.") for p in packages)}


def test_the_reader_of_imports_reads(tmp_path: Path) -> None:
    """The helper sees late, relative and guarded imports as it should; else the tests below prove nothing."""
    source = """
import a.b as c
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import guarded
from erroran.stats import verdict
from . import store
try:
    import tried
except ImportError:
    pass
def f():
    import late
"""
    tree = ast.parse(source)
    at_import = {"a.b", "typing", "erroran.stats", "erroran.stats.verdict", "erroran", "erroran.store", "tried"}
    assert _imported("erroran.cli", _walk(tree, functions=False)) == at_import
    assert _imported("erroran.cli", _walk(tree, functions=True)) == at_import | {"late"}
    assert {"erroran.cli", "erroran.stats.verdict", "erroran.store"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_only_models_training_and_the_adaptor_use_keras(module: str) -> None:
    """Everything else works without TensorFlow installed, or at least without waiting for it."""
    if module in USES_KERAS or module.startswith("erroran.models."):
        pytest.skip("one of those that may")
    assert _of(_imports_anywhere(module), "keras", "tensorflow") == set()


@pytest.mark.parametrize("module", MODULES)
def test_nobody_pays_for_the_backend_by_being_imported(module: str) -> None:
    """`erroran.backend`, and what imports it, is imported late, inside functions."""
    if module in MAY_NEED_KERAS_AT_IMPORT or module.startswith("erroran.models."):
        pytest.skip("imported late itself")
    paying = {"erroran.backend", *MAY_NEED_KERAS_AT_IMPORT, *(m for m in MODULES if m.startswith("erroran.models."))}
    assert _imports_at_import(module) & paying == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("erroran.stats")])
def test_statistics_know_nothing_of_the_rest(module: str) -> None:
    """Arrays in, numbers out: only errors and each other."""
    ours = _of(_imports_anywhere(module), "erroran")
    assert ours - _of(ours, "erroran.stats", "erroran.errors") - {"erroran"} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("erroran.stages.")])
def test_stages_meet_in_the_store(module: str) -> None:
    """No stage imports another; but a study is several baselines."""
    allowed = {"erroran.stages", module} | ({"erroran.stages.baseline"} if module == "erroran.stages.study" else set())
    assert _of(_imports_anywhere(module), "erroran.stages") - allowed == set()


LOWER = ["errors", "data", "augment", "models", "stats", "runs", "training", "store", "evidence", "executors"]


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[1:2] and m.split(".")[1] in LOWER])
def test_imports_point_downwards(module: str) -> None:
    """Nothing below the stages knows them, or the command line."""
    assert _of(_imports_anywhere(module), "erroran.stages", "erroran.cli", "erroran.console", "typer") == set()


@pytest.mark.parametrize("module", ["erroran.errors", "erroran.runs", "erroran.augment.keyed"])
def test_the_innermost_modules_need_little(module: str) -> None:
    """Keys and errors depend on nothing heavy, so they can be read and used anywhere."""
    assert _of(_imports_anywhere(module), *HEAVY) == set()


def test_only_the_command_line_prints() -> None:
    """No `print(` outside `cli` and `console`."""
    printing = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing <= {"erroran.cli", "erroran.console"}


def test_help_is_quick() -> None:
    """Importing the command line leaves every heavy package out."""
    code = f"import sys, erroran.cli; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["erroran.executors", "erroran.stages.baseline", "erroran.models", "erroran.training"]
)
def test_importing_late_importers_leaves_keras_out(module: str) -> None:
    """What the source says is so at run time too."""
    code = f"import sys, {module}; print(sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
