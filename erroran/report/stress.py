"""``reports/<name>-stress.md``: a treatment and its controls on thinner, thicker, swollen and broken strokes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran import provenance
from erroran.experiment.endpoint import Endpoint
from erroran.operations.intensity import MOST_GAIN
from erroran.report import figures
from erroran.report.drawing import painter
from erroran.report.render import render, write_document
from erroran.report.text import p_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from erroran.stages.stress import Stressed
    from erroran.verdict.contrasts import Alike, Contrast, Likeness

_PAIR = (Endpoint.FORWARD.value, Endpoint.REVERSE.value)
_TOLD = (*_PAIR, "elsewhere")  # the pair's sum and all errors follow from these
_INTRO = {"same": "as much", "more": "more", "less": "less", "opposite": "the opposite", "no": "no change",
          "cannot tell": "cannot tell"}  # fmt: skip
# What a control gives its images: a part of what the treatment does.
_PARTS = {
    "sham": "a small change of these images, at this rate,",
    "brightness": "more or less ink in each class, by its brightness,",
    "same-op": "the operation itself, given to both classes,",
    "swapped": "a difference between the classes, whichever gets which operation,",
    "oversample": "more weight on these classes",
}


def write_stress(stressed: "Stressed", folder: Path) -> Path:
    """Write a stress test's verdicts, tables, figures and JSON."""
    names, arms, versions = _names(stressed), list(stressed.evidence), stressed.versions
    panels = [(names[kind], {arm: [v.errors[arm][kind] for v in versions] for arm in arms}) for kind in _TOLD]
    drawn = {
        "errors": arms_by_version(panels, [v.name for v in versions]),
        "images": figures.image_rows([(v.name, v.shown) for v in versions]),
    }
    made = {"command": provenance.command_line(), "commit": provenance.commit()}
    text = render(
        "stress.md.j2",
        stressed=stressed,
        intervention=stressed.intervention,
        stamps=stressed.stamps,
        treatment=stressed.change,
        environments=stressed.environments,
        title=stress_title(stressed),
        told=_told(stressed),
        likenesses=_by_change(stressed),
        causes=_causes(stressed),
        saturated=_saturated(stressed),
        lacking=[name for name in ("same-op", "brightness") if name not in stressed.names_of_controls],
        names=names,
        kinds=_TOLD,
        arms=arms,
        mean=np.mean,
        group=stressed.group,
        runs=[run for evidence in stressed.evidence.values() for run in evidence.runs],
        **made,
    )
    data = {**stressed.to_json(), "sentence": stress_sentence(stressed), **made, "machine": provenance.machine()}
    data |= {"versions_of_software": provenance.versions()}
    return write_document(folder, f"{stressed.intervention.name}-stress", text, figures=drawn, data={"stress": data})


def stress_title(stressed: "Stressed") -> str:
    """``4to9 under stress: traded on thinned, improved on thickened images``; other versions are left out."""
    by_word: dict[str, list[str]] = {}
    for judged in stressed.judged:
        by_word.setdefault(judged.word, []).append(judged.contrast.version)
    claims = [f"{word} on {_listed(versions)}" for word, versions in by_word.items() if word != "cannot tell"]
    return f"{stressed.intervention.name} under stress: {', '.join(claims) or 'cannot tell on any'} images"


def stress_sentence(stressed: "Stressed") -> str:
    """What rose, what fell, and which controls show the same, version by version."""
    told = _told(stressed)
    quiet = [j.contrast.version for j in stressed.judged if not j.contrast.found]
    if quiet:
        told.append(f"On {_listed(quiet)} images no change of the baseline's errors is shown.")
    return " ".join(told)


def summary_rows(stressed: "Stressed") -> list[tuple[str, ...]]:
    """A header, then a row for each version and arm: errors per run, and whether they differ from the baseline's."""
    names, name = _names(stressed), stressed.intervention.name
    rows = [("images", "arm", *(names[kind] for kind in _TOLD), "")]
    moved = {(c.version, c.after): c for c in stressed.controls if c.before == "baseline"}
    for judged in stressed.judged:
        version = judged.contrast.version
        alike = [found for found in stressed.likenesses if found.version == version and found.kind in _TOLD]
        means = (f"{judged.contrast.means(kind)[0]:.1f}" for kind in _TOLD)
        rows.append((version, "baseline", *means, ""))
        rows.append((version, name, *(_marked(judged.contrast, kind) for kind in _TOLD), judged.word))
        for control in stressed.names_of_controls:
            told = [f"{names[found.kind]}: {found.alike}" for found in alike if found.control == control]
            cells = (_marked(moved[version, control], kind) for kind in _TOLD)
            rows.append((version, control, *cells, "; ".join(told)))
    return rows


