"""The treatment compared with its controls, and the control ``logit-shift``, which trains nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import FloatArray, IntArray, accuracy, pair_errors
from erroran.verdict.compare import ArmComparison, PairComparison
from erroran.verdict.decide import Verdict


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
    """

    name: str
    accuracy: float
    shift: LogitShift | None = None

    def is_beaten(self, alpha: float) -> bool:
        """Whether the treatment makes significantly fewer errors: of the primary endpoint, the pair's sum, or all."""
        return any(compared.test.direction(alpha) < 0 for compared in (self.primary, self.both, self.overall))


def compare_control(
    name: str,
    labels: IntArray,
    control: IntArray,
    treatment: IntArray,
    class_names: Sequence[str],
    verdict: Verdict,
    shift: LogitShift | None,
) -> Control:
    """Compare the treatment with a control.

    Args:
        name: The control.
        labels: Integer (N,).
        control: Predictions of the control, integer (S_c, N).
        treatment: Predictions of the treatment, integer (S_t, N).
        class_names: The C names.
        verdict: On the treatment; names the pair and the endpoint.
        shift: See `Control`.
    """
    arms = ArmComparison(labels, control, treatment, class_names, skip=Endpoint.SUM.cells(verdict.pair))
    mean = float(accuracy(labels, control).mean())
    return Control(**vars(arms.pair(verdict.pair, verdict.endpoint)), name=name, accuracy=mean, shift=shift)


def shift_baseline(
    mined: tuple[IntArray, FloatArray], treated: IntArray, probabilities: FloatArray, pair: Cell
) -> tuple[LogitShift, IntArray]:
    """The control ``logit-shift``: the baseline with a bias towards the true class, chosen on `mine`.

    Args:
        mined: Labels (M,) and the baseline's probabilities (S, M, C) on `mine`.
        treated: The treatment's predictions there, integer (S, M): the bias makes as few errors a -> b.
        probabilities: The baseline's probabilities (S, N, C) on `confirm`.
        pair: (a, b), class indices.

    Returns:
        The bias, and int64 (S, N), the predictions with it on `confirm`.
    """
    labels, mined_probabilities = mined
    target = float(pair_errors(labels, treated, pair).mean())
    shift = match_logit_shift(labels, mined_probabilities, pair, target)
    return shift, apply_logit_shift(probabilities, pair[0], shift.shift)


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
    """Predict with `shift` added to the log-probability of class `label`: int64 (S, N) from float (S, N, C)."""
    logits = np.log(np.maximum(probs.astype(np.float64), 1e-12))
    logits[..., label] += shift
    predicted: IntArray = logits.argmax(axis=2)
    return predicted
