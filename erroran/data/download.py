"""MNIST from the network into erroran's cache, each file checked against its published checksum."""

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from erroran.data.sources.npz import MNIST_NPZ
from erroran.errors import BadInput
from erroran.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pooch import Pooch

MIRRORS_VARIABLE = "ERRORAN_MNIST_MIRRORS"

_NPZ = {MNIST_NPZ: "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"}
"""As pinned by keras.datasets.mnist."""
_IDX = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
"""As pinned by torchvision.datasets.MNIST."""
_MIRRORS = (
    ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/", _NPZ),
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", _IDX),
    ("https://storage.googleapis.com/cvdf-datasets/mnist/", _IDX),
)
_CONNECT_S = 5.0
_READ_S = 20.0


def list_mirrors() -> "list[Pooch]":
    """The places to download from, best first, each with its files and their checksums, all with the same cache.

    Raises:
        BadInput: ``$ERRORAN_MNIST_MIRRORS`` holds something that is not an http(s) address.
    """
    import pooch

    own = [url.strip() for url in os.environ.get(MIRRORS_VARIABLE, "").split(",") if url.strip()]
    for url in own:
        if not url.startswith(("http://", "https://")):
            raise BadInput(
                f"{MIRRORS_VARIABLE} holds {url!r}, which is no http:// or https:// address.",
                fix=f"set {MIRRORS_VARIABLE} to addresses of folders with {MNIST_NPZ}, separated by commas",
            )
    cache = cache_folder() / "mnist"
    addresses = [(url, _NPZ) for url in own] or _MIRRORS
    return [pooch.create(path=cache, base_url=url, registry=files) for url, files in addresses]


def find_cached(mirrors: "Sequence[Pooch]") -> Path | None:
    """``mnist.npz`` or the folder of the IDX files from an earlier download, if intact."""
    from pooch.hashes import hash_matches

    for mirror in mirrors:
        with contextlib.suppress(OSError):  # such as a missing file
            if all(hash_matches(str(mirror.abspath / name), known) for name, known in mirror.registry.items()):
                return _locate(mirror)
    return None


def download_mnist(mirrors: "Sequence[Pooch]") -> tuple[Path | None, list[str]]:
    """Download from the first mirror that serves intact files; damaged files in the cache are replaced.

    Args:
        mirrors: Tried in order; after a host did not answer, its other mirrors are skipped.

    Returns:
        The file or folder to read, or None; and for each mirror that failed, why.
    """
    failures: list[str] = []
    silent_hosts: set[str] = set()
    for mirror in mirrors:
        host = urlsplit(mirror.base_url).netloc
        if host in silent_hosts:
            continue
        if problem := _probe(mirror.base_url):
            silent_hosts.add(host)
        elif not (problem := _fetch(mirror)):
            return _locate(mirror), failures
        failures.append(f"{mirror.base_url} ({problem})")
    return None, failures


def _locate(mirror: "Pooch") -> Path:
    return Path(mirror.abspath) / (MNIST_NPZ if MNIST_NPZ in mirror.registry else "")


def _probe(url: str) -> str:
    """Why a host does not answer within 5 s; empty if it answers, even with an HTTP error.

    Asks in a thread, because a connect timeout holds for each address of the host, and not for the name look-up.
    """
    import requests

    outcome = [f"no answer within {_CONNECT_S:.0f} s"]

    def ask() -> None:
        try:
            requests.head(url, timeout=_CONNECT_S).close()
            outcome[0] = ""
        except requests.RequestException as problem:
            outcome[0] = _explain(problem)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    return outcome[0]


def _fetch(mirror: "Pooch") -> str:
    """Download all files of a mirror into the cache; why it failed, or an empty string."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # failures are in our own message
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(_CONNECT_S, _READ_S))
    for name in mirror.registry:
        try:
            mirror.fetch(name, downloader=downloader)
        except (OSError, ValueError) as problem:
            return f"{name}: {_explain(problem)}"
    return ""


def _explain(problem: Exception) -> str:
    """A failed download in a few words; the text of `requests` fills a screen."""
    import requests

    if isinstance(problem, requests.HTTPError) and problem.response is not None:
        return f"HTTP {problem.response.status_code}"
    explained = {
        requests.Timeout: "no answer in time",
        requests.exceptions.ChunkedEncodingError: "the download broke off",
        requests.ConnectionError: "no connection",
        requests.RequestException: type(problem).__name__,
        OSError: f"cannot be written to the cache: {getattr(problem, 'strerror', None) or problem}",
        ValueError: "the checksum differs from the published one",
    }
    return next(text for kind, text in explained.items() if isinstance(problem, kind))
