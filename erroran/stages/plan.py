"""Before training: the power of an intervention by number of seeds, and what the training costs."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from erroran.errors import BadInput
from erroran.experiment.change import Change
from erroran.experiment.controls import build_controls
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import run_variation
from erroran.store import Store
from erroran.store.evidence import gather
from erroran.store.records import Group
from erroran.verdict.plan import N_SIMULATIONS, REDUCTIONS, SEEDS, plan_power, seeds_needed, selection_shrink

HALVING = 0.5


class PlanResult(Result):
    """The power of a planned intervention, and its cost.

    Attributes:
        hypothesis: Name of the hypothesis.
        statement: What it states.
        pair: The pair, and `primary` the endpoint.
        group: Id of the baseline group whose errors on `mine` the simulation starts from.
        dataset: Name of the dataset; `note` what it had to say, such as a fallback.
        seeds: Seeds per arm.
        reductions: True shares of the errors removed.
        power: Power by seeds (rows) and reductions (columns).
        detectable_reduction: Smallest reduction with 80 % power, for each number of seeds; None if there is none.
        errors_per_seed_mined: Mined errors per run, scaled to `confirm_images`.
        errors_per_seed_expected: The same on fresh images, which the power is simulated at.
        shrink: Their ratio: the pair was chosen because it was bad.
        recommended_seeds: Seeds per arm with 80 % power for a halving; None if 50 are not enough.
        minutes_per_seed: Training minutes of one more seed over all arms, from the baseline's own runs and the epochs
            of each arm.
        arms: Arms that are trained.
        simulations: Simulated experiments behind each power.
        confirm_images: Images of `confirm` that can make the error.
        relative_sd: Run-to-run variation of the count that was assumed, beyond independent images.
        not_applicable: Controls that make no sense for this hypothesis, and why; they are not trained.
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

    def power_for(self, seeds: int, reduction: float = HALVING) -> float | None:
        """Simulated power for a number of seeds and a reduction in the table, else None."""
        if seeds not in self.seeds or reduction not in self.reductions:
            return None
        return self.power[self.seeds.index(seeds)][self.reductions.index(reduction)]


def plan(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    controls: tuple[str, ...],
    seeds: tuple[int, ...] = SEEDS,
    reductions: tuple[float, ...] = REDUCTIONS,
    n_simulations: int = N_SIMULATIONS,
    recommend: bool = True,
) -> PlanResult:
    """Simulate the verdict's primary test on the error rates that were mined.

    Args:
        store: Holds the group's runs.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec; its primary endpoint is planned for.
        controls: Controls that were asked for; those that apply are trained and cost time.
        seeds: Seeds per arm to try, each >= 2.
        reductions: True shares of the errors removed, in (0, 1].
        n_simulations: Experiments per value.
        recommend: Also search for the number of seeds with 80 % power for a halving.

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
    rng = np.random.default_rng(0)  # a plan made twice is the same plan
    confirm_labels = store.get_dataset(group.template.dataset).y_test
    n_images = int(np.isin(confirm_labels, [cell[0] for cell in cells]).sum())
    shrink = selection_shrink(labels, predicted, len(names), cells)
    logit_sd = run_variation(labels, predicted, n_classes=len(names)).logit_sd
    table = plan_power(
        errors, rng=rng, seeds=seeds, reductions=reductions, n_images=n_images, shrink=shrink, logit_sd=logit_sd,
        n_simulations=n_simulations,
    )  # fmt: skip
    recommended = None
    if recommend:
        recommended = seeds_needed(
            errors, reduction=HALVING, rng=rng, n_images=n_images, shrink=shrink, logit_sd=logit_sd,
            n_simulations=n_simulations,
        )  # fmt: skip
    built = build_controls(hypothesis, controls)
    arms = (Change(), hypothesis.change, *built.arms.values())
    seconds = float(np.median([run.seconds for run in evidence.runs]))
    return PlanResult(
        hypothesis=name,
        statement=hypothesis.hypothesis,
        pair=hypothesis.pair,
        primary=hypothesis.primary,
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        seeds=table.seeds,
        reductions=table.reductions,
        power=table.power,
        detectable_reduction=table.detectable(),
        errors_per_seed_mined=table.mined_errors_per_seed,
        errors_per_seed_expected=table.errors_per_seed,
        shrink=shrink,
        recommended_seeds=recommended,
        minutes_per_seed=sum(_share_of_epochs(group, hypothesis, arm) for arm in arms) * seconds / 60,
        arms=len(arms),
        simulations=n_simulations,
        confirm_images=n_images,
        relative_sd=table.relative_sd,
        not_applicable=built.not_applicable,
    )


def _share_of_epochs(group: Group, hypothesis: Hypothesis, arm: Change) -> float:
    """Epochs of an arm over those of the baseline group."""
    epochs = arm.recipe.epochs or hypothesis.epochs or group.template.recipe.epochs
    return epochs / group.template.recipe.epochs
