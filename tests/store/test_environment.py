"""The environment in a run's key: which changes of code count, which runs can be trained here, how arms differ."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.errors import ErroranError
from erroran.experiment.change import Step
from erroran.experiment.runspec import RunSpec
from erroran.store.environment import check_environment, compare_environments, current_environment, digest_code
from erroran.store.records import RunRecord

MakeSpec = Callable[..., RunSpec]

PLAIN = '''
LIMIT = 3


def double(values):
    text = """kept # also this"""
    for value in values:
        yield (
            value + value
        )
    return f"{text} # kept {LIMIT}"


class Empty:
    pass
'''

DOCUMENTED = '''"""What the module is.

Over several lines.
"""
# A comment.

LIMIT = 3  # how many
"""What a constant is."""


def double(values):  # doubles
    """Doubles.

    Args:
        values: Numbers.
    """
    # why
    text = """kept # also this"""
    for value in values:

        yield (
            # inside a bracket
            value + value  # twice
        )
    return f"{text} # kept {LIMIT}"


class Empty:
    "One line."

    pass
'''


def test_golden_digest() -> None:
    """The same in every version of Python and on every system: it is part of the keys of runs."""
    assert digest_code([PLAIN]) == "52b2b641bae3"


def test_comments_docstrings_and_line_endings_do_not_count() -> None:
    """The digest ignores comments, docstrings and line ends, so that they invalidate no stored run."""
    for text in (DOCUMENTED, DOCUMENTED.replace("\n", "\r\n"), DOCUMENTED.replace("\n", "\r"), PLAIN.strip()):
        assert digest_code([text]) == digest_code([PLAIN])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("# also this", "# also that"),
        ("# kept {", "# held {"),
        ("value + value", "value * value"),
        ("    return", "        return"),
        ("yield", "return"),
    ],
)
def test_code_counts(old: str, new: str) -> None:
    """Also inside strings that look like comments, and by its indentation."""
    assert PLAIN.count(old) == 1
    assert digest_code([PLAIN.replace(old, new)]) != digest_code([PLAIN])


def test_what_file_code_stands_in_counts() -> None:
    """The digest of two files differs from that of their concatenation."""
    assert digest_code(["a = 1", "b = 2"]) != digest_code(["a = 1\nb = 2"]) != digest_code(["b = 2", "a = 1"])


@given(st.lists(st.sampled_from(["x = 1", "y = x + 2", "if x:\n    y = 3", "# c", "'text'", "", "z = '#'"])))
def test_only_code_counts(statements: list[str]) -> None:
    """For any list of statements, those that do not count can be dropped."""
    code = [statement for statement in statements if statement not in {"# c", "'text'", ""}]
    assert digest_code(["\n".join(statements)]) == digest_code(["\n".join(code) + "\n"])


@pytest.fixture
def here(make_spec: MakeSpec) -> RunSpec:
    """The spec of a run that can be trained in this environment."""
    return make_spec(environment=current_environment("cnn"))


def _elsewhere(spec: RunSpec, **changes: object) -> RunSpec:
    return spec.model_copy(update={"environment": spec.environment.model_copy(update=changes)})


def test_a_run_of_this_environment_is_accepted(here: RunSpec) -> None:
    """Keras, its backend, NumPy and OpenCV are recorded; the packages that are installed are those."""
    check_environment(here)
    assert set(here.environment.versions) == {"keras", "tensorflow", "numpy", "opencv-python"}


def test_another_version_is_refused(here: RunSpec) -> None:
    """The error names the package and both versions; the fix is a new baseline."""
    versions = {**here.environment.versions, "keras": "2.0"}
    with pytest.raises(ErroranError, match=r"Seed 0 of `cnn` .*: keras was 2\.0, here it is 3\.[\d.]+\.$") as caught:
        check_environment(_elsewhere(here, versions=versions))
    assert "erroran baseline" in caught.value.fix


def test_a_package_that_was_absent_is_refused(here: RunSpec) -> None:
    versions = {name: version for name, version in here.environment.versions.items() if name != "numpy"}
    with pytest.raises(ErroranError, match="numpy was absent, here it is"):
        check_environment(_elsewhere(here, versions=versions))


def test_other_code_and_backend_are_refused_together(here: RunSpec) -> None:
    code = {**here.environment.code, "training": "0" * 12}
    with pytest.raises(ErroranError, match=r"backend was jax, here it is tensorflow; code of training was 0{12}, "):
        check_environment(_elsewhere(here, backend="jax", code=code))


def test_the_code_of_operations_counts_only_for_runs_that_use_them(here: RunSpec) -> None:
    """The code of operations is not in the key of a baseline, so a change of it does not prevent its training."""
    spec = _elsewhere(here, code={**here.environment.code, "operations": "0" * 12})
    check_environment(spec)
    step = Step(operation="dilate", radius_px=1, probability=0.5)
    with pytest.raises(ErroranError, match=r"code of operations was 0{12}, here"):
        check_environment(spec.model_copy(update={"augment": {"0": (step,)}}))


def test_arms_of_one_environment_do_not_differ(make_record: Callable[..., RunRecord], here: RunSpec) -> None:
    """Seeds, a treatment and the code of another model are not differences of the environment."""
    code = {**here.environment.code, "model": "0" * 12, "operations": "1" * 12}
    other = _elsewhere(here.model_copy(update={"model": "dense-baseline", "seed": 3}), code=code)
    assert compare_environments({"baseline": [make_record(here)], "4to9": [make_record(other)]}) == {}
    assert compare_environments({}) == {}


def test_what_differs_between_arms_is_listed(make_record: Callable[..., RunRecord], here: RunSpec) -> None:
    """Different versions, devices and threads are listed with the values of each arm."""
    old = _elsewhere(here, versions={**here.environment.versions, "numpy": "1.0"})
    machine = {"device": "cpu", "threads": "2", "processor": "x86_64 avx2"}
    one = make_record(here, machine=machine)
    other = make_record(old, machine={**machine, "device": "NVIDIA H100", "threads": "16"})
    now = here.environment.versions["numpy"]
    assert compare_environments({"baseline": [one, one], "4to9": [one, other]}) == {
        "numpy": {"baseline": now, "4to9": f"1.0, {now}"},
        "device": {"baseline": "cpu", "4to9": "NVIDIA H100, cpu"},
        "threads": {"baseline": "2", "4to9": "16, 2"},
    }


def test_the_code_of_operations_is_compared_among_runs_that_use_them(
    make_record: Callable[..., RunRecord], here: RunSpec
) -> None:
    step = Step(operation="dilate", radius_px=1, probability=0.5)
    treated = here.model_copy(update={"augment": {"0": (step,)}})
    old = _elsewhere(treated, code={**here.environment.code, "operations": "0" * 12})
    differing = compare_environments({"4to9": [make_record(treated)], "sham": [make_record(old)]})
    assert list(differing) == ["code of operations"]
