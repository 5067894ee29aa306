"""SQLite connection: aiosqlite's, on both loops.

aiosqlite runs one thread for each connection and hands results back through asyncio futures. Here the thread gets
something that looks to it like such a future and wakes a task of whatever loop is running.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import aiosqlite
import anyio
import anyio.lowlevel

__all__ = ["SQLiteConnection", "connect", "wake"]

T = TypeVar("T")


def wake() -> Callable[..., object]:
    """Return what calls a function in the running loop, from any thread and without waiting for it."""
    native: Any = anyio.lowlevel.current_token().native_token
    call: Callable[..., object] = getattr(native, "run_sync_soon", None) or native.call_soon_threadsafe
    return call


class _Reply:
    """What aiosqlite's thread takes for a future and its loop."""

    def __init__(self) -> None:
        self._wake = wake()
        self._event = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def get_loop(self) -> "_Reply":
        return self

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> None:
        self._wake(partial(function, *args))

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, result: Any) -> None:
        self._result = result
        self._event.set()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._event.set()

    async def wait(self) -> Any:
        await self._event.wait()
        if self._error is not None:
            raise self._error
        return self._result


class SQLiteConnection(aiosqlite.Connection):
    """One connection and its thread. Open it with ``connect``.

    Attributes:
        waiting: How many wait for a thread of any connection; a virtual clock stands still for them.
    """

    waiting: ClassVar[int] = 0

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a query that hangs must not keep the process from ending

    async def opened(self) -> "SQLiteConnection":
        """Start the thread, and connect."""
        self._thread.start()
        return await self._connect()

    async def call(self, function: Callable[[sqlite3.Connection], T], *, always: bool = False) -> T:
        """Run a function in the connection's thread, and return what it returns.

        Cancelled, it no longer waits; a function that has begun runs to its end all the same.

        Args:
            function: What to run.
            always: Whether it is run also if it is cancelled before it has begun.
        """
        left = False

        def unless_left(raw: sqlite3.Connection) -> T | None:
            return function(raw) if always or not left else None

        try:
            result: T = await self._execute(unless_left, self._conn)
        finally:
            left = True
        return result

    def push(self, function: Callable[[], object]) -> None:
        """Have the connection's thread call a function, and do not wait. It must not raise."""
        self._tx.put_nowait((None, function))

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._running or not self._connection:
            raise sqlite3.ProgrammingError("the connection is closed")
        return await self._sent(partial(fn, *args, **kwargs))

    async def _connect(self) -> "SQLiteConnection":
        if self._connection is None:
            try:
                with anyio.CancelScope(shield=True):
                    self._connection = await self._sent(self._connector)
            except BaseException:
                self.stop()
                raise
        return self

    async def close(self) -> None:
        """Let the thread finish what it has, and end it."""
        if self._connection is None:
            return
        with anyio.CancelScope(shield=True):
            await self._sent(self._connection.close)
        self._connection = None
        self.stop()

    def stop(self) -> None:
        """End the thread after what it has. Does not wait."""
        self._running = False
        self._tx.put_nowait((None, _stop_sentinel))

    async def _sent(self, function: Callable[[], Any]) -> Any:
        reply = _Reply()
        self._tx.put_nowait((cast("Any", reply), function))
        SQLiteConnection.waiting += 1
        try:
            return await reply.wait()
        finally:
            SQLiteConnection.waiting -= 1


def _stop_sentinel() -> object:
    return aiosqlite.core._STOP_RUNNING_SENTINEL  # noqa: SLF001  what its thread compares with


async def connect(path: Path, *, timeout: float, read_only: bool = False) -> SQLiteConnection:
    """Open a connection that commits each statement by itself unless a transaction was begun.

    Args:
        path: The file; made if it is not there.
        timeout: Seconds to wait for a lock of another process.
        read_only: Whether it refuses to write.

    Raises:
        sqlite3.Error: if it cannot be opened, or is no database.
    """

    def connector() -> sqlite3.Connection:
        made = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")
            made.execute("PRAGMA foreign_keys = ON")
            if read_only:
                made.execute("PRAGMA query_only = ON")
        except BaseException:
            made.close()
            raise
        return made

    connection = SQLiteConnection(connector)
    return await connection.opened()
