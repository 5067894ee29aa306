"""SQLite: records and copies in a file, for all processes of one machine.

WAL with ``synchronous = FULL``: what was acknowledged survives ``kill -9`` and a loss of power. One connection writes,
many writes to a commit; another reads beside it. ``PRAGMA data_version`` tells that other processes changed something.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from evox.config import DataSettings
from evox.data.backends import sqlite_schema as schema
from evox.data.backends.base import BackendStatistics, Change, Lease, OnChange, Reading, Removed
from evox.data.backends.sqlite_connection import SQLiteConnection, connect
from evox.data.backends.sqlite_errors import cannot_open
from evox.data.backends.sqlite_queue import BUSY, SQLiteQueue
from evox.data.entries import Entry
from evox.data.policy import Facts
from evox.errors import DataError

__all__ = ["SQLiteBackend"]

POLL: Final = 0.05  # seconds between looks at what other processes did
SWEEP: Final = 60.0
SOME: Final = 500


class SQLiteBackend:
    """Keeps entries in a file.

    Args:
        path: The file; its folder is made if it is not there.
        settings: Timeouts.
        wall: The time of day, in seconds.
    """

    def __init__(self, path: Path, settings: DataSettings, *, wall: Callable[[], float] = time.time) -> None:
        self.facts: Final = Facts("sqlite", shared=True, file=path.resolve())
        self._path = path
        self._timeout = settings.timeout
        self._wall = wall
        self._name = f"sqlite:///{path}"
        self._stack = AsyncExitStack()
        self._available = True
        self._watching = anyio.CancelScope()

    def __repr__(self) -> str:
        return f"<SQLiteBackend {self._path}>"

    def clock(self) -> float:
        """See ``Backend``. The time of day: other processes, and later lives of this one, must agree on it."""
        return self._wall()

    async def open(self, group: TaskGroup, on_change: OnChange) -> None:
        """See ``Backend``."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            writer = await self._connect(writes=True)
            await writer.call(partial(_create, name=self._name))
            reader = await self._connect(writes=False)
            self._write = await self._queue(writer, writes=True)
            self._read = await self._queue(reader, writes=False)
            seen = await self._read.run(_version)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise cannot_open(error, self._name, self._path) from error
        except BaseException:
            await self.close()
            raise
        group.start_soon(self._watch, on_change, seen, name=f"data:{self._path.name}/watch")

    async def close(self) -> None:
        """See ``Backend``."""
        self._watching.cancel()
        await self._stack.aclose()

    async def get(self, key: str, guards: Sequence[str] = ()) -> Reading:
        """See ``Backend``."""
        return await self._read.run(partial(schema.get, key=key, guards=guards, now=self._wall()))

    async def put(self, key: str, entry: Entry) -> int:
        """See ``Backend``."""
        return await self._write.run(partial(schema.put, key=key, entry=entry), key=key)

    async def fill(self, key: str, entry: Entry, lease: Lease) -> int:
        """See ``Backend``."""
        return await self._write.run(partial(schema.fill, key=key, entry=entry, lease=lease), key=key)

    async def delete(self, key: str) -> Removed:
        """See ``Backend``."""
        return await self._write.run(partial(schema.delete, key=key, now=self._wall()), key=key)

    async def invalidate(self, key: str) -> Removed:
        """See ``Backend``."""
        return await self._write.run(partial(schema.invalidate, key=key, now=self._wall()), key=key)

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """See ``Backend``."""
        work = partial(schema.invalidate_prefix, prefix=prefix, guard=guard, now=self._wall())
        return await self._write.run(work, key=prefix)

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """See ``Backend``."""
        work = partial(schema.invalidate_tags, tags=tags, now=self._wall())
        return await self._write.run(work, key=", ".join(tags))

    async def count_prefix(self, prefix: str) -> int:
        """See ``Backend``."""
        return await self._read.run(partial(schema.count_prefix, prefix=prefix, now=self._wall()))

    async def count_tags(self, tags: Sequence[str]) -> int:
        """See ``Backend``."""
        return await self._read.run(partial(schema.count_tags, tags=tags, now=self._wall()))

    def statistics(self) -> BackendStatistics:
        """See ``Backend``."""
        queues = (self._write, self._read)
        operations = sum(queue.operations for queue in queues)
        failures = sum(queue.failures for queue in queues)
        detail = f"{self._write.operations} writes in {self._write.batches} commits"
        return BackendStatistics("sqlite", self._name, operations, failures, self._available, detail)

    async def _connect(self, *, writes: bool) -> SQLiteConnection:
        connection = await connect(self._path, timeout=self._timeout, read_only=not writes)
        self._stack.push_async_callback(connection.close)
        return connection

    async def _queue(self, connection: SQLiteConnection, *, writes: bool) -> SQLiteQueue:
        await connection.call(lambda raw: raw.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}"))
        made = SQLiteQueue(connection, writes=writes, timeout=self._timeout, name=self._name)
        self._stack.callback(made.stop)  # comes before the connection is closed, which waits for its thread
        return made

    async def _watch(self, on_change: OnChange, seen: int) -> None:
        """Report what other processes change, and remove what expired."""
        stamp, swept = -1, anyio.current_time()
        with self._watching:
            while True:
                await anyio.sleep(POLL)
                try:
                    now = await self._read.run(_stamp)
                    if now != stamp:
                        stamp, seen = now, await self._report(on_change, seen)
                    if anyio.current_time() - swept > SWEEP:
                        removed = await self._write.run(partial(schema.sweep, now=self._wall(), most=SOME))
                        swept = anyio.current_time() if removed < SOME else swept
                    if not self._available:
                        self._available = True
                        on_change.found()
                except DataError:
                    if self._available:
                        self._available = False
                        on_change.lost()

    async def _report(self, on_change: OnChange, seen: int) -> int:
        while True:
            rows = await self._read.run(partial(schema.changes, since=seen, most=SOME))
            for name, version, is_key in rows:
                on_change.changed(Change(version, key=name) if is_key else Change(version, guard=name))
                seen = max(seen, version)
            if not rows:
                return seen


def _create(raw: sqlite3.Connection, name: str) -> None:
    raw.execute("BEGIN IMMEDIATE")
    try:
        schema.create(raw, name)
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def _version(raw: sqlite3.Connection) -> int:
    (version,) = raw.execute("SELECT version FROM evox_store").fetchone()
    return int(version)


def _stamp(raw: sqlite3.Connection) -> Any:
    return raw.execute("PRAGMA data_version").fetchone()[0]
