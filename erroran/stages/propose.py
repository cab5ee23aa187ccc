"""A hypothesis from mined images: the rule is that of `erroran.shape.proposal`. Trains nothing."""

import numpy as np
from pydantic import Field, computed_field

from erroran.experiment.pair import Pair
from erroran.operations.morphology import Ink, ink_is_bright
from erroran.results import Result
from erroran.shape.proposal import Choice, ProposedDirection, Word, choose_operations, examine_class, try_operations
from erroran.stats.consistency import rank_pairs
from erroran.store.evidence import Evidence
from erroran.store.records import Group, RunRecord

PERMUTATIONS = 200  # shuffles; a false support in 5 % of them is then known to within 3 points


class ProposalResult(Result):
    """A hypothesis for a pair, or the finding that the measurements offer none.

    Attributes:
        name: The pair as it names files: ``4to9``.
        pair: The pair.
        baseline: The baseline group.
        runs: The runs that were asked, of the first fold where they are out of fold.
        group: Id of the group.
        split: ``train`` for predictions out of fold, else ``mine``.
        choices: What is proposed: the true class first; empty without a proposal.
        forward: Images of the pair's true class; `reverse` the reverse pair.
    """

    name: str
    pair: Pair
    baseline: Group = Field(exclude=True)
    runs: tuple[RunRecord, ...] = Field(exclude=True)
    group: str
    dataset: str
    note: str | None
    split: str
    seeds: list[int]
    choices: list[Choice]
    forward: ProposedDirection
    reverse: ProposedDirection

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Word:
        """The rule's answer about the pair itself."""
        return self.forward.word


def worst_pairs(evidence: Evidence, count: int) -> list[Pair]:
    """The pairs with most systematic errors, as `mine-confusions` ranks them; fewer where there are fewer."""
    names = evidence.class_names
    ranked = rank_pairs(evidence.labels, evidence.predicted, len(names))
    return [Pair(names[true], names[predicted]) for true, predicted in (found.pair for found in ranked[:count])]


def propose(evidence: Evidence, group: Group, pair: Pair, *, permutations: int = PERMUTATIONS) -> ProposalResult:
    """Look for a morphological hypothesis about a pair.

    Args:
        evidence: What the group's runs say about images that they did not train on.
        group: Its group.
        pair: Two classes of the evidence.
        permutations: Shuffles of the negative control.

    Raises:
        NotFound: A class is not among those of the evidence.
        BadInput: The images are not grey.
    """
    a, b = pair.indices(evidence.class_names)
    ink: Ink = "bright" if ink_is_bright(evidence.images) else "dark"

    def examine(way: tuple[int, int]) -> ProposedDirection:
        rows = np.flatnonzero(evidence.labels == way[0])
        images, ids, probabilities = evidence.images[rows], evidence.ids[rows], evidence.probabilities[:, rows]
        names = evidence.class_names
        return examine_class(images, ids, probabilities, way, names, ink=ink, permutations=permutations)

    forward, reverse = examine((a, b)), examine((b, a))
    choices: list[Choice] = []
    if forward.word == "supported":
        forward, reverse = (try_operations(d, ink) if d.word == "supported" else d for d in (forward, reverse))
        choices = choose_operations(forward, reverse)
    return ProposalResult(
        name=pair.slug,
        pair=pair,
        baseline=group,
        runs=evidence.runs,
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        split=evidence.split,
        seeds=evidence.seeds,
        choices=choices,
        forward=forward,
        reverse=reverse,
    )
