"""The change that an intervention tests: operations on images, another model or recipe, class weights, other data."""

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from erroran.experiment.recipe import RecipeChange
from erroran.experiment.samplelist import read_ids, read_labels, read_times
from erroran.experiment.specfile import Strict
from erroran.operations.intensity import LEAST_GAIN, MOST_GAIN
from erroran.operations.table import DOSE_UNITS, OPERATIONS

_Dose = Annotated[float, Field(gt=0, le=14)]
_Side = Annotated[int, Field(ge=1, le=28)]
_Fraction = Annotated[float, Field(gt=0, le=5)]
_Strength = Annotated[float, Field(gt=1, le=10)]
_Count = Annotated[int, Field(ge=1, le=10)]
_Angle = Annotated[float, Field(gt=0, le=80)]
_Factor = Annotated[float, Field(ge=0.25, le=4)]
_Gain = Annotated[float, Field(ge=LEAST_GAIN, le=MOST_GAIN)]
_Weight = Annotated[float, Field(gt=0, le=1000)]

ALL_CLASSES = "all"
"""In ``augment``: every class; applied after the operations of the image's own class."""

_SIZES = ("radius_px", "kernel_px")
# Keys added after the first release are left out of a hypothesis' hash while unused, so that old hashes stay the same.
_LATER = {"stroke_fraction", "amount", "strength", "fractures", "angle_deg", "factor", "gain", "ink", "side"}


