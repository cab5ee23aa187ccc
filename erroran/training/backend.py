"""Import Keras without its noise. Whoever imports this module pays for TensorFlow: import it late."""

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
    # Its Python side warns of "retracing" whenever a process trains several models, as ours does on purpose.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _silent_stderr():
        import keras

__all__ = ["keras"]
