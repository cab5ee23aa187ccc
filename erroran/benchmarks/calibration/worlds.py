"""Disjoint parts of a dataset, and small networks trained on each."""

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from erroran.benchmarks.calibration.result import Settings, WorldSummary
from erroran.benchmarks.common import follow
from erroran.data import Dataset, split_dataset
from erroran.stats.confusion import Cell, FloatArray, IntArray, confusion_counts
from erroran.stats.dispersion import run_variation

N_CLASSES: Final = 10
# Similar digits; fixed beforehand, so that there is no selection.
PLANTED_PAIRS: Final = ((4, 9), (7, 9), (3, 5), (8, 3), (9, 4), (5, 3), (7, 2), (2, 7), (5, 8), (9, 7), (3, 8), (8, 5))


@dataclass(frozen=True)
class Pool:
    """Networks of one recipe in one world: predictions int8 (S, N) on the images to mine and to confirm on."""

    mine: IntArray
    confirm: IntArray


@dataclass(frozen=True)
class World:
    """Labels (N,) of images that no other world has, and networks trained on them.

    `clean` networks were trained on the true labels, `planted` ones after a share of class a's labels was changed to b.
    """

    n_train: int
    mine: IntArray
    confirm: IntArray
    clean: Pool
    pair: Cell
    planted: dict[float, Pool]

    def describe(self) -> WorldSummary:
        """Sum up the images and the networks."""
        wrong = self.clean.confirm != self.confirm
        variation = relative_and_logits([variation_terms(self.confirm, self.clean.confirm)])
        return WorldSummary(
            train=self.n_train,
            mine=len(self.mine),
            confirm=len(self.confirm),
            networks=len(wrong) + sum(len(pool.mine) for pool in self.planted.values()),
            accuracy=float(1 - wrong.mean()),
            errors=float(wrong.sum(axis=1).mean()),
            run_sd=variation["relative"],
            shift_sd=variation["logits"],
            pair="{}→{}".format(*self.pair),
        )


def load_worlds(dataset: Dataset, settings: Settings, cache: Path | None) -> list[World]:
    """Train the networks of every world, or read their predictions from the folder `cache`."""
    if cache is None:
        return make_worlds(dataset, settings)
    import joblib

    decisive = settings.model_dump(include={"n_worlds", "train_sizes", "pool", "planted_pool", "planted"})
    path = cache / f"worlds-{joblib.hash((dataset.digest, list(decisive.values())))[:12]}.joblib"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        joblib.dump(make_worlds(dataset, settings), path, compress=3)
    worlds: list[World] = joblib.load(path)
    return worlds


def make_worlds(dataset: Dataset, settings: Settings) -> list[World]:
    """Divide the images into worlds and train each world's networks."""
    splits = split_dataset(dataset, mine_fraction=0.1 if len(dataset.y_train) > 10_000 else 0.3)
    rng = np.random.default_rng(2026)
    parts = {name: getattr(splits, name) for name in ("train", "mine", "confirm")}
    orders = {name: rng.permutation(len(part.y)) for name, part in parts.items()}
    sizes = [settings.train_sizes[k % len(settings.train_sizes)] for k in range(settings.n_worlds)]
    starts = np.cumsum([0, *sizes])
    if starts[-1] > len(orders["train"]):
        starts = np.linspace(0, len(orders["train"]), settings.n_worlds + 1).astype(int)

    made = []
    for k in follow(range(settings.n_worlds), "training"):
        rows = {name: order[k :: settings.n_worlds] for name, order in orders.items()}
        rows["train"] = orders["train"][starts[k] : starts[k + 1]]
        x = {name: _features(parts[name].x[chosen]) for name, chosen in rows.items()}
        y = {name: parts[name].y[chosen] for name, chosen in rows.items()}
        pair, base = PLANTED_PAIRS[k % len(PLANTED_PAIRS)], 100_000 * k
        pools = {}
        for i, share in enumerate((0.0, *settings.planted)):
            seeds = base + 1000 * i + np.arange(settings.planted_pool if share else settings.pool)
            changed = relabel(y["train"], pair, share, np.random.default_rng(base))
            unseen = (x["mine"], x["confirm"])
            pools[share] = train_pool(x["train"], changed, unseen, seeds=seeds.tolist())
        made.append(World(len(y["train"]), y["mine"], y["confirm"], pools.pop(0.0), pair, pools))
    return made


def relabel(labels: IntArray, pair: Cell, share: float, rng: np.random.Generator) -> IntArray:
    """Change a share, in [0, 1], of class a's labels to b.

    With a generator in the same state the images of a smaller share are among those of a larger one.
    """
    changed = labels.copy()
    members = rng.permutation(np.flatnonzero(labels == pair[0]))
    changed[members[: round(share * len(members))]] = pair[1]
    return changed


def train_pool(x: FloatArray, y: IntArray, unseen: Sequence[FloatArray], *, seeds: Sequence[int]) -> Pool:
    """Train one network per seed, in this process, on features float (N, D) in [0, 1] and labels (N,).

    `unseen` are the features of the images to mine and of those to confirm on.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    predicted = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the recipe ends before convergence
        for seed in seeds:
            network = MLPClassifier((64,), max_iter=15, learning_rate_init=3e-3, batch_size=64, random_state=seed)
            network.fit(x, y)
            predicted.append([network.predict(features).astype(np.int8) for features in unseen])
    return Pool(*(np.stack(runs) for runs in zip(*predicted, strict=True)))


def _features(images: np.ndarray) -> FloatArray:
    """uint8 grey images (N, H, W, 1) to float (N, H W / 4) in [0, 1]: means of 2 x 2 pixels, for cheap training."""
    n, height, width = images.shape[:3]
    small = images.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4)) / 255
    features: FloatArray = small.reshape(n, -1)
    return features


def variation_terms(labels: IntArray, pred: IntArray) -> FloatArray:
    """float64 (3, C, C): mean count of each cell, its variance for independent images, and its excess variance."""
    mean = confusion_counts(labels, pred, N_CLASSES).mean(axis=0) * ~np.eye(N_CLASSES, dtype=bool)
    found = run_variation(labels, pred, n_classes=N_CLASSES)
    return np.stack([mean, found.expected, found.variance - found.expected])


def relative_and_logits(terms: Sequence[FloatArray]) -> dict[str, float]:
    """Run-to-run variation over cells by either law, from parts of `variation_terms`, float64 (3, ...) each."""
    mean, expected, excess = np.concatenate([table.reshape(3, -1) for table in terms], axis=1)
    whole = max(0.0, float(excess.sum()))
    return {"relative": math.sqrt(whole / (mean**2).sum()), "logits": math.sqrt(whole / (expected**2).sum())}


def measure_swings(worlds: Sequence[World]) -> dict[str, dict[str, float]]:
    """Run-to-run variation in proportion to the count and in logits, for three kinds of cells."""
    kinds = defaultdict(list)
    for world in worlds:
        terms = variation_terms(world.confirm, world.clean.confirm).reshape(3, -1)
        largest = terms[:, np.argsort(-terms[0])[:20]]
        noise = largest[1] / largest[0]
        noisy = noise > np.median(noise)
        kinds["seed noise"].append(largest[:, noisy])
        kinds["systematic"].append(largest[:, ~noisy])
        kinds["planted"] += [variation_terms(world.confirm, p.confirm)[:, *world.pair] for p in world.planted.values()]
    return {kind: relative_and_logits(terms) for kind, terms in kinds.items()}
