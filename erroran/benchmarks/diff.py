"""Time and memory of a whole ``erroran diff`` process.

``python -m erroran.benchmarks.diff`` writes synthetic prediction files to a temporary folder (10 runs before, 10 after,
60,000 samples), runs the command on them, and prints a Markdown table.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from erroran.benchmarks.common import print_lines, start_parser, table_lines, time_process

# Heavy imports are avoided, and a child writes the files: on Linux a child's peak memory includes its parent's.

SECONDS_ALLOWED: Final = {10: 5.0, 100: 15.0}
MB_ALLOWED: Final = {10: 500.0}
HEADER: Final = (
    "columns", "classes", "files, MB", "seconds (median)", "range", "allowed", "processor seconds", "peak MB", "allowed"
)  # fmt: skip


def write_runs(folder: Path, *, n_runs: int, n_samples: int, n_classes: int, probabilities: bool) -> None:
    """Write ``before_0.csv`` ... and ``after_0.csv`` ...: `n_runs` files per arm that err on the same hard samples.

    Ids are 16 hex digits. With `probabilities` there are columns ``p_0`` ... of 6 significant digits, the same in all
    files: that takes as long to read and is faster to write.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n_samples)
    ids = [f"{number:016x}" for number in rng.choice(2**50, n_samples)]
    # One sample in twenty is hard, and is always mistaken for the same class.
    rates = np.where(rng.random(n_samples) < 0.05, rng.beta(0.5, 1.0, n_samples), 0.0)
    mistaken = (labels + rng.integers(1, n_classes, n_samples)) % n_classes
    header, tails = "sample_id,label,prediction", [""] * n_samples
    if probabilities:
        header += "".join(f",p_{index}" for index in range(n_classes))
        table = rng.dirichlet(np.full(n_classes, 0.3), n_samples)
        pattern = ",%.6g" * n_classes
        tails = [pattern % tuple(row) for row in table.tolist()]
    for arm in ("before", "after"):
        for run in range(n_runs):
            read = np.where(rng.random(n_samples) < rates, mistaken, labels)
            rows = zip(ids, labels.tolist(), read.tolist(), tails, strict=True)
            lines = [f"{name},{label},{predicted}{tail}" for name, label, predicted, tail in rows]
            (folder / f"{arm}_{run}.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def measure(*, n_classes: int, probabilities: bool, n_runs: int, n_samples: int, repeat: int) -> tuple[str, ...]:
    """Make files, run the command `repeat` times, and delete the files; the row of the table, see `HEADER`.

    Processor time is user and system; without other load on the machine, it is an upper bound of the wall-clock time.

    Raises:
        RuntimeError: The command failed.
    """
    with tempfile.TemporaryDirectory(prefix="erroran-benchmark-") as name:
        sizes = [f"--runs={n_runs}", f"--samples={n_samples}", f"--classes={n_classes}"]
        kinds = "--probabilities=yes" if probabilities else "--probabilities=no"
        python = [sys.executable, "-m"]
        subprocess.run([*python, "erroran.benchmarks.diff", f"--make={name}", *sizes, kinds], check=True)  # noqa: S603 - our own module
        size = sum(path.stat().st_size for path in Path(name).iterdir()) / 1e6
        files = ["--before", f"{name}/before_*.csv", "--after", f"{name}/after_*.csv"]
        results = [time_process([*python, "erroran", "diff", *files, "--json"]) for _ in range(repeat)]
    seconds, processor, peaks = zip(*results, strict=True)
    allowed, memory = SECONDS_ALLOWED.get(n_classes), MB_ALLOWED.get(n_classes)
    return (
        "`prediction` and `p_<class>`" if probabilities else "`prediction`",
        str(n_classes),
        f"{size:,.0f}",
        f"{statistics.median(seconds):.2f}",
        f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{allowed:g}" if allowed else "-",
        f"{statistics.median(processor):.2f}",
        f"{max(peaks):,.0f}",
        f"{memory:g}" if memory else "-",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = start_parser("diff", __doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs per arm")
    parser.add_argument("--samples", type=int, default=60_000, help="samples per run")
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100], help="numbers of classes")
    parser.add_argument("--probabilities", choices=("no", "yes", "both"), default="both", help="p_<class> columns")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of each measurement")
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="only write the files, and keep them")
    options = parser.parse_args(arguments)
    with_probabilities = {"no": (False,), "yes": (True,), "both": (False, True)}[options.probabilities]
    sizes = {"n_runs": options.runs, "n_samples": options.samples}
    cases = [{"n_classes": n, "probabilities": p} for n in options.classes for p in with_probabilities]
    if options.make:
        write_runs(options.make, **sizes, **cases[0])
        return
    print_lines(table_lines(HEADER, [measure(**sizes, **case, repeat=options.repeat) for case in cases]))


if __name__ == "__main__":
    main()
