"""Comparing baseline groups: which are taken, which are refused, and what is said about them."""

import json
from pathlib import Path

import pytest
from stages.test_report import MINED, NONE, made_up_dataset, put_group
from typer.testing import CliRunner

from erroran.cli.app import app
from erroran.errors import BadInput, NotFound
from erroran.report.across_models import across_sentence, write_across
from erroran.report.text import md
from erroran.stages.across_models import compare_groups
from erroran.store import Store

OTHER = [{(0, 1): [0, 1], (2, 1): [3]}, {(0, 1): [0], (2, 1): [3]}, {(0, 1): [0], (2, 1): [3]}]


def put_two(store: Store) -> tuple[str, str]:
    """Two models: image 0 of class 0 is read as 1 by both, image 1 by most runs of `cnn` alone."""
    dataset = made_up_dataset()
    first = put_group(store, dataset, MINED, NONE, updated="2026-01-01")
    second = put_group(store, dataset, OTHER, NONE, model="dense", updated="2026-01-02")
    return first.id, second.id


def test_two_models_by_hand(store: Store) -> None:
    """Errors per run, images in common, systematic images."""
    put_two(store)
    across = compare_groups(store)
    assert [(m.name, m.errors, m.systematic_images) for m in across.models] == [
        ("cnn", (2, 2, 4), 2),
        ("dense", (3, 2, 2), 2),
    ]
    (image,) = across.misread_by_every_model
    assert (image.label, image.read_as, image.runs) == ("0", "1", 6)
    pairs = {str(pair.pair): pair for pair in across.pairs}
    assert pairs["0:1"].mean_errors == pytest.approx((7 / 3, 4 / 3))
    assert pairs["0:1"].images_everywhere == 1
    assert (pairs["2:1"].mean_errors, pairs["2:1"].in_every_run) == ((0, 1), (False, True))
    assert across_sentence(across).startswith(
        "1 image is misread in the same way by both models: 50 % of the systematic errors of each; "
    )


def test_the_latest_group_of_each_model(store: Store) -> None:
    """Older groups and groups on other images are left aside, and named."""
    put_two(store)
    dataset = made_up_dataset()
    again = put_group(store, dataset, NONE, NONE, precision="mixed_bfloat16", updated="2026-01-03")
    put_group(store, dataset, NONE, NONE, mine_fraction=0.25, updated="2025-01-01")
    put_group(store, made_up_dataset(per_class=22), NONE, NONE, model="dense", updated="2025-01-01")
    across = compare_groups(store)
    assert [(m.name, m.group == again.id) for m in across.models] == [("dense", False), ("cnn", True)]
    assert len(across.skipped) == 3
    assert sum("other images" in left for left in across.skipped) == 2
    assert sum(f"older than {again.id}" in left for left in across.skipped) == 1


def test_named_groups_of_one_model(store: Store) -> None:
    """Two recipes of one model can be compared; the names tell them apart."""
    dataset = made_up_dataset()
    first = put_group(store, dataset, MINED, NONE)
    fast = first.template.recipe.model_copy(update={"name": "fast", "epochs": 1})
    second = put_group(store, dataset, MINED, NONE, recipe=fast)
    third = put_group(store, dataset, MINED, NONE, precision="mixed_bfloat16")
    across = compare_groups(store, [third.id, first.id, second.id[:6]])
    assert [model.name for model in across.models] == [
        f"cnn standard {third.id[:4]}",
        f"cnn standard {first.id[:4]}",
        "cnn fast",
    ]


def test_refusals(store: Store) -> None:
    """No baseline, one model, a group twice, other images."""
    with pytest.raises(NotFound, match="no baseline"):
        compare_groups(store)
    first, _ = put_two(store)
    dataset = made_up_dataset()
    fraction = put_group(store, dataset, NONE, NONE, mine_fraction=0.25)
    other = put_group(store, made_up_dataset(per_class=22), NONE, NONE)
    for ids, message in (
        ([first], "only one model to compare"),
        ([first, first[:8]], "names a group twice"),
        ([first, fraction.id], "different `mine` images: another --mine-fraction"),
        ([first, other.id], "different `mine` images: another dataset"),
    ):
        with pytest.raises(BadInput, match=message):
            compare_groups(store, ids)


def test_report_and_json(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding first; pictures where there is something to see; JSON as strict as everywhere."""
    put_two(store)
    across = compare_groups(store)
    text = write_across(across, tmp_path).read_text()
    assert text.splitlines()[2] == md(across_sentence(across))
    assert (tmp_path / "across-models" / "pairs.png").is_file()
    assert (tmp_path / "across-models" / "everywhere.png").is_file()
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, ["across-models", "--store", str(store.root), "--json"])
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert [model["model"] for model in found["models"]] == ["cnn", "dense"]
    (image,) = found["misread_by_every_model"]
    assert image == {**image, "label": "0", "read_as": "1", "runs": 6, "suspected_mislabel": False}
    assert set(found) == {"dataset", "note", "images", "models", "skipped", "pairs", "misread_by_every_model"}
    assert set(found["models"][0]) == {
        "name", "group", "model", "recipe", "seeds", "accuracies", "errors", "systematic_images",
    }  # fmt: skip
    assert (found["pairs"][0]["pair"], found["pairs"][0]["owner"]) == ("0:1", None)


def test_models_without_errors(store: Store, tmp_path: Path) -> None:
    """Nothing to compare is said, not a crash."""
    dataset = made_up_dataset()
    put_group(store, dataset, NONE, NONE)
    put_group(store, dataset, NONE, NONE, model="dense")
    across = compare_groups(store)
    text = write_across(across, tmp_path).read_text()
    assert "\n\nNo image is misread in the same way by both models; no pair stands out in both models" in text
    assert not (tmp_path / "across-models" / "pairs.png").exists()
