"""SQLite queue: many small operations in one hop to the thread, and many writes in one commit.

While the thread commits, which means waiting for the disk, further operations gather; it then takes all of them at
once. Each write has a savepoint of its own, so one that fails takes nothing with it. Nobody is told that a write was
done before the commit that holds it was.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import anyio

from evox.data.backends.sqlite_connection import SQLiteConnection, wake
from evox.errors import BackendUnavailable, CapacityExceeded, EvoxError, WriteOutcomeUnknown

__all__ = ["SQLiteQueue", "explain"]

T = TypeVar("T")
MOST: Final = 500  # operations in one transaction
Operation = Callable[[sqlite3.Connection], Any]


class _Item:
    __slots__ = ("begun", "error", "event", "operation", "result", "withdrawn")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.event = anyio.Event()
        self.result: Any = None
        self.error: Exception | None = None
        self.begun = self.withdrawn = False


class SQLiteQueue:
    """Operations for one connection.

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
        self.batches = self.operations = self.failures = 0

    def __repr__(self) -> str:
        return f"<SQLiteQueue {self._name}, {len(self._items)} waiting>"

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
            with anyio.move_on_after(self._timeout + 1.0):  # SQLite's own wait for a lock ends before
                await item.event.wait()
        finally:
            if not item.event.is_set():
                with self._lock:
                    item.withdrawn = not item.begun
        if not item.event.is_set():
            self.failures += 1
            if item.withdrawn or not self._writes:
                raise BackendUnavailable(self._name, f"it did not answer within {self._timeout:g} s")
            raise WriteOutcomeUnknown(self._name, key, f"it did not finish within {self._timeout:g} s")
        if item.error is not None:
            self.failures += isinstance(item.error, EvoxError)
            raise item.error
        result: T = item.result
        return result

    def _drain(self) -> None:
        """Run what has gathered. In the connection's thread."""
        with self._lock:
            taken, self._items = self._items[:MOST], self._items[MOST:]
            if self._items:
                self._connection.push(self._drain)
            items = [item for item in taken if not item.withdrawn]
            for item in items:
                item.begun = True
        self.batches += 1
        self.operations += len(items)
        raw = self._connection._conn  # noqa: SLF001  in its own thread
        try:
            if self._writes:
                self._commit(raw, items)
            else:
                for item in items:
                    self._one(raw, item)
        finally:
            self._wake(_tell, taken)

    def _commit(self, raw: sqlite3.Connection, items: list[_Item]) -> None:
        """Run writes in one transaction; if that fails as a whole, each in one of its own."""
        if self._transaction(raw, items) or len(items) == 1:
            return
        for item in items:
            item.result = item.error = None
            self._transaction(raw, [item])

    def _transaction(self, raw: sqlite3.Connection, items: list[_Item]) -> bool:
        commits = False
        try:
            raw.execute("BEGIN IMMEDIATE")
            for item in items:
                self._savepoint(raw, item)
            commits = True
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            for item in items:
                if item.error is None or len(items) > 1:
                    item.error = explain(error, self._name, unknown=commits)
            return False
        return True

    def _savepoint(self, raw: sqlite3.Connection, item: _Item) -> None:
        raw.execute("SAVEPOINT evox")
        self._one(raw, item)
        if not raw.in_transaction:  # SQLite has rolled everything back: no room, no disk
            raise sqlite3.OperationalError("the transaction was rolled back") from item.error
        if item.error is not None:
            raw.execute("ROLLBACK TO evox")
        raw.execute("RELEASE evox")

    def _one(self, raw: sqlite3.Connection, item: _Item) -> None:
        try:
            item.result = item.operation(raw)
        except sqlite3.Error as error:
            item.error = explain(error, self._name)
        except Exception as error:  # noqa: BLE001  told to whoever asked
            item.error = error


def _tell(items: list[_Item]) -> None:
    for item in items:
        item.event.set()


def explain(error: sqlite3.Error, name: str, *, unknown: bool = False) -> Exception:
    """Return the error of ours that an error of SQLite is.

    Args:
        error: SQLite's.
        name: The backend, as it may be shown.
        unknown: Whether it came from a commit, which may have been done or not.
    """
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL") or "disk is full" in str(error):
        fix = "make room on its disk; what was stored before is unharmed"
        return CapacityExceeded(name, "the disk, or the file's own limit, is full", fix=fix)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BackendUnavailable(name, "another process has locked it")
    if unknown:
        return WriteOutcomeUnknown(name, "what was being written", f"{error} ({code})")
    return BackendUnavailable(name, f"{error} ({code})" if code else str(error))
