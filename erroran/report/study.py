"""``reports/<study>.md``: models compared, claims checked, and the cost of each model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import code, counted, md, p_value, percent, signed

if TYPE_CHECKING:
    from erroran.stages.study import ModelResult, StudyResult
    from erroran.verdict.models import CheckedClaim

_SAMPLES = 20
_PREDICTIONS = 10


def study_headline(result: "StudyResult") -> str:
    """The first line, Markdown: the most accurate model, and whether others make significantly more errors."""
    best, *others = result.ranking
    accuracy = best.scores.accuracy_confirm
    spread = f" ± {percent(accuracy.sd)}" if len(accuracy.values) > 1 else ""
    found = f"{code(best.name)} predicts {percent(accuracy.mean)}{spread} correctly"
    if not others:
        return found
    beaten = {name for pair in result.pairs if pair.better == best.name for name in (pair.first, pair.second)}
    rivals = [code(model.name) for model in others if model.name not in beaten]
    if not rivals:
        whom = "the other" if len(others) == 1 else f"all {len(others)} others"
        return f"{found}, significantly more than {whom}"
    return f"{found}; whether {', '.join(rivals)} {'is' if len(rivals) == 1 else 'are'} worse cannot be told yet"


def write_study(result: "StudyResult", folder: Path) -> dict[str, Any]:
    """Write the report of a study.

    Returns:
        The summary that also goes to ``<study>/summary.json``.
    """
    first = result.models[0]
    histories = {f"{model.name} {run.spec.seed}": run.history for model in result.models for run in model.evidence.runs}
    drawn = {
        "accuracy": figures.accuracy_chart(
            [(m.name, m.scores.accuracy_confirm.values, m.interval, m.entry.reported) for m in reversed(result.ranking)]
        ),
        "training-curves": figures.training_curves(histories),
        "confusion-matrices": figures.confusion_heatmaps(
            [(_errors_title(m), m.scores.confusions.mean(axis=0)) for m in result.models], first.mined.class_names
        ),
        "samples": _samples(first),
        "predictions": figures.image_rows([_predictions(model) for model in result.models]),
    }
    run = first.evidence.runs[0]
    summary = {
        **result.to_json(),
        "headline": study_headline(result),
        "command": provenance.command_line(),
        "versions": run.versions,
        "commit": run.commit,
        "machine": run.machine,
    }
    text = render(
        "study.md.j2",
        result=result,
        first=first,
        run=run,
        headline=summary["headline"],
        claim_lines=[claim_line(checked) for checked in result.claims],
        reported=any(model.entry.reported for model in result.models),
        epochs=_describe_epochs,
        command=summary["command"],
    )
    write_document(folder, result.name, text, figures=drawn, data={"summary": summary})
    return summary


def claim_line(checked: "CheckedClaim") -> str:
    """A claim, the word on it, and the difference that was measured."""
    claim, measured = checked.claim, checked.measured
    found = f"{signed(measured.difference, 2)} points ({signed(measured.low, 2)} to {signed(measured.high, 2)})"
    said = ""
    if claim.points is not None:
        fits = measured.low <= claim.points <= measured.high
        said = f"; {signed(claim.points, 2)} were claimed, {'inside' if fits else 'outside'} the interval"
    test = checked.compared
    why = f"; adjusted p {p_value(test.p_adjusted)}"
    if test.p_adjusted is None:
        why = f"; {test.comparison.test.reason.removesuffix('.')}"
    models = f"{code(claim.better)} against {code(claim.worse)}"
    return f"“{md(claim.text)}”: **{checked.word}**. {models}: {found}{said}{why}."


def _errors_title(model: "ModelResult") -> str:
    counts = model.scores.confusions.mean(axis=0)
    return f"{model.name}: {counts.sum() - counts.trace():.0f} errors per run"


def _describe_epochs(model: "ModelResult") -> str:
    trained = sorted({len(run.history["loss"]) for run in model.evidence.runs})
    return counted(trained[0], "epoch") if len(trained) == 1 else f"{trained[0]} to {trained[-1]} epochs"


def _samples(model: "ModelResult") -> Any:
    """Images of every class in turn, drawn from all of `mine`."""
    evidence = model.mined
    order = np.random.default_rng(0).permutation(len(evidence.labels))
    per_class = max(1, _SAMPLES // len(evidence.class_names))
    chosen = [i for c in range(len(evidence.class_names)) for i in order[evidence.labels[order] == c][:per_class]]
    return figures.gallery(evidence.images[chosen], [evidence.class_names[evidence.labels[i]] for i in chosen])


def _predictions(model: "ModelResult") -> tuple[str, np.ndarray, list[str], list[bool]]:
    """Random images, then the most confident errors: captions such as ``7 98 %`` or ``9 97 % (4)``."""
    evidence = model.mined
    probabilities = evidence.probabilities[0]
    read, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(read != evidence.labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][: _PREDICTIONS // 2]
    anywhere = np.random.default_rng(0).permutation(len(read))[: _PREDICTIONS - len(surest)]
    chosen = np.concatenate([anywhere, surest])
    names = evidence.class_names
    captions = [
        f"{names[read[i]]} {percent(confidence[i], 0)}" + (f" ({names[evidence.labels[i]]})" if i in wrong else "")
        for i in chosen
    ]
    return model.name, evidence.images[chosen], captions, [i not in wrong for i in chosen]
