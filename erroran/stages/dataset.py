"""What a dataset holds, by class and part; and a table of it in Kaggle's layout."""

from pathlib import Path

import numpy as np
from pydantic import Field

from erroran.data import Dataset, split_dataset
from erroran.data.near import NearDuplicates, find_near_duplicates
from erroran.data.sources.table import draw_rows, write_table
from erroran.results import Result


class Described(Result):
    """A dataset in numbers.

    Attributes:
        name, source, note, digest: As in `Dataset`.
        channels: 1 for grey images, 3 for colour.
        classes: Names of the classes.
        images: Part (``train``, ``mine``, ``confirm``) to class to number of images.
        near_duplicates: Nearly equal images in different parts; None if they were not looked for.
        dataset: The dataset.
    """

    name: str
    source: str
    note: str | None
    digest: str
    height_px: int
    width_px: int
    channels: int
    classes: tuple[str, ...]
    images: dict[str, dict[str, int]]
    near_duplicates: list[NearDuplicates] | None
    dataset: Dataset = Field(exclude=True)


def describe_dataset(dataset: Dataset, *, mine_fraction: float = 0.1, near_duplicates: bool = True) -> Described:
    """Count the images of every class in every part, and look for near duplicates in different parts.

    Args:
        dataset: The dataset.
        mine_fraction: As in the baseline.
        near_duplicates: Look for them; takes seconds for MNIST.

    Raises:
        DatasetError: A class has no two different training images.
    """
    splits = split_dataset(dataset, mine_fraction=mine_fraction)
    parts = {"train": splits.train, "mine": splits.mine, "confirm": splits.confirm}
    height, width, channels = splits.confirm.image_shape
    names = dataset.class_names
    counts = {name: np.bincount(part.y, minlength=len(names)).tolist() for name, part in parts.items()}
    return Described(
        **{key: getattr(dataset, key) for key in ("name", "source", "note", "digest")},
        height_px=height,
        width_px=width,
        channels=channels,
        classes=names,
        images={part: dict(zip(names, by_class, strict=True)) for part, by_class in counts.items()},
        near_duplicates=find_near_duplicates(parts) if near_duplicates else None,
        dataset=dataset,
    )


def export_dataset(dataset: Dataset, path: Path, *, rows: int | None = None) -> int:
    """Write all images, or a stratified sample, as one table that ``--dataset`` reads; return its number of rows.

    Args:
        dataset: Both parts are written.
        path: The table; must not exist.
        rows: How many; None for all.

    Raises:
        BadInput: The file exists, the images are not square and grey, or so many rows cannot be drawn.
        Unavailable: The file cannot be written.
    """
    images, labels = draw_rows(dataset, rows)
    write_table(path, images, labels, dataset.class_names)
    return len(labels)
