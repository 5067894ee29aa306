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
import coredis
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import AuthenticationError, AuthorizationError, NoScriptError, RedisError, ResponseError
from coredis.exceptions import ConnectionError as ConnectionLost
from coredis.retry import NoRetryPolicy

from evox.config import DataSettings, without_secrets
from evox.data.backends.base import BackendStatistics, Change, Lease, OnChange, Reading, Removed
from evox.data.backends.valkey_scripts import SCHEMA, SCRIPTS
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
LONGEST_WAIT: Final = 5.0  # seconds between attempts to hear of changes again
IDLE: Final = 15.0  # seconds after which a subscription that hears nothing is asked whether it is alive
_ASKED: Final = ("appendonly", "appendfsync", "maxmemory-policy", "cluster-enabled")
_SHAS: Final = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}


class ValkeyBackend:
    """Keeps entries on a server.

    Args:
        url: ``valkey://user:password@host:6379/0``; ``valkeys://`` for TLS; ``redis://`` and ``rediss://`` alike.
        settings: Timeouts and number of connections.
        wall: The time of day, in seconds.
    """

    def __init__(self, url: str, settings: DataSettings, *, wall: Callable[[], float] = time.time) -> None:
        self._name = without_secrets(url)
        self._timeout = settings.timeout
        self._wall = wall
        self._client: Any = coredis.Redis.from_url(
            re.sub(r"^valkey", "redis", url),
            decode_components=True,
            retry_policy=NoRetryPolicy(),
            max_connections=settings.connections,
            pool_timeout=settings.timeout,
            connect_timeout=settings.timeout,
            stream_timeout=settings.timeout,
            verify_version=False,
        )
        self._closing = anyio.Event()
        self._watching = anyio.CancelScope()
        self._closed = anyio.Event()
        self._operations = self._failures = 0
        self._available = self._hears = True
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
            self.facts = await self._look()
            await self._check_schema()
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
        value, version, expires, copy, tags, *noted = await self._read("get", key, *guards)
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

    def statistics(self) -> BackendStatistics:
        """See ``Backend``."""
        return BackendStatistics("valkey", self._name, self._operations, self._failures, self._available)

    async def _hold(self, *, task_status: TaskStatus[None]) -> None:
        """Keep the client's connections, which are children of the task that opened it."""
        try:
            async with self._client:
                task_status.started()
                await self._closing.wait()
        finally:
            self._closed.set()

    async def _look(self) -> Facts:
        """See whether it can be reached, and how it is set up."""
        try:
            replication = await self._asked(b"INFO", "replication")
            found = await self._asked(
                b"CONFIG", "GET", "appendonly", "appendfsync", "maxmemory-policy", "cluster-enabled"
            )
        except (AuthenticationError, AuthorizationError) as error:
            raise BackendRefused(self._name, str(error)) from None
        except ResponseError as error:
            if "NOAUTH" in str(error) or "WRONGPASS" in str(error):
                raise BackendRefused(self._name, str(error)) from None
            return Facts(
                "valkey", shared=True, linearizable=False, why_not=f"it does not say how it is set up: {error}"
            )
        config = _pairs(found)
        missing = [
            why
            for holds, why in (
                (b"role:master" in replication, "it is a replica"),
                (config.get("appendonly") == "yes", "appendonly is not on"),
                (config.get("appendfsync") == "always", 'appendfsync is not "always"'),
                (config.get("maxmemory-policy", "noeviction") == "noeviction", "it may evict keys"),
                (config.get("cluster-enabled", "no") == "no", "it is a cluster"),
            )
            if not holds
        ]
        return Facts("valkey", shared=True, linearizable=not missing, why_not=", ".join(missing))

    async def _check_schema(self) -> None:
        """Refuse a store that a newer Evox has made; mark one that nobody has made yet."""
        if b"role:master" in await self._asked(b"INFO", "replication"):  # a replica has what its primary has
            await self._run(b"SET", ("evox:schema", str(SCHEMA), "NX"), key="evox:schema", writes=True)
        found = int(await self._asked(b"GET", "evox:schema") or SCHEMA)
        if found > SCHEMA:
            raise UnsupportedSchema(self._name, found, SCHEMA)

    async def _asked(self, command: bytes, *args: str) -> Any:
        return await self._run(command, args, key="", writes=False)

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
        self._operations += 1
        sent = False
        try:
            with anyio.fail_after(self._timeout):
                async with self._client.connection_pool.acquire() as connection:
                    request = connection.create_request(command, *args, decode=False)
                    sent = True
                reply = await request
        except (ConnectionLost, TimeoutError, OSError) as error:
            self._failures += 1
            self._available = False
            why = str(error) or f"it did not answer within {self._timeout:g} s"
            if writes and sent:
                raise WriteOutcomeUnknown(self._name, key.partition(":")[2], why) from None
            raise BackendUnavailable(self._name, why) from None
        except ResponseError as error:
            if "OOM" in str(error):
                fix = "raise its maxmemory, or store less"
                raise CapacityExceeded(self._name, "its memory is full", fix=fix) from None
            if str(error).startswith(("LOADING", "READONLY", "MISCONF")):
                raise BackendUnavailable(self._name, str(error)) from None
            raise
        self._available = True
        return reply

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

    async def _watch(self, on_change: OnChange, *, task_status: TaskStatus[None]) -> None:
        """Report what is published, and say when that cannot be done."""
        wait, started = 0.1, False

        def heard() -> None:
            nonlocal wait, started
            wait = 0.1
            if not started:
                started = True
                task_status.started()
            elif not self._hears:
                self._hears = True
                on_change.found()

        with self._watching:
            while True:
                try:
                    await self._listen(on_change, heard)
                except* (RedisError, TimeoutError, OSError, anyio.ClosedResourceError) as errors:
                    _log.debug("%s: changes are not heard: %r", self._name, errors)
                if self._hears:
                    self._hears = False
                    on_change.lost()
                if not started:
                    started = True
                    task_status.started()
                await anyio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    async def _listen(self, on_change: OnChange, heard: Callable[[], None]) -> None:
        subscription = self._client.pubsub(channels=["evox:c"], retry_policy=NoRetryPolicy(), max_idle_seconds=IDLE)
        async with subscription as messages:
            async for message in messages:
                if message["type"] == "message":
                    on_change.changed(_change(message["data"]))
                elif message["type"] == "subscribe":
                    heard()


def _fields(entry: Entry) -> tuple[bytes, str, str, str]:
    expires = "" if entry.keep_until == math.inf else repr(entry.keep_until)
    return seal_envelope(entry), expires, "1" if entry.evictable else "0", "\n".join(entry.tags)


def _change(message: bytes) -> Change:
    version, kind, name = message.decode().split(" ", 2)
    return Change(int(version), key=name) if kind == "k" else Change(int(version), guard=name)


def _pairs(found: Any) -> dict[str, str]:
    items = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in items}
