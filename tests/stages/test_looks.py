"""Interventions in looks: registration, training look by look, resuming, and the report. No network is trained."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stages.test_report import HYPOTHESIS, MINED, NAME, made_up_dataset, put_group, put_run

from erroran.data import Dataset
from erroran.errors import BadInput, TrainingError
from erroran.execution.driver import Completed, Request
from erroran.stages import intervene as stage
from erroran.stages.intervene import intervene
from erroran.stages.report import assess
from erroran.store import Store
from erroran.store.records import Group
from erroran.verdict import sequential
from erroran.verdict.sequential import Design, Look, plan_looks

IMAGES = 40
DESIGN = plan_looks(20)
FOLLOWED = plan_looks(15)
"""What the baseline's first five runs, with some 8 errors each, make of `DESIGN`."""


class Trainer:
    """Stands in for `complete_runs`: stores runs whose errors are drawn from a rate per arm, and counts them.

    Attributes:
        rates: Share of the first 12 images of class 0 that a run of an arm reads as 1.
        fails_at: The number of runs after which training breaks off.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.trained = dataset, []
        self.rates = {"baseline": 0.7, NAME: 0.7, "sham": 0.7}
        self.fails_at: int | None = None

    def __call__(self, store: Store, requests: Sequence[Request], **_: object) -> Completed:
        trained = []
        for arm, spec in ((request.arm, request.spec) for request in requests):
            if store.has_run(spec.id):
                continue
            if len(self.trained) == self.fails_at:
                raise TrainingError("It broke off.", fix="none")
            drawn = np.random.default_rng((spec.seed, len(arm))).random(12)
            put_run(store, self.dataset, spec, arm, mine={}, confirm={(0, 1): np.flatnonzero(drawn < self.rates[arm])})
            trained.append(spec.id)
            self.trained.append((arm, spec.seed))
        return Completed([store.get_run(request.spec.id) for request in requests], trained)

    def count(self, arm: str) -> int:
        """Runs of an arm that were trained."""
        return sum(name == arm for name, _ in self.trained)


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    fake = Trainer(made_up_dataset(per_class=IMAGES))
    monkeypatch.setattr(stage, "complete_runs", fake)
    monkeypatch.setattr(stage, "check_model", lambda *_, **__: None)
    return fake


@pytest.fixture
def group(store: Store, trainer: Trainer) -> Group:
    return put_group(store, trainer.dataset, MINED, MINED)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of the next looks, whatever the runs show."""
    prepared: list[str] = []

    def judge(*_: object, **levels: float) -> object:
        return SimpleNamespace(word=prepared.pop(0), sentence="S.", alpha=levels["alpha"])

    monkeypatch.setattr(stage, "judge_hypothesis", judge)
    monkeypatch.setattr(sequential, "chance_to_decide", lambda *_: 1.0)
    return prepared


def _intervene(store: Store, group: Group, design: Design | None = DESIGN, **options: Any) -> Any:
    return intervene(store, group, NAME, HYPOTHESIS, design=design, **options)[0]


def test_a_clear_effect_is_decided_early(store: Store, group: Group, trainer: Trainer) -> None:
    """Of 8 errors per run nearly all are gone: ten seeds decide, the sham gets as many, and the report agrees."""
    trainer.rates[NAME] = 0.02
    looks: list[Look] = []
    intervention = _intervene(store, group, after_look=lambda look, _: looks.append(look))
    seen = [(look.seeds, look.word) for look in intervention.looks]
    assert seen == [(look.seeds, look.verdict.word) for look in looks]
    assert seen[-1][1] == "improved"
    decided = seen[-1][0]
    assert decided <= 10
    assert {arm: len(runs) for arm, runs in intervention.arms.items()} == dict.fromkeys(intervention.arms, decided)
    assert intervention.seeds == tuple(range(1000, 1000 + decided))
    found = assess(store, group, NAME)
    levels = intervention.design.levels_at(decided)
    assert (found.verdict.word, found.verdict.alpha) == ("improved", levels["alpha"])
    excluded = levels["alpha_excluded"]
    assert found.verdict.primary.effect.confidence == pytest.approx(1 - excluded)
    assert found.stamps == []


