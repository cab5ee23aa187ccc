"""``reports/morphometry.md``: the shape of the ink, class by class, and the table behind it."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran.errors import Unavailable
from erroran.morphometry import MEASUREMENTS
from erroran.reporting import figures
from erroran.reporting.render import render, write_document

if TYPE_CHECKING:
    import pandas as pd

    from erroran.stages.measure import Measured


def write_measurements(measured: "Measured", folder: Path) -> tuple[Path, Path]:
    """Write the figure page, its JSON summary, and the table (Parquet; CSV where pyarrow is missing).

    Returns:
        The paths of the page and of the table.
    """
    summary = measured.to_json()
    by_class = {
        key: [measured.table.loc[measured.table["label"] == name, key].dropna().to_numpy(dtype=float) for name in
              measured.class_names]
        for key in MEASUREMENTS
    }  # fmt: skip
    beside = folder / "morphometry"
    table = _write_table(measured.table, beside)
    page = write_document(
        folder,
        "morphometry",
        render("measure.md.j2", summary=summary, table=table.name),
        figures={"by-class": figures.boxes_by_class(by_class, measured.class_names)},
        data={"summary": summary},
    )
    return page, table


def _write_table(table: "pd.DataFrame", folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            path = folder / "measurements.parquet"
            table.to_parquet(path, index=False, engine="pyarrow")
        except ImportError:
            path = folder / "measurements.csv"
            table.to_csv(path, index=False)
    except OSError as error:
        raise Unavailable(
            f"The table in {folder} cannot be written: {error.strerror}.", fix="check the folder ./reports"
        ) from error
    return path
