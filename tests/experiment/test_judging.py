"""The images that judge a hypothesis: how they are named, and the runs that one seed of an arm needs."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from erroran.errors import BadInput
from erroran.experiment.hypothesis import Hypothesis
from erroran.experiment.judging import CONFIRM, Judging
from erroran.experiment.runspec import RunSpec

SPEC = {"pair": "4:9", "hypothesis": "h", "augment": {"4": {"operation": "dilate", "radius_px": 1}}}


@pytest.mark.parametrize(("text", "folds"), [("confirm", None), ("out-of-fold=2", 2), ("out-of-fold=20", 20)])
def test_text_and_back(text: str, folds: int | None) -> None:
    """What is read is written the same."""
    assert Judging.parse(text) == Judging(folds)
    assert str(Judging.parse(text)) == text
    assert Judging.parse(Judging(folds)) == Judging(folds)


OTHERS = ["mine", "", "out-of-fold", "out-of-fold=", "out-of-fold=1", "out-of-fold=21", "out-of-fold=-5",
          "out-of-fold=5.0", "out-of-fold=٥", "Confirm", 5, None]  # fmt: skip


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_refused(text: object) -> None:
    """The message repeats the text; the fix shows both forms."""
    with pytest.raises(BadInput, match="names no images to judge on") as caught:
        Judging.parse(text)
    assert caught.value.fix == "write confirm, or out-of-fold=K with K from 2 to 20, as in out-of-fold=5"


def test_one_run_per_fold(make_spec: Callable[..., RunSpec]) -> None:
    """On `confirm` one seed is the run itself; out of fold it is one run per fold, which differ in nothing else."""
    spec = make_spec(seed=1000)
    assert CONFIRM.expand(spec) == [spec]
    runs = Judging(3).expand(spec)
    assert [run.fold for run in runs] == [(0, 3), (1, 3), (2, 3)]
    assert {run.model_copy(update={"fold": None}).id for run in runs} == {spec.id}
    assert len({run.id for run in runs}) == Judging(3).runs_per_seed == 3


@pytest.mark.parametrize(("folds", "mine", "time"), [(None, 0.1, 1), (5, 0.1, 4 / 0.9), (2, 0.5, 2), (10, 0.1, 10)])
def test_time_of_a_seed(folds: int | None, mine: float, time: float) -> None:
    """K runs on (K - 1) / K of the data each, against one on the data without `mine`."""
    assert Judging(folds).relative_time(mine) == pytest.approx(time)


def test_the_spec_names_it_and_the_default_leaves_the_hash_alone() -> None:
    """Hashes of specs without the key, and of those that name the default, stay as they were."""
    plain = Hypothesis.model_validate(SPEC)
    assert plain.judge == CONFIRM
    assert Hypothesis.model_validate({**SPEC, "judge": "confirm"}).hash == plain.hash
    five, ten = (Hypothesis.model_validate({**SPEC, "judge": f"out-of-fold={k}"}) for k in (5, 10))
    assert len({plain.hash, five.hash, ten.hash}) == 3
    assert Hypothesis.model_validate_json(five.model_dump_json()) == five
    with pytest.raises(ValidationError, match="names no images to judge on; write confirm, or out-of-fold=K"):
        Hypothesis.model_validate({**SPEC, "judge": "train"})


def test_the_population_in_words() -> None:
    """The same population for any number of folds."""
    assert (CONFIRM.population, Judging(5).population, Judging(10).population) == ("confirm", "train", "train")
    assert CONFIRM.describe(10_000) == "the 10,000 images of `confirm`"
    assert Judging(5).describe(54_000) == "54,000 training images, each judged by models that had not seen it"
