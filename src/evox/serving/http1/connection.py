"""Connection: one client's, served in one task: a request is read, answered in place and followed by the next.

It sets no timers. It notes what it waits for and until when, and the lane's sweep looks at that a few times a second;
see ``lane``. What it cannot serve it gives up together with the bytes that it has read, for hypercorn to go on with.
"""

import contextlib
import socket
import struct
from collections.abc import Coroutine
from contextvars import copy_context
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
from starlette.types import Scope

from evox.serving.client import CLIENT, hung_up
from evox.serving.complaints import Reason
from evox.serving.http1.contexts import in_context
from evox.serving.http1.exchange import Exchange
from evox.serving.http1.head import Head, Reader, Unusual
from evox.serving.http1.reply import refusal
from evox.serving.protocol import LAST_CALL, LINGER, Addresses, Complain
from evox.serving.wires import Wire

if TYPE_CHECKING:
    from evox.serving.http1.lane import Lane

__all__ = ["Connection"]

NEVER: Final = float("inf")
UNSET: Final = -1.0  # since an answer, until the next sweep: those that get a request before it set no time
# Requests that were sent behind one another are answered without a pause; others get their turn after so many.
TURN: Final = 16
_SLICE: Final = 65_536
_BODY: Final = 262_144  # bytes of a body that are read at a time
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_END: Final = b"\r\n\r\n"


class Phase(Enum):
    """What a connection is doing."""

    NEW = "waiting for its first request"
    IDLE = "waiting for its next request"
    HEAD = "reading the head of a request"
    ANSWER = "answering"


