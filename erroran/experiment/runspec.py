"""What a run is: the spec that goes in, the record that comes out, and the key that names both."""

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from erroran.experiment.hypothesis import ClassAugmentation

_STRICT = ConfigDict(extra="forbid", frozen=True)

Precision = Literal["float32", "mixed_bfloat16"]


class InModelAugmentation(BaseModel):
    """Random changes of every training image, made by Keras layers inside the model; off when predicting.

    Drawn by Keras from the run's seed, unlike a hypothesis' augmentation, which is keyed by (seed, epoch, sample).

    Attributes:
        rotation_deg: Turn by up to this many degrees, either way.
        zoom_percent: Enlarge or shrink by up to this much.
        translation_percent: Move by up to this part of height and of width, each way.
    """

    model_config = _STRICT

    rotation_deg: float = Field(default=0, ge=0, le=180)
    zoom_percent: float = Field(default=0, ge=0, le=90)
    translation_percent: float = Field(default=0, ge=0, le=90)


class Recipe(BaseModel):
    """How a model is trained. What is held out as `mine` is the validation data that callbacks go by.

    Attributes:
        name: The recipe's name, for people; not part of a run's key.
        epochs: Passes over the training split, at most.
        batch_size: Images per step.
        learning_rate: Adam's rate; the peak of the schedule.
        schedule: ``constant``; ``cosine``: half a cosine from the peak to zero; or ``one-cycle``: linear warm-up over
            the first 20 % of steps, then linear to zero.
        early_stopping: Stop once this many epochs brought no lower validation loss; ``None`` for never.
        reduce_on_plateau: Halve the learning rate whenever this many epochs brought no lower validation loss.
        best_weights: Keep the weights of the epoch with the best validation accuracy, not the last.
        in_model: Augmentation by layers of the model.
    """

    model_config = _STRICT

    name: str
    epochs: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "one-cycle"]
    early_stopping: int | None = Field(default=None, ge=1)
    reduce_on_plateau: int | None = Field(default=None, ge=1)
    best_weights: bool = False
    in_model: InModelAugmentation | None = None

    def describe(self) -> str:
        """The recipe in words."""
        parts = [f"{'up to ' if self.early_stopping else ''}{self.epochs} epoch{'s' if self.epochs > 1 else ''}"]
        parts += [f"batch {self.batch_size}", f"Adam {self.learning_rate:g} {self.schedule}"]
        if self.reduce_on_plateau:
            parts.append(f"halved after {self.reduce_on_plateau} without gain")
        if self.early_stopping:
            parts.append(f"early stopping after {self.early_stopping}")
        if self.best_weights:
            parts.append("best weights kept")
        if self.in_model:
            inside = self.in_model
            parts.append(
                f"in the model ±{inside.rotation_deg:g}°, zoom ±{inside.zoom_percent:g} %, "
                f"translation ±{inside.translation_percent:g} %"
            )
        return ", ".join(parts)

    @model_validator(mode="after")
    def _plateaus_need_a_constant_rate(self) -> Self:
        if self.reduce_on_plateau and self.schedule != "constant":
            raise ValueError("reduce_on_plateau needs schedule constant: a schedule sets the rate itself")
        return self


_TENTHS = InModelAugmentation(rotation_deg=10, zoom_percent=10, translation_percent=10)
_PLAIN = Recipe(name="standard", epochs=10, learning_rate=1e-3, schedule="constant")
RECIPES = {
    recipe.name: recipe
    for recipe in (
        _PLAIN,
        Recipe(name="fast", epochs=4, learning_rate=2e-3, schedule="one-cycle"),
        Recipe(name="augmented", epochs=15, learning_rate=3e-3, schedule="one-cycle", in_model=_TENTHS),
        _PLAIN.model_copy(
            update={"name": "patient", "epochs": 120, "early_stopping": 20, "best_weights": True, "in_model": _TENTHS}
        ),
        _PLAIN.model_copy(
            update={
                "name": "plateau",
                "epochs": 50,
                "early_stopping": 10,
                "reduce_on_plateau": 3,
                "best_weights": True,
                "in_model": _TENTHS,
            }
        ),
    )
}


