"""``python -m erroran.benchmarks.calibration``: measure, and write ``reports/calibration.md``."""

import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from erroran import provenance
from erroran.benchmarks import calibration
from erroran.benchmarks.calibration.comparisons import (
    DENSE,
    is_convolutional,
    measure_claims,
    measure_half,
    measure_naive,
    measure_repair,
    tuned,
)
from erroran.benchmarks.calibration.out_of_fold import measure_same_time
from erroran.benchmarks.calibration.pools import POOLS, Pool, load_pools
from erroran.benchmarks.calibration.power import measure_power
from erroran.benchmarks.calibration.report import write_calibration
from erroran.benchmarks.calibration.result import QUICK, CalibrationResult, Made, Measured, Settings
from erroran.benchmarks.calibration.runner import Runner
from erroran.benchmarks.calibration.simulations import measure_both_ways, measure_coverage, measure_facts
from erroran.benchmarks.common import start_parser
from erroran.errors import BadInput
from erroran.verdict.table import IMPROVED


def calibrate(pools: dict[str, Pool], settings: Settings, run: Runner, *, command: str) -> CalibrationResult:
    """Judge the pools and simulate; `pools` by name, `run` does the parts, `command` is for the record.

    Raises:
        BadInput: There is no pool to judge.
    """
    start = time.perf_counter()
    alike = [pool for pool in pools.values() if "confirm" in pool.splits and pool.about["arm"] == "baseline"]
    if not alike:
        raise BadInput(
            "There are no pools of runs.", fix="run it in the root of the repository, or name --pools FOLDER"
        )
    measured = measure_claims(alike, settings, run)
    measured += measure_power(alike, settings, run)
    measured += measure_both_ways(settings, run)
    measured += measure_coverage(settings, run)
    if mnist := pools.get("mnist-cnn"):
        measured += measure_half(mnist, settings, run)
        measured += _at_the_same_time(mnist, settings, run)
        if relabelled := pools.get("mnist-cnn-relabelled"):
            measured += measure_repair(mnist, relabelled, settings, run)
    kinds = {pool.name: [pool] for pool in alike if is_convolutional(pool)}
    if dense := [pool for pool in alike if not is_convolutional(pool)]:
        kinds[DENSE] = dense
    naive = measure_naive(kinds)
    facts = measure_facts(settings)
    made = Made(
        command=command,
        seconds=round(time.perf_counter() - start),
        versions={**provenance.versions(), "statsmodels": metadata.version("statsmodels")},
        commit=provenance.commit(),
        machine=provenance.machine(),
        settings=settings,
        pools={name: {**pool.about, "tuned": tuned(pool)} for name, pool in pools.items()},
    )
    return CalibrationResult(made=made, measured=measured, naive=naive, facts=facts)


def _at_the_same_time(pool: Pool, settings: Settings, run: Runner) -> list[Measured]:
    """Half of 4→9 repaired, judged on `confirm` and out of fold after the same training time."""
    (rows,) = run(measure_same_time, [(pool, settings.same_time)])
    return [
        Measured(
            question="half",
            data=f"{pool.name}, {row.judging}",
            design=f"{row.seeds} v {row.seeds}, time of {row.training} runs each",
            value=row.words[IMPROVED],
            low=None,
            high=None,
            n=row.comparisons,
            n_effective=1.0,
            held_out=False,
            details={
                **row.words,
                "claims without change": row.claims_without_change,
                "errors per seed": row.errors,
                "images with the error": row.distinct,
            },
        )
        for row in rows
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured, and write the report."""
    parser = start_parser("calibration", calibration.__doc__)
    parser.add_argument("--pools", type=Path, default=POOLS, metavar="FOLDER", help="the runs to judge")
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="FOLDER", help="where the page goes")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep finished parts here, for this code only")
    parser.add_argument("--quick", action="store_true", help="a few comparisons only, to see that it works")
    parser.add_argument("--render", action="store_true", help="only write the page again, from calibration.json")
    options = parser.parse_args(arguments)
    if options.render:
        saved = (options.reports / "calibration" / "calibration.json").read_bytes()
        result = CalibrationResult.model_validate_json(saved)
    else:
        pools = {pool.name: pool for pool in load_pools(options.pools)}
        settings = QUICK if options.quick else Settings()
        run = Runner(1 if options.quick else -1, options.cache)
        # The folder is left out of the record: it differs between machines.
        command = parser.prog + " --quick" * options.quick + " --cache FOLDER" * bool(options.cache)
        result = calibrate(pools, settings, run, command=command)
    path = write_calibration(result, options.reports, with_numbers=not options.render)
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
