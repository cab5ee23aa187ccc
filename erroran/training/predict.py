"""Predictions of stored models, and how long they take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erroran.errors import ErroranError


@dataclass(frozen=True)
class Latency:
    """How long predicting takes on this machine.

    Attributes:
        predict_ms: One image through ``model.predict``, median, milliseconds.
        call_ms: One image through ``model(image)``, which skips what ``predict`` sets up for batches; median.
        images_per_second: In batches as large as `predict` takes.
    """

    predict_ms: float
    call_ms: float
    images_per_second: float


def predict_with(model_file: Path, images: np.ndarray, *, source: str | None = None) -> np.ndarray:
    """Predict images with a stored model.

    Args:
        model_file: A run's ``model.keras``.
        images: uint8 (N, H, W, C), of the shape that it was trained on.
        source: Code of a user's own model, from the store, which has checked its digest. No other code is executed.

    Returns:
        float32 (N, n_classes).

    Raises:
        ErroranError: The file is missing or damaged.
    """
    with _loaded(model_file, source) as model:
        return predict(model, images)


def measure_latency(model_file: Path, images: np.ndarray, *, source: str | None = None, repeats: int = 30) -> Latency:
    """Time a stored model on this machine, after warming it up.

    Args:
        model_file: A run's ``model.keras``.
        images: uint8 (N, H, W, C), to be predicted together, and the first of them alone.
        source: As for `predict_with`.
        repeats: How often the single image is predicted, each way.

    Raises:
        ErroranError: The file is missing or damaged.
    """
    one = images[:1]
    with _loaded(model_file, source) as model:
        predict(model, images)
        return Latency(
            predict_ms=1000 * _median_seconds(lambda: model.predict(one, verbose=0), repeats),
            call_ms=1000 * _median_seconds(lambda: np.asarray(model(one, training=False)), repeats),
            images_per_second=len(images) / _seconds(lambda: predict(model, images)),
        )


def predict(model: Any, images: np.ndarray) -> np.ndarray:
    """Predict images with a Keras model.

    Args:
        model: From uint8 images to probabilities.
        images: uint8 (N, H, W, C).

    Returns:
        float32 (N, n_classes).
    """
    from erroran.training.batches import evaluation_batch_size

    # Keras' own loop over an array waits for a tick of TensorFlow's autotuner, up to seconds, when the images end.
    size = evaluation_batch_size(images.shape[1:])
    parts = [model.predict_on_batch(images[start : start + size]) for start in range(0, len(images), size)]
    return np.concatenate(parts, dtype=np.float32)


@contextmanager
def _loaded(model_file: Path, source: str | None) -> Iterator[Any]:
    from erroran.training.backend import keras
    from erroran.training.models import own

    keras.backend.clear_session()
    with own.guarded():
        try:
            model = own.read_model(model_file, source)
        except Exception as error:  # what a damaged zip, HDF5 or JSON raises has no common class
            raise ErroranError(
                f"The model {model_file} cannot be read: {own.one_line(error)}.",
                fix=f"erroran runs remove {model_file.parent.name}, then repeat `erroran baseline`",
            ) from error
        yield model


def _median_seconds(call: Callable[[], object], repeats: int) -> float:
    return float(np.median([_seconds(call) for _ in range(repeats + 3)][3:]))


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
