"""Valkey: records and copies on a Valkey or Redis server, for all who reach it.

Every operation is one script on the server. Changes are published by the script that makes them. Whether a server can
be trusted with strong consistency depends on how it is set up, and is looked at when it is opened.
"""

import hashlib
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import ConnectionError as ConnectionLost
from coredis.exceptions import NoScriptError, RedisError

from evox.config import DataSettings, without_secrets
from evox.data.backends.base import BackendStatistics, Lease, OnChange, Reading, Removed
from evox.data.backends.valkey_listener import listen
from evox.data.backends.valkey_pool import NotOpened, ValkeyPool
from evox.data.backends.valkey_scripts import SCHEMA, SCRIPTS
from evox.data.backends.valkey_setup import ASKED, database_of, is_full, is_passing, nothing_was_done, refusal, setup_of
from evox.data.entries import Entry, open_envelope, seal_envelope
from evox.data.policy import Facts
from evox.errors import (
    BackendRefused,
    BackendUnavailable,
    CapacityExceeded,
    CorruptValue,
    UnsupportedSchema,
    WriteOutcomeUnknown,
)

__all__ = ["ValkeyBackend"]

_log = logging.getLogger("evox.data")
BATCH: Final = 500  # keys looked at in one script
LAST: Final = 1e12  # seconds since 1970; a server counts milliseconds in 64 bits, and whatever is later is never
LONGER: Final = 300.0  # seconds that a server keeps an entry which is over: the clocks of those who read it may differ
_SHAS: Final = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}


