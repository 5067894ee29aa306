"""Identity: the whole state of a value as plain JSON, so that two values that differ anywhere give two keys.

What is made for sending leaves things out: secrets become stars, excluded fields are gone. Whose answer it is may be
told by just those. So nothing is left out here, and what has no state that can be seen is refused.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import to_json

__all__ = ["state_of"]

_PLAIN: Final = (bool, int, float, str)
_TEXTS: Final = (datetime, date, time, timedelta, Decimal, UUID, PurePath)
_BUILT_IN: Final = frozenset({bytes, bytearray, dict, set, frozenset, list, tuple, *_TEXTS})
_STATELESS: Final = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
_MAPPER: Final = "_sa_"  # what SQLAlchemy keeps in its objects is not theirs


def state_of(value: Any) -> Any:
    """Return a value's state as JSON values.

    Raises:
        ValueError: if it has none that can be seen, or contains itself.
    """
    try:
        return _state(value)
    except RecursionError:
        raise ValueError(f"{type(value).__name__} contains itself") from None


def _state(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return [_name(value), value.name]
    content = _content(value)
    if kind in _BUILT_IN or isinstance(value, SecretStr | SecretBytes | Secret):
        return content
    attributes = _attributes(value)
    if content is None and not attributes:
        raise ValueError(f"{kind.__name__} shows no state by which one could be told from another")
    return [_name(value), content, [[name, _state(item)] for name, item in sorted(attributes.items())]]


def _content(value: Any) -> Any:  # noqa: PLR0911  one for each kind of value
    """Return what a value holds beside its attributes: items, a text, a number; None if it is of no such kind."""
    if isinstance(value, SecretStr | SecretBytes | Secret):
        return ["secret", _state(value.get_secret_value())]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, _TEXTS):
        return ["text", _name(value), str(value)]
    if isinstance(value, Mapping):
        return ["map", sorted(([_state(key), _state(item)] for key, item in value.items()), key=to_json)]
    if isinstance(value, AbstractSet):
        return ["set", sorted((_state(item) for item in value), key=to_json)]
    if isinstance(value, list | tuple):
        return [_state(item) for item in value]
    return next((["plain", plain(value)] for plain in (int, float, str) if isinstance(value, plain)), None)


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, _STATELESS):
        raise ValueError(f"{value!r:.80} tells nobody from anybody")  # noqa: TRY004  one error for all of them
    found: dict[str, Any] = {}
    if isinstance(value, BaseModel):
        found |= value.__pydantic_private__ or {}
        found |= value.__pydantic_extra__ or {}
    if dataclasses.is_dataclass(value):
        found |= {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for kind in type(value).__mro__:
        for name in _slots(kind):
            if hasattr(value, name):
                found[name] = getattr(value, name)
    found |= {name: item for name, item in getattr(value, "__dict__", {}).items() if not name.startswith(_MAPPER)}
    identity = getattr(getattr(value, "_sa_instance_state", None), "key", None)
    if identity is not None:  # of a row: what a session has committed is no longer in its object
        found["_sa_identity"] = identity[1]
    return found


def _slots(kind: type) -> Iterator[str]:
    """Yield the attributes that a class keeps outside of ``__dict__``, as they are called from outside of it."""
    slots = kind.__dict__.get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name.startswith("__") and name.endswith("__"):
            continue  # __dict__ and __weakref__, and what pydantic keeps there
        yield f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name


def _name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
