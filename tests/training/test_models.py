"""The architectures, and those that users bring."""

from pathlib import Path

import numpy as np
import pytest

from erroran.errors import BadInput, NotFound
from erroran.training.models import PARAMETER_COUNTS, build_model, find_model

OWN = """
import keras

@keras.saving.register_keras_serializable()
class Scale(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cast(x, "float32") / 255

def build_fn(input_shape, n_classes):
    return keras.Sequential([
        keras.Input(input_shape, dtype="uint8"), Scale(), keras.layers.Flatten(),
        keras.layers.Dense(n_classes, activation="softmax"),
    ])

def logits(input_shape, n_classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_classes)])

def two(input_shape, n_classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(2)])

def nothing(input_shape, n_classes):
    return n_classes

def broken(input_shape, n_classes):
    raise RuntimeError("no layers left")
"""


@pytest.mark.parametrize("name", PARAMETER_COUNTS)
def test_every_model_has_its_size(name: str) -> None:
    """On MNIST's shape, counted from the weights themselves."""
    model = build_model(name, input_shape=(28, 28, 1), n_classes=10)
    assert sum(int(np.prod(weight.shape)) for weight in model.weights) == PARAMETER_COUNTS[name]
    assert find_model(name) == (name, None)


def test_the_published_sizes() -> None:
    """421,642 is the one that was handed down; the dense ones follow from their layers."""
    assert PARAMETER_COUNTS["cnn"] == 421_642
    assert PARAMETER_COUNTS["dense-baseline"] == 785 * 128 + 129 * 10
    assert PARAMETER_COUNTS["dense-deeper"] == PARAMETER_COUNTS["dense-dropout"] == 785 * 256 + 257 * 128 + 129 * 10
    assert PARAMETER_COUNTS["dense-tuned"] == 785 * 512 + 513 * 256 + 257 * 128 + 129 * 10


def test_probabilities_stay_float32_in_half_precision() -> None:
    """Whatever the precision of the rest; the size is the same."""
    from erroran.training.backend import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model("cnn", input_shape=(28, 28, 1), n_classes=10)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[-1].compute_dtype == "float32"
    assert model.count_params() == PARAMETER_COUNTS["cnn"]


@pytest.mark.parametrize("name", PARAMETER_COUNTS)
def test_raw_images_in_probabilities_out(name: str) -> None:
    """uint8 with a channel axis gives float32 rows that sum to 1; scaling is inside. Height is not width."""
    model = build_model(name, input_shape=(14, 12, 1), n_classes=3)
    images = np.random.default_rng(0).integers(0, 256, (5, 14, 12, 1), dtype=np.uint8)
    probabilities = np.asarray(model(images))
    assert model.input_shape == (None, 14, 12, 1)
    assert model.inputs[0].dtype == "uint8"
    assert (probabilities.shape, probabilities.dtype) == ((5, 3), np.dtype(np.float32))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert probabilities.min() >= 0


@pytest.mark.parametrize("name", ["cnn-small", "cnn-enhanced"])
def test_images_that_are_too_small_are_refused(name: str) -> None:
    """Unpadded convolutions leave nothing of 8 x 8."""
    with pytest.raises(BadInput, match=f"`{name}` cannot be built for images of 8 x 8"):
        build_model(name, input_shape=(8, 8, 1), n_classes=10)


def test_scaling_happens_inside_once() -> None:
    """The first layer brings 255 to 1."""
    model = build_model("cnn", input_shape=(8, 8, 1), n_classes=2)
    scaled = model.layers[0](np.full((1, 8, 8, 1), 255, dtype=np.uint8))
    assert float(np.max(scaled)) == pytest.approx(1)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    """By the cheap check and by the builder."""
    for refuse in (find_model, lambda name: build_model(name, input_shape=(28, 28, 1), n_classes=10)):
        with pytest.raises(NotFound, match="There is no model `vgg`") as caught:
            refuse("vgg")
        assert caught.value.fix.startswith(f"--model with one of: {', '.join(PARAMETER_COUNTS)}; or ")


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    """Found by file and function without running it; built from its text."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    name, source = find_model(f"{path}:build_fn")
    assert (name, source) == ("mine.py:build_fn", OWN)
    model = build_model(name, input_shape=(8, 6, 1), n_classes=3, source=source)
    assert model.input_shape == (None, 8, 6, 1)
    assert model.count_params() == 49 * 3


@pytest.mark.parametrize(
    ("reference", "text", "error", "message"),
    [
        ("{}:nope", OWN, NotFound, "has no function `nope`: it has build_fn, logits, two, nothing, broken"),
        ("{}:build_fn", "x = 1", NotFound, "it has none at the top level"),
        ("{}", OWN, NotFound, "has no function ``"),
        ("{}:build_fn", "def build_fn(:", BadInput, "line 1 is not Python"),
        ("{}.missing:build_fn", OWN, NotFound, "There is no file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, reference: str, text: str, error: type[Exception], message: str
) -> None:
    """Without importing Keras: a typo must not cost the time to load it."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(error, match=message.replace("`", ".")):
        find_model(reference.format(path))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("logits", "no probabilities: a row sums to"),
        ("two", r"outputs of shape \(2, 2\) for 2 images and 3 classes"),
        ("nothing", "returns a int, not a keras.Model"),
        ("broken", "RuntimeError: no layers left"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(function: str, message: str) -> None:
    """Before it is trained, with the file to edit."""
    with pytest.raises(BadInput, match=message) as caught:
        build_model(f"mine.py:{function}", input_shape=(8, 8, 1), n_classes=3, source=OWN)
    assert "mine.py" in caught.value.fix


def test_augmentation_in_the_model_acts_in_training_only() -> None:
    """Different twice in training, the bare model's own answer otherwise; the same seed gives the same images."""
    from erroran.experiment.recipe import RECIPES, InModelAugmentation
    from erroran.training.models.augmentation import augment_images, augmenting

    tenths = RECIPES["augmented"].in_model
    assert tenths is not None
    bare = build_model("cnn", input_shape=(16, 16, 1), n_classes=3)
    model = augmenting(bare, tenths, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    assert np.array_equal(model(images, training=False), bare(images, training=False))
    assert not np.array_equal(model(images, training=True), model(images, training=True))
    assert model.count_params() == bare.count_params()

    assert np.array_equal(augment_images(images, InModelAugmentation(), seed=0), images)
    once, again, other = (augment_images(images, tenths, seed=seed) for seed in (0, 0, 1))
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_translation_moves_by_no_more_than_asked() -> None:
    """A dot in the middle of 21 x 21 stays within 10 %, rounded up, of where it was; it does move."""
    from erroran.experiment.recipe import InModelAugmentation
    from erroran.training.models.augmentation import augment_images

    images = np.zeros((200, 21, 21, 1), dtype=np.uint8)
    images[:, 10, 10] = 255
    moved = augment_images(images, InModelAugmentation(translation_percent=10), seed=3)
    _, rows, columns, _ = np.nonzero(moved)
    assert max(np.abs(rows - 10).max(), np.abs(columns - 10).max()) == 3
    assert len({image.tobytes() for image in moved}) > 100
