"""The architectures, and the users' own models."""

import sys
from pathlib import Path

import numpy as np
import pytest

from erroran.errors import BadInput, NotFound
from erroran.training.models import ARCHITECTURES, build_model, check_model, find_model

FLOAT32_ONLY = """
@keras.saving.register_keras_serializable()
class AddsFloat32(keras.layers.Layer):
    def call(self, x):
        import tensorflow
        return tensorflow.add(x, tensorflow.ones((), "float32"))

def float32_only(input_shape, n_classes):
    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(8), AddsFloat32()]
    return keras.Sequential([*layers, keras.layers.Dense(n_classes, activation="softmax")])
"""
OWN = """
import sys
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

def leaves(input_shape, n_classes):
    sys.exit(0)

def talks(input_shape, n_classes):
    print("building")
    return build_fn(input_shape, n_classes)

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cast(x, "float32") / 255

class NoConfig(keras.layers.Layer):
    def __init__(self, divisor):
        super().__init__()
        self.divisor = divisor
    def call(self, x):
        return keras.ops.cast(x, "float32") / self.divisor

class Subclassed(keras.Model):
    def __init__(self, n_classes):
        super().__init__()
        self.scale, self.flat = Scale(), keras.layers.Flatten()
        self.dense = keras.layers.Dense(n_classes, activation="softmax")
    def call(self, x):
        return self.dense(self.flat(self.scale(x)))
    def get_config(self):
        return {"n_classes": self.dense.units}

def _with(layer, input_shape, n_classes):
    return keras.Sequential([
        keras.Input(input_shape, dtype="uint8"), layer, keras.layers.Flatten(),
        keras.layers.Dense(n_classes, activation="softmax"),
    ])

def unregistered(input_shape, n_classes):
    return _with(Unregistered(), input_shape, n_classes)

def lambda_layer(input_shape, n_classes):
    return _with(keras.layers.Lambda(lambda x: keras.ops.cast(x, "float32") / 255), input_shape, n_classes)

def no_config(input_shape, n_classes):
    return _with(NoConfig(255), input_shape, n_classes)

def subclassed(input_shape, n_classes):
    return Subclassed(n_classes)
"""


