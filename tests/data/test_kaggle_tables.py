"""Tables in Kaggle's layout are read as written and split by content; errors name the row and column."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.data import Dataset, build_dataset, load_dataset, read_dataset, save_dataset, split_dataset
from erroran.data.ids import choose_count, sample_ids
from erroran.data.sources.table import draw_rows, load_table, read_table, write_table
from erroran.errors import BadInput, DatasetError

NAMES = ("0", "1", "2")


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of 20, 25 and 30 images of 3x3 pixels, in random order."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.repeat(np.arange(3), (20, 25, 30)))
    return rng.integers(0, 256, (75, 3, 3, 1), dtype=np.uint8), labels


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(label: str = "0", pixels: str = "1,2,3,4") -> str:
    return f"{label},{pixels}"


HEADER = "label,pixel0,pixel1,pixel2,pixel3"


def test_what_is_written_is_read(tmp_path: Path, table: tuple[np.ndarray, np.ndarray]) -> None:
    """Pixels, labels, names and order are equal; the header and rows of the file have Kaggle's layout."""
    images, labels = table
    write_table(tmp_path / "t.csv", images, labels, NAMES)
    read_images, read_labels, names = read_table(tmp_path / "t.csv")
    assert np.array_equal(read_images, images)
    assert read_images.dtype == np.uint8
    assert np.array_equal(read_labels, labels)
    assert names == NAMES
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "label," + ",".join(f"pixel{i}" for i in range(9))
    assert lines[1] == ",".join(map(str, [labels[0], *images[0].ravel()]))


@pytest.mark.parametrize("kind", ["gz", "zip", "crlf", "bom", "quoted"])
def test_other_spellings_of_one_table(tmp_path: Path, table: tuple[np.ndarray, np.ndarray], kind: str) -> None:
    """Compressed, with Windows line ends, a byte order mark or quotes, the content is the same."""
    images, labels = table
    write_table(tmp_path / "t.csv", images, labels, NAMES)
    plain = (tmp_path / "t.csv").read_bytes()
    other = tmp_path / {"gz": "u.csv.gz", "zip": "u.csv.zip"}.get(kind, "u.csv")
    if kind == "zip":
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("train.csv", plain)
    else:
        other.write_bytes(
            {
                "gz": gzip.compress(plain),
                "crlf": plain.replace(b"\n", b"\r\n"),
                "bom": b"\xef\xbb\xbf" + plain,
                "quoted": plain.replace(b"label", b'"label"').replace(b"\n1,", b'\n"1",'),
            }[kind]
        )
    assert np.array_equal(read_table(other)[0], images)
    assert load_dataset(str(other)).digest == load_dataset(str(tmp_path / "t.csv")).digest


def test_confirm_is_a_fifth_of_each_class(tmp_path: Path, table: tuple[np.ndarray, np.ndarray]) -> None:
    """`confirm` is 20 % of each class, `mine` is taken from the other 80 %, and each row is in one part."""
    images, labels = table
    write_table(tmp_path / "t.csv", images, labels, NAMES)
    dataset = load_dataset(str(tmp_path / "t.csv"))
    assert dataset.name == "t"
    assert np.bincount(dataset.y_test).tolist() == [4, 5, 6]
    splits = split_dataset(dataset, mine_fraction=0.25)
    assert np.bincount(splits.mine.y).tolist() == [4, 5, 6]
    parts = [splits.train.ids, splits.mine.ids, splits.confirm.ids]
    assert sorted(np.concatenate(parts)) == sorted(sample_ids(images))


def test_the_split_depends_on_content_alone(tmp_path: Path, table: tuple[np.ndarray, np.ndarray]) -> None:
    """Shuffled rows, another name: the same dataset."""
    images, labels = table
    order = np.random.default_rng(1).permutation(len(labels))
    write_table(tmp_path / "a.csv", images, labels, NAMES)
    write_table(tmp_path / "b.csv", images[order], labels[order], NAMES)
    first, second = (load_table(tmp_path / name, "t") for name in ("a.csv", "b.csv"))
    assert first.digest == second.digest
    assert set(first.test_ids) == set(second.test_ids)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), share=st.floats(0, 1))
