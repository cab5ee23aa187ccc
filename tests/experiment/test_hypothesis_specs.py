"""Hypothesis specs: strict reading, lookup by name or path, and helpful error messages."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.errors import BadInput, NotFound, SpecError
from erroran.experiment.change import Step
from erroran.experiment.hypothesis import (
    Hypothesis,
    check_classes,
    find_hypothesis,
    read_hypothesis,
    shipped_folder,
    starter_toml,
)
from erroran.experiment.pair import Pair
from erroran.experiment.samplelist import MOST_BYTES

HEAD = 'pair = "4:9"\nhypothesis = "A belief."\n'
STEP = '[augment.4]\noperation = "dilate"\nradius_px = 1\n'


def _write(folder: Path, text: str, name: str = "x.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_minimal_spec_has_the_documented_defaults(tmp_path: Path) -> None:
    """Pair, hypothesis and one step are enough."""
    step = Step(operation="dilate", radius_px=(1,), shape="square", probability=0.12)
    expected = Hypothesis(
        pair="4:9", hypothesis="A belief.", augment={"4": (step,)}, primary="forward", seeds=5, epochs=None,
        margin_per_10000=10, equivalence_per_10000=1,
    )  # fmt: skip
    assert read_hypothesis(_write(tmp_path, HEAD + STEP)) == expected
    assert expected.pair.classes == ("4", "9")


def test_every_key_is_read(tmp_path: Path) -> None:
    """A spec with every key keeps all values."""
    text = """
