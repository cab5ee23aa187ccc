"""The same verdict from arrays, data frames and files; and the examples in the docstrings run."""

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erroran import api
from erroran.errors import BadInput, DatasetError, NotFound

LABELS = np.repeat([0, 1, 2], 40)
NAMES = ["cat", "dog", "emu"]


def runs_with(*n_errors: int) -> np.ndarray:
    """One run per number: that many cats are read as dogs."""
    runs = np.tile(LABELS, (len(n_errors), 1))
    for run, wrong in zip(runs, n_errors, strict=True):
        run[:wrong] = 1
    return runs


BEFORE, AFTER = runs_with(10, 11, 12, 11), runs_with(1, 2, 3, 2)


def frames_of(runs: np.ndarray) -> list[pd.DataFrame]:
    named = np.array(NAMES)
    ids = [f"image {row}" for row in range(len(LABELS))]
    return [pd.DataFrame({"sample_id": ids, "label": named[LABELS], "prediction": named[run]}) for run in runs]


def test_the_examples_run() -> None:
    assert doctest.testmod(api).failed == 0
    assert doctest.testmod(api).attempted >= 10


def test_arrays_frames_and_files_agree(tmp_path: Path) -> None:
    before, after = frames_of(BEFORE), frames_of(AFTER)
    for arm, frames in (("before", before), ("after", after)):
        for at, frame in enumerate(frames):
            frame.sample(frac=1, random_state=at).to_csv(tmp_path / f"{arm}{at}.csv", index=False)
    patterns = [str(tmp_path / "before*"), str(tmp_path / "after*")]
    results = [
        api.diff(BEFORE, AFTER, labels=LABELS, class_names=NAMES, pair="cat:dog"),
        api.diff(before, after, pair="cat:dog"),
        api.diff([patterns[0]], patterns[1], pair="cat:dog"),
    ]
    plain = [result.to_json() | {"files": None} for result in results]
    assert plain[0]["verdict"] == "improved"
    assert plain[0] == plain[1] == plain[2]


def test_probabilities_are_read_by_their_argmax() -> None:
    def spread(runs: np.ndarray) -> np.ndarray:
        return np.eye(3)[runs] * 0.7 + 0.1

    expected = api.diff_arrays(LABELS, BEFORE, AFTER, pair="0:1").to_json()
    assert api.diff_arrays(LABELS, spread(BEFORE), spread(AFTER), pair="0:1").to_json() == expected


def test_class_names_only_rename() -> None:
    plain = api.diff_arrays(LABELS, BEFORE, AFTER, pair="0:1")
    named = api.diff_arrays(LABELS, BEFORE, AFTER, pair="zebra:ant", class_names=["zebra", "ant", "moth"])
    assert named.pair == "zebra:ant"
    assert (named.word, named.p_value) == (plain.word, plain.p_value)
    assert named.verdict.primary.effect == plain.verdict.primary.effect


def test_one_run_may_be_flat_and_one_frame_alone() -> None:
    flat = api.diff(BEFORE[0], AFTER[0], labels=LABELS, pair="0:1")
    alone = api.diff(frames_of(BEFORE)[0], frames_of(AFTER)[0], pair="cat:dog")
    assert flat.p_value == alone.p_value == pytest.approx(2 * 0.5**9 / 2)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(DatasetError, match=r"before has shape \(4, 119\) for 120 labels"):
        api.diff_arrays(LABELS, BEFORE[:, 1:], AFTER)
    with pytest.raises(DatasetError, match=r"labels have shape \(1, 120\)"):
        api.diff_arrays(LABELS[None], BEFORE, AFTER)
    with pytest.raises(DatasetError, match=r"after has shape \(0, 120\)"):
        api.diff_arrays(LABELS, BEFORE, AFTER[:0])
    with pytest.raises(DatasetError, match=r"before\[0\]: prediction holds 1.5"):
        api.diff_arrays(LABELS, BEFORE + 0.5, AFTER)
    with pytest.raises(DatasetError, match=r"after has no data frames"):
        api.diff_frames(frames_of(BEFORE), [])
    with pytest.raises(DatasetError, match=r"before\[1\] has no column label"):
        api.diff_frames([frames_of(BEFORE)[0], frames_of(BEFORE)[1].drop(columns="label")], frames_of(AFTER))
    with pytest.raises(NotFound, match=r"class `bee`, which is not among the classes \(cat, dog, emu\)"):
        api.diff_frames(frames_of(BEFORE), frames_of(AFTER), pair="cat:bee")


def test_forms_that_do_not_go_together() -> None:
    with pytest.raises(BadInput, match="ndarray and ndarray without labels"):
        api.diff(BEFORE, AFTER)
    with pytest.raises(BadInput, match="class_names were given without labels"):
        api.diff("a.csv", "b.csv", class_names=NAMES)
    with pytest.raises(BadInput, match="list and str without labels"):
        api.diff(frames_of(BEFORE), "b.csv")


def test_a_pair_of_indices_is_read_like_the_arrays() -> None:
    """Whole numbers are classes, or with class_names indices into them, in the order given."""
    assert api.diff(BEFORE, AFTER, labels=LABELS, pair=(0, 1)).pair == "0:1"
    names = ["zebra", "ant", "moth"]
    assert api.diff(BEFORE, AFTER, labels=LABELS, pair=(0, 1), class_names=names).pair == "zebra:ant"
    digits = ["7", "8", "9"]
    numbered = np.array([7, 8, 9])
    found = api.diff(numbered[BEFORE], numbered[AFTER], labels=numbered[LABELS], pair=(7, 8), class_names=digits)
    assert found.pair == "7:8"
    with pytest.raises(BadInput):
        api.diff(BEFORE, AFTER, labels=LABELS, pair=(0, 5), class_names=names)


def test_a_result_prints_as_one_line() -> None:
    """No arrays in a notebook."""
    result = api.diff(BEFORE, AFTER, labels=LABELS, pair="0:1")
    assert repr(result) == str(result) == f"<DiffResult 0:1: {result.sentence}>"


def test_ragged_lists_are_named() -> None:
    """NumPy's message alone would not say which."""
    with pytest.raises(DatasetError, match="after is not an array"):
        api.diff_arrays([0, 1], [[0, 1]], [[0, 1], [0]])
