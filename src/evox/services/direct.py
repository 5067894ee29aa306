"""Direct: the short way from a request to an endpoint of ours, past all that the endpoint does not use.

The long way leads through Starlette's and FastAPI's layers: error handlers, exit stacks, routes tried one by one. The
short way finds the endpoint in a table and calls it. An error is given to the handler that the app has for it; where
there is none it goes the long way after all. It is taken by endpoints that are compiled; see ``compiled``. Middleware
of the user stays round it.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
from fastapi import FastAPI
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import context, events
from evox.services.call import INBOUND, OPENED
from evox.services.misfits import refuse_arguments
from evox.services.route import LEFT, TELEMETRY, EvoxRoute
from evox.services.running import Running
from evox.services.table import Table
from evox.services.writes import Telling

__all__ = ["Direct", "Raising", "handlers_of"]

_FAILURE: Final = "evox.failure"  # where an error is found that is to go the long way, in an ASGI scope
_NONE: Final[Mapping[str, Any]] = {}
_WHOLE: Final = frozenset({Response, JSONResponse, HTMLResponse, PlainTextResponse})  # a head, and a body that is there
_STACK: Final = "fastapi_middleware_astack"  # where routes of FastAPI's find what is closed behind them: one may answer
_HANDLERS: Final = "starlette.exception_handlers"  # where Starlette finds those of the app, in an ASGI scope


class _Failure(NamedTuple):
    """An error that no handler of the app has answered.

    Attributes:
        error: The error: of the endpoint, or of its handler.
        started: Whether an answer has begun.
    """

    error: Exception
    started: bool


class Direct:
    """Answers by the short way what can be, and leaves the rest to the long one.

    Args:
        app: The long way.
        owner: Whose routes they are.
        outermost: Whether it stands before all middleware; there must be none of the user's then.
    """

    def __init__(self, app: ASGIApp, owner: FastAPI, *, outermost: bool) -> None:
        self._app = app
        self._owner = owner
        self._outermost = outermost
        self._handlers = handlers_of(owner) if outermost else None
        self._table: Table | None = None

    def __repr__(self) -> str:
        return f"<Direct way to {self._owner.title!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = self.find(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            await self.answer(route, context.maybe_service(), scope, receive, send)

    def find(self, scope: Scope) -> EvoxRoute | None:
        """Return to which endpoint the short way leads for an HTTP request; None if there is no short way."""
        if not (self._outermost or self._owner.user_middleware) or "path_params" in scope or _FAILURE in scope:
            return None
        return None if TELEMETRY in scope else self.find_first(scope)

    def find_first(self, scope: Scope) -> EvoxRoute | None:
        """As ``find``, for a request of which nothing but its server has seen anything."""
        owner = self._owner
        if owner.dependency_overrides:  # FastAPI puts them in place, and needs its layers for that
            return None
        table, router = self._table, owner.router
        routes = router.routes
        if table is None or table.routes is not routes or table.changes != getattr(routes, "changes", -1):
            table = self._table = Table(routes)
        found = table.find(scope)
        if found is None:
            return None
        route, scope["path_params"] = found
        scope["route"], scope["endpoint"], scope["router"] = route, route.endpoint, router
        if self._handlers is not None:
            scope[_HANDLERS] = self._handlers
        return route

    async def answer(self, route: EvoxRoute, service: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to an endpoint that ``find`` has found, and report the call with its client's status.

        Args:
            route: The endpoint.
            service: The running service, if there is one.
            scope: The request's.
            receive: The request's.
            send: The request's.
        """
        clock = service.clock if isinstance(service, Running) else anyio.current_time
        name = service.name if service is not None else ""
        extensions = scope.get("extensions") or _NONE
        opened, inbound = extensions.get(OPENED), extensions.get(INBOUND)
        request = _Request(scope, receive, send)
        giving: _Giving | None = None
        status, started, ended, began = 500, False, None, clock()
        try:
            if opened is not None and (opened.left or route.on_disconnect is not None):
                opened.decide(route.on_disconnect)
                await anyio.lowlevel.checkpoint_if_cancelled()  # nobody waits for what has not begun
            try:
                entry: Any = route.entry  # those in the table have one
                call = entry.begin(request, name, inbound, opened)
                response = call.cache.first(call, service) if call.cache is not None else None
                if response is None:
                    response = await entry.shortly(call)
                quickly = _quickly(response, send, opened)
                if quickly is not None:
                    started, status = True, response.status_code
                    waiting = quickly(status, response.raw_headers, response.body)
                    if waiting is not None:
                        await waiting
                    ended = clock()
                else:
                    giving = _Giving(send, clock)
                    await entry.finish(scope, response)(scope, receive, giving.send)
            except Exception as error:  # noqa: BLE001  it is answered, or raised, below
                failure = _Failure(error, started if giving is None else giving.started)
            else:
                return
            giving = giving or _Giving(send, clock)
            await self._fail(failure, request, giving)
        finally:
            if giving is not None:
                status, ended = giving.status, giving.ended
            if ended is None and opened is not None and opened.left:
                status = LEFT
            origin = "http" if inbound is None else "internal"
            events.call_finished(name, route.name, origin, status, (ended or clock()) - began)

    async def _fail(self, failure: _Failure, request: Request, giving: "_Giving") -> None:
        """Have an error answered by the app's handler for it; what that leaves goes the long way."""
        scope, receive = request.scope, request.receive
        app = wrap_app_handling_exceptions(_raising(failure), request)
        send = _nowhere if failure.started else giving.send  # where an answer has begun, nothing goes out any more
        if not self._outermost:
            await app(scope, receive, send)
            return
        try:
            async with AsyncExitStack() as scope[_STACK]:
                await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  there is no handler, or something is wrong with it
            left = scope[_FAILURE] = _Failure(error, failure.started or giving.started)
        else:
            return
        await self._app(scope, receive, _nowhere if left.started else giving.send)


