"""``reports/README.md``: every hypothesis that was judged, and how to read a verdict."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from erroran.report.forest import ForestRow, forest
from erroran.report.render import render, write_document
from erroran.report.text import counted
from erroran.verdict.table import ROWS, WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erroran.store.ledger import Entry
    from erroran.store.records import StoredVerdict

_PAGES = ("baseline", "confusions", "morphometry", "proposals", "review", "review-files", "across-models")
_BEFORE_TRAINING = ("plan", "probe", "preview")


def write_index(judged: "Sequence[StoredVerdict]", entries: "Sequence[Entry]", folder: Path) -> Path:
    """Write the index.

    Args:
        judged: The stored verdicts, one for each version of a hypothesis on a baseline group, oldest first.
        entries: The ledger, for hypotheses that were registered and not judged.
        folder: ``./reports``; links are made only to reports that exist in it.
    """
    done = {(verdict.name, verdict.group) for verdict in judged}
    pending = dict.fromkeys(
        (e.name, e.pair) for e in entries if e.kind == "registered" and (e.name, e.group) not in done
    )
    shown = [_is_shown(verdict, folder) for verdict in judged]
    pages = {verdict.name for verdict in judged}
    planned = sorted(
        path.stem
        for kind in _BEFORE_TRAINING
        for path in folder.glob(f"*-{kind}.md")
        if path.stem.removesuffix(f"-{kind}") not in pages
    )
    studies = sorted(path.stem for path in folder.glob("*-study.md"))
    documents = [name for name in (*_PAGES, *studies, *planned) if (folder / f"{name}.md").is_file()]
    text = render(
        "index.md.j2",
        title=index_title(judged),
        rows=list(zip(judged, shown, strict=True)),
        pending=list(pending),
        documents=documents,
        table=ROWS,
    )
    drawn = {"forest": forest([_row(verdict, judged) for verdict in judged])} if judged else {}
    return write_document(folder, "README", text, figures=drawn)


def index_title(judged: "Sequence[StoredVerdict]") -> str:
    """``4 hypotheses: 1 improved, 3 not worthwhile``; of a hypothesis with several versions, the last one counts."""
    if not judged:
        return "No hypothesis was judged yet"
    words = Counter({verdict.name: verdict.word for verdict in judged}.values())
    names = sum(words.values())
    noun = "1 hypothesis" if names == 1 else f"{names} hypotheses"
    versions = "" if len(judged) == names else f" in {counted(len(judged), 'version')}"
    return f"{noun}{versions}: {', '.join(f'{words[word]} {word}' for word in WORDS if words[word])}"


def _row(verdict: "StoredVerdict", judged: "Sequence[StoredVerdict]") -> ForestRow:
    several = sum(other.name == verdict.name for other in judged) > 1
    version = f" ({verdict.spec_hash}, {verdict.group})" if several else ""
    return ForestRow(
        f"{verdict.name}{version}: {verdict.word}",
        verdict.effect,
        verdict.change,
        worthwhile_percent=verdict.worthwhile_percent,
    )


def _is_shown(verdict: "StoredVerdict", folder: Path) -> bool:
    """Whether the page of the hypothesis is about this version and these runs."""
    try:
        content = json.loads((folder / verdict.name / "comparison.json").read_text(encoding="utf-8"))
        found = content["intervention"]
        return (found["group"], content["spec_hash"], found["seeds"]) == (
            verdict.group,
            verdict.spec_hash,
            list(verdict.seeds),
        ) and (folder / f"{verdict.name}.md").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False
