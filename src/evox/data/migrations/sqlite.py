"""SQLite: migrations of a file. Each is one ``BEGIN IMMEDIATE``, for which the runs of two processes take turns."""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread

from evox.data.backends.sqlite_connection import SQLiteConnection, connect
from evox.data.backends.sqlite_database import make_folder
from evox.data.backends.sqlite_errors import cannot_open, explain, is_locked
from evox.data.migrations import ledger
from evox.data.migrations.files import Migration
from evox.data.migrations.plan import Applied
from evox.data.migrations.statements import Statement
from evox.data.migrations.target import Target, Writer
from evox.errors import MigrationFailed, MigrationsLocked

__all__ = ["SQLiteTarget"]

T = TypeVar("T")
AGAIN: Final = 0.05  # seconds between attempts to open a file that somebody has locked
STEPS: Final = 10_000  # of SQLite's machine, between looks at whether somebody still waits
PATIENTLY: Final = "PRAGMA busy_timeout = 60000"  # outside of a transaction it cannot be begun again
LOOKING: Final = 5.0  # seconds that a look at the ledger waits for a lock


class SQLiteTarget(Target):
    """A file.

    Args:
        path: The file.
        own: Whether its folder is ours alone, and to be left out of version control.
    """

    kind = "sqlite"

    def __init__(self, path: Path, *, own: bool = False) -> None:
        self.name = f"sqlite:///{path}"
        self._path = path
        self._own = own

    def __repr__(self) -> str:
        return f"<SQLiteTarget {self._path}>"

    async def applied(self) -> tuple[Applied, ...]:
        """See ``Target``."""
        return await anyio.to_thread.run_sync(self._look)

    def _look(self) -> tuple[Applied, ...]:
        if not self._path.exists():
            return ()
        try:
            # rw makes no file, and lets SQLite read what another process has written beside it.
            place = f"file:{quote(str(self._path.resolve()))}?mode=rw"
            with closing(sqlite3.connect(place, uri=True, timeout=LOOKING, isolation_level=None)) as raw:
                raw.execute("PRAGMA query_only = ON")
                return _rows(raw)
        except (sqlite3.Error, OSError) as error:
            raise cannot_open(error, self.name, self._path) from error

    @asynccontextmanager
    async def writing(self, wait: float, on_wait: Callable[[], object] = lambda: None) -> AsyncIterator[Writer]:
        """See ``Target``."""
        connected = partial(self._connected, wait, on_wait)
        async with connected() as connection:
            yield _Writer(connection, connected, self.name, wait, on_wait)

    @asynccontextmanager
    async def _connected(self, wait: float, on_wait: Callable[[], object]) -> AsyncIterator[SQLiteConnection]:
        connection = await self._opened(wait, on_wait)
        left = False
        try:
            # A statement that nobody waits for any more would be run to its end, and nothing closes before that.
            await connection.call(lambda raw: raw.set_progress_handler(lambda: left, STEPS))
            yield connection
        finally:
            left = True
            await connection.close()

    async def _opened(self, wait: float, on_wait: Callable[[], object]) -> SQLiteConnection:
        """Connect. A file that is made just now by another process is locked, and SQLite does not wait for that."""
        until, waits = anyio.current_time() + wait, False
        while True:
            try:
                make_folder(self._path, ignored=self._own)
                return await connect(self._path, timeout=AGAIN)
            except (sqlite3.Error, OSError) as error:
                if not (isinstance(error, sqlite3.Error) and is_locked(error)):
                    raise cannot_open(error, self.name, self._path) from error
                if anyio.current_time() >= until:
                    raise _locked(self.name, wait) from error
            if not waits:
                waits = True
                on_wait()
            await anyio.sleep(AGAIN)


