"""Store: a backend with the copies before it, as the rest of this room sees it."""

import logging
from collections.abc import Awaitable, Sequence
from typing import Final

import anyio

from evox.data.backends.base import Backend, Change, Lease, Reading, Removed
from evox.data.backends.memory import MemoryBackend
from evox.data.database import writes_to
from evox.data.entries import Entry, Row
from evox.data.flights import Flights
from evox.data.near import Near
from evox.errors import BackendUnavailable, InsideTransaction

__all__ = ["Store"]

AGAIN: Final = 3  # times that a read is repeated because something newer is known already
_log = logging.getLogger("evox.data")


class Store:
    """One backend of one service.

    Args:
        backend: Where entries are kept.
        near: Copies before it; None where it is in memory itself.
        flights: The service's flights, which changes make out of date.
    """

    def __init__(self, backend: Backend, near: Near | None, flights: Flights) -> None:
        self.backend = backend
        self.near = near
        self._flights = flights
        self._memory = backend if isinstance(backend, MemoryBackend) else None

    def __repr__(self) -> str:
        return f"<Store {self.backend!r}>"

    def fresh(self, key: str, near: bool) -> Row | None:
        """Return the row of a fresh entry if there is one that is known at once; None says nothing."""
        if self._memory is not None:
            return self._memory.fresh(key)
        return self.near.fresh(key, self.backend.clock) if near and self.near is not None else None

    def look(self, key: str, *, near: bool) -> tuple[bool, Entry | None, float]:
        """Return whether it is known at once what a key holds, what, and the backend's time if so."""
        if self._memory is not None:
            now = self._memory.clock()
            return True, self._memory.look(key, now), now
        if not near or self.near is None:
            return False, None, 0.0
        known, entry = self.near.look(key)
        return known, entry, self.backend.clock() if known else 0.0

    async def get(self, key: str, guards: Sequence[str] = (), *, near: bool, keep: float = 0.0) -> Reading:
        """Return what a key holds.

        Args:
            key: The key.
            guards: What its lease is to notice.
            near: Whether a copy will do, and one may be held.
            keep: Seconds for which a copy is held for the case that the backend fails; one is returned then.

        Raises:
            BackendUnavailable: if the backend fails and there is no copy.
        """
        if self._memory is not None or self.near is None or not near:
            return await self.backend.get(key, guards)
        known, entry = self.near.look(key)
        if known and entry is not None and self.backend.clock() < entry.fresh_until:
            return Reading(entry, Lease(entry.version))
        try:
            return await self._read(self.near, key, guards, keep)
        except BackendUnavailable:
            left = self.near.left(key) if keep else None
            if left is None or left.keep_until <= self.backend.clock():
                raise
            return Reading(left, Lease(-1))

    async def _read(self, near: Near, key: str, guards: Sequence[str], keep: float) -> Reading:
        for _ in range(AGAIN):
            watch, since = near.watch(key), anyio.current_time()
            try:
                reading = await self.backend.get(key, guards)
            finally:
                near.unwatch(key, watch)
            version = reading.lease.version
            if watch.version > version:
                continue  # something newer is known here already
            if watch.changed:
                near.drop(key, version)
            else:
                near.put(key, reading.entry, version, since=since, keep=keep)
            break
        return reading

    async def put(self, key: str, entry: Entry, *, near: bool, keep: float = 0.0) -> int:
        """Store an entry, and return its version."""
        self._check()
        self._flights.forget(key)
        version = await self._change(key, entry, self.backend.put(key, entry), near=near, keep=keep)
        self._flights.forget(key)
        return version

    async def fill(self, key: str, entry: Entry, lease: Lease, *, near: bool, keep: float = 0.0) -> int:
        """Store what was loaded, unless something changed since the lease; return its version, or 0."""
        if lease.version < 0:
            return 0
        self._check()
        return await self._change(key, entry, self.backend.fill(key, entry, lease), near=near, keep=keep)

    async def delete(self, key: str) -> Removed:
        """Remove a key."""
        self._check()
        return await self._removed(key, self.backend.delete(key))

    async def invalidate(self, key: str) -> Removed:
        """Remove a key if it is a copy; of a record only the copy here is dropped."""
        self._check()
        return await self._removed(key, self.backend.invalidate(key))

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """Remove the copies whose keys begin so."""
        self._check()
        self._flights.forget_guard(guard)
        removed = await self.backend.invalidate_prefix(prefix, guard)
        self._forget([guard], removed.version)
        return removed

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """Remove the copies under any of the tags."""
        self._check()
        for tag in tags:
            self._flights.forget_guard(tag)
        removed = await self.backend.invalidate_tags(tags)
        self._forget(tags, removed.version)
        return removed

    def remove_tags(self, tags: Sequence[str]) -> bool:
        """Remove the copies under any of the tags at once; False if what keeps them has to be waited for."""
        if self._memory is None:
            return False
        self._check()
        self._forget(tags, self._memory.remove_tags(tags).version)
        return True

    @property
    def held(self) -> bool:
        """Whether a transaction of this task keeps everybody from writing to it."""
        file = self.backend.facts.file
        return file is not None and writes_to(file)

    def changed(self, change: Change) -> None:
        """See ``OnChange``."""
        if self.near is not None:
            self.near.changed(change)
        if change.key is not None:
            self._flights.forget(change.key, change.version)
        if change.guard is not None:
            self._flights.forget_guard(change.guard, change.version)

    def lost(self) -> None:
        """See ``OnChange``."""
        if self.near is not None:
            _log.warning(
                "%s: changes are not reported any more; copies in memory are not used", self.backend.facts.name
            )
            self.near.off()

    def found(self) -> None:
        """See ``OnChange``."""
        if self.near is not None:
            self.near.on()
        self._flights.forget_all()

    def _check(self) -> None:
        """Refuse what would wait for the task that asks.

        Raises:
            InsideTransaction: if that has a transaction open on the same file.
        """
        if self.held:
            raise InsideTransaction(self.backend.facts.name)

    async def _change(self, key: str, entry: Entry, doing: Awaitable[int], *, near: bool, keep: float) -> int:
        if self.near is None:
            return await doing
        watch, since, newest = self.near.watch(key), anyio.current_time(), self.near.newest
        try:
            version = await doing
            if 0 < version <= newest:  # it counts anew: it was emptied, or an older state of it was restored
                self.near.restart()
            if version and near:
                self.near.wrote(key, entry._replace(version=version), version, watch, since=since, keep=keep)
            elif version:
                self.near.drop(key, version)
        except BaseException:
            self.near.drop(key)  # it may have been done
            raise
        finally:
            self.near.unwatch(key, watch)
        return version

    async def _removed(self, key: str, doing: Awaitable[Removed]) -> Removed:
        self._flights.forget(key)
        try:
            return await doing
        finally:
            self._flights.forget(key)
            if self.near is not None:
                self.near.drop(key)

    def _forget(self, guards: Sequence[str], version: int) -> None:
        for guard in guards:
            self._flights.forget_guard(guard)
            if self.near is not None:
                self.near.drop_guard(guard, version + 1)
