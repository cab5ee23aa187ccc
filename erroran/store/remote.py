"""A store at a URL, such as ``s3://bucket/prefix`` or ``gs://bucket/prefix``, through fsspec.

Objects have the names that files have in a store folder, so a folder that is copied to a bucket is a store there. A
folder in the user's cache mirrors it: what was read once is not downloaded again, and only what changed travels.

What is guaranteed:

- A run or a dataset is visible to others once its last object, ``run.json`` or ``dataset.json``, is there; it is
  uploaded after the others, and moved into the mirror after that. So a killed process leaves a whole artifact or none.
- The ledger loses nothing: each entry is an object of its own, which is never written again.
- Groups, interventions and other JSON are replaced object by object; the last writer wins.
- A lease is an object that only one process can create, by a conditional write (S3, Google Cloud Storage). A process
  that does not refresh it for `EXPIRES_SECONDS` loses it. If it was only paused, a run may be trained twice; the first
  record that is finished stays.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from erroran.errors import BadInput, ErroranError, NotFound, Unavailable
from erroran.files import cache_folder, remove, temporary_name

HEARTBEAT_SECONDS = 20.0
EXPIRES_SECONDS = 120.0
_FRESH_SECONDS = 1.0
"""Age up to which a listing is used again."""
_LAST = ("run.json", "dataset.json")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_LOG_IN = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL if it is not Amazon's",
    "gcs": "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
}
_CLIENTS = {"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "s3fs"}
"""Packages whose errors are those of a server or of the network."""
_REFUSALS = {
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"),  # botocore
    *("DefaultCredentialsError", "RefreshError"),  # google.auth
}


def is_url(place: object) -> bool:
    """Whether a store is named by a URL, not by a path."""
    return isinstance(place, str) and "://" in place


class Remote:
    """The objects below a URL, and the folder that mirrors them.

    Attributes:
        url: Without a slash at the end.
        mirror: The folder; it has the layout of a store.

    Every method raises BadInput if access is refused, and Unavailable if the server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            NotFound: There is no such bucket.
            BadInput: The URL cannot be used, or a package is missing.
        """
        self.url = url.rstrip("/")
        self.heartbeat, self.expires = HEARTBEAT_SECONDS, EXPIRES_SECONDS  # of leases
        self._listed: dict[str, float] = {}
        self._leases: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._clock_ahead: float | None = None
        self.mirror = cache_folder() / "stores" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._fs, self._prefix = _connect(self.url)
        with self._explained():
            self._check_bucket()
            if not self._fs.exists(f"{self._prefix}/store.json"):  # new, or deleted meanwhile
                for path in self.mirror.glob("[!t]*"):
                    remove(path)
        self.pull_file("store.json")

    # --- from the URL to the mirror

    def pull(self, kind: str) -> None:
        """Bring the small files of a folder of the store up to date, such as ``groups``."""
        if self._is_fresh(kind):
            return
        with self._explained():
            found = {self._relative(path): _mark(info) for path, info in self._find(kind)}
        known = self._read_state(kind)
        changed = [name for name, mark in found.items() if known.get(name) != mark or not self._local(name).is_file()]
        self._download(changed)
        for name in known.keys() - found.keys():  # others delete only what they have seen, too
            self._local(name).unlink(missing_ok=True)
        self._write_state(kind, found)

    def pull_records(self) -> None:
        """Bring the records of finished runs up to date; their predictions and models come when they are read."""
        if self._is_fresh("runs"):
            return
        with self._explained():
            names = {path.rstrip("/").rpartition("/")[2] for path in self._list("runs")}
        known = self._read_state("runs")
        self._download(
            [f"runs/{name}/run.json" for name in names if not self._local(f"runs/{name}/run.json").is_file()]
        )
        for name in known.keys() - names:
            remove(self._local(f"runs/{name}"))
        finished = {name: "" for name in names if self._local(f"runs/{name}/run.json").is_file()}
        if finished != known:
            self._write_state("runs", finished)

    def pull_file(self, name: str) -> None:
        """Bring a file that never changes, unless the mirror has it or the URL lacks it."""
        if not self._local(name).is_file():
            self._download([name])

    def pull_folder(self, name: str) -> None:
        """The same for a folder, which appears whole."""
        target = self._local(name)
        if target.exists():
            return
        with self._explained():
            found = [path for path, _ in self._find(name)]
            temporary = self._temporary(target.name)
            try:
                for path in found:
                    to = temporary / self._relative(path).removeprefix(f"{name}/")
                    to.parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(path, str(to))
                if found:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with suppress(FileExistsError, NotADirectoryError):
                        temporary.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def has(self, name: str) -> bool:
        """Whether the mirror or the URL has a file."""
        if self._local(name).is_file():
            return True
        with self._explained():
            return bool(self._fs.exists(f"{self._prefix}/{name}"))

    # --- from the mirror to the URL

    def push(self, temporary: Path, target: Path) -> None:
        """Upload a finished file or folder that becomes `target` in the mirror, its last object at the end."""
        name = target.relative_to(self.mirror).as_posix()
        with self._explained():
            if not temporary.is_dir():
                self._upload(temporary, name)
                return
            parts = [path for path in temporary.rglob("*") if path.is_file()]
            for path in sorted(parts, key=lambda path: path.name in _LAST):
                self._upload(path, f"{name}/{path.relative_to(temporary).as_posix()}")

    def remove_run(self, run_id: str) -> None:
        """Delete a run's objects, its record first."""
        folder = f"{self._prefix}/runs/{run_id}"
        with self._explained():
            for path in (f"{folder}/run.json", folder):
                with suppress(FileNotFoundError):
                    self._fs.rm(path, recursive=path == folder)

    # --- leases

    def list_leases(self, run_id: str) -> list[str]:
        """Names of the leases of a run."""
        return [name for name in self._lease_times() if name.startswith(f"{run_id}.")]

    def create_lease(self, name: str, owner: str) -> bool:
        """Create a lease that does not exist; give whether it worked. `owner` is a name that nobody else uses."""
        path = f"{self._prefix}/leases/{name}"
        self._listed.clear()  # its owner has to know what was finished just before
        with self._explained():
            try:
                self._fs.pipe_file(path, owner.encode(), mode="create")
            except OSError:  # it exists; or a repeated request found what the first one wrote
                return bool(self._fs.exists(path)) and self._fs.cat_file(path).decode() == owner
        return True

    def read_lease(self, name: str) -> str:
        """The owner of a lease; FileNotFoundError if it is gone."""
        if name not in self._owners:
            self._owners[name] = self._fs.cat_file(f"{self._prefix}/leases/{name}").decode()
        return self._owners[name]

    def lease_age(self, name: str) -> float:
        """Seconds since it was refreshed, by the server's clock; FileNotFoundError if it is gone."""
        times = self._lease_times()
        if name not in times:
            raise FileNotFoundError(name)
        if self._clock_ahead is None:
            probe = temporary_name("clock")
            self.refresh_lease(probe, "")
            self._clock_ahead = self._fs.modified(f"{self._prefix}/leases/{probe}").timestamp() - time.time()
            self.delete_lease(probe)
        return time.time() + self._clock_ahead - times[name]

    def refresh_lease(self, name: str, owner: str) -> None:
        """Write a lease again."""
        self._fs.pipe_file(f"{self._prefix}/leases/{name}", owner.encode())

    def delete_lease(self, name: str) -> None:
        """Delete a lease, if it exists."""
        self._listed.pop("leases", None)
        with self._explained(), suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._prefix}/leases/{name}")

    def _lease_times(self) -> dict[str, float]:
        """Lease to the time of the server when it was refreshed; one request for all, at most one in a second."""
        if not self._is_fresh("leases"):
            with self._explained():
                self._leases = {path.rpartition("/")[2]: _modified(info) for path, info in self._find("leases")}
        return self._leases

    # --- objects

    def _find(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Path and details of all objects below a folder."""
        with suppress(FileNotFoundError):
            found = self._fs.find(f"{self._prefix}/{name}", detail=True)
            return [(path, info) for path, info in found.items() if not path.endswith("/")]
        return []

    def _list(self, name: str) -> list[str]:
        """Paths of what is directly in a folder."""
        with suppress(FileNotFoundError):
            return [str(path) for path in self._fs.ls(f"{self._prefix}/{name}", detail=False)]
        return []

    def _download(self, names: list[str]) -> None:
        """Bring files into the mirror, many at a time; what the URL lacks is left out."""
        with self._explained():
            paths = [f"{self._prefix}/{name}" for name in names]
            found = self._fs.cat(paths, on_error="return") if paths else {}
            for name, path in zip(names, paths, strict=True):
                content = found.get(path)
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
                if isinstance(content, bytes):
                    _place(self._local(name), content, self._temporary("file"))

    def _upload(self, path: Path, name: str) -> None:
        if path.stat().st_size:
            self._fs.put_file(str(path), f"{self._prefix}/{name}")
        else:
            self._fs.pipe_file(f"{self._prefix}/{name}", b"")

    def _relative(self, path: str) -> str:
        return path.lstrip("/").removeprefix(self._prefix.lstrip("/")).lstrip("/")

    def _local(self, name: str) -> Path:
        return self.mirror / name

    def _temporary(self, stem: str) -> Path:
        folder = self.mirror / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / temporary_name(stem)

    def _is_fresh(self, kind: str) -> bool:
        """Whether a kind was listed a moment ago; notes that it is listed now."""
        now = time.monotonic()
        if now - self._listed.get(kind, -_FRESH_SECONDS) < _FRESH_SECONDS:
            return True
        self._listed[kind] = now
        return False

    def _read_state(self, kind: str) -> dict[str, str]:
        """Names and marks of the objects that the last listing of a kind found."""
        try:
            state = json.loads(self._local(f"listed/{kind}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _write_state(self, kind: str, found: dict[str, str]) -> None:
        _place(self._local(f"listed/{kind}.json"), json.dumps(found).encode(), self._temporary("listed"))

    def _check_bucket(self) -> None:
        """Refuse a bucket that does not exist; an empty prefix is a new store."""
        bucket = self._prefix.strip("/").partition("/")[0]
        if urlsplit(self.url).scheme not in _EXTRAS:
            return
        try:
            self._fs.ls(bucket, detail=False)
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no bucket `{bucket}` for the store {self.url}.",
                fix="check --store, or create the bucket first",
            ) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of servers and of the network into one sentence."""
        try:
            yield
        except ErroranError:
            raise
        except Exception as error:
            if isinstance(error, PermissionError) or type(error).__name__ in _REFUSALS:
                extra = _EXTRAS.get(urlsplit(self.url).scheme, "")
                fix = _LOG_IN.get(extra, "check the credentials")
                raise BadInput(f"Access to the store {self.url} is refused: {_first_line(error)}.", fix=fix) from error
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _CLIENTS:
                raise
            raise Unavailable(
                f"The store {self.url} cannot be used: {_first_line(error)}.",
                fix="check the network and the address; what is finished is kept, repeat the command",
            ) from error


def _connect(url: str) -> tuple[Any, str]:
    """The file system of a URL, without caches of its own, and the path on it."""
    scheme = urlsplit(url).scheme
    extra = _EXTRAS.get(scheme)
    if extra and not urlsplit(url).netloc:
        raise BadInput(f"The store {url}// names no bucket.", fix=f"--store {scheme}://BUCKET/PREFIX")
    install = f"pip install 'erroran[{extra}]'" if extra else f"pip install the package of fsspec for {scheme}://"
    try:
        from fsspec.core import url_to_fs

        fs, prefix = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise BadInput(f"The store {url} needs a package that is not installed.", fix=install) from error
    except ValueError as error:  # no such protocol, or an address that it cannot use
        raise BadInput(
            f"The store {url} cannot be opened: {_first_line(error)}.",
            fix="--store with a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
        ) from error
    return fs, prefix.rstrip("/")


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _modified(info: dict[str, Any]) -> float:
    """When an object was written, by the server's clock: seconds since 1970."""
    found = next(info[key] for key in ("LastModified", "updated", "mtime", "created") if key in info)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return float(found if isinstance(found, int | float) else found.timestamp())


def _mark(info: dict[str, Any]) -> str:
    """What changes when an object is written again."""
    keys = ("ETag", "etag", "generation", "size", "LastModified", "mtime", "updated", "created")
    return " ".join(str(info[key]) for key in keys if key in info)


def _place(path: Path, content: bytes, temporary: Path) -> None:
    """Write a file of the mirror in one step; it need not survive a power cut, because the URL has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content)
    os.replace(temporary, path)  # noqa: PTH105
