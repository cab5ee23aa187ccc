"""Compute again which images an augmentation drew during training, and measure them before and after.

Which image is drawn in which epoch, and how it is changed, depends on (seed, epoch, image) alone. So training does
not log it, and the augmented images of stored runs can be computed again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from erroran.data import Part
from erroran.experiment.change import Augmentations
from erroran.experiment.specfile import Strict
from erroran.operations.apply import LabelledStep, augment_batch, choose_doses, resolve_steps
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.shape.measure import find_erased, measure

if TYPE_CHECKING:
    import pandas as pd

_MEASUREMENTS = ("thickness_px", "area_px2", "holes", "closure_margin_px")
_MOST_MEASURED = 30_000  # drawn images of one intervention, about a millisecond each
_EXAMPLES_PER_DOSE = 6


class SeenDose(Strict):
    """What one dose did to the images of one class, over all runs and epochs; an image counts each time it is drawn.

    Attributes:
        class_name: The class, or ``all``.
        step: Place of the operation among those of the class, from 1.
        dose: In `unit`; None where the operation takes none.
        drawn: Images that this dose was applied to.
        measured: Those of them that were measured; all counts below are of these.
        changed: Images in which a pixel differs from before. A kernel of side 1 changes none.
        topology_changed: Images whose number of pieces or of holes differs from before.
        holes_made: Images with more holes than before; `holes_lost` with fewer.
        pieces_made: Images with more pieces of ink than before; `pieces_lost` with fewer.
        erased: Images that were erased; see `measure.find_erased`.
        with_margin: Images with a closure margin both before and after.
        before: Means of thickness, area, holes and closure margin before this step (after the steps before it); None
            without images. The mean of the closure margin is over `with_margin`.
        after: The same after this step.
    """

    class_name: str
    step: int = 1
    operation: str
    dose: float | None
    unit: str
    drawn: int
    measured: int
    changed: int
    topology_changed: int
    holes_made: int
    holes_lost: int
    pieces_made: int
    pieces_lost: int
    erased: int
    with_margin: int
    before: dict[str, float | None]
    after: dict[str, float | None]

    @property
    def all_changed(self) -> float:
        """Images changed, estimated for all drawn ones; 0 without images."""
        return self.drawn * self.changed / self.measured if self.measured else 0.0


class Example(Strict):
    """An image whose topology changed, with what is needed to compute it again.

    Attributes:
        class_name: As in `SeenDose`, like `step` and `dose`.
        epoch: Of the run with this `seed`, from 1.
        pieces: Pieces of ink before and after.
        holes: Holes before and after.
    """

    sample_id: str
    class_name: str
    step: int = 1
    dose: float | None
    seed: int
    epoch: int
    pieces: tuple[int, int]
    holes: tuple[int, int]


class Exposure(Strict):
    """What the augmentation of a treatment did to the training images of its runs.

    Attributes:
        runs: Ids of the runs.
        epochs: Number of epochs of each run; early stopping makes them differ.
        class_images: Class name (or ``all``) to its number of training images, for the classes with operations.
        doses: One for each class, step and dose.
        examples: Images whose topology changed, a few of each class, step and dose.
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    class_images: dict[str, int]
    doses: tuple[SeenDose, ...]
    examples: tuple[Example, ...]


def measure_exposure(
    train: Part,
    class_names: Sequence[str],
    augment: Augmentations,
    *,
    runs: Sequence[str],
    seeds: Sequence[int],
    epochs: Sequence[int],
    most_measured: int = _MOST_MEASURED,
) -> Exposure | None:
    """Compute the augmented images of some runs again, and measure them. Trains nothing.

    Args:
        train: The runs' training part; uint8 (N, H, W, C).
        class_names: Name of each label.
        augment: Class name (or ``all``) to the operations on its images.
        runs: Ids of the runs.
        seeds: Seeds of the runs.
        epochs: Number of epochs of each run.
        most_measured: Drawn images measured at most; of more, a random sample, drawn by (seed, epoch, image).

    Returns:
        None without operations, and for images with several channels, whose strokes cannot be measured. Pieces and
        holes are counted as in `erroran.shape.measure.measure`.
    """
    if not augment or train.x.shape[3] != 1:
        return None
    steps, keys = resolve_steps(augment, class_names), sample_keys(train.ids)
    moments = [(seed, epoch) for seed, last in zip(seeds, epochs, strict=True) for epoch in range(1, last + 1)]
    counts = []
    for step in steps:
        count = np.zeros(1 + max(1, len(step.step.doses)), dtype=np.int64)
        for seed, epoch in moments:
            count += np.bincount(choose_doses(train.y, keys, step, seed=seed, epoch=epoch) + 1, minlength=len(count))
        counts.append(count[1:].tolist())
    share = most_measured / max(1, sum(map(sum, counts)))
    seen, examples = [], []
    for step, count, drawn in zip(steps, counts, _draw(train, keys, steps, moments, share), strict=True):
        for index, dose in enumerate(step.step.doses or (None,)):
            table = drawn[drawn["dose"] == index]
            seen.append(_sum_up(step, dose, count[index], table))
            examples += _find_examples(step, dose, table)
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
    """The images of examples before and after the example's step: uint8 (n, H, W, C) twice.

    The other arguments are those that the exposure was measured with.
    """
    steps = resolve_steps(augment, class_names)
    places = [(step.class_name, step.place) for step in steps]
    row_of = {sample_id: row for row, sample_id in enumerate(train.ids.tolist())}
    rows = np.array([row_of[example.sample_id] for example in examples], dtype=np.int64)
    before, after, keys = train.x[rows], train.x[rows], sample_keys(train.ids[rows])
    for i, example in enumerate(examples):
        last = places.index((example.class_name, example.step))
        for images, applied in ((before, steps[:last]), (after, steps[: last + 1])):
            one = images[i : i + 1], train.y[rows[i : i + 1]], keys[i : i + 1]
            images[i] = augment_batch(*one, applied, seed=example.seed, epoch=example.epoch)[0]
    return before, after


