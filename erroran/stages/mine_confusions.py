"""Which class pairs are confused consistently, over seeds, on images that no run has trained on."""

from dataclasses import dataclass

import numpy as np

from erroran.evidence import Evidence, gather
from erroran.ledger import Entry, Ledger
from erroran.runs import Group
from erroran.stats.consistency import ImageConsistency, PairSummary, classify_images, rank_pairs
from erroran.store import Store


@dataclass(frozen=True)
class Mined:
    """What mining found.

    Attributes:
        group: The baseline that was mined.
        evidence: Predictions and images of the mined split.
        pairs: Directed pairs with any error, most systematic first.
        images: What the runs agree on, image by image.
    """

    group: Group
    evidence: Evidence
    pairs: list[PairSummary]
    images: ImageConsistency

    @property
    def exploratory(self) -> bool:
        """Whether the images that would confirm a fix have been used to choose the pair."""
        return self.evidence.split == "confirm"

    def pair_name(self, pair: tuple[int, int]) -> str:
        """The pair as it is typed: ``4:9``."""
        names = self.evidence.class_names
        return f"{names[pair[0]]}:{names[pair[1]]}"

    def errors_of(self, pair: tuple[int, int]) -> np.ndarray:
        """Images of a pair, those that most runs get wrong first.

        Returns:
            int64 (k,) indices into the evidence.
        """
        true, read_as = pair
        wrong = ((self.evidence.predicted == read_as) & (self.evidence.labels == true)).sum(axis=0)
        order = np.lexsort((self.evidence.ids, -wrong))
        chosen: np.ndarray = order[wrong[order] > 0]
        return chosen

    def to_json(self, *, top: int | None = None) -> dict[str, object]:
        """The findings as JSON-ready data, `top` pairs at the most."""
        evidence = self.evidence
        return {
            "group": self.group.id,
            "dataset": self.group.dataset_name,
            "split": evidence.split,
            "exploratory": self.exploratory,
            "seeds": evidence.seeds,
            "images": len(evidence.labels),
            "pairs": [
                {
                    "pair": self.pair_name(found.pair),
                    "errors_per_seed": found.errors_per_seed,
                    "mean_errors": found.mean_errors,
                    "seeds_with_it": found.seeds_with_it,
                    "images_by_runs": found.images_by_runs,
                    "systematic_images": found.n_systematic,
                    "reverse_per_seed": found.reverse_per_seed,
                    "asymmetry_p": found.asymmetry_p,
                    "rate": found.rate,
                    "rate_interval": [found.rate_low, found.rate_high],
                    "partial_conjunction_p": found.partial_conjunction_p,
                    "partial_conjunction_q": found.partial_conjunction_q,
                    "image_ids": evidence.ids[self.errors_of(found.pair)].tolist(),
                }
                for found in self.pairs[:top]
            ],
            "suspected_mislabels": [
                {
                    "id": str(evidence.ids[i]),
                    "label": evidence.class_names[evidence.labels[i]],
                    "looks_like": evidence.class_names[self.images.suggested_class[i]],
                    "self_confidence": self._confidence(i),
                }
                for i in self.suspects()
            ],
        }

    def suspects(self) -> list[int]:
        """Indices of suspected mislabels."""
        return [int(i) for i in np.flatnonzero(self.images.kind == "suspected mislabel")]

    def _confidence(self, index: int) -> float | None:
        confidence = self.images.self_confidence
        return None if confidence is None else round(float(confidence[index]), 6)


def mine(store: Store, group: Group, *, split: str = "mine") -> Mined:
    """Rank the confusions of a baseline group.

    Args:
        store: Holds the group's runs.
        group: Exactly its seeds are used.
        split: ``mine``; or ``confirm``, which is entered in the ledger and makes every later verdict on this
            data exploratory.

    Raises:
        NotFound: A run of the group is gone.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], split)
    if split == "confirm":
        look = Entry(kind="mined-on-confirm", dataset=group.template.dataset, group=group.id, seeds=group.seeds)
        Ledger(store.root).record(look)
    n_classes = len(evidence.class_names)
    return Mined(
        group=group,
        evidence=evidence,
        pairs=rank_pairs(evidence.labels, evidence.predicted, n_classes),
        images=classify_images(evidence.labels, evidence.predicted, n_classes, evidence.probabilities),
    )
