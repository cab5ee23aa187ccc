"""Proposals from drawn rings with a known cause, and from real digits with random log-odds."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from erroran.cli.specs import write_proposed
from erroran.data import build_dataset, load_dataset
from erroran.data.ids import sample_ids
from erroran.errors import BadInput
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis, read_hypothesis
from erroran.experiment.pair import Pair
from erroran.experiment.recipe import RECIPES
from erroran.experiment.runspec import RunSpec
from erroran.operations.apply import apply_dose
from erroran.operations.geometry import slant
from erroran.report import proposal as proposal_report
from erroran.report.proposal import proposal_sentence, spec_text, write_proposal, write_proposals
from erroran.shape import proposal as rule
from erroran.shape.measure import MEASUREMENTS, measure
from erroran.shape.proposal import split_in_halves
from erroran.stages.preview import preview
from erroran.stages.propose import ProposalResult, propose, worst_pairs
from erroran.store.environment import current_environment
from erroran.store.evidence import Evidence
from erroran.store.records import Group, RunRecord

OPEN, CLOSED, BAR = range(3)
NAMES = ("open", "closed", "bar")
PAIR = Pair("open", "closed")


def _spec(seed: int) -> RunSpec:
    environment = current_environment("cnn")
    return RunSpec(
        dataset="ab" * 16, mine_fraction=0.1, model="cnn", recipe=RECIPES["fast"], environment=environment, seed=seed
    )


def _record(seed: int) -> RunRecord:
    return RunRecord(
        spec=_spec(seed),
        arm="baseline",
        dataset_name="rings",
        accuracy_mine=0.99,
        accuracy_confirm=0.99,
        seconds=1.0,
        created="2026-01-02T03:04:05+00:00",
        command="erroran baseline",
        versions={"erroran": "0", "python": "3.11", "tensorflow": "2", "keras": "3"},
        commit=None,
        machine={"platform": "Linux", "cpus": "2"},
        parameters=1,
        history={},
    )


def _ring(rng: np.random.Generator, gap: int) -> np.ndarray:
    """A ring of strokes 2 to 4 px thick, 14 to 17 px high, with a gap at the top."""
    image = np.zeros((28, 28), dtype=np.uint8)
    (top, left), size, thick = rng.integers(3, 7, 2), rng.integers(14, 18), rng.integers(2, 5)
    image[top : top + size, left : left + size] = 255
    image[top + thick : top + size - thick, left + thick : left + size - thick] = 0
    start = left + size // 2 - gap // 2
    image[top : top + thick, start : start + gap] = 0
    return np.clip(image + rng.integers(0, 12, image.shape), 0, 255).astype(np.uint8)


def _evidence(*, per_class: int = 160, caused: bool = True, seed: int = 0) -> Evidence:
    """Open rings with gaps of 2 to 7 px; the smaller the gap, the more two runs predict closed."""
    rng = np.random.default_rng(seed)
    gaps = rng.integers(2, 8, per_class)
    images = [_ring(rng, gap) for gap in gaps] + [_ring(rng, 0) for _ in range(per_class)]
    bars = np.zeros((per_class, 28, 28), dtype=np.uint8)
    bars[:, 4:24, 12:16] = rng.integers(200, 256, (per_class, 20, 4))
    labels = np.repeat([OPEN, CLOSED, BAR], per_class)
    logits = rng.normal(0, 0.5, (2, 3 * per_class, 3))
    logits[:, np.arange(3 * per_class), labels] += 6
    if caused:
        logits[:, :per_class, CLOSED] += 6.5 - 1.5 * (gaps - 2)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    x = np.concatenate([np.stack(images), bars])[..., None]
    return Evidence(
        runs=(_record(0), _record(1)),
        split="mine",
        images=x,
        labels=labels,
        ids=sample_ids(x),
        probabilities=probabilities.astype(np.float32),
        class_names=NAMES,
    )


@pytest.fixture(scope="module")
def group() -> Group:
    return Group(
        template=_spec(0), seeds=(0, 1), dataset_name="rings", note="a note", updated="2026", command="erroran baseline"
    )


@pytest.fixture(scope="module")
def proposed(group: Group) -> ProposalResult:
    return propose(_evidence(), group, PAIR, permutations=100)


def test_the_cause_is_found(proposed: ProposalResult) -> None:
    """Small gaps are associated with the error: the closure margin leads; shuffles support nothing."""
    assert proposed.verdict == "supported"
    margin = next(f for f in proposed.forward.findings if f.measurement == "closure_margin_px")
    assert margin.status == "supported"
    assert margin.check.auc < 0.2
    assert margin.near_mean == pytest.approx(1, abs=0.3)
    assert margin.rest_mean > 1.8
    assert margin.specific
    assert margin.log_odds.rho < -0.5
    assert proposed.forward.false_support <= 5
    assert proposed.reverse.word == "not supported"
    assert [f.measurement for f in proposed.forward.leading if f.measurement in {"thickness_px", "slant_deg"}] == []


def test_near_are_the_tenth_with_the_highest_odds(proposed: ProposalResult) -> None:
    """16 of 160; images misread by half of the runs are counted."""
    d = proposed.forward
    assert d.near.sum() == 16
    assert d.log_odds[d.near].min() >= d.log_odds[~d.near].max()
    assert d.odds_of_near == d.log_odds[d.near].min()
    assert d.misread.sum() > 0
    assert (len(d.findings), len(proposed.reverse.findings)) == (len(MEASUREMENTS), len(MEASUREMENTS))


def test_the_operation_narrows_the_gap(proposed: ProposalResult) -> None:
    """The operation proposed for open rings lowers their closure margin; closed ones get the opposite."""
    first, *others = proposed.choices
    assert (first.class_name, first.movement.predicted_closure) == ("open", -1)
    assert first.movement.moves["closure_margin_px"] < 0
    assert first.movement.erased <= 0.02
    for choice in others:
        assert (choice.class_name, choice.movement.predicted_closure, choice.movement.fit) == ("closed", 1, None)
    fits = [movement.fit for movement in proposed.forward.movements]
    assert fits == sorted(fits, reverse=True)
    assert max(fits) <= 1
    eroding = [m.fit for m in proposed.forward.movements if m.step.operation == "erode"]
    assert max(eroding) < first.movement.fit


def test_without_a_cause_nothing_is_supported(group: Group, tmp_path: Path) -> None:
    """Log-odds unrelated to shape: the report says so, and there is no spec."""
    found = propose(_evidence(caused=False), group, PAIR, permutations=20)
    assert (found.verdict, found.choices, found.forward.movements) == ("not supported", [], [])
    text = write_proposal(found, tmp_path).read_text()
    assert "\n\nNo morphological hypothesis is supported: none of 15 measurements" in text
    assert found.forward.errors_by_run == [0, 0]


def test_what_marks_any_unusual_image_is_no_hypothesis(proposed: ProposalResult, tmp_path: Path) -> None:
    """The same differences near a third class: not specific to this pair, and the sentence says so."""
    findings = [f.model_copy(update={"elsewhere": f.check}) for f in proposed.forward.findings]
    forward = proposed.forward.model_copy(update={"findings": findings, "movements": []})
    found = proposed.model_copy(update={"forward": forward, "choices": []})
    assert (proposed.verdict, found.verdict) == ("supported", "not supported")
    assert "in closure margin" in proposal_sentence(found)
    assert "those near other classes do so as much" in write_proposal(found, tmp_path).read_text().splitlines()[2]


def test_too_few_images(group: Group, tmp_path: Path) -> None:
    """Ten images per class are too few for two halves; the next command is mining out of fold."""
    found = propose(_evidence(per_class=10), group, PAIR)
    assert (found.verdict, found.forward.findings, found.choices) == ("cannot tell", [], [])
    text = write_proposal(found, tmp_path).read_text()
    assert "\n\nCannot tell: 10 images of open are too few" in text
    assert "erroran mine-confusions --out-of-fold 5" in text
    json.dumps(found.to_json(), allow_nan=False)


def test_the_order_of_the_data_changes_nothing(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in another order give the same proposal, number by number."""
    monkeypatch.setattr(rule, "MOVED_IMAGES", 10)
    evidence = _evidence(per_class=120)
    order = np.random.default_rng(1).permutation(len(evidence.labels))
    shuffled = replace(
        evidence,
        images=evidence.images[order],
        labels=evidence.labels[order],
        ids=evidence.ids[order],
        probabilities=evidence.probabilities[:, order],
    )
    first, second = (propose(e, group, PAIR, permutations=10).to_json() for e in (evidence, shuffled))
    assert first == second


