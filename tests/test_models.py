"""The architectures."""

import numpy as np
import pytest

from erroran.errors import NotFound
from erroran.models import PARAMETER_COUNTS, build_model, find_model


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_cnn_has_the_published_size(precision: str) -> None:
    """421,642 parameters on MNIST's shape, whatever the precision; every model's count is checked."""
    from erroran.backend import keras

    keras.config.set_dtype_policy(precision)
    try:
        model = build_model("cnn", height=28, width=28, n_classes=10)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.count_params() == PARAMETER_COUNTS["cnn"] == 421_642
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 421_642
    assert model.layers[-1].compute_dtype == "float32"


@pytest.mark.parametrize(("height", "width", "n_classes"), [(28, 28, 10), (8, 6, 3)])
def test_raw_images_in_probabilities_out(height: int, width: int, n_classes: int) -> None:
    """uint8 with a channel axis gives float32 rows that sum to 1; scaling is inside."""
    model = build_model("cnn", height=height, width=width, n_classes=n_classes)
    images = np.random.default_rng(0).integers(0, 256, (5, height, width, 1), dtype=np.uint8)
    probabilities = model.predict(images, verbose=0)
    assert model.input_shape == (None, height, width, 1)
    assert model.inputs[0].dtype == "uint8"
    assert (probabilities.shape, probabilities.dtype) == ((5, n_classes), np.dtype(np.float32))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert probabilities.min() >= 0


def test_scaling_happens_inside_once() -> None:
    """The first layer brings 255 to 1."""
    model = build_model("cnn", height=8, width=8, n_classes=2)
    scaled = model.layers[0](np.full((1, 8, 8, 1), 255, dtype=np.uint8))
    assert float(np.max(scaled)) == pytest.approx(1)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    """By the cheap check and by the builder."""
    for refuse in (find_model, lambda name: build_model(name, height=28, width=28, n_classes=10)):
        with pytest.raises(NotFound, match="There is no model `vgg`") as caught:
            refuse("vgg")
        assert caught.value.fix.startswith(f"--model with one of: {', '.join(PARAMETER_COUNTS)}; or ")
    assert find_model("cnn") == ("cnn", None)
