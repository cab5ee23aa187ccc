"""The treatment against its controls: could something simpler have had the same effect?"""

from collections.abc import Sequence
from dataclasses import dataclass

from erroran.experiment.endpoint import Cell, Endpoint
from erroran.stats.confusion import FloatArray, IntArray, accuracy, pair_errors
from erroran.stats.shift import LogitShift, apply_logit_shift, match_logit_shift
from erroran.verdict.compare import ArmComparison, PairComparison


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
        """Whether the treatment makes significantly fewer errors: of the primary endpoint, of the pair, or of all.

        A bias can reduce one direction of the pair by any amount; the pair's sum or all errors then differ.
        """
        return any(compared.test.direction(alpha) < 0 for compared in (self.primary, self.both, self.overall))


def compare_control(
    name: str,
    labels: IntArray,
    control: IntArray,
    treatment: IntArray,
    class_names: Sequence[str],
    pair: Cell,
    endpoint: Endpoint,
    *,
    shift: LogitShift | None = None,
) -> Control:
    """Compare the treatment with a control.

    Args:
        name: The control.
        labels: Integer (N,).
        control: Predictions of the control, integer (S_c, N).
        treatment: Predictions of the treatment, integer (S_t, N).
        class_names: The C names.
        pair: (a, b), class indices.
        endpoint: The primary endpoint.
        shift: See `Control`.
    """
    arms = ArmComparison(labels, control, treatment, class_names, skip=Endpoint.SUM.cells(pair))
    mean = float(accuracy(labels, control).mean())
    return Control(**vars(arms.pair(pair, endpoint)), name=name, accuracy=mean, shift=shift)


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
