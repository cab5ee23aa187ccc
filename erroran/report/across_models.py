"""``reports/across-models.md``: which confusions all models share, and which belong to one."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stages.across_models import Across
    from erroran.stats.across import PairAcross

_PAIRS = 25
_GALLERY = 60
_NAMED = 6


def write_across(across: "Across", folder: Path) -> Path:
    """Write the comparison with its heat map and the images that no model reads right."""
    shown = _shown(across)
    drawn = {"pairs": _draw_pairs(across, shown)} if shown else {}
    if len(across.everywhere):
        drawn["everywhere"] = _draw_images(across)
    text = render(
        "across-models.md.j2",
        across=across,
        sentence=across_sentence(across),
        shown=shown,
        names=across.class_names,
        figures=drawn,
        gallery=_GALLERY,
        group=across.models[0].group,
        command=provenance.command_line(),
        commit=provenance.commit(),
        versions=provenance.versions(),
    )
    data = {**across.to_json(), "sentence": across_sentence(across), "command": provenance.command_line()}
    return write_document(folder, "across-models", text, figures=drawn, data={"across-models": data})


def across_sentence(across: "Across") -> str:
    """The finding, the first line of the report."""
    images, n_models = len(across.everywhere), len(across.models)
    everyone = f"all {n_models} models" if n_models > 2 else "both models"
    if images:
        parts = [images / model.systematic for model in across.models]
        share = (
            f"{min(parts):.0%}"
            if f"{min(parts):.0%}" == f"{max(parts):.0%}"
            else f"{min(parts):.0%} to {max(parts):.0%}"
        )
        alike = (
            f"{counted(images, 'image')} {'is' if images == 1 else 'are'} misread in the same way by {everyone}: "
            f"{share.replace('%', ' %')} of what each of them misreads systematically"
        )
    else:
        alike = f"No image is misread in the same way by {everyone}"
    shared = [across.pair_name(pair.pair) for pair in across.shared]
    owned = [f"{across.pair_name(pair.pair)} to {across.models[pair.owner or 0].name}" for pair in across.owned]
    common = f"no pair stands out in {everyone}"
    if shared:
        common = (
            f"{counted(len(shared), 'pair')} stand{'s' if len(shared) == 1 else ''} out in {everyone} ({_list(shared)})"
        )
    single = "none surely belongs to one"
    if owned:
        single = f"{len(owned)} {'belongs' if len(owned) == 1 else 'belong'} to one ({_list(owned)})"
    return f"{alike}; {common}; {single}."


def _list(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shown(across: "Across") -> "list[PairAcross]":
    """Those in the table: shared and owned ones, then the others in order, `_PAIRS` if there are so many."""
    important = [pair for pair in across.pairs if pair in across.shared or pair.owner is not None]
    others = [pair for pair in across.pairs if pair not in important]
    return [*important, *others][: max(_PAIRS, len(important))]


def _draw_pairs(across: "Across", shown: "list[PairAcross]") -> "Figure":
    owners = np.array([[pair.owner == m for m in range(len(across.models))] for pair in shown])
    return figures.pairs_by_model(
        np.array([pair.mean_errors for pair in shown]),
        np.array([pair.share for pair in shown]),
        rows=[across.pair_name(pair.pair).replace(":", " → ") for pair in shown],
        columns=[model.name for model in across.models],
        bold=np.array([pair.in_every_run for pair in shown]),
        framed=owners,
    )


def _draw_images(across: "Across") -> "Figure":
    captions = []
    for row, read_as, runs, suspected in zip(
        across.everywhere[:_GALLERY], across.read_as, across.wrong_runs, across.suspected, strict=False
    ):
        label, other = across.class_names[across.labels[row]], across.class_names[read_as]
        what = f"{label}, or {other}?" if suspected else f"{label} as {other}"
        captions.append(f"{what}\n{runs} of {across.n_runs} runs")
    return figures.gallery(across.images[across.everywhere[:_GALLERY]], captions)
