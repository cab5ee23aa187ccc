"""How often are erroran's verdicts right? Measured on real runs, whose predictions are kept in ``reports``.

The true difference is known in three kinds of comparison: runs of one recipe against each other (A/A, nothing was
changed); the same runs with a planted effect, or networks whose training labels were repaired; and simulated runs.
Comparisons share runs and images, so every interval is computed from the differences between cells and between sets of
runs that have no run in common.
"""