class ValkeyBackend:
    """Keeps entries on a server.

    Args:
        url: ``valkey://user:password@host:6379/0``; ``valkeys://`` for TLS; ``redis://`` and ``rediss://`` alike.
        settings: Timeouts and number of connections.
        wall: The time of day, in seconds.

    Raises:
        BackendRefused: if the URL cannot be used.
    """

    def __init__(self, url: str, settings: DataSettings, *, wall: Callable[[], float] = time.time) -> None:
        self._name = without_secrets(url)
        self._timeout = settings.timeout
        self._wall = wall
        self._db = database_of(url, self._name)
        try:
            self._pool = ValkeyPool(url, size=settings.connections, timeout=settings.timeout)
        except (ValueError, OSError) as error:
            fix = "correct backend = ... in [tool.evox.data], what stands after ? in it too: valkey://host:6379/0"
            raise BackendRefused(self._name, f"its URL cannot be used: {error}", fix=fix) from None
        self._closing = anyio.Event()
        self._watching = anyio.CancelScope()
        self._closed = anyio.Event()
        self._operations = self._failures = 0
        self._available = True
        self.facts = Facts("valkey", shared=True, linearizable=False, why_not="it is not open")

    def __repr__(self) -> str:
        return f"<ValkeyBackend {self._name}>"

    def clock(self) -> float:
        """See ``Backend``."""
        return self._wall()

    async def open(self, group: TaskGroup, on_change: OnChange) -> None:
        """See ``Backend``."""
        await group.start(self._hold, name="data:valkey")
        try:
            await self._look()
        except BaseException:
            await self.close()
            raise
        await group.start(self._watch, on_change, name="data:valkey/watch")

    async def close(self) -> None:
        """See ``Backend``."""
        self._watching.cancel()
        self._closing.set()
        with anyio.move_on_after(self._timeout, shield=True):
            await self._closed.wait()

    async def get(self, key: str, guards: Sequence[str] = ()) -> Reading:
        """See ``Backend``."""
        script = "strong get" if self.facts.linearizable else "get"
        value, version, expires, copy, tags, *noted = await self._read(script, key, *guards)
        lease = Lease(int(version), tuple(zip(guards, map(int, noted), strict=True)))
        if value is None or (expires and float(expires) <= self._wall()):
            return Reading(None, lease)
        is_copy = copy == b"1"
        try:
            names = tuple(tags.decode().split("\n")) if tags else ()
            return Reading(open_envelope(value, version=int(version), evictable=is_copy, tags=names), lease)
        except ValueError as error:
            if is_copy:
                return Reading(None, lease)
            raise CorruptValue(key.partition(":")[2], str(error)) from None

    async def put(self, key: str, entry: Entry) -> int:
        """See ``Backend``."""
        return int(await self._write("put", key, *_fields(entry)))

    async def fill(self, key: str, entry: Entry, lease: Lease) -> int:
        """See ``Backend``."""
        noted = [part for name, version in lease.guards for part in (name, str(version))]
        return int(await self._write("fill", key, *_fields(entry), str(lease.version), *noted))

    async def delete(self, key: str) -> Removed:
        """See ``Backend``."""
        return Removed(*await self._write("delete", key, repr(self._wall())))

    async def invalidate(self, key: str) -> Removed:
        """See ``Backend``."""
        return Removed(*await self._write("invalidate", key, repr(self._wall())))

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """See ``Backend``. Keys are looked at in batches, so that the server can serve others meanwhile."""
        version = int(await self._write("move", guard))
        count = 0
        async for keys in self._scan(prefix):
            count += await self._write("clear", str(version), repr(self._wall()), *keys)
        return Removed(version, count)

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """See ``Backend``."""
        return Removed(*await self._write("tags", repr(self._wall()), *tags))

    async def count_prefix(self, prefix: str) -> int:
        """See ``Backend``. Keys are looked at in batches, so that the server can serve others meanwhile."""
        found = {key async for keys in self._scan(prefix) for key in keys}  # a scan may name a key twice
        names = sorted(found)
        batches = [names[first : first + BATCH] for first in range(0, len(names), BATCH)]
        return sum([await self._read("count", repr(self._wall()), *batch) for batch in batches])

    async def count_tags(self, tags: Sequence[str]) -> int:
        """See ``Backend``."""
        return int(await self._read("count tags", repr(self._wall()), *tags))

    def statistics(self) -> BackendStatistics:
        """See ``Backend``."""
        pool = self._pool.statistics()
        detail = f"{pool.open} of {pool.size} connections, {pool.opened} opened, {pool.waiting} operations under way"
        return BackendStatistics("valkey", self._name, self._operations, self._failures, self._available, detail)

    async def _hold(self, *, task_status: TaskStatus[None]) -> None:
        """Keep the connections, which are children of the task that opened it."""
        try:
            await self._pool.run(self._closing, task_status=task_status)
        finally:
            self._closed.set()

    async def _watch(self, on_change: OnChange, *, task_status: TaskStatus[None]) -> None:
        told = _Told(on_change, self._is_back)
        with self._watching:
            await listen(self._pool, self._name, self._timeout, told, task_status=task_status)

    def _is_back(self) -> None:
        self._available = True

    async def _look(self) -> None:
        """See whether it can be reached, lets us, and how it is set up; mark a store that nobody has made yet."""
        try:
            info = await self._asked(b"INFO")
            setup = setup_of(info, await self._config())
            found = await self._asked(b"GET", "evox:schema")
            if found is None and setup.is_primary:  # a replica has what its primary has
                await self._asked(b"SET", "evox:schema", str(SCHEMA), "NX")
                found = await self._asked(b"GET", "evox:schema")
            await self._asked(b"EVAL", SCRIPTS["get"], "0", "")
        except (NotOpened, RedisError) as error:
            answer = error.refused if isinstance(error, NotOpened) else error
            if answer is None or isinstance(answer, ConnectionLost) or is_full(answer) or is_passing(answer):
                raise self._failed(error, "", writes=False) from None
            raise refusal(self._name, answer, db=self._db) from None
        if found is not None and not (found.isdigit() and int(found) <= SCHEMA):
            raise UnsupportedSchema(self._name, found.decode("utf-8", "replace"), SCHEMA)
        self.facts = setup.facts
        if setup.evicts:
            _log.warning(
                "%s may drop any key when its memory is full (maxmemory-policy %s), and records with it; "
                "set maxmemory-policy noeviction, or keep nothing there but copies",
                *(self._name, setup.evicts),
            )

    async def _config(self) -> Any:
        """Return how it is set up, or the error if it does not say."""
        try:
            return await self._asked(b"CONFIG", "GET", *ASKED)
        except ConnectionLost:
            raise
        except RedisError as error:
            return error

    async def _read(self, script: str, *args: str | bytes) -> Any:
        return await self._script(script, args, writes=False)

    async def _write(self, script: str, *args: str | bytes) -> Any:
        return await self._script(script, args, writes=True)

    async def _script(self, script: str, args: tuple[str | bytes, ...], *, writes: bool) -> Any:
        shown = str(args[0]) if args else ""
        try:
            return await self._run(b"EVALSHA", (_SHAS[script], "0", *args), key=shown, writes=writes)
        except NoScriptError:
            return await self._run(b"EVAL", (SCRIPTS[script], "0", *args), key=shown, writes=writes)

    async def _run(self, command: bytes, args: Sequence[str | bytes], *, key: str, writes: bool) -> Any:
        """Send one command. What fails before it is sent has changed nothing; after that, who knows.

        Raises:
            BackendUnavailable, WriteOutcomeUnknown, CapacityExceeded: see ``Backend``.
        """
        try:
            reply = await self._asked(command, *args, writes=key if writes else None)
        except (NotOpened, RedisError) as error:
            raise self._failed(error, key, writes=writes) from None
        self._available = True
        return reply

    async def _asked(self, command: bytes, *args: str | bytes, writes: str | None = None) -> Any:
        """Send one command as it is; see ``ValkeyPool.ask``."""
        self._operations += 1
        return await self._pool.ask(command, *args, writes=writes)

    def _failed(self, error: NotOpened | RedisError, key: str, *, writes: bool) -> Exception:
        """Return our error for one of the driver's."""
        if isinstance(error, NoScriptError):
            return error
        if is_full(error):
            return CapacityExceeded(self._name, "its memory is full", fix="raise its maxmemory, or store less")
        self._failures += 1
        self._available = False
        if writes and not nothing_was_done(error):
            return WriteOutcomeUnknown(self._name, key.partition(":")[2], str(error))
        refused = error.refused if isinstance(error, NotOpened) else None
        why = refusal(self._name, refused, db=self._db).why if refused is not None else str(error)
        return BackendUnavailable(self._name, why)

    async def _scan(self, prefix: str) -> AsyncIterator[list[str]]:
        """Yield the keys that begin so, in batches."""
        pattern = "evox:e:" + re.sub(r"([*?\[\]\\^-])", r"\\\1", prefix) + "*"
        cursor = b"0"
        while True:
            cursor, found = await self._run(
                b"SCAN", (cursor, "MATCH", pattern, "COUNT", str(BATCH)), key=prefix, writes=False
            )
            if found:
                yield [key.decode().removeprefix("evox:e:") for key in found]
            if cursor == b"0":
                return


def _fields(entry: Entry) -> tuple[bytes, str, str, str, str]:
    """Return an entry as the scripts take it; the last is when the server may forget it, in milliseconds."""
    until = entry.keep_until
    expires = "" if until == math.inf else repr(until)
    gone = str(max(1, math.floor((until + LONGER) * 1000))) if until < LAST else ""
    return seal_envelope(entry), expires, "1" if entry.evictable else "0", "\n".join(entry.tags), gone


class _Told:
    """Who is told of changes; and whoever wants to know that the server is back, where nothing is asked of it."""

    def __init__(self, on_change: OnChange, is_back: Callable[[], None]) -> None:
        self._on_change, self._is_back = on_change, is_back
        self.changed, self.lost = on_change.changed, on_change.lost

    def found(self) -> None:
        self._is_back()
        self._on_change.found()
