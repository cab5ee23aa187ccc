"""The shipped hypotheses are valid, also for digits, and match their descriptions."""

from pathlib import Path

import pytest

from erroran.experiment.hypothesis import Hypothesis, read_hypothesis

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
SHIPPED = {
    path.stem: read_hypothesis(path) for path in sorted(FOLDER.glob("*.toml")) if not path.stem.endswith("-study")
}


def test_the_named_ones_are_there() -> None:
    """The names that the README and other tools rely on."""
    assert {"2to7", "3to5", "4to9", "4to9-dilate-only", "4to9-original"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_spec_is_about_the_pair_in_its_name(name: str) -> None:
    """`4to9...` has pair 4:9, acts on no other class, and acts on the true one."""
    true, predicted = name.partition("-")[0].split("to")
    assert SHIPPED[name].pair.classes == (true, predicted)
    assert true in SHIPPED[name].augment
    assert set(SHIPPED[name].augment) <= {true, predicted}


@pytest.mark.parametrize("name", SHIPPED)
def test_specs_use_five_seeds_and_the_original_rate(name: str) -> None:
    """Five runs per arm, 12 % of the images, primary endpoint forward."""
    spec = SHIPPED[name]
    assert (spec.seeds, spec.primary, spec.epochs) == (5, "forward", None)
    assert {step.probability for steps in spec.augment.values() for step in steps} == {0.12}


def _steps(spec: Hypothesis) -> dict[str, tuple[object, ...]]:
    return {name: (step.operation, step.radius_px, step.kernel_px) for name, (step,) in spec.augment.items()}


def test_the_original_recipe_is_kept_faithfully() -> None:
    """Square kernels of side 1 or 2: fours dilated, nines eroded; the first try dilated fours only."""
    four, nine = ("dilate", None, (1, 2)), ("erode", None, (1, 2))
    assert _steps(SHIPPED["4to9-original"]) == {"4": four, "9": nine}
    assert _steps(SHIPPED["4to9-dilate-only"]) == {"4": four}


def test_the_improved_recipe_is_symmetric() -> None:
    """Radii, so that no ink moves sideways."""
    assert _steps(SHIPPED["4to9"]) == {"4": ("dilate", (0.5, 1), None), "9": ("erode", (0.5,), None)}


GOLDEN = {
    "1to2-proposed": "7379e11a",
    "2to7-proposed": "d5eb06af",
    "2to7": "bfe00519",
    "3to5": "919dac14",
    "4to9-dilate-only": "a09520fd",
    "4to9-original": "67c2c10d",
    "4to9-proposed": "a4b08b61",
    "4to9": "7ac826ef",
    "5to6-proposed": "ac54da6c",
    "7to1-proposed": "2674b37a",
    "9to4-proposed": "c98045ae",
    "9to4": "d2890cef",
    "9to8": "0d758ea4",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_hashes(name: str) -> None:
    """Same as in the first release: the ledger and stored interventions are filed under them."""
    assert SHIPPED[name].hash == GOLDEN[name]
