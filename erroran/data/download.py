"""MNIST from the network into erroran's cache, each file checked against its published checksum."""

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from erroran.data.sources.files import MNIST_NPZ
from erroran.errors import BadInput

MIRRORS_VARIABLE = "ERRORAN_MNIST_MIRRORS"
CACHE_VARIABLE = "ERRORAN_CACHE"

# As pinned by keras.datasets.mnist.
MNIST_NPZ_HASH = "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_NPZ_MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)

# As pinned by torchvision.datasets.MNIST.
_IDX_HASHES = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_IDX_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_CONNECT_S = 5.0
_READ_S = 20.0
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """One place that serves the whole of MNIST.

    Attributes:
        base_url: Ends in a slash.
        hashes: File name -> "sha256:..." or "md5:...".
    """

    base_url: str
    hashes: dict[str, str]


def cache_folder() -> Path:
    """Where downloads are kept: ``$ERRORAN_CACHE``, or the platform's folder for caches."""
    import pooch

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("erroran")).expanduser() / "mnist"


def list_sources() -> list[Source]:
    """The places to download from, best first.

    Raises:
        BadInput: ``$ERRORAN_MNIST_MIRRORS`` holds something that is not an http(s) address.
    """
    npz = {MNIST_NPZ: MNIST_NPZ_HASH}
    own = [url.strip() for url in os.environ.get(MIRRORS_VARIABLE, "").split(",") if url.strip()]
    if not own:
        return [Source(url, npz) for url in _NPZ_MIRRORS] + [Source(url, _IDX_HASHES) for url in _IDX_MIRRORS]
    for url in own:
        if not url.startswith(("http://", "https://")):
            raise BadInput(
                f"{MIRRORS_VARIABLE} holds {url!r}, which is no http:// or https:// address.",
                fix=f"set {MIRRORS_VARIABLE} to addresses of folders with {MNIST_NPZ}, separated by commas",
            )
    return [Source(url.rstrip("/") + "/", npz) for url in own]


def find_cached(sources: Iterable[Source], folder: Path) -> Path | None:
    """What a former download left, intact: ``mnist.npz``, or the folder of the IDX files."""
    for source in sources:
        if all(_is_intact(folder / name, known) for name, known in source.hashes.items()):
            return _locate(source, folder)
    return None


def download_mnist(sources: Iterable[Source], folder: Path) -> tuple[Path | None, list[str]]:
    """Download from the first source that serves intact files.

    Args:
        sources: Tried in order, each once; a host that does not answer is not tried again.
        folder: Where the files go; made where missing. Files that fail their checksum never
            get there, and damaged files that are there already are replaced.

    Returns:
        The file or folder to read, or None; and for each source that failed, why.
    """
    failures: list[str] = []
    silent_hosts: set[str] = set()
    for source in sources:
        host = urlsplit(source.base_url).netloc
        if host in silent_hosts:
            continue
        problem = _probe(source)
        if problem:
            silent_hosts.add(host)
        else:
            problem = _fetch(source, folder)
        if not problem:
            return _locate(source, folder), failures
        failures.append(f"{source.base_url} ({problem})")
    return None, failures


def _locate(source: Source, folder: Path) -> Path:
    return folder / MNIST_NPZ if MNIST_NPZ in source.hashes else folder


def _is_intact(path: Path, known_hash: str) -> bool:
    import pooch

    algorithm, _, digest = known_hash.partition(":")
    try:
        return path.is_file() and pooch.file_hash(str(path), alg=algorithm) == digest
    except OSError:
        return False


def _probe(source: Source) -> str | None:
    """Why the host does not answer within 5 s, or None where it does (be it with "not found").

    A connect timeout alone does not bound the wait: it holds for each of a host's addresses, and
    not at all for the name look-up. So the question is asked in a thread that can be left behind.
    """
    import requests

    outcome: list[str | None] = []

    def ask() -> None:
        try:
            url = source.base_url + next(iter(source.hashes))
            requests.head(url, timeout=_CONNECT_S).close()
            outcome.append(None)
        except requests.RequestException as problem:
            outcome.append(_explain(problem))

    thread = threading.Thread(target=ask, daemon=True)
    with _quiet_logs():
        thread.start()
        thread.join(_CONNECT_S)
    return outcome[0] if outcome else f"no answer within {_CONNECT_S:.0f} s"


def _fetch(source: Source, folder: Path) -> str | None:
    """Bring all files of a source into the folder; return why not, or None."""
    import pooch
    import requests

    for name, known_hash in source.hashes.items():
        downloader = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(), chunk_size=_CHUNK_BYTES, timeout=(_CONNECT_S, _READ_S)
        )
        try:
            with _quiet_logs():
                pooch.retrieve(
                    source.base_url + name,
                    known_hash=known_hash,
                    fname=name,
                    path=folder,
                    downloader=downloader,
                )
        except requests.RequestException as problem:
            return f"{name}: {_explain(problem)}"
        except OSError as problem:
            return f"{name}: cannot be written to the cache: {problem.strerror or problem}"
        except ValueError:  # what pooch raises for a checksum that differs
            return f"{name}: the checksum differs from the published one"
    return None


def _explain(problem: Exception) -> str:
    """A failed request in a few words; the library's own text fills a screen."""
    import requests

    if isinstance(problem, requests.HTTPError) and problem.response is not None:
        return f"HTTP {problem.response.status_code}"
    kinds = {
        requests.Timeout: "no answer in time",
        requests.exceptions.ChunkedEncodingError: "the download broke off",
        requests.ConnectionError: "no connection",
    }
    for kind, text in kinds.items():
        if isinstance(problem, kind):
            return text
    return type(problem).__name__


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Keep the chatter of pooch and urllib3 off the screen; failures are reported by us."""
    import pooch

    loggers = [pooch.get_logger(), logging.getLogger("urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
