"""``reports/<name>-stress.md``: a treatment on thinner, thicker, swollen and broken strokes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.experiment.endpoint import Endpoint
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import p_value

if TYPE_CHECKING:
    from erroran.stages.stress import Stressed
    from erroran.verdict.contrasts import Contrast

_KINDS = ("forward", "reverse", "overall")


def write_stress(stressed: "Stressed", folder: Path) -> Path:
    """Write a stress test's verdicts, tables, figures and JSON."""
    names, arms, versions = _names(stressed), list(stressed.evidence), stressed.versions
    panels = [(names[kind], {arm: [v.errors[arm][kind] for v in versions] for arm in arms}) for kind in _KINDS]
    drawn = {
        "errors": figures.errors_by_arm(panels, [v.name for v in versions], one_scale=False),
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
        sentence=stress_sentence(stressed),
        moved=_moved(stressed),
        thickness=_thickness(stressed),
        same_op="same-op" in stressed.intervention.controls or not stressed.intervention.hypothesis.augment,
        names=names,
        kinds=_KINDS,
        arms=arms,
        mean=np.mean,
        group=stressed.group,
        runs=[run for evidence in stressed.evidence.values() for run in evidence.runs],
        **made,
    )
    data = {**stressed.to_json(), "sentence": stress_sentence(stressed), **made, "machine": provenance.machine()}
    data |= {"versions_of_software": provenance.versions()}
    return write_document(folder, f"{stressed.intervention.name}-stress", text, figures=drawn, data={"stress": data})


def stress_sentence(stressed: "Stressed") -> str:
    """The first line of the report: the changes of the baseline's errors that were found, with their numbers."""
    contrasts = stressed.against_baseline
    found = [_found_text(contrast) for contrast in contrasts if contrast.found]
    quiet = [contrast.version for contrast in contrasts if not contrast.found]
    if not found:
        return (
            f"No difference shown under stress: on {_listed(quiet)} images no change of the baseline's errors is shown."
        )
    rest = f"; no change is shown on {_listed(quiet)} ones" if quiet else ""
    return f"{_opening(stressed)}: {'; '.join(found)}{rest}."


def _opening(stressed: "Stressed") -> str:
    signs = {sign for contrast in stressed.against_baseline for sign in contrast.found.values()}
    if _moved(stressed):
        return "Under stress errors move inside the pair"
    return {frozenset({-1}): "Fewer errors under stress", frozenset({1}): "More errors under stress"}.get(
        frozenset(signs), "Other errors under stress"
    )


def summary_rows(stressed: "Stressed") -> list[tuple[str, ...]]:
    """The table of the command line: a header, then a row for each version and arm; errors are means over runs."""
    names = _names(stressed)
    rows = [("images", "against", *(names[kind] for kind in _KINDS), "q", "verdict")]
    for contrast in stressed.contrasts:
        effects = [contrast.compared[kind].effect for kind in _KINDS]
        changes = [f"{effect.before_mean:.1f} -> {effect.after_mean:.1f}" for effect in effects]
        q_values = ", ".join(p_value(contrast.q_values[kind]) for kind in _KINDS)
        rows.append((contrast.version, contrast.against, *changes, q_values, contrast.word))
    return rows


def _names(stressed: "Stressed") -> dict[str, str]:
    classes = stressed.intervention.hypothesis.pair.classes
    return {**{endpoint.value: endpoint.describe(*classes) for endpoint in Endpoint}, "overall": "all errors"}


def _found_text(contrast: "Contrast") -> str:
    compared = [contrast.compared[kind] for kind in contrast.found]
    first, *others = [f"from {c.effect.before_mean:.1f} to {c.effect.after_mean:.1f}" for c in compared]
    changes = [f"{compared[0].name} went {first} errors per run"]
    changes += [f"{c.name} {text}" for c, text in zip(compared[1:], others, strict=True)]
    return f"on {contrast.version} images {_listed(changes)}"


def _moved(stressed: "Stressed") -> "list[Contrast]":
    """Where one direction of the pair fell and the other rose."""
    return [c for c in stressed.against_baseline if c.found.get("forward", 0) * c.found.get("reverse", 0) < 0]


def _thickness(stressed: "Stressed") -> bool:
    """Whether a direction of the pair went one way on thinned images and the other way on thickened ones."""
    found = {c.version: c.found for c in stressed.against_baseline}
    thin, thick = found.get("thinned", {}), found.get("thickened", {})
    return any(thin.get(kind, 0) * thick.get(kind, 0) < 0 for kind in ("forward", "reverse"))


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
