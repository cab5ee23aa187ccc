"""How long commands take that train nothing, as whole processes.

``python -m erroran.benchmarks.commands --dataset mnist`` writes stores of runs whose predictions are drawn at random
(see `erroran.benchmarks.stores`), runs the commands on them, and prints a Markdown table. The time of ``--help`` is
compared with that of ``import typer, rich``, in turns.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from erroran.benchmarks.common import print_lines, start_parser, table_lines, time_process

# Heavy imports are avoided, and a child writes the stores: on Linux a child's peak memory includes its parent's.

_ERRORAN: Final = [sys.executable, "-m", "erroran"]
_BARE: Final = "`import typer, rich`"
_DRAWN: Final = "`erroran report` on 20 runs, all figures drawn"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = start_parser("commands", __doc__)
    parser.add_argument("--dataset", default="auto", help="images of the runs")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions")
    options = parser.parse_args(arguments)
    given = Path(options.dataset)
    with tempfile.TemporaryDirectory(prefix="erroran-benchmark-") as name:
        folder, dataset = Path(name), str(given.resolve()) if given.exists() else options.dataset
        subprocess.run([sys.executable, "-m", "erroran.benchmarks.stores", name, "--dataset", dataset], check=True)  # noqa: S603 - our own module
        run = [*_ERRORAN, "run", "bench", "--dataset", dataset, "--seeds", "10", "--recipe", "fast"]
        run += ["--precision", "float32", "--controls", "none"]
        report = [*_ERRORAN, "report", "bench"]
        first = time_process(run, folder)
        works = (
            (_BARE, [sys.executable, "-c", "import typer, rich"], "-"),
            ("`erroran --help`", [*_ERRORAN, "--help"], "1.5 x the import"),
            ("`erroran runs`, 10,000 runs", [*_ERRORAN, "--store", "many", "runs"], "2 s, 300 MB"),
            ("`erroran run` again, everything cached", run, "3 s"),
            (_DRAWN, report, "5 s"),
            ("`erroran report` again", report, "5 s"),
        )
        taken: dict[str, list[tuple[float, float, float]]] = {title: [] for title, _, _ in works}
        for _ in range(options.repeats):
            for title, command, _ in works:
                if title == _DRAWN:
                    for path in (folder / "reports" / "bench").glob("*.png"):
                        path.unlink()
                taken[title].append(time_process(command, folder))
    bare = statistics.median(busy for _, busy, _ in taken[_BARE])
    rows = []
    for title, _, allowed in works:
        seconds, processor, peaks = zip(*taken[title], strict=True)
        busy = statistics.median(processor)
        rows.append(
            (
                title,
                f"{statistics.median(seconds):.2f}",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                allowed,
                f"{busy:.2f}",
                f"{busy / bare:.2f}",
                f"{max(peaks):,.0f}",
            )
        )
    header = ("process", "seconds (median)", "range", "allowed", "processor seconds", "times the import", "peak MB")
    note = (
        f"Whole processes, {options.repeats} repetitions in turns; the ratio is of processor seconds. The first "
        f"`erroran run`, which reads the dataset and draws all figures, took {first[0]:.1f} seconds "
        f"({first[1]:.1f} processor seconds)."
    )
    print_lines([*table_lines(header, rows), "", note])


if __name__ == "__main__":
    main()
