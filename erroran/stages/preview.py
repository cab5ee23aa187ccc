"""Show the effect of a change on training images, before anything is trained."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from erroran.data import Dataset, Part, split_dataset
from erroran.data.change import change_train
from erroran.experiment.change import ALL_CLASSES, DataChange, Step
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.recipe import InModelAugmentation
from erroran.operations.apply import LabelledStep, apply_dose, resolve_steps
from erroran.results import Result
from erroran.shape.measure import find_erased, measure
from erroran.store import Store
from erroran.store.environment import digest_own_code

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 12  # images in a row
_MEASURED = 500  # images of a class, a millisecond each
_MOST_RELABELLED = 8  # rows of relabelled images, one for each old and new class


class DoseEffect(Result):
    """Effect of one dose of one operation on up to 500 unchanged training images of a class.

    Attributes:
        class_name: The class, or ``all``.
        unit: As printed after the dose.
        images: Images measured.
        changed_pixels: Share of the pixels that change, 0..1.
        ink_before: Mean brightness of a pixel, 0..255; `ink_after` afterwards.
        thickness_before_px: Mean stroke thickness; `thickness_after_px` afterwards; None for images with several
            channels.
        erased: Images that are erased (see `find_erased`); None for images with several channels.
        unchanged: Images that are equal afterwards, byte for byte.
    """

    class_name: str
    operation: str
    dose: float
    unit: str
    images: int
    changed_pixels: float
    ink_before: float
    ink_after: float
    thickness_before_px: float | None
    thickness_after_px: float | None
    erased: int | None
    unchanged: int


class DataEffect(Result):
    """Number of training images that are ``left out``, ``4 -> 9`` (relabelled) or ``repeated``."""

    name: str
    images: int


class PreviewResult(Result):
    """The effects of a change, and images that show them.

    Attributes:
        rows: Name of the row, uint8 (n, H, W, C): for each class the originals, each dose of each operation, and all
            operations in sequence where there are several; then the images that are left out, relabelled or repeated.
        effects: One for each class, operation and dose.
        data: One for each row of images that are left out, relabelled or repeated.
        not_drawn: Descriptions of the parts of the change that do not change training images.
    """

    rows: list[tuple[str, np.ndarray]] = Field(exclude=True)
    effects: list[DoseEffect]
    data: list[DataEffect]
    not_drawn: list[str]


class _KeptEffects(Result):
    """What the operations of a hypothesis do to a dataset, as the store keeps it."""

    effects: list[DoseEffect]


def preview(
    dataset: Dataset, hypothesis: Hypothesis, *, mine_fraction: float = 0.1, store: Store | None = None
) -> PreviewResult:
    """Apply a hypothesis' change to training images of its classes.

    Args:
        dataset: The images.
        hypothesis: The change.
        mine_fraction: As in the baseline.
        store: Keeps the effects, if it has the dataset, so that they are measured once.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
        BadInput: It names an image that the dataset lacks, or applies an operation for grey images to others.
    """
    names = dataset.class_names
    check_classes(hypothesis, names)
    splits = (split_dataset if store is None else store.split)(dataset, mine_fraction=mine_fraction)
    rows, data = [], []
    steps = resolve_steps(hypothesis.augment, names)
    for class_name in hypothesis.augment:
        own = [labelled for labelled in steps if labelled.class_name == class_name]
        images = _images_of(splits.train, own[0])
        rows.append((f"{'all classes' if class_name == ALL_CLASSES else class_name}, as it is", images[:_SHOWN]))
        for labelled in own:
            step = labelled.step
            rows += [(step.name_dose(dose), apply_dose(images[:_SHOWN], step, dose)) for dose in step.doses]
        in_turn = [
            labelled.step for labelled in steps if labelled.label in {own[0].label, None} and labelled.step.doses
        ]
        if len(in_turn) > 1:
            together = images[:_SHOWN]
            for step in in_turn:
                together = apply_dose(together, step, step.doses[-1])
            rows.append(("one after the other, last doses", together))
    # Added images are not read; the rest of the change is checked as in training.
    known = hypothesis.data.model_copy(update={"add": None})
    held_out = np.concatenate([splits.mine.ids, splits.confirm.ids])
    change_train(splits.train, known, names, added=None, held_out_ids=held_out)
    for name, ids in _groups_of(known, splits.train, names):
        which = np.flatnonzero(np.isin(splits.train.ids, ids))
        which = which[np.argsort(splits.train.ids[which])]
        data.append(DataEffect(name=name, images=len(which)))
        if len(which):
            rows.append((name, splits.train.read(which[:_SHOWN])))
    rest = {"augment": {}, "data": DataChange(add=hypothesis.data.add)}
    not_drawn = hypothesis.change.model_copy(update=rest).describe()
    effects = _find_effects(dataset, hypothesis, splits.train, steps, mine_fraction, store)
    return PreviewResult(rows=rows, effects=effects, data=data, not_drawn=not_drawn)


def preview_in_model(
    dataset: Dataset, augmentation: InModelAugmentation, *, mine_fraction: float = 0.1, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Apply a model's augmentation layers to training images: each kind alone, then all together.

    Returns:
        Rows of the same images: name, uint8 (n, H, W, C).
    """
    from erroran.training.models.augmentation import augment_images

    train = split_dataset(dataset, mine_fraction=mine_fraction).train
    by_id = np.argsort(train.ids, kind="stable")
    firsts = [by_id[train.y[by_id] == label][:2] for label in range(len(dataset.class_names))]
    images = train.x[np.concatenate(firsts)][:_SHOWN]
    rows = [("as they are", images)]
    for key, name, unit in (
        ("rotation_deg", "rotation", "°"), ("zoom_percent", "zoom", " %"), ("translation_percent", "translation", " %")
    ):  # fmt: skip
        if most := getattr(augmentation, key):
            alone = InModelAugmentation.model_validate({key: most})
            rows.append((f"{name} ±{most:g}{unit}", augment_images(images, alone, seed=seed)))
    rows.extend((f"all, draw {k}", augment_images(images, augmentation, seed=seed + k)) for k in (1, 2))
    return rows


