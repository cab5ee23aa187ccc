"""Train the arms of a hypothesis: a baseline, the treatment, and controls, which differ only in their change."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Unpack

import numpy as np
from pydantic import ValidationError

from erroran import provenance
from erroran.data import Dataset, Part, load_dataset
from erroran.errors import BadInput, ErroranError, NotFound
from erroran.execution.driver import Completed, Request, complete_runs
from erroran.execution.task import Executor
from erroran.experiment.change import ALL_CLASSES, Change, Step
from erroran.experiment.controls import DEFAULT_CONTROLS, FindGains, build_controls
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.recipe import Precision
from erroran.experiment.runspec import RunSpec
from erroran.operations.apply import apply_dose
from erroran.operations.intensity import match_gain
from erroran.shape.exposure import Exposure, measure_exposure
from erroran.store import Intervention, Store
from erroran.store.environment import check_environment, current_environment
from erroran.store.evidence import gather_judged
from erroran.store.ledger import Entry
from erroran.store.records import Group, PlannedLook, RunRecord
from erroran.store.stamps import find_begun_design, look_entry
from erroran.training.fit import Progress, training_parts
from erroran.training.models import check_model, find_model
from erroran.verdict.decide import Verdict, judge_hypothesis
from erroran.verdict.plan import replan
from erroran.verdict.sequential import Design, Levels, Look, Replanned, decide_in_looks
from erroran.verdict.table import IMPROVED

FIRST_FRESH_SEED = 1000
"""The seeds of interventions start here, far from those that people type for a baseline."""
_IMAGES_FOR_GAIN = 500


def intervene(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    seeds: Sequence[int] | None = None,
    n_seeds: int | None = None,
    design: Design | None = None,
    epochs: int | None = None,
    controls: Sequence[str] = DEFAULT_CONTROLS,
    fresh_baseline: bool = True,
    executor: Executor | None = None,
    before_training: Callable[[int, Design | None], None] = lambda *_: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
    after_replanning: Callable[[Replanned], None] = lambda _: None,
    after_look: Callable[[Look, Design], None] = lambda *_: None,
    before_measuring: Callable[[], None] = lambda: None,
) -> tuple[Intervention, Completed]:
    """Train every arm of a hypothesis; runs that are in the store already are not trained again.

    All input is checked before anything is written. Then the hypothesis is entered in the ledger and the arms are
    trained. At the end the changes that the operations made to the treatment's training images are measured.

    With a design, the baseline's runs of the first look are trained first; they tell which look should be the last
    (`plan.replan`). Then baseline and treatment are trained and judged look by look until the verdict is decided. The
    controls have the seeds of the first look, and those of the last one if the treatment improved. A design that was
    planned again, or of which a look has been made, is continued.

    Args:
        store: Holds the baseline group.
        group: Gives dataset, model, recipe and precision.
        name: The hypothesis' name, and that of its arm.
        hypothesis: Its spec.
        seeds: The seeds of every arm.
        n_seeds: Runs per arm, without `seeds`; by default the spec's.
        design: Looks instead of a fixed number of seeds; without `seeds` and `n_seeds`, with a fresh baseline.
        epochs: Epochs of every arm; by default the spec's, else the recipe's.
        controls: See `erroran.experiment.controls`.
        fresh_baseline: Train the baseline with seeds that no mining has used. Otherwise it is the mined runs, whose
            errors were chosen for being frequent, so that every fix looks better than it is.
        executor: See `complete_runs`.
        before_training: Called once everything has been checked, with the largest number of seeds and the design;
            without a design not if all runs are in the store.
        on_progress: Called every few steps of a training.
        on_finished: Called with each run that was trained.
        after_replanning: Called once the last look of a design was chosen again.
        after_look: Called after each look of a design.
        before_measuring: Called once every run is finished.

    Raises:
        NotFound: The spec names a class, a model or a dataset that does not exist.
        BadInput: A seed was mined or is missing, `name` is that of another arm, another design was begun, or the change
            cannot be trained: its model, recipe, operations or data do not fit the dataset or the baseline's recipe.
    """
    dataset = store.get_dataset(group.template.dataset)
    check_classes(hypothesis, dataset.class_names)
    mined = store.mined_seeds(group.template.dataset)
    judging = hypothesis.judge
    _check_judging(store, group, name, hypothesis, fresh=fresh_baseline)
    epochs = epochs or hypothesis.epochs or group.template.recipe.epochs
    registration = Entry(
        kind="registered",
        dataset=group.template.dataset,
        group=group.id,
        name=name,
        pair=str(hypothesis.pair),
        spec_hash=hypothesis.hash,
        epochs=epochs,
        recipe=group.template.recipe.name,
        population=judging.population,
        worthwhile_percent=hypothesis.worthwhile_percent,
    )
    begun = None
    if design is not None:
        _check_looks(seeds, n_seeds, fresh=fresh_baseline)
        begun = _find_begun(store, registration, design)
        n_seeds = design.horizon
    chosen = _choose_seeds(group, mined, seeds, n_seeds or hypothesis.seeds, fresh=fresh_baseline)
    settings = (tuple(chosen), epochs, fresh_baseline, None if design is None else design.horizon)
    controls = _with_earlier(store, group, name, hypothesis, controls, settings)
    built = build_controls(hypothesis, controls, find_gains(dataset))
    if name in ("baseline", *built.arms):
        raise BadInput(f"`{name}` is the name of another arm.", fix="rename the spec file")
    model, source = _resolve_model(store, hypothesis, dataset, group.template.precision)
    added = load_dataset(hypothesis.data.add) if hypothesis.data.add is not None else None
    baseline = [_baseline_spec(group, seed, epochs, fresh=fresh_baseline) for seed in chosen]
    specs = {"baseline": [run for spec in baseline for run in judging.expand(spec)]}
    for arm, change in {name: hypothesis.change, **built.arms}.items():
        resolved = change.model_copy(update={"model": model})
        of_arm = [_changed_spec(group, seed, epochs, resolved, source, added) for seed in chosen]
        specs[arm] = [run for spec in of_arm for run in judging.expand(spec)]
    if specs[name][0].id == specs["baseline"][0].id:
        raise BadInput(
            f"The change of `{name}` leaves the baseline's runs as they are: {'; '.join(hypothesis.describe())}.",
            fix="change the spec, or train another baseline",
        )
    size = judging.runs_per_seed
    _check(store, dataset, [of_arm[k] for k in range(size) for of_arm in specs.values()], added)
    if design is not None or not all(store.has_run(spec.id) for of_arm in specs.values() for spec in of_arm):
        before_training(len(chosen), design)

    if added is not None:
        store.put_dataset(added)
    if begun is None:
        store.ledger.record(registration.model_copy(update={"design": design}))
    whole = Intervention(
        name=name,
        hypothesis=hypothesis,
        group=group.id,
        epochs=epochs,
        arms={arm: tuple(spec.id for spec in of_arm) for arm, of_arm in specs.items()},
        seeds=tuple(chosen),
        controls=tuple(controls),
        not_applicable=built.not_applicable,
        fresh_baseline=fresh_baseline,
        created=provenance.now(),
        command=provenance.command_line(),
    )
    complete = partial(complete_runs, store, executor=executor, on_progress=on_progress, on_finished=on_finished)
    arms = _Arms(store, whole, specs, complete)
    if design is None:
        intervention = arms.train()
    else:
        if begun is None:
            replanned = arms.replan(registration, design)
            begun = replanned.design, replanned
        intervention = arms.decide(*begun, group, after_replanning, after_look)
    if hypothesis.augment:
        before_measuring()
        gather_exposure(store, intervention)
    return intervention, Completed(arms.records, arms.trained)


class _Arms:
    """The arms of an intervention while they are trained.

    Attributes:
        records: One record per run that was asked for; `trained` the ids of those that were missing.
    """

    def __init__(
        self,
        store: Store,
        whole: Intervention,
        specs: Mapping[str, Sequence[RunSpec]],
        complete: Callable[[Sequence[Request]], Completed],
    ) -> None:
        """Take the intervention with all its seeds, and the specs of its runs."""
        self.records: list[RunRecord] = []
        self.trained: list[str] = []
        self._store, self._whole, self._specs, self._complete = store, whole, specs, complete
        self._looks: list[PlannedLook] = []

    def train(self, seeds: int | None = None, *, of_controls: int | None = None) -> Intervention:
        """Complete the first seeds of baseline and treatment, and those of the controls; by default all."""
        whole = self._whole
        seeds = len(whole.seeds) if seeds is None else seeds
        runs = {arm: seeds if arm in ("baseline", whole.name) else of_controls or seeds for arm in self._specs}
        size = whole.judging.runs_per_seed
        requests = [
            Request(arm, spec)
            for place in range(seeds)
            for arm, of_arm in self._specs.items()
            if place < runs[arm]
            for spec in of_arm[size * place : size * (place + 1)]
        ]
        completed = self._complete(requests)
        self.records = completed.records
        self.trained += completed.trained
        intervention = whole.model_copy(
            update={
                "arms": {arm: whole.runs_of(arm, runs[arm]) for arm in whole.arms},
                "seeds": whole.seeds[:seeds],
                "looks": tuple(self._looks),
            }
        )
        self._store.put_intervention(intervention)
        return intervention

    def replan(self, registration: Entry, design: Design) -> Replanned:
        """Train the baseline's runs of the first look, and enter in the ledger which look they show to be the last."""
        whole, first = self._whole, design.looks[0]
        hypothesis, judging = whole.hypothesis, whole.judging
        specs = self._specs["baseline"][: judging.runs_per_seed * first]
        self.trained += self._complete([Request("baseline", spec) for spec in specs]).trained
        pilot = registration.model_copy(update={"kind": "pilot", "seeds": whole.seeds[:first]})
        baseline = gather_judged(self._store, whole.runs_of("baseline", first), judging, look=pilot)
        replanned = replan(
            design,
            baseline.labels,
            baseline.predicted,
            pair=hypothesis.pair.indices(baseline.class_names),
            n_classes=len(baseline.class_names),
            endpoint=hypothesis.primary,
            worthwhile_percent=hypothesis.worthwhile_percent,
        )
        found = {"kind": "replanned", "design": replanned.design, "replanned": replanned}
        self._store.ledger.record(pilot.model_copy(update=found))
        return replanned

    def decide(
        self,
        design: Design,
        replanned: Replanned | None,
        group: Group,
        after_replanning: Callable[[Replanned], None],
        after_look: Callable[[Look, Design], None],
    ) -> Intervention:
        """Train and judge look by look; the controls have the seeds of the last look only if the treatment improved.

        Args:
            design: What is followed.
            replanned: How it was chosen; None if it is as registered.
            group: The baseline group.
            after_replanning: Called with `replanned`, if any.
            after_look: Called after each look.
        """
        self._whole = self._whole.model_copy(update={"design": design, "replanned": replanned})
        if replanned is not None:
            after_replanning(replanned)
        first, name = design.looks[0], self._whole.name

        def judge_at(seeds: int, **levels: Unpack[Levels]) -> Verdict:
            intervention = self.train(seeds, of_controls=first)
            look = look_entry(group, intervention, "look")
            before, after = (
                gather_judged(self._store, intervention.arms[arm], intervention.judging, look=look)
                for arm in ("baseline", name)
            )
            return judge_hypothesis(
                intervention.hypothesis,
                before.labels,
                before.predicted,
                after.predicted,
                before.class_names,
                **levels,
            )

        def note(look: Look) -> None:
            verdict = look.verdict
            kept = PlannedLook(seeds=look.seeds, alpha=look.alpha, word=verdict.word, sentence=verdict.sentence)
            self._looks.append(kept)
            after_look(look, design)

        decision = decide_in_looks(design, judge_at, after_look=note)
        improved = decision.verdict.word == IMPROVED
        return self.train(decision.seeds, of_controls=decision.seeds if improved else first)


