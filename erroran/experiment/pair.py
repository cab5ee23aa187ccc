"""A directed pair of classes: images of one class that a model predicts as another."""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from erroran.errors import BadInput, NotFound

_MOST_LISTED = 20
_MOST_SHOWN = 60


@dataclass(frozen=True)
class Pair:
    """Images of class `true` that are predicted as class `predicted`; printed as ``4:9``.

    In specs and JSON a pair is the text ``"4:9"``, or ``["a:b", "c"]`` if a name contains a colon.

    Attributes:
        true: Name of the true class.
        predicted: Name of the predicted class.
    """

    true: str
    predicted: str

    @classmethod
    def parse(cls, text: object, class_names: Sequence[str] | None = None) -> Self:
        """Read a pair.

        Args:
            text: ``"4:9"``, ``"4to9"`` (only with `class_names`), a sequence of two names, or a `Pair`.
            class_names: The classes of the dataset. If given, the text is split at any colon or ``to`` between two of
                them.

        Raises:
            BadInput: The text does not name two different classes, or is ambiguous.
            NotFound: `class_names` lacks one of the two.
        """
        ways = list(dict.fromkeys(_ways(text, class_names)))
        different = [way for way in ways if way[0] and way[1] and way[0] != way[1]]
        if not different:
            raise BadInput(
                f"`{_as_text(text)}` does not name two different classes.",
                fix="write the true class, a colon and the predicted class, as in 4:9",
            )
        known = [way for way in different if class_names is None or set(way) <= set(class_names)]
        if class_names is not None and not known:
            raise _unknown(text, different[0], class_names)
        if len(known) > 1:
            raise BadInput(
                f"`{_as_text(text)}` can be read as {' and as '.join(f'{a!r}, {b!r}' for a, b in known)}.",
                fix=f"in a spec write pair = {json.dumps(known[0], ensure_ascii=False)}",
            )
        return cls(*known[0])

    def __str__(self) -> str:
        return f"{self.true}:{self.predicted}"

    def as_plain(self) -> str | list[str]:
        """The form in specs and JSON: the text, or the two names where the text is ambiguous."""
        try:
            if Pair.parse(str(self)) == self:
                return str(self)
        except BadInput:
            pass
        return [self.true, self.predicted]

    @property
    def classes(self) -> tuple[str, str]:
        """The two names, true class first."""
        return self.true, self.predicted

    @property
    def reverse(self) -> "Pair":
        """The pair in the other direction."""
        return Pair(self.predicted, self.true)

    @property
    def slug(self) -> str:
        """A file name for the pair, such as ``4to9``: ASCII letters, digits and dashes, unique by a checksum."""
        return f"{_slug(self.true)}to{_slug(self.predicted)}"

    def indices(self, class_names: Sequence[str]) -> tuple[int, int]:
        """Positions of the two classes in `class_names`.

        Raises:
            NotFound: A class is missing there.
        """
        names = list(class_names)
        if self.true not in names or self.predicted not in names:
            raise _unknown(str(self), (self.true, self.predicted), class_names)
        return names.index(self.true), names.index(self.predicted)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read by `parse`, write by `as_plain`."""
        del source, handler

        def validate(value: object) -> Pair:
            try:
                return cls.parse(value)
            except BadInput as error:
                raise ValueError(f"{error.message.rstrip('.')}; {error.fix}") from error

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(Pair.as_plain)
        )


def _ways(text: object, class_names: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Every way to split the text in two names."""
    if isinstance(text, Pair):
        yield text.classes
    elif isinstance(text, list | tuple) and len(text) == 2:
        yield str(text[0]), str(text[1])
    elif isinstance(text, str):
        separator = ":" if class_names is None or ":" in text else "to"
        for match in re.finditer(f"(?={separator})", text):
            yield text[: match.start()].strip(), text[match.start() + len(separator) :].strip()


def _unknown(text: object, way: tuple[str, str], class_names: Sequence[str]) -> NotFound:
    import difflib

    missing = next(name for name in way if name not in class_names)
    close = difflib.get_close_matches(missing, class_names, n=1)
    listed = ", ".join(class_names[:_MOST_LISTED]) + (", ..." if len(class_names) > _MOST_LISTED else "")
    return NotFound(
        f"The pair `{_as_text(text)}` names class `{missing}`, which is not among the classes ({listed}).",
        fix=f"did you mean `{close[0]}`?" if close else "name two of these classes, as in A:B",
    )


def _as_text(text: object) -> str:
    plain = ":".join(map(str, text)) if isinstance(text, list | tuple) else str(text)
    return plain if len(plain) <= _MOST_SHOWN else f"{plain[:_MOST_SHOWN]}..."


def _slug(name: str) -> str:
    short = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    return short if short == name else f"{short or 'class'}-{zlib.crc32(name.encode()):08x}"
