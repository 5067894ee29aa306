"""Misplaced: what is declared where no guard looks: on routers, within mounted apps, on methods of class-based routes.

It would be lost without a word, and what it stands on would be open to everybody. So it is refused, at the start.
"""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Router

from evox.auth import requirement_of
from evox.errors import InvalidDeclaration, place_of

__all__ = ["layers_of", "refuse_misplaced"]

_METHOD: Final = "put it on the class, which is guarded as a whole"
_DEPENDENCY: Final = "put it on the endpoints that depend on it; a dependency itself raises what refuses a caller"
_DECORATOR: Final = "put it on the endpoint: @auth.require_roles(...) below or above the decorator of the route"
_UNUSED: Final = "_declare.<locals>.declare"  # Depends(auth.require_roles("admin"))
_ROUTER: Final = "put it on the routes of the router"
_WITHIN: Final = 'put it on the app, which is guarded as a whole: mount(path, auth.require_roles("admin")(app))'


class _Found(NamedTuple):
    target: Any
    on: str
    fix: str


def refuse_misplaced(app: Any) -> None:
    """Refuse what is declared where no guard looks.

    Args:
        app: Of a service.

    Raises:
        InvalidDeclaration: naming the first.
    """
    for one in _unguarded(app.router.routes):
        found = requirement_of(one.target)
        if found is not None:
            why = "no guard looks there, and it would be lost without a word"
            raise InvalidDeclaration("auth", str(found), on=one.on, why=why, fix=one.fix, place=place_of(one.target))


def layers_of(app: Any) -> Iterator[Any]:
    """Yield an app, and what it hands requests on to if it is middleware."""
    seen: list[Any] = []
    while app is not None and not any(app is one for one in seen):
        seen.append(app)
        yield app
        app = None if isinstance(app, Router | Starlette) else getattr(app, "app", None)


def _unguarded(routes: Iterable[Any]) -> Iterator[_Found]:
    for route in routes:
        router, endpoint = getattr(route, "original_router", None), getattr(route, "endpoint", None)
        if router is not None:
            yield _Found(router, f"router {router.prefix or '/'!r}", _ROUTER)
            yield from _unguarded(router.routes)
        elif isinstance(route, Mount | Host):
            for app in layers_of(getattr(route, "_base_app", route.app)):
                yield from _mounted(app)
        elif isinstance(route, APIRoute):
            yield from _dependencies(route.dependant)
        elif inspect.isclass(endpoint):
            yield from (_Found(one, f"method {one.__qualname__}", _METHOD) for one in _methods(endpoint))


def _mounted(app: Any) -> Iterator[_Found]:
    """Yield all within a mounted app, unless it is one that has a guard of its own: another service's."""
    router = getattr(app, "router", app)
    if hasattr(getattr(router, "middleware_stack", None), "guards"):
        return
    routes = getattr(router, "routes", ())
    yield from _unguarded(routes)
    for leaf in iter_route_contexts(routes):
        on, route = f"route {getattr(leaf, 'path', '?')!r} of a mounted app", leaf.original_route
        for name in ("endpoint", "_base_app", "app"):
            yield _Found(getattr(route, name, None), on, _WITHIN)


def _methods(kind: type) -> Iterator[Any]:
    for base in kind.__mro__:
        yield from (one for one in vars(base).values() if inspect.isfunction(one))


def _dependencies(dependant: Any) -> Iterator[_Found]:
    for one in dependant.dependencies:
        if getattr(one.call, "__qualname__", "") == _UNUSED:
            name = getattr(one.call, "__qualname__", one.call)
            raise InvalidDeclaration("dependency", name, on="an endpoint", why="a decorator is none", fix=_DECORATOR)
        if not inspect.isclass(one.call):  # what a class asks, it asks of who uses its values
            yield _Found(one.call, f"dependency {getattr(one.call, '__name__', one.call)!r}", _DEPENDENCY)
        yield from _dependencies(one)
