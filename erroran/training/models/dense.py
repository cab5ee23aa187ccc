"""Fully connected networks on flattened images. Imports Keras."""

from erroran.training.backend import keras

layers = keras.layers


def dense_baseline(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """One hidden layer of 128: 101,770 parameters on 28 x 28 x 1 and 10 classes.

    Args:
        input_shape: (H, W, C) of raw uint8 images; the model scales them to [0, 1].
        n_classes: Number of classes.
    """
    return _dense(input_shape, n_classes, (128,))


def dense_deeper(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Two hidden layers, 256 and 128: 235,146 parameters. Arguments as for `dense_baseline`."""
    return _dense(input_shape, n_classes, (256, 128))


def dense_dropout(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """`dense_deeper` with dropout of 0.3 and 0.2: 235,146 parameters. Arguments as for `dense_baseline`."""
    return _dense(input_shape, n_classes, (256, 128), dropout=(0.3, 0.2))


def dense_tuned(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """512, 256 and 128 with dropout of 0.3 and 0.2: 567,434 parameters. Arguments as for `dense_baseline`."""
    return _dense(input_shape, n_classes, (512, 256, 128), dropout=(0.3, 0.2))


def _dense(
    input_shape: tuple[int, int, int], n_classes: int, units: tuple[int, ...], dropout: tuple[float, ...] = ()
) -> keras.Model:
    hidden: list[keras.Layer] = []
    for place, n in enumerate(units):
        hidden += [layers.Dense(n, activation="relu"), *map(layers.Dropout, dropout[place : place + 1])]
    first = [keras.Input(input_shape, dtype="uint8"), layers.Rescaling(1 / 255), layers.Flatten()]
    return keras.Sequential([*first, *hidden, layers.Dense(n_classes, activation="softmax", dtype="float32")])
