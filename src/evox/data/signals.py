"""Signals: what happened to data, told to functions that asked. The types themselves know nothing of it.

A handler runs as a job of the service that made the change: after the change, beside the request, drained and seen
when it fails. Only what a service changes itself is told, in the process that changed it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from evox.data.declaring import NamedIntent
from evox.errors import InvalidDeclaration, place_of

__all__ = ["Action", "DataEvent", "Signals", "registered"]

Action: TypeAlias = Literal["written", "deleted", "invalidated"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class DataEvent:
    """One change.

    Attributes:
        action: ``"written"``, ``"deleted"`` or ``"invalidated"``.
        of: The type, the name of a named intent, or None for what has neither.
        key: The key; None when many were invalidated.
        value: What was written, made anew for each handler; None otherwise.
        prefix: What the keys that were invalidated begin with.
        tag: The tag that was invalidated.
    """

    action: Action
    of: Any = None
    key: str | None = None
    value: Any = None
    prefix: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class _Handler:
    action: Action
    of: Any
    function: Callable[[DataEvent], Any]


class Signals:
    """Functions that want to know, in the order in which they asked."""

    def __init__(self) -> None:
        self._handlers: list[_Handler] = []

    def __repr__(self) -> str:
        return f"<Signals to {len(self._handlers)} handlers>"

    def on(self, action: Action, of: Any = None) -> Callable[[F], F]:
        """Call a function with each ``DataEvent`` of one action.

        Args:
            action: ``"written"``, ``"deleted"`` or ``"invalidated"``.
            of: A type, a named intent or its name; every change when left out.

        Raises:
            InvalidDeclaration: if there is no such action.
        """

        def register(function: F) -> F:
            if action not in get_args(Action):
                why = f"it is one of {', '.join(map(repr, get_args(Action)))}"
                raise InvalidDeclaration("action", action, on="data_io.on", why=why, place=place_of(function))
            target = of.name if isinstance(of, NamedIntent) else of
            self._handlers.append(_Handler(action, target, function))
            return function

        return register

    def wanted(self, action: Action, of: Any) -> list[Callable[[DataEvent], Any]]:
        """Return who wants to know of an action on a type, a name or None."""
        return [
            one.function
            for one in self._handlers
            # by equality: list[int] is made anew wherever it is written
            if one.action == action and (one.of is None or one.of is of or one.of == of)
        ]


registered = Signals()  # what modules declare when they are imported
