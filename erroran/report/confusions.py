"""``reports/confusions.md``: what mining found, with pictures of the errors and the next command."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from erroran import provenance
from erroran.errors import Unavailable
from erroran.experiment.pair import Pair
from erroran.files import write_text
from erroran.report import figures
from erroran.report.baseline import MOST_CLASSES
from erroran.report.render import render, write_document
from erroran.stats.confusion import confusion_counts
from erroran.stats.consistency import SEED_NOISE, SUSPECTED_MISLABEL, SYSTEMATIC

if TYPE_CHECKING:
    from erroran.stages.mine_confusions import MinedPair, MiningResult, WrongImage

_GALLERY = 20


def write_confusions(mined: "MiningResult", folder: Path, *, top: int) -> Path:
    """Write the report of a mining, and ``suspected-mislabels.csv``, which a spec can leave out of the training.

    Args:
        mined: What was found.
        folder: ``./reports``.
        top: Pairs that get a row and a gallery.
    """
    evidence, names = mined.evidence, mined.evidence.class_names
    drawn = {}
    if len(names) <= MOST_CLASSES:
        counts = confusion_counts(evidence.labels, evidence.predicted, len(names))
        title = f"errors on {mined.split}, mean of {len(counts)} runs"
        drawn["heatmap"] = figures.confusion_heatmap(counts.mean(axis=0), names, title=title)
    galleries = []
    for pair in mined.pairs[:top]:
        true, predicted = (names[label] for label in pair.found.pair)
        stem = f"pair-{Pair(true, predicted).slug}"
        drawn[stem] = _pair_gallery(mined, pair)
        galleries.append((pair, true, predicted, stem))
    for kind in (SYSTEMATIC, SEED_NOISE, SUSPECTED_MISLABEL):
        images = mined.of_kind(kind)[:_GALLERY]
        if images:
            drawn[kind.replace(" ", "-")] = _gallery(mined, images)
    text = render(
        "confusions.md.j2",
        mined=mined,
        group=mined.baseline,
        runs=evidence.runs,
        galleries=galleries,
        heatmap="heatmap" in drawn,
        folds=evidence.runs[0].spec.fold[1] if evidence.runs[0].spec.fold else None,
        command=provenance.command_line(),
        hidden=len(mined.pairs) - len(galleries),
    )
    path = write_document(folder, "confusions", text, figures=drawn, data={"confusions": mined.to_json()})
    _write_mislabels(mined, folder / "confusions" / "suspected-mislabels.csv")
    return path


def _write_mislabels(mined: "MiningResult", path: Path) -> None:
    rows = [(suspect.id, suspect.label, suspect.looks_like) for suspect in mined.suspected_mislabels]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("sample_id", "label", "looks_like"), *rows])
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error.strerror}.", fix=f"check the folder {path.parent}"
        ) from error


def _gallery(mined: "MiningResult", images: Sequence["WrongImage"]) -> Figure:
    captions = [
        f"{i.label}, or {i.looks_like}?" if i.looks_like is not None
        else f"{i.label} as {i.read_as}\n{i.runs_wrong} of {len(mined.seeds)} runs"
        for i in images
    ]  # fmt: skip
    return figures.gallery(mined.evidence.images[[image.row for image in images]], captions)


def _pair_gallery(mined: "MiningResult", pair: "MinedPair") -> Figure:
    rows = pair.rows[:_GALLERY]
    wrong = (mined.evidence.predicted[:, rows] == pair.found.pair[1]).sum(axis=0)
    return figures.gallery(mined.evidence.images[rows], [f"{count} of {len(mined.seeds)} runs" for count in wrong])
