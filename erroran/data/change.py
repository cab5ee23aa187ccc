"""The training part of a treatment whose change is in the data: images left out, relabelled, repeated or added."""

from collections.abc import Iterable, Sequence

import numpy as np

from erroran.data.dataset import Dataset
from erroran.data.ids import strip_copy_numbers
from erroran.data.split import Part
from erroran.errors import BadInput
from erroran.experiment.change import DataChange


def change_train(
    train: Part,
    data: DataChange,
    class_names: Sequence[str],
    *,
    added: Dataset | None,
    held_out_ids: np.ndarray,
) -> Part:
    """Make the training part of a treatment: leave out, relabel, repeat, add, in this order.

    A repeated image keeps its id and gets a new copy number, so that operations draw other random numbers for each
    copy; a new label holds for all copies. The same is done with added images that are in the training part already.
    The other samples and their order do not change.

    Args:
        train: What the other arms train on.
        data: The change.
        class_names: Name of each label.
        added: The dataset that ``data.add`` names, None without it. Its training images are added, except held-out
            ones.
        held_out_ids: Strings (M,): ids of `mine`, `confirm` and any validation part. Changes of these are ignored.

    Raises:
        BadInput: An id is in no part of the dataset, a class is unknown, all images that ``leave_out``, ``relabel`` or
            ``repeat`` names are held out, or the added images have another size.
    """
    assert (data.add is None) == (added is None), data.add
    held_out = set(strip_copy_numbers(held_out_ids).tolist())
    place = {name: row for row, name in enumerate(train.ids.tolist())}
    labels = {name: label for label, name in enumerate(class_names)}
    for key in ("leave_out", "relabel", "repeat"):
        _check_ids(key, list(getattr(data, key)), place, held_out)
    _check_classes("relabel", data.relabel.values(), labels, "edit the column label of the file that relabel names")

    y = train.y.copy()
    for name, class_name in data.relabel.items():
        if name in place:
            y[place[name]] = labels[class_name]
    kept = np.ones(len(y), dtype=bool)
    kept[[place[name] for name in data.leave_out if name in place]] = False
    repeated = [place[name] for name, times in data.repeat.items() if name in place for _ in range(times - 1)]
    rows = np.concatenate([np.flatnonzero(kept), np.array(repeated, dtype=np.int64)])
    changed = Part(train.images, y, train.ids, train.rows).take(rows)
    names = changed.ids.tolist()
    new = np.empty(0, dtype=np.int64)
    if added is not None:
        _check_added(added, train, labels)
        new = np.flatnonzero(~np.isin(strip_copy_numbers(added.train_ids), list(held_out)))
        names += added.train_ids[new].tolist()
    _renumber(names, first_new=int(kept.sum()), taken=[*train.ids.tolist(), *held_out_ids.tolist()])
    if added is None:
        return Part(changed.images, changed.y, np.array(names), changed.rows)
    translate = np.array([labels[name] for name in added.class_names])
    return Part(
        np.concatenate([changed.x, added.x_train[new]]),
        np.concatenate([changed.y, translate[added.y_train[new]]]),
        np.array(names),
    )


def _renumber(names: list[str], *, first_new: int, taken: Iterable[str]) -> None:
    """Give ids from ``names[first_new]`` on the next free copy number where an id is taken; in place."""
    used = set(taken)
    following: dict[str, int] = {}
    for at in range(first_new, len(names)):
        stem = names[at].partition("~")[0]
        while names[at] in used:
            following[stem] = following.get(stem, 0) + 1
            names[at] = f"{stem}~{following[stem]}"
        used.add(names[at])


def _check_ids(key: str, names: list[str], place: dict[str, int], held_out: set[str]) -> None:
    unknown = [name for name in names if name not in place and name.partition("~")[0] not in held_out]
    if unknown:
        raise BadInput(
            f"`{key}` names the image {unknown[0]}, which is in no part of this dataset"
            f"{f' ({len(unknown):,} of {len(names):,} are not)' if len(unknown) > 1 else ''}.",
            fix=f"remove the row from the file that {key} names; `erroran mine-confusions` lists ids",
        )
    if names and not place.keys() & names:
        raise BadInput(
            f"`{key}` names {len(names):,} image(s), none of which is trained on: all are held out (mine, confirm or "
            "the validation part).",
            fix=f"take ids of the training part for {key} (`erroran mine-confusions --out-of-fold 5` names some)",
        )


def _check_classes(key: str, names: Iterable[str], labels: dict[str, int], fix: str) -> None:
    unknown = next((name for name in names if name not in labels), None)
    if unknown is not None:
        raise BadInput(
            f"`{key}` names the class {unknown!r}, which this dataset lacks (it has {', '.join(list(labels)[:10])}"
            f"{' ...' if len(labels) > 10 else ''}).",
            fix=fix,
        )


def _check_added(added: Dataset, train: Part, labels: dict[str, int]) -> None:
    _check_classes("add", added.class_names, labels, f"leave those images out of {added.source}, or rename the class")
    if added.x_train.shape[1:] != train.image_shape:
        sizes = ["x".join(map(str, shape)) for shape in (added.x_train.shape[1:], train.image_shape)]
        raise BadInput(
            f"`add` names {added.source}, whose images are {sizes[0]} (height x width x channels), not {sizes[1]}.",
            fix="bring the images to the size of the dataset",
        )
