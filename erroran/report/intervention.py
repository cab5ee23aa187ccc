"""``reports/<name>.md``: the page of a hypothesis, with the verdict on its treatment and everything behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erroran.report import figures
from erroran.report.forest import control_rows, forest, levels, verdict_rows
from erroran.report.render import render, write_document
from erroran.report.text import percent
from erroran.verdict.table import ROWS

if TYPE_CHECKING:
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.report.drawing import Drawing
    from erroran.shape.exposure import Example, SeenDose
    from erroran.stages.report import Assessment
    from erroran.verdict.compare import Comparison
    from erroran.verdict.controls import Control
    from erroran.verdict.decide import Verdict
    from erroran.verdict.flips import Flip
    from erroran.verdict.plan import Chance

_GALLERY = 20
_LEAST_CHANCE = 0.05
_PAGES = ("proposal", "preview", "probe", "plan", "stress")
_CONTROLS = {
    "sham": "images of the same classes, at the same rate, shifted by 1 px",
    "swapped": "the operations exchanged between the classes",
    "same-op": "one operation on both classes, so that its result, such as thickness, cannot predict the label",
    "brightness": "other brightness instead of the operation: the ink changes as much, as far as pixels can hold it",
    "oversample": "the same images counted twice, unchanged",
    "logit-shift": "the baseline with a bias towards the true class, nothing trained",
}


def write_intervention(assessment: "Assessment", folder: Path) -> Path:
    """Write the page of a hypothesis, its figures and ``comparison.json``."""
    intervention, verdict = assessment.intervention, assessment.verdict
    name = intervention.name
    pair = [(kind, getattr(verdict, kind)) for kind in ("forward", "reverse", "both")]
    used = [(arm, found) for arm, found in assessment.against_baseline.items() if not _unneeded(assessment, arm)]
    drawn = {
        "forest": forest([*verdict_rows(verdict), *control_rows(verdict, used)]),
        "seeds": figures.errors_by_arm([(c.name, _errors_by_arm(assessment, kind)) for kind, c in pair]),
    }
    for stem, flips in (("fixed", assessment.fixed), ("broken", assessment.broken)):
        if flips:
            drawn[stem] = _gallery(assessment, flips[:_GALLERY])
    if assessment.exposure and assessment.exposure.examples and assessment.shown:
        captions = [_describe_example(example, intervention.hypothesis) for example in assessment.exposure.examples]
        drawn["topology"] = figures.pairs_gallery(*assessment.shown, captions)
    found = (("probe", "Probe: do the stored models support it?", assessment.probe),
             ("stress", "Stress: other strokes", assessment.stress))  # fmt: skip
    text = render(
        "intervention.md.j2",
        a=assessment,
        exposure=assessment.exposure,
        mean_change=_mean_change,
        group=assessment.group,
        stamps=assessment.stamps,
        treatment=assessment.change,
        environments=assessment.environments,
        arms=intervention.arms,
        runs=assessment.after.runs,
        intervention=intervention,
        hypothesis=intervention.hypothesis,
        verdict=verdict,
        names=assessment.before.class_names,
        cells=[cell for cell in verdict.cells if cell.found],
        findings=[(kind, title, finding) for kind, title, finding in found if finding is not None],
        pages=[kind for kind in _PAGES if (folder / f"{name}-{kind}.md").is_file()],
        pair_flips={
            side: sum({flip.true, flip.read_as} == set(verdict.pair_names) for flip in getattr(assessment, side))
            for side in ("fixed", "broken")
        },
        mean=lambda key: sum(getattr(row, key) for row in assessment.seeds) / len(assessment.seeds),
        command=intervention.command,
        describe_control=_describe_control,
        likely=_likely,
        **table_context(),
    )
    data = {"comparison": assessment.to_json()}
    return write_document(folder, name, text, figures=drawn, data=data)


def table_context() -> dict[str, Any]:
    """What ``tables.md.j2`` needs."""
    conditions = {row.name: row.condition for row in ROWS}
    return {"condition": conditions.__getitem__, "compared_errors": compared_errors, "levels": levels}


def compared_errors(verdict: "Verdict") -> "list[Comparison]":
    """The rows of a verdict's table: the endpoint, the rest of the pair, the classes, and all errors."""
    rest = [one for one in (verdict.forward, verdict.reverse, verdict.both) if one.name != verdict.primary.name]
    return [verdict.primary, *rest, *verdict.classes, verdict.overall]


def _likely(words: "Mapping[str, Chance]") -> str:
    """The words with a probability of 5 % or more, the most probable first: ``improved 82 %, cannot tell 18 %``."""
    chances = sorted(words.items(), key=lambda item: -item[1].value)
    return ", ".join(f"{word} {percent(chance.value, 0)}" for word, chance in chances if chance.value >= _LEAST_CHANCE)


def _unneeded(assessment: "Assessment", arm: str) -> bool:
    """Whether a control is the baseline itself: a shift of the logits by 0."""
    return any(c.name == arm and c.shift is not None and c.shift.shift == 0 for c in assessment.controls)


def _errors_by_arm(assessment: "Assessment", kind: str) -> dict[str, list[Sequence[int]]]:
    """Errors of every run: baseline, treatment, and the controls that are not the baseline itself."""
    compared: Comparison = getattr(assessment.verdict, kind)
    controls = [control for control in assessment.controls if not _unneeded(assessment, control.name)]
    return {
        "baseline": [compared.before_per_seed],
        assessment.intervention.name: [compared.after_per_seed],
        **{control.name: [getattr(control, kind).before_per_seed] for control in controls},
    }


def _mean_change(dose: "SeenDose", key: str) -> str:
    """``2.54 → 3.42``; a dash where nothing was measured."""
    was, now = dose.before[key], dose.after[key]
    return "–" if was is None or now is None else f"{was:.2f} → {now:.2f}".replace("-", "−")


def _describe_example(example: "Example", hypothesis: "Hypothesis") -> str:
    step = hypothesis.augment[example.class_name][example.step - 1]
    dose = "" if example.dose is None else f" {example.dose:g} {step.unit}"
    changes = [("holes", example.holes), ("pieces", example.pieces)]
    counts = ", ".join(f"{noun} {was} → {now}" for noun, (was, now) in changes if was != now)
    return f"{example.class_name}, {step.operation}{dose}\n{counts}"


def _describe_control(control: "Control") -> str:
    meaning, shift = _CONTROLS[control.name], control.shift
    if shift is None:
        return f"{meaning}."
    if shift.shift == 0:
        return f"{meaning}. On `mine` the treatment makes as many such errors as the baseline: no bias was needed."
    return (
        f"{meaning}. On `mine` a bias of {shift.shift:.2f} logits reduces {shift.errors_before} errors to "
        f"{shift.errors_after}, as the treatment does. If it does as well here, the treatment only moved the threshold."
    )


def _gallery(assessment: "Assessment", flips: "Sequence[Flip]") -> "Drawing":
    before, after = len(assessment.before.seeds), len(assessment.after.seeds)
    captions = [
        f"{f.true} as {f.read_as}\n{f.runs_wrong_before}/{before} → {f.runs_wrong_after}/{after}" for f in flips
    ]
    return figures.gallery(assessment.before.images[[flip.index for flip in flips]], captions)