def _check_looks(seeds: Sequence[int] | None, n_seeds: int | None, *, fresh: bool) -> None:
    """Refuse settings that a design excludes."""
    if seeds is not None or n_seeds is not None:
        raise BadInput(
            "--until-decided chooses the number of seeds itself, and --seeds or --seed-list was given.",
            fix="give --max-seeds instead, or leave out --until-decided",
        )
    if not fresh:
        raise BadInput(
            "--until-decided needs a baseline of fresh seeds, and the mined runs are to be reused.",
            fix="leave out --reuse-baseline",
        )


def _find_begun(store: Store, registration: Entry, design: Design) -> tuple[Design, Replanned | None] | None:
    """The design that was begun already, and how it was chosen, so that looks stay as planned; None if there is none.

    Raises:
        BadInput: It was registered for another number of seeds than `design`.
    """
    begun, _ = find_begun_design(store.ledger.entries(), registration)
    if begun is None or begun.design is None:
        return None
    most = begun.design.horizon if begun.replanned is None else begun.replanned.planned
    if most != design.horizon:
        raise BadInput(
            f"`{registration.name}` was begun by a plan for at most {most} seeds per arm; another plan now would raise "
            "the rate of false claims.",
            fix=f"--max-seeds {most}",
        )
    return begun.design, begun.replanned


