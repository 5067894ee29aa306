"""App: the FastAPI app of a service, and the one layer round it.

The layer makes the service current for each ASGI call, so that the facades work under our server, under any other
and under a TestClient. An existing app is adopted in place: it gets the same layer and lifespan, and nothing a
client could see.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import partial
from inspect import Signature
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, request_response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from evox import context, events
from evox.auth import ANONYMOUS, enter_principal, leave_principal, public
from evox.errors import EvoxError
from evox.services.capabilities import tells_capabilities
from evox.services.correlation import correlation_of, enter_correlation
from evox.services.declaration import Declaration
from evox.services.describing import PATH as DESCRIPTION
from evox.services.describing import describes
from evox.services.direct import Direct, Raising
from evox.services.endpoint import Endpoint
from evox.services.health import Probe, health_response
from evox.services.http_errors import evox_error_handler
from evox.services.life import lifespan_of
from evox.services.observing import VIEWS, answers_view, view_path
from evox.services.openapi import keyed, secured
from evox.services.route import EvoxRoute
from evox.services.router_guard import RouterGuard
from evox.services.table import Routes
from evox.services.telemetry import Telemetry
from evox.services.writes import HARMLESS, WriteWatch

__all__ = ["EvoxApp", "adopt", "adopted_routes", "create_app", "health_paths"]


class EvoxApp(FastAPI):
    """A FastAPI app that compiles its service's declarations before anything reads its routes."""

    evox_service: Declaration
    _telemetry_state: Telemetry | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; past FastAPI's telemetry where nobody would hear of it."""
        stack, told = self.middleware_stack, self._telemetry_state
        if told is None:
            told = self._telemetry_state = Telemetry(lambda: True if self._asks is None else self._asks())
        if stack is None or scope["type"] != "http" or self.root_path or told.is_on():
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await stack(scope, receive, send)

    def short(self, scope: Scope, running: Any) -> ASGIApp | None:
        """Return the short way to the answer to an HTTP request, past all layers; None if there is none.

        Args:
            scope: The request's, as it came. The way is to be gone in a context that nobody uses after this.
            running: The running service.
        """
        layer, told = self.middleware_stack, self._telemetry_state
        if type(layer) is not _Layer or told is None or self.root_path or told.is_on():
            return None
        scope["app"] = self
        return layer.short(scope, running)

    @property
    def _asks(self) -> Callable[[], bool] | None:
        """What tells whether FastAPI tells of requests; None in versions that have no such thing."""
        native = getattr(self, "_native_telemetry", None)
        return None if native is None else native.enabled

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with everything declared so far."""
        self.evox_service.compile()
        return keyed(secured(super().openapi(), self), self)

    def build_middleware_stack(self) -> ASGIApp:
        """Build FastAPI's stack, with the service's layer outermost."""
        self.evox_service.compile()
        stack = super().build_middleware_stack()
        is_plain = not self.user_middleware and getattr(self, "max_body_size", None) is None
        return _Layer(Direct(stack, self, outermost=True) if is_plain else stack, self.evox_service)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes, with everything declared so far."""
        if "evox_service" in vars(self):
            self.evox_service.compile()
        return super().routes


class _Routes(Routes):
    """The routes of an app. What is declared on the service before a route is added to the app stands before it."""

    def __init__(self, routes: Iterable[BaseRoute], service: Declaration) -> None:
        super().__init__(routes)
        self._service = service

    def append(self, route: BaseRoute) -> None:
        """Add a route, after those that the service's declarations make."""
        self._service.compile()
        super().append(route)


