"""Rank the class pairs that are confused consistently over seeds, on images that no run has trained on."""

from collections.abc import Callable

import numpy as np
from pydantic import Field

from erroran.execution.driver import Completed, Request, complete_runs
from erroran.execution.task import Executor
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stats.consistency import SUSPECTED_MISLABEL, PairSummary, classify_images, rank_pairs
from erroran.store import Store
from erroran.store.evidence import Evidence, gather, gather_out_of_fold
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress


class MinedPair(Result):
    """A directed pair with errors; the fields that are not explained here are those of `PairSummary`.

    Attributes:
        found: All its statistics.
        rows: int64 (k,): places in the evidence of the images with this error, those of most runs first.
        image_ids: Their ids.
    """

    found: PairSummary = Field(exclude=True)
    rows: np.ndarray = Field(exclude=True)
    pair: str
    errors_per_seed: tuple[int, ...]
    mean_errors: float
    seeds_with_it: int
    images_by_runs: tuple[int, ...]
    systematic_images: int | None
    suspected_mislabels: int | None
    reverse_per_seed: tuple[int, ...]
    asymmetry_p: float
    rate: float
    rate_interval: tuple[float, float]
    partial_conjunction_p: float
    partial_conjunction_q: float
    image_ids: list[str]


class WrongImage(Result):
    """An image that at least one run gets wrong.

    Attributes:
        row: Its place in the evidence.
        id: Its sample id.
        label: Its class.
        read_as: The wrong class that most runs predict.
        kind: See `erroran.stats.consistency.classify_images`.
        runs_wrong: How many runs get it wrong.
        looks_like: For a suspected mislabel the class that it looks like.
        self_confidence: Mean probability of its label, 0..1.
    """

    row: int = Field(exclude=True)
    id: str
    label: str
    read_as: str
    kind: str
    runs_wrong: int
    looks_like: str | None = Field(exclude=True)
    self_confidence: float | None = Field(exclude=True)


class Mislabel(Result):
    """An image that is probably labelled wrongly; fields as in `WrongImage`."""

    id: str
    label: str
    looks_like: str
    self_confidence: float | None


class MiningResult(Result):
    """The confusions of a baseline group.

    Attributes:
        baseline: The group.
        evidence: Predictions and images of the mined split.
        kinds: How many images there are of each kind.
        group: Id of the group.
        exploratory: Whether the split is `confirm`, so that a pair would be chosen by the images that judge its fix.
        images: Number of images of the split.
        pairs: Directed pairs with any error, those with most systematic errors first.
        wrong_images: Images that any run gets wrong, in the order of the evidence.
        suspected_mislabels: Those of them that are probably labelled wrongly.
    """

    baseline: Group = Field(exclude=True)
    evidence: Evidence = Field(exclude=True)
    kinds: dict[str, int] = Field(exclude=True)
    group: str
    dataset: str
    note: str | None
    split: str
    exploratory: bool
    seeds: list[int]
    images: int
    pairs: list[MinedPair]
    wrong_images: list[WrongImage]
    suspected_mislabels: list[Mislabel]

    def first(self, top: int) -> "MiningResult":
        """The same with `top` pairs at most."""
        return self.model_copy(update={"pairs": self.pairs[:top]})

    def of_kind(self, kind: str) -> list[WrongImage]:
        """Wrong images of a kind, those that most runs get wrong first."""
        return sorted((i for i in self.wrong_images if i.kind == kind), key=lambda image: (-image.runs_wrong, image.id))


def rank_confusions(store: Store, group: Group, *, split: str = "mine") -> MiningResult:
    """Rank the confusions of a baseline group.

    Args:
        store: Holds the group's runs.
        group: Exactly its seeds are used.
        split: ``mine``; or ``confirm``, which is entered in the ledger and makes every later verdict on this
            data exploratory.

    Raises:
        NotFound: A run of the group was removed.
    """
    look = Entry(kind="mined-on-confirm", dataset=group.template.dataset, group=group.id, seeds=group.seeds)
    runs = [group.run_spec(seed).id for seed in group.seeds]
    return _rank(group, gather(store, runs, split, look=look if split == "confirm" else None))


