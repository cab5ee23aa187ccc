"""Run by test_vectorized.py in a process whose Keras runs on JAX: the same runs together and one by one.

Arguments: the folder for the two stores, `together` and `alone`, and a JSON of seeds, seeds at once, fields of the runs
and fields of the treatment.
"""

import json
import sys
from pathlib import Path

import numpy as np

from erroran.data import build_dataset
from erroran.execution.driver import Request, complete_runs
from erroran.execution.local import InProcess
from erroran.execution.vectorized import Vectorized
from erroran.experiment.runspec import RunSpec
from erroran.store import Store
from erroran.store.environment import current_environment


def main() -> None:
    """Train all runs in both ways."""
    folder, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
    rng = np.random.default_rng(11)
    labels = np.repeat(np.arange(3), 65)
    images = rng.integers(0, 100, (len(labels), 8, 8))
    images[np.arange(len(labels)), 1 + 2 * labels] += 60
    test = np.arange(len(labels)) % 13 >= 10
    parts = {"train": ~test, "test": test}
    arrays = {f"x_{name}": images[rows].astype(np.uint8) for name, rows in parts.items()}
    dataset = build_dataset("t", "made here", **arrays, **{f"y_{name}": labels[rows] for name, rows in parts.items()})
    common = {
        "dataset": dataset.digest,
        "mine_fraction": 0.1,
        "environment": current_environment(wanted["run"]["model"]),
    }
    requests = [
        Request(arm, RunSpec(**common, **wanted["run"], **fields, seed=seed))
        for arm, fields in {"baseline": {}, "treatment": wanted["treatment"]}.items()
        for seed in range(wanted["seeds"])
        if arm == "baseline" or fields
    ]
    steps: list[tuple[int, int]] = []
    for name, executor in (("together", Vectorized(wanted["at_once"])), ("alone", InProcess())):
        store = Store(folder / name)
        store.put_dataset(dataset)
        done = complete_runs(
            store, requests, executor=executor, on_progress=lambda now: steps.append((now.seed, now.step))
        )
        assert len(done.trained) == len(requests)
        if name == "together":
            (folder / "steps.json").write_text(json.dumps(steps))
    (folder / "runs.json").write_text(json.dumps([request.spec.id for request in requests]))


if __name__ == "__main__":
    main()
