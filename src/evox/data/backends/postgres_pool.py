"""PostgreSQL pool: a few connections, lent one at a time to one task each, in the order in which they ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from evox.data.backends.postgres_connection import PostgresConnection, connect

__all__ = ["PoolStatistics", "PostgresPool"]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Connections: as many as there may be, open and idle now, tasks that wait, opened since the start."""

    size: int
    open: int
    idle: int
    waiting: int
    opened: int


class PostgresPool:
    """Connections to one database.

    Args:
        conninfo: As libpq takes it.
        size: How many connections there may be.
        timeout: Seconds to wait for one, and to open one.
    """

    def __init__(self, conninfo: str, *, size: int, timeout: float) -> None:
        self._conninfo = conninfo
        self._size = size
        self._timeout = timeout
        self._limiter = anyio.CapacityLimiter(size)
        self._idle: list[PostgresConnection] = []
        self._lent = self._opened = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<PostgresPool {self._lent} lent, {len(self._idle)} idle, of {self._size}>"

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PostgresConnection]:
        """Lend a connection that is alive. One that is not between statements when it comes back is closed.

        Raises:
            TimeoutError: if none is free in time, or the server does not answer.
            psycopg.OperationalError: if the server refuses.
        """
        ticket = object()
        with anyio.fail_after(self._timeout):
            await self._limiter.acquire_on_behalf_of(ticket)
        try:
            connection = self._take() or await self._open()
            self._lent += 1
            try:
                yield connection
            finally:
                self._lent -= 1
                self._put_back(connection)
        finally:
            self._limiter.release_on_behalf_of(ticket)

    async def close(self) -> None:
        """Close idle connections; those that are lent are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    def statistics(self) -> PoolStatistics:
        """Return how many there are."""
        waiting = self._limiter.statistics().tasks_waiting
        return PoolStatistics(self._size, self._lent + len(self._idle), len(self._idle), waiting, self._opened)

    def _take(self) -> PostgresConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.drop()
        return None

    async def _open(self) -> PostgresConnection:
        connection = await connect(self._conninfo, timeout=self._timeout)
        self._opened += 1
        return connection

    def _put_back(self, connection: PostgresConnection) -> None:
        if connection.idle and not self._closed:
            self._idle.append(connection)
        else:
            connection.drop()
