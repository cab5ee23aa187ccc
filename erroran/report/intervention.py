"""``reports/<name>.md``: the verdict on a treatment, then everything that it is based on."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from erroran.experiment.change import ALL_CLASSES
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from erroran.experiment.hypothesis import Hypothesis
    from erroran.shape.exposure import Example, SeenDose
    from erroran.stages.report import Assessment
    from erroran.stats.intervals import Effect
    from erroran.verdict.controls import Control
    from erroran.verdict.flips import Flip

_GALLERY = 20
_CELLS_SHOWN = 8
_CONTROLS = {
    "sham": "images of the same classes, at the same rate, shifted by 1 px",
    "swapped": "the operations exchanged between the classes",
    "same-op": "one operation on both classes, so that its result, such as thickness, cannot predict the label",
    "brightness": "the sum of the ink changed as much, its shape not",
    "oversample": "the same images counted twice, unchanged",
    "logit-shift": "the baseline with a bias towards the true class, nothing trained",
}


def write_intervention(assessment: "Assessment", folder: Path) -> Path:
    """Write the report of an intervention, its figures and ``comparison.json``."""
    intervention, verdict = assessment.intervention, assessment.verdict
    arms = {"baseline": assessment.before, intervention.name: assessment.after}
    drawn = {
        "seeds": figures.errors_by_arm(
            [
                (compared.name, {"before": [compared.before_per_seed], "after": [compared.after_per_seed]})
                for compared in (verdict.forward, verdict.reverse, verdict.both)
            ]
        ),
        "confusion-difference": figures.confusion_heatmaps(
            [("errors per seed, after − before", assessment.mean_counts[1] - assessment.mean_counts[0])],
            assessment.before.class_names,
            change=True,
        ),
        "training-curves": figures.training_curves(
            {f"{arm} {place}": run.history for arm, judged in arms.items() for place, run in enumerate(judged.runs)}
        ),
    }
    for stem, flips in (("fixed", assessment.fixed), ("broken", assessment.broken)):
        if flips:
            drawn[stem] = _gallery(assessment, flips[:_GALLERY])
    if assessment.exposure and assessment.exposure.examples and assessment.shown:
        captions = [_describe_example(example, intervention.hypothesis) for example in assessment.exposure.examples]
        drawn["topology"] = figures.pairs_gallery(*assessment.shown, captions)
    text = render(
        "intervention.md.j2",
        a=assessment,
        exposure=assessment.exposure,
        seen=_seen_by_class(assessment),
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
        cells=verdict.cells[:_CELLS_SHOWN],
        pair_flips={
            side: sum({flip.true, flip.read_as} == set(verdict.pair_names) for flip in getattr(assessment, side))
            for side in ("fixed", "broken")
        },
        mean=lambda key: sum(getattr(row, key) for row in assessment.seeds) / len(assessment.seeds),
        command=intervention.command,
        relative=_relative,
        answer={-1: "fewer", 0: "no change shown", 1: "more"}.__getitem__,
        describe_control=_describe_control,
    )
    data = {"comparison": assessment.to_json()}
    return write_document(folder, intervention.name, text, figures=drawn, data=data)


class _SeenClass(NamedTuple):
    """What was done to a class's training images, and the class's errors per run on `confirm`, before and after."""

    name: str  # of the class, or ``all``
    doses: "list[SeenDose]"
    changed: float  # images changed in an epoch of a run, mean, estimated from those measured
    images: int  # training images of the class
    altered: float | None  # share of the changed images with another topology, where measured
    errors: list[float]
    partner: str  # the other class of the pair; empty for a class outside it
    as_partner: list[float]  # errors predicted as `partner`


def _seen_by_class(assessment: "Assessment") -> list[_SeenClass]:
    exposure, names = assessment.exposure, assessment.before.class_names
    if exposure is None:
        return []
    a, b = assessment.verdict.pair_names
    found = []
    for name, images in exposure.class_images.items():
        doses = [dose for dose in exposure.doses if dose.class_name == name]
        changed = sum(dose.changed for dose in doses)
        altered = sum(dose.topology_changed for dose in doses) / changed if changed else None
        rows = [i for i, other in enumerate(names) if name in {other, ALL_CLASSES}]
        errors = [float(counts[rows].sum() - counts[rows, rows].sum()) for counts in assessment.mean_counts]
        partner = {a: b, b: a}.get(name, "")
        as_partner = [float(counts[rows[0], names.index(partner)]) for counts in assessment.mean_counts if partner]
        per_epoch = sum(dose.all_changed for dose in doses) / sum(exposure.epochs)
        found.append(_SeenClass(name, doses, per_epoch, images, altered, errors, partner, as_partner))
    return found


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


def _relative(effect: "Effect") -> str:
    """The relative change in percent, with its interval."""
    if effect.relative is None:
        return "–"
    low = "?" if effect.relative_low is None else signed(100 * effect.relative_low, 0)
    high = "?" if effect.relative_high is None else signed(100 * effect.relative_high, 0)
    return f"{signed(100 * effect.relative, 0)} % ({low} to {high})"


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


def _gallery(assessment: "Assessment", flips: "Sequence[Flip]") -> "Figure":
    before, after = len(assessment.before.seeds), len(assessment.after.seeds)
    captions = [
        f"{f.true} as {f.read_as}\n{f.runs_wrong_before}/{before} → {f.runs_wrong_after}/{after}" for f in flips
    ]
    return figures.gallery(assessment.before.images[[flip.index for flip in flips]], captions)
