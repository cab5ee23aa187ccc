"""``reports/across-models.md``: which confusions all models share, and which belong to one."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import counted, percent

if TYPE_CHECKING:
    from erroran.report.drawing import Drawing
    from erroran.stages.across_models import AcrossResult, PairResult

_PAIRS = 25
_GALLERY = 60
_NAMED = 6


def write_across(across: "AcrossResult", folder: Path) -> Path:
    """Write the comparison with its heat map and the images that every model misreads."""
    shown = _shown(across)
    drawn = {"pairs": _draw_pairs(across, shown)} if shown else {}
    if across.misread_by_every_model:
        drawn["everywhere"] = _draw_images(across)
    made = {"sentence": across_sentence(across), "command": provenance.command_line()}
    text = render(
        "across-models.md.j2",
        **made,
        across=across,
        shown=shown,
        figures=drawn,
        gallery=_GALLERY,
        digest=across.models[0].baseline.template.dataset,
        commit=provenance.commit(),
        versions=provenance.versions(),
    )
    data = {"across-models": {**across.to_json(), **made}}
    return write_document(folder, "across-models", text, figures=drawn, data=data)


def across_sentence(across: "AcrossResult") -> str:
    """The finding, the first line of the report."""
    images, n_models = len(across.misread_by_every_model), len(across.models)
    everyone = f"all {n_models} models" if n_models > 2 else "both models"
    alike = f"No image is misread in the same way by {everyone}"
    if images:
        parts = [images / model.systematic_images for model in across.models]
        ends = dict.fromkeys(percent(part, 0) for part in (min(parts), max(parts)))
        alike = (
            f"{counted(images, 'image')} {'is' if images == 1 else 'are'} misread in the same way by {everyone}: "
            f"{' to '.join(ends)} of the systematic errors of each"
        )
    shared = _list([str(pair.pair) for pair in across.shared])
    owned = _list([f"{pair.pair} to {pair.owner}" for pair in across.owned])
    common, single = f"no pair stands out in {everyone}", "none is shown to belong to one"
    if shared:
        verb = "stands" if len(across.shared) == 1 else "stand"
        common = f"{counted(len(across.shared), 'pair')} {verb} out in {everyone} ({shared})"
    if owned:
        single = f"{len(across.owned)} {'belongs' if len(across.owned) == 1 else 'belong'} to one ({owned})"
    return f"{alike}; {common}; {single}."


def _list(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shown(across: "AcrossResult") -> "list[PairResult]":
    """The pairs in the table: all shared and owned ones, then others up to `_PAIRS` in all."""
    everywhere = len(across.models)
    important = [pair for pair in across.pairs if pair.surely_in == everywhere or pair.owner is not None]
    others = [pair for pair in across.pairs if pair not in important]
    return [*important, *others][: max(_PAIRS, len(important))]


def _draw_pairs(across: "AcrossResult", shown: "list[PairResult]") -> "Drawing":
    names = [model.name for model in across.models]
    return figures.pairs_by_model(
        np.array([pair.mean_errors for pair in shown]),
        np.array([pair.share for pair in shown]),
        rows=[" → ".join(pair.pair.classes) for pair in shown],
        columns=names,
        bold=np.array([pair.in_every_run for pair in shown]),
        framed=np.array([[pair.owner == name for name in names] for pair in shown]),
    )


def _draw_images(across: "AcrossResult") -> "Drawing":
    images = across.misread_by_every_model[:_GALLERY]
    n_runs = sum(len(model.seeds) for model in across.models)
    captions = [
        (f"{i.label}, or {i.read_as}?" if i.suspected_mislabel else f"{i.label} as {i.read_as}")
        + f"\n{i.runs} of {n_runs} runs"
        for i in images
    ]
    return figures.gallery(across.pixels[[image.row for image in images]], captions)
