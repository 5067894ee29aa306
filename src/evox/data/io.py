"""Data IO: reads, writes, deletes and invalidates for one running service.

What stands here is the order of things; where they are kept, how they are written and what an intent leads to is
decided in the modules it calls. ``data_io`` is the facade that finds the running service's own.
"""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from anyio.abc import TaskGroup

from evox.config import DataSettings
from evox.data import keys
from evox.data.asking import is_asked
from evox.data.backends.base import BackendStatistics
from evox.data.backends.memory import MemoryBackend
from evox.data.codecs import JSON
from evox.data.entries import DATA, FORM, FRESH_UNTIL, NOTHING, Entry
from evox.data.flights import Flights, FlightsStatistics
from evox.data.homes import Home, Homes
from evox.data.loaders import call_loader, is_of_source
from evox.data.near import NearStatistics
from evox.data.policy import DEFAULT_TTL, Policy
from evox.data.readthrough import Loaded, Outcome, ReadThrough, ReadThroughStatistics
from evox.data.signals import DataEvent, Signals, registered
from evox.data.store import Store
from evox.data.stores import Stores
from evox.durations import Duration, seconds
from evox.errors import AuthError, CorruptValue, DataError, InvalidDeclaration, ValueTooLarge

__all__ = ["DataIO", "DataStatistics"]

_log = logging.getLogger("evox.data")
Job = Callable[..., None]


@dataclass(frozen=True, slots=True)
class DataStatistics:
    """The data of one service from outside."""

    backends: tuple[BackendStatistics, ...]
    near: tuple[NearStatistics, ...]
    flights: FlightsStatistics
    reads: ReadThroughStatistics


