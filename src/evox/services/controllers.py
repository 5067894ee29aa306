"""Class syntax: ``@Controller`` on a class, ``@GET`` ... on its methods.

The decorators leave marks; ``routes_of`` reads them, fills in the controller's defaults key by key, and gives the
same records that the function syntax gives.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from evox.errors import InvalidDeclaration, Place, place_of
from evox.marks import mark, marks
from evox.services.endpoint import Options, Route, methods_of, parse_options
from evox.services.functions import called_from, caller, make_route

__all__ = [
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
    "Controller",
    "ControllerSpec",
    "Verb",
    "controller_of",
    "definitions_of",
    "routes_of",
]

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ControllerSpec:
    """What ``@Controller`` says: a path prefix and the defaults of its methods."""

    prefix: str
    options: Options


class Controller:
    """Declare a class as a group of endpoints.

    Args:
        prefix: Path before each method's own, e.g. ``"/items"``.
        **options: Defaults for its methods: ``tags=``, ``version="v1"`` (mounts at ``/v1/items``), ``priority=``,
            ``cache=`` and every other endpoint option. A method overrides them key by key; tags are added up.

    Raises:
        UnknownOption: if neither Evox nor FastAPI knows an option.
        InvalidDeclaration: if a value does not fit.
    """

    def __init__(self, prefix: str = "", **options: Any) -> None:
        self._prefix = prefix.rstrip("/")
        self._options = options

    def __call__(self, target: C) -> C:
        """Mark the class."""
        on = f"@Controller({self._prefix!r})"
        if not inspect.isclass(target):
            raise InvalidDeclaration("target", target, on=on, why="it stands on a class", place=place_of(target))
        prefix = self._prefix if not self._prefix or self._prefix.startswith("/") else f"/{self._prefix}"
        mark(target, "Controller", ControllerSpec(prefix, parse_options(self._options, on=on, place=called_from())))
        return target


class Verb:
    """Declare a method of a controller for one or several HTTP methods; ``GET`` and the like are shorter."""

    methods: tuple[str, ...] = ()

    def __init__(self, path: str = "/", *, methods: Sequence[str] = (), **options: Any) -> None:
        self._path = path
        self._methods = methods_of(methods or self.methods or ("GET",), on=f"@{type(self).__name__}({path!r})")
        self._options = options

    def __call__(self, target: F) -> F:
        """Mark the method."""
        route = make_route(target, self._methods, self._path, self._options, by=f"@{type(self).__name__}")
        mark(target, "route", (route,), merge=lambda nearer, farther: (*nearer, *farther))
        return target


class GET(Verb):
    """Declare a GET method of a controller; options as for ``Service.endpoint``."""

    methods = ("GET",)


class POST(Verb):
    """Declare a POST method of a controller; options as for ``Service.endpoint``."""

    methods = ("POST",)


class PUT(Verb):
    """Declare a PUT method of a controller; options as for ``Service.endpoint``."""

    methods = ("PUT",)


class PATCH(Verb):
    """Declare a PATCH method of a controller; options as for ``Service.endpoint``."""

    methods = ("PATCH",)


class DELETE(Verb):
    """Declare a DELETE method of a controller; options as for ``Service.endpoint``."""

    methods = ("DELETE",)


class HEAD(Verb):
    """Declare a HEAD method of a controller; options as for ``Service.endpoint``."""

    methods = ("HEAD",)


class OPTIONS(Verb):
    """Declare an OPTIONS method of a controller; options as for ``Service.endpoint``."""

    methods = ("OPTIONS",)


def controller_of(target: Any) -> ControllerSpec:
    """Return what ``@Controller`` says of a class.

    Raises:
        InvalidDeclaration: if it is no controller.
    """
    spec: ControllerSpec | None = marks(target).get("Controller") if inspect.isclass(target) else None
    if spec is None:
        name = getattr(target, "__name__", repr(target))
        line = caller()
        place = Place(line.f_code.co_filename, line.f_lineno)
        why = 'it has no @Controller("/prefix") on it'
        raise InvalidDeclaration("controller", name, on="register_controller", why=why, place=place)
    return spec


def routes_of(target: type) -> Iterator[tuple[str, Callable[..., Any], Route, bool]]:
    """Yield the name of each method of a controller, the method, each of its routes, and whether it is bound.

    Base classes come first, in the order written. A method that overrides one with a route, and says nothing of routes
    itself, takes over the route.
    """
    members: dict[str, Any] = {}
    routes: dict[str, tuple[Route, ...]] = {}
    for base in reversed(target.__mro__):
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)
            if inspect.isfunction(function):
                members[name] = member
                routes[name] = marks(function).get("route") or marks(member).get("route") or routes.get(name, ())
            else:
                members.pop(name, None)
    for name, member in members.items():
        for route in routes[name]:
            yield name, getattr(member, "__func__", member), route, not isinstance(member, staticmethod)


def definitions_of(target: type, name: str) -> Iterator[Callable[..., Any]]:
    """Yield what a method of a controller is, and what it overrides, the nearest first."""
    for base in target.__mro__:
        member = vars(base).get(name)
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function):
            yield function
