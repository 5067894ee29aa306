"""Database: SQL as an async handle, the same over SQLite and PostgreSQL. ``inject.db()`` gives the service's own.

Statements are the database's own SQL; values are written as ``?`` or ``:name`` on both, never into the text. Rows come
back as dictionaries. It connects when it is first used.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio

from evox import context
from evox.errors import BackendUnavailable, InvalidDeclaration, TransactionLost

__all__ = [
    "PATIENCE",
    "ROLLBACK",
    "Database",
    "Parameters",
    "Row",
    "Session",
    "outside_transactions",
    "parameters_of",
    "rows_of",
    "writes_to",
]

ROLLBACK: Final = 5.0  # seconds
PATIENCE = 30.0  # seconds for which a statement waits for a transaction of this process to end
_FIRST: Final = re.compile(r"(?:\s|\(|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w*)", re.DOTALL)
_CHANGES: Final = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|REPLACE)\b", re.IGNORECASE)
_BRACKETS: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
Row: TypeAlias = dict[str, Any]
Parameters: TypeAlias = tuple[Any, ...] | Mapping[str, Any]


class Session(ABC):
    """One connection, for the time of a transaction or of a statement."""

    @abstractmethod
    async def run(self, sql: str, parameters: Parameters) -> tuple[list[Row], int]:
        """Run a statement; return its rows, and how many rows it changed."""

    @abstractmethod
    async def begin(self, depth: int) -> None:
        """Begin a transaction, or a savepoint within one."""

    @abstractmethod
    async def commit(self, depth: int) -> None:
        """Keep what was done since ``begin``."""

    @abstractmethod
    async def rollback(self, depth: int) -> None:
        """Undo what was done since ``begin``."""


class _Transaction:
    """A transaction or savepoint: its session, the one that it is in, and who uses it now."""

    def __init__(self, session: Session, outer: "_Transaction | None" = None) -> None:
        self.session = session
        self.outer = outer
        self.depth: int = 1 if outer is None else outer.depth + 1
        self.ended = False
        self.lock = anyio.Lock()

    @property
    def open(self) -> bool:
        """Whether it, and all that it is in, are open."""
        return not self.ended and (self.outer is None or self.outer.open)

    @property
    def is_lost(self) -> bool:
        """Whether one that it is in has ended before it."""
        return not self.ended and not self.open


_NONE: Final[Mapping["Database", _Transaction]] = {}
_begun: ContextVar[Mapping["Database", _Transaction]] = context.of_request(ContextVar("evox_transactions"), _NONE)


def outside_transactions() -> None:
    """Let the current task belong to no transaction, for work that others share with whoever began it."""
    _begun.set(_NONE)


def writes_to(file: Path) -> bool:
    """Whether the current task is in a transaction on a file, which keeps all others from writing to it."""
    return any(one.open and database.file == file for database, one in _begun.get(_NONE).items())


class Database(ABC):
    """A SQL database of one service.

    Attributes:
        file: The file that it is, of which only one may write at a time; None for a server.
    """

    file: Path | None = None

    @property
    @abstractmethod
    def kind(self) -> str:
        """``"sqlite"`` or ``"postgresql"``."""

    @abstractmethod
    def session(self, *, writes: bool) -> AbstractAsyncContextManager[Session]:
        """Lend a session; one that writes alone may wait for others to end theirs."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    async def execute(self, sql: str, /, *values: Any, **named: Any) -> int:
        """Run a statement, and return how many rows it changed.

        Args:
            sql: One statement, with ``?`` or ``:name`` for each value.
            *values: Values for ``?``, or one list, tuple or mapping that holds them.
            **named: Values for ``:name``.

        Raises:
            BackendUnavailable: if the database does not answer, or a transaction of this process does not end; nothing
                was changed.
            WriteOutcomeUnknown: if the connection was lost while a write outside of a transaction was being done.
            InvalidDeclaration: if it is no statement, or one that ``transaction`` is for, such as ``COMMIT``.
            Exception: the driver's own error (``sqlite3.Error``, ``psycopg.Error``) if it refuses the statement.
        """
        return (await self._run(sql, parameters_of(values, named), writes=True))[1]

    async def fetch_one(self, sql: str, /, *values: Any, **named: Any) -> Row | None:
        """Run a statement, and return its first row, or None; arguments as for ``execute``."""
        rows = (await self._run(sql, parameters_of(values, named), writes=False))[0]
        return rows[0] if rows else None

    async def fetch_all(self, sql: str, /, *values: Any, **named: Any) -> list[Row]:
        """Run a statement, and return its rows; arguments as for ``execute``."""
        return (await self._run(sql, parameters_of(values, named), writes=False))[0]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Database"]:
        """Do all of a block or nothing of it: commit at its end, roll back when it raises or is cancelled.

        What this task, and tasks that it starts within the block, do with the handle belongs to the transaction. Within
        another transaction it is a savepoint.

        Yields:
            The handle itself.
        """
        outer = _begun.get(_NONE).get(self)
        if outer is not None and not outer.ended:
            async with self.turn(outer.lock):  # what others do in it meanwhile would be undone with this
                if not outer.ended:
                    made = _Transaction(outer.session, outer)
                    async with _bracketed(made, outer.depth), self._within(made):
                        yield self
                    return
        async with self.session(writes=True) as session:
            made = _Transaction(session)
            async with _bracketed(made, 0), self._within(made):
                yield self

    @asynccontextmanager
    async def _within(self, opened: _Transaction) -> AsyncIterator[None]:
        token = _begun.set({**_begun.get(_NONE), self: opened})
        failed = True
        try:
            yield
            failed = False
        finally:
            _begun.reset(token)
            lost = opened.is_lost
            opened.ended = True  # tasks that were started within and are still there go on outside of it
            if not lost:
                with anyio.move_on_after(ROLLBACK, shield=True) as waiting:
                    async with opened.lock:  # a statement of theirs may be running
                        pass
                lost = waiting.cancelled_caught
            if lost and not failed:
                raise TransactionLost(self.kind)

    @asynccontextmanager
    async def turn(self, lock: anyio.Lock) -> AsyncIterator[None]:
        """Hold a lock for a block. Tasks that wait for each other's transactions would wait for ever.

        Raises:
            BackendUnavailable: if it is not free in time.
        """
        with anyio.move_on_after(PATIENCE) as waiting:
            await lock.acquire()
        if waiting.cancelled_caught:
            why = f"a transaction of this process, which may wait for this one, did not end within {PATIENCE:g} s"
            raise BackendUnavailable(self.kind, why)
        try:
            yield
        finally:
            lock.release()

    async def _run(self, sql: str, parameters: Parameters, *, writes: bool) -> tuple[list[Row], int]:
        writes = _writes(sql) or writes
        inside = _begun.get(_NONE).get(self)
        if inside is not None and not inside.ended:
            async with self.turn(inside.lock):
                if inside.is_lost:
                    raise TransactionLost(self.kind)
                if inside.open:  # it may have ended meanwhile
                    return await inside.session.run(sql, parameters)
        async with self.session(writes=writes) as session:
            return await session.run(sql, parameters)


