"""Registry store: where services of several machines are written down, on a Valkey or Redis server.

    evox:services:<service>   sorted set: URL, and when it expires in milliseconds of the server's own clock

Only that clock counts, so those of the machines may differ. Each operation is one script. Imported when a registry is
made, as its driver is an extra.
"""

import logging
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import RedisError

from evox.config import hidden, scheme_of, without_secrets
from evox.data.backends.valkey_pool import NotOpened, PoolStatistics, ValkeyPool
from evox.data.backends.valkey_setup import database_of, refusal
from evox.errors import BackendRefused, RegistryUnavailable
from evox.service_proxy.registry_memory import LONGEST_URL, is_address

__all__ = ["RegistryStore"]

_log = logging.getLogger("evox.proxy")
CLOSING: Final = 1.0  # seconds
DOUBTS: Final = 1000  # entries that are warned of
_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_ANNOUNCE: Final = (
    _NOW
    + """
local expiry, keep = string.format('%.0f', now + ARGV[2]), ARGV[2] * 4
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], expiry, ARGV[1])
if redis.call('PTTL', KEYS[1]) < keep then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep)) end
return expiry
"""
)
# Another process may have announced the same URL since: the one that takes over the port. What it wrote stays.
_REMOVE: Final = """
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if held and (ARGV[2] == '' or tonumber(held) == tonumber(ARGV[2])) then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0
"""
_FIND: Final = (
    _NOW
    + """
now = string.format('%.0f', now)
return {now, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES')}
"""
)


class RegistryStore:
    """Announcements on a server.

    Args:
        url: ``valkey://user:password@host:6379/0``; ``valkeys://`` for TLS; ``redis://`` and ``rediss://`` alike.
        timeout: Seconds it may take to answer.

    Attributes:
        name: The URL as it may be shown.

    Raises:
        BackendRefused: if the URL cannot be used.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.name = without_secrets(url)
        self._url = url
        try:
            _check(url)
            self._db = database_of(url, self.name)
            self._pool = ValkeyPool(url, size=1, timeout=timeout)
        except (ValueError, OSError) as error:
            why = f"its URL cannot be used: {hidden(str(error), url)}"
            raise BackendRefused(self.name, why, fix="write valkey://host:6379/0") from None
        self._closing = anyio.Event()
        self._ended = anyio.Event()
        self._is_open = False
        self._doubted: set[int] = set()

    def __repr__(self) -> str:
        return f"<RegistryStore {self.name}>"

    async def open(self, group: TaskGroup) -> None:
        """Keep a connection from now on, as a child of a group. Without that each question opens one of its own."""
        await group.start(self._hold, name="proxy:registry")

    async def close(self) -> None:
        """Answer nothing from now on, and end the connection."""
        self._closing.set()
        if self._is_open:
            with anyio.move_on_after(CLOSING, shield=True):
                await self._ended.wait()

    async def announce(self, service: str, url: str, lease: float) -> str:
        """Write down where a service runs, and return what ``remove`` knows that entry by.

        Raises:
            RegistryUnavailable: if the server cannot be asked; it may have been done all the same.
        """
        written: bytes = await self._ask(service, _ANNOUNCE, url, str(max(1, round(lease * 1000))))
        return written.decode()

    async def remove(self, service: str, url: str, written: str) -> None:
        """Take out an entry, on a connection of its own: what holds the other may end at the same time.

        Args:
            service: The service's name.
            url: Where it ran.
            written: What ``announce`` returned last, or nothing if that is not known.

        Raises:
            RegistryUnavailable: if the server cannot be asked.
        """
        await self._ask(service, _REMOVE, url, written, alone=True)

    async def find(self, service: str) -> list[tuple[str, float]]:
        """Return the URLs of a service, each with the seconds until its lease is over. Odd ones are left out.

        Raises:
            RegistryUnavailable: if the server cannot be asked.
        """
        now, found = await self._ask(service, _FIND)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [
            (member.decode(), (float(expiry) - float(now)) / 1000)
            for member, expiry in pairs
            if self._is_believed(service, member)
        ]

    def statistics(self) -> PoolStatistics:
        """Return how many connections there are."""
        return self._pool.statistics()

    async def _hold(self, *, task_status: TaskStatus[None]) -> None:
        self._is_open = True
        try:
            await self._pool.run(self._closing, task_status=task_status)
        finally:
            self._is_open = False
            self._ended.set()

    async def _ask(self, service: str, script: str, *args: str, alone: bool = False) -> Any:
        if self._closing.is_set() and not alone:
            raise RegistryUnavailable(self.name, service, "it was closed here")
        ask = self._pool.ask if self._is_open and not alone else self._pool.ask_alone
        try:
            return await ask(b"EVAL", script, "1", f"evox:services:{service}", *args)
        except (NotOpened, RedisError) as error:
            raise RegistryUnavailable(self.name, service, self._why(error)) from None

    def _why(self, error: NotOpened | RedisError) -> str:
        refused = error.refused if isinstance(error, NotOpened) else None
        why = refusal(self.name, refused, db=self._db).why if refused is not None else str(error)
        return hidden(why, self._url)

    def _is_believed(self, service: str, member: bytes) -> bool:
        """Whether an entry is a URL of a service. Whoever can write to the server can write anything there."""
        text = member.decode("utf-8", "replace")
        if is_address(text):
            return True
        doubt = hash((service, member))
        if doubt not in self._doubted and len(self._doubted) < DOUBTS:
            self._doubted.add(doubt)
            shown = without_secrets(text) if len(text) <= LONGEST_URL else f"{len(text)} characters"
            _log.warning("%s: %.200r is no URL of service %r, and is ignored", self.name, shown, service)
        return False


def _check(url: str) -> None:
    if scheme_of(url) != "valkey":
        raise ValueError("services find each other through Valkey or Redis")
