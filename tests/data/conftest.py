"""Small datasets, and a home folder without any data."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.setenv("ERRORAN_CACHE", str(home / "cache"))
    monkeypatch.delenv("ERRORAN_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Nothing listens on port 1: no test reaches the network by accident.
    monkeypatch.setenv("ERRORAN_MNIST_MIRRORS", "http://127.0.0.1:1/")


@pytest.fixture
def arrays() -> Arrays:
    """Three classes, 20 training and 7 test images of each, 6x5 pixels, all different."""
    rng = np.random.default_rng(7)
    return {
        "x_train": rng.integers(0, 256, (60, 6, 5), dtype=np.uint8),
        "y_train": rng.permutation(np.repeat(np.arange(3), 20)),
        "x_test": rng.integers(0, 256, (21, 6, 5), dtype=np.uint8),
        "y_test": rng.permutation(np.repeat(np.arange(3), 7)),
    }


@pytest.fixture
def write_idx() -> Callable[..., None]:
    """Write arrays as the four IDX files, in either spelling, gzipped or not."""

    def write(folder: Path, arrays: Arrays, *, joint: str = "-", zipped: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stems = {"x_train": "train-images", "y_train": "train-labels"}
        stems |= {"x_test": "t10k-images", "y_test": "t10k-labels"}
        for key, stem in stems.items():
            array = arrays[key].astype(np.uint8)
            header = np.array([0x0800 + array.ndim, *array.shape], dtype=">u4").tobytes()
            content = header + array.tobytes()
            name = f"{stem}{joint}idx{array.ndim}-ubyte"
            if zipped:
                name, content = f"{name}.gz", gzip.compress(content)
            (folder / name).write_bytes(content)

    return write
