"""Options: what the shared ones give, and pydantic models of which each field becomes an option."""

import inspect
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from typer.models import ParameterInfo

from erroran.cli.app import SHARED
from erroran.cli.console import Screen, configure, out, print_json, say_note, talk
from erroran.errors import BadInput
from erroran.experiment.recipe import RECIPES, PrecisionChoice, Recipe, RecipeChange

if TYPE_CHECKING:
    from erroran.data import Dataset
    from erroran.execution.task import Executor
    from erroran.experiment.hypothesis import Hypothesis
    from erroran.experiment.judging import Judging
    from erroran.store import Store
    from erroran.store.records import Group

REPORTS = Path("reports")
EVERY = ("store", "group", "json")
R = TypeVar("R")

RecipeName = Literal["standard", "fast", "augmented", "patient", "plateau"]
SplitName = Literal["mine", "confirm"]


@dataclass(frozen=True)
class Session:
    """The values of the shared options.

    Attributes:
        folder: The store's folder or URL.
        group_id: Beginning of a group's id; None for the latest.
        as_json: Whether stdout is for JSON alone.
    """

    folder: Path | str = Path(".erroran")
    group_id: str | None = None
    as_json: bool = False

    @cached_property
    def store(self) -> "Store":
        """The artifact store, opened when it is first needed."""
        from erroran.store import Store

        return Store(self.folder)

    @cached_property
    def group(self) -> "Group":
        """The baseline group, read when it is first needed."""
        return self.store.get_group(self.group_id)

    @property
    def screen(self) -> Screen:
        """Where tables and sentences are printed: stderr if stdout is for JSON."""
        return talk if self.as_json else out

    def show(
        self,
        content: Any,
        *,
        headline: str = "",
        table: Sequence[Sequence[str]] = (),
        wrote: object = None,
        note: str | None = None,
    ) -> None:
        """Print a command's result: as JSON, or as a note, a headline, a table and the files that were written.

        Args:
            content: A `Result`, or what `json.dumps` takes.
            headline: One sentence.
            table: The header and the rows.
            wrote: Paths.
            note: An important remark.
        """
        if self.as_json:
            print_json(content.to_json() if hasattr(content, "to_json") else content)
            return
        say_note(note)
        if headline:
            out.print(headline, style="bold")
        if table:
            out.table(*table)
        if wrote:
            talk.print(f"wrote {wrote}")

    def write_index(self) -> None:
        """Write the index of all reports."""
        from erroran.report.index import write_index
        from erroran.stages.report import list_verdicts

        write_index(list_verdicts(self.store), self.store.ledger.entries(), REPORTS)

    def keep_finding(self, kind: str, key: str, sentence: str, table: "Sequence[Sequence[str]]") -> None:
        """Keep the result of a command for the page of its hypothesis; `key` is a `hypothesis_key`."""
        from erroran.provenance import command_line, now
        from erroran.store.records import Finding

        rows = tuple(tuple(row) for row in table)
        self.store.put_artifact(
            kind, key, Finding(sentence=sentence, table=rows, created=now(), command=command_line())
        )


@dataclass(frozen=True)
class Only:
    """Marks a parameter whose model gives only some of its fields as options."""

    fields: tuple[str, ...]


class Options(BaseModel):
    """Base of the models below."""

    model_config = ConfigDict(extra="forbid", frozen=True)


DataDir = Annotated[Path | None, Field(description="Folder to search for MNIST before downloading it.")]
Count = Annotated[int | None, Ge(1), Le(1000)]


class DataOptions(Options):
    """The dataset."""

    dataset: str = Field(
        default="auto",
        description="auto (MNIST if available, otherwise digits), mnist, digits, or a path: .npz in Keras layout, .csv "
        "in Kaggle's (label,pixel0,...), or a folder with the four MNIST IDX files.",
    )
    data_dir: DataDir = None

    def load(self, store: "Store | None" = None) -> "Dataset":
        """Load the dataset, from the store if its files were read before, and print its note."""
        from erroran.data import load_dataset

        loaded = load_dataset(self.dataset, data_dir=self.data_dir, kept=store)
        say_note(loaded.note)
        return loaded


