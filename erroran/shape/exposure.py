"""What training saw: the operations of a treatment, drawn again from their keys and measured.

Which image is changed in which epoch, and how, is a function of (seed, epoch, image). So nothing has to be logged
during training, and what the runs of an old intervention saw can still be computed, image by image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from erroran.data import Part
from erroran.experiment.change import Augmentations, Step
from erroran.operations.apply import LabelledStep, augment_batch, choose_doses, resolve_steps
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
        class_name: The class, or ``all``.
        step: Place of the operation among those of the class, from 1.
        operation: The operation.
        dose: The dose in `unit`; None where the operation takes none.
        unit: As printed behind the dose.
        changed: Images that training saw under this dose.
        measured: Those of them that were measured; what follows counts these.
        topology_changed: Another number of pieces or of holes than before.
        holes_made: More holes than before; `holes_lost` fewer.
        pieces_made: More pieces of ink than before; `pieces_lost` fewer.
        erased: No ink left.
        with_margin: Images with a closure margin both before and after.
        before: Means of `KEY_MEASUREMENTS` of the images as the operation was given them, after those before it; None
            without images. The closure margin's is over `with_margin`.
        after: The same afterwards.
    """

    model_config = _STRICT

    class_name: str
    step: int = 1
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
        class_name: As in `SeenDose`.
        step: As there.
        dose: As there.
        seed: The run that saw it.
        epoch: The epoch, from 1.
        pieces: Pieces of ink before and after.
        holes: Holes before and after.
    """

    model_config = _STRICT

    sample_id: str
    class_name: str
    step: int = 1
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
        class_images: Class name (or ``all``) to its number of training images, for the classes with operations.
        doses: One for each class, step and dose.
        examples: Images whose topology changed, a few of each class, step and dose.
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
    """Images that one step changed, one entry each time one is seen.

    Attributes:
        rows: int (n,), places in the training part.
        which: int (n,), index of the dose.
        seeds: int (n,).
        epochs: int (n,).
        before: uint8 (n, H, W, C), as the step was given them.
        after: uint8 (n, H, W, C).
    """

    rows: np.ndarray
    which: np.ndarray
    seeds: np.ndarray
    epochs: np.ndarray
    before: np.ndarray
    after: np.ndarray


def measure_exposure(
    train: Part,
    class_names: Sequence[str],
    augment: Augmentations,
    *,
    runs: Sequence[str],
    seeds: Sequence[int],
    epochs: Sequence[int],
    most_measured: int = MOST_MEASURED,
) -> Exposure | None:
    """Draw again what the runs saw, and measure it. Trains nothing.

    Args:
        train: The part that they trained on; uint8 (N, H, W, C).
        class_names: Name of each label.
        augment: Class name (or ``all``) to the operations on its images.
        runs: Ids of the runs, one per seed.
        seeds: The runs' seeds.
        epochs: Epochs of each run, which count from 1.
        most_measured: Changed images measured at most; of more, each is measured with the same chance, which is drawn
            by (seed, epoch, image) too.

    Returns:
        None without operations, and for images with several channels, whose strokes cannot be measured.

    Pieces (8-connected) and holes are counted as in `erroran.shape.measure.measure`: on the four times finer grid, ink
    being what is brighter than the middle of the image's own range.
    """
    if not augment or train.x.shape[3:] not in ((), (1,)):
        return None
    steps = resolve_steps(augment, class_names)
    keys = sample_keys(train.ids)
    moments = [(seed, epoch) for seed, last in zip(seeds, epochs, strict=True) for epoch in range(1, last + 1)]
    counts = [np.zeros(max(1, len(step.step.doses)), dtype=np.int64) for step in steps]
    for seed, epoch in moments:
        for step, count in zip(steps, counts, strict=True):
            chosen = choose_doses(train.y, keys, step, seed=seed, epoch=epoch)
            np.add(count, np.bincount(chosen[chosen >= 0], minlength=len(count)), out=count)
    share = min(1.0, most_measured / max(1, sum(int(count.sum()) for count in counts)))
    seen, examples = [], []
    for step, count, drawn in zip(steps, counts, _draw(train, keys, steps, moments, share), strict=True):
        before, after = _measure_pairs(drawn, step.step)
        for index, dose in enumerate(step.step.doses or (None,)):
            rows = np.flatnonzero(drawn.which == index)
            was, now = ({key: values[rows] for key, values in side.items()} for side in (before, after))
            seen.append(_sum_up(step, dose, int(count[index]), was, now))
            examples += _examples(drawn, rows, train, step, dose, was, now)
    return Exposure(
        runs=tuple(runs),
        seeds=tuple(seeds),
        epochs=tuple(epochs),
        class_images={step.class_name: int(step.act_on(train.y).sum()) for step in steps},
        doses=tuple(seen),
        examples=tuple(examples),
    )


def redraw(
    train: Part, class_names: Sequence[str], augment: Augmentations, examples: Sequence[Example]
) -> tuple[np.ndarray, np.ndarray]:
    """The images of examples, as the example's step was given them, and as it left them.

    Args:
        train: As in `measure_exposure`.
        class_names: As there.
        augment: As there.
        examples: Of an exposure to exactly these.

    Returns:
        uint8 (n, H, W, C) twice.
    """
    steps = resolve_steps(augment, class_names)
    place = {sample_id: row for row, sample_id in enumerate(train.ids.tolist())}
    rows = np.array([place[example.sample_id] for example in examples], dtype=np.int64)
    before, keys = train.x[rows], sample_keys(train.ids[rows])
    after = before.copy()
    for i, example in enumerate(examples):
        one, last = (
            slice(i, i + 1),
            [(step.class_name, step.place) for step in steps].index((example.class_name, example.step)),
        )
        for images, applied in ((before, steps[:last]), (after, steps[: last + 1])):
            images[one] = augment_batch(
                train.x[rows[one]], train.y[rows[one]], keys[one], applied, seed=example.seed, epoch=example.epoch
            )
    return before, after


def _draw(
    train: Part,
    keys: np.ndarray,
    steps: Sequence[LabelledStep],
    moments: Sequence[tuple[int, int]],
    share: float,
) -> list[_Drawn]:
    """What each step changed, for a share of the images."""
    nothing = np.empty(0, dtype=np.int64)
    found = [[_Drawn(nothing, nothing, nothing, nothing, train.x[:0], train.x[:0])] for _ in steps]
    for seed, epoch in moments:
        sampled = keyed_uniform(seed, epoch, keys, purpose="measure") < share if share < 1 else np.full(len(keys), True)
        images = train.x
        for step, parts in zip(steps, found, strict=True):
            chosen = choose_doses(train.y, keys, step, seed=seed, epoch=epoch)
            rows = np.flatnonzero(sampled & (chosen >= 0))
            before = images[rows]
            after = augment_batch(before, train.y[rows], keys[rows], (step,), seed=seed, epoch=epoch)
            parts.append(_Drawn(rows, chosen[rows], np.full(len(rows), seed), np.full(len(rows), epoch), before, after))
            if len(steps) > 1:  # steps of other classes, or later ones, are given what this one made
                images = images.copy() if images is train.x else images
                images[rows] = after
    return [
        _Drawn(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0]))) for parts in found
    ]


def _measure_pairs(drawn: _Drawn, step: Step) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Measure images before and after; equal images once, for most doses make the same of an image again."""
    place: dict[bytes, int] = {}
    both = np.concatenate([drawn.before, drawn.after])
    where = np.array([place.setdefault(image.tobytes(), len(place)) for image in both], dtype=np.int64)
    _, first = np.unique(where, return_index=True)
    table = measure(both[first], ink=step.ink)
    columns = {key: table[key].to_numpy()[where] for key in ("components", *KEY_MEASUREMENTS)}
    n = len(drawn.before)
    return {key: values[:n] for key, values in columns.items()}, {key: v[n:] for key, v in columns.items()}


