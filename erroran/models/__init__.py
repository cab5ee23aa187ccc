"""The architectures, each a function of (input shape, number of classes).

Importing this package is cheap; `build_model` imports Keras.
"""

from typing import Any

from erroran.errors import NotFound

PARAMETER_COUNTS = {"cnn": 421_642}
"""Trainable parameters on 28 x 28 grey images and 10 classes, by model name; checked at every such build."""


def build_model(name: str, *, height: int, width: int, n_classes: int) -> Any:
    """Build an uncompiled Keras model that takes raw uint8 images.

    Args:
        name: A key of `PARAMETER_COUNTS`.
        height: Image height in pixels.
        width: Image width in pixels.
        n_classes: Number of classes, >= 2.

    Returns:
        A ``keras.Model`` from uint8 (N, H, W, 1) to float32 class probabilities (N, n_classes).

    Raises:
        NotFound: There is no such model.
    """
    check_model_name(name)
    from erroran.models import convolutional

    model = {"cnn": convolutional.cnn}[name]((height, width, 1), n_classes)
    if (height, width, n_classes) == (28, 28, 10):
        assert model.count_params() == PARAMETER_COUNTS[name], (name, model.count_params())
    return model


def check_model_name(name: str) -> None:
    """Refuse a model name that `build_model` does not know.

    Raises:
        NotFound: There is no such model.
    """
    if name not in PARAMETER_COUNTS:
        raise NotFound(
            f"There is no model `{name}`.",
            fix=f"--model with one of: {', '.join(PARAMETER_COUNTS)}",
        )
