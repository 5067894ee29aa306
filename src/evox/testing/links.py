"""Links: a TCP proxy in front of a real server, which does to connections what networks do.

Every connection is a child of its link, and nothing outlives the block of the link.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup

from evox.testing.connections import Connection, Side, close
from evox.testing.pumps import Lane

__all__ = ["FaultyLink", "LinkStatistics", "tcp_faults"]

_BACKLOG = 1024


@dataclass(frozen=True)
class LinkStatistics:
    """What a link has done so far.

    Attributes:
        open: Connections that are open now.
        total: Connections accepted, those that were refused included.
        resets: Connections that ended with a reset, whoever began it.
        bytes_up: Bytes passed on to the server.
        bytes_down: Bytes passed on to the clients.
    """

    open: int
    total: int
    resets: int
    bytes_up: int
    bytes_down: int


class FaultyLink:
    """A link between clients and one server, with faults that can be changed at any time. Made by ``tcp_faults``.

    Attributes:
        host: Where it listens: 127.0.0.1.
        port: The port that it listens on.
        up: The way from the clients to the server: ``link.up.latency = 0.2``, ``link.up.stall()``.
        down: The way from the server to the clients.
    """

    def __init__(self, listening: socket.socket, addresses: list[Any], nursery: TaskGroup) -> None:
        self.host, self.port = listening.getsockname()
        self.up, self.down = Lane(), Lane()
        self._listening, self._addresses, self._nursery = listening, addresses, nursery
        self._connections: set[Connection] = set()
        self._refusing = False
        self._budget: int | None = None
        self._total = self._resets = 0

    def __repr__(self) -> str:
        refusing = ", refusing" if self._refusing else ""
        return f"<FaultyLink {self.url}, {len(self._connections)} open{refusing}, up {self.up!r}, down {self.down!r}>"

    @property
    def url(self) -> str:
        """Where it listens, e.g. ``"http://127.0.0.1:40001"``."""
        return f"http://{self.host}:{self.port}"

    @property
    def latency(self) -> float:
        """Seconds that bytes are late in each direction, 0 by default; when read, the longer of both directions.

        Connections themselves are made at once.

        Raises:
            ValueError: if set to something else than a finite number from 0 on.
        """
        return max(self.up.latency, self.down.latency)

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.up.latency = self.down.latency = seconds

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second that pass in each direction of each connection; when read, the lower of both directions.

        None, the default, is unlimited.

        Raises:
            ValueError: if set to something else than None or a finite number above 0.
        """
        return min((lane.bandwidth for lane in (self.up, self.down) if lane.bandwidth is not None), default=None)

    @bandwidth.setter
    def bandwidth(self, rate: float | None) -> None:
        self.up.bandwidth = self.down.bandwidth = rate

    def refuse(self) -> None:
        """Reset new connections at once, until ``accept``. Those that are open stay."""
        self._take()
        self._refusing = True

    def accept(self) -> None:
        """Let new connections in again."""
        self._take()
        self._refusing = False

    def stall(self) -> None:
        """Pass nothing on until ``flow``, neither bytes nor ends nor resets; connections are accepted and stay open."""
        self.up.stall()
        self.down.stall()

    def flow(self) -> None:
        """Pass on again, what has waited first."""
        self.up.flow()
        self.down.flow()

    def reset(self) -> None:
        """Reset every open connection, to both sides: they see ``ConnectionResetError``. What is on its way is lost."""
        self._take()
        for connection in list(self._connections):
            connection.reset()

    def cut_after(self, size: int | None) -> None:
        """Reset each connection made from now on when ``size`` bytes of its answers have passed; None: no longer.

        With 0 it is reset in place of the first byte.

        Raises:
            ValueError: if ``size`` is below 0.
        """
        if size is not None and size < 0:
            raise ValueError(f"cut_after takes a number of bytes from 0 on, or None, not {size!r}")
        self._take()
        self._budget = size

    def half_close(self, side: Side) -> None:
        """Send FIN to one side of every open connection; the other direction stays open.

        What the other side goes on to send in the direction that has ended is read and dropped.

        Args:
            side: Who sees the end of its stream: ``"client"`` or ``"server"``.

        Raises:
            ValueError: if it is neither.
        """
        if side not in ("client", "server"):
            raise ValueError(f"half_close takes 'client' or 'server', not {side!r}")
        self._take()
        for connection in list(self._connections):
            connection.half_close(side)

    def statistics(self) -> LinkStatistics:
        """Return what it has done so far."""
        return LinkStatistics(
            open=len(self._connections),
            total=self._total,
            resets=self._resets,
            bytes_up=self.up.passed,
            bytes_down=self.down.passed,
        )

    async def serve(self) -> None:
        """Accept until cancelled. Called by ``tcp_faults``."""
        while True:
            await anyio.wait_readable(self._listening)
            self._take()

    def _take(self) -> None:
        """Accept all who wait in the kernel's queue: they have come before the fault that is about to change."""
        while self._listening.fileno() >= 0:
            try:
                client, _ = self._listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            self._total += 1
            if self._refusing:
                self._resets += 1
                close(client, reset=True)
            else:
                connection = Connection(self.up, self.down, client, self._budget)
                self._connections.add(connection)
                self._nursery.start_soon(self._carry, connection, name=f"tcp_faults:{self.port}/connection")

    async def _carry(self, connection: Connection) -> None:
        try:
            await connection.run(self._addresses)
        finally:
            self._connections.remove(connection)
            self._resets += connection.broken


@contextlib.asynccontextmanager
async def tcp_faults(host: str, port: int) -> AsyncIterator[FaultyLink]:
    """Put a TCP link with faults in front of a server, for the time of an ``async with`` block.

    It has no fault until one is set. Faults may be changed while connections are open, and act at once. Each side
    sees what the other does: its end as a half-close, its reset as a reset, and one that does not read makes the
    other wait. A server that is down means a reset for the client. Time is real: not for tests with a virtual clock.

    Args:
        host: Address or name of the server.
        port: Its port.

    Yields:
        The link, on a free port of 127.0.0.1. Leaving the block closes all its connections.

    Raises:
        OSError: if ``host`` has no address, or the system refuses a socket.
    """
    addresses = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        listening.setblocking(False)
        try:
            async with anyio.create_task_group() as nursery:
                link = FaultyLink(listening, addresses, nursery)
                nursery.start_soon(link.serve, name=f"tcp_faults:{link.port}")
                try:
                    yield link
                finally:
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # The tasks of a link do not fail: what is raised is the error of the block, which gets it as it was.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from group.exceptions[0].__cause__
            raise
