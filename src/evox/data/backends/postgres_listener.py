"""PostgreSQL listener: hears what other processes changed, on a connection of its own that does nothing else."""

import logging
from collections.abc import Callable
from typing import Final

import anyio
import psycopg
from anyio.abc import TaskStatus

from evox.data.backends.base import Change, OnChange
from evox.data.backends.postgres_connection import PostgresConnection, connect
from evox.data.backends.postgres_schema import CHANNEL

__all__ = ["listen"]

BEAT: Final = 5.0  # seconds of silence after which the server is asked whether it is still there
LONGEST_WAIT: Final = 5.0
_log = logging.getLogger("evox.data")


async def listen(
    conninfo: str, name: str, timeout: float, on_change: OnChange, *, task_status: TaskStatus[None]
) -> None:
    """Report changes for ever, and say when that cannot be done. Ready when it hears, or has found that it cannot yet.

    Args:
        conninfo: As libpq takes it.
        name: The server, for logs.
        timeout: Seconds the server may take to answer.
        on_change: Who is told.
        task_status: Who waits until it is ready.
    """
    wait, started, hears = 0.1, False, True

    def heard() -> None:
        nonlocal wait, started, hears
        wait = 0.1
        if not started:
            started = True
            task_status.started()
        if not hears:
            hears = True
            on_change.found()

    while True:
        try:
            await _hear(conninfo, timeout, on_change, heard)
        except (psycopg.Error, OSError, TimeoutError, anyio.ClosedResourceError) as error:
            _log.debug("%s: changes are not heard: %s", name, error)
        if hears:
            hears = False
            on_change.lost()
        if not started:
            started = True
            task_status.started()
        await anyio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


async def _hear(conninfo: str, timeout: float, on_change: OnChange, heard: Callable[[], None]) -> None:
    connection = await connect(conninfo, timeout=timeout)
    # What arrives beside the answer to a statement goes to handlers, all else to whoever asks.
    connection.add_notify_handler(lambda one: on_change.changed(_change(one.payload)))
    try:
        with anyio.fail_after(timeout):
            await connection.execute(f"LISTEN {CHANNEL}")
        heard()
        while True:
            for one in _arrived(connection):
                on_change.changed(_change(one))
            with anyio.move_on_after(BEAT) as silence:
                await anyio.wait_readable(connection.pgconn.socket)
                connection.pgconn.consume_input()
            if silence.cancelled_caught:
                with anyio.fail_after(timeout):
                    await connection.execute("SELECT 1")
    finally:
        connection.drop()


def _arrived(connection: PostgresConnection) -> list[str]:
    found = []
    while (notice := connection.pgconn.notifies()) is not None:
        found.append(notice.extra.decode())
    return found


def _change(said: str) -> Change:
    version, kind, name = said.split(" ", 2)
    return Change(int(version), key=name) if kind == "k" else Change(int(version), guard=name)
