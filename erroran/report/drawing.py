"""Figures that are drawn only when they are needed: a file that shows the same data already is kept.

A function with `@painter` notes its arguments and gives a `Drawing`. Its digest, of the data and the code that draws
them, is kept in the PNG file.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
_HEAD_BYTES = 4096  # of a PNG file, in which its texts stand


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn from plain data: arrays, numbers, texts, dataclasses, and containers of these."""

    draw: "Callable[[], Figure]"
    source: Path
    data: tuple[Any, ...]

    @property
    def digest(self) -> str:
        """32 hexadecimal digits, the same for the same picture."""
        content = hashlib.sha256(_digest_code(self.source).encode())
        _feed(content.update, self.data)
        return content.hexdigest()[:32]

    def is_shown_by(self, path: Path) -> bool:
        """Whether a file has this picture already."""
        try:
            with path.open("rb") as file:
                return self.digest.encode() in file.read(_HEAD_BYTES)
        except OSError:
            return False


class painter(Generic[P]):  # noqa: N801 - a decorator
    """Make a function that draws a figure give a `Drawing`; `draw` draws at once."""

    def __init__(self, function: "Callable[P, Figure]") -> None:
        self.function, self.__doc__, self.__name__ = function, function.__doc__, function.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Drawing:
        """Note the data."""
        source = Path(self.function.__code__.co_filename)
        return Drawing(lambda: self.draw(*args, **kwargs), source, (self.__name__, args, kwargs))

    def draw(self, *args: P.args, **kwargs: P.kwargs) -> "Figure":
        """Draw the figure."""
        from matplotlib import rc_context

        from erroran.report.figures import STYLE

        with rc_context(STYLE):
            return self.function(*args, **kwargs)


@cache
def _digest_code(source: Path) -> str:
    """Digest of what decides how data are drawn."""
    versions = [version(package) for package in ("matplotlib", "numpy", "pillow", "seaborn")]
    code = source.read_bytes() + Path(__file__).with_name("figures.py").read_bytes()
    return hashlib.sha256(code + repr(versions).encode()).hexdigest()


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    """Give the content of a value to a hash, with types and lengths, so that different values differ."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        update(f"{value.dtype.str}{value.shape}".encode())
        update(value.tobytes())
    elif isinstance(value, Mapping):
        _feed(update, list(value.items()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        update(f"[{len(value)}]".encode())
        for part in value:
            _feed(update, part)
    elif hasattr(value, "__dict__") and not callable(value):
        update(type(value).__name__.encode())
        _feed(update, vars(value))
    else:
        text = repr(value)
        update(f"{len(text)}:{text}".encode())
