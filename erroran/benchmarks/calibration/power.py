"""Is the power found that a plan promises? Plans from a few real runs, and comparisons of the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.benchmarks.calibration.comparisons import (
    CONVOLUTIONAL,
    DENSE,
    decide,
    is_convolutional,
    tuned,
)
from erroran.benchmarks.calibration.plants import PLANTS
from erroran.benchmarks.calibration.pools import N_CLASSES, Pool
from erroran.benchmarks.calibration.result import Measured, Settings
from erroran.benchmarks.calibration.runner import Runner
from erroran.experiment.endpoint import Endpoint
from erroran.stats.confusion import Cell, FloatArray, IntArray, confusion_counts, pair_errors
from erroran.verdict.plan import Setting, describe_surroundings, plan_power, simulate_agreement
from erroran.verdict.rates import fit_rates
from erroran.verdict.table import IMPROVED

ERRORS = (2.0, 20.0)
"""Errors per run of the cells that are planned for: mined ones, scaled to the images to judge on."""
HALF = 0.5


@dataclass(frozen=True)
class Planned:
    """One plan, and the comparisons that were planned.

    Attributes:
        pool: Name of the pool.
        cell: The planned cell.
        mined: Errors per run of the mining runs, scaled to the images to judge on.
        true: Errors per run of all runs on these images.
        promised: Power for a halving, by number of seeds; `found` the share of verdicts "improved".
    """

    pool: str
    cell: Cell
    mined: float
    true: float
    promised: FloatArray
    found: FloatArray

    @property
    def confusion(self) -> tuple[str, ...]:
        """The pair of classes."""
        return (self.pool, *map(str, sorted(self.cell)))


def measure_power(pools: Sequence[Pool], settings: Settings, run: Runner) -> list[Measured]:
    """Power found minus promised, by kind of network; only pools that tuned nothing are judged."""
    enough = [p for p in pools if p.n_runs >= settings.power_runs + 2 * max(settings.power_sizes)]
    jobs = [
        (pool, settings, (4, k, part))
        for k, pool in enumerate(enough)
        for part in range(-(-settings.plans // (3 if tuned(pool) else 1)))
    ]
    plans = [plan for plan in run(_plan_and_judge, jobs) if plan is not None]
    free = {pool.name for pool in pools if not tuned(pool)}
    conv = {pool.name for pool in pools if is_convolutional(pool)}
    groups = {
        f"{CONVOLUTIONAL}, tuned nothing": free & conv,
        f"{DENSE}, tuned nothing": free - conv,
        **{name: {name} for name in sorted({plan.pool for plan in plans})},
    }
    measured = []
    for at, n_seeds in enumerate(settings.power_sizes):
        for place, (data, names) in enumerate(groups.items()):
            chosen = [plan for plan in plans if plan.pool in names]
            if not chosen:
                continue
            mean, low, high, clusters = clustered_mean(
                [float(plan.found[at] - plan.promised[at]) for plan in chosen], [plan.confusion for plan in chosen]
            )
            measured.append(
                Measured(
                    question="power", data=data, design=f"{n_seeds} v {n_seeds}", value=mean, low=low, high=high,
                    n=len(chosen), n_effective=clusters, held_out=names <= free, judged=place < 2,
                    details={
                        "promised": float(np.mean([plan.promised[at] for plan in chosen])),
                        "found": float(np.mean([plan.found[at] for plan in chosen])),
                        "cells": float(len({(plan.pool, plan.cell) for plan in chosen})),
                        "mined": float(np.mean([plan.mined for plan in chosen])),
                        "errors": float(np.mean([plan.true for plan in chosen])),
                    },
                )
            )  # fmt: skip
    return measured


def clustered_mean(
    values: Sequence[float], clusters: Sequence[tuple[str, ...]]
) -> tuple[float, float | None, float | None, int]:
    """Mean with Student's interval from the sums of the clusters' deviations, and the number of clusters."""
    from scipy.stats import t as student

    off = np.asarray(values) - np.mean(values)
    names = sorted(set(clusters))
    sums = np.bincount([names.index(name) for name in clusters], off)
    mean, n = float(np.mean(values)), len(names)
    if n < 2:
        return mean, None, None, n
    half = float(student.ppf(0.975, n - 1) * np.sqrt((sums**2).sum() * n / (n - 1)) / len(off))
    return mean, mean - half, mean + half, n


def _plan_and_judge(pool: Pool, settings: Settings, seed: Sequence[int]) -> Planned | None:
    """Plan for a cell from a few runs, and make the planned comparisons with the others; None without such a cell.

    No network was trained on the images to mine or to judge on, so these are divided anew for every plan. Otherwise all
    plans of a pool would share the random error of one division.
    """
    rng = np.random.default_rng(seed)
    labels = np.concatenate([pool.mine.labels, pool.confirm.labels])
    predicted = np.concatenate([pool.mine.predicted, pool.confirm.predicted], axis=1)
    mine, confirm = np.split(rng.permutation(labels.size), [pool.mine.labels.size])
    mining, rest = np.split(rng.permutation(pool.n_runs), [settings.power_runs])
    mined = predicted[mining][:, mine]
    sizes = [np.bincount(labels[rows], minlength=N_CLASSES) for rows in (mine, confirm)]
    scaled = confusion_counts(labels[mine], mined, N_CLASSES).mean(axis=0) * (sizes[1] / sizes[0])[:, None]
    np.fill_diagonal(scaled, 0)
    cells = np.argwhere((scaled >= ERRORS[0]) & (scaled <= ERRORS[1]))
    if not len(cells):
        return None
    a, b = rng.choice(cells).tolist()
    promised = promise(labels[mine], mined, sizes[1], (a, b), settings, rng)
    found = np.zeros(len(settings.power_sizes))
    y, p = labels[confirm], predicted[:, confirm]
    for at, n_seeds in enumerate(settings.power_sizes):
        for k in range(settings.power_draws):
            rows = rng.permutation(rest)[: 2 * n_seeds]
            plant = list(PLANTS.values())[k % len(PLANTS)]
            after = plant(y, p, p[rows[n_seeds:]], (a, b), rng)
            found[at] += decide(y, p[rows[:n_seeds]], after, (a, b), None)[0] == IMPROVED
    true = float(pair_errors(y, p, (a, b)).mean())
    return Planned(pool.name, (a, b), float(scaled[a, b]), true, promised, found / settings.power_draws)


def promise(
    labels: IntArray, mined: IntArray, sizes: IntArray, cell: Cell, settings: Settings, rng: np.random.Generator
) -> FloatArray:
    """Planned power for a halving of a cell, by number of seeds: float64, as ``erroran plan`` computes it.

    Args:
        labels: Integer (N,), of the mined images.
        mined: Integer (S, N), predictions of the mining runs.
        sizes: Integer (C,), images of each class to judge on.
        cell: (a, b).
        settings: Numbers of seeds and simulations.
        rng: Generator.
    """
    rates = fit_rates(labels, mined, N_CLASSES, [cell])
    setting = Setting(rates=rates, n_images=int(sizes[cell[0]]), n_evaluated=int(sizes.sum()))
    around = describe_surroundings(labels, mined, class_sizes=sizes, pair=cell, endpoint=Endpoint.FORWARD)
    agreement = simulate_agreement(
        setting, around, settings.power_sizes, HALF, n_simulations=settings.power_judged, rng=rng
    )
    power, _ = plan_power(
        setting, settings.power_sizes, (HALF,), n_simulations=settings.power_simulations, agreement=agreement, rng=rng
    )
    planned: FloatArray = power[:, 0]
    return planned
