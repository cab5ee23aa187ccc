"""``reports/<name>-probe.md``: whether the predictions of the stored models support a hypothesis."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erroran import provenance
from erroran.operations.table import OPERATIONS
from erroran.report import figures
from erroran.report.render import render, write_document
from erroran.report.text import percent, signed
from erroran.shape.sweep import FEWEST_ERRORS

if TYPE_CHECKING:
    from erroran.report.drawing import Drawing
    from erroran.shape.sweep import ControlRate, ProbedDirection, Rate
    from erroran.stages.probe import ProbeResult

_ACTING = {"dilate": "dilating", "erode": "eroding"}


def write_probe(probed: "ProbeResult", folder: Path) -> Path:
    """Write a probe's verdict, curves, pictures and table."""
    name = f"{probed.hypothesis}-probe"
    both = (probed.forward, probed.reverse)
    drawn = {"dose-response": _draw_curves(probed)}
    if probed.strips:
        shown = [i for i, dose in enumerate(probed.doses_px) if dose * 2 == round(dose * 2)]
        drawn["strips"] = figures.image_rows(
            [
                (s.label, s.images[shown], [s.read_as[i] for i in shown], [s.read_as[i] == s.true for i in shown])
                for s in probed.strips
            ],
            heads=[f"{probed.doses_px[i]:+g} px" if probed.doses_px[i] else "as it is" for i in shown],
        )
    scattered = [d for d in both if np.isfinite(d.flip_margins_px).any()]
    if scattered:
        drawn["flips"] = figures.flips_against_margin(
            [(f"{d.true} read as {d.predicted}", d.flip_margins_px, d.flip_doses_px) for d in scattered]
        )
    text = render(
        "probe.md.j2",
        probed=probed,
        sentence=probe_sentence(probed),
        directions=both,
        rate=rate_text,
        lead=_lead,
        fewest_errors=FEWEST_ERRORS,
        figures=drawn,
        group=probed.baseline,
        runs=probed.records,
        command=provenance.command_line(),
        commit=provenance.commit(),
    )
    return write_document(
        folder,
        name,
        text,
        figures=drawn,
        data={"probe": {**probed.to_json(), "sentence": probe_sentence(probed), **provenance.made_by()}},
    )


def probe_sentence(probed: "ProbeResult") -> str:
    """The verdict in a sentence with its numbers, the first line of the report."""
    parts = "; ".join(_direction_text(direction) for direction in probed.judged)
    return f"{probed.verdict.capitalize()}: {parts}."


def rate_text(rate: "Rate", digits: int = 1) -> str:
    """``12.3 % (9.9 to 15.3 %)``; a dash without images."""
    if not rate.images:
        return "–"
    return f"{percent(rate.share, digits)} ({100 * rate.low:.{digits}f} to {percent(rate.high, digits)})"


def lead_text(control: "ControlRate", digits: int = 1) -> str:
    """``against 2.0 %, 10.3 points more (7.9 to 13.3)``; "less" for a negative lead."""
    lead, low, high = (100 * x for x in (control.difference, control.lead_low, control.lead_high))
    more = "less" if lead < 0 else "more"
    ends = sorted((-low, -high)) if lead < 0 else (low, high)
    span = " to ".join(f"{end:.{digits}f}".replace("-", "−") for end in ends)
    return f"against {percent(control.share, digits)}, {abs(lead):.{digits}f} points {more} ({span})"


def _lead(control: "ControlRate") -> str:
    """``lead +10.3 (7.9 to 13.3)``, in points; a dash without images."""
    if not np.isfinite(control.difference):
        return "lead –"
    lead, low, high = (signed(100 * x) for x in (control.difference, control.lead_low, control.lead_high))
    return f"lead {lead} ({low} to {high})"


def _direction_text(direction: "ProbedDirection") -> str:
    inverse = _ACTING[OPERATIONS[direction.operation].opposite or ""]
    by_doses = " or ".join(f"{dose:g}" for dose in direction.doses_px)
    induced = (
        f"{_ACTING[direction.operation]} {direction.true} by {direction.doses_px[-1]:g} px makes "
        f"{rate_text(direction.induced)} of them read as {direction.predicted}"
    )
    there = {name: control for name, control in direction.induced_controls.items() if control.images}
    if there and direction.induced.images:
        name, control = min(there.items(), key=lambda item: item[1].lead_low)
        induced += f", {lead_text(control)} for the strongest control ({name})"
    n = direction.repaired.images
    if not n:
        return f"{induced}; no run makes the error on `mine`, so there is nothing to repair"
    few = ", too few to judge" if n < FEWEST_ERRORS else ""
    return (
        f"{induced}; {inverse} by {by_doses} px repairs {rate_text(direction.repaired, 0)} of the {n} "
        f"{'errors' if n > 1 else 'error'}, {lead_text(direction.repaired_by_shift, 0)} for a 1 px shift{few}"
    )


def _draw_curves(probed: "ProbeResult") -> "Drawing":
    panels = []
    for d in (probed.forward, probed.reverse):
        sign = OPERATIONS[d.operation].sweep
        lines = [
            (f"{d.induced.images} {d.true}s read correctly, then as {d.predicted}", _bands(d.curve)),
            (f"{d.bystanders[0].images} bystanders, then as {d.predicted}", _bands(d.bystanders)),
        ]
        if d.repaired.images >= FEWEST_ERRORS:  # a share of four images would cover the whole panel
            lines.append((f"{d.repaired.images} {d.true}s read as {d.predicted}, then as {d.true}", _bands(d.repair)))
        panels.append((f"{d.true} and {d.predicted}: {d.operation} {d.true}", lines, [sign * x for x in d.doses_px]))
    return figures.dose_responses(probed.doses_px, panels)


def _bands(rates: "list[Rate]") -> np.ndarray:
    return np.array([(r.share, r.low, r.high) for r in rates], dtype=float)
