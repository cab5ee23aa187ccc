"""The images that a verdict is about: ``confirm``, or training images judged by models that have not seen them."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from erroran.errors import BadInput
from erroran.experiment.runspec import RunSpec

FEWEST_FOLDS: Final = 2
MOST_FOLDS: Final = 20

Population = Literal["confirm", "train"]


@dataclass(frozen=True)
class Judging:
    """Which images judge a hypothesis; in specs and options ``confirm`` or ``out-of-fold=5``.

    Out of fold, the training data are divided into K folds. Each seed of an arm is K runs; the k-th is trained without
    the k-th fold and predicts it. So each image is predicted once per seed, by a model that has not seen it. The images
    of `mine`, in which pairs are mined, are trained on and predicted as well, but do not count in the verdict.

    Attributes:
        folds: K, 2 to 20; None for ``confirm``.
    """

    folds: int | None = None

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read ``confirm`` or ``out-of-fold=K``.

        Raises:
            BadInput: It is neither, or K is not from 2 to 20.
        """
        if isinstance(text, cls):
            return text
        if text == "confirm":
            return cls()
        match = re.fullmatch(r"out-of-fold=(\d{1,3})", str(text), flags=re.ASCII)
        if match is None or not FEWEST_FOLDS <= int(match[1]) <= MOST_FOLDS:
            raise BadInput(
                f"`{str(text)[:60]}` names no images to judge on.",
                fix=f"write confirm, or out-of-fold=K with K from {FEWEST_FOLDS} to {MOST_FOLDS}, as in out-of-fold=5",
            )
        return cls(int(match[1]))

    def __str__(self) -> str:
        return "confirm" if self.folds is None else f"out-of-fold={self.folds}"

    @property
    def population(self) -> Population:
        """``confirm``, or ``train`` for training images judged out of fold, with any number of folds."""
        return "confirm" if self.folds is None else "train"

    @property
    def runs_per_seed(self) -> int:
        """Number of runs of one seed of an arm."""
        return self.folds or 1

    def expand(self, spec: RunSpec) -> list[RunSpec]:
        """The runs of one seed of an arm, in the order of the folds.

        Args:
            spec: The run of this arm and seed that would be judged on `confirm`.
        """
        if self.folds is None:
            return [spec]
        return [spec.model_copy(update={"fold": (k, self.folds)}) for k in range(self.folds)]

    def relative_time(self, mine_fraction: float) -> float:
        """Training time of one seed, as a multiple of that of a run that is judged on `confirm`.

        K runs train on (K - 1) / K of the training data each, a run for `confirm` on 1 - `mine_fraction`.
        """
        return 1.0 if self.folds is None else (self.folds - 1) / (1 - mine_fraction)

    def describe(self, images: int) -> str:
        """The population of a verdict in words; `images` is the number of judged images."""
        if self.folds is None:
            return f"the {images:,} images of `confirm`"
        return f"{images:,} training images, each judged by models that had not seen it"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read by `parse`, written as text."""
        del source, handler

        def validate(value: object) -> Judging:
            try:
                return cls.parse(value)
            except BadInput as error:
                raise ValueError(f"{error.message.rstrip('.')}; {error.fix}") from error

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


CONFIRM: Final = Judging()
