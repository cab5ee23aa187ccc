"""Studies: several models compared by the verdict's test, and claims checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from erroran.data import Dataset, build_dataset, split_dataset
from erroran.errors import BadInput, NotFound
from erroran.execution.driver import Completed, Request
from erroran.experiment.recipe import Recipe
from erroran.experiment.study import Study
from erroran.report.study import _predictions, claim_line, study_headline, write_study
from erroran.stages import study as stage
from erroran.stages.baseline import train_baseline
from erroran.stages.study import StudyResult, assess_study, train_study
from erroran.store import Predictions, Store
from erroran.store.records import Group, RunRecord
from erroran.training.predict import Latency
from erroran.verdict.models import check_claim

N, SEEDS = 400, 3
STUDY = Study.model_validate(
    {
        "title": "Good and bad",
        "models": [{"model": "cnn", "reported": 0.99}, {"model": "dense-baseline"}, {"model": "cnn-small"}],
        "claims": [
            {"text": "dense is better", "better": "dense-baseline", "worse": "cnn", "points": 1.0},
            {"text": "dense is worse", "better": "cnn", "worse": "dense-baseline", "points": 10.0},
            {"text": "padding helps", "better": "cnn", "worse": "cnn-small"},
        ],
    }
)
# The share of `confirm` that each model misreads: the same images in every run, and a few that change.
WRONG = {"cnn": 0.05, "cnn-small": 0.055, "dense-baseline": 0.15}


@pytest.fixture
def result(
    store: Store, make_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> tuple[StudyResult, Store]:
    """Three models with known predictions on made-up images; the latency is made up as well."""
    rng = np.random.default_rng(5)
    labels = np.tile(np.arange(4), N // 4)
    images = rng.integers(0, 256, (2 * N, 8, 8), dtype=np.uint8)
    dataset = build_dataset("tiny", "made here", x_train=images[:N], y_train=labels, x_test=images[N:], y_test=labels)
    splits = split_dataset(dataset)
    store.put_dataset(dataset)
    groups = []
    for entry in STUDY.models:
        template = make_record().spec.model_copy(
            update={"dataset": dataset.digest, "model": entry.model, "recipe": entry.training("standard")}
        )
        group = Group(
            template=template,
            seeds=tuple(range(SEEDS)),
            dataset_name="tiny",
            note=None,
            updated="2026-01-01",
            command="erroran study",
            study="good-and-bad",
        )
        store.put_group(group)
        groups.append(group)
        for seed in range(SEEDS):
            truth = splits.confirm.y
            read = truth.copy()
            wrong = np.arange(N) < round(WRONG[entry.model] * N)
            wrong[rng.integers(0, N, 2)] ^= True
            read[wrong] = (truth[wrong] + 1) % 4
            predictions = {
                "mine": Predictions(
                    # Of `mine` each run gets the first three images wrong, of whatever model.
                    probabilities=np.eye(4, dtype=np.float32)[
                        np.where(np.arange(len(splits.mine.y)) < 3, (splits.mine.y + 1) % 4, splits.mine.y)
                    ],
                    labels=splits.mine.y,
                    ids=splits.mine.ids,
                ),
                "confirm": Predictions(
                    probabilities=np.eye(4, dtype=np.float32)[read] * 0.9 + 0.025, labels=truth, ids=splits.confirm.ids
                ),
            }
            record = make_record(
                spec=group.run_spec(seed),
                accuracy_confirm=float((read == truth).mean()),
                machine={"cpus": "2", "platform": "here"},
                versions={"erroran": "0", "tensorflow": "2", "keras": "3", "python": "3"},
            )
            store.put_run(record, predictions, {"model.keras": b"x" * 1000})
    monkeypatch.setattr(stage, "measure_latency", lambda *_, **__: Latency(20.0, 2.0, 1e4))
    return assess_study(store, "good-and-bad", STUDY, groups), store


def test_accuracy_by_hand(result: tuple[StudyResult, Store]) -> None:
    """Means, standard deviations and intervals are those of the accuracies; F1 weighs classes by their images."""
    models = {model.name: model for model in result[0].models}
    for name, model in models.items():
        wrong = model.evidence.predicted != model.evidence.labels
        assert model.scores.accuracy_confirm.values == pytest.approx(1 - wrong.mean(axis=1))
        assert model.scores.accuracy_confirm.mean == pytest.approx(1 - WRONG[name], abs=0.006)
        sd, mean = np.std(model.scores.accuracy_confirm.values, ddof=1), model.scores.accuracy_confirm.mean
        assert model.scores.accuracy_confirm.sd == pytest.approx(sd)
        half = 4.302653 * sd / SEEDS**0.5  # Student's t, 2 degrees of freedom
        assert model.interval == pytest.approx((mean - half, mean + half), abs=1e-6)
        f1 = [f1_score(model.mined.labels, run, average="weighted") for run in model.mined.predicted]
        assert model.weighted_f1 == pytest.approx(np.mean(f1))
        assert model.bytes_on_disk == 1000
    assert [model.name for model in result[0].ranking] == ["cnn", "cnn-small", "dense-baseline"]


def test_everything_by_class_is_on_mine(result: tuple[StudyResult, Store]) -> None:
    """Tables, matrices and shown predictions are of `mine`; on `confirm` every model makes more errors."""
    for model in result[0].models:
        assert model.mined.split == "mine"
        assert [row["support"] for row in model.scores.classes] == np.bincount(model.mined.labels).tolist()
        assert model.scores.confusions.sum() - np.trace(model.scores.confusions.sum(axis=0)) == 3 * SEEDS
        by_hand = recall_score(model.mined.labels, model.mined.predicted[0], average=None)
        assert [row["recall"].mean for row in model.scores.classes] == pytest.approx(by_hand)
    images = {part.tobytes() for part in result[0].models[0].mined.images}
    _, shown, *_ = _predictions(result[0].models[0])
    assert {image.tobytes() for image in shown} <= images


def test_pairs_and_claims(result: tuple[StudyResult, Store]) -> None:
    """40 more errors of 400 are significant, 2 more are not. A claim in the wrong direction is contradicted."""
    pairs = {frozenset((pair.first, pair.second)): pair.better for pair in result[0].pairs}
    assert pairs == {
        frozenset(("cnn", "dense-baseline")): "cnn",
        frozenset(("cnn-small", "dense-baseline")): "cnn-small",
        frozenset(("cnn", "cnn-small")): None,
    }
    for pair in result[0].pairs:
        assert pair.p_adjusted is not None
        assert pair.comparison.test.p_value is not None
        assert pair.p_adjusted >= pair.comparison.test.p_value
    wrong_way, right_way, unclear = result[0].claims
    assert [checked.word for checked in (wrong_way, right_way, unclear)] == ["contradicted", "holds", "cannot tell"]
    assert right_way.measured.difference == pytest.approx(10, abs=1)
    for checked in (wrong_way, right_way, unclear):
        assert checked.compared in result[0].pairs
    there, back = right_way.measured, wrong_way.measured
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert there.low < there.difference < there.high
    assert "+10.00 were claimed, inside the interval; adjusted p " in claim_line(right_way)
    assert "+1.00 were claimed, outside the interval" in claim_line(wrong_way)
    assert "cannot be told yet" in study_headline(result[0])
    assert "`cnn-small` is worse" in study_headline(result[0])


def test_a_claim_and_the_table_never_disagree(result: tuple[StudyResult, Store]) -> None:
    """Whatever the table says of a pair, the claim about it says: better, worse, or neither."""
    claim = STUDY.claims[1]
    for pair in result[0].pairs:
        names = pair.first, pair.second
        for better in (*names, None):
            given = pair.model_copy(update={"better": better})
            for worse_name, better_name in (names, names[::-1]):
                checked = check_claim(claim, [given], worse_name, better_name)
                assert checked.word == {better_name: "holds", worse_name: "contradicted", None: "cannot tell"}[better]
                assert (checked.measured.difference > 0) == (
                    (pair.points.difference > 0) == (better_name == pair.second)
                ) or pair.points.difference == 0


def test_the_look_is_in_the_ledger_once(result: tuple[StudyResult, Store]) -> None:
    """Comparing models on `confirm` is a look at it; comparing them again is the same look."""
    assessed, store = result
    assess_study(store, assessed.name, STUDY, [model.scores.trained for model in assessed.models])
    assert [(entry.kind, entry.name, entry.seeds) for entry in store.ledger.entries()] == [
        ("study", "good-and-bad", (0, 1, 2))
    ]


def test_the_report_shows_every_model_and_class(result: tuple[StudyResult, Store], tmp_path: Path) -> None:
    """Verdict first; every figure is written; the JSON has every seed's accuracy."""
    summary = write_study(result[0], tmp_path)
    text = (tmp_path / "good-and-bad.md").read_text()
    assert text.startswith("# `cnn` predicts 9")
    assert text.count("| class | precision | recall | F1 | support |") == 3
    assert text.count("| weighted |") == 3
    assert "20.0 ms | 2.0 ms (10 times faster)" in text
    assert "| 99.00 % |" in text
    assert {path.name for path in (tmp_path / "good-and-bad").iterdir()} == {
        "accuracy.png", "training-curves.png", "confusion-matrices.png", "samples.png", "predictions.png",
        "summary.json",
    }  # fmt: skip
    assert [len(model["scores"]["accuracy_confirm"]["values"]) for model in summary["models"]] == [3, 3, 3]
    assert [claim["word"] for claim in summary["claims"]] == ["contradicted", "holds", "cannot tell"]


