"""Models that users bring: ``build_fn((height, width, channels), n_classes) -> keras.Model``. Imports Keras."""

import sys
import types
from typing import Any

import numpy as np

from erroran.errors import BadInput
from erroran.training.backend import keras


def build(name: str, source: str, input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Run the user's function and hold the model to the contract.

    Args:
        name: ``file.py:function``.
        source: The file's text. It runs on its own: modules beside the file cannot be imported.
        input_shape: (H, W, channels) of raw uint8 images.
        n_classes: Number of classes.

    Raises:
        BadInput: The code fails, or what it returns does not map uint8 (N, H, W, channels) to rows of n_classes
            probabilities.
    """
    file_name, _, function = name.rpartition(":")
    try:
        model = getattr(load(file_name, source), function)(input_shape, n_classes)
        images = np.random.default_rng(0).integers(0, 256, (2, *input_shape), dtype=np.uint8)
        rows = np.asarray(model(images)) if isinstance(model, keras.Model) else None
    except Exception as error:  # whatever a stranger's code raises
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        raise BadInput(
            f"`{name}` fails for images of shape {input_shape}: {reason}.", fix=f"edit {file_name}"
        ) from error
    if rows is None:
        raise BadInput(f"`{name}` returns a {type(model).__name__}, not a keras.Model.", fix=f"edit {file_name}")
    if rows.shape != (2, n_classes):
        raise BadInput(
            f"`{name}` gives outputs of shape {rows.shape} for 2 images and {n_classes} classes.",
            fix=f"end it with Dense(n_classes, activation='softmax') in {file_name}",
        )
    if not (rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1).max() < 0.02):
        raise BadInput(
            f"The outputs of `{name}` are no probabilities: a row sums to {float(rows[0].sum()):.3g}.",
            fix=f"end it with a softmax in {file_name}",
        )
    return model


def load(file_name: str, source: str) -> Any:
    """Run the text as a module, which also registers the layers it defines with Keras."""
    module = types.ModuleType(file_name.removesuffix(".py"))
    # Keras looks the module of a class up when it saves a model.
    sys.modules[f"erroran_own_{module.__name__}"] = module
    module.__name__ = f"erroran_own_{module.__name__}"
    exec(compile(source, file_name, "exec"), module.__dict__)  # noqa: S102 - running their code is what they asked for
    return module
