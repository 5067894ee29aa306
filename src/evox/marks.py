"""Marks: what decorators such as ``@Intent`` write on a function or class, and what route rows are compiled from.

Decorators may stand in any order, so none of them reads another's result: each leaves a mark, and the row is compiled
later, when the service is built or started. A mark that arrives after that would be lost; it is refused instead.
"""

import contextlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["mark", "marks", "seal"]

_ATTRIBUTE = "__evox_marks__"
_SEALED = "__evox_sealed__"
_NONE: Mapping[str, Any] = MappingProxyType({})


def mark(target: Any, key: str, value: Any, *, merge: Callable[[Any, Any], Any] | None = None) -> None:
    """Write one mark on a function or class.

    Args:
        target: The function or class being decorated.
        key: The mark's name, one for each kind of decorator.
        value: What it declares.
        merge: Called as ``merge(nearer, farther)`` when the mark is there already: decorators run from the bottom up,
            so the one already there stands nearer the function and wins where both speak.

    Raises:
        RuntimeError: if the function's row was compiled already, so that the mark could have no effect.
    """
    if _SEALED in _own(target):
        name = getattr(target, "__qualname__", repr(target))
        raise RuntimeError(
            f"@{key} on {name} comes too late: its endpoint was already compiled. Decorate it where it is defined."
        )
    own = dict(_own(target).get(_ATTRIBUTE, _NONE))
    own[key] = merge(own[key], value) if merge is not None and key in own else value
    setattr(target, _ATTRIBUTE, own)


def marks(target: Any) -> Mapping[str, Any]:
    """Return the marks on a function or class itself; what a base class carries is not looked at."""
    return MappingProxyType(_own(target).get(_ATTRIBUTE, _NONE))


def _own(target: Any) -> Mapping[str, Any]:
    return getattr(target, "__dict__", _NONE)


def seal(target: Any) -> None:
    """Refuse further marks on this function or class: its row has been compiled."""
    with contextlib.suppress(AttributeError):  # a bound method or builtin: it can take no marks either
        setattr(target, _SEALED, True)
