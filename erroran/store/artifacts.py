"""The artifact store: the only reader and writer of what stages leave for each other.

::

    .erroran/
      store.json                     the folder's format
      datasets/<digest>/             images, labels and ids, once per dataset
      read/<digest>.json             which dataset files of this content are
      splits/<dataset>/<split>.npz   which images of the training part are `train` and `mine`
      runs/<run>/run.json            record: spec, accuracies, history, provenance
                 mine.npz            probabilities, labels and ids of `mine`
                 confirm.npz         the same of `confirm`; read only with an entry in the ledger
                 model.keras         the trained model
      sources/<digest>.py            code of models of the user's own
      groups/<group>.json            what `baseline` asked for
      mined/<dataset>/<seed>         seeds that any baseline, study or mining asked for
      interventions/<group>/<name>-<hash>.json
      <kind>/<key>.json              other models that a stage keeps, such as exposures
      ledger/                        see `erroran.store.ledger`
      leases/                        see `erroran.store.leases`
      tmp/                           unfinished files, never read

Everything is written under ``tmp``, synced to disk and moved into place: a killed process leaves a whole artifact or
none. Everything is validated when it is read.
"""

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from erroran.data import Dataset, Part, Splits, read_dataset, save_dataset, split_dataset
from erroran.errors import NotFound
from erroran.experiment.runspec import RunSpec
from erroran.files import make_folder, remove, temporary_name
from erroran.store.environment import digest_own_code
from erroran.store.folder import check_format, damaged, read_json, write_errors, write_json, writing
from erroran.store.leases import FolderLeases, Leases
from erroran.store.ledger import Entry, Ledger
from erroran.store.records import Group, Intervention, ListedRun, ReadFiles, RunRecord
from erroran.store.remote import Remote, is_url

Model = TypeVar("Model", bound=BaseModel)