class OtherDataOptions(Options):
    """A dataset that replaces the baseline's."""

    dataset: str | None = Field(
        default=None, description="Instead of the baseline's dataset: auto, mnist, digits or a path."
    )
    data_dir: DataDir = None

    def load(self, session: Session) -> "tuple[Dataset, float]":
        """Load the given dataset, else the baseline's, with its fraction of images to mine."""
        if self.dataset is not None or not session.store.has_group():
            return DataOptions(dataset=self.dataset or "auto", data_dir=self.data_dir).load(), 0.1
        template = session.group.template
        return session.store.get_dataset(template.dataset), template.mine_fraction


class SeedOptions(Options):
    """The runs to train."""

    seeds: Count = Field(default=None, description="Number of runs: seeds 0, 1, 2, ...")
    seed_list: str | None = Field(default=None, description="The seeds themselves, as in 7,8,9.")

    def listed(self) -> list[int] | None:
        """The seeds of --seed-list.

        Raises:
            BadInput: It cannot be read, or --seeds was given as well.
        """
        if self.seed_list is None:
            return None
        if self.seeds is not None:
            raise BadInput("--seeds and --seed-list were both given.", fix="give one of them")
        return parse_numbers(self.seed_list, option="--seed-list", example="7,8,9")


class JobOptions(Options):
    """Where runs are trained, and how many at a time."""

    jobs: str = Field(
        default="auto",
        description="Runs at a time on this machine. auto: one worker of one thread per core, as the memory allows; "
        "1: one after another with all threads, better for large models; N: N workers that share the cores.",
    )
    executor: str = Field(
        default="local",
        description="local, or a cluster: dask=HOST:PORT, ray=HOST:PORT, ray (starts one here); or vectorized: 16 "
        "seeds as one program on JAX (vectorized=32 for 32).",
    )

    def choose(self) -> "Executor":
        """The executor; BadInput if it cannot be had."""
        from erroran.execution.choose import choose_executor

        if self.jobs != "auto" and not (self.jobs.isdecimal() and int(self.jobs) > 0):
            raise BadInput(f"--jobs `{self.jobs}` is neither auto nor a number from 1 on.", fix="--jobs 2")
        return choose_executor(self.executor, None if self.jobs == "auto" else int(self.jobs))


class TrainingOptions(Options):
    """What is trained, and how, except for single settings of the recipe."""

    recipe: RecipeName = Field(
        default="standard",
        description="standard: 10 plain epochs; fast: 4 epochs, one-cycle; augmented: 15 epochs, one-cycle, augmented "
        "in the model; patient: up to 120, augmented, early stopping; plateau: up to 50, also halving the rate on "
        "plateaus.",
    )
    model: str = Field(
        default="cnn",
        description="cnn, cnn-small, cnn-deep, cnn-enhanced, resnet, dense-baseline, dense-deeper, dense-dropout, "
        "dense-tuned, or your own: path/to/file.py:function.",
    )
    precision: PrecisionChoice = Field(
        default="auto",
        description="Arithmetic of the layers; auto: mixed_bfloat16 if this processor has it (AVX512_BF16 or AMX) and "
        "the model is not your own, otherwise float32. All arms share the baseline's.",
    )
    mine_fraction: float = Field(default=0.1, description="Part of the training data held out for mining, up to 0.5.")


class BaselineOptions(JobOptions, RecipeChange, TrainingOptions, SeedOptions, DataOptions):
    """All that `baseline` needs."""

    def chosen(self) -> list[int]:
        """The seeds; by default 0, 1, 2."""
        listed = self.listed()
        return list(range(self.seeds or 3)) if listed is None else listed


class ControlOptions(Options):
    """The controls of an intervention."""

    controls: str = Field(
        default="default",
        description="default (sham, logit-shift), all, none, or a list of: sham, swapped, same-op, oversample, "
        "logit-shift.",
    )

    def names(self) -> tuple[str, ...]:
        """The names of the controls."""
        from erroran.experiment.controls import parse_controls

        return parse_controls(self.controls)


class ArmOptions(ControlOptions):
    """The arms of an intervention."""

    reuse_baseline: bool = Field(
        default=False,
        description="Compare with the mined runs instead of fresh ones: cheaper, and stated in the report.",
    )
    judge: str | None = Field(
        default=None,
        description="The images of the verdict: confirm, or out-of-fold=5: all training images but those of mine, each "
        "predicted by models that have not seen it (5 runs per seed and arm). Default: the spec's.",
    )

    def judged(self, hypothesis: "Hypothesis") -> "Hypothesis":
        """The hypothesis, judged as --judge says."""
        judging = self.judging()
        return hypothesis if judging is None else hypothesis.model_copy(update={"judge": judging})

    def judging(self) -> "Judging | None":
        """The images of --judge; None for those of the spec. BadInput if it names none."""
        from erroran.experiment.judging import Judging

        return None if self.judge is None else Judging.parse(self.judge)


