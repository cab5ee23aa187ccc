"""Append-only log of what was claimed beforehand and of every look at `confirm`.

A test set that is looked at often enough will confirm anything. The ledger cannot forbid looking; it makes every look
count in the reports. The store gives predictions on `confirm` only for an entry (`erroran.store.evidence.gather`),
which is recorded before they are read.

One JSON file per entry, in ``.erroran/ledger``, so that an entry is there as a whole or not at all, whoever else
writes at the same time. Its name is the time and a digest of the look.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from erroran import provenance
from erroran.store.folder import read_json, write_json


class Entry(BaseModel):
    """One entry of the ledger.

    Attributes:
        kind: What was done, or claimed beforehand:

            - ``registered``: a hypothesis, before its runs are trained
            - ``look``: an intervention's runs were read on `confirm`; its ``verdict`` follows
            - ``verdict``: what was concluded
            - ``stress``: changed versions of `confirm` were predicted by an intervention's runs
            - ``baseline-accuracy``: each run's overall accuracy on `confirm` was shown
            - ``mined-on-confirm``: pairs were chosen on the images that a verdict would use
            - ``reviewed-on-confirm``: a threshold was tried there; no single image was shown, so that verdicts stay
              what they are
            - ``study``: models were compared there
            - ``teach``: the lesson's runs were compared there
            - ``measured``: the shapes of its images were measured
        time: UTC, ISO 8601.
        dataset: Digest of the dataset.
        group: The baseline group, or several with spaces between them; empty for looks without runs.
        name: The hypothesis or study; empty for other looks.
        pair: ``"4:9"``; empty for looks without a hypothesis.
        spec_hash: Hash of the hypothesis' content.
        seeds: Seeds of the runs.
        epochs: Epochs of a hypothesis' runs.
        recipe: Name of the recipe of a hypothesis' runs.
        word: The verdict's word; empty unless ``verdict``.
        sentence: The verdict's sentence.
        command: The command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "registered",
        "look",
        "verdict",
        "stress",
        "baseline-accuracy",
        "mined-on-confirm",
        "reviewed-on-confirm",
        "study",
        "teach",
        "measured",
    ]
    dataset: str
    group: str = ""
    name: str = ""
    pair: str = ""
    spec_hash: str = ""
    seeds: tuple[int, ...] = ()
    epochs: int | None = None
    recipe: str = ""
    word: str = ""
    sentence: str = ""
    time: str = ""
    command: str = ""

    @property
    def look_id(self) -> str:
        """The same for a repetition of this entry, such as a report that is rendered again; 12 hexadecimal digits."""
        content = self.model_dump_json(exclude={"pair", "sentence", "time", "command"})
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class Ledger:
    """Reads and extends the ledger of one store folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "ledger"

    def record(self, entry: Entry) -> None:
        """Write an entry, with time and command, unless it repeats one that is there.

        Raises:
            Unavailable: The store cannot be written.
        """
        if any(self.folder.glob(f"*-{entry.look_id}.json")):
            return
        stamped = entry.model_copy(update={"time": provenance.now(), "command": provenance.command_line()})
        time = "".join(letter for letter in stamped.time.removesuffix("+00:00") if letter.isalnum())
        write_json(self.root, self.folder / f"{time}-{entry.look_id}.json", stamped)

    def entries(self) -> list[Entry]:
        """All entries, oldest first; a look that two processes recorded at the same moment counts once.

        Raises:
            ErroranError: An entry is damaged.
        """
        found: dict[str, Entry] = {}
        for path in sorted(self.folder.glob("*.json")):
            entry = read_json(Entry, path, fix=f"delete {path} (the look that it recorded is then forgotten)")
            found.setdefault(entry.look_id, entry)
        return list(found.values())