def test_stratified_choice_is_exact(sizes: list[int], share: float) -> None:
    """The count is exact, and each class is less than one sample from its proportion."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    ids = np.array([f"{i:016x}" for i in range(len(labels))])
    count = round(share * len(labels))
    chosen = choose_count(ids, labels, count=count, purpose="x")
    assert chosen.sum() == count
    exact = count * np.array(sizes) / len(labels)
    assert (abs(np.bincount(labels[chosen], minlength=len(sizes)) - exact) < 1).all()


def test_kaggle_s_own_numbers() -> None:
    """Exactly 8,400 of 42,000, although no class of MNIST is divisible by 5."""
    labels = np.repeat(np.arange(10), [4132, 4684, 4177, 4351, 4072, 3795, 4137, 4401, 4063, 4188])
    ids = np.array([f"{i:016x}" for i in range(42_000)])
    assert choose_count(ids, labels, count=8400, purpose="confirm").sum() == 8400


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "2"], ("2", "9", "10")),
        (["07", "7.0", "8"], ("7", "8")),
        (["cat", "dog", "ant"], ("ant", "cat", "dog")),
        (["3", "b", "a"], ("3", "a", "b")),
        (["NA", "nan", "None"], ("NA", "None", "nan")),
    ],
)
def test_classes_are_the_sorted_labels(tmp_path: Path, labels: list[str], names: tuple[str, ...]) -> None:
    """Whole numbers are sorted by value, names alphabetically; a class may be called NA."""
    path = write(tmp_path / "t.csv", HEADER, *(rows(label) for label in labels))
    _, codes, found = read_table(path)
    assert found == names
    assert [found[code] for code in codes] == [label if label in names else label[-1:] if label == "07" else "7"
                                               for label in labels]  # fmt: skip


def test_whole_numbers_with_a_point(tmp_path: Path) -> None:
    """12.0 is read as 12; pandas writes it in columns with missing values."""
    images, _, _ = read_table(write(tmp_path / "t.csv", HEADER, rows(pixels="12.0,2,3,4"), rows(pixels="1,2,3,255.0")))
    assert images.reshape(2, 4).tolist() == [[12, 2, 3, 4], [1, 2, 3, 255]]


def test_names_survive_the_store(tmp_path: Path) -> None:
    """Class names are stored, and the digest depends on them."""
    pictures = ["1,2,3,4", "2,2,3,4", "3,2,3,4", "4,2,3,4", "5,2,3,4", "6,2,3,4"]
    lines = [rows("cat" if i % 2 else "dog", p) for i, p in enumerate(pictures)]
    named = load_table(write(tmp_path / "t.csv", HEADER, *lines), "t")
    save_dataset(named, tmp_path / "stored")
    assert read_dataset(tmp_path / "stored").class_names == ("cat", "dog")
    other = load_table(write(tmp_path / "u.csv", HEADER, *(line.replace("dog", "eel") for line in lines)), "t")
    assert other.digest != named.digest


def test_class_names_are_any_text(tmp_path: Path) -> None:
    """Letters of any script, spaces, commas and quotes are read back; composed and decomposed é are equal."""
    names = ("c+", "été, fin", 'say "four"', "x" * 100, "猫", "=1+1")
    labels = np.arange(36) % 6
    images = np.random.default_rng(3).integers(0, 256, (36, 2, 2, 1), dtype=np.uint8)
    write_table(tmp_path / "t.csv", images, labels, names)
    read_images, codes, found = read_table(tmp_path / "t.csv")
    assert found == tuple(sorted(names))
    assert [found[code] for code in codes] == [names[label] for label in labels]
    assert np.array_equal(read_images, images)
    path = write(tmp_path / "u.csv", HEADER, rows("caf\u00e9"), rows("cafe\u0301"), rows(" c+ "))
    assert read_table(path)[2] == ("c+", "caf\u00e9")


def test_digest_of_numbered_classes_is_as_it_was(tiny_dataset: Dataset) -> None:
    """Without class names other than numbers, the digest is that of earlier versions."""
    arrays = {key: getattr(tiny_dataset, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    named = [
        build_dataset("t", "t", **arrays, class_names=names).digest for names in (("0", "1", "2"), ("1", "0", "2"))
    ]
    assert named[0] == tiny_dataset.digest != named[1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        ([HEADER], "has a header and no rows"),
        (["pixel0,pixel1,pixel2,pixel3", "1,2,3,4"], "pixels and no labels, as in the test.csv of Kaggle"),
        (["digit,pixel0", "1,2"], "no column label; the first is called digit"),
        (["pixel0,label", "1,2"], "label is column 2, not the first"),
        (["label,pixel0,pixel1,pixel2", "1,2,3,4"], "has 3 pixel columns, which make no square image"),
        (["label", "1"], "has 0 pixel columns"),
        (["label,pixel0,pixel1,pixel1,pixel3", rows()], "column pixel1 is there twice"),
        (["label,pixel0,pixel2,pixel3,pixel4", rows()], "column pixel1 is missing"),
        (["label,pixel0,pixel2,pixel1,pixel3", rows()], "column pixel2 stands where pixel1 belongs"),
        (["label,pixel0,pixel1,pixel2,name", rows()], "a column name, which is no pixel"),
        ([HEADER, rows(), rows(pixels="1,2,0.5,4")], "pixel2 of row 2 is 0.5, not a whole number"),
        ([HEADER, rows(), rows(pixels="1,x,3,4")], "pixel1 of row 2 is x, not a whole number"),
        ([HEADER, rows(), rows(pixels="1,,3,4")], "pixel1 of row 2 is empty"),
        ([HEADER, rows(), rows(pixels="1,2,3")], "pixel3 of row 2 is empty"),
        ([HEADER, rows(), rows(pixels="1,nan,3,4")], "pixel1 of row 2 is nan"),
        ([HEADER, rows(), rows(pixels="1,256,3,4")], "run from 1 to 256, outside 0 to 255; the first such is pixel1"),
        ([HEADER, rows(), rows(pixels="1,True,3,4")], "pixel1 of row 2 is True"),
        ([HEADER, rows(), rows(pixels="1,-1,3,4")], "run from -1 to 4"),
        ([HEADER, rows(pixels="1,99999999999999999999,3,4")], "outside 0 to 255"),
        ([HEADER, rows(pixels="1,2,3,4,5")], "its header has 5 columns, the first row 6"),
        ([HEADER, rows(), rows(pixels="1,2,3,4,5")], "is damaged: Expected 5 fields in line 3, saw 6"),
        ([HEADER, rows(), rows(label="")], "the label of row 2 is empty"),
        ([HEADER, rows(), rows(label="a\x1b[31mb")], r"the label of row 2 is 'a\x1b[31mb'"),
        ([HEADER, rows(label='"a\nb"')], r"the label of row 1 is 'a\nb'"),
        ([HEADER, rows(label="a\u202eb")], "the label of row 1 is"),
        ([HEADER, rows(label="x" * 101)], f"the label of row 1 is '{'x' * 100}...'"),
        ([HEADER, rows(label="x" * 200_000)], "is damaged: field larger than field limit"),
        ([HEADER, rows(), rows(), rows(pixels="1,2,3,5")], "class 0 has 2 different image(s) in the 3 rows"),
        ([HEADER, *(rows(pixels=f"{n},2,3,4") for n in range(3))], "nothing can be confused"),
        ([HEADER, *(rows(f"c{i}") for i in range(1001))], "has 1,001 different labels"),
    ],
)
def test_bad_tables(tmp_path: Path, lines: list[str], message: str) -> None:
    """The error names the file and the place, and has a fix."""
    path = write(tmp_path / "bad.csv", *lines)
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(path))
    assert message in caught.value.message
    assert "bad.csv" in caught.value.message
    assert caught.value.fix


def test_bad_bytes(tmp_path: Path) -> None:
    """Not UTF-8, in the header or below; half a gzip; an archive of two tables; a folder that does not exist."""
    path = tmp_path / "bad.csv"
    for content in (f"{HEADER}\n\xe9,1,2,3,4\n".encode("latin-1"), f"{HEADER}\n{rows()}\n".encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="not UTF-8"):
            load_dataset(str(path))
    path.write_bytes(gzip.compress(f"{HEADER}\n{rows()}\n".encode())[:-9])
    with pytest.raises(DatasetError, match="damaged"):
        load_dataset(str(path))
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("train.csv", HEADER)
        archive.writestr("test.csv", HEADER)
    with pytest.raises(DatasetError, match=r"holds 2 CSV files \(train.csv, test.csv\)"):
        load_dataset(str(tmp_path / "two.csv.zip"))
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset(str(tmp_path / "none.csv"))


def test_draw_is_stratified_and_by_content(tiny_dataset: Dataset) -> None:
    """Rows are drawn from both parts; the choice does not depend on the order of the data."""
    images, labels = draw_rows(tiny_dataset, 100)
    assert sorted(np.bincount(labels)) == [33, 33, 34]
    everything, _ = draw_rows(tiny_dataset)
    assert len(everything) == 195
    d, order = tiny_dataset, np.random.default_rng(0).permutation(150)
    mixed = build_dataset("m", "m", x_train=d.x_train[order], y_train=d.y_train[order], x_test=d.x_test,
                          y_test=d.y_test)  # fmt: skip
    assert set(sample_ids(draw_rows(mixed, 100)[0])) == set(sample_ids(images))


@pytest.mark.parametrize("count", [0, 8, 196])
def test_impossible_draws(tiny_dataset: Dataset, count: int) -> None:
    """Too few rows for every class to be split, or more than there are."""
    with pytest.raises(BadInput, match="cannot be drawn"):
        draw_rows(tiny_dataset, count)


def test_write_refuses(tmp_path: Path, table: tuple[np.ndarray, np.ndarray]) -> None:
    """An existing file is not replaced; images that are not square are refused."""
    images, labels = table
    write_table(tmp_path / "t.csv", images, labels, NAMES)
    before = (tmp_path / "t.csv").read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        write_table(tmp_path / "t.csv", images[:10], labels[:10], NAMES)
    assert (tmp_path / "t.csv").read_bytes() == before
    with pytest.raises(BadInput, match="3x2 pixels"):
        write_table(tmp_path / "u.csv", images[:, :, :2], labels, NAMES)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["t.csv"]