def _check_judging(store: Store, group: Group, name: str, hypothesis: Hypothesis, *, fresh: bool) -> None:
    """Refuse to judge a hypothesis out of fold on images that may have suggested it.

    What was mined after the hypothesis was registered does not count.
    """
    if hypothesis.judge.folds is None:
        return
    if not fresh:
        raise BadInput(
            "The mined runs have seen the training images, so they cannot be the baseline of a verdict out of fold.",
            fix="leave out --reuse-baseline, or judge on confirm: --judge confirm",
        )
    dataset = group.template.dataset
    for entry in store.ledger.entries():
        if (entry.kind, entry.name, entry.spec_hash) == ("registered", name, hypothesis.hash):
            return
        if entry.kind == "mined-out-of-fold" and entry.dataset == dataset:
            raise BadInput(
                "Pairs were mined on all training images (`mine-confusions --out-of-fold`). Images that suggested a "
                "hypothesis cannot judge it.",
                fix="judge on confirm: --judge confirm",
            )
    for other in store.list_groups():
        if other.template.dataset == dataset and other.template.mine_fraction > group.template.mine_fraction:
            raise BadInput(
                f"The baseline group {other.id} mines {other.template.mine_fraction:.0%} of the training images, this "
                f"one {group.template.mine_fraction:.0%}: some images of that `mine` would judge here.",
                fix=f"--group {other.id}, or judge on confirm: --judge confirm",
            )


