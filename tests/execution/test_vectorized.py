"""Several seeds as one program give the runs that they give one by one. Keras' backend is chosen once per process."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from erroran.errors import BadInput
from erroran.execution.choose import choose_executor
from erroran.store import Store
from erroran.store.records import RunRecord
from erroran.training.predict import predict_with

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


def _train(folder: Path, **wanted: object) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of the runs that were trained together, and of the same runs, trained one by one."""
    script = Path(__file__).with_name("together.py")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, script, folder, json.dumps(wanted)], env=environment, check=True)
    ids = json.loads((folder / "runs.json").read_text())
    together, alone = ([Store(folder / name).get_run(run) for run in ids] for name in ("together", "alone"))
    return together, alone


def _probabilities(folder: Path, run: RunRecord) -> np.ndarray:
    return Store(folder).get_predictions(run.id).probabilities


@needs_jax
@pytest.mark.slow
def test_seeds_trained_together_equal_seeds_trained_alone(tmp_path: Path) -> None:
    """Both arms, six runs in programs of four seeds: three and one, then two.

    After one epoch each run's losses are equal up to rounding, and after all the runs have the same distribution.
    """
    recipe = {"name": "x", "epochs": 3, "batch_size": 16, "learning_rate": 0.003, "schedule": "one-cycle"}
    treatment = {
        "augment": {
            "1": [{"operation": "dilate", "radius_px": 1, "probability": 0.5}],
            "2": [{"operation": "repeat", "probability": 0.5}],
        },
        "class_weights": {"0": 2.0},
    }
    run = {"model": "dense-dropout", "recipe": recipe}
    together, alone = _train(tmp_path, seeds=3, at_once=4, run=run, treatment=treatment)
    assert [run.arm for run in together] == ["baseline"] * 3 + ["treatment"] * 3
    for measure in ("loss", "accuracy", "val_loss", "val_accuracy"):
        found, expected = (np.array([run.history[measure] for run in runs]) for runs in (together, alone))
        assert found.shape == (6, 3)
        assert found[:, 0] == pytest.approx(expected[:, 0], rel=1e-4)
        for arm in (slice(3), slice(3, 6)):
            error = expected[arm, -1].std(ddof=1) / 3**0.5
            assert abs(found[arm, -1].mean() - expected[arm, -1].mean()) <= 2 * error + 1e-6
    assert len({run.history["loss"][0] for run in together}) == 6  # no two runs share weights, order and dropout
    # The stored model of each run is its own.
    for run in (together[0], together[4]):
        file = tmp_path / "together" / "runs" / run.id / "model.keras"
        images = Store(tmp_path / "together").get_splits(run.spec).mine.x
        assert predict_with(file, images) == pytest.approx(_probabilities(tmp_path / "together", run), abs=1e-5)
    assert {run.machine["program"] for run in together} == {"several seeds in one"}
    assert not any("program" in run.machine for run in alone)
    # 135 images in batches of 16 are 9 steps; each seed is told of to the last one.
    steps = json.loads((tmp_path / "steps.json").read_text())
    assert {seed: max(step for at, step in steps if at == seed) for seed in range(3)} == dict.fromkeys(range(3), 27)


@needs_jax
@pytest.mark.slow
def test_convolutions_are_trained_together(tmp_path: Path) -> None:
    """The last batch is smaller."""
    recipe = {"name": "x", "epochs": 1, "batch_size": 50, "learning_rate": 0.003, "schedule": "constant"}
    run = {"model": "cnn", "recipe": recipe}
    together, alone = _train(tmp_path, seeds=2, at_once=2, run=run, treatment={})
    for found, expected in zip(together, alone, strict=True):
        stored = [_probabilities(tmp_path / name, run) for name, run in (("together", found), ("alone", expected))]
        assert stored[0] == pytest.approx(stored[1], abs=1e-4)
        assert found.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-4)
    assert together[0].history["loss"] != together[1].history["loss"]


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read; also a number of seeds that is none."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(BadInput, match="trains on JAX, but Keras runs on tensorflow") as caught:
        choose_executor("vectorized=8")
    assert "KERAS_BACKEND=jax" in caught.value.fix
    for name in ("vectorized=0", "vectorized=x", "vectorized=-1"):
        with pytest.raises(BadInput, match=f"There is no executor `{name}`"):
            choose_executor(name)
