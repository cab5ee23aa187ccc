"""The measure stage, from dataset to page and table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erroran.data import Dataset, build_dataset, load_dataset
from erroran.morphometry import MEASUREMENTS, measure
from erroran.reporting.measure_report import write_measurements
from erroran.stages.measure import measure_dataset


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


def test_without_pyarrow_the_table_is_csv(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pandas.io.parquet.get_engine", _no_engine)
    measured = measure_dataset(digits)
    _, table = write_measurements(measured, tmp_path)
    assert table.name == "measurements.csv"
    assert len(pd.read_csv(table)) == 39


def _no_engine(engine: str) -> None:
    raise ImportError(engine)