def test_two_classes_have_no_third(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two classes the column of third classes is empty."""
    monkeypatch.setattr(rule, "MOVED_IMAGES", 10)
    evidence = _evidence()
    rows = evidence.labels != BAR
    two = replace(
        evidence,
        images=evidence.images[rows],
        labels=evidence.labels[rows],
        ids=evidence.ids[rows],
        probabilities=evidence.probabilities[:, rows, :2],
        class_names=NAMES[:2],
    )
    found = propose(two, group, PAIR, permutations=10)
    assert found.verdict == "supported"
    assert {f.elsewhere.auc for f in found.forward.findings} == {None}


def test_real_shapes_with_chance_nearness_support_nothing(group: Group) -> None:
    """All measurements of 8 x 8 digits, with their ties, gaps and correlations: at most 5 % of 200 shuffles."""
    digits = load_dataset("digits")
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(np.isin(digits.y_train, [4, 9]))
    probabilities = rng.dirichlet(np.ones(10), (2, len(rows))).astype(np.float32)
    probabilities[:, np.arange(len(rows)), digits.y_train[rows]] += 1
    evidence = Evidence(
        runs=(_record(0), _record(1)),
        split="train",
        images=digits.x_train[rows],
        labels=digits.y_train[rows],
        ids=digits.train_ids[rows],
        probabilities=probabilities,
        class_names=digits.class_names,
    )
    found = propose(evidence, group, Pair("4", "9"))
    assert found.forward.permutations == 200
    assert found.forward.false_support <= 10
    assert found.reverse.false_support <= 10
    assert found.verdict == "not supported"


# --- the spec and the reports


def test_the_spec_is_valid_and_can_be_previewed(proposed: ProposalResult, tmp_path: Path) -> None:
    """The spec has the measured operation, and the measurements as comments."""
    text = spec_text(proposed)
    path = tmp_path / "opentoclosed-proposed.toml"
    path.write_text(text)
    hypothesis = read_hypothesis(path)
    assert (hypothesis.pair, hypothesis.primary, hypothesis.seeds) == (PAIR, "forward", 5)
    for choice in proposed.choices:
        assert hypothesis.augment[choice.class_name] == (choice.movement.step,)
        assert choice.movement.step.probability == 0.12
    lead = proposed.forward.leading[0]
    assert f"{lead.near_mean:.2f}" in hypothesis.hypothesis
    assert sum(line.startswith("#") for line in text.splitlines()) >= 5
    evidence = _evidence()
    rings = build_dataset(
        "rings", "made here", x_train=evidence.images, y_train=evidence.labels, x_test=evidence.images[:3],
        y_test=np.arange(3),
    )  # fmt: skip
    effects = preview(replace(rings, class_names=NAMES), hypothesis).effects
    assert {effect.class_name for effect in effects} == set(hypothesis.augment)


def test_awkward_class_names(proposed: ProposalResult) -> None:
    """Quotes, backslashes and spaces are kept in the spec, and left out of file names."""
    true, predicted = 'an "A"', "b\\to #1"
    forward = proposed.forward.model_copy(update={"true": true, "predicted": predicted})
    reverse = proposed.reverse.model_copy(update={"true": predicted, "predicted": true})
    both = zip(proposed.choices, (true, predicted), strict=False)
    choices = [choice.model_copy(update={"class_name": name}) for choice, name in both]
    update = {"pair": Pair(true, predicted), "forward": forward, "reverse": reverse, "choices": choices}
    hypothesis = Hypothesis.model_validate(tomllib.loads(spec_text(proposed.model_copy(update=update))))
    assert hypothesis.pair.classes == (true, predicted)
    assert set(hypothesis.augment) <= {true, predicted}


def test_a_measured_side_is_written_into_the_spec(group: Group, tmp_path: Path) -> None:
    """Bars that lean right are misread: rotating or slanting to the right is proposed, and the spec says so."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-20, 20, 240)
    upright = np.zeros((240, 28, 28, 1), dtype=np.uint8)
    for bar, thick, short in zip(upright, rng.integers(2, 7, 240), rng.integers(0, 5, 240), strict=True):
        bar[4 + short : 24, 14 - thick // 2 : 14 - thick // 2 + thick] = 255
    bars = slant(upright, degrees=angles)
    rings = _evidence()
    labels = np.repeat([0, 1, 2], [240, 160, 160])
    logits = rng.normal(0, 0.3, (2, 560, 3)) + 6 * np.eye(3)[labels]
    logits[:, :240, 1] += angles / 4 + 1
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    x = np.concatenate([bars, rings.images[160:]])
    evidence = replace(rings, images=x, labels=labels, ids=sample_ids(x), probabilities=probabilities)
    found = propose(evidence, group, PAIR, permutations=5)
    (choice, *_) = found.choices
    assert (choice.movement.step.operation, choice.movement.step.side) in {("slant", "right"), ("rotate", "right")}
    (tmp_path / "x.toml").write_text(spec_text(found))
    hypothesis = read_hypothesis(tmp_path / "x.toml")
    assert hypothesis.augment["open"] == (choice.movement.step,)
    before, after = (measure(images).slant_deg.mean() for images in (bars, apply_dose(bars, choice.movement.step, 10)))
    assert after > before + 5


def test_the_opposite_of_a_side_is_the_other_side() -> None:
    """For a class without a supported measurement."""
    lean = Step(operation="slant", angle_deg=10, side="right")
    assert lean.opposite == lean.model_copy(update={"side": "left"})
    assert Step(operation="scale", factor=(0.8, 2)).opposite == Step(operation="scale", factor=(1.25, 0.5))
    assert Step(operation="erode", kernel_px=2).opposite == Step(operation="dilate", kernel_px=2)
    for step in (Step(operation="slant", angle_deg=10), Step(operation="swell", strength=3), Step(operation="repeat")):
        assert step.opposite is None


def test_the_report(proposed: ProposalResult, tmp_path: Path) -> None:
    """Verdict first, its pictures exist, the JSON is strict, every measurement has a row for each direction."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    path = write_proposal(proposed, tmp_path)
    text = path.read_text()
    assert text.splitlines()[2] == proposal_sentence(proposed)
    assert proposal_sentence(proposed).startswith("Supported: the opens nearest to closed have ")
    assert "> **Data:** a note." in text
    for name in ("images", "measurements"):
        assert f"opentoclosed-proposal/{name}.png" in text
        assert 1000 < (tmp_path / "opentoclosed-proposal" / f"{name}.png").stat().st_size < 150_000
    content = json.loads((tmp_path / "opentoclosed-proposal" / "proposal.json").read_text(), parse_constant=refuse)
    assert (content["verdict"], content["pair"], content["seeds"]) == ("supported", "open:closed", [0, 1])
    assert {"versions", "commit", "machine", "command"} <= set(content)
    assert text.count("| closure margin |") >= 2
    assert text.count("of 100 (") == 2
    assert proposal_report._IN_WORDS.keys() == MEASUREMENTS.keys()
    next_command = proposal_report.next_command(proposed)
    able = all(c.movement.step.operation in {"dilate", "erode"} for c in proposed.choices)
    assert next_command == f"erroran {'probe' if able else 'preview'} opentoclosed-proposed"


def test_the_table_of_several_pairs(proposed: ProposalResult, tmp_path: Path) -> None:
    """One row a pair, linked, with the sum of the negative controls."""
    path = write_proposals([proposed, proposed.model_copy(update={"pair": Pair("x", "y"), "choices": []})], tmp_path)
    text = path.read_text()
    assert text.startswith("# 2 of 2 pairs with a supported morphological hypothesis, 1 with an operation to test it")
    assert "[open:closed](opentoclosed-proposal.md)" in text
    assert f"{2 * proposed.forward.false_support} of 200" in text


def test_a_spec_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal file is accepted; another one needs --force, and without it none of several is written."""
    monkeypatch.chdir(tmp_path)
    (path,) = write_proposed({"4to9-proposed": "one"}, force=False)
    write_proposed({"4to9-proposed": "one"}, force=False)
    with pytest.raises(BadInput, match=r"4to9-proposed\.toml exists already and differs") as caught:
        write_proposed({"1to7-proposed": "new", "4to9-proposed": "two"}, force=False)
    assert "--force" in caught.value.fix
    assert [p.name for p in Path("experiments").iterdir()] == ["4to9-proposed.toml"]
    write_proposed({"4to9-proposed": "two"}, force=True)
    assert path.read_text() == "two"


def test_worst_pairs() -> None:
    """Only pairs with errors, whatever number is asked for."""
    evidence = _evidence()
    assert worst_pairs(evidence, 5) == [PAIR]
    assert worst_pairs(evidence, 0) == []
    assert worst_pairs(_evidence(caused=False), 5) == []


def test_halves_are_by_content() -> None:
    """Each half has about half of the images; copies of an image are in the same half."""
    ids = sample_ids(np.random.default_rng(0).integers(0, 255, (400, 5, 5, 1)).astype(np.uint8))
    half = split_in_halves(ids)
    assert 150 < half.sum() < 250
    assert np.array_equal(half, split_in_halves(np.array([f"{name}~1" for name in ids])))
