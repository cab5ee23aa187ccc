"""What the store keeps as JSON: finished runs, baseline groups, interventions."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from erroran.experiment.change import Change
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.judging import Judging
from erroran.experiment.runspec import Environment, RunSpec
from erroran.stats.intervals import Effect
from erroran.verdict.sequential import Design, Levels, Replanned

_STRICT = ConfigDict(extra="forbid", frozen=True)


class _ListedRecipe(BaseModel):
    name: str
    epochs: int


class _ListedSpec(BaseModel):
    dataset: str
    model: str
    seed: int
    fold: tuple[int, int] | None
    recipe: _ListedRecipe


class ListedRun(BaseModel):
    """What a list shows of a run; of thousands of records it is read much faster than `RunRecord`.

    Attributes:
        id: The run's key, the name of its folder.
        spec: Some of the fields of its `RunSpec`.

    The other fields are those of `RunRecord`.
    """

    id: str = ""
    spec: _ListedSpec
    arm: str
    dataset_name: str
    accuracy_mine: float
    accuracy_confirm: float
    seconds: float
    created: str

    def summary(self) -> dict[str, object]:
        """The flat object that ``erroran runs --json`` prints."""
        spec, keys = self.spec, ("accuracy_mine", "accuracy_confirm", "seconds", "created")
        run = {"id": self.id, "arm": self.arm, "seed": spec.seed, "dataset": self.dataset_name, "model": spec.model}
        recipe = {"recipe": spec.recipe.name, "epochs": spec.recipe.epochs}
        return run | recipe | {key: getattr(self, key) for key in keys}


class RunRecord(BaseModel):
    """A finished run.

    Attributes:
        spec: Everything that decides the run's outcome.
        arm: ``baseline``, or the name of the hypothesis or control that the run was first trained for.
        dataset_name, note: Of the `Dataset`.
        accuracy_mine, accuracy_confirm: Fraction of the split that is predicted correctly, 0 to 1.
        seconds: Wall-clock time of training and prediction.
        created: UTC, ISO 8601.
        command: The command line that trained it.
        versions, commit, machine: See `erroran.provenance`.
        parameters: Number of the model's parameters.
        history: Per epoch: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``; the last two on `mine`, or on the
            validation part if the recipe chooses epochs.
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

    def listed(self) -> ListedRun:
        """What a list shows of it."""
        return ListedRun.model_validate({**self.model_dump(), "id": self.id})


