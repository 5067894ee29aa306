"""Wires: a plain connection as the fast lane reads and writes it, in few steps and without a task or timer of its own.

On trio it is the socket itself, read when the kernel says so. On asyncio it is a transport, because uvloop reads and
writes those in C. Both give bytes as they come, the end of the client's side as no bytes, and write at once what the
kernel takes.
"""

import asyncio
import contextlib
import socket
from typing import Any, Protocol, cast

from trio import ClosedResourceError
from trio.lowlevel import checkpoint, notify_closing, wait_readable, wait_writable

from evox.runtime import on_trio
from evox.serving.readiness import Readable, Readiness

__all__ = ["Wire", "open_wire"]

READ = 65_536
# Bytes that may lie here unread before an asyncio transport is told to wait.
HIGH = 65_536


class Wire(Protocol):
    """One connection. At most one task may receive, and one may send, at a time."""

    raw: Any

    async def receive(self, size: int = READ) -> bytes:
        """Return up to so many bytes of what has come, waiting for it if need be; none once the client has closed."""

    def take(self) -> bytes | None:
        """Return what has come, without waiting: None if nothing has, no bytes if nothing will."""

    def put(self, data: bytes) -> bool:
        """Send what the kernel takes at once; return whether that was all. ``flush`` waits for the rest.

        Raises:
            OSError: if the client has gone.
        """

    @property
    def unsent(self) -> int:
        """Bytes that were put and the kernel has not yet."""

    async def flush(self) -> None:
        """Wait until the kernel has all that was put.

        Raises:
            OSError: if the client has gone.
        """

    def end(self) -> None:
        """Say that nothing more will be sent."""

    def abort(self) -> None:
        """Let what is being sent fail: the client does not take it."""

    async def close(self) -> None:
        """Close the connection; what has been sent still arrives."""


async def open_wire(raw: socket.socket, readiness: Readiness | None = None) -> Wire:
    """Make a wire of an accepted socket, which the wire then owns.

    Args:
        raw: The socket.
        readiness: Tells on trio when there is something to read; without it the loop is asked each time.

    Raises:
        OSError: if the client has left already.
    """
    if on_trio():
        return _SocketWire(raw, readiness)
    loop = asyncio.get_running_loop()
    wire = _TransportWire(raw, loop)
    await loop.connect_accepted_socket(lambda: wire, raw)
    return wire


class _SocketWire:
    """A socket on trio."""

    __slots__ = ("_aborted", "_readable", "_readiness", "_rest", "raw")

    def __init__(self, raw: socket.socket, readiness: Readiness | None) -> None:
        self.raw = raw
        self._rest = memoryview(b"")
        self._aborted = False
        self._readiness = readiness
        self._readable: Readable | None = None if readiness is None else readiness.watch(raw)

    async def receive(self, size: int = READ) -> bytes:
        readable = self._readable
        if readable is None:
            return await self._ask(size)
        while True:
            if readable.maybe:
                await checkpoint()  # who never waits would keep others waiting
            else:
                await readable.wait()
            if self._aborted:
                return b""
            try:
                data = self.raw.recv(size)
            except BlockingIOError:
                readable.maybe = readable.ended = False
                continue
            except OSError:
                return b""
            if len(data) < size and not readable.ended:
                readable.maybe = False  # that was all; of more the kernel tells
            return data

    async def _ask(self, size: int) -> bytes:
        raw = self.raw
        while True:
            # Asking first would mostly be in vain, and one that is always answered at once would never yield.
            try:
                await wait_readable(raw)
                return raw.recv(size)
            except BlockingIOError:
                continue
            except (OSError, ClosedResourceError):
                return b""

    def take(self) -> bytes | None:
        try:
            return self.raw.recv(READ)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def put(self, data: bytes) -> bool:
        try:
            sent = self.raw.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return True
        self._rest = memoryview(data)[sent:]
        return False

    @property
    def unsent(self) -> int:
        return len(self._rest)

    async def flush(self) -> None:
        while self._rest:
            try:
                await wait_writable(self.raw)
            except ClosedResourceError:
                raise BrokenPipeError("the client does not read") from None
            with contextlib.suppress(BlockingIOError):
                self._rest = self._rest[self.raw.send(self._rest) :]

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.raw.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        notify_closing(self.raw)
        self._aborted = True
        if self._readable is not None:
            self._readable.tell(ended=True)

    async def close(self) -> None:
        if self.raw.fileno() >= 0:
            self.abort()
            if self._readiness is not None and self._readable is not None:
                self._readiness.forget(self.raw)
            self.raw.close()


class _TransportWire(asyncio.Protocol):
    """A transport on asyncio."""

    def __init__(self, raw: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.raw: Any = raw
        self._loop = loop
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._came = b""
        self._ended = self._held = self._lost = self._full = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self._came = self._came + data if self._came else data
        if len(self._came) >= HIGH and not self._held:
            self._held = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake_reader()
        return True  # its other half may still be written to

    def connection_lost(self, _: Exception | None) -> None:
        self._ended = self._lost = True
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        self._wake_reader()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    async def receive(self, size: int = READ) -> bytes:
        del size  # it comes in pieces as the loop likes them, and never much more than HIGH
        while not (self._came or self._ended):
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._taken()

    def take(self) -> bytes | None:
        return self._taken() if self._came or self._ended else None

    def put(self, data: bytes) -> bool:
        if self._lost:
            raise BrokenPipeError("the client has gone")
        self._transport.write(data)
        return not self._full

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    async def flush(self) -> None:
        while self._full:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        if self._lost:
            raise BrokenPipeError("the client has gone")

    def end(self) -> None:
        if not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def abort(self) -> None:
        self._transport.abort()

    async def close(self) -> None:
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
        if not self._lost:
            self._closed = self._loop.create_future()
            await self._closed

    def _taken(self) -> bytes:
        came, self._came = self._came, b""
        if self._held:
            self._held = False
            self._transport.resume_reading()
        return came

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
