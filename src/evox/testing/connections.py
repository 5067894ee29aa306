"""Connections of a link: each carries the bytes of one client to the server and back, and ends as they end.

Plain non-blocking sockets rather than streams, because a reset, a half-close and back pressure are to be exactly those
of the kernel, the same on both loops.
"""

import contextlib
import os
import socket
import struct
from typing import Any, Literal, TypeAlias

import anyio

from evox.testing.pumps import BUFFER, Lane, Pump

__all__ = ["Connection", "Side", "close"]

Side: TypeAlias = Literal["client", "server"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST in place of FIN


class Connection:
    """One connection of a client, and the one to the server that belongs to it.

    Attributes:
        broken: Whether it ends with a reset.
    """

    def __init__(self, up: Lane, down: Lane, client: socket.socket, budget: int | None) -> None:
        self.broken = False
        self._up, self._down, self._budget = up, down, budget
        self._client = _prepared(client)
        self._scope = anyio.CancelScope()
        self._ends: dict[Side, Pump | None] = {}  # half-closed before there was a server: None

    def __repr__(self) -> str:
        return f"<Connection {'broken' if self.broken else 'open'}, {self._ends!r}>"

    async def run(self, addresses: list[Any]) -> None:
        """Carry it to its end, and close both sockets."""
        server: socket.socket | None = None
        try:
            with self._scope:
                while self._up.stalled:  # a server that is down is not to be noticed before it flows
                    with self._up.waiting():
                        await anyio.sleep_forever()
                server = await _reach(addresses)
                await self._pump(server)
        except OSError:
            self.broken = True
        finally:
            for one in (self._client, server):
                if one is not None:
                    close(one, reset=self.broken)

    def reset(self) -> None:
        """End it with a reset."""
        self.broken = True
        self._scope.cancel()

    def half_close(self, side: Side) -> None:
        """Send FIN to one side."""
        pump = self._ends.setdefault(side, None)
        if pump is not None:
            pump.close()

    async def _pump(self, server: socket.socket) -> None:
        pumps: dict[Side, Pump] = {
            "server": Pump(self._up, self._client, server),
            "client": Pump(self._down, server, self._client, budget=self._budget),
        }
        asked, self._ends = self._ends, {**pumps}
        for side in asked:
            self.half_close(side)
        async with anyio.create_task_group() as both:
            for pump in pumps.values():
                both.start_soon(self._run, pump)

    async def _run(self, pump: Pump) -> None:
        try:
            await pump.run()
        except OSError:  # one side has reset it, which the other is to see too
            self.reset()


async def _reach(addresses: list[Any]) -> socket.socket:
    """Return a connection to the first address that answers.

    Raises:
        OSError: if none does.
    """
    failure = OSError("the server has no address")
    for family, kind, protocol, _, address in addresses:
        server = _prepared(socket.socket(family, kind, protocol))
        try:
            with contextlib.suppress(BlockingIOError):
                server.connect(address)
            await anyio.wait_writable(server)
            refused = server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not refused:
                return server
            failure = OSError(refused, os.strerror(refused))
        except OSError as error:
            failure = error
        except BaseException:
            server.close()
            raise
        server.close()
    raise failure


def _prepared(one: socket.socket) -> socket.socket:
    """Have a socket keep little, so that back pressure passes, and send at once."""
    one.setblocking(False)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, name, BUFFER)
    return one


def close(one: socket.socket, *, reset: bool) -> None:
    """Close a socket, with RST or in the ordinary way."""
    if reset:
        with contextlib.suppress(OSError):  # macOS, where the peer has closed already
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    one.close()
