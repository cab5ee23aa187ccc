"""The treatment against its controls: by the primary endpoint alone, and adjusted for their number."""

from dataclasses import replace

import numpy as np
import pytest

from erroran.verdict.controls import Control, adjust_controls, compare_controls
from erroran.verdict.decide import judge

LABELS = np.repeat([0, 1, 2], 100)
NAMES = ("a", "b", "c")


def _arm(*, forward: int, other: int = 0, runs: int = 5) -> np.ndarray:
    """Runs that read `forward` images of a as b, and `other` of c as a, the same images in every run but the last."""
    predicted = np.tile(LABELS, (runs, 1))
    predicted[:, :forward] = 1
    predicted[:, 200 : 200 + other] = 0
    predicted[-1, 0] = 0  # copies of a run are one run
    return predicted


def _controls(**arms: np.ndarray) -> dict[str, Control]:
    treatment = _arm(forward=4, other=2)
    verdict = judge(LABELS, _arm(forward=20), treatment, pair=(0, 1), n_classes=3)
    return {control.name: control for control in compare_controls(LABELS, arms, treatment, NAMES, verdict)}


def test_only_the_primary_endpoint_counts() -> None:
    """Fewer errors of another kind, or of all kinds, do not beat a control."""
    elsewhere = _controls(elsewhere=_arm(forward=4, other=40))["elsewhere"]
    assert elsewhere.overall.test.direction(0.05) < 0
    assert not elsewhere.is_beaten
    assert _controls(worse=_arm(forward=20))["worse"].is_beaten
    better = _controls(better=_arm(forward=0))["better"]
    assert better.direction >= 0
    assert not better.is_beaten


def test_holm_by_hand() -> None:
    """0.01, 0.02, 0.04 and none: adjusted 0.03, 0.04, 0.04, all rejected; of 0.01, 0.03, 0.04 only the first is."""
    control = _controls(worse=_arm(forward=20))["worse"]

    def adjusted(*p_values: float | None) -> list[tuple[float | None, int]]:
        tests = [
            replace(control.forward.test, p_value=p, p_images=p, p_rest=p, p_less=p and p / 2, p_greater=0.9)
            for p in p_values
        ]
        given = [replace(control, forward=replace(control.forward, test=test)) for test in tests]
        return [(found.p_adjusted, found.direction) for found in adjust_controls(given, 0.05)]

    assert adjusted(0.04, 0.01, None, 0.02) == [
        (pytest.approx(0.04), -1), (pytest.approx(0.03), -1), (None, 0), (pytest.approx(0.04), -1),
    ]  # fmt: skip
    assert adjusted(0.01, 0.03, 0.04) == [(pytest.approx(0.03), -1), (pytest.approx(0.06), 0), (pytest.approx(0.06), 0)]


def test_more_controls_ask_for_more() -> None:
    """A control that is just beaten by itself is not beaten among many."""
    control = _controls(worse=_arm(forward=20))["worse"]
    just = replace(control.forward, test=replace(control.forward.test, p_value=0.03, p_less=0.015, p_greater=0.99))
    just_beaten = replace(control, forward=just)
    assert adjust_controls([just_beaten], 0.05)[0].is_beaten
    assert not adjust_controls([just_beaten, just_beaten], 0.05)[0].is_beaten


def test_arms_of_different_size() -> None:
    """A control with fewer runs is compared; with a single run there is no test, and it is not beaten."""
    found = _controls(few=_arm(forward=20, runs=3), one=_arm(forward=20, runs=1))
    assert found["few"].is_beaten
    assert (found["one"].p_adjusted, found["one"].is_beaten) == (None, False)
