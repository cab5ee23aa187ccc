"""``reports/<name>-proposal.md``, the spec it proposes, and ``reports/proposals.md`` for several pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erroran import provenance
from erroran.experiment.specfile import quote
from erroran.operations.apply import apply_dose
from erroran.operations.table import DOSE_UNITS, OPERATIONS
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import area, counted, percent, signed

if TYPE_CHECKING:
    from erroran.report.drawing import Drawing
    from erroran.shape.movements import Movement
    from erroran.shape.proposal import Choice, Finding, ProposedDirection
    from erroran.stages.propose import ProposalResult

_SHOWN = 12
_PANELS = 4
_ORIGINAL_DOSES = (0.5, 1.0)
_IN_WORDS = {  # name, and what smaller and larger values are called
    "thickness_px": ("stroke thickness", "thinner strokes", "thicker strokes"),
    "length_px": ("stroke length", "shorter strokes", "longer strokes"),
    "slant_deg": ("slant", "a slant further to the left", "a slant further to the right"),
    "width_px": ("width", "a narrower shape", "a wider shape"),
    "height_px": ("height", "a lower shape", "a taller shape"),
    "area_px2": ("ink", "less ink", "more ink"),
    "components": ("pieces", "fewer pieces", "more pieces"),
    "holes": ("holes", "fewer holes", "more holes"),
    "hole_area_px2": ("hole area", "less hole area", "more hole area"),
    "hole_row_px": ("hole from the top", "holes further up", "holes further down"),
    "hole_column_px": ("hole from the left", "holes further left", "holes further right"),
    "euler": ("Euler number", "a lower Euler number", "a higher Euler number"),
    "tips": ("free ends", "fewer free ends", "more free ends"),
    "forks": ("forks", "fewer forks", "more forks"),
    "closure_margin_px": ("closure margin", "a lower closure margin", "a higher closure margin"),
}
_UNITS = {"px": " px", "px2": " px²", "deg": "°"}
_RESULTS = {
    "not held": "found, not held",
    "contradicted": "held, but the misread images say the opposite",
    "not found": "–",
    "not testable": "too few values",
}


def write_proposal(proposed: "ProposalResult", folder: Path) -> Path:
    """Write one pair's verdict, tables and figures."""
    drawn = {"images": _draw_images(proposed)}
    if proposed.forward.findings:
        drawn["measurements"] = _draw_measurements(proposed)
    text = render(
        "proposal.md.j2",
        proposed=proposed,
        sentence=proposal_sentence(proposed),
        next_command=next_command(proposed),
        directions=(proposed.forward, proposed.reverse),
        figures=drawn,
        result=_result,
        rows=_rows,
        chosen=_chosen,
        **_common(proposed),
    )
    content = {**proposed.to_json(), "sentence": proposal_sentence(proposed), **provenance.made_by()}
    return write_document(folder, f"{proposed.name}-proposal", text, figures=drawn, data={"proposal": content})


def write_proposals(proposals: "Sequence[ProposalResult]", folder: Path) -> Path:
    """Write the table of several pairs."""
    text = render(
        "proposals.md.j2",
        proposals=proposals,
        supported=[p for p in proposals if p.verdict == "supported"],
        with_spec=[p for p in proposals if p.choices],
        leads=_leads,
        falsely=sum(p.forward.false_support for p in proposals),
        shuffles=sum(p.forward.permutations for p in proposals),
        margin=_closure_finding,
        **_common(proposals[0]),
    )
    return write_document(folder, "proposals", text)


def spec_text(proposed: "ProposalResult") -> str:
    """A proposal with choices as a spec, its reasons as comments."""
    by_class = {d.true: d for d in (proposed.forward, proposed.reverse)}
    steps = [(choice.movement, by_class[choice.class_name]) for choice in proposed.choices]
    keys = [next(key for key in DOSE_UNITS if getattr(movement.step, key)) for movement, _ in steps]
    hypothesis = _hypothesis(proposed)
    return render(
        "proposal.toml.j2", proposed=proposed, steps=steps, keys=keys, hypothesis=hypothesis, quoted=quote, **_HELPERS
    )