def _draw(
    train: Part, keys: np.ndarray, steps: Sequence[LabelledStep], moments: Sequence[tuple[int, int]], share: float
) -> "list[pd.DataFrame]":
    """What each step did, for a share of the images: a row each time an image is drawn.

    Columns: ``id``, ``dose`` (its index), ``seed``, ``epoch``, ``changed`` (bool), and the measurements before and,
    with ``_after``, after.
    """
    import pandas as pd

    found: list[list[tuple[pd.DataFrame, np.ndarray, np.ndarray]]] = [[] for _ in steps]
    for seed, epoch in moments:
        sampled = keyed_uniform(seed, epoch, keys, purpose="measure") < share
        images = train.x.copy() if len(steps) > 1 else train.x
        for step, parts in zip(steps, found, strict=True):
            chosen = choose_doses(train.y, keys, step, seed=seed, epoch=epoch)
            rows = np.flatnonzero(sampled & (chosen >= 0))
            before = images[rows]
            after = augment_batch(before, train.y[rows], keys[rows], (step,), seed=seed, epoch=epoch)
            differs = (before != after).any(axis=(1, 2, 3))
            who = {"id": train.ids[rows], "dose": chosen[rows], "seed": seed, "epoch": epoch, "changed": differs}
            parts.append((pd.DataFrame(who), before, after))
            if len(steps) > 1:  # the steps that follow act on this one's result
                images[rows] = after
    tables = []
    for step, parts in zip(steps, found, strict=True):
        drawn = pd.concat([part for part, _, _ in parts], ignore_index=True)
        images = np.concatenate([*(before for _, before, _ in parts), *(after for _, _, after in parts)])
        measured = _measure_distinct(images, step)
        was, now = measured[: len(drawn)], measured[len(drawn) :].add_suffix("_after").reset_index(drop=True)
        tables.append(pd.concat([drawn, was, now], axis=1))
    return tables


def _measure_distinct(images: np.ndarray, step: LabelledStep) -> "pd.DataFrame":
    """Measure each image; equal images, which are many, once."""
    place: dict[bytes, int] = {}
    where = np.array([place.setdefault(image.tobytes(), len(place)) for image in images], dtype=np.int64)
    _, first = np.unique(where, return_index=True)
    return (
        measure(images[first], ink=step.step.ink)
        .loc[where, ["components", "length_px", *_MEASUREMENTS]]
        .reset_index(drop=True)
    )


def _changes(table: "pd.DataFrame") -> "pd.Series[bool]":
    return (table["components"] != table["components_after"]) | (table["holes"] != table["holes_after"])


def _sum_up(step: LabelledStep, dose: float | None, drawn: int, table: "pd.DataFrame") -> SeenDose:
    after = table[["area_px2_after", "length_px_after"]].rename(columns=lambda name: name.removesuffix("_after"))
    with_margin = table["closure_margin_px"].notna() & table["closure_margin_px_after"].notna()

    def means(suffix: str) -> dict[str, float | None]:
        columns = {key: table[key + suffix] for key in _MEASUREMENTS}
        columns["closure_margin_px"] = columns["closure_margin_px"][with_margin]
        return {key: float(values.mean()) if len(values) else None for key, values in columns.items()}

    return SeenDose(
        class_name=step.class_name,
        step=step.place,
        operation=step.step.operation,
        dose=dose,
        unit=step.step.unit,
        drawn=drawn,
        measured=len(table),
        changed=int(table["changed"].sum()),
        topology_changed=int(_changes(table).sum()),
        holes_made=int((table["holes_after"] > table["holes"]).sum()),
        holes_lost=int((table["holes_after"] < table["holes"]).sum()),
        pieces_made=int((table["components_after"] > table["components"]).sum()),
        pieces_lost=int((table["components_after"] < table["components"]).sum()),
        erased=int(find_erased(table, after).sum()),
        with_margin=int(with_margin.sum()),
        before=means(""),
        after=means("_after"),
    )


def _find_examples(step: LabelledStep, dose: float | None, table: "pd.DataFrame") -> list[Example]:
    """The first few images, by id, whose topology changed: a random choice, the same in every order of the data."""
    changed = table[_changes(table)].sort_values(["id", "seed", "epoch"]).drop_duplicates("id")
    return [
        Example(
            sample_id=row["id"],
            class_name=step.class_name,
            step=step.place,
            dose=dose,
            seed=row["seed"],
            epoch=row["epoch"],
            pieces=(row["components"], row["components_after"]),
            holes=(row["holes"], row["holes_after"]),
        )
        for row in changed.head(_EXAMPLES_PER_DOSE).to_dict("records")
    ]
