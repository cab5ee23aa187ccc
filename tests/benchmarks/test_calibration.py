"""The calibration: its parts by hand, its page from the saved numbers alone, and a quick run."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erroran.benchmarks.calibration import simulations, worlds
from erroran.benchmarks.calibration.__main__ import main
from erroran.benchmarks.calibration.report import render_calibration
from erroran.benchmarks.calibration.result import BOTH_WAYS, IN_PROPORTION, CalibrationResult, Simulated

REPORTS = Path(__file__).parents[2] / "reports"


def saved() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REPORTS / "calibration" / "calibration.json").read_text())
    return content


def test_relabelling_is_nested_and_touches_one_class() -> None:
    labels = np.repeat(np.arange(4), 50)
    some, more = (worlds.relabel(labels, (2, 3), share, np.random.default_rng(0)) for share in (0.1, 0.3))
    assert [(changed != labels).sum() for changed in (some, more)] == [5, 15]
    assert set(labels[more != labels]) == {2}
    assert set(more[more != labels]) == {3}
    assert np.all(more[some != labels] == 3)


def test_simulated_arms_have_the_intended_error_rates() -> None:
    rng = np.random.default_rng(0)
    row = Simulated(shift_sd=0.0, errors_per_run=6, factor=0.5, seeds=2, how=IN_PROPORTION)
    counts = []
    for _ in range(300):
        labels, before, after = simulations.simulate_arms(rng, row, errors=6)
        counts.append([((labels == 0) & (arm == 1)).sum(axis=1).mean() for arm in (before, after)])
    assert np.mean(counts, axis=0) == pytest.approx([6, 3], rel=0.1)


def test_run_to_run_variation_by_hand() -> None:
    """Two cells with excess 3 and 1, means 2 and 1, variances 1 and 1 of independent images."""
    found = worlds.relative_and_logits([np.array([[2.0, 1.0], [1.0, 1.0], [3.0, 1.0]])])
    assert found["relative"] == pytest.approx((4 / 5) ** 0.5)
    assert found["logits"] == pytest.approx((4 / 2) ** 0.5)


def test_the_committed_page_is_that_of_the_committed_numbers() -> None:
    result = CalibrationResult.model_validate(saved())
    assert render_calibration(result) == (REPORTS / "calibration.md").read_text()


def test_the_page_is_made_from_the_saved_numbers_alone() -> None:
    """Every changed number shows, and nothing else changes."""
    content = saved()
    before = render_calibration(CalibrationResult.model_validate(content)).splitlines()
    content["made"]["settings"] |= {"mining_runs": 4, "tuned_on": 7, "uneven_sd": 2.5}
    content["made"]["prior"] = [3.5, 0.25]
    content["facts"]["permute_5"] = 0.0077
    after = render_calibration(CalibrationResult.model_validate(content)).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    texts = ("prior variance of 3.5 ± 0.25", "worlds 1 to 7", "4 networks of a world", "(sd 2.5 logit)", "5 + 5 0.0077")
    for text in texts:
        assert sum(text in line for line in changed) == 1
    assert len(changed) == 5 + 1 - 1  # prior and worlds share a line; mining runs stand in two


def test_a_calibration_with_one_world_and_a_wrong_plan() -> None:
    """Means without interval, no held-out worlds, a promise outside sampling error, no check that refuses."""
    content = saved()
    for row in content["aa"]:
        row["held_out"] = {}
        for some in (row, row["same_images"], row["reused"]):
            del some["no_test"], some["without_gate"]
    content["naive"]["mean_change"] = {"mean": -0.25, "low": None, "high": None}
    content["planted"] = content["planted"][:2]
    content["planted"][0]["difference"] = {"mean": 0.2, "low": 0.1, "high": 0.3}
    content["planted"][1]["held_out"] = None
    result = CalibrationResult.model_validate(content)
    text = render_calibration(result)
    assert [row.seeds for row in result.power_off] == [3]
    assert "| 1 of 2 rows have 0 in the interval of the difference | **no** |" in text
    assert "**Outside sampling error:** 16 % still relabelled, 3 seeds: +20 (+10 to +30) points." in text
    assert "Where too little was promised" in text
    assert "same images: −25 %." in text
    assert "efuse" not in text
    table = [line for line in text.splitlines() if line.startswith("| 16 %")]
    assert [line.count("|") for line in table] == [10, 10, 12, 12]
    assert table[3].endswith("| – |")
    assert re.search(r"\| 3 v 3 \| \*\*1\.7 % .* \| 5\.7 \| – \| – \|", text)


def test_no_planted_effect_was_mined() -> None:
    text = render_calibration(CalibrationResult.model_validate({**saved(), "planted": []}))
    assert "Mining never ranked a planted pair first." in text
    assert "power.png" not in text


@pytest.mark.slow
def test_the_calibration_runs_and_its_json_is_strict(tmp_path: Path) -> None:
    main(["--quick", "--dataset", "digits", "--reports", str(tmp_path), "--cache", str(tmp_path / "cache")])
    page, numbers = tmp_path / "calibration.md", tmp_path / "calibration" / "calibration.json"

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads(numbers.read_text(), parse_constant=refuse)
    assert len(content["coverage"]) == 66
    like_real_runs = [row for row in content["coverage"] if row["shift_sd"] > 0 and row["errors_per_run"] >= 3]
    assert sum(row["how"] != BOTH_WAYS for row in like_real_runs) == 27
    assert content["facts"]["mcnemar_exact"] == 6
    assert {world["pair"] for world in content["worlds"]} == {"4→9", "7→9"}
    first, before = page.read_text(), numbers.read_bytes()
    page.unlink()
    main(["--render", "--reports", str(tmp_path)])
    assert (page.read_text(), numbers.read_bytes()) == (first, before)
