"""Sockets: priority over real connections. A server in a process of its own, and clients that come at random.

The clients do not wait for one another (an open loop): what a slow server does not answer piles up, as in life. A
client gives up after its deadline and closes its connection.
"""

import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from evox.bench.simulation import LEVELS, WEIGHTS, Tally
from evox.scheduling import Priority

__all__ = ["Measured", "measure_ceiling", "measure_sockets"]

SEATS: Final = 10
SPARE: Final = 3.25  # times as much as arrives could be answered, if it did not wait for seats
PATIENCE: Final = 20  # a client gives up after so many times what a request takes
CLIENTS: Final = 32
HEAD: Final = 65_536


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Attributes:
        name: How requests were admitted.
        load: What arrived, as a multiple of what the seats can do.
        tallies: What became of the requests of each level.
        offered: Requests a second that arrived.
        service: Seconds that a handler waits.
    """

    name: str
    load: float
    tallies: dict[Priority, Tally]
    offered: float
    service: float


async def measure_sockets(*, load: float, seconds: float, seed: int, ceiling: float) -> list[Measured]:
    """Measure with one queue for all, then with levels: the same requests at the same times.

    Args:
        load: Requests that arrive, as a multiple of what the seats can do.
        seconds: How long they arrive.
        seed: Which requests.
        ceiling: What the server can answer on this machine, from ``measure_ceiling``. Handlers wait so long that less
            than a third of it arrives.
    """
    rate = ceiling / SPARE
    service = load * SEATS / rate
    measured = []
    for name, levels in (("one FIFO", False), ("priority", True)):
        async with _server(levels=levels, seconds=service) as port:
            tallies = await _open_loop(port, rate, seconds, seed, PATIENCE * service)
        measured.append(Measured(name, load, tallies, rate, service))
    return measured


async def measure_ceiling(*, seconds: float) -> float:
    """Return how many requests a second the server answers when its handlers do not wait and seats are no matter."""
    answered = 0

    async def client(port: int) -> None:
        nonlocal answered
        connection = await _Connection.open(port)
        try:
            while True:
                await connection.get("/high")
                answered += 1
        finally:
            await connection.close()

    async with _server(levels=True, seconds=0, seats=CLIENTS) as port:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for _ in range(CLIENTS):
                    group.start_soon(client, port)
    return answered / seconds


@asynccontextmanager
async def _server(*, levels: bool, seconds: float, seats: int = SEATS) -> AsyncIterator[int]:
    own = {"BENCH_SEATS": str(seats), "BENCH_SECONDS": str(seconds), "BENCH_LEVELS": "yes" if levels else "no"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVOX_")}
    given = {**inherited, **own, "EVOX_SERVING__DRAIN_DELAY": "0", "EVOX_LOG": "error"}
    file = Path(__file__).with_name("server.py")
    command = [sys.executable, "-m", "evox", "run", str(file), "--port", "0", "--json"]
    async with await anyio.open_process(command, env=given, stderr=None) as process:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        lines = BufferedByteReceiveStream(process.stdout)
        started = json.loads(await lines.receive_until(b"\n", HEAD))
        try:
            yield int(started["services"][0]["url"].rpartition(":")[2])
        finally:
            process.terminate()


async def _open_loop(port: int, rate: float, seconds: float, seed: int, deadline: float) -> dict[Priority, Tally]:
    draw = random.Random(seed)  # noqa: S311  a simulation
    tallies = {level: Tally() for level in Priority}
    idle: list[_Connection] = []
    began = when = anyio.current_time()
    async with anyio.create_task_group() as group:
        while when - began < seconds:
            when += draw.expovariate(rate)
            await anyio.sleep_until(when)
            level = draw.choices(LEVELS, WEIGHTS)[0]
            tallies[level].offered += 1
            group.start_soon(_request, port, level, tallies[level], idle, when, deadline)
    for connection in idle:
        await connection.close()
    return tallies


async def _request(
    port: int, level: Priority, tally: Tally, idle: list["_Connection"], due: float, deadline: float
) -> None:
    """Send one request. Its time counts from when it was due, so that a slow client hides nothing."""
    connection = idle.pop() if idle else None
    status = 0
    with anyio.move_on_at(due + deadline):
        try:
            connection = connection or await _Connection.open(port)
            status = await connection.get(f"/{level.label}")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            status = 0
    if status == 200:
        tally.took.append(anyio.current_time() - due)
    if connection is not None:
        if status and connection.usable:
            idle.append(connection)
        else:
            await connection.close()


class _Connection:
    """A client's connection, with as little work as will do: the measurement shares its machine with the server."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._reader = BufferedByteReceiveStream(stream)
        self.usable = True

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(await anyio.connect_tcp("127.0.0.1", port))

    async def get(self, path: str) -> int:
        await self._stream.send(f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
        head = (await self._reader.receive_until(b"\r\n\r\n", HEAD)).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if length:
            await self._reader.receive_exactly(length)
        self.usable = b"connection: close" not in head
        return int(head[9:12])

    async def close(self) -> None:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 1):
            await self._stream.aclose()
