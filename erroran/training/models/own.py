"""Users' own models: ``build_fn((height, width, channels), n_classes) -> keras.Model``. Imports Keras."""

import contextlib
import hashlib
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from erroran.errors import BadInput
from erroran.training.backend import keras


def build(name: str, source: str, input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Run the user's function and check what it returns.

    Args:
        name: ``file.py:function``.
        source: The file's text. It runs alone: modules beside the file cannot be imported.
        input_shape: (H, W, C) of raw uint8 images.
        n_classes: Number of classes.

    Raises:
        BadInput: The code fails, or what it returns does not map uint8 (N, H, W, C) to rows of n_classes
            probabilities.
    """
    file_name, _, function = name.rpartition(":")
    edit = f"edit {file_name}"
    if keras.config.dtype_policy().name != "float32":
        edit += ", or give --precision float32"
    try:
        with guarded(name):
            model = getattr(_run(source), function)(input_shape, n_classes)
            rows = np.asarray(model(_two_images(input_shape))) if isinstance(model, keras.Model) else None
    except BadInput:
        raise
    except Exception as error:  # a user's code may raise anything
        raise BadInput(f"`{name}` fails for images of shape {input_shape}: {one_line(error)}.", fix=edit) from error
    if rows is None:
        raise BadInput(f"`{name}` returns a {type(model).__name__}, not a keras.Model.", fix=edit)
    if rows.shape != (2, n_classes):
        raise BadInput(
            f"`{name}` gives outputs of shape {rows.shape} for 2 images and {n_classes} classes.",
            fix=f"end it with Dense(n_classes, activation='softmax') in {file_name}",
        )
    if not (rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1).max() < 0.02):
        raise BadInput(
            f"The outputs of `{name}` are no probabilities: a row sums to {float(rows[0].sum()):.3g}.",
            fix=f"end it with a softmax in {file_name}",
        )
    return model


def check_loads_again(name: str, source: str, model: keras.Model, input_shape: tuple[int, ...]) -> None:
    """Save a model and load it again.

    Args:
        name: ``file.py:function``.
        source: The file's text.
        model: From `build`.
        input_shape: (H, W, C).

    Raises:
        BadInput: The model cannot be saved or loaded, or the loaded model gives other outputs.
    """
    images = _two_images(input_shape)
    try:
        with guarded(name), tempfile.TemporaryDirectory() as folder:
            before = np.asarray(model(images, training=False))
            file = Path(folder) / "model.keras"
            model.save(file)
            after = np.asarray(read_model(file, source)(images, training=False))
        if np.allclose(before, after, atol=1e-5):
            return
        reason = "the loaded model gives other outputs"
    except Exception as error:  # noqa: BLE001 - Keras and the user's layers may raise anything
        reason = one_line(error)
    raise BadInput(
        f"The model `{name}` could be trained but not be loaded again: {reason}.",
        fix=f"in {name.rpartition(':')[0]} replace each Lambda by a subclass of keras.layers.Layer, and give every "
        "class of your own a get_config() that returns the arguments of its __init__",
    )


def read_model(file: Path, source: str | None) -> keras.Model:
    """Load a ``.keras`` file without compiling it.

    Args:
        file: The file.
        source: Code that defines the user's own classes and functions in the file.

    Raises:
        Exception: Whatever Keras raises for a file that it cannot read.
    """
    module = types.ModuleType("none") if source is None else _run(source)
    known = {name: value for name, value in vars(module).items() if callable(value)}
    return keras.models.load_model(file, custom_objects=known, compile=False)


def one_line(error: BaseException) -> str:
    """The kind of an exception and the first sentence of its message, without a full stop."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return f"{type(error).__name__}: {first.rstrip('.') or 'no message'}"


@contextlib.contextmanager
def guarded(name: str = "the model") -> Iterator[None]:
    """Run a user's code: what it prints goes to stderr, and ``sys.exit`` is an error.

    Args:
        name: ``file.py:function``, for the message.

    Raises:
        BadInput: The code calls ``sys.exit``.
    """
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except SystemExit as error:
            file_name = name.rpartition(":")[0] or "its file"
            raise BadInput(f"The code of {name} calls sys.exit().", fix=f"remove the call from {file_name}") from error


def _run(source: str) -> types.ModuleType:
    """Run the text as a module, which also registers the layers that it defines with Keras."""
    # Keras looks up the module of a class when it saves a model. The same text gives the same name.
    name = f"erroran_own_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - running the user's code is the purpose
    return module


def _two_images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
