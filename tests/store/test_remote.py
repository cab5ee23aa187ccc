"""Stores at a URL: what one machine writes another reads, only what changed travels, and errors are one sentence.

Most tests run against fsspec's ``memory://``; those that are marked slow run against moto's S3 server on this machine.
"""

import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset
from erroran.errors import BadInput, ErroranError, NotFound, Unavailable
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store, remote
from erroran.store.leases import is_leased, lease
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

LOOK = Entry(kind="look", dataset="d")
FILES = {"model.keras": b"weights"}
MakeRecord = Callable[..., RunRecord]
MakeSpec = Callable[..., RunSpec]
TwoSplits = dict[str, Predictions]
Machine = Callable[[str], Store]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A new prefix in a bucket, with credentials."""
    import s3fs

    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(use_listings_cache=False)
    if not files.exists("bucket"):
        files.mkdir("bucket")
    return f"s3://bucket/{abs(hash(request.node.name))}/store"


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    return f"memory://{abs(hash(request.node.name))}/store"


@pytest.fixture
def machine(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Open the store as another machine, which has a mirror of its own."""
    monkeypatch.setattr(remote, "_FRESH_SECONDS", 0.0)

    def open_on(name: str) -> Store:
        monkeypatch.setenv("ERRORAN_CACHE", str(tmp_path / name))
        return Store(url)

    return open_on


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the objects that travel, as ``get NAME`` and ``put NAME``."""
    seen: list[str] = []
    download, upload = remote.Remote._download, remote.Remote._upload

    def watch_download(self: remote.Remote, names: list[str]) -> None:
        seen.extend(f"get {name}" for name in names)
        download(self, names)

    def watch_upload(self: remote.Remote, path: Path, name: str) -> None:
        seen.append(f"put {name}")
        upload(self, path, name)

    monkeypatch.setattr(remote.Remote, "_download", watch_download)
    monkeypatch.setattr(remote.Remote, "_upload", watch_upload)
    return seen


def test_what_one_machine_writes_another_reads(
    machine: Machine, make_record: MakeRecord, predictions: TwoSplits, tiny_dataset: Dataset
) -> None:
    """Dataset, run, model, group, source, seeds and ledger; the URL is what messages name."""
    here = machine("a")
    record = make_record(note=None)
    here.put_dataset(tiny_dataset)
    here.put_run(record, predictions, FILES)
    group = Group(
        template=record.spec, seeds=(0,), dataset_name="tiny", note=None, updated="2026", command="erroran baseline"
    )
    here.put_group(group)
    source = here.put_source("def build(): ...")
    here.ledger.record(LOOK)
    there = machine("b")
    assert there.get_dataset(tiny_dataset.digest).digest == tiny_dataset.digest
    assert np.array_equal(there.get_dataset(tiny_dataset.digest).x_train, tiny_dataset.x_train)
    assert there.list_runs() == [record]
    assert there.get_predictions(record.id).ids.tolist() == predictions["mine"].ids.tolist()
    assert there.get_predictions(record.id, "confirm", look=LOOK).ids.tolist() == predictions["confirm"].ids.tolist()
    assert there.model_file(record.id).read_bytes() == b"weights"
    assert there.get_group() == group
    assert there.mined_seeds(record.spec.dataset) == {0}
    assert there.load_source_of(record.spec.model_copy(update={"source": source})) == "def build(): ..."
    assert [entry.kind for entry in there.ledger.entries()] == ["look"]
    with pytest.raises(NotFound, match=there.name):
        there.get_run("zz")


def test_only_what_changed_travels(
    machine: Machine, make_record: MakeRecord, make_spec: MakeSpec, predictions: TwoSplits, traffic: list[str]
) -> None:
    """A run's record is fetched once, its predictions when they are read, its model never; then nothing."""
    here = machine("a")
    first, second = (make_record(make_spec(seed=seed)) for seed in (0, 1))
    here.put_run(first, predictions, FILES)
    there = machine("b")
    traffic.clear()
    there.list_runs()
    there.get_predictions(first.id)
    assert traffic == [f"get runs/{first.id}/run.json", f"get runs/{first.id}/mine.npz"]
    traffic.clear()
    again = machine("b")
    again.list_runs()
    again.get_predictions(first.id)
    assert traffic == []
    machine("a").put_run(second, predictions, FILES)
    assert traffic[-1] == f"put runs/{second.id}/run.json"
    assert sorted(traffic) == [
        f"put runs/{second.id}/{n}" for n in ("confirm.npz", "mine.npz", "model.keras", "run.json")
    ]
    traffic.clear()
    assert len(there.list_runs()) == 2
    assert traffic == [f"get runs/{second.id}/run.json"]
    here.put_run(second, predictions, {"model.keras": b"other"})
    assert traffic == [f"get runs/{second.id}/run.json"]


