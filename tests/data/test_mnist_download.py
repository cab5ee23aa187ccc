"""Downloads from a local server: only intact files are kept, and each failure is explained."""

import hashlib
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from erroran.data import download, load_dataset
from erroran.data.download import download_mnist, find_cached, list_mirrors
from erroran.errors import BadInput, DatasetError, Unavailable

Arrays = dict[str, np.ndarray]


class Server:
    """Serves ``files``; closes the connection in the middle of those in ``cut``."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, *, with_body: bool) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                body = outer.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if with_body and body:
                    half = len(body) // 2 if self.path in outer.cut else len(body)
                    self.wfile.write(body[:half])

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def content(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def mirror(server: Server, content: bytes, cache: Path) -> pooch.Pooch:
    """A mirror that serves the right file below ``good/``."""
    server.files["/good/mnist.npz"] = content
    return pooch.create(path=cache, base_url=f"{server.url}good/", registry=_hashes(content))


def _hashes(content: bytes) -> dict[str, str]:
    return {"mnist.npz": f"sha256:{hashlib.sha256(content).hexdigest()}"}


def _elsewhere(mirror: pooch.Pooch, url: str) -> pooch.Pooch:
    return pooch.create(path=mirror.abspath, base_url=url, registry=mirror.registry)


def test_the_right_file_arrives(mirror: pooch.Pooch, cache: Path, content: bytes) -> None:
    assert download_mnist([mirror]) == (cache / "mnist.npz", [])
    assert (cache / "mnist.npz").read_bytes() == content
    assert [file.name for file in cache.iterdir()] == ["mnist.npz"]


def test_a_truncated_download_is_refused(server: Server, mirror: pooch.Pooch, cache: Path) -> None:
    server.cut.add("/good/mnist.npz")
    path, failures = download_mnist([mirror])
    assert path is None
    assert failures == [f"{mirror.base_url} (mnist.npz: the download broke off)"]
    assert not list(cache.iterdir())


def test_a_tampered_file_is_refused(server: Server, mirror: pooch.Pooch, cache: Path) -> None:
    server.files["/good/mnist.npz"] += b"!"
    path, failures = download_mnist([mirror])
    assert path is None
    assert "the checksum differs from the published one" in failures[0]
    assert not list(cache.iterdir())


def test_a_second_mirror_steps_in(server: Server, mirror: pooch.Pooch, cache: Path, content: bytes) -> None:
    absent = _elsewhere(mirror, f"{server.url}absent/")
    path, failures = download_mnist([absent, mirror])
    assert path == cache / "mnist.npz"
    assert failures == [f"{absent.base_url} (mnist.npz: HTTP 404)"]


def test_a_server_that_is_down(mirror: pooch.Pooch) -> None:
    path, failures = download_mnist([_elsewhere(mirror, "http://127.0.0.1:1/")])
    assert (path, failures) == (None, ["http://127.0.0.1:1/ (no connection)"])


def test_a_silent_server_costs_one_wait(mirror: pooch.Pooch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server accepts connections but never answers, as behind a firewall that drops packets."""
    monkeypatch.setattr(download, "_CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        mirrors = [_elsewhere(mirror, f"{url}{folder}/") for folder in "abc"]
        start = time.monotonic()
        path, failures = download_mnist(mirrors)
        waited = time.monotonic() - start
        time.sleep(0.1)  # lets the thread that was left behind see its own time-out
    assert path is None
    assert len(failures) == 1
    assert "no answer" in failures[0]
    assert waited < 1.5


def test_a_cache_that_cannot_be_written(mirror: pooch.Pooch, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    path, failures = download_mnist([mirror])
    assert path is None
    assert "cannot be written to the cache" in failures[0]


def test_idx_files_may_come_from_two_mirrors(
    server: Server, cache: Path, arrays: Arrays, write_idx: Callable[..., None], tmp_path: Path
) -> None:
    write_idx(tmp_path / "raw", arrays, zipped=True)
    files = {file.name: file.read_bytes() for file in sorted((tmp_path / "raw").iterdir())}
    hashes = {name: f"md5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}" for name, body in files.items()}
    server.files = {f"/two/{name}": body for name, body in files.items()}
    first = next(iter(files))
    server.files[f"/one/{first}"] = files[first]
    one, two = (
        pooch.create(path=cache, base_url=f"{server.url}{folder}/", registry=hashes) for folder in ("one", "two")
    )
    path, failures = download_mnist([one, two])
    assert path == cache
    assert len(failures) == 1
    assert f"GET /two/{first}" not in server.requests
    assert find_cached([one]) == cache


def test_a_cached_file_is_not_downloaded_again(server: Server, mirror: pooch.Pooch, cache: Path) -> None:
    download_mnist([mirror])
    server.requests.clear()
    assert find_cached([mirror]) == cache / "mnist.npz"
    assert server.requests == []


def test_a_damaged_cached_file_is_replaced(mirror: pooch.Pooch, cache: Path, content: bytes) -> None:
    cache.mkdir()
    (cache / "mnist.npz").write_bytes(content[:-5])
    assert find_cached([mirror]) is None
    assert download_mnist([mirror])[0]
    assert (cache / "mnist.npz").read_bytes() == content


def test_nothing_is_logged(
    server: Server, mirror: pooch.Pooch, cache: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    server.cut.add("/good/mnist.npz")
    level = logging.getLogger("urllib3").level
    download_mnist([_elsewhere(mirror, f"{server.url}absent/"), mirror])
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("urllib3").level == level


def test_own_mirrors_replace_the_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRORAN_MNIST_MIRRORS", "http://a.example/x, https://b.example/ ,")
    mirrors = list_mirrors()
    assert [each.base_url for each in mirrors] == ["http://a.example/x/", "https://b.example/"]
    assert all(list(each.registry) == ["mnist.npz"] for each in mirrors)


def test_a_mirror_must_be_a_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRORAN_MNIST_MIRRORS", "/mnt/data")
    with pytest.raises(BadInput, match="ERRORAN_MNIST_MIRRORS holds '/mnt/data'"):
        list_mirrors()


def test_the_public_sources_are_secure_and_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERRORAN_MNIST_MIRRORS")
    mirrors = list_mirrors()
    assert [len(each.registry) for each in mirrors] == [1, 4, 4]
    assert all(each.base_url.startswith("https://") for each in mirrors)


class TestLoading:
    """Downloads through ``load_dataset``."""

    @pytest.fixture(autouse=True)
    def _mirror(self, mirror: pooch.Pooch, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ERRORAN_MNIST_MIRRORS", mirror.base_url)
        monkeypatch.setattr(download, "_NPZ", _hashes(content))

    @pytest.mark.parametrize("name", ["auto", "mnist"])
    def test_downloads_and_keeps(self, server: Server, name: str) -> None:
        first = load_dataset(name)
        server.files.clear()
        assert load_dataset(name).digest == first.digest
        assert (first.name, first.note) == ("mnist", None)
        assert first.source == "~/cache/mnist/mnist.npz"

    def test_mnist_without_an_intact_download_is_unavailable(self, server: Server) -> None:
        server.cut.add("/good/mnist.npz")
        with pytest.raises(Unavailable, match="the download broke off"):
            load_dataset("mnist")

    def test_auto_without_an_intact_download_is_digits(self, server: Server) -> None:
        server.files["/good/mnist.npz"] += b"!"
        dataset = load_dataset("auto")
        assert dataset.name == "digits"
        assert "the checksum differs" in (dataset.note or "")

    def test_a_damaged_file_in_our_cache_is_replaced(self, content: bytes) -> None:
        folder = Path.home() / "cache" / "mnist"
        folder.mkdir(parents=True)
        (folder / "mnist.npz").write_bytes(content[:-5])
        assert load_dataset("mnist").name == "mnist"
        assert (folder / "mnist.npz").read_bytes() == content

    def test_a_file_that_is_wrong_at_the_source_is_an_error(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.files["/good/mnist.npz"] = b"right checksum, but no arrays"
        monkeypatch.setattr(download, "_NPZ", _hashes(server.files["/good/mnist.npz"]))
        with pytest.raises(DatasetError, match=r"mnist\.npz is not a \.npz file"):
            load_dataset("auto")
