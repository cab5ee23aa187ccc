"""Mining of made-up predictions, counted by hand, and of trained out-of-fold runs."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from stages.test_report import BEFORE, made_up_dataset, put_group

from erroran.data import Dataset, split_dataset
from erroran.errors import BadInput, NotFound
from erroran.experiment.recipe import Recipe
from erroran.report.confusions import write_confusions
from erroran.stages.baseline import train_baseline
from erroran.stages.mine_confusions import MiningResult, Mislabel, rank_confusions, rank_out_of_fold
from erroran.store import Store
from erroran.store.evidence import gather
from erroran.store.records import Group

MINED = [{(0, 1): [0, 1], (2, 0): [3]}, {(0, 1): [0, 1, 5]}, {(0, 1): [1], (1, 0): [2], (2, 0): [3]}]


@pytest.fixture
def group(store: Store) -> Group:
    return put_group(store, made_up_dataset(), MINED, BEFORE)


def test_counts_by_hand(store: Store, group: Group) -> None:
    """Errors, runs with them, images by number of runs, systematic images, the reverse, the rate."""
    mined = rank_confusions(store, group)
    found = {pair.found.pair: pair.found for pair in mined.pairs}
    assert set(found) == {(0, 1), (1, 0), (2, 0)}
    four = found[0, 1]
    assert (list(four.errors_per_seed), four.seeds_with_it) == ([2, 3, 1], 3)
    assert list(four.images_by_runs) == [7, 1, 1, 1]  # image 5 in one run, 0 in two, 1 in all three
    assert four.n_systematic == 2  # more than half of three runs
    assert list(four.reverse_per_seed) == [0, 0, 1]
    assert four.rate == pytest.approx(6 / 30)
    assert four.rate_low < 6 / 30 < four.rate_high


def test_ranked_by_systematic_errors(store: Store, group: Group) -> None:
    """Two systematic images before one before none."""
    assert [pair.found.pair for pair in rank_confusions(store, group).pairs] == [(0, 1), (2, 0), (1, 0)]


def test_images_of_a_pair(store: Store, group: Group) -> None:
    """Those that most runs get wrong come first."""
    mined = rank_confusions(store, group)
    places = np.flatnonzero(mined.evidence.labels == 0)[[1, 0, 5]]
    assert mined.pairs[0].rows.tolist() == places.tolist()
    assert mined.pairs[0].image_ids == mined.evidence.ids[places].tolist()


def test_json_names_pairs_and_images(store: Store, group: Group) -> None:
    """The keys that scripts read; pairs as they are typed; `first` cuts the list."""
    content = rank_confusions(store, group).first(2).to_json()
    assert set(content) == {
        "group", "dataset", "note", "split", "exploratory", "seeds", "images", "pairs", "wrong_images",
        "suspected_mislabels",
    }  # fmt: skip
    assert [pair["pair"] for pair in content["pairs"]] == ["0:1", "2:0"]
    assert set(content["pairs"][0]) == {
        "pair", "errors_per_seed", "mean_errors", "seeds_with_it", "images_by_runs", "systematic_images",
        "suspected_mislabels",
        "reverse_per_seed", "asymmetry_p", "rate", "rate_interval", "partial_conjunction_p",
        "partial_conjunction_q", "image_ids",
    }  # fmt: skip
    assert len(content["pairs"][0]["image_ids"]) == 3
    assert set(content["wrong_images"][0]) == {"id", "label", "read_as", "kind", "runs_wrong"}
    assert (content["split"], content["exploratory"], content["images"]) == ("mine", False, 30)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_suspected_mislabels_are_written_for_a_spec_to_leave_out(store: Store, group: Group, tmp_path: Path) -> None:
    """One row per suspect with its id, label and the class that it looks like; the header alone without suspects."""
    mined = rank_confusions(store, group)
    assert [(s.label, s.looks_like) for s in mined.suspected_mislabels] == [
        (i.label, i.looks_like) for i in mined.wrong_images if i.kind == "suspected mislabel"
    ]
    suspect = Mislabel(id="ab" * 8, label="0", looks_like="1,5", self_confidence=0.1)
    write_confusions(mined.model_copy(update={"suspected_mislabels": [suspect]}), tmp_path, top=3)
    file = tmp_path / "confusions" / "suspected-mislabels.csv"
    assert list(csv.reader(file.read_text().splitlines())) == [
        ["sample_id", "label", "looks_like"],
        ["ab" * 8, "0", "1,5"],
    ]
    write_confusions(mined.model_copy(update={"suspected_mislabels": []}), tmp_path, top=3)
    assert file.read_text() == "sample_id,label,looks_like\n"


@pytest.mark.parametrize(
    ("q_value", "title"), [(0.05, "# Most consistent confusion"), (0.06, "# Confusions on `mine`: 0")]
)
def test_the_title_follows_the_test(store: Store, group: Group, tmp_path: Path, q_value: float, title: str) -> None:
    """A pair is called consistent only if the partial-conjunction test says so."""
    mined = rank_confusions(store, group)
    first = mined.pairs[0].model_copy(update={"partial_conjunction_q": q_value})
    text = write_confusions(mined.model_copy(update={"pairs": [first]}), tmp_path, top=1).read_text()
    assert text.startswith(title)
    assert ("not shown to be consistent" in text.splitlines()[0]) == (q_value > 0.05)


def test_mining_on_mine_leaves_no_trace(store: Store, group: Group) -> None:
    """Only looks at `confirm` are entered in the ledger."""
    rank_confusions(store, group)
    assert store.ledger.entries() == []


def test_mining_on_confirm_is_entered_once(store: Store, group: Group) -> None:
    """A look at `confirm` goes to the ledger; the same look again is no second one."""
    assert rank_confusions(store, group, split="confirm").exploratory
    rank_confusions(store, group, split="confirm")
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.dataset, entry.seeds) == ("mined-on-confirm", group.template.dataset, (0, 1, 2))
    assert entry.time


def test_mining_uses_exactly_the_seeds_of_the_group(store: Store, group: Group) -> None:
    """A run of the same group that the last `baseline` did not ask for is left out."""
    assert rank_confusions(store, group.model_copy(update={"seeds": (2,)})).evidence.seeds == [2]


def test_a_run_that_is_gone(store: Store, group: Group) -> None:
    """Mining does not go on with fewer runs than it says."""
    store.remove_run(group.run_spec(1).id)
    with pytest.raises(NotFound):
        rank_confusions(store, group)


FOLDS = 2


@pytest.fixture(scope="module")
def out_of_fold(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Group, MiningResult, list[str]]:
    """Two really trained folds of one really trained seed."""
    store = Store(tmp_path_factory.mktemp("folds") / "store")
    recipe = Recipe(name="standard", epochs=1, batch_size=32, learning_rate=5e-3, schedule="constant")
    group, _ = train_baseline(store, tiny_dataset, recipe=recipe, seeds=[0], model="dense-baseline")
    mined, completed = rank_out_of_fold(store, group, FOLDS)
    return store, group, mined, completed.trained


def test_out_of_fold_covers_each_training_image_once(
    out_of_fold: tuple[Store, Group, MiningResult, list[str]], tiny_dataset: Dataset
) -> None:
    """The evidence is the whole training data, with its own labels."""
    mined = out_of_fold[2]
    assert sorted(mined.evidence.ids.tolist()) == sorted(tiny_dataset.train_ids.tolist())
    labels = dict(zip(tiny_dataset.train_ids.tolist(), tiny_dataset.y_train.tolist(), strict=True))
    assert [labels[i] for i in mined.evidence.ids.tolist()] == mined.evidence.labels.tolist()
    assert mined.evidence.probabilities.shape == (1, 150, 3)


def test_no_image_is_predicted_by_a_model_that_trained_on_it(
    out_of_fold: tuple[Store, Group, MiningResult, list[str]], tiny_dataset: Dataset
) -> None:
    """A fold's stored predictions on `mine` share no image with what the fold trains on."""
    store, group, mined, _ = out_of_fold
    for k in range(FOLDS):
        spec = group.run_spec(0, fold=(k, FOLDS))
        held_out = store.get_predictions(spec.id, "mine")
        trained_on = split_dataset(tiny_dataset, fold=spec.fold).train
        assert not set(held_out.ids.tolist()) & set(trained_on.ids.tolist())
        at = {name: row for row, name in enumerate(mined.evidence.ids.tolist())}
        rows = [at[name] for name in held_out.ids.tolist()]
        np.testing.assert_array_equal(mined.evidence.probabilities[0, rows], held_out.probabilities)


def test_out_of_fold_again_trains_nothing(out_of_fold: tuple[Store, Group, MiningResult, list[str]]) -> None:
    """The fold runs are in the store, under their own arm; the baseline's own run is untouched."""
    store, group, first, trained = out_of_fold
    again, completed = rank_out_of_fold(store, group, FOLDS)
    assert (len(trained), completed.trained) == (FOLDS, [])
    np.testing.assert_array_equal(first.evidence.probabilities, again.evidence.probabilities)
    assert {store.get_run(run).arm for run in trained} == {"out-of-fold"}
    assert gather(store, [group.run_spec(0).id], "mine").split == "mine"


def test_too_many_folds_cost_no_training(tmp_path: Path, store: Store, group: Group) -> None:
    """Twenty images a class cannot make 21 folds."""
    before = len(store.list_runs())
    with pytest.raises(BadInput, match="smallest class has 20"):
        rank_out_of_fold(store, group, 21)
    assert len(store.list_runs()) == before
