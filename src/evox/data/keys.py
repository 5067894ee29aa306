"""Keys: what may be one, and where a value lives.

A stored key is ``service/kind:key``. The kind keeps apart what was written without a type, under a type or name, the
answers of endpoints, and first answers by idempotency key, so that no read of one reaches another's.
"""

from datetime import date
from enum import Enum
from typing import Any, Final
from uuid import UUID

from evox.errors import InvalidKey

__all__ = [
    "ANSWERS",
    "FIRSTS",
    "LONGEST",
    "UNTYPED",
    "check",
    "check_tag",
    "key_of",
    "kind_guard",
    "kind_of",
    "place",
    "tag_guard",
]

LONGEST: Final = 1024  # bytes
UNTYPED: Final = "d"
ANSWERS: Final = "h"
FIRSTS: Final = "i"
_SHORT: Final = LONGEST // 4  # characters that fit whatever they are


def check(key: object, *, empty: bool = False) -> str:
    """Return a key that can be one. A member of an enum stands for its value, a text or an integer.

    Args:
        key: The key.
        empty: Whether it may be empty, as what keys begin with may.

    Raises:
        InvalidKey: if it is no text, empty, over 1 KiB, or holds what no backend can keep.
    """
    if type(key) is str and 0 < len(key) <= _SHORT and key.isascii() and "\0" not in key:
        return key
    if isinstance(key, Enum):
        key = _value_of(key)
    if not isinstance(key, str):
        raise InvalidKey(key, f"it is {type(key).__name__}, and a key is a text", fix='write f"user:{id}" or str(id)')
    if not key and not empty:
        raise InvalidKey(key, "it is empty", fix="name what is stored")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey(
            key, "it holds half a character (a lone surrogate)", fix="decode the text it came from"
        ) from None
    if size > LONGEST:
        raise InvalidKey(key, f"it takes {size} bytes, and {LONGEST} are allowed", fix="store under a hash of it")
    if "\0" in key:
        raise InvalidKey(key, "it holds a zero character", fix="leave it out")
    return str.__str__(key)  # the text itself, whatever a class derived from str makes of it


def check_tag(tag: object) -> str:
    """Return a tag that can be one: as a key, and on one line.

    Raises:
        InvalidKey: if it cannot.
    """
    name = check(tag)
    if "\n" in name:
        raise InvalidKey(name, "it holds a line break, and a tag is one line", fix="leave it out")
    return name


def key_of(value: Any, field: str) -> str:
    """Return the key that a value holds in its key field: an attribute, or an item of a mapping.

    Raises:
        InvalidKey: if it has no such field, or what is there cannot be a key.
    """
    found = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
    if found is None:
        why = f"{type(value).__name__} has no {field!r}, which is declared to hold its key"
        raise InvalidKey(found, why, fix=f"set {field!r}, or give the key: write(type, key, value)")
    if isinstance(found, Enum):
        found = _value_of(found)
    if isinstance(found, int | UUID | date) and not isinstance(found, bool):
        return str(found)
    return check(found)


def kind_of(name: str) -> str:
    """Return the kind of values stored under a type's or intent's name."""
    return f"t.{_text(name)}"


def place(service: str, kind: str) -> str:
    """Return what the stored keys of a kind begin with."""
    return f"{service}/{kind}:"


def tag_guard(service: str, tag: str) -> str:
    """Return the guard that is moved when a tag of a service is invalidated."""
    return f"{service}/tag:{_text(tag)}"


def kind_guard(service: str, kind: str) -> str:
    """Return the guard that is moved when keys of a kind are invalidated by prefix."""
    return f"{service}/in:{kind}"


def _value_of(member: Enum) -> object:
    """Return what a member of an enum stands for as a key."""
    value = member.value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text(name: str) -> str:
    return _value_of(name) if isinstance(name, Enum) else name  # type: ignore[return-value]  # checked by check_tag