def _find_effects(
    dataset: Dataset,
    hypothesis: Hypothesis,
    train: Part,
    steps: Sequence[LabelledStep],
    mine_fraction: float,
    store: Store | None,
) -> list[DoseEffect]:
    """The effects that the store keeps, else measured now."""
    augment = {name: [step.model_dump(mode="json") for step in own] for name, own in hypothesis.augment.items()}
    code = digest_own_code("operations/*.py", "shape/measure.py", "stages/preview.py", "data/ids.py", "data/split.py")
    asked = hashlib.sha256(json.dumps([augment, mine_fraction, code]).encode()).hexdigest()[:12]
    key = f"{dataset.digest[:12]}/{asked}"
    kept = None if store is None else store.get_artifact("previews", key, _KeptEffects)
    if kept is not None:
        return kept.effects
    effects = []
    for labelled in (one for name in hypothesis.augment for one in steps if one.class_name == name):
        images = _images_of(train, labelled)
        before = measure(images, ink=labelled.step.ink) if images.shape[3] == 1 else None
        for dose in labelled.step.doses:
            changed = apply_dose(images, labelled.step, dose)
            effects.append(_measure(labelled.class_name, labelled.step, dose, (images, changed), before))
    if store is not None and store.has_dataset(dataset.digest):
        store.put_artifact("previews", key, _KeptEffects(effects=effects))
    return effects


def _images_of(train: Part, labelled: LabelledStep) -> np.ndarray:
    rows = np.flatnonzero(labelled.act_on(train.y))
    by_id = rows[np.argsort(train.ids[rows])]  # a random sample, the same in every order of the data
    return train.read(by_id[:_MEASURED])


def _groups_of(data: DataChange, train: Part, class_names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Name and sample ids of the images that are left out, relabelled (by old and new class) and repeated."""
    if data.leave_out:
        yield "left out", list(data.leave_out)
    old = {name: class_names[label] for name, label in zip(train.ids.tolist(), train.y.tolist(), strict=True)}
    ways: dict[tuple[str, str], list[str]] = {}
    for name, new in data.relabel.items():
        if name in old:
            ways.setdefault((old[name], new), []).append(name)
    for (was, new), ids in sorted(ways.items(), key=lambda way: (-len(way[1]), way[0]))[:_MOST_RELABELLED]:
        yield f"{was} -> {new}", ids
    if data.repeat:
        yield "repeated", list(data.repeat)


def _measure(
    name: str, step: Step, dose: float, shown: tuple[np.ndarray, np.ndarray], before: "pd.DataFrame | None"
) -> DoseEffect:
    images, changed = shown
    differs = images != changed
    thickness_before = thickness_after = erased = None
    if before is not None:
        after = measure(changed, ink=step.ink)
        thickness_before, thickness_after = (float(table["thickness_px"].mean()) for table in (before, after))
        erased = int(find_erased(before, after).sum())
    return DoseEffect(
        class_name=name,
        operation=step.operation,
        dose=dose,
        unit=step.unit,
        images=len(images),
        changed_pixels=float(differs.mean()),
        ink_before=float(images.mean()),
        ink_after=float(changed.mean()),
        thickness_before_px=thickness_before,
        thickness_after_px=thickness_after,
        erased=erased,
        unchanged=int((~differs.any(axis=(1, 2, 3))).sum()),
    )
