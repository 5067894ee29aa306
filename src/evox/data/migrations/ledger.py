"""Ledger: the table that says what was applied, in the database itself. The same on SQLite and PostgreSQL.

A row is written in the transaction of its file. For a file that is run outside of one, it is written before without
a duration, and gets that after: a run that was killed in between leaves a row that says so.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from evox.data.migrations.files import Migration
from evox.data.migrations.plan import Applied
from evox.errors import MigrationRefused

__all__ = ["CREATE", "DELETE", "FINISH", "INSERT", "SELECT", "TABLE", "begun", "row_of", "rows_of"]

TABLE: Final = "evox_migrations"
CREATE: Final = (
    "CREATE TABLE evox_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, "
    "applied_at TEXT NOT NULL, duration DOUBLE PRECISION)"
)
SELECT: Final = "SELECT number, name, sha256, applied_at, duration FROM evox_migrations ORDER BY number"
INSERT: Final = "INSERT INTO evox_migrations (number, name, sha256, applied_at, duration) VALUES (?, ?, ?, ?, ?)"
FINISH: Final = "UPDATE evox_migrations SET duration = ? WHERE number = ?"
DELETE: Final = "DELETE FROM evox_migrations WHERE number = ?"


def row_of(migration: Migration, duration: float | None) -> Applied:
    """Return the row of a file that is applied now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    took = None if duration is None else round(duration, 6)
    return Applied(migration.number, migration.name, migration.sha256, now, took)


def rows_of(found: Sequence[Sequence[Any]]) -> tuple[Applied, ...]:
    """Return rows as the database gives them."""
    return tuple(Applied(*row) for row in found)


def begun(number: int, rows: Sequence[Applied]) -> Applied:
    """Return the row of a file that was begun outside of a transaction, of which somebody tells the end.

    Raises:
        MigrationRefused: if it is none.
    """
    row = next((one for one in rows if one.number == number), None)
    if row is None or row.duration is not None:
        what = f"{number:04} is not one whose end is unknown"
        why = "it was never begun" if row is None else f"{row.name} was applied at {row.applied_at}"
        raise MigrationRefused(what, why, fix="leave out --done and --undone")
    return row
