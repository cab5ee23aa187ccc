"""Time of trainings on MNIST, whole processes, against a script that uses Keras alone (`erroran.benchmarks.plain`).

``python -m erroran.benchmarks.training --mnist mnist.npz`` trains with the recipes ``fast`` and ``standard`` and with
the script, alternately, times the augmentation of an epoch, and prints Markdown. ``--write`` puts it into
``reports/benchmarks.md``. About 40 minutes on two quiet cores; ``--epochs 1`` is a trial.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from erroran import provenance
from erroran.benchmarks.common import print_lines, start_parser, table_lines, write_section

SHARES: Final = {"fast": 1 / 8, "standard": 0.6, "standard, bfloat16": 0.3, "augmentation": 0.02}
"""At most these shares of the script's wall time; of the training epoch for the augmentation."""
TITLES: Final = {
    "fast": "Training with the recipe `fast`, whole processes",
    "standard": "Training with the recipe `standard` and an intervention, whole processes",
    "augmentation": "Augmentation's share of a training epoch",
}
COMMAND: Final = "python -m erroran.benchmarks.training --mnist mnist.npz"

Run = Callable[[], tuple[float, list[float]]]
"""Train; wall-clock seconds of all processes, and the accuracy of each run."""


def run_plain(mnist: Path, *, seeds: int, epochs: int, augment: bool) -> tuple[float, list[float]]:
    """The script, in a process of its own."""
    command = ["-m", "erroran.benchmarks.plain", str(mnist), f"--seeds={seeds}", f"--epochs={epochs}"]
    seconds, printed = _time([*command, "--augment"] if augment else command)
    return seconds, json.loads(printed.splitlines()[-1])


def run_baseline(mnist: Path, *options: str) -> tuple[float, list[float]]:
    """``erroran baseline`` with an empty store."""
    with tempfile.TemporaryDirectory(prefix="erroran-benchmark-") as folder:
        return _baseline(folder, mnist, *options)


def run_intervention(mnist: Path, *, seeds: int, epochs: int, precision: str) -> tuple[float, list[float]]:
    """``erroran baseline`` and ``erroran intervene``, `seeds` runs each; accuracies of the baseline."""
    with tempfile.TemporaryDirectory(prefix="erroran-benchmark-") as folder:
        how = ["--recipe=standard", f"--seeds={seeds}", f"--epochs={epochs}", f"--precision={precision}"]
        first, accuracies = _baseline(folder, mnist, *how)
        arms = ["--reuse-baseline", "--controls=none", f"--seeds={seeds}", "--json"]
        second, _ = _time(["-m", "erroran", "--store=store", "intervene", "4to9-original", *arms], folder)
        return first + second, accuracies


def _baseline(folder: str, mnist: Path, *options: str) -> tuple[float, list[float]]:
    command = ["-m", "erroran", "--store=store", "baseline", f"--dataset={mnist}", *options, "--json"]
    seconds, printed = _time(command, folder)
    return seconds, json.loads(printed)["accuracy_confirm"]["values"]


