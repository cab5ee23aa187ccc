"""Several exploratory verdicts, such as those of a stress test, under one false discovery rate."""

from collections.abc import Iterable

from pydantic import Field

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.results import Result
from erroran.stats.confusion import IntArray, pair_errors
from erroran.stats.multiplicity import FDR, benjamini_hochberg
from erroran.verdict.compare import Comparison
from erroran.verdict.decide import Verdict
from erroran.verdict.table import CANNOT_TELL, HARMED, IMPROVED


class Contrast(Result):
    """The treatment against another arm on one version of the images; "after" is the treatment.

    Attributes:
        version: The version's name.
        against: ``baseline``, or a control.
        word: The verdict's word; ``cannot tell`` if the endpoint's change does not hold under the false discovery rate.
        unadjusted_word: The word of `verdict`, which is about this version alone.
        compared: ``forward``, ``reverse`` and ``overall`` (all errors), and ``sum`` where that is the endpoint.
        q_values: Key of `compared` to the q-value over all tests; None without a test.
        found: What holds under the false discovery rate: key to -1 (fewer errors with the treatment) or 1 (more).
    """

    version: str
    against: str
    word: str
    unadjusted_word: str
    verdict: Verdict = Field(exclude=True)
    compared: dict[str, Comparison]
    q_values: dict[str, float | None]
    found: dict[str, int]


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


def adjust_contrasts(verdicts: Iterable[tuple[str, str, Verdict]]) -> list[Contrast]:
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
    contrasts = []
    for version, against, verdict, compared in rows:
        q_values = {key: None if one.test.p_value is None else next(adjusted) for key, one in compared.items()}
        held = [key for key, q_value in q_values.items() if q_value is not None and q_value <= FDR]
        found = {key: sign for key in held if (sign := compared[key].test.direction(FDR))}
        claims = verdict.word in (IMPROVED, HARMED)
        contrasts.append(
            Contrast(
                version=version,
                against=against,
                word=CANNOT_TELL if claims and verdict.endpoint not in found else verdict.word,
                unadjusted_word=verdict.word,
                verdict=verdict,
                compared=compared,
                q_values=q_values,
                found=found,
            )
        )
    return contrasts
