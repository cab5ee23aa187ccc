"""Stores for the benchmark of commands, with runs that nobody trained.

``python -m erroran.benchmarks.stores FOLDER --dataset mnist`` writes into FOLDER a project, in which everything that
``erroran run bench`` needs is finished, and beside it a store of 10,000 records in ``many``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from erroran import provenance
from erroran.benchmarks.common import start_parser
from erroran.data import Dataset, Part, load_dataset
from erroran.experiment.hypothesis import read_hypothesis
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store
from erroran.store.environment import current_environment
from erroran.store.records import RunRecord

N_RECORDS: Final = 10_000
SEEDS: Final = 10
"""Per arm: a report of 20 runs, with as many mined ones."""
SPEC: Final = """
pair = "{pair}"
hypothesis = "A benchmark."
seeds = {seeds}
[augment.{first}]
operation = "dilate"
radius_px = 0.5
probability = 0.12
"""


def draw_run(
    spec: RunSpec, parts: Mapping[str, Part], n_classes: int, arm: str
) -> tuple[RunRecord, dict[str, Predictions]]:
    """A run that nobody trained: right with 99 % probability, the predictions drawn by its seed."""
    rng = np.random.default_rng([spec.seed, len(arm)])
    predictions = {}
    for name, part in parts.items():
        hard = np.random.default_rng(0).random(len(part.y)) < 0.03  # the same images in every run
        wrong = hard & (rng.random(len(part.y)) < 0.3)
        read = np.where(wrong, (part.y + 1 + rng.integers(0, n_classes - 1, len(part.y))) % n_classes, part.y)
        logits = rng.normal(0, 1, (len(part.y), n_classes)) + 8 * np.eye(n_classes)[read]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        predictions[name] = Predictions(probabilities=probabilities.astype(np.float32), labels=part.y, ids=part.ids)
    return make_record(spec, arm, 0.99), predictions


def make_record(spec: RunSpec, arm: str, accuracy: float) -> RunRecord:
    """The record of a run that nobody trained."""
    curve = [0.9, 0.97, 0.98, accuracy]
    return RunRecord(
        spec=spec,
        arm=arm,
        dataset_name="benchmark",
        accuracy_mine=accuracy,
        accuracy_confirm=accuracy,
        seconds=60.0,
        created=provenance.now(),
        command="erroran.benchmarks.commands",
        versions=provenance.versions(),
        commit=None,
        machine=provenance.machine(),
        parameters=421_642,
        history=dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), curve),
    )


def make_records(folder: Path) -> None:
    """A store of `N_RECORDS` records without predictions."""
    Store(folder).put_source("")  # writes the marker of a store
    spec = make_spec("0" * 64)
    for seed in range(N_RECORDS):
        record = make_record(spec.model_copy(update={"seed": seed}), "baseline", 0.99)
        run = folder / "runs" / record.id
        run.mkdir(parents=True)
        (run / "run.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")


def make_spec(dataset: str) -> RunSpec:
    """The spec of a baseline run with seed 0."""
    environment = current_environment("cnn")
    return RunSpec(
        dataset=dataset, mine_fraction=0.1, model="cnn", recipe=RECIPES["fast"], seed=0, environment=environment
    )


def make_project(folder: Path, dataset: Dataset) -> None:
    """A spec, and a store with ten mined runs, ten of a fresh baseline and ten of the treatment."""
    names = dataset.class_names
    path = folder / "experiments" / "bench.toml"
    path.parent.mkdir(parents=True)
    pair = f"{names[0]}:{names[1]}"
    path.write_text(SPEC.format(pair=pair, first=names[0], seeds=SEEDS), encoding="utf-8")
    change = read_hypothesis(path).change
    store = Store(folder / ".erroran")
    store.put_dataset(dataset)
    template = make_spec(dataset.digest)
    splits = store.get_splits(template)
    parts = {"mine": splits.mine, "confirm": splits.confirm}
    for first, arm in ((0, "baseline"), (1000, "baseline"), (1000, "bench")):
        for seed in range(first, first + SEEDS):
            spec = template.model_copy(update={"seed": seed})
            spec = spec.changed(change) if arm == "bench" else spec
            store.put_run(*draw_run(spec, parts, len(names), arm), {})


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the stores."""
    parser = start_parser("stores", __doc__)
    parser.add_argument("folder", type=Path, help="where they are written")
    parser.add_argument("--dataset", default="auto", help="images of the runs")
    options = parser.parse_args(arguments)
    make_project(options.folder, load_dataset(options.dataset))
    make_records(options.folder / "many")


if __name__ == "__main__":
    main()
