"""How often are erroran's verdicts right? Measured on thousands of small trained networks.

The dataset is divided into *worlds*: disjoint sets of images, each with its own networks and its own images to mine and
to confirm on. The true difference is known in three kinds of comparison: two sets of networks of the same recipe (A/A,
nothing was changed); networks before and after repairing labels that were made wrong on purpose (a *planted* effect);
and simulated runs. Comparisons within a world share runs and images, worlds do not, so every interval is computed from
the differences between worlds.
"""
