"""Applying: what is pending, file by file, until nothing is. Another run may do the same at the same time."""

from collections.abc import Callable, Sequence
from typing import Final

import anyio

from evox.data.migrations.files import Migration
from evox.data.migrations.plan import Applied, Plan, compare
from evox.data.migrations.suitability import checked_statements
from evox.data.migrations.target import Target

__all__ = ["WAIT", "look", "migrate", "resolve"]

WAIT = 30.0  # seconds
AGAIN: Final = 0.1  # seconds between looks at what another run is about


async def look(target: Target, files: Sequence[Migration], *, to: int | None = None, running: bool = False) -> Plan:
    """Return what is to be done, and change nothing.

    Args:
        target: The database.
        files: All there are, in order.
        to: The last number to apply; all by default.
        running: Whether another run may be about it, and is waited for later.

    Raises:
        MigrationRefused: if it cannot be done.
        BackendUnavailable, BackendRefused: if the database cannot be used.
    """
    found = compare(files, await target.applied(), to=to, running=running)
    for migration in found.pending:
        checked_statements(migration, target.kind)
    return found


async def migrate(
    target: Target,
    files: Sequence[Migration],
    *,
    to: int | None = None,
    wait: float = WAIT,
    on_applied: Callable[[Applied], object] = lambda _: None,
    on_wait: Callable[[], object] = lambda: None,
) -> tuple[Applied, ...]:
    """Apply what is pending, each file in a transaction of its own together with the note that it was applied.

    All of it is checked before anything is done. A file that another run has applied meanwhile is left out.

    Args:
        target: The database.
        files: All there are, in order.
        to: The last number to apply; all by default.
        wait: Seconds to wait for another run to end.
        on_applied: Told of each file after it was committed.
        on_wait: Called when another run is waited for, more than once if that goes on.

    Returns:
        What was applied here.

    Raises:
        MigrationRefused: if it cannot be done; nothing was.
        MigrationFailed: if a statement fails; nothing of its file is kept, and those before it are applied.
        MigrationsLocked: if another run does not end in time.
        BackendUnavailable, BackendRefused: if the database cannot be used.
    """
    done: list[Applied] = []
    plan = await look(target, files, to=to, running=True)
    if not plan.pending and not plan.has_open_end:
        return ()
    async with target.writing(wait, on_wait) as writer:
        until = anyio.current_time() + wait
        while True:
            known = await writer.applied()
            if not writer.alone and anyio.current_time() < until:
                if compare(files, known, to=to, running=True).has_open_end:  # another run may be about it
                    on_wait()
                    await anyio.sleep(AGAIN)
                    continue
                until = anyio.current_time() + wait
            pending = compare(files, known, to=to).pending
            if not pending:
                return tuple(done)
            row = await writer.apply(pending[0], checked_statements(pending[0], target.kind), known)
            if row is not None:
                done.append(row)
                on_applied(row)


async def resolve(target: Target, number: int, *, done: bool, wait: float = WAIT) -> Applied:
    """Note of a file that was begun outside of a transaction whether it was done, as somebody has found out.

    Args:
        target: The database.
        number: Of the file.
        done: Whether it was.
        wait: Seconds to wait for another run to end.

    Raises:
        MigrationRefused: if it is not one whose end is unknown.
    """
    async with target.writing(wait) as writer:
        return await writer.resolve(number, done=done)
