"""Evidence: the predictions of several runs for the same images."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from erroran.data import Dataset, Splits, split_dataset
from erroran.errors import ErroranError, NotFound
from erroran.experiment.judging import CONFIRM, Judging
from erroran.experiment.runspec import RunSpec
from erroran.store import Predictions, Store, artifacts
from erroran.store.evidence import gather, gather_judged, gather_mined, gather_most
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

LOOK = Entry(kind="look", dataset="d", group="g", name="4to9")


@pytest.fixture
def splits(tiny_dataset: Dataset) -> Splits:
    return split_dataset(tiny_dataset, mine_fraction=0.2)


@pytest.fixture
def put_run(
    store: Store,
    tiny_dataset: Dataset,
    splits: Splits,
    make_spec: Callable[..., RunSpec],
    make_record: Callable[..., RunRecord],
) -> Callable[..., str]:
    """Store the run of a seed, with probabilities drawn by it; `order` permutes its images of `mine`."""
    store.put_dataset(tiny_dataset)

    def put(seed: int, order: np.ndarray | None = None) -> str:
        record = make_record(make_spec(dataset=tiny_dataset.digest, mine_fraction=0.2, seed=seed))
        rng, predictions = np.random.default_rng(seed), {}
        for name, part in (("mine", splits.mine), ("confirm", splits.confirm)):
            rows = np.arange(len(part.y)) if order is None or name == "confirm" else order
            drawn = rng.dirichlet(np.ones(3), len(part.y)).astype(np.float32)
            predictions[name] = Predictions(probabilities=drawn, labels=part.y[rows], ids=part.ids[rows])
        store.put_run(record, predictions, {})
        return record.id

    return put


@pytest.mark.parametrize("split", ["mine", "confirm"])
def test_runs_and_images_are_lined_up(store: Store, splits: Splits, put_run: Callable[..., str], split: str) -> None:
    """Runs in the order of the ids; images, labels and ids are those of the split."""
    ids = [put_run(seed) for seed in (4, 2)]
    look = LOOK if split == "confirm" else None
    evidence, part = gather(store, ids, split, look=look), getattr(splits, split)
    assert (evidence.split, evidence.seeds, evidence.class_names) == (split, [4, 2], ("0", "1", "2"))
    assert evidence.probabilities.shape == (2, len(part.y), 3)
    for index, run_id in enumerate(ids):
        stored = store.get_predictions(run_id, split, look=look).probabilities
        assert np.array_equal(evidence.probabilities[index], stored)
        assert np.array_equal(evidence.predicted[index], stored.argmax(axis=1))
    assert np.array_equal(evidence.images, part.x)
    assert np.array_equal(evidence.labels, part.y)
    assert np.array_equal(evidence.ids, part.ids)


def test_the_split_is_cut_as_the_runs_cut_it(store: Store, put_run: Callable[..., str]) -> None:
    """The images are those of a split with a mine fraction of 0.2 instead of 0.1."""
    assert len(gather(store, [put_run(0)], "mine").labels) == 30


def test_predictions_of_other_images_are_refused(store: Store, put_run: Callable[..., str]) -> None:
    """Predictions in another order of the images are refused; the fix removes the run."""
    good = put_run(0)
    strange = put_run(1, order=np.arange(30)[::-1])
    with pytest.raises(
        ErroranError, match=f"Run {strange} has no predictions for the images of `mine` in 3 classes"
    ) as caught:
        gather(store, [good, strange], "mine")
    assert f"erroran runs remove {strange}" in caught.value.fix
    assert len(gather(store, [good, strange], "confirm", look=LOOK).runs) == 2


def test_predictions_of_other_classes_are_refused(store: Store, put_run: Callable[..., str]) -> None:
    """Five columns of probabilities for three classes are refused."""
    run = put_run(0)
    path = store.run_folder(run) / "mine.npz"
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "probabilities": np.full((30, 5), 0.2, dtype=np.float32)})
    with pytest.raises(ErroranError, match=f"Run {run} has no predictions for the images of `mine` in 3 classes"):
        gather(store, [run], "mine")


def test_a_dataset_is_read_and_split_once(
    store: Store, put_run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset is read once for all arms and splits."""
    done = []

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            done.append(function.__name__)
            return function(*arguments, **options)

        return call

    for function in (artifacts.read_dataset, artifacts.split_dataset):
        monkeypatch.setattr(artifacts, function.__name__, counted(function))
    ids, fresh = [put_run(0), put_run(1)], Store(store.root)
    for split, look in (("mine", None), ("confirm", LOOK), ("mine", None)):
        gather(fresh, ids, split, look=look)
    assert done == ["read_dataset", "split_dataset"]


