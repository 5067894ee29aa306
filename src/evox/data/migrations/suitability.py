"""Suitability: what no migration may hold, said before anything is done, with its line and why.

A file is one transaction. So it holds nothing that begins or ends one, and nothing that a transaction cannot hold.
"""

import re
from typing import Final

from evox.data.migrations.files import NO_TRANSACTION, Migration
from evox.data.migrations.statements import Statement, statements_of
from evox.errors import MigrationRefused

__all__ = ["checked_statements"]

_BRACKET: Final = re.compile(
    r"(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE TRANSACTION)\b", re.IGNORECASE
)
_COPY: Final = re.compile(r"COPY\b.*\b(?:FROM STDIN|TO STDOUT)\b", re.IGNORECASE)
_APART: Final = {
    "sqlite": re.compile(
        r"(?P<what>VACUUM|ATTACH|DETACH"
        r"|PRAGMA (?:\w+ ?\. ?)?(?:auto_vacuum|encoding|foreign_keys|journal_mode|locking_mode|page_size"
        r"|synchronous|temp_store|wal_checkpoint))\b",
        re.IGNORECASE,
    ),
    "postgresql": re.compile(
        r"(?P<what>VACUUM|ALTER SYSTEM|DISCARD ALL|(?:CREATE|DROP) (?:DATABASE|TABLESPACE|SUBSCRIPTION)"
        r"|CREATE (?:UNIQUE )?INDEX CONCURRENTLY|DROP INDEX CONCURRENTLY"
        r"|REINDEX (?:\([^)]*\) ?)?(?:DATABASE|SYSTEM|SCHEMA)"
        r"|REINDEX (?:\([^)]*CONCURRENTLY[^)]*\) ?)?(?:TABLE|INDEX) CONCURRENTLY|REINDEX \([^)]*CONCURRENTLY[^)]*\)"
        r"|CLUSTER(?= ?(?:\([^)]*\)|VERBOSE)? ?;?$))(?!\w)",
        re.IGNORECASE,
    ),
}
_DETACH: Final = re.compile(r"ALTER TABLE\b.* DETACH PARTITION\b.* CONCURRENTLY\b", re.IGNORECASE)


def checked_statements(migration: Migration, kind: str) -> list[Statement]:
    """Return the statements of a file, or say why it cannot be run.

    Args:
        migration: The file.
        kind: ``"sqlite"`` or ``"postgresql"``.

    Raises:
        MigrationRefused: if it is empty, begins or ends a transaction, or holds what a transaction cannot hold.
    """
    statements = statements_of(migration.text, kind)
    if not statements:
        raise MigrationRefused(
            f"{migration.name} is empty",
            "it holds no statement",
            fix="write one, or remove the file",
            place=migration.place(),
        )
    if migration.without_foreign_keys and kind != "sqlite":
        why = "that is for SQLite, where a table is rebuilt by another that takes its name"
        fix = "take the line out: in PostgreSQL, ALTER TABLE changes a table where it is"
        raise MigrationRefused(f"{migration.name} has foreign keys off", why, fix=fix, place=migration.place(1))
    if migration.outside and len(statements) > 1:
        raise MigrationRefused(
            f"{migration.name} has {len(statements)} statements outside of a transaction",
            "when one fails, those before it would stay: such a file holds a single one",
            fix="give each a file of its own",
            place=migration.place(statements[1].line),
        )
    for statement in statements:
        _check(migration, statement, kind)
    return statements


def _check(migration: Migration, statement: Statement, kind: str) -> None:
    bracket = _BRACKET.match(statement.bare)
    if bracket is not None:
        raise MigrationRefused(
            f"{migration.name} holds {bracket[0].upper()}",
            "each file is one transaction, together with the note that it was applied",
            fix="take it out, and what is to be a transaction of its own into a file of its own",
            place=migration.place(statement.line),
        )
    if kind == "postgresql" and _COPY.match(statement.bare):
        raise MigrationRefused(
            f"{migration.name} holds COPY from or to a terminal",
            "there is none, and the rows below it are no statements",
            fix="write INSERT",
            place=migration.place(statement.line),
        )
    apart = _APART[kind].match(statement.bare)
    what = apart["what"].upper() if apart is not None else ""
    if kind == "postgresql" and _DETACH.match(statement.bare):
        what = "DETACH PARTITION CONCURRENTLY"
    if not what or migration.outside:
        return
    if what.endswith("FOREIGN_KEYS"):
        why = "it does nothing within a transaction, and each file is one"
        fix = "to rebuild a table that others refer to, write `-- evox: foreign keys off` as the first line instead"
    else:
        why = "it cannot be done within a transaction, and each file is one"
        fix = f"give it a file of its own whose first line is `-- evox: {NO_TRANSACTION}`"
    raise MigrationRefused(f"{migration.name} holds {what}", why, fix=fix, place=migration.place(statement.line))
