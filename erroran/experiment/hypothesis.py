"""The hypothesis spec: what is believed about a confusion, and what would act on its cause.

A spec is a TOML file, one hypothesis a file, read strictly: an unknown key is an error that names the
nearest known one.
"""

import difflib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from erroran.errors import NotFound
from erroran.experiment.specfile import find_spec_file, read_spec

_STRICT = ConfigDict(extra="forbid", frozen=True)
_Dose = Annotated[float, Field(gt=0, le=14)]
_Side = Annotated[int, Field(ge=1, le=28)]
_Fraction = Annotated[float, Field(gt=0, le=5)]
_Strength = Annotated[float, Field(gt=1, le=10)]
_Count = Annotated[int, Field(ge=1, le=10)]
_Angle = Annotated[float, Field(gt=0, le=80)]
_Factor = Annotated[float, Field(ge=0.25, le=4)]

_SIZES = ("radius_px", "kernel_px")
_DOSE_UNITS = {
    "radius_px": "px",
    "kernel_px": "px",
    "stroke_fraction": "of half the stroke",
    "amount": "of half the stroke",
    "strength": "(power)",
    "fractures": "cuts",
    "angle_deg": "°",
    "factor": "times the size",
}
_DOSES = {
    "dilate": (*_SIZES, "stroke_fraction"),
    "erode": (*_SIZES, "stroke_fraction"),
    "open": ("radius_px", "stroke_fraction"),
    "close": ("radius_px", "stroke_fraction"),
    "thin": ("amount",),
    "thicken": ("amount",),
    "swell": ("strength",),
    "fracture": ("fractures",),
    "shift": ("radius_px",),
    "rotate": ("angle_deg",),
    "slant": ("angle_deg",),
    "scale": ("factor",),
    "repeat": (),
}
# These came after the first release; left out of a hypothesis' hash while unused, so that old hashes stay.
_LATER = {"stroke_fraction", "amount", "strength", "fractures", "angle_deg", "factor", "ink"}