class Step(Strict):
    """One operation on the training images of a class.

    Every operation but ``repeat`` takes one kind of dose. Several doses may be given; each is drawn equally often.

    Attributes:
        operation: A name in `erroran.operations.table.OPERATIONS`.
        radius_px: Radius of a symmetric kernel in pixels (multiples of 0.25), or distance of a shift (whole pixels).
        kernel_px: Instead of a radius of ``dilate`` or ``erode``: side of a square OpenCV kernel in pixels. Side 1
            changes nothing, even sides also shift the ink.
        shape: Shape of the kernel for `radius_px` and `stroke_fraction`.
        probability: Probability that an image of the class is changed in an epoch, in (0, 1].
        stroke_fraction: Instead of a radius: a fraction of half the image's own stroke thickness.
        amount: Dose of ``thin`` (Morpho-MNIST: 0.7) and ``thicken`` (1): a fraction of half the stroke thickness.
        strength: Dose of ``swell`` (Morpho-MNIST: 3).
        fractures: Dose of ``fracture``: cuts in an image (Morpho-MNIST: 3).
        angle_deg: Dose of ``rotate`` and ``slant``.
        factor: Dose of ``scale``: above 1 enlarges.
        gain: Dose of ``brighten``: factor on the brightness of the ink.
        ink: ``dark`` where the ink is darker than the background.
        side: For ``rotate`` and ``slant``: the side to which the top of the image moves; ``either`` is drawn for each
            image.
    """

    operation: Literal[
        "dilate", "erode", "shift", "repeat", "open", "close", "thin", "thicken", "swell", "fracture", "rotate",
        "slant", "scale", "brighten",
    ]  # fmt: skip
    radius_px: tuple[_Dose, ...] | None = None
    kernel_px: tuple[_Side, ...] | None = None
    shape: Literal["square", "disk", "cross"] = "square"
    probability: float = Field(default=0.12, gt=0, le=1)
    stroke_fraction: tuple[_Fraction, ...] | None = None
    amount: tuple[_Fraction, ...] | None = None
    strength: tuple[_Strength, ...] | None = None
    fractures: tuple[_Count, ...] | None = None
    angle_deg: tuple[_Angle, ...] | None = None
    factor: tuple[_Factor, ...] | None = None
    gain: tuple[_Gain, ...] | None = None
    ink: Literal["bright", "dark"] = "bright"
    side: Literal["either", "left", "right"] = "either"

    @field_validator(*DOSE_UNITS, mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_kind_of_dose(self) -> Self:
        given = [key for key in DOSE_UNITS if getattr(self, key) is not None]
        operation = OPERATIONS[self.operation]
        allowed = operation.doses
        if any(dose * 4 % 1 for dose in self.radius_px or ()):
            raise ValueError("radius_px must be a multiple of 0.25")
        if self.operation == "shift" and (self.kernel_px or any(d % 1 for d in self.radius_px or ())):
            raise ValueError("shift takes radius_px in whole pixels")
        wrong = [key for key in given if key not in allowed]
        if wrong and not allowed:
            raise ValueError(f"{self.operation} takes no {wrong[0] if wrong[0] not in _SIZES else ' or '.join(_SIZES)}")
        if wrong:
            raise ValueError(f"{self.operation} takes {' or '.join(allowed)}, not {wrong[0]}")
        if allowed and len(given) != 1:
            rest = f" (or {', '.join(allowed[2:])})" if len(allowed) > 2 else ""
            names = " and ".join(allowed[:2])
            raise ValueError(f"needs exactly one of {names}{rest}" if len(allowed) > 1 else f"needs {names}")
        if allowed and not self.doses:
            raise ValueError("needs at least one dose")
        if self.side != "either" and not operation.sided:
            raise ValueError(f"{self.operation} has no side")
        return self

    @property
    def doses(self) -> tuple[float, ...]:
        """The doses, in `unit`; empty for ``repeat``."""
        return next((tuple(getattr(self, key)) for key in DOSE_UNITS if getattr(self, key)), ())

    @property
    def unit(self) -> str:
        """Unit of the doses, as printed after a number; empty for ``repeat``."""
        return next((unit for key, unit in DOSE_UNITS.items() if getattr(self, key)), "")

    @property
    def opposite(self) -> "Step | None":
        """The step with the reverse effect at the same dose, or towards the other side; None where there is none."""
        operation = OPERATIONS[self.operation].opposite
        if operation is not None:
            return self.model_copy(update={"operation": operation})
        if self.side != "either":
            return self.model_copy(update={"side": "left" if self.side == "right" else "right"})
        for key in ("factor", "gain"):
            if factors := getattr(self, key):
                return self.model_copy(update={key: tuple(round(1 / factor, 2) for factor in factors)})
        return None

    def name_dose(self, dose: float) -> str:
        """Name the operation and one of its doses, as in ``dilate 0.5 px`` or ``slant 10 ° to the left``."""
        return f"{self.operation} {dose:g} {self.unit}{self._to_side}"

    def describe(self) -> str:
        """Name the operation and its doses, as in ``dilate, radius 0.5 or 1 px (square), 12 %``."""
        share = f"{100 * self.probability:g} % of the images"
        if self.operation == "repeat":
            return f"counted twice, {share}"
        doses = " or ".join(f"{dose:g}" for dose in self.doses)
        kind = f"{doses} {self.unit}"
        if self.stroke_fraction:
            kind = f"radius {doses} {self.unit} ({self.shape})"
        elif self.radius_px:
            kind = f"by {doses} px" if self.operation == "shift" else f"radius {doses} px ({self.shape})"
        elif self.kernel_px:
            kind = f"kernel side {doses} px"
        dark = ", dark ink" if self.ink == "dark" else ""
        return f"{self.operation}, {kind}{self._to_side}{dark}, {share}"

    @property
    def _to_side(self) -> str:
        return "" if self.side == "either" else f" to the {self.side}"

    def canonical(self) -> dict[str, Any]:
        """The content for a hypothesis' hash: keys added after the first release only where they are used."""
        used = self.model_dump(exclude_defaults=True).keys()
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in _LATER - used}


def _as_steps(value: object) -> object:
    """One table, or a list of tables in the order in which they are applied."""
    if isinstance(value, Mapping | Step):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError("an operation is a table, as in [augment.4]; several are tables, as in [[augment.4]]")  # noqa: TRY004
    return value


Steps = Annotated[tuple[Step, ...], BeforeValidator(_as_steps), Field(min_length=1)]
Augmentations = dict[str, Steps]


