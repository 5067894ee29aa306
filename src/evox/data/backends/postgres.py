"""PostgreSQL: records and copies in a database, for all who reach it.

A read or write is one statement. Changes made by other processes are reported if ``notify`` is on: PostgreSQL then
commits one at a time, so it is for those who read far more than they write; copies are never older than ``l1_ttl``
either way.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import psycopg
from anyio.abc import TaskGroup, TaskStatus
from psycopg import errors

from evox.config import DataSettings, without_secrets
from evox.data.backends import postgres_schema as schema
from evox.data.backends.base import BackendStatistics, Lease, OnChange, Reading, Removed
from evox.data.backends.postgres_connection import PostgresConnection
from evox.data.backends.postgres_listener import listen
from evox.data.backends.postgres_pool import PostgresPool
from evox.data.entries import Entry
from evox.data.policy import Facts
from evox.errors import BackendRefused, BackendUnavailable, CapacityExceeded, DataError, WriteOutcomeUnknown

__all__ = ["PostgresBackend", "refusal"]

T = TypeVar("T")
SWEEP: Final = 60.0
SOME: Final = 500
TRIES: Final = 3  # of what PostgreSQL itself says is to be tried again
_log = logging.getLogger("evox.data")
_REFUSED: Final = re.compile(
    "password authentication failed|does not exist|permission denied|no pg_hba.conf entry"
    r"|invalid \w+ value|invalid (?:port number|connection option)|definition of service|could not match \d+"
)


class PostgresBackend:
    """Keeps entries in a database.

    Args:
        url: ``postgresql://user:password@host/database``, or as libpq takes it.
        settings: Timeouts and number of connections.
        wall: The time of day, in seconds.
    """

    facts: Final = Facts("postgresql", shared=True)

    def __init__(self, url: str, settings: DataSettings, *, wall: Callable[[], float] = time.time) -> None:
        self._name = without_secrets(url)
        self._timeout = settings.timeout
        self._wall = wall
        self._pool = PostgresPool(url, size=settings.connections, timeout=settings.timeout)
        self._notify = settings.notify
        self._conninfo = url
        self._sweeping, self._listening = anyio.CancelScope(), anyio.CancelScope()
        self._operations = self._failures = 0
        self._available, self._opened = True, False

    def __repr__(self) -> str:
        return f"<PostgresBackend {self._name}>"

    def clock(self) -> float:
        """See ``Backend``."""
        return self._wall()

    async def open(self, group: TaskGroup, on_change: OnChange) -> None:
        """See ``Backend``."""
        try:
            await self._run(partial(schema.create, name=self._name))
        except psycopg.Error as error:
            await self.close()
            raise BackendRefused(self._name, str(error)) from None
        except BaseException:
            await self.close()
            raise
        self._opened = True
        group.start_soon(self._sweep, name="data:postgresql/sweep")
        if self._notify:
            await group.start(self._listen, on_change, name="data:postgresql/listen")

    async def close(self) -> None:
        """See ``Backend``."""
        self._sweeping.cancel()
        self._listening.cancel()
        await self._pool.close()

    async def get(self, key: str, guards: Sequence[str] = ()) -> Reading:
        """See ``Backend``. Tried once more if the connection breaks: nothing was changed."""
        work = partial(schema.get, key=key, guards=guards, now=self._wall())
        return await self._run(work)

    async def put(self, key: str, entry: Entry) -> int:
        """See ``Backend``."""
        return await self._run(
            partial(schema.put, key=key, entry=entry, now=self._wall(), notify=self._notify), key=key
        )

    async def fill(self, key: str, entry: Entry, lease: Lease) -> int:
        """See ``Backend``."""
        work = partial(schema.fill, key=key, entry=entry, lease=lease, now=self._wall(), notify=self._notify)
        return await self._run(work, key=key)

    async def delete(self, key: str) -> Removed:
        """See ``Backend``."""
        return await self._run(partial(schema.delete, key=key, now=self._wall(), notify=self._notify), key=key)

    async def invalidate(self, key: str) -> Removed:
        """See ``Backend``."""
        work = partial(schema.delete, key=key, now=self._wall(), copies_only=True, notify=self._notify)
        return await self._run(work, key=key)

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """See ``Backend``."""
        work = partial(schema.invalidate_prefix, prefix=prefix, guard=guard, now=self._wall(), notify=self._notify)
        return await self._run(work, key=prefix)

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """See ``Backend``."""
        work = partial(schema.invalidate_tags, tags=tags, now=self._wall(), notify=self._notify)
        return await self._run(work, key=", ".join(tags))

    async def count_prefix(self, prefix: str) -> int:
        """See ``Backend``."""
        return await self._run(partial(schema.count_prefix, prefix=prefix, now=self._wall()))

    async def count_tags(self, tags: Sequence[str]) -> int:
        """See ``Backend``."""
        return await self._run(partial(schema.count_tags, tags=tags, now=self._wall()))

    def statistics(self) -> BackendStatistics:
        """See ``Backend``."""
        pool = self._pool.statistics()
        detail = f"{pool.open} of {pool.size} connections, {pool.waiting} waiting"
        return BackendStatistics("postgresql", self._name, self._operations, self._failures, self._available, detail)

    async def _run(self, work: Callable[[PostgresConnection], Awaitable[T]], *, key: str | None = None) -> T:
        """Do something with a connection. ``key`` is what it writes; None for what only reads.

        Raises:
            BackendUnavailable, WriteOutcomeUnknown, CapacityExceeded, BackendRefused: see ``Backend``.
        """
        self._operations += 1
        for attempt in range(1, TRIES + 1):
            sent = False
            try:
                with anyio.fail_after(self._timeout):
                    async with self._pool.connection() as connection:
                        sent = True
                        done = await work(connection)
            except (errors.DeadlockDetected, errors.SerializationFailure):
                if attempt == TRIES:
                    raise
            except (OSError, TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._failures += 1
                self._available = False
                raise self._explained(error, key if sent else None) from None
            else:
                self._available = True
                return done
        raise AssertionError  # the last attempt has returned or raised

    def _explained(self, error: Exception, key: str | None) -> DataError | BackendRefused:
        why = str(error).strip() or f"it did not answer within {self._timeout:g} s"
        if isinstance(error, errors.DiskFull | errors.OutOfMemory):
            return CapacityExceeded(self._name, why, fix="make room on the server")
        # Once it has let us in, a refusal is an outage: it may let us in again.
        refused = refusal(self._name, error) if key is None and not self._opened else None
        if refused is not None:
            return refused
        return BackendUnavailable(self._name, why) if key is None else WriteOutcomeUnknown(self._name, key, why)

    async def _listen(self, on_change: OnChange, *, task_status: TaskStatus[None]) -> None:
        with self._listening:
            await listen(self._conninfo, self._name, self._timeout, on_change, task_status=task_status)

    async def _sweep(self) -> None:
        with self._sweeping:
            while True:
                await anyio.sleep(SWEEP)
                try:
                    work: Any = partial(schema.sweep, now=self._wall(), most=SOME)
                    while await self._run(work) >= SOME:
                        pass
                except (DataError, psycopg.Error) as error:
                    _log.warning("what expired in %s was not removed: %s", self._name, error)


def refusal(name: str, error: Exception) -> BackendRefused | None:
    """Return the error for a login that is refused or an option that is wrong, or None if it is something else."""
    text = str(error)
    return BackendRefused(name, text.strip()) if _REFUSED.search(text) is not None else None
