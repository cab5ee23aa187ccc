"""Tables and alternating timing."""

import sys

import pytest

from erroran.benchmarks.common import print_lines, table_lines, time_in_turns


def test_a_table_by_hand() -> None:
    rows = [("a", 1.5, "-"), ("b", 2, "x")]
    assert table_lines(("name", "n", "m"), rows) == [
        "| name | n | m |",
        "| --- | ---: | ---: |",
        "| a | 1.5 | - |",
        "| b | 2 | x |",
    ]


def test_works_alternate_and_slow_ones_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only the works advance: 1 second and 5 seconds."""
    now, done = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def work(name: str, seconds: float) -> None:
        done.append(name)
        now[0] += seconds

    works = {"quick": lambda: work("quick", 1), "slow": lambda: work("slow", 5)}
    taken = time_in_turns(works, 3, once_above=2)
    assert done == ["quick", "slow", "quick", "quick"]
    assert {name: [clock for clock, _ in times] for name, times in taken.items()} == {"quick": [1] * 3, "slow": [5]}


def test_the_machine_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(["first"])
    assert capsys.readouterr().out.splitlines()[0] == "first"
    print_lines([])
    assert f"Python {sys.version.split()[0]}" in capsys.readouterr().out
