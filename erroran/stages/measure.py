"""The shape of the ink of every image, as a table and summed up by class; and whether closure goes with errors."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from erroran.data import Dataset, split_dataset
from erroran.errors import BadInput
from erroran.operations.morphology import ink_is_bright
from erroran.shape.measure import MEASUREMENTS, Distance, closure_margin, measure
from erroran.stats.correlation import Correlation, correlate_ranks
from erroran.stats.roc import RocArea, roc_area
from erroran.store import Store
from erroran.store.evidence import Evidence, gather, gather_most

if TYPE_CHECKING:
    import pandas as pd

Ink = Literal["bright", "dark", "detect"]


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of a dataset.

    Attributes:
        dataset: Its name.
        digest: Its digest.
        class_names: Names of its classes.
        ink: What the ink was taken to be: ``bright`` or ``dark``.
        table: One row an image: ``sample_id``, ``split`` (train, mine or confirm), ``label`` (the class's name) and
            the columns of `erroran.shape.measure.MEASUREMENTS`.
    """

    dataset: str
    digest: str
    class_names: tuple[str, ...]
    ink: Literal["bright", "dark"]
    table: "pd.DataFrame"

    def to_json(self) -> dict[str, Any]:
        """Mean, standard deviation and quartiles of each measurement, for each class, and what is missing."""
        classes = {}
        for name in self.class_names:
            rows = self.table[self.table["label"] == name]
            classes[name] = {"images": len(rows), **{key: _sum_up(rows[key].to_numpy()) for key in MEASUREMENTS}}
        return {
            "dataset": self.dataset,
            "digest": self.digest,
            "ink": self.ink,
            "splits": {str(split): int(count) for split, count in self.table["split"].value_counts(sort=False).items()},
            "measurements": MEASUREMENTS,
            "classes": classes,
        }


@dataclass(frozen=True)
class Misread:
    """Whether the closure margin tells the misread images of a class from its others.

    Attributes:
        true: The class.
        predicted: What its images are read as; empty for anything wrong.
        images: Images of the class.
        errors_by_run: Errors of each run.
        signed: By how far the margin lies on the other class's side; marked are images that any run misreads.
        unsigned: By how near the margin is to 0, from either side.
    """

    true: str
    predicted: str
    images: int
    errors_by_run: list[int]
    signed: RocArea
    unsigned: RocArea


@dataclass(frozen=True, eq=False)
class Closure:
    """The closure margins of a pair's classes, and the errors of the stored runs.

    An image in which no dose makes a loop is farther from being closed than every other: its margin counts as infinite.

    Attributes:
        pair: The two classes, a and b.
        source: Which images: ``mine``, or ``train`` for the whole training data, out of fold.
        seeds: Seeds of the runs; none if there are no runs.
        margins: Class to float (n,), pixels, infinite where there is no loop.
        misread: Class to bool (n,): read as the other class of the pair by at least one run.
        classes: Whether the margin tells a from b: marked are images of a.
        outcomes: For each class, read as the other one, and wrong at all; empty without runs.
        trends: Class to the rank correlation, over images with a loop, between how far the margin lies on the other
            class's side and the mean probability of that class.
    """

    pair: tuple[str, str]
    source: str
    seeds: list[int]
    margins: dict[str, np.ndarray]
    misread: dict[str, np.ndarray]
    classes: RocArea
    outcomes: list[Misread]
    trends: dict[str, Correlation]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "pair": ":".join(self.pair),
            "source": self.source,
            "seeds": self.seeds,
            "images": {name: len(values) for name, values in self.margins.items()},
            "without_loop": {name: int(np.isinf(values).sum()) for name, values in self.margins.items()},
            "classes": asdict(self.classes),
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "trends": {name: asdict(trend) for name, trend in self.trends.items()},
        }


def measure_dataset(
    dataset: Dataset,
    *,
    splits: tuple[str, ...] = ("mine",),
    mine_fraction: float = 0.1,
    ink: Ink = "detect",
    distance: Literal["euclidean", "chessboard"] = "euclidean",
) -> Measured:
    """Measure the images of some splits.

    Args:
        dataset: The images.
        splits: Of ``train``, ``mine`` and ``confirm``.
        mine_fraction: As in the baseline.
        ink: Brighter or darker than the ground; ``detect`` looks at the training images.
        distance: Of the closure margin.
    """
    import pandas as pd

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
    return Measured(dataset.name, dataset.digest, dataset.class_names, ink, table)


