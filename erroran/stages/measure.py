"""Measure the ink of every image, summarize by class, and relate the closure margin to errors."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from erroran.data import Dataset, split_dataset
from erroran.experiment.pair import Pair
from erroran.operations.morphology import ink_is_bright
from erroran.results import Result
from erroran.shape.closure import Closure, relate_closure
from erroran.shape.measure import MEASUREMENTS, Distance, closure_margin, measure, summarize_by_class
from erroran.store import Store
from erroran.store.evidence import Evidence, gather, gather_most

Ink = Literal["bright", "dark", "detect"]


class MeasureResult(Result):
    """Measurements of a dataset.

    Attributes:
        splits: Split to its number of images.
        measurements: Name of each measurement to its meaning.
        classes: From `erroran.shape.measure.summarize_by_class`.
        table: One row an image: ``sample_id``, ``split`` (train, mine or confirm), ``label`` (the class's name) and
            the columns of `erroran.shape.measure.MEASUREMENTS`.
    """

    dataset: str
    digest: str
    ink: Literal["bright", "dark"]
    splits: dict[str, int]
    measurements: dict[str, str]
    classes: dict[str, dict[str, Any]]
    class_names: tuple[str, ...] = Field(exclude=True)
    table: pd.DataFrame = Field(exclude=True)


def measure_dataset(
    dataset: Dataset,
    *,
    splits: tuple[str, ...] = ("mine",),
    mine_fraction: float = 0.1,
    ink: Ink = "detect",
    distance: Distance = "euclidean",
) -> MeasureResult:
    """Measure the images of some splits.

    Args:
        dataset: The images.
        splits: Some of ``train``, ``mine`` and ``confirm``.
        mine_fraction: As in the baseline.
        ink: Brighter or darker than the background; ``detect`` decides by the training images.
        distance: Metric of the closure margin.

    Raises:
        BadInput: The images are not grey.
    """
    if ink == "detect":
        ink = "bright" if ink_is_bright(dataset.x_train) else "dark"
    parts = split_dataset(dataset, mine_fraction=mine_fraction)
    names = np.array(dataset.class_names)
    tables = []
    for split in splits:
        part = getattr(parts, split)
        who = pd.DataFrame({"sample_id": part.ids, "split": split, "label": names[part.y]})
        tables.append(pd.concat([who, measure(part.x, ink=ink, distance=distance)], axis=1))
    table = pd.concat(tables, ignore_index=True)
    return MeasureResult(
        dataset=dataset.name,
        digest=dataset.digest,
        ink=ink,
        splits={split: len(part) for split, part in zip(splits, tables, strict=True)},
        measurements=MEASUREMENTS,
        classes=summarize_by_class(table, dataset.class_names),
        class_names=dataset.class_names,
        table=table,
    )


def stored_readings(store: Store, dataset: Dataset, group_id: str | None = None) -> list[Evidence]:
    """Predictions of the stored baseline runs of a group (default the latest) for images that they did not train on.

    Returns:
        Those of all seeds on `mine`; then, after ``mine-confusions --out-of-fold``, on the whole training data. Empty
        if the store has no group or the group another dataset.
    """
    if not store.has_group():
        return []
    group = store.get_group(group_id)
    if group.template.dataset != dataset.digest:
        return []
    runs = [run for run in store.list_runs() if run.spec.group_id == group.id and run.spec.is_baseline]
    found = []
    if whole := sorted((run.spec.seed, run.id) for run in runs if run.spec.fold is None):
        found.append(gather(store, [run_id for _, run_id in whole], "mine"))
    most = gather_most(store, group)
    if most.split == "train":
        found.append(most)
    return found


def measure_closure(
    dataset: Dataset,
    pair: Pair,
    readings: Sequence[Evidence],
    *,
    mine_fraction: float = 0.1,
    ink: Literal["bright", "dark"] = "bright",
    distance: Distance = "euclidean",
) -> list[Closure]:
    """Relate closure margins to classes and errors.

    Args:
        dataset: The images.
        pair: Two classes.
        readings: From `stored_readings`; without any, only margins and classes are compared, on `mine`.
        mine_fraction: As in the baseline.
        ink: Brighter or darker than the background.
        distance: Metric of the closure margin.

    Raises:
        NotFound: The dataset lacks one of the classes.
        BadInput: The images are not grey.
    """
    labels = pair.indices(dataset.class_names)

    def relate(images: np.ndarray, y: np.ndarray, reading: Evidence | None) -> Closure:
        rows = [np.flatnonzero(y == label) for label in labels]
        bright = [images[r] if ink == "bright" else 255 - images[r] for r in rows]
        margins = closure_margin(bright[0], distance=distance), closure_margin(bright[1], distance=distance)
        if reading is None:
            return relate_closure(pair, margins, None, labels, source="mine", seeds=[])
        predicted = reading.probabilities[:, rows[0]], reading.probabilities[:, rows[1]]
        return relate_closure(pair, margins, predicted, labels, source=reading.split, seeds=reading.seeds)

    if readings:
        return [relate(reading.images, reading.labels, reading) for reading in readings]
    mined = split_dataset(dataset, mine_fraction=mine_fraction).mine
    return [relate(mined.x, mined.y, None)]
