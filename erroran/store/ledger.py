"""Append-only log of what was claimed beforehand and of every look at `confirm`.

A test set that is looked at often enough will confirm anything. The ledger cannot forbid looking; it makes
every look count in the reports. One JSON object a line, in ``.erroran/ledger.jsonl``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from erroran.errors import ErroranError
from erroran.store import environment as provenance


class Entry(BaseModel):
    """One line of the ledger.

    Attributes:
        kind: ``registered`` (a hypothesis, before its runs are trained), ``verdict`` (a look at `confirm`), ``stress``
            (a look at changed versions of it), ``mined-on-confirm`` (pairs were chosen on the images that a verdict
            would use), ``study`` (models were compared on them), or ``reviewed-on-confirm`` (a threshold was tried
            there; no single image was shown, so that verdicts stay what they are).
        time: UTC, ISO 8601.
        dataset: Digest of the dataset.
        group: The baseline group.
        name: The hypothesis; empty for looks without a hypothesis.
        pair: ``"4:9"``; empty for looks without a hypothesis.
        spec_hash: Hash of the hypothesis' content.
        seeds: Seeds of the arms.
        word: The verdict's word; empty unless ``verdict``.
        sentence: The verdict's sentence.
        command: The command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["registered", "verdict", "stress", "mined-on-confirm", "study", "reviewed-on-confirm"]
    dataset: str
    group: str
    name: str = ""
    pair: str = ""
    spec_hash: str = ""
    seeds: tuple[int, ...] = ()
    word: str = ""
    sentence: str = ""
    time: str = ""
    command: str = ""

    def same_look(self, other: "Entry") -> bool:
        """Whether `other` is a repetition of this entry, such as a report that is rendered again."""
        fields = ("kind", "dataset", "group", "name", "spec_hash", "seeds", "word")
        return all(getattr(self, field) == getattr(other, field) for field in fields)


class Ledger:
    """Reads and extends the ledger of one store folder."""

    def __init__(self, root: Path) -> None:
        self.path = root / "ledger.jsonl"

    def record(self, entry: Entry) -> None:
        """Append an entry, with time and command, unless it repeats one that is there."""
        if any(entry.same_look(earlier) for earlier in self.entries()):
            return
        stamped = entry.model_copy(update={"time": provenance.now(), "command": provenance.command_line()})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(stamped.model_dump_json() + "\n")

    def entries(self) -> list[Entry]:
        """All entries, oldest first.

        Raises:
            ErroranError: A line cannot be read.
        """
        return list(self._read())

    def _read(self) -> Iterator[Entry]:
        if not self.path.is_file():
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield Entry.model_validate(json.loads(line))
            except (json.JSONDecodeError, ValidationError) as error:
                raise ErroranError(
                    f"Line {number} of {self.path} is damaged.", fix=f"delete line {number} of {self.path}"
                ) from error
