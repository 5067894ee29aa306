"""Memory: the backend that needs nothing. Entries live as long as the runtime, in this process alone."""

from collections.abc import Callable, Sequence
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from evox.data.backends.base import BackendStatistics, Lease, OnChange, Reading, Removed
from evox.data.clock import loop_clock
from evox.data.entries import FRESH_UNTIL, Entry, Row
from evox.data.last_changes import LastChanges
from evox.data.policy import Facts
from evox.data.shelf import Shelf
from evox.errors import CapacityExceeded

__all__ = ["MemoryBackend"]

SLICE: Final = 1000  # keys looked at before others have their turn


class MemoryBackend:
    """Keeps entries in memory.

    Args:
        entries: How many it may keep.
        size: Bytes that they may take.
    """

    facts: Final = Facts("memory", shared=False)

    def __init__(self, entries: int, size: int) -> None:
        self._changes = LastChanges(entries)  # of guards, and of keys that are not held
        self.shelf = Shelf(entries, size, Entry._make, on_drop=self._changes.note_roughly)
        self.clock: Callable[[], float] = anyio.current_time  # monotonic: nothing outlives the process
        self._version = 0
        self._operations = 0

    def __repr__(self) -> str:
        return f"<MemoryBackend {self.shelf!r}>"

    async def open(self, group: TaskGroup, on_change: OnChange) -> None:
        """See ``Backend``."""
        del group, on_change
        self.clock = loop_clock()

    async def close(self) -> None:
        """See ``Backend``."""

    def fresh(self, key: str) -> Row | None:
        """Return the row of a fresh entry, at once."""
        now = self.clock()
        row = self.shelf.row(key, now)
        if row is None or row[FRESH_UNTIL] <= now:
            return None
        self._operations += 1
        return row

    def look(self, key: str, now: float) -> Entry | None:
        """Return what a key holds, at once."""
        self._operations += 1
        return self.shelf.get(key, now)

    async def get(self, key: str, guards: Sequence[str] = ()) -> Reading:
        """See ``Backend``. The lease is the version of the whole store: here nothing happens in between."""
        del guards
        return Reading(self.look(key, self.clock()), Lease(self._version))

    async def put(self, key: str, entry: Entry) -> int:
        """See ``Backend``."""
        return self._store(key, entry)

    async def fill(self, key: str, entry: Entry, lease: Lease) -> int:
        """See ``Backend``."""
        held = self.shelf.peek(key)
        versions = [self._changes.of(name) for name in (key, *_guards(key, entry))]
        changed = max(versions) if held is None else max(*versions, held.version)
        return self._store(key, entry) if changed <= lease.version else 0

    async def delete(self, key: str) -> Removed:
        """See ``Backend``."""
        self._operations += 1
        gone = self.shelf.drop(key)
        count = 0 if gone is None or gone.keep_until <= self.clock() else 1
        return Removed(self._note(key), count)

    async def invalidate(self, key: str) -> Removed:
        """See ``Backend``."""
        held = self.shelf.peek(key)
        return Removed(self._version, 0) if held is not None and not held.evictable else await self.delete(key)

    async def invalidate_prefix(self, prefix: str, guard: str) -> Removed:
        """See ``Backend``. Looks at all keys, and lets others have their turn meanwhile."""
        version, now = self._note(guard), self.clock()
        keys = list(self.shelf)
        count = 0
        for number, key in enumerate(keys, 1):
            if key.startswith(prefix):
                count += self._remove(key, version, now)
            if number % SLICE == 0:
                await anyio.lowlevel.checkpoint()
        return Removed(version, count)

    async def invalidate_tags(self, tags: Sequence[str]) -> Removed:
        """See ``Backend``."""
        return self.remove_tags(tags)

    def remove_tags(self, tags: Sequence[str]) -> Removed:
        """As ``invalidate_tags``, at once."""
        count, version, now = 0, self._version, self.clock()
        for tag in tags:
            version = self._note(tag)
            for key in self.shelf.tagged(tag):
                count += self._remove(key, version, now)
        return Removed(version, count)

    async def count_prefix(self, prefix: str) -> int:
        """See ``Backend``. Looks at all keys, and lets others have their turn meanwhile."""
        now, count = self.clock(), 0
        for number, key in enumerate(list(self.shelf), 1):
            count += key.startswith(prefix) and self._is_copy(key, now)
            if number % SLICE == 0:
                await anyio.lowlevel.checkpoint()
        return count

    async def count_tags(self, tags: Sequence[str]) -> int:
        """See ``Backend``."""
        now = self.clock()
        return sum(self._is_copy(key, now) for key in {key for tag in tags for key in self.shelf.tagged(tag)})

    def statistics(self) -> BackendStatistics:
        """See ``Backend``."""
        held = self.shelf.statistics()
        detail = f"{held.copies} copies, {held.records} records, {held.size} of {held.limit} bytes"
        return BackendStatistics("memory", "memory", self._operations, 0, available=True, detail=detail)

    def _store(self, key: str, entry: Entry) -> int:
        self._operations += 1
        version = self._version + 1
        if not self.shelf.put(key, entry._replace(version=version), self.clock()):
            held = self.shelf.statistics()
            why = f"{held.records} records take {held.size} bytes of the {held.limit} that it may use"
            fix = "raise memory_bytes or entries in [tool.evox.data], give records a ttl, or use sqlite:///..."
            raise CapacityExceeded("memory", why, fix=fix)
        self._version = version
        self._changes.clear(key)
        return version

    def _is_copy(self, key: str, now: float) -> bool:
        held = self.shelf.peek(key)
        return held is not None and held.evictable and held.keep_until > now

    def _remove(self, key: str, before: int, now: float) -> int:
        held = self.shelf.peek(key)
        if held is None or not held.evictable or held.version > before:
            return 0
        self.shelf.drop(key)
        return int(held.keep_until > now)

    def _note(self, name: str) -> int:
        """Remember that a key or guard changed now, for leases that are out."""
        self._version += 1
        self._changes.note(name, self._version)
        return self._version


def _guards(key: str, entry: Entry) -> list[str]:
    service, _, rest = key.partition("/")
    return [*entry.tags, f"{service}/in:{rest.partition(':')[0]}"]
