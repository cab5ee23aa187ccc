"""``reports/review.md``: what answering only confident predictions does; ``review/queue.csv``: what a human looks at.

Prediction files get ``reports/review-files.md``, so that they do not replace the report of the stored runs.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import explain_failure, render, write_document
from erroran.report.text import percent, to_csv
from erroran.stats.reliability import reliability_bins
from erroran.stats.selective import risk_coverage

if TYPE_CHECKING:
    from erroran.report.drawing import Drawing
    from erroran.stages.review import ReviewResult
    from erroran.stats.selective import Selection

_GALLERY = 60
_TWO_CLASSES = 0.9  # probability of two classes together, from which on only these two are named
_LIKELY = 0.1  # smallest probability of a class that is named


@dataclass(frozen=True)
class QueueRow:
    """An image that waits for a human.

    Attributes:
        sample_id: Its id.
        index: Its place in the dataset, or in the sorted prediction file.
        label: The label, which may be wrong.
        prediction: The class with the highest mean probability.
        confidence: That probability.
        second: The class with the second highest.
        second_confidence: Its mean probability.
        runs_waiting: Runs whose own confidence is below the threshold.
        why: The reason in words.
    """

    sample_id: str
    index: int
    label: str
    prediction: str
    confidence: float
    second: str
    second_confidence: float
    runs_waiting: int
    why: str


def write_review(reviewed: "ReviewResult", folder: Path) -> Path:
    """Write the report, its pictures, and the queue (not on `confirm`)."""
    name = "review" if reviewed.baseline else "review-files"
    queue = queue_rows(reviewed)
    drawn = {"risk-coverage": _draw_curves(reviewed), "reliability": _draw_reliability(reviewed)}
    if reviewed.pixels is not None and queue:
        drawn["queue"] = _draw_queue(reviewed, queue[:_GALLERY])
    if reviewed.pixels is not None and len(reviewed.missed):
        drawn["missed"] = _draw_missed(reviewed)
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
    if not reviewed.shows_images:  # a queue that is there is that of `mine`
        with explain_failure(folder / name / "queue.csv"):
            (folder / name / "queue.csv").unlink(missing_ok=True)
    table = to_csv([field.name for field in fields(QueueRow)], map(astuple, queue))
    tables = {"queue": table} if reviewed.shows_images else {}
    data = {"review": {**reviewed.to_json(), **made}}
    return write_document(folder, name, text, figures=drawn, data=data, tables=tables)


def review_sentence(reviewed: "ReviewResult") -> str:
    """The finding, the first line of the report."""
    chosen, target = reviewed.selection, reviewed.target
    waiting = chosen.n_images - _mean(chosen.kept_per_run)
    n_judged = len(chosen.kept_per_run)
    means = f" (means of {n_judged} runs)" if n_judged > 1 else ""
    right = percent(chosen.accuracy[0]) if chosen.accuracy else "none"
    sentence = (
        f"At {threshold_text(chosen.threshold)}, {percent(chosen.coverage[0])} of the images are answered, {right} of "
        f"those correctly; {waiting:,.3g} of {chosen.n_images:,} images wait for a human, who would find "
        f"{_found(chosen):.3g} of {_mean(chosen.errors_per_run):.3g} errors{means}."
    )
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


def queue_rows(reviewed: "ReviewResult") -> list[QueueRow]:
    """The images that wait for a human, in the order of `ReviewResult.waiting`."""
    found, names = reviewed.predictions, reviewed.predictions.class_names
    probabilities = (reviewed.ensemble or found).probabilities
    assert probabilities is not None
    mean, below = probabilities[0], found.confidence < reviewed.selection.threshold
    rows = []
    for i in reviewed.waiting.tolist():
        first, second = (-mean[i]).argsort(kind="stable")[:2]
        rows.append(
            QueueRow(
                sample_id=str(found.ids[i]),
                index=int(reviewed.places[i]),
                label=names[found.labels[i]],
                prediction=names[first],
                confidence=float(mean[i, first]),
                second=names[second],
                second_confidence=float(mean[i, second]),
                runs_waiting=int(below[:, i].sum()),
                why=_explain(mean[i], found.predicted[:, i], names),
            )
        )
    return rows


def threshold_text(threshold: float) -> str:
    """A threshold as it is typed."""
    return f"{threshold:.6f}".rstrip("0").rstrip(".")


def _explain(probabilities: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    """Why an image waits, from its mean probabilities (C,) and the predictions of the runs (S,)."""
    ranked = (-probabilities).argsort(kind="stable")
    likely = [names[c] for c in ranked if probabilities[c] >= _LIKELY]
    if len(likely) < 2:
        reason = f"low probability of {names[ranked[0]]}"
    elif probabilities[ranked[:2]].sum() >= _TWO_CLASSES:
        reason = f"between {likely[0]} and {likely[1]}"
    else:
        reason = f"several likely classes: {', '.join(likely)}"
    classes, counts = np.unique(predicted, return_counts=True)
    if len(classes) == 1:
        return reason
    told = (f"{counts[k]} read {names[classes[k]]}" for k in (-counts).argsort(kind="stable"))
    return f"{reason}; runs disagree: {', '.join(told)}"


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _found(chosen: "Selection") -> float:
    """Errors per run among the images that wait."""
    return _mean(chosen.errors_per_run) - _mean(chosen.errors_kept_per_run)


def _who(reviewed: "ReviewResult") -> str:
    n_runs = len(reviewed.predictions.files)
    if reviewed.judged == "ensemble":
        return f"the ensemble of {n_runs} runs"
    return f"{n_runs} runs, one by one" if n_runs > 1 else "a single run"


def _draw_curves(reviewed: "ReviewResult") -> "Drawing":
    chosen = reviewed.selection
    kept = [(n, errors) for n, errors in zip(chosen.kept_per_run, chosen.errors_kept_per_run, strict=True) if n]
    both = (reviewed.predictions, reviewed.ensemble)
    runs, together = (
        [risk_coverage(*run) for run in zip(part.confidence, part.wrong, strict=True)] if part else [] for part in both
    )
    return figures.risk_coverage_curves(
        [(curve.coverage, curve.risk) for curve in runs],
        [(curve.coverage, curve.risk) for curve in together],
        [(n / reviewed.images, errors / n) for n, errors in kept],
    )


def _draw_reliability(reviewed: "ReviewResult") -> "Drawing":
    judged = reviewed.judged_predictions
    return figures.reliability_diagram(reliability_bins(judged.confidence, judged.wrong), title=_who(reviewed))


def _draw_queue(reviewed: "ReviewResult", queue: Sequence[QueueRow]) -> "Drawing":
    assert reviewed.pixels is not None
    captions = [
        f"{row.prediction} {row.confidence:.2f} or {row.second} {row.second_confidence:.2f}"
        + ("" if row.prediction == row.label else f"\nis {row.label}")
        for row in queue
    ]
    return figures.gallery(reviewed.pixels[reviewed.waiting[: len(queue)]], captions)


def _draw_missed(reviewed: "ReviewResult") -> "Drawing":
    assert reviewed.pixels is not None
    rows, judged = reviewed.missed[:_GALLERY], reviewed.judged_predictions
    names, confidence = judged.class_names, judged.confidence.mean(axis=0)
    captions = []
    for i in rows.tolist():
        read = np.bincount(judged.predicted[judged.wrong[:, i], i]).argmax()
        captions.append(f"{names[judged.labels[i]]} read as {names[read]}\n{confidence[i]:.3f}")
    return figures.gallery(reviewed.pixels[rows], captions)