def find_gains(dataset: Dataset) -> FindGains:
    """Match the ink of operations by ``brighten``, on the first images of a class in the order of their ids."""

    def find(name: str, step: Step) -> tuple[float, ...]:
        labels = dataset.y_train
        of_class = np.flatnonzero(labels >= 0 if name == ALL_CLASSES else labels == dataset.class_names.index(name))
        rows = of_class[np.argsort(dataset.train_ids[of_class])][:_IMAGES_FOR_GAIN]
        images = dataset.x_train[np.sort(rows)]
        return tuple(match_gain(images, apply_dose(images, step, dose), ink=step.ink) for dose in step.doses)

    return find


def _resolve_model(
    store: Store, hypothesis: Hypothesis, dataset: Dataset, precision: Precision
) -> tuple[str | None, str | None]:
    """The treatment's model as run specs name it, and the digest of its code, which the store then keeps."""
    if hypothesis.model is None:
        return None, None
    name, source = find_model(hypothesis.model)
    if source is None:
        return name, None
    shape, n_classes = dataset.x_train.shape[1:], len(dataset.class_names)
    check_model(name, shape, n_classes, source=source, precision=precision)
    return name, store.put_source(source)


def _baseline_spec(group: Group, seed: int, epochs: int, *, fresh: bool) -> RunSpec:
    if fresh:
        return group.run_spec(seed, epochs=epochs, environment=current_environment(group.template.model))
    spec = group.run_spec(seed, epochs=epochs)
    try:
        check_environment(spec)
    except ErroranError as error:
        raise BadInput(
            f"The mined runs cannot be compared with new ones: {error.message}",
            fix="leave out --reuse-baseline, or repeat `erroran baseline`",
        ) from error
    return spec


def _changed_spec(
    group: Group, seed: int, epochs: int, change: Change, source: str | None, added: Dataset | None
) -> RunSpec:
    try:
        return group.run_spec(
            seed,
            change,
            epochs=epochs,
            environment=current_environment(change.model or group.template.model),
            source=source,
            added=None if added is None else added.digest,
        )
    except ValidationError as error:
        problem = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise BadInput(
            f"The spec's [recipe] does not fit the baseline's recipe `{group.template.recipe.name}`: {problem}.",
            fix="change [recipe] in the spec",
        ) from error


