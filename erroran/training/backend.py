"""Import Keras without its start-up messages. Importing this module imports the backend: do it inside functions."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _silent_stderr() -> Iterator[None]:
    # TensorFlow's C++ start-up messages ignore Python's logging and, until it is set up, its own log level.
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed: nothing to silence
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.get("ERRORAN_DEBUG") == "1":
    import keras
else:
    # TensorFlow warns of "retracing" whenever a process trains several models, which is intended here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _silent_stderr():
        import keras

__all__ = ["describe_device", "keras"]


def describe_device() -> dict[str, str]:
    """What a training in this process runs on: ``device``, ``threads`` (of one operation) and ``precision``."""
    devices = sorted({name.partition(":")[0] for name in keras.distribution.list_devices()})
    return {
        "device": ", ".join(device for device in devices if device != "cpu" or len(devices) == 1),
        "threads": str(_threads()),
        "precision": keras.config.dtype_policy().name,
    }


def _threads() -> int:
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
        if chosen:
            return chosen
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
