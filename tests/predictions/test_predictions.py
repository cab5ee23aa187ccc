"""Prediction files: what they may look like, what they may not, and that order never matters."""

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erroran.errors import BadInput, DatasetError
from erroran.predictions import PredictionSet, align_runs, expand_files, read_arms, read_predictions, run_from_frame

HEADER = "sample_id,label,prediction\n"
WITH_P = "sample_id,label,p_0,p_1\n"
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a text file and give its name, which the working folder makes short."""
    monkeypatch.chdir(tmp_path)

    def write_text(content: str, name: str = "run.csv") -> str:
        Path(name).write_text(content, encoding="utf-8")
        return name

    return write_text


def same(one: PredictionSet, other: PredictionSet) -> None:
    assert one.class_names == other.class_names
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.predicted, other.predicted)
    if one.probabilities is None:
        assert other.probabilities is None
    else:
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


# --- what is read


def test_a_small_file_by_hand(write: Write) -> None:
    found = read_predictions(write(HEADER + "s10,9,4\ns2,4,4\n"))
    assert found.class_names == ("4", "9")
    assert found.ids.tolist() == ["s2", "s10"]
    assert found.labels.tolist() == [0, 1]
    assert found.predicted.tolist() == [[0, 0]]
    assert found.probabilities is None
    assert found.files == ("run.csv",)
    assert (found.labels.dtype, found.predicted.dtype, found.ids.dtype.kind) == (np.int64, np.int64, "U")


def test_spellings_of_a_number_are_one_class(write: Write) -> None:
    found = read_predictions(write(HEADER + "a,4,4.0\nb,04, 4\nc,10,4.\n"))
    assert found.class_names == ("4", "10")
    assert found.predicted.tolist() == [[0, 0, 0]]


def test_names_are_sorted_as_text_unless_all_are_numbers(write: Write) -> None:
    assert read_predictions(write(HEADER + "a,b10,b9\nb,b9,b9\n")).class_names == ("b10", "b9")
    assert read_predictions(write(HEADER + "a,10,9\nb,-1,9\n")).class_names == ("-1", "9", "10")


def test_na_and_none_may_be_classes(write: Write) -> None:
    assert read_predictions(write(HEADER + "a,NA,None\n")).class_names == ("NA", "None")


def test_a_class_may_be_predicted_that_no_label_has(write: Write) -> None:
    found = read_predictions(write(HEADER + "a,1,7\n"))
    assert found.class_names == ("1", "7")
    assert found.predicted.tolist() == [[1]]


def test_probabilities_alone_give_their_argmax_and_ties_the_first_class(write: Write) -> None:
    text = "sample_id,label,p_10,p_9,p_2\na,9,.2,.7,.1\nb,2,.5,.5,0\n"
    found = read_predictions(write(text))
    assert found.class_names == ("2", "9", "10")
    assert found.predicted.tolist() == [[1, 1]]
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities[0], [[0.1, 0.7, 0.2], [0, 0.5, 0.5]], rtol=1e-6)


def test_a_prediction_counts_even_against_the_argmax(write: Write) -> None:
    found = read_predictions(write("sample_id,label,prediction,p_0,p_1\na,0,1,.6,.4\n"))
    assert found.predicted.tolist() == [[1]]


def test_probabilities_need_every_run(write: Write) -> None:
    files = [write(WITH_P + "a,0,1,0\n", "one.csv"), write(HEADER + "a,0,0\n", "two.csv")]
    assert read_predictions(files).probabilities is None
    assert read_predictions(files[0]).probabilities is not None
    assert read_predictions(files[0], probabilities=False).probabilities is None


def test_a_class_without_a_column_in_one_run_has_probability_zero(write: Write) -> None:
    files = [write(WITH_P + "a,0,1,0\n", "one.csv"), write("sample_id,label,p_0,p_5\na,0,.5,.5\n", "two.csv")]
    found = read_predictions(files)
    assert found.class_names == ("0", "1", "5")
    assert found.probabilities is not None
    assert found.probabilities.tolist() == [[[1, 0, 0]], [[0.5, 0, 0.5]]]


def test_other_columns_blank_lines_and_byte_order_marks_do_not_matter(write: Write) -> None:
    plain = read_predictions(write(HEADER + "a,1,2\nb,2,2\n"))
    odd = "\ufeffnote,prediction, sample_id,label\n\nx;y,2, a,1\n\n,2,b,2\n"
    same(plain, read_predictions(write(odd)))


def frame_of_three() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": [11, 7, 100],
            "label": [0, 2, 1],
            "prediction": [0, 1, 1],
            "p_0": [0.75, 0.25, 0.0],
            "p_1": [0.125, 0.5, 1.0],
            "p_2": [0.125, 0.25, 0.0],
        }
    )


def test_csv_gz_and_npz_agree_with_csv(tmp_path: Path) -> None:
    frame = frame_of_three()
    columns = {str(name): frame[name].to_numpy() for name in frame}
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    np.savez(tmp_path / "columns.npz", **columns)
    matrix = frame[["p_0", "p_1", "p_2"]].to_numpy()
    plain = {name: columns[name] for name in ("sample_id", "label", "prediction")}
    np.savez(tmp_path / "matrix.npz", probabilities=matrix, **plain)
    expected = read_predictions(tmp_path / "a.csv")
    assert expected.ids.tolist() == ["7", "11", "100"]
    for name in ("a.csv.gz", "columns.npz", "matrix.npz"):
        same(expected, read_predictions(tmp_path / name))
    same(expected, align_runs([[run_from_frame("frame", frame)]])[0])
    same(expected, align_runs([[run_from_frame("frame", frame.set_index("sample_id"))]])[0])


@pytest.mark.parametrize("as_index", [False, True])
def test_parquet_agrees_with_csv(tmp_path: Path, *, as_index: bool) -> None:
    pytest.importorskip("pyarrow")
    frame = frame_of_three()
    frame.to_csv(tmp_path / "a.csv", index=False)
    (frame.set_index("sample_id") if as_index else frame).to_parquet(tmp_path / "a.parquet")
    same(read_predictions(tmp_path / "a.csv"), read_predictions(tmp_path / "a.parquet"))


def test_integers_beside_text_class_names_are_indices(tmp_path: Path) -> None:
    arrays = {"sample_id": [1, 2], "label": [0, 1], "class_names": ["dog", "cat"]}
    np.savez(tmp_path / "a.npz", probabilities=[[0.5, 0.5], [0.25, 0.75]], **arrays)
    found = read_predictions(tmp_path / "a.npz")
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [1, 0]
    # A tie goes to the first class in class order, whatever the order of columns.
    assert found.predicted.tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", [str, "S", object])
def test_every_type_of_column_is_read_alike(kind: object) -> None:
    frame = frame_of_three()
    expected = align_runs([[run_from_frame("plain", frame)]])[0]
    changed = {str(name): frame[name].to_numpy() for name in frame}
    for name in ("sample_id", "label", "prediction"):
        values = changed[name].astype(str)
        changed[name] = values.astype(kind)  # type: ignore[call-overload]
    same(expected, align_runs([[run_from_frame("changed", pd.DataFrame(changed))]])[0])
    floats = frame.astype({"sample_id": float, "label": float, "prediction": "category"})
    same(expected, align_runs([[run_from_frame("floats", floats)]])[0])


# --- which files


def test_patterns_overlap_and_sort_by_number(write: Write) -> None:
    for number in (10, 2, 1):
        write(HEADER + "a,1,1\n", f"b{number}.csv")
    assert [str(path) for path in expand_files(["b*.csv", "b2.csv", "b?.csv"])] == ["b1.csv", "b2.csv", "b10.csv"]


def test_an_existing_name_with_brackets_is_a_name(write: Write) -> None:
    assert expand_files(write(HEADER + "a,1,1\n", "b[1].csv")) == [Path("b[1].csv")]


def test_patterns_reach_into_folders(write: Write) -> None:
    Path("x/y").mkdir(parents=True)
    write(HEADER, "x/y/b.csv")
    assert expand_files("**/*.csv") == [Path("x/y/b.csv")]


@pytest.mark.parametrize(
    ("files", "message", "fix"),
    [
        ([], "no files were given", "at least one"),
        (["c*.csv"], r"no file matches c\*.csv", "ls ."),
        (["befor.csv"], "there is no file befor.csv", "did you mean before.csv"),
        (["zzz.csv"], "there is no file zzz.csv", "check the path"),
        (["before.csv", "./before.csv"], "the same file", "once"),
        (["folder"], "folder is a folder", r"'folder/\*.csv'"),
        (["notes.txt"], "ends in .txt; prediction files end in .csv", "export"),
    ],
)
def test_files_that_are_not_there(write: Write, files: list[str], message: str, fix: str) -> None:
    write(HEADER, "before.csv")
    write("", "notes.txt")
    Path("folder").mkdir()
    with pytest.raises(DatasetError, match=message) as caught:
        expand_files(files)
    assert caught.match(message)
    assert re.search(fix, caught.value.fix)


def test_a_link_is_the_same_file(write: Write) -> None:
    Path("two.csv").symlink_to(write(HEADER + "a,1,1\n", "one.csv"))
    with pytest.raises(DatasetError, match="the same file"):
        expand_files(["one.csv", "two.csv"])


def test_no_file_is_in_both_arms(write: Write) -> None:
    write(HEADER + "a,1,1\n", "one.csv")
    write(HEADER + "a,1,1\n", "two.csv")
    with pytest.raises(BadInput, match=r"one\.csv would be in both arms"):
        read_arms("*.csv", "one.csv")


# --- what is refused


@pytest.mark.parametrize(
    ("content", "message", "fix"),
    [
        ("", "is empty", "again"),
        ("\n\n", "is empty", "again"),
        (HEADER, "is empty", "again"),
        ("id,Label,pred\n1,2,3\n", "no column sample_id; it has id, Label, pred", "did you mean id?"),
        ("sample_id,labl,prediction\n1,2,3\n", "no column label; it has", "did you mean labl?"),
        ("sample_id,label,y_pred\n1,2,3\n", "no column prediction (or", "did you mean y_pred?"),
        ("sample_id,label,note\n1,2,3\n", "no column prediction (or", "add a column prediction"),
        ("sample_id;label;prediction\n1;2;3\n", "no column sample_id", "by commas"),
        ("sample_id,label,label,prediction\na,1,1,1\n", "column label is there twice", "keep one"),
        (HEADER + "a,1,1\nb,1,2\na,1,2\n", "sample_id a is there more than once", "one row per sample"),
        (HEADER + "a,1,1\n,1,2\n", "sample_id is missing in row 2", "an id"),
        (HEADER + "a,1,1\nb,,2\n", "label is missing for 1 of 2 samples, such as b", "leave those"),
        (HEADER + "a,1,nan\nb,1,1\n", "prediction is missing for 1 of 2 samples, such as a", "leave"),
        (HEADER + "a,1,1\nb,1\n", "prediction is missing for 1 of 2", "give every"),
        (HEADER + "a,1,0.3\n", "prediction holds 0.3", "p_<class>"),
        (HEADER + "a,1,cat\nb,2,dog\n", "labels are 1, 2, but predictions are cat, dog", "same class"),
        (HEADER + "x,a,1,1\nb,1,1\n", "header has 3 fields, the row below 4", "again"),
        (HEADER + "a,1,1\nx,b,1,1\n", "Expected 3 fields in line 3, saw 4", "again"),
        (HEADER + '"a,1,1\n', "is damaged: EOF inside string", "again"),
        (HEADER + "".join(f"{n},{n},{n}\n" for n in range(1001)), "label has 1,001 different", "check"),
        (WITH_P + "a,0,1,0\nb,0,0.7,0.2\n", "1 of 2 samples do not sum to 1, such as", "all classes"),
        (WITH_P + "a,0,-3,4\n", "do not lie in 0 to 1, such as those of sample_id a: -3 to 4", "softmax"),
        (WITH_P + "a,0,40,60\n", "do not lie in 0 to 1", "softmax"),
        (WITH_P + "a,0,,1\n", "are not all there", "every class"),
        (WITH_P + "a,0,x,1\n", "is not a number", "0 to 1"),
        (WITH_P + "a,2,1,0\n", "no column p_2, but 2 is a label", "p_2"),
        ("sample_id,label,p_0,p_0.0\na,0,1,0\n", "two columns of probabilities belong to one", "keep"),
        ("sample_id,label,p_0,p_0\na,0,1,0\n", "column p_0 is there twice", "keep"),
    ],
)
def test_content_that_cannot_be_used(write: Write, content: str, message: str, fix: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_predictions(write(content))
    assert message in caught.value.message
    assert "run.csv" in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize("name", ["run.npz", "run.csv.gz"])
def test_a_file_that_is_not_what_its_name_says(write: Write, name: str) -> None:
    with pytest.raises(DatasetError, match="is damaged"):
        read_predictions(write(HEADER + "a,1,1\n", name))
    with pytest.raises(DatasetError, match="is empty"):
        read_predictions(write("", name))


def test_cut_off_archives(tmp_path: Path) -> None:
    content = gzip.compress((HEADER + "a,1,1\n" * 1000).encode())
    (tmp_path / "a.csv.gz").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "whole.npz", sample_id=np.arange(99), label=np.arange(99), prediction=np.arange(99))
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    for name in ("a.csv.gz", "a.npz"):
        with pytest.raises(DatasetError, match="is damaged"):
            read_predictions(tmp_path / name)


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + b"caf\xe9,1,1\n")
    with pytest.raises(DatasetError, match="is damaged"):
        read_predictions(tmp_path / "a.csv")


def test_parquet_without_pyarrow_names_the_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match="needs pyarrow") as caught:
        read_predictions(write("", "a.parquet"))
    assert caught.value.fix == "pip install 'erroran[parquet]'"


def test_damaged_parquet(write: Write) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DatasetError, match="is damaged"):
        read_predictions(write("nothing", "a.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, "no column label"),
        ({"prediction": None}, "no column prediction"),
        ({"label": [0]}, "lengths disagree: sample_id 2, label 1"),
        ({"label": [[0, 1]]}, "label has shape (1, 2)"),
        ({"label": np.array([0, "x"], dtype=object)}, "label holds Python objects"),
        ({"probabilities": [[1, 0], [0, 1]], "p_0": [1, 0]}, "has both probabilities and p_0"),
        ({"probabilities": [[1, 0], [0, 1]], "class_names": ["1"]}, "1 class_names for 2 columns"),
        ({"label": [0, 7], "class_names": ["a", "b"]}, "label goes from 0 to 7, but there are 2"),
        ({"sample_id": [1.0, np.nan]}, "sample_id is missing in row 2"),
        ({"label": [0.0, np.nan]}, "label is missing for 1 of 2"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path: Path, change: dict[str, object], message: str) -> None:
    arrays = {"sample_id": [1, 2], "label": [0, 1], "prediction": [0, 1]} | change
    np.savez(tmp_path / "a.npz", **{key: np.array(value) for key, value in arrays.items() if value is not None})
    with pytest.raises(DatasetError) as caught:
        read_predictions(tmp_path / "a.npz")
    assert message in caught.value.message


def test_an_npy_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(DatasetError, match="one array, not an archive"):
        read_predictions(tmp_path / "a.npz")


# --- several files


@pytest.mark.parametrize(
    ("second", "messages"),
    [
        ("a,1,1\nc,2,2\n", ["two.csv lacks 1 of the 3 ids of one.csv, such as b"]),
        ("a,1,1\nb,1,1\nc,2,2\nd,2,2\n", ["one.csv lacks 1 of the 4 ids of two.csv, such as d"]),
        ("a,1,1\nb,1,1\nd,2,2\n", ["two.csv lacks 1 of the 3", "such as c; one.csv lacks", "such as d"]),
        ("x,1,1\ny,1,1\n", ["have no sample_id in common: such as a and x"]),
        ("a,1,1\nb,2,1\nc,2,2\n", ["1 of 3 samples: sample_id b is 1 in one.csv and 2 in two.csv"]),
    ],
)
def test_files_that_disagree(write: Write, second: str, messages: list[str]) -> None:
    files = [write(HEADER + "a,1,1\nb,1,1\nc,2,2\n", "one.csv"), write(HEADER + second, "two.csv")]
    for read in (lambda: read_predictions(files), lambda: read_arms(files[0], files[1])):
        with pytest.raises(DatasetError) as caught:
            read()
        assert all(message in caught.value.message for message in messages), caught.value.message


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_rows_and_columns_never_matters(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    classes = st.sampled_from(["4", "9", "10", "cat"])
    labels = data.draw(st.lists(classes, min_size=n, max_size=n))
    runs = [
        pd.DataFrame(
            {
                "sample_id": [f"s{row}" for row in range(n)],
                "label": labels,
                "prediction": data.draw(st.lists(classes.filter(str.isdigit), min_size=n, max_size=n)) or labels,
            }
        ).assign(prediction=lambda frame: frame["prediction"].where(frame.index % 2 == 0, frame["label"]))
        for _ in range(3)
    ]

    def read(frames: list[pd.DataFrame]) -> list[PredictionSet] | str:
        try:
            arms = [[run_from_frame(f"run {at}", frame) for at, frame in enumerate(frames)]]
            return align_runs([*arms, arms[0][:1]])
        except DatasetError as error:
            return error.message

    def shuffle(frame: pd.DataFrame) -> pd.DataFrame:
        rows = data.draw(st.permutations(range(n)))
        return frame.iloc[rows][data.draw(st.permutations(list(frame.columns)))]

    plain, shuffled = read(runs), read([shuffle(frame) for frame in runs])
    if isinstance(plain, str) or isinstance(shuffled, str):
        assert isinstance(plain, str)
        assert isinstance(shuffled, str)
        return
    for one, other in zip(plain, shuffled, strict=True):
        same(one, other)


def test_different_classes_in_each_file_become_one_set(write: Write) -> None:
    files = [write(HEADER + "a,4,9\n", "one.csv"), write(HEADER + "a,4,cat\n", "two.csv")]
    with pytest.raises(DatasetError, match="labels are 4, but predictions are cat"):
        read_predictions(files)
    files = [write(HEADER + "a,x,y\n", "one.csv"), write(HEADER + "a,x,b\n", "two.csv")]
    found = read_predictions(files)
    assert found.class_names == ("b", "x", "y")
    assert found.predicted.tolist() == [[2], [0]]
