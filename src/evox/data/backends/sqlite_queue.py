"""SQLite queue: many small operations in one hop to the thread, and many writes in one commit.

While the thread commits, which means waiting for the disk, further operations gather; it then takes all of them at
once. Each write has a savepoint of its own, so one that fails takes nothing with it. Nobody is told that a write was
done before the commit that holds it was. Operations are taken when the file's lock is held: none that waits has begun.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import anyio

from evox.data.backends.sqlite_connection import SQLiteConnection, wake
from evox.data.backends.sqlite_errors import LOCKED, explain, is_locked
from evox.errors import BackendUnavailable, EvoxError, WriteOutcomeUnknown

__all__ = ["BUSY", "SQLiteQueue"]

T = TypeVar("T")
MOST: Final = 500  # operations in one transaction
BUSY: Final = 0.05  # seconds for which SQLite itself waits for a lock; nothing ends that wait
GRACE: Final = 1.0  # seconds that a write which has begun may take longer
Operation = Callable[[sqlite3.Connection], Any]


class _Item:
    __slots__ = ("begun", "error", "event", "left", "operation", "result")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.event = anyio.Event()
        self.result: Any = None
        self.error: Exception | None = None
        self.begun = self.left = False

    def is_awaited(self) -> bool:
        return not self.left


class SQLiteQueue:
    """Operations for one connection, which waits for locks no longer than ``BUSY``.

    Args:
        connection: Where they run.
        writes: Whether they run in transactions.
        timeout: Seconds that one may take.
        name: What is shown in errors.
    """

    def __init__(self, connection: SQLiteConnection, *, writes: bool, timeout: float, name: str) -> None:
        self._connection = connection
        self._writes = writes
        self._timeout = timeout
        self._name = name
        self._wake = wake()
        self._lock = threading.Lock()
        self._items: list[_Item] = []
        self._locked = self._stopped = False
        self.batches = self.operations = self.failures = 0

    def __repr__(self) -> str:
        return f"<SQLiteQueue {self._name}, {len(self._items)} waiting>"

    def stop(self) -> None:
        """Wait for no lock any more: what waits for one fails."""
        self._stopped = True

    async def run(self, operation: Callable[[sqlite3.Connection], T], *, key: str = "") -> T:
        """Run one operation with the others that are waiting, and return its result.

        Args:
            operation: Called in the connection's thread. It may be called a second time, in a transaction of its own.
            key: What it writes, for errors.

        Raises:
            BackendUnavailable: if the file is locked by another process, or the time was over before it began.
            WriteOutcomeUnknown: if the time was over while it ran.
            CapacityExceeded: if the disk is full.
            Exception: its own error.
        """
        item = _Item(operation)
        with self._lock:
            first = not self._items
            self._items.append(item)
        if first:
            self._connection.push(self._drain)
        try:
            with anyio.move_on_after(self._timeout):
                await item.event.wait()
            if item.begun and self._writes and not item.event.is_set():
                with anyio.move_on_after(GRACE):
                    await item.event.wait()
        finally:
            with self._lock:
                item.left = True
        if not item.event.is_set():
            self.failures += 1
            if item.begun and self._writes:
                raise WriteOutcomeUnknown(self._name, key, f"it did not finish within {self._timeout:g} s")
            why = f"{LOCKED} for more than" if self._locked else "it did not answer within"
            raise BackendUnavailable(self._name, f"{why} {self._timeout:g} s")
        if item.error is not None:
            self.failures += isinstance(item.error, EvoxError)
            raise item.error
        result: T = item.result
        return result

    def _drain(self) -> None:
        """Run what has gathered. In the connection's thread."""
        raw = self._connection._conn  # noqa: SLF001  in its own thread
        taken: list[_Item] = []
        try:
            if not self._writes:
                taken = self._take()
                for item in taken:
                    self._read(raw, item)
            elif self._begin(raw, self._anybody):
                taken = self._take()
                self._commit(raw, taken)
        except sqlite3.Error as error:  # nothing has begun
            taken = self._take()
            for item in taken:
                item.error = explain(error, self._name)
        finally:
            self._wake(_tell, taken)

    def _take(self) -> list[_Item]:
        with self._lock:
            waiting = [item for item in self._items if not item.left]
            taken, self._items = waiting[:MOST], waiting[MOST:]
            if self._items:
                self._connection.push(self._drain)
            for item in taken:
                item.begun = True
        self.batches += 1
        self.operations += len(taken)
        return taken

    def _anybody(self) -> bool:
        """Whether somebody still waits. If not, who comes next has this done again."""
        with self._lock:
            self._items = [item for item in self._items if not item.left]
            return bool(self._items)

    def _begin(self, raw: sqlite3.Connection, is_wanted: Callable[[], bool]) -> bool:
        """Begin a transaction, and wait for the lock for it as long as that is wanted; whether it has begun."""
        while is_wanted():
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                self._locked = is_locked(error)
                if not self._locked or self._stopped:
                    raise
            else:
                self._locked = False
                return True
        return False

    def _commit(self, raw: sqlite3.Connection, items: list[_Item]) -> None:
        """Run writes in the transaction that has begun; if that fails as a whole, each in one of its own."""
        if self._transaction(raw, items) or len(items) == 1:
            return
        for item in items:
            item.result = item.error = None
            try:
                if self._begin(raw, item.is_awaited):
                    self._transaction(raw, [item])
            except sqlite3.Error as error:
                item.error = explain(error, self._name)

    def _transaction(self, raw: sqlite3.Connection, items: list[_Item]) -> bool:
        commits = False
        try:
            for item in items:
                self._savepoint(raw, item)
            commits = True
            self._end(raw, items)
        except sqlite3.Error as error:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            for item in items:
                if item.error is None or len(items) > 1:
                    item.error = explain(error, self._name, unknown=commits)
            return False
        return True

    def _end(self, raw: sqlite3.Connection, items: list[_Item]) -> None:
        """Commit. Only where a file cannot have a WAL do readers keep others from it."""
        while True:
            try:
                raw.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or self._stopped or all(item.left for item in items):
                    raise
            else:
                return

    def _savepoint(self, raw: sqlite3.Connection, item: _Item) -> None:
        raw.execute("SAVEPOINT evox")
        self._one(raw, item)
        if not raw.in_transaction:  # SQLite has rolled everything back: no room, no disk
            raise sqlite3.OperationalError("the transaction was rolled back") from item.error
        if item.error is not None:
            raw.execute("ROLLBACK TO evox")
        raw.execute("RELEASE evox")

    def _read(self, raw: sqlite3.Connection, item: _Item) -> None:
        while not item.left:
            self._one(raw, item)
            self._locked = isinstance(item.error, BackendUnavailable) and item.error.why == LOCKED
            if not self._locked or self._stopped:
                return

    def _one(self, raw: sqlite3.Connection, item: _Item) -> None:
        error: Exception | None = None
        try:
            item.result = item.operation(raw)
        except sqlite3.Error as failure:
            error = explain(failure, self._name)
        except Exception as failure:  # noqa: BLE001  told to whoever asked
            error = failure
        item.error = error


def _tell(items: list[_Item]) -> None:
    for item in items:
        item.event.set()
