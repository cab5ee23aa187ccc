"""The study spec: models to train under equal conditions, accuracies reported for them, and claims to check."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from erroran.errors import NotFound
from erroran.experiment.recipe import RECIPES, PrecisionChoice, Recipe, RecipeChange
from erroran.experiment.specfile import Strict, find_spec_file, read_spec

_RecipeName = Literal["standard", "fast", "augmented", "patient", "plateau"]
_Accuracy = Annotated[float, Field(gt=0, lt=1)]


class StudyModel(RecipeChange):
    """One model of a study, and how its training differs from its recipe.

    Attributes:
        model: As given to ``--model``.
        recipe: Instead of the study's recipe.
        reported: Accuracy reported elsewhere, 0..1, shown beside the measured one.
        note: A remark for the report, such as a reduced number of epochs.

    All other attributes replace those of the recipe; see `RecipeChange`.
    """

    model: str
    recipe: _RecipeName | None = None
    reported: _Accuracy | None = None
    note: str | None = None

    def training(self, default: str) -> Recipe:
        """The recipe that this model is trained with; `default` is the name of the study's."""
        return self.apply_to(RECIPES[self.recipe or default])


class Claim(Strict):
    """A published claim that one model is more accurate than another, by `points` percentage points of accuracy."""

    text: str
    better: str
    worse: str
    points: float | None = None


class Study(Strict):
    """The models that a study trains, and the claims that it checks.

    Attributes:
        title: The report's subject.
        models: At least one.
        claims: Claims to check.
        seeds: Runs per model: seeds 0, 1, 2, ...
        recipe: For models that name none.
        precision: Keras dtype policy of all runs; ``auto`` is chosen by the processor.
        mine_fraction: Validation data: part of each class of the training data, held out as `mine`.
    """

    title: str
    models: tuple[StudyModel, ...] = Field(min_length=1)
    claims: tuple[Claim, ...] = ()
    seeds: int = Field(default=3, ge=1, le=1000)
    recipe: _RecipeName = "standard"
    precision: PrecisionChoice = "auto"
    mine_fraction: float = Field(default=0.1, gt=0, le=0.5)

    @model_validator(mode="after")
    def _models_and_claims_fit(self) -> Self:
        names = [entry.model for entry in self.models]
        if len(set(names)) < len(names):
            raise ValueError("a model is listed twice")
        for claim in self.claims:
            for name in (claim.better, claim.worse):
                if name not in names:
                    raise ValueError(f"the claim `{claim.text}` is about `{name}`, which is not among the models")
        for entry in self.models:
            entry.training(self.recipe)  # raises if a recipe is not valid
        return self


def read_study(path: Path) -> Study:
    """Read and check a study's file; errors as in `read_spec`."""
    return read_spec(path, Study, see="erroran study", others={"pair": "erroran intervene"})


def find_study(name: str, folders: Sequence[Path]) -> Path:
    """Find a study as `find_spec_file` does; NotFound suggests a similar name."""
    found = find_spec_file(name, folders, what="study")
    if found is not None:
        return found
    known = sorted({path.stem for folder in folders for path in folder.glob("*-study.toml")})
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    raise NotFound(
        f"There is no study `{name}` in {folders[0]}/ or among those shipped ({', '.join(known) or 'none'}).",
        fix=f"erroran study {near[0] if near else 'path/to/study.toml'}",
    )
