"""Database: SQL as an async handle, the same over SQLite and PostgreSQL. ``inject.db()`` gives the service's own.

Statements are the database's own SQL; values are written as ``?`` or ``:name`` on both, never into the text. Rows come
back as dictionaries. It connects when it is first used.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import anyio

from evox.errors import BackendUnavailable, InvalidDeclaration

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
    """A transaction that is open: its session, how deep, and who uses it now."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.depth = 1
        self.open = True
        self.lock = anyio.Lock()


_begun: ContextVar[Mapping["Database", _Transaction]] = ContextVar("evox_transactions")
_NONE: Final[Mapping["Database", _Transaction]] = {}


def outside_transactions() -> None:
    """Let the current task belong to no transaction, for work that others share with whoever began it."""
    _begun.set(_NONE)


class Database(ABC):
    """A SQL database of one service."""

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
        if outer is not None and outer.open:
            async with self._nested(outer):
                yield self
            return
        async with (
            self.session(writes=True) as session,
            _bracketed(session, 0),
            self._within(_Transaction(session)),
        ):
            yield self

    @asynccontextmanager
    async def _nested(self, outer: _Transaction) -> AsyncIterator[None]:
        """Others in the outer transaction wait meanwhile: what they do would be undone with this."""
        async with self.turn(outer.lock):
            inner = _Transaction(outer.session)
            inner.depth = outer.depth + 1
            async with _bracketed(outer.session, outer.depth), self._within(inner):
                yield

    @asynccontextmanager
    async def _within(self, opened: _Transaction) -> AsyncIterator[None]:
        token = _begun.set({**_begun.get(_NONE), self: opened})
        try:
            yield
        finally:
            opened.open = False  # tasks that were started within and are still there go on outside of it
            _begun.reset(token)
            with anyio.move_on_after(ROLLBACK, shield=True):
                async with opened.lock:  # a statement of theirs may be running
                    pass

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
        if inside is not None and inside.open:
            async with self.turn(inside.lock):
                if inside.open:  # it may have ended meanwhile
                    return await inside.session.run(sql, parameters)
        async with self.session(writes=writes) as session:
            return await session.run(sql, parameters)


@asynccontextmanager
async def _bracketed(session: Session, depth: int) -> AsyncIterator[None]:
    """Begin, and at the end of the block commit or roll back. A begin that is cancelled may have been done."""
    try:
        await session.begin(depth)
        yield
        await session.commit(depth)
    except BaseException:
        with anyio.move_on_after(ROLLBACK, shield=True):
            await session.rollback(depth)
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
