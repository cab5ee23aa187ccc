"""The ledger: appends, never forgets, counts a repeated look once, and says which line is damaged."""

import json

import pytest

from erroran.errors import ErroranError
from erroran.store import Store
from erroran.store.ledger import Entry, Ledger

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
    return Ledger(store.root)


def test_empty_without_a_file(ledger: Ledger) -> None:
    """Reading neither fails nor creates anything."""
    assert ledger.entries() == []
    assert not ledger.path.parent.exists()


def test_recorded_with_time_and_command(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is what was recorded, and when and by what."""
    monkeypatch.setattr("sys.argv", ["/bin/erroran", "report", "4to9"])
    ledger.record(LOOK)
    (entry,) = ledger.entries()
    assert (entry.command, entry.time[:2]) == ("erroran report 4to9", "20")
    assert entry.model_copy(update={"time": "", "command": ""}) == LOOK


def test_one_json_object_a_line_oldest_first(ledger: Ledger) -> None:
    """A file that other tools can read."""
    ledger.record(LOOK)
    ledger.record(LOOK.model_copy(update={"name": "3to5"}))
    lines = ledger.path.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["4to9", "3to5"]
    assert [entry.name for entry in ledger.entries()] == ["4to9", "3to5"]


def test_the_same_look_counts_once(ledger: Ledger) -> None:
    """Rendering again, even with another sentence, is no second look."""
    ledger.record(LOOK)
    ledger.record(LOOK.model_copy(update={"sentence": "Said otherwise."}))
    assert len(ledger.entries()) == 1


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
    ],
)
def test_another_look_counts(ledger: Ledger, change: dict[str, object]) -> None:
    """Other seeds, spec, outcome, baseline or data make another entry."""
    ledger.record(LOOK)
    ledger.record(LOOK.model_copy(update=change))
    assert len(ledger.entries()) == 2


@pytest.mark.parametrize("line", ["{", "garbage", "{}", '{"kind": "guess", "dataset": "d", "group": "g"}', "[1]"])
def test_damaged_line_is_named(ledger: Ledger, line: str) -> None:
    """The message and its fix give the line; nothing is dropped in silence."""
    ledger.record(LOOK)
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ErroranError, match="Line 2 of") as caught:
        ledger.entries()
    assert caught.value.fix == f"delete line 2 of {ledger.path}"
    with pytest.raises(ErroranError):
        ledger.record(LOOK.model_copy(update={"name": "3to5"}))
    assert len(ledger.path.read_text().splitlines()) == 2
