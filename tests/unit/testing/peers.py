"""Peers: both ends of TCP connections under a test's full control, on either loop. Nothing here asserts anything."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio

from evox.testing import FaultyLink, tcp_faults

__all__ = ["Listening", "Peer", "descriptors", "echoing", "joined", "until"]

PART = 65536


class Peer:
    """One end of a connection. Errors are those of the socket itself."""

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        self.socket = raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @classmethod
    def to(cls, port: int, *, buffer: int | None = None) -> Self:
        """Connect to a port of 127.0.0.1: the kernel does so at once, whether the listener accepts or not.

        With ``buffer``, the kernel keeps about so many bytes in each direction.
        """
        raw = socket.socket()
        if buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        raw.connect(("127.0.0.1", port))
        return cls(raw)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            await anyio.wait_writable(self.socket)
            view = view[self.socket.send(view) :]

    def end(self) -> None:
        """Send FIN, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    async def receive(self) -> bytes:
        """Return what comes next; empty at the end."""
        await anyio.wait_readable(self.socket)
        return self.socket.recv(PART)

    async def exactly(self, size: int) -> bytes:
        """Return so many bytes, or fewer if the stream ends before."""
        data = bytearray()
        while len(data) < size and (part := await self.receive()):
            data += part
        return bytes(data)

    async def rest(self) -> bytes:
        """Return everything until the end."""
        data = bytearray()
        while part := await self.receive():
            data += part
        return bytes(data)

    async def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes for a while, neither bytes nor an end nor a reset."""
        with anyio.move_on_after(seconds):
            await anyio.wait_readable(self.socket)
            return False
        return True

    async def full(self, seconds: float = 0.2) -> bool:
        """Whether nothing can be sent for a while."""
        with anyio.move_on_after(seconds):
            await anyio.wait_writable(self.socket)
            return False
        return True


class Listening:
    """A server whose connections the test takes one by one."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def accept(self) -> Peer:
        """Return the next connection."""
        await anyio.wait_readable(self._socket)
        return Peer(self._socket.accept()[0])


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """Run a server that sends back what it reads, and ends its answer when the client does; yields its port."""

    async def echo(peer: Peer) -> None:
        with peer:
            try:
                while part := await peer.receive():
                    await peer.send(part)
                peer.end()
            except OSError:
                return  # the client is gone

    async def serve() -> None:
        while True:
            group.start_soon(echo, await server.accept())

    with Listening() as server:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            yield server.port
            group.cancel_scope.cancel()


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[FaultyLink, Peer, Peer]]:
    """Yield a link with one connection: the client's end and the server's."""
    with Listening() as server:
        async with tcp_faults("127.0.0.1", server.port) as link:
            with Peer.to(link.port) as client, await server.accept() as behind:
                yield link, client, behind


def descriptors() -> set[str]:
    """Return the open descriptors of this process, each with what it is."""
    found = set()
    for one in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{one.name} {one.readlink()}")
        except FileNotFoundError:
            continue  # that of the folder itself
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens soon and tells nobody."""
    while True:
        if condition():
            return
        await anyio.sleep(0.001)
