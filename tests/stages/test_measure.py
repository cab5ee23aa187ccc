"""The measure stage, from dataset to page and table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stages.test_report import made_up_dataset, put_experiment, put_run

from erroran.data import Dataset, build_dataset, load_dataset, split_dataset
from erroran.errors import NotFound
from erroran.experiment.change import Change, DataChange
from erroran.experiment.pair import Pair
from erroran.report.measure import closure_sentence, write_measurements
from erroran.results import to_plain
from erroran.shape.measure import MEASUREMENTS, closure_margin, measure, summarize_by_class
from erroran.stages.measure import measure_closure, measure_dataset, stored_readings
from erroran.store import Store
from erroran.store.evidence import Evidence


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = load_dataset("digits")
    return build_dataset(
        "some", "made here", x_train=whole.x_train[:400], y_train=whole.y_train[:400], x_test=whole.x_test[:50],
        y_test=whole.y_test[:50],
    )  # fmt: skip


def test_a_row_for_every_image_of_the_splits(digits: Dataset) -> None:
    measured = measure_dataset(digits, splits=("mine", "confirm"))
    assert measured.table["split"].value_counts().to_dict() == {"confirm": 50, "mine": 39}
    assert list(measured.table.columns) == ["sample_id", "split", "label", *MEASUREMENTS]
    confirm = measured.table[measured.table["split"] == "confirm"].reset_index(drop=True)
    assert confirm["sample_id"].tolist() == digits.test_ids.tolist()
    assert confirm["label"].tolist() == [digits.class_names[y] for y in digits.y_test]
    pd.testing.assert_frame_equal(confirm[list(MEASUREMENTS)], measure(digits.x_test))


def test_the_summary_is_the_table_summed_up(digits: Dataset) -> None:
    measured = measure_dataset(digits)
    summary = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    zeros = measured.table[measured.table["label"] == "0"]
    assert summary["classes"]["0"]["images"] == len(zeros)
    assert summary["classes"]["0"]["thickness_px"]["median"] == pytest.approx(zeros["thickness_px"].median())
    assert summary["classes"]["0"]["hole_row_px"]["missing"] == int(zeros["hole_row_px"].isna().sum())
    assert (summary["ink"], summary["splits"]) == ("bright", {"mine": 39})
    quartiles = [zeros["area_px2"].quantile(q) for q in (0.25, 0.75)]
    assert [summary["classes"]["0"]["area_px2"][key] for key in ("q25", "q75")] == pytest.approx(quartiles)
    assert summary["classes"]["0"]["area_px2"]["sd"] == pytest.approx(zeros["area_px2"].std(ddof=1))


def test_a_class_without_images_has_no_mean() -> None:
    """Counts of 0 and nulls, not a missing key; a single image has no deviation."""
    table = measure(np.pad(np.full((1, 8, 4), 255, np.uint8), ((0, 0), (4, 4), (4, 4)))).assign(label="a")
    summary = to_plain(summarize_by_class(table, ("a", "b")))
    assert summary["b"] == {"images": 0} | {
        key: {"missing": 0, **dict.fromkeys(("mean", "sd", "q25", "median", "q75"))} for key in MEASUREMENTS
    }
    assert (summary["a"]["images"], summary["a"]["holes"]["mean"], summary["a"]["holes"]["sd"]) == (1, 0, None)
    assert (summary["a"]["hole_row_px"]["missing"], summary["a"]["hole_row_px"]["median"]) == (1, None)


def test_a_run_of_any_treatment_is_no_reading(tmp_path: Path) -> None:
    """Runs with operations, weights or other data are not baseline runs."""
    dataset = made_up_dataset()
    store, group = put_experiment(tmp_path / "store")
    for change in (Change(class_weights={"0": 2.0}), Change(data=DataChange(leave_out=(str(dataset.train_ids[0]),)))):
        put_run(store, dataset, group.run_spec(0, change), "x", mine={}, confirm={})
    (mined,) = stored_readings(store, dataset)
    assert mined.seeds == [0, 1, 2, 1000, 1001, 1002]


def test_dark_ink_is_noticed(digits: Dataset) -> None:
    inverted = build_dataset(
        "dark", "made here", x_train=255 - digits.x_train, y_train=digits.y_train, x_test=255 - digits.x_test,
        y_test=digits.y_test,
    )  # fmt: skip
    measured = measure_dataset(inverted, splits=("confirm",))
    assert measured.ink == "dark"
    assert np.array_equal(measured.table["holes"], measure(digits.x_test)["holes"])


def test_page_table_and_summary_are_written(digits: Dataset, tmp_path: Path) -> None:
    measured = measure_dataset(digits)
    page, table = write_measurements(measured, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(table), measured.table, check_dtype=False)
    text = page.read_text()
    assert all(f"`{name}`" in text for name in MEASUREMENTS)
    assert "39 images (mine 39), bright ink" in text
    assert (tmp_path / "morphometry" / "by-class.png").stat().st_size < 100_000
    assert json.loads((tmp_path / "morphometry" / "summary.json").read_text()) == measured.to_json()


def test_a_measurement_that_no_image_has_is_drawn_empty(tmp_path: Path) -> None:
    """Bars have no loop, so no closure margin and no position of a hole; the page is still written."""
    images = np.zeros((24, 12, 12, 1), dtype=np.uint8)
    for i, image in enumerate(images):
        image[2 : 5 + i % 5, 2 + i // 5 : 4 + i // 5] = 255
    bars = build_dataset(
        "bars", "made here", x_train=images[:20], y_train=np.arange(20) % 2, x_test=images[20:], y_test=np.arange(4) % 2
    )
    closures = measure_closure(bars, Pair("0", "1"), [], mine_fraction=0.5)
    assert closures[0].without_loop == closures[0].images
    page, _ = write_measurements(measure_dataset(bars, mine_fraction=0.5), tmp_path, closures)
    assert "(100 %)" in page.read_text()


def test_without_pyarrow_the_table_is_csv(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pandas.io.parquet.get_engine", _no_engine)
    measured = measure_dataset(digits)
    _, table = write_measurements(measured, tmp_path)
    assert table.name == "measurements.csv"
    assert len(pd.read_csv(table)) == 39


def _no_engine(engine: str) -> None:
    raise ImportError(engine)


# --- closure margins and errors


def _rings_and_gaps() -> Dataset:
    """Rings of 2 px strokes: class 0 with a gap of 2, 4 or 6 px, class 1 closed; class 2 is bars, without any loop."""
    labels = np.repeat([0, 1, 2], 30)
    images = np.zeros((90, 28, 28), dtype=np.uint8)
    for i, label in enumerate(labels):
        top, left = 4 + i % 5, 4 + i // 5 % 6
        images[i, top : top + 14, left : left + 14 if label != 2 else left + 2] = 255
        if label != 2:
            images[i, top + 2 : top + 12, left + 2 : left + 12] = 0
        if label == 0:
            gap = 2 + 2 * (i % 3)
            images[i, top : top + 2, left + 7 - gap // 2 : left + 7 + gap // 2] = 0
        images[i, 0, 0] = i // 3
    return build_dataset("rings", "made here", x_train=images, y_train=labels, x_test=images[::3], y_test=labels[::3])


def _reading(dataset: Dataset, wrong: list[np.ndarray]) -> Evidence:
    """Runs that predict all of `mine` correctly, except some 0s, given by their gap, as 1."""
    mined = split_dataset(dataset, mine_fraction=0.5).mine
    probabilities = np.tile(np.eye(3, dtype=np.float32)[mined.y], (len(wrong), 1, 1))
    for run, rows in zip(probabilities, wrong, strict=True):
        run[rows] = [0.2, 0.7, 0.1]
    return Evidence(
        runs=(), split="mine", images=mined.x, labels=mined.y, ids=mined.ids, probabilities=probabilities,
        class_names=dataset.class_names,
    )  # fmt: skip


def test_closure_tells_classes_and_errors() -> None:
    """The margin separates open from closed; the 0s that are read as 1 have the narrowest gaps: AUC 1 for both."""
    rings = _rings_and_gaps()
    mined = split_dataset(rings, mine_fraction=0.5).mine
    zeros = np.flatnonzero(mined.y == 0)
    margins = closure_margin(mined.x[zeros])
    nearest = zeros[np.argsort(margins, kind="stable")[:3]]
    (found,) = measure_closure(rings, Pair("0", "1"), [_reading(rings, [nearest[:2], nearest[1:]])], mine_fraction=0.5)
    assert (found.classes.auc, found.classes.marked, found.classes.others) == (1, len(zeros), (mined.y == 1).sum())
    assert np.allclose(found.margins["0"], margins)
    forward, anything, reverse, _ = found.outcomes
    assert (forward.true, forward.predicted, forward.errors_by_run) == ("0", "1", [2, 2])
    tied = np.sort(margins)
    others_as_near = (tied == tied[2]).sum() - 3
    expected = 1 - others_as_near / (2 * (len(zeros) - 3))
    assert (forward.signed.marked, forward.signed.auc, forward.unsigned.auc) == (3, *[pytest.approx(expected)] * 2)
    assert (anything.predicted, anything.signed) == ("", forward.signed)
    assert (reverse.signed.marked, reverse.signed.auc) == (0, None)
    assert found.misread["0"].sum() == 3
    assert found.trends["0"].rho > 0


def test_the_sign_follows_the_classes() -> None:
    """With the pair reversed, the results of each class are the same: errors lie on the other class's side."""
    rings = _rings_and_gaps()
    mined = split_dataset(rings, mine_fraction=0.5).mine
    reading = _reading(rings, [np.flatnonzero(mined.y == 0)[:2]])
    (one,), (other,) = (measure_closure(rings, Pair(*p), [reading], mine_fraction=0.5) for p in ("01", "10"))
    assert one.outcomes[:2] == other.outcomes[2:]
    assert (one.classes.auc, other.classes.auc) == (1, 0)