class DataChange(Strict):
    """Another training set; `mine` and `confirm` are not changed.

    In a spec's ``[data]`` the first three are CSV files (paths relative to the spec's folder).

    Attributes:
        leave_out: Sample ids of training images that are left out; the file has a column ``sample_id``.
        relabel: Sample id to the name of its new class; columns ``sample_id`` and ``label``.
        repeat: Sample id to how many times it is in the training set, at least 2; columns ``sample_id`` and, unless it
            is 2 for all, ``times``.
        add: Dataset whose training images are added, as given to ``--dataset``; in a run spec its digest. Images of
            `mine` or `confirm` are not added.
    """

    leave_out: tuple[str, ...] = ()
    relabel: dict[str, str] = Field(default_factory=dict)
    repeat: dict[str, Annotated[int, Field(ge=2, le=1000)]] = Field(default_factory=dict)
    add: str | None = None

    @field_validator("leave_out", "relabel", "repeat", mode="before")
    @classmethod
    def _read_file(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        path = (info.context or {}).get("folder", Path()) / value
        read: dict[str | None, Callable[[Path], object]] = {"leave_out": read_ids, "relabel": read_labels}
        return read.get(info.field_name, read_times)(path)

    @model_validator(mode="after")
    def _nothing_left_out_is_used(self) -> Self:
        used = self.relabel.keys() | self.repeat.keys()
        if both := sorted(used.intersection(self.leave_out)):
            raise ValueError(f"the image {both[0]} is left out, and also relabelled or repeated")
        return self

    def __bool__(self) -> bool:
        return bool(self.leave_out or self.relabel or self.repeat or self.add)


class Change(Strict):
    """Everything in which a treatment may differ from its baseline.

    Attributes:
        augment: Class name (or ``all``) to the operations on its training images, in order; drawn independently.
        model: Another architecture, as ``--model`` takes it.
        recipe: Parts of the recipe that are replaced, in this arm only.
        class_weights: Class name to the weight of its images in the loss; 1 for the others.
        data: Another training set.
    """

    augment: Augmentations = Field(default_factory=dict)
    model: str | None = None
    recipe: RecipeChange = RecipeChange()
    class_weights: dict[str, _Weight] = Field(default_factory=dict)
    data: DataChange = DataChange()

    @property
    def change(self) -> "Change":
        """The change alone, without the other fields of a subclass."""
        return Change(**{name: getattr(self, name) for name in Change.model_fields})

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class that the change names; ``[augment.all]`` names none."""
        own = (name for name in self.augment if name != ALL_CLASSES)
        return tuple(dict.fromkeys((*own, *self.class_weights, *self.data.relabel.values())))

    def describe(self, trained_ids: Container[str] | None = None) -> list[str]:
        """The change in words, one line for each part.

        Args:
            trained_ids: Sample ids that the baseline trains on: how many of the images that the change names are
                among them is said too.
        """
        lines = []
        for name, steps in self.augment.items():
            whom = "all classes" if name == ALL_CLASSES else f"class {name}"
            lines.append(f"{whom}: {', then '.join(step.describe() for step in steps)}")
        if self.model:
            lines.append(f"model {self.model}")
        lines += [f"{key} = {value}" for key, value in self.recipe.recipe_changes().items()]
        if self.class_weights:
            weights = ", ".join(f"{name}: {weight:g}" for name, weight in self.class_weights.items())
            lines.append(f"weights in the loss: {weights}")
        data = self.data
        for what, ids in (("left out", data.leave_out), ("relabelled", data.relabel), ("repeated", data.repeat)):
            if ids:
                trained = len(ids) if trained_ids is None else sum(name in trained_ids for name in ids)
                among = f", {trained:,} of them in train" if trained < len(ids) else ""
                lines.append(f"{what}: {len(ids):,} image{'s' if len(ids) > 1 else ''}{among}")
        if data.add:
            lines.append(f"added: the training images of {data.add}")
        return lines
