"""Provenance: what made an artifact, also where there is no repository."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from erroran import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the module takes for its own checkout; nothing is cached."""
    module = tmp_path / "erroran" / "provenance.py"
    module.parent.mkdir()
    shutil.copy(provenance.__file__, module)
    monkeypatch.setattr(provenance, "__file__", str(module))
    provenance.commit.cache_clear()
    yield tmp_path
    provenance.commit.cache_clear()


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_no_commit_outside_a_checkout(checkout: Path) -> None:
    """An installed package has none, even inside somebody else's repository."""
    _git(checkout.parent, "init", "-q", str(checkout.parent / "theirs"))
    assert provenance.commit() is None


def test_no_commit_in_a_broken_checkout(checkout: Path) -> None:
    """A .git that git cannot read is no reason to fail."""
    (checkout / ".git").write_text("nothing")
    assert provenance.commit() is None


def test_commit_and_mark_of_a_changed_checkout(checkout: Path) -> None:
    """Ten digits; a plus as soon as the package differs from the commit, whatever else changes."""
    _git(checkout, "init", "-q")
    _git(checkout, "add", "-A")
    _git(checkout, "commit", "-qm", "first")
    head = _git(checkout, "rev-parse", "--short=10", "HEAD")
    (checkout / "notes.txt").write_text("not the package")
    assert provenance.commit() == head
    provenance.commit.cache_clear()
    (checkout / "erroran" / "more.py").write_text("")
    assert provenance.commit() == f"{head}+"


def test_command_line_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program's folder, quoted where a shell needs it."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/erroran", "report", "a b"])
    assert provenance.command_line() == "erroran report 'a b'"


def test_now_is_utc() -> None:
    """ISO 8601, in UTC, now."""
    when = datetime.fromisoformat(provenance.now())
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)


def test_versions_name_what_results_depend_on() -> None:
    """Python, TensorFlow and erroran itself among them."""
    assert {"python", "erroran", "numpy", "tensorflow", "keras"} <= set(provenance.versions())
