"""Commands about what images look like, and what changing it does: measure, propose, preview, probe, stress."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from erroran.cli.app import app, command
from erroran.cli.console import (
    out,
    print_json,
    say_note,
    steps_display,
    talk,
)
from erroran.cli.options import (
    REPORTS,
    DataDirOption,
    DistanceName,
    GroupOption,
    InkName,
    JsonOption,
    MeasuredName,
    NameArgument,
    RecipeName,
    RotationOption,
    StoreOption,
    TranslationOption,
    ZoomOption,
    load_data,
    open_store,
    parse_recipe,
)
from erroran.cli.specs import find_pair_name, find_spec, split_pair, write_proposed
from erroran.errors import BadInput
from erroran.experiment.pair import Pair
from erroran.report.text import counted

if TYPE_CHECKING:
    from erroran.data import Dataset
    from erroran.stages.propose import ProposalResult


@command(
    app,
    "preview",
    examples="""
erroran preview 4to9
erroran preview 4to9-original --dataset digits
erroran preview --recipe augmented
erroran preview --rotation 15 --zoom 20
""",
)
def preview(
    name: Annotated[
        str | None,
        typer.Argument(help="A hypothesis; without one, the augmentation in the model is shown.", metavar="[NAME]"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Instead of the baseline's dataset: auto, mnist, digits or a path.")
    ] = None,
    data_dir: DataDirOption = None,
    recipe: Annotated[
        RecipeName | None, typer.Option(help="Show the augmentation in the model of this recipe.")
    ] = None,
    rotation: RotationOption = None,
    zoom: ZoomOption = None,
    translation: TranslationOption = None,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Show what a hypothesis, or augmentation in the model, does to images. Trains nothing."""
    from dataclasses import asdict

    from erroran.report.preview import write_preview
    from erroran.stages.preview import preview as make_preview

    if name is None:
        _preview_in_model(recipe, (rotation, zoom, translation), dataset, data_dir, group, store, as_json=as_json)
        return
    stem, hypothesis = find_spec(name)
    images, fraction = _images(dataset, data_dir, group, store)
    previewed = make_preview(images, hypothesis, mine_fraction=fraction)
    path = write_preview(stem, hypothesis, previewed, images, REPORTS)
    if as_json:
        print_json([asdict(effect) for effect in previewed.effects])
        return
    table = Table("class", "operation", "dose", "pixels changed", "thickness px", "erased", box=None)
    for effect in previewed.effects:
        table.add_row(
            effect.class_name,
            effect.operation,
            f"{effect.dose:g} {effect.unit}",
            f"{effect.changed_pixels:.1%}",
            f"{effect.thickness_before_px:.2f} -> {effect.thickness_after_px:.2f}",
            f"{effect.erased} of {effect.images}",
        )
    out.print(table)
    out.print(f"pictures: {path}")


def _preview_in_model(
    recipe: RecipeName | None,
    amounts: tuple[float | None, float | None, float | None],
    dataset: str | None,
    data_dir: Path | None,
    group: str | None,
    store: Path,
    *,
    as_json: bool,
) -> None:
    from erroran.report.preview import write_in_model_preview
    from erroran.stages.preview import preview_in_model

    rotation, zoom, translation = amounts
    if recipe is None and amounts == (None, None, None):
        trained = open_store(store).get_group(group).template.recipe.in_model
    else:
        chosen = parse_recipe(
            recipe or RecipeName.STANDARD, rotation_deg=rotation, zoom_percent=zoom, translation_percent=translation
        )
        trained = chosen.in_model
    if trained is None:
        raise BadInput(
            "There is nothing to preview: no hypothesis was named, and this recipe augments nothing in the model.",
            fix="erroran preview 4to9, or erroran preview --recipe augmented",
        )
    images, fraction = _images(dataset, data_dir, group, store)
    path = write_in_model_preview(preview_in_model(images, trained, mine_fraction=fraction), trained, images, REPORTS)
    if as_json:
        print_json(trained.model_dump())
        return
    out.print(f"pictures: {path}")


@command(
    app,
    "measure",
    examples="""
erroran measure
erroran measure --dataset digits
erroran measure --on all --json
erroran measure --pair 4:9
""",
)
def measure(
    dataset: Annotated[
        str | None, typer.Option(help="Instead of the baseline's dataset: auto, mnist, digits or a path.")
    ] = None,
    data_dir: DataDirOption = None,
    on: Annotated[MeasuredName, typer.Option("--on", help="Which images.")] = MeasuredName.MINE,
    ink: Annotated[InkName, typer.Option(help="Brighter or darker than the ground.")] = InkName.DETECT,
    distance: Annotated[
        DistanceName, typer.Option(help="Of the closure margin: chessboard goes with square kernels.")
    ] = DistanceName.EUCLIDEAN,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="Also: do two classes' closure margins go with the errors of the stored baseline? Repeat for more.",
            metavar="A:B",
        ),
    ] = None,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Measure the shape of the ink of every image: strokes, holes, ends, closure. Trains nothing."""
    from erroran.report.measure import closure_sentence, write_measurements
    from erroran.stages.measure import measure_closure, measure_dataset, stored_readings
    from erroran.store.ledger import Entry

    pairs = [split_pair(text) for text in pair or []]
    images, fraction = _images(dataset, data_dir, group, store)
    splits = ("train", "mine", "confirm") if on is MeasuredName.ALL else (on.value,)
    if "confirm" in splits:
        open_store(store).ledger.record(Entry(kind="measured", dataset=images.digest))
    with talk.status("measuring"):
        measured = measure_dataset(
            images, splits=splits, mine_fraction=fraction, ink=ink.value, distance=distance.value
        )
        readings = stored_readings(open_store(store), images, group) if pairs else []
        closures = [
            found
            for names in pairs
            for found in measure_closure(
                images, names, readings, mine_fraction=fraction, ink=measured.ink, distance=distance.value
            )
        ]
    page, written = write_measurements(measured, REPORTS, closures)
    if as_json:
        print_json(measured.to_json() | ({"closure": [found.to_json() for found in closures]} if closures else {}))
        return
    for closure in closures:
        out.print(escape(closure_sentence(closure)))
    out.print(f"{counted(len(measured.table), 'image')} measured, {measured.ink} ink")
    out.print(f"table: {written}\npage: {page}")


@command(
    app,
    "propose",
    examples="""
