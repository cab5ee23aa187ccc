"""Specs by name, names that are refused, and pairs of any class names."""

import re
from pathlib import Path

import pytest

from erroran import report
from erroran.cli import specs
from erroran.cli.specs import check_name, find_or_offer, next_command, read_pair, spec_for_pair, write_proposed
from erroran.errors import BadInput, NotFound
from erroran.experiment.hypothesis import read_hypothesis
from erroran.experiment.pair import Pair

AWKWARD = ["tomato", "é", "c+", "a:b", 'say "x"', "[/b]", "two\nlines", "to", "4"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_document_has_a_reserved_name() -> None:
    """The names are read from the code of the reports: no hypothesis can overwrite a document."""
    written, endings = set(), set()
    for path in Path(report.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        written |= set(re.findall(r'write_document\(\s*\w+,\s*"([\w-]+)"', text))
        written |= set(re.findall(r'folder / "([\w-]+)\.md"', text))
        endings |= set(re.findall(r'f"\{[\w.]+\}(-[a-z]+)"', text))
    assert len(written) > 6
    assert {name.lower() for name in written} <= set(specs.REPORT_NAMES)
    assert {"-stress"} <= endings - {"-proposed"} <= set(specs.REPORT_ENDINGS)


@pytest.mark.parametrize(
    "name", ["review", "across-models", "README", "sham", "4to9-stress", "../x", "a b", "é", "", "x" * 101]
)
def test_names_that_are_refused(name: str) -> None:
    """Of other documents or arms, and what cannot be a link."""
    with pytest.raises(BadInput) as caught:
        check_name(name, fix="rename it")
    assert caught.value.fix == "rename it"


@pytest.mark.parametrize("true", AWKWARD)
@pytest.mark.parametrize("predicted", AWKWARD)
def test_any_two_classes_get_a_spec(true: str, predicted: str) -> None:
    """A starter is written under the pair's slug, is about the pair, and is found again."""
    if true == predicted:
        return
    pair = Pair(true, predicted)
    name, hypothesis = spec_for_pair(pair)
    assert (name, hypothesis.pair) == (pair.slug, pair)
    assert read_hypothesis(Path("experiments") / f"{name}.toml").class_names == (true, predicted)
    assert next_command(pair) == f"erroran intervene {name}"
    assert read_pair(name, AWKWARD) == pair
    assert spec_for_pair(pair) == (name, hypothesis)


def test_the_next_command_writes_a_spec_where_there_is_none() -> None:
    """Quoted for a shell."""
    assert next_command(Pair("4", "9")) == "erroran intervene 4to9"  # shipped
    assert next_command(Pair("4", "8")) == "erroran new 4to8 --pair 4:8"
    assert next_command(Pair("a b", "c")).endswith(" --pair 'a b:c'")


def test_a_missing_spec_of_a_pair_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that contain `to` are read with the dataset's names; other names get no offer."""
    with pytest.raises(NotFound) as caught:
        find_or_offer("tomatotopotato", ["potato", "tomato"])
    assert caught.value.fix.startswith("erroran new tomatotopotato --pair tomato:potato")
    with pytest.raises(NotFound, match="There is no hypothesis `mine`"):
        find_or_offer("mine", ["potato", "tomato"])


def test_proposed_specs_are_written_together_or_not_at_all() -> None:
    """If one exists with another content, none is written."""
    write_proposed({"b-proposed": "one"}, force=False)
    with pytest.raises(BadInput, match="differs from what is proposed now"):
        write_proposed({"a-proposed": "new", "b-proposed": "two"}, force=False)
    assert [path.name for path in Path("experiments").iterdir()] == ["b-proposed.toml"]
    write_proposed({"a-proposed": "new", "b-proposed": "two"}, force=True)
    assert Path("experiments/b-proposed.toml").read_text(encoding="utf-8") == "two"
