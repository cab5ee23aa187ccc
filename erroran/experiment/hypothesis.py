"""The hypothesis spec, a TOML file: the supposed cause of a confusion, and a change of the training that acts on it."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from erroran.errors import BadInput, NotFound
from erroran.experiment.change import ALL_CLASSES, Change
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.judging import CONFIRM, Judging
from erroran.experiment.pair import Pair
from erroran.experiment.specfile import find_spec_file, quote, read_spec


class Hypothesis(Change):
    """The supposed cause of one directed confusion, and a change of the training that acts on it.

    Attributes:
        pair: Images of one class that are predicted as another, in a spec ``"4:9"``.
        hypothesis: The supposed cause, one sentence.
        primary: The endpoint that the verdict is about.
        seeds: Runs per arm.
        epochs: Epochs of every arm, instead of the baseline recipe's; ``[recipe]`` changes the treatment alone.
        worthwhile_percent: The smallest reduction of the primary endpoint that is worth having, in percent.
        margin_per_10000: Additional errors per 10,000 images in the other cells that count as acceptable.
        equivalence_per_10000: "Equivalent" means that the interval of the change of the primary endpoint lies within
            this.
        judge: Which images the verdict is about: ``confirm``, or training images, as in ``out-of-fold=5``.

    All other attributes are those of `Change`.
    """

    pair: Pair
    hypothesis: str = Field(min_length=1)
    primary: Endpoint = Endpoint.FORWARD
    seeds: int = Field(default=5, ge=1, le=1000)
    epochs: int | None = Field(default=None, ge=1)
    worthwhile_percent: float = Field(default=50.0, gt=0, lt=100)
    margin_per_10000: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    equivalence_per_10000: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    judge: Judging = CONFIRM

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.change == Change():
            raise ValueError("it changes nothing: add [augment.<class>], model, [recipe], [class_weights] or [data]")
        return self

    @property
    def hash(self) -> str:
        """Hash of the content, 8 hexadecimal digits; a changed spec is another hypothesis."""
        content: dict[str, Any] = self.model_dump(
            mode="json",
            include={"pair", "hypothesis", "primary", "seeds", "epochs", "margin_per_10000", "equivalence_per_10000"},
        )
        # As in the first release: a single operation is a table, and unused keys are left out.
        content["augment"] = {
            name: steps[0].canonical() if len(steps) == 1 else [step.canonical() for step in steps]
            for name, steps in self.augment.items()
        }
        if self.worthwhile_percent != type(self).model_fields["worthwhile_percent"].default:
            content["worthwhile_percent"] = self.worthwhile_percent
        unused = Change()
        for key in ("model", "recipe", "class_weights", "data"):
            if getattr(self, key) != getattr(unused, key):
                content[key] = self.model_dump(mode="json", include={key})[key]
        if self.judge != CONFIRM:
            content["judge"] = str(self.judge)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def read_hypothesis(path: Path) -> Hypothesis:
    """Read and check a spec file; errors as in `read_spec`."""
    return read_spec(path, Hypothesis, see="erroran intervene", others={"models": "erroran study"})


def find_hypothesis(name: str, folders: Sequence[Path]) -> Path:
    """Find a spec as `find_spec_file` does; NotFound suggests a similar name."""
    found = find_spec_file(name, folders, what="spec")
    if found is not None:
        return found
    known = sorted(
        {path.stem for folder in folders for path in folder.glob("*.toml") if not path.stem.endswith("-study")}
    )
    near = difflib.get_close_matches(name, known, n=1)
    listed = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known) or 'none'}"
    sides = name.split("to")
    pair = ":".join(sides) if len(sides) == 2 and all(sides) else "A:B"
    raise NotFound(
        f"There is no hypothesis `{name}` in {folders[0]}/ or among those shipped ({listed}).",
        fix=f"erroran new {name} --pair {pair}   (writes a starter spec), or name one that exists",
    )


def check_classes(hypothesis: Hypothesis, class_names: Sequence[str]) -> None:
    """Check that a spec's classes are those of the dataset.

    Raises:
        NotFound: It names a class that the dataset lacks.
        BadInput: It has operations for ``all`` classes, and the dataset has a class of that name.
    """
    if ALL_CLASSES in hypothesis.augment and ALL_CLASSES in class_names:
        raise BadInput(
            f"The spec has [augment.{ALL_CLASSES}], which means every class, but a class of the dataset is called "
            f"`{ALL_CLASSES}`.",
            fix=f"rename the class `{ALL_CLASSES}` in the dataset",
        )
    for name in (*hypothesis.pair.classes, *hypothesis.class_names):
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
    """Write a first spec for a pair, to be edited; valid TOML for any class names."""
    # Names in comments must not break the line.
    a, b = ("".join(c if c.isprintable() else " " for c in name) for name in (true, predicted))
    pair = quote(Pair(true, predicted).as_plain())
    belief = quote(f"Stroke thickness decides between {a} and {b}: thick {a}s look like {b}s.")
    return f"""# A starter: look at the pair in reports/confusions.md, then write what you believe and how to test it.
pair = {pair}    # images of {a} that are read as {b}
hypothesis = {belief}
primary = "forward"            # the verdict is about {a} read as {b}; also: reverse, sum
seeds = 5

[augment.{quote(true)}]
operation = "dilate"           # thicken {a}, so that thickness stops meaning {b}
radius_px = [0.5, 1]
probability = 0.12

[augment.{quote(predicted)}]
operation = "erode"            # and thin {b}
radius_px = [0.5, 1]
probability = 0.12
"""
