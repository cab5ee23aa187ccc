"""Images and labels in, as ``uint8`` and ``int64``, checked once; sample ids; splits.

::

    load      a name ("auto", "mnist", "digits", a path) -> Dataset
    files     .npz and IDX files on disk
    kaggle    one table with label,pixel0,pixel1,...
    download  MNIST from the network into the cache
    digits    scikit-learn's digits, drawn like MNIST
    dataset   Dataset, and what every dataset has to fulfil
    ids       names of samples, made from their pixels
    splits    train / mine / confirm
    archive   one file that holds a whole Dataset
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
