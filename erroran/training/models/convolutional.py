"""Convolutional networks. Imports Keras."""

from erroran.training.backend import keras

layers = keras.layers


def cnn(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Two convolutions and a dense layer: 421,642 parameters on 28 x 28 x 1 and 10 classes.

    Args:
        input_shape: (H, W, C) of raw uint8 images; the model scales them to [0, 1].
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
            _softmax(n_classes),
        ],
        name="cnn",
    )


def cnn_small(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """`cnn` without padding: 225,034 parameters. Arguments as for `cnn`; images of at least 10 x 10."""
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            _softmax(n_classes),
        ]
    )


def cnn_deep(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Three blocks of two convolutions and a pooling: 435,306 parameters.

    Arguments as for `cnn`; images of at least 8 x 8. Intended for in-model augmentation and early stopping.
    """
    blocks = [
        layer
        for filters in (32, 64, 128)
        for layer in (
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
        )
    ]
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            *blocks,
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            _softmax(n_classes),
        ]
    )


def cnn_enhanced(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Five convolutions and two wide dense layers, with batch normalisation and dropout: 1,915,626 parameters.

    Arguments as for `cnn`; images of at least 12 x 12. Intended for in-model augmentation, reduce-on-plateau and early
    stopping.
    """

    def normalised(filters: int, padding: str = "same") -> list[keras.Layer]:
        return [layers.Conv2D(filters, 3, padding=padding, activation="relu"), layers.BatchNormalization()]

    def pooled(filters: int) -> list[keras.Layer]:
        convolution = layers.Conv2D(filters, 3, padding="same", activation="relu")
        return [convolution, layers.MaxPooling2D(2), layers.Dropout(0.25)]

    def wide(units: int) -> list[keras.Layer]:
        return [layers.Dense(units, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]

    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8"),
            layers.Rescaling(1 / 255),
            *normalised(32),
            *pooled(32),
            *normalised(64),
            *pooled(64),
            *normalised(128, padding="valid"),
            layers.Dropout(0.25),
            layers.Flatten(),
            *wide(512),
            *wide(256),
            _softmax(n_classes),
        ]
    )


def resnet(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """A small residual network: 484,010 parameters.

    Three stages of 32, 64 and 128 channels, each with a convolution that halves the image and one residual block of
    two convolutions. Arguments as for `cnn`; intended for in-model augmentation and a cosine or one-cycle schedule.

    Source: He et al. (2016), Deep residual learning, arXiv 1512.03385.
    """
    image = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(image)
    x = _normalised(x, 32, kernel=5, strides=2)
    x = _residual(x, 32)
    x = _normalised(x, 64, strides=2)
    x = _residual(x, 64)
    x = _normalised(x, 128, strides=2)
    x = _residual(x, 128)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _softmax(n_classes)(x))


def _normalised(x: keras.KerasTensor, filters: int, *, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _residual(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    branch = _normalised(x, filters)
    branch = layers.Conv2D(filters, 3, padding="same", use_bias=False)(branch)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(branch)]))


def _softmax(n_classes: int) -> keras.Layer:
    # float32 whatever the precision of the rest: probabilities in half precision lose the tail.
    return layers.Dense(n_classes, activation="softmax", dtype="float32")
