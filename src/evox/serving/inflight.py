"""Inflight: the requests that one service is answering, each under a cancel scope of its own.

This is the door between sockets and app. It knows how many requests run, asks clients to go elsewhere while the service drains, answers 503
while it is down, and can cut what does not end. It is ASGI on both sides and costs a request no task.
"""

import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum


import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evox.errors import ServiceUnavailable
from evox.failures import describe
from evox.services import problem_of

__all__ = ["Inflight", "InflightStatistics", "Kind"]

_log = logging.getLogger("evox.requests")
GOING_AWAY = 1001  # RFC 6455 section 7.4.1
CLOSING = 1.0


class Kind(Enum):
    """What an open request is, which decides how a drain treats it."""

    REQUEST = "request"
    STREAM = "stream"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class InflightStatistics:
    """Requests open now by kind, and totals since the start."""

    requests: int
    streams: int
    websockets: int
    total: int
    refused: int
    failed: int
    cut: int


class _Open:
    """One open request."""

    __slots__ = ("finished", "kind", "label", "receiving", "scope", "started", "telling")

    def __init__(self, scope: Scope) -> None:
        self.kind = Kind.WEBSOCKET if scope["type"] == "websocket" else Kind.REQUEST
        self.label = f"{scope.get('method', 'WebSocket')} {scope['path']}"
        self.scope = anyio.CancelScope()
        self.receiving: anyio.CancelScope | None = None
        self.started = self.finished = False
        self.telling = False


class Inflight:
    """Counts, refuses, drains and cuts the requests of one service.

    Args:
        app: The ASGI app.
        service: The service's name, for answers and logs.
        exempt: Paths answered in every state: health.
        on_error: Called with each error that the app did not turn into an answer; tests raise it.
        on_answer: Called with label, status and seconds of each HTTP answer; None in production.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        exempt: Collection[str] = (),
        on_error: Callable[[Exception], None] | None = None,
        on_answer: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self._app = app
        self._service = service
        self._exempt = frozenset(exempt)
        self._on_error = on_error
        self.on_answer = on_answer
        self._open: set[_Open] = set()
        self._refusing: str | None = "starting"
        self._retry_after = 1.0
        self._draining = False
        self._idle = anyio.Event()
        self._total = self._refused = self._failed = self._cut = 0

    def __repr__(self) -> str:
        return f"<Inflight {self._service!r}, {len(self._open)} open>"

    def statistics(self) -> InflightStatistics:
        """Return what is open now, and totals."""
        kinds = [one.kind for one in self._open]
        counts = (kinds.count(Kind.REQUEST), kinds.count(Kind.STREAM), kinds.count(Kind.WEBSOCKET))
        return InflightStatistics(*counts, self._total, self._refused, self._failed, self._cut)

    def admit(self) -> None:
        """Answer requests from now on."""
        self._refusing = None
        self._draining = False

    def refuse(self, state: str, *, retry_after: float = 1.0) -> None:
        """Answer 503 from now on, and cut what is open: the service is down.

        Args:
            state: Why, one word for the client.
            retry_after: Seconds until a retry makes sense.
        """
        self._refusing, self._retry_after = state, retry_after
        for one in self._open:
            one.scope.cancel()

    def begin_drain(self) -> None:
        """Ask clients to go elsewhere: ``Connection: close`` on answers, 1001 to WebSockets. Requests are still answered."""
        self._draining = True
        for one in self._open:
            if one.kind is Kind.WEBSOCKET:
                one.telling = True
                if one.receiving is not None:
                    one.receiving.cancel()

    def cut(self, *kinds: Kind) -> list[str]:
        """Cancel open requests of these kinds, or of all; return what was cut, e.g. ``["GET /slow"]``."""
        chosen = [one for one in self._open if not kinds or one.kind in kinds]
        for one in chosen:
            one.scope.cancel()
        self._cut += len(chosen)
        return [one.label for one in chosen]

    def unanswered(self) -> list[str]:
        """Return the requests whose answer has not begun, e.g. ``["GET /slow"]``; a client that does not read is none."""
        return [one.label for one in self._open if one.kind is Kind.REQUEST and not one.started]

    async def wait_idle(self) -> None:
        """Wait until nothing is open."""
        while self._open:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._refusing is not None and scope["path"].removeprefix(scope.get("root_path", "")) not in self._exempt:
            await self._refuse(scope, receive, send, self._refusing)
            return
        one = _Open(scope)
        self._open.add(one)
        self._total += 1
        try:
            with one.scope:
                await self._run(one, scope, receive, send)
            if one.scope.cancelled_caught and not one.finished:
                await self._after_cut(one, scope, receive, send)
        finally:
            self._open.discard(one)
            if not self._open:
                self._idle.set()

    async def _run(self, one: _Open, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = one.kind is Kind.WEBSOCKET
        began = anyio.current_time()
        closes = not scope.get("http_version", "1.1").startswith("2")

        async def send_http(message: Message) -> None:
            if message["type"] == "http.response.start":
                one.started = True
                if self.on_answer is not None:
                    self.on_answer(one.label, message["status"], anyio.current_time() - began)
                if self._draining and closes:
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            elif message["type"] == "http.response.body":
                if message.get("more_body", False):
                    one.kind = Kind.STREAM
                else:
                    one.finished = True
            await send(message)

        async def send_websocket(message: Message) -> None:
            if one.telling and message["type"] == "websocket.send":
                one.telling, one.finished = False, True
                await send({"type": "websocket.close", "code": GOING_AWAY})
            if one.finished:
                raise OSError("the service is draining and has closed this WebSocket")
            one.started = one.started or message["type"] == "websocket.accept"
            one.finished = message["type"] == "websocket.close"
            await send(message)

        async def receive_websocket() -> Message:
            with anyio.CancelScope() as one.receiving:
                if not (one.telling and one.started):
                    return await receive()
            one.receiving = None
            if not one.finished:
                one.telling, one.finished = False, True
                await send({"type": "websocket.close", "code": GOING_AWAY})
            return {"type": "websocket.disconnect", "code": GOING_AWAY}

        try:
            await self._app(
                scope, receive_websocket if websocket else receive, send_websocket if websocket else send_http
            )
        except Exception as error:
            self._failed += 1
            _log.error("%s failed\n%s", one.label, describe(error), exc_info=error)
            sink: list[Exception] | None = scope.get("extensions", {}).get("evox.errors")  # a test client's
            if sink is not None:
                sink.append(error)
            if self._on_error is not None:
                self._on_error(error)
            if not one.started and not websocket:
                await send_http({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await send_http({"type": "http.response.body", "body": b""})

    async def _after_cut(self, one: _Open, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the client of a cut request as much as can still be said, for at most a second."""
        with anyio.move_on_after(CLOSING):
            if one.kind is Kind.WEBSOCKET and one.started:
                await send({"type": "websocket.close", "code": GOING_AWAY})
            elif one.kind is Kind.REQUEST and not one.started:
                await self._refuse(scope, receive, send, self._refusing or "draining")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, state: str) -> None:
        self._refused += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
            return
        response = problem_of(ServiceUnavailable(self._service, state), retry_after=max(1, math.ceil(self._retry_after)))
        if state == "draining":
            response.headers["connection"] = "close"
        await response(scope, receive, send)