class DataIO:
    """The data of one running service.

    Args:
        service: The service's name.
        settings: ``[tool.evox.data]``.
        root: The project's folder.
        memory: The runtime's memory backend of this service.
        group: Where flights and whatever watches backends run.
        start_soon: Starts a job of the service, on behalf of whoever has caused it.
        start_handler: Starts a handler of a signal, on behalf of the service itself.
        asks: Returns what the types in an annotation ask of whoever uses their values.
        protected: Returns the classes that ask something.
        guard: Called with that, and what is used, before anything is; raises if the current caller may not.
        workers: How many processes run the service.
    """

    def __init__(
        self,
        service: str,
        settings: DataSettings,
        root: Path,
        memory: MemoryBackend,
        group: TaskGroup,
        *,
        start_soon: Job,
        start_handler: Job | None = None,
        asks: Callable[[Any], tuple[Any, ...]] = lambda _: (),
        protected: Callable[[], Iterable[type]] = tuple,
        guard: Callable[[tuple[Any, ...], str], None] = lambda *_: None,
        workers: int = 1,
    ) -> None:
        self._service = service
        self._settings = settings
        self._start_soon = start_soon
        self._start_handler = start_handler or start_soon
        self._guard = guard
        self.homes = Homes(service, settings.intents, asks, protected)
        self.flights = Flights(group, service)
        self.stores = Stores(service, settings, root, memory, group, self.flights, workers)
        self.through = ReadThrough(self.flights, settings.throttle)
        self.signals = Signals()

    def __repr__(self) -> str:
        return f"<DataIO of {self._service}>"

    @property
    def value_bytes(self) -> int:
        """How large a value may be."""
        return self._settings.value_bytes

    async def open(self) -> None:
        """Open the service's backend.

        Raises:
            BackendUnavailable, BackendRefused, MissingExtra, UnsupportedSchema: if it cannot be used.
        """
        await self.stores.prepare()

    async def check(self, folder: Path | None) -> None:
        """Check that what was promised can be kept; see ``Stores.check``."""
        await self.stores.check(self.homes, folder)

    async def close(self) -> None:
        """Close all backends."""
        await self.stores.close()

    async def read(
        self,
        *target: Any,
        loader: Callable[..., Any] | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
    ) -> Any:
        """Return the value of a key, or None. ``read(key)``, ``read(Type, key)``, ``read("intent name", key)``.

        Args:
            *target: What to read.
            loader: Called when there is none, with the key if it takes an argument; its value is stored. One runs at a
                time for a key, however many wait for it.
            ttl: How long a loaded value is fresh, other than its intent says.
            tags: Under which a loaded value can be invalidated.

        Raises:
            BackendUnavailable: if the backend does not answer.
            InvalidKey: if the key cannot be one.
            CorruptValue: if what is stored cannot be read.
            Exception: the loader's own error, if there is no copy to serve.
        """
        if len(target) == 1 and type(target[0]) is str:
            home, key = self.homes.untyped, target[0]
        else:
            home, key = self._aim(target, "read")
        key = keys.check(key)
        full = home.prefix + key
        store = self.stores.find(home) or await self.stores.of(home)
        row: Any = store.fresh(full, home.policy.near)
        if row is None or (loader is not None and home.policy.eager is not None):
            if loader is not None:
                return await self._load(store, home, key, loader, ttl, tags)
            row = (await store.get(full, near=home.policy.near, keep=home.policy.max_stale)).entry
            if row is None or row[FRESH_UNTIL] <= store.backend.clock():
                return None
        elif loader is not None:
            self.through.count_hit()
        if row[DATA] == NOTHING and row[FORM] == JSON:  # or what is remembered of a loader that has found none
            return None
        try:
            return home.codec.decode(row[FORM], row[DATA])
        except ValueError as error:
            await self._unreadable(store, home, key, error)
            return None if loader is None else await self._load(store, home, key, loader, ttl, tags)

    async def write(self, *target: Any, ttl: Duration | None = None, tags: Iterable[str] = ()) -> None:
        """Store a value: ``write(key, value)``, ``write(Type, obj)`` (key from its field), ``write(Type, key, obj)``.

        A type may be a named intent; with three arguments its name too. When it returns, the value is stored as safely
        as its backend can.

        Args:
            *target: What to write.
            ttl: How long it is kept; without a type, what is written with a ttl is a copy that may be dropped.
            tags: Under which a copy can be invalidated.

        Raises:
            UnserializableValue, ValueTooLarge: if it cannot be stored; nothing was changed.
            CapacityExceeded: if there is no room; nothing was changed.
            BackendUnavailable: if the backend does not answer; nothing was changed.
            WriteOutcomeUnknown: if the backend did not answer after the write was sent.
        """
        home, key, value = self._aim_write(target)
        key = keys.check(key)
        full = home.prefix + key
        store = self.stores.find(home) or await self.stores.of(home)
        form, data = home.codec.encode(value)
        self._check_size(key, data)
        entry = _timed(home, Entry(data, form, tags=self.tags_of(home.intent.tags, tags)), ttl, store.backend.clock())
        await store.put(full, entry, near=home.policy.near, keep=home.policy.max_stale)
        if self._wanted("written", home):
            self.tell(home, "written", key, entry)

    async def delete(self, *target: Any) -> bool:
        """Remove a value. ``delete(key)``, ``delete(Type, key)``.

        Returns:
            Whether there was one.

        Raises:
            BackendUnavailable, WriteOutcomeUnknown: as for ``write``.
        """
        home, key = self._aim(target, "delete")
        key = keys.check(key)
        store = await self.store_of(home)
        removed = await store.delete(home.prefix + key)
        if removed.number:
            self.tell(home, "deleted", key)
        return removed.number > 0

    async def invalidate(self, *target: Any, prefix: str | None = None, tag: str | None = None) -> int:
        """Take copies away, so that the next read asks their source. Records are never removed by this.

        ``invalidate(key)``, ``invalidate(Type, key)``, ``invalidate(Type)``, ``invalidate(prefix="user:")``,
        ``invalidate(Type, prefix="a")``, ``invalidate(tag="users")``.

        Returns:
            How many copies were taken away.

        Raises:
            BackendUnavailable, WriteOutcomeUnknown: as for ``write``.
        """
        if tag is not None:
            if target or prefix is not None:
                raise TypeError("invalidate(tag=...) stands alone: a tag is one of the whole service")
            keys.check_tag(tag)
            count = await self.invalidate_tags([tag])
            for handler in (*registered.wanted("invalidated", None), *self.signals.wanted("invalidated", None)):
                self._start_handler(partial(handler, DataEvent("invalidated", tag=tag)), name="signal:invalidated")
            return count
        one = len(target) == 2 or (len(target) == 1 and isinstance(target[0], str | Enum))
        if one and prefix is None:
            home, key = self._aim(target, "invalidate")
            key = keys.check(key)
            store = await self.store_of(home)
            removed = await store.invalidate(home.prefix + key)
            self.tell(home, "invalidated", key)
            return removed.number
        if len(target) > 1 or one or (not target and prefix is None):
            raise TypeError("write invalidate(key), invalidate(Type, key), invalidate(Type), prefix=... or tag=...")
        home = self._of(target[0]) if target else self.homes.untyped
        begins = keys.check("" if prefix is None else prefix, empty=True)
        store = await self.store_of(home)
        removed = await store.invalidate_prefix(home.prefix + begins, home.guard)
        self.tell(home, "invalidated", None, prefix=begins)
        return removed.number

    async def invalidate_tags(self, tags: Iterable[str]) -> int:
        """Take away all copies under any of the tags, in every backend that the service uses."""
        full = self.tags_of(tags, ())
        count, failure = 0, None
        for store in self.stores.all():
            try:
                count += (await store.invalidate_tags(full)).number
            except DataError as error:  # the others are to have done their part when it is told
                failure = failure or error
        if failure is not None:
            raise failure
        return count

    def on(self, action: Any, of: Any = None) -> Callable[[Any], Any]:
        """Call a function with each change, while this service runs; see ``Signals.on``."""
        return self.signals.on(action, of)

    def tags_of(self, declared: Iterable[str], given: Iterable[str]) -> tuple[str, ...]:
        """Return tags as they are stored: those of an intent and those of a call."""
        named = (given,) if isinstance(given, str) else tuple(given)
        for one in named:
            keys.check_tag(one)
        return tuple(dict.fromkeys(keys.tag_guard(self._service, one) for one in (*declared, *named)))

    def job(self, function: Callable[[], Any], *, name: str) -> None:
        """Run something as a job of the service: drained, and seen when it fails."""
        self._start_soon(function, name=name)

    async def store_of(self, home: Home) -> Store:
        """Return the store of a home; see ``Stores.of``."""
        return await self.stores.of(home)

    def statistics(self) -> DataStatistics:
        """Return what the backends, copies, flights and sources do."""
        stores = self.stores.all()
        near = tuple(store.near.statistics() for store in stores if store.near is not None)
        backends = tuple(store.backend.statistics() for store in stores)
        return DataStatistics(backends, near, self.flights.statistics(), self.through.statistics())

    async def _load(
        self, store: Store, home: Home, key: str, loader: Callable[..., Any], ttl: Duration | None, tags: Iterable[str]
    ) -> Any:
        policy = _loading(home.policy, _ttl(ttl, "read"))
        stored_tags = self.tags_of(home.intent.tags, tags)

        own = False

        async def load() -> Loaded:
            nonlocal own
            own = True
            value = await call_loader(loader, key)
            if value is None:
                return Loaded(Entry(NOTHING) if policy.negative_ttl is not None else None, negative=True)
            form, data = home.codec.encode(value)
            self._check_size(key, data)
            return Loaded(Entry(data, form, tags=stored_tags))

        guards = (*stored_tags, home.guard)
        try:
            outcome = await self.through.fetch(
                store, home.prefix + key, policy, load, guards=guards, is_failure=is_of_source
            )
        except AuthError:
            if own:
                raise
            # Whoever began the flight may not have what the loader reads. That says nothing of this caller.
            loaded = await load()
            outcome = Outcome("miss", loaded.entry, loaded.value)
        if outcome.entry is None or (outcome.entry.form == JSON and outcome.entry.data == NOTHING):
            return None
        try:
            return home.codec.decode(outcome.entry.form, outcome.entry.data)
        except ValueError as error:
            await self._unreadable(store, home, key, error)
            return None if outcome.verdict == "miss" else await self._load(store, home, key, loader, ttl, tags)

    async def _unreadable(self, store: Store, home: Home, key: str, error: ValueError) -> None:
        """Drop a copy that does not fit its type any more; a record is never dropped."""
        entry = (await store.get(home.prefix + key, near=False)).entry
        if entry is not None and not entry.evictable:
            raise CorruptValue(key, str(error)) from error
        _log.warning("a copy of %r does not fit any more and is dropped: %s", key, error)
        await store.invalidate(home.prefix + key)

    def _aim(self, target: tuple[Any, ...], method: str) -> tuple[Home, str]:
        if len(target) == 1:
            return self.homes.untyped, target[0]
        if len(target) == 2:
            return self._of(target[0]), target[1]
        raise TypeError(f"write data_io.{method}(key) or data_io.{method}(type or intent, key)")

    def _aim_write(self, target: tuple[Any, ...]) -> tuple[Home, str, Any]:
        if len(target) == 3:
            return self._of(target[0]), target[1], target[2]
        if len(target) != 2:
            raise TypeError("write data_io.write(key, value), write(type, value) or write(type, key, value)")
        first, value = target
        if isinstance(first, str | Enum):
            return self.homes.untyped, first, value  # type: ignore[return-value]  # checked next
        home = self._of(first)
        return home, home.key_of(value), value

    def _of(self, target: Any) -> Home:
        home = self.homes.of(target)
        if home.requirements and is_asked():
            self._guard(home.requirements, home.label)
        return home

    def _check_size(self, key: str, data: bytes) -> None:
        if len(data) > self._settings.value_bytes:
            raise ValueTooLarge(key, len(data), self._settings.value_bytes)

    def _wanted(self, action: Any, home: Home) -> list[Callable[[DataEvent], Any]]:
        return [*registered.wanted(action, home.of), *self.signals.wanted(action, home.of)]

    def tell(
        self, home: Home, action: Any, key: str | None, entry: Entry | None = None, *, prefix: str | None = None
    ) -> None:
        """Start whatever wants to know of a change."""
        for handler in self._wanted(action, home):
            value = home.codec.decode(entry.form, entry.data) if entry is not None else None
            event = DataEvent(action, home.of, key, value, prefix)
            name = getattr(handler, "__qualname__", "handler")
            self._start_handler(partial(handler, event), name=f"signal:{action}:{name}")


def _timed(home: Home, entry: Entry, ttl: Duration | None, now: float) -> Entry:
    policy = home.policy
    own = _ttl(ttl, "write") if ttl is not None else policy.ttl
    fresh = math.inf if own is None else now + own
    evictable = policy.evictable or (ttl is not None and home.of is None)
    return Entry(entry.data, entry.form, now, fresh, fresh + policy.max_stale, evictable, entry.tags)


def _ttl(ttl: Duration | None, method: str) -> float | None:
    if ttl is None:
        return None
    try:
        found = seconds(ttl)
    except ValueError as error:
        raise InvalidDeclaration("ttl", ttl, on=f"data_io.{method}", why=str(error)) from None
    if found <= 0:
        why = "it must be longer than zero; delete(key) removes, and invalidate(key) has a copy loaded anew"
        raise InvalidDeclaration("ttl", ttl, on=f"data_io.{method}", why=why)
    return found


def _loading(policy: Policy, ttl: float | None) -> Policy:
    """Return the policy under which loaded values are stored: they are copies, whatever else lives beside them."""
    if policy.evictable and ttl is None:
        return policy
    return replace(policy, evictable=True, ttl=ttl if ttl is not None else policy.ttl or DEFAULT_TTL)
