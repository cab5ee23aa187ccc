"""``reports/<name>-plan.md``: what the question costs, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from erroran.stages.plan import Plan


def write_plan(planned: "Plan", folder: Path) -> Path:
    """Write a plan's table and curve."""
    power = planned.power
    text = render(
        "plan.md.j2",
        plan=planned,
        sentence=plan_sentence(planned),
        rows=list(zip(power.seeds, power.power, power.detectable(0.8), strict=True)),
        command=provenance.command_line(),
    )
    curve = figures.power_curves(power.seeds, power.reductions, power.power)
    name = f"{planned.name}-plan"
    return write_document(folder, name, text, figures={"power": curve}, data={"plan": planned.to_json()})


def plan_sentence(planned: "Plan") -> str:
    """The recommendation in a sentence, the first line of the report."""
    true, predicted = planned.hypothesis.pair.classes
    what = {
        "forward": f"{true} read as {predicted}",
        "reverse": f"{predicted} read as {true}",
        "sum": f"{true} and {predicted} confused either way",
    }[planned.hypothesis.primary]
    errors = f"{what}, about {planned.power.errors_per_seed:.1f} errors per run on fresh images"
    if planned.recommended_seeds is None:
        return f"More than 50 seeds an arm would be needed to see a halving ({errors}): mine more data or another pair."
    minutes = planned.recommended_seeds * planned.minutes_per_seed
    return (
        f"{planned.recommended_seeds} seeds an arm see a halving with 80 % power, "
        f"about {minutes:.0f} minutes of training on this machine ({errors})."
    )
