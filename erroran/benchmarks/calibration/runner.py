"""Does the parts of the measurement on all cores, and keeps them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class Runner:
    """Runs independent parts of the measurement, in this process (1) or on all cores (-1).

    Finished parts are kept in a folder, if one is given, so that an interrupted measurement goes on. Use a new folder
    after a change of the code.
    """

    def __init__(self, jobs: int = -1, cache: Path | None = None) -> None:
        """Set the number of processes and the folder."""
        self._jobs, self._cache = jobs, cache

    def __call__(self, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Results of `work` in the order of its arguments."""
        import joblib

        kept = joblib.Memory(self._cache, verbose=0).cache(work)
        results: list[Any] = joblib.Parallel(n_jobs=self._jobs)(joblib.delayed(kept)(*given) for given in arguments)
        return results
