"""What an augmentation does to images, before anything is trained."""

from dataclasses import dataclass

import numpy as np

from erroran.data import Dataset, Part, split_dataset
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.recipe import InModelAugmentation
from erroran.operations.apply import apply_dose
from erroran.operations.morphology import stroke_thickness

_SHOWN = 12
_MEASURED = 500


@dataclass(frozen=True)
class DoseEffect:
    """What one dose of one class's operation changes; means over up to 500 training images.

    Attributes:
        class_name: The class.
        operation: Its operation.
        dose: The dose.
        unit: What it is counted in, as printed behind it.
        images: Images measured.
        changed_pixels: Pixels that change, a fraction of all pixels, 0..1.
        ink_before: Mean brightness of a pixel, 0..255.
        ink_after: The same afterwards.
        thickness_before_px: Mean stroke thickness; NaN for images in colour.
        thickness_after_px: The same afterwards.
        erased: Images left without any ink at half brightness.
        unchanged: Images that stay as they are, byte for byte.
    """

    class_name: str
    operation: str
    dose: float
    unit: str
    images: int
    changed_pixels: float
    ink_before: float
    ink_after: float
    thickness_before_px: float
    thickness_after_px: float
    erased: int
    unchanged: int


@dataclass(frozen=True)
class Preview:
    """A sheet and a table.

    Attributes:
        rows: Per class the originals, then one row per dose: name, uint8 (n, H, W, C).
        effects: One per class and dose.
    """

    rows: list[tuple[str, np.ndarray]]
    effects: list[DoseEffect]


def preview(dataset: Dataset, hypothesis: Hypothesis, *, mine_fraction: float = 0.1) -> Preview:
    """Apply every dose of a hypothesis to training images of its classes.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
    """
    check_classes(hypothesis, dataset.class_names)
    train = split_dataset(dataset, mine_fraction=mine_fraction).train
    rows, effects = [], []
    for name, (step, *_) in hypothesis.augment.items():
        images = _images_of(train, dataset.class_names.index(name))
        rows.append((f"{name}, as it is", images[:_SHOWN]))
        for dose in step.doses:
            changed = apply_dose(images, step, dose)
            rows.append((f"{step.operation} {dose:g} {step.unit}", changed[:_SHOWN]))
            effects.append(_measure(name, step, dose, images, changed))
    return Preview(rows, effects)


def preview_in_model(
    dataset: Dataset, augmentation: InModelAugmentation, *, mine_fraction: float = 0.1, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Show what layers of a model do to training images: each kind alone, then all together.

    Args:
        dataset: The images.
        augmentation: What the layers do.
        mine_fraction: Held out as `mine`, not shown.
        seed: Seeds the layers.

    Returns:
        Rows of the same images: name, uint8 (n, H, W, C).
    """
    from erroran.training.models.augmentation import augment_images

    train = split_dataset(dataset, mine_fraction=mine_fraction).train
    by_id = np.argsort(train.ids, kind="stable")
    firsts = [by_id[train.y[by_id] == label][:2] for label in range(len(dataset.class_names))]
    images = train.x[np.concatenate(firsts)][:_SHOWN]
    none = InModelAugmentation()
    kinds = {
        f"rotation ±{augmentation.rotation_deg:g}°": {"rotation_deg": augmentation.rotation_deg},
        f"zoom ±{augmentation.zoom_percent:g} %": {"zoom_percent": augmentation.zoom_percent},
        f"translation ±{augmentation.translation_percent:g} %": {
            "translation_percent": augmentation.translation_percent
        },
    }
    rows = [("as they are", images)]
    for name, only in kinds.items():
        if any(only.values()):
            rows.append((name, augment_images(images, none.model_copy(update=only), seed=seed)))
    rows.extend((f"all, draw {k}", augment_images(images, augmentation, seed=seed + k)) for k in (1, 2))
    return rows


def _images_of(train: Part, label: int) -> np.ndarray:
    rows = np.flatnonzero(train.y == label)
    by_id = rows[np.argsort(train.ids[rows])]  # a random sample that is the same in every order of the data
    images: np.ndarray = train.x[by_id[:_MEASURED]]
    return images


def _measure(name: str, step: Step, dose: float, images: np.ndarray, changed: np.ndarray) -> DoseEffect:
    before, after = (
        stroke_thickness(x if step.ink == "bright" else 255 - x) if x.shape[3] == 1 else np.full(len(x), np.nan)
        for x in (images, changed)
    )
    differs = images != changed
    return DoseEffect(
        class_name=name,
        operation=step.operation,
        dose=dose,
        unit=step.unit,
        images=len(images),
        changed_pixels=float(differs.mean()),
        ink_before=float(images.mean()),
        ink_after=float(changed.mean()),
        thickness_before_px=float(before.mean()),
        thickness_after_px=float(after.mean()),
        erased=int((after == 0).sum()),
        unchanged=int((~differs.any(axis=(1, 2, 3))).sum()),
    )
