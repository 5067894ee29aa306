"""Pumps: each passes bytes on in one direction of one connection, as its lane says.

A lane is what can be wrong with a direction of a link: latency, bandwidth, a stall. It may be changed at any time;
pumps that wait look at it again at once. A pump holds little, so that who writes faster than the other side reads
is made to wait, as without a link.
"""

import contextlib
import math
import socket
import sys
from collections import deque
from collections.abc import Iterator

import anyio

if sys.platform == "linux":
    import fcntl

__all__ = ["BUFFER", "Lane", "Pump"]

# Bytes that wait for their latency in a pump; the kernel's buffers of each socket of a link are as small.
BUFFER = 65536
# Seconds that a limited bandwidth is measured in: so much passes as one part.
TICK = 0.02
# Seconds between two looks at what the kernel has still to send.
MOMENT = 0.001
# Linux: bytes of a socket that the kernel has not sent yet. <linux/sockios.h>; the socket module does not name it.
_SIOCOUTQNSD = 0x894B


class Lane:
    """One direction of a link, shared by all its connections: what is wrong with it, and what has passed.

    Attributes:
        passed: Bytes passed on so far.
        stalled: Whether nothing passes.
    """

    def __init__(self) -> None:
        self.passed = 0
        self.stalled = False
        self._latency = 0.0
        self._bandwidth: float | None = None
        self._waiting: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        pace = "unlimited" if self._bandwidth is None else f"{self._bandwidth:g} bytes/s"
        return (
            f"<Lane {'stalled, ' if self.stalled else ''}{self._latency:g} s late, {pace}, {self.passed} bytes passed>"
        )

    @property
    def latency(self) -> float:
        """Seconds that each byte is late, and the end of the stream too; 0 by default.

        Raises:
            ValueError: if set to something else than a finite number from 0 on.
        """
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"latency is a number of seconds from 0 on, not {seconds!r}")
        self._latency = seconds
        self.wake()

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second that pass, for each connection by itself; None, the default, is unlimited.

        Raises:
            ValueError: if set to something else than None or a finite number above 0.
        """
        return self._bandwidth

    @bandwidth.setter
    def bandwidth(self, rate: float | None) -> None:
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"bandwidth is a number of bytes per second above 0, or None, not {rate!r}")
        self._bandwidth = rate
        self.wake()

    def stall(self) -> None:
        """Let nothing pass until ``flow``: no bytes, no end, no reset by either side."""
        self.stalled = True

    def flow(self) -> None:
        """Let everything pass again, what has waited first."""
        self.stalled = False
        self.wake()

    @contextlib.contextmanager
    def waiting(self, until: float = math.inf) -> Iterator[None]:
        """Wait in a ``with`` block, which is left when the lane is changed, or at a time of ``anyio.current_time``."""
        with anyio.CancelScope(deadline=until) as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)

    def wake(self) -> None:
        """Have all who wait look again."""
        for scope in self._waiting:
            scope.cancel()


class Pump:
    """Passes the bytes of one socket on to another, until its end, which is passed on as such.

    Args:
        lane: What is wrong with this direction.
        source: Read from; not blocking.
        sink: Written to; not blocking.
        budget: Bytes after which the connection breaks; None for never.
    """

    def __init__(self, lane: Lane, source: socket.socket, sink: socket.socket, *, budget: int | None = None) -> None:
        self._lane = lane
        self._source, self._sink = source, sink
        self._budget = budget
        self._held = deque[tuple[float, memoryview]]()  # with the time of arrival; an empty one is the end
        self._size = 0
        self._sent, self._sent_at = 0, -math.inf
        self._ended = self._over = self._closed = self._broken = False

    def __repr__(self) -> str:
        state = "over" if self._over else "closed" if self._closed else "open"
        return f"<Pump {state}, holds {self._size} bytes of {self._lane!r}>"

    async def run(self) -> None:
        """Pass on until the end of the source.

        Raises:
            OSError: if either side has reset the connection, or the budget is used up.
        """
        while not self._over:
            due = self._due()
            with self._lane.waiting(due if due > anyio.current_time() else math.inf):
                await self._ready()
            self._advance()
        if self._broken:
            await self._delivered()
            raise ConnectionResetError("the budget is used up")

    def close(self) -> None:
        """End the stream of the sink now. What is held, or comes later, is read and dropped."""
        self._closed = True
        self._held.clear()
        self._size = 0
        self._over = self._over or self._ended
        self._lane.wake()
        with contextlib.suppress(OSError):  # the sink has been reset; who reads from it is told
            self._sink.shutdown(socket.SHUT_WR)

    async def _ready(self) -> None:
        """Wait for what ``_advance`` needs next, or for ever if that is a time or a change of the lane."""
        if self._lane.stalled:
            await anyio.sleep_forever()
        elif self._due() <= anyio.current_time():
            await anyio.wait_writable(self._sink)
        elif not self._ended and self._size < BUFFER:
            await anyio.wait_readable(self._source)
        else:
            await anyio.sleep_forever()

    def _advance(self) -> None:
        """Send or receive one part, if that can be done without waiting: everything may be new since ``_ready``."""
        if self._lane.stalled:
            return
        with contextlib.suppress(BlockingIOError):
            if self._due() <= anyio.current_time():
                self._send()
            elif not self._ended and self._size < BUFFER:
                self._receive()

    def _due(self) -> float:
        """Return when the oldest part that is held may pass."""
        if not self._held:
            return math.inf
        return max(self._held[0][0] + self._lane.latency, self._paced())

    def _paced(self) -> float:
        """Return when the bandwidth lets the next part pass."""
        rate = self._lane.bandwidth
        return -math.inf if rate is None else self._sent_at + self._sent / rate

    def _receive(self) -> None:
        data = self._source.recv(BUFFER)
        self._ended = not data
        if self._closed:
            self._over = self._ended
        else:
            self._held.append((anyio.current_time(), memoryview(data)))
            self._size += len(data)

    def _send(self) -> None:
        arrived, data = self._held[0]
        if not data:
            self._over = True
            self._sink.shutdown(socket.SHUT_WR)
            return
        rate = self._lane.bandwidth
        part = data if rate is None else data[: max(1, int(rate * TICK))]
        part = part if self._budget is None else part[: self._budget]
        size = self._sink.send(part)
        if size < len(data):
            self._held[0] = arrived, data[size:]
        else:
            self._held.popleft()
        self._size -= size
        self._lane.passed += size
        # A loop that was late by less than a tick makes up for it, so that the pace is kept on the whole.
        self._sent_at = max(self._paced(), anyio.current_time() - TICK)
        self._sent = 0 if rate is None else size
        if self._budget is not None:
            self._budget -= size
            self._over = self._broken = self._budget == 0

    async def _delivered(self) -> None:
        """Wait until the kernel has sent all that it was given: the rest is lost when the connection breaks."""
        while sys.platform == "linux":
            if not any(fcntl.ioctl(self._sink, _SIOCOUTQNSD, bytes(4))):
                return
            await anyio.sleep(MOMENT)
