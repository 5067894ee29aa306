"""Inflight: the requests that one service is answering, each under a cancel scope of its own.

This is the door between sockets and app. It knows how many requests run, asks clients to go elsewhere while the service
drains, answers 503 while it is down, holds clients to their limits, and cuts what does not end. It is ASGI on both
sides and costs a request no task.
"""

import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from evox import events
from evox.config import ServingSettings
from evox.errors import Escaped, ServiceUnavailable
from evox.failures import describe
from evox.services import begin_request, enter_correlation, leave_correlation, problem, problem_of
from evox.serving.complaints import Complaints, Reason
from evox.serving.opened import Http, Kind, Opened, Refusal, WebSocket
from evox.strays import contained, is_stray

__all__ = ["Inflight", "InflightStatistics"]

_log = logging.getLogger("evox.requests")
TRY_AGAIN_LATER = 1013  # RFC 6455's registry of close codes
LAST_WORD = 1.0


@dataclass(frozen=True, slots=True)
class InflightStatistics:
    """Requests open now by kind, and totals since the start.

    Attributes:
        requests: Ordinary requests open now.
        streams: Answers that come in parts, open now.
        websockets: WebSockets open now.
        total: Requests that were taken.
        refused: Answered 503, because the service was not ready.
        failed: Ended by an error that the app did not turn into an answer.
        cut: Ended by a drain.
        left: Left by their client before the answer was complete.
        too_large: Refused with 413.
        too_slow: Refused with 408, because the body came too slowly.
    """

    requests: int
    streams: int
    websockets: int
    total: int
    refused: int
    failed: int
    cut: int
    left: int
    too_large: int
    too_slow: int


