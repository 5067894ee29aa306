"""Storing: writes a second to a file that survive a loss of power, and how far a copy in another process is behind.

The peer is aiosqlite on one connection with the same journal and the same ``synchronous = FULL``: each write is a
transaction of its own, one at a time, as its documentation shows. Shared without a lock, statements of different tasks
fall into the same transaction, so that one task's rollback undoes another's write; it is measured too, as the control:
faster than it, and wrong.
"""

import functools
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import aiosqlite
import anyio

from evox import ServiceBuilder, data_intent, data_io
from evox.testing import running

__all__ = ["Behind", "Writes", "behind", "writes"]

VALUE: Final = {"id": 1, "name": "Ada Lovelace", "email": "ada@example.org"}
TASKS: Final = (1, 10, 100)
EVERY: Final = 0.06  # seconds between the writes that a reader elsewhere waits to see
TTL: Final = 0.5
eventual: Final = data_intent.define("bench_eventual", consistency="eventual")

Put = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Writes:
    """Acknowledged writes a second, by how many tasks write at once; ``ratio`` to aiosqlite with a transaction each."""

    name: str
    rates: dict[int, float]
    ratios: dict[int, float]


@dataclass(frozen=True, slots=True)
class Behind:
    """Milliseconds from a write in one process until a reader in another sees it: the middle one and the longest."""

    name: str
    median: float
    longest: float


async def writes(*, count: int = 3000) -> list[Writes]:
    """Measure writes to SQLite: each contestant has a file of its own in one folder, and they take turns."""
    rates: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            settings = {"data": {"backend": f"sqlite:///{folder}/evox.db"}}
            await stack.enter_async_context(running(ServiceBuilder("bench"), settings=settings))
            contestants: dict[str, Put] = {
                "evox": _evox,
                "aiosqlite": _locked(await _connect(stack, f"{folder}/each.db")),
                "aiosqlite, shared": functools.partial(_shared, await _connect(stack, f"{folder}/shared.db")),
            }
            for tasks in TASKS:
                for name, put in contestants.items():
                    number = max(tasks, count // 10 if tasks == 1 else count)
                    found = [await _rate(put, tasks, number) for _ in range(2)]
                    rates.setdefault(name, {})[tasks] = max(found)
    base = rates["aiosqlite"]
    return [Writes(name, own, {tasks: own[tasks] / base[tasks] for tasks in own}) for name, own in rates.items()]


async def _rate(put: Put, tasks: int, count: int) -> float:
    numbers = iter(range(count))

    async def one() -> None:
        for number in numbers:
            await put(f"user:{number}")

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(one)
    return count / (time.perf_counter() - began)


async def _evox(key: str) -> None:
    await data_io.write(key, VALUE)


async def _connect(stack: AsyncExitStack, path: str) -> aiosqlite.Connection:
    connection = await stack.enter_async_context(aiosqlite.connect(path))
    await connection.execute("PRAGMA journal_mode = WAL")
    await connection.execute("PRAGMA synchronous = FULL")
    await connection.execute("CREATE TABLE data (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    return connection


def _locked(connection: aiosqlite.Connection) -> Put:
    lock = anyio.Lock()

    async def put(key: str) -> None:
        async with lock:
            await _shared(connection, key)

    return put


async def _shared(connection: aiosqlite.Connection, key: str) -> None:
    await connection.execute("INSERT OR REPLACE INTO data VALUES (?, ?)", (key, json.dumps(VALUE)))
    await connection.commit()


async def behind(*, count: int = 30) -> list[Behind]:
    """Let another process write, and measure when it is seen here.

    The control is what one writes first: a copy kept for a time, that nobody tells of changes.
    """
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/shared.db"
        async with running(ServiceBuilder("bench"), settings={"data": {"backend": url}}):
            return [await _delays(name, read, url, count) for name, read in (("evox", _near), ("naive", _Naive().read))]


async def _delays(name: str, read: Callable[[], Awaitable[Any]], url: str, count: int) -> Behind:
    await data_io.delete(eventual, "clock")
    delays: list[float] = []
    command = [sys.executable, "-m", "evox.bench.storing", url, str(count)]
    async with await anyio.open_process(command, stdout=None, stderr=None):
        with anyio.fail_after(30 + count):
            while len(delays) < count:
                written = await read() or []
                delays += [1000 * (time.monotonic() - moment) for moment in written[len(delays) :]]
                await anyio.sleep(0.001)
    delays.sort()
    return Behind(name, delays[len(delays) // 2], delays[-1])


async def _near() -> Any:
    return await data_io.read(eventual, "clock")


class _Naive:
    def __init__(self) -> None:
        self._until = 0.0
        self._copy: Any = None

    async def read(self) -> Any:
        if time.monotonic() >= self._until:
            self._copy = await data_io.read(eventual, "clock")
            self._until = time.monotonic() + TTL
        return self._copy


async def _write(url: str, count: int) -> None:
    """Be the other process."""
    async with running(ServiceBuilder("bench"), settings={"data": {"backend": url}}):
        written: list[float] = []  # when; one that is passed over by a reader is late too
        for _ in range(count):
            written.append(time.monotonic())
            await data_io.write(eventual, "clock", written)
            await anyio.sleep(EVERY)


if __name__ == "__main__":
    anyio.run(_write, sys.argv[1], int(sys.argv[2]))
