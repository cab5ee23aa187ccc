"""Tables of the training benchmark, and the page that they are written to."""

from pathlib import Path

import pytest

from erroran.benchmarks.common import write_section
from erroran.benchmarks.training import compare


def test_shares_are_taken_within_a_repetition() -> None:
    """By hand: 100 and 200 seconds against 10 and 40; the reference comes first in each repetition."""
    order, seconds = [], {"script": [100.0, 200.0], "ours": [10.0, 40.0]}

    def run(name: str) -> tuple[float, list[float]]:
        order.append(name)
        return seconds[name].pop(0), [0.98, 0.99]

    lines = compare("Runs:", [("script", lambda: run("script"), None), ("ours", lambda: run("ours"), "fast")], repeat=2)
    assert order == ["script", "ours"] * 2
    assert lines[4:6] == [
        "| script | 150 (100 to 200) | 1.00 (1.00 to 1.00) | - | 98.50% ± 0.71% |",
        "| ours | 25 (10 to 40) | 0.15 (0.10 to 0.20) | 0.125 | 98.50% ± 0.71% |",
    ]


def test_a_section_is_replaced_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay as they are; a new one comes last."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "reports" / "benchmarks.md"
    page.parent.mkdir()
    page.write_text("# Benchmarks\n\nIntroduction.\n\n## A\n\nold\n\n## B\n\nb\n")
    write_section("A", "run a", ["new"])
    write_section("C", "run c", ["c"])
    write_section("C", "run c", ["c again", ""])
    new, other = "## A\n\n```\nrun a\n```\n\nnew\n", "## C\n\n```\nrun c\n```\n\nc again\n"
    assert page.read_text() == f"# Benchmarks\n\nIntroduction.\n\n{new}\n## B\n\nb\n\n{other}"
