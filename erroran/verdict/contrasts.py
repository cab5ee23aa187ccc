"""Arms compared on several versions of the images, exploratory, under the false discovery rate.

Each version is judged as an intervention is. A change that is found there has several possible causes; the controls
tell them apart: a control whose errors change as the treatment's do names a cause that is sufficient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.results import Result
from erroran.stats.confusion import IntArray, cell_mask, pair_errors
from erroran.stats.multiplicity import FDR, benjamini_hochberg
from erroran.verdict.compare import ArmComparison, Comparison
from erroran.verdict.decide import Verdict
from erroran.verdict.table import CANNOT_TELL, HARMED, IMPROVED, TRADED

ELSEWHERE: Final = "elsewhere"
KINDS: Final = (*(endpoint.value for endpoint in Endpoint), ELSEWHERE, "overall")
"""What is counted: both directions of the pair and their sum, all errors outside the pair, all errors."""

Alike = Literal["same", "less", "more", "no", "opposite", "cannot tell"]


class Contrast(Result):
    """Two arms on one version of the images.

    Attributes:
        version: The version's name.
        before: The arm that `after` is compared with; both are names.
        after: The other arm.
        compared: Each of `KINDS` to the comparison.
        q_values: The same to the q-value over all tests that were adjusted together; None without a test.
        found: What holds under the false discovery rate: kind to -1 (fewer errors in `after`) or 1 (more).
    """

    version: str
    before: str
    after: str
    compared: dict[str, Comparison]
    q_values: dict[str, float | None]
    found: dict[str, int]

    def means(self, kind: str) -> tuple[float, float]:
        """Errors per run, before and after."""
        effect = self.compared[kind].effect
        return effect.before_mean, effect.after_mean


class JudgedVersion(Result):
    """The treatment against the baseline on one version of the images.

    Attributes:
        contrast: The comparison, adjusted over all versions.
        word: The verdict's word; ``cannot tell`` where it claims a change that does not hold under the false discovery
            rate.
        unadjusted_word: The word of `verdict`, which is about this version alone.
    """

    contrast: Contrast
    word: str
    unadjusted_word: str
    verdict: Verdict = Field(exclude=True)


class Likeness(Result):
    """Whether a control shows a change of the baseline's errors that the treatment shows.

    Attributes:
        version: The version; `kind` what is counted.
        kind: One of `KINDS`.
        control: The control.
        means: Errors per run of baseline, control and treatment.
        q_control: q-value of the control against the baseline; None without a test.
        q_treatment: q-value of the treatment against the control; None likewise.
        alike: ``same``: the control's errors changed in the same direction, and the treatment is not shown to differ
            from it. ``less`` and ``more``: they did, by less or more than the treatment's. ``no``: no change is shown,
            and the treatment differs from it. ``opposite``: they changed in the other direction. Otherwise
            ``cannot tell``.
    """

    version: str
    kind: str
    control: str
    means: tuple[float, float, float]
    q_control: float | None
    q_treatment: float | None
    alike: Alike


@dataclass(frozen=True)
class VersionArms:
    """Predictions of every arm on one version of the images: integer (S, N) each, S may differ."""

    version: str
    predicted: Mapping[str, IntArray]


def count_errors(labels: IntArray, predicted: IntArray, pair: Cell) -> dict[str, list[int]]:
    """Errors of each run, by each of `KINDS`.

    Args:
        labels: Integer (N,).
        predicted: Integer (S, N).
        pair: (a, b), class indices.
    """
    found = {endpoint.value: np.zeros(len(predicted), dtype=np.int64) for endpoint in Endpoint}
    for endpoint in Endpoint:
        for cell in endpoint.cells(pair):
            found[endpoint.value] = found[endpoint.value] + pair_errors(labels, predicted, cell)
    overall = (predicted != labels).sum(axis=1)
    found |= {ELSEWHERE: overall - found[Endpoint.SUM.value], "overall": overall}
    return {kind: found[kind].tolist() for kind in KINDS}


def contrast_arms(
    labels: IntArray,
    versions: Sequence[VersionArms],
    arms: Sequence[tuple[str, str]],
    pair: Cell,
    class_names: Sequence[str],
) -> list[Contrast]:
    """Compare pairs of arms on every version, and adjust all tests together.

    Args:
        labels: Integer (N,), of every version.
        versions: The versions.
        arms: Names of the two arms of each comparison, before and after.
        pair: (a, b), class indices.
        class_names: The C names.
    """
    outside = ~(cell_mask(len(class_names), Endpoint.SUM.cells(pair)) | np.eye(len(class_names), dtype=bool))
    rows: list[tuple[str, str, str, dict[str, Comparison]]] = []
    for version in versions:
        for before, after in arms:
            runs = version.predicted[before], version.predicted[after]
            both = ArmComparison(labels, *runs, class_names, skip=Endpoint.SUM.cells(pair))
            compared = {endpoint.value: both.endpoint(endpoint, pair) for endpoint in Endpoint}
            compared |= {ELSEWHERE: both.cells("all other errors", outside), "overall": both.all_errors()}
            rows.append((version.version, before, after, compared))
    p_values = [one.test.p_value for *_, compared in rows for one in compared.values()]
    adjusted = iter(benjamini_hochberg([p for p in p_values if p is not None]).tolist())
    contrasts = []
    for version_name, before, after, compared in rows:
        q_values = {kind: None if one.test.p_value is None else next(adjusted) for kind, one in compared.items()}
        held = [kind for kind, q_value in q_values.items() if q_value is not None and q_value <= FDR]
        contrasts.append(
            Contrast(
                version=version_name,
                before=before,
                after=after,
                compared=compared,
                q_values=q_values,
                found={kind: sign for kind in held if (sign := compared[kind].test.direction(FDR))},
            )
        )
    return contrasts


def judge_version(contrast: Contrast, verdict: Verdict) -> JudgedVersion:
    """Take the word of a verdict on one version, unless its claim does not hold under the false discovery rate.

    *Improved* needs an error that fell, *harmed* one that rose, and *traded* both; the endpoint itself if the verdict
    rests on it.
    """
    signs = {IMPROVED: {-1}, HARMED: {1}, TRADED: {-1, 1}}.get(verdict.word, set())
    rests_on_endpoint = verdict.primary.test.direction(verdict.alpha) != 0
    holds = signs <= set(contrast.found.values()) and (
        not rests_on_endpoint or verdict.endpoint.value in contrast.found
    )
    word = verdict.word if not signs or holds else CANNOT_TELL
    return JudgedVersion(contrast=contrast, word=word, unadjusted_word=verdict.word, verdict=verdict)


def find_likenesses(
    treatment: Iterable[Contrast], controls: Iterable[Contrast], kinds: Sequence[str] = KINDS
) -> list[Likeness]:
    """For every change that the treatment shows, whether each control shows it too.

    Args:
        treatment: The treatment against the baseline.
        controls: Each control against the baseline, and the treatment against each control.
        kinds: What is looked at.
    """
    by_arms = {(c.version, c.before, c.after): c for c in controls}
    found = []
    for shown in treatment:
        names = [after for version, before, after in by_arms if (version, before) == (shown.version, shown.before)]
        for kind in kinds:
            sign = shown.found.get(kind, 0)
            for name in names if sign else ():
                moved = by_arms[shown.version, shown.before, name]
                against = by_arms[shown.version, name, shown.after]
                found.append(
                    Likeness(
                        version=shown.version,
                        kind=kind,
                        control=name,
                        means=(shown.means(kind)[0], moved.means(kind)[1], shown.means(kind)[1]),
                        q_control=moved.q_values[kind],
                        q_treatment=against.q_values[kind],
                        alike=_compare_changes(sign * moved.found.get(kind, 0), sign * against.found.get(kind, 0)),
                    )
                )
    return found


def _compare_changes(moved: int, ahead: int) -> Alike:
    """`moved`: 1 if the control's errors changed as the treatment's; `ahead`: 1 if the treatment's changed by more."""
    if moved < 0:
        return "opposite"
    if moved > 0:
        return {1: "less", 0: "same", -1: "more"}[ahead]  # type: ignore[return-value]
    return "no" if ahead > 0 else "cannot tell"
