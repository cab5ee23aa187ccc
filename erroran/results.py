"""`Result`, the base class of what stages return: a frozen model whose JSON is its fields."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """Result of a stage.

    Fields that do not belong in the JSON (images, arrays of probabilities) are declared with ``Field(exclude=True)``;
    properties that do belong in it with ``computed_field``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain dicts, lists, strings, booleans, finite numbers and None (for NaN and infinity)."""
        plain = to_plain(self.model_dump())
        assert isinstance(plain, dict)
        return plain


def to_plain(value: Any) -> Any:  # noqa: PLR0911 - one return for each type
    """Convert models, dataclasses, arrays, collections and NumPy scalars to types that `json.dumps` accepts."""
    if isinstance(value, Result):
        return value.to_json()
    if isinstance(value, BaseModel):
        return to_plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy array or scalar
        return to_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
