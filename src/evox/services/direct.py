"""Direct: the short way from a request to an endpoint of ours, past all that the endpoint does not use.

The long way leads through Starlette's and FastAPI's layers: error handlers, exit stacks, routes tried one by one. The
short way finds the endpoint in a table and calls it; an error goes the long way after all, so that the same handlers
answer it. It is taken by endpoints that are compiled; see ``compiled``. Middleware of the user stays round it.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
from fastapi import FastAPI
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox import context, events
from evox.services.call import OPENED, inbound_of
from evox.services.route import LEFT, TELEMETRY, EvoxRoute
from evox.services.running import Running
from evox.services.table import Table

__all__ = ["Direct", "Raising"]

_FAILURE: Final = "evox.failure"  # where an error is found that is to be answered the long way, in an ASGI scope


_HANDLERS: Final = "starlette.exception_handlers"  # where Starlette finds those of the app, in an ASGI scope


class _Failure(NamedTuple):
    """An error of an endpoint.

    Attributes:
        error: The error.
        request: What it is the answer to.
        started: Whether an answer has begun.
    """

    error: Exception
    request: Request
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
        self._handlers = _handlers_of(owner) if outermost else None
        self._table: Table | None = None

    def __repr__(self) -> str:
        return f"<Direct way to {self._owner.title!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not (self._outermost or self._owner.user_middleware) or "path_params" in scope:
            await self._app(scope, receive, send)
            return
        table, router = self._table, self._owner.router
        if table is None or not table.is_of(router):
            table = self._table = Table(router)
        found = None if scope.get(TELEMETRY) is not None else table.find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        route, scope["path_params"] = found
        scope["route"], scope["endpoint"], scope["router"] = route, route.endpoint, router
        if self._handlers is not None:
            scope[_HANDLERS] = self._handlers
        await self._answer(route, scope, receive, send)

    async def _answer(self, route: EvoxRoute, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and report the call with the status that its client got."""
        service = context.maybe_service()
        clock = service.clock if isinstance(service, Running) else anyio.current_time
        watch: _Watch | None = None
        status, began, ended = 500, clock(), None
        opened = scope["extensions"].get(OPENED) if "extensions" in scope else None
        request, started = Request(scope, receive, send), False
        failure: _Failure | None = None
        try:
            if opened is not None:
                opened.decide(route.on_disconnect)
                if opened.left:
                    await anyio.lowlevel.checkpoint()  # nobody waits for what has not begun
            try:
                response = await route.entry(request)  # type: ignore[misc]  # those in the table have one
                started = True
                if type(response) is not Response:
                    watch = _Watch(send, clock)
                    await response(scope, receive, watch)
                else:
                    status = response.status_code
                    if getattr(send, "__self__", None) is opened is not None:  # nobody looks at what is sent
                        await opened.answer(status, response.raw_headers, response.body)
                    else:
                        await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
                        await send({"type": "http.response.body", "body": response.body})
                    ended = clock()
                    if response.background is not None:
                        await response.background()
            except Exception as error:  # noqa: BLE001  it is answered, or raised, the long way
                failure = _Failure(error, request, started)
            if failure is not None:
                watch = watch if started else _Watch(send, clock)
                await self._fail(failure, scope, receive, _nowhere if started or watch is None else watch)
        finally:
            if watch is not None:
                status, ended = watch.status, watch.ended
            if ended is None and opened is not None and opened.left:
                status = LEFT
            name = service.name if service is not None else ""
            origin = "http" if inbound_of(scope) is None else "internal"
            events.call_finished(name, route.name, origin, status, (ended or clock()) - began)

    async def _fail(self, failure: _Failure, scope: Scope, receive: Receive, send: Send) -> None:
        """Have an error answered as those are that come the long way."""
        if not self._outermost:
            await _raise(failure, scope, receive, send)
            return
        scope[_FAILURE] = failure
        await self._app(scope, receive, send)


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


class _Watch:
    """Notes what is sent.

    Args:
        send: Sends it.
        clock: The loop's.

    Attributes:
        status: The answer's.
        ended: When it was complete.
    """

    __slots__ = ("_clock", "_send", "ended", "status")

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send, self._clock = send, clock
        self.status = 500
        self.ended: float | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body", False):
            self.ended = self._clock()  # background tasks come after this
        await self._send(message)


def _handlers_of(app: FastAPI) -> tuple[dict[Any, Any], dict[int, Any]]:
    """Return the handlers of an app's errors as Starlette has them: by class, and by status."""
    given = app.exception_handlers
    statuses = {key: handler for key, handler in given.items() if isinstance(key, int) and key != 500}
    return {key: one for key, one in given.items() if not isinstance(key, int) and key is not Exception}, statuses


async def _raise(failure: _Failure, scope: Scope, receive: Receive, send: Send) -> None:
    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if failure.started:
            await send(
                {"type": "http.response.start", "status": 500, "headers": []}
            )  # it has been, and this goes nowhere
        raise failure.error

    await wrap_app_handling_exceptions(raising, failure.request)(scope, receive, send)


async def _nowhere(message: Any) -> None:
    del message
