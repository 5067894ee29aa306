"""Router guard: the guard of all that is no endpoint of ours: raw routes, routers, WebSockets, mounted apps.

It stands right before the router, after all middleware, and looks up which route the router is about to choose, in the
way in which the router does it. Endpoints of ours have a guard of their own and are left to it.

    health                                 everybody
    the document and its pages             everybody with --dev or auth.docs = true; else nobody
    declared by a decorator                whom it is for
    nothing declared                       nobody
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from evox import context
from evox.auth import Caller, claims_internal, enter_principal
from evox.errors import AuthError, NotAllowed, OutsideRuntime
from evox.services.call import inbound_of
from evox.services.declaration import Declaration
from evox.services.guard import pass_through
from evox.services.http_errors import problem_of
from evox.services.protection import is_documentation, requirement_of_route
from evox.services.route import EvoxRoute
from evox.services.running import Running

__all__ = ["RouterGuard"]

_NONE: Final = (None, None)
_CLOSED: Final = 1008  # policy violation; before a WebSocket is accepted its client sees 403


class RouterGuard:
    """Guards what a router chooses.

    Args:
        app: The router, as it is called.
        service: Whose it is.
    """

    guards: Final = True  # what is seen of it where it must not be imported

    def __init__(self, app: ASGIApp, service: Declaration) -> None:
        self._app = app
        self._service = service

    def __repr__(self) -> str:
        return f"<RouterGuard of {self._service.name!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        running = context.maybe_service() if scope["type"] in ("http", "websocket") else None
        is_own = isinstance(running, Running) and running.service is self._service
        if not is_own and scope["type"] != "lifespan" and self._service.asking:
            raise OutsideRuntime(f"the router of service {self._service.name!r}, taken out of its app")
        if isinstance(running, Running) and is_own:
            refusal = await (self._look if running.looks_at_callers else self._believe)(scope, running)
            if refusal is not None:
                await _refuse(refusal, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _look(self, scope: Scope, running: Running) -> AuthError | None:
        """Return why a request may not go on; None if it may."""
        app = self._service.app
        route, path = _chosen(app.router, scope)
        if route is None or isinstance(route, EvoxRoute):
            return None
        requirement = requirement_of_route(route)
        if isinstance(route, Mount) and requirement is None and not running.asks and _claims(scope):
            return None  # types are asked for elsewhere in the process: what is mounted may be a service of its own
        is_open = requirement is None and is_documentation(route, app) and running.shows_documentation
        if is_open and not _claims(scope):
            return None
        target = f"route {getattr(route, 'path', None) or route!r}"
        optional = (requirement is None and not running.asks) or (requirement is not None and requirement.public)
        try:
            caller = await _caller(scope, running, path, optional=optional)
            if getattr(getattr(getattr(route, "endpoint", None), "__evox_row__", None), "private", False):
                raise NotAllowed(target, "it is an endpoint for other services, under another route")
            pass_through(caller.principal, requirement, target, asks=running.asks and not is_open)
        except AuthError as error:
            running.refused(error, target)
            return error
        enter_principal(caller.principal)  # the app's layer leaves it
        return None

    async def _believe(self, scope: Scope, running: Running) -> AuthError | None:
        """Find out which other service calls, where nobody asks: whom it works for is for those called from here.

        Returns:
            Why a request may not go on: it says that a service makes it, and that is not true. None if it may.
        """
        is_within = inbound_of(scope) is not None
        if not is_within and (not claims_internal(scope["headers"]) or running.authority.internal_tokens() is None):
            return None
        route, path = _chosen(self._service.app.router, scope)
        if route is None or isinstance(route, EvoxRoute | Mount):  # what is mounted may be a service of its own
            return None
        try:
            caller = await _caller(scope, running, path, optional=True)
        except AuthError as error:
            running.refused(error, f"route {path or route!r}")
            return error
        enter_principal(caller.principal)  # the app's layer leaves it
        return None


def _claims(scope: Scope) -> bool:
    """Whether it is said, rightly or not, that another service calls."""
    return inbound_of(scope) is not None or claims_internal(scope["headers"])


async def _caller(scope: Scope, running: Running, path: str | None, *, optional: bool) -> Caller:
    """Return who calls what is no endpoint of ours.

    Raises:
        AuthError: if that is said, and not true.
    """
    operation = f"{scope['method']} {path}" if path and "method" in scope else None
    inbound = inbound_of(scope)
    if inbound is None:
        return await running.identify(scope["headers"], operation=operation, optional=optional)
    inbound.check(running.name, operation)
    return Caller(inbound.internal.principal, inbound.internal)


def _chosen(router: Any, scope: Scope) -> tuple[Any, str | None]:
    """Return the route that a router is about to choose, and its path; None for one of ours, none, or a 405.

    There may be many of ours, so they are held against a request only where something else would answer it.
    """
    ours, partly = [], False
    for route in router.routes:
        if isinstance(route, EvoxRoute):
            ours.append(route)
            continue
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return _NONE if _answer(ours, scope) else _within(route, scope)
        partly = partly or match is Match.PARTIAL
    fallback = getattr(router.default, "__func__", router.default)
    is_usual = fallback is Router.not_found and not _has_front_ends(router)
    if (is_usual and not partly) or _answer(ours, scope):
        return _NONE
    for route in router.routes:
        if route.matches(scope)[0] is Match.PARTIAL:
            inner, path = _within(route, scope)
            return _NONE if isinstance(inner, Route) else (inner, path)  # those answer 405
    low: Any = getattr(router, "_match_low_priority", None)
    if low is not None:
        match, _, route, _ = low(scope)
        if match is Match.FULL:
            return route, None
    return _NONE if fallback is Router.not_found else (fallback, None)


def _answer(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    """Whether one of these routes would answer a request."""
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def _has_front_ends(router: Any) -> bool:
    """Whether FastAPI has, or may have, static files to look for where no route is found."""
    listed: Callable[[], Iterable[Any]] | None = getattr(router, "_iter_low_priority_routes", None)
    return hasattr(router, "_match_low_priority") if listed is None else any(True for _ in listed())


def _within(route: Any, scope: Scope) -> tuple[Any, str | None]:
    """Return the route that is chosen within an included router, at any depth, and its whole path."""
    path = getattr(route, "path", None)
    while hasattr(route, "include_context"):
        _, _, route, chosen = route._match(scope)  # noqa: SLF001  FastAPI keeps included routers to itself
        path = getattr(chosen, "path", None) or getattr(route, "path", None)
        starlette = getattr(chosen, "starlette_route", None)
        route = starlette if starlette is not None else route
    return route, path


async def _refuse(error: AuthError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await problem_of(error)(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await receive()
        response: Response = problem_of(error)
        await send(
            {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await receive()
        await send({"type": "websocket.close", "code": _CLOSED})
