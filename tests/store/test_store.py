"""The store: artifacts are whole or absent after crashes and races, and validated when read."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erroran import files
from erroran.data import Dataset
from erroran.errors import BadInput, DatasetError, ErroranError, NotFound, Unavailable
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.runspec import RunSpec
from erroran.files import host
from erroran.store import Intervention, Predictions, Store, artifacts, folder
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord, StoredVerdict

MakeSpec = Callable[..., RunSpec]
MakeRecord = Callable[..., RunRecord]
TwoSplits = dict[str, Predictions]

FILES = {"model.keras": b"weights"}
LOOK = Entry(kind="look", dataset="d")


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def record(make_record: MakeRecord) -> RunRecord:
    return make_record()


@pytest.fixture
def filled(store: Store, record: RunRecord, predictions: TwoSplits) -> Store:
    """A store with one run."""
    store.put_run(record, predictions, FILES)
    return store


@pytest.fixture
def run_folder(filled: Store, record: RunRecord) -> Path:
    return filled.root / "runs" / record.id


# --- runs


def test_a_run_comes_back_whole(filled: Store, record: RunRecord, predictions: TwoSplits) -> None:
    """The record, the predictions with their dtypes, and the files are equal."""
    assert filled.get_run(record.id) == record
    for split, part in predictions.items():
        back = filled.get_predictions(record.id, split, look=LOOK if split == "confirm" else None)
        for name in ("probabilities", "labels", "ids"):
            assert getattr(back, name).dtype == getattr(part, name).dtype
            assert getattr(back, name).tolist() == getattr(part, name).tolist()
    folder = filled.run_folder(record.id)
    assert {path.name for path in folder.iterdir()} == {"run.json", "mine.npz", "confirm.npz", *FILES}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_a_run_exists_only_after_it_is_finished(
    store: Store, record: RunRecord, predictions: TwoSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is not listed before or while its files are written."""
    seen = []
    original = artifacts._write_arrays

    def spy(*args: object, **arrays: object) -> None:
        seen.append((store.has_run(record.id), store.list_runs()))
        original(*args, **arrays)

    monkeypatch.setattr(artifacts, "_write_arrays", spy)
    assert not store.has_run(record.id)
    store.put_run(record, predictions, FILES)
    assert seen == [(False, [])] * 2
    assert store.has_run(record.id)


