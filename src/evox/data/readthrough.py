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
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import anyio

from evox import events, spans
from evox.data.backends.base import Lease
from evox.data.entries import Entry
from evox.data.flights import Flight, Flights
from evox.data.policy import Policy
from evox.data.store import Store
from evox.errors import BackendUnavailable, DataError, SourceTimeout

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
        replaces: Whether a miss replaces a stale copy.
    """

    verdict: Verdict
    entry: Entry | None
    value: Any = None
    error: Exception | None = None
    stored: bool = False
    replaces: bool = False


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
    traceback: TracebackType | None
    lease: Lease
    guards: frozenset[str]


Load: TypeAlias = Callable[[], Awaitable[Loaded]]
Work: TypeAlias = Callable[[Flight], Awaitable[tuple[Loaded, bool]]]


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
        self._marks: OrderedDict[str, _Mark] = OrderedDict()  # in the order in which they end
        self._failing: OrderedDict[str, None] = OrderedDict()  # keys that had a stale copy when their source failed
        flights.on_forget = self._forget
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
        finish: bool = False,
    ) -> Outcome:
        """Return a value from wherever it is best taken.

        Args:
            store: Where it is kept.
            key: Its key there.
            policy: What its intent leads to.
            load: Asks the source.
            guards: Tags and groups whose invalidation makes a load out of date.
            is_failure: Whether an error of the source is one for which a stale copy is served.
            finish: Whether a load is finished even when nobody waits for it any more.

        Raises:
            Exception: the source's error, if there is no copy to serve.
        """
        source = _Source(store, key, policy, load, tuple(guards), is_failure, finish)
        lease: Lease | None = None
        known, entry, now = store.look(key, near=policy.near)
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
            raise mark.error.with_traceback(mark.traceback)
        return self.serve_stale(entry, mark.error)

    async def _ask(self, source: "_Source", lease: Lease | None, stale: Entry | None) -> Outcome:
        """Ask the source, or join those who do."""
        key, guards, patience = source.key, source.guards, source.policy.soft_timeout
        work = self._work(source, lease, stale)
        # Of a store of this process alone all changes are known at once, and its leases tell of changes of any key.
        seen = lease if source.store.backend.facts.shared else None
        found: tuple[Loaded, bool] | None = None
        try:
            if stale is None or patience is None:
                found = await self._flights.join(key, work, guards=guards, finish=source.finish, lease=seen)
            else:
                with anyio.move_on_after(patience):
                    found = await self._flights.join(key, work, guards=guards, finish=True, lease=seen)
        except Exception as error:
            if stale is None or not source.is_failure(error):
                raise
            return self.serve_stale(stale, error)
        if found is None:
            assert stale is not None  # noqa: S101  only then was it not waited for
            return self.serve_stale(stale, None)
        self._misses += 1
        loaded, stored = found
        return Outcome("miss", loaded.entry, loaded.value, stored=stored, replaces=stale is not None)

    def statistics(self) -> ReadThroughStatistics:
        """Return counts."""
        return ReadThroughStatistics(self._hits, self._misses, self._stale, self._failures, len(self._marks))

    def give_up(self, key: str, entry: Entry, error: Exception) -> Outcome:
        """Serve a stale copy for a reason that no load has told, and leave the source alone for a while."""
        seen = Lease(entry.version, tuple((tag, entry.version) for tag in entry.tags))
        self.failed(key, error, lease=seen, guards=entry.tags, known=True)
        return self.serve_stale(entry, error)

    def waits(self, key: str) -> Exception | None:
        """Return why the source of a key is left alone now, or None."""
        mark = self._mark(key)
        return None if mark is None else mark.error

    def count_hit(self) -> None:
        """Count a hit that was found without ``fetch``."""
        self._hits += 1

    async def _look_up(self, source: "_Source") -> tuple[Entry | None, Lease]:
        policy = source.policy
        try:
            if source.store.held:  # what a flight would store, it would have to wait for the task that waits for it
                entry = (await source.store.get(source.key, source.guards, near=policy.near)).entry
                return entry, Lease(-1)
            return await source.store.get(source.key, source.guards, near=policy.near, keep=_keep(policy))
        except BackendUnavailable:
            if policy.strong:
                raise
            return None, Lease(-1)  # a cache that is down is no reason not to ask the source

    async def _lease(self, source: "_Source") -> Lease:
        try:
            return (await source.store.backend.get(source.key, source.guards)).lease
        except BackendUnavailable:
            if source.policy.strong:
                raise
            return Lease(-1)

    def _work(self, source: "_Source", lease: Lease | None, stale: Entry | None) -> Work:
        async def work(flight: Flight) -> tuple[Loaded, bool]:
            mine = flight.lease = lease if lease is not None else await self._lease(source)
            try:
                with self._span(source, stale, alone=not flight.waiting):
                    loaded = await _within(source.policy.timeout, source.key, source.load)
            except Exception as error:
                counts = source.is_failure(error)
                known = stale is not None
                self.failed(source.key, error, lease=mine, guards=source.guards, known=known, counts=counts)
                raise
            return loaded, await self.keep(source.store, source.key, source.policy, loaded, mine)

        return work

    def _span(self, source: "_Source", stale: Entry | None, *, alone: bool) -> AbstractContextManager[Any]:
        """Return the span of a load: for whom it is, and what there was in its stead. No key: it may hold anything.

        Args:
            source: What is loaded.
            stale: What there was.
            alone: Whether nobody waits for it: who has begun it may be gone before it ends.
        """
        if spans.tracer() is None:
            return spans.NOTHING
        kept = "miss" if stale is None else "hit" if source.store.backend.clock() < stale.fresh_until else "stale"
        about = {"evox.service": self._flights.service, "evox.cache": kept}
        return spans.within("evox.data.load", about, root=alone)

    async def keep(self, store: Store, key: str, policy: Policy, loaded: Loaded, lease: Lease) -> bool:
        """Store what a source gave, and return whether it was stored.

        Raises:
            Exception: if it could not be and consistency is strong; otherwise the copy is missing, and what was loaded
                is as good as before.
        """
        self._clear(key)
        ttl = policy.negative_ttl if loaded.negative else policy.ttl
        if loaded.entry is None or ttl is None:
            return False
        now = store.backend.clock()
        fresh = now + ttl * (1 - policy.jitter * self._rand())
        until = fresh if loaded.negative else fresh + policy.max_stale
        entry = loaded.entry._replace(stored_at=now, fresh_until=fresh, keep_until=until, evictable=True)
        try:
            return bool(await store.fill(key, entry, lease, near=policy.near, keep=_keep(policy)))
        except Exception as error:
            if policy.strong:
                raise
            known = isinstance(error, DataError)
            _log.warning(
                "what was loaded for %r could not be stored: %s", _shown(key), error, exc_info=None if known else error
            )
            return False

    def failed(
        self, key: str, error: Exception, *, lease: Lease, guards: Sequence[str], known: bool, counts: bool = True
    ) -> None:
        """Note that a source failed; while a stale copy is known, or was, it is left alone for a while.

        Args:
            key: What it was to load.
            error: Its error.
            lease: What was seen before it was asked; a later change of that may have mended it.
            guards: Names whose invalidation may have mended it.
            known: Whether there is a stale copy.
            counts: Whether the error says anything of the source.
        """
        self._failures += 1
        if not counts or getattr(error, "reason", "") == "per_client":  # that says nothing of the source
            return
        if known or key in self._failing:
            _log.warning(
                "the source of %r failed and is left alone for %g s", _shown(key), self._throttle, exc_info=error
            )
            events.notify(events.SourceFailed(self._flights.service, _shown(key), error))
            now = anyio.current_time()
            self._marks[key] = _Mark(now + self._throttle, error, error.__traceback__, lease, frozenset(guards))
            self._failing[key] = None
            self._marks.move_to_end(key)
            self._failing.move_to_end(key)
            if len(self._marks) > MARKS:
                self._marks.popitem(last=False)
            if len(self._failing) > MARKS:
                self._clear(next(iter(self._failing)))
            while (
                self._marks and next(iter(self._marks.values())).until <= now
            ):  # an error holds on to all that its handler held
                self._marks.popitem(last=False)

    def _forget(self, key: str | None, guard: str | None, version: float) -> None:
        """Ask the source again once something was changed or invalidated: that may be what has mended it."""
        if key is not None:
            mark = self._marks.get(key)
            if mark is None or mark.lease.version < version:
                self._clear(key)
        elif guard is not None and self._marks:
            owner, _, kind = guard.partition("/in:")
            prefix = f"{owner}/{kind}:"
            for one, mark in list(self._marks.items()):
                concerns = guard in mark.guards or one.startswith(prefix)
                if concerns and dict(mark.lease.guards).get(guard, 0) < version:
                    self._clear(one)

    def _clear(self, key: str) -> None:
        self._marks.pop(key, None)
        if key in self._failing:
            del self._failing[key]
            events.notify(events.SourceRecovered(self._flights.service, _shown(key)))

    def _mark(self, key: str) -> _Mark | None:
        mark = self._marks.get(key)
        if mark is not None and mark.until <= anyio.current_time():
            del self._marks[key]
            return None
        return mark

    def serve_stale(self, entry: Entry, error: Exception | None) -> Outcome:
        """Return and count a stale copy."""
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
    finish: bool


def _is_due(entry: Entry, now: float, eager: float) -> bool:
    return now >= entry.stored_at + eager * (entry.fresh_until - entry.stored_at)


async def _within(limit: float | None, key: str, load: Load) -> Loaded:
    if limit is None:
        return await load()
    with anyio.move_on_after(limit):
        return await load()
    raise SourceTimeout(_shown(key), limit)


def _shown(key: str) -> str:
    return key.partition(":")[2]


def _keep(policy: Policy) -> float:
    return (policy.ttl or 0.0) + policy.max_stale if policy.max_stale else 0.0