class Raising:
    """Stands where the router is called, and raises there what no handler has answered on the short way.

    Args:
        app: The router, as it is called.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __repr__(self) -> str:
        return f"<Raising, before {self._app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        failure: _Failure | None = scope.pop(_FAILURE, None)
        if failure is None:
            await self._app(scope, receive, send)
        else:
            await _raising(failure)(scope, receive, send)


class _Request(Request):
    """A request as Starlette makes it, without looking whether its scope is that of one."""

    _stream_consumed = _is_disconnected = False
    _form = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send


class _Giving:
    """Gives one answer, and notes what its client got and when.

    Args:
        send: The request's.
        clock: The loop's.

    Attributes:
        started: Whether it has begun.
        status: What the client got.
        ended: When it was complete.
    """

    started: bool = False
    status: int = 500
    ended: float | None = None

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send, self._clock = send, clock

    async def send(self, message: Message) -> None:
        """Send a message, and note what it says."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
        elif not message.get("more_body", False):
            self.ended = self._clock()  # background tasks come after this
        await self._send(message)


def handlers_of(app: FastAPI) -> tuple[dict[Any, Any], dict[int, Any]]:
    """Return the handlers of an app's errors as Starlette has them: by class, and by status."""
    given = app.exception_handlers
    statuses = {key: handler for key, handler in given.items() if isinstance(key, int) and key != 500}
    kinds = {key: one for key, one in given.items() if not isinstance(key, int) and key is not Exception}
    if kinds.get(RequestValidationError) is request_validation_exception_handler:
        kinds[RequestValidationError] = refuse_arguments
    return kinds, statuses


def _raising(failure: _Failure) -> ASGIApp:
    """Return an app that does nothing but raise an error."""

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if failure.started:  # this goes nowhere, and lets who looks know that an answer has begun
            await send({"type": "http.response.start", "status": 500, "headers": []})
        raise failure.error

    return raising


def _quickly(response: Response, send: Send, opened: Any) -> Any:
    """Return what sends a response at once; None where there is more to it, or somebody looks at what is sent."""
    if type(response) not in _WHOLE or response.background is not None or type(response.body) is not bytes:
        return None
    sends = getattr(send, "__self__", None)
    return sends.answer if sends is not None and (sends is opened or _tells(sends)) else None


def _tells(sends: Any) -> bool:
    """Whether what sends is ours, and sends a whole answer at once."""
    return type(sends) is Telling and sends.answers


async def _nowhere(message: Any) -> None:
    del message
