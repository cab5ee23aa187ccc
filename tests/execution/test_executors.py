"""Executors train missing runs and keep finished ones, after failures and with other processes on the same store."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, Splits, split_dataset
from erroran.errors import ErroranError, NotFound, TrainingError
from erroran.execution import driver, task
from erroran.execution.driver import Completed, Request, complete_runs
from erroran.execution.local import Local
from erroran.execution.machine import count_cores
from erroran.experiment.change import DataChange
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.files import host
from erroran.store import Store
from erroran.store.environment import current_environment
from erroran.store.leases import lease
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
    """Replaces training by an instant function; gives the seeds that were trained, in order."""
    seeds: list[int] = []

    def pretend(
        spec: RunSpec,
        splits: Splits,
        class_names: tuple[str, ...],
        on_progress: Callable[[Progress], None],
        *,
        source: str | None,
        added: Dataset | None,
    ) -> TrainedRun:
        assert source is None
        assert (added is None) == (spec.data.add is None)
        assert added is None or added.digest == spec.data.add
        seeds.append(spec.seed)
        on_progress(Progress(spec.id, spec.seed, step=1, steps=1, epoch=1, epochs=1, loss=0.5))
        draw = np.random.default_rng(spec.seed).dirichlet(np.ones(len(class_names)), len(splits.confirm.y))
        perfect = np.eye(len(class_names), dtype=np.float32)[splits.mine.y]
        history = {name: [0.5] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        return TrainedRun(perfect, draw.astype(np.float32), history, b"weights", 123, 0.1)

    monkeypatch.setattr(task, "train", pretend)
    return seeds


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file."""
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
    """The records are in the order of the requests, with the ids of the trained runs."""
    finished: list[RunRecord] = []
    completed = complete_runs(ready, requests, on_finished=finished.append)
    assert trained_seeds == [5, 1, 3]
    assert [record.spec.seed for record in completed.records] == [5, 1, 3]
    assert completed.trained == [request.spec.id for request in requests]
    assert finished == completed.records


