"""Exchange: one request and its answer, as ASGI sees them.

It reads the body from the connection when the app asks for it, in the app's own task, and writes the answer when the
app has some. Once the client has gone nothing fails: what is sent then goes nowhere, as ASGI says.
"""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
from starlette.types import Message

from evox.serving.client import Client
from evox.serving.http1.chunks import Chunks
from evox.serving.http1.head import Head, Unusual
from evox.serving.http1.reply import CONTINUE, Reply

if TYPE_CHECKING:
    from evox.serving.http1.connection import Connection

__all__ = ["Exchange"]

# Parts of an answer after which others get their turn.
TURN: Final = 8
_LARGE: Final = 65_536
_GONE: Final = {"type": "http.disconnect"}


class Exchange(Client):
    """One request on a connection.

    Args:
        connection: The connection; what has come of the body lies in its buffer.
        head: The request's head.

    Attributes:
        started: Whether anything of its answer was sent.
        finished: Whether its answer is complete.
        malformed: Whether its body cannot be read.
    """

    started: bool = False
    finished: bool = False
    malformed: bool = False
    _over: bool = False
    _left: int = 0
    _sent: int = 0
    _chunks: Chunks | None = None
    _reply: Reply | None = None
    _waiting: anyio.Event | None = None
    _reading: bool = False
    _turn: anyio.Event | None = None

    def __init__(self, connection: "Connection", head: Head) -> None:
        self.scope = connection.scope
        self.head = head
        self._connection = connection
        self._invite = head.waits
        length = head.length
        if length is None:
            self._chunks = Chunks()
        else:
            self._left = self.length = length
            self.body_arrived = length <= len(connection.buffer)

    def __repr__(self) -> str:
        return f"<Exchange {self.head.method} {self.head.path}{' finished' if self.finished else ''}>"

    def arrive(self, size: int) -> None:
        """Note that so many bytes lie in the buffer now."""
        self.body_arrived = self.body_arrived or (self._chunks is None and size >= self._left)

    @property
    def ready(self) -> bool:
        """Whether a part of the body is here. Of one in chunks there may be less here than that."""
        return bool(self._connection.buffer) and not self._over and self._chunks is None

    def leave(self) -> None:
        """Say that the client has left."""
        Client.leave(self)
        self._wake()

    async def receive(self) -> Message:
        """Return the client's next message: ASGI's ``receive``. Of several who ask one reads, others follow."""
        while self._reading and not self.gone:
            self._turn = self._turn or anyio.Event()
            await self._turn.wait()
        if self._over or self.gone:
            return await self._wait_gone()
        if not await self.may_take():
            return _GONE
        if self._chunks is None and not self._left:
            self._over = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._invite:
            self._invite = False
            if not self.started:
                waiting = self._connection.write(CONTINUE)
                if waiting is not None:
                    await waiting
        body = await self._next_part()
        if body is None:
            self.leave()
            return _GONE
        return {"type": "http.request", "body": body, "more_body": not self._over}

    def take_body(self) -> bytes | None:
        """Return all of its body; None where that cannot be done without waiting."""
        if self.skipped or self._invite:
            return None
        return self._take_rest()

    async def send(self, message: Message) -> None:
        """Send the app's message: ASGI's ``send``.

        Raises:
            RuntimeError: if it comes out of order, or the body is longer than its headers say.
            ValueError: if a header cannot be sent.
        """
        kind = message["type"]
        if kind == "http.response.start":
            if self._reply is not None:
                raise RuntimeError("the app has begun its answer twice")
            head = self.head
            self._reply = Reply(message["status"], message.get("headers", ()), head.method, head.version)
        elif kind == "http.response.body":
            if self._reply is None or self.finished:
                raise RuntimeError("the app has sent a body before its answer has begun, or after its end")
            await self._send_body(self._reply, message.get("body", b""), more=message.get("more_body", False))

    def answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> Coroutine[Any, Any, None] | None:
        """Send a whole answer.

        Returns:
            None if all of it is on its way; or what waits until it is, and is to be awaited.

        Raises:
            ValueError: if a header cannot be sent.
        """
        head, connection, size = self.head, self._connection, len(body)
        self._reply = reply = Reply(status, headers, head.method, head.version)
        if self.started or self._invite or connection.broken or self.malformed or reply.left not in (None, size):
            return self._send_body(reply, body, more=False)
        self.started = self.finished = True
        closes = connection.closing or reply.closes or not head.keeps
        data = reply.head(closes=closes, whole=size)
        if self._waiting is not None:
            self._waiting.set()
        if size > _LARGE and not reply.bodiless:
            return self._answer_in_two(data, body, closes=closes)
        waiting = connection.write(data if reply.bodiless else data + body)
        if not closes:
            return waiting
        connection.closing = True
        if waiting is None:
            connection.wire.end()
            return None
        return self._end_after(waiting)

    async def _answer_in_two(self, head: bytes, body: bytes, *, closes: bool) -> None:
        """Send a body that is not worth copying behind its head."""
        for part in (head, body):
            waiting = self._connection.write(part)
            if waiting is not None:
                await waiting
        if closes:
            self._connection.closing = True
            self._connection.wire.end()

    async def _end_after(self, waiting: Coroutine[Any, Any, None]) -> None:
        await waiting
        self._connection.wire.end()

    async def end(self) -> None:
        """Do what the app has left undone: it has returned, and its answer is not complete."""
        if self._reply is None and not self.gone:
            self._reply = Reply(500, ((b"content-length", b"0"), (b"connection", b"close")), "GET", self.head.version)
            await self._send_body(self._reply, b"", more=False)
        else:
            self._connection.broken = True  # the client is waiting for the rest, which nobody will send

    @property
    def done(self) -> bool:
        """Whether it is answered, and nothing of its body is left to be read."""
        return self.finished and not self.malformed and (self._over or (self._chunks is None and not self._left))

    @property
    def skipped(self) -> bool:
        """Whether nothing of its body is left to be read."""
        return self._over or (self._chunks is None and not self._left)

    def skip(self) -> bool:
        """Pass over a body that the app has not read; return False if some of it is yet to come."""
        return self.skipped or self._take_rest() is not None

    def _take_rest(self) -> bytes | None:
        """Return what is left of a body whose length is known; None if it is not, or not all of it is here."""
        connection, left = self._connection, self._left
        if self._chunks is not None or len(connection.buffer) < left:
            return None
        data, connection.buffer = connection.buffer[:left], connection.buffer[left:]
        try:
            connection.reader.body(data)
        except Unusual:
            self.malformed = True
            self.leave()
            return None
        self._over = True
        return data

    async def _send_body(self, reply: Reply, body: bytes, *, more: bool) -> None:
        connection, data = self._connection, b""
        if connection.broken or self.malformed:
            self.finished = not more
            return
        if not self.started:
            self.started = True
            closes = connection.closing or reply.closes or not self.head.keeps or (self._invite and bool(self._left))
            data = reply.head(closes=closes, whole=None if more else len(body))
            connection.closing = closes or reply.endless
        elif more:
            self._sent += 1
            if self._sent % TURN == 0:
                await anyio.lowlevel.checkpoint()  # an app that only writes would hold the loop for ever
        if body and not reply.bodiless:
            data += reply.part(body)
        if not more:
            self.finished = True
            data += reply.end()
            connection.broken = connection.broken or reply.lacks
            self._wake()
        waiting = connection.write(data) if data else None
        if waiting is not None:
            await waiting
        if not more and connection.closing:
            connection.wire.end()  # what the app does after its answer is no concern of the client

    async def _next_part(self) -> bytes | None:
        """Return the next part of the body, or None, and let others have the one after it."""
        self._reading = True
        try:
            return await self._part()
        except Unusual:
            self.malformed = True
            return None
        finally:
            self._reading = False
            if self._turn is not None:
                self._turn.set()
                self._turn = None

    async def _part(self) -> bytes | None:
        """Return the next part of the body; None if the client has left in the middle of it.

        Raises:
            Unusual: if it is no part of one.
        """
        connection, chunks = self._connection, self._chunks
        while True:
            data = connection.buffer or await connection.more()
            if not data:
                return None
            size = min(len(data), self._left) if chunks is None else chunks.take(data)
            connection.buffer = data[size:]
            body, complete = connection.reader.body(data[:size])
            if chunks is None:
                self._left -= size
                expected = not self._left
            else:
                expected = chunks.complete
            if complete is not expected:
                raise Unusual  # two readings of one message: nobody knows where it ends
            if complete:
                self._over = self.body_arrived = True
            if body or complete:
                return body

    async def _wait_gone(self) -> Message:
        """Wait until the client leaves, or the answer is complete."""
        if not (self.gone or self.finished):
            self._waiting = self._waiting or anyio.Event()
            await self._waiting.wait()
        return _GONE

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
