"""Stamps: which earlier looks limit the claim of a report."""

from types import SimpleNamespace
from typing import Any

import pytest

from erroran.store.ledger import Entry
from erroran.store.stamps import find_begun_design, find_stamps
from erroran.verdict.sequential import Design, plan_looks

FIVE, TEN = tuple(range(1000, 1005)), tuple(range(1000, 1010))
DESIGN = plan_looks(20)
VERDICT = Entry(
    kind="verdict",
    dataset="d",
    group="g",
    name="4to9",
    pair="4:9",
    spec_hash="abc",
    seeds=TEN,
    epochs=4,
    recipe="fast",
    word="cannot tell",
)


def _entry(**changes: Any) -> Entry:
    return VERDICT.model_copy(update=changes)


REGISTERED = _entry(kind="registered", seeds=(), word="", design=DESIGN)


def _stamps(*entries: Entry, design: Design | None = None, look: Entry = VERDICT) -> dict[str, str]:
    """Kind to sentence, for a report of ten seeds on group g."""
    intervention = SimpleNamespace(
        hypothesis=SimpleNamespace(seeds=10), seeds=look.seeds, fresh_baseline=True, design=design
    )
    found = find_stamps(entries, look, SimpleNamespace(note=None), intervention, {})
    return {stamp.kind: stamp.sentence for stamp in found}


@pytest.mark.parametrize("change", [{"seeds": FIVE}, {"epochs": 8}, {"seeds": (7, 8)}])
def test_another_verdict_of_the_same_hypothesis_is_a_peek(change: dict[str, object]) -> None:
    """With other seeds, or other epochs, on the same baseline group."""
    assert list(_stamps(_entry(**change), VERDICT)) == ["Peeked"]


def test_the_same_verdict_again_is_none() -> None:
    """A report that is written again."""
    assert _stamps(VERDICT) == {}


def test_the_same_hypothesis_on_another_group_is_another_look() -> None:
    """It was neither a peek nor another look before; now it is named with its group."""
    found = _stamps(_entry(group="h"), VERDICT)
    assert list(found) == ["Not the only look"]
    assert "for 4to9 on the baseline group h." in found["Not the only look"]


def test_another_version_of_the_hypothesis_is_told_apart() -> None:
    """By its hash; it was judged against the same baseline runs."""
    found = _stamps(_entry(spec_hash="def"), VERDICT)
    assert set(found) == {"Not the only look", "Shared baseline"}
    assert "another version of 4to9 (def)" in found["Not the only look"]


def test_hypotheses_that_share_the_baseline_runs_are_named() -> None:
    """Same group, same epochs, a common seed: its luck moves all their verdicts."""
    same, later = _entry(name="3to5", spec_hash="1"), _entry(name="7to1", spec_hash="2", seeds=(1009, 1010))
    found = _stamps(same, later, VERDICT)
    assert "verdicts on 3to5, 7to1 used some of the same baseline runs" in found["Shared baseline"]


@pytest.mark.parametrize("change", [{"seeds": (2000,)}, {"group": "h"}, {"epochs": 8}, {"kind": "look"}])
def test_other_runs_are_not_shared(change: dict[str, object]) -> None:
    """Other seeds, another group, other epochs, and looks without a verdict."""
    assert "Shared baseline" not in _stamps(_entry(**{"name": "3to5", "spec_hash": "1", **change}), VERDICT)


def test_planned_looks_are_no_peek() -> None:
    """Registered, then judged after five and after ten seeds."""
    assert _stamps(REGISTERED, _entry(seeds=FIVE), VERDICT, design=DESIGN) == {}


@pytest.mark.parametrize(
    "entries",
    [
        (_entry(seeds=FIVE), REGISTERED, VERDICT),
        (REGISTERED, _entry(seeds=TEN[:7]), VERDICT),
        (REGISTERED, _entry(seeds=(1, 2, 3, 4, 5)), VERDICT),
        (REGISTERED, _entry(seeds=FIVE, epochs=8), VERDICT),
        (_entry(kind="registered", seeds=(), word="", design=plan_looks(40)), VERDICT),
    ],
)
def test_looks_that_were_not_planned_are_a_peek(entries: tuple[Entry, ...]) -> None:
    """Before the registration, at other numbers, with other seeds or epochs, or by another design."""
    assert list(_stamps(*entries, design=DESIGN)) == ["Peeked"]


def test_a_fixed_test_after_a_look_of_a_design_is_a_peek() -> None:
    """Whoever saw a look cannot go back to the full level."""
    assert list(_stamps(REGISTERED, _entry(kind="look", seeds=FIVE, word=""), VERDICT)) == ["Peeked"]


@pytest.mark.parametrize(
    ("entries", "begun"),
    [
        ((), None),
        ((REGISTERED,), None),
        ((REGISTERED, _entry(kind="look", seeds=FIVE)), DESIGN),
        ((REGISTERED, _entry(kind="look", seeds=FIVE, epochs=8)), None),
        ((REGISTERED, _entry(kind="look", seeds=FIVE, group="h")), None),
        ((_entry(kind="look", seeds=FIVE), REGISTERED), None),
    ],
)
def test_which_design_was_begun(entries: tuple[Entry, ...], begun: Design | None) -> None:
    """One of which a look was made after its registration, with the same baseline and epochs."""
    assert find_begun_design(entries, VERDICT) == begun
