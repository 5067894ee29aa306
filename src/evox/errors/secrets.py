"""Secrets: what is taken out of every text and value before it is shown. Called by errors, failures and logs.

A value is walked as far as it holds other values, within bounds; everything else becomes a text, which is looked
through as any text. What a value raises when it is looked at changes nothing but how it is shown.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import islice
from typing import Any, Final

from evox.errors.masking import LONGEST, MASK, masked, masked_line, masked_value, remember
from evox.errors.shapes import is_secret_name

__all__ = ["is_secret_name", "masked", "masked_line", "masked_value", "redacted", "remember"]

DEPTH: Final = 12
VALUES: Final = 2000
_MORE: Final = "..."
_LARGEST: Final = 2**63


def redacted(value: Any) -> Any:
    """Return a value as JSON-able data with secrets as ``"***"``.

    Secrets are known by the names of keys and fields, by type (``SecretStr``, fields that a repr leaves out), and by
    what texts look like. Bytes are shown by their number. At most 12 levels and 2,000 values are shown.

    Args:
        value: Anything: mappings, sequences, dataclasses, models, and whatever is in them; cycles are cut.
    """
    return _Walk().walk(value)


class _Walk:
    """One walk through one value.

    Attributes:
        values: How many may still be shown.
        room: How many characters may still be shown.
    """

    def __init__(self) -> None:
        self.values = VALUES
        self.room = 2 * LONGEST
        self._above: set[int] = set()

    def walk(self, value: Any) -> Any:
        self.values -= 1
        if self.values < 0:
            return _MORE
        try:
            return self._known(value)
        except Exception:  # noqa: BLE001  it is the user's, and may raise whatever it likes
            return f"<{type(value).__name__} that cannot be shown>"

    def _known(self, value: Any) -> Any:
        if value is None or type(value) is bool:
            return value
        if isinstance(value, Enum):
            return self.walk(value.value)
        if isinstance(value, int | float):
            return _number(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        return MASK if hasattr(type(value), "get_secret_value") else self._holder(value)

    def _holder(self, value: Any) -> Any:
        fields = _fields_of(value)
        if fields is None and not isinstance(value, Sequence | AbstractSet):
            return self._text(_said(value))
        if id(value) in self._above or len(self._above) >= DEPTH:
            return _MORE
        self._above.add(id(value))
        try:
            return self._list(value) if fields is None else self._mapping(fields)
        finally:
            self._above.discard(id(value))

    def _text(self, text: str) -> str:
        if self.room <= 0:
            return _MORE
        shown = masked(text if type(text) is str else str.__str__(text))
        self.room -= min(len(text), LONGEST)
        return shown

    def _mapping(self, fields: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in islice(fields, max(0, self.values)):
            name = key.decode("latin-1") if isinstance(key, bytes) else key if isinstance(key, str) else _said(key)
            hides = is_secret_name(name) and value is not None and type(value) is not bool
            shown[self._text(name)] = MASK if hides else self.walk(value)
            if self.values <= 0:
                shown[_MORE] = _MORE
                break
        return shown

    def _list(self, values: Iterable[Any]) -> list[Any]:
        if isinstance(values, list | tuple) and len(values) == 2 and isinstance(values[0], str | bytes):
            name = values[0].decode("latin-1") if isinstance(values[0], bytes) else values[0]
            if is_secret_name(name) and isinstance(values[1], str | bytes):
                return [self._text(name), MASK]  # a header, or one of the items of a mapping
        shown = []
        for value in values:
            shown.append(self.walk(value))
            if self.values <= 0:
                break
        return shown


def _fields_of(value: Any) -> Iterator[tuple[Any, Any]] | None:
    """Return names and values of what has some: a mapping, a dataclass, a model, a named tuple; else None."""
    kind = type(value)
    if kind is type or isinstance(value, type):
        return None
    if isinstance(value, Mapping):
        return iter(value.items())
    declared = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "model_fields", None)
    if isinstance(declared, Mapping):
        more = getattr(value, "__pydantic_extra__", None) or {}
        return iter([*((name, _field(value, name, one)) for name, one in declared.items()), *more.items()])
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return iter(zip(kind._fields, value, strict=False))
    return None


def _field(value: Any, name: str, declared: Any) -> Any:
    if not getattr(declared, "repr", True):
        return MASK  # its own repr does not show it either
    return getattr(value, name, None)


def _number(value: float) -> int | float | str:
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST else hex(value)[:64]
    return float(value) if math.isfinite(value) else str(float(value))


def _said(value: Any) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value)
