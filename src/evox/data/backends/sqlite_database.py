"""SQLite database: SQL on a file. One connection writes, one statement or transaction at a time; another reads."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import anyio

from evox.data.backends.sqlite_connection import SQLiteConnection, connect
from evox.data.backends.sqlite_errors import LOCKED, cannot_open, is_locked
from evox.data.database import Database, Parameters, Row, Session, rows_of
from evox.errors import BackendUnavailable, TransactionAborted

__all__ = ["SQLiteDatabase", "make_folder"]

T = TypeVar("T")


class _Session(Session):
    def __init__(self, connection: SQLiteConnection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._within = False

    async def run(self, sql: str, parameters: Parameters) -> tuple[list[Row], int]:
        return await self._call(self._checked(partial(_run, sql=sql, parameters=_adapted(parameters))))

    async def begin(self, depth: int) -> None:
        if depth:
            await self._call(self._checked(partial(_do, sql=f"SAVEPOINT evox_{depth}")))
            return
        await self._call(partial(_do, sql="BEGIN IMMEDIATE"))
        self._within = True

    async def commit(self, depth: int) -> None:
        await self._call(self._checked(partial(_do, sql=f"RELEASE evox_{depth}" if depth else "COMMIT")))

    async def rollback(self, depth: int) -> None:
        await self._call(partial(_undo, depth=depth), always=True)

    def _checked(self, function: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        """Return a function that does nothing if the transaction is no more: each statement would commit itself."""
        within = self._within

        def checked(raw: sqlite3.Connection) -> T:
            if within and not raw.in_transaction:
                why = "a statement in it failed so that SQLite has rolled all of it back, and its block went on"
                raise TransactionAborted(self._name, why)
            return function(raw)

        return checked

    async def _call(self, function: Callable[[sqlite3.Connection], T], *, always: bool = False) -> T:
        try:
            return await self._connection.call(function, always=always)
        except sqlite3.OperationalError as error:
            if is_locked(error):
                raise BackendUnavailable(self._name, LOCKED) from error
            raise


class SQLiteDatabase(Database):
    """A file.

    Args:
        path: The file; it and its folder are made when they are first needed.
        timeout: Seconds to wait for a lock of another process.
        ignored: Whether the folder is ours alone, and to be left out of version control.
    """

    kind = "sqlite"

    def __init__(self, path: Path, *, timeout: float, ignored: bool = False) -> None:
        super().__init__()
        self.file = path.resolve()
        self._path = path
        self._timeout = timeout
        self._ignored = ignored
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._writing = anyio.Lock()
        self._reading = anyio.Lock()
        self._open: tuple[SQLiteConnection, SQLiteConnection] | None = None

    def __repr__(self) -> str:
        return f"<SQLiteDatabase {self._path}>"

    @asynccontextmanager
    async def session(self, *, writes: bool) -> AsyncIterator[Session]:
        """See ``Database``."""
        writer, reader = self._open or await self._connect()
        async with self.turn(self._writing if writes else self._reading):
            yield _Session(writer if writes else reader, self._name)

    async def close(self) -> None:
        """See ``Database``."""
        self._open = None
        await self._stack.aclose()

    @property
    def _name(self) -> str:
        return f"sqlite:///{self._path}"

    async def _connect(self) -> tuple[SQLiteConnection, SQLiteConnection]:
        async with self._opening:
            if self._open is None:
                try:
                    make_folder(self._path, ignored=self._ignored)
                    made = []
                    for read_only in (False, True):
                        made.append(await connect(self._path, timeout=self._timeout, read_only=read_only))
                        self._stack.push_async_callback(made[-1].close)
                except (sqlite3.Error, OSError) as error:
                    await self._stack.aclose()
                    raise cannot_open(error, self._name, self._path) from error
                self._open = (made[0], made[1])
            return self._open


def make_folder(path: Path, *, ignored: bool) -> None:
    """Make the folder of a file, and leave it out of version control if it is ours alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = path.parent / ".gitignore"
    if ignored and not mark.exists():
        mark.write_text("*\n", encoding="utf-8")


def _run(raw: sqlite3.Connection, sql: str, parameters: Any) -> tuple[list[Row], int]:
    cursor = raw.execute(sql, parameters)
    names = [column[0] for column in cursor.description or ()]
    rows = rows_of(names, cursor.fetchall()) if names else []
    return rows, max(cursor.rowcount, 0)


def _do(raw: sqlite3.Connection, sql: str) -> None:
    raw.execute(sql)


def _undo(raw: sqlite3.Connection, depth: int) -> None:
    if not raw.in_transaction:
        return  # it never began, or SQLite has rolled back by itself
    if not depth:
        raw.execute("ROLLBACK")
        return
    with contextlib.suppress(sqlite3.OperationalError):  # no such savepoint: that never began
        raw.execute(f"ROLLBACK TO evox_{depth}")
        raw.execute(f"RELEASE evox_{depth}")


def _adapted(parameters: Parameters) -> Any:
    if isinstance(parameters, Mapping):
        return {name: _value(value) for name, value in parameters.items()}
    return tuple(_value(value) for value in parameters)


def _value(value: Any) -> Any:
    """Write what SQLite has no type for as text: dates in ISO 8601, numbers with all their digits."""
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value