class _Writer(Writer):
    """Each file has a connection of its own: what one sets does not reach the next. Another stays open beside it.

    Without that, SQLite would clean up after each file.
    """

    alone = False

    def __init__(
        self,
        connection: SQLiteConnection,
        connected: Callable[[], AbstractAsyncContextManager[SQLiteConnection]],
        name: str,
        wait: float,
        on_wait: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._connected = connected
        self._name = name
        self._wait = wait
        self._on_wait = on_wait

    async def applied(self) -> tuple[Applied, ...]:
        return await self._call(self._connection, _read)

    async def apply(
        self, migration: Migration, statements: Sequence[Statement], known: Sequence[Applied]
    ) -> Applied | None:
        work = partial(_outside if migration.outside else _within, migration, statements, tuple(known))
        async with self._connected() as connection:
            return await self._call(connection, work)

    async def resolve(self, number: int, *, done: bool) -> Applied:
        return await self._call(self._connection, partial(_resolve, number, done))

    async def _call(self, connection: SQLiteConnection, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function that begins as soon as nobody else writes."""
        until, waits = anyio.current_time() + self._wait, False
        while True:
            try:
                return await connection.call(function)
            except _BusyError as error:
                if anyio.current_time() >= until:
                    raise _locked(self._name, self._wait) from error
            except sqlite3.Error as error:  # of what is ours: the ledger, and the end of the file
                raise explain(error, self._name) from error
            if not waits:
                waits = True
                self._on_wait()
            await anyio.sleep(AGAIN)


class _BusyError(Exception):
    """Somebody else writes, and nothing was begun."""


def _locked(name: str, wait: float) -> MigrationsLocked:
    return MigrationsLocked(name, "another evox sync db, or another process that writes, is running", wait)


def _rows(raw: sqlite3.Connection) -> tuple[Applied, ...]:
    there = raw.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (ledger.TABLE,)).fetchone()
    return ledger.rows_of(raw.execute(ledger.SELECT).fetchall()) if there else ()


def _read(raw: sqlite3.Connection) -> tuple[Applied, ...]:
    try:
        return _rows(raw)
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise _BusyError from error
        raise


@contextmanager
def _transaction(raw: sqlite3.Connection) -> Iterator[None]:
    raw.execute("PRAGMA busy_timeout = 0")  # the loop asks again, and can be cancelled meanwhile
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise _BusyError from error
        raise
    try:
        yield
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def _ready(raw: sqlite3.Connection, known: tuple[Applied, ...]) -> bool:
    """Whether the ledger is still as it was; it is made if there is none."""
    rows = _rows(raw)
    if rows == known and not rows:
        raw.execute(ledger.CREATE.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    return rows == known


def _within(
    migration: Migration, statements: Sequence[Statement], known: tuple[Applied, ...], raw: sqlite3.Connection
) -> Applied | None:
    began = time.monotonic()
    if migration.without_foreign_keys:
        raw.execute("PRAGMA foreign_keys = OFF")
    with _transaction(raw):
        if not _ready(raw, known):
            raw.execute("ROLLBACK")
            return None
        for statement in statements:
            _run(raw, migration, statement)
            if not raw.in_transaction:
                raise _failed(migration, statement, "it has ended the transaction")
        if migration.without_foreign_keys:
            _check_foreign_keys(raw, migration)
        row = ledger.row_of(migration, time.monotonic() - began)
        _note(raw, row)
        try:
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            raise MigrationFailed(migration.name, f"at its end: {error}", place=migration.place()) from error
        return row


def _outside(
    migration: Migration, statements: Sequence[Statement], known: tuple[Applied, ...], raw: sqlite3.Connection
) -> Applied | None:
    with _transaction(raw):
        if not _ready(raw, known):
            raw.execute("ROLLBACK")
            return None
        _note(raw, ledger.row_of(migration, None))
        raw.execute("COMMIT")
    began = time.monotonic()
    raw.execute(PATIENTLY)
    try:
        _run(raw, migration, statements[0])
    except MigrationFailed:
        raw.execute(ledger.DELETE, (migration.number,))
        raise
    row = ledger.row_of(migration, time.monotonic() - began)
    raw.execute(ledger.FINISH, (row.duration, row.number))
    return row


def _resolve(number: int, done: bool, raw: sqlite3.Connection) -> Applied:
    with _transaction(raw):
        row = ledger.begun(number, _rows(raw))
        raw.execute(*((ledger.FINISH, (0.0, number)) if done else (ledger.DELETE, (number,))))
        raw.execute("COMMIT")
        return row


def _run(raw: sqlite3.Connection, migration: Migration, statement: Statement) -> None:
    try:
        for _ in raw.execute(statement.sql):
            pass  # rows are for nobody
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _failed(migration, statement, str(error)) from error


def _failed(migration: Migration, statement: Statement, why: str) -> MigrationFailed:
    return MigrationFailed(migration.name, why, place=migration.place(statement.line))


def _check_foreign_keys(raw: sqlite3.Connection, migration: Migration) -> None:
    found = raw.execute("PRAGMA foreign_key_check").fetchone()
    if found is not None:
        table, row, other, _ = found
        why = f"at its end row {row} of {table} refers to what {other} does not have"
        raise MigrationFailed(migration.name, why, place=migration.place())


def _note(raw: sqlite3.Connection, row: Applied) -> None:
    raw.execute(ledger.INSERT, (row.number, row.name, row.sha256, row.applied_at, row.duration))