class ClassAugmentation(BaseModel):
    """What happens to the training images of one class.

    Every operation but ``repeat`` takes one kind of dose, of which there may be several: each is drawn equally often.

    Attributes:
        operation: ``dilate`` thickens the ink, ``erode`` thins it, ``open`` removes thin strokes, ``close`` fills
            narrow gaps, ``thin``, ``thicken``, ``swell`` and ``fracture`` are Morpho-MNIST's perturbations, ``shift``
            moves the image by the dose in one of four directions, ``rotate`` and ``slant`` turn or shear it to either
            side, ``scale`` changes its size, ``repeat`` leaves it as it is and counts it twice (it takes no dose).
        radius_px: Reach of a symmetric kernel in pixels (multiples of 0.25), or of a shift (whole pixels).
        kernel_px: Instead of a radius of ``dilate`` or ``erode``: side of a square OpenCV kernel in pixels. Side 1
            changes nothing, even sides also shift the ink.
        shape: Form of the kernel that goes with `radius_px` and `stroke_fraction`.
        probability: Chance that an image of the class is changed in an epoch, in (0, 1].
        stroke_fraction: Instead of a radius: a fraction of half the image's own stroke thickness.
        amount: Dose of ``thin`` (the paper: 0.7) and ``thicken`` (1), as a fraction of half the stroke thickness.
        strength: Dose of ``swell``, above 1 (the paper: 3).
        fractures: Dose of ``fracture``: cuts in an image (the paper: 3).
        angle_deg: Dose of ``rotate`` and ``slant``.
        factor: Dose of ``scale``: above 1 is larger.
        ink: ``dark`` where the ink is darker than the ground.
    """

    model_config = _STRICT

    operation: Literal[
        "dilate", "erode", "shift", "repeat", "open", "close", "thin", "thicken", "swell", "fracture", "rotate",
        "slant", "scale",
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
    ink: Literal["bright", "dark"] = "bright"

    @field_validator(*_DOSE_UNITS, mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        one = isinstance(value, (int, float)) and not isinstance(value, bool)
        return [value] if one else value

    @model_validator(mode="after")
    def _one_kind_of_dose(self) -> Self:
        given = [key for key in _DOSE_UNITS if getattr(self, key) is not None]
        allowed = _DOSES[self.operation]
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
        return self

    @property
    def doses(self) -> tuple[float, ...]:
        """The doses, in `unit`; empty for ``repeat``."""
        return next((tuple(getattr(self, key)) for key in _DOSE_UNITS if getattr(self, key)), ())

    @property
    def unit(self) -> str:
        """What the doses are counted in, as printed behind a number; empty for ``repeat``."""
        return next((unit for key, unit in _DOSE_UNITS.items() if getattr(self, key)), "")

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
        return f"{self.operation}, {kind}{dark}, {share}"


class Hypothesis(BaseModel):
    """A belief about one directed confusion and the augmentation that would act on its cause.

    Attributes:
        pair: ``"4:9"`` - images of class 4 that are read as 9.
        hypothesis: The belief, in a sentence.
        augment: Class name to what happens to its training images.
        primary: What the verdict is about: errors of the pair (``forward``), of the opposite direction
            (``reverse``), or both together (``sum``).
        seeds: Runs per arm.
        epochs: Overrides the baseline recipe's epochs.
        margin_per_10000: How many errors per 10,000 images the fix may cost elsewhere.
        equivalence_per_10000: Changes of the primary endpoint up to this are of no interest: "equivalent" means
            that the change is surely within it.
    """

    model_config = _STRICT

    pair: str
    hypothesis: str = Field(min_length=1)
    augment: dict[str, ClassAugmentation] = Field(min_length=1)
    primary: Literal["forward", "reverse", "sum"] = "forward"
    seeds: int = Field(default=5, ge=1, le=1000)
    epochs: int | None = Field(default=None, ge=1)
    margin_per_10000: float = Field(default=10.0, gt=0)
    equivalence_per_10000: float = Field(default=1.0, gt=0)

    @field_validator("pair")
    @classmethod
    def _two_classes(cls, value: str) -> str:
        true, _, predicted = value.partition(":")
        if not true or not predicted or true == predicted:
            raise ValueError('must name two different classes as "true:predicted", such as "4:9"')
        return value

    @property
    def hash(self) -> str:
        """Hash of the content: a changed spec is another hypothesis. 8 hexadecimal digits."""
        dump = self.model_dump(mode="json")
        for name, step in self.augment.items():
            for key in _LATER - step.model_dump(exclude_defaults=True).keys():
                del dump["augment"][name][key]
        content = json.dumps(dump, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def classes(self) -> tuple[str, str]:
        """The true class and the class it is mistaken for."""
        true, _, predicted = self.pair.partition(":")
        return true, predicted


def read_hypothesis(path: Path) -> Hypothesis:
    """Read and check a spec file.

    Raises:
        SpecError: The file is not TOML, or a key is unknown, missing or has a wrong value.
    """
    return read_spec(path, Hypothesis, see="erroran intervene", others={"models": "erroran study"})


def find_hypothesis(name: str, folders: Sequence[Path]) -> Path:
    """Find a spec by name (in `folders`, the first wins) or by path.

    Raises:
        NotFound: There is no such spec; the message lists those there are.
    """
    found = find_spec_file(name, folders, what="spec")
    if found is not None:
        return found
    known = sorted(
        {path.stem for folder in folders for path in folder.glob("*.toml") if not path.stem.endswith("-study")}
    )
    near = difflib.get_close_matches(name, known, n=1)
    listed = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known) or 'none'}"
    true, _, predicted = name.partition("to")
    pair = f"{true}:{predicted}" if true and predicted else "4:9"
    raise NotFound(
        f"There is no hypothesis `{name}` in {folders[0]}/ or among those shipped ({listed}).",
        fix=f"erroran new {name} --pair {pair}   (writes a starter spec), or name one that exists",
    )


def check_classes(hypothesis: Hypothesis, class_names: Sequence[str]) -> None:
    """Refuse a spec that names a class the dataset lacks.

    Raises:
        NotFound: It does.
    """
    for name in (*hypothesis.classes, *hypothesis.augment):
        if name not in class_names:
            raise NotFound(
                f"The spec names class `{name}`, which the dataset does not have.",
                fix=f"use one of its classes: {', '.join(class_names[:30])}",
            )


def shipped_folder() -> Path:
    """The folder of the specs that come with erroran, in a wheel or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "experiments"
    return installed if installed.is_dir() else package.parent / "experiments"


def starter_toml(true: str, predicted: str) -> str:
    """Write a first spec for a pair, to be edited: it states what would have to be believed."""
    return f'''# A starter: look at the pair in reports/confusions.md, then say what you believe and what would test it.
pair = "{true}:{predicted}"    # images of {true} that are read as {predicted}
hypothesis = "Stroke thickness decides between {true} and {predicted}: thick {true}s look like {predicted}s."
primary = "forward"            # the verdict is about {true} read as {predicted}; also: reverse, sum
seeds = 5

[augment."{true}"]
operation = "dilate"           # thicken {true}s, so that thickness stops meaning {predicted}
radius_px = [0.5, 1]
probability = 0.12

[augment."{predicted}"]
operation = "erode"            # and thin {predicted}s
radius_px = [0.5, 1]
probability = 0.12
'''
