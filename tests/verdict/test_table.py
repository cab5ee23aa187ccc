"""The decision table: every row, its order, and the properties that hold for all findings."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from erroran.verdict.table import (
    CANNOT_TELL,
    EQUIVALENT,
    HARMED,
    IMPROVED,
    NOT_WORTHWHILE,
    ROWS,
    TRADED,
    WORDS,
    Findings,
    look_up,
)

SWAPPED = {IMPROVED: HARMED, HARMED: IMPROVED}
SIGNS = st.sampled_from([-1, 0, 1])
SETS = st.sampled_from([(), (-1,), (1,), (-1, 1)])
FINDINGS = st.builds(
    Findings,
    endpoint=SIGNS,
    reverse=SIGNS,
    inside=SIGNS,
    elsewhere=SETS,
    alone=SETS,
    netted=st.booleans(),
    within=st.booleans(),
    excluded=st.booleans(),
)


@pytest.mark.parametrize(
    ("found", "row", "word"),
    [
        (Findings(endpoint=-1, reverse=1), "both ways", TRADED),
        (Findings(endpoint=-1, inside=1), "both ways", TRADED),
        (Findings(endpoint=-1, elsewhere=(1,)), "both ways", TRADED),
        (Findings(endpoint=1, elsewhere=(-1,)), "both ways", TRADED),
        (Findings(endpoint=-1, elsewhere=(-1, 1), alone=(-1,)), "both ways", TRADED),
        (Findings(endpoint=-1, netted=False), "moved", CANNOT_TELL),
        (Findings(endpoint=1, netted=False), "moved", CANNOT_TELL),
        (Findings(endpoint=-1), "fewer", IMPROVED),
        (Findings(endpoint=-1, reverse=-1, elsewhere=(-1,), alone=(-1,), excluded=True), "fewer", IMPROVED),
        (Findings(endpoint=1), "more", HARMED),
        (Findings(endpoint=1, excluded=True), "more", HARMED),
        (Findings(alone=(-1, 1)), "elsewhere both ways", TRADED),
        (Findings(alone=(1,), elsewhere=(-1, 1), within=True, excluded=True), "more elsewhere", HARMED),
        (Findings(alone=(-1,), excluded=True), "fewer elsewhere", IMPROVED),
        (Findings(within=True, excluded=True), "within the margin", EQUIVALENT),
        (Findings(within=True, excluded=True, reverse=1), "too small", NOT_WORTHWHILE),
        (Findings(within=True, excluded=True, inside=1), "too small", NOT_WORTHWHILE),
        (Findings(within=True, excluded=True, elsewhere=(-1,)), "too small", NOT_WORTHWHILE),
        (Findings(excluded=True), "too small", NOT_WORTHWHILE),
        (Findings(), "open", CANNOT_TELL),
        (Findings(reverse=1, elsewhere=(1,)), "open", CANNOT_TELL),
    ],
)
def test_rows(found: Findings, row: str, word: str) -> None:
    assert (look_up(found).name, look_up(found).word) == (row, word)


def test_every_row_and_every_word_is_used() -> None:
    """No row is hidden by those before it."""
    signs, sets = (-1, 0, 1), ((), (-1,), (1,), (-1, 1))
    reached = {
        look_up(Findings(endpoint=e, reverse=r, elsewhere=w, alone=a, netted=n, within=i, excluded=x)).name
        for e in signs for r in signs for w in sets for a in sets
        for n in (True, False) for i in (True, False) for x in (True, False)
    }  # fmt: skip
    assert reached == {row.name for row in ROWS}
    assert {row.word for row in ROWS} == set(WORDS)


def mirrored(found: Findings) -> Findings:
    """The findings with the arms swapped; `excluded`, which is about one direction only, is kept."""
    return replace(
        found,
        endpoint=-found.endpoint,
        reverse=-found.reverse,
        inside=-found.inside,
        elsewhere=tuple(sorted(-sign for sign in found.elsewhere)),
        alone=tuple(sorted(-sign for sign in found.alone)),
    )


@given(FINDINGS)
def test_swapping_the_arms_mirrors_the_word(found: Findings) -> None:
    word = look_up(found).word
    assert look_up(mirrored(found)).word == SWAPPED.get(word, word)


@given(FINDINGS, st.sampled_from(["endpoint", "reverse", "inside", "elsewhere", "alone"]))
def test_adding_harm_never_improves_the_word(found: Findings, where: str) -> None:
    """More errors in one respect never lead to *improved* and never leave *harmed* for a better word.

    Claims that rest on other errors alone need an endpoint without a change, so more errors there may uncover them.
    """
    assume(where != "endpoint" or not found.alone)
    value = getattr(found, where)
    worse = tuple(sorted({*value, 1})) if isinstance(value, tuple) else min(1, value + 1)
    before, after = look_up(found).word, look_up(Findings(**{**vars(found), where: worse})).word
    assert after != IMPROVED or before == IMPROVED
    if where != "alone":  # two signs that are each a claim of their own
        assert before != HARMED or after in (HARMED, TRADED)


@given(FINDINGS)
def test_what_got_worse_significantly_is_never_improved_or_equivalent(found: Findings) -> None:
    worse = 1 in (found.reverse, found.inside, *found.elsewhere)
    if worse and not found.alone:
        assert look_up(found).word not in (IMPROVED, EQUIVALENT)
