"""erroran: find the confusions a classifier keeps making, try a fix, learn whether it worked.

``erroran.diff`` gives the verdict for arrays, data frames or prediction files of any framework; see
`erroran.api`.
"""

__version__ = "0.4.0"

_API = ("DiffResult", "diff", "diff_arrays", "diff_frames", "diff_predictions")


def __getattr__(name: str) -> object:
    """Import the Python API when it is first used, so that the command line starts quickly."""
    if name in _API:
        from erroran import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