class Inflight:
    """Counts, refuses, drains and cuts the requests of one service.

    Args:
        app: The ASGI app.
        service: The service's name, for answers and logs.
        limits: What a client may do.
        exempt: Paths answered in every state: health.
        on_error: Called with each error that the app did not turn into an answer; tests raise it.
        on_answer: Called with label, status and seconds of each HTTP answer; None in production.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        limits: ServingSettings | None = None,
        exempt: Collection[str] = (),
        on_error: Callable[[Exception], None] | None = None,
        on_answer: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self._app = app
        self._service = service
        self._limits = limits or ServingSettings()
        self._complaints = Complaints(service)
        self._exempt = frozenset(exempt)
        self._on_error = on_error
        self.on_answer = on_answer
        self._open: set[Opened] = set()
        self._refusing: str | None = "starting"
        self._retry_after = 1.0
        self._draining = False
        self._idle: anyio.Event | None = None  # while somebody waits
        self._total = self._refused = self._failed = self._cut = self._left = 0

    def __repr__(self) -> str:
        return f"<Inflight {self._service!r}, {len(self._open)} open>"

    def statistics(self) -> InflightStatistics:
        """Return what is open now, and totals."""
        kinds = [one.kind for one in self._open]
        counts = (kinds.count(Kind.REQUEST), kinds.count(Kind.STREAM), kinds.count(Kind.WEBSOCKET))
        totals = (self._total, self._refused, self._failed, self._cut, self._left)
        said = self._complaints.counts
        return InflightStatistics(
            *counts, *totals, said.get(Reason.BODY_TOO_LARGE, 0), said.get(Reason.BODY_TOO_SLOW, 0)
        )

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
            if one.started and one.kind is Kind.REQUEST:
                one.hurry(LAST_WORD)  # its answer is on the way: let it arrive
            else:
                one.scope.cancel()

    def begin_drain(self) -> None:
        """Ask clients to go elsewhere: ``Connection: close`` on answers, 1001 to WebSockets. Requests go on."""
        self._draining = True
        for one in self._open:
            one.end_soon()

    def cut(self, *kinds: Kind) -> list[str]:
        """Cancel open requests of these kinds, or of all; return what was cut, e.g. ``["GET /slow"]``."""
        chosen = [one for one in self._open if not kinds or one.kind in kinds]
        for one in chosen:
            one.scope.cancel()
        self._cut += len(chosen)
        return [one.label for one in chosen]

    def unanswered(self) -> list[str]:
        """Return the requests whose answer has not begun; a client that does not read its answer is none."""
        return [one.label for one in self._open if one.kind is Kind.REQUEST and not one.started]

    async def wait_idle(self) -> None:
        """Wait until nothing is open."""
        while self._open:
            if self._idle is None:
                self._idle = anyio.Event()
            await self._idle.wait()

    @property
    def is_plain(self) -> bool:
        """Whether requests are answered as always: the service is neither down nor draining, and nobody wants times."""
        return self._refusing is None and not self._draining and self.on_answer is None

    def begin(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Return what answers one request by a part of the app, in a cancel scope that is its connection's.

        Args:
            app: The part that answers it, and enters its context. It is not asked where the service refuses requests or
                tells of a drain; see ``is_plain``.
            scope: The request's.
            receive: The request's.
            send: The request's.
        """
        one = Http(scope, receive, send, self._limits)
        if one.refusal is not None:
            return self(scope, receive, send)
        self._open.add(one)
        self._total += 1
        return self._run_borrowed(app, one, scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        known = enter_correlation(begin_request(scope))
        try:
            if self._refusing is not None and not self._is_exempt(scope):
                await self._refuse(scope, receive, send, self._refusing)
                return
            one = self._opened(scope, receive, send)
            if one.borrowed:
                await self._run_borrowed(self._app, one, scope, receive, send)
            else:
                await self._run_alone(one, scope, receive, send)
        finally:
            leave_correlation(known)

    def _is_exempt(self, scope: Scope) -> bool:
        return scope["path"].removeprefix(scope.get("root_path", "")) in self._exempt

    def _opened(self, scope: Scope, receive: Receive, send: Send) -> Http | WebSocket:
        """Return a request, counted from now on."""
        one: Http | WebSocket
        if scope["type"] == "websocket":
            one = WebSocket(scope, receive, send)
        else:
            one = Http(scope, receive, send, self._limits)
        if self._draining:
            one.end_soon()
        self._open.add(one)
        self._total += 1
        if self.on_answer is not None:
            one.began = anyio.current_time()
        return one

    async def _run_alone(self, one: Http | WebSocket, scope: Scope, receive: Receive, send: Send) -> None:
        """Run an app in a cancel scope of its own."""
        try:
            with one.scope:
                if not one.refused:
                    await self._run(one, scope)
            if not one.finished and (one.scope.cancelled_caught or one.refused):
                await self._last_word(one, scope, receive, send)
        finally:
            self._end(one)

    async def _run_borrowed(
        self, app: ASGIApp, one: Http | WebSocket, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run an app in the cancel scope of its connection: what is to be done once it is cancelled is done there."""
        is_cut = False
        try:
            if one.refused:
                await self._last_word(one, scope, receive, send)
            else:
                await app(scope, one.receive, one.send)
                is_cut = not one.finished and one.refused
        except Exception as error:  # noqa: BLE001  the boundary, as in ``_run``
            await self._raised(one, scope, error)
        except BaseException as error:
            if is_stray(error, own=True):
                await self._raised(one, scope, Escaped(one.label, error))
            else:
                is_cut = not one.finished
                raise
        finally:
            if is_cut:
                one.leave_word(partial(self._last_word, one, scope, receive, send), partial(self._end, one))
            else:
                self._end(one)

    def _end(self, one: Opened) -> None:
        if one.hurried:
            one.end()
        self._open.discard(one)
        if self._idle is not None and not self._open:
            self._idle.set()
            self._idle = None
        if isinstance(one, Http) and one.left:
            self._left += 1
        if self.on_answer is not None and one.status:
            self.on_answer(one.label, one.status, anyio.current_time() - one.began)

    async def _run(self, one: Opened, scope: Scope) -> None:
        try:
            with contained(one.label, own=True):
                await self._app(scope, one.receive, one.send)
        except Exception as error:  # noqa: BLE001  the boundary: logged once, answered, and told to whoever asked
            await self._raised(one, scope, error)

    async def _raised(self, one: Opened, scope: Scope, error: Exception) -> None:
        """Take an error that the app has raised."""
        if isinstance(error, WebSocketDisconnect):
            _log.debug("%s: left by its client with %d", one.label, error.code)
        elif isinstance(error, ClientDisconnect):
            _log.debug("%s: left by its client in the middle of its body", one.label)
        elif not (isinstance(error, OSError) and isinstance(one, WebSocket) and one.left):
            await self._failure(one, scope, error)

    async def _failure(self, one: Opened, scope: Scope, error: Exception) -> None:
        self._failed += 1
        _log.error("%s failed\n%s", one.label, describe(error), exc_info=error)
        events.notify(events.CallFailed(self._service, getattr(scope.get("route"), "name", None) or one.label, error))
        asked: list[Exception] | None = scope.get("extensions", {}).get("evox.errors")  # a test client's
        if asked is not None:
            asked.append(error)
        if self._on_error is not None:
            self._on_error(error)
        if isinstance(one, Http) and not one.started:
            await one.send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
            await one.send({"type": "http.response.body", "body": b""})

    async def _last_word(self, one: Http | WebSocket, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the client of a cut request as much as can still be said, for at most a second."""
        with anyio.move_on_after(LAST_WORD):
            if isinstance(one, WebSocket):
                if one.started:
                    await one.go_away()
            elif one.refusal is not None:
                await self._blame(one, one.refusal, scope, receive)
            elif not one.started and not one.left:
                await self._refuse(scope, receive, send, self._refusing or "draining")

    async def _blame(self, one: Http, why: Refusal, scope: Scope, receive: Receive) -> None:
        """Refuse a request for what its client does. The connection is closed, as the rest of the body is not read."""
        peer = ":".join(str(part) for part in scope.get("client") or ("unknown",))
        if why is Refusal.TOO_LARGE:
            reason, limit = Reason.BODY_TOO_LARGE, f"more than {self._limits.body_bytes} bytes"
        else:
            reason, limit = Reason.BODY_TOO_SLOW, f"slower than {self._limits.body_rate} bytes a second"
        self._complaints.note(reason, peer, one.label)
        if not one.started:
            title = "Content Too Large" if why is Refusal.TOO_LARGE else "Request Timeout"
            response = problem(why.value, title, detail=f"the body is {limit}")
            await response(scope, receive, one.send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, state: str) -> None:
        self._refused += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        response = problem_of(ServiceUnavailable(self._service, state), retry_after=self._retry_after)
        if state == "draining":
            response.headers["connection"] = "close"
        await response(scope, receive, send)
