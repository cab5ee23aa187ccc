"""Whether the closure margins of two classes are associated with their errors."""

import numpy as np
from pydantic import Field, computed_field

from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.stats.correlation import Correlation, correlate_ranks
from erroran.stats.roc import RocArea, roc_area


class ClosureOutcome(Result):
    """Whether the closure margin separates the misread images of a class (`true`) from its other images.

    Attributes:
        predicted: The class that its images are predicted as; empty for any other class.
        signed: Area under the ROC curve by how far the margin lies on the other class's side; marked are images that
            any run misreads.
        unsigned: The same by how near the margin is to 0.
    """

    true: str
    predicted: str
    images: int
    errors_by_run: list[int]
    signed: RocArea
    unsigned: RocArea


class Closure(Result):
    """The closure margins of a pair's classes, and the errors of the stored runs.

    Attributes:
        pair: The two classes, a and b.
        source: Which images: ``mine``, or ``train`` for the whole training data, out of fold.
        seeds: Seeds of the runs; none if there are no runs.
        margins: Class to float (n,), pixels; infinite (more open than all others) where no dose makes a loop.
        misread: Class to bool (n,): predicted as the other class of the pair by at least one run.
        classes: Whether the margin separates a from b; marked are images of a.
        outcomes: For each class: predicted as the other one, and predicted as any other class; empty without runs.
        trends: Class to the rank correlation, over images with a loop, of how far the margin lies on the other class's
            side with the mean probability of that class.
    """

    pair: Pair
    source: str
    seeds: list[int]
    margins: dict[str, np.ndarray] = Field(exclude=True)
    misread: dict[str, np.ndarray] = Field(exclude=True)
    classes: RocArea
    outcomes: list[ClosureOutcome]
    trends: dict[str, Correlation]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def images(self) -> dict[str, int]:
        """Class to its number of images."""
        return {name: len(values) for name, values in self.margins.items()}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def without_loop(self) -> dict[str, int]:
        """Class to its number of images without a loop."""
        return {name: int(np.isinf(values).sum()) for name, values in self.margins.items()}


def relate_closure(
    pair: Pair,
    margins: tuple[np.ndarray, np.ndarray],
    probabilities: tuple[np.ndarray, np.ndarray] | None,
    labels: tuple[int, int],
    *,
    source: str,
    seeds: list[int],
) -> Closure:
    """Relate closure margins to classes and errors; see `Closure`.

    For each class of the pair: `margins`, float (n,) in pixels, NaN without a loop; `probabilities`, float (S, n, C) of
    S runs, or None without runs; and its label.
    """
    margins = (np.nan_to_num(margins[0], nan=np.inf), np.nan_to_num(margins[1], nan=np.inf))
    classes = roc_area(np.concatenate(margins), np.repeat([True, False], [len(m) for m in margins]))
    # The class with the larger margins is the more open one; its images are expected to be misread at small margins.
    first_is_open = classes.auc is None or classes.auc >= 0.5
    misread, outcomes, trends = {}, [], {}
    for i, name in enumerate(pair.classes):
        misread[name] = np.zeros(len(margins[i]), dtype=bool)
        if probabilities is None:
            continue
        towards = -margins[i] if first_is_open == (i == 0) else margins[i]
        predicted, other = probabilities[i].argmax(axis=2), labels[1 - i]
        misread[name] = (predicted == other).any(axis=0)
        for called, wrong in ((pair.classes[1 - i], predicted == other), ("", predicted != labels[i])):
            by_any = wrong.any(axis=0)
            outcomes.append(
                ClosureOutcome(
                    true=name,
                    predicted=called,
                    images=len(margins[i]),
                    errors_by_run=wrong.sum(axis=1).tolist(),
                    signed=roc_area(towards, by_any),
                    unsigned=roc_area(-np.abs(margins[i]), by_any),
                )
            )
        trends[name] = correlate_ranks(towards, probabilities[i][:, :, other].mean(axis=0))
    return Closure(
        pair=pair,
        source=source,
        seeds=seeds,
        margins=dict(zip(pair.classes, margins, strict=True)),
        misread=misread,
        classes=classes,
        outcomes=outcomes,
        trends=trends,
    )
