"""Study specs: strict, and checked before training; the shipped ones match their description."""

from pathlib import Path

import pytest

from erroran.errors import NotFound, SpecError
from erroran.experiment.hypothesis import read_hypothesis, shipped_folder
from erroran.experiment.recipe import RECIPES
from erroran.experiment.study import StudyModel, find_study, read_study

TWO = """
title = "Two"
[[models]]
model = "cnn"
[[models]]
model = "dense-baseline"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_defaults(tmp_path: Path) -> None:
    """Three seeds of the standard recipe in float32, a tenth held out."""
    study = read_study(_write(tmp_path, TWO))
    assert [entry.model for entry in study.models] == ["cnn", "dense-baseline"]
    assert (study.seeds, study.recipe, study.precision, study.mine_fraction) == (3, "standard", "auto", 0.1)
    assert study.models[0].training(study.recipe) == RECIPES["standard"]


def test_a_model_changes_its_recipe_and_the_augmentation_in_it() -> None:
    """Single fields are replaced; the other amounts of the augmentation stay."""
    recipe = StudyModel(model="cnn", recipe="plateau", epochs=7, rotation_deg=25).training("standard")
    assert (recipe.epochs, recipe.early_stopping, recipe.reduce_on_plateau) == (7, 10, 3)
    assert recipe.in_model is not None
    assert recipe.in_model.model_dump() == {"rotation_deg": 25, "zoom_percent": 10, "translation_percent": 10}
    plain = StudyModel(model="cnn", zoom_percent=5).training("fast")
    assert plain.in_model is not None
    assert (plain.epochs, plain.in_model.zoom_percent, plain.in_model.rotation_deg) == (4, 5, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"', "lacks the key `models`"),
        ('title = "x"\nmodels = []', "wrong value at `models`"),
        (TWO + "epoch = 3", r"unknown key `models.1.epoch` \(did you mean `epochs`\?\)"),
        ("seed = 3\n" + TWO, r"unknown key `seed` \(did you mean `seeds`\?\)"),
        (TWO + '[[models]]\nmodel = "cnn"', "a model is listed twice"),
        (TWO + '[[claims]]\ntext = "t"\nbetter = "cnn"\nworse = "vgg"', "is about `vgg`, which is not among"),
        (TWO + '[[claims]]\ntext = "t"\nbeter = "cnn"\nworse = "cnn"', r"`claims.0.beter` \(did you mean `better`"),
        (TWO + 'recipe = "slow"', "wrong value at `models.1.recipe`"),
        (TWO + 'schedule = "cosine"\nreduce_on_plateau = 2', "needs schedule constant"),
        (TWO + "epochs = 0", "greater than or equal to 1"),
        ("title = ", "not valid TOML"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    """Before anything is trained, with the nearest known key."""
    with pytest.raises(SpecError, match=message):
        read_study(_write(tmp_path, text))


def test_a_spec_of_the_other_kind_names_its_command(tmp_path: Path) -> None:
    """A study given to `intervene`, a hypothesis given to `study`."""
    with pytest.raises(SpecError, match="another kind: it has `models`") as caught:
        read_hypothesis(_write(tmp_path, TWO))
    assert caught.value.fix == "erroran study mine"
    with pytest.raises(SpecError, match="another kind: it has `pair`") as caught:
        read_study(shipped_folder() / "4to9.toml")
    assert caught.value.fix == "erroran intervene 4to9"


def test_a_study_is_found_by_name_or_path(tmp_path: Path) -> None:
    """The first folder wins; an unknown name is answered with a known one."""
    path = _write(tmp_path, TWO)
    assert find_study("mine", [tmp_path, shipped_folder()]) == find_study(str(path), [shipped_folder()]) == path
    with pytest.raises(NotFound, match="cnn-study, dense-study, enhanced-study") as caught:
        find_study("dense", [tmp_path, shipped_folder()])
    assert caught.value.fix == "erroran study dense-study"
    with pytest.raises(NotFound, match="no study file"):
        find_study("nowhere.toml", [tmp_path])


def test_the_shipped_studies() -> None:
    """The dense networks with their reported figures, and every convolutional one with the reference."""
    dense, cnn = (read_study(shipped_folder() / f"{name}-study.toml") for name in ("dense", "cnn"))
    assert {entry.model: entry.reported for entry in dense.models} == {
        "dense-baseline": 0.9731, "dense-deeper": 0.9686, "dense-dropout": 0.9811, "dense-tuned": 0.9812,
    }  # fmt: skip
    assert {entry.training(dense.recipe).epochs for entry in dense.models} == {10}
    assert [entry.model for entry in cnn.models] == ["cnn", "cnn-small", "cnn-deep", "cnn-enhanced", "resnet"]
    assert min(dense.seeds, cnn.seeds) >= 3
    augmented = {entry.model for entry in cnn.models if entry.training(cnn.recipe).in_model}
    assert augmented == {"cnn-deep", "cnn-enhanced", "resnet"}
