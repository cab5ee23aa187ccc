"""Retrain with the augmentation of a hypothesis, beside a baseline and controls that differ in nothing else."""

from collections.abc import Callable, Sequence

from erroran import provenance
from erroran.errors import BadInput, NotFound
from erroran.execution.local import Completed, Request, complete_runs
from erroran.experiment.change import Change
from erroran.experiment.controls import DEFAULT_CONTROLS, build_controls
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.shape.exposure import Exposure, measure_exposure
from erroran.store import Intervention, Store
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord
from erroran.training.fit import Progress

FIRST_FRESH_SEED = 1000
"""Verdicts are reached on seeds from here on, far from those that people type for mining."""


def intervene(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    seeds: Sequence[int] | None = None,
    n_seeds: int | None = None,
    epochs: int | None = None,
    controls: Sequence[str] = DEFAULT_CONTROLS,
    fresh_baseline: bool = True,
    jobs: int = 1,
    before_training: Callable[[int], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_finished: Callable[[RunRecord], None] = lambda _: None,
    before_measuring: Callable[[], None] = lambda: None,
) -> tuple[Intervention, Completed]:
    """Train every arm of an experiment; runs that are in the store already are not trained again.

    The hypothesis is entered in the ledger before anything is trained. At the end it is measured what the augmentation
    did to the images that the treatment's runs saw.

    Args:
        store: Holds the baseline group.
        group: Gives dataset, model, recipe and precision.
        name: The hypothesis' name; its arm in the store.
        hypothesis: Its spec.
        seeds: The arms' seeds, instead of a number of them.
        n_seeds: Runs per arm; default the spec's.
        epochs: Overrides the spec's, which overrides the recipe's.
        controls: See `erroran.experiment.controls`.
        fresh_baseline: Compare with baseline runs on new seeds; otherwise with the runs that were mined, which
            flatters every fix.
        jobs: Runs at a time.
        before_training: Called with the number of seeds once everything has been checked.
        on_progress: Called often.
        on_finished: Called with each run that was trained.
        before_measuring: Called once every run is finished.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
        BadInput: The mined baseline has too few seeds, or `name` is that of another arm.
    """
    check_classes(hypothesis, store.get_dataset(group.template.dataset).class_names)
    mined = store.mined_seeds(group.template.dataset)
    chosen = _choose_seeds(group, mined, seeds, n_seeds or hypothesis.seeds, fresh=fresh_baseline)
    epochs = epochs or hypothesis.epochs or group.template.recipe.epochs
    controls = _with_earlier(store, group, name, hypothesis, controls, (tuple(chosen), epochs, fresh_baseline))
    arms: dict[str, Change] = {"baseline": Change(), name: hypothesis.change}
    built = build_controls(hypothesis, controls)
    for control, change in built.arms.items():
        if control in arms or name == "baseline":
            raise BadInput(f"`{name}` is the name of another arm.", fix="rename the spec file")
        arms[control] = change
    requests = {
        arm: [Request(arm, group.run_spec(seed, change, epochs=epochs)) for seed in chosen]
        for arm, change in arms.items()
    }
    before_training(len(chosen))
    registration = Entry(
        kind="registered",
        dataset=group.template.dataset,
        group=group.id,
        name=name,
        pair=str(hypothesis.pair),
        spec_hash=hypothesis.hash,
        epochs=epochs,
        recipe=group.template.recipe.name,
    )
    store.ledger.record(registration)
    by_seed = [request for same_seed in zip(*requests.values(), strict=True) for request in same_seed]
    completed = complete_runs(store, by_seed, jobs=jobs, on_progress=on_progress, on_finished=on_finished)
    intervention = Intervention(
        name=name,
        hypothesis=hypothesis,
        group=group.id,
        epochs=epochs,
        arms={arm: tuple(request.spec.id for request in wanted) for arm, wanted in requests.items()},
        seeds=tuple(chosen),
        controls=tuple(controls),
        not_applicable=built.not_applicable,
        fresh_baseline=fresh_baseline,
        created=provenance.now(),
        command=provenance.command_line(),
    )
    store.put_intervention(intervention)
    before_measuring()
    gather_exposure(store, intervention)
    return intervention, completed


def _with_earlier(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    controls: Sequence[str],
    design: tuple[tuple[int, ...], int, bool],
) -> tuple[str, ...]:
    """Keep the controls that the same experiment had before: a report must not lose arms by being run again."""
    try:
        earlier = store.get_intervention(group.id, name)
    except NotFound:
        return tuple(controls)
    if (earlier.seeds, earlier.epochs, earlier.fresh_baseline) != design or earlier.hypothesis != hypothesis:
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
    """Read what the runs of a treatment saw; what is not in the store is drawn again, measured and kept.

    Returns:
        None for a treatment without operations, and for images with several channels.

    Raises:
        NotFound: A run was removed.
    """
    run_ids = intervention.arms[intervention.name]
    kept = store.get_artifact("exposures", intervention.key, Exposure)
    if kept is not None and kept.runs == run_ids:
        return kept
    runs = [store.get_run(run_id) for run_id in run_ids]
    exposure = measure_exposure(
        store.get_splits(runs[0].spec).train,
        store.get_dataset(runs[0].spec.dataset).class_names,
        intervention.hypothesis.augment,
        runs=run_ids,
        seeds=intervention.seeds,
        epochs=[len(run.history["loss"]) for run in runs],
    )
    if exposure is not None:
        store.put_artifact("exposures", intervention.key, exposure)
    return exposure
