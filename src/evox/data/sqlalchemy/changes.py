"""Changes: what one transaction of a session has changed, its savepoints included.

Statements are heard at the connection, as Core constructs with their tables; that way none is missed, be it of the ORM,
a bulk method, ``session.execute`` or a secondary table. Of which rows they are is known for objects only, from the
flush that wrote them; every other statement may have changed any row of its table.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Executable, TableClause, UpdateBase, event, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import ClauseElement, visitors

__all__ = ["Changes"]

# The ORM passes one with the statements that it makes from objects and from the dictionaries of bulk methods, and with
# no others. Should a version of it not do so, their tables count as bulk: too much is invalidated, and not too little.
_OF_ROWS: Final = "compiled_cache"


class Changes:
    """What a transaction has changed so far.

    Attributes:
        keys: Models with the primary keys of changed objects.
        tables: The names of all changed tables.
        sent: Whether a COMMIT was sent, and not answered yet: it may have been done whatever becomes of it.
    """

    def __init__(self) -> None:
        self.keys: set[tuple[type[Any], str]] = set()
        self.tables: set[str] = set()
        self.sent = False
        self._bulk: set[str] = set()  # tables of which any row may have changed
        self._parts: list[set[str]] = [set()]  # tables whose rows are named at the end of a part, if it is a flush
        self._named: set[str] = set()  # tables of the objects of the flush that goes on
        self._heard: set[Connection] = set()

    def hear(self, connection: Connection) -> None:
        """Listen to a connection, until ``leave``."""
        if connection not in self._heard:
            self._heard.add(connection)
            for name, listener in self._listeners():
                event.listen(connection, name, listener)

    def leave(self) -> None:
        """Listen to no connection any more: one that was given to the session lives on after it."""
        for connection in self._heard:
            for name, listener in self._listeners():
                event.remove(connection, name, listener)
        self._heard.clear()

    def begin_part(self) -> None:
        """Begin a savepoint, a bulk method or a flush; one may be within another, as hooks are called by flushes."""
        self._parts.append(set())

    def end_flush(self) -> None:
        """Let what this part wrote be known by the objects noted in it, except for tables that none of them is in."""
        self._parts[-1] -= self._named
        self._named.clear()

    def end_part(self) -> None:
        """End a part. Of which rows it was is not known, where no flush has named them."""
        if len(self._parts) > 1:  # who begins to listen amid a transaction sees ends only
            self._bulk |= self._parts.pop()

    def note(self, one: object) -> None:
        """Note an object of a flush, by the key that it had and the one that it has."""
        state: Any = inspect(one)
        mapper: Mapper[Any] = state.mapper
        names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        had = state.identity or (None,) * len(names)
        # What is not loaded is as it was, and is not asked for: its row may be gone.
        has = tuple(state.dict.get(name, before) for name, before in zip(names, had, strict=True))
        keys = {":".join(map(str, key)) for key in (had, has) if key != (None,) * len(names)}
        self.keys |= {(model.class_, key) for model in mapper.base_mapper.self_and_descendants for key in keys}
        self._named |= _names(mapper)

    def any_of(self, model: type[Any]) -> bool:
        """Return whether any object of a model may have changed, or of one it inherits from or that inherits from it.

        A row of theirs may be in several tables, and be read as either.
        """
        mapper: Mapper[Any] | None = inspect(model, raiseerr=False)
        if mapper is None:  # it is not mapped, or not yet
            return False
        kin = (*mapper.iterate_to_root(), *mapper.self_and_descendants)
        return any(_names(one) & self._bulk.union(*self._parts) for one in kin)

    def _listeners(self) -> tuple[tuple[str, Any], ...]:
        return (("before_execute", self._executed), ("commit", self._sent), ("commit_twophase", self._sent_prepared))

    def _executed(
        self, connection: Connection, statement: Executable, many: Any, one: Any, options: Mapping[str, Any]
    ) -> None:
        """Note the tables of a statement. Before it is done, as one that fails may have changed some rows."""
        del connection, many, one
        names = set(_written(statement))
        self.tables |= names
        if options.get(_OF_ROWS) is None:
            self._bulk |= names
        else:
            self._parts[-1] |= names

    def _sent(self, connection: Connection) -> None:
        del connection
        self.sent = True

    def _sent_prepared(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        del xid, is_prepared
        self._sent(connection)


def _names(mapper: Mapper[Any]) -> set[str]:
    return {table.name for table in mapper.tables if isinstance(table, TableClause)}


def _written(statement: Executable) -> Iterator[str]:
    """Yield the tables that a statement writes to, also where it does so within a SELECT."""
    if not isinstance(statement, ClauseElement):
        return
    for part in visitors.iterate(statement):
        if isinstance(part, UpdateBase):
            yield from (table.name for table in visitors.iterate(part.table) if isinstance(table, TableClause))
