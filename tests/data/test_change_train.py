"""Changed training sets, checked by hand on six images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erroran.data import Dataset, Part, build_dataset
from erroran.data.change import change_train
from erroran.errors import BadInput
from erroran.experiment.change import DataChange
from erroran.operations.keyed import keyed_uniform, sample_keys

NAMES = ("cat", "dog", "cow")
IDS = [f"{n:016x}" for n in range(9)]
HELD_OUT = np.array([*IDS[6:], f"{IDS[8]}~1"])


@pytest.fixture
def train() -> Part:
    """Six images 0 to 5, two of each class, of nine; 6 to 8 are held out, 8 twice."""
    pixels = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1).repeat(4, axis=1).repeat(3, axis=2)
    return Part(pixels, np.array([0, 0, 1, 1, 2, 2]), np.array(IDS[:6]), np.arange(6))


def _change(train: Part, **data: object) -> Part:
    return change_train(train, DataChange.model_validate(data), NAMES, added=None, held_out_ids=HELD_OUT)


def _content(part: Part) -> list[tuple[int, str, int]]:
    """Pixel value, id and label of every sample."""
    values = part.x[:, 0, 0, 0].tolist()
    return list(zip(values, part.ids.tolist(), part.y.tolist(), strict=True))


def test_left_out(train: Part) -> None:
    changed = _change(train, leave_out=[IDS[1], IDS[4], IDS[7]])
    assert _content(changed) == [(0, IDS[0], 0), (2, IDS[2], 1), (3, IDS[3], 1), (5, IDS[5], 2)]
    assert _content(train)[1] == (1, IDS[1], 0)


def test_relabelled(train: Part) -> None:
    changed = _change(train, relabel={IDS[0]: "cow", IDS[3]: "dog", IDS[6]: "cat"})
    assert changed.y.tolist() == [2, 0, 1, 1, 2, 2]
    assert changed.ids.tolist() == train.ids.tolist()
    assert train.y.tolist() == [0, 0, 1, 1, 2, 2]


def test_repeated(train: Part) -> None:
    """``repeat`` of 2 adds one copy, of 3 adds two; all copies get the new label."""
    changed = _change(train, repeat={IDS[2]: 3, IDS[5]: 2}, relabel={IDS[2]: "cat"})
    assert _content(changed)[:6] == [(n, IDS[n], label) for n, label in enumerate([0, 0, 0, 1, 2, 2])]
    assert _content(changed)[6:] == [(2, f"{IDS[2]}~1", 0), (2, f"{IDS[2]}~2", 0), (5, f"{IDS[5]}~1", 2)]


def test_copies_have_random_numbers_of_their_own(train: Part) -> None:
    """About half of 1,000 copies of one image draw a random number below 0.5."""
    keys = sample_keys(_change(train, repeat={IDS[0]: 1000}).ids)
    assert len(np.unique(keys)) == 1005
    assert 430 < (keyed_uniform(3, 1, keys, purpose="apply") < 0.5).sum() < 570


def test_numbers_that_are_taken_are_passed_over() -> None:
    """New copies of `a` and of the held-out `a~1` get copy numbers that no other sample has."""
    a = IDS[0]
    part = Part(np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 1]), np.array([a, f"{a}~2"]))
    data = DataChange(repeat={a: 2, f"{a}~2": 2})
    changed = change_train(part, data, NAMES, added=None, held_out_ids=np.array([f"{a}~1"]))
    assert changed.ids.tolist() == [a, f"{a}~2", f"{a}~3", f"{a}~4"]
    assert changed.y.tolist() == [0, 1, 0, 1]


@given(st.dictionaries(st.sampled_from(IDS[:6]), st.integers(2, 20)), st.sets(st.sampled_from(IDS[:6])))
def test_counts_add_up(repeat: dict[str, int], leave_out: set[str]) -> None:
    """All ids differ, and each image occurs the requested number of times."""
    pixels = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    part = Part(pixels, np.array([0, 0, 1, 1, 2, 2]), np.array(IDS[:6]))
    changed = _change(part, repeat=repeat, leave_out=sorted(leave_out - repeat.keys()))
    assert len(set(changed.ids.tolist())) == len(changed.ids)
    for n, name in enumerate(IDS[:6]):
        expected = 0 if name in leave_out - repeat.keys() else repeat.get(name, 1)
        assert (changed.x.ravel() == n).sum() == expected


def _other(values: list[int], labels: list[int], names: tuple[str, ...], size: tuple[int, int] = (4, 3)) -> Dataset:
    x = np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(size[0], axis=1).repeat(size[1], axis=2)
    y = np.array(labels)
    return build_dataset("o", "other.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], class_names=names)


def test_added() -> None:
    """Classes are matched by name; held-out images are not added; training images are added as copies."""
    base = _other([10, 11, 12, 13, 14, 15], [0, 0, 1, 1, 2, 2], NAMES)
    part = Part(base.x_train, base.y_train, base.train_ids).take(np.arange(5))
    held_out = base.train_ids[5:]
    other = _other([15, 12, 30, 31], [0, 0, 1, 1], ("dog", "cat"))
    changed = change_train(part, DataChange(add="other.npz"), NAMES, added=other, held_out_ids=held_out)
    assert changed.x[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14, 12, 30, 31]
    assert changed.y.tolist() == [0, 0, 1, 1, 2, 1, 0, 0]
    assert changed.ids.tolist() == [*part.ids, f"{part.ids[2]}~1", other.train_ids[2], other.train_ids[3]]


@pytest.mark.parametrize(
    ("data", "message", "fix"),
    [
        ({"leave_out": ["f" * 16, IDS[0]]}, f"names the image {'f' * 16}, which is in no part", "file that leave_out"),
        ({"repeat": {"e" * 16: 2, "f" * 16: 2}}, "2 of 2 are not", "file that repeat"),
        ({"relabel": {f"{IDS[0]}~1": "cat"}}, "~1, which is in no part", "file that relabel"),
        ({"relabel": {IDS[0]: "horse"}}, "the class 'horse', which this dataset lacks (it has cat, dog, cow)", "label"),
        ({"leave_out": IDS[6:8]}, "names 2 image(s), none of which is trained on", "--out-of-fold"),
        ({"repeat": {f"{IDS[7]}~1": 2}}, "none of which is trained on", "--out-of-fold"),
    ],
)
def test_refusals(train: Part, data: dict[str, object], message: str, fix: str) -> None:
    with pytest.raises(BadInput) as caught:
        _change(train, **data)
    assert message in caught.value.message
    assert fix in caught.value.fix


def test_what_cannot_be_added(train: Part) -> None:
    """Another size, or a class that the dataset lacks."""
    for other, message in (
        (_other([1, 2], [0, 1], ("cat", "dog"), size=(4, 4)), "4x4x1 .*, not 4x3x1"),
        (_other([1, 2], [0, 1], ("cat", "eel")), "the class 'eel', which this dataset lacks"),
    ):
        with pytest.raises(BadInput, match=message) as caught:
            change_train(train, DataChange(add="o.npz"), NAMES, added=other, held_out_ids=HELD_OUT)
        assert "add" in caught.value.message
