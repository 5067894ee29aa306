"""SQLite schema: the tables of the store, and the statements on them. They may share a file with your own tables.

A deleted key leaves its row behind without a value for an hour, so that its version still tells that it was deleted.
"""

import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from evox.data.backends.base import Lease, Reading, Removed
from evox.data.entries import Entry, open_envelope, seal_envelope
from evox.errors import CorruptValue, UnsupportedSchema

__all__ = [
    "SCHEMA",
    "Row",
    "changes",
    "create",
    "delete",
    "fill",
    "get",
    "invalidate",
    "invalidate_prefix",
    "invalidate_tags",
    "put",
    "sweep",
]

SCHEMA: Final = 1
GONE: Final = 3600.0  # seconds for which the version of a deleted key is kept
_LIVE_COPY: Final = "evictable AND value IS NOT NULL AND (expires IS NULL OR expires > ?)"
_LAST: Final = "\U0010ffff" * 4  # sorts after whatever a key goes on with
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS evox_store (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER, version INTEGER)",
    """CREATE TABLE IF NOT EXISTS evox_entries (
        key TEXT PRIMARY KEY, value BLOB, version INTEGER NOT NULL, expires REAL, evictable INTEGER NOT NULL,
        tags TEXT NOT NULL, written REAL NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS evox_entries_version ON evox_entries (version)",
    "CREATE INDEX IF NOT EXISTS evox_entries_expires ON evox_entries (expires) WHERE expires IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS evox_tags (tag TEXT, key TEXT, PRIMARY KEY (tag, key)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS evox_guards (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS evox_guards_version ON evox_guards (version)",
)
_PUT: Final = """INSERT INTO evox_entries (key, value, version, expires, evictable, tags, written)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,
    expires = excluded.expires, evictable = excluded.evictable, tags = excluded.tags, written = excluded.written"""
_CLEAR: Final = (
    "UPDATE evox_entries SET value = NULL, version = ?, expires = NULL, tags = '', written = ? WHERE key = ?"
)
Row = tuple[str, int, bool]


def create(raw: sqlite3.Connection, name: str) -> None:
    """Make the tables that are not there. In a transaction.

    Raises:
        UnsupportedSchema: if a newer Evox has made them.
    """
    raw.execute(_TABLES[0])
    found = raw.execute("SELECT schema FROM evox_store").fetchone()
    if found is not None and found[0] > SCHEMA:
        raise UnsupportedSchema(name, found[0], SCHEMA)
    for statement in _TABLES[1:]:
        raw.execute(statement)
    raw.execute("INSERT OR IGNORE INTO evox_store (id, schema, version) VALUES (1, ?, 0)", (SCHEMA,))


def get(raw: sqlite3.Connection, key: str, guards: Sequence[str], now: float) -> Reading:
    """Read a key, and the versions of what its lease is to notice."""
    found = raw.execute(
        "SELECT CAST(value AS BLOB), version, expires, evictable, tags FROM evox_entries WHERE key = ?", (key,)
    ).fetchone()
    noted = tuple((guard, _guard(raw, guard)) for guard in guards)
    if found is None:
        return Reading(None, Lease(0, noted))
    value, version, expires, evictable, tags = found
    lease = Lease(version, noted)
    if value is None or (expires is not None and expires <= now):
        return Reading(None, lease)
    try:
        entry = open_envelope(
            value, version=version, evictable=bool(evictable), tags=tuple(tags.split("\n")) if tags else ()
        )
    except ValueError as error:
        if evictable:
            return Reading(None, lease)  # a copy: whatever it was, its source still knows
        raise CorruptValue(key.partition(":")[2], str(error)) from None
    return Reading(entry, lease)


def put(raw: sqlite3.Connection, key: str, entry: Entry) -> int:
    """Store an entry, and return its version."""
    tags = "\n".join(entry.tags)
    earlier = raw.execute("SELECT tags FROM evox_entries WHERE key = ?", (key,)).fetchone()
    if earlier is not None and earlier[0] and earlier[0] != tags:
        _untag(raw, key, earlier[0])
    version = _next(raw)
    expires = None if entry.keep_until == float("inf") else entry.keep_until
    value = (key, seal_envelope(entry), version, expires, entry.evictable, tags, time.time())
    raw.execute(_PUT, value)
    raw.executemany("INSERT OR IGNORE INTO evox_tags (tag, key) VALUES (?, ?)", [(tag, key) for tag in entry.tags])
    return version


def fill(raw: sqlite3.Connection, key: str, entry: Entry, lease: Lease) -> int:
    """Store an entry if nothing changed since the lease; return its version, or 0."""
    found = raw.execute("SELECT version FROM evox_entries WHERE key = ?", (key,)).fetchone()
    if (found[0] if found is not None else 0) != lease.version:
        return 0
    if any(_guard(raw, name) != version for name, version in lease.guards):
        return 0
    return put(raw, key, entry)


def delete(raw: sqlite3.Connection, key: str, now: float, *, copies_only: bool = False) -> Removed:
    """Delete a key, or only a copy; either way leases on it end."""
    found = raw.execute("SELECT value, expires, evictable, tags FROM evox_entries WHERE key = ?", (key,)).fetchone()
    live = found is not None and found[0] is not None and (found[1] is None or found[1] > now)
    if copies_only and live and not found[2]:
        return Removed(_current(raw), 0)
    version = _next(raw)
    if found is None:
        raw.execute(_PUT, (key, None, version, None, True, "", time.time()))
    else:
        _untag(raw, key, found[3])
        raw.execute(_CLEAR, (version, time.time(), key))
    return Removed(version, int(live))


def invalidate(raw: sqlite3.Connection, key: str, now: float) -> Removed:
    """Delete a key if it is a copy."""
    return delete(raw, key, now, copies_only=True)


def invalidate_prefix(raw: sqlite3.Connection, prefix: str, guard: str, now: float) -> Removed:
    """Delete the copies whose keys begin so."""
    version = _move(raw, guard)
    rows = raw.execute(
        "SELECT key, expires, tags FROM evox_entries WHERE key >= ? AND key < ? AND evictable AND value IS NOT NULL",
        (prefix, prefix + _LAST),
    ).fetchall()
    return Removed(version, _clear(raw, rows, version, now))


def invalidate_tags(raw: sqlite3.Connection, tags: Sequence[str], now: float) -> Removed:
    """Delete the copies under any of the tags."""
    count, version = 0, _current(raw)
    for tag in tags:
        version = _move(raw, tag)
        rows = raw.execute(
            """SELECT key, expires, tags FROM evox_entries WHERE key IN (SELECT key FROM evox_tags WHERE tag = ?)
            AND evictable AND value IS NOT NULL""",
            (tag,),
        ).fetchall()
        count += _clear(raw, rows, version, now)
    return Removed(version, count)


def count_prefix(raw: sqlite3.Connection, prefix: str, now: float) -> int:
    """Return how many copies have keys that begin so."""
    rows = raw.execute(
        f"SELECT count(*) FROM evox_entries WHERE key >= ? AND key < ? AND {_LIVE_COPY}",  # noqa: S608  a constant
        (prefix, prefix + _LAST, now),
    )
    return int(rows.fetchone()[0])


def count_tags(raw: sqlite3.Connection, tags: Sequence[str], now: float) -> int:
    """Return how many copies are under any of the tags."""
    marks = ", ".join("?" * len(tags))
    rows = raw.execute(
        f"""SELECT count(*) FROM evox_entries WHERE key IN (SELECT key FROM evox_tags WHERE tag IN ({marks}))
        AND {_LIVE_COPY}""",  # noqa: S608  a constant and question marks
        (*tags, now),
    )
    return int(rows.fetchone()[0])


def changes(raw: sqlite3.Connection, since: int, most: int) -> list[Row]:
    """Return (name, version, whether it is a key) of what changed after a version, the oldest first.

    Those of one version are returned together, however many; none are returned after one that was left out.
    """
    found: list[Row] = []
    upto = math.inf
    for columns, table in (("key, version, 1", "evox_entries"), ("name, version, 0", "evox_guards")):
        select = f"SELECT {columns} FROM {table} WHERE version"  # noqa: S608  constants of this line and the last
        rows = raw.execute(f"{select} > ? ORDER BY version LIMIT ?", (since, most)).fetchall()
        if len(rows) == most:
            last = rows[-1][1]
            upto = min(upto, last)
            rows = [row for row in rows if row[1] < last] + raw.execute(f"{select} = ?", (last,)).fetchall()
        found += rows
    return sorted((row for row in found if row[1] <= upto), key=lambda row: row[1])


def sweep(raw: sqlite3.Connection, now: float, most: int) -> int:
    """Remove some of what expired, and of the versions of keys deleted long ago; return how many."""
    rows = raw.execute("SELECT key, tags FROM evox_entries WHERE expires <= ? LIMIT ?", (now, most)).fetchall()
    for key, tags in rows:
        _untag(raw, key, tags)
        # Its version stays: who loaded before it was written must not put it back.
        raw.execute(
            "UPDATE evox_entries SET value = NULL, expires = NULL, tags = '', written = ? WHERE key = ?", (now, key)
        )
    done = raw.execute(
        """DELETE FROM evox_entries WHERE rowid IN
        (SELECT rowid FROM evox_entries WHERE value IS NULL AND written < ? LIMIT ?)""",
        (now - GONE, most),
    )
    return len(rows) + done.rowcount


def _clear(raw: sqlite3.Connection, rows: list[tuple[str, float | None, str]], version: int, now: float) -> int:
    for key, _, tags in rows:
        _untag(raw, key, tags)
        raw.execute(_CLEAR, (version, time.time(), key))
    return sum(expires is None or expires > now for _, expires, _ in rows)


def _untag(raw: sqlite3.Connection, key: str, tags: str) -> None:
    for tag in tags.split("\n") if tags else ():
        raw.execute("DELETE FROM evox_tags WHERE tag = ? AND key = ?", (tag, key))


def _next(raw: sqlite3.Connection) -> int:
    (version,) = raw.execute("UPDATE evox_store SET version = version + 1 RETURNING version").fetchone()
    return int(version)


def _current(raw: sqlite3.Connection) -> int:
    (version,) = raw.execute("SELECT version FROM evox_store").fetchone()
    return int(version)


def _guard(raw: sqlite3.Connection, name: str) -> int:
    found = raw.execute("SELECT version FROM evox_guards WHERE name = ?", (name,)).fetchone()
    return found[0] if found is not None else 0


def _move(raw: sqlite3.Connection, name: str) -> int:
    version = _next(raw)
    raw.execute(
        "INSERT INTO evox_guards VALUES (?, ?) ON CONFLICT DO UPDATE SET version = excluded.version", (name, version)
    )
    return version
