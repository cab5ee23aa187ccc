"""Propose a hypothesis for a pair from its images; the rule is in `erroran.shape.proposal`. Trains nothing."""

import numpy as np
from pydantic import Field, computed_field

from erroran.experiment.pair import Pair
from erroran.operations.morphology import Ink, ink_is_bright
from erroran.results import Result
from erroran.shape.proposal import Choice, ProposedDirection, Word, choose_operations, examine_class, try_operations
from erroran.stats.consistency import SUSPECTED_MISLABEL, classify_images, rank_pairs
from erroran.store.evidence import Evidence
from erroran.store.records import Group, RunRecord

PERMUTATIONS = 200  # shuffles; a false support in 5 % of them is then known to within 3 points


class ProposalResult(Result):
    """A hypothesis for a pair, or the result that the measurements support none.

    Attributes:
        name: The pair as in file names: ``4to9``.
        baseline: The baseline group; `group` is its id.
        runs: The runs whose predictions are used; out of fold, those of the first fold.
        split: ``train`` for predictions out of fold, else ``mine``.
        choices: The proposed operations, for the true class first; empty without a proposal.
        forward: Result for images of the pair's true class; `reverse` for the reverse pair.
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
        """Result of the rule for the pair itself."""
        return self.forward.word


def worst_pairs(evidence: Evidence, count: int) -> list[Pair]:
    """The pairs with most systematic errors, as `mine-confusions` ranks them; fewer where there are fewer."""
    names, arms = evidence.class_names, (evidence.labels, evidence.predicted, len(evidence.class_names))
    suspected = classify_images(*arms, evidence.probabilities).kind == SUSPECTED_MISLABEL
    ranked = rank_pairs(*arms, suspected=suspected)
    return [Pair(names[true], names[predicted]) for true, predicted in (found.pair for found in ranked[:count])]


def propose(evidence: Evidence, group: Group, pair: Pair, *, permutations: int = PERMUTATIONS) -> ProposalResult:
    """Look for a morphological hypothesis about a pair.

    Args:
        evidence: Predictions of the group's runs for images that they did not train on.
        group: The baseline group.
        pair: Two classes of the evidence.
        permutations: Shuffles of the log-odds, as a negative control.

    Raises:
        NotFound: A class is not among those of the evidence.
        BadInput: The images are not grey.
    """
    a, b = pair.indices(evidence.class_names)
    ink: Ink = "bright" if ink_is_bright(evidence.images) else "dark"

    def examine(way: tuple[int, int]) -> ProposedDirection:
        rows = np.flatnonzero(evidence.labels == way[0])
        of_class = evidence.images[rows], evidence.ids[rows], evidence.probabilities[:, rows]
        return examine_class(*of_class, way, evidence.class_names, ink=ink, permutations=permutations)

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
