"""``reports/baseline.md``: the runs of a group, their scores, curves and confusions."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran.experiment.pair import Pair
from erroran.report import figures
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from erroran.stages.baseline import BaselineResult

MOST_MATRICES = 10
"""Runs whose confusion matrices are drawn; of more, only the top pairs are listed."""
MOST_CLASSES = 30
"""Classes up to which matrices are drawn and scores by class are printed."""
_TOP_PAIRS = 10


def write_baseline(result: "BaselineResult", folder: Path) -> Path:
    """Write the report of a group.

    Args:
        result: What `erroran.stages.baseline.summarise` gives.
        folder: ``./reports``.

    Returns:
        The path of the Markdown file.
    """
    drawn = {"training-curves": figures.training_curves({f"seed {r.spec.seed}": r.history for r in result.records})}
    matrices = len(result.records) <= MOST_MATRICES and len(result.class_names) <= MOST_CLASSES
    if matrices:
        titles = [f"seed {run.spec.seed}" for run in result.records]
        panels = list(zip(titles, result.confusions, strict=True))
        drawn["confusion-matrices"] = figures.confusion_heatmaps(panels, result.class_names)
    text = render(
        "baseline.md.j2",
        summary=result,
        group=result.trained,
        runs=result.records,
        top_pairs=None if matrices else _top_pairs(result),
        by_class=len(result.class_names) <= MOST_CLASSES,
        command=result.command,
    )
    return write_document(folder, "baseline", text, figures=drawn, data={"summary": result.to_json()})


def _top_pairs(result: "BaselineResult") -> list[tuple[Pair, float]]:
    """The pairs with the most errors, and their errors per run."""
    errors = result.confusions.mean(axis=0)
    np.fill_diagonal(errors, 0)
    places = np.argsort(-errors, axis=None, kind="stable")[:_TOP_PAIRS]
    cells = [divmod(int(place), len(errors)) for place in places if errors.flat[place]]
    names = result.class_names
    return [(Pair(names[true], names[predicted]), float(errors[true, predicted])) for true, predicted in cells]
