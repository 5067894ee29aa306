"""Function syntax: ``@svc.endpoint``, ``@svc.get`` ... and the module-level ``@get`` ...

Decorators only record. A row is compiled when the service's app is first needed, so decorators may stand in any
order. A module-level endpoint belongs to the one service of its module, created before or after it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from evox.errors import LateDeclaration, Place, place_of
from evox.services.endpoint import Route, methods_of, parse_options

__all__ = ["Declared", "Endpoints", "delete", "get", "head", "options", "patch", "pending", "post", "put"]

F = TypeVar("F", bound=Callable[..., Any])
_PENDING = "__evox_endpoints__"


@dataclass(frozen=True, slots=True)
class Declared:
    """A recorded endpoint: a function with its route, or a whole controller class without one."""

    target: Any
    route: Route | None
    place: Place | None


def make_route(target: Any, methods: Sequence[str], path: str, given: dict[str, Any], *, by: str) -> Route:
    """Check what a route decorator was given.

    Raises:
        UnknownOption, InvalidDeclaration: if a name or value does not fit.
    """
    place, on = place_of(target), f"{by}({path!r})"
    return Route(methods_of(methods, on=on, place=place), _path(path), parse_options(given, on=on, place=place))


def _path(path: str) -> str:
    return path if path.startswith("/") or not path else f"/{path}"


class Endpoints:
    """Records endpoints. A mixin of ``Service``."""

    name: str
    _started: bool

    def __init__(self) -> None:
        self.declared: list[Declared] = []

    def endpoint(self, path: str, *, methods: Sequence[str] = ("GET",), **options: Any) -> Callable[[F], F]:
        """Declare one handler for one or several methods on a path.

        Args:
            path: Path template below the service, e.g. ``"/{user_id}"``.
            methods: HTTP methods; a handler of several asks for ``method: Method`` to learn which was called.
            **options: ``priority=``, ``cache=``, ``fallback=``, ``max_stale=``, ``timeout=``, ``idempotent=``,
                ``idempotency=``, ``on_disconnect=``, ``private=``, ``version=``, and all of FastAPI's.

        Raises:
            UnknownOption: if neither Evox nor FastAPI knows an option.
            InvalidDeclaration: if a value does not fit.
        """
        return self._record(path, methods, options, by="@svc.endpoint")

    def get(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a GET endpoint; options as for ``endpoint``."""
        return self._record(path, ("GET",), options, by="@svc.get")

    def post(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a POST endpoint; options as for ``endpoint``."""
        return self._record(path, ("POST",), options, by="@svc.post")

    def put(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a PUT endpoint; options as for ``endpoint``."""
        return self._record(path, ("PUT",), options, by="@svc.put")

    def patch(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a PATCH endpoint; options as for ``endpoint``."""
        return self._record(path, ("PATCH",), options, by="@svc.patch")

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a DELETE endpoint; options as for ``endpoint``."""
        return self._record(path, ("DELETE",), options, by="@svc.delete")

    def head(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare a HEAD endpoint; options as for ``endpoint``."""
        return self._record(path, ("HEAD",), options, by="@svc.head")

    def options(self, path: str, **options: Any) -> Callable[[F], F]:
        """Declare an OPTIONS endpoint; options as for ``endpoint``."""
        return self._record(path, ("OPTIONS",), options, by="@svc.options")

    def _record(self, path: str, methods: Sequence[str], options: dict[str, Any], *, by: str) -> Callable[[F], F]:
        def record(target: F) -> F:
            if self._started:
                raise LateDeclaration(f"endpoint {path!r}", self.name, place_of(target))
            self.declared.append(Declared(target, make_route(target, methods, path, options, by=by), place_of(target)))
            return target

        return record


def caller() -> FrameType:
    """Return the nearest frame outside Evox: the user's line that called us."""
    frame = sys._getframe(1)  # noqa: SLF001  the documented way to the calling frame
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "evox":
        frame = frame.f_back
    return frame


def called_from() -> Place:
    """Return the user's line that called us."""
    frame = caller()
    return Place(frame.f_code.co_filename, frame.f_lineno)


def pending(module: dict[str, Any]) -> list[Declared]:
    """Return the module-level endpoints recorded in a module's namespace, in order; the list is the module's own."""
    found: list[Declared] = module.setdefault(_PENDING, [])
    return found


def _module_level(method: str) -> Callable[..., Callable[[F], F]]:
    def decorator(path: str, **options: Any) -> Callable[[F], F]:
        namespace = caller().f_globals

        def record(target: F) -> F:
            for one in namespace.values():
                if isinstance(one, Endpoints) and one._started:  # noqa: SLF001  this module's own mixin
                    raise LateDeclaration(f"endpoint {path!r}", one.name, place_of(target))
            route = make_route(target, (method,), path, options, by=f"@{method.lower()}")
            pending(namespace).append(Declared(target, route, place_of(target)))
            return target

        return record

    decorator.__name__ = decorator.__qualname__ = method.lower()
    decorator.__doc__ = (
        f"Declare a {method} endpoint of the one service of this module; options as for ``Service.endpoint``."
    )
    return decorator


get = _module_level("GET")
post = _module_level("POST")
put = _module_level("PUT")
patch = _module_level("PATCH")
delete = _module_level("DELETE")
head = _module_level("HEAD")
options = _module_level("OPTIONS")
