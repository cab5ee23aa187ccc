"""Time to load a table in Kaggle's layout, against pandas alone.

``python -m erroran.benchmarks.table`` writes 42,000 rows x 785 columns, loads them alternately, and prints a Markdown
table. ``--dataset`` names the images; fewer than 42,000 are repeated, each copy with another value of one pixel.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from erroran.benchmarks.common import print_lines, start_parser, table_lines, time_in_turns
from erroran.data import Dataset, load_dataset
from erroran.data.sources.table import draw_rows, write_table

ROWS: Final = 42_000
LIMIT_S: Final = 3.0


def make_table(dataset: Dataset, path: Path) -> None:
    """Write `ROWS` rows of different images."""
    if len(dataset.x_train) + len(dataset.x_test) >= ROWS:
        images, labels = draw_rows(dataset, ROWS)
    else:
        images, labels = draw_rows(dataset)
        copy, row = np.divmod(np.arange(ROWS), len(images))
        images, labels = images[row], labels[row]
        images[:, 0, 0, 0] = copy
    write_table(path, images, labels, dataset.class_names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if the load is within the limit."""
    import pandas as pd

    parser = start_parser("table", __doc__)
    parser.add_argument("--dataset", default="auto", help="images of the table")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions")
    options = parser.parse_args(arguments)
    ours, peer = "erroran: parsed, checked, named, split", "`pandas.read_csv`, as it comes"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        make_table(load_dataset(options.dataset), path)
        megabytes = path.stat().st_size / 1e6
        works = {ours: lambda: load_dataset(str(path)), peer: lambda: pd.read_csv(path)}
        taken = time_in_turns(works, options.repeats)
    clock = {name: sorted(seconds for seconds, _ in times) for name, times in taken.items()}
    busy = {name: statistics.median(seconds for _, seconds in times) for name, times in taken.items()}
    middle = statistics.median(clock[ours])
    rows = [
        (
            name,
            f"{statistics.median(clock[name]):.2f}",
            f"{clock[name][0]:.2f} to {clock[name][-1]:.2f}",
            f"{busy[name]:.2f}",
            f"{busy[name] / busy[peer]:.2f}",
        )
        for name in works
    ]
    header = ("way", "seconds (median)", "range", "processor seconds (median)", "times pandas")
    print_lines(
        [
            f"{ROWS:,} rows x 785 columns, {megabytes:.0f} MB, {options.repeats} alternating repetitions.",
            f"Required: under {LIMIT_S:g} seconds. *Times pandas* compares processor seconds.",
            "",
            *table_lines(header, rows),
        ]
    )
    return int(middle > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
