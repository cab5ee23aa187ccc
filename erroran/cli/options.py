"""Options that several commands share, each named once, and how their texts are read."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erroran.cli.console import say_note
from erroran.errors import BadInput

if TYPE_CHECKING:
    from erroran.data import Dataset
    from erroran.experiment.recipe import Recipe
    from erroran.store import Store

REPORTS = Path("reports")


class RecipeName(StrEnum):
    """Training recipes."""

    STANDARD = "standard"
    FAST = "fast"
    AUGMENTED = "augmented"
    PATIENT = "patient"
    PLATEAU = "plateau"


class ScheduleName(StrEnum):
    """Learning rate schedules."""

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"


class PrecisionName(StrEnum):
    """Keras dtype policies."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


class EndpointName(StrEnum):
    """What a fix promises to lower."""

    FORWARD = "forward"
    REVERSE = "reverse"
    SUM = "sum"


class InkName(StrEnum):
    """What the ink is, compared with the ground."""

    DETECT = "detect"
    BRIGHT = "bright"
    DARK = "dark"


class DistanceName(StrEnum):
    """How the closure margin counts distance."""

    EUCLIDEAN = "euclidean"
    CHESSBOARD = "chessboard"


class MeasuredName(StrEnum):
    """Splits that can be measured."""

    MINE = "mine"
    TRAIN = "train"
    CONFIRM = "confirm"
    ALL = "all"


class SplitName(StrEnum):
    """Splits that can be mined."""

    MINE = "mine"
    CONFIRM = "confirm"


StoreOption = Annotated[Path, typer.Option("--store", envvar="ERRORAN_STORE", help="Folder of the artifact store.")]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="Baseline group to stand on; default: the latest.", metavar="ID"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout instead of tables.")]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, each in a process of its own.")]
DatasetOption = Annotated[
    str,
    typer.Option(
        help="auto (MNIST if it can be had, else digits), mnist, digits, or a path: .npz in Keras layout, .csv in "
        "Kaggle's (label,pixel0,...), or a folder with the four MNIST IDX files."
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="ERRORAN_DATA", help="Where to look for MNIST before downloading it."),
]
SeedsOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Number of runs: seeds 0, 1, 2, ...")]
SeedListOption = Annotated[
    str | None,
    typer.Option("--seed-list", help="The seeds themselves, as in 7,8,9.", metavar="N,N,..."),
]
RecipeOption = Annotated[
    RecipeName,
    typer.Option(
        help="standard: 10 plain epochs; fast: 4 epochs, one-cycle; augmented: 15 epochs, one-cycle, augmented in the "
        "model; patient: up to 120, augmented, early stopping; plateau: up to 50, also halving the rate on plateaus."
    ),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's number of epochs.")]
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's 128.")]
LearningRateOption = Annotated[float | None, typer.Option(min=0, help="Of Adam; the peak of a schedule.")]
ScheduleOption = Annotated[ScheduleName | None, typer.Option(help="Of the learning rate.")]
EarlyStoppingOption = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many epochs without a lower loss on `mine`.", metavar="EPOCHS")
]
PlateauOption = Annotated[
    int | None,
    typer.Option(min=1, help="Halve the rate after so many epochs without a lower loss on `mine`.", metavar="EPOCHS"),
]
BestWeightsOption = Annotated[
    bool | None,
    typer.Option("--best-weights/--last-weights", help="Keep the epoch with the best accuracy on `mine`, or the last."),
]
RotationOption = Annotated[
    float | None, typer.Option(help="Augment in the model: turn by up to so many degrees.", metavar="DEG")
]
ZoomOption = Annotated[
    float | None, typer.Option(help="Augment in the model: zoom by up to so many percent.", metavar="PERCENT")
]
TranslationOption = Annotated[
    float | None, typer.Option(help="Augment in the model: move by up to so many percent.", metavar="PERCENT")
]
ModelOption = Annotated[
    str,
    typer.Option(
        help="cnn, cnn-small, cnn-deep, cnn-enhanced, resnet, dense-baseline, dense-deeper, dense-dropout, "
        "dense-tuned, or your own: path/to/file.py:function."
    ),
]
PrecisionOption = Annotated[PrecisionName, typer.Option(help="Arithmetic of the layers.")]
MineFractionOption = Annotated[float, typer.Option(help="Part of the training data held out for mining, up to 0.5.")]
ControlsOption = Annotated[
    str,
    typer.Option(
        help="default (sham, logit-shift), all, none, or a list of: sham, swapped, same-op, oversample, logit-shift."
    ),
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse-baseline",
        help="Compare with the mined runs instead of fresh ones: cheaper, and stamped in the report.",
    ),
]
NameArgument = Annotated[str, typer.Argument(help="A spec in ./experiments, a shipped one, or a path.", metavar="NAME")]


def open_store(root: Path) -> "Store":
    """Open the artifact store."""
    from erroran.store import Store

    return Store(root)


def load_data(dataset: str, data_dir: Path | None) -> "Dataset":
    """Load a dataset, and say loudly what it has to note."""
    from erroran.data import load_dataset

    loaded = load_dataset(dataset, data_dir=data_dir)
    say_note(loaded.note)
    return loaded


def parse_recipe(name: RecipeName, **changes: object) -> "Recipe":
    """Build the recipe that the options ask for.

    Args:
        name: The recipe to start from.
        changes: Fields of `Recipe` or `InModelAugmentation` to values; ``None`` keeps the recipe's.
    """
    from pydantic import ValidationError

    from erroran.experiment.recipe import RECIPES, RecipeChange

    given = {key: value for key, value in changes.items() if value is not None}
    try:
        return RecipeChange.model_validate(given).apply_to(RECIPES[name.value])
    except ValidationError as error:
        problem = error.errors()[0]
        options = [str(part).removesuffix("_deg").removesuffix("_percent") for part in problem["loc"][-1:]]
        said = str(problem["msg"]).removeprefix("Value error, ").lower()
        named = " or ".join("--" + option.replace("_", "-") for option in options or ["schedule", "reduce_on_plateau"])
        raise BadInput(f"The training recipe does not work: {said}.", fix=f"change {named}, or leave it out") from error


def parse_seeds(count: int | None, listed: str | None, *, default: int) -> list[int]:
    """Read --seeds and --seed-list, of which one may be given."""
    if listed is None:
        return list(range(default if count is None else count))
    if count is not None:
        raise BadInput("--seeds and --seed-list were both given.", fix="give one of them")
    return parse_numbers(listed, option="--seed-list", example="7,8,9")


def parse_numbers(listed: str, *, option: str, example: str) -> list[int]:
    """Read different whole numbers that can be seeds."""
    fix = f"{option} {example}"
    try:
        numbers = [int(part) for part in listed.split(",")]
    except ValueError as error:
        raise BadInput(f"{option} `{listed}` is not a list of whole numbers.", fix=fix) from error
    if len(set(numbers)) < len(numbers):
        raise BadInput(f"{option} `{listed}` names a number twice.", fix=fix)
    if not all(0 <= number < 2**32 for number in numbers):
        raise BadInput(f"{option} `{listed}` has a number outside 0 to {2**32 - 1}.", fix=fix)
    return numbers
