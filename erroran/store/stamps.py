"""Limits of a report's claims: earlier looks at the judged images, the design, different environments of the arms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from erroran.results import Result
from erroran.store.ledger import Entry
from erroran.store.records import Group, Intervention

_EXPLORATORY = (
    "Pairs were mined on confirm, the images of this report's test. An effect on the images that suggested it is not "
    "confirmed."
)
_REUSED = (
    "The confusions were mined from the baseline's own runs. Mining also selects errors that occurred by chance, so "
    "any retraining seems to reduce them."
)
_PEEKED = (
    "This hypothesis was judged before with other seeds. Repeating the test until the result is as hoped raises the "
    "rate of false claims above the stated level."
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
    own = [entry for entry in entries if (entry.name, entry.spec_hash) == (look.name, look.spec_hash)]
    judged = [entry for entry in own if entry.kind == "verdict" and entry.group == look.group]
    specs = {entry.spec_hash for entry in entries if entry.name == look.name and entry.kind == "registered"}
    others = _other_looks([entry for entry in entries if entry.kind != look.kind or entry not in own])
    candidates = [
        (bool(group.note), "Data", f"{group.note}."),
        (any(entry.kind == "mined-on-confirm" for entry in entries), "Exploratory", _EXPLORATORY),
        (not intervention.fresh_baseline, "Reused baseline", _REUSED),
        (any(set(entry.seeds) != set(look.seeds) for entry in judged), "Peeked", _PEEKED),
        (ran != asked, "Seeds", f"The spec asks for {asked} seeds per arm; {ran} {'was' if ran == 1 else 'were'} run."),
        (bool(environments), "Environments", _ENVIRONMENTS.format(", ".join(environments))),
        (bool(others), "Not the only look", others),
        (len(specs) > 1, "Changed spec", f"{len(specs)} versions of {look.name} have been registered."),
    ]
    return [Stamp(kind=kind, sentence=sentence) for applies, kind, sentence in candidates if applies]


def _other_looks(entries: Sequence[Entry]) -> str:
    parts = []
    for kind, text in _LOOKS.items():
        names = sorted({entry.name for entry in entries if entry.kind == kind})
        if names:
            parts.append(text.format(", ".join(names)))
    joined = "; ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}. Nothing here is adjusted for that." if parts else ""
