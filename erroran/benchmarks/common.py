"""What the benchmarks share: options, alternating timing, and Markdown tables. Imports nothing heavy."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from erroran import provenance

Work = Callable[[], Any]
T = TypeVar("T")


def start_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for ``python -m erroran.benchmarks.<module>``."""
    return argparse.ArgumentParser(
        prog=f"python -m erroran.benchmarks.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def time_in_turns(
    works: Mapping[str, Work], repeat: int, *, once_above: float = float("inf")
) -> dict[str, list[tuple[float, float]]]:
    """Wall-clock and processor seconds of each repetition. The works alternate, so that they meet the same load.

    A work that takes longer than `once_above` seconds is not repeated.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            if taken[name] and taken[name][0][0] > once_above:
                continue
            start, busy = time.perf_counter(), time.process_time()
            work()
            taken[name].append((time.perf_counter() - start, time.process_time() - busy))
    return taken


def time_process(command: Sequence[str], folder: Path | None = None) -> tuple[float, float, float]:
    """Wall-clock seconds, processor seconds and peak MB of one whole process, without its output.

    Args:
        command: Its arguments.
        folder: Where it runs; it imports the same erroran as this process.

    Raises:
        RuntimeError: It failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603 - our own module
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            said.seek(0)
            raise RuntimeError(f"exit code {child.returncode}: {said.read().decode(errors='replace')[-500:]}")
    in_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return seconds, usage.ru_utime + usage.ru_stime, in_bytes / 1e6


def follow(items: Iterable[T], text: str, *, total: int | None = None) -> Iterable[T]:
    """The items, with a progress bar on stderr; `total` is for iterables without a length."""
    from rich.console import Console
    from rich.progress import track

    return track(items, text, total=total, console=Console(stderr=True))


def table_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table; the first column is left-aligned, the others are right-aligned."""
    rules = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (header, rules, *rows)]


def print_lines(lines: Iterable[str]) -> None:
    """Print, and name the machine at the end."""
    machine, versions = provenance.machine(), provenance.versions()
    made = f"{machine['platform']}, {machine['cpus']} CPUs, Python {versions['python']}, erroran {versions['erroran']}"
    sys.stdout.write("\n".join([*lines, "", made]) + "\n")


def write_section(title: str, command: str, lines: Iterable[str]) -> None:
    """Put a section into ``reports/benchmarks.md``, in the place of the one with this title, else at the end."""
    page = Path("reports") / "benchmarks.md"
    parts = page.read_text(encoding="utf-8").split("\n## ")
    section = "\n".join([title, "", "```", command, "```", "", *lines]).rstrip() + "\n"
    place = next((k for k, part in enumerate(parts) if part.partition("\n")[0] == title), len(parts))
    parts[place : place + 1] = [section]
    page.write_text("\n## ".join(parts), encoding="utf-8")
