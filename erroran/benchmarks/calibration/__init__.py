"""Are erroran's verdicts right? Measured on thousands of small networks that were really trained.

The dataset is divided into *worlds*: disjoint sets of images, each with its own networks and its own images to mine and
to confirm on. Three kinds of comparison have a known answer: two sets of networks of the same recipe (A/A, nothing was
changed); networks before and after repairing labels that were made wrong on purpose (a *planted* effect); and simulated
runs, whose true change the 95 % interval has to contain. Comparisons within a world share runs and images, worlds do
not, so every interval is computed from the differences between worlds.
"""