pair = "a:b"
hypothesis = "A belief."
primary = "sum"
seeds = 7
epochs = 2
margin_per_10000 = 4.5
equivalence_per_10000 = 2
model = "dense-baseline"
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
[[augment.d]]
operation = "repeat"
[[augment.d]]
operation = "rotate"
angle_deg = 10
side = "left"
[augment.all]
operation = "shift"
radius_px = 1
[recipe]
learning_rate = 0.01
rotation_deg = 5
[class_weights]
a = 2
[data]
leave_out = "lists/out.csv"
relabel = "relabel.csv"
repeat = "repeat.csv"
add = "more/images"
"""
    _write(tmp_path / "lists", f"sample_id,why\n{2:016x}~1,\n{1:016x},blurred\n", "out.csv")
    _write(tmp_path, f"label,sample_id\nb,{3:016x}\n", "relabel.csv")
    _write(tmp_path, f"sample_id,times\n{4:016x},5\n", "repeat.csv")
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
            "a": ({"operation": "erode", "radius_px": (0.25, 2.0), "shape": "disk", "probability": 0.5},),
            "b": ({"operation": "shift", "radius_px": (2.0,)},),
            "c": ({"operation": "dilate", "kernel_px": (1, 2)},),
            "d": ({"operation": "repeat"}, {"operation": "rotate", "angle_deg": (10.0,), "side": "left"}),
            "all": ({"operation": "shift", "radius_px": (1.0,)},),
        },
        "model": "dense-baseline",
        "recipe": {"learning_rate": 0.01, "rotation_deg": 5.0},
        "class_weights": {"a": 2.0},
        "data": {
            "leave_out": (f"{1:016x}", f"{2:016x}~1"),
            "relabel": {f"{3:016x}": "b"},
            "repeat": {f"{4:016x}": 5},
            "add": "more/images",
        },
    }
    assert [step.doses for steps in found.augment.values() for step in steps] == [
        (0.25, 2), (2,), (1, 2), (), (10,), (1,)
    ]  # fmt: skip
    assert found.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "seds = 3\n" + STEP, r"unknown key `seds` \(did you mean `seeds`\?\)"),
        (HEAD + STEP + "radus_px = 1\n", r"unknown key `augment\.4\.radus_px` \(did you mean `radius_px`\?\)"),
        (HEAD + STEP + "probabilty = 1\n", r"unknown key `augment\.4\.probabilty` \(did you mean `probability`"),
        (HEAD.replace("pair", "pairs") + STEP, r"unknown key `pairs` \(did you mean `pair`\?\)"),
        (HEAD + STEP.replace("augment", "augments"), r"unknown key `augments` \(did you mean `augment`\?\)"),
        (HEAD + "zzz = 3\n" + STEP, r"unknown key `zzz` \(known: augment, model, recipe, class_weights, data, pair"),
        (HEAD + STEP + "[data]\nleaveout = 3\n", r"unknown key `data\.leaveout` \(did you mean `leave_out`"),
        (HEAD + STEP + "[recipe]\nepoch = 3\n", r"unknown key `recipe\.epoch` \(did you mean `epochs`"),
        (
            HEAD + STEP.replace("[augment.4]", "[[augment.4]]") + "[[augment.4]]\noperatio = 3\n",
            r"unknown key `augment\.4\.1\.operatio` \(did you mean `operation`",
        ),
        (HEAD + STEP.replace("augment.4", "augment.ink") + "insk = 1\n", r"`augment\.ink\.insk` \(did you mean `ink`"),
        (HEAD + STEP + "zzz = 3\n", r"unknown key `augment\.4\.zzz` \(known: operation, radius_px, kernel_px"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, message: str) -> None:
    """At the top and inside a step; a misspelt key is reported as unknown, not as missing."""
    with pytest.raises(SpecError, match=message):
        read_hypothesis(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"4:9"', '"4-9"', "at `pair`: `4-9` does not name two different classes; write the true class, a colon"),
        ('"4:9"', '"4:4"', "at `pair`: .* does not name two different classes"),
        ('"4:9"', '":9"', "at `pair`: .* does not name two different classes"),
        ('"4:9"', '"4:"', "at `pair`: .* does not name two different classes"),
        ('"4:9"', "4", "at `pair`: `4` does not name two"),
        ("A belief.", "", "at `hypothesis`: String should have at least 1 character"),
        ("radius_px = 1", "", r"at `augment\.4`: needs exactly one of radius_px and kernel_px"),
        ("radius_px = 1", "radius_px = 1\nkernel_px = 3", "needs exactly one of radius_px and kernel_px"),
        ("radius_px = 1", "radius_px = []", "needs at least one dose"),
        ("radius_px = 1", "radius_px = 0.3", r"radius_px must be a multiple of 0\.25"),
        ("radius_px = 1", "radius_px = [0.5, 0.125]", r"radius_px must be a multiple of 0\.25"),
        ("radius_px = 1", "radius_px = 0", r"at `augment\.4\.radius_px`: Input should be greater than 0"),
        ("radius_px = 1", "radius_px = [1, 15]", r"at `augment\.4\.radius_px\.1`: .* less than or equal to 14"),
        ("radius_px = 1", "radius_px = nan", r"at `augment\.4\.radius_px`"),
        ("radius_px = 1", "radius_px = true", r"at `augment\.4\.radius_px`"),
        ("radius_px = 1", "kernel_px = 0", r"at `augment\.4\.kernel_px`"),
        ("radius_px = 1", "kernel_px = 1.5", r"at `augment\.4\.kernel_px`"),
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
        ("[augment.4]", "margin_per_10000 = inf\n[augment.4]", "at `margin_per_10000`: .* finite"),
        ("[augment.4]", "equivalence_per_10000 = nan\n[augment.4]", "at `equivalence_per_10000`"),
        ("[augment.4]", "[class_weights]\n4 = inf\n[augment.4]", r"at `class_weights\.4`: .* finite"),
        ("[augment.4]", "[class_weights]\n4 = 0\n[augment.4]", r"at `class_weights\.4`"),
        ("[augment.4]", "[recipe]\nlearning_rate = inf\n[augment.4]", r"at `recipe\.learning_rate`: .* finite"),
        ("[augment.4]", 'primary = "both"\n[augment.4]', "at `primary`: Input should be 'forward', 'reverse' or 'sum'"),
        (STEP, "[augment]\n", "it changes nothing: add"),
        (STEP, "[augment]\n4 = 3\n", r"at `augment\.4`: an operation is a table"),
        (STEP, "", "it changes nothing: add"),
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
    with pytest.raises(SpecError, match=f"(?s){message}") as caught:
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
    """Absolute or relative, whatever files the folders have."""
    path = _write(tmp_path / "elsewhere", "", "own.toml")
    _write(tmp_path, "", "own.toml")
    monkeypatch.chdir(tmp_path)
    assert find_hypothesis(str(path), [tmp_path]) == path
    assert find_hypothesis("elsewhere/own.toml", [tmp_path]) == Path("elsewhere/own.toml")


def test_a_missing_path_is_not_looked_for_by_name(tmp_path: Path) -> None:
    """A path is only read as a path."""
    _write(tmp_path, "", "4to9.toml")
    with pytest.raises(NotFound, match=r"There is no spec file nowhere/4to9\.toml\."):
        find_hypothesis("nowhere/4to9.toml", [tmp_path])


def test_an_unknown_name_gets_the_nearest_or_the_list(tmp_path: Path) -> None:
    """The message suggests the most similar name, or lists all."""
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
    """The file written by `new` can be run unedited."""
    found = read_hypothesis(_write(tmp_path, starter_toml("3", "8")))
    assert found.pair.classes == ("3", "8")
    operations = {name: (step.operation, step.doses) for name, (step,) in found.augment.items()}
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
    """Comments, order and explicit defaults do not change the hash; every value does."""
    plain = read_hypothesis(_write(tmp_path, HEAD + STEP))
    spelled = read_hypothesis(
        _write(tmp_path, "# remark\nseeds = 5\n" + HEAD + STEP + 'shape = "square"\nprobability = 0.12\n')
    )
    changed = read_hypothesis(_write(tmp_path, HEAD + STEP + "probability = 0.13\n"))
    assert spelled.hash == plain.hash
    assert changed.hash != plain.hash


ID, OTHER = f"{10**18:016x}", f"{7:016x}~2"


def _data(folder: Path, key: str, content: bytes | str) -> Path:
    (folder / "list.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return _write(folder, f'{HEAD}[data]\n{key} = "list.csv"\n')


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        ("leave_out", "", r"list\.csv lacks the column sample_id \(its columns: none\)"),
        ("leave_out", "id,label\n", r"lacks the column sample_id \(its columns: id, label\)"),
        ("leave_out", "sample_id\n", "has no rows"),
        ("leave_out", f"sample_id\n{ID}\n{OTHER}\n{ID}\n", f"line 4: the sample id {ID} is in line 2 already"),
        ("leave_out", "sample_id\n12\n", "line 2: `12` is not a sample id"),
        ("leave_out", f"sample_id\n{ID}x\n", "is not a sample id"),
        ("leave_out", "sample_id\n\n,\n", "`` is not a sample id"),
        ("leave_out", b"\xff\xfe\x00", r"list\.csv is not text in UTF-8"),
        ("leave_out", "x" * 2_000_000, "is no CSV file: field larger than field limit"),
        ("leave_out", f'sample_id\n"{ID}\n', "is no CSV file: unexpected end of data"),
        ("leave_out", "sample_id\n" + "y" * 100_000, r"line 2: `y{40}\.\.\.` is not a sample id"),
        ("relabel", f"sample_id\n{ID}\n", "lacks the column label"),
        ("relabel", f"sample_id,label\n{ID},\n", "line 2: the label is empty"),
        ("relabel", f"sample_id,label\n{ID}\n", "line 2: the label is empty"),
        ("repeat", f"sample_id,times\n{ID},2.5\n", r"line 2: times `2\.5` is not a whole number"),
        ("repeat", f"sample_id,times\n{ID},\n", "line 2: times `` is not a whole number"),
        ("repeat", f"sample_id,times\n{ID},-3\n", "times `-3` is not a whole number"),
        ("repeat", f"sample_id,times\n{ID},{'9' * 5000}\n", r"times `9{40}\.\.\.` is not a whole number"),
        ("repeat", f"sample_id,times\n{ID},1\n", f"at `data.repeat.{ID}`: Input should be greater than or equal to 2"),
        ("repeat", f"sample_id,times\n{ID},1001\n", "less than or equal to 1000"),
    ],
)
def test_what_is_wrong_in_a_list_is_said_where_it_is(tmp_path: Path, key: str, content: str, message: str) -> None:
    """File, line and rule; and the key of the spec that names the file."""
    with pytest.raises(SpecError, match=message) as caught:
        read_hypothesis(_data(tmp_path, key, content))
    assert f"data.{key}" in caught.value.message
    assert len(caught.value.message) < 600


def test_a_missing_or_enormous_list(tmp_path: Path) -> None:
    """Both are refused by name, the latter unread."""
    path = _write(tmp_path, HEAD + '[data]\nleave_out = "nowhere.csv"\n')
    with pytest.raises(SpecError, match=r"nowhere\.csv cannot be read: No such file"):
        read_hypothesis(path)
    with (tmp_path / "nowhere.csv").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SpecError, match=r"nowhere\.csv has more than 64 MB"):
        read_hypothesis(path)


def test_times_are_two_unless_given(tmp_path: Path) -> None:
    found = read_hypothesis(_data(tmp_path, "repeat", f"sample_id\n{ID}\n{OTHER}\n"))
    assert found.data.repeat == {ID: 2, OTHER: 2}


def test_what_is_left_out_is_not_used(tmp_path: Path) -> None:
    path = _data(tmp_path, "leave_out", f"sample_id\n{ID}\n")
    path.write_text(path.read_text() + 'repeat = "list.csv"\n')
    with pytest.raises(SpecError, match=f"at `data`: the image {ID} is left out, and also relabelled or repeated"):
        read_hypothesis(path)


def test_the_hash_covers_the_content_of_a_list(tmp_path: Path) -> None:
    """The hash does not depend on the file's name or the order of its rows."""
    one = read_hypothesis(_data(tmp_path, "leave_out", f"sample_id\n{ID}\n{OTHER}\n"))
    again = read_hypothesis(_data(tmp_path, "leave_out", f"sample_id,why\r\n{OTHER},x\r\n{ID},y\r\n"))
    fewer = read_hypothesis(_data(tmp_path, "leave_out", f"sample_id\n{ID}\n"))
    assert one.hash == again.hash != fewer.hash
    assert Hypothesis.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize("junk", ["[" * 20_000, "x = " + "9" * 5_000, "a" * 2_000_000, "x = " + "[" * 20_000])
