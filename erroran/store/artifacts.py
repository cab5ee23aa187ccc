"""The artifact store: the only reader and writer of what stages leave for each other.

::

    .erroran/
      datasets/<digest>.npz          images, labels and ids, once per dataset
      runs/<run>/run.json            record: spec, scores, history, provenance
                 predictions.npz     probabilities, labels and ids of `mine` and `confirm`
                 model.keras         the trained model; model.py: its code, if it is the user's own
                 *.png               training curve, confusion matrix
      models/<digest>.py             code of models of the user's own
      groups/<group>.json            what `baseline` asked for
      interventions/<group>/<name>-<hash>.json
      exposures/<group>/<name>-<hash>.json     what the treatment's runs saw, measured
      ledger.jsonl                   see `erroran.store.ledger`
      tmp/                           half-written things; nothing reads it

Everything is written under ``tmp`` and moved into place, so a killed process leaves either the whole
artifact or none. What is read is checked again.
"""

import errno
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from erroran.data import Dataset, read_dataset, save_dataset
from erroran.errors import BadInput, ErroranError, NotFound, Unavailable
from erroran.shape.exposure import Exposure
from erroran.store.records import Group, Intervention, RunRecord

Model = TypeVar("Model", bound=BaseModel)


class Predictions(BaseModel):
    """The stored predictions of one run on one split.

    Attributes:
        probabilities: float32 (N, C).
        labels: int64 (N,).
        ids: str (N,).
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    probabilities: np.ndarray
    labels: np.ndarray
    ids: np.ndarray


class Store:
    """Reads and writes one store folder, which need not exist yet.

    Raises:
        BadInput: `root` is a file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise BadInput(f"The store {root} is a file, not a folder.", fix="--store with a folder, or none at all")

    # --- datasets

    def put_dataset(self, dataset: Dataset) -> None:
        """Keep a copy of the dataset, so that later stages need nothing but the store."""
        target = self._dataset_path(dataset.digest)
        if not target.exists():
            with self._writing(target) as temporary:
                save_dataset(dataset, temporary)

    def get_dataset(self, digest: str) -> Dataset:
        """Read a dataset back.

        Raises:
            NotFound: It is not in the store.
            DatasetError: The copy is damaged.
        """
        path = self._dataset_path(digest)
        if not path.exists():
            raise NotFound(f"The store {self.root} has no dataset {digest[:12]}.", fix="erroran baseline")
        return read_dataset(path)

    # --- code of models

    def put_source(self, text: str) -> str:
        """Keep the code of a model of the user's own, so that later edits of the file change no run.

        Returns:
            Its digest.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        with self._writing(self.root / "models" / f"{digest}.py") as temporary:
            temporary.write_text(text, encoding="utf-8")
        return digest

    def get_source(self, digest: str) -> str:
        """Read code back.

        Raises:
            ErroranError: It is missing or was changed.
        """
        path = self.root / "models" / f"{digest}.py"
        fix = "erroran baseline --model FILE.py:FUNCTION, with the file as it was"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _damaged(path, error, fix) from error
        if hashlib.sha256(text.encode()).hexdigest()[:24] != digest:
            raise _damaged(path, "it was changed", fix)
        return text

    # --- runs

    def has_run(self, run_id: str) -> bool:
        """Whether a run is finished."""
        return (self.root / "runs" / run_id / "run.json").is_file()

    def put_run(self, record: RunRecord, predictions: Mapping[str, Predictions], files: Mapping[str, bytes]) -> None:
        """Write a finished run.

        Args:
            record: Its record.
            predictions: ``mine`` and ``confirm`` to the predictions on them.
            files: Name to content of everything else (model, figures).
        """
        target = self.root / "runs" / record.id
        if target.is_dir() and not self.has_run(record.id):  # damaged: runs appear whole
            _remove(target)
        with self._writing(target) as temporary:
            temporary.mkdir()
            arrays = {
                f"{split}_{field}": getattr(part, field)
                for split, part in predictions.items()
                for field in ("probabilities", "labels", "ids")
            }
            np.savez_compressed(temporary / "predictions.npz", **arrays)
            for name, content in files.items():
                (temporary / name).write_bytes(content)
            (temporary / "run.json").write_text(record.model_dump_json(indent=1))

    def get_run(self, run_id: str) -> RunRecord:
        """Read a run's record; a unique beginning of the id will do.

        Raises:
            NotFound: No run, or several, begin with `run_id`.
            ErroranError: The record is damaged.
        """
        path = self.root / "runs" / self._complete_run_id(run_id) / "run.json"
        return _read(RunRecord, path, fix=f"erroran runs remove {run_id}, then train it again")

    def list_runs(self) -> list[RunRecord]:
        """All finished runs, oldest first."""
        paths = (self.root / "runs").glob("*/run.json")
        records = [_read(RunRecord, p, fix=f"erroran runs remove {p.parent.name}") for p in paths]
        return sorted(records, key=lambda record: record.created)

    def get_predictions(self, run_id: str, split: str) -> Predictions:
        """Read a run's predictions on ``mine`` or ``confirm``.

        Raises:
            ErroranError: The file is damaged.
        """
        path = self.root / "runs" / run_id / "predictions.npz"
        try:
            # NumPy leaves a file open that it cannot read, so it is opened here.
            with path.open("rb") as file, np.load(file) as arrays:
                found = Predictions(
                    probabilities=arrays[f"{split}_probabilities"],
                    labels=arrays[f"{split}_labels"],
                    ids=arrays[f"{split}_ids"],
                )
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, error, f"erroran runs remove {run_id}, then train it again") from error
        if not len(found.probabilities) == len(found.labels) == len(found.ids):
            raise _damaged(path, "its arrays differ in length", f"erroran runs remove {run_id}")
        return found

    def run_folder(self, run_id: str) -> Path:
        """Where a run's files lie."""
        return self.root / "runs" / self._complete_run_id(run_id)

    def remove_run(self, run_id: str) -> str:
        """Delete a run; its group and reports stay.

        Returns:
            The whole id of the run that is gone.

        Raises:
            NotFound: No run, or several, begin with `run_id`.
        """
        whole = self._complete_run_id(run_id)
        grave = self._temporary(self.root / "runs" / whole)
        (self.root / "runs" / whole).replace(grave)  # gone in one step, even if deleting is interrupted
        shutil.rmtree(grave)
        return whole

    # --- groups and interventions

    def put_group(self, group: Group) -> None:
        """Write a group; it becomes the latest, unless it is a study's."""
        self._write_json(self.root / "groups" / f"{group.id}.json", group)

    def has_group(self, group_id: str = "*") -> bool:
        """Whether there is this group, or any baseline yet."""
        return any((self.root / "groups").glob(f"{group_id}.json"))

    def list_groups(self) -> list[Group]:
        """All groups, in no order."""
        return [_read(Group, path, fix=f"delete {path}") for path in (self.root / "groups").glob("*.json")]

    def get_group(self, group_id: str | None = None) -> Group:
        """Read a group; without an id, the latest, those of studies last.

        Raises:
            NotFound: There is no such group, or none at all.
        """
        groups = self.list_groups()
        if not groups:
            raise NotFound(
                f"There is no baseline in the store {self.root} yet.",
                fix="erroran baseline --seeds 3",
            )
        if group_id is None:
            return max(groups, key=lambda group: (group.study is None, group.updated))
        found = [group for group in groups if group.id.startswith(group_id)]
        if len(found) != 1:
            known = ", ".join(f"{g.id} ({g.dataset_name}, {g.template.model})" for g in groups)
            raise NotFound(
                f"No single baseline group begins with `{group_id}`.",
                fix=f"--group with one of: {known}",
            )
        return found[0]

    def put_intervention(self, intervention: Intervention) -> None:
        """Write what an intervention did; a changed spec does not replace the record of the earlier one."""
        file_name = f"{intervention.name}-{intervention.hypothesis.hash}.json"
        self._write_json(self.root / "interventions" / intervention.group / file_name, intervention)

    def get_intervention(self, group_id: str, name: str) -> Intervention:
        """Read the latest intervention of a name.

        Raises:
            NotFound: It was never run on this group.
        """
        folder = self.root / "interventions" / group_id
        fix = f"erroran intervene {name}"
        found = [_read(Intervention, path, fix=fix) for path in folder.glob(f"{name}-????????.json")]
        if not found:
            raise NotFound(f"`{name}` has not been run on the baseline group {group_id}.", fix=fix)
        return max(found, key=lambda intervention: intervention.created)

    def put_exposure(self, intervention: Intervention, exposure: Exposure) -> None:
        """Write what the runs of an intervention's treatment saw."""
        self._write_json(self._exposure_path(intervention), exposure)

    def get_exposure(self, intervention: Intervention) -> Exposure | None:
        """Read what the treatment's runs saw; None where that was never measured, or for other runs.

        Raises:
            ErroranError: The file is damaged.
        """
        path = self._exposure_path(intervention)
        if not path.is_file():
            return None
        found = _read(Exposure, path, fix=f"delete {path}; it is measured again")
        return found if found.runs == intervention.arms[intervention.name] else None

    # --- inside

    def _exposure_path(self, intervention: Intervention) -> Path:
        file_name = f"{intervention.name}-{intervention.hypothesis.hash}.json"
        return self.root / "exposures" / intervention.group / file_name

    def _dataset_path(self, digest: str) -> Path:
        return self.root / "datasets" / f"{digest[:24]}.npz"

    def _complete_run_id(self, run_id: str) -> str:
        found = [path.parent.name for path in (self.root / "runs").glob("*/run.json")]
        found = [name for name in found if run_id and name.startswith(run_id)]
        if len(found) != 1:
            what = "No run begins" if not found else f"{len(found)} runs begin"
            raise NotFound(
                f"{what} with `{run_id}` in the store {self.root}.",
                fix="erroran runs   (lists them)",
            )
        return found[0]

    def _write_json(self, target: Path, content: BaseModel) -> None:
        with self._writing(target) as temporary:
            temporary.write_text(content.model_dump_json(indent=1))

    def _temporary(self, target: Path) -> Path:
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{os.getpid()}-{target.name}"
        _remove(temporary)
        return temporary

    @contextmanager
    def _writing(self, target: Path) -> Iterator[Path]:
        """Give a temporary path; what is there at the end is moved to `target` in one step."""
        try:
            self._bury_the_dead()
            temporary = self._temporary(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            try:
                temporary.replace(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                _remove(temporary)  # another process finished the same run: same content
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Unavailable(
                    f"There is no space left for the store {self.root}; what was finished is kept.",
                    fix="free some space (`erroran runs remove ID`) or use --store DIR, then repeat the command",
                ) from error
            raise Unavailable(
                f"The store {self.root} cannot be written: {error.strerror or error}.",
                fix="use --store DIR",
            ) from error

    def _bury_the_dead(self) -> None:
        """Delete what killed processes left half-written."""
        for path in (self.root / "tmp").glob("*-*"):
            owner = path.name.partition("-")[0]
            if owner.isdigit() and int(owner) != os.getpid() and not _is_alive(int(owner)):
                _remove(path)


def _read(model: type[Model], path: Path, *, fix: str) -> Model:
    try:
        return model.model_validate_json(path.read_text())
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise _damaged(path, f"{problem['msg']} ({place})" if place else problem["msg"], fix) from error
    except (OSError, ValueError) as error:  # also what is not UTF-8
        raise _damaged(path, error, fix) from error


def _damaged(path: Path, reason: object, fix: str) -> ErroranError:
    return ErroranError(f"{path} is damaged: {str(reason).splitlines()[0]}.", fix=fix)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
