"""``reports/review.md``: what answering only confident predictions does; ``review/queue.csv``: what a human looks at.

Prediction files get ``reports/review-files.md``, so that the report of the stored runs stays.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import explain_failure, render, write_document
from erroran.report.text import percent, to_csv
from erroran.stats.reliability import reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stages.review import ReviewResult
    from erroran.stats.selective import Selection

_GALLERY = 60
_QUEUE = (
    *("sample_id", "index", "label", "prediction", "confidence"),
    *("second", "second_confidence", "runs_waiting", "why"),
)


def write_review(reviewed: "ReviewResult", folder: Path) -> Path:
    """Write the report, its pictures, and the queue (not on `confirm`)."""
    name = "review" if reviewed.baseline else "review-files"
    drawn = {"risk-coverage": _draw_curves(reviewed), "reliability": _draw_reliability(reviewed)}
    if reviewed.pixels is not None and reviewed.waiting:
        drawn["queue"] = _draw_queue(reviewed, reviewed.pixels)
    if reviewed.pixels is not None and len(reviewed.missed):
        drawn["missed"] = _draw_missed(reviewed, reviewed.pixels)
    made = {"sentence": review_sentence(reviewed), "command": provenance.command_line()}
    text = render(
        "review.md.j2",
        **made,
        name=name,
        reviewed=reviewed,
        chosen=reviewed.selection,
        who=_who(reviewed),
        mean=_mean,
        found=_found,
        threshold_text=threshold_text,
        figures=drawn,
        shown=_GALLERY,
        group=reviewed.baseline,
        runs=reviewed.runs,
    )
    tables = {}
    if reviewed.shows_images:
        tables["queue"] = to_csv(_QUEUE, [[getattr(row, key) for key in _QUEUE] for row in reviewed.waiting])
    else:
        with explain_failure(folder / name / "queue.csv"):  # the queue of `mine` belongs to another report
            (folder / name / "queue.csv").unlink(missing_ok=True)
    data = {"review": {**reviewed.to_json(), **made}}
    return write_document(folder, name, text, figures=drawn, data=data, tables=tables)


def review_sentence(reviewed: "ReviewResult") -> str:
    """The finding, the first line of the report."""
    chosen = reviewed.selection
    waiting = chosen.n_images - _mean(chosen.kept_per_run)
    means = f" (means of {len(reviewed.run_results)} runs)" if len(reviewed.judged_runs) > 1 else ""
    right = percent(chosen.accuracy[0]) if chosen.accuracy else "none"
    sentence = (
        f"At {threshold_text(chosen.threshold)}, {percent(chosen.coverage[0])} of the images are answered, {right} of "
        f"those correctly; {waiting:,.3g} of {chosen.n_images:,} images wait for a human, who would find "
        f"{_found(chosen):.3g} of {_mean(chosen.errors_per_run):.3g} errors{means}."
    )
    target = reviewed.target
    if target is None:
        return sentence
    aim = f"{100 * target.accuracy:.6g} % right"
    if reviewed.source != target.chosen_on:
        return f"{sentence} The threshold was chosen on {target.chosen_on}, for {aim}."
    apart = "nothing" if target.accuracy_held_out is None else percent(target.accuracy_held_out, 3)
    return (
        f"{sentence} The threshold was chosen on these images, for {aim}; on images that it was not chosen on, "
        f"{apart} is right."
    )


def threshold_text(threshold: float) -> str:
    """A threshold as it is typed."""
    return f"{threshold:.6f}".rstrip("0").rstrip(".")


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _found(chosen: "Selection") -> float:
    """Errors per run among the images that wait."""
    return _mean(chosen.errors_per_run) - _mean(chosen.errors_kept_per_run)


def _who(reviewed: "ReviewResult") -> str:
    n_runs = len(reviewed.run_results)
    if reviewed.judged == "ensemble":
        return f"the ensemble of {n_runs} runs"
    return f"{n_runs} runs, one by one" if n_runs > 1 else "a single run"


def _draw_curves(reviewed: "ReviewResult") -> "Figure":
    marks = [
        (kept / reviewed.images, errors / kept)
        for kept, errors in zip(reviewed.selection.kept_per_run, reviewed.selection.errors_kept_per_run, strict=True)
        if kept
    ]
    lines = [(run.name, run.curve.coverage, run.curve.risk) for run in reviewed.run_results]
    whole = reviewed.ensemble
    together = (f"ensemble of {len(lines)}", whole.curve.coverage, whole.curve.risk) if whole else None
    return figures.risk_coverage_curves(lines, together, marks)


def _draw_reliability(reviewed: "ReviewResult") -> "Figure":
    confidence = np.array([run.confidence for run in reviewed.judged_runs])
    wrong = np.array([run.wrong for run in reviewed.judged_runs])
    return figures.reliability_diagram(reliability_bins(confidence, wrong), title=_who(reviewed))


def _draw_queue(reviewed: "ReviewResult", pixels: np.ndarray) -> "Figure":
    shown = reviewed.waiting[:_GALLERY]
    captions = [
        f"{row.prediction} {row.confidence:.2f} or {row.second} {row.second_confidence:.2f}"
        + ("" if row.prediction == row.label else f"\nis {row.label}")
        for row in shown
    ]
    return figures.gallery(pixels[[row.row for row in shown]], captions)


def _draw_missed(reviewed: "ReviewResult", pixels: np.ndarray) -> "Figure":
    rows, names, runs = reviewed.missed[:_GALLERY], reviewed.class_names, reviewed.judged_runs
    captions = []
    for row in rows.tolist():
        read = np.bincount([run.predicted[row] for run in runs if run.wrong[row]]).argmax()
        confidence = np.mean([run.confidence[row] for run in runs])
        captions.append(f"{names[reviewed.labels[row]]} read as {names[read]}\n{confidence:.3f}")
    return figures.gallery(pixels[rows], captions)
