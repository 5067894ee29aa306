"""PostgreSQL database: SQL on a server. Each statement takes a connection of a pool; a transaction keeps one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from evox.config import DataSettings, without_secrets
from evox.data.backends.placeholders import translated
from evox.data.backends.postgres import refusal
from evox.data.backends.postgres_connection import PostgresConnection
from evox.data.backends.postgres_pool import PostgresPool
from evox.data.database import Database, Parameters, Row, Session, rows_of
from evox.errors import BackendUnavailable, TransactionAborted, WriteOutcomeUnknown

__all__ = ["PostgresDatabase", "is_lost"]


class _Session(Session):
    """One connection. When it is lost, a transaction is undone with it; a write of its own may have been done."""

    def __init__(self, connection: PostgresConnection, name: str, *, writes: bool) -> None:
        self._connection = connection
        self._name = name
        self._writes = writes
        self._within = False
        self._failed = ""

    async def run(self, sql: str, parameters: Parameters) -> tuple[list[Row], int]:
        try:
            cursor: Any = await self._execute(translated(sql), parameters, unknown=self._writes and not self._within)
        except psycopg.Error as error:
            if not isinstance(error, psycopg.errors.InFailedSqlTransaction):  # that comes after the one that counts
                self._failed = str(error).partition("\n")[0]
            raise
        names = [column.name for column in cursor.description or ()]
        rows = rows_of(names, await cursor.fetchall()) if names else []
        return rows, max(cursor.rowcount, 0)

    async def begin(self, depth: int) -> None:
        self._within = True
        await self._execute(f"SAVEPOINT evox_{depth}" if depth else "BEGIN")

    async def commit(self, depth: int) -> None:
        if self._connection.pgconn.transaction_status == TransactionStatus.INERROR:
            # PostgreSQL would answer ROLLBACK to COMMIT, and call that a success.
            raise TransactionAborted(self._name, f"a statement in it failed, and its block went on: {self._failed}")
        await self._execute(f"RELEASE evox_{depth}" if depth else "COMMIT", unknown=not depth)

    async def rollback(self, depth: int) -> None:
        if not self._connection.closed:  # a statement that was cancelled has closed it, and the server rolls back
            await self._execute(f"ROLLBACK TO evox_{depth}" if depth else "ROLLBACK")

    async def _execute(self, sql: str, parameters: Parameters = (), *, unknown: bool = False) -> Any:
        try:
            return await self._connection.execute(sql, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            if not is_lost(error, self._connection):
                raise
            why = f"the connection is lost: {str(error).strip() or type(error).__name__}"
            if unknown:
                raise WriteOutcomeUnknown(self._name, "what was being written", why) from error
            raise BackendUnavailable(self._name, why) from error


def is_lost(error: Exception, connection: PostgresConnection) -> bool:
    """Whether an error is not the statement's, but that of a server that has ended or cannot be reached."""
    state = getattr(error, "sqlstate", None) or ""
    return connection.closed or connection.broken or state.startswith(("08", "57P"))


class PostgresDatabase(Database):
    """A database on a server.

    Args:
        url: ``postgresql://user:password@host/database``, or as libpq takes it.
        settings: Timeouts and number of connections.
    """

    kind = "postgresql"

    def __init__(self, url: str, settings: DataSettings) -> None:
        super().__init__()
        self._name = without_secrets(url)
        self._pool = PostgresPool(url, size=settings.connections, timeout=settings.timeout)

    def __repr__(self) -> str:
        return f"<PostgresDatabase {self._name}>"

    @asynccontextmanager
    async def session(self, *, writes: bool) -> AsyncIterator[Session]:
        """See ``Database``.

        Raises:
            BackendUnavailable: if no connection can be had in time.
            BackendRefused: if the login is refused.
        """
        lent = False
        try:
            async with self._pool.connection() as connection:
                lent = True
                yield _Session(connection, self._name, writes=writes)
        except (TimeoutError, OSError, psycopg.OperationalError) as error:
            if lent:
                raise
            raise refusal(self._name, error) or BackendUnavailable(
                self._name, str(error).strip() or "it does not answer"
            ) from None

    async def close(self) -> None:
        """See ``Database``."""
        await self._pool.close()
