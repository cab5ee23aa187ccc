"""Before training: what each design of an intervention will say, and what its training costs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic import Field

from erroran.errors import BadInput
from erroran.experiment.change import Change
from erroran.experiment.controls import build_controls
from erroran.experiment.endpoint import Endpoint
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.judging import CONFIRM, Judging
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stages.intervene import find_gains
from erroran.store import Store
from erroran.store.evidence import Evidence, gather, gather_most, judged_part
from erroran.store.records import Group, hypothesis_key
from erroran.verdict.plan import (
    HOW,
    LADDER,
    N_JUDGED,
    N_SIMULATIONS,
    REDUCTIONS,
    SEEDS,
    WANTED_POWER,
    Agreement,
    Chance,
    Forecast,
    Setting,
    describe_surroundings,
    detectable_reduction,
    forecast,
    mean_forecast,
    plan_power,
    seeds_for,
    simulate_agreement,
)
from erroran.verdict.rates import fit_rates
from erroran.verdict.sequential import MAX_SEEDS, Design, plan_looks

KIND: Final = "plans"
"""Kind of the artifact in the store; its key is that of the intervention."""
OUT_OF_FOLD: Final = Judging(folds=5)
_JUDGED_SEEDS: Final = (5, 10, 20)


class Option(Result):
    """One design of the intervention.

    Attributes:
        name: In words.
        arguments: Arguments of `intervene` that ask for it.
        judging: On which images it is judged, as in `intervene --judge`.
        looks: Whether it ends as soon as the word is decided.
        seeds: Seeds per arm, with looks the most.
        worthwhile: What it says if the true reduction is the worthwhile one; `unchanged` if nothing changes.
        minutes: Expected training time of all arms on this machine, the mean of these two cases.
        improved_if: Probability of *improved* for the worthwhile reduction, by how it changes images: ``odds`` or
            ``repaired``, see `verdict.plan.Setting.treat`.
    """

    name: str
    arguments: str
    judging: Judging
    looks: bool
    seeds: int
    worthwhile: Forecast
    unchanged: Forecast
    minutes: float
    improved_if: dict[str, Chance]


class PlanResult(Result):
    """The power of a planned intervention, and what it costs.

    Attributes:
        statement: What the hypothesis states.
        primary: The endpoint that is planned for.
        group: Id of the baseline group.
        dataset: Name of the dataset; `note` is a remark of its loader, such as a fallback.
        worthwhile_percent: The smallest reduction of the endpoint that is worth having.
        evidence: Which images the error rates come from, in words.
        evidence_runs: Runs (with folds: seeds) that predicted them; `evidence_images` of them can make the error, and
            `evidence_distinct` were misread in this way by any run.
        errors_per_seed_mined: Errors per run on these images, scaled to `judged_images`.
        errors_per_seed_expected: The same on fresh images with new seeds, corrected for the choice of the pair.
        errors_interval: 90 % interval of the errors per run on the judged images, as a mean over many runs.
        shrink: Expected over mined.
        judging: The images that judge, as the hypothesis names them; `population` in words. `judged_images` of them can
            make the error.
        relative_sd: Assumed run-to-run variation: relative sd of the count beyond independent images.
        seeds: Seeds per arm, rising.
        reductions: True shares of the errors removed, rising, in (0, 1].
        power: Probability of the verdict *improved*, judged once, by seeds (rows) and reductions
            (columns); `power_error` is the largest Monte Carlo standard error of these.
        detectable_reduction: Smallest reduction with 80 % power, for each number of seeds; None if there is none.
        options: The designs that were compared.
        recommended: Place in `options` of the cheapest one with 80 % power for the worthwhile reduction; None if none
            has.
        recommended_seeds: Seeds per arm with that power if judged once; None if 50 are not enough.
        minutes_per_seed: Training minutes of one more seed over all `arms`: the median time of the
            baseline's runs, by each arm's epochs, divided by `jobs`.
        simulations: Simulated experiments per number of seeds.
        not_applicable: Control to the reason why it is not trained.
    """

    hypothesis: str
    statement: str
    pair: Pair
    primary: Endpoint
    group: str
    dataset: str
    note: str | None
    worthwhile_percent: float
    evidence: str
    evidence_runs: int
    evidence_images: int
    evidence_distinct: int
    errors_per_seed_mined: float
    errors_per_seed_expected: float
    errors_interval: tuple[float, float]
    shrink: float
    judging: Judging
    population: str
    judged_images: int
    relative_sd: float
    seeds: tuple[int, ...]
    reductions: tuple[float, ...]
    power: tuple[tuple[float, ...], ...]
    power_error: float
    detectable_reduction: tuple[float | None, ...]
    options: tuple[Option, ...]
    recommended: int | None
    recommended_seeds: int | None
    minutes_per_seed: float
    jobs: int
    arms: int
    simulations: int
    not_applicable: Mapping[str, str] = Field(default_factory=dict)

    @property
    def cheapest(self) -> Option | None:
        """The recommended design."""
        return None if self.recommended is None else self.options[self.recommended]

    def power_of(self, seeds: int) -> float:
        """Probability of *improved* with these seeds per arm, one of `seeds`, for the worthwhile reduction."""
        return self.power[self.seeds.index(seeds)][self.reductions.index(self.worthwhile_percent / 100)]


def plan(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    controls: tuple[str, ...],
    seeds: tuple[int, ...] = SEEDS,
    n_simulations: int = N_SIMULATIONS,
    n_judged: int = N_JUDGED,
    recommend: bool = True,
    jobs: int = 1,
) -> PlanResult:
    """Simulate the verdict on the error rates that were mined.

    Args:
        store: Holds the group's runs.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec.
        controls: Controls that were asked for; those that apply are trained and cost time.
        seeds: Seeds per arm to try, each >= 2.
        n_simulations: Experiments per true reduction.
        n_judged: Experiments with all errors, which show how often errors elsewhere change the word.
        recommend: Also compare the designs, and keep the plan in the store.
        jobs: Runs at a time.

    Raises:
        NotFound: The spec names a class that the dataset lacks.
        BadInput: The mined runs make no such error.
    """
    evidence, described = gather_evidence(store, group)
    labels, predicted, names = evidence.labels, evidence.predicted, evidence.class_names
    check_classes(hypothesis, names)
    pair = hypothesis.pair.indices(names)
    cells = hypothesis.primary.cells(pair)
    if not any((predicted[:, labels == true] == read_as).any() for true, read_as in cells):
        raise BadInput(
            f"No baseline run makes the error of `{name}` on {described}, so there is nothing to plan from.",
            fix="choose a pair that `erroran mine-confusions` lists, or mine more images: erroran mine-confusions "
            "--out-of-fold",
        )
    dataset = store.get_dataset(group.template.dataset)
    rates = fit_rates(labels, predicted, len(names), cells)

    def ask(judging: Judging) -> tuple[Setting, np.ndarray]:
        """What is judged, and how many images of each class."""
        judged = judged_part(store, group.template, judging).y
        sizes = np.bincount(judged, minlength=len(names))
        setting = Setting(
            rates=rates,
            n_images=int(sizes[[cell[0] for cell in cells]].sum()),
            n_evaluated=int(sizes.sum()),
            worthwhile=hypothesis.worthwhile_percent / 100,
            equivalence_per_10000=hypothesis.equivalence_per_10000,
        )
        return setting, sizes

    setting, _ = ask(hypothesis.judge)
    on_confirm, sizes = ask(CONFIRM)
    around = describe_surroundings(labels, predicted, class_sizes=sizes, pair=pair, endpoint=hypothesis.primary)
    rng = np.random.default_rng(0)  # so that repeated plans are equal
    agreements = tuple(
        simulate_agreement(on_confirm, around, _JUDGED_SEEDS, reduction, n_simulations=n_judged, rng=rng)
        for reduction in (setting.worthwhile, 0.0)
    )
    searched = tuple(sorted({*seeds, *(LADDER if recommend else ())}))
    reductions = tuple(sorted({*REDUCTIONS, setting.worthwhile}))
    power, errors = plan_power(
        setting, searched, reductions, rng=rng, n_simulations=n_simulations, agreement=agreements[0]
    )
    built = build_controls(hypothesis, controls, find_gains(dataset))
    arms = (Change(), hypothesis.change, *built.arms.values())
    minutes = _minutes_per_seed(evidence, group, hypothesis, arms) / jobs
    times = {each: minutes * each.relative_time(group.template.mine_fraction) for each in (CONFIRM, OUT_OF_FOLD)}
    times[hypothesis.judge] = minutes * hypothesis.judge.relative_time(group.template.mine_fraction)
    options, recommended_seeds = [], None
    if recommend:
        simulated: dict[str, Any] = {"rng": rng, "n_simulations": n_simulations}
        recommended_seeds = seeds_for(searched, power[:, reductions.index(setting.worthwhile)].tolist())
        for judging, of_seed in times.items():
            asked, fixed = (setting, recommended_seeds) if judging == hypothesis.judge else (ask(judging)[0], None)
            if judging != hypothesis.judge:
                of_judging, _ = plan_power(asked, LADDER, [asked.worthwhile], agreement=agreements[0], **simulated)
                fixed = seeds_for(LADDER, of_judging[:, 0].tolist())
            designs: list[int | Design] = [*([fixed] if fixed else []), plan_looks(MAX_SEEDS)]
            options += [_forecast_option(asked, judging, each, agreements, of_seed, **simulated) for each in designs]
    enough = [at for at, option in enumerate(options) if option.worthwhile.improved.value >= WANTED_POWER]
    n_images = setting.n_images
    mined, expected = rates.mined_errors(n_images), rates.expected_errors(n_images)
    shown = [searched.index(count) for count in sorted(set(seeds))]
    planned = PlanResult(
        hypothesis=name,
        statement=hypothesis.hypothesis,
        pair=hypothesis.pair,
        primary=hypothesis.primary,
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        worthwhile_percent=hypothesis.worthwhile_percent,
        evidence=described,
        evidence_runs=len(predicted),
        evidence_images=rates.n_images,
        evidence_distinct=len(rates.runs_wrong),
        errors_per_seed_mined=mined,
        errors_per_seed_expected=expected,
        errors_interval=rates.errors_interval(n_images),
        shrink=expected / mined,
        judging=hypothesis.judge,
        population=hypothesis.judge.describe(setting.n_evaluated),
        judged_images=n_images,
        relative_sd=rates.relative_sd,
        seeds=tuple(searched[at] for at in shown),
        reductions=reductions,
        power=tuple(tuple(row) for row in power[shown].tolist()),
        power_error=float(errors[shown].max()),
        detectable_reduction=tuple(detectable_reduction(reductions, row) for row in power[shown].tolist()),
        options=tuple(options),
        recommended=min(enough, key=lambda at: options[at].minutes, default=None),
        recommended_seeds=recommended_seeds,
        minutes_per_seed=times[hypothesis.judge],
        jobs=jobs,
        arms=len(arms),
        simulations=n_simulations,
        not_applicable=built.not_applicable,
    )
    if recommend:
        store.put_artifact(KIND, hypothesis_key(group.id, name, hypothesis), planned)
    return planned


def gather_evidence(store: Store, group: Group) -> tuple[Evidence, str]:
    """The best evidence of a group's error rates, and its images in words; trains nothing, and reads no `confirm`.

    These are the mined seeds' predictions of all training images, if they were mined out of fold. Otherwise they are
    the predictions of `mine` by the mined seeds and by all other stored baseline runs of the group, whatever they were
    trained for: their predictions of `mine` take no part in a verdict.
    """
    most = gather_most(store, group)
    if most.split == "train":
        return most, f"all {len(most.labels):,} training images, out of fold"
    known = {run.id for run in most.runs}
    others = [
        run.id
        for run in store.list_runs()
        if run.spec.group_id == group.id and run.spec.is_baseline and run.spec.fold is None and run.id not in known
    ]
    found = gather(store, [run.id for run in most.runs] + others, "mine")
    return found, f"the {len(found.labels):,} images of `mine`"


def _minutes_per_seed(evidence: Evidence, group: Group, hypothesis: Hypothesis, arms: Sequence[Change]) -> float:
    """Training minutes of one seed of all arms, one run at a time, judged on `confirm`."""
    epochs = group.template.recipe.epochs
    shares = [(arm.recipe.epochs or hypothesis.epochs or epochs) / epochs for arm in arms]
    # A run of one of K folds trains on (K - 1) / K of the images.
    fold = evidence.runs[0].spec.fold
    part = 1.0 if fold is None else (1 - 1 / fold[1]) / (1 - group.template.mine_fraction)
    return sum(shares) * float(np.median([run.seconds for run in evidence.runs])) / part / 60


def _forecast_option(
    setting: Setting,
    judging: Judging,
    design: int | Design,
    agreements: Sequence[Agreement],
    minutes_per_seed: float,
    *,
    rng: np.random.Generator,
    n_simulations: int,
) -> Option:
    half: dict[str, Any] = {"rng": rng, "n_simulations": n_simulations // 2}
    by_how = {
        how: forecast(setting, design, setting.worthwhile, agreement=agreements[0], how=(how,), **half) for how in HOW
    }
    worthwhile = mean_forecast(list(by_how.values()))
    unchanged = forecast(setting, design, 0.0, agreement=agreements[1], **half)
    looks = isinstance(design, Design)
    seeds = design.horizon if isinstance(design, Design) else design
    name = f"looks until decided, at most {seeds} seeds per arm" if looks else f"{seeds} seeds per arm, judged once"
    arguments = f"--until-decided --max-seeds {seeds}" if looks else f"--seeds {seeds}"
    return Option(
        name=f"{name}, on confirm" if judging == CONFIRM else f"{name}, out of fold",
        arguments=f"{arguments} --judge {judging}",
        judging=judging,
        looks=looks,
        seeds=seeds,
        worthwhile=worthwhile,
        unchanged=unchanged,
        minutes=minutes_per_seed * (worthwhile.seeds + unchanged.seeds) / 2,
        improved_if={how: found.improved for how, found in by_how.items()},
    )
