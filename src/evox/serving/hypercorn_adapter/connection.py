"""Connection: one client's, read in a task of its own; hypercorn's protocol starts one more for each request.

How long a client may take is the deadline of the scope in which the connection is read. What that deadline means
depends on what is being waited for: the head of a request, the next request, or a sign of life.
"""

import contextlib
import socket
import ssl
import struct
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.typing import ConnectionState

from evox.serving.client import LOOK, hung_up
from evox.serving.complaints import Reason
from evox.serving.hypercorn_adapter.http1 import Http1
from evox.serving.hypercorn_adapter.http2 import SLICE, Http2
from evox.serving.hypercorn_adapter.interfaces import Shared
from evox.serving.hypercorn_adapter.tasks import Tasks
from evox.serving.hypercorn_adapter.websocket import ping
from evox.serving.protocol import GONE, LAST_CALL, LINGER, Addresses, Complain

__all__ = ["Connection"]

_READ = 65_536
NEVER = float("inf")


class Connection:
    """One connection.

    Args:
        shared: What it has in common with the others of its app.
        stream: The socket, or TLS on it.
        addresses: The client's, and ours.
        complain: Called with reason and detail when the client does wrong.
    """

    def __init__(
        self,
        shared: Shared,
        stream: ByteStream,
        addresses: Addresses,
        complain: Complain,
    ) -> None:
        self._shared, self._context, self._settings = shared, shared.context, shared.settings
        self._stream, self._addresses, self._complain = stream, addresses, complain
        self._secure = isinstance(stream, TLSStream)
        self._sending = anyio.Lock(fast_acquire=True)
        self._writing = anyio.CancelScope()
        self._reading = anyio.CancelScope()
        self._head_by, self._head = NEVER, 0
        self._idle, self._begun = True, False
        self._resuming = False
        self._closing = self._left = self._dead = self._pinged = False
        self._tasks: Tasks
        self._protocol: Http1 | Http2

    async def run(self) -> None:
        """Serve the connection to its end."""
        async with anyio.create_task_group() as group:
            self._tasks = Tasks(group, self._settings, self._hung_up)
            if self._stream.extra(TLSAttribute.alpn_protocol, None) == "h2":  # noqa: S610
                await self._switch()
            else:
                self._protocol = Http1(
                    *self._arguments(),
                    limits=self._settings,
                    h2c=self._settings.h2c and not self._secure,
                    complain=self._complain,
                    resume=self._resume,
                )
                await self._protocol.initiate()
            await self._read()
            await self._protocol.handle(Closed())
            await self._tasks.leave()
            if self._closing and not (self._left or self._dead):
                await self._linger()
                await self._stream.aclose()  # the app may go on with background tasks; the client need not wait

    @property
    def idle(self) -> bool:
        """Whether it waits for the client's next request."""
        return self._idle and not self._closing

    async def leave_soon(self) -> None:
        """Ask the client to send its next request elsewhere. Over HTTP/1.1 each answer says it."""
        if isinstance(self._protocol, Http2):
            await self._protocol.leave_if_idle()

    def finish(self) -> None:
        """Close as soon as nothing is being answered. A request already sent is still answered."""
        if self._idle:
            self._reading.deadline = min(self._reading.deadline, anyio.current_time() + LAST_CALL)

    def abort(self) -> None:
        """Close now, whatever is being sent."""
        self._dead = True
        self._writing.cancel()
        self._reading.cancel()

    def _arguments(self) -> tuple[Any, ...]:
        common = (self._shared.app, self._shared.config, self._context, self._tasks, ConnectionState({}))
        return (*common, self._secure, *self._addresses, self._send)

    async def _switch(self, *begin: Any) -> None:
        """Go on in HTTP/2."""
        protocol = self._protocol = Http2(
            *self._arguments(), limits=self._settings, complain=self._complain, tasks=self._tasks
        )
        self._tasks.give_back = protocol.give_back
        self._begun = True  # it says so itself when requests come; bytes alone mean nothing
        self._head = protocol.heads.count
        self._head_by = anyio.current_time() + self._settings.header_timeout  # the client has to introduce itself
        self._until(NEVER)
        await protocol.initiate(*begin)

    async def _read(self) -> None:
        """Feed the protocol until either side is done, or nothing comes for too long."""
        self._wait_for(self._settings.header_timeout)
        while not self._closing and not self._dead:
            if isinstance(self._protocol, Http1) and self._protocol.crowded and not await self._room(self._protocol):
                self._left = True
                return
            data = None
            with self._reading:
                try:
                    data = await self._stream.receive(_READ)
                except GONE:
                    self._left = True  # it may still read: what is being answered is sent
                    return
            deadline, self._reading = self._reading.deadline, anyio.CancelScope()
            self._reading.deadline = deadline
            if data is None and self._resuming:
                data, self._resuming = b"", False
            if data is None:
                if self._closing or self._dead or not await self._overdue():
                    return
                continue
            self._pinged = False
            if self._idle and not self._begun:
                self._begun = True
                self._wait_for(self._settings.header_timeout)
            await (self._feed(data) if self._tasks.websocket is None else self._feed_in_slices(data))
            self._watch_head()
            if not self._idle:
                self._until(self._patience())

    async def _room(self, protocol: Http1) -> bool:
        """Wait until there is room to read on; return False if the client leaves before."""
        while not (self._closing or self._dead or self._hung_up()):
            with anyio.move_on_after(LOOK):
                await protocol.room()
                return True
        return self._closing or self._dead

    def _hung_up(self) -> bool:
        """Whether the client has closed, whatever there is still to read."""
        return hung_up(self._stream.extra(SocketAttribute.raw_socket).fileno())  # noqa: S610

    def _resume(self) -> None:
        """Have the reader hand in what was read while an answer was under way."""
        self._resuming = True
        self._reading.cancel()

    async def _feed_in_slices(self, data: bytes) -> None:
        """Feed a WebSocket, where a few bytes may inflate to a thousand times as many: others get their turn."""
        for start in range(0, len(data), SLICE):
            if start:
                await anyio.lowlevel.checkpoint()
            if not (self._closing or self._dead):
                await self._feed(data[start : start + SLICE])

    async def _feed(self, data: bytes) -> None:
        try:
            await self._protocol.handle(RawData(data))
        except H2ProtocolAssumedError as change:
            self._idle = True  # what it has begun with looked like a request and is none
            await self._switch()
            rest = change.data
        except H2CProtocolRequiredError as change:
            await self._switch(change.headers, change.settings.decode())
            rest = change.data
        else:
            return
        if rest:
            await self._protocol.handle(RawData(rest))

    def _wait_for(self, seconds: float) -> None:
        if self._context.terminated.is_set():
            seconds = min(seconds, LAST_CALL)
        self._until(anyio.current_time() + seconds)

    def _until(self, deadline: float) -> None:
        self._reading.deadline = min(deadline, self._head_by)

    def _watch_head(self) -> None:
        """Over HTTP/2 a head that has begun has its time, whatever else goes on. HTTP/1.1 has one at a time."""
        if isinstance(self._protocol, Http1):
            return
        heads = self._protocol.heads
        begun = heads.count if heads.begun else 0
        if begun == self._head:
            return
        self._head = begun
        self._head_by = anyio.current_time() + self._settings.header_timeout if begun else NEVER
        if self._idle:
            self._wait_for(self._settings.keep_alive)

    def _patience(self) -> float:
        """Return until when a client may be silent while it is being answered."""
        pings = isinstance(self._protocol, Http2) or self._tasks.websocket is not None
        return anyio.current_time() + self._settings.ping if pings else NEVER

    async def _overdue(self) -> bool:
        """Nothing came in time; return whether to wait on."""
        protocol = self._protocol
        if isinstance(protocol, Http2) and self._head_by <= anyio.current_time():
            await protocol.too_slow()
            return False
        if self._idle:
            if self._begun and isinstance(protocol, Http1) and not self._context.terminated.is_set():
                await protocol.too_slow()
                self._closing = True
            elif isinstance(protocol, Http2):
                await protocol.say_goodbye()
                self._closing = True
            else:
                self._closing = self._secure  # TLS, which says goodbye too
            return False
        if self._pinged:
            self._complain(Reason.SILENT, f"no answer to a ping within {self._settings.ping:g} s")
            self._reset()
            return False
        self._pinged = True
        self._until(self._patience())
        if isinstance(protocol, Http2):
            await protocol.ping()
        elif self._tasks.websocket is not None:
            await ping(self._tasks.websocket)
        return True

    async def _linger(self) -> None:
        stream: Any = self._stream
        with contextlib.suppress(Exception), anyio.move_on_after(LINGER):
            if isinstance(stream, TLSStream):
                with contextlib.suppress(ssl.SSLError, *GONE):  # what the client still sends is no goodbye
                    await stream.unwrap()
                stream = stream.transport_stream
            await stream.send_eof()
            while True:
                await stream.receive(_READ)

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            if event.data and not await self._write(event.data):
                await self._protocol.handle(Closed())
        elif isinstance(event, Closed):
            self._closing = True
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._idle = event.idle
            if event.idle:
                self._begun = isinstance(self._protocol, Http2)
                self._wait_for(self._settings.keep_alive)
            else:
                self._until(self._patience())

    async def _write(self, data: bytes) -> bool:
        """Send; return False when the client has gone, or does not read."""
        if not isinstance(self._protocol, Http2):
            return await self._write_in_turn(data)
        # What HTTP/2 has made of a frame must go out whole: were it lost, every stream of the connection would be.
        with anyio.CancelScope(shield=True):
            return await self._write_in_turn(data)
        return False

    async def _write_in_turn(self, data: bytes) -> bool:
        await anyio.lowlevel.checkpoint_if_cancelled()  # while nothing of it is sent
        async with self._sending:
            return not self._dead and await self._write_now(data)

    async def _write_now(self, data: bytes) -> bool:
        done = False
        try:
            with anyio.CancelScope() as self._writing:
                for start in range(0, len(data), _READ):
                    self._writing.deadline = anyio.current_time() + self._settings.write_timeout
                    await self._stream.send(data[start : start + _READ] if len(data) > _READ else data)
                done = True
        except GONE:
            return False
        finally:
            if not done and not self._dead:
                self._dead = True  # part of it may be sent, so nothing can follow
                if self._writing.cancelled_caught:
                    self._complain(Reason.DOES_NOT_READ, f"for {self._settings.write_timeout:g} s")
                    self._reset()
                self._reading.cancel()
        return done

    def _reset(self) -> None:
        """Have the kernel forget what it has not sent: the client would not read it."""
        self._dead = True
        raw = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
