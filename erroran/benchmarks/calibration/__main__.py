"""``python -m erroran.benchmarks.calibration``: measure, and write ``reports/calibration.md``."""

import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from erroran import provenance
from erroran.benchmarks import calibration
from erroran.benchmarks.calibration.comparisons import measure_aa, measure_naive, measure_planted
from erroran.benchmarks.calibration.report import write_calibration
from erroran.benchmarks.calibration.result import QUICK, CalibrationResult, Made, Settings
from erroran.benchmarks.calibration.simulations import measure_coverage, measure_facts
from erroran.benchmarks.calibration.worlds import load_worlds, measure_swings
from erroran.benchmarks.common import start_parser
from erroran.data import Dataset, load_dataset
from erroran.stats.dispersion import PRIOR_LOGIT_VARIANCE, PRIOR_LOGIT_VARIANCE_SD

DEFAULT_SHIFT = 0.5  # run-to-run variation of the simulations, in logits, if the networks have none


def calibrate(dataset: Dataset, settings: Settings, *, cache: Path | None, command: str) -> CalibrationResult:
    """Train, judge and simulate everything; `cache` keeps the networks' predictions, `command` is for the record."""
    start = time.perf_counter()
    worlds = load_worlds(dataset, settings, cache)
    described = [world.describe() for world in worlds]
    shift_sd = round(float(np.median([world.shift_sd for world in described])), 1) or DEFAULT_SHIFT
    measured = {
        "worlds": described,
        "swings": measure_swings(worlds),
        "aa": measure_aa(worlds, settings),
        "naive": measure_naive(worlds),
        "planted": measure_planted(worlds, settings),
        "coverage": measure_coverage(settings, shift_sd),
        "facts": measure_facts(settings),
    }
    made = Made(
        command=command,
        seconds=round(time.perf_counter() - start),
        versions={**provenance.versions(), "statsmodels": metadata.version("statsmodels")},
        commit=provenance.commit(),
        machine=provenance.machine(),
        dataset=dataset.name,
        settings=settings,
        prior=(PRIOR_LOGIT_VARIANCE, PRIOR_LOGIT_VARIANCE_SD),
    )
    return CalibrationResult.model_validate({"made": made, **measured})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured, and write the report."""
    parser = start_parser("calibration", calibration.__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of MNIST (default: $ERRORAN_DATA)")
    parser.add_argument("--dataset", default="auto", help="auto, mnist or digits")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of the report")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the trained networks' predictions here")
    parser.add_argument("--quick", action="store_true", help="a few networks only, to see that it works")
    parser.add_argument("--render", action="store_true", help="only write the page again, from calibration.json")
    options = parser.parse_args(arguments)
    if options.render:
        saved = (options.reports / "calibration" / "calibration.json").read_bytes()
        result = CalibrationResult.model_validate_json(saved)
    else:
        dataset = load_dataset(options.dataset, data_dir=options.data)
        # The folders are left out of the record: they differ between machines.
        command = f"{parser.prog} --dataset {dataset.name}" + " --quick" * options.quick
        command += " --cache DIR" if options.cache else ""
        settings = QUICK if options.quick else Settings()
        result = calibrate(dataset, settings, cache=options.cache, command=command)
    path = write_calibration(result, options.reports, with_numbers=not options.render)
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
