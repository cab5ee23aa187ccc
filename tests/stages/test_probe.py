"""Probes of trained tiny models that separate open from closed rings, and the rule on given numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from erroran.data import Dataset, build_dataset
from erroran.errors import BadInput, ErroranError, NotFound
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.recipe import Recipe
from erroran.report.probe import probe_sentence, write_probe
from erroran.shape.sweep import (
    ControlRate,
    Rate,
    compare_paired,
    compare_unpaired,
    judge_directions,
    judge_half,
    mean_rate,
)
from erroran.stages.baseline import train_baseline
from erroran.stages.probe import ProbeResult, probe
from erroran.store import Store
from erroran.store.records import Group

OPEN, CLOSED, BAR = range(3)
RECIPE = Recipe(name="standard", epochs=6, batch_size=32, learning_rate=2e-3, schedule="constant")


def _draw(per_class: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rings of one pixel with a gap of two pixels at the top, or none; and bars. One in ten gaps is faintly bridged."""
    labels = np.repeat([OPEN, CLOSED, BAR], per_class)
    images = np.zeros((len(labels), 14, 14))
    for i, label in enumerate(labels):
        top, left = rng.integers(1, 5, 2)
        if label == BAR:
            images[i, top + 3, left : left + 8] = 255
            continue
        images[i, top : top + 8, left : left + 8] = 255
        images[i, top + 1 : top + 7, left + 1 : left + 7] = 0
        if label == OPEN:
            images[i, top, left + 3 : left + 5] = 230 if i % 10 == 0 else 0
    noisy = images + rng.integers(0, 15, images.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def _spec(**augment: object) -> Hypothesis:
    steps = augment or {"open": {"operation": "dilate", "radius_px": [0.5, 1]}}
    return Hypothesis.model_validate({"pair": "open:closed", "hypothesis": "A closed gap.", "augment": steps})


@pytest.fixture(scope="module")
def rings() -> Dataset:
    rng = np.random.default_rng(3)
    (x_train, y_train), (x_test, y_test) = _draw(250, rng), _draw(10, rng)
    return build_dataset("rings", "made here", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test,
                         class_names=("open", "closed", "bar"))  # fmt: skip


@pytest.fixture(scope="module")
def trained(rings: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Group]:
    store = Store(tmp_path_factory.mktemp("probe") / "store")
    group, _ = train_baseline(store, rings, seeds=[0, 1], recipe=RECIPE, mine_fraction=0.2)
    return store, group


@pytest.fixture(scope="module")
def probed(trained: tuple[Store, Group]) -> ProbeResult:
    return probe(*trained, "opentoclosed", _spec())


def test_closing_the_gap_makes_the_error(probed: ProbeResult) -> None:
    """Dilating an open ring by 1 px closes it: most are then read as closed, and neither bars nor shifts are."""
    forward = probed.forward
    assert forward.induction == "holds"
    assert forward.induced.share > 0.5
    assert forward.induced_controls["bystanders"].share < 0.1
    assert forward.curve[probed.doses_px.index(0)].share == 0
    assert [len(x) for x in (forward.curve, forward.bystanders, forward.repair)] == [len(probed.doses_px)] * 3
    assert (probed.doses_px[0], probed.doses_px[-1]) == (-1.5, 1.5)


def test_images_flip_at_the_sign_of_the_operation(probed: ProbeResult) -> None:
    """The pair's images flip by dilation; a gap of two pixels has margin 1, and none flips at dose 0."""
    forward = probed.forward
    assert len(forward.flip_doses_px) == len(forward.flip_margins_px) == forward.tracking.n > 0
    assert (forward.flip_doses_px > 0).all()
    assert (probed.reverse.flip_doses_px < 0).all()
    assert np.median(forward.flip_margins_px) == pytest.approx(1, abs=0.3)


def test_a_class_without_an_operation_gets_the_inverse(probed: ProbeResult) -> None:
    """The reverse pair is probed also where the spec is about one class."""
    assert (probed.forward.operation, probed.reverse.operation) == ("dilate", "erode")
    assert probed.reverse.doses_px == (0.5, 1)


def test_the_wrong_operation_is_not_supported(trained: tuple[Store, Group]) -> None:
    """Eroding open rings does not close them; and a kernel of side 1 is not a dose."""
    wrong = _spec(open={"operation": "erode", "kernel_px": [1, 2]})
    found = probe(*trained, "wrong", wrong)
    assert (found.verdict, found.forward.induction, found.forward.doses_px) == ("not supported", "fails", (0.5,))


def test_a_probe_made_twice_is_the_same(trained: tuple[Store, Group], probed: ProbeResult) -> None:
    """It is deterministic, and writes nothing into the store."""
    before = sorted(path for path in trained[0].root.rglob("*"))
    assert probe(*trained, "opentoclosed", _spec()).to_json() == probed.to_json()
    assert sorted(path for path in trained[0].root.rglob("*")) == before


def test_samples_are_capped(trained: tuple[Store, Group]) -> None:
    """Rates are over the requested number of images, with any number of additional errors."""
    found = probe(*trained, "x", _spec(), most_per_class=10, most_bystanders=7)
    assert found.forward.induced.images <= 10
    assert found.forward.induced_controls["bystanders"].images <= 7


def test_the_report(probed: ProbeResult, tmp_path: Path) -> None:
    """The verdict comes first, its pictures exist, and the JSON is strict."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    path = write_probe(probed, tmp_path)
    text = path.read_text()
    assert text.splitlines()[0] == f"# {probed.hypothesis}, probe: {probed.verdict}"
    assert text.splitlines()[2] == probe_sentence(probed)
    assert probe_sentence(probed).startswith(f"{probed.verdict.capitalize()}: dilating open by 1 px makes ")
    assert "points more (" in probe_sentence(probed)
    for name in ("dose-response", "strips", "flips"):
        assert f"opentoclosed-probe/{name}.png" in text
        assert (tmp_path / "opentoclosed-probe" / f"{name}.png").stat().st_size > 1000
    content = json.loads((tmp_path / "opentoclosed-probe" / "probe.json").read_text(), parse_constant=refuse)
    assert (content["verdict"], content["seeds"], content["pair"]) == (probed.verdict, [0, 1], "open:closed")
    assert {"versions", "commit", "machine", "command"} <= set(content)


@pytest.mark.parametrize(
    ("augment", "kind", "message"),
    [
        ({"open": {"operation": "shift", "radius_px": 1}}, BadInput, "uses shift"),
        ({"open": {"operation": "dilate", "kernel_px": 1}}, BadInput, "no dose in pixels"),
        ({"open": {"operation": "dilate", "stroke_fraction": 0.5}}, BadInput, "no dose in pixels"),
        ({"bar": {"operation": "dilate", "radius_px": 1}}, BadInput, "neither class"),
        ({"open": [{"operation": "dilate", "radius_px": 1}] * 2}, BadInput, "several operations to a class"),
        ({"all": {"operation": "dilate", "radius_px": 1}}, BadInput, "acts on all classes"),
        ({"nope": {"operation": "dilate", "radius_px": 1}}, NotFound, "class `nope`"),
    ],
)
def test_specs_that_cannot_be_probed(
    trained: tuple[Store, Group], augment: dict[str, object], kind: type[Exception], message: str
) -> None:
    """Refused before a model is loaded."""
    with pytest.raises(kind, match=message):
        probe(*trained, "x", _spec(**augment))


def test_a_damaged_model_is_named(trained: tuple[Store, Group], tmp_path: Path) -> None:
    """Its run can be removed and trained again."""
    import shutil

    shutil.copytree(trained[0].root, tmp_path / "copy")
    run = trained[1].run_spec(1).id
    (tmp_path / "copy" / "runs" / run / "model.keras").write_bytes(b"half")
    with pytest.raises(ErroranError, match=f"{run}/model.keras cannot be read"):
        probe(Store(tmp_path / "copy"), trained[1], "x", _spec())


# --- the rule


def _hits(share: float, images: int = 100) -> np.ndarray:
    return np.arange(images)[None] < share * images


def _all(images: int = 100) -> np.ndarray:
    return np.ones((1, images), dtype=bool)


@pytest.mark.parametrize(
    ("share", "controls", "half"),
    [
        (0.5, [0.1, 0.2], "holds"),
        (0.5, [0.1, 0.4], "holds"),  # of the same images: 10 only under the operation, none only under the control
        (0.5, [0.1, 0.48], "open"),
        (0.5, [0.1, 0.5], "fails"),
        (0.6, [0.6], "open"),
    ],
)
def test_half_of_the_rule(share: float, controls: list[float], half: str) -> None:
    """Differences above 0 hold; a rate that is not above and surely below the large one, 65 %, fails."""
    rate = mean_rate(_hits(share), _all())
    assert judge_half(rate, [compare_paired(_hits(share), _hits(c), _all()) for c in controls], 5, 0.65) == half


def test_half_of_the_rule_with_few_images_or_none() -> None:
    few, none = mean_rate(_hits(0.5, 4), _all(4)), Rate(images=0)
    tenth = mean_rate(_hits(0.1), _all())
    assert judge_half(few, [compare_unpaired(few, tenth)], 5, 0.65) == "open"
    assert judge_half(none, [compare_unpaired(none, tenth)], 5, 0.65) == "open"
    half = mean_rate(_hits(0.5), _all())
    assert judge_half(half, [ControlRate(images=0, paired=False)], 5, 0.65) == "holds"


def test_the_same_images_are_compared_in_pairs() -> None:
    """40 % and 50 % of the same images decide, of other images not; runs and fractions of a shift are averaged."""
    rate, control = mean_rate(_hits(0.5), _all()), mean_rate(_hits(0.4), _all())
    paired, unpaired = compare_paired(_hits(0.5), _hits(0.4), _all()), compare_unpaired(rate, control)
    assert paired.difference == pytest.approx(0.1) == unpaired.difference
    assert paired.lead_low > 0 > unpaired.lead_low
    quarter = compare_paired(
        np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[0.25, 0.5], [0.0, 0.5]]), np.ones((2, 2)) > 0
    )
    assert (quarter.share, quarter.difference) == (pytest.approx(0.3125), pytest.approx(0.4375))


def test_no_control_is_0_by_construction(probed: ProbeResult) -> None:
    """Images that are read correctly are never read as the other class as they are: that compares with nothing."""
    assert list(probed.forward.induced_controls) == ["shifted by 1 px", "the inverse", "bystanders"]
    assert [control.paired for control in probed.forward.induced_controls.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("halves", "word"),
    [
        (("holds", "holds"), "supported"),
        (("holds", "open"), "cannot tell"),
        (("open", "holds"), "cannot tell"),
        (("fails", "open"), "not supported"),
        (("holds", "fails"), "not supported"),
    ],
)
def test_both_halves_must_hold(probed: ProbeResult, halves: tuple[str, str], word: str) -> None:
    """Too few errors to repair: one cannot tell, unless induction refutes."""
    assert (
        judge_directions([probed.forward.model_copy(update=dict(zip(("induction", "repairing"), halves, strict=True)))])
        == word
    )


def test_a_rate_counts_an_image_once() -> None:
    """Two runs count the first image half, one run counts the second, none the third."""
    hit = np.array([[True, True, True], [False, True, True]])
    among = np.array([[True, True, False], [True, False, False]])
    assert mean_rate(hit, among).share == pytest.approx((0.5 + 1) / 2)
    assert mean_rate(hit, among).images == 2
