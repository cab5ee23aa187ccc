"""Augmentation by layers of the model itself. Imports Keras."""

import numpy as np

from erroran.experiment.recipe import InModelAugmentation
from erroran.training.backend import keras

layers = keras.layers


def augmenting(
    model: keras.Model,
    augmentation: InModelAugmentation,
    *,
    input_shape: tuple[int, ...],
    seed: int | None = None,
) -> keras.Model:
    """Put random layers before a model; they act in ``fit``, and in calls that do not say ``training=False``.

    Args:
        model: Takes uint8 (N, H, W, C); so does the result.
        augmentation: What the layers do.
        input_shape: (H, W, C).
        seed: Their seed; by default Keras' global one.
    """
    image = keras.Input(input_shape, dtype="uint8")
    x = image
    for layer in augmentation_layers(augmentation, seed=seed):
        x = layer(x)
    return keras.Model(image, model(keras.ops.cast(x, "uint8")))


def augmentation_layers(augmentation: InModelAugmentation, *, seed: int | None = None) -> list[keras.Layer]:
    """Keras' own layers: rotation, zoom, translation, each only if it is asked for."""
    # Outside the image its edge is repeated: correct for bright and for dark ink.
    common = {"fill_mode": "nearest", "seed": seed, "dtype": "float32"}
    wanted: list[keras.Layer] = []
    if augmentation.rotation_deg:
        wanted.append(layers.RandomRotation(augmentation.rotation_deg / 360, **common))
    if augmentation.zoom_percent:
        wanted.append(layers.RandomZoom(augmentation.zoom_percent / 100, **common))
    if augmentation.translation_percent:
        share = augmentation.translation_percent / 100
        wanted.append(layers.RandomTranslation(share, share, **common))
    return wanted


def augment_images(images: np.ndarray, augmentation: InModelAugmentation, *, seed: int) -> np.ndarray:
    """Apply the layers to images as in training.

    Args:
        images: uint8 (N, H, W, C).
        augmentation: What the layers do.
        seed: Their seed.

    Returns:
        uint8 (N, H, W, C).
    """
    x = images
    for layer in augmentation_layers(augmentation, seed=seed):
        x = layer(x, training=True)
    changed: np.ndarray = np.asarray(keras.ops.cast(x, "uint8"))
    return changed
