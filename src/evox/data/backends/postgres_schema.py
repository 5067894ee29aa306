"""PostgreSQL schema: the tables of the store, and the statements on them.

Versions come from a sequence, taken while the row of the key is locked, so that they grow with each change of a key.
Who fills a copy holds the rows of its guards until it is stored, and who invalidates takes them first: one of them
comes before the other. A deleted key leaves its row behind without a value for an hour.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from evox.data.backends.base import Lease, Reading, Removed
from evox.data.entries import Entry, open_envelope, seal_envelope
from evox.errors import CorruptValue, UnsupportedSchema

__all__ = [
    "CHANNEL",
    "SCHEMA",
    "create",
    "delete",
    "fill",
    "get",
    "invalidate_prefix",
    "invalidate_tags",
    "put",
    "sweep",
]

SCHEMA: Final = 1
CHANNEL: Final = "evox_changes"
GONE: Final = 3600.0
_LOCK: Final = 0x65766F78  # of the transaction that makes the tables
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS evox_store (id int PRIMARY KEY CHECK (id = 1), schema int NOT NULL)",
    "CREATE SEQUENCE IF NOT EXISTS evox_version",
    """CREATE TABLE IF NOT EXISTS evox_entries (
        key text COLLATE "C" PRIMARY KEY, value bytea, version bigint NOT NULL, expires double precision,
        evictable boolean NOT NULL, tags text[] NOT NULL, written double precision NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS evox_entries_tags ON evox_entries USING gin (tags)",
    "CREATE INDEX IF NOT EXISTS evox_entries_expires ON evox_entries (expires) WHERE expires IS NOT NULL",
    'CREATE TABLE IF NOT EXISTS evox_guards (name text COLLATE "C" PRIMARY KEY, version bigint NOT NULL)',
)
_SET: Final = """value = excluded.value, version = nextval('evox_version'), expires = excluded.expires,
    evictable = excluded.evictable, tags = excluded.tags, written = excluded.written"""
_PUT: Final = f"""INSERT INTO evox_entries (key, value, version, expires, evictable, tags, written)
    VALUES (%s, %s, nextval('evox_version'), %s, %s, %s, %s)
    ON CONFLICT (key) DO UPDATE SET {_SET} RETURNING version"""  # noqa: S608  constants of this file
_ADD: Final = """INSERT INTO evox_entries (key, value, version, expires, evictable, tags, written)
    VALUES (%s, %s, nextval('evox_version'), %s, %s, %s, %s) ON CONFLICT (key) DO NOTHING RETURNING version"""
_REPLACE: Final = """UPDATE evox_entries
    SET value = %s, version = nextval('evox_version'), expires = %s, evictable = %s, tags = %s, written = %s
    WHERE key = %s AND version = %s RETURNING version"""
_LOOK: Final = "SELECT value IS NOT NULL, expires, evictable FROM evox_entries WHERE key = %s FOR UPDATE"
_LIVE_COPY: Final = "evictable AND value IS NOT NULL AND (expires IS NULL OR expires > %s)"
_CLEARED: Final = "value = NULL, version = nextval('evox_version'), expires = NULL, tags = '{}', written = %s"
_MOVE: Final = """INSERT INTO evox_guards VALUES (%s, nextval('evox_version'))
    ON CONFLICT (name) DO UPDATE SET version = nextval('evox_version') RETURNING version"""


