"""Images and labels, checked once; sample ids; splits; another training set for a treatment.

::

    sources/  one module a format: npz, idx, table, digits
    load      a name ("auto", "mnist", "digits", a path) -> Dataset
    download  MNIST from the network into the cache
    dataset   Dataset, and the checks that every dataset passes
    ids       names of samples, made from their pixels, and choices by them
    split     train / mine / confirm, by groups of copies
    change    the training part of a treatment that leaves out, relabels, repeats or adds images
    near      near duplicates in different parts
    archive   the stored copy of a Dataset
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