class RunSpec(BaseModel):
    """Everything that decides the outcome of a run.

    Attributes:
        dataset: The dataset's digest.
        mine_fraction: Part of the training data that is held out as `mine`.
        model: Name of the architecture; for one of the user's own, ``file.py:function``.
        recipe: How it is trained.
        precision: Keras dtype policy.
        seed: Keys initial weights, sample order, dropout and augmentation.
        augment: Class name to what happens to its training images; empty for a baseline.
        fold: ``(k, K)``: hold out the k-th of K parts of the training data as `mine`, instead of `mine_fraction`.
        source: Digest of the code of a model of the user's own, which the store keeps.
    """

    model_config = _STRICT

    dataset: str
    mine_fraction: float
    model: str
    recipe: Recipe
    precision: Precision = "float32"
    seed: int = Field(ge=0, lt=2**32)
    augment: dict[str, ClassAugmentation] = Field(default_factory=dict)
    fold: tuple[int, int] | None = None
    source: str | None = None

    @property
    def id(self) -> str:
        """The run's key: 12 hexadecimal digits of the SHA-256 of its canonical JSON.

        Names given for people (the recipe's, the hypothesis') are left out, so that runs which would be
        identical are shared.
        """
        return _digest(self, exclude={"recipe": {"name"}})

    @property
    def group_id(self) -> str:
        """The key that all runs share which may be compared: everything but seed and augmentation."""
        return _digest(self, exclude={"recipe": {"name"}, "seed": True, "augment": True, "fold": True})


class RunRecord(BaseModel):
    """A finished run, as the store keeps it beside its arrays.

    Attributes:
        spec: What went in.
        arm: ``baseline``, or the name of the hypothesis or control that first asked for the run.
        dataset_name: For people.
        note: What the dataset had to say, such as that it is a fallback.
        accuracy_mine: Fraction of the `mine` split predicted correctly, 0..1.
        accuracy_confirm: The same on `confirm`.
        seconds: Wall-clock time of training and prediction.
        created: UTC, ISO 8601.
        command: The command line that asked for it.
        versions: Package name to version.
        commit: Git commit of the erroran checkout that ran, ``None`` for an installed package.
        machine: Platform, number of threads.
        parameters: Number of the model's parameters.
        history: Per epoch: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` (on `mine`).
    """

    model_config = _STRICT

    spec: RunSpec
    arm: str
    dataset_name: str
    accuracy_mine: float
    accuracy_confirm: float
    seconds: float
    created: str
    command: str
    versions: dict[str, str]
    commit: str | None
    machine: dict[str, str]
    parameters: int
    history: dict[str, list[float]]
    note: str | None = None

    @property
    def id(self) -> str:
        """The run's key."""
        return self.spec.id

    def summary(self) -> dict[str, object]:
        """The flat object that ``erroran runs --json`` prints."""
        return {
            "id": self.id,
            "arm": self.arm,
            "seed": self.spec.seed,
            "dataset": self.dataset_name,
            "model": self.spec.model,
            "recipe": self.spec.recipe.name,
            "epochs": self.spec.recipe.epochs,
            "accuracy_mine": self.accuracy_mine,
            "accuracy_confirm": self.accuracy_confirm,
            "seconds": self.seconds,
            "created": self.created,
        }


class Group(BaseModel):
    """What the last `baseline` command of a (dataset, model, recipe) asked for.

    Attributes:
        template: The spec of its runs; the seed in it has no meaning.
        seeds: The seeds that were asked for, in order. Mining uses exactly these.
        dataset_name: For people.
        note: What the dataset had to say, such as a fallback.
        updated: UTC, ISO 8601; the latest group is the default of all later stages.
        command: The command line.
        study: The study that trained it, if it was one; such a group is never taken for the latest baseline.
    """

    model_config = _STRICT

    template: RunSpec
    seeds: tuple[int, ...]
    dataset_name: str
    note: str | None
    updated: str
    command: str
    study: str | None = None

    @property
    def id(self) -> str:
        """The group's key."""
        return self.template.group_id

    def run_spec(
        self,
        seed: int,
        augment: dict[str, ClassAugmentation] | None = None,
        *,
        epochs: int | None = None,
        fold: tuple[int, int] | None = None,
    ) -> RunSpec:
        """The spec of one run of this group."""
        recipe = self.template.recipe
        if epochs is not None:
            recipe = recipe.model_copy(update={"epochs": epochs})
        changes = {"seed": seed, "augment": dict(augment or {}), "recipe": recipe, "fold": fold}
        return self.template.model_copy(update=changes)


def _digest(spec: RunSpec, *, exclude: dict[str, Any]) -> str:
    # Defaults are left out, so that an option added later does not orphan the runs made before it.
    content = spec.model_dump(mode="json", exclude=exclude, exclude_defaults=True)
    canonical = json.dumps({"format": 1, **content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
