"""Executors: train what is missing, keep what is finished, whatever breaks."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, Splits, split_dataset
from erroran.errors import TrainingError
from erroran.execution import local as executors
from erroran.execution.local import Completed, Request, complete_runs
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.store.ledger import Entry
from erroran.store.records import RunRecord
from erroran.training.fit import Progress, TrainedRun

Requests = list[Request]


@pytest.fixture
def spec(tiny_dataset: Dataset) -> RunSpec:
    recipe = Recipe(name="standard", epochs=1, batch_size=32, learning_rate=1e-3, schedule="constant")
    environment = current_environment("cnn")
    return RunSpec(
        dataset=tiny_dataset.digest, mine_fraction=0.1, model="cnn", recipe=recipe, environment=environment, seed=0
    )


@pytest.fixture
def requests(spec: RunSpec) -> Requests:
    """Three seeds of a baseline."""
    return [Request("baseline", spec.model_copy(update={"seed": seed})) for seed in (5, 1, 3)]


@pytest.fixture
def ready(store: Store, tiny_dataset: Dataset) -> Store:
    """A store that holds the dataset."""
    store.put_dataset(tiny_dataset)
    return store


@pytest.fixture
def trained_seeds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces training by something instant; the seeds that were trained, in order."""
    seeds: list[int] = []

    def pretend(
        spec: RunSpec,
        splits: Splits,
        class_names: tuple[str, ...],
        on_progress: Callable[[Progress], None],
        *,
        source: str | None,
    ) -> TrainedRun:
        assert source is None
        seeds.append(spec.seed)
        on_progress(Progress(spec.id, spec.seed, step=1, steps=1, epoch=1, epochs=1, loss=0.5))
        draw = np.random.default_rng(spec.seed).dirichlet(np.ones(len(class_names)), len(splits.confirm.y))
        perfect = np.eye(len(class_names), dtype=np.float32)[splits.mine.y]
        history = {name: [0.5] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        return TrainedRun(perfect, draw.astype(np.float32), history, b"weights", 123, 0.1)

    monkeypatch.setattr(executors, "train", pretend)
    return seeds


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of every file."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def _probabilities(store: Store, completed: Completed) -> list[bytes]:
    return [
        np.load(store.run_folder(run.id) / f"{split}.npz")["probabilities"].tobytes()
        for run in completed.records
        for split in ("mine", "confirm")
    ]


def test_all_are_trained_in_order(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """Records come in the order of the requests, ids of what was trained beside them."""
    finished: list[RunRecord] = []
    completed = complete_runs(ready, requests, on_finished=finished.append)
    assert trained_seeds == [5, 1, 3]
    assert [record.spec.seed for record in completed.records] == [5, 1, 3]
    assert completed.trained == [request.spec.id for request in requests]
    assert finished == completed.records


def test_the_second_time_nothing_is_trained(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """Same records, no file touched, nothing reported as trained."""
    first = complete_runs(ready, requests)
    before = _files(ready.root)
    finished: list[RunRecord] = []
    second = complete_runs(ready, requests, on_finished=finished.append)
    assert trained_seeds == [5, 1, 3]
    assert second == Completed(first.records, [])
    assert finished == []
    assert _files(ready.root) == before


def test_only_what_is_missing_is_trained(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """One in the store, one removed, one new."""
    complete_runs(ready, requests[:2])
    ready.remove_run(requests[0].spec.id)
    completed = complete_runs(ready, requests)
    assert trained_seeds == [5, 1, 5, 3]
    assert completed.trained == [requests[0].spec.id, requests[2].spec.id]
    assert [record.spec.seed for record in completed.records] == [5, 1, 3]


def test_what_is_asked_for_twice_is_trained_once(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """Two arms may share a run: two records come back, the same one."""
    twice = [requests[0], Request("sham", requests[0].spec)]
    completed = complete_runs(ready, twice)
    assert trained_seeds == [5]
    assert completed.records[0] == completed.records[1]
    assert completed.trained == [requests[0].spec.id]


def test_a_run_is_stored_with_all_that_repeating_it_needs(
    ready: Store, requests: Requests, trained_seeds: list[int], tiny_dataset: Dataset
) -> None:
    """Scores that follow from the predictions, provenance, and the files."""
    (record,) = complete_runs(ready, requests[:1]).records
    splits = split_dataset(tiny_dataset)
    look = Entry(kind="look", dataset=record.spec.dataset)
    confirm = ready.get_predictions(record.id, "confirm", look=look)
    assert record.accuracy_mine == 1.0
    assert record.accuracy_confirm == (confirm.probabilities.argmax(axis=1) == splits.confirm.y).mean()
    assert 0 < record.accuracy_confirm < 1
    assert np.array_equal(confirm.ids, splits.confirm.ids)
    assert np.array_equal(ready.get_predictions(record.id).labels, splits.mine.y)
    assert (record.arm, record.dataset_name, record.parameters) == ("baseline", "tiny", 123)
    assert {"python", "numpy", "keras", "tensorflow"} <= set(record.versions)
    assert set(record.machine) >= {"platform", "cpus", "processor"}
    assert {path.name for path in ready.run_folder(record.id).iterdir()} == {
        "run.json", "mine.npz", "confirm.npz", "model.keras",
    }  # fmt: skip


def _breaking(train: Callable[..., TrainedRun], seed: int, error: BaseException) -> Callable[..., TrainedRun]:
    def wrapped(spec: RunSpec, *args: object, **options: object) -> TrainedRun:
        if spec.seed == seed:
            raise error
        return train(spec, *args, **options)

    return wrapped


def test_a_failure_keeps_what_came_before(
    ready: Store, requests: Requests, trained_seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three breaks off: the first is kept, and not trained again afterwards."""
    pretend = executors.train
    monkeypatch.setattr(executors, "train", _breaking(pretend, 1, TrainingError("broken", fix="mend")))
    with pytest.raises(TrainingError, match="broken"):
        complete_runs(ready, requests)
    assert [record.spec.seed for record in ready.list_runs()] == [5]
    monkeypatch.setattr(executors, "train", pretend)
    complete_runs(ready, requests)
    assert trained_seeds == [5, 1, 3]


def test_ctrl_c_keeps_what_came_before(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """Interrupted while the second run trains; the same call again goes on from there."""

    def interrupt(progress: Progress) -> None:
        if progress.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests, on_progress=interrupt)
    assert [record.spec.seed for record in ready.list_runs()] == [5]
    assert not list((ready.root / "tmp").iterdir())
    completed = complete_runs(ready, requests)
    assert completed.trained == [requests[1].spec.id, requests[2].spec.id]


def test_ctrl_c_inside_a_real_fit(ready: Store, requests: Requests) -> None:
    """Keras lets the interruption through, in the middle of an epoch, and trains again afterwards."""

    def interrupt(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests[:1], on_progress=interrupt)
    assert ready.list_runs() == []
    (record,) = complete_runs(ready, requests[:1]).records
    assert len(record.history["loss"]) == 1


@pytest.mark.slow
def test_two_jobs_give_the_bytes_of_one(
    tmp_path: Path, tiny_dataset: Dataset, requests: Requests, ready: Store
) -> None:
    """Parallel runs differ in nothing; their progress and records arrive here."""
    alone = Store(tmp_path / "alone")
    alone.put_dataset(tiny_dataset)
    reports: list[Progress] = []
    finished: list[RunRecord] = []
    both = complete_runs(ready, requests, jobs=2, on_progress=reports.append, on_finished=finished.append)
    one = complete_runs(alone, requests)
    assert _probabilities(ready, both) == _probabilities(alone, one)
    assert [record.id for record in both.records] == [record.id for record in one.records]
    assert {record.id for record in finished} == set(both.trained) == set(one.trained)
    assert {report.seed for report in reports} == {5, 1, 3}


@pytest.mark.slow
def test_a_failure_in_a_worker_arrives_and_keeps_the_rest(ready: Store, spec: RunSpec) -> None:
    """One of three runs breaks in its process: the error is ours, runs that finished stay."""
    wild = spec.recipe.model_copy(update={"learning_rate": float("inf")})
    broken = Request("baseline", spec.model_copy(update={"seed": 9, "recipe": wild}))
    good = [Request("baseline", spec.model_copy(update={"seed": seed})) for seed in (0, 1)]
    with pytest.raises(TrainingError, match="seed 9 ended with a loss that is not a number"):
        complete_runs(ready, [good[0], good[1], broken], jobs=2)
    assert 1 <= len(ready.list_runs()) <= 2
    assert 9 not in {record.spec.seed for record in ready.list_runs()}


_TRAIN_THREE = """
import sys
from pathlib import Path
from erroran.data import build_dataset
from erroran.data.sources.digits import load_digits
from erroran.experiment.recipe import Recipe
from erroran.stages.baseline import train_baseline
from erroran.store import Store

digits = load_digits()
dataset = build_dataset("digits", "here", x_train=digits.x_train[:400], y_train=digits.y_train[:400],
                        x_test=digits.x_test[:200], y_test=digits.y_test[:200])
recipe = Recipe(name="standard", epochs=2, batch_size=32, learning_rate=1e-3, schedule="constant")
train_baseline(Store(Path(sys.argv[1])), dataset, recipe=recipe, seeds=[0, 1, 2])
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    """Killed once the first run is there; the same command again ends with what it always ends with."""
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    process = subprocess.Popen([sys.executable, "-c", _TRAIN_THREE, str(killed.root)])
    deadline = time.monotonic() + 120
    while not list((killed.root / "runs").glob("*/run.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()

    survivors = killed.list_runs()
    assert len(survivors) == 1
    folder = killed.run_folder(survivors[0].id)
    before = _files(folder)
    for store in (killed, whole):
        subprocess.run([sys.executable, "-c", _TRAIN_THREE, str(store.root)], check=True)

    assert _files(folder) == before
    assert [r.id for r in killed.list_runs()] == [r.id for r in whole.list_runs()]
    assert len(whole.list_runs()) == 3
    for record in whole.list_runs():
        for split in ("mine", "confirm"):
            one, other = (np.load(store.run_folder(record.id) / f"{split}.npz") for store in (killed, whole))
            assert one["probabilities"].tobytes() == other["probabilities"].tobytes()
    assert killed.get_group().id == whole.get_group().id
    assert not list((killed.root / "tmp").iterdir())
