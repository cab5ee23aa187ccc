"""``reports/<name>.md``: did the fix work? The verdict first, then everything it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from erroran.experiment.change import ALL_CLASSES
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import signed

if TYPE_CHECKING:
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.shape.exposure import Example, SeenDose
    from erroran.stages.report import Assessment, Control, Flip
    from erroran.stats.intervals import Effect

_GALLERY = 20
_CELLS_SHOWN = 8


def write_intervention(assessment: "Assessment", folder: Path) -> Path:
    """Write the report of an intervention, its figures and ``comparison.json``."""
    intervention, verdict = assessment.intervention, assessment.verdict
    drawn = {
        "seeds": figures.seeds_before_after(
            [
                (compared.name, compared.before_per_seed, compared.after_per_seed)
                for compared in (verdict.forward, verdict.reverse, verdict.both)
            ]
        ),
        "confusion-difference": figures.confusion_difference(
            assessment.mean_change,
            assessment.before.class_names,
            title="errors per run on confirm, after − before",
        ),
        "training-curves": figures.training_curves(
            {
                f"{arm} {run.spec.seed}": run.history
                for arm, evidence in (("baseline", assessment.before), (intervention.name, assessment.after))
                for run in evidence.runs
            }
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
        runs=assessment.after.runs,
        intervention=intervention,
        hypothesis=intervention.hypothesis,
        verdict=verdict,
        names=assessment.before.class_names,
        primary={"forward": verdict.forward, "reverse": verdict.reverse, "sum": verdict.both}[verdict.endpoint],
        cells=sorted(verdict.cells, key=lambda cell: cell.p_value)[:_CELLS_SHOWN],
        pair_flips={stem: _count_pair(assessment, flips) for stem, flips in _sides(assessment)},
        seconds=sum(run.seconds for run in assessment.after.runs),
        unbeaten=" or ".join(control.name for control in assessment.unbeaten),
        command=intervention.command,
        zip=zip,
        mean_accuracy=lambda evidence: sum(run.accuracy_confirm for run in evidence.runs) / len(evidence.runs),
        relative=_relative,
        answer={-1: "fewer", 0: "no change shown", 1: "more"}.__getitem__,
        describe_control=_describe_control,
    )
    comparison = comparison_json(assessment)
    return write_document(folder, intervention.name, text, figures=drawn, data={"comparison": comparison})


def comparison_json(assessment: "Assessment") -> dict[str, Any]:
    """Everything in the report as JSON-ready data."""
    intervention = assessment.intervention
    before, after = assessment.before, assessment.after
    return {
        "hypothesis": intervention.name,
        "spec": intervention.hypothesis.model_dump(mode="json"),
        "spec_hash": intervention.hypothesis.hash,
        "dataset": {"name": assessment.group.dataset_name, "digest": assessment.group.template.dataset},
        "group": assessment.group.id,
        "note": assessment.group.note,
        "model": assessment.group.template.model,
        "recipe": before.runs[0].spec.recipe.model_dump(mode="json"),
        "verdict": assessment.verdict.to_dict(),
        "stamps": assessment.stamps,
        "seeds": [
            {
                "seed": row.seed,
                "accuracy_before": was.accuracy_confirm,
                "accuracy_after": now.accuracy_confirm,
                "mcnemar_all_images": vars(row.overall),
                "mcnemar_primary": vars(row.primary),
                "runs": [was.id, now.id],
            }
            for row, was, now in zip(assessment.seed_pairs, before.runs, after.runs, strict=True)
        ],
        "classes": [vars(row) for row in assessment.classes],
        "controls": [
            {
                "name": control.name,
                "accuracy": control.accuracy,
                **{
                    key: {
                        "control_per_seed": compared.before_per_seed,
                        "treatment_per_seed": compared.after_per_seed,
                        "treatment_minus_control_per_10000": compared.effect.per_10000,
                        "interval": [compared.effect.low, compared.effect.high],
                        "p_value": compared.test.p_value,
                    }
                    for key, compared in (
                        ("forward", control.forward),
                        ("reverse", control.reverse),
                        ("sum", control.both),
                        ("all_errors", control.overall),
                    )
                },
                "shift": None if control.shift is None else vars(control.shift),
            }
            for control in assessment.controls
        ],
        "not_shown_to_beat": [control.name for control in assessment.unbeaten],
        "mean_change": assessment.mean_change.round(6).tolist(),
        "augmentation": assessment.exposure and assessment.exposure.model_dump(mode="json"),
        "fixed": [_flip_json(assessment, flip) for flip in assessment.fixed],
        "broken": [_flip_json(assessment, flip) for flip in assessment.broken],
        "arms": intervention.arms,
        "command": intervention.command,
        "created": intervention.created,
        "versions": after.runs[0].versions,
        "commit": after.runs[0].commit,
        "machine": after.runs[0].machine,
        "seconds": {run.id: round(run.seconds, 2) for evidence in (before, after) for run in evidence.runs},
    }


@dataclass(frozen=True)
class _SeenClass:
    """What was done to a class, and what became of its errors.

    Attributes:
        name: The class.
        doses: What each dose did.
        changed: Images changed in an epoch of a run, mean.
        images: Training images of the class.
        altered: Of the changed images, the share with another topology; None where none was measured.
        errors: The class's errors of a run on `confirm`, mean over the runs before, and after.
        as_partner: Those read as the other class of the pair; None for a class outside the pair.
        partner: The other class of the pair.
    """

    name: str
    doses: "list[SeenDose]"
    changed: float
    images: int
    altered: float | None
    errors: tuple[float, float]
    as_partner: tuple[float, float] | None
    partner: str


def _seen_by_class(assessment: "Assessment") -> list[_SeenClass]:
    exposure, names = assessment.exposure, assessment.before.class_names
    if exposure is None:
        return []
    moments = sum(exposure.epochs)
    partners = dict(zip(assessment.verdict.pair_names, reversed(assessment.verdict.pair_names), strict=True))
    found = []
    for name, images in exposure.class_images.items():
        doses = [dose for dose in exposure.doses if dose.class_name == name]
        measured = sum(dose.measured for dose in doses)
        partner, labels = partners.get(name), [i for i, other in enumerate(names) if name in {other, ALL_CLASSES}]
        arms = [
            (arm.predicted[:, of], arm.labels[of])
            for arm in (assessment.before, assessment.after)
            for of in [np.isin(arm.labels, labels)]
        ]
        wrong = [float((read != true).sum(axis=1).mean()) for read, true in arms]
        read_as = [float((read == names.index(partner)).sum(axis=1).mean()) for read, _ in arms] if partner else None
        found.append(
            _SeenClass(
                name=name,
                doses=doses,
                changed=sum(dose.changed for dose in doses) / moments,
                images=images,
                altered=sum(dose.topology_changed for dose in doses) / measured if measured else None,
                errors=(wrong[0], wrong[1]),
                as_partner=(read_as[0], read_as[1]) if read_as else None,
                partner=partner or "",
            )
        )
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
    """A ratio never without its interval: of three errors "-100 %" says nothing."""
    if effect.relative is None:
        return "–"
    low = "?" if effect.relative_low is None else signed(100 * effect.relative_low, 0)
    high = "?" if effect.relative_high is None else signed(100 * effect.relative_high, 0)
    return f"{signed(100 * effect.relative, 0)} % ({low} to {high})"


def _describe_control(control: "Control") -> str:
    meaning = {
        "sham": "the same classes' images, at the same rate, shifted by 1 px",
        "swapped": "the operations exchanged between the classes",
        "same-op": "one operation on both classes, so that thickness cannot predict the label",
        "oversample": "the same images counted twice, unchanged",
        "logit-shift": "the baseline with a bias towards the true class, nothing trained",
    }[control.name]
    if control.shift is None:
        return f"{meaning}."
    shift = control.shift
    if shift.shift == 0:
        return (
            f"{meaning}. On `mine` the treatment makes no fewer such errors than the baseline, so no bias was needed."
        )
    return (
        f"{meaning}. On `mine` a bias of {shift.shift:.2f} brings {shift.errors_before} errors down to "
        f"{shift.errors_after}, as the treatment does. If it does as well here, the treatment only moved the threshold."
    )


def _sides(assessment: "Assessment") -> tuple[tuple[str, list["Flip"]], ...]:
    return ("fixed", assessment.fixed), ("broken", assessment.broken)


def _count_pair(assessment: "Assessment", flips: Sequence["Flip"]) -> int:
    pair = assessment.verdict.pair
    return sum((flip.true, flip.read_as) in (pair, pair[::-1]) for flip in flips)


def _gallery(assessment: "Assessment", flips: Sequence["Flip"]) -> Figure:
    names, n = assessment.before.class_names, len(assessment.before.runs)
    captions = [f"{names[f.true]} as {names[f.read_as]}\n{f.wrong_before}/{n} → {f.wrong_after}/{n}" for f in flips]
    return figures.gallery(assessment.before.images[[flip.index for flip in flips]], captions)


def _flip_json(assessment: "Assessment", flip: "Flip") -> dict[str, object]:
    names = assessment.before.class_names
    return {
        "id": str(assessment.before.ids[flip.index]),
        "true": names[flip.true],
        "read_as": names[flip.read_as],
        "runs_wrong_before": flip.wrong_before,
        "runs_wrong_after": flip.wrong_after,
    }
