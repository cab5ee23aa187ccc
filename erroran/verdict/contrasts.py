"""Many exploratory verdicts at once, such as those of a stress test: what holds under the false discovery rate?"""

from collections.abc import Sequence
from typing import Final

from pydantic import Field, computed_field

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.results import Result
from erroran.stats.confusion import IntArray, pair_errors
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.verdict.compare import Comparison
from erroran.verdict.decide import CANNOT_TELL, HARMED, IMPROVED, Verdict

FDR: Final = 0.05
"""False discovery rate over all tests, a convention."""


class Contrast(Result):
    """The treatment against another arm on one version of the images; "after" is the treatment.

    Attributes:
        version: The version's name.
        against: ``baseline``, or a control.
        verdict: The verdict for this version alone, not adjusted for the others.
        compared: What was tested: ``forward``, ``reverse`` and ``overall`` (all errors), and ``sum`` where that is the
            primary endpoint.
        q_values: Key of `compared` to the q-value over all tests; None without a test.
    """

    version: str
    against: str
    verdict: Verdict = Field(exclude=True)
    compared: dict[str, Comparison]
    q_values: dict[str, float | None]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def word(self) -> str:
        """The verdict's word, if the primary endpoint's change holds under the false discovery rate."""
        word = self.verdict.word
        if word in (IMPROVED, HARMED) and self.verdict.endpoint not in self.found:
            return CANNOT_TELL
        return word

    @computed_field  # type: ignore[prop-decorator]
    @property
    def unadjusted_word(self) -> str:
        """The verdict's word."""
        return self.verdict.word

    @computed_field  # type: ignore[prop-decorator]
    @property
    def found(self) -> dict[str, int]:
        """What holds under the false discovery rate: key to -1 (fewer errors with the treatment) or 1 (more)."""
        held = (key for key, q_value in self.q_values.items() if q_value is not None and q_value <= FDR)
        signs = {key: self.compared[key].test.direction(FDR) for key in held}
        return {key: sign for key, sign in signs.items() if sign}


def count_errors(labels: IntArray, predicted: IntArray, pair: Cell) -> dict[str, list[int]]:
    """Errors of each run: ``forward``, ``reverse`` and ``overall``.

    Args:
        labels: Integer (N,).
        predicted: Integer (S, N).
        pair: (a, b), class indices.
    """
    found = {"overall": (predicted != labels).sum(axis=1).tolist()}
    for endpoint in (Endpoint.FORWARD, Endpoint.REVERSE):
        (cell,) = endpoint.cells(pair)
        found[endpoint.value] = pair_errors(labels, predicted, cell).tolist()
    return found


def adjust_contrasts(verdicts: Sequence[tuple[str, str, Verdict]]) -> list[Contrast]:
    """Adjust the tests of several verdicts together.

    Args:
        verdicts: Version, the arm that the treatment was compared with, and the verdict.
    """
    rows = []
    for version, against, verdict in verdicts:
        compared = {"forward": verdict.forward, "reverse": verdict.reverse, "overall": verdict.overall}
        if verdict.endpoint is Endpoint.SUM:
            compared["sum"] = verdict.both
        rows.append((version, against, verdict, compared))
    p_values = [one.test.p_value for *_, compared in rows for one in compared.values()]
    adjusted = iter(benjamini_hochberg([p for p in p_values if p is not None]).tolist())
    q_values = iter([None if p is None else next(adjusted) for p in p_values])
    return [
        Contrast(
            version=version,
            against=against,
            verdict=verdict,
            compared=compared,
            q_values={key: next(q_values) for key in compared},
        )
        for version, against, verdict, compared in rows
    ]