def stored_readings(store: Store, dataset: Dataset, group_id: str | None = None) -> list[Evidence]:
    """What the stored baseline runs of a group read in images that they did not train on.

    Args:
        store: May be empty.
        dataset: The images that are measured.
        group_id: The group; default the latest.

    Returns:
        All baseline runs, of whatever seed, on `mine`; then, where ``mine-confusions --out-of-fold`` was run, the whole
        training data. Nothing if the group stands on another dataset.
    """
    if not store.has_group():
        return []
    group = store.get_group(group_id)
    if group.template.dataset != dataset.digest:
        return []
    runs = [run for run in store.list_runs() if run.spec.group_id == group.id and not run.spec.augment]
    found = []
    if whole := sorted((run.spec.seed, run.id) for run in runs if run.spec.fold is None):
        found.append(gather(store, [run_id for _, run_id in whole], "mine"))
    most = gather_most(store, group)
    if most.split == "train":
        found.append(most)
    return found


def measure_closure(
    dataset: Dataset,
    pair: tuple[str, str],
    readings: Sequence[Evidence],
    *,
    mine_fraction: float = 0.1,
    ink: Literal["bright", "dark"] = "bright",
    distance: Distance = "euclidean",
) -> list[Closure]:
    """Compare closure margins with classes and errors.

    Args:
        dataset: The images.
        pair: Names of two classes.
        readings: From `stored_readings`; without any, margins and classes alone are compared, on `mine`.
        mine_fraction: As in the baseline.
        ink: What the ink is.
        distance: Of the closure margin.

    Raises:
        BadInput: The dataset lacks one of the classes.
    """
    for name in pair:
        if name not in dataset.class_names:
            raise BadInput(
                f"The pair {':'.join(pair)} names class `{name}`, which the dataset does not have.",
                fix=f"--pair with two of: {', '.join(dataset.class_names[:30])}",
            )
    labels = [dataset.class_names.index(name) for name in pair]
    if readings:
        return [_closure(pair, labels, reading.images, reading.labels, reading, ink, distance) for reading in readings]
    mined = split_dataset(dataset, mine_fraction=mine_fraction).mine
    return [_closure(pair, labels, mined.x, mined.y, None, ink, distance)]


def _closure(
    pair: tuple[str, str],
    pair_labels: list[int],
    images: np.ndarray,
    labels: np.ndarray,
    reading: Evidence | None,
    ink: Literal["bright", "dark"],
    distance: Distance,
) -> Closure:
    rows = [np.flatnonzero(labels == label) for label in pair_labels]
    margins = [
        np.nan_to_num(closure_margin(images[r] if ink == "bright" else 255 - images[r], distance=distance), nan=np.inf)
        for r in rows
    ]
    marked = np.repeat([True, False], [len(m) for m in margins])
    classes = roc_area(np.concatenate(margins), marked)
    # The class with the larger margins is the more open one; an error of its images would lie at smaller ones.
    first_is_open = classes.auc is None or classes.auc >= 0.5
    misread, outcomes, trends = {}, [], {}
    for i, name in enumerate(pair):
        misread[name] = np.zeros(len(rows[i]), dtype=bool)
        if reading is None:
            continue
        towards = -margins[i] if first_is_open == (i == 0) else margins[i]
        read, other = reading.predicted[:, rows[i]], pair_labels[1 - i]
        misread[name] = (read == other).any(axis=0)
        for predicted, wrong in ((pair[1 - i], read == other), ("", read != pair_labels[i])):
            outcomes.append(_tell(name, predicted, wrong, towards, margins[i]))
        probability = reading.probabilities[:, rows[i], other].mean(axis=0)
        trends[name] = correlate_ranks(towards, probability)
    return Closure(
        pair=pair,
        source=reading.split if reading else "mine",
        seeds=reading.seeds if reading else [],
        margins=dict(zip(pair, margins, strict=True)),
        misread=misread,
        classes=classes,
        outcomes=outcomes,
        trends=trends,
    )


def _tell(true: str, predicted: str, wrong: np.ndarray, towards: np.ndarray, margins: np.ndarray) -> Misread:
    by_any: np.ndarray = np.any(wrong, axis=0)
    return Misread(
        true=true,
        predicted=predicted,
        images=len(margins),
        errors_by_run=wrong.sum(axis=1).tolist(),
        signed=roc_area(towards, by_any),
        unsigned=roc_area(-np.abs(margins), by_any),
    )


def _sum_up(values: np.ndarray) -> dict[str, float | int | None]:
    known = values[~np.isnan(values.astype(float))].astype(float)
    if not len(known):
        return {"missing": len(values), "mean": None, "sd": None, "q25": None, "median": None, "q75": None}
    q25, median, q75 = np.quantile(known, [0.25, 0.5, 0.75])
    return {
        "missing": len(values) - len(known),
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if len(known) > 1 else None,
        "q25": float(q25),
        "median": float(median),
        "q75": float(q75),
    }
