"""The ledger: whole entries, each look once, and no predictions on `confirm` without an entry."""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from erroran.errors import ErroranError, Unavailable
from erroran.store import Predictions, Store
from erroran.store.ledger import Entry, Ledger
from erroran.store.records import RunRecord

LOOK = Entry(
    kind="verdict",
    dataset="d",
    group="g",
    name="4to9",
    pair="4:9",
    spec_hash="abc",
    seeds=(1000, 1001),
    word="cannot tell",
    sentence="Cannot tell yet.",
)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return store.ledger


def test_empty_without_a_folder(ledger: Ledger) -> None:
    """Reading a missing ledger gives no entries and creates no file."""
    assert ledger.entries() == []
    assert not ledger.root.exists()


def test_recorded_with_time_and_command(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is read as it was recorded, with time and command."""
    monkeypatch.setattr("sys.argv", ["/bin/erroran", "report", "4to9"])
    ledger.record(LOOK)
    (entry,) = ledger.entries()
    assert (entry.command, entry.time[:2]) == ("erroran report 4to9", "20")
    assert entry.model_copy(update={"time": "", "command": ""}) == LOOK


def test_one_file_per_entry_oldest_first(ledger: Ledger) -> None:
    """Entries are JSON files whose names sort by time."""
    for name in ("4to9", "3to5", "1to7"):
        ledger.record(LOOK.model_copy(update={"name": name}))
    files = sorted(ledger.folder.iterdir())
    assert [json.loads(path.read_text())["name"] for path in files] == ["4to9", "3to5", "1to7"]
    assert [entry.name for entry in ledger.entries()] == ["4to9", "3to5", "1to7"]


def test_the_same_look_counts_once(ledger: Ledger) -> None:
    """Rendering a report again is not a second look, even with another sentence."""
    ledger.record(LOOK)
    ledger.record(LOOK.model_copy(update={"sentence": "Said otherwise."}))
    assert len(ledger.entries()) == 1
    assert len(list(ledger.folder.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": (1000, 1001, 1002)},
        {"spec_hash": "def"},
        {"word": "improved"},
        {"group": "h"},
        {"dataset": "e"},
        {"name": "9to4"},
        {"kind": "registered"},
        {"epochs": 3},
        {"recipe": "fast"},
    ],
)
def test_another_look_counts(ledger: Ledger, change: dict[str, object]) -> None:
    """Different seeds, specs, outcomes, baselines, recipes or datasets are different entries."""
    ledger.record(LOOK)
    ledger.record(LOOK.model_copy(update=change))
    assert len(ledger.entries()) == 2


def test_many_processes_record_at_once(ledger: Ledger) -> None:
    """Each process records a look of its own and a shared one: all are read, the shared one once."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(6)

    def record(number: int) -> None:
        start.wait()
        try:
            ledger.record(LOOK)
            ledger.record(LOOK.model_copy(update={"name": f"own-{number}"}))
        except BaseException:  # noqa: BLE001 - the parent looks at the exit code
            os._exit(1)
        os._exit(0)

    processes = [context.Process(target=record, args=(number,)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert sorted(entry.name for entry in ledger.entries()) == ["4to9", *(f"own-{number}" for number in range(6))]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"garbage", b"{}", b'{"kind": "guess", "dataset": "d"}', b"[1]", b"\xff\xfe"]
)
def test_a_damaged_entry_is_named_and_blocks_only_reading(ledger: Ledger, content: bytes) -> None:
    """A damaged entry is an error when entries are read, but not when another look is recorded."""
    ledger.record(LOOK)
    path = ledger.folder / "20260101T000000-000000000000.json"
    path.write_bytes(content)
    with pytest.raises(ErroranError, match=r"20260101T000000-000000000000\.json is damaged") as caught:
        ledger.entries()
    assert caught.value.fix.startswith(f"delete {path}")
    ledger.record(LOOK.model_copy(update={"name": "3to5"}))
    path.unlink()
    assert [entry.name for entry in ledger.entries()] == ["4to9", "3to5"]


@pytest.fixture
def run(store: Store, make_record: object, predictions: dict[str, Predictions]) -> RunRecord:
    record = make_record()  # type: ignore[operator]
    store.put_run(record, predictions, {})
    return record


def test_confirm_is_read_only_with_a_look(store: Store, run: RunRecord) -> None:
    """`confirm` is not read without an entry; `mine` is not read with one."""
    with pytest.raises(ValueError, match="with a look"):
        store.get_predictions(run.id, "confirm")
    with pytest.raises(ValueError, match="with a look"):
        store.get_predictions(run.id, "mine", look=LOOK)
    assert store.ledger.entries() == []
    assert len(store.get_predictions(run.id, "confirm", look=LOOK).ids) == 3
    assert [entry.kind for entry in store.ledger.entries()] == ["verdict"]


def test_the_look_is_recorded_before_anything_is_read(
    store: Store, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is written before the predictions are read; if it cannot be written, they are not read."""
    seen = []
    original = np.load

    def spy(*arguments: object) -> object:
        seen.append(len(store.ledger.entries()))
        return original(*arguments)

    monkeypatch.setattr(np, "load", spy)
    store.get_predictions(run.id, "confirm", look=LOOK)
    assert seen == [1]

    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(Unavailable, match="cannot be written: Read-only file system"):
        store.get_predictions(run.id, "confirm", look=LOOK.model_copy(update={"name": "3to5"}))
    assert seen == [1]
