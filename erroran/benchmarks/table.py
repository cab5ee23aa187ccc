"""Measure how long a table in Kaggle's layout takes to load, against pandas alone.

``python -m erroran.benchmarks.table`` writes 42,000 rows x 785 columns, loads them in turns, and prints a Markdown table.
``--dataset`` names the images; with fewer than 42,000 they are repeated with other pixels in a corner.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from erroran.data import Dataset, load_dataset
from erroran.data.kaggle import draw_rows, write_table

ROWS: Final = 42_000
LIMIT_S: Final = 3.0


def make_table(dataset: Dataset, path: Path) -> None:
    """Write `ROWS` rows of different images."""
    if len(dataset.x_train) + len(dataset.x_test) >= ROWS:
        images, labels = draw_rows(dataset, ROWS)
    else:
        images, labels = draw_rows(dataset)
        times = -(-ROWS // len(images))
        copy = np.repeat(np.arange(times), len(images))[:ROWS]
        images, labels = np.tile(images, (times, 1, 1))[:ROWS], np.tile(labels, times)[:ROWS]
        images[:, 0, 0] = copy
    write_table(path, images, labels, dataset.class_names)


def measure(path: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of erroran's whole load (checks, ids and split included), and of pandas' default reader, in turns."""
    import pandas as pd

    ours, pandas = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        load_dataset(str(path))
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        pd.read_csv(path)
        pandas.append(time.perf_counter() - start)
    return ours, pandas


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if the load is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        make_table(load_dataset(options.dataset), path)
        megabytes = path.stat().st_size / 1e6
        ours, pandas = measure(path, options.repeats)
    lines = [
        f"{ROWS:,} rows x 785 columns, {megabytes:.0f} MB, {options.repeats} repetitions in turns.",
        "",
        "| way | seconds (median) | range | times pandas | allowed |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, seconds, allowed in (
        ("erroran: parsed, checked, named, split", ours, f"{LIMIT_S:g}"),
        ("`pandas.read_csv`, as it comes", pandas, "-"),
    ):
        ratio = statistics.median(s / p for s, p in zip(seconds, pandas, strict=True))
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        lines.append(f"| {name} | {statistics.median(seconds):.2f} | {spread} | {ratio:.2f} | {allowed} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(statistics.median(ours) > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