def _time(arguments: Sequence[str], folder: str | None = None) -> tuple[float, str]:
    """Wall-clock seconds and output of a Python process.

    Raises:
        CalledProcessError: It failed.
    """
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own modules
        [sys.executable, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - start, done.stdout


def compare(title: str, runs: Sequence[tuple[str, Run, str | None]], *, repeat: int) -> list[str]:
    """A table: each way in turns, `repeat` times; the first is the reference, the others name an entry of `SHARES`."""
    taken: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    reached: dict[str, list[float]] = {}
    for _ in range(repeat):
        for name, run, _ in runs:
            seconds, reached[name] = run()
            taken[name].append(seconds)
    reference = taken[runs[0][0]]
    rows = []
    for name, _, of in runs:
        shares = [seconds / other for seconds, other in zip(taken[name], reference, strict=True)]
        accuracy = reached[name]
        sd = f" ± {statistics.stdev(accuracy):.2%}" if len(accuracy) > 1 else ""
        rows.append(
            (
                name,
                _range(taken[name], ".0f"),
                _range(shares, ".2f"),
                "-" if of is None else f"{SHARES[of]:.3g}",
                f"{statistics.fmean(accuracy):.2%}{sd}",
            )
        )
    header = ("way", "seconds (range)", "share of the script's (range)", "allowed", "test accuracy, mean ± sd of runs")
    return [title, "", *table_lines(header, rows), ""]


def _range(values: Sequence[float], form: str) -> str:
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def augmentation_lines(mnist: Path, *, repeat: int) -> list[str]:
    """The time that the operations of ``4to9-original`` take in an epoch, as a share of a training epoch."""
    from dataclasses import replace
    from functools import partial

    import numpy as np

    from erroran.data import load_dataset, split_dataset
    from erroran.experiment.change import Augmentations, Step
    from erroran.experiment.recipe import RECIPES, choose_precision
    from erroran.experiment.runspec import RunSpec
    from erroran.operations.apply import resolve_steps
    from erroran.store.environment import current_environment
    from erroran.training.batches import AugmentedBatches
    from erroran.training.fit import train

    dataset = load_dataset(str(mnist))
    splits = split_dataset(dataset)
    augment: Augmentations = {
        "4": (Step(operation="dilate", kernel_px=(1, 2), probability=0.12),),
        "9": (Step(operation="erode", kernel_px=(1, 2), probability=0.12),),
    }
    spec = RunSpec(
        dataset=dataset.digest,
        mine_fraction=0.1,
        model="cnn",
        recipe=RECIPES["standard"].model_copy(update={"epochs": 1}),
        environment=current_environment("cnn"),
        precision=choose_precision("auto", own_model=False),
        seed=0,
        augment=augment,
    )
    make = partial(AugmentedBatches, splits.train, batch_size=spec.recipe.batch_size, seed=0)
    plain, augmented = make(), make(resolve_steps(augment, dataset.class_names))
    few = replace(splits, mine=splits.mine.take(np.arange(10)), confirm=splits.confirm.take(np.arange(10)))
    for _ in augmented.blocks(0):  # nothing is measured the first time
        pass
    shares, extra, epochs = [], [], []
    for epoch in range(1, repeat + 1):
        times = []
        for batches in (plain, augmented):
            start = time.process_time()
            for _ in batches.blocks(epoch):
                pass
            times.append(time.process_time() - start)
        extra.append(times[1] - times[0])
        reports: list[tuple[int, float]] = []
        train(spec, few, dataset.class_names, lambda now: reports.append((now.step, time.process_time())))  # noqa: B023
        # From the first report on: building and tracing the model comes before.
        (first, begin), (last, end) = reports[0], reports[-1]
        epochs.append((end - begin) * last / (last - first))
        shares.append(extra[-1] / epochs[-1])
    header = ("what", "value (range)", "allowed")
    rows = [
        ("augmentation of an epoch, processor seconds", _range(extra, ".3f"), "-"),
        (f"training of the epoch, {spec.precision}, processor seconds", _range(epochs, ".1f"), "-"),
        ("share", _range(shares, ".2%"), f"{SHARES['augmentation']:.0%}"),
    ]
    title = "The operations of `4to9-original`: the time to make all batches of an epoch with them, less that without."
    return [title, "", *table_lines(header, rows)]


def fast_lines(mnist: Path, *, seeds: int, epochs: int | None, repeat: int) -> list[str]:
    """The recipe ``fast`` against 10 epochs of the script; `epochs` replaces both numbers."""
    script = epochs or 10
    ours = ["--recipe=fast", f"--seeds={seeds}", *([f"--epochs={epochs}"] if epochs else [])]
    runs: list[tuple[str, Run, str | None]] = [
        ("script", lambda: run_plain(mnist, seeds=seeds, epochs=script, augment=False), None),
        ("`erroran baseline --recipe fast`", lambda: run_baseline(mnist, *ours), "fast"),
    ]
    return compare(f"{seeds} runs; {_describe_script(script)}; repetitions: {repeat}.", runs, repeat=repeat)


def standard_lines(mnist: Path, *, seeds: int, epochs: int | None, repeat: int) -> list[str]:
    """The recipe ``standard`` with an intervention, against the script with its generator, 10 epochs or `epochs`."""
    epochs = epochs or 10

    def intervention(precision: str) -> Run:
        return lambda: run_intervention(mnist, seeds=seeds, epochs=epochs, precision=precision)

    runs: list[tuple[str, Run, str | None]] = [
        ("script", lambda: run_plain(mnist, seeds=seeds, epochs=epochs, augment=True), None),
        ("`baseline` and `intervene`, float32", intervention("float32"), "standard"),
    ]
    if {"avx512_bf16", "amx_bf16"} & {*provenance.processor_features()}:
        runs.append(("the same, bfloat16", intervention("mixed_bfloat16"), "standard, bfloat16"))
    what = f"{seeds} + {seeds} runs, {epochs} epochs each, the second {seeds} with 4s dilated and 9s eroded"
    return compare(f"{what}; {_describe_script(epochs)}; repetitions: {repeat}.", runs, repeat=repeat)


def _describe_script(epochs: int) -> str:
    return f"script: {epochs} epochs of `model.fit`, float32, a tenth of the images for validation"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them."""
    parser = start_parser("training", __doc__)
    parser.add_argument("--mnist", type=lambda path: Path(path).resolve(), metavar="FILE", required=True)
    parser.add_argument("--seeds", type=int, default=3, help="runs per arm")
    parser.add_argument("--epochs", type=int, help="epochs of every run, the recipes' and the script's 10; for a trial")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions")
    parser.add_argument("--only", choices=TITLES, action="append", help="a part; can be given several times")
    parser.add_argument("--write", action="store_true", help="write the sections of reports/benchmarks.md")
    options = parser.parse_args(arguments)
    how = {"seeds": options.seeds, "epochs": options.epochs, "repeat": options.repeat}
    printed = []
    for part in options.only or TITLES:
        if part == "augmentation":
            lines = augmentation_lines(options.mnist, repeat=max(3, options.repeat))
        else:
            lines = (fast_lines if part == "fast" else standard_lines)(options.mnist, **how)
        printed += [f"## {TITLES[part]}", "", *lines, ""]
        if options.write:
            given = "".join(f" --{name} {value}" for name, value in how.items() if value != parser.get_default(name))
            write_section(TITLES[part], f"{COMMAND} --only {part}{given}", lines)
    print_lines(printed)


if __name__ == "__main__":
    main()
