"""Shared by all tests: tiny datasets, records without training, and no settings from outside."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from erroran.data import Dataset, build_dataset
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store
from erroran.store.records import RunRecord

# Tests share their machine with trainings: how long an example takes says nothing about the code.
settings.register_profile("erroran", deadline=None)
settings.load_profile("erroran")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ERRORAN_STORE", "ERRORAN_DATA", "ERRORAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """Three classes of 8x8 images that can be learned: a bright row each, in noise; 150 + 45 images."""
    rng = np.random.default_rng(11)

    def draw(per_class: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(3), per_class)
        images = rng.integers(0, 100, (len(labels), 8, 8))
        images[np.arange(len(labels)), 1 + 2 * labels] += 150
        return images.astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = draw(50), draw(15)
    return build_dataset("tiny", "made here", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder that does not exist yet."""
    return Store(tmp_path / "store")


@pytest.fixture
def make_spec() -> Callable[..., RunSpec]:
    """Build a run spec; keywords replace its fields, `recipe` its recipe's fields."""

    def make(*, recipe: dict[str, object] | None = None, **changes: object) -> RunSpec:
        plain = {"name": "standard", "epochs": 10, "learning_rate": 1e-3, "schedule": "constant"}
        environment = {
            "backend": "tensorflow",
            "versions": {"keras": "3"},
            "code": {"training": "t", "operations": "o"},
        }
        fields = {"dataset": "ab" * 32, "mine_fraction": 0.1, "model": "cnn", "seed": 0, "environment": environment}
        return RunSpec.model_validate({**fields, **changes, "recipe": Recipe(**{**plain, **(recipe or {})})})

    return make


@pytest.fixture
def make_record(make_spec: Callable[..., RunSpec]) -> Callable[..., RunRecord]:
    """Build the record of a run that nobody trained; keywords replace its fields."""

    def make(spec: RunSpec | None = None, **changes: object) -> RunRecord:
        fields = {
            "spec": spec or make_spec(),
            "arm": "baseline",
            "dataset_name": "tiny",
            "accuracy_mine": 0.9,
            "accuracy_confirm": 0.8,
            "seconds": 1.5,
            "created": "2026-01-01T00:00:00.000000+00:00",
            "command": "erroran baseline",
            "versions": {"python": "3.11"},
            "commit": None,
            "machine": {"cpus": "2"},
            "parameters": 421_642,
            "history": {"loss": [0.5], "accuracy": [0.9], "val_loss": [0.4], "val_accuracy": [0.9]},
        }
        return RunRecord.model_validate({**fields, **changes})

    return make


@pytest.fixture
def predictions() -> dict[str, Predictions]:
    """Predictions on two images of `mine` and three of `confirm`, two classes."""
    return {
        "mine": Predictions(
            probabilities=np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32),
            labels=np.array([0, 1]),
            ids=np.array(["a" * 16, "b" * 16]),
        ),
        "confirm": Predictions(
            probabilities=np.array([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]], dtype=np.float32),
            labels=np.array([0, 1, 1]),
            ids=np.array(["c" * 16, "d" * 16, "d" * 16 + "~1"]),
        ),
    }
