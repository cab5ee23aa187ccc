"""The verdict on prediction files: words, numbers, options, and what a program reads."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from erroran.benchmarks.diff import write_runs
from erroran.errors import BadInput, NotFound
from erroran.predictions import read_predictions
from erroran.report.diff import write_diff
from erroran.stages.diff import DiffResult, diff_predictions, parse_words

N = 200


def write_arm(folder: Path, arm: str, errors: Sequence[Sequence[int]], *, order: int = 0) -> str:
    """One file per run; samples 0-99 are 4s, of which the listed ones are read as 9, and 100-199 are 9s."""
    for run, wrong in enumerate(errors):
        read = [9 if row in wrong or row >= 100 else 4 for row in range(N)]
        rows = [f"s{row},{4 if row < 100 else 9},{read[row]}" for row in range(N)]
        rows = [rows[at] for at in np.random.default_rng(order).permutation(N)] if order else rows
        text = "\n".join(["sample_id,label,prediction", *rows, ""])
        (folder / f"{arm}{run}.csv").write_text(text, encoding="utf-8")
    return str(folder / f"{arm}*.csv")


MANY = [range(12), range(13), range(1, 13), range(12), range(11)]
FEW = [range(2), range(1), range(2), range(3), range(2)]


@pytest.fixture
def arms(tmp_path: Path) -> tuple[str, str]:
    return write_arm(tmp_path, "b", MANY), write_arm(tmp_path, "a", FEW)


@pytest.fixture
def result(arms: tuple[str, str]) -> DiffResult:
    return diff_predictions(*arms, pair="4:9", margin_per_10000=500)


def test_numbers_by_hand(result: DiffResult) -> None:
    found = result.to_json()
    assert found["verdict"] == "improved"
    assert found["pair"] == "4:9"
    assert found["seeds"] == {"before": 5, "after": 5}
    assert found["samples"] == 200
    assert found["forward"]["before_per_seed"] == [12, 13, 12, 12, 11]
    assert found["forward"]["after_per_seed"] == [2, 1, 2, 3, 2]
    # 12 and 2 errors a run of 200 samples are 600 and 100 per 10,000.
    assert found["effect"]["per_10000"] == pytest.approx(-500)
    assert found["effect"]["relative"] == pytest.approx(2 / 12 - 1)
    assert found["effect"]["low"] < -500 < found["effect"]["high"] < 0
    assert found["p_value"] < 0.001
    assert found["reverse"]["before_per_seed"] == [0] * 5
    assert found["sum"]["after_per_seed"] == [2, 1, 2, 3, 2]
    assert found["accuracy"]["before"] == pytest.approx([0.94, 0.935, 0.94, 0.94, 0.945])
    assert found["collateral"]["safe"] is True
    assert found["exploratory"] is False
    assert found["mcnemar"] is None
    assert [Path(name).name for name in found["files"]["after"]] == [f"a{run}.csv" for run in range(5)]


def test_json_keeps_the_keys_of_the_first_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was written by the first release; keys, types and counts stay, keys may be added."""
    monkeypatch.chdir(tmp_path)
    Path("one").mkdir()
    files = {
        "five": (write_arm(Path(), "b", MANY), write_arm(Path(), "a", FEW)),
        "one": (write_arm(Path("one"), "b", [range(10)]), write_arm(Path("one"), "a", [[8, 9, 10]])),
    }
    golden = json.loads((Path(__file__).parent / "diff_golden.json").read_text(encoding="utf-8"))
    for name, pair in (("five", "4:9"), ("one", None)):
        found = diff_predictions(*files[name], pair=pair).to_json()
        assert _lost(golden[name], found) == []
        same = ("verdict", "pair", "endpoint", "exploratory", "seeds", "samples", "classes", "accuracy", "mcnemar")
        for key in (*same, "files", "alpha", "margin_per_10000", "other_cells_found"):
            assert found[key] == golden[name][key], key
        assert all(
            found[key]["effect"][value] == pytest.approx(golden[name][key]["effect"][value])
            for key in ("forward", "reverse", "sum")
            for value in ("n_images", "before_mean", "after_mean", "per_10000")
        )


