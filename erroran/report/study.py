"""``reports/<study>.md``: models side by side, what holds of the claims, what each model costs."""

from pathlib import Path
from typing import Any

import numpy as np

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import counted, percent, signed
from erroran.stages.study import CheckedClaim, ModelResult, StudyResult

_SAMPLES = 20
_PREDICTIONS = 10


def study_headline(result: StudyResult) -> str:
    """The first line: the best model, whether the lead is more than chance."""
    best, *others = result.ranking
    spread = f" ± {percent(best.sd)}" if best.sd is not None else ""
    found = f"`{best.name}` reads {percent(best.mean)}{spread} correctly"
    if not others:
        return found
    beaten = [model for model in others if _beats(result, best, model)]
    if len(beaten) == len(others):
        return (
            f"{found}, more than {'the other' if len(others) == 1 else f'all {len(others)} others'} by more than chance"
        )
    rivals = ", ".join(f"`{model.name}`" for model in others if model not in beaten)
    return f"{found}; whether {rivals} {'is' if len(others) - len(beaten) == 1 else 'are'} worse, cannot be told yet"


def write_study(result: StudyResult, folder: Path) -> dict[str, Any]:
    """Write the report of a study.

    Returns:
        The summary that also goes to ``<study>/summary.json``.
    """
    first = result.models[0]
    histories = {f"{model.name} {run.spec.seed}": run.history for model in result.models for run in model.evidence.runs}
    drawn = {
        "accuracy": figures.accuracy_chart(
            [(m.name, m.accuracy, m.interval, m.entry.reported) for m in reversed(result.ranking)]
        ),
        "training-curves": figures.training_curves(histories),
        "confusion-matrices": figures.confusion_heatmaps(
            [(model.name, model.counts.mean(axis=0)) for model in result.models], first.evidence.class_names
        ),
        "samples": _samples(first),
        "predictions": figures.prediction_rows([_predictions(model) for model in result.models]),
    }
    summary = _summary(result)
    text = render(
        "study.md.j2",
        result=result,
        first=first,
        headline=study_headline(result),
        claim_lines=[claim_line(checked) for checked in result.claims],
        reported=any(model.entry.reported for model in result.models),
        untested=" ".join(
            f"`{p.first}` and `{p.second}`: {p.comparison.test.reason}" for p in result.pairs if p.p_adjusted is None
        ),
        seeds=lambda model: ", ".join(percent(value) for value in model.accuracy),
        epochs=_describe_epochs,
        class_rows=_class_rows,
        command=provenance.command_line(),
    )
    write_document(folder, result.name, text, figures=drawn, data={"summary": summary})
    return summary


def claim_line(checked: CheckedClaim) -> str:
    """A claim, the word on it, and the difference that was measured."""
    claim = checked.claim
    points, low, high = checked.points
    measured = f"{signed(points, 2)} points ({signed(low, 2)} to {signed(high, 2)})"
    said = ""
    if claim.points is not None:
        fits = low <= claim.points <= high
        said = f"; {signed(claim.points, 2)} were claimed, {'inside' if fits else 'outside'} the interval"
    why = f"; {checked.p_none}" if checked.p_value is None else ""
    return f"“{claim.text}”: **{checked.word}**. `{claim.better}` against `{claim.worse}`: {measured}{said}{why}."


def _beats(result: StudyResult, best: ModelResult, other: ModelResult) -> bool:
    return any(
        pair.better == best.name and {pair.first, pair.second} == {best.name, other.name} for pair in result.pairs
    )


def _describe_epochs(model: ModelResult) -> str:
    trained = sorted({len(run.history["loss"]) for run in model.evidence.runs})
    return counted(trained[0], "epoch") if len(trained) == 1 else f"{trained[0]} to {trained[-1]} epochs"


def _class_rows(model: ModelResult) -> list[dict[str, Any]]:
    means = {field: getattr(model.metrics, field).mean(axis=0) for field in ("precision", "recall", "f1")}
    return [
        {"name": name, "support": int(model.metrics.support[i]), **{f: float(v[i]) for f, v in means.items()}}
        for i, name in enumerate(model.evidence.class_names)
    ]


def _samples(model: ModelResult) -> Any:
    """Images of every class in turn, drawn from all of `confirm`."""
    evidence = model.evidence
    order = np.random.default_rng(0).permutation(len(evidence.labels))
    per_class = max(1, _SAMPLES // len(evidence.class_names))
    chosen = [i for c in range(len(evidence.class_names)) for i in order[evidence.labels[order] == c][:per_class]]
    return figures.gallery(evidence.images[chosen], [evidence.class_names[evidence.labels[i]] for i in chosen])


def _predictions(model: ModelResult) -> tuple[str, np.ndarray, list[str], list[bool]]:
    """Random images, then the most confident errors: captions such as ``7 98 %`` or ``9 97 % (4)``."""
    evidence = model.evidence
    probabilities = evidence.probabilities[0]
    read, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(read != evidence.labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][: _PREDICTIONS // 2]
    anywhere = np.random.default_rng(0).permutation(len(read))[: _PREDICTIONS - len(surest)]
    chosen = np.concatenate([anywhere, surest])
    names = evidence.class_names
    captions = [
        f"{names[read[i]]} {confidence[i]:.0%}" + (f" ({names[evidence.labels[i]]})" if i in wrong else "")
        for i in chosen
    ]
    return model.name, evidence.images[chosen], captions, [i not in wrong for i in chosen]


def _summary(result: StudyResult) -> dict[str, Any]:
    return {
        "study": result.name,
        "headline": study_headline(result),
        "dataset": result.models[0].group.dataset_name,
        "dataset_digest": result.models[0].group.template.dataset,
        "precision": result.study.precision,
        "models": [_model_summary(model) for model in result.models],
        "pairs": [
            {
                "models": [pair.first, pair.second],
                "points": -pair.comparison.effect.per_10000 / 100,
                "interval": [-pair.comparison.effect.high / 100, -pair.comparison.effect.low / 100],
                "p_value": pair.comparison.test.p_value,
                "p_adjusted": pair.p_adjusted,
                "method": pair.comparison.test.method,
                "better": pair.better,
            }
            for pair in result.pairs
        ],
        "claims": [
            {**checked.claim.model_dump(), "word": checked.word, "measured": checked.points, "p_value": checked.p_value}
            for checked in result.claims
        ],
        "command": provenance.command_line(),
        "versions": result.models[0].evidence.runs[0].versions,
        "commit": result.models[0].evidence.runs[0].commit,
        "machine": result.models[0].evidence.runs[0].machine,
    }


def _model_summary(model: ModelResult) -> dict[str, Any]:
    return {
        "model": model.name,
        "group": model.group.id,
        "recipe": model.group.template.recipe.model_dump(mode="json", exclude_none=True),
        "reported": model.entry.reported,
        "accuracy": {"mean": model.mean, "sd": model.sd, "interval": model.interval, "values": model.accuracy},
        "weighted_f1": model.weighted_f1,
        "classes": _class_rows(model),
        "parameters": model.evidence.runs[0].parameters,
        "bytes_on_disk": model.bytes_on_disk,
        "training_seconds": [run.seconds for run in model.evidence.runs],
        "epochs_trained": [len(run.history["loss"]) for run in model.evidence.runs],
        "latency": vars(model.latency),
        "runs": [run.id for run in model.evidence.runs],
    }
