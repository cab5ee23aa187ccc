"""Loading by name or path: the order of the places, and the errors."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erroran.data import load_dataset
from erroran.data.load import _name_of
from erroran.errors import BadInput, DatasetError, Unavailable

Arrays = dict[str, np.ndarray]


def _place(folder: Path, arrays: Arrays, brightness: int) -> str:
    """Write an mnist.npz that its first pixel identifies."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays["x_train"][0, 0, 0] = brightness
    np.savez(folder / "mnist.npz", **arrays)
    return str(folder)


def test_places_are_asked_in_order(tmp_path: Path, arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Path(_place(tmp_path / "given", arrays, 1))
    monkeypatch.setenv("ERRORAN_DATA", _place(tmp_path / "env", arrays, 2))
    keras = Path(_place(Path.home() / "keras" / "datasets", arrays, 3))

    assert load_dataset("mnist", data_dir=given).x_train[0, 0, 0] == 1
    assert load_dataset("mnist").x_train[0, 0, 0] == 2
    monkeypatch.delenv("ERRORAN_DATA")
    dataset = load_dataset()
    assert dataset.x_train[0, 0, 0] == 3
    assert (dataset.name, dataset.source) == ("mnist", "~/keras/datasets/mnist.npz")
    assert str(keras).startswith(str(Path.home()))


def test_keras_home_has_a_default(arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME")
    _place(Path.home() / ".keras" / "datasets", arrays, 0)
    assert load_dataset("mnist").source == "~/.keras/datasets/mnist.npz"


def test_data_dir_may_hold_idx_files_or_be_a_file(
    tmp_path: Path, arrays: Arrays, write_idx: Callable[..., None]
) -> None:
    write_idx(tmp_path / "raw", arrays, zipped=True)
    np.savez(tmp_path / "other-name.npz", **arrays)
    for place in ("raw", "other-name.npz"):
        assert load_dataset("mnist", data_dir=tmp_path / place).name == "mnist"


@pytest.mark.parametrize("name", ["auto", "mnist"])
@pytest.mark.parametrize("where", ["given", "keras"])
def test_a_damaged_file_is_never_skipped(tmp_path: Path, name: str, where: str) -> None:
    folder = tmp_path / "given" if where == "given" else Path.home() / "keras" / "datasets"
    folder.mkdir(parents=True)
    (folder / "mnist.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DatasetError, match=r"mnist\.npz is damaged"):
        load_dataset(name, data_dir=tmp_path / "given")


def test_an_incomplete_idx_folder_is_never_skipped(
    tmp_path: Path, arrays: Arrays, write_idx: Callable[..., None]
) -> None:
    write_idx(tmp_path, arrays)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DatasetError, match="lacks t10k-images-idx3-ubyte"):
        load_dataset("auto", data_dir=tmp_path)


def test_a_data_dir_without_mnist_is_passed_over(tmp_path: Path, arrays: Arrays) -> None:
    _place(Path.home() / "keras" / "datasets", arrays, 9)
    assert load_dataset("mnist", data_dir=tmp_path).x_train[0, 0, 0] == 9


def test_auto_without_network_is_digits() -> None:
    dataset = load_dataset("auto")
    assert dataset.name == "digits"
    assert dataset.note is not None
    assert dataset.note.startswith("MNIST is not available")
    assert "http://127.0.0.1:1/ (no connection)" in dataset.note
    assert dataset.digest == load_dataset("digits").digest


def test_mnist_without_network_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        load_dataset("mnist", data_dir=tmp_path / "nowhere")
    for place in ("nowhere (not there)", "mnist.npz (not there)", "http://127.0.0.1:1/"):
        assert place in caught.value.message
    for option in ("--dataset digits", "--dataset PATH", "--data-dir DIR"):
        assert option in caught.value.fix


@pytest.mark.parametrize("name", ["minst", "cifar10"])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(BadInput, match=f"no dataset called '{name}'") as caught:
        load_dataset(name)
    assert "auto, mnist, digits" in caught.value.fix


def test_a_misspelt_name_is_recognised() -> None:
    with pytest.raises(BadInput, match="Did you mean 'digits'"):
        load_dataset("digist")


@pytest.mark.parametrize("name", ["no/such/folder", "absent.npz"])
def test_a_path_that_leads_nowhere(name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name} does not exist"):
        load_dataset(name)


def test_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no mnist\.npz and no IDX files"):
        load_dataset(str(tmp_path))


def test_importing_is_light() -> None:
    """`erroran --help` imports this module, which must not import large packages."""
    code = "import erroran.data, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"tensorflow", "keras", "sklearn", "pandas", "scipy", "cv2", "pooch", "requests"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.npz", "a"),
        ("a.b.npz", "a.b"),
        ("t.CSV", "t"),
        ("t.csv.gz", "t"),
        ("t.v2.csv.zip", "t.v2"),
        ("plain", "plain"),
    ],
)
def test_a_dataset_is_called_as_its_file_without_the_format(file: str, name: str) -> None:
    assert _name_of(Path("somewhere") / file) == name