class Predictions(BaseModel):
    """The stored predictions of one run on one split.

    Attributes:
        probabilities: ``float32`` (N, K).
        labels: ``int64`` (N,).
        ids: Strings (N,).
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    probabilities: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def problem(self) -> str | None:
        """Why the arrays cannot be used, or None."""
        if not len(self.probabilities) == len(self.labels) == len(self.ids):
            return "its arrays differ in length"
        if self.probabilities.ndim != 2 or self.probabilities.dtype.kind != "f":
            return f"its probabilities are {self.probabilities.dtype} of shape {self.probabilities.shape}"
        return None if np.isfinite(self.probabilities).all() else "some of its probabilities are not finite"


class Store:
    """Reads and writes one store, which need not exist yet; keeps datasets and splits in memory.

    Attributes:
        name: The path or URL, for messages.
        root: The folder; that of a remote store mirrors it, see `erroran.store.remote`.
        ledger: Its ledger.
        leases: For `erroran.store.leases`.

    Raises:
        BadInput: The path is a file, or a store of another format; or access to the URL is refused.
        Unavailable: The server cannot be reached.
    """

    def __init__(self, place: Path | str) -> None:
        """`place` is a path, or a URL such as ``s3://bucket/prefix``."""
        self._remote = Remote(str(place)) if is_url(place) else None
        self.root = Path(place) if self._remote is None else self._remote.mirror
        self.name = str(self.root) if self._remote is None else self._remote.url
        check_format(self.root)
        self.ledger = Ledger(self.root, self._remote)
        self.leases: Leases = FolderLeases(self.root) if self._remote is None else self._remote
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[str, Splits] = {}
        self._read: dict[str, str] = {}

    def __reduce__(self) -> tuple[object, ...]:
        place = self.root.absolute() if self._remote is None else self.name
        return _open_once, (place,)  # in another process: one store, with one copy of the dataset

    # --- datasets

    def put_dataset(self, dataset: Dataset) -> None:
        """Keep a copy of a dataset."""
        if not self.has_dataset(dataset.digest):
            with self._writing(self._dataset_path(dataset.digest)) as temporary:
                save_dataset(dataset, temporary)
        self._datasets[dataset.digest] = dataset
        if key := self._read.pop(dataset.digest, None):
            read = ReadFiles(dataset=dataset.digest, name=dataset.name, source=dataset.source, note=dataset.note)
            write_json(self.root, self.root / "read" / f"{key}.json", read)

    def has_dataset(self, digest: str) -> bool:
        """Whether the store has a dataset."""
        path = self._dataset_path(digest)
        return path.exists() or (self._remote is not None and self._remote.has(f"datasets/{path.name}/dataset.json"))

    def get_dataset(self, digest: str) -> Dataset:
        """Read a dataset; NotFound if the store lacks it, DatasetError if the copy is damaged."""
        if digest not in self._datasets:
            self._datasets[digest] = read_dataset(self.dataset_folder(digest))
        return self._datasets[digest]

    def dataset_folder(self, digest: str) -> Path:
        """The folder that `erroran.data.read_dataset` reads a dataset from; NotFound if the store lacks it."""
        path = self._dataset_path(digest)
        if self._remote is not None:
            self._remote.pull_folder(f"datasets/{path.name}")
        if not path.exists():
            raise NotFound(f"The store {self.name} has no dataset {digest[:12]}.", fix="erroran baseline")
        return path

    def find_read(self, key: str) -> Dataset | None:
        """See `erroran.data.load.Kept`; the dataset must be in the store."""
        path = self.root / "read" / f"{key}.json"
        read = read_json(ReadFiles, path, fix=f"delete {path}; it is made again") if path.is_file() else None
        if read is None or not self.has_dataset(read.dataset):
            return None
        return replace(self.get_dataset(read.dataset), **read.model_dump(exclude={"dataset"}))

    def note_read(self, key: str, dataset: Dataset) -> None:
        """See `erroran.data.load.Kept`; written together with the dataset."""
        self._read[dataset.digest] = key

    def get_splits(self, spec: RunSpec) -> Splits:
        """The dataset of a run, split as the run splits it; errors as in `get_dataset`."""
        return self.split(self.get_dataset(spec.dataset), mine_fraction=spec.mine_fraction, fold=spec.fold)

    def split(self, dataset: Dataset, *, mine_fraction: float = 0.1, fold: tuple[int, int] | None = None) -> Splits:
        """As `split_dataset`, computed once; kept on disk if the store has the dataset."""
        part = f"{mine_fraction:.17g}" if fold is None else "fold-{}-of-{}".format(*fold)
        code = digest_own_code("data/ids.py", "data/split.py")
        path = self.root / "splits" / dataset.digest / f"{part}-{code}.npz"
        key = f"{dataset.digest}/{path.name}"
        if key not in self._splits:
            found = self._read_splits(path, dataset)
            if found is None:
                found = split_dataset(dataset, mine_fraction=mine_fraction, fold=fold)
            self._splits.clear()  # out of fold, each fold has splits of its own
            self._splits[key] = found
        if not path.exists() and self.has_dataset(dataset.digest):
            splits = self._splits[key]
            with writing(self.root, path) as temporary, temporary.open("wb") as file:
                np.savez(file, train=np.asarray(splits.train.rows), mine=np.asarray(splits.mine.rows))
        return self._splits[key]

    def _read_splits(self, path: Path, dataset: Dataset) -> Splits | None:
        """What `split` kept; None if there is nothing that can be used: it is computed again."""
        try:
            with path.open("rb") as file, np.load(file) as rows:
                whole = Part(dataset.x_train, dataset.y_train, dataset.train_ids)
                train, mine = (whole.take(rows[name]) for name in ("train", "mine"))
        except (OSError, EOFError, KeyError, ValueError, IndexError, zipfile.BadZipFile, zlib.error):
            return None
        return Splits(train, mine, Part(dataset.x_test, dataset.y_test, dataset.test_ids))

    # --- code of models

    def put_source(self, text: str) -> str:
        """Keep the code of a user's model, so that later edits of its file change no run; return its digest."""
        digest = _digest(text)
        with self._writing(self.root / "sources" / f"{digest}.py") as temporary:
            temporary.write_bytes(text.encode("utf-8"))
        return digest

    def load_source_of(self, spec: RunSpec) -> str | None:
        """Read the code of a run's model; None for a built-in model.

        Raises:
            ErroranError: It is missing, or its digest is not the one in `spec`; the code must not be executed then.
        """
        if spec.source is None:
            return None
        path = self.root / "sources" / f"{spec.source}.py"
        if self._remote is not None:
            self._remote.pull_file(f"sources/{path.name}")
        fix = "erroran baseline --model FILE.py:FUNCTION, with the file as it was"
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, ValueError) as error:
            raise damaged(path, error, fix) from error
        if _digest(text) != spec.source:
            raise damaged(path, "it was changed", fix)
        return text

    # --- runs

    def has_run(self, run_id: str) -> bool:
        """Whether a run is finished: an empty or cut record does not count."""
        self._pull_records()
        try:
            return isinstance(json.loads((self.root / "runs" / run_id / "run.json").read_bytes()), dict)
        except (OSError, ValueError):
            return False

    def put_run(self, record: RunRecord, predictions: Mapping[str, Predictions], files: Mapping[str, bytes]) -> None:
        """Write a finished run, unless the store has it already.

        Args:
            record: Its record.
            predictions: ``mine`` and ``confirm`` to the predictions on them.
            files: Name to content of everything else, such as the model.

        Raises:
            Unavailable: The disk is full, or the store cannot be written.
        """
        target = self.root / "runs" / record.id
        if self.has_run(record.id):
            return
        if target.is_dir():  # damaged: runs appear whole
            remove(target)
        with self._writing(target) as temporary:
            temporary.mkdir()
            for split, part in predictions.items():
                _write_arrays(temporary / f"{split}.npz", dict(part))
            for name, content in files.items():
                (temporary / name).write_bytes(content)
            (temporary / "run.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")

    def get_run(self, run_id: str) -> RunRecord:
        """Read a run's record.

        Args:
            run_id: The id, or a beginning of it that no other run has.

        Raises:
            NotFound: No run, or several, begin with `run_id`.
            ErroranError: The record is damaged.
        """
        return read_json(RunRecord, self.run_folder(run_id) / "run.json", fix=_retrain(run_id))

    def list_runs(self) -> list[RunRecord]:
        """All finished runs, oldest first."""
        paths = self._record_paths()
        records = [read_json(RunRecord, path, fix=f"erroran runs remove {path.parent.name}") for path in paths]
        return sorted(records, key=lambda record: record.created)

    def list_short(self) -> list[ListedRun]:
        """As `list_runs`, but only what a list shows."""
        found = []
        for path in self._record_paths():
            run = read_json(ListedRun, path, fix=f"erroran runs remove {path.parent.name}")
            run.id = path.parent.name
            found.append(run)
        return sorted(found, key=lambda run: run.created)

    def get_predictions(self, run_id: str, split: str = "mine", *, look: Entry | None = None) -> Predictions:
        """Read a run's predictions.

        Args:
            run_id: The whole id.
            split: ``mine`` or ``confirm``.
            look: Required for ``confirm``, and only for it: the ledger's entry, which is recorded before the reading.

        Raises:
            ErroranError: The file is damaged.
            Unavailable: The look cannot be recorded.
        """
        if (split == "confirm") != (look is not None):
            raise ValueError("Predictions on `confirm`, and only these, are read with a look.")
        if look is not None:
            self.ledger.record(look)
        path = self._run_file(run_id, f"{split}.npz")
        try:
            # NumPy leaves a file open that it cannot read, so it is opened here.
            with path.open("rb") as file, np.load(file) as arrays:
                found = Predictions(**{name: arrays[name] for name in Predictions.model_fields})
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise damaged(path, error, _retrain(run_id)) from error
        if problem := found.problem():
            raise damaged(path, problem, _retrain(run_id))
        return found

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run's files; `run_id` and errors as in `get_run`."""
        if self.has_run(run_id):
            return self.root / "runs" / run_id
        found = [path.parent for path in self._record_paths() if run_id and path.parent.name.startswith(run_id)]
        if len(found) != 1:
            what = f"{len(found)} runs begin" if found else "No run begins"
            raise NotFound(f"{what} with `{run_id}` in the store {self.name}.", fix="erroran runs   (lists them)")
        return found[0]

    def model_file(self, run_id: str) -> Path:
        """The file of a run's trained model; `run_id` and errors as in `get_run`."""
        return self._run_file(self.run_folder(run_id).name, "model.keras")

    def _run_file(self, run_id: str, name: str) -> Path:
        """A file of a finished run."""
        if self._remote is not None:
            self._remote.pull_file(f"runs/{run_id}/{name}")
        return self.root / "runs" / run_id / name

    def _record_paths(self) -> list[Path]:
        """The records of all finished runs, in no order."""
        self._pull_records()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root / "runs") as folders:
            paths = [f"{folder.path}/run.json" for folder in folders]
            return [Path(path) for path in paths if os.path.exists(path)]  # noqa: PTH110 - `Path.glob` takes three times as long
        return []

    def remove_run(self, run_id: str) -> None:
        """Delete a run, but not its group and reports; `run_id` and errors as in `get_run`."""
        folder = self.run_folder(run_id)
        if self._remote is not None:
            self._remote.remove_run(folder.name)
        with write_errors(self.root):
            make_folder(self.root / "tmp")
            removed = self.root / "tmp" / temporary_name(folder.name)
            folder.replace(removed)  # in one step, even if deleting is interrupted
            remove(removed)

    # --- groups and interventions

    def put_group(self, group: Group) -> None:
        """Write a group and mark its seeds as mined."""
        self.mark_mined(group.template.dataset, group.seeds)
        self.put_artifact("groups", group.id, group)

    def mark_mined(self, dataset: str, seeds: Iterable[int]) -> None:
        """Record permanently that confusions are looked for in runs of these seeds on the dataset of this digest."""
        for seed in set(seeds) - self.mined_seeds(dataset):
            with self._writing(self._mined_folder(dataset) / str(seed)) as temporary:
                temporary.touch()

    def mined_seeds(self, dataset: str) -> set[int]:
        """All seeds that a baseline, a study or a mining of any group used on the dataset of this digest.

        A verdict on runs of these seeds is not independent of the choice of the pair.
        """
        self._pull("mined")
        return {int(path.name) for path in self._mined_folder(dataset).glob("*") if path.name.isdigit()}

    def has_group(self, group_id: str = "*") -> bool:
        """Whether there is a group of this id; without an id, any group."""
        self._pull("groups")
        return any((self.root / "groups").glob(f"{group_id}.json"))

    def list_groups(self) -> list[Group]:
        """All groups, in no order."""
        self._pull("groups")
        return [read_json(Group, path, fix=f"delete {path}") for path in (self.root / "groups").glob("*.json")]

    def get_group(self, group_id: str | None = None) -> Group:
        """Read a group.

        Args:
            group_id: The id, or a beginning of it that no other group has. None for the group that was updated last; a
                study's group only if there are no others.

        Raises:
            NotFound: There is no such group, or none at all.
        """
        groups = self.list_groups()
        if not groups:
            raise NotFound(f"There is no baseline in the store {self.name} yet.", fix="erroran baseline --seeds 3")
        if group_id is None:
            return max(groups, key=lambda group: (group.study is None, group.updated))
        found = [group for group in groups if group.id.startswith(group_id)]
        if len(found) != 1:
            known = ", ".join(f"{g.id} ({g.dataset_name}, {g.template.model})" for g in groups)
            raise NotFound(f"No single baseline group begins with `{group_id}`.", fix=f"--group with one of: {known}")
        return found[0]

    def put_intervention(self, intervention: Intervention) -> None:
        """Write the record of an intervention, beside those of other versions of its hypothesis."""
        self.put_artifact("interventions", intervention.key, intervention)

    def get_intervention(self, group_id: str, name: str) -> Intervention:
        """Read the latest intervention of a name; NotFound if it was never run on this group."""
        self._pull("interventions")
        folder = self.root / "interventions" / group_id
        fix = f"erroran intervene {name}"
        found = [read_json(Intervention, path, fix=fix) for path in folder.glob(f"{name}-????????.json")]
        if not found:
            raise NotFound(f"`{name}` has not been run on the baseline group {group_id}.", fix=fix)
        return max(found, key=lambda intervention: intervention.created)

    # --- other artifacts

    def put_artifact(self, kind: str, key: str, content: BaseModel) -> None:
        """Keep a model as ``<kind>/<key>.json``, such as kind ``exposures``; replaces an earlier one."""
        write_json(self.root, self.root / kind / f"{key}.json", content, self._remote)

    def get_artifact(self, kind: str, key: str, model: type[Model]) -> Model | None:
        """Read what `put_artifact` kept; None if there is nothing, ErroranError if the file is damaged."""
        self._pull(kind)
        path = self.root / kind / f"{key}.json"
        return read_json(model, path, fix=f"delete {path}; it is made again") if path.is_file() else None

    def list_artifacts(self, kind: str, model: type[Model]) -> list[Model]:
        """Everything that `put_artifact` keeps of a kind, in the order of the keys; errors as in `get_artifact`."""
        self._pull(kind)
        paths = sorted((self.root / kind).rglob("*.json"))
        return [read_json(model, path, fix=f"delete {path}; it is made again") for path in paths]

    # --- paths

    @contextmanager
    def _writing(self, target: Path) -> Iterator[Path]:
        """As `folder.writing`, for what a remote store shares."""
        with writing(self.root, target, self._remote) as temporary:
            yield temporary

    def _pull(self, kind: str) -> None:
        if self._remote is not None:
            self._remote.pull(kind)

    def _pull_records(self) -> None:
        if self._remote is not None:
            self._remote.pull_records()

    def _dataset_path(self, digest: str) -> Path:
        return self.root / "datasets" / digest[:24]

    def _mined_folder(self, dataset: str) -> Path:
        return self.root / "mined" / dataset[:24]


@lru_cache(maxsize=1)
def _open_once(place: Path | str) -> Store:
    return Store(place)


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` in a fraction of the time of `np.savez_compressed`, for some more bytes.

    Probabilities are stored as they are: compressing them takes most of that time, and gains 6 %.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, values, allow_pickle=False)
            kind = zipfile.ZIP_STORED if values.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            archive.writestr(f"{name}.npy", content.getbuffer(), kind, compresslevel=1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _retrain(run_id: str) -> str:
    return f"erroran runs remove {run_id}, then train it again"
