"""Files on disk are read in every variant of their format, and damage is reported."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from erroran.data import load_dataset
from erroran.errors import DatasetError

Arrays = dict[str, np.ndarray]


@pytest.fixture
def npz(tmp_path: Path, arrays: Arrays) -> Path:
    path = tmp_path / "tiny.npz"
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def idx(tmp_path: Path, arrays: Arrays, write_idx: Callable[..., None]) -> Path:
    write_idx(tmp_path / "raw", arrays)
    return tmp_path / "raw"


def _refuse(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(path))
    return caught.value


def test_npz(npz: Path, arrays: Arrays) -> None:
    dataset = load_dataset(str(npz))
    assert (dataset.name, dataset.source) == ("tiny", str(npz))
    for key, expected in arrays.items():
        assert np.array_equal(getattr(dataset, key).squeeze(), expected)


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_is_the_same_data_as_npz(
    tmp_path: Path,
    npz: Path,
    arrays: Arrays,
    write_idx: Callable[..., None],
    joint: str,
    zipped: bool,
) -> None:
    write_idx(tmp_path / "folder", arrays, joint=joint, zipped=zipped)
    dataset = load_dataset(str(tmp_path / "folder"))
    assert dataset.name == "folder"
    assert dataset.digest == load_dataset(str(npz)).digest


def test_a_folder_with_mnist_npz(npz: Path) -> None:
    npz.rename(npz.with_name("mnist.npz"))
    dataset = load_dataset(str(npz.parent))
    assert dataset.source == str(npz.with_name("mnist.npz"))


def test_the_content_not_the_name_tells_gzip(idx: Path) -> None:
    file = idx / "t10k-labels-idx1-ubyte"
    file.write_bytes(gzip.compress(file.read_bytes()))
    assert len(load_dataset(str(idx)).y_test) == 21


def test_the_home_folder_is_not_spelled_out(npz: Path) -> None:
    npz.rename(Path.home() / "tiny.npz")
    assert load_dataset("~/tiny.npz").source == "~/tiny.npz"


def test_missing_keys_and_those_found(tmp_path: Path, arrays: Arrays) -> None:
    np.savez(tmp_path / "a.npz", x_train=arrays["x_train"], labels=arrays["y_train"])
    error = _refuse(tmp_path / "a.npz")
    assert "a.npz lacks y_train, x_test, y_test; it holds x_train, labels." in error.message
    assert "np.savez(path, x_train=..." in error.fix


def test_python_objects_are_never_unpickled(tmp_path: Path, arrays: Arrays) -> None:
    ragged = np.array([[1], [2, 3]], dtype=object)
    np.savez(tmp_path / "a.npz", **arrays | {"x_test": ragged})
    assert "a.npz: x_test holds Python objects" in _refuse(tmp_path / "a.npz").message


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY"])
def test_not_an_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert "a.npz is not a .npz file" in _refuse(tmp_path / "a.npz").message


def test_a_single_array_is_not_an_npz(tmp_path: Path, arrays: Arrays) -> None:
    np.save(tmp_path / "a.npy", arrays["x_train"])
    assert "a.npy is not a .npz file" in _refuse(tmp_path / "a.npy").message


def test_truncated_npz(npz: Path) -> None:
    npz.write_bytes(npz.read_bytes()[:-200])
    error = _refuse(npz)
    assert "tiny.npz is damaged: the end of the archive is missing" in error.message
    assert "intact copy" in error.fix


def test_an_npz_with_flipped_bytes(npz: Path) -> None:
    content = bytearray(npz.read_bytes())
    content[200:260] = bytes(60)
    npz.write_bytes(content)
    assert "tiny.npz is damaged: " in _refuse(npz).message


def test_an_npz_with_a_short_array(npz: Path, arrays: Arrays) -> None:
    """The archive is intact; the array inside it is not."""
    buffer = io.BytesIO()
    np.save(buffer, arrays["x_train"])
    with zipfile.ZipFile(npz, "w") as archive:
        for key in arrays:
            archive.writestr(f"{key}.npy", buffer.getvalue()[:-10])
    assert "tiny.npz is damaged: " in _refuse(npz).message


def test_an_npz_of_texts(npz: Path, arrays: Arrays) -> None:
    with zipfile.ZipFile(npz, "w") as archive:
        for key in arrays:
            archive.writestr(f"{key}.npy", b"hello")
    assert "tiny.npz is damaged: x_train is not an array" in _refuse(npz).message


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 28, 28), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999999, 28), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (60, 6, 5), }",
        "((((((",
        "\x00\x01",
    ],
)
def test_an_npz_whose_array_has_a_senseless_header(npz: Path, arrays: Arrays, header: str) -> None:
    """For impossible sizes and random bytes the error names the file and the array; no memory is allocated."""
    text = header.encode("latin-1").ljust(117) + b"\n"
    with zipfile.ZipFile(npz, "w") as archive:
        for key in arrays:
            archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(100))
    assert "tiny.npz is damaged: x_train: " in _refuse(npz).message


def test_bad_arrays_are_reported_with_the_file(tmp_path: Path, arrays: Arrays) -> None:
    np.savez(tmp_path / "a.npz", **arrays | {"x_test": arrays["x_test"] / 255})
    assert "a.npz: the test images are float64" in _refuse(tmp_path / "a.npz").message


def test_a_missing_idx_file_is_named(idx: Path) -> None:
    (idx / "train-labels-idx1-ubyte").unlink()
    assert "raw lacks train-labels-idx1-ubyte." in _refuse(idx).message


def test_truncated_gzip(tmp_path: Path, arrays: Arrays, write_idx: Callable[..., None]) -> None:
    write_idx(tmp_path / "raw", arrays, zipped=True)
    file = tmp_path / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-300])
    assert "train-images-idx3-ubyte.gz is damaged" in _refuse(tmp_path / "raw").message


def test_wrong_magic_number(idx: Path) -> None:
    labels = (idx / "t10k-labels-idx1-ubyte").read_bytes()
    (idx / "t10k-images-idx3-ubyte").write_bytes(labels)
    message = _refuse(idx).message
    assert "t10k-images-idx3-ubyte is no IDX file of images" in message
    assert "2049, not 2051" in message


@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_idx_file_without_a_whole_header(idx: Path, length: int) -> None:
    file = idx / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:length])
    assert "t10k-images-idx3-ubyte is " in _refuse(idx).message


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0"])
def test_an_idx_file_of_another_length_than_stated(idx: Path, change: Callable[[bytes], bytes]) -> None:
    file = idx / "t10k-images-idx3-ubyte"
    file.write_bytes(change(file.read_bytes()))
    assert "is damaged: its header states 630 bytes" in _refuse(idx).message


def test_idx_counts_that_do_not_match(tmp_path: Path, arrays: Arrays, write_idx: Callable[..., None]) -> None:
    write_idx(tmp_path / "raw", arrays | {"y_train": arrays["y_train"][:-1]})
    assert "raw: there are 60 training images but 59" in _refuse(tmp_path / "raw").message
