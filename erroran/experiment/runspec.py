"""Everything that decides the outcome of a run, and the key computed from it."""

import hashlib
import json
from typing import Any

from pydantic import Field

from erroran.experiment.change import Augmentations, Change, DataChange
from erroran.experiment.recipe import Precision, Recipe
from erroran.experiment.specfile import Strict

FORMAT = 2
"""Version of the key: raised when equal specs would no longer give equal runs."""


class Environment(Strict):
    """The software that a run's key records.

    Number of threads and device, which change only the rounding of sums, are in `RunRecord.machine` instead.

    Attributes:
        backend: Keras' backend: ``tensorflow``, ``jax`` or ``torch``.
        versions: Package name to version: keras, the backend, numpy, opencv-python.
        code: Digests of erroran's own code, comments and docstrings left out: ``training``, ``model`` (the file that
            defines the architecture; empty for one of the user's own) and ``operations``.
    """

    backend: str
    versions: dict[str, str]
    code: dict[str, str]


class RunSpec(Strict):
    """Everything that decides the outcome of a run.

    Attributes:
        dataset: The dataset's digest.
        mine_fraction: Part of the training data that is held out as `mine`.
        model: Name of the architecture; for one of the user's own, ``file.py:function``.
        recipe: How it is trained.
        environment: The software that trains it.
        precision: Keras dtype policy.
        seed: Seed of initial weights, sample order, dropout and augmentation.
        augment: Class name (or ``all``) to the operations on its training images; empty for a baseline.
        class_weights: Class name to its weight in the loss.
        data: Changes of the training set; ``add`` is a dataset's digest.
        fold: ``(k, K)``: hold out the k-th of K parts of the training data as `mine`, instead of `mine_fraction`.
        source: Digest of the code of a model of the user's own, which the store keeps.
    """

    dataset: str
    mine_fraction: float
    model: str
    recipe: Recipe
    environment: Environment
    precision: Precision = "float32"
    seed: int = Field(ge=0, lt=2**32)
    augment: Augmentations = Field(default_factory=dict)
    class_weights: dict[str, float] = Field(default_factory=dict)
    data: DataChange = DataChange()
    fold: tuple[int, int] | None = None
    source: str | None = None

    @property
    def id(self) -> str:
        """The run's key: 12 hexadecimal digits of the SHA-256 of its whole content, defaults included, as JSON.

        The recipe's name is left out, and the code of operations for a run without operations.
        """
        return _digest(self.model_dump(mode="json"), operations=bool(self.augment))

    @property
    def group_id(self) -> str:
        """The key that all runs of a baseline share: without seed, fold, augmentation, class weights and data."""
        content = self.model_dump(mode="json", exclude={"seed", "augment", "class_weights", "data", "fold"})
        return _digest(content, operations=False)

    @property
    def is_baseline(self) -> bool:
        """Whether it has nothing from a treatment, except perhaps model and recipe."""
        return not (self.augment or self.class_weights or self.data)

    def changed(self, change: Change, *, source: str | None = None, added: str | None = None) -> "RunSpec":
        """The spec of the same run under a treatment.

        `source` is the digest of the code of the user's own model in `change`, `added` that of the dataset it adds.
        """
        update: dict[str, Any] = {
            "augment": change.augment,
            "class_weights": change.class_weights,
            "data": change.data.model_copy(update={"add": added}),
            "recipe": change.recipe.apply_to(self.recipe),
        }
        if change.model is not None:
            update |= {"model": change.model, "source": source}
        return self.model_copy(update=update)


def _digest(content: dict[str, Any], *, operations: bool) -> str:
    del content["recipe"]["name"]
    if not operations:
        content["environment"]["code"].pop("operations", None)
    canonical = json.dumps({"format": FORMAT, **content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
