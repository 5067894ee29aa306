"""PostgreSQL connection: psycopg's, on both loops.

psycopg does its work in generators that say what to wait for, and waits with asyncio. Here anyio waits. Whoever is
cancelled in the middle of a statement leaves a connection of which nobody knows what comes next: the server is told to
stop, and the connection is closed when it has. A statement that is still on its way would be done after the next one.
"""

import re
import select
from contextlib import suppress
from typing import Any, Final, Self, cast

import anyio
import anyio.to_thread
from psycopg import AsyncConnection, OperationalError, ProgrammingError, capabilities, errors, generators
from psycopg._conninfo_attempts import conninfo_attempts
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.waiting import Ready, Wait

from evox.config import hidden, without_secrets
from evox.errors import BackendRefused

__all__ = ["PostgresConnection", "connect"]

CANCEL: Final = 2.0  # seconds that the server may take to end a statement that is cancelled


class PostgresConnection(AsyncConnection[Any]):
    """One connection, which commits each statement by itself. Open it with ``connect``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = anyio.Lock()  # type: ignore[assignment]

    async def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:
        """Drive one of psycopg's generators."""
        del interval  # how often to look for Ctrl-C; anyio can be woken
        try:
            with anyio.move_on_after(timeout):
                return await _drive(gen, self.pgconn.socket)
        except anyio.get_cancelled_exc_class():
            await self._abandon()
            raise
        raise errors.QueryCanceled("wait timeout expired")

    @property
    def idle(self) -> bool:
        """Whether it is connected, and between statements."""
        return not self.closed and self.pgconn.transaction_status == TransactionStatus.IDLE

    def is_alive(self) -> bool:
        """Whether the server has said nothing since its last answer: unasked it says mostly that it closes."""
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return self.pgconn.status == ConnStatus.OK and not poll.poll(0)

    def drop(self) -> None:
        """Close it, whatever state it is in."""
        self._closed = True
        self.pgconn.finish()

    async def _abandon(self) -> None:
        # Without PQcancelStart there is only PQcancel, which blocks with the GIL held while the server hangs.
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE and capabilities.has_cancel_safe():
            with anyio.move_on_after(CANCEL, shield=True), suppress(OperationalError, OSError):
                await self._tell()
                # Told before the statement has reached it, the server does it after all: only its answer says it ended.
                await _drive(generators.execute(self.pgconn), self.pgconn.socket)
        self.drop()

    async def _tell(self) -> None:
        """Have the server stop the statement. Fails if it is gone, and the statement with it."""
        request = self.pgconn.cancel_conn()
        try:
            request.start()
            await _drive_connect(generators.cancel(request))
        finally:
            request.finish()

    @classmethod
    async def opened(cls, conninfo: str, timeout: float) -> Self:
        """Connect to the first host that answers."""
        params = conninfo_to_dict(conninfo, connect_timeout=max(2, int(timeout)))
        attempts = await anyio.to_thread.run_sync(conninfo_attempts, params)
        failure: Exception = OperationalError("no host to connect to")
        for attempt in attempts:
            try:
                with anyio.fail_after(timeout):
                    made = await _drive_connect(cls._connect_gen(make_conninfo("", **attempt)))
            except (OperationalError, TimeoutError) as error:
                failure = error
                continue
            made._autocommit = True  # noqa: SLF001  what its own connect does
            return cast("Self", made)
        raise failure


async def connect(conninfo: str, *, timeout: float) -> PostgresConnection:
    """Open a connection.

    Args:
        conninfo: A URL or parameters, as libpq takes them.
        timeout: Seconds that each host may take.

    Raises:
        psycopg.OperationalError: if none answers, or the login is refused.
        BackendRefused: if it cannot be read.
        TimeoutError: if it takes too long.
    """
    failure: Exception
    try:
        return await PostgresConnection.opened(conninfo, timeout)
    except ProgrammingError as error:  # libpq repeats what it cannot read, be it the password
        failure = _unreadable(conninfo, str(error).strip())
    except OperationalError as error:
        said = hidden(str(error), conninfo)
        failure = error if said == str(error) else type(error)(said)
    raise failure  # not above: the error that may hold a password would be its context


def _unreadable(conninfo: str, said: str) -> BackendRefused:
    name = without_secrets(conninfo)
    parameter = re.fullmatch(r'[\w/ ]+(?:"=" in )?[\w ]+: "([^"]*)"', said)
    why = said if parameter is not None and parameter[1] in name else "it cannot be read as a URL of PostgreSQL"
    return BackendRefused(name, why, fix="correct it; in a password write %25 for %, %40 for @, %20 for a space")


async def _drive(gen: Any, descriptor: int) -> Any:
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send(await _ready(descriptor, wanted))
    except StopIteration as done:
        return done.value


async def _drive_connect(gen: Any) -> Any:
    try:
        descriptor, wanted = next(gen)
        while True:
            descriptor, wanted = gen.send(await _ready(descriptor, wanted))
    except StopIteration as done:
        return done.value


async def _ready(descriptor: int, wanted: Wait) -> Ready:
    """Wait until a socket can be read or written, whichever was asked for and comes first."""
    if wanted == Wait.R:
        await anyio.wait_readable(descriptor)
        return Ready.R
    if wanted == Wait.W:
        await anyio.wait_writable(descriptor)
        return Ready.W
    found = Ready.NONE
    async with anyio.create_task_group() as group:

        async def read() -> None:
            nonlocal found
            await anyio.wait_readable(descriptor)
            found = Ready(found | Ready.R)
            group.cancel_scope.cancel()

        group.start_soon(read)
        await anyio.wait_writable(descriptor)
        found = Ready(found | Ready.W)
        group.cancel_scope.cancel()
    return found