def test_no_effect_is_not_worthwhile_and_spares_the_controls(store: Store, group: Group, trainer: Trainer) -> None:
    """The same errors in both arms: a halving is soon excluded."""
    intervention = _intervene(store, group)
    assert intervention.looks[-1].word == "not worthwhile"
    assert trainer.count("sham") == 5
    assert trainer.count(NAME) == trainer.count("baseline") == len(intervention.seeds) < 20
    assert assess(store, group, NAME).verdict.word == "not worthwhile"


@pytest.mark.parametrize(("word", "of_sham"), [("improved", 10), ("not worthwhile", 5), ("harmed", 5)])
def test_controls_follow_only_an_improvement(
    store: Store, group: Group, trainer: Trainer, words: list[str], word: str, of_sham: int
) -> None:
    """Five seeds of the first look; those of the last one if there is an improvement that a control may explain."""
    words += ["cannot tell", word]
    intervention = _intervene(store, group)
    assert {arm: len(runs) for arm, runs in intervention.arms.items()} == {
        "baseline": 10, NAME: 10, "sham": of_sham,
    }  # fmt: skip
    assert intervention.arms["sham"] == tuple(
        run for run in intervention.arms["sham"] if store.get_run(run).spec.seed in intervention.seeds
    )


def test_arms_of_different_size_are_reported(store: Store, group: Group, trainer: Trainer, words: list[str]) -> None:
    """Ten seeds of the treatment against five of the sham: everything else in the report is as usual."""
    words += ["cannot tell", "not worthwhile"]
    _intervene(store, group)
    found = assess(store, group, NAME)
    assert [len(found.before.predicted), len(found.after.predicted), len(found.seeds)] == [10, 10, 10]
    sham = next(control for control in found.controls if control.name == "sham")
    assert len(sham.forward.before_per_seed) == 5
    assert len(sham.forward.after_per_seed) in (5, 10)


def test_the_design_is_registered_before_anything_is_trained(store: Store, group: Group, trainer: Trainer) -> None:
    """With looks, levels and the worthwhile change; no look is made of runs that are not there."""
    trainer.fails_at = 0
    with pytest.raises(TrainingError):
        _intervene(store, group)
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.design, entry.worthwhile_percent) == ("registered", DESIGN, 50.0)


def test_every_look_is_entered_before_it_is_made(
    store: Store, group: Group, trainer: Trainer, words: list[str]
) -> None:
    """One entry per look, with the seeds that were read; before them the baseline's runs of the first look alone."""
    words += ["cannot tell", "cannot tell", "harmed"]
    _intervene(store, group)
    entries = store.ledger.entries()
    assert [(entry.kind, len(entry.seeds)) for entry in entries] == [
        ("registered", 0),
        ("pilot", 5),
        ("replanned", 5),
        ("look", 5),
        ("look", 10),
        ("look", 15),
    ]


@pytest.mark.parametrize("fails_at", [3, 7, 15, 17, 24])
def test_what_was_interrupted_goes_on(
    store: Store, group: Group, trainer: Trainer, words: list[str], fails_at: int
) -> None:
    """Before and after the baseline's runs of the first look, at it and after it: only what is missing is trained."""
    words += ["cannot tell"] * 2
    trainer.fails_at = fails_at
    with pytest.raises(TrainingError):
        _intervene(store, group)
    trainer.fails_at = None
    words[:] = ["cannot tell", "not worthwhile"]
    intervention = _intervene(store, group)
    assert intervention.design == FOLLOWED
    assert len(trainer.trained) == len(set(trainer.trained)) == 10 + 10 + 5
    assert [look.seeds for look in intervention.looks] == [5, 10]
    assert [stamp.kind for stamp in assess(store, group, NAME).stamps] == []