erroran propose 4to9
erroran propose 4:9 9:4 --json
erroran propose --worst 5
""",
)
def propose(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Pairs as in 4:9 or 4to9, or specs, which stand for theirs.", metavar="PAIR"),
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Also the N pairs that mine-confusions ranks first.", metavar="N")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite experiments/<pair>-proposed.toml.")] = False,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Find the shapes that go with a confusion, and an operation to test them: writes a spec. Trains nothing."""
    from erroran.report.proposal import spec_text, write_proposal, write_proposals
    from erroran.stages import propose as stage
    from erroran.store.evidence import gather_most

    opened = open_store(store)
    found = opened.get_group(group)
    if not names and not worst:
        raise BadInput("No pair is named.", fix="erroran propose 4to9, or erroran propose --worst 5")
    with talk.status("measuring"):
        evidence = gather_most(opened, found)
        pairs = stage.worst_pairs(evidence, worst) + [
            Pair.parse(find_pair_name(name), evidence.class_names) for name in names or []
        ]
        proposals = [stage.propose(evidence, found, pair) for pair in dict.fromkeys(pairs)]
    specs = write_proposed({f"{p.name}-proposed": spec_text(p) for p in proposals if p.choices}, force=force)
    paths = [write_proposal(proposed, REPORTS) for proposed in proposals]
    if len(proposals) > 1:
        paths.append(write_proposals(proposals, REPORTS))
    if as_json:
        print_json({"proposals": [proposed.to_json() for proposed in proposals]})
        return
    say_note(found.note)
    _say_proposed(proposals)
    talk.print(f"wrote {', '.join(map(str, [*specs, *paths]))}")


@command(
    app,
    "probe",
    examples="""
erroran probe 4to9
erroran probe 4to9 --json
""",
)
def probe(
    name: NameArgument,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Ask the stored models whether a hypothesis holds: does its operation make the error? Trains nothing."""
    from erroran.report.probe import probe_sentence, rate_text, write_probe
    from erroran.stages.probe import probe as ask

    opened = open_store(store)
    found = opened.get_group(group)
    stem, hypothesis = find_spec(name)
    with talk.status("probing"):
        probed = ask(opened, found, stem, hypothesis)
    path = write_probe(probed, REPORTS)
    if as_json:
        print_json(probed.to_json())
        return
    say_note(found.note)
    out.print(f"[bold]{escape(probe_sentence(probed))}[/]")
    table = Table("", "induced", "bystanders", "repaired", "by a shift", "verdict", box=None)
    for d in (probed.forward, probed.reverse):
        rates = (d.induced, d.induced_controls["bystanders"], d.repaired, d.repaired_by_shift)
        table.add_row(f"{d.true} read as {d.predicted}", *(rate_text(rate) for rate in rates), d.word)
    out.print(table)
    talk.print(f"wrote {path}")


@command(
    app,
    "stress",
    examples="""
erroran stress 4to9
erroran stress 4to9 --controls --json
""",
)
def stress(
    name: NameArgument,
    controls: Annotated[bool, typer.Option("--controls", help="Also against the controls that were trained.")] = False,
    group: GroupOption = None,
    store: StoreOption = Path(".erroran"),
    as_json: JsonOption = False,
) -> None:
    """Judge an intervention on thinned, thickened, swollen and fractured images. Trains nothing."""
    from erroran.report.index import write_index
    from erroran.report.stress import stress_sentence, summary_rows, write_stress
    from erroran.stages.stress import stress as put_to_the_test
    from erroran.store.ledger import Ledger

    opened = open_store(store)
    found = opened.get_group(group)
    stem = Path(name).stem if name.endswith(".toml") else name
    with steps_display() as on_step:
        stressed = put_to_the_test(opened, found, stem, controls=controls, on_step=on_step)
    path = write_stress(stressed, REPORTS)
    write_index(Ledger(opened.root).entries(), REPORTS)
    if as_json:
        print_json(stressed.to_json())
        return
    say_note(found.note)
    out.print(f"[bold]{escape(stress_sentence(stressed))}[/]")
    header, *rows = summary_rows(stressed)
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*row)
    out.print(table)
    talk.print(f"wrote {path} in {stressed.seconds:.0f} s")


def _images(dataset: str | None, data_dir: Path | None, group: str | None, store: Path) -> "tuple[Dataset, float]":
    """The dataset that is named, else the baseline's, with its share of images to mine."""
    opened = open_store(store)
    if dataset is not None or not opened.has_group():
        return load_data(dataset or "auto", data_dir), 0.1
    template = opened.get_group(group).template
    return opened.get_dataset(template.dataset), template.mine_fraction


def _say_proposed(proposals: "list[ProposalResult]") -> None:
    from erroran.report.proposal import next_command, proposal_sentence, proposal_text

    if not proposals:
        out.print("no pair is confused: nothing to propose")
    for proposed in proposals:
        out.print(f"[bold]{proposed.pair}  {escape(proposal_sentence(proposed))}[/]")
        out.print(f"proposed: {escape(proposal_text(proposed))}\nnext: [bold]{next_command(proposed)}[/]")
