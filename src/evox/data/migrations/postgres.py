"""PostgreSQL: migrations of a database on a server. A run holds an advisory lock for as long as its connection lives.

Each statement is sent alone, by the protocol that takes one at a time.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus

from evox.config import without_secrets
from evox.data.backends.placeholders import translated
from evox.data.backends.postgres import refusal
from evox.data.backends.postgres_connection import PostgresConnection, connect
from evox.data.backends.postgres_database import is_lost
from evox.data.migrations import ledger
from evox.data.migrations.files import Migration
from evox.data.migrations.plan import Applied
from evox.data.migrations.statements import Statement
from evox.data.migrations.target import Target, Writer
from evox.errors import BackendRefused, BackendUnavailable, MigrationFailed, MigrationsLocked

__all__ = ["LOCK", "PostgresTarget"]

LOCK: Final = 0x65766F785F6D6967  # "evox_mig": the key of the lock, the same for every run on a database
AGAIN: Final = 0.1  # seconds between attempts to get it
_COPYING: Final = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
# What a file has set for itself is not to reach the next; the lock must stay, so no DISCARD ALL.
_RESET: Final = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"
# A run that is killed is no more, and neither is its lock, only when the server sees it: from PostgreSQL 14 on.
_NOTICE: Final = "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"


class PostgresTarget(Target):
    """A database on a server.

    Args:
        url: As libpq takes it.
        timeout: Seconds to wait for a connection.
    """

    kind = "postgresql"

    def __init__(self, url: str, *, timeout: float) -> None:
        self.name = without_secrets(url)
        self._url = url
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<PostgresTarget {self.name}>"

    async def applied(self) -> tuple[Applied, ...]:
        """See ``Target``."""
        async with self._connected() as connection:
            return (await _found(connection, self.name))[1] or ()

    @asynccontextmanager
    async def writing(self, wait: float, on_wait: Callable[[], object] = lambda: None) -> AsyncIterator[Writer]:
        """See ``Target``."""
        async with self._connected() as connection:
            await self._lock(connection, wait, on_wait)
            table, _ = await _found(connection, self.name)
            yield _Writer(connection, self.name, table)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PostgresConnection]:
        try:
            connection = await connect(self._url, timeout=self._timeout)
        except (TimeoutError, OSError, psycopg.OperationalError) as error:
            made = refusal(self.name, error) or BackendUnavailable(self.name, str(error).strip() or "no answer")
            if isinstance(made, BackendUnavailable):
                made.fix = "start it, or correct its URL in [tool.evox.data]"
            raise made from None
        try:
            await _prepare(connection)
            yield connection
        except (psycopg.Error, OSError) as error:
            if is_lost(error, connection):
                raise _lost(self.name, error) from error
            if isinstance(error, psycopg.Error):
                raise _refused(self.name, error) from error
            raise
        finally:
            connection.drop()  # with it goes the lock

    async def _lock(self, connection: PostgresConnection, wait: float, on_wait: Callable[[], object]) -> None:
        """Take the lock. Asked for again and again: to wait in the server is a transaction that the other waits for.

        CREATE INDEX CONCURRENTLY waits for all transactions.
        """
        until, waits = anyio.current_time() + wait, False
        while True:
            cursor: Any = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
            if (await cursor.fetchone())[0]:
                return
            if anyio.current_time() >= until:
                raise MigrationsLocked(self.name, "another evox sync db is running", wait)
            if not waits:
                waits = True
                on_wait()
            await anyio.sleep(AGAIN)


class _Writer(Writer):
    alone = True

    def __init__(self, connection: PostgresConnection, name: str, table: str) -> None:
        self._connection = connection
        self._name = name
        self._table = table

    async def applied(self) -> tuple[Applied, ...]:
        return await self._rows() or ()

    async def apply(
        self, migration: Migration, statements: Sequence[Statement], known: Sequence[Applied]
    ) -> Applied | None:
        rows = await self._rows()
        if (rows or ()) != tuple(known):
            return None
        if migration.outside:
            return await self._outside(migration, statements[0], exists=rows is not None)
        began = anyio.current_time()
        await self._connection.execute("BEGIN")
        if rows is None:
            await self._do(ledger.CREATE)
        for statement in statements:
            await self._run(migration, statement)
            if self._connection.pgconn.transaction_status != TransactionStatus.INTRANS:
                raise _failed(migration, statement, "it has ended the transaction")
        row = ledger.row_of(migration, anyio.current_time() - began)
        await self._note(migration, row)
        await self._commit(migration)
        await self._reset()
        return row

    async def resolve(self, number: int, *, done: bool) -> Applied:
        row = ledger.begun(number, await self.applied())
        await (self._do(ledger.FINISH, 0.0, number) if done else self._do(ledger.DELETE, number))
        return row

    async def _outside(self, migration: Migration, statement: Statement, *, exists: bool) -> Applied:
        if not exists:
            await self._do(ledger.CREATE)
        await self._note(migration, ledger.row_of(migration, None))
        began = anyio.current_time()
        try:
            await self._run(migration, statement)
        except MigrationFailed:
            await self._do(ledger.DELETE, migration.number)
            raise
        row = ledger.row_of(migration, anyio.current_time() - began)
        await self._do(ledger.FINISH, row.duration, row.number)
        await self._reset()
        return row

    async def _reset(self) -> None:
        await self._connection.execute(_RESET)
        await _prepare(self._connection)

    async def _rows(self) -> tuple[Applied, ...] | None:
        return (await _found(self._connection, self._name))[1]

    async def _note(self, migration: Migration, row: Applied) -> None:
        try:
            await self._do(ledger.INSERT, row.number, row.name, row.sha256, row.applied_at, row.duration)
        except psycopg.Error as error:
            if is_lost(error, self._connection):
                raise
            why = f"it cannot be noted in {self._table}: {_said(error)}"
            raise MigrationFailed(migration.name, why, place=migration.place()) from error

    async def _do(self, sql: str, *values: Any) -> None:
        await self._connection.execute(translated(sql.replace(ledger.TABLE, self._table)), values)

    async def _commit(self, migration: Migration) -> None:
        try:
            await self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if not is_lost(error, self._connection):
                why = f"at its end: {_said(error)}"
                raise MigrationFailed(migration.name, why, place=migration.place()) from error
            why = f"the connection was lost while it was committed: {_said(error)}"
            fix = "run evox sync db again: what was done is noted, all of it or nothing"
            raise MigrationFailed(migration.name, why, fix=fix, place=migration.place()) from error

    async def _run(self, migration: Migration, statement: Statement) -> None:
        """Send one statement, as it is: the protocol takes no second one, and ``%`` means nothing."""
        pgconn = self._connection.pgconn
        async with self._connection.lock:
            pgconn.send_query_params(statement.sql.encode(), None)
            results = await self._connection.wait(generators.execute(pgconn))
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                error = psycopg.errors.error_from_result(result)
                if is_lost(error, self._connection):
                    raise error
                position = error.diag.statement_position
                line = statement.sql.count("\n", 0, int(position) - 1) if position else 0
                raise _failed(migration, statement, _said(error), line) from error
            if result.status in _COPYING:
                raise _failed(migration, statement, "COPY from or to a terminal: there is none")


async def _prepare(connection: PostgresConnection) -> None:
    await connection.execute("SET client_encoding TO 'UTF8'")
    with suppress(psycopg.errors.InvalidParameterValue):  # where the server's system cannot tell it
        await connection.execute(_NOTICE)


async def _found(connection: PostgresConnection, name: str) -> tuple[str, tuple[Applied, ...] | None]:
    """Return the ledger's name, with its schema, and its rows; None if it is not there.

    It is in the schema in which tables are made. A file may look elsewhere for its own tables.
    """
    cursor: Any = await connection.execute(
        "SELECT quote_ident(current_schema()), to_regclass(quote_ident(current_schema()) || '.' || %s) IS NOT NULL",
        (ledger.TABLE,),
    )
    schema, exists = await cursor.fetchone()
    if schema is None:
        raise BackendRefused(name, "its search_path names no schema that is there", fix="make one: CREATE SCHEMA ...")
    table = f"{schema}.{ledger.TABLE}"
    if not exists:
        return table, None
    rows: Any = await connection.execute(translated(ledger.SELECT.replace(ledger.TABLE, table)))
    return table, ledger.rows_of(await rows.fetchall())


def _failed(migration: Migration, statement: Statement, why: str, line: int = 0) -> MigrationFailed:
    return MigrationFailed(migration.name, why, place=migration.place(statement.line + line))


def _lost(name: str, error: Exception) -> BackendUnavailable:
    made = BackendUnavailable(name, f"the connection is lost: {str(error).strip() or type(error).__name__}")
    made.fix = "run evox sync db again when it is back: what was begun was taken back"
    return made


def _refused(name: str, error: psycopg.Error) -> BackendRefused:
    fix = f"let this user make {ledger.TABLE} in the schema in which tables are made, and read and write it"
    return BackendRefused(name, _said(error), fix=fix)


def _said(error: psycopg.Error) -> str:
    """Return what the server says: the message, then detail, hint and where in a function, if there are any."""
    diag = error.diag
    said = [diag.message_primary or str(error).strip(), diag.message_detail, diag.message_hint]
    context = (diag.context or "").partition("\n")[0]
    return "\n".join(one for one in [*said, context] if one)