def test_the_baseline_alone_chooses_the_last_look(store: Store, group: Group, trainer: Trainer) -> None:
    """With 8 errors per run 15 seeds suffice: noted before the treatment is trained, and followed from then on."""
    trainer.fails_at = 5
    with pytest.raises(TrainingError):
        _intervene(store, group)
    assert {arm for arm, _ in trainer.trained} == {"baseline"}
    registered, pilot, replanned = store.ledger.entries()
    assert (registered.design, pilot.kind, replanned.kind) == (DESIGN, "pilot", "replanned")
    assert replanned.design == FOLLOWED
    found = replanned.replanned
    assert (found.planned, found.design, found.errors_per_run) == (20, FOLLOWED, pytest.approx(8.2))
    assert found.chance > found.chance_planned - 0.05


def test_a_design_that_was_planned_again_is_not_planned_anew(
    store: Store, group: Group, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the treatment: the ledger's design is followed, and another limit is refused."""
    trainer.fails_at = 5
    with pytest.raises(TrainingError):
        _intervene(store, group)
    trainer.fails_at = None
    monkeypatch.delattr(stage, "replan")
    with pytest.raises(BadInput, match="at most 20 seeds per arm"):
        _intervene(store, group, plan_looks(40))
    said: list[str] = []
    intervention = _intervene(store, group, after_replanning=lambda found: said.append(found.describe()))
    assert intervention.design == FOLLOWED
    assert (intervention.max_seeds, len(intervention.seeds)) == (20, 5)
    assert said[0].startswith("the baseline's first runs make 8.2 errors each: the last look is after 15 seeds")
    assert "instead of 20" in said[0]
    assert assess(store, group, NAME).stamps == []


def test_another_limit_after_a_look_is_refused(store: Store, group: Group, trainer: Trainer, words: list[str]) -> None:
    """Extending or shortening a design after its results were seen would spend its level twice."""
    words += ["cannot tell"] * 4
    _intervene(store, group)
    with pytest.raises(BadInput, match="at most 20 seeds per arm") as caught:
        _intervene(store, group, plan_looks(40))
    assert caught.value.fix == "--max-seeds 20"


def test_another_limit_before_any_look_is_another_plan(store: Store, group: Group, trainer: Trainer) -> None:
    """Nothing was seen, so nothing is lost."""
    trainer.fails_at = 3
    with pytest.raises(TrainingError):
        _intervene(store, group)
    trainer.fails_at = None
    assert _intervene(store, group, plan_looks(10)).design == plan_looks(10)


@pytest.mark.parametrize("first", [None, DESIGN])
def test_a_plain_run_beside_a_design_is_a_peek(
    store: Store, group: Group, trainer: Trainer, words: list[str], first: Design | None
) -> None:
    """Five seeds judged at the full level, before or after looks of a design: one test too many."""
    words += ["not worthwhile"]
    for design in (first, DESIGN if first is None else None):
        _intervene(store, group, design, n_seeds=None if design else 5)
        stamps = [stamp.kind for stamp in assess(store, group, NAME).stamps]
    assert "Peeked" in stamps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [7, 8]}, "chooses the number of seeds itself"),
        ({"n_seeds": 8}, "chooses the number of seeds itself"),
        ({"fresh_baseline": False}, "fresh seeds"),
    ],
)
def test_options_that_do_not_go_with_looks(
    store: Store, group: Group, trainer: Trainer, options: dict[str, object], message: str
) -> None:
    """Refused before anything is written."""
    with pytest.raises(BadInput, match=message):
        _intervene(store, group, **options)
    assert store.ledger.entries() == []


def test_a_look_can_be_reported_before_the_next(store: Store, group: Group, trainer: Trainer, words: list[str]) -> None:
    """`report` during the training judges at the level of the look that was made, and is no peek."""
    words += ["cannot tell"] * 2
    trainer.fails_at = 17
    with pytest.raises(TrainingError):
        _intervene(store, group)
    found = assess(store, group, NAME)
    assert (len(found.seeds), found.verdict.alpha) == (5, FOLLOWED.alphas[0])
    assert found.stamps == []