def rank_out_of_fold(
    store: Store,
    group: Group,
    folds: int,
    *,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
) -> tuple[MiningResult, Completed]:
    """Rank the confusions on the whole training data: each image is predicted by models that did not train on it.

    Trains `folds` models per seed of the group. The mining is entered in the ledger: a hypothesis that is registered
    later cannot be judged out of fold, on the same images.

    Args:
        store: Where runs go.
        group: Gives the seeds and everything else.
        folds: Number of folds, >= 2.
        executor: See `complete_runs`.
        on_progress: Called every few steps of a training.
        on_finished: Called with each run that was trained.

    Raises:
        BadInput: A class has fewer images than there are folds.
    """
    store.split(store.get_dataset(group.template.dataset), fold=(0, folds))  # refuses bad numbers before training
    by_fold = [[group.run_spec(seed, fold=(k, folds)) for seed in group.seeds] for k in range(folds)]
    requests = [Request("out-of-fold", spec) for specs in by_fold for spec in specs]
    completed = complete_runs(store, requests, executor=executor, on_progress=on_progress, on_finished=on_finished)
    dataset = group.template.dataset
    store.ledger.record(
        Entry(kind="mined-out-of-fold", dataset=dataset, group=group.id, seeds=group.seeds, population="train")
    )
    evidence = gather_out_of_fold(store, [[spec.id for spec in specs] for specs in by_fold])
    return _rank(group, evidence), completed


def _rank(group: Group, evidence: Evidence) -> MiningResult:
    names, n_classes = evidence.class_names, len(evidence.class_names)
    found = classify_images(evidence.labels, evidence.predicted, n_classes, evidence.probabilities)
    confidence = found.self_confidence
    wrong = [
        WrongImage(
            row=int(i),
            id=str(evidence.ids[i]),
            label=names[evidence.labels[i]],
            read_as=names[found.wrong_class[i]],
            kind=str(found.kind[i]),
            runs_wrong=int(found.wrong_runs[i]),
            looks_like=names[found.suggested_class[i]] if found.suggested_class[i] >= 0 else None,
            self_confidence=None if confidence is None else round(float(confidence[i]), 6),
        )
        for i in np.flatnonzero(found.wrong_runs > 0)
    ]
    kinds, counts = np.unique(found.kind, return_counts=True)
    return MiningResult(
        baseline=group,
        evidence=evidence,
        kinds=dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        split=evidence.split,
        exploratory=evidence.split == "confirm",
        seeds=evidence.seeds,
        images=len(evidence.labels),
        pairs=[
            _mined_pair(pair, evidence)
            for pair in rank_pairs(
                evidence.labels, evidence.predicted, n_classes, suspected=found.kind == SUSPECTED_MISLABEL
            )
        ],
        wrong_images=wrong,
        suspected_mislabels=[
            Mislabel(id=i.id, label=i.label, looks_like=i.looks_like, self_confidence=i.self_confidence)
            for i in wrong
            if i.kind == SUSPECTED_MISLABEL and i.looks_like is not None
        ],
    )


def _mined_pair(found: PairSummary, evidence: Evidence) -> MinedPair:
    true, predicted = found.pair
    wrong = ((evidence.predicted == predicted) & (evidence.labels == true)).sum(axis=0)
    order = np.lexsort((evidence.ids, -wrong))
    rows = order[wrong[order] > 0]
    shared = {key: value for key, value in vars(found).items() if key in MinedPair.model_fields}
    own = {
        "pair": str(Pair(evidence.class_names[true], evidence.class_names[predicted])),
        "systematic_images": found.n_systematic,
        "suspected_mislabels": found.n_suspected,
        "rate_interval": (found.rate_low, found.rate_high),
        "image_ids": evidence.ids[rows].tolist(),
    }
    return MinedPair(found=found, rows=rows, **shared | own)
