"""``reports/baseline.md``: the runs of a group, their scores and curves."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.stats.confusion import class_scores, confusion_counts
from erroran.store import Store
from erroran.store.evidence import gather
from erroran.store.records import Group


def write_baseline(store: Store, group: Group, folder: Path) -> dict[str, Any]:
    """Write the report of a group.

    Returns:
        The summary that also goes to ``baseline/summary.json``.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    counts = confusion_counts(evidence.labels, evidence.predicted, len(evidence.class_names))
    scores = class_scores(evidence.labels, evidence.predicted, len(evidence.class_names))
    summary = {
        "group": group.id,
        "dataset": group.dataset_name,
        "dataset_digest": group.template.dataset,
        "note": group.note,
        "model": group.template.model,
        "recipe": group.template.recipe.model_dump(mode="json"),
        "precision": group.template.precision,
        "mine_fraction": group.template.mine_fraction,
        "accuracy_confirm": _spread([run.accuracy_confirm for run in evidence.runs]),
        "accuracy_mine": _spread([run.accuracy_mine for run in evidence.runs]),
        "runs": [run.summary() for run in evidence.runs],
        "classes": [
            {
                "class": name,
                "support": int(scores.support[i]),
                **{m: _spread(getattr(scores, m)[:, i].tolist()) for m in ("precision", "recall", "f1")},
            }
            for i, name in enumerate(evidence.class_names)
        ],
        "command": group.command,
        "versions": evidence.runs[0].versions,
        "commit": evidence.runs[0].commit,
        "machine": evidence.runs[0].machine,
    }
    drawn = {
        "training-curves": figures.training_curves({f"seed {r.spec.seed}": r.history for r in evidence.runs}),
        "confusion-matrix": figures.confusion_heatmap(
            counts.mean(axis=0), evidence.class_names, title=f"errors on mine, mean of {len(counts)} runs"
        ),
    }
    text = render("baseline.md.j2", group=group, runs=evidence.runs, summary=summary, command=group.command)
    write_document(folder, "baseline", text, figures=drawn, data={"summary": summary})
    return summary


def _spread(values: list[float]) -> dict[str, Any]:
    """Mean and sample standard deviation (0 for a single value), with every value."""
    return {
        "mean": float(np.mean(values)),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "values": values,
    }