def test_the_second_time_nothing_is_trained(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """A second call gives the same records, changes no file, and reports no run as trained."""
    first = complete_runs(ready, requests)
    before = _files(ready.root)
    finished: list[RunRecord] = []
    second = complete_runs(ready, requests, on_finished=finished.append)
    assert trained_seeds == [5, 1, 3]
    assert second == Completed(first.records, [])
    assert finished == []
    assert _files(ready.root) == before


def test_only_what_is_missing_is_trained(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """One run is in the store, one was removed, one is new: two are trained."""
    complete_runs(ready, requests[:2])
    ready.remove_run(requests[0].spec.id)
    completed = complete_runs(ready, requests)
    assert trained_seeds == [5, 1, 5, 3]
    assert completed.trained == [requests[0].spec.id, requests[2].spec.id]
    assert [record.spec.seed for record in completed.records] == [5, 1, 3]


def test_what_is_asked_for_twice_is_trained_once(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """Two requests of two arms for one run give its record twice."""
    twice = [requests[0], Request("sham", requests[0].spec)]
    completed = complete_runs(ready, twice)
    assert trained_seeds == [5]
    assert completed.records[0] == completed.records[1]
    assert completed.records[0].arm == "baseline"
    assert completed.trained == [requests[0].spec.id]


def test_a_run_is_stored_with_all_that_repeating_it_needs(
    ready: Store, requests: Requests, trained_seeds: list[int], tiny_dataset: Dataset
) -> None:
    """The record has the accuracies of the stored predictions and the provenance; the folder has all files."""
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


def test_the_images_of_an_added_dataset_are_handed_to_training(
    ready: Store, spec: RunSpec, trained_seeds: list[int]
) -> None:
    """The added dataset is read by the digest in the spec; a missing one raises NotFound."""
    adding = spec.model_copy(update={"data": DataChange(add=spec.dataset)})
    complete_runs(ready, [Request("more", adding)])
    assert trained_seeds == [0]
    missing = spec.model_copy(update={"data": DataChange(add="ff" * 32)})
    with pytest.raises(NotFound, match="has no dataset ffffffffffff"):
        complete_runs(ready, [Request("more", missing)])


def _breaking(train: Callable[..., TrainedRun], seed: int, error: BaseException) -> Callable[..., TrainedRun]:
    def wrapped(spec: RunSpec, *args: object, **options: object) -> TrainedRun:
        if spec.seed == seed:
            raise error
        return train(spec, *args, **options)

    return wrapped


def test_a_failure_keeps_what_came_before(
    ready: Store, requests: Requests, trained_seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three runs fails: the first is kept and not trained again."""
    pretend = task.train
    monkeypatch.setattr(task, "train", _breaking(pretend, 1, TrainingError("broken", fix="mend")))
    with pytest.raises(TrainingError, match="broken"):
        complete_runs(ready, requests)
    assert [record.spec.seed for record in ready.list_runs()] == [5]
    monkeypatch.setattr(task, "train", pretend)
    complete_runs(ready, requests)
    assert trained_seeds == [5, 1, 3]


def test_ctrl_c_keeps_what_came_before(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """After an interruption of the second run, the same call trains the second and the third."""

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
    """Ctrl-C in the middle of an epoch stops Keras, and the run can be trained afterwards."""

    def interrupt(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests[:1], on_progress=interrupt)
    assert ready.list_runs() == []
    (record,) = complete_runs(ready, requests[:1]).records
    assert len(record.history["loss"]) == 1


@pytest.mark.slow
def test_workers_give_the_same_bytes_again(
    tmp_path: Path, tiny_dataset: Dataset, requests: Requests, ready: Store
) -> None:
    """A run that is trained again alone has the bytes that it had beside others; one process differs in rounding.

    Progress and records are reported in this process.
    """
    reports: list[Progress] = []
    finished: list[RunRecord] = []
    workers = Local(2)
    hooks = {"on_progress": reports.append, "on_finished": finished.append}
    both = complete_runs(ready, requests, executor=workers, **hooks)
    before = _probabilities(ready, both)
    assert [record.spec.seed for record in both.records] == [5, 1, 3]
    assert {record.id for record in finished} == set(both.trained) == {record.id for record in both.records}
    assert {report.seed for report in reports} == {5, 1, 3}
    assert {record.machine["threads"] for record in both.records} == {str(max(1, count_cores() // 2))}

    ready.remove_run(both.trained[0])
    again = complete_runs(ready, requests, executor=workers)
    assert again.trained == both.trained[:1]
    assert _probabilities(ready, again) == before

    alone = Store(tmp_path / "alone")
    alone.put_dataset(tiny_dataset)
    one = complete_runs(alone, requests[:1])
    for found, expected in zip(_probabilities(alone, one), before, strict=False):
        np.testing.assert_allclose(np.frombuffer(found, np.float32), np.frombuffer(expected, np.float32), atol=1e-4)


@pytest.mark.slow
def test_a_failure_in_a_worker_arrives_and_keeps_the_rest(ready: Store, spec: RunSpec) -> None:
    """One of three runs fails in a worker: its TrainingError is raised here, and finished runs are kept."""
    wild = spec.recipe.model_copy(update={"learning_rate": float("inf")})
    broken = Request("baseline", spec.model_copy(update={"seed": 9, "recipe": wild}))
    good = [Request("baseline", spec.model_copy(update={"seed": seed})) for seed in (0, 1)]
    with pytest.raises(TrainingError, match="seed 9 ended with a loss that is not a number"):
        complete_runs(ready, [good[0], good[1], broken], executor=Local(2))
    assert 1 <= len(ready.list_runs()) <= 2
    assert 9 not in {record.spec.seed for record in ready.list_runs()}


# --- several processes


def test_a_run_of_another_environment_is_refused(ready: Store, requests: Requests, trained_seeds: list[int]) -> None:
    """The error comes before any training; stored runs of another environment can still be read."""
    complete_runs(ready, requests[:1])
    environment = requests[1].spec.environment
    old = environment.model_copy(update={"versions": {**environment.versions, "numpy": "1.0"}})
    strange = Request("baseline", requests[1].spec.model_copy(update={"environment": old}))
    with pytest.raises(ErroranError, match=r"cannot be trained here as its baseline was: numpy was 1\.0, here it is"):
        complete_runs(ready, [requests[0], requests[2], strange])
    assert trained_seeds == [5]
    assert complete_runs(ready, requests[:1]).trained == []


@pytest.fixture
def other_process(ready: Store, requests: Requests, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Holds the lease of the second seed for 0.3 seconds, then stores the run or fails."""
    monkeypatch.setattr(driver, "_POLL_SECONDS", 0.05)
    threads = []

    def start(finishes: bool) -> None:
        has_it = threading.Event()

        def work() -> None:
            with contextlib.suppress(TrainingError), lease(ready.leases, requests[1].spec.id):
                has_it.set()
                time.sleep(0.3)
                if not finishes:
                    raise TrainingError("It broke off.", fix="none")
                record = ready.get_run(requests[0].spec.id).model_copy(update={"spec": requests[1].spec})
                ready.put_run(record, {}, {})

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        assert has_it.wait(10)

    yield start
    for thread in threads:
        thread.join()


def test_a_run_that_another_process_trains_is_waited_for(
    ready: Store, requests: Requests, trained_seeds: list[int],
    other_process: Callable[[bool], None], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Free runs are trained first; one message names the seeds that are waited for."""
    complete_runs(ready, requests[:1])
    other_process(True)
    completed = complete_runs(ready, requests)
    assert trained_seeds == [5, 3]
    assert completed.trained == [requests[2].spec.id]
    assert [record.spec.seed for record in completed.records] == [5, 1, 3]
    (line,) = caplog.messages
    assert line == f"Waiting for another process that trains these seeds in {ready.root}: 1"


def test_a_run_that_another_process_gave_up_is_trained(
    ready: Store, requests: Requests, trained_seeds: list[int], other_process: Callable[[bool], None]
) -> None:
    complete_runs(ready, requests[:1])
    other_process(False)
    completed = complete_runs(ready, requests)
    assert trained_seeds == [5, 3, 1]
    assert completed.trained == [requests[1].spec.id, requests[2].spec.id]


def test_the_lease_of_a_dead_process_is_taken_over_at_once(
    ready: Store, requests: Requests, trained_seeds: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """After kill -9 the next command takes the lease over at once."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (ready.root / "leases").mkdir()
    (ready.root / "leases" / f"{requests[0].spec.id}.0").write_text(f"{host()}-{process.pid}-0-x")
    complete_runs(ready, requests)
    assert trained_seeds == [5, 1, 3]
    assert caplog.messages == []
    assert not list((ready.root / "leases").iterdir())


def test_ctrl_c_ends_the_wait(
    ready: Store, requests: Requests, trained_seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with lease(ready.leases, requests[0].spec.id), pytest.raises(KeyboardInterrupt):
        complete_runs(ready, requests[:1])
    assert trained_seeds == []


_TRAIN_THREE = """
import sys, time
from pathlib import Path
from erroran.data import build_dataset
from erroran.data.sources.digits import load_digits
from erroran.execution.choose import choose_executor
from erroran.experiment.change import DataChange
from erroran.experiment.recipe import Recipe
from erroran.stages.baseline import train_baseline
from erroran.store import Store
from erroran.training.backend import keras

digits = load_digits()
dataset = build_dataset("digits", "here", x_train=digits.x_train[:400], y_train=digits.y_train[:400],
                        x_test=digits.x_test[:200], y_test=digits.y_test[:200])
recipe = Recipe(name="standard", epochs=2, batch_size=32, learning_rate=1e-3, schedule="constant")
root, start = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
_, completed = train_baseline(Store(root), dataset, recipe=recipe, seeds=[0, 1, 2],
                              executor=choose_executor(jobs=int(sys.argv[3])))
print(*completed.trained)
print(*(record.id for record in completed.records))
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [("1", "1"), ("1", "2")], ids=["one by one", "with workers"])
def test_two_processes_with_the_same_seeds_train_three_runs_in_all(tmp_path: Path, jobs: tuple[str, str]) -> None:
    """Two processes start at the same time on one store: each run is trained once, and both get all three."""
    root, start = tmp_path / "store", tmp_path / "start"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _TRAIN_THREE, str(root), str(start), number], stdout=subprocess.PIPE, text=True
        )
        for number in jobs
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start.touch()
    printed = [process.communicate(timeout=300)[0].split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    trained = [line[0].split() for line in printed]
    assert sorted(trained[0] + trained[1]) == sorted(record.id for record in Store(root).list_runs())
    assert len(trained[0] + trained[1]) == 3
    assert printed[0][1] == printed[1][1]
    assert len(printed[0][1].split()) == 3
    assert not list((root / "leases").iterdir())
    assert not list((root / "tmp").iterdir())


_LOOP = ("run", "4to9", "--dataset", "digits", "--model", "dense-baseline", "--epochs", "1", "--seeds", "2")


def _run_loop(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "erroran", *_LOOP, "--controls", "sham"]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _predictions(store: Store) -> dict[str, bytes]:
    return {
        f"{record.id}/{split}": np.load(store.run_folder(record.id) / f"{split}.npz")["probabilities"].tobytes()
        for record in store.list_runs()
        for split in ("mine", "confirm")
    }


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_and_need_no_repair(tmp_path: Path) -> None:
    """Kill -9 anywhere in the whole loop: finished runs do not change, and the same command trains the others.

    ``ERRORAN_TEST_KILLS`` sets the number of kills: 8 by default, to keep the suite short; 20 before a release.
    """
    (tmp_path / "whole").mkdir()
    started = time.monotonic()
    process = _run_loop(tmp_path / "whole")
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    duration = time.monotonic() - started

    folder = tmp_path / "killed"
    folder.mkdir()
    moments = random.Random(9)
    store, before = Store(folder / ".erroran"), {}
    for _ in range(int(os.environ.get("ERRORAN_TEST_KILLS", "8"))):
        process = _run_loop(folder)
        time.sleep(moments.uniform(0.1, 0.6) * duration)
        process.kill()
        process.communicate()
        for path, content in before.items():
            assert path.read_bytes() == content
        finished = store.list_runs()
        if len(finished) == 8:  # so that there is something left to do
            for record in moments.sample(finished, 4):
                store.remove_run(record.id)
        before = {path: path.read_bytes() for path in (store.root / "runs").glob("*/*")}
        assert len({path.parent for path in before}) == len(store.list_runs())

    process = _run_loop(folder)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert _predictions(store) == _predictions(Store(tmp_path / "whole" / ".erroran"))
    assert len(store.list_runs()) == 8
    assert not list((store.root / "tmp").iterdir())