DEEPER = 785 * 256 + 257 * 128 + 129 * 10
PARAMETERS = {
    "cnn": 421_642,
    "cnn-small": 225_034,
    "cnn-deep": 435_306,
    "cnn-enhanced": 1_915_626,
    "resnet": 484_010,
    "dense-baseline": 785 * 128 + 129 * 10,
    "dense-deeper": DEEPER,
    "dense-dropout": DEEPER,
    "dense-tuned": 785 * 512 + 513 * 256 + 257 * 128 + 129 * 10,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_model_has_its_size(name: str) -> None:
    """On MNIST's shape, counted from the weights themselves; the docstring says the same number."""
    from erroran.training.models import convolutional, dense

    model = build_model(name, (28, 28, 1), 10)
    assert sum(int(np.prod(weight.shape)) for weight in model.weights) == PARAMETERS[name]
    function = getattr(dense if "dense" in name else convolutional, name.replace("-", "_"))
    assert f"{PARAMETERS[name]:,} parameters" in function.__doc__
    assert find_model(name) == (name, None)


def test_probabilities_stay_float32_in_half_precision() -> None:
    """Whatever the precision of the rest; the size is the same."""
    from erroran.training.backend import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model("cnn", (28, 28, 1), 10)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[-1].compute_dtype == "float32"
    assert model.count_params() == PARAMETERS["cnn"]


@pytest.mark.parametrize(("name", "channels"), [*((name, 1) for name in ARCHITECTURES), ("cnn", 3), ("resnet", 3)])
def test_raw_images_in_probabilities_out(name: str, channels: int) -> None:
    """uint8 (N, H, W, C) gives float32 rows that sum to 1; scaling is inside. Height is not width."""
    model = build_model(name, (14, 12, channels), 3)
    images = np.random.default_rng(0).integers(0, 256, (5, 14, 12, channels), dtype=np.uint8)
    probabilities = np.asarray(model(images))
    assert model.input_shape == (None, 14, 12, channels)
    assert model.inputs[0].dtype == "uint8"
    assert (probabilities.shape, probabilities.dtype) == ((5, 3), np.dtype(np.float32))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert probabilities.min() >= 0


@pytest.mark.parametrize("name", ["cnn-small", "cnn-enhanced"])
def test_images_that_are_too_small_are_refused(name: str) -> None:
    """Unpadded convolutions leave nothing of 8 x 8."""
    with pytest.raises(BadInput, match=f"`{name}` cannot be built for images of 8 x 8"):
        build_model(name, (8, 8, 1), 10)


def test_scaling_happens_inside_once() -> None:
    """The first layer brings 255 to 1."""
    model = build_model("cnn", (8, 8, 1), 2)
    scaled = model.layers[0](np.full((1, 8, 8, 1), 255, dtype=np.uint8))
    assert float(np.max(scaled)) == pytest.approx(1)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    """By the cheap check and by the builder."""
    for refuse in (find_model, lambda name: build_model(name, (28, 28, 1), 10)):
        with pytest.raises(NotFound, match="There is no model `vgg`") as caught:
            refuse("vgg")
        assert caught.value.fix.startswith(f"--model with one of: {', '.join(ARCHITECTURES)}; or ")


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    """Found by file and function without running it; built from its text."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    name, source = find_model(f"{path}:build_fn")
    assert (name, source) == ("mine.py:build_fn", OWN)
    model = build_model(name, (8, 6, 1), 3, source=source)
    assert model.input_shape == (None, 8, 6, 1)
    assert model.count_params() == 49 * 3


@pytest.mark.parametrize(
    ("reference", "text", "error", "message"),
    [
        ("{}:nope", OWN, NotFound, "has no function `nope`: it has build_fn, logits, two, nothing, broken, leaves"),
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
        ("leaves", r"calls sys\.exit"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(function: str, message: str) -> None:
    """Before it is trained, with the file to edit."""
    with pytest.raises(BadInput, match=message) as caught:
        build_model(f"mine.py:{function}", (8, 8, 1), 3, source=OWN)
    assert "mine.py" in caught.value.fix


@pytest.mark.parametrize("function", ["build_fn", "unregistered", "subclassed"])
def test_a_model_that_can_be_loaded_again_is_accepted(function: str) -> None:
    """Also with layers that its code does not register with Keras."""
    check_model(f"mine.py:{function}", (8, 8, 1), 3, source=OWN)


def test_a_model_that_needs_float32_is_refused_in_half_precision() -> None:
    """It adds float32 to what the layer before gives; the fix names the option, and the policy is as it was."""
    from erroran.training.backend import keras

    source = f"{OWN}\n{FLOAT32_ONLY}"
    check_model("mine.py:float32_only", (8, 8, 1), 3, source=source)
    with pytest.raises(BadInput, match=r"`mine\.py:float32_only` fails for images") as caught:
        check_model("mine.py:float32_only", (8, 8, 1), 3, source=source, precision="mixed_bfloat16")
    assert caught.value.fix == "edit mine.py, or give --precision float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("function", ["lambda_layer", "no_config"])
def test_a_model_that_cannot_be_loaded_again_is_refused(function: str) -> None:
    """Before it trains, with what to write instead."""
    with pytest.raises(BadInput, match=f"`mine.py:{function}` could be trained but not be loaded again") as caught:
        check_model(f"mine.py:{function}", (8, 8, 1), 3, source=OWN)
    assert "replace each Lambda by a subclass of keras.layers.Layer" in caught.value.fix
    assert "get_config" in caught.value.fix


def test_what_a_model_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for JSON."""
    check_model("mine.py:talks", (8, 8, 1), 3, source=OWN)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "building" in printed.err


def test_code_that_exits_when_it_is_read_is_refused() -> None:
    """`sys.exit(0)` at the top level must not end the command as if it had succeeded."""
    with pytest.raises(BadInput, match=r"calls sys\.exit"):
        check_model("mine.py:build_fn", (8, 8, 1), 3, source=f"{OWN}\nsys.exit(0)\n")
    assert sys.stdout is not sys.stderr


def test_augmentation_in_the_model_acts_in_training_only() -> None:
    """Different twice in training, the bare model's own answer otherwise; the same seed gives the same images."""
    from erroran.experiment.recipe import RECIPES, InModelAugmentation
    from erroran.training.models.augmentation import augment_images, augmenting

    tenths = RECIPES["augmented"].in_model
    assert tenths is not None
    bare = build_model("cnn", (16, 16, 1), 3)
    model = augmenting(bare, tenths, input_shape=(16, 16, 1))
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