@pytest.mark.parametrize("crash", [RuntimeError("crash"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_nothing_visible(
    store: Store, record: RunRecord, predictions: TwoSplits, crash: BaseException
) -> None:
    """A crash after half of the files leaves no run, and the run can be written again."""

    class Files(dict[str, bytes]):
        def items(self):  # type: ignore[no-untyped-def]
            yield "model.keras", b"weights"
            raise crash

    with pytest.raises(type(crash)):
        store.put_run(record, predictions, Files())
    assert not store.has_run(record.id)
    assert store.list_runs() == []
    assert not list((store.root / "runs").glob("*"))
    store.put_run(record, predictions, FILES)
    assert store.get_run(record.id) == record
    assert not list((store.root / "tmp").iterdir())


def test_unfinished_files_of_dead_processes_are_removed(
    store: Store, record: RunRecord, predictions: TwoSplits
) -> None:
    """Files of dead processes are removed; those of our parent and of another machine are kept."""
    names = {
        "dead": f"{host()}-{_dead_pid()}-0-run",
        "alive": f"{host()}-{os.getppid()}-0-run",
        "another host's": f"elsewhere-{_dead_pid()}-0-run",
        "a week old": "elsewhere-1-0-run",
        "not ours": "some-other-folder-here",
    }
    for name in names.values():
        (store.root / "tmp" / name).mkdir(parents=True)
        (store.root / "tmp" / name / "model.keras").write_bytes(b"half")
    (store.root / "tmp" / f"{host()}-{_dead_pid()}-0-group.json").write_text("{")
    os.utime(store.root / "tmp" / names["a week old"], (1, 1))
    store.put_run(record, predictions, FILES)
    kept = {f"{names[which]}/model.keras": b"half" for which in ("alive", "another host's", "not ours")}
    assert _contents(store.root / "tmp") == kept


def test_a_stored_run_is_never_overwritten(
    filled: Store, record: RunRecord, run_folder: Path, predictions: TwoSplits
) -> None:
    """Writing a stored run again does not change it, and leaves no temporary files."""
    before = _contents(run_folder)
    filled.put_run(record.model_copy(update={"seconds": 99.0}), predictions, {"model.keras": b"other"})
    assert _contents(run_folder) == before
    assert not list((filled.root / "tmp").iterdir())


def test_two_processes_write_the_same_run(store: Store, record: RunRecord, predictions: TwoSplits) -> None:
    """Four processes write one run at the same time: none fails, and one whole run is stored."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)

    def write(number: int) -> None:
        start.wait()
        try:
            store.put_run(record, predictions, {"model.keras": bytes([number]) * 100_000})
        except BaseException:  # noqa: BLE001 - the parent looks at the exit code
            os._exit(1)
        os._exit(0)

    processes = [context.Process(target=write, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert store.get_run(record.id) == record
    model = (store.run_folder(record.id) / "model.keras").read_bytes()
    assert model in {bytes([number]) * 100_000 for number in range(4)}
    assert not list((store.root / "tmp").iterdir())


def test_losing_the_race_at_the_last_moment_is_no_error(
    store: Store, record: RunRecord, predictions: TwoSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process moves the same run into place just before this one."""
    winner = Store(store.root)
    original = Path.replace
    store.put_artifact("groups", "g", LOOK)  # makes the folder

    def replace(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", original)
        winner_files = {"model.keras": b"the winner's"}
        temporary = self.with_name("1-other")
        temporary.mkdir()
        for name, content in (winner_files | {"run.json": record.model_dump_json().encode()}).items():
            (temporary / name).write_bytes(content)
        original(temporary, target)
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    store.put_run(record, predictions, FILES)
    assert (winner.run_folder(record.id) / "model.keras").read_bytes() == b"the winner's"
    assert not list((store.root / "tmp").iterdir())


def test_runs_are_listed_oldest_first(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, predictions: TwoSplits
) -> None:
    """Runs are sorted by their time, not by id or file order."""
    days = [3, 1, 2]
    for seed, day in enumerate(days):
        store.put_run(make_record(make_spec(seed=seed), created=f"2026-01-0{day}"), predictions, {})
    assert [run.created for run in store.list_runs()] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [run.spec.seed for run in store.list_runs()] == [1, 2, 0]


def test_a_short_list_says_the_same(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, predictions: TwoSplits
) -> None:
    """In the same order, with the ids of the runs."""
    for seed, day in enumerate([3, 1, 2]):
        store.put_run(make_record(make_spec(seed=seed), created=f"2026-01-0{day}"), predictions, {})
    assert store.list_short() == [record.listed() for record in store.list_runs()]


def test_a_unique_beginning_of_an_id_is_enough(filled: Store, record: RunRecord) -> None:
    """A unique beginning of an id identifies a run."""
    assert filled.get_run(record.id[:3]) == record
    assert filled.run_folder(record.id[:1]) == filled.root / "runs" / record.id


def test_an_ambiguous_or_unknown_beginning_is_refused(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, predictions: TwoSplits
) -> None:
    """A beginning that several runs share, none has, or that is empty is refused, also for removal."""
    records = [make_record(make_spec(seed=seed)) for seed in range(20)]
    for each in records:
        store.put_run(each, predictions, {})
    first_digits = [each.id[0] for each in records]
    shared = next(digit for digit in first_digits if first_digits.count(digit) > 1)
    count = first_digits.count(shared)
    with pytest.raises(NotFound, match=rf"{count} runs begin with `{shared}`") as caught:
        store.remove_run(shared)
    assert "erroran runs" in caught.value.fix
    for unknown in ("zz", ""):
        with pytest.raises(NotFound, match=f"No run begins with `{unknown}`"):
            store.get_run(unknown)
    assert len(store.list_runs()) == 20


def test_a_removed_run_is_gone(filled: Store, record: RunRecord, run_folder: Path) -> None:
    """By the beginning of its id; nothing is left under ``tmp``, and a second removal fails."""
    filled.remove_run(record.id[:4])
    assert not run_folder.exists()
    assert not filled.has_run(record.id)
    assert not list((filled.root / "tmp").iterdir())
    with pytest.raises(NotFound):
        filled.remove_run(record.id)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"spec": 1}', b"\xff\xfe\x00\x81", b"null"],
    ids=["empty", "cut", "list", "fields", "binary", "null"],
)  # fmt: skip
def test_a_damaged_record_is_named(filled: Store, record: RunRecord, run_folder: Path, content: bytes) -> None:
    """The message names the file; the fix, removing the run, works."""
    (run_folder / "run.json").write_bytes(content)
    for read in (lambda: filled.get_run(record.id), filled.list_runs, filled.list_short):
        with pytest.raises(ErroranError, match=rf"{record.id}/run\.json is damaged: .") as caught:
            read()
        assert caught.value.exit_code == 1
        assert f"erroran runs remove {record.id}" in caught.value.fix
    filled.remove_run(record.id)
    assert filled.list_runs() == []


def test_an_unknown_field_in_a_record_is_damage(filled: Store, record: RunRecord, run_folder: Path) -> None:
    """Unknown fields are refused when a record is read."""
    path = run_folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(ErroranError, match="is damaged"):
        filled.get_run(record.id)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = content.index(b"probabilities.npy") + 40
    return content[:middle] + bytes(b ^ 0xFF for b in content[middle : middle + 60]) + content[middle + 60 :]


@pytest.mark.parametrize(
    "damage", [_cut, _flip, lambda _: b"", lambda _: b"rubbish"], ids=["cut", "flip", "empty", "no"]
)
def test_damaged_predictions_are_named(
    filled: Store, record: RunRecord, run_folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    """A cut, empty or foreign file, or one with changed bytes, is reported by name."""
    path = run_folder / "mine.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ErroranError, match=r"mine\.npz is damaged: .") as caught:
        filled.get_predictions(record.id, "mine")
    assert caught.value.exit_code == 1
    assert f"erroran runs remove {record.id}" in caught.value.fix


def test_predictions_must_belong_together(filled: Store, record: RunRecord, run_folder: Path) -> None:
    """Arrays of different lengths or wrong types, a missing array and a missing file are reported as damage."""
    path = run_folder / "mine.npz"
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "labels": arrays["labels"][:1]})
    with pytest.raises(ErroranError, match="its arrays differ in length"):
        filled.get_predictions(record.id, "mine")
    np.savez(path, **{name: array for name, array in arrays.items() if name != "ids"})
    with pytest.raises(ErroranError, match=r"mine\.npz is damaged: .*ids"):
        filled.get_predictions(record.id, "mine")
    np.savez(path, **{**arrays, "probabilities": arrays["probabilities"] * np.nan})
    with pytest.raises(ErroranError, match="some of its probabilities are not finite"):
        filled.get_predictions(record.id, "mine")
    np.savez(path, **{**arrays, "probabilities": arrays["labels"]})
    with pytest.raises(ErroranError, match=r"its probabilities are int64 of shape \(2,\)"):
        filled.get_predictions(record.id, "mine")
    path.unlink()
    with pytest.raises(ErroranError, match=r"mine\.npz is damaged: .*No such file"):
        filled.get_predictions(record.id, "mine")


def test_a_run_that_lost_its_record_can_be_written_again(
    filled: Store, record: RunRecord, run_folder: Path, predictions: TwoSplits
) -> None:
    """A run folder without `run.json` is not a run, and is replaced."""
    (run_folder / "run.json").unlink()
    assert not filled.has_run(record.id)
    filled.put_run(record, predictions, {"model.keras": b"new"})
    assert filled.get_run(record.id) == record
    assert (run_folder / "model.keras").read_bytes() == b"new"


@pytest.mark.parametrize("content", [b"", b'{"spec": {"dataset": "ab', b"null"], ids=["empty", "torn", "null"])
def test_a_run_with_a_torn_record_is_not_finished(
    filled: Store, record: RunRecord, run_folder: Path, predictions: TwoSplits, content: bytes
) -> None:
    """A run with a cut record, as after a power cut, counts as missing and is replaced."""
    (run_folder / "run.json").write_bytes(content)
    assert not filled.has_run(record.id)
    filled.put_run(record, predictions, {"model.keras": b"new"})
    assert filled.get_run(record.id) == record
    assert (run_folder / "model.keras").read_bytes() == b"new"


def test_everything_is_on_the_disk_before_it_is_visible(
    store: Store, record: RunRecord, predictions: TwoSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of the run and its folder are synced before the run is moved, the folder of runs afterwards."""
    store.put_artifact("groups", "g", LOOK)
    synced: list[str] = []
    visible: dict[str, bool] = {}

    def note(path: Path) -> None:
        name = "run" if path.parent.name == "tmp" else path.name
        synced.append(name)
        visible[name] = store.has_run(record.id)

    monkeypatch.setattr(files, "sync", note)
    store.put_run(record, predictions, FILES)
    assert sorted(synced) == ["confirm.npz", "mine.npz", "model.keras", "run", "run.json", "runs", "store"]
    assert (synced[-1], visible) == ("runs", dict.fromkeys(synced, False) | {"runs": True})


# --- format


def test_a_new_store_says_its_format(filled: Store) -> None:
    """The first write creates `store.json`, and the store opens again."""
    assert json.loads((filled.root / "store.json").read_text()) == {"format": folder.FORMAT}
    assert Store(filled.root).list_runs() == filled.list_runs()


def test_the_ledger_alone_makes_a_store_too(store: Store) -> None:
    store.ledger.record(LOOK)
    assert len(Store(store.root).ledger.entries()) == 1


@pytest.mark.parametrize("old", ["runs/6f6e782b3fb0/run.json", "groups/6f6e782b3fb0.json", "ledger.jsonl"])
def test_a_store_of_the_earlier_format_is_refused(tmp_path: Path, old: str) -> None:
    """Stores of the earlier format are refused; their runs do not record the software that trained them."""
    path = tmp_path / old
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"spec": {"dataset": "ab", "model": "cnn", "seed": 0}}\n')
    with pytest.raises(BadInput, match=r"was written by an earlier version of erroran, whose runs do not") as caught:
        Store(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.fix == f"move {tmp_path} away, or use --store with a new folder; then train again"
    assert path.is_file()


def test_a_store_of_a_later_format_is_refused(store: Store) -> None:
    """A later format and an empty `store.json` are refused."""
    store.root.mkdir()
    (store.root / "store.json").write_text('{"format": 3}')
    with pytest.raises(BadInput, match="has format 3; this version of erroran reads format 2"):
        Store(store.root)
    (store.root / "store.json").write_text("")
    with pytest.raises(ErroranError, match=r"store\.json is damaged") as caught:
        Store(store.root)
    assert '{"format": 2}' in caught.value.fix


# --- code of models


def test_code_is_kept_by_its_content(store: Store, make_spec: MakeSpec, make_record: MakeRecord) -> None:
    """The code is kept with its line ends; a run with a built-in model has none."""
    text = "def build(shape, n):\r\n    ...  # é\n"
    digest = store.put_source(text)
    own = make_record(make_spec(model="mine.py:build", source=digest))
    assert store.load_source_of(own.spec) == text
    assert store.load_source_of(make_record().spec) is None


def test_changed_or_missing_code_is_refused(store: Store, make_spec: MakeSpec, make_record: MakeRecord) -> None:
    """Code whose digest differs from the spec is not returned."""
    digest = store.put_source("def build(shape, n): ...\n")
    own = make_record(make_spec(model="mine.py:build", source=digest))
    (path,) = (store.root / "sources").iterdir()
    path.write_text(path.read_text() + "print('hello')\n")
    with pytest.raises(ErroranError, match="is damaged: it was changed"):
        store.load_source_of(own.spec)
    path.unlink()
    with pytest.raises(ErroranError, match=r"is damaged: .*No such file"):
        store.load_source_of(own.spec)


# --- disks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_keeps_what_is_finished(
    filled: Store, make_spec: MakeSpec, make_record: MakeRecord, predictions: TwoSplits,
    monkeypatch: pytest.MonkeyPatch, code: int,
) -> None:  # fmt: skip
    """Without space or quota the error says so, and the earlier run is kept."""

    def full(*args: object, **arrays: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(artifacts, "_write_arrays", full)
    second = make_record(make_spec(seed=1))
    with pytest.raises(Unavailable, match=r"no space left for the store .*; what was finished is kept") as caught:
        filled.put_run(second, predictions, FILES)
    assert "--store DIR" in caught.value.fix
    assert caught.value.exit_code == 1
    assert [run.spec.seed for run in filled.list_runs()] == [0]


def test_an_unwritable_store_is_said(tmp_path: Path, record: RunRecord, predictions: TwoSplits) -> None:
    """With a file in place of the parent folder, reading finds nothing, and writing fails with the reason."""
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "store")
    assert not store.has_run(record.id)
    assert store.list_runs() == []
    with pytest.raises(Unavailable, match=r"The store .*file/store cannot be written: Not a directory") as caught:
        store.put_run(record, predictions, FILES)
    assert caught.value.fix == "use --store DIR"


# --- datasets


def test_a_dataset_comes_back_and_is_written_once(store: Store, tiny_dataset: Dataset) -> None:
    """A dataset is read from the store as it was, and written only once."""
    store.put_dataset(tiny_dataset)
    (path,) = (store.root / "datasets").iterdir()
    stamp = path.stat().st_mtime_ns
    store.put_dataset(tiny_dataset)
    assert path.stat().st_mtime_ns == stamp
    back = Store(store.root).get_dataset(tiny_dataset.digest)
    assert back.digest == tiny_dataset.digest
    assert np.array_equal(back.x_train, tiny_dataset.x_train)
    assert not list((store.root / "tmp").iterdir())


def test_a_missing_or_damaged_dataset_is_said(store: Store, tiny_dataset: Dataset) -> None:
    """A missing dataset raises NotFound, a cut copy DatasetError."""
    with pytest.raises(NotFound, match=f"has no dataset {tiny_dataset.digest[:12]}"):
        store.get_dataset(tiny_dataset.digest)
    store.put_dataset(tiny_dataset)
    (path,) = (store.root / "datasets").glob("*/x_train.npy")
    path.write_bytes(_cut(path.read_bytes()))
    with pytest.raises(DatasetError):
        Store(store.root).get_dataset(tiny_dataset.digest)


# --- groups and interventions


def _group(spec: RunSpec, updated: str) -> Group:
    return Group(template=spec, seeds=(0, 1), dataset_name="tiny", note=None, updated=updated, command="erroran")


def test_the_latest_group_is_the_default(store: Store, make_spec: MakeSpec) -> None:
    """The latest group is the one that was updated last, also if it was created earlier."""
    one, other = _group(make_spec(), "2026-01-01"), _group(make_spec(recipe={"epochs": 2}), "2026-01-02")
    store.put_group(other)
    store.put_group(one)
    assert store.get_group() == other
    again = one.model_copy(update={"updated": "2026-01-03", "seeds": (0, 1, 2)})
    store.put_group(again)
    assert store.get_group() == again
    assert store.get_group(other.id[:5]) == other


def test_mined_seeds_are_never_forgotten(store: Store, make_spec: MakeSpec) -> None:
    """Mined seeds are kept when a group gets other seeds, and are collected from all groups on a dataset."""
    one, other = _group(make_spec(), "2026-01-01"), _group(make_spec(recipe={"epochs": 2}), "2026-01-02")
    elsewhere = _group(make_spec(dataset="cd" * 32), "2026-01-03")
    store.put_group(one.model_copy(update={"seeds": (0, 1, 1000)}))
    store.put_group(one.model_copy(update={"seeds": (7,)}))
    store.put_group(other.model_copy(update={"seeds": (1001, 0)}))
    store.put_group(elsewhere.model_copy(update={"seeds": (5,)}))
    store.mark_mined(one.template.dataset, [42, 7])
    assert store.get_group(one.id).seeds == (7,)
    assert Store(store.root).mined_seeds(one.template.dataset) == {0, 1, 7, 42, 1000, 1001}
    assert store.mined_seeds("cd" * 32) == {5}


def test_a_missing_group_is_said(store: Store, make_spec: MakeSpec) -> None:
    """The error for an empty store differs from that for an unknown group, which lists the groups."""
    with pytest.raises(NotFound, match="There is no baseline in the store") as caught:
        store.get_group()
    assert caught.value.fix == "erroran baseline --seeds 3"
    group = _group(make_spec(), "2026-01-01")
    store.put_group(group)
    with pytest.raises(NotFound, match="No single baseline group begins with `zz`") as caught:
        store.get_group("zz")
    assert f"{group.id} (tiny, cnn)" in caught.value.fix


def test_a_damaged_group_is_named(store: Store, make_spec: MakeSpec) -> None:
    """The fix for a damaged group is to delete its file."""
    group = _group(make_spec(), "2026-01-01")
    store.put_group(group)
    path = store.root / "groups" / f"{group.id}.json"
    path.write_text("{")
    with pytest.raises(ErroranError, match=rf"{group.id}\.json is damaged") as caught:
        store.get_group()
    assert caught.value.fix == f"delete {path}"


def _intervention(probability: float, created: str) -> Intervention:
    step = Step(operation="dilate", radius_px=1, probability=probability)
    return Intervention(
        name="4to9",
        hypothesis=Hypothesis(pair="4:9", hypothesis="A belief.", augment={"4": step}),
        group="6f6e782b3fb0",
        epochs=10,
        arms={"baseline": ("a", "b"), "4to9": ("c", "d")},
        seeds=(0, 1),
        controls=(),
        fresh_baseline=False,
        created=created,
        command="erroran intervene 4to9",
    )


@pytest.mark.parametrize("days", [(1, 2, 3), (2, 3, 1), (3, 1, 2)])
def test_the_latest_intervention_of_a_name_comes_back(store: Store, days: tuple[int, ...]) -> None:
    """All versions of a spec are kept; the latest of exactly this name is read."""
    versions = [_intervention(0.1 * (i + 1), f"2026-01-0{day}") for i, day in enumerate(days)]
    other = versions[0].model_copy(update={"name": "4to9-original", "created": "2026-01-09"})
    for each in (*versions, other):
        store.put_intervention(each)
    assert store.get_intervention("6f6e782b3fb0", "4to9") == versions[days.index(3)]
    assert store.get_intervention("6f6e782b3fb0", "4to9-original") == other
    assert len(list((store.root / "interventions" / "6f6e782b3fb0").iterdir())) == 4


def test_a_missing_intervention_is_said(store: Store) -> None:
    """The fix for a missing intervention is the command that runs it."""
    with pytest.raises(NotFound, match="`4to9` has not been run on the baseline group abc") as caught:
        store.get_intervention("abc", "4to9")
    assert caught.value.fix == "erroran intervene 4to9"


def test_a_verdict_of_an_earlier_version_is_read(store: Store) -> None:
    """Version 0.3.0 kept one level of confidence for all intervals."""
    numbers = ("before_mean", "after_mean", "before_per_10000", "after_per_10000", "per_10000")
    intervals = ("low", "high", "seeds_low", "seeds_high")
    relative = ("relative", "relative_low", "relative_high", "seeds_relative_low", "seeds_relative_high")
    texts = ("name", "pair", "group", "spec_hash", "created", "population", "endpoint", "word", "sentence", "advice")
    effect = dict.fromkeys((*numbers, *intervals), 1.0) | dict.fromkeys(relative) | {"n_images": 9, "method": "m"}
    kept = dict.fromkeys(texts, "x") | {"seeds": [1], "distinct_images": 3, "change": 0, "worthwhile_percent": 50.0}
    path = store.root / "verdicts" / "g" / "x-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(kept | {"effect": effect | {"confidence": 0.98}}))
    (verdict,) = store.list_artifacts("verdicts", StoredVerdict)
    assert (verdict.effect.confidence, verdict.effect.images_confidence) == (0.98, 0.98)
