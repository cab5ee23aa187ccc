"""Stamps: which earlier looks limit the claim of a report."""

from types import SimpleNamespace
from typing import Any

import pytest

from erroran.store.ledger import Entry
from erroran.store.stamps import find_begun_design, find_stamps
from erroran.verdict.sequential import Design, Replanned, plan_looks

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


REPLANNED = _entry(
    kind="replanned",
    seeds=FIVE,
    word="",
    design=plan_looks(10),
    replanned=Replanned(planned=20, errors_per_run=8.0, chance=0.9, chance_planned=0.92, design=plan_looks(10)),
)
LOOK = _entry(kind="look", seeds=FIVE, word="")


def test_looks_that_were_planned_again_are_no_peek() -> None:
    """The verdict after ten seeds is that of the design that follows from the baseline's first runs."""
    assert _stamps(REGISTERED, REPLANNED, _entry(seeds=FIVE), VERDICT, design=plan_looks(10)) == {}
    assert list(_stamps(REGISTERED, REPLANNED, _entry(seeds=TEN[:7]), VERDICT, design=plan_looks(10))) == ["Peeked"]


def test_a_fixed_test_after_the_baseline_was_read_is_no_peek() -> None:
    """Nothing of the treatment had been seen."""
    fixed = _entry(kind="registered", seeds=(), word="", design=None)
    assert _stamps(REGISTERED, REPLANNED, fixed, VERDICT) == {}


@pytest.mark.parametrize(
    ("entries", "begun"),
    [
        ((), (None, False)),
        ((REGISTERED,), (None, False)),
        ((REGISTERED, LOOK), (REGISTERED, True)),
        ((REGISTERED, REPLANNED), (REPLANNED, False)),
        ((REGISTERED, REPLANNED, LOOK), (REPLANNED, True)),
        ((REGISTERED, LOOK.model_copy(update={"epochs": 8})), (None, False)),
        ((REGISTERED, LOOK.model_copy(update={"group": "h"})), (None, False)),
        ((LOOK, REGISTERED), (None, False)),
    ],
)
def test_which_design_was_begun(entries: tuple[Entry, ...], begun: tuple[Entry | None, bool]) -> None:
    """One that was planned again, or of which a look was made after its registration; same baseline and epochs."""
    assert find_begun_design(entries, VERDICT) == begun
