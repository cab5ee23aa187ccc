"""The architectures, each a function of (input shape, number of classes); also those that users bring.

Importing this package does not import Keras; building a model does.
"""

import ast
from pathlib import Path
from typing import Any

from erroran.errors import BadInput, NotFound

PARAMETER_COUNTS = {
    "cnn": 421_642,
    "cnn-small": 225_034,
    "cnn-deep": 435_306,
    "cnn-enhanced": 1_915_626,
    "resnet": 484_010,
    "dense-baseline": 101_770,
    "dense-deeper": 235_146,
    "dense-dropout": 235_146,
    "dense-tuned": 567_434,
}
"""Parameters on 28 x 28 grey images and 10 classes, by model name; checked at every such build."""


def build_model(name: str, input_shape: tuple[int, ...], n_classes: int, *, source: str | None = None) -> Any:
    """Build an uncompiled Keras model that takes raw uint8 images.

    Args:
        name: A key of `PARAMETER_COUNTS`, or ``file.py:function`` with `source`.
        input_shape: (H, W, C) of an image; C is 1 for grey.
        n_classes: Number of classes, >= 2.
        source: Code that defines the function of a model of the user's own.

    Returns:
        A ``keras.Model`` from uint8 (N, H, W, C) to float32 class probabilities (N, n_classes).

    Raises:
        NotFound: There is no such model.
        BadInput: The model cannot be built for images of this size, or does not give probabilities.
    """
    if source is not None:
        from erroran.training.models import own

        return own.build(name, source, input_shape, n_classes)
    if name not in PARAMETER_COUNTS:
        raise _unknown(name)
    from erroran.training.models import convolutional, dense

    module = dense if name.startswith("dense") else convolutional
    try:
        model = getattr(module, name.replace("-", "_"))(input_shape, n_classes)
    except ValueError as error:  # Keras: an unpadded convolution or a pooling has nothing left
        height, width, _ = input_shape
        raise BadInput(
            f"The model `{name}` cannot be built for images of {height} x {width}: they are too small.",
            fix="--model cnn",
        ) from error
    if (*input_shape, n_classes) == (28, 28, 1, 10):
        assert model.count_params() == PARAMETER_COUNTS[name], (name, model.count_params())
    return model


def check_model(name: str, input_shape: tuple[int, ...], n_classes: int, *, source: str | None = None) -> None:
    """Refuse a model before it is trained: one that cannot be built, or not be saved and loaded again.

    Arguments and errors as for `build_model`.
    """
    if source is None:
        build_model(name, input_shape, n_classes)
        return
    from erroran.training.models import own

    own.check_loads_again(name, source, input_shape, n_classes)


def find_model(reference: str) -> tuple[str, str | None]:
    """Resolve what ``--model`` was given, without importing Keras or running the file.

    Args:
        reference: A key of `PARAMETER_COUNTS`, or ``path/to/file.py:function``.

    Returns:
        The model's name and, for one of the user's own, the file's text.

    Raises:
        NotFound: There is no such model, file or function.
        BadInput: The file is not Python.
    """
    path_text, colon, function = reference.rpartition(":")
    if not colon and not reference.endswith(".py"):
        if reference not in PARAMETER_COUNTS:
            raise _unknown(reference)
        return reference, None
    path = Path(path_text if colon else reference)
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", fix="--model path/to/file.py:build_fn")
    try:
        text = path.read_text(encoding="utf-8")
        defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or a null byte
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise BadInput(f"{path}{line} is not Python: {error}.", fix=f"edit {path}") from error
    if function not in defined:
        have = f"it has {', '.join(defined)}" if defined else "it has none at the top level"
        raise NotFound(
            f"{path} has no function `{function}`: {have}.",
            fix=f"--model {path}:{defined[-1] if defined else 'build_fn'}",
        )
    return f"{path.name}:{function}", text


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"There is no model `{name}`.",
        fix=f"--model with one of: {', '.join(PARAMETER_COUNTS)}; or path/to/file.py:build_fn for your own",
    )
