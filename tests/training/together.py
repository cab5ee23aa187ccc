"""Run by test_vectorized.py in a process whose Keras runs on JAX: the same runs together and one by one, into a file.

Arguments: the file to write, and the parameters of the recipe and the run as JSON.
"""

import json
import sys

import numpy as np

from erroran.data import build_dataset, split_dataset
from erroran.experiment.runspec import RunSpec
from erroran.store.environment import current_environment
from erroran.training.fit import Progress, train
from erroran.training.vectorized import train_together


def main() -> None:
    """Train and write."""
    file, wanted = sys.argv[1], json.loads(sys.argv[2])
    rng = np.random.default_rng(11)
    labels = np.repeat(np.arange(3), 65)
    images = rng.integers(0, 100, (len(labels), 8, 8))
    images[np.arange(len(labels)), 1 + 2 * labels] += wanted.pop("contrast")
    parts = [np.arange(len(labels)) % 13 < 10, np.arange(len(labels)) % 13 >= 10]
    (x_train, y_train), (x_test, y_test) = ((images[part].astype(np.uint8), labels[part]) for part in parts)
    dataset = build_dataset("t", "made here", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    splits, seeds, single = split_dataset(dataset), wanted.pop("seeds"), wanted.pop("single")
    environment = current_environment(wanted["model"])
    specs = [
        RunSpec(dataset=dataset.digest, mine_fraction=0.1, environment=environment, seed=seed, **wanted)
        for seed in range(seeds)
    ]
    reports: list[Progress] = []
    together = train_together(specs, splits, dataset.class_names, reports.append)
    alone = [train(spec, splits, dataset.class_names) for spec in specs[:single]]
    found = {
        f"{name}_{way}": np.array([getattr(run, f"probabilities_{name}") for run in runs])
        for way, runs in (("together", together), ("alone", alone))
        for name in ("mine", "confirm")
    }
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        for way, runs in (("together", together), ("alone", alone)):
            found[f"{name}_{way}"] = np.array([run.history[name] for run in runs])
    found["steps"] = np.array([(report.seed, report.step, report.steps, report.epoch) for report in reports])
    found["models_differ"] = np.array(len({run.model for run in together}))
    np.savez(file, **found)


if __name__ == "__main__":
    main()
