"""Import Keras and TensorFlow without their start-up messages.

Importing this module imports the backend: do it inside functions.
"""

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
    import tensorflow as tf
else:
    # TensorFlow warns of "retracing" whenever a process trains several models, which is intended here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _silent_stderr():
        import keras
        import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    # It only hands over the batches then, and must not take the memory of a GPU that the other backend uses.
    tf.config.set_visible_devices([], "GPU")

__all__ = ["keras", "tf"]
