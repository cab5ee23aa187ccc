"""Compare baseline groups on the same images: which confusions all models share, and which belong to one model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from pydantic import Field

from erroran.errors import BadInput
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stats.across import compare_confusions, shared_images
from erroran.stats.consistency import SUSPECTED_MISLABEL, classify_images
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.records import Group


class ModelResult(Result):
    """One baseline group in the comparison.

    Attributes:
        name: The model; with recipe and group id where several groups have the same model.
        group: Id of the group.
        model: Name of the architecture.
        recipe: Name of the recipe.
        seeds: Seeds of its S runs.
        accuracies: Accuracy of each run on `mine`, length S, in [0, 1].
        errors: Errors of each run, length S.
        systematic_images: Images that more than half of its runs predict as the same wrong class.
        baseline: The group.
    """

    name: str
    group: str
    model: str
    recipe: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    errors: tuple[int, ...]
    systematic_images: int
    baseline: Group = Field(exclude=True)


class PairResult(Result):
    """A directed pair in M models: the fields of `erroran.stats.across.PairAcross`, with names instead of indices."""

    pair: Pair
    mean_errors: tuple[float, ...]
    share: tuple[float, ...]
    in_every_run: tuple[bool, ...]
    images_everywhere: int
    surely_in: int
    q_all: float
    owner: str | None
    q_owner: float


class SharedError(Result):
    """An image that every model predicts as the same wrong class.

    Attributes:
        id: Its id.
        label: Its label.
        read_as: The predicted class.
        runs: Number of runs, of all models together, that predict this class.
        suspected_mislabel: Whether all runs together are confident that the label is wrong.
        row: Its index in `mine`.
    """

    id: str
    label: str
    read_as: str
    runs: int
    suspected_mislabel: bool
    row: int = Field(exclude=True)


class AcrossResult(Result):
    """Which errors M models share.

    Attributes:
        dataset: Name of the dataset.
        note: Remark of the dataset, for example that a fallback was used.
        images: Number of images of `mine`.
        models: The M groups.
        skipped: Groups that were left out, each with the reason; empty if the groups were named.
        pairs: Directed pairs with an error in any run, those in most models first.
        misread_by_every_model: Images with the same error in every model, those with the most wrong runs first.
        pixels: uint8 (N, H, W, C), the images of `mine`.
    """

    dataset: str
    note: str | None
    images: int
    models: tuple[ModelResult, ...]
    skipped: tuple[str, ...]
    pairs: tuple[PairResult, ...]
    misread_by_every_model: tuple[SharedError, ...]
    pixels: np.ndarray = Field(exclude=True)

    @property
    def shared(self) -> list[PairResult]:
        """Pairs that are consistent in every model."""
        return [pair for pair in self.pairs if pair.surely_in == len(self.models)]

    @property
    def owned(self) -> list[PairResult]:
        """Pairs that belong to one model, smallest q first."""
        return sorted((pair for pair in self.pairs if pair.owner is not None), key=lambda pair: pair.q_owner)


def compare_groups(store: Store, group_ids: Sequence[str] | None = None) -> AcrossResult:
    """Compare the confusions of baseline groups on `mine`. Trains nothing.

    Args:
        store: Holds the groups and their runs.
        group_ids: Ids of the groups, or the beginnings of ids, in the order of the report. By default, the latest
            group of each model that has the same dataset and `mine` as the latest group of all.

    Raises:
        NotFound: There is no such group, or a run of it was removed.
        BadInput: There are fewer than two groups, or their `mine` images differ.
    """
    skipped: list[str] = []
    if group_ids is None:
        store.get_group()  # raises NotFound with the command to run if there is no group
        groups, skipped = _comparable(sorted(store.list_groups(), key=lambda group: group.updated, reverse=True))
    else:
        groups = [store.get_group(group_id) for group_id in group_ids]
    if len({group.id for group in groups}) < len(groups):
        raise BadInput("--groups names a group twice.", fix="name each group once")
    if len(groups) < 2:
        raise BadInput(
            f"There is only one model to compare: {groups[0].template.model}, group {groups[0].id}.",
            fix="train another with `erroran baseline --model`, or name two groups of the same model with --groups",
        )
    for group in groups:
        if _images_of(group) != _images_of(groups[0]):
            same_data = group.template.dataset == groups[0].template.dataset
            raise BadInput(
                f"The groups {groups[0].id} and {group.id} have different `mine` images: "
                f"another {'--mine-fraction' if same_data else 'dataset'}.",
                fix="train both with the same --dataset and --mine-fraction, or leave one out of --groups",
            )
    evidence = [gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine") for group in groups]
    return _across(groups, evidence, skipped)


def _comparable(groups: list[Group]) -> tuple[list[Group], list[str]]:
    """From groups sorted latest first, the latest of each model on the images of the first; and what is left out."""
    chosen: dict[str, Group] = {}
    skipped = []
    for group in groups:
        label = f"group {group.id} ({group.template.model}, {group.template.recipe.name})"
        if _images_of(group) != _images_of(groups[0]):
            skipped.append(f"{label}: other images")
        elif group.template.model in chosen:
            skipped.append(f"{label}: older than {chosen[group.template.model].id}")
        else:
            chosen[group.template.model] = group
    return sorted(chosen.values(), key=lambda group: group.updated), skipped


def _images_of(group: Group) -> tuple[str, float]:
    return group.template.dataset, group.template.mine_fraction


def _across(groups: list[Group], evidence: list[Evidence], skipped: list[str]) -> AcrossResult:
    labels, ids, class_names = evidence[0].labels, evidence[0].ids, evidence[0].class_names
    predicted = [part.predicted for part in evidence]
    together = np.concatenate(predicted)
    by_model, everywhere = shared_images(labels, predicted, len(class_names))
    runs = (together == everywhere).sum(axis=0)
    rows = np.flatnonzero(everywhere >= 0)
    rows = rows[np.lexsort((ids[rows], -runs[rows]))]
    probabilities = np.concatenate([part.probabilities for part in evidence])
    kinds = classify_images(labels, together, len(class_names), probabilities).kind
    names = _names(groups)
    return AcrossResult(
        dataset=groups[0].dataset_name,
        note=groups[0].note,
        images=len(labels),
        models=tuple(
            ModelResult(
                name=name,
                group=group.id,
                model=group.template.model,
                recipe=group.template.recipe.name,
                seeds=group.seeds,
                accuracies=tuple((answers == labels).mean(axis=1).tolist()),
                errors=tuple((answers != labels).sum(axis=1).tolist()),
                systematic_images=int((read_as >= 0).sum()),
                baseline=group,
            )
            for name, group, answers, read_as in zip(names, groups, predicted, by_model, strict=True)
        ),
        skipped=tuple(skipped),
        pairs=tuple(
            PairResult(
                **asdict(pair)
                | {
                    "pair": Pair(*(class_names[c] for c in pair.pair)),
                    "owner": None if pair.owner is None else names[pair.owner],
                }
            )
            for pair in compare_confusions(labels, predicted, len(class_names))
        ),
        misread_by_every_model=tuple(
            SharedError(
                id=str(ids[row]),
                label=class_names[labels[row]],
                read_as=class_names[everywhere[row]],
                runs=int(runs[row]),
                suspected_mislabel=bool(kinds[row] == SUSPECTED_MISLABEL),
                row=row,
            )
            for row in rows.tolist()
        ),
        pixels=evidence[0].images,
    )


def _names(groups: Sequence[Group]) -> list[str]:
    """A name for each group: its model; where several are equal, with the recipe; then also with the id."""
    names = [group.template.model for group in groups]
    for also in ([group.template.recipe.name for group in groups], [group.id[:4] for group in groups]):
        times = Counter(names)
        names = [f"{name} {extra}" if times[name] > 1 else name for name, extra in zip(names, also, strict=True)]
    return names