def test_junk_is_not_toml(tmp_path: Path, junk: str) -> None:
    """Deep nesting and a very long number give an error message, not a traceback."""
    with pytest.raises(SpecError, match="is not valid TOML") as caught:
        read_hypothesis(_write(tmp_path, junk))
    assert len(caught.value.message) < 1000


def test_an_ambiguous_pair_shows_how_to_write_it(tmp_path: Path) -> None:
    """A class name with a colon needs the list."""
    with pytest.raises(SpecError, match=r'at `pair`: .* in a spec write pair = \["a", "b:c"\]'):
        read_hypothesis(_write(tmp_path, (HEAD + STEP).replace("4:9", "a:b:c")))
    text = (HEAD + STEP).replace('"4:9"', '["a:b", "c"]')
    assert read_hypothesis(_write(tmp_path, text)).pair == Pair("a:b", "c")


AWKWARD = [
    "tomato",
    "é",
    "c+",
    'say "hi"',
    "a\\b",
    "two\nlines",
    "tab\there",
    "\x7f\x00",
    "日本",
    "a:b",
    "'" * 3,
    "]",
    "#",
    " a ",
]


@pytest.mark.parametrize("true", AWKWARD)
@pytest.mark.parametrize("predicted", ["potato", 'q"', "x:y"])
def test_the_starter_is_valid_for_any_name(tmp_path: Path, true: str, predicted: str) -> None:
    """Names as values, as keys of tables and in comments."""
    found = read_hypothesis(_write(tmp_path, starter_toml(true, predicted)))
    assert found.pair.classes == (true, predicted)
    assert list(found.augment) == [true, predicted]


_NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(true=_NAME, predicted=_NAME)
def test_the_starter_is_valid_for_every_name(true: str, predicted: str) -> None:
    if true != predicted:
        content = tomllib.loads(starter_toml(true, predicted))
        assert Hypothesis.model_validate(content).pair == Pair(true, predicted)
        assert list(content["augment"]) == [true, predicted]


def test_a_name_with_several_to_is_not_split(tmp_path: Path) -> None:
    """`4to9` suggests its pair; `tomato` does not."""
    for name, pair in {"4to9": "4:9", "tomato": "A:B", "tomatotopotato": "A:B", "something": "A:B"}.items():
        with pytest.raises(NotFound) as caught:
            find_hypothesis(name, [tmp_path])
        assert f"erroran new {name} --pair {pair} " in caught.value.fix


CLASSES = ("4", "9", "é")


@pytest.mark.parametrize(
    "change",
    [
        {"augment": {"5": {"operation": "repeat"}}},
        {"class_weights": {"5": 2}},
        {"class_weights": {"all": 2}},
        {"data": {"relabel": {ID: "5"}}},
        {"pair": "4:5", "model": "cnn"},
    ],
)
def test_every_named_class_is_looked_for(change: dict[str, object]) -> None:
    """In operations, weights, new labels and the pair; `all` is special only in operations."""
    spec = {"pair": "4:9", "hypothesis": "h", **change}
    with pytest.raises(NotFound, match=r"names class `(5|all)`, which the dataset does not have") as caught:
        check_classes(Hypothesis.model_validate(spec), CLASSES)
    assert caught.value.fix.endswith("4, 9, é")


def test_all_is_every_class_unless_one_is_called_so() -> None:
    spec = {"pair": "4:é", "hypothesis": "h", "augment": {"all": {"operation": "repeat"}}}
    check_classes(Hypothesis.model_validate(spec), CLASSES)
    with pytest.raises(BadInput, match=r"has \[augment.all\], which means every class") as caught:
        check_classes(Hypothesis.model_validate(spec), (*CLASSES, "all"))
    assert "rename" in caught.value.fix
