"""The error tree: exit codes, fixes, and errors that cross process boundaries."""

import inspect
import pickle

import pytest

from erroran import errors
from erroran.errors import BadInput, DatasetError, ErroranError, NotFound, SpecError, TrainingError, Unavailable

ALL = [ErroranError, TrainingError, Unavailable, BadInput, DatasetError, SpecError, NotFound]


@pytest.mark.parametrize("kind", ALL)
def test_message_and_fix_are_kept(kind: type[ErroranError]) -> None:
    """`str` is the message alone; the fix stands beside it."""
    error = kind("It is broken.", fix="mend it")
    assert (str(error), error.message, error.fix) == ("It is broken.", "It is broken.", "mend it")


@pytest.mark.parametrize("kind", ALL)
def test_errors_survive_a_process_boundary(kind: type[ErroranError]) -> None:
    """Workers raise them too: kind, message and fix come back from pickle."""
    back = pickle.loads(pickle.dumps(kind("It is broken.", fix="mend it")))
    assert (type(back), back.message, back.fix) == (kind, "It is broken.", "mend it")


def test_a_fix_is_required() -> None:
    """No error without a way on."""
    with pytest.raises(TypeError, match="fix"):
        ErroranError("It is broken.")  # type: ignore[call-arg]


def test_exit_codes_follow_the_tree() -> None:
    """1: the work could not be done; 2: what was asked for is wrong."""
    codes = {kind.__name__: kind.exit_code for kind in ALL}
    assert codes == {
        "ErroranError": 1, "TrainingError": 1, "Unavailable": 1,
        "BadInput": 2, "DatasetError": 2, "SpecError": 2, "NotFound": 2,
    }  # fmt: skip


def test_the_drawn_tree_is_true() -> None:
    """Every class stands in the module's drawing, with its exit code, indented below its parent."""
    rows = [line for line in (errors.__doc__ or "").splitlines() if "exit" in line]
    drawn = {}
    for line in rows:
        name, _, rest = line.strip(" │├└─").partition(" ")
        depth = (len(line) - len(line.lstrip(" │├└─"))) // 4
        drawn[name] = (depth, int(rest.split()[1]))
    defined = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert drawn == {c.__name__: (len(c.__mro__) - 3, c.exit_code) for c in defined}