class _Layer:
    """Makes the service current for the time of one ASGI call, on behalf of nobody until a guard says of whom."""

    def __init__(self, app: ASGIApp, service: Declaration) -> None:
        self._app = app
        self._direct = app if isinstance(app, Direct) else None
        self._watch = WriteWatch(app, service)
        self._service = service

    def short(self, scope: Scope, running: Any) -> ASGIApp | None:
        """Return the short way to the answer to an HTTP request; None if there is none."""
        direct = self._direct
        if direct is None:
            return None
        route = direct.find_first(scope)
        if route is None:
            return None
        watch = self._watch if scope["method"] not in HARMLESS and self._service.caches_answers else None
        return partial(_answer_shortly, direct, route, running, watch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        running = self._service.ambient()
        is_known = context.maybe_service() is running  # our server has said so already
        token = None if is_known else context.enter_service(running)
        caller = enter_principal(ANONYMOUS)
        watches = kind != "http" or (scope["method"] not in HARMLESS and self._service.caches_answers)
        route = None if watches or self._direct is None else self._direct.find(scope)
        is_elsewhere = not events.is_observed()
        if is_elsewhere:
            running.watch()  # a server that is not ours has begun this context
        try:
            if route is not None and self._direct is not None:
                await self._direct.answer(route, running, scope, receive, send)
            else:
                await (self._watch if watches else self._app)(scope, receive, send)
        except (WebSocketDisconnect, ClientDisconnect):
            raise
        except Exception as error:
            if is_elsewhere:  # ours tells of it itself, for apps that are none of ours too
                label = f"{scope.get('method', 'WebSocket')} {scope['path']}"
                target = getattr(scope.get("route"), "name", None) or label
                events.notify(events.CallFailed(self._service.name, target, error))
            raise
        finally:
            leave_principal(caller)
            if token is not None:
                context.leave_service(token)


def _answer_shortly(
    direct: Direct,
    route: EvoxRoute,
    running: Any,
    watch: WriteWatch | None,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> Coroutine[Any, Any, None]:
    """Do what the layer does, in a context that nobody uses after this."""
    enter_correlation(correlation_of(scope))
    context.enter_service(running)
    enter_principal(ANONYMOUS)
    if watch is not None:
        return watch.through(partial(direct.answer, route, running), scope, receive, send)
    return direct.answer(route, running, scope, receive, send)


def create_app(service: Declaration) -> FastAPI:
    """Make the app of a service, with its health routes before all others."""
    options = {"title": service.name, "version": service.version} | service.settings.fastapi
    app = EvoxApp(**options)
    original = app.router.lifespan_context if "lifespan" in options else None
    app.evox_service = service
    app.router.lifespan_context = lifespan_of(service, original)
    app.add_exception_handler(EvoxError, evox_error_handler)
    for path, probe in health_paths(service.settings.health_path):
        answer = public(_health(service, probe))
        app.router.add_route(path, answer, methods=["GET"], include_in_schema=False)
        service.reserve(_builtin("the built-in health", path, answer))
    for path, described in _beside(service).items():
        app.router.add_route(path, public(described), methods=["GET"], include_in_schema=False)
        service.reserve(_builtin("a built-in view", path, described))
    app.router.routes = _Routes(app.router.routes, service)
    inner = Raising(Direct(app.router.middleware_stack, app, outermost=False))
    app.router.middleware_stack = RouterGuard(inner, service)
    return app


def adopt(app: FastAPI, service: Declaration) -> None:
    """Make an existing app the app of a service."""
    build = app.build_middleware_stack

    def build_with_layer() -> ASGIApp:
        return _Layer(build(), service)

    app.exception_handlers.setdefault(EvoxError, evox_error_handler)  # only what is added to it raises those
    app.router.lifespan_context = lifespan_of(service, app.router.lifespan_context)
    app.router.middleware_stack = RouterGuard(app.router.middleware_stack, service)
    describe = app.openapi
    app.openapi = lambda: keyed(secured(describe(), app), app)  # type: ignore[method-assign]
    app.build_middleware_stack = build_with_layer  # type: ignore[method-assign]
    if app.middleware_stack is not None:
        app.middleware_stack = _Layer(app.middleware_stack, service)


def adopted_routes(service: Declaration) -> dict[str, ASGIApp]:
    """Return what answers the built-in paths of an existing app. It gets no routes of ours, and its own win."""
    own = set(_literal_paths(service.app))
    built_in = {path: _health(service, probe) for path, probe in health_paths(service.settings.health_path)}
    built_in |= {path: _answering(view) for path, view in _beside(service).items()}
    return {path: request_response(answer) for path, answer in built_in.items() if path not in own}


def _literal_paths(app: Starlette, prefix: str = "") -> Iterator[str]:
    for route in iter_route_contexts(app.routes):
        mount = route.original_route
        if isinstance(mount, Mount) and isinstance(mount.app, Starlette):
            yield from _literal_paths(mount.app, prefix + mount.path)
        elif isinstance(mount, BaseRoute) and route.path is not None and "{" not in route.path:
            yield prefix + route.path


def _beside(service: Declaration) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    """Return what a service answers beside its endpoints and health, by path."""
    found = {view_path(one): answers_view(service, one) for one in VIEWS} | {DESCRIPTION: describes(service)}
    capabilities = service.settings.capabilities_path
    return found if capabilities is None else found | {capabilities: tells_capabilities(service)}


def health_paths(base: str) -> list[tuple[str, Probe]]:
    """Return the paths of the four probes below a base path."""
    base = base.rstrip("/")
    return [
        (base or "/", "overall"),
        (f"{base}/live", "live"),
        (f"{base}/ready", "ready"),
        (f"{base}/startup", "startup"),
    ]


def _answering(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Answer errors of ours where no app does."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except EvoxError as error:
            return await evox_error_handler(request, error)

    return answer


def _health(service: Declaration, probe: Probe) -> Callable[[Request], Awaitable[Response]]:
    async def health(request: Request) -> Response:
        report = await service.ambient().health.report(probe)
        return health_response(request, service.name, service.version, report)

    return health


def _builtin(name: str, path: str, handler: Callable[..., Any]) -> Endpoint:
    return Endpoint(name, path, ("GET",), handler=handler, signature=Signature())