@painter
def arms_by_version(
    panels: Sequence[tuple[str, dict[str, list[list[int]]]]], versions: Sequence[str], *, row: float = 0.15
) -> "Figure":
    """Errors of every run as a dot and their mean as a line; a panel for each kind of error, a row for each arm.

    Args:
        panels: Kind of error; arm to the values of its runs on each of the V versions. The first arm is the baseline,
            the second the treatment; arms may have different numbers of runs.
        versions: V names.
        row: Height of a row, in inches.
    """
    arms = list(panels[0][1])
    step = len(arms) + 1.5
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, row * step * len(versions) + 0.6), layout="constrained")
    axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for cell, (title, by_arm) in zip(axes, panels, strict=True):
        for arm, colour in zip(arms, [figures.BEFORE, figures.AFTER, *["#0369a1"] * len(arms)], strict=False):
            for version, values in enumerate(by_arm[arm]):
                at = version * step + arms.index(arm)
                cell.plot(values, [at] * len(values), "o", color=colour, ms=3, alpha=0.5, mew=0)
                cell.vlines(float(np.mean(values)), at - 0.4, at + 0.4, color=colour, lw=2)
        cell.set_title(title, fontsize=9)
        cell.set_xlim(left=-0.02 * cell.get_xlim()[1])
        cell.set_xlabel("errors per run", fontsize=8)
        cell.tick_params(labelsize=7, length=2)
        cell.spines[["right", "top"]].set_visible(False)
        cell.grid(axis="x", lw=0.4)
        for version in range(1, len(versions)):
            cell.axhline(version * step - 1.25, color="#d1d5db", lw=0.8)
    places = [(v * step + i, arm) for v in range(len(versions)) for i, arm in enumerate(arms)]
    axes[0].set_yticks([at for at, _ in places], [arm for _, arm in places])
    for version, name in enumerate(versions):  # beside the panel's left edge, above its arms
        at = version * step - 0.75
        axes[0].annotate(name, (0, at), xycoords=("axes fraction", "data"), fontsize=8, weight="bold", va="center",
                         xytext=(-4, 0), textcoords="offset points", ha="right")  # fmt: skip
    axes[0].set_ylim(len(versions) * step - 1.25, -1.25)
    return figure


def _names(stressed: "Stressed") -> dict[str, str]:
    classes = stressed.intervention.hypothesis.pair.classes
    names = {endpoint.value: endpoint.describe(*classes) for endpoint in Endpoint}
    return {**names, "elsewhere": "all other errors", "overall": "all errors"}


def _told(stressed: "Stressed") -> list[str]:
    """A sentence for each version on which anything changed, and one on what the controls show there."""
    names, sentences = _names(stressed), []
    for judged in stressed.judged:
        contrast = judged.contrast
        kinds = [kind for kind in _TOLD if kind in contrast.found] or list(contrast.found)
        if not kinds:
            continue
        clauses = []
        for place, kind in enumerate(kinds):
            was, now = contrast.means(kind)
            verb, unit = "rose" if contrast.found[kind] > 0 else "fell", " errors per run" if place == 0 else ""
            clauses.append(f"{names[kind]} {verb} from {was:.1f} to {now:.1f}{unit}")
        largest = max([kind for kind in kinds if kind in _PAIR] or kinds, key=lambda kind: _change(contrast, kind))
        alike = [one for one in stressed.likenesses if (one.version, one.kind) == (contrast.version, largest)]
        sentences.append(f"On {contrast.version} images {_listed(clauses)}.{_alike_text(names[largest], alike)}")
    return sentences


def _change(contrast: "Contrast", kind: str) -> float:
    was, now = contrast.means(kind)
    return abs(now - was)


def _alike_text(name: str, alike: "Sequence[Likeness]") -> str:
    """`` The controls, by 4 read as 9: as much with brightness (85.1, treatment against it q = 0.40); ...``."""
    groups = []
    for word, intro in _INTRO.items():
        of_word = [one for one in alike if one.alike == word]
        if of_word:
            groups.append(
                f"{intro} with {_listed([f'{one.control} ({one.means[1]:.1f}, {_q(one)})' for one in of_word])}"
            )
    return f" The controls, by {name}, and q of the treatment against each: {'; '.join(groups)}." if groups else ""


def _q(one: "Likeness") -> str:
    text = p_value(one.q_treatment)
    return f"q {text}" if text.startswith("<") else f"q = {text}"


def _by_change(stressed: "Stressed") -> "list[tuple[str, str, list[Likeness]]]":
    """Version, kind and the likeness of every control, for the changes that are told."""
    found: dict[tuple[str, str], list[Likeness]] = {}
    for one in stressed.likenesses:
        if one.kind in _TOLD:
            found.setdefault((one.version, one.kind), []).append(one)
    return [(version, kind, alike) for (version, kind), alike in found.items()]


def _causes(stressed: "Stressed") -> list[str]:
    """What each control says about the cause of the changes of the pair's errors."""
    lines = []
    for control in stressed.names_of_controls:
        words = [one.alike for one in stressed.likenesses if one.control == control and one.kind in _PAIR]
        if words:
            counts = ", ".join(f"{intro} in {words.count(word)}" for word, intro in _INTRO.items() if word in words)
            lines.append(f"{control}: {_PARTS[control]} {_effect(words)} (of {len(words)} changes: {counts})")
    return lines


def _effect(words: "Sequence[Alike]") -> str:
    same = sum(word in ("same", "more") for word in words)
    less, opposite, none = (words.count(word) for word in ("less", "opposite", "no"))
    if opposite and not same + less:
        return "turns the changes round: it matters which class gets which operation"
    if same and not less + opposite + none:
        return "is enough"
    if same + less == 0:
        return "does not do it" if none else "may or may not do it"
    return "does part of it" if same == 0 else "does some of it"


def _saturated(stressed: "Stressed") -> list[str]:
    """Classes for which the control ``brightness`` reached the largest gain."""
    arm = stressed.evidence.get("brightness")
    augment = arm.runs[0].spec.augment if arm else {}
    return [name for name, steps in augment.items() if any(max(step.gain or (0,)) >= MOST_GAIN for step in steps)]


def _marked(contrast: "Contrast", kind: str) -> str:
    sign = {-1: " fewer", 1: " more"}.get(contrast.found.get(kind, 0), "")
    return f"{contrast.means(kind)[1]:.1f}{sign}"


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
