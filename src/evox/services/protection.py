"""Protection: whether a service asks who calls at all, and which of its routes do.

A service in which anything asks denies what does not say whom it is for: endpoints, raw routes, WebSockets and mounted
apps alike. That is looked up again when routes have been added; where nothing in the process asks, it costs nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import is_
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Host, Mount

from evox.auth import Requirement, anything_declared, requirement_of
from evox.marks import seal
from evox.services.misplaced import layers_of, refuse_misplaced

__all__ = ["Protection", "is_documentation", "requirement_of_route"]

_DOCUMENTATION: Final = "fastapi.applications"  # where FastAPI's own routes are made


@dataclass(frozen=True, slots=True)
class _Survey:
    """What was found among the routes of an app, and for which: routers in it count by the number of their version."""

    routes: tuple[BaseRoute, ...]
    routers: tuple[tuple[Any, int], ...]
    default: Any
    asking: tuple[str, ...]

    def is_of(self, router: Any) -> bool:
        """Whether a router has the very same routes."""
        routes = router.routes
        same = len(routes) == len(self.routes) and all(map(is_, routes, self.routes)) and router.default is self.default
        return same and all(_version(router) == version for router, version in self.routers)


class Protection:
    """What the routes of one service ask of callers.

    Args:
        app: Gives its app, compiled.
    """

    def __init__(self, app: Callable[[], FastAPI]) -> None:
        self._app = app
        self._survey: _Survey | None = None

    def __repr__(self) -> str:
        return f"<Protection: {len(self.asking)} routes ask who calls>"

    @property
    def asking(self) -> tuple[str, ...]:
        """What asks who calls, by name; with nothing in it, everybody may do everything.

        Raises:
            InvalidDeclaration: if something is declared where nothing would ask it.
        """
        if not anything_declared():
            return ()
        app = self._app()
        if self._survey is None or not self._survey.is_of(app.router):
            routes, default = app.router.routes, app.router.default
            included = (one.original_router for one in routes if hasattr(one, "original_router"))
            routers = tuple((one, _version(one)) for one in included)
            refuse_misplaced(app)
            self._survey = _Survey(tuple(routes), routers, default, tuple(_asking(app)))
        return self._survey.asking


def requirement_of_route(route: Any) -> Requirement | None:
    """Return what is declared on a route, its endpoint, or the app that is mounted by it."""
    row = getattr(getattr(route, "endpoint", None), "__evox_row__", None)
    if row is not None:
        return row.requirement  # type: ignore[no-any-return]
    return requirement_of(route, getattr(route, "endpoint", None), *layers_of(_app_of(route)))


def _app_of(route: Any) -> Any:
    """Return what a mount or a host hands requests to, below its own middleware."""
    return getattr(route, "_base_app", getattr(route, "app", None)) if isinstance(route, Mount | Host) else None


def is_documentation(route: Any, app: Any) -> bool:
    """Whether a route is one of those that FastAPI makes by itself: the document, and the pages that show it."""
    paths = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    made_by = getattr(getattr(route, "endpoint", None), "__module__", None)
    return made_by == _DOCUMENTATION and getattr(route, "path", None) in paths


def _asking(app: FastAPI) -> Iterator[str]:
    for leaf in iter_route_contexts(app.routes):
        route: BaseRoute = leaf.original_route
        requirement = requirement_of_route(route)
        seal(getattr(route, "endpoint", None))  # what is declared on it later would be lost
        if requirement is not None and not requirement.public:
            row = getattr(getattr(route, "endpoint", None), "__evox_row__", None)
            yield f"endpoint {row.name!r}" if row is not None else f"route {getattr(leaf, 'path', '?')}"
    requirement = requirement_of(app.router.default)
    if requirement is not None and not requirement.public:
        yield "the router's default"


def _version(router: Any) -> int:
    """Return a number that is another one when routes have been added to a router, or to those in it."""
    version: int = router._get_routes_version()  # noqa: SLF001  FastAPI keeps included routers to itself
    return version
