"""Taking away: copies of what was committed, from wherever a session commits.

That is a task of SQLAlchemy's async session, which waits; a worker thread, which waits; or the event loop itself, which
cannot. By then the database has committed. Whatever fails here is logged and not raised: an error of ``commit()`` says
that nothing was written, and makes its caller write again.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from evox.context import ServiceScope, maybe_service
from evox.data.asking import unasked
from evox.data.declaring import NamedIntent
from evox.data.sqlalchemy.changes import Changes
from evox.errors import EvoxError, InvalidKey

__all__ = ["Target", "Targets", "take_away"]

_log = logging.getLogger("evox.data")
Target = type[Any] | NamedIntent | str
Targets = Mapping[type[Any], tuple[Target, ...]]


def take_away(found: Changes, targets: Targets) -> None:
    """Take away all copies of what was changed.

    Args:
        found: What was changed.
        targets: What is a copy of which model.
    """
    if not (found.keys or found.tables):
        return
    service = maybe_service()
    if service is None:
        _log.warning(
            "a session was committed outside any running service: copies of %s are not invalidated", found.tables
        )
        return
    try:
        _from_here(service, found, targets)
    except (EvoxError, RuntimeError) as error:  # the service or its loop has ended, or does not know this thread
        _warn(f"what comes from {sorted(found.tables)}", error)


def _from_here(service: ServiceScope, found: Changes, targets: Targets) -> None:
    """Take copies away from a thread, a greenlet or a task."""
    data, scope = service.data, cast("Any", service)
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:  # asyncio's own where a thread has inherited its context, anyio's elsewhere
        # A sync handler in its worker thread, or a thread of somebody else's: with the loop named, both find the way.
        anyio.from_thread.run(_take_all, data, found, targets, token=scope.loop)
        return
    if in_greenlet():
        await_only(_take_all(data, found, targets))
    else:
        scope.start_soon(_take_all, data, found, targets, name="sqlalchemy:invalidate")


async def _take_all(data: Any, found: Changes, targets: Targets) -> None:
    """Take all away side by side: a backend that does not answer costs one timeout, and nothing that others keep."""
    with anyio.CancelScope(shield=True):  # whoever committed may have left, or be out of time; backends have a timeout
        async with anyio.create_task_group() as group:
            for model, copies in targets.items():
                keys = None if found.any_of(model) else sorted(key for changed, key in found.keys if changed is model)
                for target in copies:
                    group.start_soon(_take_copies, data, target, keys)
            if found.tables:
                group.start_soon(_take_tags, data, sorted(found.tables))


async def _take_copies(data: Any, target: Target, keys: list[str] | None) -> None:
    """Take copies with some keys away, or all of them. The commit is done, so its caller is asked nothing."""
    try:
        with unasked():
            if keys is None:
                await data.invalidate(target, prefix="")
            for key in keys or ():
                with suppress(InvalidKey):  # then there is no copy under it
                    await data.invalidate(target, key)
    except EvoxError as error:
        _warn(f"{'all' if keys is None else keys} of {getattr(target, '__name__', target)}", error)


async def _take_tags(data: Any, tables: list[str]) -> None:
    try:
        await data.invalidate_tags(tables)
    except EvoxError as error:
        _warn(f"what is tagged with any of {tables}", error)


def _warn(what: str, error: Exception) -> None:
    why = error.what if isinstance(error, EvoxError) else error
    _log.warning("copies may be old for up to their ttl: a commit has changed %s, not taken away: %s", what, why)
