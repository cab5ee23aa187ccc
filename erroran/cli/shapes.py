"""Commands about images, and how operations change them: measure, propose, preview, probe, stress."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from annotated_types import Ge

from erroran.cli.app import command
from erroran.cli.console import Screen, out, print_json, say_note, steps_display, talk
from erroran.cli.options import (
    EVERY,
    REPORTS,
    InModelOnly,
    NameArgument,
    OtherDataOptions,
    RecipeName,
    Session,
    build_recipe,
)
from erroran.cli.specs import find_spec, read_pair, stem_of, write_proposed
from erroran.errors import BadInput
from erroran.experiment.pair import Pair
from erroran.experiment.recipe import RecipeChange
from erroran.report.text import counted

if TYPE_CHECKING:
    from erroran.data import Dataset
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.stages.preview import PreviewResult


@command(*EVERY)
def preview(
    session: Session,
    data: OtherDataOptions,
    change: InModelOnly,
    name: Annotated[
        str | None, typer.Argument(help="A hypothesis; default: the augmentation in the model.", metavar="[NAME]")
    ] = None,
    recipe: RecipeName | None = None,
) -> None:
    """Show how a hypothesis, or augmentation in the model, changes images. Trains nothing.

    Options:
        recipe: Show the augmentation in the model of this recipe.

    Examples:
        erroran preview 4to9
        erroran preview 4to9-original --dataset digits
        erroran preview --recipe augmented
        erroran preview --rotation 15 --zoom 20
    """
    if name is None:
        _preview_in_model(session, data, recipe, change)
        return
    stem, hypothesis = find_spec(name)
    previewed, path = preview_hypothesis(session, stem, hypothesis, *data.load(session))
    if session.as_json:
        print_json([effect.to_json() for effect in previewed.effects])
    else:
        print_preview(out, previewed, path)


def preview_hypothesis(
    session: Session, stem: str, hypothesis: "Hypothesis", dataset: "Dataset", mine_fraction: float
) -> "tuple[PreviewResult, Path]":
    """Apply a hypothesis to training images, and write the report."""
    from erroran.report.preview import write_preview
    from erroran.stages import preview as stage

    previewed = stage.preview(dataset, hypothesis, mine_fraction=mine_fraction, store=session.store)
    return previewed, write_preview(stem, hypothesis, previewed, dataset, REPORTS)


def print_preview(screen: Screen, previewed: "PreviewResult", path: Path) -> None:
    """Print how each operation changes the images of its class."""
    rows = []
    for effect in previewed.effects:
        shapes = ("-", "-")
        if effect.erased is not None:
            thickness = f"{effect.thickness_before_px:.2f} -> {effect.thickness_after_px:.2f}"
            shapes = (thickness, f"{effect.erased} of {effect.images}")
        dose = f"{effect.dose:g} {effect.unit}"
        rows.append((effect.class_name, effect.operation, dose, f"{effect.changed_pixels:.1%}", *shapes))
    rows += [("", effect.name, "", "", "", counted(effect.images, "image")) for effect in previewed.data]
    if previewed.not_drawn:
        screen.print(f"not drawn, because it changes no image: {'; '.join(previewed.not_drawn)}")
    if rows:
        screen.table(("class", "operation", "dose", "pixels changed", "thickness px", "erased"), *rows)
    screen.print(f"pictures: {path}")


def _preview_in_model(
    session: Session, data: OtherDataOptions, recipe: RecipeName | None, change: RecipeChange
) -> None:
    from erroran.report.preview import write_in_model_preview
    from erroran.stages.preview import preview_in_model

    if recipe is None and not change.recipe_changes():
        augmentation = session.group.template.recipe.in_model
    else:
        augmentation = build_recipe(recipe or "standard", change).in_model
    if augmentation is None:
        raise BadInput(
            "There is nothing to preview: no hypothesis was named, and this recipe augments nothing in the model.",
            fix="erroran preview 4to9, or erroran preview --recipe augmented",
        )
    dataset, fraction = data.load(session)
    sheet = preview_in_model(dataset, augmentation, mine_fraction=fraction)
    path = write_in_model_preview(sheet, augmentation, dataset, REPORTS)
    if session.as_json:
        print_json(augmentation.model_dump())
    else:
        out.print(f"pictures: {path}")


@command(*EVERY)
def measure(
    session: Session,
    data: OtherDataOptions,
    on: Literal["mine", "train", "confirm", "all"] = "mine",
    ink: Literal["detect", "bright", "dark"] = "detect",
    distance: Literal["euclidean", "chessboard"] = "euclidean",
    pair: list[str] | None = None,
) -> None:
    """Measure the shape of the ink of every image: strokes, holes, ends, closure. Trains nothing.

    Options:
        on: Which images.
        ink: Whether ink is brighter or darker than the background.
        distance: Metric of the closure margin; chessboard suits square kernels.
        pair A:B: Also test whether the closure margins of two classes are associated with the errors of the stored
            baseline; repeat for more pairs.

    Examples:
        erroran measure
        erroran measure --dataset digits
        erroran measure --on all --json
        erroran measure --pair 4:9
    """
    from erroran.report.measure import closure_sentence, write_measurements
    from erroran.stages.measure import measure_closure, measure_dataset, stored_readings
    from erroran.store.ledger import Entry

    dataset, fraction = data.load(session)
    pairs = [Pair.parse(text, dataset.class_names) for text in pair or []]
    splits = ("train", "mine", "confirm") if on == "all" else (on,)
    if "confirm" in splits:
        session.store.ledger.record(Entry(kind="measured", dataset=dataset.digest))
    with talk.status("measuring"):
        measured = measure_dataset(dataset, splits=splits, mine_fraction=fraction, ink=ink, distance=distance)
        readings = stored_readings(session.store, dataset, session.group_id) if pairs else []
        how: dict[str, Any] = {"mine_fraction": fraction, "ink": measured.ink, "distance": distance}
        closures = [found for named in pairs for found in measure_closure(dataset, named, readings, **how)]
    page, written = write_measurements(measured, REPORTS, closures)
    if session.as_json:
        print_json(measured.to_json() | ({"closure": [found.to_json() for found in closures]} if closures else {}))
        return
    for closure in closures:
        out.print(closure_sentence(closure))
    out.print(f"{counted(len(measured.table), 'image')} measured, {measured.ink} ink")
    out.print(f"table: {written}\npage: {page}")


@command(*EVERY)
def propose(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Pairs, such as 4:9 or 4to9, or specs, whose pairs are used.", metavar="PAIR"),
    ] = None,
    worst: Annotated[int, Ge(0)] = 0,
    force: bool = False,
) -> None:
    """Find shape measures that are associated with a confusion, and propose an operation. Trains nothing.

    Options:
        worst N: Also the N pairs that mine-confusions ranks first.
        force: Overwrite experiments/<pair>-proposed.toml.

    Examples:
        erroran propose 4to9
        erroran propose 4:9 9:4 --json
        erroran propose --worst 5
    """
    from erroran.report import proposal as page
    from erroran.stages import propose as stage
    from erroran.store.evidence import gather_most

    group = session.group
    if not names and not worst:
        raise BadInput("No pair is named.", fix="erroran propose 4to9, or erroran propose --worst 5")
    with talk.status("measuring"):
        evidence = gather_most(session.store, group)
        named = [read_pair(name, evidence.class_names) for name in names or []]
        pairs = dict.fromkeys([*stage.worst_pairs(evidence, worst), *named])
        proposals = [stage.propose(evidence, group, pair) for pair in pairs]
    specs = write_proposed({f"{p.name}-proposed": page.spec_text(p) for p in proposals if p.choices}, force=force)
    paths = [page.write_proposal(proposed, REPORTS) for proposed in proposals]
    if len(proposals) > 1:
        paths.append(page.write_proposals(proposals, REPORTS))
    if session.as_json:
        print_json({"proposals": [proposed.to_json() for proposed in proposals]})
        return
    say_note(group.note)
    if not proposals:
        out.print("no pair is confused: nothing to propose")
    for proposed in proposals:
        out.print(f"{proposed.pair}  {page.proposal_sentence(proposed)}", style="bold")
        out.print(f"proposed: {page.proposal_text(proposed)}")
        out.say("next:", page.next_command(proposed), "none")
    talk.print(f"wrote {', '.join(map(str, [*specs, *paths]))}")


@command(*EVERY)
def probe(session: Session, name: NameArgument) -> None:
    """Test on the stored models whether a hypothesis' operation causes the error, or repairs it. Trains nothing.

    Examples:
        erroran probe 4to9
        erroran probe 4to9 --json
    """
    from erroran.report.probe import probe_sentence, rate_text, write_probe
    from erroran.stages import probe as stage
    from erroran.store.records import hypothesis_key

    group = session.group
    stem, hypothesis = find_spec(name)
    with talk.status("probing"):
        probed = stage.probe(session.store, group, stem, hypothesis)
    rows = []
    for d in (probed.forward, probed.reverse):
        rates = (d.induced, d.induced_controls["bystanders"], d.repaired, d.repaired_by_shift)
        rows.append((f"{d.true} read as {d.predicted}", *map(rate_text, rates), d.word))
    sentence, table = (
        probe_sentence(probed),
        [("", "induced", "bystanders", "repaired", "by a shift", "verdict"), *rows],
    )
    session.keep_finding("probes", hypothesis_key(group.id, stem, hypothesis), sentence, table)
    session.show(probed, headline=sentence, table=table, wrote=write_probe(probed, REPORTS), note=group.note)


@command(*EVERY)
def stress(session: Session, name: NameArgument, controls: bool = True) -> None:
    """Evaluate an intervention on thinned, thickened, swollen and fractured images. Trains nothing.

    Options:
        controls: Let the trained controls predict too, which takes longer and shows what causes a change.

    Examples:
        erroran stress 4to9
        erroran stress 4to9 --no-controls --json
    """
    from erroran.report.stress import stress_sentence, summary_rows, write_stress
    from erroran.stages import stress as stage

    group = session.group
    with steps_display() as on_step:
        stressed = stage.stress(session.store, group, stem_of(name), controls=controls, on_step=on_step)
    path = write_stress(stressed, REPORTS)
    sentence, table = stress_sentence(stressed), summary_rows(stressed)
    session.keep_finding("stress", stressed.intervention.key, sentence, table)
    session.write_index()
    session.show(
        stressed,
        headline=sentence,
        table=table,
        wrote=f"{path} in {stressed.seconds:.0f} s",
        note=group.note,
    )
