"""Another training set for one arm: images left out, relabelled, repeated or added."""

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

    A repeated image keeps its id, with a copy number that no other copy has, so that operations draw each of its copies
    random numbers of its own; a label that the change gives it goes with all of them. The same holds for added images
    that are in the training part already. The rest of the samples and their order stay as they are.

    Args:
        train: What the other arms train on.
        data: The change.
        class_names: Name of each label.
        added: The dataset that ``data.add`` names; its training images are added, but for those that are held out.
            None without ``add``.
        held_out_ids: Strings of shape (M,): ids of `mine`, `confirm` and any validation part, which stay as they are.
            That the change names some of them has no effect.

    Raises:
        BadInput: An id is in no part of the dataset, a class is unknown, nothing that ``leave_out``, ``relabel`` or
            ``repeat`` names is trained on, or the added images have another size.
    """
    assert (data.add is None) == (added is None), data.add
    held_out = set(strip_copy_numbers(held_out_ids).tolist())
    place = {name: row for row, name in enumerate(train.ids.tolist())}
    labels = {name: label for label, name in enumerate(class_names)}
    for key in ("leave_out", "relabel", "repeat"):
        _check_ids(key, getattr(data, key), place, held_out)
    _check_classes("relabel", data.relabel.values(), labels, "edit the column label of the file that relabel names")

    y = train.y.copy()
    for name, class_name in data.relabel.items():
        if name in place:
            y[place[name]] = labels[class_name]
    kept = np.ones(len(y), dtype=bool)
    kept[[place[name] for name in data.leave_out if name in place]] = False
    again = {place[name]: times - 1 for name, times in data.repeat.items() if name in place}
    rows = np.concatenate([np.flatnonzero(kept), np.repeat(*_as_arrays(again))])
    changed = Part(train.images, y, train.ids, train.rows).take(rows)
    new_ids, more = changed.ids.tolist(), None
    if added is not None:
        _check_added(added, train, labels)
        more = np.flatnonzero(~np.isin(strip_copy_numbers(added.train_ids), list(held_out)))
        new_ids += added.train_ids[more].tolist()
    ids = _number_again(new_ids, first_new=int(kept.sum()), taken=[*train.ids.tolist(), *held_out_ids.tolist()])
    if added is None or more is None:
        return Part(changed.images, changed.y, ids, changed.rows)
    translate = np.array([labels[name] for name in added.class_names])
    return Part(
        np.concatenate([changed.x, added.x_train[more]]),
        np.concatenate([changed.y, translate[added.y_train[more]]]),
        ids,
    )


def _as_arrays(times: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(list(times), dtype=np.int64), np.array(list(times.values()), dtype=np.int64)


def _number_again(names: list[str], *, first_new: int, taken: Iterable[str]) -> np.ndarray:
    """Ids from ``names[first_new]`` on get the next free copy number where an id is taken."""
    used = set(taken)
    following: dict[str, int] = {}
    for at in range(first_new, len(names)):
        stem = names[at].partition("~")[0]
        name = names[at]
        while name in used:
            following[stem] = following.get(stem, 0) + 1
            name = f"{stem}~{following[stem]}"
        used.add(name)
        names[at] = name
    return np.array(names)


def _check_ids(key: str, names: Iterable[str], place: dict[str, int], held_out: set[str]) -> None:
    named = list(names)
    unknown = [name for name in named if name not in place and name.partition("~")[0] not in held_out]
    if unknown:
        raise BadInput(
            f"`{key}` names the image {unknown[0]}, which is in no part of this dataset"
            f"{f' ({len(unknown):,} of {len(named):,} are not)' if len(unknown) > 1 else ''}.",
            fix=f"remove the row from the file that {key} names; `erroran mine-confusions` lists ids",
        )
    if named and not any(name in place for name in named):
        raise BadInput(
            f"`{key}` names {len(named):,} image(s), none of which is trained on: all are held out (mine, confirm or "
            "the part that stops training).",
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
