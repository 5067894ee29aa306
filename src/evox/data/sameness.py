"""Sameness: whether what is read back is what was written, and if not, where it differs. Codecs ask at each write.

Values are compared by what they hold and not by what their classes call equal, which may be an id alone. What a class
keeps for itself (private attributes of models, attributes that are no fields) is no part of its data. No value is ever
in the answer: it may be a secret.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import BaseModel

__all__ = ["difference", "left_out", "state_difference"]

_ATOMS: Final = frozenset({str, int, float, bool, bytes, type(None), datetime, date, time, timedelta, UUID})
_NONE: Final = object()
_SHOWN: Final = 40  # characters of a key
_Compare: TypeAlias = Callable[[Any, Any], str | None]


def difference(left: Any, right: Any) -> str | None:
    """Return where what was written differs from what was read, as ``.lines.0: why``; None if it does not."""
    if left is right:
        return None
    kind = type(left)
    if kind in _ATOMS:
        return _others(left, right)
    alike = kind is type(right)
    compare = _SAME_KIND.get(kind)
    if compare is not None and alike:
        return compare(left, right)
    names = _names(kind)  # type: ignore[arg-type]  # a class can be hashed
    if names is not None:
        return _fields(left, right, names) if alike else _changed(left, right)
    for family, compare in _FAMILIES:
        if isinstance(left, family) and isinstance(right, family):
            return compare(left, right)
    return _others(left, right)


def left_out(given: Any, made: Any) -> str | None:
    """Return where a mapping held more than the one that was made of it."""
    if isinstance(given, dict) and isinstance(made, dict):
        if len(given) > len(made):
            extra = next((key for key in given if key not in made), "")
            return f": key {str(extra)[:_SHOWN]!r} is not in the type"
        pairs: Iterable[tuple[Any, Any]] = [(one, made[key]) for key, one in given.items() if key in made]
    elif isinstance(given, list | tuple) and isinstance(made, list | tuple):
        pairs = zip(given, made, strict=False)
    else:
        return None
    return next((found for one, other in pairs if (found := left_out(one, other)) is not None), None)


def state_difference(left: Any, right: Any, names: Iterable[str]) -> str | None:
    """Return where two objects of a plain class differ: in the named attributes, or any other that is public."""
    public = dict.fromkeys(names) | dict.fromkeys(name for name in getattr(left, "__dict__", ()) if name[:1] != "_")
    for name in public:
        found = difference(getattr(left, name, _NONE), getattr(right, name, _NONE))
        if found is not None:
            return f".{name}{found}"
    return None


@cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of a model or dataclass."""
    if issubclass(kind, BaseModel):
        return tuple(kind.__pydantic_fields__)
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else None


def _fields(left: Any, right: Any, names: tuple[str, ...]) -> str | None:
    for name in names:
        one, other = getattr(left, name, _NONE), getattr(right, name, _NONE)
        if one is other or (type(one) in _ATOMS and one == other):
            continue
        found = difference(one, other)
        if found is not None:
            return f".{name}{found}"
    return difference(left.__pydantic_extra__, right.__pydantic_extra__) if isinstance(left, BaseModel) else None


def _mappings(left: Any, right: Any) -> str | None:
    if len(left) != len(right):
        return ": it comes back with another number of keys"
    for key, one in left.items():
        other = right.get(key, _NONE)
        if one is other or (type(one) in _ATOMS and one == other):
            continue
        found = _changed(key, key) if other is _NONE else difference(one, other)
        if found is not None:
            return f".{str(key)[:_SHOWN]}{found}"
    return None


def _sequences(left: Any, right: Any) -> str | None:
    if len(left) != len(right):
        return ": it comes back with another length"
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if one is not other and not (type(one) in _ATOMS and one == other):
            found = difference(one, other)
            if found is not None:
                return f".{place}{found}"
    return None


def _sets(left: Any, right: Any) -> str | None:
    held = {one: one for one in right}
    if len(held) != len(left) or any(one not in held for one in left):
        return _changed(left, right)
    # what they call equal may still differ
    return next((found for one in left if (found := difference(one, held[one])) is not None), None)


def _others(left: Any, right: Any) -> str | None:
    """Compare objects as they compare themselves; those that do not, by what a copy of them would be made of."""
    alike = type(left) is type(right)
    if _is_aware(left) and _is_aware(right):  # Python calls no time in an hour that a zone has twice equal to another's
        left, right = left.astimezone(UTC), right.astimezone(UTC)
    try:
        if left == right or (left != left and right != right):  # noqa: PLR0124  NaN
            return None
        silent = alike and not any("__eq__" in vars(kind) for kind in type(left).__mro__[:-1])
    except Exception:  # noqa: BLE001  such as arrays, which compare item by item
        silent = alike
    if silent:
        try:
            if difference(_made_of(left), _made_of(right)) is None:
                return None
        except TypeError:  # nothing says what it is made of
            pass
    return _changed(left, right)


def _is_aware(value: Any) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def _made_of(value: Any) -> Any:
    made = value.__reduce_ex__(4)
    return made if isinstance(made, str) else [list(part) if hasattr(part, "__next__") else part for part in made]


def _changed(left: Any, right: Any) -> str:
    one, other = type(left).__name__, type(right).__name__
    if right is _NONE or left is _NONE:
        return ": it is lost"
    return ": it comes back changed" if one == other else f": {one} comes back as {other}"


_SAME_KIND: Final[dict[Any, _Compare]] = {list: _sequences, dict: _mappings, tuple: _sequences}
_FAMILIES: Final[tuple[tuple[Any, _Compare], ...]] = (
    (dict, _mappings),
    (list, _sequences),
    (tuple, _sequences),
    (deque, _sequences),
    ((set, frozenset), _sets),
)