def test_workers_share_one_store_per_process(store: Store, put_run: Callable[..., str]) -> None:
    """A store that is sent to a worker once per run reads its dataset once."""
    put_run(0)
    first, second = (pickle.loads(pickle.dumps(store)) for _ in range(2))
    assert first is second
    assert first.root == store.root
    assert first.get_dataset(first.list_runs()[0].spec.dataset) is second.get_dataset(first.list_runs()[0].spec.dataset)


def test_a_missing_run_is_refused(store: Store, put_run: Callable[..., str]) -> None:
    """A run of the group may have been removed meanwhile."""
    put_run(0)
    with pytest.raises(NotFound, match="Run zz is needed"):
        gather(store, ["zz"], "mine")


@pytest.mark.parametrize(("seeds", "folds", "used"), [([], 0, [0, 1]), ([1], 3, [1]), ([0, 1], 2, [0, 1])])
def test_out_of_fold_is_preferred(
    store: Store,
    tiny_dataset: Dataset,
    put_run: Callable[..., str],
    make_spec: Callable[..., RunSpec],
    make_record: Callable[..., RunRecord],
    seeds: list[int],
    folds: int,
    used: list[int],
) -> None:
    """With all folds of a seed, the evidence has each training image once; else it is `mine`."""
    for seed in (0, 1):
        put_run(seed)
    template = make_spec(dataset=tiny_dataset.digest, mine_fraction=0.2)
    group = Group(
        template=template, seeds=(0, 1), dataset_name="tiny", note=None, updated="2026", command="erroran baseline"
    )
    put_fold = _fold_putter(store, tiny_dataset, group, make_record)
    put_fold(0, 0, 4)  # a mining that broke off
    for seed in seeds:
        for k in range(folds):
            put_fold(seed, k, folds)
    evidence = gather_most(store, group)
    assert (evidence.split, evidence.seeds) == ("train" if folds else "mine", used)
    images = tiny_dataset.train_ids if folds else split_dataset(tiny_dataset, mine_fraction=0.2).mine.ids
    assert sorted(evidence.ids) == sorted(images)
    assert evidence.probabilities.shape == (len(used), len(images), 3)


def _fold_putter(
    store: Store, dataset: Dataset, group: Group, make_record: Callable[..., RunRecord]
) -> Callable[[int, int, int], None]:
    def put(seed: int, k: int, folds: int) -> None:
        parts, predictions = split_dataset(dataset, fold=(k, folds)), {}
        for name, part in (("mine", parts.mine), ("confirm", parts.confirm)):
            uniform = np.full((len(part.y), 3), 1 / 3, dtype=np.float32)
            predictions[name] = Predictions(probabilities=uniform, labels=part.y, ids=part.ids)
        store.put_run(make_record(group.run_spec(seed, fold=(k, folds))), predictions, {})

    return put


# --- images that judge


Put = Callable[..., list[str]]


@pytest.fixture
def put_seed(
    store: Store,
    tiny_dataset: Dataset,
    make_spec: Callable[..., RunSpec],
    make_record: Callable[..., RunRecord],
) -> Put:
    """Store the runs of a seed, one per fold, with drawn probabilities; `ids` may replace the ids of fold 0."""
    store.put_dataset(tiny_dataset)

    def put(seed: int, judging: Judging, *, ids: Callable[[np.ndarray], np.ndarray] = lambda ids: ids) -> list[str]:
        spec = make_spec(dataset=tiny_dataset.digest, mine_fraction=0.2, seed=seed)
        found = []
        for k, run in enumerate(judging.expand(spec)):
            splits = split_dataset(tiny_dataset, mine_fraction=0.2, fold=run.fold)
            rng, predictions = np.random.default_rng([seed, k]), {}
            for name, part in (("mine", splits.mine), ("confirm", splits.confirm)):
                drawn = rng.dirichlet(np.ones(3), len(part.y)).astype(np.float32)
                named = ids(part.ids) if (name, k) == ("mine", 0) else part.ids
                predictions[name] = Predictions(probabilities=drawn, labels=part.y, ids=named)
            record = make_record(run)
            store.put_run(record, predictions, {})
            found.append(record.id)
        return found

    return put