def proposal_sentence(proposed: "ProposalResult") -> str:
    """The verdict in one sentence with its numbers, the first line of the report."""
    d = proposed.forward
    near = f"the {d.true}s nearest to {d.predicted}"
    if d.word == "cannot tell":
        return (
            f"Cannot tell: {len(d.images)} images of {d.true} are too few to find what those nearest to {d.predicted} "
            "have in common and to check it on others."
        )
    if d.word == "supported":
        more = f" ({len(d.leading) - 3} more in the table)" if len(d.leading) > 3 else ""
        return f"Supported: {near} have {_listed([_lead_text(finding) for finding in d.leading[:3]])}{more}."
    if d.leading:
        reason = (
            f"{near} differ from the others in {_listed([_title(finding.measurement) for finding in d.leading])}, but "
            "those near other classes do so as much"
        )
    else:
        found = sum(f.status in {"not held", "contradicted"} for f in d.findings)
        also = f"; {found} differed in one half of the images, but not in the other" if found else ""
        reason = f"none of {len(d.findings)} measurements separates {near} from the others{also}"
    return f"No morphological hypothesis is supported: {reason}."


def proposal_text(proposed: "ProposalResult") -> str:
    """The proposed operations, in one line."""
    if proposed.choices:
        return "; ".join(f"{choice.class_name}: {choice.movement.name}" for choice in proposed.choices)
    if proposed.verdict == "supported":
        return "no operation changes the other images in this way without many other changes"
    return "nothing"


def next_command(proposed: "ProposalResult") -> str:
    """The command to run next."""
    name = f"{proposed.name}-proposed"
    if proposed.choices:
        able = all(OPERATIONS[choice.movement.step.operation].sweep for choice in proposed.choices)
        return f"erroran probe {name}" if able else f"erroran preview {name}"
    if proposed.verdict == "supported":
        return f"erroran new {proposed.name} --pair {proposed.pair}"
    if proposed.verdict == "cannot tell" and proposed.split == "mine":
        return "erroran mine-confusions --out-of-fold 5"
    return "erroran propose --worst 5"


def _common(proposed: "ProposalResult") -> dict[str, Any]:
    """Context of both pages."""
    return {
        "group": proposed.baseline,
        "runs": proposed.runs,
        "command": provenance.command_line(),
        "commit": provenance.commit(),
        "sources": _sources(proposed),
        "proposal": proposal_text,
        "false_support": _false_support,
        "effect": area,
        **_HELPERS,
    }


def _false_support(direction: "ProposedDirection") -> str:
    """``2 of 200 (1.0 %; 95 % interval 0.3 to 3.6 %)``."""
    from erroran.stats.intervals import wilson_interval

    if not direction.permutations:
        return "–"
    low, high = wilson_interval(direction.false_support, direction.permutations)
    rate = percent(direction.false_support / direction.permutations, 1)
    count = f"{direction.false_support} of {direction.permutations}"
    return f"{count} ({rate}; 95 % interval {100 * low:.1f} to {percent(high, 1)})"


def _hypothesis(proposed: "ProposalResult") -> str:
    d, operation = proposed.forward, proposed.choices[0].movement.name
    parts = [
        f"{_side(f)} ({_number(f.near_mean, f.measurement)}, elsewhere {_number(f.rest_mean, f.measurement)})"
        for f in d.leading[:3]
    ]
    return (
        f"{d.true}s with {_listed(parts)} are read as {d.predicted}; training with other {d.true}s changed in this way "
        f"({operation}) reduces this error."
    )


def _lead_text(finding: "Finding") -> str:
    check = finding.check
    share, low, high = (check.auc or 0.5, check.low or 0.0, check.high or 1.0)
    if share < 0.5:
        share, low, high = 1 - share, 1 - high, 1 - low
    near, rest = (_number(mean, finding.measurement) for mean in (finding.near_mean, finding.rest_mean))
    return (
        f"{_side(finding)} ({near} against {rest}; {percent(share, 0)} of comparisons, {100 * low:.0f} to "
        f"{percent(high, 0)}{'' if finding.specific else ', but as much so near other classes'})"
    )


def _leads(direction: "ProposedDirection") -> str:
    words = []
    for f in direction.leading:
        misread = f", misread {f.misread.auc:.2f}" if f.misread.auc is not None else ""
        words.append(f"{_side(f)} ({f.check.auc:.2f}{misread}){'' if f.specific else '†'}")
    return "; ".join(words) or "–"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _number(value: float | None, measurement: str) -> str:
    return "–" if value is None else f"{value:.2f}{_unit(measurement)}".replace("-", "−")


def _unit(measurement: str) -> str:
    return _UNITS.get(measurement.rpartition("_")[2], "")


def _title(measurement: str) -> str:
    return _IN_WORDS[measurement][0]


