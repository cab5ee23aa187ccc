"""``reports/README.md``: all hypotheses that were judged, refuted ones included, and how to read a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran.report.render import render, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erroran.store.ledger import Entry

_PAGES = ("baseline", "confusions", "morphometry", "proposals", "review", "review-files", "across-models")


def write_index(entries: "Sequence[Entry]", folder: Path) -> Path:
    """Write the index of all verdicts in the ledger.

    Args:
        entries: The ledger, oldest first.
        folder: ``./reports``; links are made only to reports that exist in it.
    """
    verdicts = [entry for entry in entries if entry.kind == "verdict"]
    latest = {(e.name, e.spec_hash, e.group): e for e in verdicts}
    judged = {(e.name, e.group) for e in verdicts}
    pending = [e for e in entries if e.kind == "registered" and (e.name, e.group) not in judged]
    newest = {e.name: e for e in latest.values()}
    rows = [(e, newest[e.name] is e and (folder / f"{e.name}.md").is_file()) for e in latest.values()]
    stressed = dict.fromkeys(f"{e.name}-stress" for e in entries if e.kind == "stress")
    studies = sorted(path.stem for path in folder.glob("*-study.md"))
    documents = [name for name in (*_PAGES, *stressed, *studies) if (folder / f"{name}.md").is_file()]
    text = render("index.md.j2", rows=rows, pending=pending, documents=documents)
    return write_page(folder / "README.md", text)
