"""Output to terminals, pipes and scripts: names are printed literally, nothing is cut, closed streams are no error."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from erroran.cli import console
from erroran.cli.console import Screen, visible
from erroran.report.text import columns
from erroran.store.records import RunRecord

NAMES = ["[/b]", "[x](javascript:alert)", "\x1b[2Jcat", "a:b", "é", "c+", "tomato", ":cat:"]


def _screen(capsys: pytest.CaptureFixture[str], *, width: int = 80) -> Screen:
    screen = Screen(stderr=False)
    screen.width = width
    return screen


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """No markup, no emoji, no escape sequences, wherever a name stands."""
    screen = _screen(capsys)
    screen.print(f"class {name}", style="bold")
    screen.say("next:", f"look at {name}")
    screen.table(("class", "n"), (name, "1"))
    shown = name.replace("\x1b", "\\x1b")
    text = capsys.readouterr().out
    assert text.count(shown) == 3
    assert "\x1b" not in text


def test_control_characters_become_visible() -> None:
    """Also marks of text direction and lone surrogates; tabs, newlines and letters stay."""
    assert visible("a\tb\né漢") == "a\tb\né漢"
    assert visible("\x1b]0;x\x07\r\x9b\u202e\ud800") == "\\x1b]0;x\\x07\\r\\x9b\\u202e\\ud800"


def test_narrow_terminals_cut_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    """At 40 columns every cell of a wide table is printed whole."""
    cells = ["1234567890.123456 %", "9876543210", "4:9", "1,000,000", "12 13 12 12 11"]
    _screen(capsys, width=40).table(["a long header"] * 5, cells)
    text = capsys.readouterr().out
    assert all(cell in text for cell in cells)
    assert "…" not in text


def test_columns_line_up_also_with_wide_letters() -> None:
    """A Chinese character is two columns wide."""
    assert columns([("漢", "b"), ("abc", "d")]) == ["漢   b", "abc  d"]


def test_advised_commands_carry_the_store() -> None:
    """Only erroran commands that use the store; the path is quoted for a shell."""
    screen = Screen(stderr=True)
    assert screen.advise("erroran baseline --seeds 3") == "erroran baseline --seeds 3"
    screen.store = "my store"
    assert screen.advise("erroran baseline, or erroran runs remove 1: erroran is here") == (
        "erroran --store 'my store' baseline, or erroran --store 'my store' runs remove 1: erroran is here"
    )


# --- in processes of their own


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two arms of prediction files with a class that latin-1 lacks."""
    for arm, wrong in (("b", 12), ("a", 2)):
        for run in range(3):
            rows = [f"{row},漢,{'[/b]' if row < wrong + run else '漢'}" for row in range(50)]
            text = "\n".join(["sample_id,label,prediction", *rows, ""])
            (tmp_path / f"{arm}{run}.csv").write_text(text, encoding="utf-8")
    return ["diff", "--before", str(tmp_path / "b*.csv"), "--after", str(tmp_path / "a*.csv"), "--pair", "漢:[/b]"]


def _run(arguments: list[str], **options: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "erroran", *arguments]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def test_a_stream_that_lacks_a_character_gets_a_question_mark(files: list[str]) -> None:
    """Latin-1 has no Chinese: the verdict is printed, and the exit code is that of the verdict."""
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = _run(files, stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"? read as [/b]" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize("fail", [[], ["--fail-on", "improved"]])
def test_a_closed_pipe_changes_no_exit_code(files: list[str], fail: list[str]) -> None:
    """`erroran diff ... | head -0`: no message, and the exit code of the verdict."""
    read, write = os.pipe()
    os.close(read)
    done = _run([*files, *fail], stdout=write)
    os.close(write)
    assert done.returncode == len(fail) // 2, done.stderr
    assert b"Broken" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("closing", [">&-", ">&- 2>&-"])
def test_closed_streams(files: list[str], closing: str) -> None:
    """The shell may close stdout, and stderr as well."""
    line = f'"$@" {closing}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "erroran", *files], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""


def test_ctrl_c_while_importing_is_one_line() -> None:
    """Typer and Rich are still being imported; no traceback."""
    code = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from erroran.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_a_finished_run_shows_no_accuracy_on_confirm(
    capsys: pytest.CaptureFixture[str], make_record: Callable[..., RunRecord]
) -> None:
    """The outcome of an intervention is not shown while its arms are trained."""
    with console.training_display() as display:
        display.hooks["on_finished"](make_record(arm="4to9", accuracy_mine=0.9012, accuracy_confirm=0.8, seconds=2))
    assert capsys.readouterr().err == "trained 4to9 seed 0: 90.12% on mine, 2 s\n"


def test_errors_are_printed_under_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """--quiet silences remarks, not errors."""
    console.configure(quiet=True, store=None)
    try:
        console.say_note("a remark")
        console.complain("It is broken.", "mend it")
    finally:
        console.configure(quiet=False, store=None)
    assert capsys.readouterr().err == "error: It is broken.\nfix:   mend it\n"