class Group(BaseModel):
    """The last `baseline` command of a dataset, model, recipe and environment.

    Attributes:
        template: The spec of its runs; the seed in it has no meaning.
        seeds: Its seeds, in order. Mining uses exactly these; earlier ones are in `Store.mined_seeds`.
        dataset_name, note: Of the `Dataset`.
        updated: UTC, ISO 8601; see `Store.get_group`.
        command: The command line.
        study: Name of the study that trained it, if any.
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
        change: Change | None = None,
        *,
        epochs: int | None = None,
        fold: tuple[int, int] | None = None,
        environment: Environment | None = None,
        source: str | None = None,
        added: str | None = None,
    ) -> RunSpec:
        """The spec of one run of this group.

        Args:
            seed: Its seed.
            change: The treatment; None for a baseline run.
            epochs: Replaces the group's.
            fold: See `RunSpec`.
            environment: Replaces the group's.
            source: See `RunSpec.changed`.
            added: See `RunSpec.changed`.
        """
        recipe = self.template.recipe
        if epochs is not None:
            recipe = recipe.model_copy(update={"epochs": epochs})
        update = {"seed": seed, "recipe": recipe, "fold": fold, "environment": environment or self.template.environment}
        spec = self.template.model_copy(update=update)
        return spec if change is None else spec.changed(change, source=source, added=added)


class ReadFiles(BaseModel):
    """Which dataset some files are, so that they need not be read again; fields are those of the `Dataset`."""

    model_config = _STRICT

    dataset: str
    name: str
    source: str
    note: str | None


class PlannedLook(BaseModel):
    """What a look of a sequential design showed.

    Attributes:
        seeds: Runs per arm.
        alpha: Two-sided nominal level of its tests and intervals.
        word, sentence: The verdict at this level.
    """

    model_config = _STRICT

    seeds: int
    alpha: float
    word: str
    sentence: str


class Intervention(BaseModel):
    """The runs of one `intervene` command.

    Attributes:
        name: The hypothesis' name.
        hypothesis: Its spec at that time.
        group: Id of the baseline group.
        epochs: Epochs of every run.
        arms: Arm name to the ids of its runs, in the order of `seeds`; the first is ``baseline``, the second
            the treatment. Out of fold, each seed has one run per fold, in the order of the folds. Controls may have
            fewer seeds than these two.
        seeds: The runs' seeds, the same in every arm.
        controls: Names of the requested controls, also of those without an arm.
        not_applicable: Control without an arm to the reason why it makes no sense for this change.
        fresh_baseline: Whether none of the baseline's seeds was mined.
        design: The looks that are followed; None if the number of seeds was fixed. `seeds` are then those of the last
            look that was made.
        replanned: How these looks were chosen from the baseline's first runs; None if they are as registered.
        looks: What the planned looks showed, in order.
        created: UTC, ISO 8601.
        command: The command line.
    """

    model_config = _STRICT

    name: str
    hypothesis: Hypothesis
    group: str
    epochs: int
    arms: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    controls: tuple[str, ...]
    not_applicable: dict[str, str] = {}
    fresh_baseline: bool
    design: Design | None = None
    replanned: Replanned | None = None
    looks: tuple[PlannedLook, ...] = ()
    created: str
    command: str

    @property
    def max_seeds(self) -> int | None:
        """Seeds per arm at the last look as registered; None if the number of seeds was fixed."""
        if self.replanned is not None:
            return self.replanned.planned
        return None if self.design is None else self.design.horizon

    @property
    def levels(self) -> Levels:
        """The levels at which the arms are judged, as options of `decide.judge`; empty for its defaults."""
        return {} if self.design is None else self.design.levels_at(len(self.seeds))

    @property
    def key(self) -> str:
        """The intervention's key in the store."""
        return hypothesis_key(self.group, self.name, self.hypothesis)

    @property
    def judging(self) -> Judging:
        """Which images judge the hypothesis."""
        return self.hypothesis.judge

    def runs_of(self, arm: str, n_seeds: int | None = None) -> tuple[str, ...]:
        """The ids of an arm's runs of its first `n_seeds` seeds, by default of all."""
        size = self.judging.runs_per_seed
        return self.arms[arm][: size * (len(self.seeds) if n_seeds is None else n_seeds)]

    def first_runs(self, arm: str) -> tuple[str, ...]:
        """One run of each seed of an arm: out of fold, that of the first fold."""
        return self.arms[arm][:: self.judging.runs_per_seed]


def hypothesis_key(group_id: str, name: str, hypothesis: Hypothesis) -> str:
    """The key of what the store keeps about a version of a hypothesis: group, name and hash of the spec."""
    return f"{group_id}/{name}-{hypothesis.hash}"


class StoredVerdict(BaseModel):
    """The verdict on an intervention, as the index lists it.

    Attributes:
        name, group, seeds, created: Of the `Intervention`; `pair` and `spec_hash` of its hypothesis.
        population: The judged images in words; `distinct_images` of them show the error of the endpoint in any run.
        endpoint: The primary endpoint in words.
        word, sentence: The verdict.
        advice: What to do.
        change: -1 if the endpoint fell significantly, 1 if it rose, else 0.
        effect: The endpoint's change.
        worthwhile_percent: The smallest reduction that is worth having.
    """

    model_config = _STRICT

    name: str
    pair: str
    group: str
    spec_hash: str
    seeds: tuple[int, ...]
    created: str
    population: str
    distinct_images: int
    endpoint: str
    word: str
    sentence: str
    advice: str
    change: int
    effect: Effect
    worthwhile_percent: float

    @model_validator(mode="before")
    @classmethod
    def _read_earlier(cls, content: Any) -> Any:
        """Version 0.3.0 had one level for all intervals."""
        if isinstance(content, dict) and isinstance(effect := content.get("effect"), dict) and "confidence" in effect:
            return content | {"effect": {"images_confidence": effect["confidence"]} | effect}
        return content


class Finding(BaseModel):
    """What `probe` or `stress` found about a version of a hypothesis, for the hypothesis' page.

    Attributes:
        sentence: The result in a sentence.
        table: The header, then the rows, as text.
        created: UTC, ISO 8601.
        command: The command line.
    """

    model_config = _STRICT

    sentence: str
    table: tuple[tuple[str, ...], ...]
    created: str
    command: str