class Connection:
    """One connection.

    Args:
        lane: What it has in common with the others.
        wire: The connection itself.
        addresses: The client's, and ours.
        complain: Called with reason and detail when the client does wrong.
        reader: Reads requests; that of the connection from which this one takes over.
        read: What was read of the wire already.

    Attributes:
        buffer: What was read and not yet taken.
        closing: Whether it ends after the answer.
        broken: Whether it ends, as nothing that follows could be understood.
        relieved: Whether another one has taken the wire over, because the app goes on after its answer.
        due: When it has waited too long.
        sending: When a client that does not read is cut; never while nothing waits to be sent.
    """

    __slots__ = (
        "_complain",
        "_ended",
        "_lane",
        "_mark",
        "_overdue",
        "_phase",
        "_reading",
        "_seen",
        "_sent",
        "addresses",
        "broken",
        "buffer",
        "closing",
        "due",
        "exchange",
        "reader",
        "relieved",
        "scope",
        "sending",
        "wire",
    )

    def __init__(
        self,
        lane: "Lane",
        wire: Wire,
        addresses: Addresses,
        complain: Complain,
        *,
        reader: Reader | None = None,
        read: bytes = b"",
    ) -> None:
        self._lane, self.wire, self.addresses, self._complain = lane, wire, addresses, complain
        self.reader = reader or Reader(lane.settings.header_count)
        self.buffer = read
        self.scope = anyio.CancelScope()
        self.closing = self.broken = self.relieved = False
        self._phase = Phase.NEW if reader is None else Phase.IDLE
        self.due = self.sending = NEVER
        self._mark = 0
        self._sent: anyio.Event
        self.exchange: Exchange | None = None
        self._seen: Exchange | None = None
        self._reading = self._overdue = self._ended = False

    def __repr__(self) -> str:
        return f"<Connection {self._phase.value}>"

    @property
    def idle(self) -> bool:
        """Whether it waits for the client's next request."""
        return self._phase is not Phase.ANSWER

    async def run(self) -> bytes | None:
        """Serve it to its end.

        Returns:
            None; or what was read and is not for this lane: others have to go on with the wire.
        """
        rest = None
        try:
            with self.scope:
                rest = await self._serve()
            if rest is None and not self.relieved:
                await self._say_last_word()
        finally:
            self._end_exchange()
        if self.closing and not (self.broken or self._ended or self.relieved):
            await self._linger()
        return rest

    async def _say_last_word(self) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.last_word is not None:
            await exchange.last_word()
            self.closing = True
        elif self._overdue and self._phase is Phase.HEAD and not self._lane.terminated:
            self._complain(Reason.HEAD_TOO_SLOW, "")
            await self._refuse(408, "the head of the request took too long")

    def _end_exchange(self) -> None:
        if self.exchange is not None and self.exchange.on_end is not None:
            self.exchange.on_end()

    def successor(self) -> "Connection":
        """Return what serves the wire from now on, once this one is relieved."""
        return Connection(self._lane, self.wire, self.addresses, self._complain, reader=self.reader, read=self.buffer)

    def finish(self) -> None:
        """Close as soon as nothing is being answered. A request already sent is still answered."""
        if self.idle:
            soon = self._lane.clock() + LAST_CALL
            self.due = soon if self.due == UNSET else min(self.due, soon)

    def abort(self) -> None:
        """Close now, whatever is being sent."""
        self.broken = True
        self._reset()
        self.scope.cancel()

    def sweep(self, now: float) -> None:
        """Look whether it has waited for too long, or its client has left."""
        if self.sending <= now and not self._has_read(now):
            self.sending = NEVER
            self._complain(Reason.DOES_NOT_READ, f"for {self._lane.settings.write_timeout:g} s")
            self._reset()
            self.wire.abort()
        if self.due == UNSET:
            self.due = self._until(self._lane.settings.keep_alive)
            self.reader.forget()
        elif self.due <= now:
            self.due = NEVER
            self._overdue = True
            self.scope.cancel()
        exchange = self.exchange
        if exchange is None or exchange is not self._seen:
            self._seen = exchange  # most are answered before there is a second look
        elif exchange.finished:
            if (
                self.sending == NEVER
            ):  # else its answer is not there yet, and what follows would go into the middle of it
                self._relieve(exchange)
        elif not (self._reading or exchange.gone):
            self._look(exchange)

    def _has_read(self, now: float) -> bool:
        """Whether the client has read enough of what is being sent to be given more time."""
        unsent = self.wire.unsent
        if unsent > self._mark - _SLICE:
            return False
        self._mark, self.sending = unsent, now + self._lane.settings.write_timeout
        return True

    async def more(self) -> bytes:
        """Return what the client sends next of its body; no bytes if it has left."""
        self._reading = True
        try:
            data = await self.wire.receive(_BODY)
        finally:
            self._reading = False
        self._ended = not data
        return data

    def write(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Send. A client that has left, or does not read, is noted, and is no error of the app.

        Returns:
            None if all of it is on its way; or what waits until it is, and is to be awaited.
        """
        if self.sending != NEVER:
            return self._write_next(data)
        try:
            return None if self.wire.put(data) else self._flush()
        except OSError:
            self._lose()
            return None

    def _lose(self) -> None:
        self.broken = True
        if self.exchange is not None:
            self.exchange.leave()

    async def _flush(self) -> None:
        """Wait until what was put is sent. The sweep sees whether the client reads it."""
        done, self._sent = False, anyio.Event()
        self._mark, self.sending = self.wire.unsent, self._lane.clock() + self._lane.settings.write_timeout
        try:
            await self.wire.flush()
            done = True
        except OSError:
            self._lose()
        finally:
            self.sending = NEVER
            self._sent.set()
            self.broken = self.broken or not done  # part of it may be sent, so nothing can follow

    async def _write_next(self, data: bytes) -> None:
        """Send what another task of the app has while something is still being sent: behind it."""
        while self.sending != NEVER:
            await self._sent.wait()
        waiting = None if self.broken else self.write(data)
        if waiting is not None:
            await waiting

    async def _serve(self) -> bytes | None:
        lane, turn, context = self._lane, 0, copy_context()
        reader, begin, most = self.reader, lane.begin, lane.settings.header_bytes
        self.due = self._until(lane.settings.header_timeout) if self._phase is Phase.NEW else UNSET
        while True:
            buffer = self.buffer
            end = buffer.find(_END) + 4
            if end < 4 or end > most:
                if end >= 4 or (buffer and self._is_odd()):
                    return buffer
                if buffer and self._phase is not Phase.HEAD:
                    self._begin_head()
                if not await self._read_head():
                    return None
                turn = 0
                continue
            try:
                head = reader.head(buffer[:end])
            except Unusual:
                return buffer
            self.buffer = buffer[end:]
            self._phase, self.due = Phase.ANSWER, NEVER
            exchange = self.exchange = Exchange(self, head)
            answering = begin(self._scope_of(head, exchange), exchange.receive, exchange.send)
            await in_context(context.copy(), answering)
            goes_on = exchange.done and not (self.closing or self.broken or self.relieved)
            if not goes_on and not await self._goes_on(exchange):
                return None
            self.exchange = self._seen = None
            del exchange, head, answering
            self._phase, self.due = Phase.IDLE, UNSET
            turn += 1
            if turn >= TURN:
                turn = 0
                await anyio.lowlevel.checkpoint()

    async def _goes_on(self, exchange: Exchange) -> bool:
        """Whether another request may follow one that was answered."""
        if not exchange.finished:
            await exchange.end()
        if exchange.malformed:
            self._complain(Reason.MALFORMED, "the body of a request")
            if not exchange.started:
                await self._refuse(400, "malformed request")
            self.closing = True
        if self.closing or self.broken or self.relieved:
            return False
        self.closing = not exchange.skip()
        return not self.closing

    async def _read_head(self) -> bool:
        """Read on; return False when the client has closed its side."""
        data = await self.wire.receive()
        if not data:
            self._ended = True
            return False
        self.buffer = self.buffer + data if self.buffer else data
        return True

    def _begin_head(self) -> None:
        """Let the client have its time for a head of which some has come."""
        self._phase = Phase.HEAD
        self.due = self._until(self._lane.settings.header_timeout)

    def _is_odd(self) -> bool:
        """Whether what has come of a head is so unlike one that waiting for the rest would be in vain."""
        buffer = self.buffer
        return (
            buffer[0] <= 32
            or buffer.count(b"\n") != buffer.count(b"\r\n")
            or (len(buffer) > self._lane.settings.header_bytes)
        )

    def _scope_of(self, head: Head, exchange: Exchange) -> Scope:
        client, server = self.addresses
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "client": client,
            "server": server,
            "state": {},
            "extensions": {CLIENT: exchange},
        }

    def _until(self, seconds: float) -> float:
        return self._lane.clock() + (min(seconds, LAST_CALL) if self._lane.terminated else seconds)

    async def _refuse(self, status: int, what: str) -> None:
        with anyio.move_on_after(LINGER):
            waiting = self.write(refusal(status, what))
            if waiting is not None:
                await waiting
        self.closing = True

    def _look(self, exchange: Exchange) -> None:
        """Find out whether the client has left while the app is at work."""
        if len(self.buffer) > _SLICE:
            if hung_up(self.wire.raw.fileno()):
                exchange.tell()
            return
        data = self.wire.take()
        if data is None:
            return
        if data:
            self.buffer += data
            exchange.arrive(len(self.buffer))
        else:
            self._ended = True
            exchange.leave()

    def _relieve(self, exchange: Exchange) -> None:
        """Let the client's next request be answered while the app goes on after its answer."""
        if self.closing or self.broken or self.relieved or not exchange.skip():
            return
        self.relieved = True
        self._lane.take_over(self)

    def _reset(self) -> None:
        """Have the kernel forget what it has not sent: the client would not read it."""
        self.broken = True
        with contextlib.suppress(OSError):
            self.wire.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _linger(self) -> None:
        self.wire.end()
        with anyio.move_on_after(LINGER):
            while await self.wire.receive():
                pass
