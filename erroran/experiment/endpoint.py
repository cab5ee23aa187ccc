"""The endpoint of a verdict: the directed cells of the confusion matrix whose errors are counted."""

from enum import StrEnum

Cell = tuple[int, int]


class Endpoint(StrEnum):
    """Which errors of a pair (a, b) count: a predicted as b, b predicted as a, or both."""

    FORWARD = "forward"
    REVERSE = "reverse"
    SUM = "sum"

    def cells(self, pair: Cell) -> tuple[Cell, ...]:
        """The cells (true class, predicted class) of a pair of class indices that count: one, or two for ``sum``."""
        forward, reverse = pair, (pair[1], pair[0])
        return {Endpoint.FORWARD: (forward,), Endpoint.REVERSE: (reverse,), Endpoint.SUM: (forward, reverse)}[self]

    def describe(self, true: str, predicted: str) -> str:
        """The endpoint in words, as in ``4 read as 9``."""
        return {
            Endpoint.FORWARD: f"{true} read as {predicted}",
            Endpoint.REVERSE: f"{predicted} read as {true}",
            Endpoint.SUM: f"{true} and {predicted} confused either way",
        }[self]
