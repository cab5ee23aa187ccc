"""What training saw: the augmentation of a treatment, drawn again from its keys and measured.

Which image is changed in which epoch, and how, is a function of (seed, epoch, image). So nothing has to be logged
while a network trains, and what the runs of an old intervention saw can still be found out, image by image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from erroran.data import Part
from erroran.experiment.change import Step
from erroran.operations.apply import augment_batch, choose_doses
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.shape.measure import measure

KEY_MEASUREMENTS = ("thickness_px", "area_px2", "holes", "closure_margin_px")
MOST_MEASURED = 30_000
"""Changed images measured for one intervention, about a millisecond each; of more, a random sample of this size."""

_EXAMPLES_PER_DOSE = 6
_STRICT = ConfigDict(extra="forbid", frozen=True)


class SeenDose(BaseModel):
    """What one dose did to the images of one class, over all runs and epochs; an image counts each time it is changed.

    Attributes:
        class_name: The class.
        operation: Its operation.
        dose: The dose in `unit`; None where the operation takes none.
        unit: As printed behind the dose.
        changed: Images that training saw under this dose.
        measured: Those of them that were measured; what follows counts these.
        topology_changed: Another number of pieces or of holes than before.
        holes_made: More holes than before; `holes_lost` fewer.
        pieces_made: More pieces of ink than before; `pieces_lost` fewer.
        erased: No ink left.
        with_margin: Images with a closure margin both before and after.
        before: Means of `KEY_MEASUREMENTS` before; None without images. The closure margin's is over `with_margin`.
        after: The same afterwards.
    """

    model_config = _STRICT

    class_name: str
    operation: str
    dose: float | None
    unit: str
    changed: int
    measured: int
    topology_changed: int
    holes_made: int
    holes_lost: int
    pieces_made: int
    pieces_lost: int
    erased: int
    with_margin: int
    before: dict[str, float | None]
    after: dict[str, float | None]


class Example(BaseModel):
    """An image whose topology changed: where to find it, to draw it again.

    Attributes:
        sample_id: The training image.
        class_name: Its class.
        dose: As in `SeenDose`.
        seed: The run that saw it.
        epoch: The epoch, from 1.
        pieces: Pieces of ink before and after.
        holes: Holes before and after.
    """

    model_config = _STRICT

    sample_id: str
    class_name: str
    dose: float | None
    seed: int
    epoch: int
    pieces: tuple[int, int]
    holes: tuple[int, int]


class Exposure(BaseModel):
    """What the runs of a treatment saw.

    Attributes:
        runs: Ids of the runs.
        seeds: Their seeds.
        epochs: Epochs of each run; early stopping makes them differ.
        class_images: Class name to its number of training images, for the classes that were augmented.
        doses: One per class and dose.
        examples: Images whose topology changed, a few of each class and dose.
    """

    model_config = _STRICT

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    class_images: dict[str, int]
    doses: tuple[SeenDose, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class _Drawn:
    """Changed images, one entry each time one is seen.

    Attributes:
        rows: int (n,), places in the training part.
        which: int (n,), index of the dose.
        seeds: int (n,).
        epochs: int (n,).
        images: uint8 (n, H, W), changed.
    """

    rows: np.ndarray
    which: np.ndarray
    seeds: np.ndarray
    epochs: np.ndarray
    images: np.ndarray

    def take(self, chosen: np.ndarray) -> "_Drawn":
        return _Drawn(**{name: values[chosen] for name, values in vars(self).items()})


def measure_exposure(
    train: Part,
    class_names: Sequence[str],
    augment: Mapping[str, Sequence[Step]],
    *,
    runs: Sequence[str],
    seeds: Sequence[int],
    epochs: Sequence[int],
    most_measured: int = MOST_MEASURED,
) -> Exposure:
    """Draw again what the runs saw, and measure it. Trains nothing.

    Args:
        train: The part that they trained on; uint8 (N, H, W).
        class_names: Name of each label.
        augment: Class name to what happened to its images.
        runs: Ids of the runs, one per seed.
        seeds: The runs' seeds.
        epochs: Epochs of each run, which count from 1.
        most_measured: Changed images measured at most; of more, each is measured with the same chance, which is drawn
            by (seed, epoch, image) too.

    Pieces (8-connected) and holes are counted as in `erroran.shape.measure.measure`: on the four times finer grid, ink
    being what is brighter than the middle of the image's own range.
    """
    by_label = {class_names.index(name): step for name, (step, *_) in augment.items()}
    keys = sample_keys(train.ids)
    moments = [(seed, epoch) for seed, last in zip(seeds, epochs, strict=True) for epoch in range(1, last + 1)]
    counts = {label: np.zeros(max(1, len(step.doses)), dtype=np.int64) for label, step in by_label.items()}
    for _, chosen in _choices(train.y, keys, by_label, moments):
        for label in by_label:
            counts[label] += np.bincount(chosen[(train.y == label) & (chosen >= 0)], minlength=len(counts[label]))
    share = min(1.0, most_measured / max(1, sum(int(count.sum()) for count in counts.values())))
    drawn = _draw(train, keys, by_label, moments, share)
    seen, examples = [], []
    for label, step in by_label.items():
        of_class = drawn.take(train.y[drawn.rows] == label)
        before, after = _measure_pairs(train.x[of_class.rows], of_class.images, step)
        for index, dose in enumerate(step.doses or (None,)):
            rows = np.flatnonzero(of_class.which == index)
            was, now = ({key: values[rows] for key, values in side.items()} for side in (before, after))
            changed = int(counts[label][index])
            seen.append(_sum_up(class_names[label], step, dose, changed, was, now))
            examples += _examples(of_class.take(rows), train, class_names[label], dose, was, now)
    return Exposure(
        runs=tuple(runs),
        seeds=tuple(seeds),
        epochs=tuple(epochs),
        class_images={class_names[label]: int((train.y == label).sum()) for label in by_label},
        doses=tuple(seen),
        examples=tuple(examples),
    )


def redraw(
    train: Part, class_names: Sequence[str], augment: Mapping[str, Sequence[Step]], examples: Sequence[Example]
) -> tuple[np.ndarray, np.ndarray]:
    """The images of examples, before and after.

    Args:
        train: As in `measure_exposure`.
        class_names: As there.
        augment: As there.
        examples: Of an exposure to exactly these.

    Returns:
        uint8 (n, H, W) twice.
    """
    by_label = {class_names.index(name): step for name, (step, *_) in augment.items()}
    place = {sample_id: row for row, sample_id in enumerate(train.ids.tolist())}
    rows = np.array([place[example.sample_id] for example in examples], dtype=np.int64)
    before, keys = train.x[rows], sample_keys(train.ids[rows])
    after = before.copy()
    for i, example in enumerate(examples):
        one = slice(i, i + 1)
        after[one] = augment_batch(
            before[one], train.y[rows[one]], keys[one], by_label, seed=example.seed, epoch=example.epoch
        )
    return before, after


def _choices(
    labels: np.ndarray,
    keys: np.ndarray,
    augment: Mapping[int, Step],
    moments: Sequence[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    for seed, epoch in moments:
        yield (seed, epoch), choose_doses(labels, keys, augment, seed=seed, epoch=epoch)


def _draw(
    train: Part,
    keys: np.ndarray,
    augment: Mapping[int, Step],
    moments: Sequence[tuple[int, int]],
    share: float,
) -> _Drawn:
    found = []
    for (seed, epoch), chosen in _choices(train.y, keys, augment, moments):
        wanted = chosen >= 0
        if share < 1:
            wanted &= keyed_uniform(seed, epoch, keys, purpose="measure") < share
        rows = np.flatnonzero(wanted)
        images = augment_batch(train.x[rows], train.y[rows], keys[rows], augment, seed=seed, epoch=epoch)
        found.append(_Drawn(rows, chosen[rows], np.full(len(rows), seed), np.full(len(rows), epoch), images))
    return _Drawn(**{name: np.concatenate([getattr(part, name) for part in found]) for name in vars(found[0])})


def _measure_pairs(
    before: np.ndarray, after: np.ndarray, step: Step
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Measure images (n, H, W) before and after; equal images once, for most doses make the same of an image again."""
    place: dict[bytes, int] = {}
    both = [image for side in (before, after) for image in side]
    where = np.array([place.setdefault(image.tobytes(), len(place)) for image in both], dtype=np.int64)
    _, first = np.unique(where, return_index=True)
    distinct = np.stack([both[i] for i in first]) if both else before
    table = measure(distinct, ink=step.ink)
    columns = {key: table[key].to_numpy()[where] for key in ("components", *KEY_MEASUREMENTS)}
    n = len(before)
    return {key: values[:n] for key, values in columns.items()}, {key: v[n:] for key, v in columns.items()}


