"""Which class pairs are confused consistently, over seeds, on images that no run has trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from erroran.data import split_dataset
from erroran.execution.local import Completed, Request, complete_runs
from erroran.stats.consistency import ImageConsistency, PairSummary, classify_images, rank_pairs
from erroran.store import Store
from erroran.store.evidence import Evidence, gather, gather_out_of_fold
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress


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
            "note": self.group.note,
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
            "wrong_images": [
                {
                    "id": str(evidence.ids[i]),
                    "label": evidence.class_names[evidence.labels[i]],
                    "read_as": evidence.class_names[self.images.wrong_class[i]],
                    "kind": str(self.images.kind[i]),
                    "runs_wrong": int(self.images.wrong_runs[i]),
                }
                for i in np.flatnonzero(self.images.wrong_runs > 0)
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

    def of_kind(self, kind: str) -> np.ndarray:
        """Images of a kind (see `classify_images`), wrong in most runs first.

        Returns:
            int64 (k,) indices into the evidence.
        """
        order = np.lexsort((self.evidence.ids, -self.images.wrong_runs))
        chosen: np.ndarray = order[self.images.kind[order] == kind]
        return chosen

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
    look = None
    if split == "confirm":
        look = Entry(kind="mined-on-confirm", dataset=group.template.dataset, group=group.id, seeds=group.seeds)
    return _mined(group, gather(store, [group.run_spec(seed).id for seed in group.seeds], split, look=look))


def mine_out_of_fold(
    store: Store,
    group: Group,
    folds: int,
    *,
    jobs: int = 1,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> tuple[Mined, Completed]:
    """Mine the whole training data: each image is judged by models that did not train on it.

    Trains `folds` models per seed of the group, and so sees about ten times as many images as `mine` holds.

    Args:
        store: Where runs go.
        group: Gives the seeds and everything else.
        folds: Number of folds, >= 2.
        jobs: Runs at a time.
        on_progress: Called often.
        on_finished: Called with each run that was trained.

    Raises:
        BadInput: A class has fewer images than there are folds.
    """
    split_dataset(store.get_dataset(group.template.dataset), fold=(0, folds))  # refuses bad numbers before training
    by_fold = [[group.run_spec(seed, fold=(k, folds)) for seed in group.seeds] for k in range(folds)]
    requests = [Request("out-of-fold", spec) for specs in by_fold for spec in specs]
    completed = complete_runs(store, requests, jobs=jobs, on_progress=on_progress, on_finished=on_finished)
    evidence = gather_out_of_fold(store, [[spec.id for spec in specs] for specs in by_fold])
    return _mined(group, evidence), completed


def _mined(group: Group, evidence: Evidence) -> Mined:
    n_classes = len(evidence.class_names)
    return Mined(
        group=group,
        evidence=evidence,
        pairs=rank_pairs(evidence.labels, evidence.predicted, n_classes),
        images=classify_images(evidence.labels, evidence.predicted, n_classes, evidence.probabilities),
    )
