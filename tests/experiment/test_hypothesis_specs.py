"""Hypothesis specs: read strictly, found by name or path, and refused with words that help."""

from pathlib import Path

import pytest

from erroran.errors import NotFound, SpecError
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import Hypothesis, find_hypothesis, read_hypothesis, shipped_folder, starter_toml

HEAD = 'pair = "4:9"\nhypothesis = "A belief."\n'
STEP = '[augment.4]\noperation = "dilate"\nradius_px = 1\n'


def _write(folder: Path, text: str, name: str = "x.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_minimal_spec_has_the_documented_defaults(tmp_path: Path) -> None:
    """Pair, belief and one step are enough."""
    step = Step(operation="dilate", radius_px=(1,), shape="square", probability=0.12)
    expected = Hypothesis(
        pair="4:9", hypothesis="A belief.", augment={"4": step}, primary="forward", seeds=5, epochs=None,
        margin_per_10000=10, equivalence_per_10000=1,
    )  # fmt: skip
    assert read_hypothesis(_write(tmp_path, HEAD + STEP)) == expected
    assert expected.classes == ("4", "9")


def test_every_key_is_read(tmp_path: Path) -> None:
    """Nothing in a full spec is lost on the way."""
    text = """
pair = "a:b"
hypothesis = "A belief."
primary = "sum"
seeds = 7
epochs = 2
margin_per_10000 = 4.5
equivalence_per_10000 = 2
[augment.a]
operation = "erode"
radius_px = [0.25, 2]
shape = "disk"
probability = 0.5
[augment.b]
operation = "shift"
radius_px = 2
[augment.c]
operation = "dilate"
kernel_px = [1, 2]
[augment.d]
operation = "repeat"
"""
    found = read_hypothesis(_write(tmp_path, text))
    assert found.model_dump(exclude_defaults=True) == {
        "pair": "a:b",
        "hypothesis": "A belief.",
        "primary": "sum",
        "seeds": 7,
        "epochs": 2,
        "margin_per_10000": 4.5,
        "equivalence_per_10000": 2.0,
        "augment": {
            "a": {"operation": "erode", "radius_px": (0.25, 2.0), "shape": "disk", "probability": 0.5},
            "b": {"operation": "shift", "radius_px": (2.0,)},
            "c": {"operation": "dilate", "kernel_px": (1, 2)},
            "d": {"operation": "repeat"},
        },
    }
    assert [step.doses for step in found.augment.values()] == [(0.25, 2), (2,), (1, 2), ()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "seds = 3\n" + STEP, r"unknown key `seds` \(did you mean `seeds`\?\)"),
        (HEAD + STEP + "radus_px = 1\n", r"unknown key `augment\.4\.radus_px` \(did you mean `radius_px`\?\)"),
        (HEAD + STEP + "probabilty = 1\n", r"unknown key `augment\.4\.probabilty` \(did you mean `probability`"),
        (HEAD.replace("pair", "pairs") + STEP, r"unknown key `pairs` \(did you mean `pair`\?\)"),
        (HEAD + STEP.replace("augment", "augments"), r"unknown key `augments` \(did you mean `augment`\?\)"),
        (HEAD + "zzz = 3\n" + STEP, r"unknown key `zzz` \(known: pair, hypothesis, augment, primary, seeds"),
        (HEAD + STEP + "zzz = 3\n", r"unknown key `augment\.4\.zzz` \(known: operation, radius_px, kernel_px"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, message: str) -> None:
    """At the top and inside a step; a misspelt key is not merely reported as missing."""
    with pytest.raises(SpecError, match=message):
        read_hypothesis(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"4:9"', '"4-9"', r"at `pair`: must name two different classes as \"true:predicted\""),
        ('"4:9"', '"4:4"', "at `pair`: must name two different classes"),
        ('"4:9"', '":9"', "at `pair`: must name two different classes"),
        ('"4:9"', '"4:"', "at `pair`: must name two different classes"),
        ('"4:9"', "4", "at `pair`: Input should be a valid string"),
        ("A belief.", "", "at `hypothesis`: String should have at least 1 character"),
        ("radius_px = 1", "", r"at `augment\.4`: needs exactly one of radius_px and kernel_px"),
        ("radius_px = 1", "radius_px = 1\nkernel_px = 3", "needs exactly one of radius_px and kernel_px"),
        ("radius_px = 1", "radius_px = []", "needs at least one dose"),
        ("radius_px = 1", "radius_px = 0.3", r"radius_px must be a multiple of 0\.25"),
        ("radius_px = 1", "radius_px = [0.5, 0.125]", r"radius_px must be a multiple of 0\.25"),
        ("radius_px = 1", "radius_px = 0", r"at `augment\.4\.radius_px\.0`: Input should be greater than 0"),
        ("radius_px = 1", "radius_px = [1, 15]", r"at `augment\.4\.radius_px\.1`: .* less than or equal to 14"),
        ("radius_px = 1", "radius_px = nan", r"at `augment\.4\.radius_px\.0`"),
        ("radius_px = 1", "radius_px = true", r"at `augment\.4\.radius_px`"),
        ("radius_px = 1", "kernel_px = 0", r"at `augment\.4\.kernel_px\.0`"),
        ("radius_px = 1", "kernel_px = 1.5", r"at `augment\.4\.kernel_px\.0`"),
        ("radius_px = 1", "radius_px = 1\nprobability = 0", r"at `augment\.4\.probability`: .* greater than 0"),
        ("radius_px = 1", "radius_px = 1\nprobability = 1.01", r"at `augment\.4\.probability`"),
        ("radius_px = 1", "radius_px = 1\nprobability = nan", r"at `augment\.4\.probability`"),
        ("radius_px = 1", 'radius_px = 1\nshape = "star"', r"at `augment\.4\.shape`: .*'square', 'disk' or 'cross'"),
        ('"dilate"', '"grow"', r"at `augment\.4\.operation`: Input should be 'dilate', 'erode'"),
        ('"dilate"', '"repeat"', "repeat takes no radius_px or kernel_px"),
        ('"dilate"\nradius_px = 1', '"shift"\nradius_px = 0.5', "shift takes radius_px in whole pixels"),
        ('"dilate"\nradius_px = 1', '"shift"\nkernel_px = 1', "shift takes radius_px in whole pixels"),
        ("[augment.4]", "seeds = 0\n[augment.4]", "at `seeds`: Input should be greater than or equal to 1"),
        ("[augment.4]", "epochs = 0\n[augment.4]", "at `epochs`"),
        ("[augment.4]", "margin_per_10000 = 0\n[augment.4]", "at `margin_per_10000`"),
        ("[augment.4]", "equivalence_per_10000 = -1\n[augment.4]", "at `equivalence_per_10000`"),
        ("[augment.4]", 'primary = "both"\n[augment.4]', "at `primary`: Input should be 'forward', 'reverse' or 'sum'"),
        (STEP, "[augment]\n", "at `augment`: Dictionary should have at least 1 item"),
        (STEP, "[augment]\n4 = 3\n", r"at `augment\.4`"),
        (STEP, "", "lacks the key `augment`"),
        ('pair = "4:9"\n', "", "lacks the key `pair`"),
        ('hypothesis = "A belief."\n', "", "lacks the key `hypothesis`"),
        ('operation = "dilate"\n', "", r"lacks the key `augment\.4\.operation`"),
        ('"4:9"', "4:9", "is not valid TOML: .*line 1"),
        (STEP, STEP + STEP, "is not valid TOML: Cannot declare"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The message names file, place and rule; the fix names the file."""
    assert old in HEAD + STEP
    path = _write(tmp_path, (HEAD + STEP).replace(old, new))
    with pytest.raises(SpecError, match=message) as caught:
        read_hypothesis(path)
    assert str(path) in caught.value.message
    assert str(path) in caught.value.fix
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_file_is_a_bad_spec(tmp_path: Path, content: bytes | None) -> None:
    """A folder in place of a file, and bytes that are no text."""
    path = tmp_path / "x.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SpecError, match=r"x\.toml cannot be read"):
        read_hypothesis(path)


def test_a_spec_is_found_by_name_and_the_first_folder_wins(tmp_path: Path) -> None:
    """The user's own folder comes before the shipped one."""
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    first = _write(mine, "", "4to9.toml")
    _write(shipped, "", "4to9.toml")
    other = _write(shipped, "", "2to7.toml")
    assert find_hypothesis("4to9", [mine, shipped]) == first
    assert find_hypothesis("2to7", [mine, shipped]) == other


def test_a_name_may_have_dots(tmp_path: Path) -> None:
    """`4to9.v2` is a name, not a path with a suffix."""
    path = _write(tmp_path, "", "4to9.v2.toml")
    assert find_hypothesis("4to9.v2", [tmp_path]) == path


def test_a_spec_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute or relative, whatever the folders hold."""
    path = _write(tmp_path / "elsewhere", "", "own.toml")
    _write(tmp_path, "", "own.toml")
    monkeypatch.chdir(tmp_path)
    assert find_hypothesis(str(path), [tmp_path]) == path
    assert find_hypothesis("elsewhere/own.toml", [tmp_path]) == Path("elsewhere/own.toml")


def test_a_missing_path_is_not_looked_for_by_name(tmp_path: Path) -> None:
    """Whoever types a path means that file."""
    _write(tmp_path, "", "4to9.toml")
    with pytest.raises(NotFound, match=r"There is no spec file nowhere/4to9\.toml\."):
        find_hypothesis("nowhere/4to9.toml", [tmp_path])


def test_an_unknown_name_gets_the_nearest_or_the_list(tmp_path: Path) -> None:
    """A typo is answered with the name that was meant; anything else with what there is."""
    for name in ("4to9", "2to7"):
        _write(tmp_path, "", f"{name}.toml")
    with pytest.raises(NotFound, match=r"no hypothesis `4to8`.*did you mean `4to9`\?"):
        find_hypothesis("4to8", [tmp_path, tmp_path / "absent"])
    with pytest.raises(NotFound, match="known: 2to7, 4to9"):
        find_hypothesis("something", [tmp_path])
    with pytest.raises(NotFound, match="known: none") as caught:
        find_hypothesis("something", [tmp_path / "absent"])
    assert "erroran new something" in caught.value.fix


def test_the_shipped_specs_are_found_in_a_checkout() -> None:
    """The folder beside the package, which the wheel puts inside it."""
    assert shipped_folder().name == "experiments"
    assert find_hypothesis("4to9", [shipped_folder()]).is_file()


def test_the_starter_is_a_valid_spec_for_its_pair(tmp_path: Path) -> None:
    """What `new` writes can be run as it is."""
    found = read_hypothesis(_write(tmp_path, starter_toml("3", "8")))
    assert found.classes == ("3", "8")
    operations = {name: (step.operation, step.doses) for name, step in found.augment.items()}
    assert operations == {"3": ("dilate", (0.5, 1)), "8": ("erode", (0.5, 1))}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"operation": "dilate", "radius_px": (0.5, 1)}, "dilate, radius 0.5 or 1 px (square), 12 % of the images"),
        ({"operation": "erode", "kernel_px": 2, "probability": 1}, "erode, kernel side 2 px, 100 % of the images"),
        ({"operation": "shift", "radius_px": 1, "probability": 0.5}, "shift, by 1 px, 50 % of the images"),
        ({"operation": "repeat", "probability": 0.3}, "counted twice, 30 % of the images"),
    ],
)
def test_a_step_describes_itself(step: dict[str, object], expected: str) -> None:
    """The words that previews and reports print."""
    assert Step.model_validate(step).describe() == expected


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    """Comments, order and defaults written out change nothing; every value does."""
    plain = read_hypothesis(_write(tmp_path, HEAD + STEP))
    spelled = read_hypothesis(
        _write(tmp_path, "# remark\nseeds = 5\n" + HEAD + STEP + 'shape = "square"\nprobability = 0.12\n')
    )
    changed = read_hypothesis(_write(tmp_path, HEAD + STEP + "probability = 0.13\n"))
    assert spelled.hash == plain.hash
    assert changed.hash != plain.hash
