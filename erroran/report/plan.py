"""``reports/<name>-plan.md``: power and cost of an intervention, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from erroran import provenance
from erroran.report import figures
from erroran.report.render import render, write_document

if TYPE_CHECKING:
    from erroran.stages.plan import PlanResult
    from erroran.verdict.plan import Chance


def write_plan(planned: "PlanResult", folder: Path) -> Path:
    """Write the table and the curve of a plan."""
    text = render(
        "plan.md.j2",
        plan=planned,
        sentence=plan_sentence(planned),
        chance=describe_chance,
        command=provenance.command_line(),
    )
    curve = figures.power_curves(planned.seeds, planned.reductions, planned.power)
    name = f"{planned.hypothesis}-plan"
    return write_document(folder, name, text, figures={"power": curve}, data={"plan": planned.to_json()})


def plan_sentence(planned: "PlanResult") -> str:
    """The recommendation in a sentence, the first line of the report."""
    low, high = planned.errors_interval
    endpoint = planned.primary.describe(*planned.pair.classes)
    errors = (
        f"{endpoint}: about {planned.errors_per_seed_expected:.1f} errors per seed are expected on "
        f"{planned.population}, "
        f"90 % interval {low:.1f} to {high:.1f}"
    )
    best = planned.cheapest
    if best is None:
        return (
            f"No design reaches 80 % power for a drop of {planned.worthwhile_percent:g} % ({errors}): "
            "judge more images, or choose another pair."
        )
    return (
        f"{best.name.capitalize()}: {100 * best.worthwhile.improved.value:.0f} % chance of the verdict improved if the "
        f"errors really drop by {planned.worthwhile_percent:g} %, about {best.minutes:.0f} minutes of training on this "
        f"machine ({errors})."
    )


def describe_chance(chance: "Chance") -> str:
    """Such as ``82 ± 2 %``: the probability and its Monte Carlo standard error."""
    return f"{100 * chance.value:.0f} ± {max(0.5, 100 * chance.error):.0f} %"
