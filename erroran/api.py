"""The verdict from Python: on arrays, on data frames, on prediction files.

>>> import numpy as np
>>> import erroran
>>> labels = np.array([4] * 50 + [9] * 50)
>>> before = np.tile(labels, (5, 1))  # five runs, 100 images
>>> before[:, :12] = 9  # each predicts 9 for the same twelve 4s
>>> after = np.tile(labels, (5, 1))
>>> after[:, :2] = 9
>>> result = erroran.diff(before, after, labels=labels, pair="4:9")
>>> result.word
'improved'
>>> result.to_json()["forward"]["after_per_seed"]
[2, 2, 2, 2, 2]
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from erroran.errors import BadInput, DatasetError
from erroran.predictions import Run, align_runs, run_from_arrays, run_from_frame
from erroran.stages.diff import DiffOptions, DiffResult, diff_predictions, diff_sets

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DiffOptions", "DiffResult", "diff", "diff_arrays", "diff_frames", "diff_predictions"]

Array = npt.NDArray[Any]


def diff(
    before: Any,
    after: Any,
    *,
    labels: npt.ArrayLike | None = None,
    class_names: Sequence[object] | None = None,
    **options: Unpack[DiffOptions],
) -> DiffResult:
    """Judge whether a fix reduced a confusion: arrays, data frames or files.

    Args:
        before: The runs without the fix: an array as in `diff_arrays` (`labels` is then required), data frames as in
            `diff_frames`, or paths and patterns as in `diff_predictions`.
        after: The runs with the fix, in the same form; the number of runs may differ.
        labels: (N,), with arrays only.
        class_names: C names, with arrays only.
        options: `pair`, `endpoint`, `margin_per_10000`, `alpha`; see `DiffOptions`.

    Raises:
        DatasetError: A value cannot be used, shapes disagree, or runs have different samples or labels.
        NotFound: The pair names a class that is not there.
        BadInput: An option is out of range, or `labels` or `class_names` do not go with this form.
    """
    if labels is not None:
        return diff_arrays(labels, before, after, class_names=class_names, **options)
    if class_names is not None:
        raise BadInput("class_names were given without labels.", fix="pass labels= and arrays of predictions")
    if _are_paths(before) and _are_paths(after):
        return diff_predictions(before, after, **options)
    if _are_frames(before) and _are_frames(after):
        return diff_frames(before, after, **options)
    raise BadInput(
        f"diff got {type(before).__name__} and {type(after).__name__} without labels.",
        fix="pass labels= with arrays, or lists of data frames, or paths",
    )


def diff_arrays(
    labels: npt.ArrayLike,
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    *,
    class_names: Sequence[object] | None = None,
    ids: npt.ArrayLike | None = None,
    **options: Unpack[DiffOptions],
) -> DiffResult:
    """Judge predictions in arrays; samples are in one order throughout. Options and errors as in `diff`.

    `labels` are (N,), whole numbers or names; `before` and `after` (S, N) or (N,) predicted classes, or (S, N, C)
    probabilities in [0, 1], S runs each; `ids` (N,) names of the samples, by default 0..N-1. With `class_names` (C
    names) whole numbers in the arrays and in `pair` are indices into them, unless the names are whole numbers
    themselves. Column c of probabilities belongs to entry c, or to class c without names.

    Two runs are too few for a verdict other than "cannot tell":

    >>> labels = [0, 0, 0, 1, 1, 1]
    >>> result = diff_arrays(
    ...     labels, [[1, 1, 0, 1, 1, 1]], [[0, 0, 0, 1, 1, 1]], pair="cat:dog", class_names=["cat", "dog"]
    ... )
    >>> result.word, result.pair, result.test, round(result.p_value, 3)
    ('cannot tell', 'cat:dog', 'McNemar mid-p', 0.25)
    """
    truth = _as_array("labels", labels)
    if truth.ndim != 1:
        raise DatasetError(f"labels have shape {truth.shape}; (N,) is needed.", fix="pass one label per sample")
    names = np.arange(len(truth)) if ids is None else _as_array("ids", ids)
    arms = [_runs_from_array(*arm, truth, names, class_names) for arm in (("before", before), ("after", after))]
    pair = options.get("pair")
    if class_names is not None and isinstance(pair, list | tuple):
        options["pair"] = [class_names[part] if _is_index(part, class_names) else part for part in pair]
    return diff_sets(*align_runs(arms), **options)


def diff_frames(
    before: "pd.DataFrame | Sequence[pd.DataFrame]",
    after: "pd.DataFrame | Sequence[pd.DataFrame]",
    **options: Unpack[DiffOptions],
) -> DiffResult:
    """Judge data frames, one per run, with the columns of a prediction file. Options and errors as in `diff`.

    A frame has the columns ``sample_id`` (or as index), ``label``, and ``prediction`` and/or ``p_<class>``, with rows
    in any order.

    >>> import pandas as pd
    >>> truth = ["cat"] * 40 + ["dog"] * 40
    >>> def run(wrong):
    ...     read = ["dog"] * wrong + truth[wrong:]
    ...     return pd.DataFrame({"sample_id": range(80), "label": truth, "prediction": read})
    >>> result = diff_frames([run(1), run(2)], [run(11), run(12)], pair="cat:dog")
    >>> result.word
    'harmed'
    """
    arms = []
    for arm, frames in (("before", before), ("after", after)):
        arms.append([run_from_frame(f"{arm}[{at}]", frame) for at, frame in enumerate(_as_list(frames))])
        if not arms[-1]:
            raise DatasetError(f"{arm} has no data frames.", fix="pass at least one frame per arm")
    return diff_sets(*align_runs(arms), **options)


def _as_array(what: str, values: npt.ArrayLike) -> Array:
    try:
        return np.asarray(values)
    except ValueError as problem:
        raise DatasetError(f"{what} is not an array: {problem}.", fix="pass rows of equal length") from problem


def _is_index(part: object, class_names: Sequence[object]) -> bool:
    return isinstance(part, int) and str(part) not in map(str, class_names) and 0 <= part < len(class_names)


def _runs_from_array(
    arm: str, given: npt.ArrayLike, labels: Array, ids: Array, class_names: Sequence[object] | None
) -> list[Run]:
    values = np.atleast_2d(_as_array(arm, given))
    if values.ndim > 3 or values.shape[1] != len(labels) or len(values) == 0:
        raise DatasetError(
            f"{arm} has shape {values.shape} for {len(labels)} labels; (S, N) classes or (S, N, C) "
            "probabilities are needed.",
            fix="pass one row per run, one column per sample",
        )
    kind = "prediction" if values.ndim == 2 else "probabilities"
    return [
        run_from_arrays(f"{arm}[{at}]", {"sample_id": ids, "label": labels, kind: run}, class_names)
        for at, run in enumerate(values)
    ]


def _are_paths(value: object) -> bool:
    return bool(_as_list(value)) and all(isinstance(item, str | os.PathLike) for item in _as_list(value))


def _are_frames(value: object) -> bool:
    import pandas as pd

    return all(isinstance(item, pd.DataFrame) for item in _as_list(value))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
