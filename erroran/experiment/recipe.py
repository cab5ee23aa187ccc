"""How a model is trained."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from erroran import provenance
from erroran.experiment.specfile import Strict

Precision = Literal["float32", "mixed_bfloat16"]
PrecisionChoice = Literal["auto", "float32", "mixed_bfloat16"]
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


class InModelAugmentation(Strict):
    """Random changes of every training image, made by Keras layers inside the model; off when predicting.

    Keras draws them from the run's seed; a hypothesis' augmentation is keyed by (seed, epoch, sample) instead.

    Attributes:
        rotation_deg: Largest rotation in either direction.
        zoom_percent: Largest enlargement or reduction.
        translation_percent: Largest shift in each direction, in percent of height or width.
    """

    rotation_deg: float = Field(default=0, ge=0, le=180)
    zoom_percent: float = Field(default=0, ge=0, le=90)
    translation_percent: float = Field(default=0, ge=0, le=90)


class Recipe(Strict):
    """How a model is trained.

    Early stopping, halving on plateaus and best weights use validation data that are held out of `train` for that
    purpose (`chooses_epochs`), never `mine` or `confirm`.

    Attributes:
        name: The recipe's name; not part of a run's key.
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

    @property
    def chooses_epochs(self) -> bool:
        """Whether training needs validation data of its own."""
        return bool(self.early_stopping or self.reduce_on_plateau or self.best_weights)

    @model_validator(mode="after")
    def _plateaus_need_a_constant_rate(self) -> Self:
        if self.reduce_on_plateau and self.schedule != "constant":
            raise ValueError("reduce_on_plateau needs schedule constant: a schedule sets the rate itself")
        return self


_TENTHS = InModelAugmentation(rotation_deg=10, zoom_percent=10, translation_percent=10)
_LIST = (
    Recipe(name="standard", epochs=10, learning_rate=1e-3, schedule="constant"),
    Recipe(name="fast", epochs=4, learning_rate=2e-3, schedule="one-cycle"),
    Recipe(name="augmented", epochs=15, learning_rate=3e-3, schedule="one-cycle", in_model=_TENTHS),
    Recipe(name="patient", epochs=120, learning_rate=1e-3, schedule="constant", early_stopping=20,
           best_weights=True, in_model=_TENTHS),
    Recipe(name="plateau", epochs=50, learning_rate=1e-3, schedule="constant", early_stopping=10,
           reduce_on_plateau=3, best_weights=True, in_model=_TENTHS),
)  # fmt: skip
RECIPES = {recipe.name: recipe for recipe in _LIST}


def choose_precision(wanted: PrecisionChoice, *, own_model: bool) -> Precision:
    """The precision of a group of runs; it is part of their keys, so that all arms of a comparison share it.

    ``auto`` is mixed_bfloat16 if this processor multiplies bfloat16, but float32 for a model of the user's own, whose
    softmax would round probabilities to 8 bits unless its code says otherwise.
    """
    if wanted != "auto":
        return wanted
    return "mixed_bfloat16" if not own_model and _BFLOAT16 & {*provenance.processor_features()} else "float32"


class RecipeChange(Strict):
    """Fields that replace those of a named recipe: options of ``baseline``, and keys of studies and hypotheses."""

    epochs: int | None = Field(default=None, ge=1, description="Epochs, instead of the recipe's.")
    batch_size: int | None = Field(default=None, ge=1, description="Images per step, instead of the recipe's 128.")
    learning_rate: float | None = Field(default=None, gt=0, description="Adam's rate; the peak of a schedule.")
    schedule: Literal["constant", "cosine", "one-cycle"] | None = Field(
        default=None, description="Schedule of the learning rate."
    )
    early_stopping: int | None = Field(
        default=None,
        ge=1,
        description="Stop after this many epochs without a lower validation loss (on a part of train held out for it).",
    )
    reduce_on_plateau: int | None = Field(
        default=None, ge=1, description="Halve the rate after this many epochs without a lower validation loss."
    )
    best_weights: bool | None = Field(
        default=None, description="Keep the weights of the epoch with the best validation accuracy, or the last."
    )
    rotation_deg: float | None = Field(
        default=None, ge=0, le=180, description="In-model augmentation: rotate by up to this many degrees."
    )
    zoom_percent: float | None = Field(
        default=None, ge=0, le=90, description="In-model augmentation: zoom by up to this many percent."
    )
    translation_percent: float | None = Field(
        default=None, ge=0, le=90, description="In-model augmentation: translate by up to this many percent."
    )

    def recipe_changes(self) -> dict[str, Any]:
        """The fields that are given, by name."""
        fields = set(RecipeChange.model_fields)
        return {key: value for key, value in self.model_dump(include=fields).items() if value is not None}

    def apply_to(self, recipe: Recipe) -> Recipe:
        """Replace the given fields of a recipe or of its in-model augmentation.

        Raises:
            pydantic.ValidationError: The resulting recipe is not valid.
        """
        content = recipe.model_dump(exclude_none=True)
        for key, value in self.recipe_changes().items():
            target = content.setdefault("in_model", {}) if key in InModelAugmentation.model_fields else content
            target[key] = value
        return Recipe.model_validate(content)
