"""The verdict's words: when each is given, and how often they are wrong without a change."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erroran.errors import BadInput
from erroran.experiment.endpoint import Endpoint
from erroran.results import to_plain
from erroran.stats.confusion import cell_errors, confusion_counts
from erroran.verdict.compare import compare_errors
from erroran.verdict.decide import judge
from erroran.verdict.table import CANNOT_TELL, EQUIVALENT, HARMED, IMPROVED, NOT_WORTHWHILE, TRADED, WORDS

SWAPPED = {IMPROVED: HARMED, HARMED: IMPROVED, EQUIVALENT: EQUIVALENT, TRADED: TRADED}
OPEN = {CANNOT_TELL, NOT_WORTHWHILE}  # a reduction is asked about, so the arms' order matters between these two


class World:
    """Images with their own error rates; every arm is a fresh set of runs.

    A run may vary: it moves one border per pair (or of `only` one pair), so a -> b rises while b -> a falls.
    """

    def __init__(self, seed, n=4000, n_classes=4, hard=0.06, run_sd=0.0, only=None):
        self.rng = np.random.default_rng(seed)
        self.n_classes, self.run_sd, self.only = n_classes, run_sd, only
        self.labels = self.rng.integers(0, n_classes, n)
        self.other = (self.labels + self.rng.integers(1, n_classes, n)) % n_classes
        is_hard = self.rng.random(n) < hard
        self.rates = np.where(is_hard, self.rng.beta(0.5, 1, n), 0.0)

    def arm(self, n_seeds, **factors):
        """Runs whose errors a -> b are scaled by a keyword such as _0to1=0.5."""
        scale = np.ones(self.labels.size)
        for cell, factor in factors.items():
            a, b = (int(part) for part in cell.strip("_").split("to"))
            scale[(self.labels == a) & (self.other == b)] = factor
        shift = self.rng.normal(0, self.run_sd, (n_seeds, self.n_classes, self.n_classes))
        shift = shift - shift.transpose(0, 2, 1)
        if self.only:
            chosen = np.zeros((self.n_classes, self.n_classes))
            chosen[self.only], chosen[self.only[::-1]] = 1, 1
            shift = shift * chosen
        of_run = np.exp(shift[:, self.labels, self.other])
        wrong = self.rng.random((n_seeds, self.labels.size)) < self.rates * scale * of_run
        return np.where(wrong, self.other, self.labels)


def decide(world, before, after, **options):
    return judge(world.labels, before, after, pair=(0, 1), n_classes=world.n_classes, **options)


def test_a_large_fall_is_improved_and_swapped_it_is_harm():
    world = World(0)
    before, after = world.arm(5), world.arm(5, _0to1=0.1)
    verdict, mirror = decide(world, before, after), decide(world, after, before)
    assert (verdict.word, mirror.word) == (IMPROVED, HARMED)
    assert verdict.primary.effect.high < 0
    assert verdict.sentence.startswith("Improved: 0 read as 1 went from")
    assert "100 %" not in verdict.sentence.replace("95 %", "")


def test_errors_that_move_to_the_other_direction_are_no_improvement():
    world = World(1)
    verdict = decide(world, world.arm(6), world.arm(6, _0to1=0.2, _1to0=1.9))
    assert verdict.forward.effect.per_10000 < 0 < verdict.reverse.effect.per_10000
    assert verdict.word in {CANNOT_TELL, TRADED}
    assert verdict.row in {"moved", "both ways"}


def test_a_sum_that_fell_is_traded_for_the_other_direction():
    world = World(1, hard=0.4)
    before, after = world.arm(6, _1to0=0.5), world.arm(6, _0to1=0.05)
    verdict, mirror = decide(world, before, after), decide(world, after, before)
    assert verdict.both.test.direction(0.05) == -1
    assert verdict.reverse.test.direction(0.05) == 1
    assert (verdict.word, mirror.word) == (TRADED, TRADED)
    was, now = verdict.reverse.effect.before_mean, verdict.reverse.effect.after_mean
    assert f", but 1 read as 0 rose from {was:.1f} to {now:.1f}" in verdict.sentence
    assert f", but 1 read as 0 fell from {now:.1f} to {was:.1f}" in mirror.sentence


def test_a_worse_sum_is_never_improved():
    world = World(2)
    before = world.arm(6, _1to0=0.1)
    after = world.arm(6, _0to1=0.3, _1to0=4.0)
    verdict = decide(world, before, after)
    assert verdict.forward.test.direction(0.05) == -1
    assert verdict.both.test.p_greater < 0.025  # on these images; the pair's images moved both ways
    assert verdict.word == TRADED
    assert verdict.costs[0].name == "1 read as 0"
    assert decide(world, after, before).word == TRADED


def test_worse_cells_elsewhere_are_not_called_improved():
    world = World(3)
    others = {"_2to3": 2.5, "_3to2": 2.5, "_2to1": 2.5, "_3to1": 2.5}
    verdict = decide(world, world.arm(6), world.arm(6, _0to1=0.2, **others))
    assert verdict.collateral.worse
    assert verdict.word == TRADED


def test_the_same_errors_again_are_equivalent():
    world = World(4)
    runs = world.arm(10)
    verdict = decide(world, runs, runs[::-1], equivalence_per_10000=20.0)
    assert verdict.word == EQUIVALENT
    effect = verdict.primary.effect
    assert -20 < min(effect.low, effect.seeds_low) < max(effect.high, effect.seeds_high) < 20
    assert decide(world, runs, runs[::-1], equivalence_per_10000=2.0).word == NOT_WORTHWHILE


def test_one_run_an_arm_cannot_tell():
    world = World(5)
    verdict = decide(world, world.arm(1), world.arm(1, _0to1=0.0))
    assert verdict.word == CANNOT_TELL
    assert verdict.primary.test.p_value is None
    assert verdict.primary.test.method == "none"
    assert "one run" in verdict.sentence


def test_variation_of_runs_in_every_cell_is_corrected_for():
    world = World(6, run_sd=0.8, hard=0.2)
    verdict = decide(world, world.arm(3), world.arm(3, _0to1=0.5))
    assert verdict.logit_sd > 1
    assert verdict.primary.test.variance_ratio > 2


def test_variation_of_the_pair_alone_raises_its_ratio():
    """If runs vary more in the pair than elsewhere, the variance observed in the pair raises the ratio."""
    world = World(6, run_sd=1.0, hard=0.2, only=(0, 1))
    verdict = decide(world, world.arm(3), world.arm(3, _0to1=0.5))
    other = verdict.reverse.test.variance_ratio
    assert verdict.primary.test.variance_ratio > 1 + verdict.logit_sd**2 or other > 1 + verdict.logit_sd**2
    many = decide(world, world.arm(8), world.arm(8, _0to1=0.05))
    assert many.word == IMPROVED


def test_an_undecided_verdict_says_what_is_open():
    world = World(7)
    verdict = decide(world, world.arm(2), world.arm(2, _0to1=0.7))
    assert verdict.word == CANNOT_TELL
    assert verdict.sentence.endswith("; a reduction by 50 % is neither shown nor excluded.")


def test_a_small_change_excludes_the_worthwhile_one():
    """The larger the reduction that is worth having, the sooner it is excluded."""
    world = World(7, hard=0.2)
    before, after = world.arm(5), world.arm(5)
    verdict = decide(world, before, after, worthwhile_percent=60)
    assert verdict.word == NOT_WORTHWHILE
    assert verdict.sentence.endswith("; a reduction by 60 % is excluded.")
    assert decide(world, before, after, worthwhile_percent=1).word == CANNOT_TELL


def scramble(world, runs, share, into=3):
    """The same predictions, but a share of the images, the same in each run, is predicted as one class."""
    spoilt = runs.copy()
    spoilt[:, world.rng.random(runs.shape[1]) < share] = into
    return spoilt


@pytest.mark.parametrize("into", [2, 3])
def test_a_collapse_is_harmed_whatever_the_endpoint_does(into):
    """All errors rise from about 6 % to 25 %; the endpoint has next to no change."""
    world = World(13)
    verdict = decide(world, world.arm(5), scramble(world, world.arm(5), 0.2, into))
    assert verdict.word in {HARMED, TRADED}
    assert any(cost.name == "all errors" for cost in verdict.costs)
    assert "rose from" in verdict.sentence


def test_a_collapse_with_an_unmoved_endpoint_is_harmed():
    world = World(14)
    before, after = world.arm(5), world.arm(5)
    of_pair = np.isin(world.labels, (0, 1))
    spoilt = np.where(of_pair, after, scramble(world, after, 0.5))
    verdict = decide(world, before, spoilt)
    assert (verdict.word, verdict.row) == (HARMED, "more elsewhere")
    assert verdict.sentence.startswith("Harmed: all errors rose from")
    assert decide(world, spoilt, before).word == IMPROVED


def test_errors_that_move_inside_a_class_are_never_improved():
    """Each 0 read as 1 is read as 2 afterwards: the endpoint falls to 0, and no 0 more is read correctly."""
    for seed in range(5):
        world = World(seed, hard=0.1)
        before, after = world.arm(5), world.arm(5)
        moved = np.where((world.labels == 0) & (after == 1), 2, after)
        verdict = decide(world, before, moved)
        assert verdict.primary.test.direction(0.05) == -1
        assert verdict.word in {TRADED, CANNOT_TELL}
        assert decide(world, moved, before).word in {TRADED, CANNOT_TELL}


def test_a_class_without_images_has_nothing_to_judge():
    world = World(15)
    kept = world.labels != 0
    before, after = world.arm(5)[:, kept], world.arm(5)[:, kept]
    verdict = judge(world.labels[kept], before, after, pair=(0, 1), n_classes=4)
    assert verdict.word == CANNOT_TELL
    assert "nothing to judge" in verdict.sentence


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([(0, 2), (2, 3), (3, 0), (1, 0)]))
def test_adding_harm_never_makes_a_verdict_better(seed, cell):
    """Images of one class that all runs after read as another: the word moves towards harmed, if at all."""
    world = World(seed, n=1500, hard=0.1)
    before, after = world.arm(5), world.arm(5, _0to1=0.2)
    worse = after.copy()
    harmed = np.flatnonzero(world.labels == cell[0])[:60]
    worse[:, harmed] = cell[1]
    order = [HARMED, TRADED, CANNOT_TELL, NOT_WORTHWHILE, EQUIVALENT, IMPROVED]
    first, then = decide(world, before, after).word, decide(world, before, worse).word
    assert order.index(then) <= max(order.index(first), order.index(CANNOT_TELL))
    assert then != IMPROVED


def test_no_error_anywhere_is_handled():
    labels = np.repeat(np.arange(4), 10)
    runs = np.tile(labels, (3, 1))
    verdict = judge(labels, runs, runs, pair=(0, 1), n_classes=4)
    assert verdict.word == CANNOT_TELL
    assert "nothing to judge" in verdict.sentence
    json.dumps(to_plain(verdict), allow_nan=False)


def test_endpoints_are_the_cells_they_name():
    world = World(8)
    before, after = world.arm(3), world.arm(3)
    verdict = decide(world, before, after, endpoint=Endpoint.SUM)
    counts = confusion_counts(world.labels, before, 4)
    assert verdict.forward.before_per_seed == tuple(counts[:, 0, 1])
    assert verdict.reverse.before_per_seed == tuple(counts[:, 1, 0])
    assert verdict.both.before_per_seed == tuple(counts[:, 0, 1] + counts[:, 1, 0])
    assert verdict.primary.effect == verdict.both.effect
    assert {change.cell for change in verdict.cells}.isdisjoint({(0, 1), (1, 0)})
    off = counts.sum(axis=(1, 2)) - np.trace(counts, axis1=1, axis2=2)
    assert verdict.overall.before_per_seed == tuple(off)


def test_the_dictionary_is_json_and_complete():
    world = World(9)
    verdict = decide(world, world.arm(5), world.arm(5), class_names=["four", "nine", "x", "y"])
    plain = json.loads(json.dumps(to_plain(verdict), allow_nan=False))
    assert plain["word"] in WORDS
    assert plain["pair_names"] == ["four", "nine"]
    assert plain["sentence"] == verdict.sentence
    assert "four read as nine" in verdict.sentence
    assert set(plain) == set(verdict.__dataclass_fields__)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.floats(0.05, 1.5))
def test_swapping_reordering_and_renaming(seed, n_seeds, factor):
    world = World(seed, n=600, hard=0.2)
    before, after = world.arm(n_seeds), world.arm(n_seeds, _0to1=factor)
    verdict = decide(world, before, after)

    mirror = decide(world, after, before)
    assert mirror.word == SWAPPED.get(verdict.word, mirror.word)
    assert (mirror.word in OPEN) == (verdict.word in OPEN)
    assert mirror.primary.effect.per_10000 == pytest.approx(-verdict.primary.effect.per_10000)
    assert mirror.primary.test.p_less == pytest.approx(verdict.primary.test.p_greater)

    order = world.rng.permutation(world.labels.size)
    again = judge(world.labels[order], before[:, order], after[:, order], pair=(0, 1), n_classes=4)
    assert again.sentence == verdict.sentence
    tests = [vars(found.primary.test).values() for found in (again, verdict)]
    assert all(a == b or a == pytest.approx(b) for a, b in zip(*tests, strict=True))
    ends = [(found.primary.effect.low, found.primary.effect.high) for found in (again, verdict)]
    assert ends[0] == pytest.approx(ends[1])

    name = world.rng.permutation(4)
    renamed = judge(
        name[world.labels],
        name[before],
        name[after],
        pair=(int(name[0]), int(name[1])),
        n_classes=4,
    )
    assert renamed.word == verdict.word
    p_values = renamed.primary.test.p_value, verdict.primary.test.p_value
    assert p_values == (None, None) or p_values[0] == pytest.approx(p_values[1])
    assert renamed.logit_sd == pytest.approx(verdict.logit_sd)


@pytest.mark.parametrize("alpha", [0.0, 0.5, float("nan")])
def test_a_level_out_of_range_is_refused(alpha):
    labels = np.arange(4)
    with pytest.raises(BadInput, match="alpha"):
        judge(labels, labels[None], labels[None], pair=(0, 1), n_classes=4, alpha=alpha)


def test_correcting_for_runs_only_raises_p():
    world = World(12)
    was, now = (cell_errors(world.labels, world.arm(4), (0, 1)) for _ in range(2))
    plain, wide = (compare_errors(was, now, logit_sd=sd) for sd in (0.0, 2.0))
    assert wide.p_value >= plain.p_value


def false_claims(n_seeds, run_sd, repetitions, seed):
    """Mine the worst cell with three runs, then compare fresh runs without any change."""
    claims = 0
    for index in range(repetitions):
        world = World((seed, index), n=2500, n_classes=6, hard=0.08, run_sd=run_sd)
        mined = confusion_counts(world.labels, world.arm(3), 6).sum(axis=0)
        np.fill_diagonal(mined, 0)
        pair = tuple(int(i) for i in np.unravel_index(mined.argmax(), mined.shape))
        verdict = judge(world.labels, world.arm(n_seeds), world.arm(n_seeds), pair=pair, n_classes=6)
        claims += verdict.word in (IMPROVED, HARMED)
    return claims / repetitions


@pytest.mark.parametrize("run_sd", [0.0, 0.3])
def test_no_change_is_rarely_called_a_change(run_sd):
    # 100 experiments at a true 5 % exceed 11 once in 100 times.
    assert false_claims(3, run_sd, 100, seed=1) <= 0.11


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("run_sd", [0.0, 0.2, 0.5])
def test_false_claims_stay_within_five_percent(n_seeds, run_sd):
    # Two standard errors above 5 % with 300 experiments.
    assert false_claims(n_seeds, run_sd, 300, seed=2) <= 0.075
