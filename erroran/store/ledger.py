"""Append-only log of registered hypotheses and of every look at the images that judge them.

These are `confirm`, or training images that are judged out of fold. Repeated looks at a test set raise the rate of
false claims. The ledger records every look before the predictions are read, and the reports list the looks.

Each entry is one JSON file in ``.erroran/ledger``, so that processes that write at the same time cannot damage it. Its
name is the time and a digest of the look.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from erroran import provenance
from erroran.experiment.judging import Population
from erroran.store.folder import read_json, write_json
from erroran.store.remote import Remote
from erroran.verdict.sequential import Design, Replanned


class Entry(BaseModel):
    """One entry of the ledger.

    Attributes:
        kind: One of

            - ``registered``: a hypothesis was registered, before its runs were trained
            - ``pilot``: the baseline's runs of the first look of a design were read, and none of the treatment;
              ``replanned`` follows: the design that is followed from then on
            - ``look``: an intervention's runs were read on `confirm`; its ``verdict`` follows
            - ``verdict``: what was concluded
            - ``stress``: changed versions of `confirm` were predicted by an intervention's runs
            - ``baseline-accuracy``: each run's overall accuracy on `confirm` was shown
            - ``mined-on-confirm``: pairs were chosen on the images that a verdict would use
            - ``mined-out-of-fold``: pairs were chosen on all training images, which a verdict out of fold would use
            - ``reviewed-on-confirm``: a threshold was tried on `confirm`; no single image was shown, so verdicts are
              not affected
            - ``study``, ``teach``: models, or the runs of a lesson, were compared on `confirm`
            - ``measured``: the shapes of its images were measured
            - ``runs-listed``: the accuracy of each run was listed, also of an intervention's runs
        dataset: Digest of the dataset.
        group: The baseline group, or several with spaces between them; empty for looks without runs.
        name: The hypothesis or study; empty for other looks.
        pair: ``"4:9"``; empty for looks without a hypothesis.
        spec_hash: Hash of the hypothesis' content.
        seeds: Seeds of the runs.
        epochs, recipe: Epochs and name of the recipe of a hypothesis' runs.
        population: The images: ``confirm``, or ``train`` for training images, each predicted by models that have not
            seen it.
        worthwhile_percent: The smallest reduction worth having, of a registered hypothesis.
        design: The looks that a registered hypothesis plans, or that were planned again; None for a fixed number of
            seeds.
        replanned: How they were planned again.
        word, sentence: The verdict; empty for other kinds.
        time: UTC, ISO 8601.
        command: The command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "registered", "pilot", "replanned", "look", "verdict", "stress", "baseline-accuracy", "mined-on-confirm",
        "mined-out-of-fold", "reviewed-on-confirm", "study", "teach", "measured", "runs-listed",
    ]  # fmt: skip
    dataset: str
    group: str = ""
    name: str = ""
    pair: str = ""
    spec_hash: str = ""
    seeds: tuple[int, ...] = ()
    epochs: int | None = None
    recipe: str = ""
    population: Population = "confirm"
    worthwhile_percent: float | None = None
    design: Design | None = None
    replanned: Replanned | None = None
    word: str = ""
    sentence: str = ""
    time: str = ""
    command: str = ""

    @property
    def look_id(self) -> str:
        """12 hexadecimal digits, the same for a repetition of this look, such as a report that is rendered again."""
        left_out = {"pair", "sentence", "time", "command"}
        # What was added later is left out while it is unused, so that earlier looks keep their ids.
        later = {"population": "confirm", "worthwhile_percent": None, "design": None, "replanned": None}
        left_out |= {key for key, unused in later.items() if getattr(self, key) == unused}
        content = self.model_dump_json(exclude=left_out)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class Ledger:
    """Reads and extends the ledger of one store folder, which may mirror a remote store."""

    def __init__(self, root: Path, remote: Remote | None = None) -> None:
        self.root, self._remote = root, remote
        self.folder = root / "ledger"

    def record(self, entry: Entry) -> None:
        """Write an entry, with time and command, unless the look is recorded already; see `folder.writing`."""
        self._pull()
        if any(self.folder.glob(f"*-{entry.look_id}.json")):
            return
        stamped = entry.model_copy(update={"time": provenance.now(), "command": provenance.command_line()})
        time = "".join(letter for letter in stamped.time.removesuffix("+00:00") if letter.isalnum())
        write_json(self.root, self.folder / f"{time}-{entry.look_id}.json", stamped, self._remote)

    def entries(self) -> list[Entry]:
        """All entries, oldest first, each look once, also if two processes recorded it at the same moment.

        Raises:
            ErroranError: An entry is damaged.
        """
        self._pull()
        found: dict[str, Entry] = {}
        for path in sorted(self.folder.glob("*.json")):
            entry = read_json(Entry, path, fix=f"delete {path} (the look that it recorded is then lost)")
            found.setdefault(entry.look_id, entry)
        return list(found.values())

    def _pull(self) -> None:
        if self._remote is not None:
            self._remote.pull("ledger")