def _changes(was: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]) -> np.ndarray:
    changed: np.ndarray = (was["components"] != now["components"]) | (was["holes"] != now["holes"])
    return changed


def _sum_up(
    step: LabelledStep,
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
        class_name=step.class_name,
        step=step.place,
        operation=step.step.operation,
        dose=dose,
        unit=step.step.unit,
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
    rows: np.ndarray,
    train: Part,
    step: LabelledStep,
    dose: float | None,
    was: Mapping[str, np.ndarray],
    now: Mapping[str, np.ndarray],
) -> list[Example]:
    """The first few images, by id, whose topology changed: a random choice that no order of the data can change."""
    found: dict[str, Example] = {}
    ids, seeds, epochs = train.ids[drawn.rows[rows]], drawn.seeds[rows], drawn.epochs[rows]
    changed = np.flatnonzero(_changes(was, now))
    for i in changed[np.lexsort((epochs[changed], seeds[changed], ids[changed]))]:
        if len(found) == _EXAMPLES_PER_DOSE:
            break
        example = Example(
            sample_id=str(ids[i]),
            class_name=step.class_name,
            step=step.place,
            dose=dose,
            seed=int(seeds[i]),
            epoch=int(epochs[i]),
            pieces=(int(was["components"][i]), int(now["components"][i])),
            holes=(int(was["holes"][i]), int(now["holes"][i])),
        )
        found.setdefault(example.sample_id, example)
    return list(found.values())
