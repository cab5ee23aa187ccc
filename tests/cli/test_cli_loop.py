"""All steps in separate processes: from an empty folder, interrupted, killed, and repeated."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

LOOP = ["--dataset", "digits", "--epochs", "2"]
BASELINE = ["baseline", *LOOP, "--seeds", "3"]


def _start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "erroran", *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        command,
        cwd=folder,
        text=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell starts background jobs with SIGINT ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )


def _erroran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    process = _start(folder, *arguments)
    out, err = process.communicate(timeout=400)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _finished(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / ".erroran" / "runs").glob("*/run.json"))


def _wait_for_first_run(folder: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not _finished(folder):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _predictions(folder: Path) -> dict[str, bytes]:
    """Run id to the bytes of its probabilities."""
    found = {}
    for run in _finished(folder):
        parts = [np.load(folder / ".erroran" / "runs" / run / f"{split}.npz") for split in ("mine", "confirm")]
        found[run] = b"".join(part["probabilities"].tobytes() for part in parts)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Predictions of a baseline that was not interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert _erroran(folder, *BASELINE).returncode == 0
    return _predictions(folder)


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder after one `erroran run`."""
    folder = tmp_path_factory.mktemp("loop")
    done = _erroran(folder, "run", "4to9", *LOOP, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder


def test_reports_and_their_links_exist(looped: Path) -> None:
    """Every stage wrote its report; every relative link and image in them exists."""
    reports = looped / "reports"
    written = {path.name for path in reports.glob("*.md")}
    assert written >= {"baseline.md", "confusions.md", "4to9-preview.md", "4to9.md", "README.md"}
    for report in reports.glob("*.md"):
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", report.read_text(encoding="utf-8")):
            assert target.startswith("http") or (reports / target).is_file(), (report.name, target)


def test_second_time_trains_nothing(looped: Path) -> None:
    """Both training stages say so; with --json only the comparison is on stdout."""
    runs, report = _finished(looped), (looped / "reports" / "4to9.md").read_text(encoding="utf-8")
    again = _erroran(looped, "run", "4to9", *LOOP, "--seeds", "2", "--json")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing was trained") == 2
    assert _finished(looped) == runs
    assert json.loads(again.stdout)["intervention"]["name"] == "4to9"
    now = (looped / "reports" / "4to9.md").read_text(encoding="utf-8")
    assert now.split("<sub>")[0].splitlines()[:20] == report.split("<sub>")[0].splitlines()[:20]


def test_run_without_a_name_writes_a_starter(tmp_path: Path) -> None:
    """The top mined pair becomes a spec, and is judged."""
    done = _erroran(tmp_path, "run", *LOOP, "--seeds", "2", "--controls", "none", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    mined = json.loads((tmp_path / "reports" / "confusions" / "confusions.json").read_text())
    name = mined["pairs"][0]["pair"].replace(":", "to")
    shipped = {path.stem for path in (Path(__file__).resolve().parents[2] / "experiments").glob("*.toml")}
    assert name in shipped or (tmp_path / "experiments" / f"{name}.toml").is_file()
    assert (tmp_path / "reports" / f"{name}.md").is_file()


@pytest.mark.parametrize("jobs", ["1", "auto"])
def test_interrupt(tmp_path: Path, jobs: str) -> None:
    """Ctrl-C: exit code 130, one message, no traceback; finished runs stay."""
    process = _start(tmp_path, *BASELINE[:-1], "6", "--jobs", jobs)
    _wait_for_first_run(tmp_path, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert err.count("Interrupted; every finished run is kept.") == 1
    assert "Traceback" not in err
    assert 1 <= len(_finished(tmp_path)) < 6


def test_kill_and_resume(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """After kill -9 only missing seeds train; the predictions equal those of an uninterrupted baseline."""
    process = _start(tmp_path, *BASELINE)
    _wait_for_first_run(tmp_path, process)
    time.sleep(1)
    process.kill()
    process.communicate()
    kept = _finished(tmp_path)
    assert 1 <= len(kept) < 3
    stamps = {run: (tmp_path / ".erroran" / "runs" / run / "run.json").read_bytes() for run in kept}
    again = _erroran(tmp_path, *BASELINE)
    assert again.returncode == 0, again.stderr
    assert f"{len(kept)} {'was' if len(kept) == 1 else 'were'} in the store already" in again.stderr
    for run, content in stamps.items():
        assert (tmp_path / ".erroran" / "runs" / run / "run.json").read_bytes() == content
    assert _predictions(tmp_path) == undisturbed
    assert list((tmp_path / ".erroran" / "tmp").iterdir()) == []


STUDY = """
title = "Two small ones"
seeds = 2
[[models]]
model = "dense-baseline"
epochs = 3
[[models]]
model = "mine.py:build_fn"
epochs = 1
zoom_percent = 5
[[claims]]
text = "a hidden layer helps"
better = "dense-baseline"
worse = "mine.py:build_fn"
"""
OWN = """
import keras

def build_fn(input_shape, n_classes):
    image = keras.Input(input_shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(n_classes, activation="softmax")(x))
"""


def test_a_study_of_a_shipped_model_and_the_users_own(tmp_path: Path) -> None:
    """Trains two seeds of each, writes the report; again it trains nothing."""
    (tmp_path / "two.toml").write_text(STUDY)
    (tmp_path / "mine.py").write_text(OWN)
    first = _erroran(tmp_path, "study", "two.toml", "--dataset", "digits", "--json")
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    by_model = {model["entry"]["model"]: model for model in summary["models"]}
    assert by_model["mine.py:build_fn"]["parameters"] == (28 * 28 + 1) * 10
    accuracy = {name: model["scores"]["accuracy_confirm"]["mean"] for name, model in by_model.items()}
    assert accuracy["dense-baseline"] > accuracy["mine.py:build_fn"]
    assert summary["claims"][0]["word"] == "holds"
    assert (tmp_path / "reports" / "two.md").is_file()
    trained = _finished(tmp_path)
    assert len(trained) == 4

    again = _erroran(tmp_path, "study", "two.toml", "--dataset", "digits")
    assert again.returncode == 0, again.stderr
    assert "nothing was trained" in again.stderr
    assert _finished(tmp_path) == trained
