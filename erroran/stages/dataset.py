"""What a dataset holds, class by class and part by part; and a table of it in Kaggle's layout."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from erroran.data import Dataset, split_dataset
from erroran.data.sources.table import draw_rows, write_table


@dataclass(frozen=True)
class Described:
    """A dataset in numbers.

    Attributes:
        dataset: The dataset.
        counts: Name of the part (``train``, ``mine``, ``confirm``) to the images of each class, C of them.
    """

    dataset: Dataset
    counts: dict[str, tuple[int, ...]]

    def to_json(self) -> dict[str, object]:
        """The numbers as JSON-ready data."""
        dataset = self.dataset
        return {
            "name": dataset.name,
            "source": dataset.source,
            "note": dataset.note,
            "digest": dataset.digest,
            "height_px": dataset.x_train.shape[1],
            "width_px": dataset.x_train.shape[2],
            "channels": dataset.x_train.shape[3],
            "classes": list(dataset.class_names),
            "images": {part: dict(zip(dataset.class_names, n, strict=True)) for part, n in self.counts.items()},
        }


def describe_dataset(dataset: Dataset, *, mine_fraction: float = 0.1) -> Described:
    """Count the images of every class in every part.

    Raises:
        DatasetError: A class has a single training image.
    """
    splits = split_dataset(dataset, mine_fraction=mine_fraction)
    parts = {"train": splits.train, "mine": splits.mine, "confirm": splits.confirm}
    n_classes = len(dataset.class_names)
    counts = {name: tuple(np.bincount(part.y, minlength=n_classes).tolist()) for name, part in parts.items()}
    return Described(dataset, counts)


def export_dataset(dataset: Dataset, path: Path, *, rows: int | None = None) -> int:
    """Write all images, or a stratified draw, as one table that ``--dataset`` reads.

    Args:
        dataset: Both its parts are drawn from.
        path: The table to write; must not exist.
        rows: How many; None for all.

    Returns:
        The number of rows written.

    Raises:
        BadInput: The file exists, the images are not square, or so many rows cannot be drawn.
        Unavailable: The file cannot be written.
    """
    images, labels = draw_rows(dataset, rows)
    write_table(path, images, labels, dataset.class_names)
    return len(labels)
