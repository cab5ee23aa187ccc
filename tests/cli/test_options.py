"""Options: shared ones before and after the command, and models that become options."""

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, get_args

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from erroran.cli.app import app, guarded
from erroran.cli.options import Only, RecipeName, Session, build_recipe, expand
from erroran.errors import BadInput
from erroran.experiment.recipe import RECIPES, RecipeChange


class Shape(BaseModel):
    """A model with one field of each kind."""

    sides: int = Field(default=3, ge=1, le=9, description="How many.")
    turn_deg: float | None = Field(default=None, ge=0, description="Turned.")
    best_weights: bool | None = None


def _call(function: Any, *arguments: str) -> tuple[int, str]:
    single = typer.Typer()
    single.command()(guarded(expand(function, ("store", "group", "json"))))
    result = CliRunner().invoke(single, list(arguments), env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_a_model_becomes_one_option_per_field() -> None:
    """Names without units, types, bounds, defaults and help; the body gets the model."""
    seen = []

    def draw(shape: Shape, color: str = "red") -> None:
        """Draw."""
        seen.append((shape, color))

    assert _call(draw)[0] == 0
    assert _call(draw, "--sides", "5", "--turn", "20", "--last-weights", "--color", "blue")[0] == 0
    assert seen == [(Shape(), "red"), (Shape(sides=5, turn_deg=20, best_weights=False), "blue")]
    assert _call(draw, "--sides", "10")[0] == 2
    assert _call(draw, "--turn-deg", "20")[0] == 2
    text = _call(draw, "--help")[1]
    assert all(part in text for part in ("--sides", "1<=x<=9", "[default: 3]", "How many.", "DEG", "--best-weights"))


def test_part_of_a_model() -> None:
    """Only the fields that are named become options; the others keep their defaults."""
    seen = []

    def draw(shape: Annotated[Shape, Only(("sides",))]) -> None:
        """Draw."""
        seen.append(shape)

    assert _call(draw, "--sides", "5")[0] == 0
    assert seen == [Shape(sides=5)]
    assert _call(draw, "--turn", "20")[0] == 2


def test_recipes_on_the_command_line_are_all_there_are() -> None:
    """A recipe that is added can be asked for."""
    assert set(get_args(RecipeName)) == set(RECIPES)


def test_parts_of_a_recipe_that_do_not_go_together_name_their_options() -> None:
    """The model's check has no single field."""
    with pytest.raises(BadInput, match="needs schedule constant") as caught:
        build_recipe("standard", RecipeChange(schedule="cosine", reduce_on_plateau=2))
    assert "--schedule or --reduce-on-plateau" in caught.value.fix


# --- shared options


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that `erroran report` is called with; it does nothing else."""
    seen: list[Session] = []
    monkeypatch.setattr("erroran.cli.loop._report", lambda session, *_: seen.append(session))
    monkeypatch.setattr(Session, "group", None)
    return seen


def _report(arguments: str) -> Any:
    return CliRunner().invoke(app, arguments.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "report 4to9 --store s --group g --json",
        "--store s --group g --json report 4to9",
        "--store other --group g report 4to9 --store s --json",
    ],
)
def test_before_and_after_the_command_mean_the_same(sessions: list[Session], arguments: str) -> None:
    """The value after the command counts."""
    result = _report(arguments)
    assert result.exit_code == 0, result.output
    assert sessions == [Session(Path("s"), "g", as_json=True)]


def test_where_the_store_is(sessions: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    """An option before the variable, the variable before the default; `~` is the home folder."""
    monkeypatch.setenv("HOME", "/home/somebody")
    _report("report 4to9")
    _report("report 4to9 --store ~/x")
    monkeypatch.setenv("ERRORAN_STORE", "variable")
    _report("report 4to9")
    _report("--store option report 4to9")
    assert [str(session.folder) for session in sessions] == [".erroran", "/home/somebody/x", "variable", "option"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "", "runs"], "--store names no folder"),
        (["runs", "--store", ""], "--store names no folder"),
        (["--group", "g", "dataset"], "takes no --group"),
        (["--json", "new", "x", "--pair", "4:9"], "takes no --json"),
    ],
)
def test_shared_options_that_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """An empty folder name, and options that the command does not use."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_advise_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in messages have the --store that was given."""
    monkeypatch.chdir(tmp_path)
    assert "fix:   erroran --store elsewhere baseline" in _report("mine-confusions --store elsewhere").stderr
    assert "fix:   erroran baseline" in _report("mine-confusions").stderr
    assert "erroran --store elsewhere baseline" in _report("runs --store elsewhere").stderr
    assert _report("runs --store elsewhere --quiet").stderr == ""


def test_code_that_ends_python_is_an_error() -> None:
    """A model that calls sys.exit(0) ends with exit code 1."""

    def leave(session: Session) -> None:
        """Leave."""
        raise SystemExit(0)

    code, output = _call(leave)
    assert code == 1
    assert "ended Python" in output


def test_run_stays_with_the_group_of_its_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may train a baseline meanwhile, which is then the latest."""
    group = SimpleNamespace(template=SimpleNamespace(dataset="d", mine_fraction=0.1), seeds=(0, 1))
    seen: list[object] = []

    def take(result: object = None) -> Any:
        def step(*arguments: object, **options: object) -> object:
            seen.extend(given for given in arguments if given is group)
            return result

        return step

    monkeypatch.setattr(Session, "group", property(lambda _: pytest.fail("the latest group was asked for")))
    monkeypatch.setattr(Session, "store", SimpleNamespace(get_dataset=lambda _: None))
    steps = {
        "find_spec": ("4to9", None),
        "_train_baseline": SimpleNamespace(trained=group),
        "preview_hypothesis": (None, None),
        **dict.fromkeys(("_print_baseline", "mine_group", "print_mined", "print_preview", "_train_arms", "_report")),
    }
    for name, result in steps.items():
        monkeypatch.setattr(f"erroran.cli.loop.{name}", take(result))
    result = CliRunner().invoke(app, ["run", "4to9"])
    assert result.exit_code == 0, result.output
    assert seen == [group] * 3  # mined, trained on, reported
