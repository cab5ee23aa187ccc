"""Datasets: loaded, checked, split, changed for a treatment, and stored.

``sources/`` has one module per format; `load` maps a name or path to a `Dataset`.
"""

from erroran.data.archive import read_dataset, save_dataset
from erroran.data.dataset import Dataset, build_dataset
from erroran.data.ids import sample_ids
from erroran.data.load import load_dataset
from erroran.data.split import Part, Splits, split_dataset, validation_part

__all__ = [
    "Dataset",
    "Part",
    "Splits",
    "build_dataset",
    "load_dataset",
    "read_dataset",
    "sample_ids",
    "save_dataset",
    "split_dataset",
    "validation_part",
]
