"""``reports/review.md``: what rejecting by confidence buys, and ``reports/review/queue.csv``: who must look at what."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.errors import Unavailable
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import percent
from erroran.stats.reliability import reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stages.review import Reviewed
    from erroran.stats.selective import Selection

_GALLERY = 60


def write_review(reviewed: "Reviewed", folder: Path) -> Path:
    """Write the report, its pictures, and the queue (not on `confirm`)."""
    drawn = {"risk-coverage": _draw_curves(reviewed), "reliability": _draw_reliability(reviewed)}
    if reviewed.images is not None and len(reviewed.queue_rows):
        drawn["queue"] = _draw_queue(reviewed)
    if reviewed.images is not None and len(reviewed.missed):
        drawn["missed"] = _draw_missed(reviewed)
    text = render(
        "review.md.j2",
        reviewed=reviewed,
        chosen=reviewed.selection,
        sentence=review_sentence(reviewed),
        voices=[*reviewed.voices, *([reviewed.ensemble] if reviewed.ensemble else [])],
        who=_who(reviewed),
        mean=_mean,
        found=_found,
        threshold_text=threshold_text,
        figures=drawn,
        shown=_GALLERY,
        group=reviewed.group,
        runs=reviewed.runs,
        command=provenance.command_line(),
    )
    data = {**reviewed.to_json(), "sentence": review_sentence(reviewed), "command": provenance.command_line()}
    path = write_document(folder, "review", text, figures=drawn, data={"review": data})
    _write_queue(reviewed, folder / "review")
    return path


def review_sentence(reviewed: "Reviewed") -> str:
    """The finding, the first line of the report."""
    chosen = reviewed.selection
    waiting = chosen.n_images - _mean(chosen.kept_per_run)
    means = f" (means of {len(reviewed.voices)} runs)" if len(reviewed.judged) > 1 else ""
    errors, found = _mean(chosen.errors_per_run), _found(chosen)
    right = percent(chosen.accuracy[0]) if chosen.accuracy else "none"
    sentence = (
        f"At {threshold_text(chosen.threshold)}, {percent(chosen.coverage[0])} of the images are answered, {right} of "
        f"those correctly; {waiting:,.3g} of {chosen.n_images:,} images wait for a human, who would find {found:.3g} "
        f"of {errors:.3g} errors{means}."
    )
    target = reviewed.target
    if target is None:
        return sentence
    if reviewed.source != target.chosen_on:
        return f"{sentence} The threshold was chosen on `{target.chosen_on}`, for {_target(target.accuracy)}."
    apart = "nothing" if target.accuracy_held_out is None else percent(target.accuracy_held_out, 3)
    return (
        f"{sentence} The threshold was chosen on these images, for {_target(target.accuracy)}; on images that it was "
        f"not chosen on, {apart} is right."
    )


def threshold_text(threshold: float) -> str:
    """A threshold as it is typed."""
    return f"{threshold:.6f}".rstrip("0").rstrip(".")


def _target(accuracy: float) -> str:
    return f"{100 * accuracy:.6g} % right"


def _mean(values: "tuple[int, ...]") -> float:
    return sum(values) / len(values)


def _found(chosen: "Selection") -> float:
    return _mean(chosen.errors_per_run) - _mean(chosen.errors_kept_per_run)


def _who(reviewed: "Reviewed") -> str:
    if reviewed.by_ensemble:
        return f"the ensemble of {len(reviewed.voices)} runs"
    return f"{len(reviewed.voices)} runs, one by one" if len(reviewed.voices) > 1 else "a single run"


def _draw_curves(reviewed: "Reviewed") -> "Figure":
    marks = [
        (kept / reviewed.n_images, errors / kept)
        for kept, errors in zip(reviewed.selection.kept_per_run, reviewed.selection.errors_kept_per_run, strict=True)
        if kept
    ]
    lines = [(voice.name, voice.curve.coverage, voice.curve.risk) for voice in reviewed.voices]
    whole = reviewed.ensemble
    together = (f"ensemble of {len(lines)}", whole.curve.coverage, whole.curve.risk) if whole else None
    return figures.risk_coverage_curves(lines, together, marks)


def _draw_reliability(reviewed: "Reviewed") -> "Figure":
    confidence = np.array([voice.confidence for voice in reviewed.judged])
    wrong = np.array([voice.wrong for voice in reviewed.judged])
    bins = reliability_bins(confidence, wrong, binning="equal width")
    rows = [(b.confidence, b.accuracy, b.accuracy_low, b.accuracy_high, b.predictions) for b in bins]
    return figures.reliability_diagram(rows, title=_who(reviewed))


def _draw_queue(reviewed: "Reviewed") -> "Figure":
    assert reviewed.images is not None
    captions = []
    for waiting in reviewed.queue[:_GALLERY]:
        mark = "" if waiting.prediction == waiting.label else f"\nis {waiting.label}"
        guesses = f"{waiting.prediction} {waiting.confidence:.2f} or {waiting.second} {waiting.second_confidence:.2f}"
        captions.append(guesses + mark)
    return figures.gallery(reviewed.images[reviewed.queue_rows[:_GALLERY]], captions)


def _draw_missed(reviewed: "Reviewed") -> "Figure":
    assert reviewed.images is not None
    rows, names = reviewed.missed[:_GALLERY], reviewed.class_names
    captions = []
    for row in rows.tolist():
        read = np.bincount([voice.predicted[row] for voice in reviewed.judged if voice.wrong[row]]).argmax()
        sure = np.mean([voice.confidence[row] for voice in reviewed.judged])
        captions.append(f"{names[reviewed.labels[row]]} read as {names[read]}\n{sure:.3f}")
    return figures.gallery(reviewed.images[rows], captions)


def _write_queue(reviewed: "Reviewed", folder: Path) -> None:
    path = folder / "queue.csv"
    try:
        if reviewed.discreet:
            path.unlink(missing_ok=True)  # that of an earlier review on `mine` would belong to another report
        else:
            path.write_text(reviewed.queue_csv(), encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.", fix="check the folder ./reports") from error