def _side(finding: "Finding") -> str:
    return _IN_WORDS[finding.measurement][1 + (finding.gap > 0)]


def _result(finding: "Finding") -> str:
    if finding.status != "supported":
        return _RESULTS[finding.status]
    also = "" if finding.specific else ", not for this pair alone"
    return f"supported, as {_title(finding.same_as)}{also}" if finding.same_as else f"**supported**{also}"


def _share(movement: "Movement", finding: "Finding") -> str:
    """Change by an operation relative to the gap: ``+57 %`` is towards the near images."""
    move = movement.moves[finding.measurement]
    return "–" if move is None or not finding.gap else f"{signed(100 * move / finding.gap, 0)} %"


def _closure(movement: "Movement") -> tuple[str, str]:
    """Predicted and measured change of the closure margin."""
    predicted = {1: "rises", -1: "falls", 0: "–"}[movement.predicted_closure]
    mean = movement.moves["closure_margin_px"]
    if mean is None or movement.rising is None or movement.falling is None:
        return predicted, "–"
    rises, falls = percent(movement.rising, 0), percent(movement.falling, 0)
    return predicted, f"{signed(mean, 2)} px; rises in {rises}, falls in {falls}"


_HELPERS = {"number": _number, "title": _title, "share": _share, "closure": _closure}


def _rows(direction: "ProposedDirection", choices: "Sequence[Choice]") -> "list[Movement]":
    """The best dose of every operation and side, the chosen doses, and those of the original recipe; best first."""
    chosen = [choice.movement.step for choice in choices if choice.class_name == direction.true]
    seen, rows = set(), []
    for movement in direction.movements:
        kind = movement.step.operation, movement.step.side
        original = OPERATIONS[movement.step.operation].sweep and movement.dose in _ORIGINAL_DOSES
        if kind not in seen or movement.step in chosen or original:
            rows.append(movement)
        seen.add(kind)
    return rows


def _chosen(proposed: "ProposalResult", direction: "ProposedDirection", movement: "Movement") -> bool:
    return (direction.true, movement.step) in [(choice.class_name, choice.movement.step) for choice in proposed.choices]


def _sources(proposed: "ProposalResult") -> str:
    seeds = ", ".join(str(run.spec.seed) for run in proposed.runs)
    if proposed.split == "mine":
        return f"{counted(len(proposed.runs), 'stored baseline run')} (seeds {seeds}) on the images of `mine`"
    folds = (proposed.runs[0].spec.fold or (0, 1))[1]
    return (
        f"{len(proposed.runs) * folds} stored baseline runs ({folds} folds, seeds {seeds}) on the whole training data, "
        "each image by the runs that did not train on it"
    )


def _closure_finding(proposed: "ProposalResult") -> str:
    """Effect and result of the closure margin."""
    found = next((f for f in proposed.forward.findings if f.measurement == "closure_margin_px"), None)
    if found is None:
        return "–"
    result = _result(found).replace("**", "")
    return f"{area(found.check)}{'' if result == '–' else f', {result}'}"


def _draw_measurements(proposed: "ProposalResult") -> "Drawing":
    d, other = proposed.forward, proposed.reverse
    panels = []
    for finding in (d.leading or d.findings)[:_PANELS]:
        name = finding.measurement
        values, others = (direction.table[name].to_numpy() for direction in (d, other))
        unit = _unit(name).strip()
        groups = [x[~np.isnan(x)] for x in (values[~d.near], values[d.near], values[d.misread], others)]
        panels.append((f"{_title(name)}{f', {unit}' if unit else ''}", groups))
    names = (", the rest", f" nearest to {d.predicted}", f" misread as {d.predicted}")
    return figures.group_histograms(panels, (*(f"{d.true}s{name}" for name in names), f"all {other.true}s"))


def _draw_images(proposed: "ProposalResult") -> "Drawing":
    rows = []
    for d in (proposed.forward, proposed.reverse):
        rest = d.images[~d.near][:_SHOWN]
        rows.append((f"{d.true}s, the rest", rest))
        for choice in proposed.choices:
            if choice.class_name == d.true and len(rest):
                movement = choice.movement
                rows.append((f"these, {movement.name}", apply_dose(rest, movement.step, movement.dose)))
        rows.append((f"{d.true}s nearest to {d.predicted}", d.images[d.near & ~d.misread][:_SHOWN]))
        rows.append((f"{d.true}s misread as {d.predicted}", d.images[d.misread][:_SHOWN]))
    return figures.image_rows([row for row in rows if len(row[1])])