def test_no_loop_is_farther_open_than_any_gap() -> None:
    """Bars have no margin; they count as open, and not as missing."""
    (found,) = measure_closure(_rings_and_gaps(), Pair("2", "0"), [], mine_fraction=0.5)
    assert np.isinf(found.margins["2"]).all()
    assert found.classes.auc == 1
    assert (found.outcomes, found.seeds, found.trends) == ([], [], {})


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(NotFound, match="class `7`"):
        measure_closure(_rings_and_gaps(), Pair("0", "7"), [])


def test_stored_runs_are_found(tmp_path: Path, tiny_dataset: Dataset) -> None:
    """Baseline runs of every seed on `mine`, no treatment; out of fold once all folds are there; none of other data."""
    dataset = made_up_dataset()
    store, group = put_experiment(tmp_path / "store")
    (mined,) = stored_readings(store, dataset)
    assert mined.seeds == [0, 1, 2, 1000, 1001, 1002]
    for seed in group.seeds:
        put_run(store, dataset, group.run_spec(seed, fold=(0, 2)), "out-of-fold", mine={}, confirm={})
    assert len(stored_readings(store, dataset)) == 1
    for seed in group.seeds:
        put_run(store, dataset, group.run_spec(seed, fold=(1, 2)), "out-of-fold", mine={(0, 1): [0]}, confirm={})
    again, whole = stored_readings(store, dataset)
    assert np.array_equal(again.predicted, mined.predicted)
    assert (whole.split, whole.predicted.shape) == ("train", (3, len(dataset.y_train)))
    assert ((whole.labels == 0) & (whole.predicted == 1)).sum(axis=1).tolist() == [1, 1, 1]
    assert stored_readings(store, tiny_dataset) == []
    assert stored_readings(Store(tmp_path / "empty"), dataset) == []


def test_the_page_with_a_pair(digits: Dataset, tmp_path: Path) -> None:
    """A section with its sentence and figure; without runs it says so; the JSON is strict."""
    measured = measure_dataset(digits)
    closures = measure_closure(digits, Pair("4", "9"), [])
    page, _ = write_measurements(measured, tmp_path, closures)
    text = page.read_text()
    assert closure_sentence(closures[0]) in text
    assert "No stored baseline run has predicted these images" in text
    assert (tmp_path / "morphometry" / "closure-4to9-mine.png").stat().st_size < 100_000
    (written,) = json.loads((tmp_path / "morphometry" / "closure.json").read_text())
    assert written == json.loads(json.dumps(closures[0].to_json(), allow_nan=False))