class LookOptions(Options):
    """Looks instead of a fixed number of seeds."""

    until_decided: bool = Field(
        default=False,
        description="Train and judge after 5, 10, 15, 20, 30, ... seeds per arm until the verdict is decided. The "
        "looks are planned and registered beforehand, and together have the level of one test. The baseline's first "
        "runs, without the treatment's, show after how many seeds, up to --max-seeds, more would teach little: there "
        "the last look is made.",
    )
    max_seeds: Annotated[int | None, Ge(2), Le(1000)] = Field(
        default=None, description="Most seeds per arm with --until-decided; default 40."
    )

    def most_seeds(self) -> int | None:
        """The most seeds per arm; None without --until-decided.

        Raises:
            BadInput: --max-seeds without --until-decided.
        """
        from erroran.verdict.sequential import MAX_SEEDS

        if self.until_decided:
            return self.max_seeds or MAX_SEEDS
        if self.max_seeds is not None:
            raise BadInput("--max-seeds goes with --until-decided.", fix="add --until-decided, or give --seeds instead")
        return None


class InterveneOptions(JobOptions, ArmOptions, LookOptions, SeedOptions):
    """All that `intervene` needs besides the hypothesis."""

    seeds: Count = Field(default=None, description="Runs per arm, instead of the spec's.")
    epochs: int | None = Field(default=None, ge=1, description="Epochs, instead of the recipe's.")


NameArgument = Annotated[str, typer.Argument(help="A spec in ./experiments, a shipped one, or a path.", metavar="NAME")]
InModelOnly = Annotated[RecipeChange, Only(("rotation_deg", "zoom_percent", "translation_percent"))]
BaselineOfRun = Annotated[
    BaselineOptions,
    Only(
        (
            *DataOptions.model_fields,
            *TrainingOptions.model_fields,
            "seeds",
            "epochs",
            "batch_size",
            *JobOptions.model_fields,
        )
    ),
]

# How options are written where the field alone does not tell.
_SPELLED: Mapping[str, Mapping[str, str]] = {
    "best_weights": {"flag": "--best-weights/--last-weights"},
    "data_dir": {"envvar": "ERRORAN_DATA"},
    "executor": {"metavar": "WHERE"},
    "jobs": {"metavar": "auto|N"},
    "early_stopping": {"metavar": "EPOCHS"},
    "judge": {"metavar": "IMAGES"},
    "reduce_on_plateau": {"metavar": "EPOCHS"},
    "seed_list": {"metavar": "N,N,..."},
}
_UNITS = {"_deg": "DEG", "_percent": "PERCENT"}


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, tuple[str, str]], list[str]]:
    """The help text of a command, metavar and help of its options, and its examples.

    Below the help text, a section "Options:" has entries ``name: help`` or ``name METAVAR: help``, and a section
    "Examples:" one command a line.
    """
    text, _, examples = (inspect.getdoc(function) or "").partition("\n\nExamples:\n")
    text, _, options = text.partition("\n\nOptions:\n")
    entries = re.findall(r"^    (\w+)(?: (\S+))?: (.+(?:\n {8}.+)*)", options, flags=re.MULTILINE)
    helps = {name: (metavar, " ".join(lines.split())) for name, metavar, lines in entries}
    return text, helps, [line.strip() for line in examples.splitlines()]