def test_a_study_trains_each_model_once_and_leaves_the_latest_baseline_alone(
    store: Store, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its groups are marked; a baseline of the user's stays the latest, also if it is a model of the study."""
    asked: list[tuple[str, int, Recipe]] = []

    def pretend(store: Store, requests: list[Request], **options: object) -> Completed:
        asked.extend((r.spec.model, r.spec.seed, r.spec.recipe) for r in requests)
        return Completed([], [])

    monkeypatch.setattr("erroran.stages.baseline.complete_runs", pretend)
    for module in ("baseline", "study"):  # cnn-small needs larger images
        monkeypatch.setattr(f"erroran.stages.{module}.check_model", lambda *_, **__: None)
    trained = train_study(store, tiny_dataset, "good-and-bad", STUDY)
    assert [(name, seed) for name, seed, _ in asked] == [
        (entry.model, seed) for entry in STUDY.models for seed in range(SEEDS)
    ]
    assert {group.study for group, _ in trained} == {"good-and-bad"}
    mine, _ = train_baseline(
        store, tiny_dataset, recipe=STUDY.models[1].training("standard"), seeds=[7], model="dense-baseline"
    )
    assert store.get_group() == mine
    train_study(store, tiny_dataset, "good-and-bad", STUDY)
    assert store.get_group() == mine
    assert store.get_group(trained[0][0].id).study == "good-and-bad"


def test_an_unknown_model_trains_nothing(store: Store, tiny_dataset: Dataset) -> None:
    """Also if it is the last of the study."""
    spec = STUDY.model_copy(update={"models": (*STUDY.models, STUDY.models[0].model_copy(update={"model": "vgg"}))})
    with pytest.raises(NotFound, match="no model `vgg`"):
        train_study(store, tiny_dataset, "x", spec)
    assert not store.root.exists()


def test_a_model_too_large_for_the_images_trains_nothing(store: Store, tiny_dataset: Dataset) -> None:
    """`cnn-small`, the last of the study, cannot be built for 8 x 8 images."""
    with pytest.raises(BadInput, match="`cnn-small` cannot be built for images of 8 x 8"):
        train_study(store, tiny_dataset, "x", STUDY)
    assert not store.root.exists()
