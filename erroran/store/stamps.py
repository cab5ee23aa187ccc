"""Limits of a report's claims: earlier looks at the judged images, the design, different environments of the arms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from erroran.results import Result
from erroran.store.ledger import Entry
from erroran.store.records import Group, Intervention
from erroran.verdict.sequential import Design

_EXPLORATORY = (
    "Pairs were mined on confirm, the images of this report's test. An effect on the images that suggested it is not "
    "confirmed."
)
_REUSED = (
    "The confusions were mined from the baseline's own runs. Mining also selects errors that occurred by chance, so "
    "any retraining seems to reduce them."
)
_PEEKED = (
    "This hypothesis was judged before with other seeds or epochs, at a look that was not planned. Repeating the test "
    "until the result is as hoped raises the rate of false claims above the stated level."
)
_SHARED = (
    "The verdicts on {} used some of the same baseline runs. If these happen to make many or few errors, all these "
    "verdicts are wrong in the same direction."
)
_ENVIRONMENTS = "The arms were trained in different environments ({}), which alone can change results."
_LOOKS = {
    "verdict": "verdicts were reached on these images for {}",
    "stress": "changed versions of these images were predicted in a stress test of {}",
}


class Stamp(Result):
    """A limit of a report's claims: a word or two, such as ``Peeked``, and one or two sentences."""

    kind: str
    sentence: str


def look_entry(group: Group, intervention: Intervention, kind: Literal["look", "stress"]) -> Entry:
    """The ledger's entry for a look at the images that judge an intervention, with its runs."""
    return Entry(
        kind=kind,
        dataset=group.template.dataset,
        group=group.id,
        name=intervention.name,
        pair=str(intervention.hypothesis.pair),
        spec_hash=intervention.hypothesis.hash,
        seeds=intervention.seeds,
        epochs=intervention.epochs,
        recipe=group.template.recipe.name,
        population=intervention.judging.population,
    )


def find_stamps(
    entries: Iterable[Entry],
    look: Entry,
    group: Group,
    intervention: Intervention,
    environments: Mapping[str, Mapping[str, str]],
) -> list[Stamp]:
    """List the limits of a report's claims.

    Args:
        entries: The ledger's; those about other images (another dataset, or `confirm` where training images are judged
            out of fold, and the reverse) are ignored.
        look: The entry of this report itself.
        group: The baseline group.
        intervention: What was run.
        environments: See `erroran.store.environment.compare_environments`.
    """
    asked, ran = intervention.hypothesis.seeds, len(intervention.seeds)
    entries = [e for e in entries if (e.dataset, e.population) == (look.dataset, look.population)]
    own = own_entries(entries, look)
    specs = {entry.spec_hash for entry in entries if entry.name == look.name and entry.kind == "registered"}
    others = _other_looks([entry for entry in entries if entry.kind != look.kind or entry not in own], look)
    shared = _share_baseline([entry for entry in entries if entry not in own], look)
    candidates = [
        (bool(group.note), "Data", f"{group.note}."),
        (any(entry.kind == "mined-on-confirm" for entry in entries), "Exploratory", _EXPLORATORY),
        (not intervention.fresh_baseline, "Reused baseline", _REUSED),
        (_judged_at_other_looks(own, look, intervention.design), "Peeked", _PEEKED),
        (
            ran != asked and intervention.design is None,
            "Seeds",
            f"The spec asks for {asked} seeds per arm; {ran} {'was' if ran == 1 else 'were'} run.",
        ),
        (bool(environments), "Environments", _ENVIRONMENTS.format(", ".join(environments))),
        (bool(shared), "Shared baseline", _SHARED.format(shared)),
        (bool(others), "Not the only look", others),
        (len(specs) > 1, "Changed spec", f"{len(specs)} versions of {look.name} have been registered."),
    ]
    return [Stamp(kind=kind, sentence=sentence) for applies, kind, sentence in candidates if applies]


def own_entries(entries: Iterable[Entry], like: Entry) -> list[Entry]:
    """Entries about the same version of a hypothesis on the same baseline group as `like`."""

    def subject(entry: Entry) -> tuple[str, ...]:
        return entry.dataset, entry.group, entry.name, entry.spec_hash

    return [entry for entry in entries if subject(entry) == subject(like)]


def find_begun_design(entries: Iterable[Entry], like: Entry) -> tuple[Entry | None, bool]:
    """The entry with the design that a hypothesis has to follow; `like` is an entry with these epochs.

    Returns:
        The entry: that of the design that was planned again, or registered if a look was made without; None if there is
        none. And whether a look was made.
    """
    planned = replanned = looked = None
    for entry in own_entries(entries, like):
        if entry.epochs != like.epochs:
            continue
        if entry.kind in ("registered", "replanned"):
            planned = entry
            replanned = entry if entry.kind == "replanned" else replanned
        elif entry.kind == "look" and planned is not None and planned.design is not None:
            looked = planned
    return looked or replanned, looked is not None


def _judged_at_other_looks(own: Sequence[Entry], look: Entry, design: Design | None) -> bool:
    """Whether a hypothesis was judged otherwise than at this look and, in a design, at its looks before it."""
    if design is None:
        settings = (set(look.seeds), look.epochs)
        judged = (entry for entry in own if entry.kind == "verdict")
        return find_begun_design(own, look)[1] or any(
            (set(entry.seeds), entry.epochs or look.epochs) != settings for entry in judged
        )
    registered = False
    for entry in own:
        registered = registered or entry.design == design
        planned = len(entry.seeds) in design.looks and entry.seeds == look.seeds[: len(entry.seeds)]
        if entry.kind == "verdict" and not (registered and planned and entry.epochs == look.epochs):
            return True
    return False


def _share_baseline(entries: Sequence[Entry], look: Entry) -> str:
    """The other hypotheses that were judged against baseline runs of the same group, epochs and seeds."""
    return ", ".join(
        sorted(
            {
                _name(entry, look)
                for entry in entries
                if (entry.kind, entry.group) == ("verdict", look.group)
                and (entry.epochs or look.epochs) == look.epochs
                and set(entry.seeds) & set(look.seeds)
            }
        )
    )


def _other_looks(entries: Sequence[Entry], look: Entry) -> str:
    parts = []
    for kind, text in _LOOKS.items():
        names = sorted({_name(entry, look) for entry in entries if entry.kind == kind})
        if names:
            parts.append(text.format(", ".join(names)))
    joined = "; ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}. Nothing here is adjusted for that." if parts else ""


def _name(entry: Entry, look: Entry) -> str:
    """The name of a hypothesis; one of the same name as this report's is told apart from it."""
    if entry.name != look.name:
        return entry.name
    if entry.spec_hash != look.spec_hash:
        return f"another version of {entry.name} ({entry.spec_hash})"
    return entry.name if entry.group == look.group else f"{entry.name} on the baseline group {entry.group}"
