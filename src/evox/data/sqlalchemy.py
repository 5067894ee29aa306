"""SQLAlchemy: what a session has committed invalidates the copies made from it. Extra ``evox-framework[sqlalchemy]``.

Models stay as they are and know nothing of Evox: the session is listened to. Changes count when they are committed, and
not before; what is rolled back never does. A commit returns when the copies are gone, except where a synchronous
session commits inside the event loop: there it cannot wait, and they are taken away at once after it.

Not seen are changes that do not pass the session: SQL written as text, other programs, triggers.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.lowlevel
from sqlalchemy import event, inspect
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from evox.context import ServiceScope, maybe_service
from evox.data.declaring import NamedIntent

__all__ = ["signal_from"]

_log = logging.getLogger("evox.data")
_INFO: Final = "evox_changes"
Target = type[Any] | NamedIntent | str


class _Changes:
    """What a transaction has changed so far: keys of models, models of which any may have changed, tables."""

    def __init__(self) -> None:
        self.keys: set[tuple[type[Any], str]] = set()
        self.models: set[type[Any]] = set()
        self.tables: set[str] = set()


def signal_from(
    session: type[Session] | sessionmaker[Any] | Any,
    invalidates: Mapping[type[Any], Target | Iterable[Target]] | None = None,
) -> Callable[[], None]:
    """Let the commits of a session class, or of what a factory makes, invalidate copies.

    Always invalidated is the tag with the name of each changed table: read with ``tags=["users"]`` what comes from it.

    Args:
        session: A ``Session`` class, ``sessionmaker`` or ``async_sessionmaker``.
        invalidates: Types or named intents that are copies of a model. A changed object invalidates the value with its
            primary key (several columns joined by ``:``); a bulk change all of them.

    Returns:
        A function that stops it.
    """
    target: Any = getattr(session, "sync_session_class", None) or session
    if hasattr(session, "kw") and "sync_session_class" in session.kw:
        target = session.kw["sync_session_class"]
    elif hasattr(session, "class_") and hasattr(session.class_, "sync_session_class"):
        target = session.class_.sync_session_class
    mapping = {model: _listed(targets) for model, targets in (invalidates or {}).items()}

    def committed(committing: Session) -> None:
        found: _Changes | None = committing.info.pop(_INFO, None)
        if found is not None:
            _invalidate(found, mapping)

    listeners: list[tuple[str, Callable[..., None]]] = [
        ("after_flush", _flushed),
        ("do_orm_execute", _executed),
        ("after_commit", committed),
        ("after_rollback", _rolled_back),
    ]
    for name, listener in listeners:
        event.listen(target, name, listener)

    def stop() -> None:
        for name, listener in listeners:
            event.remove(target, name, listener)

    return stop


def _changes(session: Session) -> _Changes:
    found: _Changes = session.info.setdefault(_INFO, _Changes())
    return found


def _flushed(session: Session, context: Any) -> None:
    """Note the objects of one flush, with the keys that they have by now."""
    del context
    found = _changes(session)
    for one in (*session.new, *session.dirty, *session.deleted):
        if one in session.dirty and not session.is_modified(one):
            continue
        state = inspect(one)
        found.tables |= {table.name for table in state.mapper.tables}
        key = state.mapper.primary_key_from_instance(one)
        found.keys |= {(model, ":".join(map(str, key))) for model in _models(state.mapper)}


def _executed(state: ORMExecuteState) -> None:
    """Note a bulk change: nobody knows of which rows."""
    if not (state.is_update or state.is_delete or state.is_insert):
        return
    found = _changes(state.session)
    table = getattr(state.statement, "table", None)
    if table is not None:
        found.tables.add(table.name)
    if state.bind_mapper is not None:
        found.models |= set(_models(state.bind_mapper))
        found.tables |= {one.name for one in state.bind_mapper.tables}


def _rolled_back(session: Session) -> None:
    """Forget what was undone. A savepoint does not come here: to invalidate too much does no harm."""
    session.info.pop(_INFO, None)


def _models(mapper: Any) -> Iterable[type[Any]]:
    return [one.class_ for one in mapper.iterate_to_root()]


def _listed(targets: Target | Iterable[Target]) -> tuple[Target, ...]:
    return (targets,) if isinstance(targets, type | NamedIntent | str) else tuple(targets)


def _invalidate(found: _Changes, mapping: Mapping[type[Any], tuple[Target, ...]]) -> None:
    service = maybe_service()
    if service is None:
        _log.warning(
            "a session was committed outside any running service: copies of %s are not invalidated", found.tables
        )
        return
    try:
        anyio.lowlevel.current_token()
    except anyio.NoEventLoopError:
        anyio.from_thread.run(_take_away, service, found, mapping)  # a sync handler: it runs in a worker thread
        return
    if in_greenlet():
        await_only(_take_away(service, found, mapping))
    else:
        start: Any = service
        start.start_soon(_take_away, service, found, mapping, name="sqlalchemy:invalidate")


async def _take_away(service: ServiceScope, found: _Changes, mapping: Mapping[type[Any], tuple[Target, ...]]) -> None:
    data = service.data
    for model, targets in mapping.items():
        for target in targets:
            if model in found.models:
                await data.invalidate(target, prefix="")
                continue
            for changed, key in found.keys:
                if changed is model:
                    await data.invalidate(target, key)
    if found.tables:
        await data.invalidate_tags(sorted(found.tables))
