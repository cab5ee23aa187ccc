"""``reports/confusions.md``: what mining found, with pictures of the errors and the next command."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.stats.confusion import confusion_counts

if TYPE_CHECKING:
    from erroran.stages.mine_confusions import Mined

_GALLERY = 20


def write_confusions(mined: "Mined", folder: Path, *, top: int) -> Path:
    """Write the report of a mining.

    Args:
        mined: What was found.
        folder: ``./reports``.
        top: Pairs that get a row and a gallery.
    """
    evidence = mined.evidence
    shown = mined.pairs[:top]
    counts = confusion_counts(evidence.labels, evidence.predicted, len(evidence.class_names))
    drawn = {
        "heatmap": figures.confusion_heatmap(
            counts.mean(axis=0),
            evidence.class_names,
            title=f"errors on {evidence.split}, mean of {len(counts)} runs",
        )
    }
    galleries = []
    for found in shown:
        stem = "-".join(("pair", *(evidence.class_names[c] for c in found.pair)))
        drawn[stem] = _gallery(mined, mined.errors_of(found.pair)[:_GALLERY], read_as=found.pair[1])
        galleries.append((found, mined.pair_name(found.pair), stem))
    suspects = mined.suspects()
    if suspects:
        names = evidence.class_names
        drawn["suspected-mislabels"] = figures.gallery(
            evidence.images[suspects[:_GALLERY]],
            [f"{names[evidence.labels[i]]}, or {names[mined.images.suggested_class[i]]}?" for i in suspects[:_GALLERY]],
        )
    for kind in ("systematic", "seed noise"):
        rows = mined.of_kind(kind)[:_GALLERY]
        if len(rows):
            drawn[kind.replace(" ", "-")] = _kind_gallery(mined, rows)
    kinds = {kind: int((mined.images.kind == kind).sum()) for kind in np.unique(mined.images.kind)}
    text = render(
        "confusions.md.j2",
        mined=mined,
        group=mined.group,
        runs=evidence.runs,
        split=evidence.split,
        seeds=evidence.seeds,
        names=evidence.class_names,
        galleries=galleries,
        kinds=kinds,
        suspects=suspects,
        total=len(evidence.labels),
        folds=evidence.runs[0].spec.fold[1] if evidence.runs[0].spec.fold else None,
        command=provenance.command_line(),
        hidden=len(mined.pairs) - len(shown),
    )
    return write_document(folder, "confusions", text, figures=drawn, data={"confusions": mined.to_json()})


def _kind_gallery(mined: "Mined", rows: np.ndarray) -> Figure:
    evidence, names = mined.evidence, mined.evidence.class_names
    captions = [
        f"{names[evidence.labels[i]]} as {names[mined.images.wrong_class[i]]}\n"
        f"{mined.images.wrong_runs[i]} of {len(evidence.predicted)} runs"
        for i in rows
    ]
    return figures.gallery(evidence.images[rows], captions)


def _gallery(mined: "Mined", rows: np.ndarray, *, read_as: int) -> Figure:
    evidence = mined.evidence
    wrong = (evidence.predicted[:, rows] == read_as).sum(axis=0)
    captions = [f"{k} of {len(evidence.runs)} runs" for k in wrong]
    return figures.gallery(evidence.images[rows], captions)
