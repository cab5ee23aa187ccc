"""Augmentation by layers of the model itself. Imports Keras."""

import numpy as np

from erroran.experiment.recipe import InModelAugmentation
from erroran.training.backend import keras

layers = keras.layers


def augmenting(model: keras.Model, augmentation: InModelAugmentation, *, input_shape: tuple[int, ...]) -> keras.Model:
    """Put random layers before a model; they act in ``fit``, and in calls that do not say ``training=False``.

    Args:
        model: Takes uint8 (N, H, W, C); so does the result.
        augmentation: What the layers do. Keras' global seed decides what they draw.
        input_shape: (H, W, C).
    """
    image = keras.Input(input_shape, dtype="uint8")
    return keras.Model(image, model(keras.ops.cast(_augment(image, augmentation), "uint8")))


def augment_images(images: np.ndarray, augmentation: InModelAugmentation, *, seed: int) -> np.ndarray:
    """Apply the layers to images as in training: uint8 (N, H, W, C) in and out. The seed decides what they draw."""
    changed: np.ndarray = np.asarray(keras.ops.cast(_augment(images, augmentation, seed, training=True), "uint8"))
    return changed


def _augment(x: object, augmentation: InModelAugmentation, seed: int | None = None, **call: bool) -> keras.KerasTensor:
    # Outside the image its edge is repeated: correct for bright and for dark ink.
    common = {"fill_mode": "nearest", "seed": seed, "dtype": "float32"}
    wanted = (
        (layers.RandomRotation, [augmentation.rotation_deg / 360]),
        (layers.RandomZoom, [augmentation.zoom_percent / 100]),
        (layers.RandomTranslation, [augmentation.translation_percent / 100] * 2),
    )
    for layer, factors in wanted:
        if factors[0]:
            x = layer(*factors, **common)(x, **call)
    return x
