"""Before training: how many seeds would it take to see a fix of a given size?"""

from dataclasses import dataclass

import numpy as np

from erroran.errors import BadInput
from erroran.experiment.controls import TRAINED_CONTROLS
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.stats.confusion import cell_errors
from erroran.stats.dispersion import run_variation
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.records import Group
from erroran.verdict.plan import PowerTable, plan_power, seeds_needed, selection_shrink

WANTED_POWER = 0.8
HALVING = 0.5


@dataclass(frozen=True)
class Plan:
    """What the question costs.

    Attributes:
        name: The hypothesis.
        hypothesis: Its spec.
        group: The baseline group whose errors on `mine` the simulation starts from.
        power: The simulated power.
        shrink: Share of the mined errors that is expected on fresh images: the pair was chosen for being bad.
        confirm_images: Images of the confirm split that can make the error.
        recommended_seeds: Seeds an arm that see a halving with 80 % power; None if 50 do not.
        minutes_per_seed: Training minutes that one more seed costs over all arms, from the baseline's own runs.
        arms: Arms that are trained.
    """

    name: str
    hypothesis: Hypothesis
    group: Group
    power: PowerTable
    shrink: float
    confirm_images: int
    recommended_seeds: int | None
    minutes_per_seed: float
    arms: int

    def power_for(self, seeds: int, reduction: float = HALVING) -> float | None:
        """Simulated power for a number of seeds and a reduction in the table, else None."""
        if seeds not in self.power.seeds or reduction not in self.power.reductions:
            return None
        return self.power.power[self.power.seeds.index(seeds)][self.power.reductions.index(reduction)]

    def to_json(self) -> dict[str, object]:
        """The plan as JSON-ready data."""
        return {
            "hypothesis": self.name,
            "pair": str(self.hypothesis.pair),
            "primary": self.hypothesis.primary,
            "group": self.group.id,
            "dataset": self.group.dataset_name,
            "note": self.group.note,
            "seeds": self.power.seeds,
            "reductions": self.power.reductions,
            "power": self.power.power,
            "detectable_reduction": self.power.detectable(WANTED_POWER),
            "errors_per_seed_mined": self.power.mined_errors_per_seed,
            "errors_per_seed_expected": self.power.errors_per_seed,
            "shrink": self.shrink,
            "recommended_seeds": self.recommended_seeds,
            "minutes_per_seed": self.minutes_per_seed,
            "arms": self.arms,
            "simulations": self.power.n_simulations,
        }


def plan(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    controls: tuple[str, ...],
    seeds: tuple[int, ...] = (3, 5, 8, 10, 15, 20),
    reductions: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0),
    n_simulations: int = 400,
    recommend: bool = True,
) -> Plan:
    """Simulate the verdict's own test on the error rates that were mined.

    Args:
        store: Holds the group's runs.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec; its primary endpoint is planned for.
        controls: Control arms that would be trained too; they cost time.
        seeds: Seeds an arm to try, each >= 2.
        reductions: True shares of the errors removed, in (0, 1].
        n_simulations: Experiments per value.
        recommend: Also search for the number of seeds that sees a halving.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
        BadInput: The mined runs make no such error.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    names = evidence.class_names
    check_classes(hypothesis, names)
    errors, cells = _primary_errors(evidence, hypothesis)
    if not errors.any():
        raise BadInput(
            f"No baseline run makes the error of `{name}` on `mine`; a plan has nothing to start from.",
            fix="choose a pair that `erroran mine-confusions` lists, or mine more images: --mine-fraction 0.3",
        )
    labels = store.get_dataset(group.template.dataset).y_test
    n_images = int(np.isin(labels, [cell[0] for cell in cells]).sum())
    rng = np.random.default_rng(0)  # a plan made twice is the same plan
    n_classes = len(names)
    shift_sd = run_variation(evidence.labels, evidence.predicted, n_classes=n_classes).logit_sd
    shrink = selection_shrink(evidence.labels, evidence.predicted, n_classes, cells=cells, shift_sd=shift_sd)
    power = plan_power(
        errors,
        rng=rng,
        seeds=seeds,
        reductions=reductions,
        n_images=n_images,
        shrink=shrink,
        shift_sd=shift_sd,
        n_simulations=n_simulations,
    )
    recommended = None
    if recommend:
        recommended = seeds_needed(
            errors,
            reduction=HALVING,
            rng=rng,
            power=WANTED_POWER,
            n_images=n_images,
            shrink=shrink,
            shift_sd=shift_sd,
            n_simulations=n_simulations,
        )
    arms = 2 + len(set(controls) & set(TRAINED_CONTROLS))
    return Plan(
        name=name,
        hypothesis=hypothesis,
        group=group,
        power=power,
        shrink=shrink,
        confirm_images=n_images,
        recommended_seeds=recommended,
        minutes_per_seed=arms * float(np.median([run.seconds for run in evidence.runs])) / 60,
        arms=arms,
    )


def _primary_errors(evidence: Evidence, hypothesis: Hypothesis) -> tuple[np.ndarray, list[tuple[int, int]]]:
    a, b = (evidence.class_names.index(name) for name in hypothesis.pair.classes)
    cells = {"forward": [(a, b)], "reverse": [(b, a)], "sum": [(a, b), (b, a)]}[hypothesis.primary]
    errors = [cell_errors(evidence.labels, evidence.predicted, cell) for cell in cells]
    return np.concatenate(errors, axis=1), cells
