"""Statistics: arrays in, numbers out. Imports nothing of ours but errors.

``labels`` is an integer array (N,), ``pred`` (S, N): the predictions of S runs (seeds) for N images. Two arms,
``before`` (S_b, N) and ``after`` (S_a, N), are evaluated on the same images. A directed *cell* (a, b) holds the images
of class a that were predicted as b. ``errors`` are bool, runs by images. ``rng`` is a numpy Generator.
"""
