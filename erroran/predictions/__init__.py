"""Prediction files of any framework: read, checked, and aligned by sample id."""

from erroran.predictions.align import Pattern, PredictionSet, align_runs, expand_files, read_arms, read_predictions
from erroran.predictions.check import Run, run_from_arrays, run_from_frame

__all__ = [
    "Pattern",
    "PredictionSet",
    "Run",
    "align_runs",
    "expand_files",
    "read_arms",
    "read_predictions",
    "run_from_arrays",
    "run_from_frame",
]
