"""The baseline stage: a group of runs, completed and made the latest."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from training.test_models import OWN

from erroran.data import Dataset
from erroran.errors import BadInput, ErroranError, NotFound
from erroran.execution.local import InProcess
from erroran.experiment.recipe import Recipe, choose_precision
from erroran.stages.baseline import train_baseline
from erroran.store import Store
from erroran.store.records import Group, RunRecord
from erroran.training.predict import predict_with

if TYPE_CHECKING:
    from erroran.training.fit import Progress

RECIPE = Recipe(name="standard", epochs=1, batch_size=64, learning_rate=1e-3, schedule="constant")


def test_a_baseline_is_trained_kept_and_extended(store: Store, tiny_dataset: Dataset) -> None:
    """Two seeds; again, nothing trains; then one seed more of the same group, in the order asked for."""
    reports: list[Progress] = []
    finished: list[RunRecord] = []
    options: dict[str, Any] = {"recipe": RECIPE, "model": "dense-baseline"}
    options |= {"on_progress": reports.append, "on_finished": finished.append}
    group, completed = train_baseline(store, tiny_dataset, seeds=[1, 0], **options)
    assert [record.spec.seed for record in completed.records] == [1, 0]
    assert completed.trained == [record.id for record in finished] == [group.run_spec(s).id for s in (1, 0)]
    assert {report.seed for report in reports} == {0, 1}
    assert {record.arm for record in completed.records} == {"baseline"}
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.group, entry.seeds) == ("baseline-accuracy", group.id, (1, 0))
    assert store.mined_seeds(tiny_dataset.digest) == {0, 1}
    assert store.get_group() == group
    assert (group.seeds, group.dataset_name, group.note) == ((1, 0), "tiny", tiny_dataset.note)
    assert store.get_dataset(group.template.dataset).digest == tiny_dataset.digest

    again, repeated = train_baseline(store, tiny_dataset, seeds=[1, 0], **options)
    assert (again.id, repeated.trained, repeated.records) == (group.id, [], completed.records)
    assert again.updated > group.updated

    extended, more = train_baseline(store, tiny_dataset, seeds=[0, 2], **options)
    assert (extended.id, extended.seeds) == (group.id, (0, 2))
    assert more.trained == [group.run_spec(2).id]
    assert store.get_group() == extended
    assert len(store.list_runs()) == 3


def test_every_option_reaches_the_runs(store: Store, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipe, precision and fraction are part of each run's spec."""
    seen, executor = [], InProcess()

    def pretend(store: Store, requests: list[Any], **options: Any) -> str:
        seen.append(([request.spec for request in requests], options["executor"]))
        return "completed"

    monkeypatch.setattr("erroran.stages.baseline.complete_runs", pretend)
    group, completed = train_baseline(
        store,
        tiny_dataset,
        recipe=RECIPE,
        seeds=[3, 4],
        precision="mixed_bfloat16",
        mine_fraction=0.3,
        executor=executor,
    )
    ((specs, passed),) = seen
    assert completed == "completed"
    assert [(s.seed, s.recipe, s.precision, s.mine_fraction, s.model, s.augment) for s in specs] == [
        (seed, RECIPE, "mixed_bfloat16", 0.3, "cnn", {}) for seed in (3, 4)
    ]
    assert passed is executor
    assert isinstance(group, Group)


@pytest.mark.parametrize(
    ("features", "chosen"),
    [
        ((), "float32"),
        (("avx512f",), "float32"),
        (("avx512_bf16",), "mixed_bfloat16"),
        (("amx_bf16",), "mixed_bfloat16"),
    ],
)
def test_precision_auto_is_what_the_processor_has(
    store: Store, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], chosen: str
) -> None:
    """The choice, not the word, is in the group and in each run's key; a model of one's own stays in float32."""
    monkeypatch.setattr("erroran.provenance.processor_features", lambda: features)
    monkeypatch.setattr("erroran.stages.baseline.complete_runs", lambda *_, **__: "completed")
    group, _ = train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[3], precision="auto")
    assert group.template.precision == group.run_spec(3).precision == chosen
    assert choose_precision("auto", own_model=True) == "float32"
    assert choose_precision("mixed_bfloat16", own_model=True) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "vgg"}, NotFound, "There is no model `vgg`"),
        ({"mine_fraction": 0.7}, BadInput, r"The fraction to mine in is 0\.7"),
    ],
)
def test_bad_input_writes_nothing(
    store: Store, tiny_dataset: Dataset, options: dict[str, Any], error: type[BadInput], message: str
) -> None:
    """The store is not even created."""
    with pytest.raises(error, match=message):
        train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[0], **options)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("function", "message"), [("lambda_layer", "not be loaded again"), ("leaves", r"calls sys\.exit\(\)")]
)
def test_a_users_model_is_refused_before_it_trains(
    store: Store, tiny_dataset: Dataset, tmp_path: Path, function: str, message: str
) -> None:
    """One that can never be loaded again, and one that would end the command as if it had succeeded."""
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(BadInput, match=message):
        train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[0], model=f"{tmp_path / 'own.py'}:{function}")
    assert not store.root.exists()


def test_no_code_beside_a_run_is_executed(store: Store, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """A file `model.py` in the run's folder is ignored; code in the store is used only if its digest is the run's."""
    (tmp_path / "own.py").write_text(OWN)
    _, completed = train_baseline(
        store, tiny_dataset, recipe=RECIPE, seeds=[0], model=f"{tmp_path / 'own.py'}:build_fn"
    )
    (run,) = completed.records
    images = store.get_splits(run.spec).mine.x
    (store.run_folder(run.id) / "model.py").write_text("raise RuntimeError('executed')")
    model_file = store.run_folder(run.id) / "model.keras"
    predicted = predict_with(model_file, images, source=store.load_source_of(run.spec))
    assert predicted == pytest.approx(store.get_predictions(run.id, "mine").probabilities, abs=1e-6)
    (kept,) = store.root.rglob(f"{run.spec.source}.py")
    kept.write_text(OWN + "\nraise RuntimeError('executed')\n")
    with pytest.raises(ErroranError, match="it was changed"):
        store.load_source_of(run.spec)


def test_a_group_that_broke_off_is_no_group(
    store: Store, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later stages use complete groups only."""

    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("erroran.stages.baseline.complete_runs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(store, tiny_dataset, recipe=RECIPE, seeds=[0])
    with pytest.raises(NotFound, match="There is no baseline"):
        store.get_group()