def expand(function: Callable[..., R], shared: Sequence[str]) -> Callable[..., R]:
    """Give a command the shared options, and an option for each field of its models.

    Args:
        function: Its parameters are models, options (described in the docstring), what Typer declares, and perhaps one
            `Session`.
        shared: Names in `SHARED`; ``--quiet`` is always added.

    Returns:
        A function whose parameters are single options; Typer reads them from its signature.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    helps = read_docstring(function)[1]
    given = inspect.signature(function).parameters
    models = {name: model for name in given if (model := _model_of(hints[name]))}
    parameters = {"context": _keyword("context", typer.Context)}
    for name, parameter in given.items():
        kind, *extras = typing.get_args(hints[name]) if typing.get_origin(hints[name]) is Annotated else (hints[name],)
        if name in models:
            for field, info in models[name][1].items():
                parameters[field] = _option(field, info.annotation, info.metadata, info.default, info.description)
        elif kind is typer.Context or any(isinstance(extra, ParameterInfo) for extra in extras):
            parameters[name] = _keyword(name, hints[name], parameter.default)
        elif kind is not Session:
            metavar, text = helps.get(name, ("", None))
            parameters[name] = _option(name, kind, extras, parameter.default, text, metavar)
    for name in (*shared, "quiet"):
        parameters[name] = _keyword(name, SHARED[name], False if name in ("json", "quiet") else None)

    def command(**values: Any) -> R:
        session = merge(values["context"], {name: values[name] for name in (*shared, "quiet")}, shared)
        for name, (model, fields) in models.items():
            values[name] = _build(model, {field: values[field] for field in fields})
        return function(**{name: session if hints[name] is Session else values[name] for name in given})

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return command


def build_recipe(name: str, change: RecipeChange) -> Recipe:
    """Build the recipe that the options ask for.

    Raises:
        BadInput: The parts do not go together.
    """
    try:
        return change.apply_to(RECIPES[name])
    except ValidationError as error:
        raise _refuse(error, "The training recipe does not work", ["schedule", "reduce_on_plateau"]) from error


def parse_numbers(listed: str, *, option: str, example: str) -> list[int]:
    """Read different whole numbers from 0 to 2^32 - 1."""
    try:
        numbers = [int(part) for part in listed.split(",")]
    except ValueError:
        problem = "is not a list of whole numbers"
    else:
        if len(set(numbers)) == len(numbers) and all(0 <= number < 2**32 for number in numbers):
            return numbers
        repeated = len(set(numbers)) < len(numbers)
        problem = "names a number twice" if repeated else f"has a number outside 0 to {2**32 - 1}"
    raise BadInput(f"{option} `{listed}` {problem}.", fix=f"{option} {example}")


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _model_of(hint: Any) -> tuple[type[BaseModel], dict[str, FieldInfo]] | None:
    kind, *extras = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return None
    only = next((extra.fields for extra in extras if isinstance(extra, Only)), kind.model_fields)
    return kind, {name: kind.model_fields[name] for name in only}


def _option_name(field: str) -> str:
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return "--" + field.replace("_", "-")


def _option(
    name: str, kind: Any, limits: Sequence[Any], default: Any, text: str | None, metavar: str = ""
) -> inspect.Parameter:
    settings: dict[str, Any] = {"flag": _option_name(name), **_SPELLED.get(name, {})}
    for unit, shown in {**_UNITS, name: metavar}.items():
        if shown and name.endswith(unit):
            settings["metavar"] = shown
    for limit in limits:
        match limit:
            case Ge(ge=low) | Gt(gt=low):
                settings["min"] = low
            case Le(le=high):
                settings["max"] = high
    return _keyword(name, Annotated[kind, typer.Option(settings.pop("flag"), help=text, **settings)], default)


def _build(model: type[BaseModel], values: Mapping[str, object]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refuse(error, "An option has a wrong value", []) from error


def _refuse(error: ValidationError, what: str, otherwise: list[str]) -> BadInput:
    problem = error.errors()[0]
    said = str(problem["msg"]).removeprefix("Value error, ").lower()
    options = [_option_name(str(part)) for part in problem["loc"][-1:] or otherwise]
    return BadInput(f"{what}: {said}.", fix=f"change {' or '.join(options)}, or leave it out")


def merge(context: typer.Context, given: Mapping[str, Any], taken: Sequence[str]) -> Session:
    """Merge the shared options before and after the command, and apply --quiet and --store."""
    shared = context.meta.setdefault("erroran", {})
    shared |= {name: value for name, value in given.items() if value not in (None, False)}
    if context.invoked_subcommand is None:
        for name in sorted({"group", "json"} & shared.keys() - {*taken}):
            raise BadInput(f"`{context.command_path}` takes no --{name}.", fix=f"leave out --{name}")
    named = shared.get("store")
    if named == "":
        raise BadInput("--store names no folder.", fix="--store FOLDER, or leave it out")
    configure(quiet=shared.get("quiet", False), store=named)
    folder = named or os.environ.get("ERRORAN_STORE") or ".erroran"
    folder = folder.removeprefix("file://")
    return Session(
        folder if "://" in folder else Path(folder).expanduser(), shared.get("group"), shared.get("json", False)
    )
