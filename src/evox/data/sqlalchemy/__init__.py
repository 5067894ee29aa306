"""SQLAlchemy: what a session has committed invalidates the copies made from it. Extra ``evox-framework[sqlalchemy]``.

Models stay as they are and know nothing of Evox: the session is listened to, and the connections that it uses. Changes
count when their outermost transaction is committed, and not before; what is rolled back never does. A commit returns
when the copies are gone, except where a synchronous session commits inside the event loop: there it cannot wait, and
they are taken away at once after it.

Not seen are changes that do not pass the session: SQL written as text, other programs, triggers, cascades of the
database.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

try:
    from sqlalchemy import Connection, event
    from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction, sessionmaker
except ModuleNotFoundError:
    from evox.errors import MissingExtra

    raise MissingExtra("evox.data.sqlalchemy", "sqlalchemy") from None

from evox.data.declaring import NamedIntent
from evox.data.sqlalchemy.changes import Changes
from evox.data.sqlalchemy.taking import Target, Targets, take_away

__all__ = ["signal_from"]


def signal_from(
    session: type[Session] | sessionmaker[Any] | Any,
    invalidates: Mapping[type[Any], Target | Iterable[Target]] | None = None,
) -> Callable[[], None]:
    """Let the commits of a session class, or of what a factory makes, invalidate copies. May be called several times.

    Always invalidated is the tag with the name of each changed table: read with ``tags=["users"]`` what comes from it.

    Args:
        session: A ``Session`` class, ``sessionmaker`` or ``async_sessionmaker``.
        invalidates: Types or named intents that are copies of a model. A changed object invalidates the value with its
            primary key (several columns joined by ``:``), the one it had before included; a bulk change all of them.

    Returns:
        A function that stops it.
    """
    target: Any = getattr(session, "sync_session_class", None) or session
    if hasattr(session, "kw") and "sync_session_class" in session.kw:
        target = session.kw["sync_session_class"]
    elif hasattr(session, "class_") and hasattr(session.class_, "sync_session_class"):
        target = session.class_.sync_session_class
    watch = _Watch({model: _listed(targets) for model, targets in (invalidates or {}).items()})
    listeners: list[tuple[str, Callable[..., None]]] = [
        ("after_begin", watch.connected),
        ("after_transaction_create", watch.begun),
        ("after_flush", watch.flushed),
        ("persistent_to_deleted", watch.deleted),
        ("after_flush_postexec", watch.flush_ended),
        ("after_commit", watch.committed),
        ("after_transaction_end", watch.ended),
    ]
    for name, listener in listeners:
        event.listen(target, name, listener)

    def stop() -> None:
        for name, listener in listeners:
            event.remove(target, name, listener)

    return stop


class _Watch:
    """What listens on behalf of one ``signal_from``. It is its own key to what it noted in ``session.info``.

    Args:
        targets: What is a copy of which model.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def connected(self, session: Session, transaction: SessionTransaction, connection: Connection) -> None:
        """Hear the statements of a connection. A savepoint comes here too, with one that is known."""
        del transaction
        self._of(session).hear(connection)

    def begun(self, session: Session, transaction: SessionTransaction) -> None:
        """Begin a part of a transaction. Each flush is one, after the hooks that come before it."""
        del transaction
        self._of(session).begin_part()

    def flushed(self, session: Session, context: UOWTransaction) -> None:
        """Note the objects of a flush, while the session's collections still are what they were before it.

        Whether they are modified is not asked: one whose new value the database computes no longer says so.
        """
        del context
        for one in (*session.new, *session.dirty, *session.deleted):
            self._of(session).note(one)

    def deleted(self, session: Session, one: object) -> None:
        """Note an object that a flush has deleted. Orphans are in none of the session's collections."""
        self._of(session).note(one)

    def flush_ended(self, session: Session, context: UOWTransaction) -> None:
        """End a flush, of which all objects are known by now."""
        del context
        self._of(session).end_flush()

    def committed(self, session: Session) -> None:
        """Take copies away. The release of a savepoint comes here too, and is not it: others still read what was."""
        found = self._of(session)
        if not session.in_nested_transaction():
            found.sent = False
            take_away(found, self._targets)

    def ended(self, session: Session, transaction: SessionTransaction) -> None:
        """Forget what was committed, rolled back, or left without either.

        A savepoint that is rolled back takes nothing with it: to invalidate too much does no harm.
        """
        found: Changes | None = session.info.get(self)
        if found is None:
            return
        found.end_part()
        if transaction.parent is None and not session.in_transaction():  # a hook before this one may have begun anew
            del session.info[self]
            found.leave()
            if found.sent:  # the commit failed half-way, or nobody knows how far it came
                take_away(found, self._targets)

    def _of(self, session: Session) -> Changes:
        found: Changes = session.info.setdefault(self, Changes())
        return found


def _listed(targets: Target | Iterable[Target]) -> tuple[Target, ...]:
    return (targets,) if isinstance(targets, type | NamedIntent | str) else tuple(targets)
