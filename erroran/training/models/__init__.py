"""The architectures and the users' own models. Importing this package does not import Keras; building a model does."""

import ast
from pathlib import Path
from typing import Any

from erroran.errors import BadInput, NotFound
from erroran.experiment.recipe import Precision

ARCHITECTURES = (
    "cnn", "cnn-small", "cnn-deep", "cnn-enhanced", "resnet",
    "dense-baseline", "dense-deeper", "dense-dropout", "dense-tuned",
)  # fmt: skip
"""Names of the models that erroran brings."""


def build_model(name: str, input_shape: tuple[int, ...], n_classes: int, *, source: str | None = None) -> Any:
    """Build an uncompiled Keras model that takes raw uint8 images.

    Args:
        name: One of `ARCHITECTURES`, or ``file.py:function`` with `source`.
        input_shape: (H, W, C) of an image; C is 1 for grey.
        n_classes: Number of classes, >= 2.
        source: Code that defines ``function``, for a user's own model.

    Returns:
        A ``keras.Model`` from uint8 (N, H, W, C) to float32 class probabilities (N, n_classes).

    Raises:
        NotFound: There is no such model.
        BadInput: The model cannot be built for images of this size, or does not give probabilities.
    """
    if source is not None:
        from erroran.training.models import own

        return own.build(name, source, input_shape, n_classes)
    if name not in ARCHITECTURES:
        raise _unknown(name)
    from erroran.training.models import convolutional, dense

    module = dense if name.startswith("dense") else convolutional
    try:
        return getattr(module, name.replace("-", "_"))(input_shape, n_classes)
    except ValueError as error:  # Keras: an unpadded convolution or a pooling has nothing left
        height, width, _ = input_shape
        raise BadInput(
            f"The model `{name}` cannot be built for images of {height} x {width}: they are too small.",
            fix="--model cnn",
        ) from error


def check_model(
    name: str,
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    source: str | None = None,
    precision: Precision = "float32",
) -> None:
    """Refuse a model that cannot be built in a precision, or not be saved and loaded again.

    The other arguments and the errors are those of `build_model`.
    """
    from erroran.training.backend import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = build_model(name, input_shape, n_classes, source=source)
        if source is not None:
            from erroran.training.models import own

            own.check_loads_again(name, source, model, input_shape)
    finally:
        keras.config.set_dtype_policy(before)


def find_model(reference: str) -> tuple[str, str | None]:
    """Resolve what ``--model`` was given, without importing Keras or running the file.

    Args:
        reference: One of `ARCHITECTURES`, or ``path/to/file.py:function``.

    Returns:
        The model's name and, for a user's own, the file's text.

    Raises:
        NotFound: There is no such model, file or function.
        BadInput: The file is not Python.
    """
    path_text, colon, function = reference.rpartition(":")
    if not colon and not reference.endswith(".py"):
        if reference not in ARCHITECTURES:
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
        fix=f"--model with one of: {', '.join(ARCHITECTURES)}; or path/to/file.py:build_fn for your own",
    )