def test_replaced_and_removed_artifacts_are_seen(
    machine: Machine, make_record: MakeRecord, predictions: TwoSplits
) -> None:
    """The last writer of an artifact wins; a removed run is gone from every mirror."""
    here, there = machine("a"), machine("b")
    here.put_artifact("notes", "x", LOOK)
    assert there.get_artifact("notes", "x", Entry) == LOOK
    there.put_artifact("notes", "x", LOOK.model_copy(update={"name": "changed"}))
    assert here.get_artifact("notes", "x", Entry).name == "changed"
    record = make_record()
    here.put_run(record, predictions, FILES)
    assert there.has_run(record.id)
    here.remove_run(record.id)
    assert not there.has_run(record.id)
    assert there.list_runs() == []
    there.put_run(record, predictions, FILES)
    assert here.has_run(record.id)


def test_a_killed_upload_leaves_no_run(
    machine: Machine, make_record: MakeRecord, predictions: TwoSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its record a run is on no machine, and can be written again."""
    here, record = machine("a"), make_record()
    upload = remote.Remote._upload

    def fail(self: remote.Remote, path: Path, name: str) -> None:
        if name.endswith("run.json"):
            raise KeyboardInterrupt
        upload(self, path, name)

    monkeypatch.setattr(remote.Remote, "_upload", fail)
    with pytest.raises(KeyboardInterrupt):
        here.put_run(record, predictions, FILES)
    assert not here.has_run(record.id)
    assert machine("b").list_runs() == []
    monkeypatch.setattr(remote.Remote, "_upload", upload)
    here.put_run(record, predictions, FILES)
    assert machine("b").list_runs() == [record]


def test_the_ledgers_of_two_machines_lose_nothing(machine: Machine) -> None:
    """Both write in turns, and the same look at once: each look is there, once."""
    here, there = machine("a"), machine("b")
    for number in range(3):
        for store in (here, there):
            store.ledger.record(LOOK.model_copy(update={"name": f"{store.root.parent.parent.name}{number}"}))
    here.ledger.record(LOOK)
    there.ledger.record(LOOK)
    names = [entry.name for entry in machine("c").ledger.entries()]
    assert sorted(names) == ["", "a0", "a1", "a2", "b0", "b1", "b2"]
    assert [entry.name for entry in here.ledger.entries()] == names


def test_a_lease_has_one_owner(machine: Machine) -> None:
    """On two machines; it is free again when it is given back, and after it expired."""
    here, there = machine("a"), machine("b")
    with lease(here.leases, "run") as first, lease(there.leases, "run") as second, lease(there.leases, "other") as free:
        assert (first, second, free) == (True, False, True)
        assert is_leased(there.leases, "run")
    assert not is_leased(here.leases, "run")
    assert here.leases.create_lease("run.0", "elsewhere-1-0-run")
    assert not there.leases.create_lease("run.0", "elsewhere-2-0-run")
    assert is_leased(there.leases, "run")
    there.leases.expires = -5.0
    assert not is_leased(there.leases, "run")
    with lease(there.leases, "run") as taken:
        assert taken
        assert sorted(here.leases.list_leases("run")) == ["run.0", "run.1"]
    assert here.leases.list_leases("run") == []


def test_a_store_that_was_deleted_is_empty(machine: Machine, make_record: MakeRecord, predictions: TwoSplits) -> None:
    """The mirror of an earlier store at the same URL is not taken for the new one."""
    here = machine("a")
    here.put_run(make_record(), predictions, FILES)
    here._remote._fs.rm(here._remote._prefix, recursive=True)
    assert machine("a").list_runs() == []


@pytest.mark.slow
def test_a_folder_that_is_copied_to_a_bucket_is_a_store_there(
    s3: str,
    store: Store,
    make_record: MakeRecord,
    predictions: TwoSplits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the mirror, copied to a folder, is a store again."""
    import s3fs

    record = make_record()
    store.put_run(record, predictions, FILES)
    s3fs.S3FileSystem(use_listings_cache=False).put(f"{store.root}/", f"{s3.removeprefix('s3://')}/", recursive=True)
    monkeypatch.setenv("ERRORAN_CACHE", str(tmp_path / "cache"))
    there = Store(s3)
    assert there.list_runs() == [record]
    there.get_predictions(record.id)
    shutil.copytree(there.root, tmp_path / "copy")
    assert Store(tmp_path / "copy").get_predictions(record.id).ids.tolist() == predictions["mine"].ids.tolist()


@pytest.mark.slow
def test_only_one_of_many_processes_gets_a_lease(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes ask the server at the same moment."""
    monkeypatch.setenv("ERRORAN_CACHE", str(tmp_path / "cache"))
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    processes = [context.Process(target=_ask, args=(s3, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(process.exitcode for process in processes) == [0, 0, 1]


def _ask(url: str, start: object) -> None:
    leases = Store(url).leases
    start.wait()  # type: ignore[attr-defined]
    granted = leases.create_lease("run.0", f"owner-{os.getpid()}")
    os._exit(int(granted))


# --- wrong input


@pytest.mark.slow
def test_a_bucket_that_does_not_exist(s3: str) -> None:
    with pytest.raises(NotFound, match="There is no bucket `nowhere` for the store s3://nowhere/x") as caught:
        Store("s3://nowhere/x")
    assert "create the bucket" in caught.value.fix


@pytest.mark.slow
def test_without_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence names the URL, the fix what to set."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(BadInput, match=f"Access to the store {s3} is refused: Unable to locate credentials") as caught:
        Store(s3)
    assert (caught.value.exit_code, "AWS_ACCESS_KEY_ID" in caught.value.fix) == (2, True)


@pytest.mark.slow
def test_without_network(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is a failure, not bad input."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(Unavailable, match=f"The store {s3} cannot be used: Could not connect") as caught:
        Store(s3)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [("s3://", "names no bucket"), ("s4://bucket/x", "Protocol not known: s4"), ("gs:///x", "names no bucket")],
)
def test_an_address_that_cannot_be_used(place: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        Store(place)
    assert "://BUCKET/PREFIX" in caught.value.fix


@pytest.mark.parametrize(("place", "extra", "package"), [("s3://b/x", "s3", "s3fs"), ("gs://b/x", "gcs", "gcsfs")])
def test_a_missing_package_is_named(place: str, extra: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    pytest.importorskip("fsspec.registry")
    monkeypatch.setitem(sys.modules, package, None)
    for protocol in ("s3", "gs"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    with pytest.raises(BadInput, match="needs a package") as caught:
        Store(place)
    assert caught.value.fix == f"pip install 'erroran[{extra}]'"


def test_a_failing_server_does_not_hide_our_own_errors(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of another format is refused as in a folder."""
    monkeypatch.setenv("ERRORAN_CACHE", str(tmp_path))
    store = Store(url)
    store._remote._fs.pipe_file(f"{store._remote._prefix}/store.json", b'{"format": 99}')
    with pytest.raises(ErroranError, match="has format 99"):
        Store(url)