async def create(connection: Any, name: str) -> None:
    """Make what is not there.

    Raises:
        UnsupportedSchema: if a newer Evox has made it.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))  # others may start at the same time
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute(_TABLES[0])
        found = await _one(connection, "SELECT schema FROM evox_store")
        if found is not None and found[0] > SCHEMA:
            raise UnsupportedSchema(name, found[0], SCHEMA)
        for statement in _TABLES[1:]:
            await connection.execute(statement)
        await connection.execute("INSERT INTO evox_store VALUES (1, %s) ON CONFLICT DO NOTHING", (SCHEMA,))


async def get(connection: Any, key: str, guards: Sequence[str], now: float) -> Reading:
    """Read a key, and the versions of what its lease is to notice, as they were at one moment."""
    cursor = await connection.execute(
        """SELECT e.value, e.version, e.expires, e.evictable, e.tags,
            (SELECT array_agg(g.name || ' ' || g.version) FROM evox_guards g WHERE g.name = ANY(%s))
        FROM (SELECT 1) AS one LEFT JOIN evox_entries e ON e.key = %s""",
        (list(guards), key),
        binary=True,
    )
    value, version, expires, evictable, tags, found = await cursor.fetchone()
    noted = dict(one.rsplit(" ", 1) for one in found or ())
    lease = Lease(version or 0, tuple((name, int(noted.get(name, 0))) for name in guards))
    if value is None or (expires is not None and expires <= now):
        return Reading(None, lease)
    try:
        return Reading(open_envelope(bytes(value), version=version, evictable=evictable, tags=tuple(tags)), lease)
    except ValueError as error:
        if evictable:
            return Reading(None, lease)
        raise CorruptValue(key.partition(":")[2], str(error)) from None


async def put(connection: Any, key: str, entry: Entry, now: float, *, notify: bool = False) -> int:
    """Store an entry, and return its version."""
    found = await _change(connection, _PUT, (key, *_columns(entry, now)), f" k {key}", notify)
    return int(found[0])


async def fill(connection: Any, key: str, entry: Entry, lease: Lease, now: float, *, notify: bool = False) -> int:
    """Store an entry if nothing changed since the lease; return its version, or 0."""
    async with connection.transaction():
        if lease.guards and not await _hold(connection, dict(lease.guards)):
            return 0
        columns = _columns(entry, now)
        if lease.version == 0:
            found = await _change(connection, _ADD, (key, *columns), f" k {key}", notify)
        else:
            found = await _change(connection, _REPLACE, (*columns, key, lease.version), f" k {key}", notify)
        return 0 if found is None else int(found[0])


async def _hold(connection: Any, guards: dict[str, int]) -> bool:
    """Keep guards from being moved until the end of the transaction; whether they are as noted."""
    names = sorted(guards)
    await connection.execute(
        "INSERT INTO evox_guards SELECT unnest(%s::text[]), 0 ON CONFLICT (name) DO NOTHING", (names,)
    )
    cursor = await connection.execute(
        "SELECT name, version FROM evox_guards WHERE name = ANY(%s) ORDER BY name FOR SHARE", (names,)
    )
    return dict(await cursor.fetchall()) == guards


async def delete(connection: Any, key: str, now: float, *, copies_only: bool = False, notify: bool = False) -> Removed:
    """Delete a key, or only a copy; either way leases on it end."""
    async with connection.transaction():
        found = await _one(
            connection,
            "SELECT value IS NOT NULL, expires, evictable FROM evox_entries WHERE key = %s FOR UPDATE",
            (key,),
        )
        live = found is not None and found[0] and (found[1] is None or found[1] > now)
        if copies_only and live and not found[2]:
            return Removed(0, 0)
        made = await _change(connection, _PUT, (key, None, None, True, [], now), f" k {key}", notify)
        return Removed(int(made[0]), int(live))


async def invalidate_prefix(connection: Any, prefix: str, guard: str, now: float, *, notify: bool = False) -> Removed:
    """Delete the copies whose keys begin so."""
    async with connection.transaction():
        version = (await _change(connection, _MOVE, (guard,), f" g {guard}", notify))[0]
        cursor = await connection.execute(
            f"""WITH found AS (SELECT key, expires FROM evox_entries WHERE key >= %s AND starts_with(key, %s)
                AND evictable AND value IS NOT NULL ORDER BY key FOR UPDATE)
            UPDATE evox_entries e SET {_CLEARED} FROM found WHERE e.key = found.key RETURNING found.expires""",  # noqa: S608  a constant
            (prefix, prefix, now),
        )
        return Removed(int(version), _live(await cursor.fetchall(), now))


async def invalidate_tags(connection: Any, tags: Sequence[str], now: float, *, notify: bool = False) -> Removed:
    """Delete the copies under any of the tags."""
    version = 0
    async with connection.transaction():
        for tag in sorted(tags):
            version = (await _change(connection, _MOVE, (tag,), f" g {tag}", notify))[0]
        cursor = await connection.execute(
            f"""WITH found AS (SELECT key, expires FROM evox_entries WHERE tags && %s
                AND evictable AND value IS NOT NULL ORDER BY key FOR UPDATE)
            UPDATE evox_entries e SET {_CLEARED} FROM found WHERE e.key = found.key RETURNING found.expires""",  # noqa: S608  a constant
            (list(tags), now),
        )
        return Removed(int(version), _live(await cursor.fetchall(), now))


async def count_prefix(connection: Any, prefix: str, now: float) -> int:
    """Return how many copies have keys that begin so."""
    cursor = await connection.execute(
        f"SELECT count(*) FROM evox_entries WHERE key >= %s AND starts_with(key, %s) AND {_LIVE_COPY}",  # noqa: S608  a constant
        (prefix, prefix, now),
    )
    return int((await cursor.fetchone())[0])


async def count_tags(connection: Any, tags: Sequence[str], now: float) -> int:
    """Return how many copies are under any of the tags."""
    cursor = await connection.execute(
        f"SELECT count(*) FROM evox_entries WHERE tags && %s AND {_LIVE_COPY}",  # noqa: S608  a constant
        (list(tags), now),
    )
    return int((await cursor.fetchone())[0])


async def sweep(connection: Any, now: float, most: int) -> int:
    """Remove some of what expired, and of the versions of keys deleted long ago; return how many."""
    cleared = await connection.execute(
        """UPDATE evox_entries SET value = NULL, expires = NULL, tags = '{}', written = %s WHERE key IN
        (SELECT key FROM evox_entries WHERE expires <= %s LIMIT %s FOR UPDATE SKIP LOCKED)""",
        (now, now, most),
    )
    removed = await connection.execute(
        """DELETE FROM evox_entries WHERE key IN
        (SELECT key FROM evox_entries WHERE value IS NULL AND written < %s LIMIT %s FOR UPDATE SKIP LOCKED)""",
        (now - GONE, most),
    )
    # What was never moved is as good as not there; whoever fills holds those that he needs.
    unmoved = await connection.execute(
        """DELETE FROM evox_guards WHERE name IN
        (SELECT name FROM evox_guards WHERE version = 0 LIMIT %s FOR UPDATE SKIP LOCKED)""",
        (most,),
    )
    return int(cleared.rowcount + removed.rowcount + unmoved.rowcount)


def _columns(entry: Entry, now: float) -> tuple[bytes, float | None, bool, list[str], float]:
    expires = None if entry.keep_until == math.inf else entry.keep_until
    return seal_envelope(entry), expires, entry.evictable, list(entry.tags), now


def _live(rows: list[tuple[float | None]], now: float) -> int:
    return sum(expires is None or expires > now for (expires,) in rows)


async def _change(connection: Any, statement: str, values: Sequence[Any], said: str, notify: bool) -> Any:
    """Do what returns a version, and tell those who listen as it is committed."""
    if not notify:
        return await _one(connection, statement, values)
    told = f"WITH made AS ({statement}) SELECT version, pg_notify(%s, version || %s) FROM made"  # noqa: S608  ours
    return await _one(connection, told, (*values, CHANNEL, said))


async def _one(connection: Any, statement: str, values: Sequence[Any] = ()) -> Any:
    return await (await connection.execute(statement, values)).fetchone()
