"""``reports/<name>-preview.md``: what an augmentation does to images."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran.data import Dataset
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.recipe import InModelAugmentation
from erroran.provenance import command_line
from erroran.report import figures
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from erroran.stages.preview import PreviewResult


def write_preview(
    name: str, hypothesis: Hypothesis, previewed: "PreviewResult", dataset: Dataset, folder: Path
) -> Path:
    """Write the sheet and the tables of a preview."""
    text = render("preview.md.j2", name=name, hypothesis=hypothesis, previewed=previewed, dataset=dataset)
    content = {"hypothesis": name, "dataset": dataset.name, "note": dataset.note, **previewed.to_json()}
    return write_document(
        folder,
        f"{name}-preview",
        text,
        figures={"sheet": figures.image_rows(previewed.rows)} if previewed.rows else {},
        data={"effects": content},
    )


def write_in_model_preview(
    rows: list[tuple[str, np.ndarray]], augmentation: InModelAugmentation, dataset: Dataset, folder: Path
) -> Path:
    """Write the sheet of what layers of a model do to training images."""
    text = render("in_model_preview.md.j2", augmentation=augmentation, dataset=dataset, command=command_line())
    figure = figures.image_rows(rows)
    return write_document(folder, "in-model-preview", text, figures={"sheet": figure}, data={})