def _changes(was: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]) -> np.ndarray:
    changed: np.ndarray = (was["components"] != now["components"]) | (was["holes"] != now["holes"])
    return changed


def _sum_up(
    class_name: str,
    step: Step,
    dose: float | None,
    changed: int,
    was: Mapping[str, np.ndarray],
    now: Mapping[str, np.ndarray],
) -> SeenDose:
    with_margin = ~np.isnan(was["closure_margin_px"]) & ~np.isnan(now["closure_margin_px"])

    def means(side: Mapping[str, np.ndarray]) -> dict[str, float | None]:
        found = {}
        for key in KEY_MEASUREMENTS:
            values = side[key][with_margin] if key == "closure_margin_px" else side[key]
            found[key] = float(values.mean()) if len(values) else None
        return found

    return SeenDose(
        class_name=class_name,
        operation=step.operation,
        dose=dose,
        unit=step.unit,
        changed=changed,
        measured=len(with_margin),
        topology_changed=int(_changes(was, now).sum()),
        holes_made=int((now["holes"] > was["holes"]).sum()),
        holes_lost=int((now["holes"] < was["holes"]).sum()),
        pieces_made=int((now["components"] > was["components"]).sum()),
        pieces_lost=int((now["components"] < was["components"]).sum()),
        erased=int((now["area_px2"] == 0).sum()),
        with_margin=int(with_margin.sum()),
        before=means(was),
        after=means(now),
    )


def _examples(
    drawn: _Drawn,
    train: Part,
    class_name: str,
    dose: float | None,
    was: Mapping[str, np.ndarray],
    now: Mapping[str, np.ndarray],
) -> list[Example]:
    """The first few images, by id, whose topology changed: a random choice that no order of the data can change."""
    found: dict[str, Example] = {}
    ids = train.ids[drawn.rows]
    changed = np.flatnonzero(_changes(was, now))
    for i in changed[np.lexsort((drawn.epochs[changed], drawn.seeds[changed], ids[changed]))]:
        if len(found) == _EXAMPLES_PER_DOSE:
            break
        example = Example(
            sample_id=str(ids[i]),
            class_name=class_name,
            dose=dose,
            seed=int(drawn.seeds[i]),
            epoch=int(drawn.epochs[i]),
            pieces=(int(was["components"][i]), int(now["components"][i])),
            holes=(int(was["holes"][i]), int(now["holes"][i])),
        )
        found.setdefault(example.sample_id, example)
    return list(found.values())