@asynccontextmanager
async def _bracketed(made: _Transaction, depth: int) -> AsyncIterator[None]:
    """Begin, and at the end of the block commit or roll back. A begin that is cancelled may have been done."""
    outer = made.outer
    if outer is not None and not outer.open:
        raise TransactionLost("the database")
    try:
        await made.session.begin(depth)
        yield
        await made.session.commit(depth)
    except BaseException:
        if outer is None or outer.open:  # else it is undone with that, and the session may be somebody else's by now
            with anyio.move_on_after(ROLLBACK, shield=True):
                await made.session.rollback(depth)
        raise


def parameters_of(values: tuple[Any, ...], named: Mapping[str, Any]) -> Parameters:
    """Return the values of a statement, however they were given.

    Raises:
        InvalidDeclaration: if some were given by place and others by name.
    """
    if len(values) == 1 and isinstance(values[0], Mapping) and not named:
        return values[0]
    if len(values) == 1 and isinstance(values[0], list | tuple) and not named:
        return tuple(values[0])
    if values and named:
        why = "values are given by place, for ?, or by name, for :name; not both"
        raise InvalidDeclaration("values", "...", on="a statement", why=why)
    return named or values


def rows_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Row]:
    """Return rows as dictionaries.

    Raises:
        InvalidDeclaration: if two columns have one name, so that one of them would be lost.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        why = "two columns have that name, and a row holds one of each: give one another name, with AS"
        raise InvalidDeclaration("column", twice, on="a statement", why=why)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _writes(sql: str) -> bool:
    """Whether a statement may change something.

    Raises:
        InvalidDeclaration: if it is none, or begins or ends a transaction: the handle would not know of it.
    """
    found = _FIRST.match(sql) if isinstance(sql, str) else None
    verb = found[1].upper() if found is not None else ""
    if not verb:
        raise InvalidDeclaration("sql", sql, on="a statement", why="it is no text, or says nothing")
    if verb in _BRACKETS:
        why = "write `async with db.transaction():` around what belongs together; within another it is a savepoint"
        raise InvalidDeclaration("sql", sql, on="a statement", why=why)
    return verb not in ("SELECT", "VALUES", "EXPLAIN") and (verb != "WITH" or _CHANGES.search(sql) is not None)