def _check(store: Store, dataset: Dataset, specs: Sequence[RunSpec], added: Dataset | None) -> None:
    """Refuse runs that could not be trained, given the specs of one seed of each arm, fold by fold."""
    built = set()
    for spec in specs:
        try:
            training_parts(spec, store.get_splits(spec), dataset.class_names, added if spec.data.add else None)
        except BadInput as error:
            if spec.fold is None:
                raise
            k, folds = spec.fold
            fix = f"{error.fix}; or judge on confirm: --judge confirm"
            raise BadInput(f"In fold {k + 1} of {folds}: {error.message}", fix=fix) from error
        for step in (step for steps in spec.augment.values() for step in steps if step.doses):
            apply_dose(dataset.x_train[:1], step, step.doses[0])
        if spec.source is None and spec.model not in built and not store.has_run(spec.id):
            shape, n_classes = dataset.x_train.shape[1:], len(dataset.class_names)
            check_model(spec.model, shape, n_classes, precision=spec.precision)
            built.add(spec.model)


def _with_earlier(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    controls: Sequence[str],
    settings: tuple[tuple[int, ...], int, bool, int | None],
) -> tuple[str, ...]:
    """Keep the controls of the same intervention's earlier run, so that its report loses no arms."""
    try:
        earlier = store.get_intervention(group.id, name)
    except NotFound:
        return tuple(controls)
    seeds = settings[0][: len(earlier.seeds)] if earlier.design else settings[0]
    same = (earlier.seeds, earlier.epochs, earlier.fresh_baseline, earlier.max_seeds) == (seeds, *settings[1:])
    if not same or earlier.hypothesis != hypothesis:
        return tuple(controls)
    return tuple(dict.fromkeys((*controls, *earlier.controls)))


def _choose_seeds(group: Group, mined: set[int], seeds: Sequence[int] | None, count: int, *, fresh: bool) -> list[int]:
    if not fresh:
        chosen = list(seeds or group.seeds[:count])
        if (len(chosen) < count and seeds is None) or not set(chosen) <= set(group.seeds):
            raise BadInput(
                f"The mined baseline has the seeds {', '.join(map(str, group.seeds))} and no others; "
                f"asked for: {', '.join(map(str, seeds)) if seeds else f'{count} of them'}.",
                fix="leave out --reuse-baseline, or train the seeds first: erroran baseline --seed-list ...",
            )
        return chosen
    if seeds is not None:
        if used := mined & set(seeds):
            raise BadInput(
                f"Seed {min(used)} is one of the mined runs; a verdict needs fresh ones.",
                fix="--seed-list with other seeds, or --reuse-baseline",
            )
        return list(seeds)
    candidates = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + count + len(mined))
    return [seed for seed in candidates if seed not in mined][:count]


def gather_exposure(store: Store, intervention: Intervention) -> Exposure | None:
    """Read what the runs of a treatment were trained on; what is not in the store is drawn again, measured and kept.

    Out of fold only the runs of the first fold are measured.

    Returns:
        None for a treatment without operations, and for images with several channels.

    Raises:
        NotFound: A run was removed.
    """
    run_ids = intervention.first_runs(intervention.name)
    kept = store.get_artifact("exposures", intervention.key, Exposure)
    if kept is not None and kept.runs == run_ids:
        return kept
    runs = [store.get_run(run_id) for run_id in run_ids]
    exposure = measure_exposure(
        fitted_part(store, runs[0].spec),
        store.get_dataset(runs[0].spec.dataset).class_names,
        intervention.hypothesis.augment,
        runs=run_ids,
        seeds=intervention.seeds,
        epochs=[len(run.history["loss"]) for run in runs],
    )
    if exposure is not None:
        store.put_artifact("exposures", intervention.key, exposure)
    return exposure


def describe_change(store: Store, intervention: Intervention) -> list[str]:
    """The treatment's change in words, with how many of the images that it names are in the baseline's training part.

    Out of fold, that is the training part of the first fold.

    Raises:
        NotFound: A run was removed.
    """
    baseline = store.get_run(intervention.arms["baseline"][0])
    return intervention.hypothesis.describe(frozenset(fitted_part(store, baseline.spec).ids.tolist()))


def fitted_part(store: Store, spec: RunSpec) -> Part:
    """The images that the weights of a run are fitted to; `spec` is that of a stored run."""
    added = None if spec.data.add is None else store.get_dataset(spec.data.add)
    return training_parts(spec, store.get_splits(spec), store.get_dataset(spec.dataset).class_names, added)[0]
