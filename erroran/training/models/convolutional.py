"""Convolutional networks. Imports Keras."""

from erroran.training.backend import keras

layers = keras.layers


def cnn(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Two convolutions and a dense layer: 421,642 parameters on 28 x 28 x 1 and 10 classes.

    Args:
        input_shape: (H, W, C) of raw uint8 images; the model scales them to [0, 1].
        n_classes: Number of classes.
    """
    return _two_convolutions(input_shape, n_classes, "same")


def cnn_small(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """`cnn` without padding: 225,034 parameters. Arguments as for `cnn`; images of at least 10 x 10."""
    return _two_convolutions(input_shape, n_classes, "valid")


def cnn_deep(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Three blocks of two convolutions and a pooling: 435,306 parameters.

    Arguments as for `cnn`; images of at least 8 x 8. Intended for in-model augmentation and early stopping.
    """
    blocks = [
        layer
        for filters in (32, 64, 128)
        for layer in (_convolution(filters), _convolution(filters), layers.MaxPooling2D(2))
    ]
    return _sequential(input_shape, n_classes, *blocks, layers.Flatten(), layers.Dense(128, activation="relu"))


def cnn_enhanced(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """Five convolutions and two wide dense layers, with batch normalisation and dropout: 1,915,626 parameters.

    Arguments as for `cnn`; images of at least 12 x 12. Intended for in-model augmentation, reduce-on-plateau and early
    stopping.
    """

    def pooled(filters: int) -> list[keras.Layer]:
        first = [_convolution(filters), layers.BatchNormalization()]
        return [*first, _convolution(filters), layers.MaxPooling2D(2), layers.Dropout(0.25)]

    def wide(units: int) -> list[keras.Layer]:
        return [layers.Dense(units, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]

    unpadded = [*pooled(32), *pooled(64), _convolution(128, "valid"), layers.BatchNormalization(), layers.Dropout(0.25)]
    return _sequential(input_shape, n_classes, *unpadded, layers.Flatten(), *wide(512), *wide(256))


def resnet(input_shape: tuple[int, int, int], n_classes: int) -> keras.Model:
    """A small residual network: 484,010 parameters.

    Three stages of 32, 64 and 128 channels, each with a convolution that halves the image and one residual block of
    two convolutions. Arguments as for `cnn`; intended for in-model augmentation and a cosine or one-cycle schedule.

    Source: He et al. (2016), Deep residual learning, arXiv 1512.03385.
    """
    image = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(image)
    for filters, kernel in ((32, 5), (64, 3), (128, 3)):
        x = _normalised(x, filters, kernel=kernel, strides=2)
        branch = _normalised(x, filters)
        branch = layers.Conv2D(filters, 3, padding="same", use_bias=False)(branch)
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(branch)]))
    return keras.Model(image, _softmax(n_classes)(layers.GlobalAveragePooling2D()(x)))


def _sequential(input_shape: tuple[int, int, int], n_classes: int, *hidden: keras.Layer) -> keras.Model:
    first = [keras.Input(input_shape, dtype="uint8"), layers.Rescaling(1 / 255)]
    return keras.Sequential([*first, *hidden, _softmax(n_classes)])


def _convolution(filters: int, padding: str = "same") -> keras.Layer:
    return layers.Conv2D(filters, 3, padding=padding, activation="relu")


def _two_convolutions(input_shape: tuple[int, int, int], n_classes: int, padding: str) -> keras.Model:
    convolutions = [
        _convolution(32, padding),
        layers.MaxPooling2D(2),
        _convolution(64, padding),
        layers.MaxPooling2D(2),
    ]
    dense = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5)]
    return _sequential(input_shape, n_classes, *convolutions, *dense)


def _normalised(x: keras.KerasTensor, filters: int, *, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _softmax(n_classes: int) -> keras.Layer:
    # float32 in mixed precision too: half precision rounds small probabilities to 0.
    return layers.Dense(n_classes, activation="softmax", dtype="float32")
