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
from starlette._utils import is_async_callable
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import context, events
from evox.services.call import INBOUND, OPENED
from evox.services.failing import handler_of
from evox.services.misfits import refuse_arguments
from evox.services.route import LEFT, TELEMETRY, EvoxRoute
from evox.services.running import Running
from evox.services.table import Table
from evox.services.writes import Telling

__all__ = ["Direct", "Raising", "handlers_of"]

_FAILURE: Final = "evox.failure"  # where an error is found that is to be answered the long way, in an ASGI scope
_NONE: Final[Mapping[str, Any]] = {}
_WHOLE: Final = frozenset({Response, JSONResponse, HTMLResponse, PlainTextResponse})  # a head, and a body that is there
_STACK: Final = "fastapi_middleware_astack"  # where routes of FastAPI's find what is closed behind them: one may answer
_HANDLERS: Final = "starlette.exception_handlers"  # where Starlette finds those of the app, in an ASGI scope


class _Failure(NamedTuple):
    """An error of an endpoint, or of the app's handler of one.

    Attributes:
        error: The error.
        request: What it is the answer to.
        started: Whether an answer has begun.
        handled: Whether a handler of the app had its turn: this is what went wrong in it, or in sending its answer.
    """

    error: Exception
    request: Request
    started: bool
    handled: bool = False


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
                    giving = _Giving(send, clock, opened)
                    await entry.finish(scope, response)(scope, receive, giving.send)
            except Exception as error:  # noqa: BLE001  it is answered, or raised, the long way
                failure = _Failure(error, request, started if giving is None else giving.started)
            else:
                return
            giving = giving or _Giving(send, clock, opened)
            await self._fail(failure, scope, receive, giving)
        finally:
            if giving is not None:
                status, ended = giving.status, giving.ended
            if ended is None and opened is not None and opened.left:
                status = LEFT
            origin = "http" if inbound is None else "internal"
            events.call_finished(name, route.name, origin, status, (ended or clock()) - began)

    async def _fail(self, failure: _Failure, scope: Scope, receive: Receive, giving: "_Giving") -> None:
        """Have an error answered as on the long way: by the app's handler, at once where there is one."""
        left: _Failure | None = failure
        if self._handlers is not None and not failure.started:
            handler = handler_of(failure.error, self._handlers)
            if handler is not None and is_async_callable(handler):
                left = await _handle(handler, failure, scope, receive, giving)
        if left is None:
            return
        send = _nowhere if left.started else giving.send  # where an answer has begun, nothing goes out any more
        if self._outermost:
            scope[_FAILURE] = left
            await self._app(scope, receive, send)
        else:
            await _raise(left, scope, receive, send)


class Raising:
    """Stands where the router is called, and raises there what has gone wrong on the short way.

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
            await _raise(failure, scope, receive, send)


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
        opened: The request, where our server knows it.

    Attributes:
        started: Whether it has begun.
        status: What the client got.
        ended: When it was complete.
    """

    started: bool = False
    status: int = 500
    ended: float | None = None

    def __init__(self, send: Send, clock: Callable[[], float], opened: Any) -> None:
        self._send, self._clock, self._opened = send, clock, opened

    async def give(self, response: Response, scope: Scope, receive: Receive) -> None:
        """Send a whole response, and do what is to be done after it."""
        quickly = _quickly(response, self._send, self._opened)
        if quickly is None:
            await response(scope, receive, self.send)
            return
        self.started, self.status = True, response.status_code
        waiting = quickly(self.status, response.raw_headers, response.body)
        if waiting is not None:
            await waiting
        self.ended = self._clock()

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


async def _handle(
    handler: Callable[..., Any], failure: _Failure, scope: Scope, receive: Receive, giving: _Giving
) -> _Failure | None:
    """Have a handler of the app answer an error; return what went wrong with that, None if nothing did."""
    try:
        async with AsyncExitStack() as stack:
            scope[_STACK] = stack
            try:
                raise failure.error  # noqa: TRY301  a handler may log what is being handled
            except Exception as error:  # noqa: BLE001  there is a handler for it
                response = await handler(failure.request, error)
                if response is not None:
                    await giving.give(response, scope, receive)
                error.__traceback__ = None  # one that is raised again and again would hold all of those frames
    except Exception as error:  # noqa: BLE001  it is met where it would be the long way
        return failure._replace(error=error, started=giving.started, handled=True)
    return None


async def _raise(failure: _Failure, scope: Scope, receive: Receive, send: Send) -> None:
    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if failure.started:  # this goes nowhere, and lets who looks know that an answer has begun
            await send({"type": "http.response.start", "status": 500, "headers": []})
        raise failure.error

    app = raising if failure.handled else wrap_app_handling_exceptions(raising, failure.request)
    await app(scope, receive, send)


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
