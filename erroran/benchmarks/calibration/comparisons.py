"""Comparisons of real networks: nothing was changed (A/A), or an effect was planted."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from erroran.benchmarks.calibration.result import AA, Claims, Mean, Naive, Planted, Settings
from erroran.benchmarks.calibration.worlds import N_CLASSES, World
from erroran.benchmarks.common import follow
from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import cell_errors, pair_errors
from erroran.stats.intervals import mean_interval
from erroran.verdict.plan import Setting, describe_surroundings, plan_power, simulate_agreement
from erroran.verdict.rates import fit_rates
from erroran.verdict.replay import (
    NaiveReplay,
    Replay,
    Share,
    clustered_share,
    draw_runs,
    replay_naive,
    replay_once,
    replay_protocol,
    worst_cell,
)
from erroran.verdict.table import CANNOT_TELL, HARMED, IMPROVED


def measure_aa(worlds: Sequence[World], settings: Settings) -> list[AA]:
    """Measure how often a change is claimed where there is none."""
    rows = []
    for n_seeds in follow(settings.sizes, "A/A"):
        compared = _in_parallel(_compare_alike, [(world, settings, n_seeds, k) for k, world in enumerate(worlds)])
        fresh, same_images, reused = zip(*compared, strict=True)
        distinct = len(worlds) * (settings.pool // (settings.mining_runs + 2 * n_seeds))
        held_out = {
            key: _sum_up(some[settings.tuned_on :], distinct // 2).claims
            for key, some in (("fresh", fresh), ("same_images", same_images))
            if len(worlds) > settings.tuned_on
        }
        rows.append(
            AA(
                **dict(_sum_up(fresh, distinct)),
                seeds=n_seeds,
                same_images=_sum_up(same_images, distinct),
                reused=_sum_up(reused, distinct),
                held_out=held_out,
            )
        )
    return rows


def _compare_alike(
    world: World, settings: Settings, n_seeds: int, number: int
) -> tuple[list[Replay], list[Replay], list[Replay]]:
    """One world's comparisons: cell chosen on `mine`, on `confirm`, and on the runs and images that judge it."""
    rng = np.random.default_rng([1, n_seeds, number])
    on_confirm = (world.confirm, world.clean.confirm)
    options: dict[str, Any] = {"n_seeds": n_seeds, "n_mining": settings.mining_runs, "n_draws": settings.draws}
    fresh = replay_protocol((world.mine, world.clean.mine), on_confirm, N_CLASSES, rng=rng, **options)
    other = np.random.default_rng([6, n_seeds, number])
    same_images = replay_protocol(on_confirm, on_confirm, N_CLASSES, rng=other, **options)
    reused = []
    for _ in range(settings.draws):
        before, after = draw_runs(len(world.clean.confirm), (n_seeds, n_seeds), rng)
        cell = worst_cell(world.confirm, world.clean.confirm[before], N_CLASSES)
        arms = world.clean.confirm[before], world.clean.confirm[after]
        reused.append(replay_once(world.confirm, *arms, cell, N_CLASSES))
    return fresh, same_images, reused


def _sum_up(replays: Sequence[Sequence[Replay]], distinct: int) -> Claims:
    def share(true: Callable[[Replay], bool]) -> Share:
        return clustered_share([[float(true(r)) for r in some] for some in replays], n_distinct=distinct)

    return Claims(
        improved=share(lambda r: r.word == IMPROVED),
        harmed=share(lambda r: r.word == HARMED),
        claims=share(lambda r: r.word in (IMPROVED, HARMED)),
        primary=share(lambda r: r.direction != 0),
        cannot_tell=share(lambda r: r.word == CANNOT_TELL),
        plain=share(lambda r: r.p_plain < 0.05),
        errors_per_run=float(np.mean([np.mean(r.before) for some in replays for r in some])),
        distinct=distinct,
    )


def measure_naive(worlds: Sequence[World]) -> Naive:
    """Judge in the usual way: worst cell of one run, one retraining, same images, fewer errors."""
    replays = [replay_naive(world.confirm, world.clean.confirm, N_CLASSES) for world in worlds]
    distinct = sum(len(replay.cells) // 2 for replay in replays)

    def share(outcomes: Sequence[np.ndarray]) -> Share:
        return clustered_share([some.astype(float).tolist() for some in outcomes], n_distinct=distinct)

    return Naive(
        improved=share([r.after < r.before for r in replays]),
        worse=share([r.after > r.before for r in replays]),
        mcnemar=share([_mcnemar_claims(world, r) for world, r in zip(worlds, replays, strict=True)]),
        mean_change=mean_of([r.mean_change for r in replays]),
        elsewhere_per_run=mean_of([r.elsewhere for r in replays]),
        before=float(np.mean([r.before.mean() for r in replays])),
        after=float(np.mean([r.after.mean() for r in replays])),
    )


def _mcnemar_claims(world: World, replay: NaiveReplay) -> np.ndarray:
    """Whether McNemar's mid-p test (see `significance.mcnemar`) is significant, per ordered pair of runs."""
    from scipy.stats import binom

    counts = []
    for i, j in replay.pairs:
        errors = cell_errors(world.confirm, world.clean.confirm[[i, j]], replay.cells[i])
        counts.append(((errors[0] & ~errors[1]).sum(), (errors[1] & ~errors[0]).sum()))
    before_only, after_only = np.transpose(counts)
    fewer, n = np.minimum(before_only, after_only), before_only + after_only
    p_values: np.ndarray = 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5)
    return p_values < 0.05