OUT_OF_FOLD = LOOK.model_copy(update={"population": "train"})


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_each_image_is_judged_by_the_run_that_has_not_seen_it(
    store: Store, splits: Splits, put_seed: Put, folds: int
) -> None:
    """All training images but those of `mine`, each once per seed, by the run whose training part lacks it."""
    judging = Judging(folds)
    ids = [run_id for seed in (4, 2) for run_id in put_seed(seed, judging)]
    judged = gather_judged(store, ids, judging, look=OUT_OF_FOLD)
    assert np.array_equal(judged.ids, splits.train.ids)
    assert np.array_equal(judged.images, splits.train.x)
    assert np.array_equal(judged.labels, splits.train.y)
    assert (judged.seeds, judged.run_ids) == ([4, 2], [tuple(ids[:folds]), tuple(ids[folds:])])
    assert judged.population == "120 training images, each judged by models that had not seen it"
    for seed in (0, 1):
        for k in range(folds):
            run = store.get_run(ids[seed * folds + k])
            stored = store.get_predictions(run.id, "mine")
            by_id = dict(zip(stored.ids.tolist(), stored.probabilities.argmax(axis=1).tolist(), strict=True))
            rows = np.flatnonzero(judged.fold == k)
            assert set(judged.ids[rows]) == set(by_id) - set(splits.mine.ids)
            assert not set(judged.ids[rows]) & set(store.get_splits(run.spec).train.ids)
            assert judged.predicted[seed, rows].tolist() == [by_id[name] for name in judged.ids[rows]]


def test_images_of_mine_are_read_apart(store: Store, splits: Splits, put_seed: Put) -> None:
    """Out of fold too: those of `mine` choose the bias of a control, and are none of the judged ones."""
    judging = Judging(3)
    ids = [run_id for seed in (4, 2) for run_id in put_seed(seed, judging)]
    labels, probabilities = gather_mined(store, ids, judging)
    assert np.array_equal(labels, splits.mine.y)
    assert (probabilities.shape, probabilities.dtype) == ((2, 30, 3), np.float32)
    stored = store.get_predictions(ids[4], "mine")
    shared = np.isin(splits.mine.ids, stored.ids)
    order = [stored.ids.tolist().index(name) for name in splits.mine.ids[shared]]
    assert np.array_equal(probabilities[1, shared], stored.probabilities[order])
    assert store.ledger.entries() == []


def test_confirm_is_judged_as_before(store: Store, splits: Splits, put_seed: Put) -> None:
    """One run per seed, all images of `confirm`; `classify` decides the class."""
    ids = [put_seed(seed, CONFIRM)[0] for seed in (4, 2)]
    judged = gather_judged(store, ids, CONFIRM, look=LOOK)
    assert np.array_equal(judged.predicted, gather(store, ids, "confirm", look=LOOK).predicted)
    assert (judged.population, judged.fold.max()) == ("the 45 images of `confirm`", 0)
    least = gather_judged(store, ids, CONFIRM, look=LOOK, classify=lambda found: found.argmin(axis=1))
    assert (least.predicted != judged.predicted).all()


def test_a_look_out_of_fold_is_recorded_and_reads_nothing_on_confirm(store: Store, put_seed: Put) -> None:
    """The entry is written first, also if the reading fails; the files of `confirm` may be absent."""
    ids = put_seed(1, Judging(2))
    for run_id in ids:
        (store.run_folder(run_id) / "confirm.npz").unlink()
    gather_judged(store, ids, Judging(2), look=OUT_OF_FOLD)
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.population) == ("look", "train")
    (store.run_folder(ids[0]) / "mine.npz").unlink()
    with pytest.raises(ErroranError):
        gather_judged(store, ids, Judging(2), look=OUT_OF_FOLD.model_copy(update={"name": "other"}))
    assert len(store.ledger.entries()) == 2


WRONG_RUNS: dict[str, Callable[[Put], list[str]]] = {
    "in another order": lambda put: put(1, Judging(3))[::-1],
    "of other folds": lambda put: [*put(1, Judging(3))[:2], put(1, Judging(2))[1]],
    "one fold twice": lambda put: [(ids := put(1, Judging(3)))[0], ids[1], ids[1]],
    "not divided into folds": lambda put: [put(seed, CONFIRM)[0] for seed in (1, 2, 3)],
    "a fold missing": lambda put: put(1, Judging(3))[:2],
    "ids of other images": lambda put: put(1, Judging(3), ids=lambda ids: np.char.add(ids, "~7")),
    "ids in another order than labels": lambda put: put(1, Judging(3), ids=lambda ids: ids[::-1]),
}


@pytest.mark.parametrize("kind", WRONG_RUNS)
def test_runs_that_do_not_cover_the_images_are_refused(store: Store, put_seed: Put, kind: str) -> None:
    """No image is left out, predicted twice, or predicted by a run that has trained on it."""
    with pytest.raises(ErroranError, match="has no predictions for the images of `mine` in 3 classes"):
        gather_judged(store, WRONG_RUNS[kind](put_seed), Judging(3), look=OUT_OF_FOLD)
