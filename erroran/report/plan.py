"""``reports/<name>-plan.md``: power and cost of an intervention, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from erroran.stages.plan import PlanResult


def write_plan(planned: "PlanResult", folder: Path) -> Path:
    """Write the table and the curve of a plan."""
    text = render("plan.md.j2", plan=planned, sentence=plan_sentence(planned), command=provenance.command_line())
    curve = figures.power_curves(planned.seeds, planned.reductions, planned.power)
    name = f"{planned.hypothesis}-plan"
    return write_document(folder, name, text, figures={"power": curve}, data={"plan": planned.to_json()})


def plan_sentence(planned: "PlanResult") -> str:
    """The recommendation in a sentence, the first line of the report."""
    endpoint = planned.primary.describe(*planned.pair.classes)
    errors = f"{endpoint}, about {planned.errors_per_seed_expected:.1f} errors per run on fresh images"
    if planned.recommended_seeds is None:
        return (
            f"More than 50 seeds per arm would be needed to detect a 50 % drop with 80 % power ({errors}): "
            "mine more data, or choose another pair."
        )
    minutes = planned.recommended_seeds * planned.minutes_per_seed
    return (
        f"{planned.recommended_seeds} seeds per arm give 80 % power to detect a 50 % drop, "
        f"about {minutes:.0f} minutes of training on this machine ({errors})."
    )