def measure_planted(worlds: Sequence[World], settings: Settings) -> list[Planted]:
    """Compare the power that is found with the power that was planned."""
    import pandas as pd

    rows = []
    for size, share in enumerate(follow((*settings.planted[-2::-1], 0.0), "planted")):
        arguments = [(world, k, share, settings, [2, size, k]) for k, world in enumerate(worlds)]
        records = [record for some in _in_parallel(_plan_and_judge, arguments) for record in some]
        for n_seeds in settings.power_seeds if records else ():
            plans = pd.DataFrame([record for record in records if record["seeds"] == n_seeds])
            of = plans.groupby("world").mean()
            difference = of["improved"] - of["promised"]
            later = difference[of.index >= settings.tuned_on]
            assumed = ("reduction", "errors_before", "errors_expected", "shrink", "swing_planned", "swing_true")
            rows.append(
                Planted(
                    relabelled_before=settings.planted[-1],
                    relabelled_after=share,
                    seeds=n_seeds,
                    worlds=len(of),
                    comparisons=settings.judged * len(plans),
                    planted_first=len(plans) / (settings.plans * len(worlds)),
                    **{name: float(of[name].mean()) for name in assumed},
                    promised=mean_of(of["promised"]),
                    found=mean_of(of["found"]),
                    verdict_improved=mean_of(of["improved"]),
                    knowing=mean_of(of["knowing"]),
                    difference=mean_of(difference),
                    held_out=mean_of(later) if len(later) else None,
                    difference_knowing=mean_of(of["improved"] - of["knowing"]),
                    per_world={name: of[name].tolist() for name in ("promised", "found", "knowing")},
                )
            )
    return rows


def _plan_and_judge(
    world: World, number: int, share: float, settings: Settings, seed: Sequence[int]
) -> list[dict[str, float]]:
    """Plan a repair down to `share` from three runs each time, and make the planned comparisons.

    No network was trained on the images to mine or to confirm on, so these are divided anew for every plan. Otherwise
    all plans of a world would share the random error of one division. (On MNIST as divided in `World`, networks trained
    on relabelled images misread 22 % of class a on `mine` and 26 % on `confirm`, which no plan can know; every planned
    power was 2 to 21 points too low.)

    Returns:
        A record per plan and number of seeds, with the names of `Planted`; no record where another pair ranked first.
    """
    rng = np.random.default_rng(seed)
    pair = world.pair
    labels = np.concatenate([world.mine, world.confirm])
    pools = (world.planted[settings.planted[-1]], world.planted[share] if share else world.clean)
    pool, repaired = (np.concatenate([p.mine, p.confirm], axis=1) for p in pools)
    n_mine, part = len(world.mine), len(world.confirm) / len(labels)
    before, after = (float(pair_errors(labels, p, pair).mean()) * part for p in (pool, repaired))
    reduction = 1 - after / before if before else 0.0
    known = fit_rates(labels, pool, N_CLASSES, [pair])
    true = {"reduction": reduction, "errors_before": before, "swing_true": known.logit_sd}
    records: list[dict[str, float]] = []
    knowing = None
    for _ in range(settings.plans):
        mining, rest = np.split(rng.permutation(len(pool)), [settings.mining_runs])
        mine, confirm = np.split(rng.permutation(len(labels)), [n_mine])
        mined = pool[mining][:, mine]
        if reduction <= 0 or worst_cell(labels[mine], mined, N_CLASSES) != pair:
            continue  # a user would have worked on another pair
        sizes = np.bincount(labels[confirm], minlength=N_CLASSES)
        judged: dict[str, Any] = {"n_images": int(sizes[pair[0]]), "n_evaluated": len(confirm)}
        estimated = Setting(rates=fit_rates(labels[mine], mined, N_CLASSES, [pair]), **judged)
        around = describe_surroundings(labels[mine], mined, class_sizes=sizes, pair=pair, endpoint=Endpoint.FORWARD)
        agreement = simulate_agreement(
            estimated, around, settings.power_seeds, reduction, n_simulations=settings.simulations // 4, rng=rng
        )
        options: dict[str, Any] = {"rng": rng, "n_simulations": settings.simulations, "agreement": agreement}
        promised = plan_power(estimated, settings.power_seeds, [reduction], **options)[0].tolist()
        rates = estimated.rates
        expected, mined_errors = (get(judged["n_images"]) for get in (rates.expected_errors, rates.mined_errors))
        planned = {
            "shrink": expected / mined_errors,
            "errors_expected": expected,
            "swing_planned": rates.logit_sd,
        }
        if knowing is None:
            knowing = plan_power(Setting(rates=known, **judged), settings.power_seeds, [reduction], **options)[
                0
            ].tolist()
        for at, n_seeds in enumerate(settings.power_seeds):
            draws = [
                (rng.permutation(rest)[:n_seeds], rng.permutation(len(repaired))[:n_seeds])
                for _ in range(settings.judged)
            ]
            replays = [
                replay_once(labels[confirm], pool[first][:, confirm], repaired[then][:, confirm], pair, N_CLASSES)
                for first, then in draws
            ]
            found = {
                "promised": promised[at][0],
                "knowing": knowing[at][0],
                "found": float(np.mean([replay.direction < 0 for replay in replays])),
                "improved": float(np.mean([replay.word == IMPROVED for replay in replays])),
            }
            records.append({"world": number, "seeds": n_seeds, **true, **planned, **found})
    return records


def mean_of(values: Any) -> Mean:
    """Mean over worlds with its interval, from float (W,), one value per world."""
    low, high = mean_interval(values) if len(values) > 1 else (None, None)
    return Mean(mean=float(np.mean(values)), low=low, high=high)


def _in_parallel(work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Results of `work` in the order of its arguments, on all cores."""
    import joblib

    results: list[Any] = joblib.Parallel(n_jobs=-1)(joblib.delayed(work)(*given) for given in arguments)
    return results
