"""The treatment compared with its controls, and the control ``logit-shift``, which trains nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import FloatArray, IntArray, accuracy, pair_errors
from erroran.verdict.compare import ArmComparison, PairComparison
from erroran.verdict.decide import Verdict
from erroran.verdict.family import adjust_family


@dataclass(frozen=True)
class LogitShift:
    """A bias on one class' logit.

    Attributes:
        shift: Added to the log-probability of the true class of the pair; 0 is no change.
        errors_before: Errors a -> b on the images it was chosen on, all runs together.
        errors_target: Errors to be reached.
        errors_after: Errors reached.
    """

    shift: float
    errors_before: int
    errors_target: int
    errors_after: int


@dataclass(frozen=True, kw_only=True)
class Control(PairComparison):
    """The treatment against one control arm: "before" is the control, "after" the treatment.

    Attributes:
        name: The control.
        accuracy: Mean accuracy of the control, 0..1.
        shift: For ``logit-shift``: the bias that was chosen on `mine`.
        p_adjusted: p-value of the primary endpoint, adjusted by Holm's method over all controls; None without a test.
        direction: -1 if the treatment makes significantly fewer errors of the primary endpoint than the control after
            that adjustment, 1 if more, 0 if neither is shown.
    """

    name: str
    accuracy: float
    shift: LogitShift | None = None
    p_adjusted: float | None = None
    direction: int = 0

    @property
    def is_beaten(self) -> bool:
        """Whether the treatment is shown to make fewer errors of the primary endpoint than this control."""
        return self.direction < 0


def compare_controls(
    labels: IntArray,
    controls: Mapping[str, IntArray],
    treatment: IntArray,
    class_names: Sequence[str],
    verdict: Verdict,
    shift: LogitShift | None = None,
) -> list[Control]:
    """Compare the treatment with its controls by the primary endpoint, adjusted for their number.

    Args:
        labels: Integer (N,).
        controls: Name to the predictions of the control, integer (S_c, N); the numbers of runs may differ.
        treatment: Predictions of the treatment, integer (S_t, N).
        class_names: The C names.
        verdict: On the treatment; names the pair, the endpoint and the level.
        shift: The bias of the control ``logit-shift``, if it is among the controls.
    """
    found = []
    for name, predicted in controls.items():
        arms = ArmComparison(labels, predicted, treatment, class_names, skip=Endpoint.SUM.cells(verdict.pair))
        pair = vars(arms.pair(verdict.pair, verdict.endpoint))
        own = shift if name == "logit-shift" else None
        found.append(Control(**pair, name=name, accuracy=float(accuracy(labels, predicted).mean()), shift=own))
    return adjust_controls(found, verdict.alpha)


def adjust_controls(controls: Sequence[Control], alpha: float) -> list[Control]:
    """Adjust the tests of the primary endpoint over all controls; see `family.adjust_family`."""
    adjusted = adjust_family([control.primary.test for control in controls], alpha)
    return [
        replace(control, p_adjusted=found.p_value, direction=found.direction)
        for control, found in zip(controls, adjusted, strict=True)
    ]


def find_shift(mined: tuple[IntArray, FloatArray], treated: IntArray, pair: Cell) -> LogitShift:
    """The bias of the control ``logit-shift``, chosen on images that do not judge.

    Args:
        mined: Labels (M,) of `mine` and the baseline's probabilities (S, M, C) there.
        treated: The treatment's predictions there, integer (S, M): the bias makes as few errors a -> b.
        pair: (a, b), class indices.
    """
    labels, probabilities = mined
    return match_logit_shift(labels, probabilities, pair, float(pair_errors(labels, treated, pair).mean()))


def match_logit_shift(labels: IntArray, probs: FloatArray, pair: Cell, target: float) -> LogitShift:
    """Find the smallest bias towards class a, >= 0 and the same for all runs, that leaves `target` errors a -> b.

    Such a bias reduces errors a -> b and adds errors b -> a (compare arXiv 2509.02592).

    Args:
        labels: Integer (N,).
        probs: float (S, N, C), rows summing to 1, of runs that did not train on these images.
        pair: (a, b).
        target: Mean errors a -> b per run to be reached, >= 0.
    """
    a, b = pair
    before = int(pair_errors(labels, probs.argmax(axis=2), pair).sum())
    goal = int(np.floor(target * len(probs)))
    logits = np.log(np.maximum(probs.astype(np.float64), 1e-12))
    # A bias above b's lead over a removes an error a -> b; a larger one never adds any.
    wrong = (labels == a) & (probs.argmax(axis=2) == b)
    leads = np.sort((logits[..., b] - logits[..., a])[wrong])
    excess = max(0, before - goal)
    shift = float(np.nextafter(leads[excess - 1], np.inf)) if excess else 0.0
    after = int(pair_errors(labels, apply_logit_shift(probs, a, shift), pair).sum())
    return LogitShift(shift=shift, errors_before=before, errors_target=goal, errors_after=after)


def apply_logit_shift(probs: FloatArray, label: int, shift: float) -> IntArray:
    """Predict with `shift` added to the log-probability of class `label`: int64 (..., N) from float (..., N, C)."""
    logits = np.log(np.maximum(probs.astype(np.float64), 1e-12))
    logits[..., label] += shift
    predicted: IntArray = logits.argmax(axis=-1)
    return predicted
