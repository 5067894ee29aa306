"""Read through: fresh copies, stale ones while the source fails, and the source itself, in that order.

    fresh                                    the copy; a refresh in the background when it is nearly due
    stale, and the source failed lately      the copy; the source is left alone for a while
    stale                                    the source; the copy if that fails, or takes longer than the soft timeout
    nothing                                  the source

A failed refresh never takes a copy away (RFC 5861, stale-if-error and stale-while-revalidate).
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import anyio

from evox.data.backends.base import Lease
from evox.data.entries import Entry
from evox.data.flights import Flights
from evox.data.policy import Policy
from evox.data.store import Store
from evox.errors import BackendUnavailable, CapacityExceeded, SourceTimeout

__all__ = ["Loaded", "Outcome", "ReadThrough", "ReadThroughStatistics", "Verdict"]

Verdict: TypeAlias = Literal["hit", "miss", "stale"]
MARKS: Final = 10_000
_log = logging.getLogger("evox.data")


class Loaded(NamedTuple):
    """What a source gave.

    Attributes:
        entry: What to store, its times left open; None for nothing.
        value: What those who wait get beside it.
        negative: Whether it says that there is nothing, which is kept for a time of its own.
    """

    entry: Entry | None
    value: Any = None
    negative: bool = False


class Outcome(NamedTuple):
    """What a read came to.

    Attributes:
        verdict: ``"hit"``, ``"miss"`` (from the source) or ``"stale"``.
        entry: The entry, if one was stored or found.
        value: What the source gave beside it, after a miss.
        error: Why it is stale; None if the source was not asked, or is slow.
        stored: Whether a miss was stored.
    """

    verdict: Verdict
    entry: Entry | None
    value: Any = None
    error: Exception | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class ReadThroughStatistics:
    """Reads by how they ended, and sources that are left alone now."""

    hits: int
    misses: int
    stale: int
    failures: int
    throttled: int


class _Mark(NamedTuple):
    until: float
    error: Exception


Load: TypeAlias = Callable[[], Awaitable[Loaded]]
Work: TypeAlias = Callable[[], Awaitable[tuple[Loaded, bool]]]


class ReadThrough:
    """Reads of one service that have a source behind them.

    Args:
        flights: The service's flights.
        throttle: Seconds for which a source that failed is left alone.
        rand: Random numbers from 0 to 1, for jitter.
    """

    def __init__(self, flights: Flights, throttle: float, *, rand: Callable[[], float] = random.random) -> None:
        self._flights = flights
        self._throttle = throttle
        self._rand = rand
        self._marks: OrderedDict[str, _Mark] = OrderedDict()
        self._hits = self._misses = self._stale = self._failures = 0

    def __repr__(self) -> str:
        return f"<ReadThrough {self._hits} hits, {self._misses} misses, {self._stale} stale>"

    async def fetch(
        self,
        store: Store,
        key: str,
        policy: Policy,
        load: Load,
        *,
        guards: Sequence[str] = (),
        is_failure: Callable[[Exception], bool] = lambda _: True,
    ) -> Outcome:
        """Return a value from wherever it is best taken.

        Args:
            store: Where it is kept.
            key: Its key there.
            policy: What its intent leads to.
            load: Asks the source.
            guards: Tags and groups whose invalidation makes a load out of date.
            is_failure: Whether an error of the source is one for which a stale copy is served.

        Raises:
            Exception: the source's error, if there is no copy to serve.
        """
        source = _Source(store, key, policy, load, tuple(guards), is_failure)
        lease: Lease | None = None
        known, entry = store.look(key, near=policy.near)
        if not (known and entry is not None):
            entry, lease = await self._look_up(source)
        now = store.backend.clock()
        if entry is not None and now < entry.fresh_until:
            self._hits += 1
            if policy.eager is not None and _is_due(entry, now, policy.eager) and self._mark(key) is None:
                self._flights.begin(key, self._work(source, None, entry), guards=guards)
            return Outcome("hit", entry)
        if entry is not None and now >= entry.fresh_until + policy.max_stale:
            entry = None
        mark = self._mark(key)
        if mark is None:
            return await self._ask(source, lease, entry)
        if entry is None:
            raise mark.error
        return self._serve_stale(entry, mark.error)

    async def _ask(self, source: "_Source", lease: Lease | None, stale: Entry | None) -> Outcome:
        """Ask the source, or join those who do."""
        key, guards, patience = source.key, source.guards, source.policy.soft_timeout
        work = self._work(source, lease, stale)
        found: tuple[Loaded, bool] | None = None
        try:
            if stale is None or patience is None:
                found = await self._flights.join(key, work, guards=guards)
            else:
                with anyio.move_on_after(patience):
                    found = await self._flights.join(key, work, guards=guards, finish=True)
        except Exception as error:
            if stale is None or not source.is_failure(error):
                raise
            return self._serve_stale(stale, error)
        if found is None:
            assert stale is not None  # noqa: S101  only then was it not waited for
            return self._serve_stale(stale, None)
        self._misses += 1
        loaded, stored = found
        return Outcome("miss", loaded.entry, loaded.value, stored=stored)

    def statistics(self) -> ReadThroughStatistics:
        """Return counts."""
        return ReadThroughStatistics(self._hits, self._misses, self._stale, self._failures, len(self._marks))

    def count_hit(self) -> None:
        """Count a hit that was found without ``fetch``."""
        self._hits += 1

    async def _look_up(self, source: "_Source") -> tuple[Entry | None, Lease | None]:
        policy = source.policy
        try:
            return await source.store.get(source.key, source.guards, near=policy.near, keep=_keep(policy))
        except BackendUnavailable:
            if policy.strong:
                raise
            return None, Lease(-1)  # a cache that is down is no reason not to ask the source

    def _work(self, source: "_Source", lease: Lease | None, stale: Entry | None) -> Work:
        async def work() -> tuple[Loaded, bool]:
            mine = lease if lease is not None else (await source.store.backend.get(source.key, source.guards)).lease
            try:
                loaded = await _within(source.policy.timeout, source.key, source.load)
            except Exception as error:
                self._failed(source.key, error, known=stale is not None, counts=source.is_failure(error))
                raise
            self._marks.pop(source.key, None)
            if loaded.entry is None:
                return loaded, False
            entry = self._timed(source, loaded)
            stored = entry is not None and await self._fill(source, entry, mine)
            return Loaded(entry or loaded.entry, loaded.value, loaded.negative), stored

        return work

    def _timed(self, source: "_Source", loaded: Loaded) -> Entry | None:
        """Return the entry with its times; None if what it says is not kept."""
        assert loaded.entry is not None  # noqa: S101  asked for above
        policy = source.policy
        ttl = policy.negative_ttl if loaded.negative else policy.ttl
        if ttl is None:
            return None
        now = source.store.backend.clock()
        fresh = now + ttl * (1 - policy.jitter * self._rand())
        keep = fresh if loaded.negative else fresh + policy.max_stale
        return replace(loaded.entry, stored_at=now, fresh_until=fresh, keep_until=keep, evictable=True)

    async def _fill(self, source: "_Source", entry: Entry, lease: Lease) -> bool:
        policy = source.policy
        try:
            return bool(await source.store.fill(source.key, entry, lease, near=policy.near, keep=_keep(policy)))
        except (BackendUnavailable, CapacityExceeded) as error:
            if policy.strong:
                raise
            _log.warning("what was loaded could not be stored: %s", error.what)
            return False

    def _failed(self, key: str, error: Exception, *, known: bool, counts: bool) -> None:
        self._failures += 1
        if not counts or getattr(error, "reason", "") == "per_client":  # that says nothing of the source
            return
        if known or key in self._marks:
            self._marks[key] = _Mark(anyio.current_time() + self._throttle, error)
            self._marks.move_to_end(key)
            if len(self._marks) > MARKS:
                self._marks.popitem(last=False)

    def _mark(self, key: str) -> _Mark | None:
        mark = self._marks.get(key)
        return mark if mark is not None and mark.until > anyio.current_time() else None

    def _serve_stale(self, entry: Entry, error: Exception | None) -> Outcome:
        self._stale += 1
        return Outcome("stale", entry, error=error)


class _Source(NamedTuple):
    """What ``fetch`` was given."""

    store: Store
    key: str
    policy: Policy
    load: Load
    guards: tuple[str, ...]
    is_failure: Callable[[Exception], bool]


def _is_due(entry: Entry, now: float, eager: float) -> bool:
    return now >= entry.stored_at + eager * (entry.fresh_until - entry.stored_at)


async def _within(limit: float | None, key: str, load: Load) -> Loaded:
    if limit is None:
        return await load()
    with anyio.move_on_after(limit):
        return await load()
    raise SourceTimeout(key.partition(":")[2], limit)


def _keep(policy: Policy) -> float:
    return (policy.ttl or 0.0) + policy.max_stale if policy.max_stale else 0.0
