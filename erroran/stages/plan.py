"""Before training: the power of an intervention by number of seeds, and what the training costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from erroran.errors import BadInput
from erroran.experiment.change import Change
from erroran.experiment.controls import build_controls
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stages.intervene import find_gains
from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import run_variation
from erroran.store import Store
from erroran.store.evidence import gather
from erroran.store.records import Group
from erroran.verdict.plan import (
    N_SIMULATIONS,
    REDUCTIONS,
    SEEDS,
    detectable_reduction,
    fit_rates,
    plan_power,
    seeds_needed,
    selection_shrink,
)

HALVING = 0.5


class PlanResult(Result):
    """The power of a planned intervention, and its cost.

    Attributes:
        statement: What the hypothesis states.
        primary: The endpoint that is planned for.
        group: Id of the baseline group; the simulation starts from its errors on `mine`.
        dataset: Name of the dataset; `note` is a remark of its loader, such as a fallback.
        seeds: Seeds per arm, rising.
        reductions: True shares of the errors removed, rising, in (0, 1].
        power: Power by seeds (rows) and reductions (columns), in [0, 1].
        detectable_reduction: Smallest reduction with 80 % power, for each number of seeds; None if there is none.
        errors_per_seed_mined: Mined errors per run, scaled to `confirm_images`.
        errors_per_seed_expected: The same on fresh images with new seeds: the mined ones times `shrink`.
        recommended_seeds: Seeds per arm with 80 % power for a 50 % drop; None if 50 are not enough.
        minutes_per_seed: Training minutes of one more seed over all `arms`, from the baseline's runs and each arm's
            epochs.
        simulations: Simulated experiments per power.
        confirm_images: Images of `confirm` that can make the error.
        relative_sd: Assumed run-to-run variation: relative sd of the count beyond independent images.
        not_applicable: Control to the reason why it is not trained.
    """

    hypothesis: str
    statement: str
    pair: Pair
    primary: Endpoint
    group: str
    dataset: str
    note: str | None
    seeds: tuple[int, ...]
    reductions: tuple[float, ...]
    power: tuple[tuple[float, ...], ...]
    detectable_reduction: tuple[float | None, ...]
    errors_per_seed_mined: float
    errors_per_seed_expected: float
    shrink: float
    recommended_seeds: int | None
    minutes_per_seed: float
    arms: int
    simulations: int
    confirm_images: int
    relative_sd: float
    not_applicable: Mapping[str, str] = Field(default_factory=dict)


def plan(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    controls: tuple[str, ...],
    seeds: tuple[int, ...] = SEEDS,
    n_simulations: int = N_SIMULATIONS,
    recommend: bool = True,
) -> PlanResult:
    """Simulate the verdict's primary test on the error rates that were mined.

    Args:
        store: Holds the group's runs.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec.
        controls: Controls that were asked for; those that apply are trained and cost time.
        seeds: Seeds per arm to try, each >= 2.
        n_simulations: Experiments per value.
        recommend: Also search for the number of seeds with 80 % power for a 50 % drop.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
        BadInput: The mined runs make no such error.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    labels, predicted, names = evidence.labels, evidence.predicted, evidence.class_names
    check_classes(hypothesis, names)
    cells = hypothesis.primary.cells(hypothesis.pair.indices(names))
    errors = np.concatenate([cell_errors(labels, predicted, cell) for cell in cells], axis=1)
    if not errors.any():
        raise BadInput(
            f"No baseline run makes the error of `{name}` on `mine`, so there is nothing to plan from.",
            fix="choose a pair that `erroran mine-confusions` lists, or mine more images: --mine-fraction 0.3",
        )
    confirm_labels = store.get_dataset(group.template.dataset).y_test
    shrink = selection_shrink(labels, predicted, len(names), cells)
    rates = fit_rates(errors, shrink=shrink, logit_sd=run_variation(labels, predicted, n_classes=len(names)).logit_sd)
    n_images = int(np.isin(confirm_labels, [cell[0] for cell in cells]).sum())
    seeds = tuple(sorted(set(seeds)))
    rng = np.random.default_rng(0)  # so that repeated plans are equal
    options: dict[str, Any] = {"n_images": n_images, "rng": rng, "n_simulations": n_simulations}
    power = plan_power(rates, seeds=seeds, reductions=REDUCTIONS, **options).tolist()
    recommended = seeds_needed(rates, reduction=HALVING, **options) if recommend else None
    mined = rates.mined_errors(n_images)
    built = build_controls(hypothesis, controls, find_gains(store.get_dataset(group.template.dataset)))
    arms = (Change(), hypothesis.change, *built.arms.values())
    epochs = group.template.recipe.epochs
    shares = [(arm.recipe.epochs or hypothesis.epochs or epochs) / epochs for arm in arms]
    seconds = float(np.median([run.seconds for run in evidence.runs]))
    return PlanResult(
        hypothesis=name,
        statement=hypothesis.hypothesis,
        pair=hypothesis.pair,
        primary=hypothesis.primary,
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        seeds=seeds,
        reductions=REDUCTIONS,
        power=power,
        detectable_reduction=tuple(detectable_reduction(REDUCTIONS, row) for row in power),
        errors_per_seed_mined=mined,
        errors_per_seed_expected=mined * shrink,
        shrink=shrink,
        recommended_seeds=recommended,
        minutes_per_seed=sum(shares) * seconds / 60,
        arms=len(arms),
        simulations=n_simulations,
        confirm_images=n_images,
        relative_sd=rates.relative_sd,
        not_applicable=built.not_applicable,
    )
