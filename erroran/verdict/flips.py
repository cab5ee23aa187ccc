"""Images that more, or fewer, runs predict wrongly after a treatment."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from erroran.results import Result
from erroran.stats.confusion import IntArray

LEAST_CHANGE: Final = 1 / 3
"""Smallest change of the share of runs that are wrong on an image that is shown; a choice of display."""


class Flip(Result):
    """An image that more runs of one arm predict wrongly than of the other.

    Attributes:
        index: Its position among the images.
        id: Its sample id.
        true: Name of its class.
        read_as: Name of the wrong class that most runs predict, in the arm with more errors.
        runs_wrong_before: Runs before that predict it wrongly; `runs_wrong_after` after.
    """

    index: int = Field(exclude=True)
    id: str
    true: str
    read_as: str
    runs_wrong_before: int
    runs_wrong_after: int


def find_flips(
    labels: IntArray, before: IntArray, after: IntArray, ids: Sequence[str], class_names: Sequence[str]
) -> tuple[list[Flip], list[Flip]]:
    """Find images whose share of wrong runs changes by `LEAST_CHANGE` or more.

    Args:
        labels: Integer (N,).
        before: Predictions, integer (S_b, N).
        after: Predictions, integer (S_a, N).
        ids: N sample ids, by which equal changes are ordered.
        class_names: The C names.

    Returns:
        The fixed images and the newly broken ones, largest change first.
    """
    wrong = [(arm != labels).sum(axis=0) for arm in (before, after)]
    change = wrong[1] / len(after) - wrong[0] / len(before)
    order = np.lexsort((ids, change))
    least = LEAST_CHANGE - 1e-9

    def flip(i: int) -> Flip:
        column = (before if change[i] < 0 else after)[:, i]
        return Flip(
            index=int(i),
            id=str(ids[i]),
            true=class_names[labels[i]],
            read_as=class_names[int(np.bincount(column[column != labels[i]]).argmax())],
            runs_wrong_before=int(wrong[0][i]),
            runs_wrong_after=int(wrong[1][i]),
        )

    fixed = [flip(i) for i in order if change[i] <= -least]
    return fixed, [flip(i) for i in order[::-1] if change[i] >= least]
