"""Local: a service of this process as something that can be called."""

import math
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final

import anyio
from starlette.responses import Response

from evox.errors import ServiceUnavailable
from evox.runtime import Native, State
from evox.service_proxy.direct import Direct, is_direct
from evox.service_proxy.exchange import Exchange, Parts, request_scope
from evox.service_proxy.isolation import Isolated
from evox.service_proxy.received import received, sendable
from evox.service_proxy.replies import JSON_HEADERS, NoAnswer, Reply
from evox.service_proxy.sending import Sending
from evox.service_proxy.streams import Chunks
from evox.service_proxy.tracing import span_headers
from evox.services import Call, Running, Scope, problem_of
from evox.services.call import Inbound
from evox.services.declaration import Declaration
from evox.services.encoding import Wire
from evox.services.endpoint import Endpoint
from evox.services.http_errors import problem
from evox.services.operations import Operation, Operations, operations_of

__all__ = ["LocalTarget"]

_UNKNOWN: Final = object()


class LocalTarget:
    """One service that runs in this process.

    Args:
        service: What was declared.
        scope: The runtime it runs in.
        loop: What the loop has that it runs on.
    """

    kind = "local"

    def __init__(self, service: Declaration, scope: Scope, loop: Native) -> None:
        self._service = service
        self._bounded = loop.scope
        self._scope = scope
        self._operations: Operations | None = None
        self._direct: dict[int, Any] = {}  # by the id of an operation: hashing one takes longer
        self._kept: list[Operation] = []
        self._limit = int(scope.loaded.settings.proxy.answer_bytes)
        self._limits = scope.loaded.settings.serving

    def __repr__(self) -> str:
        return f"<LocalTarget {self.name!r}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self._service.name

    async def operations(self, sending: Sending) -> Operations:
        """Return what it can do."""
        del sending
        return self.known

    @property
    def known(self) -> Operations:
        """What it can do: all that its app has routes for."""
        if self._operations is None:
            self._operations = operations_of(self.name, self._service.app)
        return self._operations

    async def send(self, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        """Make one attempt.

        Raises:
            NoAnswer: if its time is over, or the service ends meanwhile.
        """
        running: Running | None = self._scope.find(self._service)
        if not wire.is_short or running is None or running.nursery is None or not _is_open(running):
            refusal = self._refusal(running, wire)
            if refusal is not None:
                await anyio.lowlevel.checkpoint()
                return refusal
        assert running is not None  # noqa: S101  it would have been refused
        direct = self._direct.get(id(operation), _UNKNOWN)
        if direct is _UNKNOWN:
            direct = self._direct_of(operation)
        with self._bounded() as scope:
            running.calls.add(scope)
            try:
                if direct is None or (not wire.body and direct.binding.needs_body):
                    scope.deadline = sending.deadline
                    return await self._whole(running, operation, wire, sending)
                coroutine = direct(running, wire, _call(direct.row, running.name, operation, sending))
                apart = copy_context()
                try:
                    asked = apart.run(coroutine.send, None)
                except StopIteration as done:
                    reply: Reply = done.value
                    is_usual = reply.headers is JSON_HEADERS and len(reply.body) <= self._limit
                    return reply if is_usual else received(reply, self._limit)
                scope.deadline = sending.deadline  # only what waits for something can be ended
                return received(await Isolated(coroutine, apart, asked), self._limit)
            finally:
                running.calls.discard(scope)
        if anyio.current_time() >= sending.deadline:
            raise NoAnswer("its time was over", sent=True, is_timeout=True)
        return _down(self.name, running)

    async def stream(self, operation: Operation, wire: Wire, sending: Sending) -> Reply | Chunks:
        """Begin a call whose answer is read part by part.

        Raises:
            NoAnswer: if it does not begin.
        """
        running: Running | None = self._scope.find(self._service)
        refusal = self._refusal(running, wire)
        if refusal is not None:
            return refusal
        assert running is not None  # noqa: S101  it would have been refused
        exchange = self._exchange(running, operation, wire, sending, math.inf)
        with anyio.CancelScope(deadline=sending.deadline):
            await exchange.begin()
            if 200 <= exchange.status < 300 and not _is_odd(exchange.headers):
                return _Parts(exchange)
            return received(await _read(exchange, self._limit), self._limit)
        raise NoAnswer("its time was over", sent=True, is_timeout=True)

    def statistics(self) -> Any:
        """Return whether it runs."""
        return self._scope.find(self._service)

    async def _whole(self, running: Running, operation: Operation, wire: Wire, sending: Sending) -> Reply:
        exchange = self._exchange(running, operation, wire, sending, sending.deadline)
        await exchange.begin()
        return received(await _read(exchange, self._limit), self._limit, is_head=operation.method == "HEAD")

    def _exchange(
        self, running: Running, operation: Operation, wire: Wire, sending: Sending, deadline: float
    ) -> Exchange:
        app = self._service.app
        scope = request_scope(app, operation, wire, deadline)
        if sending.key is not None:
            scope["headers"].append((b"idempotency-key", sending.key.encode("latin-1")))
        scope["headers"] += span_headers()
        scope["state"] = dict(running.state)
        return Exchange(
            running, scope, wire.body or b"", Inbound(sending.internal, sending.parent, self.name, str(operation))
        )

    def _refusal(self, running: Running | None, wire: Wire) -> Reply | None:
        """Return what answers a call that cannot be made: the service is not there, or it is too large."""
        if running is None or running.nursery is None or not _is_open(running):
            return _down(self.name, running)
        if wire.body is not None and len(wire.body) > self._limits.body_bytes:
            detail = f"the body is more than {self._limits.body_bytes} bytes"
            return _reply(problem(413, "Content Too Large", detail=detail))
        if len(wire.path) > self._limits.header_bytes or (
            (wire.query or wire.headers) and _head(wire) > self._limits.header_bytes
        ):
            detail = f"a head of more than {self._limits.header_bytes} bytes"
            return _reply(problem(431, "Request Header Fields Too Large", detail=detail))
        return None

    def _direct_of(self, operation: Operation) -> Any:
        """Return what calls an endpoint without HTTP, or None if it needs some; it is kept."""
        app = self._service.app
        is_plain = not self._service.adopted and is_direct(operation, app)
        self._kept.append(operation)  # its id is its own for as long as it is there
        found = self._direct[id(operation)] = Direct(operation, app) if is_plain else None
        return found


def _call(row: Endpoint, service: str, operation: Operation, sending: Sending) -> Call:
    """Return the call that an endpoint is run for. Who calls ends it in time; the endpoint does so if it gives less."""
    call = Call(row, "internal", service, operation.method, None, sending.parent, sending.internal)
    call.deadline, call.bounded = sending.deadline, True
    if row.timeout is not None:
        own = anyio.current_time() + row.timeout
        if own < sending.deadline:
            call.deadline, call.bounded = own, False
    return call


def _is_open(running: Running) -> bool:
    state = running.lifecycle.state
    return state is State.READY or state is State.DRAINING  # in a set it would be hashed, in Python


def _is_odd(headers: Mapping[str, str]) -> bool:
    """Return whether an answer would not come, or not be read part by part."""
    return not sendable(headers) or "content-encoding" in headers


def _down(name: str, running: Running | None) -> Reply:
    state = "stopped" if running is None else running.lifecycle.state.name.lower()
    return _reply(problem_of(ServiceUnavailable(name, state), retry_after=1.0))


def _head(wire: Wire) -> int:
    """Return of how many bytes the head of a request would be at least."""
    return len(wire.target) + sum(len(name) + len(value) + 4 for name, value in wire.headers)


def _reply(response: Response) -> Reply:
    return Reply(response.status_code, bytes(response.body), dict(response.headers))


async def _read(exchange: Exchange, limit: int) -> Reply:
    """Return all of an answer."""
    parts = Parts(limit)
    try:
        while (part := await exchange.receive()) is not None:
            parts.add(part)
    finally:
        exchange.leave()
    return Reply(exchange.status, parts.body(), exchange.headers, exchange.error)


@dataclass(slots=True)
class _Parts:
    """An answer of this process, read part by part."""

    exchange: Exchange

    @property
    def media(self) -> str:
        return self.exchange.headers.get("content-type", "")

    async def receive(self) -> bytes | None:
        return await self.exchange.receive()

    async def aclose(self) -> None:
        self.exchange.leave()