def _lost(old: object, new: object, at: str = "") -> list[str]:
    """Where `new` lacks a key of `old` or has another type there; a number is a number, the bootstrap has gone."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = {"bootstrap", "caveats", "seeds_needed"}  # of these only the key stays
        known = [lost for key in old.keys() & new.keys() - gone for lost in _lost(old[key], new[key], f"{at}.{key}")]
        return [f"{at}.{key}" for key in old.keys() - new.keys()] + known
    if isinstance(old, list) and isinstance(new, list):
        return [lost for before, after in zip(old, new, strict=False) for lost in _lost(before, after, f"{at}[]")]
    if new is None and at.endswith(("_low", "_high")):  # an open end
        return []
    kinds = [
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
        for value in (old, new)
    ]
    return [at] if kinds[0] != kinds[1] else []


def test_swapped_arms_swap_the_word_and_the_sign(arms: tuple[str, str], result: DiffResult) -> None:
    swapped = diff_predictions(*arms[::-1], pair="4:9", margin_per_10000=500)
    assert (result.word, swapped.word) == ("improved", "harmed")
    assert swapped.p_value == pytest.approx(result.p_value)
    assert swapped.verdict.primary.effect.per_10000 == pytest.approx(-result.verdict.primary.effect.per_10000)


def test_the_order_of_rows_changes_nothing(tmp_path: Path, result: DiffResult) -> None:
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    files = write_arm(shuffled, "b", MANY, order=1), write_arm(shuffled, "a", FEW, order=2)
    found = diff_predictions(*files, pair="4:9", margin_per_10000=500).to_json()
    assert found | {"files": None} == result.to_json() | {"files": None}


def test_endpoint_decides_what_is_judged(arms: tuple[str, str]) -> None:
    assert diff_predictions(*arms, pair="9:4", endpoint="reverse").word == "improved"
    assert diff_predictions(*arms, pair="4:9", endpoint="sum").word == "improved"
    assert diff_predictions(*arms, pair="9:4").verdict.primary.effect.before_mean == 0
    with pytest.raises(BadInput, match="--endpoint foward") as caught:
        diff_predictions(*arms, endpoint="foward")
    assert caught.value.fix == "did you mean forward?"


def test_without_a_pair_the_worst_before_is_taken_and_said(tmp_path: Path, arms: tuple[str, str]) -> None:
    found = diff_predictions(*arms)
    assert found.pair == "4:9"
    assert found.exploratory
    assert found.sentence.startswith("Exploratory: Improved: 4 read as 9")
    assert "chosen as the worst of the runs before" in found.caveats[0]
    # The runs after have no say: with the arms swapped the pair comes from the other files.
    perfect = write_arm(tmp_path, "perfect", [[], []])
    with pytest.raises(BadInput, match="no pair to choose"):
        diff_predictions(perfect, arms[0])


def test_one_run_against_one_run_reports_mcnemar_and_cannot_tell(tmp_path: Path) -> None:
    files = write_arm(tmp_path, "b", [range(10)]), write_arm(tmp_path, "a", [[8, 9, 10]])
    found = diff_predictions(*files, pair="4:9").to_json()
    assert found["verdict"] == "cannot tell"
    assert found["mcnemar"]["wrong_before_only"] == 8
    assert found["mcnemar"]["wrong_after_only"] == 1
    # Exact: 2 (1 + 9) / 2^9; mid-p takes off the observed point, 9 / 2^9.
    assert found["mcnemar"]["p_exact"] == pytest.approx(20 / 512)
    assert found["p_value"] == pytest.approx(11 / 512)
    assert found["test"]["name"] == "McNemar mid-p"
    assert "8 samples wrong only before, 1 only after" in found["test"]["reason"]


def test_one_run_against_several_has_no_p_value(tmp_path: Path) -> None:
    files = write_arm(tmp_path, "b", [range(10)]), write_arm(tmp_path, "a", FEW)
    found = diff_predictions(*files, pair="4:9")
    assert (found.word, found.p_value, found.mcnemar) == ("cannot tell", None, None)
    assert "no p-value" in "\n".join(found.lines())


def test_copies_do_not_pass_for_seeds(tmp_path: Path) -> None:
    many = [range(25), range(25), range(26)]
    files = write_arm(tmp_path, "b", many), write_arm(tmp_path, "a", [[1], [1], []])
    copies = [caveat for caveat in diff_predictions(*files, pair="4:9").caveats if "same errors" in caveat]
    assert len(copies) == 1
    assert "b1.csv" in copies[0]
    assert "b0.csv" in copies[0]


@pytest.mark.parametrize("errors", [MANY, [[], []], [range(3)]])
def test_json_is_strict_whatever_the_errors(tmp_path: Path, errors: list[Sequence[int]]) -> None:
    files = write_arm(tmp_path, "b", errors), write_arm(tmp_path, "a", [[], []])
    found = diff_predictions(*files, pair="4:9").to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    fixed = {"verdict", "sentence", "pair", "effect", "p_value", "seeds", "reverse", "sum", "collateral"}
    assert fixed | {"exploratory", "caveats", "test"} <= found.keys()
    assert found["verdict"] in {"improved", "harmed", "equivalent", "cannot tell"}


def test_json_says_more_than_the_first_release(result: DiffResult) -> None:
    """The worthwhile change, and the interval for new seeds on these samples."""
    found = result.to_json()
    assert found["worthwhile_percent"] == 50
    assert {"seeds_low", "seeds_high", "seeds_relative_low", "seeds_relative_high"} <= found["effect"].keys()
    assert _lost({"effect": {"low": 1}, "pair": "a"}, {"effect": {"low": "1"}}) == [".pair", ".effect.low"]


def test_the_worthwhile_change_decides(tmp_path: Path) -> None:
    """The same files: a reduction by 50 % is excluded, one by 1 % is not."""
    files = write_arm(tmp_path, "b", [range(40)] * 2 + [range(41)] * 3), write_arm(tmp_path, "a", [range(40)] * 5)
    assert diff_predictions(*files, pair="4:9").word == "not worthwhile"
    assert diff_predictions(*files, pair="4:9", worthwhile_percent=1).word != "not worthwhile"
    with pytest.raises(BadInput, match="worthwhile"):
        diff_predictions(*files, pair="4:9", worthwhile_percent=100)


def test_the_page_of_a_comparison(result: DiffResult, tmp_path: Path) -> None:
    """Title, sentence and figure first; the table names both intervals and the row that gave the word."""
    path = write_diff(result, tmp_path / "out" / "my fix.md")
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line]
    assert lines[:2] == ["# 4:9: improved", result.sentence]
    assert "](my%20fix.png)" in lines[2]
    assert (tmp_path / "out" / "my fix.png").read_bytes().startswith(b"\x89PNG")
    assert f"row *{result.verdict.row}* of the decision table" in text
    assert "new seeds, these samples | 95 % interval: new seeds, new samples" in text
    assert "image" not in text
    assert "| 4 read as 9 | 12 13 12 12 11 (mean 12.0) | 2 1 2 3 2 (mean 2.0) |" in text
    with pytest.raises(BadInput, match="is not a Markdown file") as caught:
        write_diff(result, tmp_path / "out.html")
    assert caught.value.fix == f"--report {tmp_path / 'out.md'}"
    for folder in (Path(), tmp_path):
        with pytest.raises(BadInput, match="is not a Markdown file") as caught:
            write_diff(result, folder)
        assert caught.value.fix == f"--report {folder / 'verdict.md'}"


def test_text_is_about_samples(result: DiffResult) -> None:
    """Prediction files need not be about images."""
    assert "image" not in "\n".join(result.lines())


def test_lines_hold_every_number(result: DiffResult) -> None:
    lines = result.lines()
    assert lines[0] == result.sentence
    text = "\n".join(lines)
    squeezed = " ".join(text.split())
    assert "4 read as 9 12 13 12 12 11 (mean 12.0) 2 1 2 3 2 (mean 2.0)" in squeezed
    assert "9 read as 4" in text
    assert "accuracy, % 94.00 93.50 94.00 94.00 94.50 (mean 94.00) 99.00" in squeezed
    assert "collateral: safe (margin 500 errors per 10,000)" in text
    assert f"test: {result.test}, p = " in text
    assert not any(line.endswith(" ") for line in lines)


def test_changed_cells_elsewhere_are_named(tmp_path: Path) -> None:
    def arm(name: str, read: str) -> str:
        for run in range(4):
            rows = [
                f"{row},{'abc'[row % 3]},{read if row % 3 == 2 and row < 90 else 'abc'[row % 3]}" for row in range(300)
            ]
            (tmp_path / f"{name}{run}.csv").write_text("sample_id,label,prediction\n" + "\n".join(rows))
        return str(tmp_path / f"{name}*.csv")

    found = diff_predictions(arm("x", "c"), arm("y", "a"), pair="a:b")
    assert found.to_json()["other_cells_found"][0]["pair"] == "c:a"
    assert any(line.endswith("c:a 0.0 to 30.0") for line in found.lines())
    assert any("not shown safe" in line for line in found.lines())


# --- options


@pytest.mark.parametrize("pair", ["4:9", " 4 : 9 ", "4to9", (4, 9), ["4", "9"]])
def test_a_pair_can_be_written_in_several_ways(arms: tuple[str, str], pair: str) -> None:
    assert diff_predictions(*arms, pair=pair).pair == "4:9"


@pytest.mark.parametrize(
    ("pair", "kind", "message", "fix"),
    [
        ("4:7", NotFound, "class `7`, which is not among the classes (4, 9)", "A:B"),
        ("4:99", NotFound, "names class `99`", "did you mean `9`?"),
        (":9", BadInput, "does not name two different classes", "4:9"),
        ("4:4", BadInput, "does not name two different classes", "4:9"),
    ],
)
def test_pairs_that_are_none(arms: tuple[str, str], pair: str, kind: type[BadInput], message: str, fix: str) -> None:
    with pytest.raises(kind) as caught:
        diff_predictions(*arms, pair=pair)
    assert message in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_margins_are_finite_and_positive(arms: tuple[str, str], margin: float) -> None:
    with pytest.raises(BadInput, match=r"--margin .* is not a finite number above 0"):
        diff_predictions(*arms, pair="4:9", margin_per_10000=margin)


def test_words_of_fail_on() -> None:
    assert parse_words(["Cannot_Tell, harmed"]) == {"cannot tell", "harmed"}
    with pytest.raises(BadInput, match="--fail-on harm is not a verdict") as caught:
        parse_words(["harm"])
    assert caught.value.fix == "did you mean harmed?"


# --- as a whole


def test_tensorflow_is_never_imported(arms: tuple[str, str]) -> None:
    code = (
        "import sys; from erroran.stages.diff import diff_predictions;"
        "diff_predictions(*sys.argv[1:]).lines();"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arms], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("probabilities", [False, True])
def test_benchmark_files_can_be_read(tmp_path: Path, *, probabilities: bool) -> None:
    write_runs(tmp_path, n_runs=2, n_samples=300, n_classes=5, probabilities=probabilities)
    found = read_predictions(str(tmp_path / "before_*.csv"))
    assert found.predicted.shape == (2, 300)
    assert found.class_names == ("0", "1", "2", "3", "4")
    assert (found.probabilities is not None) == probabilities
    assert 0 < (found.predicted != found.labels).mean() < 0.1
