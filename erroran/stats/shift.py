"""The control that trains nothing: move the decision threshold between two classes."""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import Cell, FloatArray, IntArray, pair_errors


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


def match_logit_shift(labels: IntArray, probs: FloatArray, pair: Cell, target: float) -> LogitShift:
    """Find the smallest bias towards class a that leaves no more than `target` errors a -> b.

    One bias for all runs. A treatment has to do better than it: a bias also reduces errors a -> b, and adds errors
    b -> a (compare arXiv 2509.02592).

    Args:
        labels: int (N,).
        probs: float (S, N, C), rows summing to 1, of runs that did not train on these images.
        pair: (a, b).
        target: Mean errors a -> b per run to be reached, >= 0.

    Returns:
        The shift, >= 0, and what it reaches on these images.
    """
    a, b = pair
    before = int(pair_errors(labels, probs.argmax(axis=2), pair).sum())
    goal = int(np.floor(target * len(probs)))
    logits = np.log(np.maximum(probs.astype(np.float64), 1e-12))
    # A bias larger than b's lead over a undoes an error a -> b, unless a third class is in between. A larger bias never
    # adds such errors, so only the leads need to be tried.
    wrong = (labels == a) & (probs.argmax(axis=2) == b)
    leads = np.sort((logits[..., b] - logits[..., a])[wrong])
    excess = max(0, before - goal)
    shift = float(np.nextafter(leads[excess - 1], np.inf)) if excess else 0.0
    after = int(pair_errors(labels, apply_logit_shift(probs, a, shift), pair).sum())
    return LogitShift(shift=shift, errors_before=before, errors_target=goal, errors_after=after)


def apply_logit_shift(probs: FloatArray, label: int, shift: float) -> IntArray:
    """Predict with a bias on one class.

    Args:
        probs: float (S, N, C).
        label: The class that is favoured.
        shift: Added to its log-probability.

    Returns:
        int64 (S, N): predicted classes.
    """
    logits = np.log(np.maximum(probs.astype(np.float64), 1e-12))
    logits[..., label] += shift
    predicted: IntArray = logits.argmax(axis=2)
    return predicted
