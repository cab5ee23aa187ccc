"""Runs per minute of several seeds trained as one program, against the same runs one after another, both on JAX.

``KERAS_BACKEND=jax python -m erroran.benchmarks.vectorized --dataset mnist`` is meant for a machine with a GPU
(``pip install 'jax[cuda12]'``); ``--dataset digits --seeds 1 4 --epochs 1`` is a trial. Building and compiling are
included, reading the data is not. It prints a Markdown table; ``--write`` puts it into ``reports/benchmarks.md``.
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import Final

from erroran import provenance
from erroran.benchmarks.common import print_lines, start_parser, table_lines, write_section
from erroran.data import load_dataset, split_dataset
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.store.environment import current_environment

HEADER: Final = ("seeds", "as one program, runs a minute", "one after another, runs a minute", "times as many")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it."""
    parser = start_parser("vectorized", __doc__)
    parser.add_argument("--dataset", default="auto", help="images to train on")
    parser.add_argument("--model", default="cnn", help="architecture")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="mixed_bfloat16")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 8, 32, 128], help="seeds at once")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of the recipe `fast`")
    parser.add_argument("--repeat", type=int, default=3, help="runs that are trained one after another")
    parser.add_argument("--write", action="store_true", help="write the section of reports/benchmarks.md")
    options = parser.parse_args(arguments)
    if os.environ.get("KERAS_BACKEND") != "jax":
        parser.error("set KERAS_BACKEND=jax")
    from erroran.training.fit import train
    from erroran.training.vectorized import train_together

    dataset = load_dataset(options.dataset)
    splits, names = split_dataset(dataset), dataset.class_names

    def spec(seed: int) -> RunSpec:
        return RunSpec(
            dataset=dataset.digest,
            mine_fraction=0.1,
            model=options.model,
            recipe=RECIPES["fast"].model_copy(update={"epochs": options.epochs}),
            environment=current_environment(options.model),
            precision=options.precision,
            seed=seed,
        )

    single = sorted(60 / train(spec(seed), splits, names).seconds for seed in range(options.repeat))
    middle = single[len(single) // 2]
    rows = []
    for n in options.seeds:
        start = time.perf_counter()
        train_together([spec(seed) for seed in range(n)], splits, names)
        rate = 60 * n / (time.perf_counter() - start)
        alone = f"{middle:.2f} ({single[0]:.2f} to {single[-1]:.2f})"
        rows.append((str(n), f"{rate:.2f}", alone, f"{rate / middle:.2f}"))
    what = f"`{options.model}` on {dataset.name}, {len(splits.train.y):,} images, {options.epochs} epochs of `fast`"
    device = provenance.machine()["device"]
    lines = [f"{what}, {options.precision}; device: {device}.", "", *table_lines(HEADER, rows)]
    if options.write:
        command = "KERAS_BACKEND=jax python -m erroran.benchmarks.vectorized"
        write_section("Several seeds as one program", f"{command} --dataset {options.dataset}", lines)
    print_lines(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
