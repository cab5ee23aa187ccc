"""erroran: find the confusions a classifier keeps making, try a fix, learn whether it worked."""

__version__ = "0.1.0"
