"""Measure how long a table in Kaggle's layout takes to load, against pandas alone.

``python -m erroran.benchmarks.table`` writes 42,000 rows x 785 columns, loads them in turns, and prints a Markdown
table. ``--dataset`` names the images; with fewer than 42,000 they are repeated with other pixels in a corner.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

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
        times = -(-ROWS // len(images))
        copy = np.repeat(np.arange(times), len(images))[:ROWS]
        images, labels = np.tile(images, (times, 1, 1, 1))[:ROWS], np.tile(labels, times)[:ROWS]
        images[:, 0, 0, 0] = copy
    write_table(path, images, labels, dataset.class_names)


def measure(path: Path, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds on the clock and of the processor, of both ways in turns; erroran's with checks, ids and split."""
    import pandas as pd

    ways: dict[str, Callable[[], object]] = {
        "erroran: parsed, checked, named, split": lambda: load_dataset(str(path)),
        "`pandas.read_csv`, as it comes": lambda: pd.read_csv(path),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, load in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            load()
            taken[name].append((time.perf_counter() - start, time.process_time() - busy))
    return taken


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
        taken = measure(path, options.repeats)
    base = statistics.median(busy for _, busy in list(taken.values())[-1])
    lines = [
        f"{ROWS:,} rows x 785 columns, {megabytes:.0f} MB, {options.repeats} repetitions in turns.",
        f"To be held: under {LIMIT_S:g} seconds.",
        "",
        "| way | seconds (median) | range | processor seconds (median) | times pandas |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, times in taken.items():
        clock, busy = [sorted(values) for values in zip(*times, strict=True)]
        middle = statistics.median(busy)
        spread = f"{clock[0]:.2f} to {clock[-1]:.2f}"
        lines.append(f"| {name} | {statistics.median(clock):.2f} | {spread} | {middle:.2f} | {middle / base:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(statistics.median(clock for clock, _ in next(iter(taken.values()))) > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
