"""The shape of the ink of every image, as a table and summed up by class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from erroran.augment.morphology import ink_is_bright
from erroran.data import Dataset, split_dataset
from erroran.morphometry import MEASUREMENTS, measure

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
            the columns of `erroran.morphometry.MEASUREMENTS`.
    """

    dataset: str
    digest: str
    class_names: tuple[str, ...]
    ink: str
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
