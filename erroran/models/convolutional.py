"""Convolutional networks. Imports Keras."""

from erroran.backend import keras

layers = keras.layers


def cnn(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Two convolutions and a dense layer: 421,642 parameters on 28 x 28 x 1 and 10 classes.

    Args:
        input_shape: (H, W, channels) of raw uint8 images; scaling to [0, 1] is inside.
        n_classes: Number of classes.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            # float32 whatever the precision of the rest: probabilities in half precision lose the tail.
            layers.Dense(n_classes, activation="softmax", dtype="float32"),
        ],
        name="cnn",
    )
