"""Which confusions do all models make, and which only one? Baseline groups side by side on the same images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from erroran.errors import BadInput
from erroran.stats.across import PairAcross, compare_confusions, shared_images
from erroran.stats.consistency import SUSPECTED_MISLABEL, classify_images
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.records import Group


@dataclass(frozen=True)
class ModelSummary:
    """One baseline group in the comparison.

    Attributes:
        name: The model, with recipe or group where that is needed to tell it from the others.
        group: The group.
        accuracies: Share of `mine` read right by each run, in [0, 1].
        errors: Errors of each run.
        systematic: Images that more than half of its runs misread in the same way.
    """

    name: str
    group: Group
    accuracies: tuple[float, ...]
    errors: tuple[int, ...]
    systematic: int


@dataclass(frozen=True)
class Across:
    """What M models share.

    Attributes:
        models: The M groups.
        pairs: Directed pairs with an error in any run, those in most models first.
        everywhere: int64 (K,): images that every model misreads in the same way, those with the most wrong runs first.
        read_as: int64 (K,): what they are read as.
        wrong_runs: int64 (K,): how many runs, of all models together, read them so.
        suspected: bool (K,): whether all runs together are sure that the label is wrong.
        labels: int64 (N,).
        ids: str (N,).
        images: uint8 (N, H, W, C).
        class_names: C names.
        skipped: Groups that were left aside, and why; only where the groups were not named.
    """

    models: list[ModelSummary]
    pairs: list[PairAcross]
    everywhere: np.ndarray
    read_as: np.ndarray
    wrong_runs: np.ndarray
    suspected: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    images: np.ndarray
    class_names: tuple[str, ...]
    skipped: list[str]

    @property
    def shared(self) -> list[PairAcross]:
        """Pairs that are consistent in every model."""
        return [pair for pair in self.pairs if pair.surely_in == len(self.models)]

    @property
    def owned(self) -> list[PairAcross]:
        """Pairs that belong to one model, surest first."""
        return sorted((pair for pair in self.pairs if pair.owner is not None), key=lambda pair: pair.q_owner)

    @property
    def n_runs(self) -> int:
        """Runs of all models together."""
        return sum(len(model.group.seeds) for model in self.models)

    def pair_name(self, pair: tuple[int, int]) -> str:
        """The pair as it is typed: ``4:9``."""
        return f"{self.class_names[pair[0]]}:{self.class_names[pair[1]]}"

    def to_json(self) -> dict[str, object]:
        """The findings as strict JSON-ready data."""
        names = [model.name for model in self.models]
        return {
            "dataset": self.models[0].group.dataset_name,
            "note": self.models[0].group.note,
            "images": len(self.labels),
            "models": [
                {
                    "name": model.name,
                    "group": model.group.id,
                    "model": model.group.template.model,
                    "recipe": model.group.template.recipe.name,
                    "seeds": list(model.group.seeds),
                    "accuracies": model.accuracies,
                    "errors": model.errors,
                    "systematic_images": model.systematic,
                }
                for model in self.models
            ],
            "skipped": self.skipped,
            "pairs": [
                {
                    **asdict(pair),
                    "pair": self.pair_name(pair.pair),
                    "owner": None if pair.owner is None else names[pair.owner],
                }
                for pair in self.pairs
            ],
            "misread_by_every_model": [
                {
                    "id": str(self.ids[row]),
                    "label": self.class_names[self.labels[row]],
                    "read_as": self.class_names[read_as],
                    "runs": int(runs),
                    "suspected_mislabel": bool(suspected),
                }
                for row, read_as, runs, suspected in zip(
                    self.everywhere, self.read_as, self.wrong_runs, self.suspected, strict=True
                )
            ],
        }


def compare_groups(store: Store, group_ids: Sequence[str] | None = None) -> Across:
    """Compare the confusions of baseline groups on `mine`. Trains nothing.

    Args:
        store: Holds the groups and their runs.
        group_ids: The groups, or beginnings of their ids, in the order of the report. None for the latest group of each
            model that shares dataset and `mine` with the latest group of all.

    Raises:
        NotFound: There is no such group, or a run of it is gone.
        BadInput: There are fewer than two groups, or their `mine` images differ.
    """
    if group_ids is None:
        store.get_group()  # says what to do where there is none
        groups, skipped = _comparable(sorted(store.list_groups(), key=lambda group: group.updated, reverse=True))
    else:
        groups, skipped = _named_groups(store, group_ids), []
    if len(groups) < 2:
        raise BadInput(
            f"There is a single model to compare: {groups[0].template.model}, group {groups[0].id}.",
            fix="erroran baseline --model with another one; or --groups with two groups of the same model",
        )
    evidence = [_gather(store, group, groups[0]) for group in groups]
    return _across(groups, evidence, skipped)


def _named_groups(store: Store, group_ids: Sequence[str]) -> list[Group]:
    groups = [store.get_group(group_id) for group_id in group_ids]
    if len({group.id for group in groups}) < len(groups):
        raise BadInput("--groups names a group twice.", fix="name each group once")
    return groups


def _comparable(groups: list[Group]) -> tuple[list[Group], list[str]]:
    """The latest group of each model on the same images as the first, oldest first; and what is left aside."""
    chosen: dict[str, Group] = {}
    skipped = []
    for group in groups:
        label = f"`{group.id}` ({group.template.model}, {group.template.recipe.name})"
        if _images_of(group) != _images_of(groups[0]):
            skipped.append(f"{label}: other images")
        elif group.template.model in chosen:
            skipped.append(f"{label}: older than `{chosen[group.template.model].id}`")
        else:
            chosen[group.template.model] = group
    return sorted(chosen.values(), key=lambda group: group.updated), skipped


def _images_of(group: Group) -> tuple[str, float]:
    return group.template.dataset, group.template.mine_fraction


def _gather(store: Store, group: Group, first: Group) -> Evidence:
    if _images_of(group) != _images_of(first):
        what = "another dataset" if group.template.dataset != first.template.dataset else "another --mine-fraction"
        raise BadInput(
            f"The groups {first.id} and {group.id} have different `mine` images: {what}.",
            fix="train both with the same --dataset and --mine-fraction, or leave one out of --groups",
        )
    return gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")


def _across(groups: list[Group], evidence: list[Evidence], skipped: list[str]) -> Across:
    labels, n_classes = evidence[0].labels, len(evidence[0].class_names)
    models = [part.predicted for part in evidence]
    found = shared_images(labels, models, n_classes)
    everything = np.concatenate(models)
    rows = np.flatnonzero(found.everywhere >= 0)
    runs = (everything[:, rows] == found.everywhere[rows]).sum(axis=0)
    order = np.lexsort((evidence[0].ids[rows], -runs))
    rows, runs = rows[order], runs[order]
    probabilities = np.concatenate([part.probabilities for part in evidence])
    kinds = classify_images(labels, everything, n_classes, probabilities)
    return Across(
        models=[
            ModelSummary(
                name=name,
                group=group,
                accuracies=tuple((predicted == labels).mean(axis=1).tolist()),
                errors=tuple((predicted != labels).sum(axis=1).tolist()),
                systematic=int((read_as >= 0).sum()),
            )
            for name, group, predicted, read_as in zip(_names(groups), groups, models, found.read_as, strict=True)
        ],
        pairs=compare_confusions(labels, models, n_classes),
        everywhere=rows,
        read_as=found.everywhere[rows],
        wrong_runs=runs,
        suspected=kinds.kind[rows] == SUSPECTED_MISLABEL,
        labels=labels,
        ids=evidence[0].ids,
        images=evidence[0].images,
        class_names=evidence[0].class_names,
        skipped=skipped,
    )


def _names(groups: Sequence[Group]) -> list[str]:
    """A short name for each group: the model; with the recipe, and then the id, where several share it."""
    names = [group.template.model for group in groups]
    for also in ([group.template.recipe.name for group in groups], [group.id[:4] for group in groups]):
        times = Counter(names)
        names = [f"{name} {extra}" if times[name] > 1 else name for name, extra in zip(names, also, strict=True)]
    return names
