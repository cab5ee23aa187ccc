"""The command line: exit codes, messages, strict JSON, and help without slow imports."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from erroran.cli import commands
from erroran.cli.app import app
from erroran.data import Dataset
from erroran.store import Store

COMMANDS = [
    *("dataset", "review", "across-models"),
    *("baseline", "mine-confusions", "propose", "measure", "preview", "probe", "new", "plan"),
    *("intervene", "report", "stress", "run", "runs", "study"),
]
RUN_KEYS = [
    *("id", "arm", "seed", "dataset", "model", "recipe", "epochs", "accuracy_mine", "accuracy_confirm"),
    *("seconds", "created"),
]
SPEC = """
pair = "0:1"
hypothesis = "Thin 0s."
seeds = 2
[augment.0]
operation = "dilate"
radius_px = 1
"""
Erroran = Callable[..., "Outcome"]


class Outcome:
    """Exit code, stdout and stderr of one command."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def json(self) -> Any:
        """Stdout as strict JSON; any other output is an error."""

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        return json.loads(self.stdout, parse_constant=refuse)


def _invoke(*arguments: object) -> Outcome:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def data(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny dataset as a file."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    d = tiny_dataset
    np.savez(path, x_train=d.x_train, y_train=d.y_train, x_test=d.x_test, y_test=d.y_test)
    return path


@pytest.fixture(scope="session")
def project(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trained baseline and intervention: six tiny runs."""
    folder = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(folder)
    try:
        (folder / "experiments").mkdir()
        (folder / "experiments" / "0to1.toml").write_text(SPEC)
        trained = _invoke("baseline", "--dataset", data, "--epochs", 1, "--seeds", 2, "--jobs", 1)
        assert trained.code == 0, trained.stderr
        judged = _invoke("intervene", "0to1", "--controls", "logit-shift", "--jobs", 1)
        assert judged.code == 0, judged.stderr
        assert "on mine" in judged.stderr
        assert "confirm" not in judged.stderr
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# --- help


def test_help_is_quick_and_shows_examples() -> None:
    """The help of every command shows examples, and loads neither TensorFlow nor other slow libraries."""
    code = f"""
import sys
from typer.testing import CliRunner
from erroran.cli.app import app
for command in {[[], *[[c] for c in COMMANDS], ["runs", "show"], ["runs", "remove"]]}:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0, command
    assert not command or ("Examples" in result.output and "$ erroran " + " ".join(command) in result.output), command
loaded = [m for m in ("tensorflow", "keras", "matplotlib", "pandas", "scipy", "sklearn", "cv2") if m in sys.modules]
assert not loaded, loaded
"""
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_commands_of_this_file_are_all_there_are() -> None:
    """A new command must be added to `COMMANDS`, or to the tests of its stage."""
    elsewhere = {"diff", "teach"}
    assert set(COMMANDS) | elsewhere == set(commands.COMMANDS)


def test_the_list_of_commands_says_what_their_help_says() -> None:
    """Each command is found in its module, and the list has the first sentence of its help."""
    loaded = typer.main.get_command(app).commands
    for name, (_, text) in commands.COMMANDS.items():
        assert loaded[name].help.startswith(text.removesuffix(".")), name


def test_the_list_of_commands_is_plain_and_loads_none_of_them() -> None:
    """`erroran --help` imports neither Rich's console nor pydantic nor numpy, which takes longer than the rest."""
    code = "import sys; from erroran.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True, text=True)
    assert "mine-confusions  Rank the class pairs" in ran.stdout
    loaded = set(ran.stdout.split())
    assert "erroran.cli.commands" in loaded
    assert not loaded & {"rich.console", "pydantic", "numpy", "erroran.cli.loop"}


HEAVY = ("tensorflow", "keras", "matplotlib", "pandas", "scipy.stats", "sklearn", "statsmodels", "seaborn")
LIGHT = [
    ["runs"],
    ["baseline", "--dataset", "{data}", "--epochs", "1", "--seeds", "2"],
    ["report", "0to1"],
]  # fmt: skip
WITHOUT_MODEL = [
    ["mine-confusions"],
    ["review"],
    ["across-models"],
    ["dataset", "--dataset", "{data}"],
    ["measure"],
    ["propose", "0:1"],
    ["preview", "0to1"],
    ["plan", "0to1", "--seeds", "2"],
]  # fmt: skip


@pytest.mark.slow
def test_analysis_needs_no_tensorflow(project: Path, data: Path) -> None:
    """What is in the store is shown without the libraries that train; what is drawn already, without those that draw.

    `probe`, `stress` and `intervene` predict or train. `diff` reads tables and needs pandas.
    """
    code = f"""
import sys
from typer.testing import CliRunner
from erroran.cli.app import app
for commands, absent in (({LIGHT}, {HEAVY}), ({WITHOUT_MODEL}, {HEAVY[:2]})):
    for command in commands:
        result = CliRunner().invoke(app, [part.format(data={str(data)!r}) for part in command])
        refused = 2 if command[0] in ("across-models", "propose") else 0  # one model; too few errors
        assert result.exit_code in (0, refused), (command, result.output)
        loaded = [name for name in absent if name in sys.modules]
        assert not loaded, (command, loaded)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=project)
    assert done.returncode == 0, done.stderr


def test_version() -> None:
    """The version and nothing else."""
    from erroran import __version__

    assert _invoke("--version").stdout.strip() == __version__


# --- bad input


def _assert_refused(outcome: Outcome, message: str, code: int = 2) -> None:
    assert outcome.code == code, outcome.stderr
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    "command",
    [
        *(f"{name} 4to9" for name in ("propose", "plan", "intervene", "report", "stress")),
        "mine-confusions",
        "mine-confusions --out-of-fold 2",
    ],
)
def test_no_baseline_yet(empty: Path, command: str) -> None:
    """The message names the first command; nothing is written."""
    outcome = _invoke(*command.split())
    _assert_refused(outcome, "There is no baseline in the store .erroran yet.")
    assert "erroran baseline --seeds 3" in outcome.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--dataset nope", "no dataset called 'nope'"),
        ("--model vgg", "There is no model `vgg`"),
        ("--model nowhere.py:build", "There is no file nowhere.py"),
        ("--model nowhere.py:build", "path/to/file.py:build_fn"),
        ("--seeds 3 --seed-list 1,2", "--seeds and --seed-list were both given"),
        ("--seed-list 1,a", "--seed-list `1,a` is not a list of whole numbers"),
        ("--seed-list 1,1", "names a number twice"),
        ("--seed-list=-1", "outside 0 to"),
        ("--mine-fraction 0.9", "at most 0.5"),
        ("--mine-fraction 0", "above 0"),
        ("--epochs 0", "--epochs"),
        ("--seeds 0", "--seeds"),
        ("--recipe slow", "--recipe"),
        ("--jobs 0", "--jobs"),
        ("--rotation 500", "less than or equal to 180"),
        ("--rotation 500", "for '--rotation'"),
        ("--schedule cosine --reduce-on-plateau 2", "needs schedule constant"),
        ("--schedule cosine --reduce-on-plateau 2", "--schedule or --reduce-on-plateau"),
        ("--learning-rate 0", "greater than 0"),
        ("--bogus", "No such option"),
    ],
)
def test_bad_options_of_baseline(empty: Path, options: str, message: str) -> None:
    """Refused with exit code 2 before anything is written."""
    _assert_refused(_invoke("baseline", "--dataset", "digits", *options.split()), message)
    assert list(empty.iterdir()) == []


IMAGES, LABELS = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
GOOD = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS}


def test_bad_files(empty: Path) -> None:
    """Not a .npz at all, half of one, and one with wrong labels: the file is named, and no store is begun."""
    np.savez("bad.npz", **{**GOOD, "y_train": LABELS - 1})
    _assert_refused(_invoke("baseline", "--dataset", "bad.npz"), "labels run from -1 to 0")
    Path("junk.npz").write_text("junk")
    _assert_refused(_invoke("baseline", "--dataset", "junk.npz"), "junk.npz is not a .npz file")
    np.savez("whole.npz", **GOOD)
    Path("half.npz").write_bytes(Path("whole.npz").read_bytes()[:1000])
    _assert_refused(_invoke("baseline", "--dataset", "half.npz"), "half.npz is damaged")
    assert not (empty / ".erroran").exists()


def test_store_that_cannot_be_written(empty: Path) -> None:
    """A file at the path of the store, or of its parent: refused before any training."""
    Path("file").write_text("")
    _assert_refused(_invoke("baseline", "--dataset", "digits", "--store", "file"), "is a file, not a folder")
    _assert_refused(_invoke("runs", "--store", "file"), "is a file, not a folder")
    _assert_refused(_invoke("baseline", "--dataset", "digits", "--store", "file/in"), "cannot be written", code=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("hypothesis", "hypothesys"), "unknown key `hypothesys` (did you mean `hypothesis`?)"),
        (("radius_px", "radius"), "unknown key `augment.0.radius` (did you mean `radius_px`?)"),
        (('"dilate"', '"dilat"'), "wrong value at `augment.0.operation`"),
        (("augment.0", "augment.x"), "class `x`, which the dataset does not have"),
        (('"0:1"', '"0:0"'), "wrong value at `pair`"),
        (('"0:1"', "0:1"), "is not valid TOML"),
    ],
)
@pytest.mark.parametrize("command", ["preview", "probe", "intervene", "plan"])
def test_bad_specs(in_project: Path, tmp_path: Path, command: str, change: tuple[str, str], message: str) -> None:
    """The spec and the key are named; nothing trains."""
    runs = len(list((in_project / ".erroran" / "runs").iterdir()))
    spec = tmp_path / "bad.toml"
    spec.write_text(SPEC.replace(*change))
    _assert_refused(_invoke(command, spec), message)
    assert len(list((in_project / ".erroran" / "runs").iterdir())) == runs


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("preview nope", "There is no hypothesis `nope`"),
        ("preview 4to8", "did you mean"),
        ("intervene 1to2", "There is no hypothesis `1to2`"),
        ("intervene gone.toml", "There is no spec file gone.toml"),
        ("report 4to9", "`4to9` has not been run"),
        ("stress 4to9", "`4to9` has not been run"),
        ("mine-confusions --group zzz", "No single baseline group begins with `zzz`"),
        ("mine-confusions --on confirm --out-of-fold 2", "--out-of-fold mines the training data"),
        ("mine-confusions --on train", "--on"),
        ("intervene 0to1 --controls bogus", "There is no control `bogus`"),
        ("intervene 0to1 --seeds 2 --seed-list 7", "both given"),
        ("intervene 0to1 --seed-list ,", "not a list of whole numbers"),
        ("intervene 0to1 --seed-list 0,5", "Seed 0 is one of the mined runs"),
        ("intervene 0to1 --reuse-baseline --seeds 9", "asked for: 9 of them"),
        ("probe nope", "There is no hypothesis `nope`"),
        ("propose", "No pair is named"),
        ("propose nope", "does not name two different classes"),
        ("propose 0to7", "names class `7`, which is not among the classes (0, 1, 2)"),
        ("propose gone.toml", "There is no spec file gone.toml"),
        ("plan 0to1 --seeds x", "--seeds `x` is not a list"),
        ("plan 0to1 --seeds 1", "an arm of one run"),
        ("runs show zzz", "No run begins with `zzz`"),
        ("runs remove zzz", "No run begins with `zzz`"),
        ("review --threshold 0", "is not above 0 and at most 1"),
        ("review --threshold 1.1", "is not above 0 and at most 1"),
        ("review --target-accuracy 99.9", "does not lie between 0 and 1"),
        ("review --threshold 0.8 --target-accuracy 0.9", "were both given"),
        ("review --group zzz", "No single baseline group begins with `zzz`"),
        ("review --predictions none.csv", "there is no file none.csv"),
        ("review --predictions none.csv --on confirm", "cannot be combined with --on confirm"),
        ("across-models", "There is only one model to compare: cnn"),
        ("across-models --groups zzz", "No single baseline group begins with `zzz`"),
        ("across-models --groups ,", "is not a list of groups"),
        ("dataset --dataset digits --rows 50", "--rows needs --csv"),
        ("dataset --dataset digits --csv new.csv --rows 5", "5 rows cannot be drawn"),
        ("dataset --dataset nope", "no dataset called 'nope'"),
        ("new 0to0 --pair 0:0", "does not name two different classes"),
        ("measure --pair 0", "`0` does not name two different classes"),
        ("measure --pair 0:9", "names class `9`, which is not among the classes (0, 1, 2)"),
        ("intervene 0to1 --max-seeds 9", "--max-seeds goes with --until-decided"),
        ("intervene 0to1 --until-decided --seeds 3", "chooses the number of seeds itself"),
        ("intervene 0to1 --until-decided --reuse-baseline", "needs a baseline of fresh seeds"),
        ("new ../x --pair 4:9", "cannot name a hypothesis"),
        ("new sham --pair 4:9", "the name of another report or arm"),
        ("new confusions --pair 4:9", "the name of another report or arm"),
        ("new 0to1 --pair 0:1", "exists already"),
        ("foo", "No such command"),
    ],
)
def test_bad_commands(in_project: Path, command: str, message: str) -> None:
    """Exit code 2, one message; the finished runs stay as they are."""
    runs = sorted(path.name for path in (in_project / ".erroran" / "runs").iterdir())
    _assert_refused(_invoke(*command.split()), message)
    assert sorted(path.name for path in (in_project / ".erroran" / "runs").iterdir()) == runs


@pytest.mark.parametrize("options", ["4to9 --controls bogus", "4to9 --max-seeds 9", "nope", "4to9 --mine-fraction 0.9"])
def test_run_refuses_before_it_trains(empty: Path, options: str) -> None:
    """A typing error that concerns the last step is refused before the first one trains."""
    outcome = _invoke("run", *options.split(), "--dataset", "digits", "--epochs", 1)
    assert outcome.code == 2
    assert not (empty / ".erroran").exists()


def test_traceback_only_for_debugging(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ERRORAN_DEBUG=1 the exception is not caught."""
    monkeypatch.setenv("ERRORAN_DEBUG", "1")
    result = CliRunner().invoke(app, ["mine-confusions"])
    assert type(result.exception).__name__ == "NotFound"


def test_unforeseen_errors_are_one_sentence(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception: exit code 1, and how to see the traceback."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("erroran.store.Store.list_short", fail)
    outcome = _invoke("runs")
    _assert_refused(outcome, "ZeroDivisionError: oops", code=1)
    assert "ERRORAN_DEBUG=1" in outcome.stderr


# --- looks


@pytest.mark.parametrize(
    ("command", "kind"),
    [("runs", "runs-listed"), ("measure --on confirm", "measured"), ("measure --on all", "measured")],
)
def test_commands_that_show_confirm_enter_the_look(in_project: Path, command: str, kind: str) -> None:
    """Accuracies of runs, and the shapes of its images."""
    before = len(_looks(kind))
    assert _invoke(*command.split()).code == 0
    assert len(_looks(kind)) >= max(before, 1)


def _looks(kind: str) -> list[str]:
    entries = [json.loads(path.read_text()) for path in Path(".erroran/ledger").glob("*.json")]
    return [entry["dataset"] for entry in entries if entry["kind"] == kind]


def test_looks_are_announced_and_reported(in_project: Path) -> None:
    """The design in words before training, a line after the look, the design and the looks in the JSON."""
    Path("looked.toml").write_text(Path("experiments/0to1.toml").read_text(encoding="utf-8"), encoding="utf-8")
    options = ("--until-decided", "--max-seeds", 2, "--controls", "none", "--epochs", 1, "--json")
    outcome = _invoke("intervene", "looked.toml", *options)
    assert outcome.code == 0, outcome.stderr
    assert "one look after 2 seeds per arm, until the verdict is decided; at most 2" in outcome.stderr
    assert "after 2 seeds per arm: 0 read as 1" in outcome.stderr
    intervention = outcome.json["intervention"]
    assert (intervention["design"]["looks"], len(intervention["looks"])) == ([2], 1)
    assert intervention["looks"][0]["word"] == outcome.json["verdict"]["word"]
    assert "the last look stays at 2 seeds per arm" in outcome.stderr
    page = Path("reports/looked.md").read_text(encoding="utf-8")
    assert "Judged in one look after 2 seeds per arm" in page
    assert intervention["replanned"]["planned"] == 2
    assert f"{intervention['replanned']['errors_per_run']:.1f} errors each: the last look stays at 2 seeds" in page


# --- JSON and the store


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("runs", RUN_KEYS),
        ("mine-confusions --top 2", ["dataset", "split", "seeds", "images", "pairs", "suspected_mislabels"]),
        ("preview 0to1", ["class_name", "operation", "dose", "changed_pixels", "erased"]),
        ("probe 0to1", ["hypothesis", "hash", "pair", "forward", "reverse", "verdict"]),
        ("measure --pair 0:1", ["dataset", "digest", "ink", "splits", "classes", "closure"]),
        ("propose 0:1 1to0", ["proposals"]),
        ("stress 0to1", ["group", "intervention", "stamps", "tests", "images"]),
        ("review", ["group", "dataset", "ladder", "queue"]),
        ("dataset --dataset digits", ["name", "digest", "classes", "images", "written"]),
        ("report 0to1", ["group", "intervention", "verdict", "stamps", "seeds", "controls"]),
        ("intervene 0to1 --controls logit-shift", ["group", "intervention", "verdict", "stamps", "seeds", "controls"]),
        ("plan 0to1 --seeds 2,3", ["hypothesis", "pair", "seeds", "reductions", "power", "recommended_seeds"]),
    ],
)
def test_json_is_strict_and_alone(in_project: Path, command: str, keys: list[str]) -> None:
    """Stdout is one JSON document with these keys; everything else goes to stderr."""
    outcome = _invoke(*command.split(), "--json")
    assert outcome.code == 0, outcome.stderr
    content = outcome.json
    assert set(keys) <= set(content[0] if isinstance(content, list) else content)


def test_measuring_confirm_is_a_look(empty: Path, data: Path) -> None:
    """Measuring `mine` leaves no trace; measuring `confirm`, also among all images, is entered in the ledger once."""
    for on, looks in (("mine", []), ("confirm", ["measured"]), ("all", ["measured"])):
        assert _invoke("measure", "--dataset", data, "--on", on).code == 0
        assert [entry.kind for entry in Store(empty / ".erroran").ledger.entries()] == looks


def test_propose_with_few_images(in_project: Path) -> None:
    """The result is "cannot tell", with advice; a report but no spec is written; a spec's name stands for its pair."""
    outcome = _invoke("propose", "0to1")
    assert outcome.code == 0, outcome.stderr
    assert "0:1  Cannot tell: 5 images of 0 are too few" in outcome.stdout
    assert "erroran mine-confusions --out-of-fold 5" in outcome.stdout
    assert (in_project / "reports" / "0to1-proposal.md").is_file()
    assert [path.name for path in (in_project / "experiments").iterdir()] == ["0to1.toml"]


def test_round_trip_of_a_table(empty: Path, data: Path) -> None:
    """A table is written by `dataset`, counted by it, and trained on."""
    assert _invoke("dataset", "--dataset", data, "--rows", 120, "--csv", "train.csv").stdout == (
        "wrote 120 rows to train.csv\n"
    )
    counted = _invoke("dataset", "--dataset", "train.csv", "--json").json
    assert counted["images"]["confirm"] == {"0": 8, "1": 8, "2": 8}
    assert sum(sum(part.values()) for part in counted["images"].values()) == 120
    _assert_refused(_invoke("dataset", "--dataset", data, "--csv", "train.csv"), "train.csv exists already")
    trained = _invoke("baseline", "--dataset", "train.csv", "--seeds", 1, "--epochs", 1, "--json")
    assert trained.code == 0, trained.stderr
    assert _invoke("runs", "--json").json[0]["dataset"] == "train"


def test_runs_are_listed_and_shown(in_project: Path) -> None:
    """Exactly the fixed keys, one object a run, oldest first; one by the beginning of its id."""
    listed = _invoke("runs", "--json").json
    assert all(list(run) == RUN_KEYS for run in listed)
    assert [(run["arm"], run["seed"]) for run in listed] == [
        ("baseline", 0), ("baseline", 1), ("baseline", 1000), ("0to1", 1000), ("baseline", 1001), ("0to1", 1001),
    ]  # fmt: skip
    assert {(run["dataset"], run["epochs"]) for run in listed} == {("tiny", 1)}
    shown = _invoke("runs", "show", listed[0]["id"][:6], "--json").json
    assert (shown["id"], shown["seconds"]) == (listed[0]["id"], listed[0]["seconds"])
    assert Path(shown["folder"]).is_dir()


def test_again_trains_nothing_and_says_so(in_project: Path, data: Path) -> None:
    """The second `baseline` and `intervene` use the runs in the store."""
    for command in (
        ["baseline", "--dataset", data, "--epochs", 1, "--seeds", 2],
        ["intervene", "0to1", "--controls", "none"],
    ):
        outcome = _invoke(*command)
        assert outcome.code == 0
        assert "nothing was trained" in outcome.stderr


def test_store_option_and_variable(in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--store and ERRORAN_STORE name a store from any folder; the option counts first."""
    store = in_project / ".erroran"
    monkeypatch.chdir(tmp_path)
    assert _invoke("runs", "--json").json == []
    assert len(_invoke("runs", "--json", "--store", store).json) == 6
    monkeypatch.setenv("ERRORAN_STORE", str(store))
    assert len(_invoke("runs", "--json").json) == 6
    assert _invoke("runs", "--json", "--store", tmp_path / "none").json == []


def test_damaged_run_is_named_and_can_be_removed(
    in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in the message removes a run whose record cannot be read."""
    import shutil

    shutil.copytree(in_project / ".erroran", tmp_path / "copy")
    monkeypatch.setenv("ERRORAN_STORE", str(tmp_path / "copy"))
    run = _invoke("runs", "--json").json[0]["id"]
    (tmp_path / "copy" / "runs" / run / "run.json").write_text("{}")
    _assert_refused(_invoke("mine-confusions"), f"{run}/run.json is damaged", code=1)
    _assert_refused(_invoke("runs"), f"erroran runs remove {run}", code=1)
    _assert_refused(_invoke("runs", "remove", run, "zzz"), "`zzz`")  # all ids are checked first
    assert _invoke("runs", "remove", run).stdout.strip() == f"removed {run}"
    assert len(_invoke("runs", "--json").json) == 5


def test_new_writes_a_spec_that_previews(empty: Path) -> None:
    """The starter is a valid spec; with --dataset no baseline is needed."""
    assert _invoke("new", "7to1", "--pair", "7:1").code == 0
    assert _invoke("preview", "7to1", "--dataset", "digits").code == 0
    assert (empty / "reports" / "7to1-preview.md").is_file()


def test_in_model_augmentation_is_previewed_without_a_baseline(empty: Path) -> None:
    """By recipe or by amounts; without either there is nothing to preview."""
    assert _invoke("preview", "--dataset", "digits", "--zoom", "20", "--json").json == {
        "rotation_deg": 0, "zoom_percent": 20, "translation_percent": 0,
    }  # fmt: skip
    text = (empty / "reports" / "in-model-preview.md").read_text()
    assert "zoomed by up to 20 %" in text
    assert _invoke("preview", "--dataset", "digits", "--recipe", "fast").code == 2
    assert _invoke("preview", "--dataset", "digits").code == 2


def test_an_unknown_study_names_a_known_one(empty: Path) -> None:
    """As for hypotheses."""
    outcome = _invoke("study", "dens-study", "--dataset", "digits")
    assert outcome.code != 0
    assert "erroran study dense-study" in outcome.stderr
    assert not (empty / ".erroran").exists()
