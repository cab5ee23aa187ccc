"""``reports/confusions.md``: the ranked confusions, with pictures of the errors and the next command."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from erroran import provenance
from erroran.experiment.pair import Pair
from erroran.report import figures
from erroran.report.drawing import Drawing
from erroran.report.render import render, write_document
from erroran.report.text import to_csv
from erroran.stats.confusion import confusion_counts
from erroran.stats.consistency import SEED_NOISE, SUSPECTED_MISLABEL, SYSTEMATIC
from erroran.stats.multiplicity import FDR

if TYPE_CHECKING:
    from erroran.stages.mine_confusions import MiningResult, WrongImage

_GALLERY = 20


def write_confusions(mined: "MiningResult", folder: Path, *, top: int) -> Path:
    """Write the report of a mining, and ``suspected-mislabels.csv``, which a spec can leave out of the training.

    Args:
        mined: The ranked confusions.
        folder: ``./reports``.
        top: Pairs that get a row and a gallery.
    """
    evidence, names = mined.evidence, mined.evidence.class_names
    counts = confusion_counts(evidence.labels, evidence.predicted, len(names))
    title = f"errors on {mined.split}, mean of {len(counts)} runs"
    drawn = {"heatmap": figures.confusion_heatmaps([(title, counts.mean(axis=0))], names)}
    galleries = []
    for pair in mined.pairs[:top]:
        true, predicted = (names[label] for label in pair.found.pair)
        stem, rows = f"pair-{Pair(true, predicted).slug}", pair.rows[:_GALLERY]
        wrong = (evidence.predicted[:, rows] == pair.found.pair[1]).sum(axis=0)
        drawn[stem] = figures.gallery(evidence.images[rows], [f"{count} of {len(mined.seeds)} runs" for count in wrong])
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
        folds=evidence.runs[0].spec.fold[1] if evidence.runs[0].spec.fold else None,
        command=provenance.command_line(),
        hidden=len(mined.pairs) - len(galleries),
        fdr=FDR,
    )
    suspects = [(suspect.id, suspect.label, suspect.looks_like) for suspect in mined.suspected_mislabels]
    return write_document(
        folder,
        "confusions",
        text,
        figures=drawn,
        data={"confusions": mined.to_json()},
        tables={"suspected-mislabels": to_csv(["sample_id", "label", "looks_like"], suspects)},
    )


def _gallery(mined: "MiningResult", images: Sequence["WrongImage"]) -> Drawing:
    captions = [
        f"{i.label}, or {i.looks_like}?" if i.looks_like is not None
        else f"{i.label} as {i.read_as}\n{i.runs_wrong} of {len(mined.seeds)} runs"
        for i in images
    ]  # fmt: skip
    return figures.gallery(mined.evidence.images[[image.row for image in images]], captions)
