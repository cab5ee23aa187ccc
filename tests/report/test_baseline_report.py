"""The baseline report with many runs or many classes: no figure grows with them."""

import re
from pathlib import Path

import pytest
from stages.test_report import made_up_dataset, put_group

from erroran.data import build_dataset
from erroran.report.baseline import write_baseline
from erroran.report.confusions import write_confusions
from erroran.stages.baseline import BaselineResult, summarise
from erroran.stages.mine_confusions import rank_confusions
from erroran.store import Store
from erroran.store.records import Group


def _group(store: Store, *, runs: int, classes: int) -> Group:
    dataset = made_up_dataset(per_class=4, n_classes=classes)
    return put_group(store, dataset, [{(0, 1): [0, 1], (2, 1): [0]}] * runs, [{}] * runs)


def _written(result: BaselineResult, folder: Path) -> tuple[str, set[str]]:
    text = write_baseline(result, folder).read_text(encoding="utf-8")
    return text, {path.name for path in (folder / "baseline").glob("*.png")}


def test_each_run_has_its_matrix(store: Store, tmp_path: Path) -> None:
    """With precision and recall of each class on `mine`."""
    text, pictures = _written(summarise(store, _group(store, runs=2, classes=12)), tmp_path)
    assert pictures == {"training-curves.png", "confusion-matrices.png"}
    assert len(re.findall(r"^\| \d+ \| 2 \|", text, flags=re.MULTILINE)) == 12


@pytest.mark.parametrize(("runs", "classes"), [(11, 3), (2, 31), (1, 1000)])
def test_many_runs_or_classes_are_listed_instead(store: Store, tmp_path: Path, runs: int, classes: int) -> None:
    """The pairs with most errors, no matrix; a thousand classes take neither a figure nor a row each."""
    result = summarise(store, _group(store, runs=runs, classes=classes))
    text, pictures = _written(result, tmp_path)
    assert pictures == {"training-curves.png"}
    assert "| 0:1 | 2.0 |\n| 2:1 | 1.0 |" in text
    assert len(text.splitlines()) < 60
    assert len(result.to_json()["classes"]) == classes


def test_a_thousand_classes_can_be_mined(store: Store, tmp_path: Path) -> None:
    """The matrix shows those with most errors only."""
    from PIL import Image

    write_confusions(rank_confusions(store, _group(store, runs=2, classes=1000)), tmp_path, top=3)
    with Image.open(tmp_path / "confusions" / "heatmap.png") as picture:
        assert max(picture.size) < 2000


def test_the_summary_keeps_its_keys(store: Store) -> None:
    """Those that scripts read, and where the scores by class come from."""
    content = summarise(store, _group(store, runs=2, classes=3)).to_json()
    assert set(content) == {
        "group", "dataset", "dataset_digest", "note", "model", "recipe", "precision", "mine_fraction",
        "accuracy_confirm", "accuracy_mine", "runs", "classes", "classes_on", "command", "versions", "commit",
        "machine",
    }  # fmt: skip
    assert set(content["accuracy_mine"]) == {"mean", "sd", "values"}
    first = content["classes"][0]
    assert (content["classes_on"], first["class"], first["support"], first["recall"]["values"]) == (
        "mine",
        "0",
        2,
        [0, 0],
    )


def test_class_names_are_shown_literally(store: Store, tmp_path: Path) -> None:
    """No name becomes markup, a table cell or a path."""
    arrays = {key: getattr(made_up_dataset(), key) for key in ("x_train", "y_train", "x_test", "y_test")}
    dataset = build_dataset("names", "made here", **arrays, class_names=("<b>0", "a|b", "[x](../y)"))
    group = put_group(store, dataset, [{(0, 1): [0, 1], (2, 1): [0]}] * 2, [{}] * 2)
    text = write_confusions(rank_confusions(store, group), tmp_path, top=3).read_text(encoding="utf-8")
    text += write_baseline(summarise(store, group), tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<b>|(?<!\\)\[x\]\(|a\|b", text)
    assert all(re.fullmatch(r"[\w-]+", path.stem) for path in (tmp_path / "confusions").iterdir())
