"""Endpoint: the one frozen row that every syntax compiles to, and the options that decorators accept.

A row says what was declared and nothing about how it is served; the pipeline, the HTTP routes and (later) the proxy
all read the same row. Two rows are equal when they declare the same, whatever syntax they were written in.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from fastapi import APIRouter

from evox.auth import Requirement
from evox.data import Intent
from evox.durations import seconds
from evox.errors import InvalidDeclaration, Place, UnknownOption
from evox.scheduling import Priority

__all__ = ["Endpoint", "OnDisconnect", "Options", "Parameter", "Route", "parse_options"]

OnDisconnect: TypeAlias = Literal["cancel", "finish"]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

_DURATIONS: Final = ("cache", "max_stale", "timeout", "idempotency")
_OWN: Final = frozenset(
    {
        "priority",
        "cache",
        "fallback",
        "max_stale",
        "timeout",
        "idempotent",
        "idempotency",
        "on_disconnect",
        "private",
        "version",
    }
)
_FASTAPI: Final = frozenset(inspect.signature(APIRouter.add_api_route).parameters) - {
    "self",
    "path",
    "endpoint",
    "methods",
    "route_class_override",
}
Options: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handler, comparable across syntaxes. ``default`` is its text, as written in a signature."""

    name: str
    annotation: Any
    default: str
    keyword_only: bool


@dataclass(frozen=True, slots=True)
class Route:
    """What one route decorator says, before it is compiled: methods, path and validated options."""

    methods: tuple[str, ...]
    path: str
    options: Options = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a service.

    Attributes:
        name: The handler's name; the proxy calls it by this.
        path: Full path template below the service, e.g. ``"/v1/items/{item_id}"``.
        methods: HTTP methods it answers, in the order they were declared.
        priority: Level of admission.
        intent: Declared data behaviour, merged from controller and handler; None when nothing was declared.
        cache: Seconds an answer is fresh, None for not cached.
        fallback: ``"aggressive"`` or None.
        max_stale: Seconds past ``cache`` that a stale answer may be served.
        timeout: Seconds a call may take, None for no limit of its own.
        idempotent: Whether repeating the call is harmless; None: by its method.
        idempotency: Seconds for which the first answer to each ``Idempotency-Key`` is kept; None for not at all.
        on_disconnect: What happens to the handler when its client leaves; None: by its method.
        private: For internal callers only.
        requirement: What a caller must be, merged from controller and handler; None when nothing was declared.
        both_slashes: Whether the path answers with and without a trailing slash.
        parameters: The handler's parameters, without ``self``.
        returns: The return annotation.
        options: FastAPI's own options.
        handler: The function itself.
        controller: The class it is a method of, or None.
        place: Where it was written.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    priority: Priority = Priority.MEDIUM
    intent: Intent | None = None
    cache: float | None = None
    fallback: Literal["aggressive"] | None = None
    max_stale: float | None = None
    timeout: float | None = None
    idempotent: bool | None = None
    idempotency: float | None = None
    on_disconnect: OnDisconnect | None = None
    private: bool = False
    requirement: Requirement | None = None
    both_slashes: bool = field(default=False, compare=False)
    parameters: tuple[Parameter, ...] = ()
    returns: Any = inspect.Signature.empty
    options: Options = field(default_factory=lambda: MappingProxyType({}))
    handler: Callable[..., Any] = field(compare=False, kw_only=True, repr=False)
    controller: type | None = field(default=None, compare=False, kw_only=True, repr=False)
    signature: inspect.Signature = field(compare=False, kw_only=True, repr=False)
    place: Place | None = field(default=None, compare=False, kw_only=True, repr=False)

    def __hash__(self) -> int:
        return hash((self.name, self.path, self.methods))

    @property
    def is_stream(self) -> bool:
        """Whether its handler is a generator, whose answer comes in parts."""
        return inspect.isgeneratorfunction(self.handler) or inspect.isasyncgenfunction(self.handler)


def parse_options(given: Options, *, on: str, place: Place | None = None) -> Options:
    """Check a route decorator's options and bring them into their final form.

    Args:
        given: Keyword arguments as written.
        on: The decorator and what it stands on, for errors, e.g. ``"@svc.get('/users')"``.
        place: The user's line.

    Returns:
        The same names; durations in seconds, ``priority`` as ``Priority``. FastAPI's own options are passed through.

    Raises:
        UnknownOption: if neither Evox nor FastAPI knows a name.
        InvalidDeclaration: if a value does not fit.
    """
    parsed: dict[str, Any] = {}
    for name, value in given.items():
        if name in _OWN:
            parsed[name] = None if value is None else _own(name, value, on, place)
        elif name in _FASTAPI:
            parsed[name] = value
        else:
            raise UnknownOption(name, source=on, known=_OWN | _FASTAPI, place=place)
    return MappingProxyType(parsed)


def _own(name: str, value: Any, on: str, place: Place | None) -> Any:
    try:
        if name in _DURATIONS:
            return _positive(value)
        if name == "priority":
            return Priority.parse(value)
        return _checked(name, value)
    except ValueError as error:
        raise InvalidDeclaration(name, value, on=on, why=str(error), place=place) from None


def _positive(value: Any) -> float:
    result = seconds(value)
    if result == 0:
        raise ValueError("it must be longer than zero; leave it out to switch it off")
    return result


def _checked(name: str, value: Any) -> Any:
    accepted: dict[str, tuple[Any, ...]] = {
        "fallback": ("aggressive",),
        "on_disconnect": ("cancel", "finish"),
        "idempotent": (True, False),
        "private": (True, False),
    }
    if name in accepted and not any(value is one or (isinstance(one, str) and value == one) for one in accepted[name]):
        raise ValueError(f"it is one of {', '.join(map(repr, accepted[name]))}")
    if name == "version" and not (isinstance(value, str) and value.strip("/")):
        raise ValueError('it is a text such as "v1"')
    return value


def methods_of(methods: Sequence[str], *, on: str, place: Place | None = None) -> tuple[str, ...]:
    """Bring a list of HTTP methods into its final form: upper case, each once.

    Raises:
        InvalidDeclaration: if there is none, or one is not an HTTP method.
    """
    given = (methods,) if isinstance(methods, str) else tuple(methods)
    upper = tuple(dict.fromkeys(str(one).upper() for one in given))
    if not upper or any(one not in METHODS for one in upper):
        why = f"methods are {', '.join(METHODS)}"
        raise InvalidDeclaration("methods", list(given), on=on, why=why, place=place)
    return upper
