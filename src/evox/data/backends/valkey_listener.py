"""Valkey listener: hears what other processes changed, on a connection of its own that is made anew when it is lost."""

import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import anyio
from anyio.abc import TaskStatus
from coredis.exceptions import RedisError

from evox.data.backends.base import Change, OnChange
from evox.data.backends.valkey_pool import NotOpened, ValkeyConnection, ValkeyPool
from evox.data.backends.valkey_scripts import CHANNEL

__all__ = ["listen"]

BEAT: Final = 5.0  # seconds after which the server is asked whether it is still there
LONGEST_WAIT: Final = 5.0
_log = logging.getLogger("evox.data")


async def listen(
    pool: ValkeyPool, name: str, timeout: float, on_change: OnChange, *, task_status: TaskStatus[None]
) -> None:
    """Report changes for ever, and say when that cannot be done. Ready when it hears, or has found that it cannot yet.

    Args:
        pool: Who makes connections.
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
            await _hear(pool.make(), timeout, on_change, heard)
        except* (NotOpened, RedisError, OSError, ValueError) as errors:  # ValueError: others may publish there too
            _log.debug("%s: changes are not heard: %r", name, errors.exceptions)
        if hears:
            hears = False
            on_change.lost()
        if not started:
            started = True
            task_status.started()
        await anyio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


async def _hear(connection: ValkeyConnection, timeout: float, on_change: OnChange, heard: Callable[[], None]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(connection.run)
        await connection.opened()
        connection.raw.send_command(b"SUBSCRIBE", CHANNEL)
        group.start_soon(_beat, connection, timeout)
        async with aclosing(connection.raw.push_messages) as messages:
            async for message in messages:
                if message[0] == b"message":
                    on_change.changed(_change(message[2]))
                elif message[0] == b"subscribe":
                    heard()


async def _beat(connection: ValkeyConnection, timeout: float) -> None:
    """Ask now and then. The first answer is the one to SUBSCRIBE if that is refused: it gives none when it is done."""
    while True:
        with anyio.fail_after(timeout):
            await connection.raw.create_request(b"PING", decode=False)
        await anyio.sleep(BEAT)


def _change(said: bytes) -> Change:
    version, kind, name = said.decode().split(" ", 2)
    return Change(int(version), key=name) if kind == "k" else Change(int(version), guard=name)
